//! Zones on their way to other name servers: whole and in differences, in streams of messages, and the word
//! that there is something new. `respond` says who may have what; here it is done.
//!
//! A transfer never looks at the view in force: `journal` keeps one frozen version of each zone that may be
//! taken, with the steps that led to it, and is brought up to date when a view is published.

mod desk;
mod difference;
mod image;
mod journal;
mod notify;
mod outgoing;

pub use desk::{Changed, Desk};
pub use outgoing::{Outgoing, Progress};
