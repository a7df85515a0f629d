//! What a secondary server knows of a zone (pure): when to ask its primaries, what may come in a
//! transfer, and the data that came.

mod limits;
pub mod serial;

pub use limits::Limits;
