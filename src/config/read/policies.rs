//! Policy trees as written: names resolved to nodes, anonymous policies numbered.

use super::directory::{Directory, missing};
use super::geokey::{self, Written};
use super::pools::{PoolRead, min_healthy};
use super::reader::{At, Context, Name, Table, Value, shortened, wrong_type};
use super::scalar;
use crate::config::shape::{ALL_DOWN, BRANCH, MODES, POLICY, RULES, SHARE};
use crate::config::{AllDown, GeoBranch, GeoRule, MinHealthy, Policy, Rule, Span};
use crate::ids::{NodeId, PoolId, RegionId, ScheduleId};

/// More than half of the clients at the second child would make it the first.
const TRICKLE_PERMILLE_MAX: u16 = 500;
/// What a weight is when it is not written.
const SHARE_WEIGHT: u16 = 100;
/// One answer's addresses where `multivalue` does not say how many.
const MULTIVALUE_ANSWERS: u8 = 8;

/// A node and what the checks of whole trees need to know of its text.
pub struct Node {
    /// The node.
    pub policy: Policy,
    /// What it refers to, and where: the children in order, then the fallback.
    pub edges: Vec<Edge>,
    /// Where `all_down` is written.
    pub all_down: Option<Span>,
    /// Whether `unknown` is written; if not, the first region below has to be found.
    pub unknown: Option<Span>,
}

/// A reference from a node to another.
#[derive(Clone, Copy)]
pub struct Edge {
    /// The other node.
    pub node: NodeId,
    /// Where it is written.
    pub span: Span,
    /// Whether it is what `all_down` falls back to, and no child.
    pub fallback: bool,
}

/// All nodes, as far as they have been read.
pub struct Forest<'t> {
    /// By [`NodeId`]: the named policies first.
    pub nodes: Vec<Node>,
    /// `[policies.*]`
    pub policies: Directory<'t>,
    /// `[pools.*]`
    pub pools: Directory<'t>,
    /// `[schedules.*]`
    pub schedules: Directory<'t>,
    /// By pool: its node, once something refers to it.
    pool_nodes: Vec<Option<NodeId>>,
    /// The pools as read.
    pub pools_read: Vec<PoolRead>,
}

impl<'t> Forest<'t> {
    /// Reads `[policies.*]`.
    pub fn read(
        cx: &mut Context,
        policies: Directory<'t>,
        pools: Directory<'t>,
        pools_read: Vec<PoolRead>,
        schedules: Directory<'t>,
        regions: &mut Directory<'t>,
    ) -> Self {
        report_shared_names(cx, &policies, &pools);
        let nodes = policies.entries.iter().map(|(name, _)| Node::blank(name.text, name.span)).collect();
        let pool_nodes = vec![None; pools.entries.len()];
        let named = policies.entries.clone();
        let mut forest = Forest { nodes, policies, pools, schedules, pool_nodes, pools_read };
        for (number, (name, value)) in named.into_iter().enumerate() {
            let Some(table) = Table::open(cx, value, &POLICY, Some(name.span)) else { continue };
            forest.policy(cx, regions, NodeId(number as u32), &table, &format!("policies.{}", name.text));
        }
        forest
    }

    /// The node of a pool, if something refers to it.
    pub fn pool_node(&self, pool: usize) -> Option<NodeId> {
        self.pool_nodes.get(pool).copied().flatten()
    }

    /// A name, or a policy written in place. `place` names the latter.
    pub fn child(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        value: Value<'t>,
        key: &str,
        place: &str,
    ) -> Option<NodeId> {
        if let Some(table) = value.toml.as_table() {
            if table.contains_key("use") {
                cx.error(
                    value.span,
                    format!("`{key}` takes no table with `use`"),
                    "write the name alone; only `weighted` and `geo` have options for each child",
                );
                return None;
            }
            let table = Table::open(cx, value, &POLICY, None)?;
            let node = NodeId(self.nodes.len() as u32);
            self.nodes.push(Node::blank(place, value.span));
            self.policy(cx, regions, node, &table, place);
            return Some(node);
        }
        if value.toml.as_str().is_none() {
            wrong_type(
                cx,
                key,
                value,
                "the name of a pool or policy is needed",
                "or a policy written in place: { nearest = [\"web\"] }",
            );
            return None;
        }
        let name = value.text(cx, key)?;
        self.by_name(cx, name)
    }

    fn by_name(&mut self, cx: &mut Context, name: At<&str>) -> Option<NodeId> {
        if let Some(number) = self.pools.get(name.value) {
            self.pools.mark(number);
            return Some(self.node_of_pool(number));
        }
        let Some(number) = self.policies.get(name.value) else {
            let known: Vec<_> = self.pools.known().into_iter().chain(self.policies.known()).collect();
            missing(cx, "pool or policy", name, &known);
            return None;
        };
        self.policies.mark(number);
        Some(NodeId(number as u32))
    }

    fn node_of_pool(&mut self, number: usize) -> NodeId {
        if let Some(node) = self.pool_node(number) {
            return node;
        }
        let node = NodeId(self.nodes.len() as u32);
        if let (Some(slot), Some(read)) = (self.pool_nodes.get_mut(number), self.pools_read.get(number)) {
            *slot = Some(node);
            let mut leaf = Node::blank(&read.pool.name, read.pool.span);
            let answers = read.answers.map_or(1, |at| at.value);
            leaf.policy.rule = Rule::Pool { pool: PoolId(number as u32), answers };
            leaf.policy.min_healthy = read.min_healthy.map_or([MinHealthy::Count(1); 2], |at| at.value);
            self.nodes.push(leaf);
        }
        node
    }

    /// Reads a policy's table into its node.
    fn policy(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        node: NodeId,
        table: &Table<'t>,
        place: &str,
    ) {
        let Some(kind) = RULES.iter().find(|kind| table.get(kind).is_some()) else { return };
        refuse_foreign_options(cx, table, kind);
        let mut edges = Vec::new();
        let unknown = table.text(cx, "unknown").and_then(|name| {
            let number = regions.refer(cx, name)?;
            Some(At { value: RegionId(number as u16), span: name.span })
        });
        let answers = table.integer(cx, "answers").map(|at| at.value as u8);
        let rule = match *kind {
            "geo" => self.geo(cx, regions, table, place, &mut edges),
            "weighted" => self.weighted(cx, regions, table, place, &mut edges),
            kind => {
                let children = self.children(cx, regions, table, kind, place, &mut edges);
                let unknown = unknown.map_or(RegionId(0), |at| at.value);
                match kind {
                    "nearest" => {
                        let bias = bias(cx, regions, table);
                        let tie_permille = tie(cx, table).unwrap_or(0);
                        Rule::Nearest { children, bias, tie_permille, unknown, answers: answers.unwrap_or(1) }
                    }
                    "least-loaded" => Rule::LeastLoaded { children, answers: answers.unwrap_or(1) },
                    "latency" => Rule::Latency { children, unknown, answers: answers.unwrap_or(1) },
                    "multivalue" => {
                        Rule::Multivalue { children, answers: answers.unwrap_or(MULTIVALUE_ANSWERS) }
                    }
                    _ => {
                        let trickle_permille = trickle(cx, table, children.len()).unwrap_or(0);
                        Rule::Failover { children, trickle_permille }
                    }
                }
            }
        };
        let min_healthy = min_healthy(cx, table).map_or([MinHealthy::Count(1); 2], |at| at.value);
        let skip_first = table.flag(cx, "skip_first").unwrap_or(false);
        let schedule = table.text(cx, "schedule").and_then(|name| {
            let number = self.schedules.refer(cx, name)?;
            Some(ScheduleId(number as u16))
        });
        let all_down = self.all_down(cx, regions, table, place, &mut edges);
        if let Some(slot) = self.nodes.get_mut(node.index()) {
            slot.policy.rule = rule;
            slot.policy.min_healthy = min_healthy;
            slot.policy.schedule = schedule;
            slot.policy.skip_first = skip_first;
            slot.policy.all_down = all_down;
            slot.all_down = table.get("all_down").map(|value| value.span);
            slot.unknown = unknown.map(|at| at.span);
            slot.edges = edges;
        }
    }

    /// The elements of a rule's array.
    fn elements(&self, cx: &mut Context, table: &Table<'t>, kind: &str) -> Vec<Value<'t>> {
        let Some(value) = table.get(kind) else { return Vec::new() };
        let Some(elements) = value.elements() else {
            let hint = match value.toml.as_str() {
                Some(name) => format!("write {kind} = [\"{}\"]", shortened(name)),
                None => format!("write {kind} = [\"name\", ...]"),
            };
            wrong_type(cx, kind, value, "an array of names is needed", &hint);
            return Vec::new();
        };
        if elements.is_empty() {
            cx.error(value.span, format!("`{kind}` has no children"), "name at least one pool or policy");
        }
        elements
    }

    fn children(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        table: &Table<'t>,
        kind: &str,
        place: &str,
        edges: &mut Vec<Edge>,
    ) -> Vec<NodeId> {
        let mut children = Vec::new();
        for (number, element) in self.elements(cx, table, kind).into_iter().enumerate() {
            let child_place = format!("{place}.{kind}[{number}]");
            let Some(node) = self.child(cx, regions, element, kind, &child_place) else { continue };
            if !is_repeated(cx, edges, node, element) {
                edges.push(Edge { node, span: element.span, fallback: false });
                children.push(node);
            }
        }
        children
    }

    fn weighted(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        table: &Table<'t>,
        place: &str,
        edges: &mut Vec<Edge>,
    ) -> Rule {
        let sticky = table.word(cx, "sticky").is_some();
        let (mut children, mut seats) = (Vec::new(), Vec::new());
        for (number, element) in self.elements(cx, table, "weighted").into_iter().enumerate() {
            let (child, weight, seat) = match element.toml.as_table() {
                None => (Some(element), SHARE_WEIGHT, None),
                Some(_) => {
                    let Some(share) = Table::open(cx, element, &SHARE, None) else { continue };
                    let weight = share.integer(cx, "weight").map_or(SHARE_WEIGHT, |at| at.value as u16);
                    (share.get("use"), weight, seat(cx, &share, sticky))
                }
            };
            let place = format!("{place}.weighted[{number}]");
            let Some(child) = child else { continue };
            let Some(node) = self.child(cx, regions, child, "weighted", &place) else { continue };
            if !is_repeated(cx, edges, node, child) {
                edges.push(Edge { node, span: child.span, fallback: false });
                children.push((node, weight));
                seats.push(seat);
            }
        }
        self.report_shared_seats(cx, &children, &seats);
        let seats = seats.into_iter().map(|seat: Option<At<String>>| seat.map(|at| at.value)).collect();
        Rule::Weighted { children, seats, sticky }
    }

    /// Two children in one seat would be one to the hash.
    fn report_shared_seats(
        &self,
        cx: &mut Context,
        children: &[(NodeId, u16)],
        seats: &[Option<At<String>>],
    ) {
        let own = |node: &NodeId| self.nodes.get(node.index()).map_or("", |node| &node.policy.name);
        let names: Vec<&str> = children
            .iter()
            .zip(seats)
            .map(|((node, _), seat)| seat.as_ref().map_or_else(|| own(node), |seat| seat.value.as_str()))
            .collect();
        for (number, seat) in seats.iter().enumerate() {
            let Some(seat) = seat else { continue };
            if names.iter().enumerate().any(|(other, name)| other != number && *name == seat.value) {
                cx.error(
                    seat.span,
                    format!("two children have the seat `{}`", shortened(&seat.value)),
                    "a seat is for one child: to share one, put both below a policy of their own",
                );
            }
        }
    }

    fn geo(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        table: &Table<'t>,
        place: &str,
        edges: &mut Vec<Edge>,
    ) -> Rule {
        let entries = table.names(cx, "geo");
        let (mut rules, mut default, mut unknown) = (Vec::<GeoRule>::new(), None, None);
        if entries.is_empty()
            && let Some(value) = table.get("geo")
            && value.toml.is_table()
        {
            cx.error(value.span, "`geo` has no rules", "add one, such as \"continent:EU\" = \"name\"");
        }
        let policy_span = table.key_span("geo").unwrap_or(table.span);
        let has_entries = !entries.is_empty();
        for (key, value) in entries {
            let branch = self.branch(cx, regions, key, value, place, edges);
            let written = match geokey::read(key.text) {
                Ok(written) => written,
                Err((why, hint)) => {
                    cx.error(key.span, format!("`{}` is not a geo rule: {why}", shortened(key.text)), hint);
                    continue;
                }
            };
            match written {
                Written::Default => default = branch,
                Written::Unknown => unknown = branch,
                Written::Rule(rule) => {
                    if let Some(first) = rules.iter().find(|earlier| earlier.key == rule) {
                        let first = first.span;
                        cx.error(
                            key.span,
                            format!("the rule `{}` can never be reached", shortened(key.text)),
                            "remove one of the two: they match the same",
                        );
                        cx.also(first, "this one matches the same");
                        continue;
                    }
                    rules.extend(branch.map(|branch| GeoRule { key: rule, span: key.span, branch }));
                }
            }
        }
        if default.is_none() && has_entries {
            cx.lint(
                policy_span,
                "this geo policy has no default: clients that no rule matches fail here",
                "add default = \"name\"",
            );
        }
        Rule::Geo { rules, default, unknown }
    }

    /// `"name"`, `{ use = "name", geofence = true }`, or a policy written in place.
    fn branch(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        key: Name<'t>,
        value: Value<'t>,
        place: &str,
        edges: &mut Vec<Edge>,
    ) -> Option<GeoBranch> {
        let place = format!("{place}.geo.\"{}\"", shortened(key.text));
        let has = |key: &str| value.toml.as_table().is_some_and(|table| table.contains_key(key));
        let (child, geofence) = match has("use") || has("geofence") {
            false => (value, false),
            true => {
                let branch = Table::open(cx, value, &BRANCH, None)?;
                let geofence = branch.flag(cx, "geofence").unwrap_or(false);
                (branch.get("use")?, geofence)
            }
        };
        let node = self.child(cx, regions, child, &shortened(key.text), &place)?;
        edges.push(Edge { node, span: child.span, fallback: false });
        Some(GeoBranch { node, geofence })
    }

    fn all_down(
        &mut self,
        cx: &mut Context,
        regions: &mut Directory<'t>,
        table: &Table<'t>,
        place: &str,
        edges: &mut Vec<Edge>,
    ) -> Option<AllDown> {
        let value = table.get("all_down")?;
        if value.toml.is_table() {
            let fallback = Table::open(cx, value, &ALL_DOWN, None)?.get("fallback")?;
            let node = self.child(cx, regions, fallback, "fallback", &format!("{place}.all_down"))?;
            edges.push(Edge { node, span: fallback.span, fallback: true });
            return Some(AllDown::Fallback(node));
        }
        match value.word(cx, "all_down", MODES)?.value {
            "serve-all" => Some(AllDown::ServeAll),
            "last-good" => Some(AllDown::LastGood),
            "nodata" => Some(AllDown::NoData),
            _ => Some(AllDown::Refuse),
        }
    }
}

impl Node {
    /// A node of which nothing is known but its name. What stays like this has been reported.
    fn blank(name: &str, span: Span) -> Node {
        Node {
            policy: Policy {
                name: name.to_owned(),
                span,
                rule: Rule::Failover { children: Vec::new(), trickle_permille: 0 },
                min_healthy: [MinHealthy::Count(1); 2],
                skip_first: false,
                schedule: None,
                all_down: None,
            },
            edges: Vec::new(),
            all_down: None,
            unknown: None,
        }
    }
}

fn is_repeated(cx: &mut Context, edges: &[Edge], node: NodeId, value: Value) -> bool {
    let Some(first) = edges.iter().find(|edge| edge.node == node) else { return false };
    let first = first.span;
    let name = shortened(value.toml.as_str().unwrap_or_default());
    cx.error(value.span, format!("`{name}` is listed twice"), "remove one of them");
    cx.also(first, "first listed here");
    true
}

/// Policies and pools are referred to alike, so that a name must be one of them only.
fn report_shared_names(cx: &mut Context, policies: &Directory, pools: &Directory) {
    for (name, _) in &policies.entries {
        let Some(pool) = pools.get(name.text).and_then(|number| pools.span(number)) else { continue };
        cx.error(
            name.span,
            format!("`{}` is the name of a pool and of a policy", shortened(name.text)),
            "rename one of them: policies refer to both by name alone",
        );
        cx.also(pool, "the pool");
    }
}

/// Options and the rules that they belong to. `min_healthy`, `schedule` and `all_down` belong to every rule.
const OPTIONS: [(&str, &[&str]); 7] = [
    ("unknown", &["nearest", "latency"]),
    ("answers", &["nearest", "latency", "multivalue", "least-loaded"]),
    ("bias", &["nearest"]),
    ("tie", &["nearest"]),
    ("sticky", &["weighted"]),
    ("trickle", &["failover"]),
    ("skip_first", &["failover", "nearest", "latency", "geo"]),
];

fn refuse_foreign_options(cx: &mut Context, table: &Table, kind: &str) {
    for (option, kinds) in OPTIONS {
        let Some(span) = table.key_span(option) else { continue };
        if !kinds.contains(&kind) {
            let hint = match (option, kind) {
                ("unknown", "geo") => {
                    "write it among the rules: unknown = \"name\" in the table of `geo`".to_owned()
                }
                _ => format!("`{option}` belongs to {}", crate::config::suggest::list(kinds)),
            };
            cx.error(span, format!("`{option}` has no meaning for `{kind}`"), hint);
        }
    }
}

fn bias<'t>(cx: &mut Context, regions: &mut Directory<'t>, table: &Table<'t>) -> Vec<(RegionId, i8)> {
    let mut bias = Vec::new();
    for (name, value) in table.names(cx, "bias") {
        let region = regions.refer(cx, At { value: name.text, span: name.span });
        let percent = value.integer(cx, "bias", -99, 99);
        if let (Some(region), Some(percent)) = (region, percent) {
            bias.push((RegionId(region as u16), percent.value as i8));
        }
    }
    bias
}

/// `seat`: what is hashed in place of a child's name.
fn seat(cx: &mut Context, share: &Table, sticky: bool) -> Option<At<String>> {
    let text = share.text(cx, "seat")?;
    if !sticky {
        cx.error(
            text.span,
            "`seat` has no meaning without `sticky`: a draw remembers nobody",
            "add sticky = \"client\" to the policy, or take the seat out",
        );
    }
    Some(At { value: text.value.to_owned(), span: text.span })
}

/// `trickle`, in thousandths.
fn trickle(cx: &mut Context, table: &Table, children: usize) -> Option<u16> {
    let text = table.text(cx, "trickle")?;
    let permille = scalar::permille(text.value).filter(|permille| *permille <= TRICKLE_PERMILLE_MAX);
    if permille.is_none() {
        cx.error(
            text.span,
            format!("`trickle` cannot be `{}`", shortened(text.value)),
            "write a share of clients from \"0.1%\" to \"50%\", in steps of a tenth",
        );
    } else if children < 2 {
        cx.error(
            text.span,
            "`trickle` has nothing to send clients to: there is no second child",
            "add a child behind the first",
        );
    }
    permille
}

/// `tie`, in thousandths.
fn tie(cx: &mut Context, table: &Table) -> Option<u16> {
    let value = table.get("tie")?;
    let share = match value.toml.as_str() {
        Some(text) => scalar::percent(text).map(|percent| f64::from(percent) / 100.0),
        None => Some(value.number(cx, "tie")?.value),
    };
    let Some(share) = share.filter(|share| (0.0..=1.0).contains(share)) else {
        cx.error(
            value.span,
            "`tie` is no share of a distance",
            "write a number from 0 to 1, or a share from \"1%\" to \"100%\": 0.1 joins what is up to a tenth farther",
        );
        return None;
    };
    Some((share * 1000.0).round() as u16)
}
