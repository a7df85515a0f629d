//! The written form as data: every table, its keys, their kinds, ranges and defaults.
//!
//! The reader takes ranges and known keys from here, the JSON Schema is made from here, and a test
//! holds the manual against it: none of the three can drift from the others.

mod dnssec;
mod feed;
mod monitor;
mod policy;
mod protection;
mod schedule;
mod secondary;
mod service;
mod shield;
mod transfer;
mod transports;

use std::time::Duration;

pub use dnssec::{DNSSEC, SIGNED_ZONE};
pub use feed::{FEED, LOAD, LOADS};
use monitor::MONITOR_NAME;
pub use monitor::{
    CHECKS, COMPOSITION, DNS, DNS_TYPES, EXEC, GRPC, HTTP, HTTP2, HTTPS, METHODS, MONITOR, PUSH, RCODES, TCP,
    VOTE,
};
pub use policy::{ALL_DOWN, BRANCH, MODES, POLICY, RULES, SHARE};
pub use protection::{FAILBACK, GOVERNOR};
pub use schedule::{SCHEDULE, WINDOW};
pub use secondary::{PRIMARY, SECONDARY};
pub use service::{BINDING, SCOPE_FLOOR, SERVICE, TTL_BOUNDS};
pub use shield::{COOKIES, RATE_LIMIT};
pub use transfer::{TRANSFER, TRANSFER_NOTIFY, TRANSFER_TO, TSIG};
pub use transports::{HTTPS_SERVER, QUIC, TLS};

/// A table of the written form.
pub struct Shape {
    /// What people call it: `[server]`, `endpoint`.
    pub name: &'static str,
    /// What it is for, in one sentence.
    pub doc: &'static str,
    /// Its keys, in the order of the manual.
    pub keys: &'static [Key],
    /// Sets of keys of which exactly one must be there.
    pub exactly_one: &'static [&'static [&'static str]],
}

/// A key of a table.
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Whether the table is refused without it.
    pub needed: Needed,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

/// What happens where a key is not written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// It is a problem.
    Required,
    /// This is used, as it would be written or described.
    Default(&'static str),
}

/// What a value may be.
pub enum Kind {
    /// Text that is not blank; what else it must be is said by the reader. The words describe it.
    Text(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number in this range.
    Number(f64, f64),
    /// A duration ("500ms", "5s", "1m30s") in this range.
    Span(Duration, Duration),
    /// A moment as RFC 3339 writes it, with or without quotes.
    Moment,
    /// `true` or `false`.
    Flag,
    /// An array of these.
    List(&'static Kind),
    /// A table of a fixed shape.
    Table(&'static Shape),
    /// A table whose keys are names that the operator chooses (described by the words).
    Names(&'static str, &'static Kind),
    /// Any one of these.
    Either(&'static [Kind]),
}

impl Shape {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// Seconds.
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A key that may be left out.
const fn optional(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, needed: Needed::Default(default), doc }
}

/// A key that must be there.
const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, needed: Needed::Required, doc }
}

/// The main file.
pub static MAIN: Shape = Shape {
    name: "meridian.toml",
    doc: "The main file: the server, the regions, what is probed and how traffic is steered.",
    keys: &[
        optional(
            "server",
            Kind::Table(&SERVER),
            "every default",
            "Sockets, limits and life of the DNS server.",
        ),
        optional("tls", Kind::Table(&TLS), "off", "DNS over TLS."),
        optional("https", Kind::Table(&HTTPS_SERVER), "off", "DNS over HTTPS."),
        optional("quic", Kind::Table(&QUIC), "off", "DNS over QUIC and over HTTP/3."),
        optional(
            "control",
            Kind::Table(&CONTROL),
            "every default",
            "Health, readiness and metrics of the server itself.",
        ),
        optional("geoip", Kind::Table(&GEOIP), "no location is known", "Where networks are."),
        optional(
            "dnssec",
            Kind::Table(&DNSSEC),
            "every default",
            "Where the keys of signed zones are kept, and who looks after them.",
        ),
        optional(
            "rate_limit",
            Kind::Table(&RATE_LIMIT),
            "off",
            "How much is answered to one source over UDP.",
        ),
        optional("cookies", Kind::Table(&COOKIES), "every default", "DNS cookies."),
        optional("probes", Kind::Table(&PROBES), "every default", "Limits of health probing."),
        optional(
            "governor",
            Kind::Table(&GOVERNOR),
            "every default",
            "How much health checks may take away by themselves, in every service that does not say otherwise.",
        ),
        optional(
            "regions",
            Kind::Names("region", &Kind::Table(&REGION)),
            "none",
            "Places users are sent to.",
        ),
        optional(
            "monitors",
            Kind::Names("monitor", &Kind::Table(&MONITOR)),
            "none",
            "How endpoints are probed.",
        ),
        optional(
            "feeds",
            Kind::Names("feed", &Kind::Table(&FEED)),
            "none",
            "Where the load of endpoints is read.",
        ),
        optional(
            "pools",
            Kind::Names("pool", &Kind::Table(&POOL)),
            "none",
            "Endpoints that serve the same thing.",
        ),
        optional(
            "policies",
            Kind::Names("policy", &Kind::Table(&POLICY)),
            "none",
            "Named nodes of policy trees; they share one name space with the pools.",
        ),
        optional(
            "services",
            Kind::Names("service", &Kind::Table(&SERVICE)),
            "none",
            "What names are steered by: a policy tree with its TTL.",
        ),
        optional(
            "schedules",
            Kind::Names("schedule", &Kind::Table(&SCHEDULE)),
            "none",
            "When branches of policies may be used.",
        ),
        optional(
            "classes",
            Kind::Names("class", &Kind::Table(&CLASS)),
            "none",
            "Clients who see zones of their own.",
        ),
        optional(
            "tsig",
            Kind::Names("key", &Kind::Table(&TSIG)),
            "none",
            "Keys shared with other name servers.",
        ),
    ],
    exactly_one: &[],
};

/// `[server]`
pub static SERVER: Shape = Shape {
    name: "[server]",
    doc: "Sockets, limits and life of the DNS server.",
    keys: &[
        optional(
            "listen",
            Kind::Either(&[SOCKET, Kind::List(&SOCKET)]),
            r#"["0.0.0.0:53", "[::]:53"]"#,
            "Addresses with ports to answer DNS on, over UDP and TCP.",
        ),
        optional(
            "zones",
            Kind::Text("a folder"),
            r#""zones""#,
            "The folder of zones, relative to this file.",
        ),
        optional("workers", Kind::Integer(1, 1024), "one for each core", "UDP workers for each address."),
        optional(
            "udp_payload",
            Kind::Integer(512, 4096),
            "1232",
            "The largest UDP answer that is sent, in octets, and the size announced.",
        ),
        optional(
            "udp_payload_without_cookie",
            Kind::Integer(512, 4096),
            "that of `udp_payload`",
            "The largest UDP answer to a query without a valid DNS cookie, in octets.",
        ),
        optional(
            "nsid",
            Kind::Text("at most 128 octets"),
            "not answered",
            "The name server identifier (RFC 5001).",
        ),
        optional(
            "version",
            Kind::Text("at most 255 octets"),
            "refused",
            "What is answered at version.bind and version.server in class CH.",
        ),
        optional(
            "identity",
            Kind::Text("at most 255 octets"),
            "refused",
            "What is answered at id.server and hostname.bind in class CH (RFC 4892).",
        ),
        optional(
            "minimal_responses",
            Kind::Flag,
            "false",
            "Leave out the addresses of what MX, SRV, NS, SVCB, HTTPS and NAPTR records name.",
        ),
        optional(
            "user",
            Kind::Text("a user's name"),
            "unchanged",
            "The user to become after binding, when started as root.",
        ),
        optional("group", Kind::Text("a group's name"), "the user's own", "The group to become, likewise."),
        optional(
            "tcp_connections",
            Kind::Integer(1, 1_000_000),
            "10000",
            "TCP connections at once, in total.",
        ),
        optional(
            "tcp_connections_per_client",
            Kind::Integer(1, 1_000_000),
            "50",
            "TCP connections at once from one client address.",
        ),
        optional(
            "tcp_idle_timeout",
            Kind::Span(ms(100), s(600)),
            r#""10s""#,
            "A connection on which no message is under way is closed after this.",
        ),
        optional(
            "tcp_message_timeout",
            Kind::Span(ms(100), s(600)),
            r#""5s""#,
            "A message, once begun, must have arrived within this.",
        ),
        optional(
            "proxies",
            Kind::List(&Kind::Text("a network in CIDR form")),
            "none",
            "Load balancers whose TCP, TLS and HTTPS connections begin with a PROXY protocol header (version 2) that says who the client is.",
        ),
        optional(
            "start_timeout",
            Kind::Span(ms(0), s(600)),
            r#""10s""#,
            "How long the first round of probes may hold back the first answer.",
        ),
        optional(
            "drain_timeout",
            Kind::Span(ms(0), s(3600)),
            r#""5s""#,
            "How long to go on answering, no longer ready, when told to stop.",
        ),
        optional(
            "why",
            Kind::List(&Kind::Text("a network in CIDR form")),
            "nobody",
            "Who may ask for the account of an answer, as TXT at _why.NAME: source networks.",
        ),
        optional(
            "hash_key",
            Kind::Text("32 hexadecimal digits, or ${VARIABLE}"),
            "sixteen zero octets",
            "The key of the hash behind sticky choices; the same on every node.",
        ),
        optional(
            "state",
            Kind::Text("a folder, or off"),
            "$STATE_DIRECTORY, else off",
            "Where overrides, health and the journal are kept over a restart.",
        ),
        optional(
            "reload_removed_max",
            Kind::Text("a share: \"30%\""),
            r#""30%""#,
            "A reload that takes away more of the steered, or of the static, answers is refused without `--force`.",
        ),
    ],
    exactly_one: &[],
};

/// An address with its port.
const SOCKET: Kind = Kind::Text("ADDRESS:PORT");

/// `[control]`
pub static CONTROL: Shape = Shape {
    name: "[control]",
    doc: "Health, readiness and metrics of the server itself, over HTTP.",
    keys: &[optional(
        "listen",
        Kind::Text("a loopback ADDRESS:PORT, or off"),
        r#""127.0.0.1:9853""#,
        "Where to answer; loopback only. \"off\": nowhere.",
    )],
    exactly_one: &[],
};

/// `[geoip]`
pub static GEOIP: Shape = Shape {
    name: "[geoip]",
    doc: "Where networks are: databases in mmdb form and prefix overrides.",
    keys: &[
        optional(
            "database",
            Kind::Either(&[FILE, Kind::List(&FILE)]),
            "no location is known",
            "A city or country database (mmdb), or one for each address family.",
        ),
        optional(
            "city",
            Kind::Either(&[FILE, Kind::List(&FILE)]),
            "no location is known",
            "Another word for `database`.",
        ),
        optional(
            "asn",
            FILE,
            "no autonomous system is known",
            "A database (mmdb) of autonomous system numbers.",
        ),
        optional(
            "overrides",
            FILE,
            "none",
            "A CSV file of prefixes and their places (RFC 8805), which wins over the databases.",
        ),
        optional(
            "cache",
            Kind::Flag,
            "true",
            "Whether the map compiled from them is kept in the state folder, so that the next start need not compile it.",
        ),
    ],
    exactly_one: &[],
};

/// A file's name.
const FILE: Kind = Kind::Text("a file, relative to this one");

/// `[probes]`
pub static PROBES: Shape = Shape {
    name: "[probes]",
    doc: "Limits of health probing.",
    keys: &[
        optional("concurrency", Kind::Integer(1, 65_536), "256", "Probes under way at once."),
        optional(
            "allow_loopback",
            Kind::Flag,
            "false",
            "Whether loopback addresses may be endpoints that are probed.",
        ),
        optional(
            "canaries",
            Kind::List(&SOCKET),
            "none",
            "TCP ports elsewhere that are as good as always there: when all fail together with every region, this node is to blame.",
        ),
        optional(
            "resolve_interval",
            Kind::Span(s(5), s(3600)),
            r#""30s""#,
            "How often host names are looked up whose addresses stand in answers (`flatten`).",
        ),
    ],
    exactly_one: &[],
};

/// `[regions.NAME]`
pub static REGION: Shape = Shape {
    name: "region",
    doc: "A place users are sent to.",
    keys: &[optional(
        "at",
        Kind::Either(&[
            Kind::Text("CLOUD:REGION (aws, gcp, azure), or \"City, COUNTRY\""),
            Kind::List(&Kind::Number(-180.0, 180.0)),
        ]),
        "unknown; `nearest` and `latency` need it",
        "Where it is: [latitude, longitude] in degrees, a cloud region, or a city.",
    )],
    exactly_one: &[],
};

/// `[pools.NAME]`
pub static POOL: Shape = Shape {
    name: "pool",
    doc: "Endpoints that serve the same thing, in one region or several.",
    keys: &[
        optional(
            "monitor",
            Kind::Either(&[MONITOR_NAME, Kind::Table(&COMPOSITION)]),
            "not checked, always eligible",
            "How its endpoints are checked: one monitor, or several that add up.",
        ),
        optional(
            "watch",
            Kind::List(&MONITOR_NAME),
            "none",
            "Monitors that check its endpoints too and are only shown: they never vote.",
        ),
        optional(
            "feed",
            Kind::Text("a feed's name"),
            "no load is known",
            "Where the load of its endpoints is read, from each of their addresses.",
        ),
        optional(
            "load",
            Kind::Table(&LOAD),
            "nothing is shed",
            "Between what loads its endpoints give clients to others, where they do not say so themselves.",
        ),
        required("endpoints", Kind::List(&Kind::Table(&ENDPOINT)), "The members."),
        optional(
            "answers",
            Kind::Integer(1, 32),
            "1",
            "How many endpoints one answer names, where no `nearest` or `latency` splits the pool.",
        ),
        optional(
            "min_healthy",
            MIN_HEALTHY,
            "1",
            "With fewer healthy members the pool has failed, where no `nearest` or `latency` splits it.",
        ),
        optional(
            "failback",
            Kind::Table(&FAILBACK),
            "at once",
            "How an endpoint comes back that was down or kept out.",
        ),
    ],
    exactly_one: &[],
};

/// A count or a share.
const MIN_HEALTHY: Kind = Kind::Either(&[
    Kind::Integer(1, 1_000_000),
    Kind::Text("a share: \"50%\""),
    Kind::Table(&MIN_HEALTHY_FAMILIES),
]);

/// A count or a share of one family.
const MIN_HEALTHY_ONE: Kind = Kind::Either(&[Kind::Integer(1, 1_000_000), Kind::Text("a share: \"50%\"")]);

/// `min_healthy = { ipv4 = 2, ipv6 = 1 }`
pub static MIN_HEALTHY_FAMILIES: Shape = Shape {
    name: "min_healthy",
    doc: "How many members must be healthy, by address family.",
    keys: &[
        optional("ipv4", MIN_HEALTHY_ONE, "1", "For A answers."),
        optional("ipv6", MIN_HEALTHY_ONE, "1", "For AAAA answers."),
    ],
    exactly_one: &[],
};

/// A member of a pool.
pub static ENDPOINT: Shape = Shape {
    name: "endpoint",
    doc: "A regional load balancer: its addresses, or one host name.",
    keys: &[
        required("name", Kind::Text("a name"), "Its name, unique in the pool."),
        required("region", Kind::Text("a region's name"), "Its region."),
        optional(
            "address",
            Kind::Either(&[ADDRESS, Kind::List(&ADDRESS)]),
            "one of address and host is needed",
            "Its addresses, of either family.",
        ),
        optional(
            "host",
            Kind::Text("a host name"),
            "one of address and host is needed",
            "A host name, answered as CNAME.",
        ),
        optional(
            "weight",
            Kind::Integer(0, 65_535),
            "100",
            "Its share against the others; 0: only when every other weight is unhealthy.",
        ),
        optional(
            "capacity",
            Kind::Integer(1, 4_294_967_295),
            "not declared",
            "What it can carry, in any unit common to the pool.",
        ),
        optional(
            "load",
            Kind::Table(&LOAD),
            "the pool's",
            "Between what loads it gives clients to others, in the unit of the pool's feed.",
        ),
    ],
    exactly_one: &[&["address", "host"]],
};

/// An IP address.
const ADDRESS: Kind = Kind::Text("an IP address");

/// `[classes.NAME]`
pub static CLASS: Shape = Shape {
    name: "class",
    doc: "Clients who see zones of their own.",
    keys: &[
        required(
            "zones",
            Kind::Text("a folder"),
            "The folder of the zones that they see otherwise than everybody.",
        ),
        optional(
            "networks",
            Kind::Either(&[NETWORK, Kind::List(&NETWORK)]),
            "none",
            "Where their queries come from; the longest network around an address decides.",
        ),
        optional(
            "listen",
            Kind::Either(&[SOCKET, Kind::List(&SOCKET)]),
            "none",
            "Where their queries come in: some of what [server], [tls], [https] and [quic] listen on. Networks count first.",
        ),
    ],
    exactly_one: &[],
};

/// A network.
const NETWORK: Kind = Kind::Text("a network in CIDR form");

/// `zones/NAME.toml`
pub static ZONE: Shape = Shape {
    name: "zones/NAME.toml",
    doc: "The steered names of a zone, and what else concerns it alone.",
    keys: &[
        optional(
            "names",
            Kind::Names("name", &Kind::Text("a service's name")),
            "none",
            "Names relative to the zone (\"www\", \"*.apps\", \"@\") and the services that answer for them.",
        ),
        optional(
            "dnssec",
            Kind::Either(&[Kind::Flag, Kind::Table(&SIGNED_ZONE)]),
            "false",
            "Whether, and how, the zone is signed.",
        ),
        optional(
            "secondary",
            Kind::Table(&SECONDARY),
            "the zone is in NAME.zone",
            "The zone is transferred from its primaries.",
        ),
        optional("transfer", Kind::Table(&TRANSFER), "nobody", "The zone's other name servers."),
    ],
    exactly_one: &[],
};

/// Every shape, the two files first.
pub fn all() -> &'static [&'static Shape] {
    ALL
}

static ALL: &[&Shape] = &[
    &MAIN,
    &ZONE,
    &SERVER,
    &TLS,
    &HTTPS_SERVER,
    &QUIC,
    &CONTROL,
    &GEOIP,
    &RATE_LIMIT,
    &COOKIES,
    &PROBES,
    &REGION,
    &MONITOR,
    &HTTP,
    &HTTPS,
    &TCP,
    &GRPC,
    &DNS,
    &EXEC,
    &PUSH,
    &FEED,
    &LOAD,
    &POOL,
    &COMPOSITION,
    &VOTE,
    &ENDPOINT,
    &POLICY,
    &BRANCH,
    &SHARE,
    &ALL_DOWN,
    &SERVICE,
    &SCOPE_FLOOR,
    &TTL_BOUNDS,
    &BINDING,
    &FAILBACK,
    &GOVERNOR,
    &SCHEDULE,
    &WINDOW,
    &CLASS,
    &DNSSEC,
    &SIGNED_ZONE,
    &SECONDARY,
    &PRIMARY,
    &TSIG,
    &TRANSFER,
    &TRANSFER_TO,
    &TRANSFER_NOTIFY,
    &MIN_HEALTHY_FAMILIES,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unique_and_alternatives_exist() {
        for shape in all() {
            let mut names: Vec<_> = shape.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), shape.keys.len(), "{}", shape.name);
            for set in shape.exactly_one {
                assert!(set.iter().all(|name| shape.key(name).is_some()), "{}", shape.name);
            }
        }
    }
}
