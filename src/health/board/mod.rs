//! The board: the sole writer of health. Observations in, orders, transitions and tables out; no I/O.
//!
//! Drive it like this: sleep for [`Board::poll_timeout`] or until an observation comes; hand every
//! order of [`Board::poll_due`] to the prober; give every outcome to [`Board::observe`]; log what
//! [`Board::poll_transition`] has; publish [`Board::table`] when [`Board::generation`] has moved.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Failure, Forced, HealthTable, Observation, ProbeOrder, TargetSpec, Transition, Verdict};
use crate::ids::{EndpointId, TargetId};
use crate::now::Now;

/// Bounds on what the board has under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoardLimits {
    /// Probes under way at once; at least 1.
    pub under_way_max: usize,
}

/// What the probes came to since the process began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Orders given.
    pub started: u64,
    /// Starts left out because the one before was still under way or waiting.
    pub late_skipped: u64,
    /// Orders that were never answered.
    pub lost: u64,
    /// Observations that answer no order of ours.
    pub stray: u64,
    /// Successes.
    pub succeeded: u64,
    /// Failures by [`Failure::kind`]; `not_run` are not counted against a target.
    pub failed: BTreeMap<&'static str, u64>,
}

/// Smoothed latencies of one target (H6).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Latency {
    /// The TCP handshake.
    pub connect: Duration,
    /// Request to head of the answer; `None` for tcp.
    pub first_byte: Option<Duration>,
    /// How many probes went into it.
    pub samples: u64,
    /// Time since the last.
    pub age: Duration,
}

/// All that people may ask of one target.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetStatus {
    /// The verdict.
    pub verdict: Verdict,
    /// No result for more than three intervals (H13).
    pub stale: bool,
    /// Failures counted while up.
    pub failures: u8,
    /// While down: successes still needed in a row.
    pub successes_needed: u8,
    /// The last failure that counted, kept when the target recovers.
    pub last_failure: Option<Failure>,
    /// Time since the last result; `None`: there was none.
    pub age: Option<Duration>,
    /// Smoothed latencies; `None` before the first success.
    pub latency: Option<Latency>,
}

/// The state machine of health.
pub struct Board {}

impl Board {
    /// A board that knows nothing yet: the first round of probes is due at once. `seed` draws jitter.
    pub fn new(
        targets: Vec<TargetSpec>,
        endpoints: usize,
        limits: BoardLimits,
        now: Now,
        seed: u64,
    ) -> Board {
        let _ = (targets, endpoints, limits, now, seed);
        Board {}
    }

    /// The board after a reload: history, schedule and probes under way are carried over by identity
    /// (address and check). Forced states are the operator's and start empty: set them again.
    pub fn succeed(self, targets: Vec<TargetSpec>, endpoints: usize, limits: BoardLimits, now: Now) -> Board {
        let _ = (targets, endpoints, limits, now);
        self
    }

    /// How long to sleep before [`Board::poll_due`] has something to do; `None`: until an observation.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let _ = now;
        None
    }

    /// The probes to start now.
    pub fn poll_due(&mut self, now: Now) -> Vec<ProbeOrder> {
        let _ = now;
        Vec::new()
    }

    /// Takes in an outcome. What changes is told by [`Board::poll_transition`].
    pub fn observe(&mut self, observation: Observation, now: Now) {
        let _ = (observation, now);
    }

    /// The next change of verdict that has not been told yet (from `observe`, `poll_due`).
    pub fn poll_transition(&mut self) -> Option<Transition> {
        None
    }

    /// Goes up with every change of what [`Board::table`] would give.
    pub fn generation(&self) -> u64 {
        0
    }

    /// The states as they are, to be published.
    pub fn table(&self) -> HealthTable {
        HealthTable::unknown(0, 0)
    }

    /// Whether every target has had a result (H1).
    pub fn first_round_done(&self) -> bool {
        true
    }

    /// An operator's word on an endpoint (H8). Tests, the demo and `explain` use it so far.
    pub fn force(&mut self, endpoint: EndpointId, forced: Forced) {
        let _ = (endpoint, forced);
    }

    /// The targets, by [`TargetId`].
    pub fn targets(&self) -> &[TargetSpec] {
        &[]
    }

    /// One target's state in full.
    pub fn status(&self, target: TargetId, now: Now) -> Option<TargetStatus> {
        let _ = (target, now);
        None
    }

    /// Probes under way.
    pub fn under_way(&self) -> usize {
        0
    }

    /// What the probes came to.
    pub fn counters(&self) -> &Counters {
        static NONE: Counters = Counters {
            started: 0,
            late_skipped: 0,
            lost: 0,
            stray: 0,
            succeeded: 0,
            failed: BTreeMap::new(),
        };
        &NONE
    }
}
