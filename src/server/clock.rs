//! The one place that reads the clocks for the query path and the supervisor.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::now::Now;

/// Where `monotonic` begins: what an earlier process saw (T2) has a time on this clock too, before the start.
const HEAD_START: Duration = Duration::from_secs(7 * 86_400);

/// Reads both clocks. Copies share one origin, so their `monotonic` readings can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose `monotonic` begins now, some days after its zero.
    pub fn start() -> Clock {
        Clock { origin: Instant::now() }
    }

    /// The present. A wall clock set before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        Now {
            monotonic: HEAD_START + self.origin.elapsed(),
            wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
        }
    }
}
