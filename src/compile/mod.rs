//! A configuration, its zone files and its locations into a snapshot (pure; may fail, then with every
//! problem).
//!
//! `fleet` numbers endpoints and targets, `plan` compiles policies and says which location maps they
//! ask, `maps` makes these from one scan of the location sources, `zones` reads zones by `zonefile` or takes
//! them over, `archive` is the flat form of it all.

pub mod archive;
mod fleet;
pub mod floors;
mod hosts;
mod loads;
pub mod locations;
mod maps;
mod peers;
mod plan;
pub mod secondary;
pub mod zonefile;
mod zones;

use std::sync::Arc;

use crate::config::{self, Config, Problems, Service, Sources};
use crate::health::ServiceSpec;
use crate::ids::{CounterId, RegionId};
use crate::steer::{Fleet, Plan};
use crate::view::{Additional, Bindings, Chaos, Protection, ResponderSettings, Snapshot};
use crate::wire::ServiceBinding;

pub use maps::{Both, Given, Locations, MapsError};
pub use zones::{Spread, ZoneReading, in_order};

use zones::Zones;

/// What goes into a snapshot besides the configuration.
pub struct Inputs<'i> {
    /// The texts that the configuration was read from: zone files among them.
    pub sources: &'i Sources,
    /// The locations.
    pub locations: &'i mut dyn Locations,
    /// How zones get into memory.
    pub zones: ZoneReading<'i>,
    /// The snapshot's number.
    pub generation: u64,
    /// Gives out counters by identity: (service, `pool/endpoint`).
    pub counter: &'i mut dyn FnMut(&str, &str) -> CounterId,
    /// Told how far the slow part is: (done, total).
    pub progress: &'i mut dyn FnMut(u64, u64),
}

/// Compiles. `None` where a problem refuses the configuration; the problems may hold warnings anyway.
pub fn compile(config: &Config, inputs: Inputs<'_>) -> (Option<Snapshot>, Problems) {
    let mut problems = Problems::default();
    let (fleet, members, mut board) = fleet::fleet(config);
    let plans = plan::plans(config, &fleet, &members, inputs.counter, &mut problems);
    board.services = plans.plans.iter().zip(&config.services).map(watched).collect();
    board.loads = loads::loads(config, &board);
    hosts::look_up(&mut board, &fleet, &plans.plans, &config.probes);
    let Zones { catalog, signed, fingerprints } =
        zones::zones(config, inputs.sources, (&plans.plans, &fleet), inputs.zones, &mut problems);
    // The slow part comes last, so that mistakes are told at once.
    if problems.has_errors() {
        return (None, problems);
    }
    let maps = match maps::maps(plans.maps, config, inputs.locations, inputs.progress) {
        Ok(Some(maps)) => maps,
        Ok(None) => return (None, problems),
        Err(error) => {
            let span = config.geoip.database.first().map(|(_, span)| *span);
            problems.error(span, error.to_string(), "replace the file, or name another one under [geoip]");
            return (None, problems);
        }
    };
    let snapshot = Snapshot {
        generation: inputs.generation,
        catalog,
        signed,
        fingerprints,
        fleet: Arc::new(fleet),
        regions: config.regions.iter().map(|region| region.coordinates).collect(),
        plans: plans.plans.into(),
        bindings: config.services.iter().map(bindings).collect(),
        schedules: config.schedules.iter().map(|schedule| schedule.schedule.clone()).collect(),
        maps: maps.into(),
        board: Arc::new(board),
        monitors: config.monitors.iter().map(|monitor| monitor.name.as_str().into()).collect(),
        attributions: inputs.locations.attributions().into(),
        responder: ResponderSettings {
            udp_payload_max: config.server.udp_payload_max,
            nsid: config.server.nsid.as_deref().map(Into::into),
            why: config.server.why.as_slice().into(),
            peers: peers::peers(config),
            chaos: Chaos {
                version: config.server.version.as_deref().map(text_data),
                identity: config.server.identity.as_deref().map(text_data),
            },
            additional: match config.server.minimal_responses {
                true => Additional::Minimal,
                false => Additional::Given,
            },
            // Secrets and memory come from the edge that asks for this.
            protection: Protection {
                udp_payload_unproven_max: config.server.udp_payload_unproven_max,
                ..Protection::OFF
            },
        },
    };
    (Some(snapshot), problems)
}

/// The data of a TXT record with one text, which the reader has kept to 255 octets.
fn text_data(text: &str) -> Box<[u8]> {
    let octets = text.as_bytes().get(..usize::from(u8::MAX)).unwrap_or(text.as_bytes());
    [&[octets.len() as u8], octets].concat().into()
}

/// A service's records besides addresses, in wire form.
fn bindings(service: &config::Service) -> Bindings {
    let binding =
        |written: &config::Binding| ServiceBinding::new(written.priority, written.parameters.clone());
    Bindings { https: service.https.as_ref().map(binding), svcb: service.svcb.as_ref().map(binding) }
}

/// A service as the board sees it.
fn watched((plan, written): (&Plan, &Service)) -> ServiceSpec {
    let root = plan.node(plan.root);
    ServiceSpec {
        name: plan.name.clone(),
        members: root.map_or_else(Default::default, |root| root.members.clone()),
        ttl_max_s: *plan.ttl_s.end(),
        min_capacity: written.min_capacity,
        governor: written.governor,
    }
}

/// The regions of a service that have testing names, with their names (R11).
fn testing<'f>(plan: &Plan, fleet: &'f Fleet) -> Vec<(RegionId, &'f str)> {
    plan.testing.iter().map(|region| (*region, fleet.region_name(*region))).collect()
}
