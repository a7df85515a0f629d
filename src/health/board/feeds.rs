//! What load feeds come to (H12): evidence for passive checks, shares and weights.

use std::time::Duration;

use crate::health::load::{LoadStatus, Loads};
use crate::health::passive::{Evidence, Passive};
use crate::health::{BoardSpec, Cadence, Failure, LoadCheck, Observation, Share, Timings};
use crate::ids::{EndpointId, TargetId};

/// Everything that is read of loads.
#[derive(Clone, Debug)]
pub struct Feeds {
    loads: Loads,
    /// By target; those that are no feeds stay empty.
    passives: Vec<Passive>,
}

impl Feeds {
    /// Nothing read yet.
    pub fn new(spec: &BoardSpec) -> Feeds {
        Feeds {
            loads: Loads::new(spec.loads.to_vec()),
            passives: vec![Passive::default(); spec.targets.len()],
        }
    }

    /// After a reload: endpoints go on by name, counters by target (`old` gives their former numbers).
    pub fn succeed(
        &mut self,
        spec: &BoardSpec,
        before: &BoardSpec,
        old: &[Option<usize>],
        now: Duration,
    ) -> Feeds {
        let former = |endpoint: EndpointId| {
            let name = &spec.endpoints.get(endpoint.index())?.name;
            let at = before.endpoints.iter().position(|own| own.name == *name)?;
            Some(EndpointId(at as u32))
        };
        let passive = |old: &Option<usize>| old.and_then(|old| self.passives.get(old).copied());
        let passives = old.iter().map(|old| passive(old).unwrap_or_default()).collect();
        Feeds { loads: std::mem::take(&mut self.loads).succeed(spec.loads.to_vec(), now, former), passives }
    }

    /// Takes in what was read. What it says of the target's verdict: nothing, where the page is missing
    /// (H13) or too little was counted.
    pub fn take(
        &mut self,
        target: TargetId,
        check: &LoadCheck,
        cadence: &Cadence,
        observation: &Observation,
        now: Duration,
    ) -> Option<Result<Timings, Failure>> {
        let (timings, reading) = (observation.outcome.ok()?, observation.reading?);
        self.loads.observe(target, reading.current, now);
        let Some(allowed) = check.errors_permille_max else { return Some(Ok(timings)) };
        let passive = self.passives.get_mut(target.index())?;
        match passive.take(reading, allowed, cadence.interval, now) {
            Evidence::None => None,
            Evidence::Well => Some(Ok(timings)),
            Evidence::Errors(permille) => Some(Err(Failure::Errors(permille))),
        }
    }

    /// How long until shares and weights are to be decided anew.
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        self.loads.poll_timeout(now)
    }

    /// Decides them. Whether any has changed.
    pub fn poll(&mut self, now: Duration) -> bool {
        self.loads.poll(now)
    }

    /// Tells whether clients are sent to an endpoint at all.
    pub fn set_eligible(&mut self, endpoint: EndpointId, eligible: bool) {
        self.loads.set_eligible(endpoint, eligible);
    }

    /// What an endpoint keeps of its clients.
    pub fn share(&self, endpoint: EndpointId) -> Share {
        self.loads.share(endpoint)
    }

    /// What it weighs under `least-loaded`.
    pub fn load_weight(&self, endpoint: EndpointId) -> u16 {
        self.loads.load_weight(endpoint)
    }

    /// All about its load.
    pub fn status(&self, endpoint: EndpointId, now: Duration) -> Option<LoadStatus> {
        self.loads.status(endpoint, now)
    }
}
