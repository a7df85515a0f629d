//! `least-loaded`: regions by the load that they can take (H12), by hash of the client, so that a small
//! change of load moves few.

use std::collections::BTreeSet;

use crate::ids::{EndpointId, NodeId, RegionId};
use crate::steer::decision::Mix;
use crate::steer::plan::Node;

use super::members::Regard;
use super::{Outcome, Walk};

impl<'a> Walk<'a, '_> {
    /// All regions whose groups have not failed, each by the load weights of its candidates together.
    pub(super) fn least_loaded(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        seeds: &'a [u64],
        answers: u8,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let (mut held, mut parts) = (None, Vec::new());
        for region in node.regions.iter().copied().filter(|region| only.is_none_or(|only| only == *region)) {
            let name = self.inputs.fleet.region_name(region);
            match self.group(node, children, region, answers, regard) {
                Outcome::Chosen(mix) => {
                    let weight = self.load_of(&mix);
                    self.trace
                        .note(&node.name, || format!("region {name} kept: takes {weight} parts of the load"));
                    parts.push((seeds.get(region.index()).copied().unwrap_or(0), weight, mix));
                }
                outcome => {
                    if let Outcome::Held(branch) = outcome {
                        held.get_or_insert(branch);
                    }
                    self.tell_region_dropped(node, region, "", regard);
                }
            }
        }
        // All full: nobody can take more than the others.
        if parts.iter().all(|part| part.1 == 0) {
            parts.iter_mut().for_each(|part| part.1 = 1);
        }
        Mix::sticky(parts).map_or_else(|| self.none_of(held, only), Outcome::Chosen)
    }

    /// What an endpoint takes of the load.
    pub(super) fn load_weight(&self, id: EndpointId) -> u32 {
        u32::from(self.inputs.health.endpoint(id).load_weight)
    }

    /// What all endpoints take that a mix can answer with.
    fn load_of(&self, mix: &Mix) -> u32 {
        let mut members: BTreeSet<EndpointId> = BTreeSet::new();
        mix.visit(1.0, &mut |_, pick| members.extend(pick.endpoints.iter()));
        members.into_iter().map(|id| self.load_weight(id)).sum()
    }
}
