//! One compiled generation of everything that does not change with health.

use std::sync::Arc;

use ipnet::IpNet;

use crate::geo::{Coordinates, LocationMap};
use crate::health::BoardSpec;
use crate::ids::ServiceId;
use crate::now::Now;
use crate::steer::{Calendar, Fleet, Plan, RttTable, Schedule};
use crate::wire::ServiceBinding;
use crate::zone::Catalog;

/// One compiled generation of zones, geography and services. Immutable.
pub struct Snapshot {
    /// Goes up by one with each snapshot that this process publishes.
    pub generation: u64,
    /// The zones.
    pub catalog: Catalog,
    /// Endpoints and regions.
    pub fleet: Fleet,
    /// Coordinates by `RegionId`.
    pub regions: Box<[Option<Coordinates>]>,
    /// The services by [`ServiceId`].
    pub plans: Box<[Plan]>,
    /// How the SVCB and HTTPS records of services look, by [`ServiceId`].
    pub bindings: Box<[Bindings]>,
    /// The schedules by `ScheduleId`.
    pub schedules: Box<[Schedule]>,
    /// The location maps by `MapId`, with the expected round trips of each where a service asks.
    pub maps: Box<[(Arc<LocationMap>, Option<RttTable>)]>,
    /// What is probed, and how that adds up to the health of addresses.
    pub board: Arc<BoardSpec>,
    /// Names of monitors by `MonitorId`.
    pub monitors: Box<[Box<str>]>,
    /// What must be shown wherever locations are shown.
    pub attributions: Box<[Box<str>]>,
    /// What `respond` needs to know of the server.
    pub responder: ResponderSettings,
}

/// A service's records besides addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bindings {
    /// HTTPS.
    pub https: Option<ServiceBinding>,
    /// SVCB.
    pub svcb: Option<ServiceBinding>,
}

/// Server-wide settings of answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponderSettings {
    /// The largest UDP answer and the size announced in OPT, in octets.
    pub udp_payload_max: u16,
    /// RFC 5001; `None`: not answered.
    pub nsid: Option<Box<[u8]>>,
    /// Who may ask for the account of an answer at `_why.NAME` (X2); nobody where it is empty.
    pub why: Box<[IpNet]>,
}

impl Snapshot {
    /// A service's plan; `None` for a number of another generation.
    pub fn plan(&self, service: ServiceId) -> Option<&Plan> {
        self.plans.get(service.index())
    }

    /// What the schedules say at a moment.
    pub fn calendar(&self, now: Now) -> Calendar {
        Calendar::at(&self.schedules, now)
    }

    /// The location map that a plan consults.
    pub fn map_of(&self, plan: &Plan) -> Option<&LocationMap> {
        self.maps.get(plan.map?.index()).map(|(map, _)| &**map)
    }

    /// The expected round trips that a plan consults.
    pub fn rtt_of(&self, plan: &Plan) -> Option<&RttTable> {
        self.maps.get(plan.map?.index())?.1.as_ref()
    }
}
