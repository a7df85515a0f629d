//! Dense numbers for everything that has a name in the configuration.
//!
//! A number means something only within the generation (snapshot) that gave it out; what has to
//! survive a reload is carried over by identity (names, addresses, checks), never by number.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident($int:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub $int);

        impl $name {
            /// The number as an index into the table of its kind.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

ids! {
    /// A region: a place users are sent to.
    RegionId(u16);
    /// A monitor: a check as configured, with its intervals and thresholds.
    MonitorId(u16);
    /// A pool of endpoints.
    PoolId(u32);
    /// A named member of a pool.
    EndpointId(u32);
    /// One address (or the host name) of an endpoint: what health is published for.
    AddressId(u32);
    /// One thing that is probed: an address (or host name) together with a monitor. Pools share it.
    TargetId(u32);
    /// A node of a policy tree, numbered through all services of a snapshot.
    NodeId(u32);
    /// A service: policy tree, TTL and client-subnet settings.
    ServiceId(u32);
    /// A location map, shared by the services whose policies ask the same of a place.
    MapId(u16);
    /// A schedule.
    ScheduleId(u16);
    /// A zone.
    ZoneId(u32);
    /// A class of places that one location map does not tell apart.
    ClassId(u32);
    /// A counter that outlives generations; see `telemetry`.
    CounterId(u32);
}

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    /// IPv4, 32 bits.
    V4,
    /// IPv6, 128 bits.
    V6,
}

impl Family {
    /// Both families, in the order in which tables are indexed by family.
    pub const ALL: [Family; 2] = [Family::V4, Family::V6];

    /// The length of an address in bits: 32 or 128.
    pub const fn bits(self) -> u8 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// The family of an address.
    pub const fn of(address: std::net::IpAddr) -> Family {
        match address {
            std::net::IpAddr::V4(_) => Family::V4,
            std::net::IpAddr::V6(_) => Family::V6,
        }
    }

    /// 0 for IPv4, 1 for IPv6.
    pub const fn index(self) -> usize {
        match self {
            Family::V4 => 0,
            Family::V6 => 1,
        }
    }
}
