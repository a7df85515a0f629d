//! `[policies.NAME]` and policies written in place.

use super::{Key, Kind, MIN_HEALTHY, Needed, Shape, optional};

/// The words for the kinds of policy.
pub const RULES: &[&str] =
    &["failover", "nearest", "latency", "geo", "weighted", "multivalue", "least-loaded"];

/// `[policies.NAME]` and policies written in place.
pub static POLICY: Shape = Shape {
    name: "policy",
    doc: "A node of a policy tree: exactly one rule, and its options.",
    keys: &[
        optional("failover", Kind::List(&CHILD), RULE_NEEDED, "The first child that has not failed."),
        optional(
            "nearest",
            Kind::List(&CHILD),
            RULE_NEEDED,
            "The region at the least great-circle distance.",
        ),
        optional(
            "latency",
            Kind::List(&CHILD),
            RULE_NEEDED,
            "The region with the least expected round trip and service time.",
        ),
        optional(
            "geo",
            Kind::Names("rule", &GEO_VALUE),
            RULE_NEEDED,
            "The most specific rule that matches: \"continent:EU\", \"country:SA\", \"subdivision:US-CA\", \"asn:64500\", \"203.0.113.0/24\", default, unknown.",
        ),
        optional(
            "weighted",
            Kind::List(&Kind::Either(&[NAME, Kind::Table(&SHARE)])),
            RULE_NEEDED,
            "A share for each child.",
        ),
        optional(
            "multivalue",
            Kind::List(&CHILD),
            RULE_NEEDED,
            "Several healthy endpoints of all children in one answer.",
        ),
        optional(
            "least-loaded",
            Kind::List(&CHILD),
            RULE_NEEDED,
            "A region by its part of the load that can be taken, by hash of the client's prefix.",
        ),
        optional(
            "min_healthy",
            MIN_HEALTHY,
            "1",
            "With fewer healthy members the node has failed: a count, or a share as \"50%\".",
        ),
        optional(
            "all_down",
            Kind::Either(&[Kind::Word(MODES), Kind::Table(&ALL_DOWN)]),
            "fails to its parent; at the root \"serve-all\"",
            "What happens when nothing below is healthy; a node that says so never fails to its parent.",
        ),
        optional(
            "schedule",
            Kind::Text("a schedule's name"),
            "always on",
            "Outside the windows of this schedule the node has failed.",
        ),
        optional(
            "unknown",
            Kind::Text("a region's name"),
            "the region of the first endpoint",
            "`nearest`, `latency`: where clients without a known location count as being.",
        ),
        optional(
            "answers",
            Kind::Integer(1, 32),
            "1; 8 for `multivalue`",
            "`nearest`, `latency`, `multivalue`, `least-loaded`: how many endpoints one answer names.",
        ),
        optional(
            "bias",
            Kind::Names("region", &Kind::Integer(-99, 99)),
            "0",
            "`nearest`: in percent by region; above 0 draws clients in, below 0 sends them off.",
        ),
        optional(
            "tie",
            Kind::Either(&[Kind::Number(0.0, 1.0), Kind::Text("a share from \"1%\" to \"100%\"")]),
            "0",
            "`nearest`: regions within this share of the nearest distance join it, by weight; in steps of 0.001.",
        ),
        optional(
            "sticky",
            Kind::Word(&["client"]),
            "drawn for each answer",
            "`weighted`: chosen by hash of the client's prefix instead of a draw.",
        ),
        optional(
            "trickle",
            Kind::Text("a share from \"0.1%\" to \"50%\""),
            "none",
            "`failover`: this share of clients gets the second child although the first is well, so that it is known to work.",
        ),
        optional(
            "skip_first",
            Kind::Flag,
            "false",
            "`failover`, `nearest`, `latency`, `geo`: everybody gets their second choice, where there is one.",
        ),
    ],
    exactly_one: &[RULES],
};

/// What the kinds of policy have for a default.
const RULE_NEEDED: &str = "exactly one rule is needed";

/// R9's modes that need no more words.
pub const MODES: &[&str] = &["serve-all", "last-good", "nodata", "refuse"];

/// A policy or pool by name.
pub(super) const NAME: Kind = Kind::Text("the name of a pool or policy");

/// A child: a name, or a policy written in place.
static CHILD: Kind = Kind::Either(&[NAME, Kind::Table(&POLICY)]);

/// Where a geo rule leads.
static GEO_VALUE: Kind = Kind::Either(&[NAME, Kind::Table(&BRANCH), Kind::Table(&POLICY)]);

/// A branch of a geo policy with its options.
pub static BRANCH: Shape = Shape {
    name: "branch",
    doc: "Where a geo rule leads, with its options.",
    keys: &[
        Key {
            name: "use",
            kind: Kind::Either(&[NAME, Kind::Table(&POLICY)]),
            needed: Needed::Required,
            doc: "The child.",
        },
        optional("geofence", Kind::Flag, "false", "Never leave this branch, even when all of it is down."),
    ],
    exactly_one: &[],
};

/// A child of `weighted` with its share.
pub static SHARE: Shape = Shape {
    name: "share",
    doc: "A child of `weighted` with its share.",
    keys: &[
        Key {
            name: "use",
            kind: Kind::Either(&[NAME, Kind::Table(&POLICY)]),
            needed: Needed::Required,
            doc: "The child.",
        },
        optional(
            "weight",
            Kind::Integer(0, 65_535),
            "100",
            "Its share against the others; 0: only when every other weight has failed.",
        ),
        optional(
            "seat",
            Kind::Text("a name"),
            "the child's name",
            "`sticky`: what is hashed in place of the child's name, so that another child can take over its clients.",
        ),
    ],
    exactly_one: &[],
};

/// `all_down = { fallback = ... }`
pub static ALL_DOWN: Shape = Shape {
    name: "all_down",
    doc: "Another branch for when all is down.",
    keys: &[Key {
        name: "fallback",
        kind: Kind::Either(&[NAME, Kind::Table(&POLICY)]),
        needed: Needed::Required,
        doc: "The pool or policy to use.",
    }],
    exactly_one: &[],
};
