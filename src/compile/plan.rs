//! Policies of the configuration into plans: trees over dense numbers, and the location maps they ask.

use std::collections::{BTreeSet, HashMap};

use crate::config::{self, Config, Problems};
use crate::geo::{Coordinates, GeoKey, Lens, MapSpec, RegionOrder, ScopeFloor};
use crate::ids::{CounterId, EndpointId, Family, MapId, NodeId, PoolId, RegionId, ServiceId};
use crate::steer::{
    Aaaa, AllDown, Branch, ClientSubnetUse, Endpoint, EndpointAddress, Fleet, Lane, MinHealthy, Node, Plan,
    Rule, Sticky, StickyKey, Trickle, prior_tenths,
};

use super::fleet::Members;

/// Lenses of one plan: a rule names its lens by a `u8`, and every class has a value for each.
const LENSES_MAX: usize = 255;

/// The plans of all services, and the specs of the maps they refer to.
pub struct Plans {
    /// By `ServiceId`.
    pub plans: Box<[Plan]>,
    /// By `MapId`: each spec once, however many services share it.
    pub maps: Vec<MapSpec>,
}

/// Compiles all services. `counter` gives out a counter by identity: (service, `pool/endpoint`).
pub fn plans(
    config: &Config,
    fleet: &Fleet,
    members: &Members,
    counter: &mut dyn FnMut(&str, &str) -> CounterId,
    problems: &mut Problems,
) -> Plans {
    let regions = ordered_regions(config, members);
    let mut maps: Vec<MapSpec> = Vec::new();
    let mut numbers: HashMap<MapSpec, MapId> = HashMap::new();
    let plans = (0..).map(ServiceId).zip(&config.services).map(|(id, service)| {
        let mut tree =
            Tree { config, members, nodes: Vec::new(), numbers: HashMap::new(), lenses: Vec::new(), service };
        let root = tree.node(service.policy);
        let Tree { nodes, lenses, .. } = tree;
        if lenses.len() > LENSES_MAX {
            problems.error(
                service.span,
                format!(
                    "service \"{}\" asks {} different questions of a place, more than {LENSES_MAX}",
                    service.name,
                    lenses.len()
                ),
                "every geo policy with rules of its own is one: join some, or split the service",
            );
        }
        let map = map_spec(lenses, &regions, service.scope_floor).map(|spec| {
            *numbers.entry(spec).or_insert_with_key(|spec| {
                maps.push(spec.clone());
                MapId(u16::try_from(maps.len() - 1).unwrap_or(u16::MAX))
            })
        });
        let key = StickyKey(config.server.hash_key);
        let resolve_s = u32::try_from(config.probes.resolve_interval.as_secs()).unwrap_or(u32::MAX);
        let plan = plan(id, service, fleet, nodes, (root, map, key, resolve_s), counter);
        check_fences(config, service, fleet, &plan, problems);
        check_alias_families(service, &plan, problems);
        plan
    });
    Plans { plans: plans.collect(), maps }
}

/// Coordinates by region, of the regions that some `nearest` policy orders. Services with subsets of
/// them share one map; a region that nobody orders must not make its classes finer.
fn ordered_regions(config: &Config, members: &Members) -> Box<[Option<Coordinates>]> {
    let mut ordered: BTreeSet<RegionId> = BTreeSet::new();
    for policy in &config.policies {
        if let config::Rule::Nearest { children, .. } = &policy.rule {
            for child in children {
                ordered.extend(regions_below(config, members, *child));
            }
        }
    }
    let regions = config.regions.iter().enumerate();
    regions
        .map(|(index, region)| region.coordinates.filter(|_| ordered.contains(&RegionId(index as u16))))
        .collect()
}

fn regions_below(config: &Config, members: &Members, node: NodeId) -> Vec<RegionId> {
    let mut pools = BTreeSet::new();
    pools_below(config, node, &mut pools);
    pools.iter().flat_map(|pool| members.of(*pool)).map(|member| member.region).collect()
}

fn pools_below(config: &Config, node: NodeId, pools: &mut BTreeSet<PoolId>) {
    let Some(policy) = config.policies.get(node.index()) else { return };
    if let config::Rule::Pool { pool, .. } = policy.rule {
        pools.insert(pool);
    }
    for child in children(policy) {
        pools_below(config, child, pools);
    }
}

/// Every node that a policy can lead to, its fallback included.
fn children(policy: &config::Policy) -> Vec<NodeId> {
    let mut all = match &policy.rule {
        config::Rule::Pool { .. } => Vec::new(),
        config::Rule::Failover { children, .. }
        | config::Rule::Nearest { children, .. }
        | config::Rule::Latency { children, .. }
        | config::Rule::LeastLoaded { children, .. }
        | config::Rule::Multivalue { children, .. } => children.clone(),
        config::Rule::Weighted { children, .. } => children.iter().map(|(child, _)| *child).collect(),
        config::Rule::Geo { rules, default, unknown } => {
            let branches = rules.iter().map(|rule| rule.branch).chain(*default).chain(*unknown);
            branches.map(|branch| branch.node).collect()
        }
    };
    if let Some(config::AllDown::Fallback(node)) = policy.all_down {
        all.push(node);
    }
    all
}

/// The map that a plan with these lenses consults; `None` where the place plays no part.
fn map_spec(lenses: Vec<Lens>, regions: &[Option<Coordinates>], floor: ScopeFloor) -> Option<MapSpec> {
    if lenses.is_empty() {
        return None;
    }
    let orders = lenses.iter().any(|lens| matches!(lens, Lens::Order { .. }));
    let regions = if orders { regions.into() } else { [].into() };
    Some(MapSpec { regions, lenses: lenses.into(), floor })
}

fn plan(
    id: ServiceId,
    service: &config::Service,
    fleet: &Fleet,
    nodes: Vec<Node>,
    (root, map, key, resolve_s): (NodeId, Option<MapId>, StickyKey, u32),
    counter: &mut dyn FnMut(&str, &str) -> CounterId,
) -> Plan {
    // Fallbacks lie outside the root's members but answer all the same.
    let members: BTreeSet<EndpointId> = nodes.iter().flat_map(|node| node.members.iter().copied()).collect();
    let members: Box<[EndpointId]> = members.into_iter().collect();
    let endpoints = || members.iter().filter_map(|id| fleet.endpoint(*id));
    let counters = endpoints().map(|endpoint| counter(&service.name, &endpoint.name)).collect();
    let addresses: BTreeSet<_> = endpoints()
        .flat_map(|endpoint| {
            let alias = endpoint.alias.iter().map(|(_, id)| *id);
            endpoint.addresses.iter().map(|own| own.id).chain(alias)
        })
        .collect();
    let schedules: BTreeSet<_> = nodes.iter().filter_map(|node| node.schedule).collect();
    let testing: BTreeSet<RegionId> = match service.testing_names {
        true => endpoints().map(|endpoint| endpoint.region).collect(),
        false => BTreeSet::new(),
    };
    Plan {
        service: id,
        name: service.name.as_str().into(),
        nodes: nodes.into(),
        root,
        ttl_s: service.ttl_s.clone(),
        client_subnet: match &service.client_subnet {
            config::ClientSubnetUse::Use => ClientSubnetUse::Use,
            config::ClientSubnetUse::Ignore => ClientSubnetUse::Ignore,
            config::ClientSubnetUse::Trusted(networks) => {
                ClientSubnetUse::Trusted(networks.as_slice().into())
            }
        },
        alias: service.alias,
        flatten: service.flatten.then_some(resolve_s),
        lanes: lanes(service),
        map,
        counters,
        addresses: addresses.into_iter().collect(),
        testing: testing.into_iter().collect(),
        schedules: schedules.into_iter().collect(),
        families: service.families,
        without_ipv6: without_ipv6(service, fleet, &members),
        gates: fleet.regions.iter().map(|region| key.region_gate(&service.name, region)).collect(),
        members,
    }
}

/// What is decided of a service: HTTPS and SVCB have a lane only where they are asked for.
fn lanes(service: &config::Service) -> Box<[Lane]> {
    if service.alias {
        return [Lane::Alias].into();
    }
    let binds = service.https.is_some() || service.svcb.is_some();
    let families = Family::ALL.into_iter().map(Lane::Addresses);
    families.chain(binds.then_some(Lane::Service)).collect()
}

/// R10: the regions that have no IPv6, where that makes for an empty answer.
fn without_ipv6(service: &config::Service, fleet: &Fleet, members: &[EndpointId]) -> Box<[RegionId]> {
    if service.aaaa == Aaaa::NextRegion {
        return Box::new([]);
    }
    let endpoints = || members.iter().filter_map(|id| fleet.endpoint(*id));
    let has_ipv6 = |region: &RegionId| {
        endpoints()
            .filter(|endpoint| endpoint.region == *region)
            .any(|endpoint| may_have(endpoint, Family::V6))
    };
    let regions: BTreeSet<RegionId> = endpoints().map(|endpoint| endpoint.region).collect();
    regions.into_iter().filter(|region| !has_ipv6(region)).collect()
}

/// Whether an endpoint has, or may come to have, an address of a family: a host name's are not known yet.
fn may_have(endpoint: &Endpoint, family: Family) -> bool {
    let own = |own: &EndpointAddress| Family::of(own.address) == family;
    endpoint.alias.is_some() || endpoint.addresses.iter().any(own)
}

/// One service's tree while it is built: shared policies are copied once for each service, because the
/// numbers of lenses are the service's own.
struct Tree<'c> {
    config: &'c Config,
    members: &'c Members,
    nodes: Vec<Node>,
    numbers: HashMap<NodeId, NodeId>,
    lenses: Vec<Lens>,
    service: &'c config::Service,
}

impl Tree<'_> {
    fn node(&mut self, id: NodeId) -> NodeId {
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let Some(policy) = self.config.policies.get(id.index()) else { return NodeId(u32::MAX) };
        let rule = self.rule(policy);
        let all_down = policy.all_down.map(|mode| match mode {
            config::AllDown::ServeAll => AllDown::ServeAll,
            config::AllDown::LastGood => AllDown::LastGood,
            config::AllDown::Fallback(node) => AllDown::Fallback(self.node(node)),
            config::AllDown::NoData => AllDown::NoData,
            config::AllDown::Refuse => AllDown::Refuse,
        });
        let mut pools = BTreeSet::new();
        let below = config::Policy { all_down: None, ..policy.clone() };
        if let config::Rule::Pool { pool, .. } = below.rule {
            pools.insert(pool);
        }
        children(&below).into_iter().for_each(|child| pools_below_rule(self.config, child, &mut pools));
        let members: BTreeSet<_> = pools.iter().flat_map(|pool| self.members.of(*pool)).copied().collect();
        let regions: BTreeSet<RegionId> = members.iter().map(|member| member.region).collect();
        let number = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node {
            name: policy.name.as_str().into(),
            rule,
            min_healthy: policy.min_healthy.map(|min| match min {
                config::MinHealthy::Count(count) => MinHealthy::Count(count),
                config::MinHealthy::Percent(percent) => MinHealthy::Percent(percent),
            }),
            skip_first: policy.skip_first,
            schedule: policy.schedule,
            all_down,
            members: members.iter().map(|member| member.id).collect(),
            regions: regions.into_iter().collect(),
        });
        self.numbers.insert(id, number);
        number
    }

    fn rule(&mut self, policy: &config::Policy) -> Rule {
        match &policy.rule {
            config::Rule::Pool { answers, .. } => Rule::Pool { answers: *answers },
            config::Rule::Failover { children, trickle_permille } => {
                let second = children.get(1).and_then(|child| self.config.policies.get(child.index()));
                let trickle = second.filter(|_| *trickle_permille > 0).map(|second| Trickle {
                    gate: self.key().branch_gate(&self.service.name, &policy.name, &second.name),
                    permille: *trickle_permille,
                });
                Rule::Failover { children: self.all(children), trickle }
            }
            config::Rule::Nearest { children, bias, tie_permille, unknown, answers } => {
                let mut by_region = vec![0i8; self.config.regions.len()];
                for (region, bias) in bias {
                    if let Some(slot) = by_region.get_mut(region.index()) {
                        *slot = *bias;
                    }
                }
                let unknown = self.order_from(*unknown, &by_region, *tie_permille);
                while by_region.last() == Some(&0) {
                    by_region.pop();
                }
                Rule::Nearest {
                    children: self.all(children),
                    lens: self.lens(Lens::Order { bias: by_region.into(), tie_permille: *tie_permille }),
                    unknown,
                    answers: *answers,
                }
            }
            config::Rule::Latency { children, unknown, answers } => Rule::Latency {
                children: self.all(children),
                lens: self.lens(Lens::Cell),
                unknown: self.round_trips_from(*unknown),
                answers: *answers,
            },
            config::Rule::Geo { rules, default, unknown } => {
                let keys: Box<[GeoKey]> = rules.iter().map(|rule| rule.key.clone()).collect();
                let branches =
                    rules.iter().map(|rule| (rule.key.clone(), self.branch(rule.branch))).collect();
                Rule::Geo {
                    lens: self.lens(Lens::Rules(keys)),
                    rules: branches,
                    default: default.map(|branch| self.branch(branch)),
                    unknown: unknown.map(|branch| self.branch(branch)),
                }
            }
            config::Rule::Weighted { children, seats, sticky } => {
                let key = self.key();
                let seeds = children.iter().zip(seats).map(|((child, _), seat)| {
                    let branch = self.config.policies.get(child.index()).map_or("", |policy| &policy.name);
                    key.seed(&self.service.name, &policy.name, seat.as_deref().unwrap_or(branch))
                });
                let sticky = sticky.then(|| Sticky { seeds: seeds.collect() });
                let children = children.iter().map(|(child, weight)| (self.node(*child), *weight));
                Rule::Weighted { children: children.collect(), sticky }
            }
            config::Rule::LeastLoaded { children, answers } => {
                let seed =
                    |region: &config::Region| self.key().seed(&self.service.name, &policy.name, &region.name);
                let seeds = self.config.regions.iter().map(seed).collect();
                Rule::LeastLoaded { children: self.all(children), seeds, answers: *answers }
            }
            config::Rule::Multivalue { children, answers } => {
                Rule::Multivalue { children: self.all(children), answers: *answers }
            }
        }
    }

    fn key(&self) -> StickyKey {
        StickyKey(self.config.server.hash_key)
    }

    fn all(&mut self, children: &[NodeId]) -> Box<[NodeId]> {
        children.iter().map(|child| self.node(*child)).collect()
    }

    fn branch(&mut self, branch: config::GeoBranch) -> Branch {
        Branch { node: self.node(branch.node), geofence: branch.geofence }
    }

    /// The number of a lens in this plan's map; one beyond [`LENSES_MAX`] is refused later.
    fn lens(&mut self, lens: Lens) -> u8 {
        let index = self.lenses.iter().position(|own| *own == lens).unwrap_or_else(|| {
            self.lenses.push(lens);
            self.lenses.len() - 1
        });
        u8::try_from(index).unwrap_or(u8::MAX)
    }

    /// All regions with coordinates in the order of biased distance from one of them (R7).
    fn order_from(&self, from: RegionId, bias: &[i8], tie_permille: u16) -> RegionOrder {
        let Some(from) = self.coordinates(from) else { return RegionOrder::default() };
        let regions: Vec<_> = self.config.regions.iter().map(|region| region.coordinates).collect();
        RegionOrder::new(from, &regions, bias, tie_permille)
    }

    fn round_trips_from(&self, from: RegionId) -> Box<[u16]> {
        let from = self.coordinates(from);
        let regions = self.config.regions.iter();
        regions
            .map(|region| match (from, region.coordinates) {
                (Some(from), Some(to)) => prior_tenths(from, to),
                _ => u16::MAX,
            })
            .collect()
    }

    fn coordinates(&self, region: RegionId) -> Option<Coordinates> {
        self.config.regions.get(region.index())?.coordinates
    }
}

/// The pools below a node without those that only a fallback leads to: what is healthy in a fallback
/// does not make the node healthy.
fn pools_below_rule(config: &Config, node: NodeId, pools: &mut BTreeSet<PoolId>) {
    let Some(policy) = config.policies.get(node.index()) else { return };
    if let config::Rule::Pool { pool, .. } = policy.rule {
        pools.insert(pool);
    }
    let bare = config::Policy { all_down: None, ..policy.clone() };
    for child in children(&bare) {
        pools_below_rule(config, child, pools);
    }
}

/// A host name has no family of its own.
fn check_alias_families(service: &config::Service, plan: &Plan, problems: &mut Problems) {
    let differs = |node: &&Node| node.min_healthy[0] != node.min_healthy[1];
    if let Some(node) = plan.nodes.iter().find(differs).filter(|_| plan.alias) {
        problems.error(
            service.span,
            format!(
                "`min_healthy` of \"{}\" tells families apart, but its endpoints are host names",
                node.name
            ),
            "write one count or share for both",
        );
    }
}

/// R10: an empty answer must not depend on the client while client subnet is in use. A fence without
/// addresses of a family that the service has elsewhere would give some clients one.
fn check_fences(
    config: &Config,
    service: &config::Service,
    fleet: &Fleet,
    plan: &Plan,
    problems: &mut Problems,
) {
    if plan.client_subnet == ClientSubnetUse::Ignore || plan.alias {
        return;
    }
    let has = |members: &[EndpointId], family: Family| {
        members.iter().filter_map(|id| fleet.endpoint(*id)).any(|endpoint| may_have(endpoint, family))
    };
    for family in Family::ALL.into_iter().filter(|family| has(&plan.members, *family)) {
        for node in &plan.nodes {
            let Rule::Geo { rules, default, unknown, .. } = &node.rule else { continue };
            let branches = rules.iter().map(|(_, branch)| *branch).chain(*default).chain(*unknown);
            for branch in branches.filter(|branch| branch.geofence) {
                let Some(child) = plan.node(branch.node) else { continue };
                // A fallback inside the fence may have what its branch has not.
                let falls_back = matches!(child.all_down, Some(AllDown::Fallback(other))
                    if plan.node(other).is_some_and(|other| has(&other.members, family)));
                if has(&child.members, family) || falls_back {
                    continue;
                }
                let span = config.policies.iter().find(|policy| *policy.name == *node.name);
                let family = if family == Family::V4 { "IPv4" } else { "IPv6" };
                problems.error(
                    span.map_or(service.span, |policy| policy.span),
                    format!(
                        "the fenced branch \"{}\" has no {family} address, but service \"{}\" has some elsewhere",
                        child.name, service.name
                    ),
                    format!(
                        "add an endpoint with an {family} address inside the fence, drop `geofence`, or set \
                         `client_subnet = \"ignore\"` on the service: one client's empty answer would be cached \
                         for the others behind its resolver"
                    ),
                );
            }
        }
    }
}
