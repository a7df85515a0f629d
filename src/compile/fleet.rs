//! Pools of the configuration into endpoints and probe targets.

use std::collections::HashMap;
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::config::{Config, EndpointTarget};
use crate::health::{Cadence, Check, TargetAddress, TargetSpec};
use crate::ids::{EndpointId, MonitorId, PoolId, RegionId, TargetId};
use crate::steer::{Endpoint, EndpointAddress, Fleet};
use crate::wire;

/// Which endpoints each pool has.
pub struct Members(Vec<Vec<Member>>);

/// A member of a pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// The endpoint.
    pub id: EndpointId,
    /// Its region.
    pub region: RegionId,
}

impl Members {
    /// The members of a pool.
    pub fn of(&self, pool: PoolId) -> &[Member] {
        self.0.get(pool.index()).map_or(&[], |members| members)
    }
}

/// Numbers all endpoints, and everything that is to be probed: equal checks of equal addresses once (H5).
pub fn fleet(config: &Config) -> (Fleet, Members, Box<[TargetSpec]>) {
    let mut endpoints = Vec::new();
    let mut members = Vec::new();
    let mut targets = Targets { config, numbers: HashMap::new(), specs: Vec::new() };
    for pool in &config.pools {
        let mut own = Vec::new();
        for written in &pool.endpoints {
            let id = EndpointId(endpoints.len() as u32);
            let name = format!("{}/{}", pool.name, written.name);
            let mut target =
                |address: TargetAddress| targets.number(address, pool.monitor?, written.region, &name);
            let (mut addresses, mut alias) = (Vec::new(), None);
            match &written.target {
                EndpointTarget::Addresses(all) => {
                    addresses.extend(all.iter().map(|address| EndpointAddress {
                        address: *address,
                        target: target(TargetAddress::Address(*address)),
                    }));
                }
                EndpointTarget::Host(host) => {
                    // `config` has checked the name.
                    let wire = wire::parse_name(host.as_bytes(), &[0]).unwrap_or_else(|_| vec![0]);
                    let wire = wire.to_ascii_lowercase().into();
                    alias = Some((wire, target(TargetAddress::Host(host.clone()))));
                }
            }
            own.push(Member { id, region: written.region });
            endpoints.push(Endpoint {
                order: hashed_order(&name),
                name: name.into(),
                region: written.region,
                weight: written.weight,
                addresses: addresses.into(),
                alias,
                monitor: pool.monitor,
            });
        }
        members.push(own);
    }
    let regions = config.regions.iter().map(|region| region.name.as_str().into()).collect();
    (Fleet { endpoints: endpoints.into(), regions }, Members(members), targets.specs.into())
}

/// Where an endpoint stands in the order over which answers with several endpoints slide: the same on
/// every node, unrelated to names.
fn hashed_order(name: &str) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

struct Targets<'c> {
    config: &'c Config,
    numbers: HashMap<(TargetAddress, Check, Cadence), TargetId>,
    specs: Vec<TargetSpec>,
}

impl Targets<'_> {
    fn number(
        &mut self,
        address: TargetAddress,
        monitor: MonitorId,
        region: RegionId,
        endpoint: &str,
    ) -> Option<TargetId> {
        let written = self.config.monitors.get(monitor.index())?;
        let key = (address, written.check.clone(), written.cadence);
        if let Some(number) = self.numbers.get(&key) {
            return Some(*number);
        }
        let number = TargetId(self.specs.len() as u32);
        let (address, check, cadence) = key.clone();
        let label = match &address {
            TargetAddress::Address(address) => format!("{endpoint} {address}"),
            TargetAddress::Host(host) => format!("{endpoint} {host}"),
        };
        self.specs.push(TargetSpec { address, check, cadence, monitor, region, label });
        self.numbers.insert(key, number);
        Some(number)
    }
}
