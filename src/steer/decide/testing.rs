//! Testing names (R11): what one region answers, whatever its health and whoever asks.

use crate::ids::{EndpointId, RegionId};
use crate::steer::decision::{Decision, Mode};
use crate::steer::plan::Lane;
use crate::steer::trace::Trace;

use super::members::Regard;
use super::{Inputs, Outcome, Walk};

/// One of the region's endpoints by weight. Monitors, shares and schedules are ignored, operators are not:
/// what is forced down is never served, what is drained only where nothing else is.
pub fn decide_region(inputs: Inputs<'_>, region: RegionId, lane: Lane, trace: &mut Trace) -> Decision {
    let mut walk = Walk::new(inputs, lane, trace);
    let root = inputs.plan.node(inputs.plan.root).map_or("?", |root| &root.name);
    walk.trace.note(root, || {
        format!("the testing name of region {}: health is ignored", inputs.fleet.region_name(region))
    });
    for regard in [Regard::Anything, Regard::Drained] {
        let members = walk.of_region(region, regard);
        walk.mode = Mode::Normal;
        if !members.is_empty() || regard == Regard::Drained {
            walk.tell_members(&inputs.plan.members, Some(region), regard, "kept");
        }
        if let Outcome::Chosen(mix) = walk.draw_among(members, 1, &|id, own| walk.well(id, own.id, regard)) {
            return Decision::Answer(mix);
        }
    }
    walk.trace.note(root, || "no endpoint there that may be served: empty answer".to_owned());
    Decision::NoData
}

impl Walk<'_, '_> {
    fn of_region(&self, region: RegionId, regard: Regard) -> Vec<EndpointId> {
        let members = self.inputs.plan.members.iter().copied();
        let served = members.filter(|id| {
            let endpoint = self.inputs.fleet.endpoint(*id).filter(|endpoint| endpoint.region == region);
            endpoint.is_some_and(|endpoint| {
                self.lane_addresses(endpoint, self.lane).any(|address| self.well(*id, address, regard))
            })
        });
        served.collect()
    }
}
