//! How what was down comes back: not at once, and perhaps not by itself (H10).

use std::time::Duration;

/// A pool's `failback`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FailbackSpec {
    /// How long it must be well before it is given anybody.
    pub hold: Duration,
    /// How long it takes from nobody to everybody.
    pub ramp: Duration,
    /// Who decides.
    pub mode: FailbackMode,
}

/// Who decides that something comes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FailbackMode {
    /// Time.
    Auto,
    /// An operator, after the hold.
    Manual,
}

impl FailbackSpec {
    /// At once.
    pub const NONE: FailbackSpec =
        FailbackSpec { hold: Duration::ZERO, ramp: Duration::ZERO, mode: FailbackMode::Auto };
}
