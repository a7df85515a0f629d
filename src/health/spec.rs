//! What the board watches over: targets to probe, and how they add up to addresses, endpoints and
//! services.

use super::load::LoadMember;
use super::{Composition, FailbackSpec, GovernorSpec, TargetSpec};
use crate::ids::{AddressId, EndpointId, Family, RegionId, TargetId};

/// Everything that a snapshot asks of the board. Tables are by dense number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BoardSpec {
    /// What is probed, by [`TargetId`].
    pub targets: Box<[TargetSpec]>,
    /// By [`AddressId`].
    pub addresses: Box<[AddressSpec]>,
    /// By [`EndpointId`].
    pub endpoints: Box<[EndpointSpec]>,
    /// By `ServiceId`.
    pub services: Box<[ServiceSpec]>,
    /// The targets that read addresses' loads, sorted (H12).
    pub feeds: Box<[(AddressId, TargetId)]>,
    /// The targets that look up the host names of addresses, sorted: those whose addresses stand in answers.
    pub hosts: Box<[(AddressId, TargetId)]>,
    /// Endpoints whose load counts, and those that can take over their clients (H12).
    pub loads: Box<[LoadMember]>,
    /// Names of regions, by [`RegionId`].
    pub regions: Box<[Box<str>]>,
    /// Targets that vote for nothing: they tell whether this node itself is well (H11).
    pub canaries: Box<[TargetId]>,
}

/// An address (or the host name) of an endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressSpec {
    /// Whose.
    pub endpoint: EndpointId,
    /// Its identity: the address or the host name as text.
    pub address: Box<str>,
    /// `None` for a host name.
    pub family: Option<Family>,
    /// How its checks add up.
    pub checks: Composition,
    /// Targets that are watched and never vote (H4).
    pub watched: Box<[TargetId]>,
}

/// A member of a pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointSpec {
    /// `pool/endpoint`: its identity.
    pub name: Box<str>,
    /// Where it is.
    pub region: RegionId,
    /// Declared capacity in any unit common to its pool; 1 where none is declared.
    pub capacity: u32,
    /// Its addresses.
    pub addresses: Box<[AddressId]>,
    /// How it comes back (H10).
    pub failback: FailbackSpec,
}

/// A service as the governor and the guards see it (H8, H11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceSpec {
    /// Its identity.
    pub name: Box<str>,
    /// The endpoints below its root, sorted.
    pub members: Box<[EndpointId]>,
    /// The largest TTL it answers with, in seconds (H9).
    pub ttl_max_s: u32,
    /// What operators may not go below without saying so (H8).
    pub min_capacity: Option<MinCapacity>,
    /// What may be removed automatically (H11).
    pub governor: GovernorSpec,
}

/// The capacity that a service must keep (H8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinCapacity {
    /// So much, in the unit of its pools.
    Units(u32),
    /// A share of what is declared, in percent: 1..=100.
    Percent(u8),
}

impl MinCapacity {
    /// In thousandths of the unit, where so many are declared; never more than these.
    pub fn milli_of(self, declared_milli: u64) -> u64 {
        match self {
            MinCapacity::Units(units) => (u64::from(units) * 1000).min(declared_milli),
            MinCapacity::Percent(percent) => declared_milli / 100 * u64::from(percent.min(100)),
        }
    }
}

impl EndpointSpec {
    /// An endpoint without addresses, of capacity 1.
    pub fn plain(name: &str, region: RegionId) -> EndpointSpec {
        EndpointSpec {
            name: name.into(),
            region,
            capacity: 1,
            addresses: Box::new([]),
            failback: FailbackSpec::NONE,
        }
    }
}

impl ServiceSpec {
    /// A service with the usual bounds.
    pub fn plain(name: &str, members: Box<[EndpointId]>) -> ServiceSpec {
        ServiceSpec {
            name: name.into(),
            members,
            ttl_max_s: 60,
            min_capacity: None,
            governor: GovernorSpec::USUAL,
        }
    }
}

impl BoardSpec {
    /// The largest TTL in seconds of the services that hold any of these endpoints, which are sorted.
    pub fn ttl_max_s(&self, endpoints: &[EndpointId]) -> u32 {
        let holds =
            |service: &&ServiceSpec| service.members.iter().any(|own| endpoints.binary_search(own).is_ok());
        self.services.iter().filter(holds).map(|service| service.ttl_max_s).max().unwrap_or(0)
    }

    /// The target that reads an address's load.
    pub fn feed_of(&self, address: AddressId) -> Option<TargetId> {
        let at = self.feeds.binary_search_by_key(&address, |(own, _)| *own).ok()?;
        self.feeds.get(at).map(|(_, target)| *target)
    }

    /// The region of an address.
    pub fn region_of(&self, address: AddressId) -> Option<RegionId> {
        let endpoint = self.addresses.get(address.index())?.endpoint;
        self.endpoints.get(endpoint.index()).map(|endpoint| endpoint.region)
    }

    /// All addresses.
    pub fn address_ids(&self) -> impl Iterator<Item = AddressId> + use<> {
        (0..self.addresses.len() as u32).map(AddressId)
    }

    /// What an address is known by over reloads and restarts: `pool/endpoint` and its text.
    pub fn identity(&self, address: AddressId) -> Option<(&str, &str)> {
        let own = self.addresses.get(address.index())?;
        Some((&*self.endpoints.get(own.endpoint.index())?.name, &*own.address))
    }

    /// What people read of an address: `pool/endpoint 192.0.2.1`.
    pub fn label(&self, address: AddressId) -> String {
        let Some(own) = self.addresses.get(address.index()) else { return "?".to_owned() };
        let endpoint = self.endpoints.get(own.endpoint.index()).map_or("?", |endpoint| &endpoint.name);
        format!("{endpoint} {}", own.address)
    }
}
