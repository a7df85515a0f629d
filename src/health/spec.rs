//! What the board watches over: targets to probe, and how they add up to addresses, endpoints and
//! services.

use super::{Composition, TargetSpec};
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
    /// Names of regions, by [`RegionId`].
    pub regions: Box<[Box<str>]>,
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
}

/// A service as the governor and the guards see it (H8, H11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceSpec {
    /// Its identity.
    pub name: Box<str>,
    /// The endpoints below its root, sorted.
    pub members: Box<[EndpointId]>,
}

impl BoardSpec {
    /// The region of an address.
    pub fn region_of(&self, address: AddressId) -> Option<RegionId> {
        let endpoint = self.addresses.get(address.index())?.endpoint;
        self.endpoints.get(endpoint.index()).map(|endpoint| endpoint.region)
    }

    /// What people read of an address: `pool/endpoint 192.0.2.1`.
    pub fn label(&self, address: AddressId) -> String {
        let Some(own) = self.addresses.get(address.index()) else { return "?".to_owned() };
        let endpoint = self.endpoints.get(own.endpoint.index()).map_or("?", |endpoint| &endpoint.name);
        format!("{endpoint} {}", own.address)
    }
}
