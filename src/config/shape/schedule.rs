//! `[schedules.NAME]`: when branches of policies may be used (R13).

use super::{Kind, Shape, optional, required, s};

/// `[schedules.NAME]`
pub static SCHEDULE: Shape = Shape {
    name: "schedule",
    doc: "When branches of policies may be used, in UTC.",
    keys: &[required("windows", Kind::List(&Kind::Table(&WINDOW)), "It is on while any of them is open.")],
    exactly_one: &[],
};

/// A window of a schedule.
pub static WINDOW: Shape = Shape {
    name: "window",
    doc: "A time, or times, when a schedule is on.",
    keys: &[
        optional(
            "cron",
            Kind::Text("minute, hour, day of month, month, day of week"),
            "one of cron and from is needed",
            "When it opens, again and again, in UTC.",
        ),
        optional(
            "for",
            Kind::Span(s(60), s(31 * 86_400)),
            "needed with `cron`",
            "For how long it is open then.",
        ),
        optional("from", Kind::Moment, "one of cron and from is needed", "When it opens, once."),
        optional("to", Kind::Moment, "needed with `from`", "When it closes; that moment is outside."),
    ],
    exactly_one: &[&["cron", "from"]],
};
