//! Time as an argument. Only the edges read a clock.

use std::time::Duration;

/// The two readings of time that go into every decision that depends on time.
///
/// Intervals and expiries of states use `monotonic`; schedules, cookies, signatures and the
/// expiry of overrides use `wall`. A step of the wall clock therefore changes no health.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Now {
    /// Time since an arbitrary start (the process's, or the simulation's); never goes back.
    pub monotonic: Duration,
    /// Time since 1970-01-01T00:00:00Z as the machine believes it; can jump both ways.
    pub wall: Duration,
}

impl Now {
    /// The same instant plus `delta` on both clocks: how virtual time advances.
    pub fn after(self, delta: Duration) -> Now {
        Now { monotonic: self.monotonic.saturating_add(delta), wall: self.wall.saturating_add(delta) }
    }
}
