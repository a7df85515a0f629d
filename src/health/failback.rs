//! How what was down comes back: not at once, and perhaps not by itself (H10).

use std::collections::BTreeMap;
use std::time::Duration;

use super::steps::Steps;
use super::{Share, ShareCause, Verdict};
use crate::ids::AddressId;

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

/// Where an address is on its way back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Down: its next rise is a recovery.
    Fallen,
    /// Well again, and given nobody yet.
    Hold {
        /// Until when.
        until: Duration,
        /// Whether an operator is waited for then.
        then: FailbackMode,
    },
    /// Well again, and an operator has to say so.
    Manual,
    /// Given more and more.
    Ramp {
        /// Until when.
        until: Duration,
        /// How long it takes in all.
        over: Duration,
    },
    /// Given everybody.
    Full,
}

/// The ways of all addresses that are on one.
#[derive(Clone, Debug, Default)]
pub struct Failback {
    stages: BTreeMap<AddressId, Stage>,
    /// Those who have come to the end of their way since the last look at shares.
    arrived: Vec<AddressId>,
}

impl Failback {
    /// Takes in a change of verdict; what stage follows, if there is a way back.
    pub fn turn(
        &mut self,
        address: AddressId,
        spec: FailbackSpec,
        to: Verdict,
        now: Duration,
    ) -> Option<Stage> {
        match to {
            Verdict::Down => {
                self.stages.insert(address, Stage::Fallen);
                None
            }
            // Where nothing is configured, nothing is told.
            Verdict::Up if spec == FailbackSpec::NONE => {
                self.enter(address, Stage::Full);
                None
            }
            Verdict::Up if self.stages.get(&address) == Some(&Stage::Fallen) => {
                self.enter(address, begun(spec, spec.mode, now))
            }
            // Missing data is no fall, and a first verdict no recovery.
            Verdict::Up | Verdict::Unknown => None,
        }
    }

    /// An operator's word has ended that kept a well address out, which lets in `let_in` of a thousand
    /// clients so far. That it ends is the operator's word too, so nobody is waited for.
    pub fn let_go(
        &mut self,
        address: AddressId,
        spec: FailbackSpec,
        let_in: u16,
        now: Duration,
    ) -> Option<Stage> {
        if self.stages.get(&address) == Some(&Stage::Fallen) || spec == FailbackSpec::NONE {
            return None;
        }
        if let_in == 0 {
            return self.enter(address, begun(spec, FailbackMode::Auto, now));
        }
        let left = Steps::of(spec.ramp).left_from(let_in).min(spec.ramp);
        let ramp = Stage::Ramp { until: now + left, over: spec.ramp };
        self.enter(address, if spec.ramp.is_zero() { Stage::Full } else { ramp })
    }

    /// An operator lets those back that hold or wait. Who did.
    pub fn approve(
        &mut self,
        addresses: impl Iterator<Item = (AddressId, FailbackSpec)>,
        now: Duration,
    ) -> Vec<(AddressId, Stage)> {
        let mut approved = Vec::new();
        for (address, spec) in addresses {
            if matches!(self.stages.get(&address), Some(Stage::Hold { .. } | Stage::Manual)) {
                let stage = ramp(spec, now);
                self.enter(address, stage);
                approved.push((address, stage));
            }
        }
        approved
    }

    /// Goes on where time has come. Who went where.
    pub fn tick(
        &mut self,
        spec: impl Fn(AddressId) -> FailbackSpec,
        now: Duration,
    ) -> Vec<(AddressId, Stage)> {
        let over = self.stages.iter().filter_map(|(address, stage)| match stage {
            Stage::Hold { until, then: FailbackMode::Manual } if *until <= now => {
                Some((*address, Stage::Manual))
            }
            Stage::Hold { until, .. } if *until <= now => Some((*address, ramp(spec(*address), now))),
            Stage::Ramp { until, .. } if *until <= now => Some((*address, Stage::Full)),
            _ => None,
        });
        let over: Vec<_> = over.collect();
        over.iter().for_each(|(address, stage)| {
            self.enter(*address, *stage);
        });
        over
    }

    /// When one of them goes on.
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        self.stages.values().filter_map(|stage| stage.share(now).step_at).min()
    }

    /// What everybody on a way is given now; those who have arrived are named once more.
    pub fn poll_shares(&mut self, now: Duration) -> Vec<(AddressId, Share)> {
        let arrived = self.arrived.drain(..).map(|address| (address, Share::FULL));
        let mut shares: Vec<_> = arrived.collect();
        shares.extend(self.stages.iter().map(|(address, stage)| (*address, stage.share(now))));
        shares
    }

    /// Where it is; `Full` unless it is on a way.
    pub fn stage(&self, address: AddressId) -> Stage {
        self.stages.get(&address).copied().unwrap_or(Stage::Full)
    }

    /// Puts an address where it was in an earlier life.
    pub fn put(&mut self, address: AddressId, stage: Stage) {
        self.enter(address, stage);
    }

    fn enter(&mut self, address: AddressId, stage: Stage) -> Option<Stage> {
        if stage == Stage::Full {
            self.stages.remove(&address)?;
            self.arrived.push(address);
        } else {
            self.stages.insert(address, stage);
        }
        Some(stage)
    }
}

fn begun(spec: FailbackSpec, mode: FailbackMode, now: Duration) -> Stage {
    match mode {
        _ if !spec.hold.is_zero() => Stage::Hold { until: now + spec.hold, then: mode },
        FailbackMode::Manual => Stage::Manual,
        FailbackMode::Auto => ramp(spec, now),
    }
}

fn ramp(spec: FailbackSpec, now: Duration) -> Stage {
    if spec.ramp.is_zero() {
        return Stage::Full;
    }
    Stage::Ramp { until: now + spec.ramp, over: spec.ramp }
}

impl Stage {
    fn share(self, now: Duration) -> Share {
        match self {
            // Who is down is no matter of shares: a last resort chooses among all.
            Stage::Fallen | Stage::Full => Share::FULL,
            Stage::Hold { until, .. } => Share { permille: 0, why: ShareCause::Hold, step_at: Some(until) },
            Stage::Manual => Share { permille: 0, why: ShareCause::Manual, step_at: None },
            Stage::Ramp { until, over } => {
                let step = Steps::of(over).towards(until, now);
                Share { permille: step.permille, why: ShareCause::Ramp, step_at: Some(step.next_at) }
            }
        }
    }
}
