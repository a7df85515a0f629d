//! `[secondary]` of `zones/NAME.toml`: where the zone's data come from.

use super::{Kind, Shape, optional, required, s};

/// One primary as text.
const ADDRESS: Kind = Kind::Text("ADDRESS or ADDRESS:PORT");

/// A primary as text or as a table.
const ONE: Kind = Kind::Either(&[ADDRESS, Kind::Table(&PRIMARY)]);

/// `[secondary]`
pub static SECONDARY: Shape = Shape {
    name: "[secondary]",
    doc: "The zone is transferred from its primaries, and NAME.zone is not needed.",
    keys: &[
        required(
            "primaries",
            Kind::Either(&[ADDRESS, Kind::Table(&PRIMARY), Kind::List(&ONE)]),
            "Who has the zone: tried in turn, the first first.",
        ),
        optional(
            "notify_from",
            Kind::List(&Kind::Text("a network in CIDR form")),
            "the primaries only",
            "Who else may tell of a change (NOTIFY): for primaries that send from other addresses.",
        ),
        optional(
            "refresh_min",
            Kind::Span(s(1), s(2_419_200)),
            r#""1m""#,
            "The primaries are asked no more often than this, whatever the SOA says.",
        ),
        optional("refresh_max", Kind::Span(s(1), s(2_419_200)), r#""1d""#, "And no less often than this."),
        optional(
            "retry_min",
            Kind::Span(s(1), s(1_209_600)),
            r#""10s""#,
            "After a failure the primaries are left alone for at least so long.",
        ),
        optional(
            "retry_max",
            Kind::Span(s(1), s(1_209_600)),
            r#""1h""#,
            "And at most for so long, however many failures there were.",
        ),
        optional(
            "records_max",
            Kind::Integer(2, 100_000_000),
            "10000000",
            "A transfer of more records is broken off and refused.",
        ),
        optional(
            "octets_max",
            Kind::Integer(512, 4_294_967_295),
            "1073741824",
            "A transfer of more octets is broken off and refused.",
        ),
        optional(
            "transfer_timeout",
            Kind::Span(s(1), s(86_400)),
            r#""10m""#,
            "A transfer that takes longer is broken off.",
        ),
    ],
    exactly_one: &[],
};

/// An element of `primaries`.
pub static PRIMARY: Shape = Shape {
    name: "primary",
    doc: "A server that has the zone.",
    keys: &[
        required("address", ADDRESS, "Where it is. The port is 53, with `tls` 853."),
        optional(
            "key",
            Kind::Text("a key's name"),
            "messages are not signed",
            "The TSIG key of messages to it and from it.",
        ),
        optional(
            "tls",
            Kind::Text("a host name"),
            "TCP in the clear",
            "Transfers go over TLS (RFC 9103), and its certificate must be of this name.",
        ),
        optional(
            "ca",
            Kind::Text("a file"),
            "the public authorities",
            "A file of PEM certificates to trust instead; needs `tls`.",
        ),
    ],
    exactly_one: &[],
};
