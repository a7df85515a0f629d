//! What keeps a service whole: `failback`, `governor`, `min_capacity`, `canaries`.

use super::{Kind, Shape, optional, s};

/// `failback = { hold, ramp, mode }`
pub static FAILBACK: Shape = Shape {
    name: "failback",
    doc: "How an endpoint comes back that was down or kept out.",
    keys: &[
        optional(
            "hold",
            Kind::Span(s(0), s(604_800)),
            r#""0s""#,
            "How long it must stay well before it gets any clients.",
        ),
        optional(
            "ramp",
            Kind::Span(s(0), s(604_800)),
            r#""0s""#,
            "How long it takes, in steps, from none of its clients to all.",
        ),
        optional(
            "mode",
            Kind::Word(&["auto", "manual"]),
            r#""auto""#,
            "`manual`: after a recovery an operator must let it back (`meridian approve`).",
        ),
    ],
    exactly_one: &[],
};

/// `[governor]`, and a service's `governor = { ... }`
pub static GOVERNOR: Shape = Shape {
    name: "governor",
    doc: "How much of a service health checks may take away by themselves.",
    keys: &[
        optional(
            "max_removed",
            Kind::Text("a share from \"0%\" to \"100%\""),
            r#""50%""#,
            "What may go beyond one region, of the capacity that remains.",
        ),
        optional(
            "window",
            Kind::Span(s(1), s(86_400)),
            r#""10m""#,
            "Within which time. What went earlier is settled, and makes room for more.",
        ),
    ],
    exactly_one: &[],
};

/// What operators may not go below.
pub const MIN_CAPACITY: Kind =
    Kind::Either(&[Kind::Integer(1, 4_294_967_295), Kind::Text("a share: \"30%\"")]);
