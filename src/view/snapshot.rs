//! One compiled generation of everything that does not change with health.

use std::sync::Arc;

use ipnet::IpNet;

use super::peers::Peers;
use crate::cookie::Secrets;
use crate::dnssec::{Signed, separate};
use crate::geo::{Coordinates, LocationMap};
use crate::health::BoardSpec;
use crate::ids::ServiceId;
use crate::limit::Limiter;
use crate::now::Now;
use crate::steer::{Calendar, Fleet, Plan, RttTable, Schedule};
use crate::wire::ServiceBinding;
use crate::zone::{Catalog, Replacement};

/// One compiled generation of zones, geography and services. Immutable; a copy shares all that is large.
#[derive(Clone)]
pub struct Snapshot {
    /// Goes up by one with each configuration that this process puts in force.
    pub generation: u64,
    /// The zones.
    pub catalog: Catalog,
    /// By `ZoneId`: what lies over zones that came signed; empty where there are none.
    pub signed: Box<[Option<Arc<Signed>>]>,
    /// By `ZoneId`: what each zone was read from; `None` where it has to be read again to say so.
    pub fingerprints: Arc<[Option<Fingerprint>]>,
    /// Endpoints and regions.
    pub fleet: Arc<Fleet>,
    /// Coordinates by `RegionId`.
    pub regions: Arc<[Option<Coordinates>]>,
    /// The services by [`ServiceId`].
    pub plans: Arc<[Plan]>,
    /// How the SVCB and HTTPS records of services look, by [`ServiceId`].
    pub bindings: Arc<[Bindings]>,
    /// The schedules by `ScheduleId`.
    pub schedules: Arc<[Schedule]>,
    /// The location maps by `MapId`, with the expected round trips of each where a service asks.
    pub maps: Arc<[(Arc<LocationMap>, Option<RttTable>)]>,
    /// What is probed, and how that adds up to the health of addresses.
    pub board: Arc<BoardSpec>,
    /// Names of monitors by `MonitorId`.
    pub monitors: Arc<[Box<str>]>,
    /// What must be shown wherever locations are shown.
    pub attributions: Arc<[Box<str>]>,
    /// What `respond` needs to know of the server.
    pub responder: ResponderSettings,
}

/// What a zone was read from: SHA-256 over its texts, its steered names and who answers for them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(pub [u8; 32]);

/// A service's records besides addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bindings {
    /// HTTPS.
    pub https: Option<ServiceBinding>,
    /// SVCB.
    pub svcb: Option<ServiceBinding>,
}

/// Server-wide settings of answers.
#[derive(Clone, Debug)]
pub struct ResponderSettings {
    /// The largest UDP answer and the size announced in OPT, in octets.
    pub udp_payload_max: u16,
    /// RFC 5001; `None`: not answered.
    pub nsid: Option<Box<[u8]>>,
    /// Who may ask for the account of an answer at `_why.NAME` (X2); nobody where it is empty.
    pub why: Box<[IpNet]>,
    /// The other name servers.
    pub peers: Peers,
    /// What is told in class CH.
    pub chaos: Chaos,
    /// Whether answers bring along what their records point to.
    pub additional: Additional,
    /// Against queries that are not what they seem.
    pub protection: Protection,
}

/// What keeps this server from being turned against others, and from being worn out.
#[derive(Clone, Debug)]
pub struct Protection {
    /// DNS cookies; `None`: the option is passed over.
    pub cookies: Option<Secrets>,
    /// Response rate limiting over UDP; `None`: off.
    pub limiter: Option<Arc<Limiter>>,
    /// The largest UDP answer to a query without a valid cookie, in octets, where `udp_payload_max` is not less.
    pub udp_payload_unproven_max: u16,
}

impl Protection {
    /// None at all.
    pub const OFF: Protection =
        Protection { cookies: None, limiter: None, udp_payload_unproven_max: u16::MAX };
}

/// What the server says of itself in class CH: TXT data in wire form; `None` is refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chaos {
    /// At `version.bind` and `version.server`.
    pub version: Option<Box<[u8]>>,
    /// At `id.server` and `hostname.bind`.
    pub identity: Option<Box<[u8]>>,
}

/// What of the additional section is given besides what is needed (glue, OPT).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Additional {
    /// The addresses and services that an answer's records name, as far as there is room.
    Given,
    /// Nothing.
    Minimal,
}

impl Snapshot {
    /// The same with some zones replaced: of the same generation, for ids mean what they meant.
    pub fn with_zones(&self, replacements: &[Replacement]) -> Snapshot {
        let mut signed = self.signed.to_vec();
        signed.resize(self.catalog.zones().len(), None);
        let data = replacements.iter().map(|new| {
            let zone = match self.catalog.zones().get(new.id.index()) {
                Some(own) if Arc::ptr_eq(own, &new.zone) => Arc::clone(own),
                _ => {
                    // What came signed keeps its signatures, apart from its data.
                    let (zone, lies_over) = match separate(&new.zone) {
                        Ok(separated) => (separated.zone, separated.signed),
                        Err(_) => (Arc::clone(&new.zone), None),
                    };
                    if let Some(place) = signed.get_mut(new.id.index()) {
                        *place = lies_over;
                    }
                    zone
                }
            };
            Replacement { id: new.id, zone, validity: new.validity }
        });
        let data: Vec<Replacement> = data.collect();
        Snapshot { catalog: self.catalog.with_zones(&data), signed: signed.into(), ..self.clone() }
    }

    /// Whether two snapshots have the same services, schedules and maps: what was decided of the one holds
    /// for the other.
    pub fn decides_like(&self, other: &Snapshot) -> bool {
        Arc::ptr_eq(&self.plans, &other.plans)
    }

    /// A service's plan; `None` for a number of another generation.
    pub fn plan(&self, service: ServiceId) -> Option<&Plan> {
        self.plans.get(service.index())
    }

    /// What the schedules say at a moment.
    pub fn calendar(&self, now: Now) -> Calendar {
        Calendar::at(&self.schedules, now)
    }

    /// The location map that a plan consults.
    pub fn map_of(&self, plan: &Plan) -> Option<&Arc<LocationMap>> {
        self.maps.get(plan.map?.index()).map(|(map, _)| map)
    }

    /// The expected round trips that a plan consults.
    pub fn rtt_of(&self, plan: &Plan) -> Option<&RttTable> {
        self.maps.get(plan.map?.index())?.1.as_ref()
    }
}
