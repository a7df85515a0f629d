//! One walk down a policy tree: which candidates a class of places gets, and why.
//!
//! The same walk answers queries (over all classes, when a view is made) and explains them (over one
//! class, recording). It reads nothing but its arguments.

use crate::geo::{GeoKey, Place};
use crate::health::{Forced, HealthTable, Verdict};
use crate::ids::{ClassId, EndpointId, Family, NodeId, RegionId};

use super::decision::{Decided, Decision, Mix, Mode, Pick};
use super::plan::{AllDown, Branch, Endpoint, Fleet, Lane, MinHealthy, Node, Plan, Rule};
use super::rtt::RttTable;
use super::trace::Trace;

/// What a walk reads besides the place.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Endpoints and regions.
    pub fleet: &'a Fleet,
    /// The tree.
    pub plan: &'a Plan,
    /// The states.
    pub health: &'a HealthTable,
    /// The states when the service last had something healthy (R9 `last-good`).
    pub last_good: Option<&'a HealthTable>,
    /// Expected round trips, where a policy asks for them.
    pub rtt: Option<&'a RttTable>,
}

/// Decides for one class of places. `place` is `None` for a plan that consults no map.
pub fn decide(
    inputs: Inputs<'_>,
    class: ClassId,
    place: Option<Place<'_>>,
    lane: Lane,
    trace: &mut Trace,
) -> Decided {
    let mut walk = Walk { inputs, class, place, lane, trace, ttl_bound_s: None, mode: Mode::Normal };
    let decision = walk.root();
    Decided { decision, ttl_bound_s: walk.ttl_bound_s, mode: walk.mode }
}

struct Walk<'a, 't> {
    inputs: Inputs<'a>,
    class: ClassId,
    place: Option<Place<'a>>,
    lane: Lane,
    trace: &'t mut Trace,
    ttl_bound_s: Option<u32>,
    mode: Mode,
}

/// What counts as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Regard {
    /// The current table.
    Health,
    /// The table of R9's `last-good`.
    LastGood,
    /// Monitors are ignored, operators are not (R9).
    Anything,
    /// As before, and what is drained too, because nothing else exists.
    Drained,
}

/// What a node says to its parent.
enum Outcome {
    Chosen(Mix),
    Failed,
    /// R9's `nodata` and `refuse`, or a fence with nothing inside: goes up to the root unchanged.
    Final(Decision),
}

/// Why a geo node looks at a branch.
enum Why<'k> {
    Rule(&'k GeoKey),
    Unknown,
    Default,
}

impl std::fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Rule(key) => write!(f, "rule {key}"),
            Why::Unknown => f.write_str("rule unknown (the location is not known)"),
            Why::Default => f.write_str("rule default"),
        }
    }
}

impl<'a> Walk<'a, '_> {
    fn root(&mut self) -> Decision {
        let Some(root) = self.node(self.inputs.plan.root) else { return Decision::NoData };
        if !root.members.iter().any(|id| self.in_lane(*id)) {
            let lane = self.lane;
            self.trace.note(&root.name, || format!("no endpoint has {}: empty answer", lane_name(lane)));
            return Decision::NoData;
        }
        let outcome = match self.eval(self.inputs.plan.root, None, Regard::Health) {
            Outcome::Failed => self.all_down(root, AllDown::ServeAll),
            outcome => outcome,
        };
        match outcome {
            Outcome::Chosen(mix) => Decision::Answer(mix),
            Outcome::Final(decision) => decision,
            Outcome::Failed => Decision::NoData,
        }
    }

    fn eval(&mut self, id: NodeId, only: Option<RegionId>, regard: Regard) -> Outcome {
        let Some(node) = self.node(id) else { return Outcome::Failed };
        self.trace.enter();
        let mut outcome =
            if self.enough(node, only, regard) { self.rule(node, only, regard) } else { Outcome::Failed };
        // Split by region (`only`), a node is not whole: that nothing is healthy in one region is no
        // reason for its mode to act.
        if let (Outcome::Failed, Some(mode), None, Regard::Health) = (&outcome, node.all_down, only, regard) {
            outcome = self.all_down(node, mode);
        }
        self.trace.leave();
        outcome
    }

    fn rule(&mut self, node: &'a Node, only: Option<RegionId>, regard: Regard) -> Outcome {
        match &node.rule {
            Rule::Pool { answers } => self.pool(node, *answers, only, regard),
            Rule::Failover { children } => self.failover(node, children, only, regard),
            Rule::Nearest { children, lens, unknown, answers } => {
                let lens = usize::from(*lens);
                let known = self.place.filter(|place| place.is_known(lens));
                let order: &'a [RegionId] = known.map_or(unknown, |place| place.order(lens));
                let regions = order.iter().copied().filter(|region| node.regions.contains(region));
                self.by_region(node, children, regions, *answers, only, regard)
            }
            Rule::Latency { children, lens, unknown, answers } => {
                let scored = self.scored(node, usize::from(*lens), unknown, regard);
                self.by_region(node, children, scored.into_iter(), *answers, only, regard)
            }
            Rule::Geo { lens, rules, default, unknown } => {
                self.geo(node, *lens, rules, [*unknown, *default], only, regard)
            }
            Rule::Weighted { children, sticky } => {
                let seeds = sticky.as_ref().map(|sticky| &*sticky.seeds);
                self.weighted(node, children, seeds, only, regard)
            }
            Rule::Multivalue { children, answers } => self.multivalue(children, *answers, only, regard),
        }
    }

    fn pool(&mut self, node: &'a Node, answers: u8, only: Option<RegionId>, regard: Regard) -> Outcome {
        let members = self.eligible_of(&node.members, only, regard);
        self.draw_among(members, answers, regard)
    }

    fn failover(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        for child in children {
            match self.eval(*child, only, regard) {
                Outcome::Failed => self.dropped(node, *child),
                outcome => {
                    self.kept(node, *child);
                    return outcome;
                }
            }
        }
        Outcome::Failed
    }

    /// `nearest` and `latency`: the first region in order whose group has not failed.
    fn by_region(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        regions: impl Iterator<Item = RegionId>,
        answers: u8,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        for region in regions.filter(|region| only.is_none_or(|only| only == *region)) {
            match self.group(node, children, region, answers, regard) {
                Outcome::Failed => {
                    let fleet = self.inputs.fleet;
                    self.trace.note(&node.name, || {
                        format!(
                            "region {} dropped: too few healthy endpoints there",
                            fleet.region_name(region)
                        )
                    });
                }
                outcome => {
                    let fleet = self.inputs.fleet;
                    self.trace.note(&node.name, || format!("region {} chosen", fleet.region_name(region)));
                    return outcome;
                }
            }
        }
        Outcome::Failed
    }

    /// One region's share of the children: pools become one group, other children are cut to it.
    fn group(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        region: RegionId,
        answers: u8,
        regard: Regard,
    ) -> Outcome {
        if !self.enough(node, Some(region), regard) {
            return Outcome::Failed;
        }
        let mut members: Vec<EndpointId> = Vec::new();
        let mut parts: Vec<(u32, Mix)> = Vec::new();
        for child in children {
            let Some(child_node) = self.node(*child) else { continue };
            if matches!(child_node.rule, Rule::Pool { .. }) {
                if self.enough(child_node, Some(region), regard) {
                    members.extend(self.eligible_of(&child_node.members, Some(region), regard));
                }
            } else if let Outcome::Chosen(mix) = self.eval(*child, Some(region), regard) {
                parts.push((1, mix));
            }
        }
        members.sort_unstable();
        members.dedup();
        if let Outcome::Chosen(mix) = self.draw_among(members, answers, regard) {
            parts.push((1, mix));
        }
        Mix::drawn(parts).map_or(Outcome::Failed, Outcome::Chosen)
    }

    /// The regions below a latency node, the least expected round trip plus service time first.
    fn scored(&mut self, node: &'a Node, lens: usize, unknown: &'a [u16], regard: Regard) -> Vec<RegionId> {
        let mut scores: Vec<(u32, RegionId)> = Vec::with_capacity(node.regions.len());
        for region in &node.regions {
            let away = match (self.place.filter(|place| place.is_known(lens)), self.inputs.rtt) {
                (Some(_), Some(rtt)) => rtt.tenths(self.class, *region),
                _ => unknown.get(region.index()).copied().unwrap_or(u16::MAX),
            };
            let service = self.service_tenths(node, *region, regard);
            let fleet = self.inputs.fleet;
            self.trace.note(&node.name, || {
                let (away, service) = (f64::from(away) / 10.0, f64::from(service) / 10.0);
                format!(
                    "region {}: {:.1} ms expected = {away:.1} away + {service:.1} service",
                    fleet.region_name(*region),
                    away + service,
                )
            });
            scores.push((u32::from(away) + service, *region));
        }
        scores.sort_unstable();
        scores.into_iter().map(|score| score.1).collect()
    }

    /// The mean published service time of a region's eligible endpoints below a node, in 0.1 ms.
    fn service_tenths(&mut self, node: &'a Node, region: RegionId, regard: Regard) -> u32 {
        let (mut sum, mut count) = (0u32, 0u32);
        for id in node.members.iter() {
            let Some(endpoint) = self.inputs.fleet.endpoint(*id) else { continue };
            if endpoint.region == region && self.in_lane(*id) && self.eligible(*id, regard) {
                let ms =
                    endpoint.monitor.map_or(0, |monitor| self.inputs.health.service_time_ms(region, monitor));
                sum += u32::from(ms) * 10;
                count += 1;
            }
        }
        sum / count.max(1)
    }

    fn geo(
        &mut self,
        node: &'a Node,
        lens: u8,
        rules: &'a [(GeoKey, Branch)],
        [unknown, default]: [Option<Branch>; 2],
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let lens = usize::from(lens);
        let known = self.place.is_some_and(|place| place.is_known(lens));
        let matched: &[u16] = self.place.map_or(&[], |place| place.rules(lens));
        let matched = matched.iter().filter_map(|number| rules.get(usize::from(*number)));
        let unknown = unknown.filter(|_| !known).map(|branch| (Why::Unknown, branch));
        let default = default.map(|branch| (Why::Default, branch));
        let branches = matched.map(|(key, branch)| (Why::Rule(key), *branch)).chain(unknown).chain(default);
        for (why, branch) in branches {
            match self.branch(branch, only, regard) {
                Outcome::Failed => self.trace.note(&node.name, || format!("{why} has failed: dropped")),
                outcome => {
                    self.trace.note(&node.name, || format!("{why} decides"));
                    return outcome;
                }
            }
        }
        Outcome::Failed
    }

    fn branch(&mut self, branch: Branch, only: Option<RegionId>, regard: Regard) -> Outcome {
        let outcome = self.eval(branch.node, only, regard);
        match (outcome, self.node(branch.node)) {
            (Outcome::Failed, Some(child)) if branch.geofence && only.is_none() => {
                self.trace.note(&child.name, || "fenced: never left".to_owned());
                match self.all_down(child, child.all_down.unwrap_or(AllDown::ServeAll)) {
                    Outcome::Failed => Outcome::Final(Decision::NoData),
                    outcome => outcome,
                }
            }
            (outcome, _) => outcome,
        }
    }

    fn weighted(
        &mut self,
        node: &'a Node,
        children: &'a [(NodeId, u16)],
        seeds: Option<&'a [u64]>,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let mut last: Option<Decision> = None;
        // The standby tier, weight 0, is asked only when every other child has failed (R4).
        for standby in [false, true] {
            let mut parts: Vec<(u64, u32, Mix)> = Vec::new();
            for (index, (child, weight)) in children.iter().enumerate() {
                if (*weight == 0) != standby {
                    continue;
                }
                match self.eval(*child, only, regard) {
                    Outcome::Chosen(mix) => {
                        let seed = seeds.and_then(|seeds| seeds.get(index)).copied().unwrap_or(0);
                        self.kept(node, *child);
                        parts.push((seed, if standby { 1 } else { u32::from(*weight) }, mix));
                    }
                    Outcome::Final(decision) => last = Some(decision),
                    Outcome::Failed => self.dropped(node, *child),
                }
            }
            let mix = match seeds {
                Some(_) => Mix::sticky(parts),
                None => Mix::drawn(parts.into_iter().map(|(_, weight, mix)| (weight, mix)).collect()),
            };
            if let Some(mix) = mix {
                return Outcome::Chosen(mix);
            }
        }
        last.map_or(Outcome::Failed, Outcome::Final)
    }

    fn multivalue(
        &mut self,
        children: &'a [NodeId],
        answers: u8,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let mut members: Vec<EndpointId> = Vec::new();
        for child in children {
            if let Outcome::Chosen(mix) = self.eval(*child, only, regard) {
                mix.visit(1.0, &mut |_, pick| members.extend(pick.endpoints.iter().copied()));
            }
        }
        members.sort_unstable();
        members.dedup();
        self.draw_among(members, answers, regard)
    }

    /// A draw among eligible endpoints: those with a weight, else the standby tier in equal shares.
    fn draw_among(&mut self, mut members: Vec<EndpointId>, answers: u8, regard: Regard) -> Outcome {
        let fleet = self.inputs.fleet;
        let weight = |id: &EndpointId| fleet.endpoint(*id).map_or(0, |endpoint| u32::from(endpoint.weight));
        if members.iter().any(|id| weight(id) > 0) {
            members.retain(|id| weight(id) > 0);
        }
        let share = |id: &EndpointId| weight(id).max(1);
        let parts: Vec<(u32, Mix)> = if answers <= 1 {
            members.iter().map(|id| (share(id), self.pick(&[*id], regard))).collect()
        } else {
            members.sort_by_key(|id| (fleet.endpoint(*id).map_or(0, |endpoint| endpoint.order), *id));
            let width = usize::from(answers);
            if members.len() <= width {
                if members.is_empty() { Vec::new() } else { vec![(1, self.pick(&members, regard))] }
            } else {
                // Windows over the hashed order, not all subsets: as many answers as members.
                let twice: Vec<EndpointId> = members.iter().chain(&members).copied().collect();
                let windows = twice.windows(width).take(members.len());
                windows.map(|window| (window.first().map_or(1, share), self.pick(window, regard))).collect()
            }
        };
        Mix::drawn(parts).map_or(Outcome::Failed, Outcome::Chosen)
    }

    fn pick(&self, endpoints: &[EndpointId], regard: Regard) -> Mix {
        let mut addresses = Vec::new();
        if let Lane::Addresses(family) = self.lane {
            for id in endpoints {
                let Some(endpoint) = self.inputs.fleet.endpoint(*id) else { continue };
                let own = endpoint.addresses.iter().filter(|own| Family::of(own.address) == family);
                addresses.extend(own.filter(|own| self.well(*id, own.target, regard)).map(|own| own.address));
            }
        }
        let counters = endpoints.iter().filter_map(|id| self.inputs.plan.counter(*id)).collect();
        Mix::One(Pick { endpoints: endpoints.into(), addresses: addresses.into(), counters })
    }

    /// R9: what happens at a node (or fence, or root) under which nothing is healthy.
    fn all_down(&mut self, node: &'a Node, mode: AllDown) -> Outcome {
        self.mode = Mode::AllDown;
        self.trace.note(&node.name, || format!("nothing healthy below: {}", mode_name(mode)));
        match mode {
            AllDown::NoData => Outcome::Final(Decision::NoData),
            AllDown::Refuse => Outcome::Final(Decision::Refused),
            AllDown::ServeAll => self.serve_all(node),
            AllDown::LastGood => match self.rule(node, None, Regard::LastGood) {
                Outcome::Failed => self.serve_all(node),
                outcome => outcome,
            },
            AllDown::Fallback(other) => match self.eval(other, None, Regard::Health) {
                Outcome::Failed => self.node(other).map_or(Outcome::Failed, |other| self.serve_all(other)),
                outcome => outcome,
            },
        }
    }

    fn serve_all(&mut self, node: &'a Node) -> Outcome {
        for regard in [Regard::Anything, Regard::Drained] {
            match self.rule(node, None, regard) {
                Outcome::Failed => {}
                outcome => return outcome,
            }
            // A policy that has no branch for this place (a geo node without default) must not make an
            // empty answer while an endpoint exists.
            let members = self.eligible_of(&node.members, None, regard);
            if !members.is_empty() {
                return self.draw_among(members, 1, regard);
            }
        }
        Outcome::Failed
    }

    /// R3: whether enough members are well, of those with data for this lane (and in this region).
    fn enough(&mut self, node: &'a Node, only: Option<RegionId>, regard: Regard) -> bool {
        // One member is enough and the children will say whether there is one. Counting here would
        // tie the TTL to endpoints far from the client.
        if only.is_none()
            && node.min_healthy == MinHealthy::Count(1)
            && !matches!(node.rule, Rule::Pool { .. })
        {
            return true;
        }
        let (mut all, mut healthy) = (0usize, 0usize);
        for id in node.members.iter() {
            if self.in_region(*id, only) && self.in_lane(*id) {
                all += 1;
                healthy += usize::from(self.eligible(*id, regard));
            }
        }
        let enough = match regard {
            Regard::Health | Regard::LastGood => node.min_healthy.met(healthy, all),
            Regard::Anything | Regard::Drained => healthy > 0,
        };
        if !enough && only.is_none() {
            self.trace.note(&node.name, || {
                format!("failed: {healthy} of {all} healthy, needs {}", node.min_healthy)
            });
        }
        enough
    }

    fn eligible_of(
        &mut self,
        members: &[EndpointId],
        only: Option<RegionId>,
        regard: Regard,
    ) -> Vec<EndpointId> {
        let mut eligible = Vec::new();
        for id in members.iter().copied() {
            if !self.in_region(id, only) || !self.in_lane(id) {
                continue;
            }
            let well = self.eligible(id, regard);
            if well {
                eligible.push(id);
            }
            if let Some(endpoint) = self.inputs.fleet.endpoint(id) {
                let forced = self.inputs.health.forced(id);
                self.trace.note(&endpoint.name, || member_note(well, forced, regard));
            }
        }
        eligible
    }

    /// Whether an endpoint has at least one usable address. Notes the TTL bounds of what was consulted.
    fn eligible(&mut self, id: EndpointId, regard: Regard) -> bool {
        let Some(endpoint) = self.inputs.fleet.endpoint(id) else { return false };
        let mut well = false;
        for target in lane_targets(endpoint, self.lane) {
            if let (Regard::Health, Some(target), Forced::Not) =
                (regard, target, self.inputs.health.forced(id))
                && let Some(bound) = self.inputs.health.target(target).ttl_bound_s
            {
                self.ttl_bound_s = Some(self.ttl_bound_s.map_or(bound, |all| all.min(bound)));
            }
            well |= self.well(id, target, regard);
        }
        well
    }

    /// Whether one address counts as well.
    fn well(&self, id: EndpointId, target: Option<crate::ids::TargetId>, regard: Regard) -> bool {
        let probed =
            |table: &HealthTable| target.is_none_or(|target| table.target(target).verdict != Verdict::Down);
        match (self.inputs.health.forced(id), regard) {
            (Forced::Down, _) => false,
            (Forced::Drained, Regard::Drained) => true,
            (Forced::Drained, _) => false,
            (Forced::Up, _) => true,
            (Forced::Not, Regard::Health) => probed(self.inputs.health),
            (Forced::Not, Regard::LastGood) => self.inputs.last_good.is_some_and(probed),
            (Forced::Not, Regard::Anything | Regard::Drained) => true,
        }
    }

    fn in_lane(&self, id: EndpointId) -> bool {
        self.inputs
            .fleet
            .endpoint(id)
            .is_some_and(|endpoint| lane_targets(endpoint, self.lane).next().is_some())
    }

    fn in_region(&self, id: EndpointId, only: Option<RegionId>) -> bool {
        only.is_none_or(|only| self.inputs.fleet.endpoint(id).is_some_and(|endpoint| endpoint.region == only))
    }

    fn node(&self, id: NodeId) -> Option<&'a Node> {
        self.inputs.plan.node(id)
    }

    fn kept(&mut self, node: &Node, child: NodeId) {
        let name = self.node(child).map_or("?", |child| &child.name);
        self.trace.note(&node.name, || format!("{name} kept"));
    }

    fn dropped(&mut self, node: &Node, child: NodeId) {
        let name = self.node(child).map_or("?", |child| &child.name);
        self.trace.note(&node.name, || format!("{name} dropped: it has failed"));
    }
}

/// What probes each address that an endpoint has in a lane; empty where it has none.
fn lane_targets(endpoint: &Endpoint, lane: Lane) -> impl Iterator<Item = Option<crate::ids::TargetId>> + '_ {
    let family = match lane {
        Lane::Addresses(family) => Some(family),
        Lane::Alias => None,
    };
    let alias = endpoint.alias.as_ref().filter(|_| family.is_none()).map(|(_, target)| *target);
    endpoint
        .addresses
        .iter()
        .filter(move |own| family.is_some_and(|family| Family::of(own.address) == family))
        .map(|own| own.target)
        .chain(alias)
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Addresses(Family::V4) => "an IPv4 address",
        Lane::Addresses(Family::V6) => "an IPv6 address",
        Lane::Alias => "a host name",
    }
}

fn mode_name(mode: AllDown) -> &'static str {
    match mode {
        AllDown::ServeAll => "serve-all, health is ignored",
        AllDown::LastGood => "last-good, as when something last was",
        AllDown::Fallback(_) => "the fallback answers",
        AllDown::NoData => "an empty answer",
        AllDown::Refuse => "REFUSED",
    }
}

fn member_note(well: bool, forced: Forced, regard: Regard) -> String {
    let said = match forced {
        Forced::Not => "",
        Forced::Up => " (forced up)",
        Forced::Down => " (forced down)",
        Forced::Drained => " (drained)",
    };
    match (well, regard) {
        (true, Regard::Health) => format!("healthy{said}: kept"),
        (true, Regard::LastGood) => format!("healthy when last good{said}: kept"),
        (true, Regard::Anything | Regard::Drained) => format!("kept whatever its health{said}"),
        (false, _) => format!("not usable{said}: dropped"),
    }
}
