//! Whose: endpoints and targets by the names that a scenario uses.

use meridian::health::{TargetAddress, TargetSpec};
use meridian::ids::{EndpointId, TargetId};
use meridian::view::Snapshot;

use crate::script::Whose;

/// The endpoints that are meant.
pub fn endpoints(snapshot: &Snapshot, whose: &Whose) -> Vec<EndpointId> {
    let fleet = &snapshot.fleet;
    let is = |endpoint: &meridian::steer::Endpoint| match whose {
        Whose::Address(address) => endpoint.addresses.iter().any(|own| own.address == *address),
        Whose::Monitor(_) => false,
        Whose::Region(region) => fleet.region_name(endpoint.region) == region,
        Whose::Endpoint(name) => {
            *endpoint.name == **name || endpoint.name.rsplit_once('/').is_some_and(|(_, own)| own == name)
        }
    };
    let numbered = fleet.endpoints.iter().enumerate();
    numbered.filter(|(_, endpoint)| is(endpoint)).map(|(number, _)| EndpointId(number as u32)).collect()
}

/// What is probed of them.
pub fn targets(snapshot: &Snapshot, whose: &Whose) -> Vec<TargetId> {
    if let Whose::Address(address) = whose {
        let is = |own: &TargetAddress| *own == TargetAddress::Address(*address);
        let numbered = snapshot.board.targets.iter().enumerate();
        return numbered.filter(|(_, spec)| is(&spec.address)).map(|(at, _)| TargetId(at as u32)).collect();
    }
    if let Whose::Monitor(monitor) = whose {
        let is = |spec: &TargetSpec| {
            snapshot.monitors.get(spec.monitor.index()).is_some_and(|name| **name == **monitor)
        };
        let numbered = snapshot.board.targets.iter().enumerate();
        return numbered.filter(|(_, spec)| is(spec)).map(|(at, _)| TargetId(at as u32)).collect();
    }
    let mut targets = Vec::new();
    for id in endpoints(snapshot, whose) {
        let Some(endpoint) = snapshot.fleet.endpoint(id) else { continue };
        let own =
            endpoint.addresses.iter().map(|own| own.id).chain(endpoint.alias.as_ref().map(|(_, id)| *id));
        let specs = own.filter_map(|id| snapshot.board.addresses.get(id.index()));
        targets.extend(specs.flat_map(|spec| spec.checks.targets()));
    }
    targets
}

/// Whether there is such an endpoint, region or address.
pub fn known(snapshot: &Snapshot, whose: &Whose) -> Result<(), String> {
    match targets(snapshot, whose).is_empty() && endpoints(snapshot, whose).is_empty() {
        true => Err(format!("there is no {whose:?}")),
        false => Ok(()),
    }
}

/// Whether a change of state, told by its label, is theirs.
pub fn concerns(snapshot: &Snapshot, label: &str, whose: &Whose) -> bool {
    let specs =
        targets(snapshot, whose).into_iter().filter_map(|target| snapshot.board.targets.get(target.index()));
    specs.into_iter().any(|spec| spec.label == label)
}
