//! When to ask whom: the timers of RFC 1034 section 4.3.5, with NOTIFY (RFC 1996) and several primaries.
//!
//! Intervals run on the monotonic clock, so that a step of the wall clock changes nothing. Chance is an
//! argument: secondaries that start together must not ask together for ever.

use std::time::Duration;

use super::limits::Limits;
use super::serial::{self, Compared};
use super::soa::Soa;
use crate::now::Now;

/// A start of thousands of zones is spread over this much.
const START_SPREAD: Duration = Duration::from_secs(2);
/// What is known at the first failure of a zone without data.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Checks that NOTIFY asks for are no closer to each other than this: a primary that changes every second
/// is followed, and one that tells of it a thousand times is not obeyed a thousand times.
const NOTIFY_PAUSE: Duration = Duration::from_secs(1);
/// A zone expires after this at the latest and after refresh and retry at the earliest (RFC 1912 section
/// 2.2 has two to four weeks).
pub(super) const EXPIRE_MAX: Duration = Duration::from_secs(14 * 7 * 86_400);
/// A check that is never heard of again counts as failed after the transfer's own time and this.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(120);
/// Doublings of the pause after failures: 2^10 seconds are a good quarter of an hour.
const DOUBLINGS_MAX: u32 = 10;

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Ask this primary, counted from 0, whether it has something newer, and transfer it.
    Ask(usize),
    /// The data must not be answered with any more.
    Expire,
}

/// What came of asking a primary.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It has what is here.
    Same,
    /// Something newer is here now.
    Newer(Soa),
    /// It has something older than what is here.
    Behind,
    /// It could not be reached, or what it gave is of no use.
    Failed,
}

/// What was asked for from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A check follows.
    Check,
    /// The serial told is here already.
    NothingNew,
}

/// The timers of one zone.
#[derive(Clone, Debug)]
pub struct Timers {
    limits: Limits,
    primaries: usize,
    have: Option<Have>,
    /// When the next round begins, unless one is under way.
    due: Duration,
    round: Option<Round>,
    /// Where the next round begins: with the primary that was of use last, or that has told of a change.
    first: usize,
    /// Rounds in which no primary was of use, since one was.
    failures: u32,
    /// A NOTIFY came while a round was under way.
    again: Option<usize>,
    /// When the last round began.
    begun: Option<Duration>,
}

/// The data that are here.
#[derive(Clone, Copy, Debug)]
struct Have {
    soa: Soa,
    /// How long ago a primary had confirmed them at `at`: that may have been before this clock began.
    age: Duration,
    at: Duration,
    expired: bool,
}

impl Have {
    fn fresh(soa: Soa, now: Now) -> Have {
        Have { soa, age: Duration::ZERO, at: now.monotonic, expired: false }
    }
}

/// A round of asking.
#[derive(Clone, Copy, Debug)]
struct Round {
    primary: usize,
    /// Primaries asked before this one.
    asked: usize,
    state: Asking,
    /// When it is given up for lost.
    lost_at: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asking {
    /// To be asked.
    Due,
    /// Asked.
    UnderWay,
}

impl Timers {
    /// Those of a zone with data that a primary confirmed so long ago, or without any. The first check is
    /// due at once, or nearly so: nobody knows what has changed meanwhile.
    pub fn start(
        limits: &Limits,
        primaries: usize,
        stored: Option<(Soa, Duration)>,
        now: Now,
        draw: u64,
    ) -> Timers {
        let have = stored.map(|(soa, age)| Have {
            soa,
            age,
            at: now.monotonic,
            expired: age >= expire_of(&soa, limits),
        });
        Timers {
            limits: limits.clone(),
            primaries: primaries.max(1),
            have,
            due: now.monotonic.saturating_add(share(START_SPREAD, draw)),
            round: None,
            first: 0,
            failures: 0,
            again: None,
            begun: None,
        }
    }

    /// The timers go on under another configuration.
    pub fn reconfigured(&mut self, limits: &Limits, primaries: usize, now: Now) {
        if self.limits == *limits && self.primaries == primaries.max(1) {
            return;
        }
        self.limits = limits.clone();
        self.primaries = primaries.max(1);
        self.first = 0;
        self.asked(now);
    }

    /// When [`Timers::poll`] has something to do, on the monotonic clock.
    pub fn due(&self) -> Duration {
        let round = match &self.round {
            None => self.due,
            Some(Round { state: Asking::Due, .. }) => Duration::ZERO,
            Some(round) => round.lost_at,
        };
        self.expires_at().map_or(round, |expires| expires.min(round))
    }

    /// What is to be done now; to be called until there is nothing more.
    pub fn poll(&mut self, now: Now, draw: u64) -> Option<Step> {
        if self.expires_at().is_some_and(|at| now.monotonic >= at)
            && let Some(have) = &mut self.have
        {
            have.expired = true;
            return Some(Step::Expire);
        }
        let lost = |round: &Round| round.state == Asking::UnderWay && now.monotonic >= round.lost_at;
        if self.round.as_ref().is_some_and(lost) {
            self.finished(Outcome::Failed, now, draw);
        }
        if self.round.is_none() && now.monotonic >= self.due {
            let primary = self.first % self.primaries;
            self.begun = Some(now.monotonic);
            self.round = Some(Round { primary, asked: 0, state: Asking::Due, lost_at: Duration::MAX });
        }
        let lost_at = now.monotonic.saturating_add(self.limits.transfer_timeout + LOST_AFTER);
        let round = self.round.as_mut().filter(|round| round.state == Asking::Due)?;
        (round.state, round.lost_at) = (Asking::UnderWay, lost_at);
        Some(Step::Ask(round.primary))
    }

    /// A primary tells that the zone has changed, perhaps to what serial. `primary` is which, if it can be
    /// told: it is asked first.
    pub fn notified(&mut self, primary: Option<usize>, serial: Option<u32>, now: Now) -> Heard {
        let known = serial.zip(self.have).is_some_and(|(serial, have)| {
            !have.expired
                && matches!(serial::compare(serial, have.soa.serial), Compared::Equal | Compared::Older)
        });
        if known {
            return Heard::NothingNew;
        }
        let first = primary.unwrap_or(self.first);
        match self.round {
            Some(_) => self.again = Some(first),
            None => {
                let begun = self.begun.map_or(Duration::ZERO, |begun| begun.saturating_add(NOTIFY_PAUSE));
                self.first = first;
                self.due = self.due.min(now.monotonic.max(begun));
            }
        }
        Heard::Check
    }

    /// An operator wants a check now.
    pub fn asked(&mut self, now: Now) {
        match self.round {
            Some(_) => self.again = Some(self.first),
            None => self.due = now.monotonic,
        }
    }

    /// What came of the primary that was asked.
    pub fn finished(&mut self, outcome: Outcome, now: Now, draw: u64) {
        let Some(round) = self.round.take() else { return };
        match outcome {
            Outcome::Same => {
                self.have = self.have.map(|have| Have::fresh(have.soa, now));
                self.succeeded(round.primary, now, draw);
            }
            Outcome::Newer(soa) => {
                self.have = Some(Have::fresh(soa, now));
                self.succeeded(round.primary, now, draw);
            }
            Outcome::Behind | Outcome::Failed if round.asked + 1 < self.primaries => {
                let primary = (round.primary + 1) % self.primaries;
                self.round = Some(Round {
                    primary,
                    asked: round.asked + 1,
                    state: Asking::Due,
                    lost_at: Duration::MAX,
                });
                return;
            }
            Outcome::Behind | Outcome::Failed => {
                self.first = 0;
                self.failures = self.failures.saturating_add(1);
                self.due = now.monotonic.saturating_add(self.pause(now, draw));
            }
        }
        if let Some(first) = self.again.take() {
            self.first = first;
            let begun = self.begun.map_or(Duration::ZERO, |begun| begun.saturating_add(NOTIFY_PAUSE));
            self.due = self.due.min(now.monotonic.max(begun));
        }
    }

    fn succeeded(&mut self, primary: usize, now: Now, draw: u64) {
        self.first = primary;
        self.failures = 0;
        let refresh = self.have.map_or(FIRST_RETRY, |have| clamp(have.soa.refresh, &self.limits.refresh));
        self.due = now.monotonic.saturating_add(jittered(refresh, draw));
    }

    /// After a round without success: the SOA's retry, doubled with each failure up to the refresh interval,
    /// and never so long that the zone expires without another try.
    fn pause(&self, now: Now, draw: u64) -> Duration {
        let (retry, most) = match &self.have {
            Some(have) => (have.soa.retry, clamp(have.soa.refresh, &self.limits.refresh)),
            None => (FIRST_RETRY, Duration::MAX),
        };
        let retry = clamp(retry, &self.limits.retry);
        let doublings = self.failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let longest = (*self.limits.retry.end()).min(most.max(retry));
        let pause = jittered(retry.saturating_mul(1 << doublings).min(longest), draw);
        let left = self.expires_at().map(|at| at.saturating_sub(now.monotonic));
        // One more try while there is time for it.
        let least = *self.limits.retry.start();
        left.filter(|left| *left > least).map_or(pause, |left| pause.min((left / 2).max(least)))
    }

    /// When the data expire; `None` where there are none, or they have.
    pub fn expires_at(&self) -> Option<Duration> {
        let have = self.have.as_ref().filter(|have| !have.expired)?;
        let left = expire_of(&have.soa, &self.limits).saturating_sub(have.age);
        Some(have.at.saturating_add(left))
    }

    /// Whether there are data that must not be answered with.
    pub fn is_expired(&self) -> bool {
        self.have.is_some_and(|have| have.expired)
    }

    /// The SOA of the data that are here.
    pub fn soa(&self) -> Option<Soa> {
        self.have.map(|have| have.soa)
    }

    /// When the next round begins; `None` while one is under way.
    pub fn next_check(&self) -> Option<Duration> {
        self.round.is_none().then_some(self.due)
    }

    /// For how long no primary has confirmed the data.
    pub fn age(&self, now: Now) -> Option<Duration> {
        self.have.map(|have| have.age.saturating_add(now.monotonic.saturating_sub(have.at)))
    }

    /// Rounds in which no primary was of use, since one was.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl Soa {
    /// How long such data live without a primary that confirms them.
    pub fn expires_after(&self, limits: &Limits) -> Duration {
        expire_of(self, limits)
    }
}

/// When data of such an SOA expire: no sooner than a check and another try take.
pub(super) fn expire_of(soa: &Soa, limits: &Limits) -> Duration {
    let least = clamp(soa.refresh, &limits.refresh).saturating_add(clamp(soa.retry, &limits.retry));
    soa.expire.clamp(least.min(EXPIRE_MAX), EXPIRE_MAX)
}

fn clamp(length: Duration, bounds: &std::ops::RangeInclusive<Duration>) -> Duration {
    length.max(*bounds.start()).min(*bounds.end())
}

/// Nine tenths of a length to all of it.
fn jittered(length: Duration, draw: u64) -> Duration {
    length.saturating_sub(share(length / 10, draw))
}

/// A part of a length, all parts equally likely.
fn share(length: Duration, draw: u64) -> Duration {
    let nanoseconds = length.as_nanos().min(u128::from(u64::MAX)) as u64;
    Duration::from_nanos(((u128::from(nanoseconds) * u128::from(draw)) >> 64) as u64)
}
