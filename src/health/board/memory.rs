//! What the board remembers of one target, and how a result changes it (H2, H6, H13).

use std::time::Duration;

use super::latency::Averages;
use crate::health::{Cadence, Failure, TargetHealth, Timings, Verdict};

/// The successes needed after relapses double up to this: at the default interval nearly three minutes
/// without a failure.
pub const SUCCESSES_NEEDED_MAX: u8 = 32;

/// No result for more than this many intervals: stale, the last state stands.
pub const STALE_INTERVALS: u32 = 3;

/// No result for more than this many intervals (5 minutes by default): nothing is known any more.
pub const FORGET_INTERVALS: u32 = 60;

/// One target's history: plain data, carried over by a reload.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memory {
    /// The verdict and what counts for the next.
    pub state: State,
    /// How often the successes needed are to be doubled.
    pub relapses: u8,
    /// When it last came up after it was down.
    pub recovered_at: Option<Duration>,
    /// When it last failed.
    pub failed_at: Option<Duration>,
    /// How it last failed, or why it was not probed.
    pub last_failure: Option<Failure>,
    /// When it last had a result.
    pub result_at: Option<Duration>,
    /// Until when a posted verdict holds.
    pub valid_until: Option<Duration>,
    /// Whether a probe has ended in any way (H1's first round).
    pub tried: bool,
    /// Until when the certificate is valid that was shown last, as time since the Unix epoch.
    pub certificate_until: Option<Duration>,
    /// Smoothed latencies.
    pub averages: Averages,
}

/// The verdict and what counts for the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum State {
    /// No verdict: the next result alone gives it.
    #[default]
    Unknown,
    /// Well.
    Up {
        /// Counted since the count was last forgotten.
        failures: u8,
        /// Successes since the last failure.
        in_row: u8,
        /// How often successes came between the failures counted.
        interruptions: u8,
    },
    /// Not well.
    Down {
        /// Successes in a row that bring it up.
        needed: u8,
        /// Successes so far.
        in_row: u8,
    },
}

/// A change of verdict and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Before.
    pub from: Verdict,
    /// After.
    pub to: Verdict,
    /// In plain words.
    pub cause: String,
}

const UP: State = State::Up { failures: 0, in_row: 0, interruptions: 0 };

impl Memory {
    /// The verdict.
    pub fn verdict(&self) -> Verdict {
        match self.state {
            State::Unknown => Verdict::Unknown,
            State::Up { .. } => Verdict::Up,
            State::Down { .. } => Verdict::Down,
        }
    }

    /// Takes in a result that says something of the target.
    pub fn take(
        &mut self,
        outcome: &Result<Timings, Failure>,
        cadence: &Cadence,
        now: Duration,
    ) -> Option<Change> {
        self.result_at = Some(now);
        match outcome {
            Ok(timings) => {
                self.averages.take(timings, cadence.interval, now);
                self.succeeded(cadence, now)
            }
            Err(failure) => {
                let change = self.failed(*failure, cadence, now);
                self.failed_at = Some(now);
                self.last_failure = Some(*failure);
                change
            }
        }
    }

    fn succeeded(&mut self, cadence: &Cadence, now: Duration) -> Option<Change> {
        match &mut self.state {
            State::Unknown => self.enter(UP, "first result: well".to_owned()),
            State::Up { failures, in_row, interruptions } => {
                *in_row = in_row.saturating_add(1);
                if *in_row >= cadence.ok {
                    (*failures, *interruptions) = (0, 0);
                }
                None
            }
            State::Down { needed, in_row } => {
                *in_row = in_row.saturating_add(1);
                if *in_row < *needed {
                    return None;
                }
                let cause = format!("{} in a row", count(*in_row, "success", "successes"));
                self.recovered_at = Some(now);
                self.enter(UP, cause)
            }
        }
    }

    fn failed(&mut self, failure: Failure, cadence: &Cadence, now: Duration) -> Option<Change> {
        let relapse_window = cadence.relapse_window;
        let within = |at: Option<Duration>| at.is_some_and(|at| now.saturating_sub(at) <= relapse_window);
        match &mut self.state {
            State::Unknown => {
                let down = self.down(cadence, 0, now);
                self.enter(down, format!("first result: {failure}"))
            }
            State::Up { failures, in_row, interruptions } => {
                if *failures > 0 && *in_row > 0 && within(self.failed_at) {
                    *interruptions = interruptions.saturating_add(1);
                }
                *failures = failures.saturating_add(1);
                *in_row = 0;
                if *failures < cadence.fall {
                    return None;
                }
                let cause = format!("{} counted: {failure}", count(*failures, "failure", "failures"));
                let interruptions = *interruptions;
                let down = self.down(cadence, interruptions, now);
                self.enter(down, cause)
            }
            State::Down { in_row, .. } => {
                *in_row = 0;
                None
            }
        }
    }

    /// The state down, with the successes it takes to leave it. It doubles when the target had come up
    /// only just now, and for every time it was well again between the failures that took it down: that
    /// too is a relapse, and without it a target that fails one time in three would come up once more.
    fn down(&mut self, cadence: &Cadence, interruptions: u8, now: Duration) -> State {
        let recovered = self.recovered_at.map(|at| now.saturating_sub(at));
        let relapsed = recovered.is_some_and(|ago| ago <= cadence.relapse_window);
        let before = if relapsed { self.relapses.saturating_add(1) } else { 0 };
        self.relapses = before.saturating_add(interruptions);
        let rise = cadence.rise.max(1);
        let doubled = u32::from(rise) << u32::from(self.relapses).min(8);
        let needed = doubled.min(u32::from(rise.max(SUCCESSES_NEEDED_MAX)));
        State::Down { needed: u8::try_from(needed).unwrap_or(u8::MAX), in_row: 0 }
    }

    fn enter(&mut self, state: State, cause: String) -> Option<Change> {
        let from = self.verdict();
        self.state = state;
        Some(Change { from, to: self.verdict(), cause })
    }

    /// Takes in a verdict that somebody has posted, good until `until`.
    pub fn post(&mut self, verdict: Verdict, until: Duration, actor: &str, now: Duration) -> Option<Change> {
        let state = match verdict {
            Verdict::Up => UP,
            Verdict::Down => State::Down { needed: 1, in_row: 0 },
            Verdict::Unknown => State::Unknown,
        };
        let changes = self.verdict() != verdict;
        (self.result_at, self.tried) = (Some(now), true);
        self.valid_until = (verdict != Verdict::Unknown).then_some(until);
        let change = self.enter(state, format!("posted by {actor}"));
        change.filter(|_| changes)
    }

    /// Whether the last result is so old that it is marked (H13).
    pub fn is_stale(&self, cadence: &Cadence, now: Duration) -> bool {
        // What is posted says itself how long it holds.
        self.valid_until.is_none()
            && self.result_at.is_some_and(|at| now.saturating_sub(at) > cadence.interval * STALE_INTERVALS)
    }

    /// Forgets a verdict whose last result is older than the bound: unknown, never down (H13).
    pub fn forget(&mut self, cadence: &Cadence, now: Duration) -> Option<Change> {
        if let Some(until) = self.valid_until {
            if now < until {
                return None;
            }
            self.valid_until = None;
            return self.enter(State::Unknown, "the verdict posted holds no longer".to_owned());
        }
        let age = now.saturating_sub(self.result_at?);
        if self.state == State::Unknown || age <= cadence.interval * FORGET_INTERVALS {
            return None;
        }
        self.enter(State::Unknown, format!("no result for {} s", age.as_secs()))
    }

    /// What the table says of it, with the time until the verdict can change (H7). A verdict that the
    /// next result alone gives can change within an interval.
    pub fn health(&self, cadence: &Cadence) -> TargetHealth {
        let steps = match self.state {
            State::Unknown => Some(1),
            State::Up { failures: 0, .. } => None,
            State::Up { failures, .. } => Some(cadence.fall.saturating_sub(failures)),
            State::Down { needed, in_row } => Some(needed.saturating_sub(in_row)),
        };
        let bound_s = |steps: u8| {
            let bound = cadence.interval.saturating_mul(u32::from(steps));
            u32::try_from(bound.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
        };
        TargetHealth { verdict: self.verdict(), ttl_bound_s: steps.map(bound_s) }
    }
}

fn count(number: u8, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
