//! Signing: `[dnssec]` of the main file, and that of a zone.

use super::{Kind, Shape, optional, s};

/// A day.
const DAY_S: u64 = 86_400;

/// The algorithms as they are written, in the order of their numbers.
pub const ALGORITHMS: &[&str] = &["ecdsap256sha256", "ed25519"];

/// `[dnssec]` of the main file
pub static DNSSEC: Shape = Shape {
    name: "[dnssec]",
    doc: "Where the keys of signed zones are kept, and who looks after them.",
    keys: &[
        optional(
            "key_folder",
            Kind::Text("a folder, relative to this file"),
            r#""keys""#,
            "Where keys and their state are kept, for zones that do not say so themselves.",
        ),
        optional(
            "managed",
            Kind::Word(&["here", "elsewhere"]),
            r#""here""#,
            "`elsewhere`: another node makes and rolls the keys, and the key folder is a copy of its own.",
        ),
    ],
    exactly_one: &[],
};

/// `[dnssec]` of `zones/NAME.toml`
pub static SIGNED_ZONE: Shape = Shape {
    name: "signed zone",
    doc: "How a zone is signed. An empty table, and `dnssec = true`, sign it with every default.",
    keys: &[
        optional(
            "keys",
            Kind::Word(&["csk", "ksk-zsk"]),
            r#""csk""#,
            "One key for everything, or one for the parent to know and one for the zone's data.",
        ),
        optional("algorithm", Kind::Word(ALGORITHMS), r#""ecdsap256sha256""#, "What is signed with."),
        optional(
            "denial",
            Kind::Word(&["compact", "nsec", "nsec3"]),
            r#""compact" where names are steered, else "nsec""#,
            "How what does not exist is denied; a zone with steered names takes `compact` only.",
        ),
        optional(
            "signature_validity",
            Kind::Span(s(6 * DAY_S), s(90 * DAY_S)),
            r#""14d""#,
            "For how long signatures are made; each ends a little earlier, so that not all are renewed at once.",
        ),
        optional(
            "refresh",
            Kind::Span(s(4 * DAY_S), s(60 * DAY_S)),
            r#""7d""#,
            "Signatures are renewed when so much is left of them.",
        ),
        optional(
            "zsk_lifetime",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Span(s(DAY_S), s(3650 * DAY_S))]),
            r#""90d""#,
            "With `ksk-zsk`: the zone's key is replaced, by itself, at this age. \"off\": only when told.",
        ),
        optional(
            "propagation_delay",
            Kind::Span(s(0), s(7 * DAY_S)),
            r#""1h""#,
            "The time in which every secondary has a new version of the zone.",
        ),
        optional(
            "parent_ds_ttl",
            Kind::Span(s(0), s(7 * DAY_S)),
            r#""1d""#,
            "The TTL of the DS records at the parent, with the time in which its own secondaries have them.",
        ),
        optional(
            "cds",
            Kind::Word(&["publish", "off", "delete"]),
            r#""publish""#,
            "Whether CDS and CDNSKEY tell the parent which DS to have; `delete` asks it to have none.",
        ),
        optional(
            "key_folder",
            Kind::Text("a folder, relative to the main file"),
            "that of the main file",
            "Where this zone's keys and their state are kept.",
        ),
    ],
    exactly_one: &[],
};
