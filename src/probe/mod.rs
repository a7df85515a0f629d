//! The edge that probes: orders in, observations out.

mod addresses;
mod allowed;
mod authority;
mod body;
mod cause;
mod dns;
pub mod exec;
mod feed;
mod grpc;
mod http;
mod http2;
mod stopwatch;
mod tcp;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use self::addresses::{Addresses, Lookups};
use self::dns::DnsProbe;
use self::exec::{Commands, ExecProbe};
use self::grpc::GrpcProbe;
use self::http::HttpProbe;
use self::stopwatch::Stopwatch;
use self::tcp::TcpProbe;
use self::trust::Trust;
use crate::health::{Check, Failure, NotRun, Observation, ProbeOrder, TargetAddress, TargetSpec};
use crate::ids::TargetId;

/// How much longer than its command an exec probe may take: the helper's answer has to come back.
const HELPER_GRACE: Duration = Duration::from_millis(500);

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
    commands: Option<Commands>,
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
    /// A prober without targets. Without `commands` exec checks cannot be run.
    pub fn new(
        limits: ProbeLimits,
        commands: Option<Commands>,
        observations: mpsc::Sender<Observation>,
    ) -> Prober {
        Prober {
            targets: Vec::new(),
            lookups: Lookups::new(limits.allow_loopback),
            places: Arc::new(Semaphore::new(limits.concurrency_max.clamp(1, Semaphore::MAX_PERMITS))),
            commands,
            observations,
        }
    }

    /// The same with other limits, and without targets. Probes under way still count for the old ones.
    pub fn limited(&self, limits: ProbeLimits) -> Prober {
        Prober::new(limits, self.commands.clone(), self.observations.clone())
    }

    /// Takes over the board's targets and reads the trusted certificates that their checks name. Probes
    /// under way end as they began. Tells which targets cannot be probed; every order for these is
    /// answered with the reason.
    pub fn retarget(&mut self, targets: &[TargetSpec]) -> Vec<Unprobed> {
        let mut trust = Trust::new();
        let target = |spec| Arc::new(self.target(spec, &mut trust));
        self.targets = targets.iter().map(target).collect();
        let reasons = self.targets.iter().map(|target| target.probe.as_ref().err());
        reasons
            .enumerate()
            .filter_map(|(index, reason)| Some(Unprobed { target: TargetId(index as u32), reason: *reason? }))
            .filter(|unprobed| unprobed.reason != NotRun::Posted)
            .collect()
    }

    /// Starts a probe. One observation follows for each order. Needs a tokio runtime.
    pub fn start(&self, order: ProbeOrder) {
        let target = self.targets.get(order.target.index()).cloned();
        let (places, observations) = (self.places.clone(), self.observations.clone());
        tokio::spawn(async move {
            let place = places.acquire().await;
            let observation = match target {
                Some(target) => target.probe(order).await,
                None => Observation::local(order, Err(Failure::NotRun(NotRun::NoTarget))),
            };
            drop(place);
            // Nobody listens any more when the process ends.
            let _ = observations.send(observation).await;
        });
    }

    fn target(&self, spec: &TargetSpec, trust: &mut Trust) -> Target {
        let addresses = Addresses {
            target: spec.address.clone(),
            port: spec.check.port().unwrap_or(0),
            timeout: spec.cadence.timeout,
            lookups: self.lookups.clone(),
        };
        let timeout = spec.cadence.timeout;
        let grace = if matches!(spec.check, Check::Exec(_)) { HELPER_GRACE } else { Duration::ZERO };
        Target { probe: self.probe(spec, addresses, trust), timeout: timeout.saturating_add(grace) }
    }

    fn probe(&self, spec: &TargetSpec, addresses: Addresses, trust: &mut Trust) -> Result<Probe, NotRun> {
        if matches!(spec.address, TargetAddress::Address(address) if !self.lookups.allow(address)) {
            return Err(NotRun::AddressRefused);
        }
        Ok(match &spec.check {
            Check::Http(check) => Probe::Http(Box::new(HttpProbe::new(check, addresses, trust)?)),
            Check::Load(check) => Probe::Http(Box::new(HttpProbe::feed(check, addresses, trust)?)),
            Check::Tcp(check) => Probe::Tcp(TcpProbe::new(check, addresses)),
            Check::Grpc(check) => Probe::Grpc(Box::new(GrpcProbe::new(check, addresses, trust)?)),
            Check::Dns(check) => Probe::Dns(DnsProbe::new(check, addresses)?),
            Check::Exec(check) => {
                let (timeout, commands) = (spec.cadence.timeout, self.commands.clone());
                Probe::Exec(ExecProbe::new(check, &spec.address, &spec.label, timeout, commands))
            }
            Check::Resolve => Probe::Resolve(addresses),
            Check::Push { .. } => return Err(NotRun::Posted),
        })
    }
}

/// A target with all that a probe of it needs.
#[derive(Debug)]
struct Target {
    probe: Result<Probe, NotRun>,
    timeout: Duration,
}

#[derive(Debug)]
enum Probe {
    Http(Box<HttpProbe>),
    Tcp(TcpProbe),
    Grpc(Box<GrpcProbe>),
    Dns(DnsProbe),
    Exec(ExecProbe),
    Resolve(Addresses),
}

impl Target {
    async fn probe(&self, order: ProbeOrder) -> Observation {
        let stopwatch = Stopwatch::start();
        let outcome = match &self.probe {
            Ok(probe) => match tokio::time::timeout(self.timeout, probe.run(&stopwatch)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(stopwatch.phase().timeout()),
            },
            Err(reason) => Err(Failure::NotRun(*reason)),
        };
        Observation {
            certificate_until: stopwatch.certificate_until(),
            reading: stopwatch.reading(),
            resolved: stopwatch.resolved(),
            ..Observation::local(order, outcome.map(|()| stopwatch.timings()))
        }
    }
}

impl Probe {
    async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        match self {
            Probe::Http(probe) => probe.run(stopwatch).await,
            Probe::Tcp(probe) => probe.run(stopwatch).await,
            Probe::Grpc(probe) => probe.run(stopwatch).await,
            Probe::Dns(probe) => probe.run(stopwatch).await,
            Probe::Exec(probe) => probe.run(stopwatch).await,
            Probe::Resolve(addresses) => {
                let found = addresses.find().await?;
                stopwatch.found(found.iter().map(|address| address.ip()).collect());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod kinds_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;
