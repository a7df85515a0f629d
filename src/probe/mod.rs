//! The edge that probes: orders in, observations out.

mod addresses;
mod allowed;
mod cause;
mod http;
mod stopwatch;
mod tcp;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use self::addresses::{Addresses, Lookups};
use self::http::HttpProbe;
use self::stopwatch::Stopwatch;
use self::tcp::TcpProbe;
use self::trust::Trust;
use crate::health::{Check, Failure, NotRun, Observation, ProbeOrder, TargetAddress, TargetSpec, Timings};
use crate::ids::TargetId;

/// What bounds the prober.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeLimits {
    /// Probes under way at once.
    pub concurrency_max: usize,
    /// Whether loopback addresses may be probed. Link-local and metadata addresses never are.
    pub allow_loopback: bool,
}

/// Runs probes as tasks of the runtime it is used in, and sends what they saw.
#[derive(Debug)]
pub struct Prober {
    targets: Vec<Arc<Target>>,
    lookups: Lookups,
    places: Arc<Semaphore>,
    observations: mpsc::Sender<Observation>,
}

/// A target that cannot be probed as it is configured: it stays unknown, and eligible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unprobed {
    /// Which.
    pub target: TargetId,
    /// Why.
    pub reason: NotRun,
}

impl Prober {
    /// A prober without targets.
    pub fn new(limits: ProbeLimits, observations: mpsc::Sender<Observation>) -> Prober {
        Prober {
            targets: Vec::new(),
            lookups: Lookups::new(limits.allow_loopback),
            places: Arc::new(Semaphore::new(limits.concurrency_max.clamp(1, Semaphore::MAX_PERMITS))),
            observations,
        }
    }

    /// Takes over the board's targets and reads the trusted certificates that their checks name. Probes
    /// under way end as they began. Tells which targets cannot be probed; every order for these is
    /// answered with the reason.
    pub fn retarget(&mut self, targets: &[TargetSpec]) -> Vec<Unprobed> {
        let mut trust = Trust::new();
        let target = |spec| Arc::new(Target::new(spec, &self.lookups, &mut trust));
        self.targets = targets.iter().map(target).collect();
        let reasons = self.targets.iter().map(|target| target.probe.as_ref().err());
        reasons
            .enumerate()
            .filter_map(|(index, reason)| Some(Unprobed { target: TargetId(index as u32), reason: *reason? }))
            .collect()
    }

    /// Starts a probe. One observation follows for each order. Needs a tokio runtime.
    pub fn start(&self, order: ProbeOrder) {
        let target = self.targets.get(order.target.index()).cloned();
        let (places, observations) = (self.places.clone(), self.observations.clone());
        tokio::spawn(async move {
            let _place = places.acquire().await;
            let outcome = match target {
                Some(target) => target.probe().await,
                None => Err(Failure::NotRun(NotRun::NoTarget)),
            };
            // Nobody listens any more when the process ends.
            let _ = observations.send(Observation::local(order, outcome)).await;
        });
    }
}

/// A target with all that a probe of it needs.
#[derive(Debug)]
struct Target {
    probe: Result<Probe, NotRun>,
    timeout: Duration,
    stopwatch: Arc<Stopwatch>,
}

#[derive(Debug)]
enum Probe {
    Http(Box<HttpProbe>),
    Tcp(TcpProbe),
}

impl Target {
    fn new(spec: &TargetSpec, lookups: &Lookups, trust: &mut Trust) -> Target {
        let stopwatch = Arc::new(Stopwatch::new());
        let port = spec.check.port().unwrap_or(0);
        let refused = matches!(spec.address, TargetAddress::Address(address) if !lookups.allow(address));
        let addresses = Addresses {
            target: spec.address.clone(),
            port,
            lookups: lookups.clone(),
            stopwatch: stopwatch.clone(),
        };
        let probe = match &spec.check {
            _ if refused => Err(NotRun::AddressRefused),
            Check::Http(check) => {
                HttpProbe::new(check, addresses, trust).map(|probe| Probe::Http(Box::new(probe)))
            }
            Check::Tcp(_) => Ok(Probe::Tcp(TcpProbe::new(addresses))),
            Check::Grpc(_) | Check::Dns(_) | Check::Exec(_) | Check::Push { .. } => Err(NotRun::BadRequest),
        };
        Target { probe, timeout: spec.cadence.timeout, stopwatch }
    }

    async fn probe(&self) -> Result<Timings, Failure> {
        let probe = self.probe.as_ref().map_err(|reason| Failure::NotRun(*reason))?;
        self.stopwatch.start();
        let run = async {
            match probe {
                Probe::Http(probe) => probe.run().await,
                Probe::Tcp(probe) => probe.run().await,
            }
        };
        let outcome = tokio::time::timeout(self.timeout, run).await;
        outcome.unwrap_or_else(|_| Err(self.stopwatch.phase().timeout()))
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
