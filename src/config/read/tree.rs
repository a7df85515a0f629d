//! What is judged of whole trees: circles, depth, places, and what can never be reached.

use std::collections::BTreeSet;

use super::directory::Directory;
use super::policies::{Edge, Node};
use super::pools::PoolRead;
use super::reader::{Context, shortened};
use crate::config::{AllDown, EndpointTarget, MinHealthy, Rule, Service, Span};
use crate::geo::GeoKey;
use crate::ids::{Family, NodeId, PoolId, RegionId};

/// Nodes from a root to its furthest leaf, both counted (R1): what recurses is bounded by it.
pub const DEPTH_MAX: usize = 10;
/// Names of a chain that a message shows.
const CHAIN_SHOWN_MAX: usize = 12;

/// What holds of everything below a node.
#[derive(Clone, Default)]
pub struct Facts {
    /// Nodes to the furthest leaf, this one counted.
    depth: usize,
    /// The regions that its rule may choose (fallbacks left out), in the order written.
    regions: Vec<RegionId>,
    /// Where an endpoint with addresses is written, fallbacks included.
    pub address: Option<Span>,
    /// Where an endpoint with a host name is written, fallbacks included.
    pub host: Option<Span>,
    /// It never fails to its parent unless an operator forces it: why.
    never_fails: Option<Steady>,
    /// Whether it fails for some clients and not for others.
    pub fails_by_place: bool,
    /// Whether schedules can leave nothing of it (R13).
    pub can_be_off: bool,
}

/// Why a node never fails.
#[derive(Clone)]
enum Steady {
    /// It says itself what happens when all is down.
    AllDown,
    /// This pool has no monitor.
    Unprobed(PoolId),
}

/// The facts of every node, or nothing where the trees are not finite (which has been reported).
pub fn judge(
    cx: &mut Context,
    nodes: &mut [Node],
    pools: &[PoolRead],
    regions: &Directory,
) -> Option<Vec<Facts>> {
    let order = report_circles(cx, nodes)?;
    let mut facts = vec![Facts::default(); nodes.len()];
    for node in order {
        if let (Some(read), Some(slot)) = (nodes.get(node), facts.get(node).cloned()) {
            let known = facts_of(read, pools, &facts);
            debug_assert_eq!(slot.depth, 0);
            if let Some(slot) = facts.get_mut(node) {
                *slot = known;
            }
        }
    }
    let fine = report_depth(cx, nodes, &facts);
    default_unknown(nodes, &facts);
    report_unplaced(cx, nodes, &facts, regions);
    lint_never_tried(cx, nodes, pools, &facts);
    fine.then_some(facts)
}

/// Every node after all that it refers to; `None` where one refers to itself in the end. Without
/// recursion: the chain is as long as the operator wrote it.
fn report_circles(cx: &mut Context, nodes: &[Node]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let mut state = vec![State::New; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    let mut sound = true;
    for root in 0..nodes.len() {
        // The open nodes from the root, each with the number of its next edge.
        let mut path: Vec<(usize, usize)> = Vec::new();
        if state.get(root) == Some(&State::New) {
            path.push((root, 0));
            set(&mut state, root, State::Open);
        }
        while let Some((node, next)) = path.last_mut() {
            let node = *node;
            let Some(edge) = nodes.get(node).and_then(|node| node.edges.get(*next)) else {
                set(&mut state, node, State::Done);
                order.push(node);
                path.pop();
                continue;
            };
            *next += 1;
            let target = edge.node.index();
            match state.get(target) {
                Some(State::New) => {
                    set(&mut state, target, State::Open);
                    path.push((target, 0));
                }
                Some(State::Open) => {
                    sound = false;
                    report_circle(cx, nodes, &path, edge);
                }
                Some(State::Done) | None => {}
            }
        }
    }
    return sound.then_some(order);

    fn set<T>(list: &mut [T], at: usize, value: T) {
        if let Some(slot) = list.get_mut(at) {
            *slot = value;
        }
    }
}

fn report_circle(cx: &mut Context, nodes: &[Node], path: &[(usize, usize)], closing: &Edge) {
    let start = path.iter().position(|(node, _)| *node == closing.node.index()).unwrap_or(0);
    let circle = path.iter().skip(start).map(|(node, _)| *node).chain([closing.node.index()]);
    let names: Vec<_> = circle.filter_map(|node| nodes.get(node)).map(name).collect();
    let message = match names.len() {
        2 => format!("policy `{}` refers to itself", names.first().cloned().unwrap_or_default()),
        _ => format!("these policies go in a circle: {}", chain(&names)),
    };
    cx.error(closing.span, message, "a tree has to end in pools: take this reference out");
}

fn name(node: &Node) -> String {
    shortened(&node.policy.name)
}

fn chain(names: &[String]) -> String {
    match names.len() > CHAIN_SHOWN_MAX {
        false => names.join(" -> "),
        true => {
            let (head, tail) = names.split_at(CHAIN_SHOWN_MAX - 1);
            let last = tail.last().cloned().unwrap_or_default();
            format!("{} -> ... -> {last}", head.join(" -> "))
        }
    }
}

fn facts_of(node: &Node, pools: &[PoolRead], known: &[Facts]) -> Facts {
    let mut facts = match &node.policy.rule {
        Rule::Pool { pool, .. } => leaf_facts(*pool, node.policy.min_healthy, pools),
        _ => Facts::default(),
    };
    for edge in &node.edges {
        let Some(below) = known.get(edge.node.index()) else { continue };
        facts.depth = facts.depth.max(below.depth);
        facts.address = facts.address.or(below.address);
        facts.host = facts.host.or(below.host);
        if !edge.fallback {
            let new = below.regions.iter().filter(|region| !facts.regions.contains(region));
            let new: Vec<_> = new.copied().collect();
            facts.regions.extend(new);
            facts.fails_by_place |= below.fails_by_place;
        }
    }
    facts.depth = facts.depth.saturating_add(1);
    facts.fails_by_place |= matches!(&node.policy.rule, Rule::Geo { .. });
    let mut children = node.edges.iter().filter(|edge| !edge.fallback).peekable();
    let off = |edge: &Edge| known.get(edge.node.index()).is_some_and(|below| below.can_be_off);
    facts.can_be_off = node.policy.schedule.is_some() || (children.peek().is_some() && children.all(off));
    if node.policy.all_down.is_some() {
        facts.never_fails = Some(Steady::AllDown);
        facts.fails_by_place = false;
        facts.can_be_off = false;
    } else if node.policy.schedule.is_none()
        && !matches!(node.policy.rule, Rule::Pool { .. } | Rule::Geo { .. })
        && node.policy.min_healthy == [MinHealthy::Count(1); 2]
    {
        let children = node.edges.iter().filter(|edge| !edge.fallback);
        facts.never_fails =
            children.filter_map(|edge| known.get(edge.node.index())?.never_fails.clone()).next();
    }
    facts
}

fn leaf_facts(pool: PoolId, min_healthy: [MinHealthy; 2], pools: &[PoolRead]) -> Facts {
    let Some(read) = pools.get(pool.index()) else { return Facts::default() };
    let mut facts = Facts::default();
    let mut families = [false; 2];
    for endpoint in &read.pool.endpoints {
        if !facts.regions.contains(&endpoint.region) {
            facts.regions.push(endpoint.region);
        }
        match &endpoint.target {
            EndpointTarget::Host(_) => {
                facts.host = facts.host.or(Some(endpoint.span));
                families = [true; 2];
            }
            EndpointTarget::Addresses(addresses) => {
                facts.address = facts.address.or(Some(endpoint.span));
                for address in addresses {
                    if let Some(slot) = families.get_mut(Family::of(*address).index()) {
                        *slot = true;
                    }
                }
            }
        }
    }
    if read.pool.monitor.is_none() && families == [true; 2] && min_healthy == [MinHealthy::Count(1); 2] {
        facts.never_fails = Some(Steady::Unprobed(pool));
    }
    facts
}

fn report_depth(cx: &mut Context, nodes: &[Node], facts: &[Facts]) -> bool {
    let mut fine = true;
    for (number, known) in facts.iter().enumerate() {
        if known.depth <= DEPTH_MAX {
            continue;
        }
        fine = false;
        // One report for each chain: where it first becomes too deep.
        if known.depth == DEPTH_MAX + 1 {
            let names = deepest_chain(number, nodes, facts);
            let span = nodes.get(number).map(|node| node.policy.span);
            if let Some(span) = span {
                cx.error(
                    span,
                    format!("this tree is deeper than {DEPTH_MAX}: {}", chain(&names)),
                    "pools count too: leave out policies in between",
                );
            }
        }
    }
    fine
}

fn deepest_chain(start: usize, nodes: &[Node], facts: &[Facts]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = Some(start);
    while let Some(node) = at.and_then(|at| nodes.get(at)) {
        names.push(name(node));
        let depth = |edge: &&Edge| facts.get(edge.node.index()).map_or(0, |facts| facts.depth);
        at = node.edges.iter().max_by_key(depth).map(|edge| edge.node.index());
    }
    names
}

/// R7: where `unknown` is not written it is the first region below, in the order written.
fn default_unknown(nodes: &mut [Node], facts: &[Facts]) {
    for (node, facts) in nodes.iter_mut().zip(facts) {
        if node.unknown.is_some() {
            continue;
        }
        if let (Rule::Nearest { unknown, .. } | Rule::Latency { unknown, .. }, Some(first)) =
            (&mut node.policy.rule, facts.regions.first())
        {
            *unknown = *first;
        }
    }
}

/// Distance needs coordinates, and a bias something to act on.
fn report_unplaced(cx: &mut Context, nodes: &[Node], facts: &[Facts], regions: &Directory) {
    let mut reported = BTreeSet::new();
    for (node, facts) in nodes.iter().zip(facts) {
        let (kind, unknown, bias) = match &node.policy.rule {
            Rule::Nearest { unknown, bias, .. } => ("nearest", *unknown, bias.as_slice()),
            Rule::Latency { unknown, .. } => ("latency", *unknown, [].as_slice()),
            _ => continue,
        };
        let ordered = facts.regions.iter().copied().chain(node.unknown.map(|_| unknown));
        for region in ordered {
            let Some((name, value)) = regions.entries.get(region.index()) else { continue };
            let placed = value.toml.as_table().is_none_or(|table| table.contains_key("at"));
            if !placed && reported.insert(region) {
                cx.absent(
                    name.span,
                    format!(
                        "region `{}` has no `at`, but a `{kind}` policy orders it by distance",
                        name.text
                    ),
                    "add at = [latitude, longitude], at = \"aws:us-east-1\" or at = \"Ashburn, US\"",
                );
                cx.also(node.policy.span, "the policy");
            }
        }
        for (region, _) in bias {
            if !facts.regions.contains(region)
                && let Some((name, _)) = regions.entries.get(region.index())
            {
                cx.lint(
                    node.policy.span,
                    format!("the bias of region `{}` has no effect: no endpoint below is in it", name.text),
                    "remove it, or add an endpoint there",
                );
            }
        }
    }
}

/// What follows in a `failover` after a child that never fails.
fn lint_never_tried(cx: &mut Context, nodes: &[Node], pools: &[PoolRead], facts: &[Facts]) {
    for node in nodes {
        if !matches!(node.policy.rule, Rule::Failover { .. }) {
            continue;
        }
        let children: Vec<_> = node.edges.iter().filter(|edge| !edge.fallback).collect();
        let steady = children.iter().enumerate().find_map(|(number, edge)| {
            Some((number, *edge, facts.get(edge.node.index())?.never_fails.as_ref()?))
        });
        let Some((number, edge, why)) = steady else { continue };
        let Some(next) = children.get(number + 1) else { continue };
        let label = |edge: &Edge| nodes.get(edge.node.index()).map(name).unwrap_or_default();
        let (message, hint) = match why {
            Steady::AllDown => (
                format!("`{}` is never tried: `{}` before it never fails", label(next), label(edge)),
                "a node with `all_down` never fails to its parent: put it last, or take `all_down` out"
                    .to_owned(),
            ),
            Steady::Unprobed(pool) => {
                let pool = pools.get(pool.index()).map(|read| read.pool.name.clone()).unwrap_or_default();
                (
                    format!(
                        "`{}` is tried only by an operator's word: pool `{pool}` has no monitor and never fails by itself",
                        label(next)
                    ),
                    format!("give pool `{pool}` a monitor, or put it last"),
                )
            }
        };
        cx.lint(next.span, message, hint);
        cx.also(edge.span, "this one never fails");
    }
}

/// Settings of a pool that no policy heeds, because each splits it by region.
pub fn lint_unheeded(cx: &mut Context, nodes: &[Node], roots: &[NodeId], pools: &[PoolRead]) {
    let mut parents: Vec<(bool, bool)> = vec![(false, false); nodes.len()];
    for node in nodes {
        let splits = matches!(
            node.policy.rule,
            Rule::Nearest { .. } | Rule::Latency { .. } | Rule::LeastLoaded { .. }
        );
        for edge in &node.edges {
            if let Some((split, whole)) = parents.get_mut(edge.node.index()) {
                *split |= splits && !edge.fallback;
                *whole |= !splits || edge.fallback;
            }
        }
    }
    for root in roots {
        if let Some((_, whole)) = parents.get_mut(root.index()) {
            *whole = true;
        }
    }
    for (node, (split, whole)) in nodes.iter().zip(parents) {
        let Rule::Pool { pool, .. } = node.policy.rule else { continue };
        let Some(read) = pools.get(pool.index()) else { continue };
        let settings = [
            ("answers", read.answers.map(|at| at.span)),
            ("min_healthy", read.min_healthy.map(|at| at.span)),
        ];
        for (key, span) in settings {
            if let (Some(span), true, false) = (span, split, whole) {
                cx.lint(
                    span,
                    format!(
                        "`{key}` of pool `{}` has no effect: a policy splits the pool by region",
                        read.pool.name
                    ),
                    format!("write `{key}` in that policy"),
                );
            }
        }
    }
}

/// Policies that ask for places where no source of places is configured.
pub fn lint_without_places(cx: &mut Context, nodes: &[Node], has_places: bool, has_numbers: bool) {
    let wants_place = |node: &&Node| match &node.policy.rule {
        Rule::Nearest { .. } | Rule::Latency { .. } => true,
        Rule::Geo { rules, .. } => {
            rules.iter().any(|rule| !matches!(rule.key, GeoKey::Cidr(_) | GeoKey::Asn(_)))
        }
        _ => false,
    };
    if !has_places && let Some(node) = nodes.iter().find(wants_place) {
        cx.lint(
            node.policy.span,
            "every client counts as unknown here: [geoip] names no database and no overrides",
            "write [geoip] database = \"geoip/city.mmdb\"",
        );
    }
    let asn_rule = nodes.iter().find_map(|node| match &node.policy.rule {
        Rule::Geo { rules, .. } => rules.iter().find(|rule| matches!(rule.key, GeoKey::Asn(_))),
        _ => None,
    });
    if !has_numbers && let Some(rule) = asn_rule {
        cx.lint(
            rule.span,
            "this rule never matches: [geoip] names no database of autonomous systems",
            "write [geoip] asn = \"geoip/asn.mmdb\"",
        );
    }
}

/// R13: what must never be left, the root and what is fenced, is switched off as a whole.
pub fn lint_switched_off(cx: &mut Context, nodes: &[Node], facts: &[Facts], roots: &[NodeId]) {
    let off = |node: NodeId| facts.get(node.index()).is_some_and(|facts| facts.can_be_off);
    let fences = nodes.iter().flat_map(|node| match &node.policy.rule {
        Rule::Geo { rules, default, unknown } => {
            rules.iter().map(|rule| rule.branch).chain(*default).chain(*unknown).collect()
        }
        _ => Vec::new(),
    });
    let fenced: Vec<_> = fences.filter(|branch| branch.geofence).map(|branch| branch.node).collect();
    let mut reported = BTreeSet::new();
    for (id, what) in roots.iter().map(|id| (id, "root")).chain(fenced.iter().map(|id| (id, "fence"))) {
        let Some(node) = nodes.get(id.index()).filter(|_| off(*id) && reported.insert(*id)) else { continue };
        cx.lint(
            node.policy.span,
            format!(
                "schedules can switch off all of this {what}: it then answers as if `{}` were on",
                name(node)
            ),
            "keep a branch without a schedule in it, or say in `all_down` what happens then",
        );
    }
}

/// R10: an answer without data must not depend on the client where its subnet is used, because a
/// resolver keeps it for all its clients. Walks a service's tree (finite, at most [`DEPTH_MAX`] deep).
pub fn report_negative_by_place(
    cx: &mut Context,
    nodes: &[Node],
    facts: &[Facts],
    root: NodeId,
    reported: &mut BTreeSet<NodeId>,
) {
    let mut seen = BTreeSet::new();
    let mut open = vec![(root, false)];
    while let Some((id, by_place)) = open.pop() {
        if !seen.insert((id, by_place)) {
            continue;
        }
        let Some(node) = nodes.get(id.index()) else { continue };
        let negative = matches!(node.policy.all_down, Some(AllDown::NoData | AllDown::Refuse));
        if negative && (by_place || children_fail_by_place(node, facts)) && reported.insert(id) {
            let span = node.all_down.unwrap_or(node.policy.span);
            cx.error(
                span,
                "this empty answer would depend on where the client is, but resolvers keep it for everybody",
                "use all_down = \"serve-all\" or a fallback, or client_subnet = \"ignore\" in the service",
            );
        }
        let chosen_by_place = match &node.policy.rule {
            Rule::Geo { .. } | Rule::Nearest { .. } | Rule::Latency { .. } | Rule::LeastLoaded { .. } => true,
            Rule::Weighted { sticky, .. } => *sticky || children_fail_by_place(node, facts),
            Rule::Failover { .. } | Rule::Multivalue { .. } => children_fail_by_place(node, facts),
            Rule::Pool { .. } => false,
        };
        for edge in &node.edges {
            open.push((edge.node, by_place || chosen_by_place));
        }
    }
}

/// E6: a rule for a network finer than the service's floor could not be told from its surroundings.
/// Walks a service's tree (finite, at most [`DEPTH_MAX`] deep).
pub fn report_below_floor(cx: &mut Context, nodes: &[Node], service: &Service) {
    let mut seen = BTreeSet::new();
    let mut open = vec![service.policy];
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id.index()).filter(|_| seen.insert(id)) else { continue };
        open.extend(node.edges.iter().map(|edge| edge.node));
        let Rule::Geo { rules, .. } = &node.policy.rule else { continue };
        for rule in rules {
            let GeoKey::Cidr(net) = rule.key else { continue };
            let family = Family::of(net.addr());
            if !service.scope_floor.is_below(family, net.prefix_len()) {
                continue;
            }
            let floor = service.scope_floor.length(family);
            cx.error(
                rule.span,
                format!(
                    "the rule for {net} is finer than the scope floor /{floor} of service `{}`",
                    service.name
                ),
                format!(
                    "everybody in one /{floor} gets one decision: write the rule for a /{floor} or wider, or \
                     make the floor finer: \"/{}\"",
                    net.prefix_len()
                ),
            );
            cx.also(service.span, "the service");
        }
    }
}

fn children_fail_by_place(node: &Node, facts: &[Facts]) -> bool {
    matches!(node.policy.rule, Rule::Geo { .. })
        || node
            .edges
            .iter()
            .filter(|edge| !edge.fallback)
            .any(|edge| facts.get(edge.node.index()).is_some_and(|facts| facts.fails_by_place))
}
