//! Zones on their way to other name servers: whole and in differences, in streams of messages, and the word
//! that there is something new. `respond` says who may have what; here it is done.

mod desk;

pub use desk::{Changed, Desk, Outgoing, Progress};
