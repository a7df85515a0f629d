//! What services remember for R9's `last-good`, carried over a reload: services by name, targets by
//! address and check.

use std::collections::HashMap;

use crate::health::{HealthTable, TargetSpec};
use crate::ids::TargetId;
use crate::steer::Remembered;

use super::{Snapshot, View};

/// By service of the new snapshot. A target that is new counts as `health` has it.
pub fn remembered(previous: &View, snapshot: &Snapshot, health: &HealthTable) -> Vec<Remembered> {
    let old = &previous.snapshot;
    let mut numbers: HashMap<_, TargetId> = HashMap::new();
    let mut by_name: HashMap<&str, &Remembered> = HashMap::new();
    for (plan, table) in old.plans.iter().zip(&previous.tables) {
        if table.last_good.iter().any(|(_, last_good)| !last_good.is_empty()) {
            by_name.insert(&plan.name, &table.last_good);
        }
    }
    if !by_name.is_empty() {
        numbers.extend(old.targets.iter().zip(0..).map(|(target, old)| (identity(target), TargetId(old))));
    }
    let translated = |own: &HealthTable| {
        let target = |(new, spec)| match numbers.get(&identity(spec)) {
            Some(old) => own.target(*old),
            None => health.target(TargetId(new)),
        };
        HealthTable { targets: (0..).zip(&snapshot.targets).map(target).collect(), ..health.clone() }
    };
    let of_plan = |name: &str| match by_name.get(name) {
        Some(all) => all.iter().map(|(lane, own)| (*lane, own.translated(translated))).collect(),
        None => Remembered::default(),
    };
    snapshot.plans.iter().map(|plan| of_plan(&plan.name)).collect()
}

fn identity(target: &TargetSpec) -> impl Eq + std::hash::Hash + '_ {
    (&target.address, &target.check)
}
