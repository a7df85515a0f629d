//! What a secondary server knows of a zone (pure): when to ask its primaries, what may come in a
//! transfer, and the data that came.
//!
//! [`Timers`] say when to ask whom, [`Incoming`] reads what comes, [`ZoneData`] is what there is then. The
//! sockets and files are `refresh`'s.

mod data;
mod incoming;
mod limits;
mod message;
pub mod serial;
mod soa;
#[cfg(test)]
mod tests;
mod timers;
#[cfg(test)]
mod timers_tests;

pub use data::{Damage, Difference, Differences, Held, Inconsistent, Store, TooLarge, ZoneData};
pub use incoming::{Bad, Incoming, Progress, Transferred, Wanted};
pub use limits::Limits;
pub use message::{Malformed, Message, Record};
pub use soa::Soa;
pub use timers::{Heard, Outcome, Step, Timers};
