//! `[monitors.NAME]`, and how pools use them

use super::{FILE, Kind, Shape, ms, optional, required, s};

/// The kinds of check.
pub const CHECKS: &[&str] = &["http", "https", "tcp", "grpc", "dns", "exec", "push"];

/// `[monitors.NAME]`
pub static MONITOR: Shape = Shape {
    name: "monitor",
    doc: "How endpoints are probed, how often, and what makes them down and up.",
    keys: &[
        optional("http", Kind::Table(&HTTP), CHECK_NEEDED, "An HTTP request."),
        optional(
            "https",
            Kind::Table(&HTTPS),
            CHECK_NEEDED,
            "An HTTPS request; the certificate is verified.",
        ),
        optional("tcp", Kind::Table(&TCP), CHECK_NEEDED, "A TCP connection, perhaps with a short exchange."),
        optional("grpc", Kind::Table(&GRPC), CHECK_NEEDED, "The standard gRPC health service."),
        optional("dns", Kind::Table(&DNS), CHECK_NEEDED, "A DNS query."),
        optional("exec", Kind::Table(&EXEC), CHECK_NEEDED, "A command."),
        optional("push", Kind::Table(&PUSH), CHECK_NEEDED, "Verdicts that somebody posts."),
        optional("interval", Kind::Span(ms(100), s(3600)), r#""5s""#, "How often."),
        optional(
            "timeout",
            Kind::Span(ms(10), s(600)),
            r#""2s", at most the interval"#,
            "How long one probe may take.",
        ),
        optional("fall", Kind::Integer(1, 100), "3", "Failures that take an endpoint down."),
        optional("rise", Kind::Integer(1, 32), "2", "Successes in a row that bring it back."),
        optional(
            "ok",
            Kind::Integer(1, 255),
            "10",
            "Successes in a row that forget earlier failures while it is up.",
        ),
        optional(
            "relapse_window",
            Kind::Span(ms(0), s(86_400)),
            r#""10m""#,
            "A relapse within this doubles the successes needed.",
        ),
    ],
    exactly_one: &[CHECKS],
};

/// What the kinds of check have for a default.
const CHECK_NEEDED: &str = "exactly one check is needed";

/// The keys that `http` and `https` share.
macro_rules! http_keys {
    ($port:literal, $($more:expr),* $(,)?) => {
        &[
            optional("path", Kind::Text("a path beginning with /"), r#""/""#, "Path and query."),
            optional("port", PORT, $port, "The port."),
            optional("host", Kind::Text("a host name, perhaps with a port"), "the endpoint's own address", "The Host field, and the name that TLS asks for and verifies."),
            optional("method", Kind::Word(METHODS), r#""GET""#, "The request method."),
            optional("headers", Kind::Names("field", &Kind::Text("the field's value; ${VARIABLE} is read from the environment")), "none", "Further header fields."),
            optional("expect", Kind::Either(&[STATUS, Kind::Integer(100, 599), Kind::List(&Kind::Either(&[STATUS, Kind::Integer(100, 599)]))]), r#""200-299""#, "Status codes that count as well."),
            optional("body", Kind::Text("any text"), "not looked at", "Text that the first 64 KiB of the body must contain."),
            optional("regex", Kind::Text("a regular expression"), "not looked at", "A regular expression that must be found in the first 64 KiB of the body."),
            optional("json", Kind::Names("pointer", &Kind::Either(&[JSON, Kind::List(&JSON)])), "not looked at", "What JSON pointers (RFC 6901) must lead to in the body: a value, or one of several."),
            $($more),*
        ]
    };
}

/// Methods that make sense for a probe.
pub const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "OPTIONS"];

/// A port.
const PORT: Kind = Kind::Integer(1, 65_535);

/// A status code or a range of them.
const STATUS: Kind = Kind::Text("a status code or a range: 200-299");

/// A value of JSON. Whole numbers beyond these are not the same everywhere (RFC 8259, 6).
const JSON: Kind = Kind::Either(&[
    Kind::Text("text"),
    Kind::Number(-9_007_199_254_740_992.0, 9_007_199_254_740_992.0),
    Kind::Flag,
]);

/// `http = {...}`
pub static HTTP: Shape = Shape {
    name: "http",
    doc: "An HTTP request to the endpoint's own address; redirects are not followed.",
    keys: http_keys!("80",),
    exactly_one: &[],
};

/// `https = {...}`
pub static HTTPS: Shape = Shape {
    name: "https",
    doc: "An HTTPS request to the endpoint's own address; redirects are not followed.",
    keys: http_keys!(
        "443",
        optional(
            "http2",
            Kind::Word(HTTP2),
            r#""if-offered""#,
            "Whether HTTP/2 is spoken; where it is required, a server that does not offer it is not well."
        ),
        optional(
            "verify",
            Kind::Flag,
            "true",
            "Whether the certificate's chain, name and expiry are verified."
        ),
        optional("ca", FILE, "the public authorities", "A file of PEM certificates to trust instead."),
        optional("expires_in_days", EXPIRES_IN_DAYS, "7", EXPIRES_IN_DAYS_DOC),
    ),
    exactly_one: &[],
};

/// What may be said of HTTP/2.
pub const HTTP2: &[&str] = &["if-offered", "required", "never"];

/// Days.
const EXPIRES_IN_DAYS: Kind = Kind::Integer(0, 365);
const EXPIRES_IN_DAYS_DOC: &str =
    "A certificate that expires within so many days is warned of, once a day; it is no failure. 0: never.";

/// `tcp = {...}`
pub static TCP: Shape = Shape {
    name: "tcp",
    doc: "A TCP connection to the endpoint's own address.",
    keys: &[
        required("port", PORT, "The port."),
        optional("send", Kind::Text("any text"), "nothing", "What is sent once the connection stands."),
        optional(
            "expect",
            Kind::Text("any text"),
            "a connection is enough",
            "Text that the first 4 KiB of the answer must contain.",
        ),
    ],
    exactly_one: &[],
};

/// `grpc = {...}`
pub static GRPC: Shape = Shape {
    name: "grpc",
    doc: "grpc.health.v1.Health/Check at the endpoint's own address: SERVING is well.",
    keys: &[
        required("port", PORT, "The port."),
        optional(
            "service",
            Kind::Text("a service's full name"),
            "the server as a whole",
            "The service that is asked for.",
        ),
        optional(
            "host",
            Kind::Text("a host name, perhaps with a port"),
            "the endpoint's own address",
            "The authority, and the name that TLS asks for and verifies.",
        ),
        optional("tls", Kind::Flag, "false", "Whether the connection is secured."),
        optional(
            "verify",
            Kind::Flag,
            "true",
            "Whether the certificate's chain, name and expiry are verified.",
        ),
        optional("ca", FILE, "the public authorities", "A file of PEM certificates to trust instead."),
        optional("expires_in_days", EXPIRES_IN_DAYS, "7", EXPIRES_IN_DAYS_DOC),
    ],
    exactly_one: &[],
};

/// `dns = {...}`
pub static DNS: Shape = Shape {
    name: "dns",
    doc: "A DNS query to the endpoint's own address.",
    keys: &[
        required("name", Kind::Text("a domain name"), "What is asked for; \".\" is the root."),
        optional("type", Kind::Word(DNS_TYPES), r#""A""#, "The record type."),
        optional("port", PORT, "53", "The port."),
        optional(
            "transport",
            Kind::Word(&["udp", "tcp"]),
            r#""udp""#,
            "How it is sent; a truncated answer over UDP is asked for again over TCP.",
        ),
        optional("rcode", Kind::Word(RCODES), r#""NOERROR""#, "The response code that counts as well."),
        optional(
            "answer",
            Kind::Either(&[DNS_DATA, Kind::List(&DNS_DATA)]),
            "not looked at",
            "What must be among the answers: addresses, names or texts, as the type has them.",
        ),
    ],
    exactly_one: &[],
};

/// The record types that can be asked for.
pub const DNS_TYPES: &[&str] =
    &["A", "AAAA", "CNAME", "NS", "PTR", "TXT", "SOA", "MX", "SRV", "CAA", "HTTPS", "SVCB"];

/// The response codes that can be expected.
pub const RCODES: &[&str] = &["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// A record's data.
const DNS_DATA: Kind = Kind::Text("an address, a name or a text");

/// `exec = {...}`
pub static EXEC: Shape = Shape {
    name: "exec",
    doc: "A command; status 0 is well.",
    keys: &[required(
        "command",
        Kind::List(&Kind::Text("text; {address} stands for the address")),
        "The program's absolute path, and its arguments. No shell is between.",
    )],
    exactly_one: &[],
};

/// `push = {...}`
pub static PUSH: Shape = Shape {
    name: "push",
    doc: "Verdicts that somebody posts over the API.",
    keys: &[required(
        "ttl",
        Kind::Span(s(1), s(86_400)),
        "How long a verdict holds; without a new one the state is then unknown.",
    )],
    exactly_one: &[],
};

/// A reference to a monitor.
pub(super) const MONITOR_NAME: Kind = Kind::Text("a monitor's name");

/// `monitor = {...}` of a pool
pub static COMPOSITION: Shape = Shape {
    name: "composition",
    doc: "How the verdicts of several monitors add up for each address.",
    keys: &[
        optional("all", VOTES, COMPOSITION_NEEDED, "Every one must be well."),
        optional("any", VOTES, COMPOSITION_NEEDED, "One must be well."),
        optional(
            "at_least",
            Kind::Integer(1, 32_000),
            COMPOSITION_NEEDED,
            "So many of those in `of` must be well, each counted with its weight.",
        ),
        optional("of", VOTES, "needed with `at_least`", "The monitors of `at_least`."),
    ],
    exactly_one: &[&["all", "any", "at_least"]],
};

/// What the ways to add up have for a default.
const COMPOSITION_NEEDED: &str = "one of all, any and at_least is needed";

/// Monitors, each perhaps with options.
const VOTES: Kind = Kind::List(&Kind::Either(&[MONITOR_NAME, Kind::Table(&VOTE)]));

/// A monitor of a composition with its options.
pub static VOTE: Shape = Shape {
    name: "vote",
    doc: "A monitor of a composition with its options.",
    keys: &[
        required("use", MONITOR_NAME, "The monitor."),
        optional("weight", Kind::Integer(1, 1000), "1", "`at_least`: what it counts for."),
        optional("inverted", Kind::Flag, "false", "Well where the monitor is not, and the other way round."),
    ],
    exactly_one: &[],
};
