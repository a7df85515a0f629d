//! What R9's `last-good` remembers: for each node that sets it, the last states under which something
//! below it was healthy.

use crate::health::HealthTable;
use crate::ids::NodeId;
use crate::steer::plan::{AllDown, Lane, Rule};
use crate::steer::trace::Trace;

use super::members::Regard;
use super::{Inputs, Walk};

/// What one lane of a service remembers. Nodes go by their names, which outlive a reload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastGood(Vec<(Box<str>, HealthTable)>);

impl LastGood {
    /// After the states have become those of `inputs`; `before` is what was remembered until now.
    pub fn after(inputs: Inputs<'_>, lane: Lane, before: Option<&LastGood>) -> LastGood {
        let mut trace = Trace::off();
        let mut walk = Walk::new(inputs, lane, &mut trace);
        let mut all = Vec::new();
        for (index, node) in inputs.plan.nodes.iter().enumerate() {
            if node.all_down != Some(AllDown::LastGood) {
                continue;
            }
            let known = before.and_then(|before| before.of(&node.name));
            let table = match known {
                Some(known) if !walk.is_alive(NodeId(index as u32)) => known,
                _ => inputs.health,
            };
            all.push((node.name.clone(), table.clone()));
        }
        LastGood(all)
    }

    /// The table that a node goes by.
    pub fn of(&self, node: &str) -> Option<&HealthTable> {
        self.0.iter().find(|(name, _)| **name == *node).map(|(_, table)| table)
    }

    /// The same with every table put into other numbers.
    pub fn translated(&self, table: impl Fn(&HealthTable) -> HealthTable) -> LastGood {
        LastGood(self.0.iter().map(|(name, own)| (name.clone(), table(own))).collect())
    }

    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Walk<'_, '_> {
    /// Whether a node has not failed for everybody, the modes of nodes below it left aside.
    fn is_alive(&mut self, id: NodeId) -> bool {
        let Some(node) = self.node(id) else { return false };
        if !self.enough(node, None, Regard::Unshared) {
            return false;
        }
        match &node.rule {
            Rule::Pool { .. } => true,
            Rule::Nearest { .. } | Rule::Latency { .. } | Rule::LeastLoaded { .. } => {
                node.regions.iter().any(|region| self.enough(node, Some(*region), Regard::Unshared))
            }
            Rule::Failover { children, .. } | Rule::Multivalue { children, .. } => {
                children.iter().any(|child| self.is_alive(*child))
            }
            Rule::Weighted { children, .. } => children.iter().any(|(child, _)| self.is_alive(*child)),
            Rule::Geo { rules, default, unknown, .. } => {
                let mut branches = rules.iter().map(|(_, branch)| branch).chain(default).chain(unknown);
                branches.any(|branch| self.is_alive(branch.node))
            }
        }
    }
}
