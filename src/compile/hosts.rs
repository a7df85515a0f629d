//! Which host names are looked up, because their addresses stand in answers (R14).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Probes;
use crate::health::{BoardSpec, Cadence, Check, TargetAddress, TargetSpec};
use crate::ids::{AddressId, MonitorId, RegionId, TargetId};
use crate::steer::{Fleet, Plan};

/// The longest that a look-up may take: resolvers ask several servers in turn, and nobody waits for them.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Adds a target for each host name below a service that flattens; each name is looked up once.
pub fn look_up(board: &mut BoardSpec, fleet: &Fleet, plans: &[Plan], probes: &Probes) {
    let mut targets = std::mem::take(&mut board.targets).into_vec();
    let mut numbers: BTreeMap<Box<str>, TargetId> = BTreeMap::new();
    let mut hosts: BTreeMap<AddressId, TargetId> = BTreeMap::new();
    let members = plans.iter().filter(|plan| plan.flatten.is_some()).flat_map(|plan| &plan.members);
    for endpoint in members.filter_map(|id| fleet.endpoint(*id)) {
        let Some((_, id)) = &endpoint.alias else { continue };
        let Some(spec) = board.addresses.get(id.index()) else { continue };
        let number = *numbers.entry(spec.address.clone()).or_insert_with(|| {
            targets.push(target(&spec.address, probes));
            TargetId(targets.len() as u32 - 1)
        });
        hosts.insert(*id, number);
    }
    board.targets = targets.into();
    board.hosts = hosts.into_iter().collect();
}

/// It votes for nothing, and belongs to no region: several may share the name.
fn target(host: &str, probes: &Probes) -> TargetSpec {
    let cadence = Cadence {
        interval: probes.resolve_interval,
        timeout: TIMEOUT.min(probes.resolve_interval),
        fall: 1,
        rise: 1,
        ..Cadence::DEFAULT
    };
    TargetSpec {
        address: TargetAddress::Host(host.to_owned()),
        check: Check::Resolve,
        cadence,
        monitor: MonitorId(u16::MAX),
        region: RegionId(u16::MAX),
        label: format!("look-up of {host}"),
    }
}
