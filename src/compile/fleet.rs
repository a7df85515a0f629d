//! Pools of the configuration into endpoints, and into what the board is to watch over.

use std::collections::HashMap;
use std::hash::Hasher;
use std::net::SocketAddr;

use siphasher::sip::SipHasher24;

use crate::config::{Config, EndpointTarget, MonitorVote, Pool, PoolMonitor};
use crate::health::{
    AddressSpec, BoardSpec, Cadence, Check, Composition, EndpointSpec, TargetAddress, TargetSpec, TcpCheck,
    Vote,
};
use crate::ids::{AddressId, EndpointId, Family, MonitorId, PoolId, RegionId, TargetId};
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

/// Numbers all endpoints, their addresses, and everything that is to be probed: equal checks of equal
/// addresses once (H5). The board's services are left empty.
pub fn fleet(config: &Config) -> (Fleet, Members, BoardSpec) {
    let mut endpoints = Vec::new();
    let mut watched = Vec::new();
    let mut members = Vec::new();
    let mut addresses = Addresses { specs: Vec::new(), feeds: Vec::new(), targets: Targets::new(config) };
    for pool in &config.pools {
        let mut own = Vec::new();
        for written in &pool.endpoints {
            let id = EndpointId(endpoints.len() as u32);
            let name = format!("{}/{}", pool.name, written.name);
            let place = Place { pool, endpoint: id, region: written.region, name: &name };
            let (mut own_addresses, mut alias) = (Vec::new(), None);
            match &written.target {
                EndpointTarget::Addresses(all) => {
                    own_addresses.extend(all.iter().map(|address| EndpointAddress {
                        address: *address,
                        id: addresses.number(place, TargetAddress::Address(*address)),
                    }));
                }
                EndpointTarget::Host(host) => {
                    // `config` has checked the name.
                    let wire = wire::parse_name(host.as_bytes(), &[0]).unwrap_or_else(|_| vec![0]);
                    let wire = wire.to_ascii_lowercase().into();
                    alias = Some((wire, addresses.number(place, TargetAddress::Host(host.clone()))));
                }
            }
            own.push(Member { id, region: written.region });
            let ids = own_addresses.iter().map(|own| own.id).chain(alias.as_ref().map(|(_, id)| *id));
            watched.push(EndpointSpec {
                name: name.as_str().into(),
                region: written.region,
                capacity: written.capacity.unwrap_or(1),
                addresses: ids.collect(),
                failback: pool.failback,
            });
            endpoints.push(Endpoint {
                order: hashed_order(&name),
                name: name.into(),
                region: written.region,
                weight: written.weight,
                addresses: own_addresses.into(),
                alias,
                monitor: pool.monitor.as_ref().and_then(PoolMonitor::first),
            });
        }
        members.push(own);
    }
    let regions: Box<[Box<str>]> = config.regions.iter().map(|region| region.name.as_str().into()).collect();
    let canaries = config.probes.canaries.iter().map(|socket| addresses.targets.canary(*socket)).collect();
    let board = BoardSpec {
        targets: addresses.targets.specs.into(),
        addresses: addresses.specs.into(),
        endpoints: watched.into(),
        services: Box::new([]),
        feeds: addresses.feeds.into(),
        hosts: Box::new([]),
        loads: Box::new([]),
        regions: regions.clone(),
        canaries,
    };
    (Fleet { endpoints: endpoints.into(), regions }, Members(members), board)
}

/// Where an address belongs.
#[derive(Clone, Copy)]
struct Place<'p> {
    pool: &'p Pool,
    endpoint: EndpointId,
    region: RegionId,
    /// `pool/endpoint`
    name: &'p str,
}

/// Numbers addresses.
struct Addresses<'c> {
    specs: Vec<AddressSpec>,
    /// By address, which target reads its load.
    feeds: Vec<(AddressId, TargetId)>,
    targets: Targets<'c>,
}

impl Addresses<'_> {
    fn number(&mut self, place: Place<'_>, address: TargetAddress) -> AddressId {
        let id = AddressId(self.specs.len() as u32);
        let (text, family) = match &address {
            TargetAddress::Address(address) => (address.to_string(), Some(Family::of(*address))),
            TargetAddress::Host(host) => (host.clone(), None),
        };
        let mut number = |monitor| self.targets.number(address.clone(), monitor, place.region, place.name);
        let checks = place.pool.monitor.as_ref().map(|monitor| composition(monitor, &mut number));
        let watched = place.pool.watch.iter().filter_map(|monitor| number(*monitor));
        let mut watched: Vec<TargetId> = watched.collect();
        let feed = place.pool.feed.and_then(number);
        self.feeds.extend(feed.map(|target| (id, target)));
        watched.extend(feed);
        self.specs.push(AddressSpec {
            endpoint: place.endpoint,
            address: text.into(),
            family,
            checks: checks.unwrap_or_default(),
            watched: watched.into(),
        });
        id
    }
}

fn composition(monitor: &PoolMonitor, number: &mut impl FnMut(MonitorId) -> Option<TargetId>) -> Composition {
    let vote = |vote: &MonitorVote| {
        Some(Vote { target: number(vote.monitor)?, weight: vote.weight, inverted: vote.inverted })
    };
    Composition { needed: monitor.needed, votes: monitor.votes.iter().filter_map(vote).collect() }
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

impl<'c> Targets<'c> {
    fn new(config: &'c Config) -> Targets<'c> {
        Targets { config, numbers: HashMap::new(), specs: Vec::new() }
    }

    /// A target of its own, even where a pool probes the same: it votes for nothing.
    fn canary(&mut self, socket: SocketAddr) -> TargetId {
        let number = TargetId(self.specs.len() as u32);
        self.specs.push(TargetSpec {
            address: TargetAddress::Address(socket.ip()),
            check: Check::Tcp(TcpCheck::connect(socket.port())),
            cadence: Cadence::DEFAULT,
            monitor: MonitorId(u16::MAX),
            region: RegionId(u16::MAX),
            label: format!("canary {socket}"),
        });
        number
    }

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
