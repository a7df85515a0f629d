//! The health table: one immutable generation of states, matching one snapshot.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::{AddressId, EndpointId, MonitorId, RegionId, ServiceId};

/// What the checks say of a target or of an address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Well.
    Up,
    /// Not well: out of the answers unless nothing better exists.
    Down,
    /// No verdict yet: eligible (H1, H13).
    Unknown,
}

/// An operator's word on an endpoint; stands above every verdict (H8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Forced {
    /// None: the verdict counts.
    Not,
    /// Counts as well whatever the probes say.
    Up,
    /// Never served, not even when all is down (R9).
    Down,
    /// Served only if nothing else exists (R9).
    Drained,
}

/// What the probes say of one target.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TargetHealth {
    /// The verdict.
    pub verdict: Verdict,
    /// The dynamic TTL bound in seconds (H7); `None` is no bound.
    pub ttl_bound_s: Option<u32>,
}

/// The share of clients that may get something (R12): decided by hash of the client, never by a draw.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Share {
    /// 0..=1000; 1000 is everybody.
    pub permille: u16,
    /// Why it is not everybody.
    pub why: ShareCause,
    /// When it is going to change by itself, on the monotonic clock: bounds the TTL (H7).
    pub step_at: Option<Duration>,
}

impl Share {
    /// All clients, in thousandths.
    pub const PERMILLE_MAX: u16 = 1000;
    /// Everybody.
    pub const FULL: Share = Share { permille: Share::PERMILLE_MAX, why: ShareCause::Full, step_at: None };

    /// The one that lets fewer clients in; of equal ones the first.
    pub fn least(self, other: Share) -> Share {
        let step_at = [self.step_at, other.step_at].into_iter().flatten().min();
        let least = if other.permille < self.permille { other } else { self };
        Share { step_at, ..least }
    }
}

/// Why a share is not everybody's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ShareCause {
    /// It is.
    Full,
    /// Back again, and not yet stable for long enough (H10).
    Hold,
    /// Back again, and an operator has to say so (H10).
    Manual,
    /// Back again, and taking its part step by step (H10).
    Ramp,
    /// On the way out, step by step (H9).
    Draining,
    /// Above its target load (H12).
    Shed,
}

/// One address's published state: what its checks come to together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Standing {
    /// The verdict; `Up` where nothing checks it.
    pub verdict: Verdict,
    /// The dynamic TTL bound in seconds (H7); `None` is no bound.
    pub ttl_bound_s: Option<u32>,
    /// What failback lets in (H10).
    pub share: Share,
}

impl Standing {
    /// Of an address of which nothing is known yet.
    pub const UNKNOWN: Standing =
        Standing { verdict: Verdict::Unknown, ttl_bound_s: None, share: Share::FULL };

    /// Of an address with a verdict and nothing else to say.
    pub const fn of(verdict: Verdict) -> Standing {
        Standing { verdict, ..Standing::UNKNOWN }
    }
}

/// One endpoint's published state, above that of its addresses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EndpointState {
    /// The operator's word (H8).
    pub forced: Forced,
    /// What a gradual drain (H9) or shedding (H12) lets in.
    pub share: Share,
    /// Its part under `least-loaded`, damped (H12); equal parts where nothing is known.
    pub load_weight: u16,
}

impl EndpointState {
    /// The weight under `least-loaded` of an endpoint whose load is not known.
    pub const LOAD_WEIGHT_NEUTRAL: u16 = 1000;
    /// Nothing special.
    pub const PLAIN: EndpointState = EndpointState {
        forced: Forced::Not,
        share: Share::FULL,
        load_weight: EndpointState::LOAD_WEIGHT_NEUTRAL,
    };
}

/// A region's own service time as measured by one monitor: first byte minus connect, smoothed, with
/// hysteresis, in whole milliseconds. An input of `latency` policies; published, never per client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServiceTime {
    /// Which region.
    pub region: RegionId,
    /// By which monitor.
    pub monitor: MonitorId,
    /// Milliseconds.
    pub milliseconds: u16,
}

/// Addresses by the number of the host name that has them.
pub type Hosts = Arc<[(AddressId, Arc<[IpAddr]>)]>;

/// One generation of states. Ids are those of the snapshot it was made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthTable {
    /// By [`AddressId`].
    pub addresses: Arc<[Standing]>,
    /// By [`EndpointId`].
    pub endpoints: Arc<[EndpointState]>,
    /// Sorted: down verdicts that the governor does not accept for a service (H11); they count as up
    /// there.
    pub frozen: Arc<[(ServiceId, AddressId)]>,
    /// Sorted by region, then monitor; missing is zero.
    pub service_times: Arc<[ServiceTime]>,
    /// Sorted: the addresses that host names have, where these stand in answers.
    pub hosts: Hosts,
}

impl HealthTable {
    /// The table before anything is known: every address unknown, nothing forced.
    pub fn unknown(addresses: usize, endpoints: usize) -> HealthTable {
        HealthTable {
            addresses: vec![Standing::UNKNOWN; addresses].into(),
            endpoints: vec![EndpointState::PLAIN; endpoints].into(),
            frozen: Arc::new([]),
            service_times: Arc::new([]),
            hosts: Arc::new([]),
        }
    }

    /// An address's state; unknown for a number this table does not have.
    pub fn address(&self, address: AddressId) -> Standing {
        self.addresses.get(address.index()).copied().unwrap_or(Standing::UNKNOWN)
    }

    /// The addresses that a host name has; none where it is not looked up, or never was with success.
    pub fn resolved(&self, host: AddressId) -> &[IpAddr] {
        let at = self.hosts.binary_search_by_key(&host, |(own, _)| *own).ok();
        at.and_then(|at| self.hosts.get(at)).map_or(&[], |(_, addresses)| addresses)
    }

    /// An endpoint's state; nothing special for a number this table does not have.
    pub fn endpoint(&self, endpoint: EndpointId) -> EndpointState {
        self.endpoints.get(endpoint.index()).copied().unwrap_or(EndpointState::PLAIN)
    }

    /// The operator's word on an endpoint.
    pub fn forced(&self, endpoint: EndpointId) -> Forced {
        self.endpoint(endpoint).forced
    }

    /// Whether the governor holds an address up for a service (H11).
    pub fn is_frozen(&self, service: ServiceId, address: AddressId) -> bool {
        self.frozen.binary_search(&(service, address)).is_ok()
    }

    /// A region's service time by a monitor in milliseconds; 0 where none is known.
    pub fn service_time_ms(&self, region: RegionId, monitor: MonitorId) -> u16 {
        self.service_times
            .binary_search_by_key(&(region, monitor), |entry| (entry.region, entry.monitor))
            .ok()
            .and_then(|index| self.service_times.get(index))
            .map_or(0, |entry| entry.milliseconds)
    }
}
