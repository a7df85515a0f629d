//! A region's own service time per monitor, published with hysteresis.

use crate::health::ServiceTime;
use crate::ids::{MonitorId, RegionId};

/// A difference below this moves nobody: it is within what distance alone gets wrong.
const STEP_MIN_MS: f64 = 15.0;

/// A difference below this share of what is published moves nobody.
const STEP_MIN_SHARE: f64 = 0.2;

/// The difference must have been seen in this many rounds of observations in a row.
const ROUNDS_HELD_MIN: u8 = 3;

/// The targets of one region under one monitor.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The region.
    pub region: RegionId,
    /// The monitor.
    pub monitor: MonitorId,
    /// Targets by number.
    pub members: Vec<u32>,
    /// What is published; 0 until something else has held.
    pub published_ms: u16,
    /// Rounds in a row in which the mean was away from what is published, on one side.
    held: Held,
    /// Results since the last round; a round has as many as there are members.
    results: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Held {
    Within,
    Above(u8),
    Below(u8),
}

impl Group {
    /// A group with nothing published.
    pub fn new(region: RegionId, monitor: MonitorId) -> Group {
        Group { region, monitor, members: Vec::new(), published_ms: 0, held: Held::Within, results: 0 }
    }

    /// Counts a result of a member; whether it completes a round.
    pub fn completes_round(&mut self) -> bool {
        self.results += 1;
        let complete = self.results >= self.members.len();
        if complete {
            self.results = 0;
        }
        complete
    }

    /// Takes in a round's mean; whether what is published has changed.
    pub fn round(&mut self, mean_ms: f64) -> bool {
        let published = f64::from(self.published_ms);
        let step = STEP_MIN_MS.max(published * STEP_MIN_SHARE);
        self.held = match self.held {
            Held::Above(rounds) if mean_ms - published >= step => Held::Above(rounds.saturating_add(1)),
            Held::Below(rounds) if published - mean_ms >= step => Held::Below(rounds.saturating_add(1)),
            _ if mean_ms - published >= step => Held::Above(1),
            _ if published - mean_ms >= step => Held::Below(1),
            _ => Held::Within,
        };
        match self.held {
            Held::Above(rounds) | Held::Below(rounds) if rounds >= ROUNDS_HELD_MIN => {
                self.held = Held::Within;
                // A float beyond the range saturates, which is what is wanted.
                self.published_ms = mean_ms.round() as u16;
                true
            }
            _ => false,
        }
    }

    /// The entry of the table; `None` where it is zero, as missing is zero.
    pub fn entry(&self) -> Option<ServiceTime> {
        let entry =
            ServiceTime { region: self.region, monitor: self.monitor, milliseconds: self.published_ms };
        (self.published_ms > 0).then_some(entry)
    }
}
