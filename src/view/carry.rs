//! What services remember for R9's `last-good`, carried over a reload: services by name, addresses by
//! endpoint and address.

use std::collections::HashMap;

use crate::health::{BoardSpec, HealthTable};
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
        numbers.extend(addresses(&old.board).map(|id| (identity(&old.board, id), id)));
    }
    let translated = |own: &HealthTable| {
        let address = |new| match numbers.get(&identity(&snapshot.board, new)) {
            Some(old) => own.address(*old),
            None => health.address(new),
        };
        HealthTable { addresses: addresses(&snapshot.board).map(address).collect(), ..health.clone() }
    };
    let of_plan = |name: &str| match by_name.get(name) {
        Some(all) => all.iter().map(|(lane, own)| (*lane, own.translated(translated))).collect(),
        None => Remembered::default(),
    };
    snapshot.plans.iter().map(|plan| of_plan(&plan.name)).collect()
}

fn addresses(spec: &BoardSpec) -> impl Iterator<Item = AddressId> {
    (0..spec.addresses.len() as u32).map(AddressId)
}

fn identity(spec: &BoardSpec, id: AddressId) -> impl Eq + std::hash::Hash + '_ {
    let address = spec.addresses.get(id.index())?;
    Some((&spec.endpoints.get(address.endpoint.index())?.name, &address.address))
}
