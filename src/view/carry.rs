//! What services remember for R9's `last-good`, carried over a reload: services by name, addresses by
//! endpoint and address.

use std::collections::HashMap;

use crate::health::HealthTable;
use crate::ids::AddressId;
use crate::steer::Remembered;

use super::{Snapshot, View};

/// By service of the new snapshot. An address that is new counts as `health` has it.
pub fn remembered(previous: &View, snapshot: &Snapshot, health: &HealthTable) -> Vec<Remembered> {
    let old = &previous.snapshot;
    let mut numbers: HashMap<_, AddressId> = HashMap::new();
    let mut by_name: HashMap<&str, &Remembered> = HashMap::new();
    for (plan, table) in old.plans.iter().zip(&previous.tables) {
        if table.last_good.iter().any(|(_, last_good)| !last_good.is_empty()) {
            by_name.insert(&plan.name, &table.last_good);
        }
    }
    if !by_name.is_empty() {
        numbers.extend(old.board.address_ids().map(|id| (old.board.identity(id), id)));
    }
    let translated = |own: &HealthTable| {
        let address = |new| match numbers.get(&snapshot.board.identity(new)) {
            Some(old) => own.address(*old),
            None => health.address(new),
        };
        HealthTable { addresses: snapshot.board.address_ids().map(address).collect(), ..health.clone() }
    };
    let of_plan = |name: &str| match by_name.get(name) {
        Some(all) => all.iter().map(|(lane, own)| (*lane, own.translated(translated))).collect(),
        None => Remembered::default(),
    };
    snapshot.plans.iter().map(|plan| of_plan(&plan.name)).collect()
}
