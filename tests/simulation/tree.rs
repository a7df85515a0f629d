//! Policy trees as a drawn world has them, and as an operator would write them.

use crate::design::Design;

/// A node.
#[derive(Clone, Debug)]
pub enum Tree {
    /// A pool, by its number.
    Pool(usize),
    /// In order.
    Failover(Vec<Tree>),
    /// By distance; with a bias by region, a threshold, and so many endpoints in one answer.
    Nearest { pool: usize, bias: Vec<(usize, i8)>, min_healthy: Option<&'static str>, answers: u8 },
    /// By round trip and service time.
    Latency(usize),
    /// By weight, drawn or hashed.
    Weighted { children: Vec<(Tree, u16)>, sticky: bool },
    /// By place: key, child, fence.
    Geo { rules: Vec<(&'static str, Tree, bool)>, default: Box<Tree> },
    /// Several endpoints at once.
    Multivalue { pool: usize, answers: u8 },
}

impl Tree {
    /// As written; `None` when nobody is left below it.
    pub fn toml(&self, design: &Design) -> Option<String> {
        let pool = |pool: &usize| {
            let own = design.pools.get(*pool)?;
            design.endpoints_of(*pool).next().map(|_| format!("\"{}\"", own.name))
        };
        Some(match self {
            Tree::Pool(own) => pool(own)?,
            Tree::Failover(children) => {
                let children: Vec<_> = children.iter().filter_map(|child| child.toml(design)).collect();
                if children.is_empty() {
                    return None;
                }
                format!("{{ failover = [{}] }}", children.join(", "))
            }
            Tree::Nearest { pool: own, bias, min_healthy, answers } => {
                let bias = bias.iter().filter(|(region, _)| design.regions[*region].present);
                let bias: Vec<_> =
                    bias.map(|(region, bias)| format!("{} = {bias}", design.regions[*region].name)).collect();
                let bias = match bias.is_empty() {
                    true => String::new(),
                    false => format!(", bias = {{ {} }}", bias.join(", ")),
                };
                let least = min_healthy.map_or(String::new(), |least| format!(", min_healthy = {least}"));
                format!("{{ nearest = [{}]{bias}{least}, answers = {answers} }}", pool(own)?)
            }
            Tree::Latency(own) => format!("{{ latency = [{}] }}", pool(own)?),
            Tree::Weighted { children, sticky } => {
                let part = |(child, weight): &(Tree, u16)| {
                    Some(format!("{{ use = {}, weight = {weight} }}", child.toml(design)?))
                };
                let children: Vec<_> = children.iter().filter_map(part).collect();
                if children.is_empty() {
                    return None;
                }
                let sticky = if *sticky { ", sticky = \"client\"" } else { "" };
                format!("{{ weighted = [{}]{sticky} }}", children.join(", "))
            }
            Tree::Geo { rules, default } => {
                let rule = |(key, child, fence): &(&str, Tree, bool)| {
                    let child = child.toml(design)?;
                    Some(match fence {
                        true => format!("\"{key}\" = {{ use = {child}, geofence = true }}, "),
                        false => format!("\"{key}\" = {child}, "),
                    })
                };
                let rules: String = rules.iter().filter_map(rule).collect();
                format!("{{ geo = {{ {rules}default = {} }} }}", default.toml(design)?)
            }
            Tree::Multivalue { pool: own, answers } => {
                format!("{{ multivalue = [{}], answers = {answers} }}", pool(own)?)
            }
        })
    }

    /// Whether a client's region follows from its place or its hash alone, so that nobody moves but
    /// those whose own region is lost or comes back.
    pub fn is_exact(&self, design: &Design) -> bool {
        match self {
            Tree::Pool(pool) => {
                let mut regions = design.endpoints_of(*pool).map(|endpoint| endpoint.region);
                let first = regions.next();
                // A root without anybody left is written as the pool of all regions.
                first.is_some() && regions.all(|region| Some(region) == first)
            }
            Tree::Nearest { .. } | Tree::Latency(_) => true,
            Tree::Failover(children) => children.iter().all(|child| child.is_exact_or_gone(design)),
            Tree::Weighted { children, sticky } => {
                *sticky && children.iter().all(|(child, _)| child.is_exact_or_gone(design))
            }
            Tree::Geo { rules, default } => {
                let mut rules = rules.iter().map(|(_, child, _)| child);
                rules.all(|child| child.is_exact_or_gone(design)) && default.is_exact(design)
            }
            Tree::Multivalue { .. } => false,
        }
    }

    /// Whether its root has a threshold of its own; no other node is drawn with one.
    pub fn has_threshold(&self) -> bool {
        matches!(self, Tree::Nearest { min_healthy: Some(_), .. })
    }

    /// Whether some branch may not be left.
    pub fn has_fence(&self) -> bool {
        match self {
            Tree::Geo { rules, default } => {
                rules.iter().any(|(_, child, fence)| *fence || child.has_fence()) || default.has_fence()
            }
            Tree::Failover(children) => children.iter().any(Tree::has_fence),
            Tree::Weighted { children, .. } => children.iter().any(|(child, _)| child.has_fence()),
            Tree::Pool(_) | Tree::Nearest { .. } | Tree::Latency(_) | Tree::Multivalue { .. } => false,
        }
    }

    fn is_exact_or_gone(&self, design: &Design) -> bool {
        self.toml(design).is_none() || self.is_exact(design)
    }

    /// The same with every pool only once among the children of a node.
    pub fn without_twins(children: Vec<Tree>) -> Vec<Tree> {
        let mut seen = Vec::new();
        let mut new = |child: &Tree| match child {
            Tree::Pool(pool) if seen.contains(pool) => false,
            Tree::Pool(pool) => {
                seen.push(*pool);
                true
            }
            _ => true,
        };
        children.into_iter().filter(|child| new(child)).collect()
    }

    /// Whether regions are compared by their service times.
    pub fn has_latency(&self) -> bool {
        match self {
            Tree::Latency(_) => true,
            Tree::Pool(_) | Tree::Nearest { .. } | Tree::Multivalue { .. } => false,
            Tree::Failover(children) => children.iter().any(Tree::has_latency),
            Tree::Weighted { children, .. } => children.iter().any(|(child, _)| child.has_latency()),
            Tree::Geo { rules, default } => {
                rules.iter().any(|(_, child, _)| child.has_latency()) || default.has_latency()
            }
        }
    }
}
