//! The supervisor's account of itself, made when asked.

use super::command::{
    AddressStatus, CheckStatus, EndpointStatus, LoadFigures, Phase, ProbeCounts, RegionStatus, ReloadCounts,
    SecondaryStatus, ServiceStatus, ShareStatus, Status, ZoneStatus,
};
use super::operated::OverrideStatus;
use super::signing::SignedStatus;
use crate::config::Config;
use crate::health::feed::Amount;
use crate::health::load::LoadStatus;
use crate::health::{Board, Forced, Share, ShareCause, Verdict, Vote};
use crate::ids::{AddressId, EndpointId, RegionId, ServiceId, TargetId, ZoneId};
use crate::now::Now;
use crate::secondary::Soa;
use crate::steer::{Endpoint, Mode};
use crate::telemetry::Telemetry;
use crate::view::{Snapshot, View};
use crate::wire::Rtype;
use crate::zone::{Validity, Zone};
use std::collections::HashMap;

/// What the account is made from, besides the view and the board.
pub struct Facts<'a> {
    /// Where the process is in its life.
    pub phase: Phase,
    /// When the view in force was published.
    pub published: Now,
    /// The addresses that are served.
    pub listen: &'a [std::net::SocketAddr],
    /// Reloads so far.
    pub reloads: ReloadCounts,
    /// Changes of health so far.
    pub transitions: u64,
    /// What publishing takes.
    pub delay: std::time::Duration,
    /// The zones that are signed here.
    pub signed: Vec<SignedStatus>,
}

/// Writes the account.
pub fn status(view: &View, board: &Board, telemetry: &Telemetry, now: Now, facts: &Facts<'_>) -> Status {
    let snapshot = &*view.snapshot;
    let endpoints = endpoints(view, board, telemetry, now);
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        phase: facts.phase,
        generation: snapshot.generation,
        published_s: facts.published.wall.as_secs_f64(),
        listen: facts.listen.iter().map(ToString::to_string).collect(),
        classes: snapshot.catalog.classes().names().map(str::to_owned).collect(),
        regions: regions(snapshot, &endpoints),
        services: services(view),
        signed: facts.signed.clone(),
        overrides: board
            .overrides()
            .iter()
            .map(|own| OverrideStatus::new(own, snapshot, now, facts.delay))
            .collect(),
        endpoints,
        probes: probes(board),
        reloads: facts.reloads,
        transitions: facts.transitions,
        attributions: snapshot.attributions.iter().map(ToString::to_string).collect(),
    }
}

/// Every zone, in the order of the configuration.
pub fn zones(
    config: &Config,
    view: &View,
    secondaries: &HashMap<ZoneId, SecondaryStatus>,
) -> Vec<ZoneStatus> {
    let own =
        config.classes.iter().flat_map(|class| class.zones.iter().map(|zone| (Some(&class.name), zone)));
    let written = config.zones.iter().map(|zone| (None, zone)).chain(own);
    let catalog = &view.snapshot.catalog;
    let each = (0u32..).map(ZoneId).zip(written).zip(catalog.zones());
    each.map(|((id, (class, written)), zone)| {
        let validity = catalog.validity(id);
        ZoneStatus {
            name: match class {
                Some(class) => format!("{class}@{}", written.origin),
                None => written.origin.clone(),
            },
            kind: if written.secondary.is_some() { "secondary" } else { "file" }.to_owned(),
            state: match validity {
                Validity::Current => "current",
                Validity::Expired => "expired",
                Validity::Missing => "missing",
            }
            .to_owned(),
            serial: serial(view, id, zone).filter(|_| validity != Validity::Missing),
            names: zone.nodes(),
            secondary: secondaries.get(&id).cloned(),
        }
    })
    .collect()
}

/// The serial that clients and secondaries see: a zone signed here has one of its own.
fn serial(view: &View, id: ZoneId, zone: &Zone) -> Option<u32> {
    let signed = view.signed(id).and_then(|signed| signed.apex(Rtype::SOA)).map(|soa| soa.rdata);
    let rdata = signed.or_else(|| zone.soa().map(|soa| soa.rdata()));
    rdata?.next().and_then(Soa::from_rdata).map(|soa| soa.serial)
}

fn regions(snapshot: &Snapshot, endpoints: &[EndpointStatus]) -> Vec<RegionStatus> {
    let mut regions = Vec::new();
    for (index, name) in snapshot.fleet.regions.iter().enumerate() {
        let own = || endpoints.iter().filter(|endpoint| endpoint.region == **name);
        let eligible = |endpoint: &&EndpointStatus| {
            endpoint.forced.as_deref().is_none_or(|forced| forced == "up")
                && endpoint.addresses.iter().any(|address| address.state != "down")
        };
        let coordinates = snapshot.regions.get(index).copied().flatten();
        regions.push(RegionStatus {
            name: name.to_string(),
            at: coordinates.map(|at| (at.latitude(), at.longitude())),
            endpoints: own().count(),
            eligible: own().filter(eligible).count(),
        });
    }
    regions
}

fn endpoints(view: &View, board: &Board, telemetry: &Telemetry, now: Now) -> Vec<EndpointStatus> {
    let identities = telemetry.identities();
    let mut answers = std::collections::HashMap::<&str, u64>::new();
    for (number, identity) in identities.iter().enumerate() {
        let counter = crate::ids::CounterId(number as u32);
        *answers.entry(&identity.endpoint).or_default() += telemetry.answers(counter);
    }
    let snapshot = &*view.snapshot;
    let all = snapshot.fleet.endpoints.iter().enumerate();
    let id = |index: usize| EndpointId(index as u32);
    all.map(|(index, endpoint)| EndpointStatus {
        name: endpoint.name.to_string(),
        region: region_name(snapshot, endpoint.region),
        weight: endpoint.weight,
        monitor: endpoint
            .monitor
            .and_then(|monitor| snapshot.monitors.get(monitor.index()))
            .map(ToString::to_string),
        forced: forced(view.health.forced(id(index))),
        forced_by: board.word(id(index)).by.map(|by| by.0),
        share: share(view.health.endpoint(id(index)).share),
        answers: answers.get(&*endpoint.name).copied().unwrap_or(0),
        addresses: addresses(endpoint, view, board, now),
        load: board.load(EndpointId(index as u32), now).map(load),
    })
    .collect()
}

fn addresses(endpoint: &Endpoint, view: &View, board: &Board, now: Now) -> Vec<AddressStatus> {
    let own = endpoint.addresses.iter().map(|own| (own.address.to_string(), own.id));
    let alias = endpoint.alias.iter().map(|(name, id)| (crate::wire::name_text(name), *id));
    own.chain(alias).map(|(address, id)| address_status(address, id, view, board, now)).collect()
}

/// The state is the published one, the one that answers follow; the rest is the board's latest.
fn address_status(address: String, id: AddressId, view: &View, board: &Board, now: Now) -> AddressStatus {
    let checks = view.snapshot.board.addresses.get(id.index()).map(|own| &own.checks);
    let status =
        checks.and_then(|checks| checks.targets().next()).and_then(|target| board.status(target, now));
    let latency = status.as_ref().and_then(|status| status.latency);
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    AddressStatus {
        address,
        state: match view.health.address(id).verdict {
            _ if checks.is_none_or(|checks| checks.votes.is_empty()) => "unmonitored",
            Verdict::Up => "up",
            Verdict::Down => "down",
            Verdict::Unknown => "unknown",
        }
        .to_owned(),
        share: share(view.health.address(id).share),
        frozen_for: frozen_for(view, id),
        stale: status.as_ref().is_some_and(|status| status.stale),
        failures: status.as_ref().map_or(0, |status| status.failures),
        successes_needed: status.as_ref().map_or(0, |status| status.successes_needed),
        last_failure: status.as_ref().and_then(|status| status.last_failure).map(|why| why.to_string()),
        age_s: status.as_ref().and_then(|status| status.age).map(|age| age.as_secs_f64()),
        connect_ms: latency.map(|latency| milliseconds(latency.connect)),
        first_byte_ms: latency.and_then(|latency| latency.first_byte).map(milliseconds),
        checks: checks_of(id, view, board, now),
    }
}

fn checks_of(id: AddressId, view: &View, board: &Board, now: Now) -> Vec<CheckStatus> {
    let Some(own) = view.snapshot.board.addresses.get(id.index()) else { return Vec::new() };
    let part = |vote: &Vote| if vote.inverted { "inverted" } else { "votes" };
    let voting = own.checks.votes.iter().map(|vote| (vote.target, part(vote)));
    let watched = own.watched.iter().map(|target| (*target, "watched"));
    let all = voting.chain(watched);
    all.filter_map(|(target, part)| check_status(target, part, view, board, now)).collect()
}

fn check_status(target: TargetId, part: &str, view: &View, board: &Board, now: Now) -> Option<CheckStatus> {
    let spec = board.targets().get(target.index())?;
    let status = board.status(target, now)?;
    let latency = status.latency;
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    let expires_in_s = status.certificate_until.map(|until| until.as_secs_f64() - now.wall.as_secs_f64());
    let warn_s = spec.check.tls().map_or(0.0, |tls| f64::from(tls.expires_in_days) * 86_400.0);
    Some(CheckStatus {
        monitor: view.snapshot.monitors.get(spec.monitor.index()).map_or("?", |name| name).to_owned(),
        part: part.to_owned(),
        state: match status.health.verdict {
            Verdict::Up => "up",
            Verdict::Down => "down",
            Verdict::Unknown => "unknown",
        }
        .to_owned(),
        failures: status.failures,
        last_failure: status.last_failure.map(|why| why.to_string()),
        age_s: status.age.map(|age| age.as_secs_f64()),
        connect_ms: latency.map(|latency| milliseconds(latency.connect)),
        tls_ms: latency.and_then(|latency| latency.tls).map(milliseconds),
        first_byte_ms: latency.and_then(|latency| latency.first_byte).map(milliseconds),
        total_ms: latency.map(|latency| milliseconds(latency.total)),
        certificate_expires_in_s: expires_in_s,
        certificate_expires_soon: expires_in_s.is_some_and(|left| left < warn_s),
    })
}

fn load(status: LoadStatus) -> LoadFigures {
    LoadFigures {
        current: status.current.map(Amount::units),
        age_s: status.age.map(|age| age.as_secs_f64()),
        target: status.limits.target.units(),
        max: status.limits.max.units(),
        target_raised: status.raised_target.units(),
        shed: 1.0 - f64::from(status.share.permille) / 1000.0,
        load_weight: status.load_weight,
    }
}

fn services(view: &View) -> Vec<ServiceStatus> {
    let has = |index: usize, mode| view.table(ServiceId(index as u32)).is_some_and(|table| table.has(mode));
    let plans = view.snapshot.plans.iter().enumerate();
    plans
        .map(|(index, plan)| ServiceStatus {
            name: plan.name.to_string(),
            all_down: has(index, Mode::AllDown),
            frozen: has(index, Mode::Frozen),
        })
        .collect()
}

fn share(share: Share) -> ShareStatus {
    let why = match share.why {
        ShareCause::Full => "full",
        ShareCause::Hold => "hold",
        ShareCause::Manual => "manual",
        ShareCause::Ramp => "ramp",
        ShareCause::Draining => "draining",
        ShareCause::Shed => "shed",
    };
    ShareStatus { permille: share.permille, why: why.to_owned() }
}

fn frozen_for(view: &View, address: AddressId) -> Vec<String> {
    let own = view.health.frozen.iter().filter(|(_, frozen)| *frozen == address);
    let names = own.filter_map(|(service, _)| view.snapshot.plan(*service));
    names.map(|plan| plan.name.to_string()).collect()
}

fn probes(board: &Board) -> ProbeCounts {
    let counters = board.counters();
    ProbeCounts {
        under_way: board.under_way() as u64,
        started: counters.started,
        late_skipped: counters.late_skipped,
        lost: counters.lost,
        succeeded: counters.succeeded,
        failed: counters.failed.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
    }
}

fn forced(forced: Forced) -> Option<String> {
    match forced {
        Forced::Not => None,
        Forced::Up => Some("up".to_owned()),
        Forced::Down => Some("down".to_owned()),
        Forced::Drained => Some("drained".to_owned()),
    }
}

fn region_name(snapshot: &Snapshot, region: RegionId) -> String {
    snapshot.fleet.region_name(region).to_owned()
}
