//! `[tsig.NAME]` and `[transfer]`: other name servers, and the keys shared with them.

use super::{Kind, Shape, optional, required};

/// `[tsig.NAME]`
pub static TSIG: Shape = Shape {
    name: "tsig key",
    doc: "A key shared with another name server (RFC 8945); its name is part of it.",
    keys: &[
        optional(
            "algorithm",
            Kind::Word(&["hmac-sha256", "hmac-sha512"]),
            r#""hmac-sha256""#,
            "How messages are signed with it.",
        ),
        required(
            "secret",
            Kind::Text("base64, or ${VARIABLE}"),
            "What both ends know and nobody else, as tsig-keygen prints it.",
        ),
    ],
    exactly_one: &[],
};

/// An address, a network, or more to say.
const TO: Kind = Kind::Either(&[Kind::Text("an address or a network"), Kind::Table(&TRANSFER_TO)]);

/// An address, perhaps with its port, or more to say.
const NOTIFY: Kind = Kind::Either(&[Kind::Text("ADDRESS or ADDRESS:PORT"), Kind::Table(&TRANSFER_NOTIFY)]);

/// `[transfer]` of `zones/NAME.toml`
pub static TRANSFER: Shape = Shape {
    name: "[transfer]",
    doc: "The zone's other name servers.",
    keys: &[
        optional("to", Kind::Either(&[TO, Kind::List(&TO)]), "nobody", "Who may take the zone (AXFR, IXFR)."),
        optional(
            "notify",
            Kind::Either(&[NOTIFY, Kind::List(&NOTIFY)]),
            "nobody",
            "Who is told when it has changed (NOTIFY).",
        ),
    ],
    exactly_one: &[],
};

/// An element of `to`.
pub static TRANSFER_TO: Shape = Shape {
    name: "to",
    doc: "Who may take the zone: all that is said must hold.",
    keys: &[
        optional("address", Kind::Text("an address or a network"), "anywhere", "Where it asks from."),
        optional("key", Kind::Text("a TSIG key's name"), "not needed", "What its messages are signed with."),
    ],
    exactly_one: &[],
};

/// An element of `notify`.
pub static TRANSFER_NOTIFY: Shape = Shape {
    name: "notify",
    doc: "Who is told that the zone has changed.",
    keys: &[
        required("address", Kind::Text("ADDRESS or ADDRESS:PORT"), "Where it listens."),
        optional(
            "key",
            Kind::Text("a TSIG key's name"),
            "not signed",
            "What messages to it are signed with.",
        ),
    ],
    exactly_one: &[],
};
