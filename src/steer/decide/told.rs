//! Why each member and each child is kept or dropped, in words (X1). Nothing here decides, and nothing is
//! worked out unless the trace records.

use crate::geo::GeoKey;
use crate::health::{Forced, Verdict};
use crate::ids::{EndpointId, NodeId, RegionId};
use crate::steer::plan::{Branch, Node};

use super::gates::told;
use super::members::Regard;
use super::{Inputs, Walk, lane_name};

/// What is said of a usable member where too few are.
pub(super) const TOO_FEW: &str = "dropped, too few are";

impl<'a> Walk<'a, '_> {
    /// A line for each member of a region that is asked: kept or dropped, and why.
    /// `kept` is what is said of a usable one.
    pub(super) fn tell_members(
        &mut self,
        members: &[EndpointId],
        only: Option<RegionId>,
        regard: Regard,
        kept: &str,
    ) {
        if !self.trace.is_recording() {
            return;
        }
        for id in members.iter().copied() {
            if self.in_region(id, only) {
                self.tell_member(id, regard, kept);
            }
        }
    }

    /// The line of one member; `kept` is what is said of one that is usable.
    pub(super) fn tell_member(&mut self, id: EndpointId, regard: Regard, kept: &str) {
        let Some(endpoint) = self.inputs.fleet.endpoint(id).filter(|_| self.trace.is_recording()) else {
            return;
        };
        let what = match self.fault(id, regard) {
            Some(fault) => format!("{fault}: dropped"),
            None if regard == Regard::Health && self.is_kept(id) => {
                format!("down, but frozen: the governor counts it as up: {kept}")
            }
            None => format!("{}: {kept}", self.merit(id, regard)),
        };
        self.trace.note(&endpoint.name, || what);
        if self.answers_without(endpoint) {
            let said = || "its region has no IPv6, and answers empty (aaaa = \"own-region\")".to_owned();
            self.trace.note(&endpoint.name, said);
        }
    }

    /// That those of weight 0 wait where others are usable (R4).
    pub(super) fn tell_standby(&mut self, members: &[EndpointId]) {
        if !self.trace.is_recording() {
            return;
        }
        let endpoints = || members.iter().filter_map(|id| self.inputs.fleet.endpoint(*id));
        if endpoints().all(|endpoint| endpoint.weight == 0) {
            return;
        }
        let waiting = endpoints().filter(|endpoint| endpoint.weight == 0).collect::<Vec<_>>();
        for endpoint in waiting {
            let said = || "waits: its weight is 0, and others are usable".to_owned();
            self.trace.note(&endpoint.name, said);
        }
    }

    /// That a node, or a region's part of it, is left, and how many of its members could have been used.
    pub(super) fn tell_region_dropped(
        &mut self,
        node: &'a Node,
        region: RegionId,
        how: &str,
        regard: Regard,
    ) {
        if !self.trace.is_recording() {
            return;
        }
        let count = self.count_of(node, region, regard);
        let name = self.inputs.fleet.region_name(region);
        self.trace.note(&node.name, || format!("region {name} {how}dropped: {count}"));
    }

    /// That too few members of a child are usable in a region, and each of them.
    pub(super) fn tell_too_few(&mut self, node: &'a Node, region: RegionId, regard: Regard) {
        if !self.trace.is_recording() {
            return;
        }
        self.tell_members(&node.members, Some(region), regard, TOO_FEW);
        let count = self.count_of(node, region, regard);
        let name = self.inputs.fleet.region_name(region);
        self.trace.note(&node.name, || format!("failed in region {name}: {count}"));
    }

    /// `1 of 3 usable, needs 2`
    fn count_of(&self, node: &Node, region: RegionId, regard: Regard) -> String {
        let members = || {
            let members = node.members.iter().copied();
            members.filter(|id| self.in_region(*id, Some(region)) && self.in_lane(*id))
        };
        let usable = members().filter(|id| self.fault(*id, regard).is_none()).count();
        let all = members().count();
        match all {
            0 => format!("nothing there has {}", lane_name(self.lane)),
            _ => format!("{usable} of {all} usable, needs {}", node.needs(self.lane)),
        }
    }

    /// Why a member cannot be used; `None`: it can.
    fn fault(&self, id: EndpointId, regard: Regard) -> Option<String> {
        let Inputs { fleet, health, .. } = self.inputs;
        let endpoint = fleet.endpoint(id)?;
        if !self.in_lane(id) {
            let wanted = lane_name(self.lane);
            return Some(format!("has no {}", wanted.split_once(' ').map_or(wanted, |(_, wanted)| wanted)));
        }
        match (health.forced(id), regard) {
            (Forced::Down, _) => return Some("forced down".to_owned()),
            (Forced::Drained, Regard::Drained) => {}
            (Forced::Drained, _) => return Some("drained".to_owned()),
            (Forced::Up | Forced::Not, _) => {}
        }
        for lane in self.lanes().into_iter().flatten().filter(|lane| self.has_data(id, *lane)) {
            let addresses = || self.addresses(endpoint, lane);
            if addresses().any(|address| self.counts(id, address, regard)) {
                continue;
            }
            let family = if lane == self.lane { "" } else { "in the other family, and both go together, " };
            let held = addresses().find(|address| self.well(id, *address, regard));
            return Some(match (held, regard) {
                (Some(address), _) => {
                    format!("{family}well, but {}, not this client", told(self.share(id, address)))
                }
                (None, Regard::LastGood) => format!("{family}down when something last was healthy"),
                (None, _) => format!("{family}down"),
            });
        }
        None
    }

    /// How a usable member is.
    fn merit(&self, id: EndpointId, regard: Regard) -> &'static str {
        let Inputs { fleet, health, .. } = self.inputs;
        let is = |verdict| {
            let addresses = fleet.endpoint(id).map(|endpoint| self.addresses(endpoint, self.lane));
            addresses.into_iter().flatten().any(|address| health.address(address).verdict == verdict)
        };
        match (regard, health.forced(id)) {
            (Regard::Drained, Forced::Drained) => "drained, and nothing else exists",
            (Regard::Anything | Regard::Drained, _) => "health is ignored",
            (_, Forced::Up) => "forced up",
            (Regard::LastGood, _) => "healthy when something last was",
            (Regard::Unshared, _) => "healthy, its share left aside",
            (Regard::Health, _) if is(Verdict::Up) => "healthy",
            (Regard::Health, _) => "no verdict yet, counts as healthy",
        }
    }

    /// Which rules of a geo node the client's place matches.
    pub(super) fn tell_matches(&mut self, node: &Node, rules: &[(GeoKey, Branch)], matched: &[u16]) {
        self.trace.note(&node.name, || {
            let keys = matched.iter().filter_map(|number| rules.get(usize::from(*number)));
            let keys = keys.map(|(key, _)| key.to_string()).collect::<Vec<_>>();
            match keys.is_empty() {
                true => format!("the place matches none of {} rules", rules.len()),
                false => format!("the place matches {}", keys.join(", then ")),
            }
        });
    }

    /// Which children nobody asks any more, because one before them answers.
    pub(super) fn tell_unasked(&mut self, node: &Node, children: &[NodeId]) {
        if !self.trace.is_recording() || children.is_empty() {
            return;
        }
        let names = children.iter().filter_map(|child| self.node(*child)).map(|child| &*child.name);
        let names = names.collect::<Vec<_>>().join(", ");
        self.trace.note(&node.name, || format!("{names} not asked: later in order"));
    }

    pub(super) fn kept(&mut self, node: &Node, child: NodeId) {
        let name = self.node(child).map_or("?", |child| &child.name);
        self.trace.note(&node.name, || format!("{name} kept"));
    }

    pub(super) fn dropped(&mut self, node: &Node, child: NodeId) {
        let name = self.node(child).map_or("?", |child| &child.name);
        self.trace.note(&node.name, || format!("{name} dropped: it has failed"));
    }
}
