//! One walk down a policy tree: which candidates a class of places gets, and why.
//!
//! The same walk answers queries (over all classes, when a view is made) and explains them (over one
//! class, recording). It reads nothing but its arguments.

mod by_region;
mod gates;
mod last_good;
mod last_resort;
mod least_loaded;
mod members;
mod second;
mod testing;
mod ties;
mod told;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::geo::{GeoKey, Place};
use crate::health::HealthTable;
use crate::ids::{ClassId, EndpointId, Family, NodeId, RegionId};

use super::calendar::{Calendar, Switch, utc_text};
use super::decision::{Decided, Decision, Mix, Mode, Pick};
use super::few::Few;
use super::plan::{AllDown, Branch, EndpointAddress, Fleet, Lane, Node, Plan, Rule, Trickle};
use super::rtt::RttTable;
use super::trace::Trace;

pub use by_region::ByRegion;
pub use last_good::LastGood;
pub use testing::decide_region;

use gates::{Forks, Gates};
use members::Regard;
use told::TOO_FEW;

/// What a walk reads besides the place.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Endpoints and regions.
    pub fleet: &'a Fleet,
    /// The tree.
    pub plan: &'a Plan,
    /// The states.
    pub health: &'a HealthTable,
    /// What the schedules say (R13).
    pub calendar: &'a Calendar,
    /// What R9's `last-good` goes by.
    pub last_good: Option<&'a LastGood>,
    /// Expected round trips, where a policy asks for them.
    pub rtt: Option<&'a RttTable>,
}

/// Decides for one class of places. `place` is `None` for a plan that consults no map.
pub fn decide(inputs: Inputs<'_>, class: ClassId, place: Option<Place<'_>>, lane: Lane) -> Decided {
    forks(inputs, class, place, lane).decided()
}

/// Decides for one client of a class of places as [`decide`] does, recording. `client` is its
/// [`super::client_key`].
pub fn retrace(
    inputs: Inputs<'_>,
    class: ClassId,
    place: Option<Place<'_>>,
    lane: Lane,
    client: u64,
    trace: &mut Trace,
) -> Decided {
    let forks = forks(inputs, class, place, lane);
    let gates = forks.gates_of(client);
    let (decided, _) = Walk { class, place, gates, ..Walk::new(inputs, lane, trace) }.decided();
    Decided { ttl_bound_s: forks.decided().ttl_bound_s, ..decided }
}

fn forks(inputs: Inputs<'_>, class: ClassId, place: Option<Place<'_>>, lane: Lane) -> Forks {
    Forks::new(|gates| {
        let mut trace = Trace::off();
        Walk { class, place, gates, ..Walk::new(inputs, lane, &mut trace) }.decided()
    })
}

struct Walk<'a, 't> {
    inputs: Inputs<'a>,
    class: ClassId,
    place: Option<Place<'a>>,
    lane: Lane,
    trace: &'t mut Trace,
    /// The table of the node whose `last-good` acts.
    last_good: Option<&'a HealthTable>,
    /// What is known of the clients at partial shares (R12).
    gates: Gates,
    ttl_bound_s: Option<u32>,
    mode: Mode,
    /// How often a fence has decided.
    fences: u32,
}

/// What a node says to its parent.
enum Outcome {
    Chosen(Mix),
    Failed,
    /// Failed in the region asked for, below a node that must not be left: a fence, or one with a mode of
    /// its own. Whoever split the tree tries the other regions, and then lets it act.
    Held(Branch),
    /// R9's `nodata` and `refuse`, or a fence with nothing inside: goes up to the root unchanged.
    Final(Decision),
}

/// Which addresses of an endpoint count.
type Usable<'u> = &'u dyn Fn(EndpointId, &EndpointAddress) -> bool;

/// What members of a group are drawn by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weigh {
    /// Their weight.
    AsWritten,
    /// Their weight, and the load that they can take.
    ByLoad,
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

impl<'a, 't> Walk<'a, 't> {
    fn new(inputs: Inputs<'a>, lane: Lane, trace: &'t mut Trace) -> Walk<'a, 't> {
        let class = ClassId(0);
        Walk {
            inputs,
            class,
            place: None,
            lane,
            trace,
            last_good: None,
            gates: Gates::default(),
            ttl_bound_s: None,
            mode: Mode::Normal,
            fences: 0,
        }
    }

    fn decided(mut self) -> (Decided, Gates) {
        let decision = self.root();
        let mode = match &decision {
            Decision::Answer(mix) if self.mode == Mode::Normal && self.is_frozen(mix) => Mode::Frozen,
            _ => self.mode,
        };
        (Decided { decision, ttl_bound_s: self.ttl_bound_s, mode }, self.gates)
    }

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
            Outcome::Failed | Outcome::Held(_) => Decision::NoData,
        }
    }

    fn eval(&mut self, id: NodeId, only: Option<RegionId>, regard: Regard) -> Outcome {
        let Some(node) = self.node(id) else { return Outcome::Failed };
        self.trace.enter();
        let on = self.is_on(node);
        let mut outcome = match (on && self.enough(node, only, regard), only) {
            (true, _) => self.rule(node, only, regard),
            (false, _) if !on => Outcome::Failed,
            (false, None) => self.fenced_below(node, regard),
            // Too few in one region: failed, but a fence below has to be heard of.
            (false, Some(_)) => match self.rule(node, only, regard) {
                held @ Outcome::Held(_) => held,
                _ => Outcome::Failed,
            },
        };
        if let (Outcome::Failed, Some(mode), Regard::Health | Regard::Unshared) =
            (&outcome, node.all_down, regard)
        {
            outcome = match only {
                None => self.all_down(node, mode),
                // Split by region, a node is not whole: that nothing is healthy in one region is no reason
                // for its mode to act.
                Some(_) => Outcome::Held(Branch { node: id, geofence: false }),
            };
        }
        self.trace.leave();
        outcome
    }

    /// R13: whether a node's schedule lets it be used.
    fn is_on(&mut self, node: &Node) -> bool {
        let Some(state) = node.schedule.map(|schedule| self.inputs.calendar.state(schedule)) else {
            return true;
        };
        self.trace.note(&node.name, || {
            let said = match state.switch {
                Switch::On => "on by its schedule",
                Switch::Off => "failed: off by its schedule",
            };
            let until = state.until.map_or(String::new(), |until| format!(" until {}", utc_text(until)));
            format!("{said}{until}")
        });
        state.switch == Switch::On
    }

    fn rule(&mut self, node: &'a Node, only: Option<RegionId>, regard: Regard) -> Outcome {
        match &node.rule {
            Rule::Pool { answers } => self.pool(node, *answers, only, regard),
            Rule::Failover { children, trickle } => self.failover(node, children, *trickle, only, regard),
            Rule::Nearest { children, lens, unknown, answers } => {
                let lens = usize::from(*lens);
                let known = self.place.filter(|place| place.is_known(lens));
                let (order, ties): (&'a [RegionId], &'a [u16]) = match known {
                    Some(place) => (place.order(lens), place.ties(lens)),
                    None => (&unknown.regions, &unknown.reaches),
                };
                self.by_region(node, children, (order, ties), *answers, only, regard)
            }
            Rule::Latency { children, lens, unknown, answers } => {
                let scored = self.scored(node, usize::from(*lens), unknown, regard);
                self.by_region(node, children, (&scored, &[]), *answers, only, regard)
            }
            Rule::Geo { lens, rules, default, unknown } => {
                self.geo(node, *lens, rules, [*unknown, *default], only, regard)
            }
            Rule::Weighted { children, sticky } => {
                let seeds = sticky.as_ref().map(|sticky| &*sticky.seeds);
                self.weighted(node, children, seeds, only, regard)
            }
            Rule::LeastLoaded { children, seeds, answers } => {
                self.least_loaded(node, children, seeds, *answers, only, regard)
            }
            Rule::Multivalue { children, answers } => self.multivalue(children, *answers, only, regard),
        }
    }

    fn pool(&mut self, node: &'a Node, answers: u8, only: Option<RegionId>, regard: Regard) -> Outcome {
        let members = self.eligible_of(&node.members, only, regard);
        self.tell_standby(&members);
        self.draw_among(members, answers, &|id, own| self.counts(id, own.id, regard))
    }

    fn failover(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        trickle: Option<Trickle>,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let (first, others) = children.split_at(children.len().min(1));
        let second_first = trickle.is_some_and(|trickle| {
            regard == Regard::Health && !others.is_empty() && self.trickles(node, trickle)
        });
        let (second, others) = others.split_at(others.len().min(1));
        let order = if second_first { [second, first, others] } else { [first, second, others] };
        let mut skipped = None;
        let mut order = order.into_iter().flatten().copied();
        while let Some(child) = order.next() {
            match self.eval(child, only, regard) {
                Outcome::Failed => self.dropped(node, child),
                outcome => {
                    let name = self.node(child).map_or("?", |child| &child.name);
                    let Some(outcome) = self.second(node, outcome, &mut skipped, || name.to_owned()) else {
                        continue;
                    };
                    self.kept(node, child);
                    if self.trace.is_recording() {
                        self.tell_unasked(node, &order.collect::<Vec<_>>());
                    }
                    return outcome;
                }
            }
        }
        self.only_one(node, skipped)
    }

    /// `nearest` and `latency`: the first region in order whose group has not failed, and those that
    /// its tie reaches (`ties` as in [`Place::ties`]).
    fn by_region(
        &mut self,
        node: &'a Node,
        children: &'a [NodeId],
        (order, ties): (&[RegionId], &[u16]),
        answers: u8,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let (mut held, mut skipped) = (None, None);
        let asked =
            |region: &RegionId| only.is_none_or(|only| only == *region) && node.regions.contains(region);
        for (place, region) in order.iter().copied().enumerate().filter(|(_, region)| asked(region)) {
            match self.group(node, children, region, answers, regard) {
                outcome @ (Outcome::Failed | Outcome::Held(_)) => {
                    if let Outcome::Held(branch) = outcome {
                        held.get_or_insert(branch);
                    }
                    self.tell_region_dropped(node, region, "", regard);
                }
                outcome => {
                    let fleet = self.inputs.fleet;
                    let name = || format!("region {}", fleet.region_name(region));
                    let Some(outcome) = self.second(node, outcome, &mut skipped, name) else { continue };
                    self.trace.note(&node.name, || format!("region {} chosen", fleet.region_name(region)));
                    let reach = ties.get(place).map_or(0, |reach| usize::from(*reach));
                    let mut tied =
                        order.get(place + 1..reach).unwrap_or(&[]).iter().copied().filter(asked).peekable();
                    let (Outcome::Chosen(mix), Some(_)) = (&outcome, tied.peek()) else { return outcome };
                    let mix = self.with_tied(node, children, mix.clone(), tied, answers, regard);
                    return mix.map_or(Outcome::Failed, Outcome::Chosen);
                }
            }
        }
        if skipped.is_some() {
            return self.only_one(node, skipped);
        }
        self.none_of(held, only)
    }

    /// No region has anybody: a fence among them acts where the tree is whole.
    fn none_of(&mut self, held: Option<Branch>, only: Option<RegionId>) -> Outcome {
        match (held, only) {
            (None, _) => Outcome::Failed,
            (Some(branch), None) => self.held(branch),
            (Some(branch), Some(_)) => Outcome::Held(branch),
        }
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
        let enough = self.enough(node, Some(region), regard);
        let mut members: Vec<EndpointId> = Vec::new();
        let mut parts: Vec<(u32, Mix)> = Vec::new();
        let mut held = None;
        for child in children {
            let Some(child_node) = self.node(*child) else { continue };
            if matches!(child_node.rule, Rule::Pool { .. }) {
                if !enough {
                    self.tell_members(&child_node.members, Some(region), regard, TOO_FEW);
                } else if self.enough(child_node, Some(region), regard) {
                    members.extend(self.eligible_of(&child_node.members, Some(region), regard));
                } else {
                    self.tell_too_few(child_node, region, regard);
                }
                continue;
            }
            // Too few here are no reason not to hear of a fence.
            match self.eval(*child, Some(region), regard) {
                Outcome::Chosen(mix) if enough => parts.push((1, mix)),
                Outcome::Held(branch) => held = held.or(Some(branch)),
                Outcome::Chosen(_) | Outcome::Failed | Outcome::Final(_) => {}
            }
        }
        members.sort_unstable();
        members.dedup();
        self.tell_standby(&members);
        let by_load = matches!(node.rule, Rule::LeastLoaded { .. });
        let weigh = if by_load { Weigh::ByLoad } else { Weigh::AsWritten };
        let pools = self.draw_by(members, answers, weigh, &|id, own| self.counts(id, own.id, regard));
        if let Outcome::Chosen(mix) = pools {
            parts.push((1, mix));
        }
        match (Mix::drawn(parts), held) {
            (Some(mix), _) => Outcome::Chosen(mix),
            (None, Some(branch)) => Outcome::Held(branch),
            (None, None) => Outcome::Failed,
        }
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

    /// The mean published service time of a region's eligible endpoints below a node, in 0.1 ms. Bounds no
    /// TTL: the health of a region that is not chosen decides nothing, and times are published when they
    /// have moved.
    fn service_tenths(&self, node: &'a Node, region: RegionId, regard: Regard) -> u32 {
        let (mut sum, mut count) = (0u32, 0u32);
        for id in node.members.iter() {
            let Some(endpoint) = self.inputs.fleet.endpoint(*id) else { continue };
            if endpoint.region == region && self.is_well(*id, endpoint, regard) {
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
        self.tell_matches(node, rules, matched);
        let matched = matched.iter().filter_map(|number| rules.get(usize::from(*number)));
        let unknown = unknown.filter(|_| !known).map(|branch| (Why::Unknown, branch));
        let default = default.map(|branch| (Why::Default, branch));
        let branches = matched.map(|(key, branch)| (Why::Rule(key), *branch)).chain(unknown).chain(default);
        let mut skipped = None;
        for (why, branch) in branches {
            match self.branch(branch, only, regard) {
                Outcome::Failed => self.trace.note(&node.name, || format!("{why} has failed: dropped")),
                outcome => {
                    let Some(outcome) = self.second(node, outcome, &mut skipped, || why.to_string()) else {
                        continue;
                    };
                    self.trace.note(&node.name, || format!("{why} decides"));
                    return outcome;
                }
            }
        }
        self.only_one(node, skipped)
    }

    fn branch(&mut self, branch: Branch, only: Option<RegionId>, regard: Regard) -> Outcome {
        let outcome = match (self.eval(branch.node, only, regard), only) {
            (Outcome::Failed, None) if branch.geofence => self.held(branch),
            (Outcome::Failed | Outcome::Held(_), Some(_)) if branch.geofence => Outcome::Held(branch),
            (outcome, _) => outcome,
        };
        self.fences += u32::from(branch.geofence && !matches!(outcome, Outcome::Failed));
        outcome
    }

    fn weighted(
        &mut self,
        node: &'a Node,
        children: &'a [(NodeId, u16)],
        seeds: Option<&'a [u64]>,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let mut last: Option<Outcome> = None;
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
                        let name = self.node(*child).map_or("?", |child| &child.name);
                        self.trace.note(&node.name, || format!("{name} kept: weight {weight}"));
                        parts.push((seed, if standby { 1 } else { u32::from(*weight) }, mix));
                    }
                    outcome @ (Outcome::Final(_) | Outcome::Held(_)) => last = Some(outcome),
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
        last.unwrap_or(Outcome::Failed)
    }

    fn multivalue(
        &mut self,
        children: &'a [NodeId],
        answers: u8,
        only: Option<RegionId>,
        regard: Regard,
    ) -> Outcome {
        let mut members: Vec<EndpointId> = Vec::new();
        // What the children serve: a mode below may serve what is not well.
        let mut served: BTreeSet<IpAddr> = BTreeSet::new();
        let mut last: Option<Outcome> = None;
        for child in children {
            match self.eval(*child, only, regard) {
                Outcome::Chosen(mix) => mix.visit(1.0, &mut |_, pick| {
                    members.extend(pick.endpoints.iter().copied());
                    served.extend(pick.addresses.iter().copied());
                }),
                outcome @ (Outcome::Final(_) | Outcome::Held(_)) => last = Some(outcome),
                Outcome::Failed => {}
            }
        }
        members.sort_unstable();
        members.dedup();
        match self.draw_among(members, answers, &|_, own| served.contains(&own.address)) {
            Outcome::Failed => last.unwrap_or(Outcome::Failed),
            outcome => outcome,
        }
    }

    /// A draw among endpoints: those with a weight, else the standby tier in equal shares. `usable` says
    /// which of their addresses count.
    fn draw_among(&self, members: Vec<EndpointId>, answers: u8, usable: Usable<'_>) -> Outcome {
        self.draw_by(members, answers, Weigh::AsWritten, usable)
    }

    fn draw_by(
        &self,
        mut members: Vec<EndpointId>,
        answers: u8,
        weigh: Weigh,
        usable: Usable<'_>,
    ) -> Outcome {
        let fleet = self.inputs.fleet;
        let weight = |id: &EndpointId| fleet.endpoint(*id).map_or(0, |endpoint| u32::from(endpoint.weight));
        if members.iter().any(|id| weight(id) > 0) {
            members.retain(|id| weight(id) > 0);
        }
        let share = |id: &EndpointId| match weigh {
            Weigh::AsWritten => weight(id).max(1),
            Weigh::ByLoad => weight(id).max(1) * self.load_weight(*id).max(1),
        };
        let parts: Vec<(u32, Mix)> = if answers <= 1 {
            members.iter().map(|id| (share(id), self.pick(&[*id], usable))).collect()
        } else {
            members.sort_by_key(|id| (fleet.endpoint(*id).map_or(0, |endpoint| endpoint.order), *id));
            let width = usize::from(answers);
            if members.len() <= width {
                if members.is_empty() { Vec::new() } else { vec![(1, self.pick(&members, usable))] }
            } else {
                // Windows over the hashed order, not all subsets: as many answers as members.
                let twice: Vec<EndpointId> = members.iter().chain(&members).copied().collect();
                let windows = twice.windows(width).take(members.len());
                windows.map(|window| (window.first().map_or(1, share), self.pick(window, usable))).collect()
            }
        };
        Mix::drawn(parts).map_or(Outcome::Failed, Outcome::Chosen)
    }

    fn pick(&self, endpoints: &[EndpointId], usable: Usable<'_>) -> Mix {
        let mut addresses: Few<IpAddr> = Few::new();
        for id in endpoints {
            let Some(endpoint) = self.inputs.fleet.endpoint(*id) else { continue };
            for own in self.data(endpoint, self.lane) {
                // Endpoints of two pools may be one machine: an RRset has no record twice.
                if usable(*id, &own) && !addresses.contains(&own.address) {
                    addresses.push(own.address);
                }
            }
        }
        let counters = endpoints.iter().filter_map(|id| self.inputs.plan.counter(*id)).collect();
        Mix::One(Pick { endpoints: endpoints.iter().copied().collect(), addresses, counters })
    }

    fn node(&self, id: NodeId) -> Option<&'a Node> {
        self.inputs.plan.node(id)
    }
}

fn lane_name(lane: Lane) -> &'static str {
    match lane {
        Lane::Addresses(Family::V4) => "an IPv4 address",
        Lane::Addresses(Family::V6) => "an IPv6 address",
        Lane::Alias => "a host name",
        Lane::Service => "an address",
    }
}
