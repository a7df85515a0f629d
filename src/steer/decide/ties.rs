//! R6: regions that are no farther than the tie allows join the nearest one.

use std::collections::BTreeSet;

use crate::ids::{EndpointId, NodeId, RegionId};
use crate::steer::decision::Mix;
use crate::steer::plan::Node;

use super::members::Regard;
use super::{Outcome, Walk};

impl<'a> Walk<'a, '_> {
    /// What is chosen where `nearest` has a group and `tied` are the regions after it in order that its
    /// tie reaches: all groups that have not failed, each by the weights of its candidates together.
    pub(super) fn with_tied(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        nearest: Mix,
        tied: impl Iterator<Item = RegionId>,
        answers: u8,
        regard: Regard,
    ) -> Option<Mix> {
        let mut groups = vec![nearest];
        for region in tied {
            let fleet = self.inputs.fleet;
            let name = || fleet.region_name(region);
            match self.group(node, children, region, answers, regard) {
                Outcome::Chosen(mix) => {
                    self.trace.note(&node.name, || format!("region {} tied: joins", name()));
                    groups.push(mix);
                }
                Outcome::Failed | Outcome::Held(_) | Outcome::Final(_) => {
                    self.tell_region_dropped(node, region, "tied, but ", regard);
                }
            }
        }
        // The standby tier of one region waits for the others' members, as in one pool (R4).
        let weights: Vec<(u32, u32)> = groups.iter().map(|mix| self.weight_of(mix)).collect();
        let standby = weights.iter().all(|(weight, _)| *weight == 0);
        let weights = weights.into_iter().map(|(weight, members)| if standby { members } else { weight });
        Mix::drawn(weights.zip(groups).collect())
    }

    /// The weight of all endpoints that a mix can answer with, and their number.
    fn weight_of(&self, mix: &Mix) -> (u32, u32) {
        let mut members: BTreeSet<EndpointId> = BTreeSet::new();
        mix.visit(1.0, &mut |_, pick| members.extend(pick.endpoints.iter()));
        let endpoints = members.iter().filter_map(|id| self.inputs.fleet.endpoint(*id));
        (endpoints.map(|endpoint| u32::from(endpoint.weight)).sum(), members.len() as u32)
    }
}
