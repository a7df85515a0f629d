//! `[monitors.NAME]`

use super::{FILE, Kind, Shape, ms, optional, required, s};

/// `[monitors.NAME]`
pub static MONITOR: Shape = Shape {
    name: "monitor",
    doc: "How endpoints are probed, how often, and what makes them down and up.",
    keys: &[
        optional("http", Kind::Table(&HTTP), "one of http, https and tcp is needed", "An HTTP request."),
        optional(
            "https",
            Kind::Table(&HTTPS),
            "one of http, https and tcp is needed",
            "An HTTPS request; the certificate is verified.",
        ),
        optional("tcp", Kind::Table(&TCP), "one of http, https and tcp is needed", "A TCP connection."),
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
    exactly_one: &[&["http", "https", "tcp"]],
};

/// The keys that `http` and `https` share.
macro_rules! http_keys {
    ($port:literal, $($more:expr),* $(,)?) => {
        &[
            optional("path", Kind::Text("a path beginning with /"), r#""/""#, "Path and query."),
            optional("port", Kind::Integer(1, 65_535), $port, "The port."),
            optional("host", Kind::Text("a host name, perhaps with a port"), "the endpoint's own address", "The Host field, and the name that TLS asks for and verifies."),
            optional("method", Kind::Word(METHODS), r#""GET""#, "The request method."),
            optional("headers", Kind::Names("field", &Kind::Text("the field's value; ${VARIABLE} is read from the environment")), "none", "Further header fields."),
            optional("expect", Kind::Either(&[STATUS, Kind::Integer(100, 599), Kind::List(&Kind::Either(&[STATUS, Kind::Integer(100, 599)]))]), r#""200-299""#, "Status codes that count as well."),
            optional("body", Kind::Text("any text"), "not looked at", "Text that the first 64 KiB of the body must contain."),
            $($more),*
        ]
    };
}

/// Methods that make sense for a probe.
pub const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "OPTIONS"];

/// A status code or a range of them.
const STATUS: Kind = Kind::Text("a status code or a range: 200-299");

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
            "verify",
            Kind::Flag,
            "true",
            "Whether the certificate's chain, name and expiry are verified."
        ),
        optional("ca", FILE, "the public authorities", "A file of PEM certificates to trust instead."),
    ),
    exactly_one: &[],
};

/// `tcp = {...}`
pub static TCP: Shape = Shape {
    name: "tcp",
    doc: "A TCP connection to the endpoint's own address.",
    keys: &[required("port", Kind::Integer(1, 65_535), "The port.")],
    exactly_one: &[],
};
