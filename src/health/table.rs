//! The health table: one immutable generation of states, matching one snapshot.

use std::sync::Arc;

use crate::ids::{EndpointId, MonitorId, RegionId, TargetId};

/// What the probes say of a target.
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

/// One target's published state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TargetHealth {
    /// The verdict.
    pub verdict: Verdict,
    /// The dynamic TTL bound in seconds (H7); `None` is no bound.
    pub ttl_bound_s: Option<u32>,
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

/// One generation of states. Ids are those of the snapshot it was made for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HealthTable {
    /// By [`TargetId`].
    pub targets: Arc<[TargetHealth]>,
    /// By [`EndpointId`].
    pub forced: Arc<[Forced]>,
    /// Sorted by region, then monitor; missing is zero.
    pub service_times: Arc<[ServiceTime]>,
}

impl HealthTable {
    /// The table before anything is known: every target unknown, nothing forced.
    pub fn unknown(targets: usize, endpoints: usize) -> HealthTable {
        let unknown = TargetHealth { verdict: Verdict::Unknown, ttl_bound_s: None };
        HealthTable {
            targets: vec![unknown; targets].into(),
            forced: vec![Forced::Not; endpoints].into(),
            service_times: Arc::new([]),
        }
    }

    /// A target's state; unknown for a number this table does not have.
    pub fn target(&self, target: TargetId) -> TargetHealth {
        let unknown = TargetHealth { verdict: Verdict::Unknown, ttl_bound_s: None };
        self.targets.get(target.index()).copied().unwrap_or(unknown)
    }

    /// The operator's word on an endpoint.
    pub fn forced(&self, endpoint: EndpointId) -> Forced {
        self.forced.get(endpoint.index()).copied().unwrap_or(Forced::Not)
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
