//! `[feeds.NAME]`, and the limits that loads are held against.

use super::{HTTP, HTTPS, Kind, Shape, ms, optional, required, s};

/// How pages are written.
pub const FORMATS: &[&str] = &["prometheus", "haproxy-csv", "json"];

/// What selects a value of a page.
const SELECTOR: Kind = Kind::Text("a selector in the form of the format");

/// `[feeds.NAME]`
pub static FEED: Shape = Shape {
    name: "feed",
    doc: "Where the load of endpoints is read.",
    keys: &[
        optional("http", Kind::Table(&HTTP), "one of http and https is needed", "The page, over HTTP."),
        optional("https", Kind::Table(&HTTPS), "one of http and https is needed", "The page, over HTTPS."),
        required("format", Kind::Word(FORMATS), "How the page is written."),
        required(
            "current",
            SELECTOR,
            "The load as it is: sessions, requests under way, cores, or what you like.",
        ),
        optional(
            "responses",
            SELECTOR,
            "not read",
            "The count of responses since the load balancer started.",
        ),
        optional(
            "errors",
            SELECTOR,
            "not read",
            "The count of those of them that were errors of the server (5xx).",
        ),
        optional(
            "errors_max",
            Kind::Text("a share: \"5%\""),
            "errors take nobody down",
            "A greater share of errors between two readings counts as a failure; needs `responses` and `errors`.",
        ),
        optional("interval", Kind::Span(ms(100), s(3600)), r#""5s""#, "How often it is read."),
        optional(
            "timeout",
            Kind::Span(ms(10), s(600)),
            r#""2s", at most the interval"#,
            "How long one reading may take.",
        ),
        optional(
            "fall",
            Kind::Integer(1, 100),
            "3",
            "Readings with too many errors that take an endpoint down.",
        ),
        optional("rise", Kind::Integer(1, 32), "2", "Readings in a row without that bring it back."),
        optional(
            "ok",
            Kind::Integer(1, 255),
            "10",
            "Readings in a row without that forget earlier ones while it is up.",
        ),
        optional(
            "relapse_window",
            Kind::Span(ms(0), s(86_400)),
            r#""10m""#,
            "A relapse within this doubles the readings needed.",
        ),
    ],
    exactly_one: &[&["http", "https"]],
};

/// The least and the greatest load that can be written.
pub const LOADS: (f64, f64) = (0.001, 1e9);

/// `load = {...}`
pub static LOAD: Shape = Shape {
    name: "load",
    doc: "Between what loads an endpoint gives clients to others, in the unit of its feed.",
    keys: &[
        required("target", Kind::Number(LOADS.0, LOADS.1), "Above this it sheds."),
        optional(
            "max",
            Kind::Number(LOADS.0, LOADS.1),
            "twice the target",
            "Here it would shed everything; between the two in proportion.",
        ),
    ],
    exactly_one: &[],
};
