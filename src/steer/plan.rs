//! The compiled policy tree of a service, and the endpoints that its leaves name.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::geo::{GeoKey, RegionOrder};
use crate::ids::{
    AddressId, CounterId, EndpointId, Family, MapId, MonitorId, NodeId, RegionId, ScheduleId, ServiceId,
};

/// All endpoints and regions of a snapshot: what the plans of all services refer to.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// By [`EndpointId`].
    pub endpoints: Box<[Endpoint]>,
    /// Names of regions by [`RegionId`].
    pub regions: Box<[Box<str>]>,
}

impl Fleet {
    /// A region's name, for people.
    pub fn region_name(&self, region: RegionId) -> &str {
        self.regions.get(region.index()).map_or("?", |name| name)
    }

    /// An endpoint; `None` for a number of another generation.
    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(id.index())
    }
}

/// A member of a pool.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `pool/endpoint`.
    pub name: Box<str>,
    /// Where it is.
    pub region: RegionId,
    /// Its share against the others; 0 is the standby tier (R4).
    pub weight: u16,
    /// Its addresses; empty for an alias.
    pub addresses: Box<[EndpointAddress]>,
    /// The CNAME target as an uncompressed lower-case wire name, and its number among the addresses.
    pub alias: Option<(Box<[u8]>, AddressId)>,
    /// The first monitor that probes it.
    pub monitor: Option<MonitorId>,
    /// The place in the hashed order over which answers with several endpoints slide.
    pub order: u64,
}

/// One address of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndpointAddress {
    /// The address.
    pub address: IpAddr,
    /// What its health is published under.
    pub id: AddressId,
}

/// What is decided independently: one of the families, or the alias (R10, R14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// A or AAAA.
    Addresses(Family),
    /// CNAME.
    Alias,
    /// SVCB and HTTPS: the usable addresses of both families of the endpoints chosen.
    Service,
}

impl Lane {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// 0 and 1 for the families, in the order of [`Family::ALL`]; then the alias and the service.
    #[inline(always)]
    pub const fn index(self) -> usize {
        match self {
            Lane::Addresses(family) => family.index(),
            Lane::Alias => 2,
            Lane::Service => 3,
        }
    }

    /// Whether an address is data of the lane.
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Lane::Addresses(family) => Family::of(address) == family,
            Lane::Service => true,
            Lane::Alias => false,
        }
    }
}

/// A service's policy tree with its settings. Node numbers are the service's own.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The service's number.
    pub service: ServiceId,
    /// The service's name.
    pub name: Box<str>,
    /// The tree; children come after their parents or before, but never form a cycle.
    pub nodes: Box<[Node]>,
    /// Where it begins.
    pub root: NodeId,
    /// The bounds of the TTL in seconds.
    pub ttl_s: RangeInclusive<u32>,
    /// Whose client subnet counts (E5).
    pub client_subnet: ClientSubnetUse,
    /// Whether it answers CNAME (R14).
    pub alias: bool,
    /// Whether the addresses of host names stand in its answers: then for how long a look-up is good, in
    /// seconds.
    pub flatten: Option<u32>,
    /// What is decided of it.
    pub lanes: Box<[Lane]>,
    /// The location map that its policies consult; `None` when the place does not matter.
    pub map: Option<MapId>,
    /// The endpoints below the root, sorted.
    pub members: Box<[EndpointId]>,
    /// The counter of each member, in the order of `members`.
    pub counters: Box<[CounterId]>,
    /// The addresses that its decisions depend on, sorted.
    pub addresses: Box<[AddressId]>,
    /// The regions that have testing names (R11), sorted.
    pub testing: Box<[RegionId]>,
    /// The schedules that its nodes follow, sorted.
    pub schedules: Box<[ScheduleId]>,
    /// R10: whether the families are decided together.
    pub families: Families,
    /// R10: the regions that answer AAAA with an empty answer of their own, because none of their endpoints
    /// has IPv6; sorted.
    pub without_ipv6: Box<[RegionId]>,
    /// By [`RegionId`]: the seed of the gate at which its partial shares tell clients apart (R12).
    pub gates: Box<[u64]>,
}

impl Plan {
    /// The counter of a member.
    pub fn counter(&self, endpoint: EndpointId) -> Option<CounterId> {
        let index = self.members.binary_search(&endpoint).ok()?;
        self.counters.get(index).copied()
    }

    /// A node; `None` for a number of another plan.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.index())
    }

    /// A TTL in seconds, within the bounds of the service and what health allows (H7).
    pub fn clamped_ttl_s(&self, bound_s: Option<u32>) -> u32 {
        let (least, most) = (*self.ttl_s.start(), *self.ttl_s.end());
        bound_s.unwrap_or(most).min(most).max(least.min(most))
    }

    /// The gate of a region.
    pub fn gate(&self, region: RegionId) -> u64 {
        self.gates.get(region.index()).copied().unwrap_or(0)
    }

    /// Whether any node goes by load, so that load weights are an input.
    pub fn uses_load(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.rule, Rule::LeastLoaded { .. }))
    }

    /// Whether any node scores regions by latency, so that service times are an input.
    pub fn uses_service_times(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.rule, Rule::Latency { .. }))
    }
}

/// R10: how the families depend on each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Families {
    /// Each is decided by its own health.
    Independent,
    /// What is down in one is down in both.
    Together,
}

/// R10: what a region without IPv6 does for AAAA.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aaaa {
    /// The next region answers.
    NextRegion,
    /// It is chosen all the same, and the answer is empty.
    OwnRegion,
}

/// Whose client subnet a service believes (E5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ClientSubnetUse {
    /// Everybody's.
    Use,
    /// Nobody's.
    Ignore,
    /// Only that of resolvers in these networks.
    Trusted(Box<[IpNet]>),
}

/// A node of the tree.
#[derive(Clone, Debug)]
pub struct Node {
    /// The policy's or pool's name.
    pub name: Box<str>,
    /// What it does.
    pub rule: Rule,
    /// R3, by family; the same twice below an alias.
    pub min_healthy: [MinHealthy; 2],
    /// R11: everybody gets their second choice, where there is one.
    pub skip_first: bool,
    /// R13: outside its windows the node has failed.
    pub schedule: Option<ScheduleId>,
    /// R9; `None`: fail to the parent.
    pub all_down: Option<AllDown>,
    /// The endpoints below, sorted.
    pub members: Box<[EndpointId]>,
    /// The regions of the endpoints below, sorted.
    pub regions: Box<[RegionId]>,
}

/// The kinds of policy. `lens` numbers are those of the plan's location map.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A leaf: the node's members are its endpoints.
    Pool {
        /// Endpoints per answer.
        answers: u8,
    },
    /// In order.
    Failover {
        /// The children.
        children: Box<[NodeId]>,
        /// R12: some clients try the second child first.
        trickle: Option<Trickle>,
    },
    /// By biased distance.
    Nearest {
        /// The children.
        children: Box<[NodeId]>,
        /// The lens that gives the order of regions.
        lens: u8,
        /// The order for unknown locations.
        unknown: RegionOrder,
        /// Endpoints per answer.
        answers: u8,
    },
    /// By expected round trip plus service time.
    Latency {
        /// The children.
        children: Box<[NodeId]>,
        /// The lens that gives the client's cell.
        lens: u8,
        /// Expected round trips from where unknown locations count as being, by region, in 0.1 ms.
        unknown: Box<[u16]>,
        /// Endpoints per answer.
        answers: u8,
    },
    /// By the most specific rule.
    Geo {
        /// The lens that says which rules match.
        lens: u8,
        /// The rules by the number that the lens gives them.
        rules: Box<[(GeoKey, Branch)]>,
        /// For what no rule matches.
        default: Option<Branch>,
        /// For unknown locations; `None`: `default`.
        unknown: Option<Branch>,
    },
    /// By weight.
    Weighted {
        /// The children with their weights.
        children: Box<[(NodeId, u16)]>,
        /// R5.
        sticky: Option<Sticky>,
    },
    /// By the load that regions can take, by hash of the client's prefix.
    LeastLoaded {
        /// The children.
        children: Box<[NodeId]>,
        /// By [`RegionId`]: from [`crate::steer::StickyKey::seed`].
        seeds: Box<[u64]>,
        /// Endpoints per answer.
        answers: u8,
    },
    /// Several endpoints of all children.
    Multivalue {
        /// The children.
        children: Box<[NodeId]>,
        /// Endpoints per answer.
        answers: u8,
    },
}

/// Where a geo rule leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    /// The child.
    pub node: NodeId,
    /// R8: never leave it.
    pub geofence: bool,
}

/// R12: a share of clients, and the gate that tells them from the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trickle {
    /// From [`crate::steer::StickyKey::branch_gate`].
    pub gate: u64,
    /// So many of a thousand.
    pub permille: u16,
}

/// R5: the seed of each child, in the order of the children.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sticky {
    /// From [`crate::steer::StickyKey::seed`].
    pub seeds: Box<[u64]>,
}

/// R3's threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MinHealthy {
    /// At least this many members.
    Count(u32),
    /// At least this share of the members, in percent.
    Percent(u8),
}

impl Node {
    /// How many members a lane needs (R3).
    pub fn needs(&self, lane: Lane) -> MinHealthy {
        let [ipv4, ipv6] = self.min_healthy;
        match lane {
            Lane::Addresses(Family::V6) => ipv6,
            // Hints of both families go with A.
            Lane::Addresses(Family::V4) | Lane::Alias | Lane::Service => ipv4,
        }
    }
}

impl MinHealthy {
    /// Whether `healthy` of `all` members suffice; none never do.
    pub fn met(self, healthy: usize, all: usize) -> bool {
        healthy > 0
            && match self {
                MinHealthy::Count(count) => healthy >= count as usize,
                MinHealthy::Percent(percent) => healthy * 100 >= all * usize::from(percent),
            }
    }
}

impl std::fmt::Display for MinHealthy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MinHealthy::Count(count) => write!(f, "{count}"),
            MinHealthy::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// R9's modes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllDown {
    /// Health is ignored, the policy chooses.
    ServeAll,
    /// As the last table in which something was healthy would have it.
    LastGood,
    /// Another node.
    Fallback(NodeId),
    /// An empty answer.
    NoData,
    /// REFUSED.
    Refuse,
}
