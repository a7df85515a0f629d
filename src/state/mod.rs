//! What outlives the process: a state file and a journal, in a directory of their own.
//!
//! Nothing here may hold up an answer or prevent a start. Files are written on a thread of their own;
//! what cannot be written is a warning and a count, what cannot be read is set aside.

mod cache;
mod directory;
mod file;
mod journal;
mod keeper;
mod kept;
mod when;

pub use cache::{CACHE_SPARE_MAX, Cache, Cached, Key};
pub use directory::{Directory, prepare};
pub use file::{Damage, Read, decode, encode};
pub use journal::{Line, Outcome, What};
pub use keeper::{Counts, Durable, Keeper};
pub use kept::Kept;
pub use when::{parse_rfc3339, rfc3339};
