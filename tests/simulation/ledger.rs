//! What the board should think of each target, kept by other code from the same outcomes (H2, H13).

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use meridian::health::{Cadence, Check, TargetAddress, TargetSpec, Verdict};

use crate::checks::{Checker, Violation};

/// The most successes in a row that H2 asks for.
const NEEDED_MAX: u32 = 32;

/// What makes a target the same target after a reload: address and port, as no two checks share a port.
pub type Key = (IpAddr, u16);

/// The key of a target.
pub fn key(spec: &TargetSpec) -> Option<Key> {
    let TargetAddress::Address(address) = spec.address else { return None };
    let port = match &spec.check {
        Check::Tcp(check) => check.port,
        Check::Http(check) => check.port,
        // Kinds that these worlds do not draw.
        _ => return None,
    };
    Some((address, port))
}

/// All targets.
#[derive(Default)]
pub struct Ledger(pub BTreeMap<Key, Account>);

/// One target's account.
#[derive(Clone, Debug)]
pub struct Account {
    pub cadence: Cadence,
    pub verdict: Verdict,
    /// Failures counted while up.
    pub failures: u32,
    /// As of the last publication.
    pub published_failures: u32,
    successes_in_row: u32,
    failures_in_row: u32,
    /// When verdicts changed, as far back as the window of the bound on oscillation.
    changes: VecDeque<Duration>,
    /// How many changes of verdict there were.
    pub changes_total: u64,
    /// Since when the board watches it.
    pub known_since: Duration,
    /// What kept outcomes from the board: until when, and by how much that may delay a verdict.
    pub delays: VecDeque<(Duration, Duration)>,
}

impl Account {
    fn new(cadence: Cadence, now: Duration) -> Account {
        Account {
            cadence,
            verdict: Verdict::Unknown,
            failures: 0,
            published_failures: 0,
            successes_in_row: 0,
            failures_in_row: 0,
            changes: VecDeque::new(),
            changes_total: 0,
            known_since: now,
            delays: VecDeque::new(),
        }
    }

    fn delay(&mut self, now: Duration, by: Duration) {
        self.delays.push_back((now + by, by + self.cadence.interval.mul_f64(1.2)));
    }

    fn took(&mut self, well: bool) {
        if well {
            self.successes_in_row += 1;
            self.failures_in_row = 0;
            if self.successes_in_row >= u32::from(self.cadence.ok) {
                self.failures = 0;
            }
        } else {
            self.failures_in_row += 1;
            self.successes_in_row = 0;
            self.failures += 1;
        }
    }

    /// Whether the verdict is one that the outcomes allow.
    fn judge(&self) -> Result<(), String> {
        let (fall, rise) = (u32::from(self.cadence.fall), u32::from(self.cadence.rise));
        match self.verdict {
            Verdict::Up if self.failures >= fall => {
                Err(format!("{} failures counted, {fall} are enough, and it is UP", self.failures))
            }
            Verdict::Down if self.successes_in_row >= NEEDED_MAX.max(rise) => {
                Err(format!("{} successes in a row and still DOWN", self.successes_in_row))
            }
            _ => Ok(()),
        }
    }

    /// H2: the most changes of verdict within one relapse window. Each relapse doubles the successes
    /// that the next recovery needs, so cycles grow until there are few.
    fn changes_max(&self) -> usize {
        // Starts are never closer than a tenth of the interval less on either side.
        let interval = self.cadence.interval.as_secs_f64() * 0.8;
        let (fall, rise) = (f64::from(self.cadence.fall), f64::from(self.cadence.rise));
        let window = self.cadence.relapse_window.as_secs_f64();
        let (mut spent, mut cycles, mut needed) = (0.0, 1, rise);
        while spent < window {
            spent += (fall + needed) * interval;
            needed = (needed * 2.0).min(f64::from(NEEDED_MAX).max(rise));
            cycles += 1;
        }
        2 * cycles + 1
    }
}

impl Ledger {
    /// A start: nothing is remembered.
    pub fn forget(&mut self, now: Duration) {
        for own in self.0.values_mut() {
            *own = Account { changes_total: own.changes_total, ..Account::new(own.cadence, now) };
        }
    }

    /// One target is not known any more.
    pub fn forget_one(&mut self, key: Key, now: Duration) {
        if let Some(own) = self.0.get_mut(&key) {
            *own = Account { changes_total: own.changes_total, ..Account::new(own.cadence, now) };
        }
    }

    /// The targets from now on: those known keep their account.
    pub fn retarget<'t>(&mut self, targets: impl Iterator<Item = &'t TargetSpec>, now: Duration) {
        let mut before = std::mem::take(&mut self.0);
        for spec in targets {
            let Some(key) = key(spec) else { continue };
            let own = before.remove(&key);
            self.0.insert(key, own.unwrap_or_else(|| Account::new(spec.cadence, now)));
        }
    }

    /// An outcome that the board took in.
    pub fn observed(&mut self, key: Key, well: bool) {
        if let Some(own) = self.0.get_mut(&key) {
            own.took(well);
        }
    }

    /// A change of verdict that the board told.
    pub fn changed(&mut self, key: Key, from: Verdict, to: Verdict, now: Duration) -> Result<(), Violation> {
        let Some(own) = self.0.get_mut(&key) else { return Ok(()) };
        let wrong = |text: String| Err(Violation::new(Checker::Verdict, format!("{}: {text}", key.0)));
        if own.verdict != from || from == to {
            return wrong(format!("{from:?} -> {to:?} was told of one that is {:?}", own.verdict));
        }
        own.verdict = to;
        let (fall, rise) = (u32::from(own.cadence.fall), u32::from(own.cadence.rise));
        match (from, to) {
            (Verdict::Up, Verdict::Down) if own.failures < fall => {
                return wrong(format!("DOWN after {} failures of {fall}", own.failures));
            }
            (Verdict::Unknown, Verdict::Down) if own.failures_in_row == 0 => {
                return wrong("DOWN at first though its probe was well".into());
            }
            (Verdict::Down, Verdict::Up) if own.successes_in_row < rise => {
                return wrong(format!("UP after {} successes of {rise}", own.successes_in_row));
            }
            (Verdict::Unknown, Verdict::Up) if own.successes_in_row == 0 => {
                return wrong("UP at first though its probe failed".into());
            }
            _ => {}
        }
        if to != Verdict::Down {
            own.failures = 0;
        }
        own.changes_total += 1;
        own.changes.push_back(now);
        let window = own.cadence.relapse_window;
        while own.changes.front().is_some_and(|at| now - *at > window) {
            own.changes.pop_front();
        }
        if own.changes.len() > own.changes_max() {
            let text = format!("{}: {} changes of verdict within {window:?}", key.0, own.changes.len());
            return Err(Violation::new(Checker::Oscillation, text));
        }
        Ok(())
    }

    /// Whether the verdict of a target is one that its outcomes allow; for when all that it told is in.
    pub fn judge(&self, key: Key) -> Result<(), Violation> {
        match self.0.get(&key).map(Account::judge) {
            Some(Err(text)) => Err(Violation::new(Checker::Verdict, format!("{}: {text}", key.0))),
            _ => Ok(()),
        }
    }

    /// A view was published.
    pub fn published(&mut self) {
        for own in self.0.values_mut() {
            own.published_failures = if own.verdict == Verdict::Up { own.failures } else { 0 };
        }
    }

    /// Everything was held up for so long.
    pub fn delay_all(&mut self, now: Duration, by: Duration) {
        for own in self.0.values_mut() {
            own.delay(now, by);
        }
    }

    /// The board will not hear of a probe, or late.
    pub fn delay(&mut self, key: Key, now: Duration, by: Duration) {
        if let Some(own) = self.0.get_mut(&key) {
            own.delay(now, by);
        }
    }
}
