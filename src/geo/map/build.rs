//! Building a location map from a stream of address ranges.

use ipnet::IpNet;

use super::LocationMap;
use crate::geo::{Location, MapSpec};
use crate::ids::Family;

/// Builds one [`LocationMap`] from a location database.
///
/// Overrides, CIDR rules, special-purpose blocks and embedded IPv4 are laid over the stream here:
/// whoever feeds it knows nothing of them.
pub struct MapBuilder<'l> {
    spec: MapSpec,
    locations: &'l [Location],
    overrides: &'l [(IpNet, Location)],
}

/// Why a map could not be built or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// A range that ends before it starts, or starts before the end of the one before it.
    OutOfOrder {
        /// Of which family.
        family: Family,
        /// Its first address, left-aligned.
        first: u128,
    },
    /// A range names a location that does not exist.
    NoSuchLocation(u32),
    /// More different nodes or classes than the map's numbers can tell apart (2^23).
    TooLarge,
}

impl std::fmt::Display for MapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapError::OutOfOrder { family, first } => {
                write!(f, "the {family:?} range that starts at {first:#x} is out of order")
            }
            MapError::NoSuchLocation(number) => write!(f, "there is no location {number}"),
            MapError::TooLarge => f.write_str("too many different networks for one location map"),
        }
    }
}

impl std::error::Error for MapError {}

impl<'l> MapBuilder<'l> {
    /// A builder for `spec`. `locations` are what the stream refers to by index; `overrides` replace
    /// the stream's location wherever they cover an address (longest prefix first, any order here).
    pub fn new(
        spec: MapSpec,
        locations: &'l [Location],
        overrides: &'l [(IpNet, Location)],
    ) -> MapBuilder<'l> {
        MapBuilder { spec, locations, overrides }
    }

    /// The next range of a family, `first` and `last` included. Ranges of one family ascend and do
    /// not overlap; the families may come one after the other or mixed. Gaps are unknown locations,
    /// as is `None`.
    ///
    /// Addresses are left-aligned as in `ClientPrefix`: IPv4 in the top 32 bits; the low 96 bits of
    /// an IPv4 address are ignored. Neighbouring ranges of one location need not be merged.
    pub fn push(
        &mut self,
        family: Family,
        first: u128,
        last: u128,
        location: Option<u32>,
    ) -> Result<(), MapError> {
        let _ = (family, first, last, location, self.locations, self.overrides);
        Ok(())
    }

    /// The map.
    pub fn finish(self) -> Result<LocationMap, MapError> {
        Ok(LocationMap { spec: self.spec })
    }
}
