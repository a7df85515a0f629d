//! Who counts: which members of a node have data for a lane, stand in a region, and are well.

use crate::health::{Forced, HealthTable, Share, Verdict};
use crate::ids::{AddressId, EndpointId, Family, RegionId};
use crate::steer::decision::Mix;
use crate::steer::plan::{Endpoint, EndpointAddress, Families, Lane, MinHealthy, Node, Rule, Trickle};

use super::gates::{Passes, percent, told};
use super::told::TOO_FEW;
use super::{Inputs, Walk};

/// What counts as well.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Regard {
    /// The current table.
    Health,
    /// The current table with every share left aside, because shares alone kept everything out (R12).
    Unshared,
    /// The table of R9's `last-good`.
    LastGood,
    /// Monitors are ignored, operators are not (R9).
    Anything,
    /// As before, and what is drained too, because nothing else exists.
    Drained,
}

impl<'a> Walk<'a, '_> {
    /// R3: whether enough members are well, of those with data for this lane (and in this region).
    pub(super) fn enough(&mut self, node: &'a Node, only: Option<RegionId>, regard: Regard) -> bool {
        // One member is enough and the children will say whether there is one. Counting here would
        // tie the TTL to endpoints far from the client.
        if only.is_none()
            && node.min_healthy == [MinHealthy::Count(1); 2]
            && !matches!(node.rule, Rule::Pool { .. })
        {
            return true;
        }
        let lanes = self.lanes();
        lanes.into_iter().flatten().all(|lane| self.enough_in(node, lane, only, regard))
    }

    /// The lanes that a member has to be well in: its own, and with families together the other one.
    pub(super) fn lanes(&self) -> [Option<Lane>; 3] {
        let [v4, v6] = Family::ALL.map(|family| Some(Lane::Addresses(family)));
        let [one, other] = match (self.inputs.plan.families, self.lane) {
            (Families::Independent, _) | (_, Lane::Alias) => [None, None],
            (Families::Together, Lane::Addresses(Family::V4)) => [v6, None],
            (Families::Together, Lane::Addresses(Family::V6)) => [v4, None],
            (Families::Together, Lane::Service) => [v4, v6],
        };
        [Some(self.lane), one, other]
    }

    fn enough_in(&mut self, node: &'a Node, lane: Lane, only: Option<RegionId>, regard: Regard) -> bool {
        let (mut all, mut healthy) = (0usize, 0usize);
        for id in node.members.iter() {
            if self.in_region(*id, only) && self.has_data(*id, lane) {
                all += 1;
                healthy += usize::from(self.eligible_for(*id, lane, regard));
            }
        }
        // What has no such addresses at all cannot fail in them.
        if all == 0 && lane != self.lane {
            return true;
        }
        let needs = node.needs(lane);
        let enough = match regard {
            Regard::Health | Regard::Unshared | Regard::LastGood => needs.met(healthy, all),
            Regard::Anything | Regard::Drained => healthy > 0,
        };
        if !enough && only.is_none() {
            let which = if lane == self.lane { "" } else { " in the other family, and both go together" };
            self.tell_members(&node.members, None, regard, TOO_FEW);
            self.trace
                .note(&node.name, || format!("failed: {healthy} of {all} usable{which}, needs {needs}"));
        }
        enough
    }

    pub(super) fn eligible_of(
        &mut self,
        members: &[EndpointId],
        only: Option<RegionId>,
        regard: Regard,
    ) -> Vec<EndpointId> {
        let mut eligible = Vec::new();
        for id in members.iter().copied() {
            if !self.in_region(id, only) {
                continue;
            }
            if !self.in_lane(id) {
                self.tell_member(id, regard, "kept");
                continue;
            }
            let well = self.eligible(id, regard);
            if well {
                eligible.push(id);
            }
            self.tell_member(id, regard, "kept");
        }
        eligible
    }

    /// Whether an endpoint has at least one usable address, with families together in both. Notes the TTL
    /// bounds of what was consulted.
    pub(super) fn eligible(&mut self, id: EndpointId, regard: Regard) -> bool {
        self.eligible_for(id, self.lane, regard)
    }

    fn eligible_for(&mut self, id: EndpointId, lane: Lane, regard: Regard) -> bool {
        let Some(endpoint) = self.inputs.fleet.endpoint(id) else { return false };
        let mut eligible = self.has_data(id, lane);
        for lane in self.lanes().into_iter().flatten() {
            if !self.has_data(id, lane) {
                continue;
            }
            let mut well = false;
            if let (Some(_), Some(bound)) = (&endpoint.alias, self.inputs.plan.flatten) {
                // The host may have other addresses after the next look-up.
                self.bound_ttl(bound);
            }
            for address in self.addresses(endpoint, lane) {
                if let (Regard::Health | Regard::Unshared, Forced::Not) =
                    (regard, self.inputs.health.forced(id))
                    && let Some(bound) = self.inputs.health.address(address).ttl_bound_s
                {
                    self.bound_ttl(bound);
                }
                well |= self.well(id, address, regard)
                    && (regard != Regard::Health || self.lets_in(id, endpoint.region, address));
            }
            eligible &= well;
        }
        eligible
    }

    fn bound_ttl(&mut self, bound: u32) {
        self.ttl_bound_s = Some(self.ttl_bound_s.map_or(bound, |all| all.min(bound)));
    }

    /// Whether an endpoint has an address that is well, with families together in both; shares aside.
    pub(super) fn is_well(&self, id: EndpointId, endpoint: &'a Endpoint, regard: Regard) -> bool {
        let well = |lane| self.addresses(endpoint, lane).any(|address| self.well(id, address, regard));
        let mut lanes = self.lanes().into_iter().flatten().filter(|lane| self.has_data(id, *lane));
        self.in_lane(id) && lanes.all(well)
    }

    /// Whether one address counts as well and lets the clients in, as [`Walk::eligible`] has found.
    pub(super) fn counts(&self, id: EndpointId, address: AddressId, regard: Regard) -> bool {
        let passed = || {
            let share = self.share(id, address);
            let region =
                self.inputs.fleet.endpoint(id).map_or(RegionId(u16::MAX), |endpoint| endpoint.region);
            self.gates.has_passed(self.inputs.plan.gate(region), share.permille)
        };
        self.well(id, address, regard) && (regard != Regard::Health || passed())
    }

    /// R12: whether the clients are among those that an address may get.
    fn lets_in(&mut self, id: EndpointId, region: RegionId, address: AddressId) -> bool {
        let share = self.share(id, address);
        if share.permille >= Share::PERMILLE_MAX {
            return true;
        }
        let gate = self.inputs.plan.gate(region);
        let passes = self.gates.ask(gate, share.permille);
        if self.trace.is_recording() && self.gates.is_news(gate, share) {
            let what = match passes {
                Passes::Yes => "this client is among them",
                Passes::No => "this client is not among them",
                Passes::TooMany => "too many partial shares at once, so everybody is",
            };
            let region = self.inputs.fleet.region_name(region);
            let name = self.inputs.fleet.endpoint(id).map_or("?", |endpoint| &endpoint.name);
            self.trace.note(name, || format!("region {region} {}: {what}", told(share)));
        }
        passes != Passes::No
    }

    /// R12: whether the clients are among those that try the second child of a failover first.
    pub(super) fn trickles(&mut self, node: &Node, trickle: Trickle) -> bool {
        let passes = self.gates.ask_to(trickle.gate, trickle.permille);
        self.trace.note(&node.name, || {
            let among = if passes { "this client is among them" } else { "this client is not among them" };
            format!("{} try the second child first (trickle): {among}", percent(trickle.permille))
        });
        passes
    }

    /// What an address and its endpoint let in, whichever is less. An operator's word for it ends what
    /// failback holds back.
    pub(super) fn share(&self, id: EndpointId, address: AddressId) -> Share {
        let own = self.inputs.health.endpoint(id);
        match own.forced {
            Forced::Up => own.share,
            Forced::Not | Forced::Down | Forced::Drained => {
                own.share.least(self.inputs.health.address(address).share)
            }
        }
    }

    /// Whether some answer names an address that is down and that the governor keeps (H11).
    pub(super) fn is_frozen(&self, mix: &Mix) -> bool {
        if self.inputs.health.frozen.is_empty() {
            return false;
        }
        let mut found = false;
        mix.visit(1.0, &mut |_, pick| found |= pick.endpoints.iter().any(|id| self.is_kept(*id)));
        found
    }

    /// Whether the governor keeps an address of an endpoint that is down.
    pub(super) fn is_kept(&self, id: EndpointId) -> bool {
        let Inputs { fleet, plan, health, .. } = self.inputs;
        let endpoint = fleet.endpoint(id).filter(|_| health.forced(id) == Forced::Not);
        endpoint.is_some_and(|endpoint| {
            self.addresses(endpoint, self.lane).any(|address| {
                health.address(address).verdict == Verdict::Down && health.is_frozen(plan.service, address)
            })
        })
    }

    /// Whether one address counts as well.
    pub(super) fn well(&self, id: EndpointId, address: AddressId, regard: Regard) -> bool {
        let service = self.inputs.plan.service;
        let probed = |table: &HealthTable| {
            table.address(address).verdict != Verdict::Down || table.is_frozen(service, address)
        };
        match (self.inputs.health.forced(id), regard) {
            (Forced::Down, _) => false,
            (Forced::Drained, Regard::Drained) => true,
            (Forced::Drained, _) => false,
            (Forced::Up, _) => true,
            (Forced::Not, Regard::Health | Regard::Unshared) => probed(self.inputs.health),
            (Forced::Not, Regard::LastGood) => self.last_good.is_some_and(probed),
            (Forced::Not, Regard::Anything | Regard::Drained) => true,
        }
    }

    pub(super) fn in_lane(&self, id: EndpointId) -> bool {
        self.has_data(id, self.lane)
    }

    /// Whether an endpoint is chosen for AAAA without having any (R10).
    pub(super) fn answers_without(&self, endpoint: &Endpoint) -> bool {
        self.lane == Lane::Addresses(Family::V6)
            && self.inputs.plan.without_ipv6.binary_search(&endpoint.region).is_ok()
    }

    pub(super) fn has_data(&self, id: EndpointId, lane: Lane) -> bool {
        self.inputs.fleet.endpoint(id).is_some_and(|endpoint| self.addresses(endpoint, lane).next().is_some())
    }

    /// The addresses that say how an endpoint is in a lane: its own of that family, and in a region that
    /// answers without IPv6 those of the other (R10).
    pub(super) fn addresses(
        &self,
        endpoint: &'a Endpoint,
        lane: Lane,
    ) -> impl Iterator<Item = AddressId> + use<'a> {
        let empty = lane == Lane::Addresses(Family::V6)
            && self.inputs.plan.without_ipv6.binary_search(&endpoint.region).is_ok();
        self.lane_addresses(endpoint, if empty { Lane::Addresses(Family::V4) } else { lane })
    }

    /// What says how an endpoint is in a lane: its addresses, or its host name.
    pub(super) fn lane_addresses(
        &self,
        endpoint: &'a Endpoint,
        lane: Lane,
    ) -> impl Iterator<Item = AddressId> + use<'a> {
        let alias = endpoint.alias.as_ref().map(|(_, id)| *id);
        let alias = alias.filter(|id| lane == Lane::Alias || self.flattened(*id, lane).next().is_some());
        endpoint.addresses.iter().filter(move |own| lane.has(own.address)).map(|own| own.id).chain(alias)
    }

    /// What an endpoint has to answer with in a lane: its addresses, or those of its host name, which share
    /// the host's health.
    pub(super) fn data(
        &self,
        endpoint: &'a Endpoint,
        lane: Lane,
    ) -> impl Iterator<Item = EndpointAddress> + use<'a> {
        let of_host = endpoint.alias.as_ref().map(|(_, id)| self.flattened(*id, lane));
        let own = endpoint.addresses.iter().copied().filter(move |own| lane.has(own.address));
        own.chain(of_host.into_iter().flatten())
    }

    fn flattened(&self, host: AddressId, lane: Lane) -> impl Iterator<Item = EndpointAddress> + use<'a> {
        let found = match self.inputs.plan.flatten {
            Some(_) => self.inputs.health.resolved(host),
            None => &[],
        };
        let in_lane = found.iter().copied().filter(move |address| lane.has(*address));
        in_lane.map(move |address| EndpointAddress { address, id: host })
    }

    pub(super) fn in_region(&self, id: EndpointId, only: Option<RegionId>) -> bool {
        only.is_none_or(|only| self.inputs.fleet.endpoint(id).is_some_and(|endpoint| endpoint.region == only))
    }
}
