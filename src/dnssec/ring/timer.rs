//! How long something has been in force: counted while this process serves it, and in no other way.
//!
//! What has to be waited out are caches and secondaries. They go by real time, which the wall clock may not
//! tell: it can be set. The monotonic clock tells it within one process; of the time between two processes
//! nothing is believed. To wait too long is always safe.

use std::time::Duration;

use crate::now::Now;

/// Time in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Timer {
    /// What was counted before.
    credit: Duration,
    /// Since when it runs, by the monotonic clock; `None`: not yet in force.
    since: Option<Duration>,
    /// The version of the ring that must be in force for it to run.
    version: u64,
}

impl Timer {
    /// Runs from when a version is in force.
    pub fn from_version(version: u64) -> Timer {
        Timer { credit: Duration::ZERO, since: None, version }
    }

    /// Goes on from what was counted, once a version is in force.
    pub fn resumed(credit: Duration, version: u64) -> Timer {
        Timer { credit, since: None, version }
    }

    /// Runs from now, whatever is in force.
    pub fn running(now: Now) -> Timer {
        Timer { credit: Duration::ZERO, since: Some(now.monotonic), version: 0 }
    }

    /// A version is in force.
    pub fn in_force(&mut self, version: u64, now: Now) {
        if version >= self.version {
            self.since.get_or_insert(now.monotonic);
        }
    }

    /// What it has counted.
    pub fn elapsed(&self, now: Now) -> Duration {
        let running = self.since.map_or(Duration::ZERO, |since| now.monotonic.saturating_sub(since));
        self.credit.saturating_add(running)
    }

    /// What is left until it has counted so much.
    pub fn left(&self, needed: Duration, now: Now) -> Duration {
        needed.saturating_sub(self.elapsed(now))
    }
}
