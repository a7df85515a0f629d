//! `[services.NAME]`: what names are steered by.

use super::policy::NAME;
use super::protection::{GOVERNOR, MIN_CAPACITY};
use super::{Kind, POLICY, Shape, optional, required, s};

/// `[services.NAME]`
pub static SERVICE: Shape = Shape {
    name: "service",
    doc: "What names are steered by.",
    keys: &[
        required(
            "policy",
            Kind::Either(&[NAME, Kind::Table(&POLICY)]),
            "The root of its tree: a name, or a policy written in place.",
        ),
        optional(
            "ttl",
            Kind::Either(&[TTL, Kind::Table(&TTL_BOUNDS)]),
            r#"{ min = "20s", max = "60s" }"#,
            "The answer's TTL, or the bounds within which health moves it.",
        ),
        optional(
            "client_subnet",
            Kind::Either(&[
                Kind::Word(&["use", "ignore"]),
                Kind::List(&Kind::Text("a network in CIDR form")),
            ]),
            r#""use""#,
            "Whose EDNS Client Subnet is believed: everybody's, nobody's, or that of resolvers in these networks.",
        ),
        optional(
            "families",
            Kind::Word(&["independent", "together"]),
            r#""independent""#,
            "Whether a region whose IPv6 is down stays in A answers, or leaves both.",
        ),
        optional(
            "aaaa",
            Kind::Word(&["next-region", "own-region"]),
            r#""next-region""#,
            "Where a region has no IPv6 at all: AAAA from the next region, or an empty answer from its own; that only with client_subnet = \"ignore\".",
        ),
        optional(
            "scope_floor",
            Kind::Either(&[FLOOR, Kind::Table(&SCOPE_FLOOR)]),
            "none",
            "The longest networks that are decided apart; one length is for IPv4.",
        ),
        optional(
            "flatten",
            Kind::Flag,
            "false",
            "Whether endpoints with host names are answered with the addresses of these, instead of CNAME; then also at a zone's own name.",
        ),
        optional(
            "testing_names",
            Kind::Flag,
            "false",
            "Whether REGION._region.NAME answers for each region whatever its health.",
        ),
        optional(
            "min_capacity",
            MIN_CAPACITY,
            "none",
            "Commands that would leave less in service are refused unless forced.",
        ),
        optional(
            "governor",
            Kind::Table(&GOVERNOR),
            "as [governor]",
            "How much health checks may take away of this service by themselves.",
        ),
        optional(
            "https",
            Kind::Table(&BINDING),
            "no such record",
            "An HTTPS record (RFC 9460) for the name itself; its address hints are decided like A and AAAA.",
        ),
        optional("svcb", Kind::Table(&BINDING), "no such record", "An SVCB record, likewise."),
    ],
    exactly_one: &[],
};

/// A length of a network.
const FLOOR: Kind = Kind::Text("a length such as \"/20\"");

/// `scope_floor = { ipv4, ipv6 }`
pub static SCOPE_FLOOR: Shape = Shape {
    name: "scope_floor",
    doc: "The longest networks that are decided apart, by family.",
    keys: &[
        optional("ipv4", FLOOR, "none", "From \"/8\" to \"/32\"."),
        optional("ipv6", FLOOR, "none", "From \"/16\" to \"/128\"."),
    ],
    exactly_one: &[],
};

/// A TTL: whole seconds up to a week.
const TTL: Kind = Kind::Span(s(0), s(604_800));

/// `ttl = { min, max }`
pub static TTL_BOUNDS: Shape = Shape {
    name: "ttl",
    doc: "The bounds within which health moves the TTL.",
    keys: &[
        optional("min", TTL, r#""20s""#, "The least TTL."),
        optional("max", TTL, r#""60s""#, "The greatest TTL."),
    ],
    exactly_one: &[],
};

/// A protocol of ALPN.
const PROTOCOL: Kind = Kind::Text("a protocol as registered, such as h2");

/// `https = { ... }`, `svcb = { ... }`
pub static BINDING: Shape = Shape {
    name: "binding",
    doc: "An HTTPS or SVCB record in ServiceMode, with the owner itself as the target.",
    keys: &[
        optional("priority", Kind::Integer(1, 65_535), "1", "SvcPriority."),
        optional(
            "alpn",
            Kind::Either(&[PROTOCOL, Kind::List(&PROTOCOL)]),
            "not said",
            "The protocols that are spoken besides the default, best first.",
        ),
        optional(
            "no_default_alpn",
            Kind::Flag,
            "false",
            "Whether the default protocol is not spoken; needs `alpn`.",
        ),
        optional("port", Kind::Integer(1, 65_535), "not said", "Another port than the usual one."),
        optional("ech", Kind::Text("base64"), "not said", "The ECHConfigList of Encrypted ClientHello."),
        optional(
            "dohpath",
            Kind::Text("a URI template"),
            "not said",
            "DNS servers: the path of DNS over HTTPS (RFC 9461).",
        ),
    ],
    exactly_one: &[],
};
