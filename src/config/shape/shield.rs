//! `[rate_limit]` and `[cookies]`.

use super::{Kind, Shape, optional};
use crate::limit::{BURST_MAX, RATE_MAX};

const SECRET: Kind = Kind::Text("32 hexadecimal digits, or ${VARIABLE}");

/// `[rate_limit]`
pub static RATE_LIMIT: Shape = Shape {
    name: "[rate_limit]",
    doc: "Response rate limiting: how much is answered to one source over UDP.",
    keys: &[
        optional(
            "rate",
            Kind::Integer(1, RATE_MAX as i64),
            "200",
            "Answers in a second to one address; networks around it may have multiples.",
        ),
        optional(
            "burst",
            Kind::Integer(1, BURST_MAX as i64),
            "two and a half times the rate",
            "Answers at once to an address that was silent.",
        ),
        optional(
            "slip",
            Kind::Integer(0, 1000),
            "1",
            "Every so many refused queries one is told to come again by TCP or with a cookie; 1: all, 0: none.",
        ),
        optional(
            "exempt",
            Kind::List(&Kind::Text("a network in CIDR form")),
            "nobody",
            "Networks whose queries are never refused: monitors, resolvers of your own.",
        ),
    ],
    exactly_one: &[],
};

/// `[cookies]`
pub static COOKIES: Shape = Shape {
    name: "[cookies]",
    doc: "DNS cookies: proof that a query over UDP comes from where it says.",
    keys: &[
        optional("enabled", Kind::Flag, "true", "Give cookies, and take them."),
        optional(
            "secret",
            SECRET,
            "drawn at each start",
            "What cookies are made with; the same on every server of the same zones.",
        ),
        optional(
            "accept",
            Kind::Either(&[SECRET, Kind::List(&SECRET)]),
            "none",
            "At most two more secrets whose cookies are taken: the one before, the one after.",
        ),
    ],
    exactly_one: &[],
};
