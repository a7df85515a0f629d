//! The written form of the configuration, read and checked into [`Config`] (pure).
//!
//! Text comes in as [`Sources`] (read by `load`), every problem comes out at once as [`Problems`].
//! What this module hands on is resolved: references are numbers, numbers are in range, trees are
//! finite. What needs zone data or locations to be judged is judged by `compile`.

mod cities;
mod cloud_regions;
mod countries;
mod problem;
mod read;
mod render;
mod schema;
mod secondary;
pub mod shape;
mod suggest;
mod transports;
mod types;

pub use problem::{FileId, Problem, Problems, Severity, SourceFile, Sources, Span, ZoneFiles};
pub use read::{class_folders, control_listen, duration, read, spell_duration, zones_folder};
pub use render::{Style, json, summary, text};
pub use schema::{main_schema, zone_schema};
pub use secondary::{Primary, PrimaryTls, Secondary};
pub use suggest::near;
pub use transports::*;
pub use types::*;

#[cfg(test)]
mod tests;
