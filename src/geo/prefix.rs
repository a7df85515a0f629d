//! A client as the policies see it: a network prefix.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ids::Family;

/// A network prefix. The bits past `length` are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientPrefix {
    family: Family,
    /// The address, left-aligned: bit 63 is the first bit of either family. In halves, for those of IPv4 are in this one.
    high: u64,
    low: u64,
    length: u8,
}

impl ClientPrefix {
    /// The network of `length` bits around `address`; longer lengths count as the whole address.
    #[inline(always)]
    pub fn new(address: IpAddr, length: u8) -> ClientPrefix {
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(Family::V4.bits());
                // So many ones in front: a shift by less than all of them.
                let high = u64::from(u32::from(v4)) << 32 & !(u64::MAX >> length);
                ClientPrefix { family: Family::V4, high, low: 0, length }
            }
            IpAddr::V6(v6) => ClientPrefix::from_bits(Family::V6, u128::from(v6), length),
        }
    }

    /// The same from left-aligned bits.
    #[inline]
    pub fn from_bits(family: Family, bits: u128, length: u8) -> ClientPrefix {
        let length = length.min(family.bits());
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - u32::from(length)) };
        ClientPrefix::of_parts(family, bits & mask, length)
    }

    /// The single address.
    #[inline(always)]
    pub fn host(address: IpAddr) -> ClientPrefix {
        match address {
            IpAddr::V4(v4) => ClientPrefix::v4(u32::from(v4), 32),
            IpAddr::V6(v6) => ClientPrefix::of_parts(Family::V6, u128::from(v6), 128),
        }
    }

    #[inline(always)]
    fn v4(address: u32, length: u8) -> ClientPrefix {
        ClientPrefix { family: Family::V4, high: u64::from(address) << 32, low: 0, length }
    }

    #[inline]
    fn of_parts(family: Family, bits: u128, length: u8) -> ClientPrefix {
        ClientPrefix { family, high: (bits >> 64) as u64, low: bits as u64, length }
    }

    /// The family.
    #[inline]
    pub fn family(self) -> Family {
        self.family
    }

    /// The address bits, left-aligned.
    #[inline]
    pub fn bits(self) -> u128 {
        u128::from(self.high) << 64 | u128::from(self.low)
    }

    /// The first 64 of them: with IPv4 all that there are.
    #[inline(always)]
    pub(super) fn high(&self) -> u64 {
        self.high
    }

    /// The prefix length.
    pub fn length(self) -> u8 {
        self.length
    }

    /// The first address of the network.
    pub fn address(self) -> IpAddr {
        match self.family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from((self.high >> 32) as u32)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from(self.bits())),
        }
    }

    /// The prefix cut (never extended) to `length` bits.
    pub fn widened(self, length: u8) -> ClientPrefix {
        ClientPrefix::from_bits(self.family, self.bits(), length.min(self.length))
    }
}

impl std::fmt::Display for ClientPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address(), self.length)
    }
}
