//! When each target is probed: a grid per target, jitter around it, and a bound on what is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::draws::Draws;
use crate::health::{Cadence, Check, ProbeOrder, Ticket};
use crate::ids::TargetId;

/// A start is moved by at most this share of the interval either way, so that targets and nodes do not
/// beat in time; small enough that two starts are never more than 1.2 intervals apart.
pub const JITTER_SHARE: f64 = 0.1;

/// An order unanswered for this many timeouts, and [`LOST_GRACE`], is given up: the prober keeps its
/// own timeout, so by then it has lost it.
const LOST_TIMEOUTS: u32 = 2;

/// For a prober that is itself late.
const LOST_GRACE: Duration = Duration::from_secs(1);

/// All starts, waiting and under way.
#[derive(Clone, Debug)]
pub struct Schedule {
    slots: Vec<Slot>,
    /// (due, target), earliest first: who has waited longest starts first, so nobody starves.
    waiting: BTreeSet<(Duration, u32)>,
    under_way: BTreeMap<Ticket, UnderWay>,
    /// (lost at, ticket).
    deadlines: BTreeSet<(Duration, Ticket)>,
    under_way_max: usize,
    next_ticket: u64,
    /// How many targets were ever given a place in the interval.
    placed: u64,
    draws: Draws,
}

/// One target's place in time.
#[derive(Clone, Copy, Debug)]
struct Slot {
    interval: Duration,
    timeout: Duration,
    /// The grid point that the next start serves, before jitter.
    nominal: Duration,
    /// The next start.
    due: Duration,
    /// What the next start is.
    turn: Turn,
    under_way: Option<Ticket>,
}

/// What a start is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    /// The first: at once, off the grid.
    First,
    /// One between the first and the grid, so that no two are much more than an interval apart.
    Between,
    /// One of the grid.
    Grid,
}

#[derive(Clone, Copy, Debug)]
struct UnderWay {
    /// `None`: the target went with a reload, its probe still runs.
    target: Option<u32>,
    lost_at: Duration,
}

/// Whether a target is probed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probed {
    /// As often as its cadence says.
    Ever,
    /// Somebody posts its verdicts.
    Never,
}

impl Probed {
    /// Of a check.
    pub const fn by(check: &Check) -> Probed {
        match check {
            Check::Push { .. } => Probed::Never,
            _ => Probed::Ever,
        }
    }
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finished {
    /// It was this target's.
    Target(TargetId),
    /// Its target is no longer there.
    Gone,
    /// No such order is under way.
    Stray,
}

/// What [`Schedule::due`] gives.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Due {
    /// To be started.
    pub orders: Vec<ProbeOrder>,
    /// Starts left out because they were late.
    pub skipped: u64,
}

impl Schedule {
    /// No targets yet.
    pub fn new(under_way_max: usize, seed: u64) -> Schedule {
        Schedule {
            slots: Vec::new(),
            waiting: BTreeSet::new(),
            under_way: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            under_way_max: under_way_max.max(1),
            next_ticket: 0,
            placed: 0,
            draws: Draws::new(seed),
        }
    }

    /// Adds the next target: due at once, and from then on at its own place in the interval.
    pub fn add(&mut self, cadence: &Cadence, now: Duration) {
        let interval = cadence.interval.max(Duration::from_millis(1));
        let nominal = now + interval.mul_f64(self.place());
        self.push(Slot {
            interval,
            timeout: cadence.timeout,
            nominal,
            due: now,
            turn: Turn::First,
            under_way: None,
        });
    }

    /// Adds a target that is never probed.
    pub fn add_silent(&mut self, cadence: &Cadence) {
        let slot = Slot {
            interval: cadence.interval.max(Duration::from_millis(1)),
            timeout: cadence.timeout,
            nominal: Duration::MAX,
            due: Duration::MAX,
            turn: Turn::Grid,
            under_way: None,
        };
        self.slots.push(slot);
    }

    /// The next place in the interval: multiples of the golden ratio are evenly spread for any number
    /// of targets, also when more come later.
    fn place(&mut self) -> f64 {
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        self.placed += 1;
        ((self.placed & 0xffff_ffff) as f64 * GOLDEN).fract()
    }

    fn push(&mut self, slot: Slot) {
        let target = self.slots.len() as u32;
        self.waiting.insert((slot.due, target));
        self.slots.push(slot);
    }

    /// The schedule after a reload. `carried[new]` is the target's old number, if it had one, and how it
    /// is probed, if it is.
    pub fn succeed(
        self,
        under_way_max: usize,
        carried: impl Iterator<Item = (Option<usize>, Probed, Cadence)>,
        now: Duration,
    ) -> Schedule {
        let mut next = Schedule {
            slots: Vec::new(),
            waiting: BTreeSet::new(),
            under_way_max: under_way_max.max(1),
            ..self
        };
        for entry in next.under_way.values_mut() {
            entry.target = None;
        }
        for (new, (old, probed, cadence)) in carried.enumerate() {
            if probed == Probed::Never {
                next.add_silent(&cadence);
                continue;
            }
            match old.and_then(|old| self.slots.get(old)) {
                Some(slot) if slot.interval == cadence.interval => {
                    next.push(Slot { timeout: cadence.timeout, ..*slot });
                }
                Some(slot) => {
                    next.add(&cadence, now);
                    next.keep_history(new, slot);
                }
                None => next.add(&cadence, now),
            }
            let ticket = next.slots.get(new).and_then(|slot| slot.under_way);
            if let Some(entry) = ticket.and_then(|ticket| next.under_way.get_mut(&ticket)) {
                entry.target = Some(new as u32);
            }
        }
        next
    }

    /// A target whose interval has changed moves to its new place without a start out of turn.
    fn keep_history(&mut self, new: usize, old: &Slot) {
        let Some(slot) = self.slots.get_mut(new) else { return };
        self.waiting.remove(&(slot.due, new as u32));
        slot.under_way = old.under_way;
        (slot.turn, slot.due) = match old.turn {
            Turn::First => (Turn::First, old.due),
            Turn::Between | Turn::Grid => (Turn::Grid, slot.nominal),
        };
        self.waiting.insert((slot.due, new as u32));
    }

    /// Time until something is due; `None`: only an observation can change anything.
    pub fn timeout(&self, now: Duration) -> Option<Duration> {
        let lost = self.deadlines.first().map(|(at, _)| *at);
        let due = self.waiting.first().map(|(at, _)| *at);
        let next = match (due, lost) {
            (Some(due), Some(lost)) if self.under_way.len() < self.under_way_max => Some(due.min(lost)),
            (due, None) => due,
            (_, lost) => lost,
        };
        next.map(|at| at.saturating_sub(now))
    }

    /// Gives up orders that nobody answers any more; how many.
    pub fn lose(&mut self, now: Duration) -> u64 {
        let mut lost = 0;
        while let Some((at, ticket)) = self.deadlines.first().copied() {
            if at > now {
                break;
            }
            self.finish(ticket);
            lost += 1;
        }
        lost
    }

    /// The orders to give now, those who waited longest first.
    pub fn due(&mut self, now: Duration) -> Due {
        let mut due = Due::default();
        while self.under_way.len() < self.under_way_max {
            match self.waiting.first().copied() {
                Some((at, target)) if at <= now => self.start(target, now, &mut due),
                _ => break,
            }
        }
        due
    }

    fn start(&mut self, target: u32, now: Duration, due: &mut Due) {
        let Some(slot) = self.slots.get_mut(target as usize) else { return };
        self.waiting.remove(&(slot.due, target));
        if slot.under_way.is_some() {
            due.skipped += 1;
        } else {
            let ticket = Ticket(self.next_ticket);
            let lost_at = now + slot.timeout * LOST_TIMEOUTS + LOST_GRACE;
            self.next_ticket += 1;
            slot.under_way = Some(ticket);
            self.under_way.insert(ticket, UnderWay { target: Some(target), lost_at });
            self.deadlines.insert((lost_at, ticket));
            due.orders.push(ProbeOrder { target: TargetId(target), ticket });
        }
        due.skipped += slot.advance(now, &mut self.draws);
        self.waiting.insert((slot.due, target));
    }

    /// Takes an order off the list.
    pub fn finish(&mut self, ticket: Ticket) -> Finished {
        let Some(entry) = self.under_way.remove(&ticket) else { return Finished::Stray };
        self.deadlines.remove(&(entry.lost_at, ticket));
        let Some(target) = entry.target else { return Finished::Gone };
        if let Some(slot) = self.slots.get_mut(target as usize) {
            slot.under_way = None;
        }
        Finished::Target(TargetId(target))
    }

    /// Orders under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }
}

impl Slot {
    /// Moves on to the next start; how many grid points were passed over on the way.
    fn advance(&mut self, now: Duration, draws: &mut Draws) -> u64 {
        let jitter = self.interval.mul_f64(JITTER_SHARE);
        let turn = std::mem::replace(&mut self.turn, Turn::Grid);
        let skipped = match turn {
            Turn::First => {
                // The second start waits until the first probe must have ended.
                let busy = self.timeout.min(self.interval) + jitter;
                self.nominal += self.interval.saturating_mul(self.passed(now + busy));
                let wait = self.nominal.saturating_sub(now);
                if wait > self.interval {
                    self.turn = Turn::Between;
                    self.due = now + busy.max(wait / 2);
                    return 0;
                }
                0
            }
            // The grid point ahead is still to be served.
            Turn::Between if now < self.nominal => 0,
            Turn::Between | Turn::Grid => {
                let steps = self.passed(now).max(1);
                self.nominal += self.interval.saturating_mul(steps);
                steps - 1
            }
        };
        // Never in the past, or this start would be due again at once.
        self.due = draws.around(self.nominal, jitter).max(now + jitter);
        u64::from(skipped)
    }

    /// How many grid points from the nominal one on are not later than `at`.
    fn passed(&self, at: Duration) -> u32 {
        let Some(since) = at.checked_sub(self.nominal) else { return 0 };
        let intervals = since.as_nanos() / self.interval.as_nanos().max(1);
        u32::try_from(intervals + 1).unwrap_or(u32::MAX)
    }
}
