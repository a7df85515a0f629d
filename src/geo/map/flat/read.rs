//! Reading the flat form: shapes only; `check` looks at what the numbers mean.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::geo::map::classes::{Classes, Orders};
use crate::geo::{Continent, Coordinates, CountryCode, GeoKey, Lens, MapSpec, ScopeFloor};
use crate::ids::RegionId;

/// The links to the roots of a trie, how many sets of classes it has, and its row of nodes.
pub(super) type TrieTables = ([u32; 2], u32, Box<[u16]>);

/// Takes a row of octets apart from the front. `None` where they end too soon or make no sense.
pub(super) struct Reader<'b> {
    bytes: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Reader<'b> {
        Reader { bytes }
    }

    /// What has not been read yet.
    pub(super) fn rest(self) -> &'b [u8] {
        self.bytes
    }

    pub(super) fn spec(&mut self) -> Option<MapSpec> {
        let regions = self.each(Reader::region)?;
        let floor = ScopeFloor::new(Some(self.u8()?), Some(self.u8()?));
        let lenses = self.each(Reader::lens)?;
        Some(MapSpec { regions, lenses, floor })
    }

    pub(super) fn classes(&mut self, spec: &MapSpec) -> Option<Classes> {
        let order_length = spec.regions.iter().flatten().count();
        Some(Classes {
            count: self.u32()?,
            values: self.u32s()?,
            orders: Orders::sorted(self.region_ids()?, order_length),
            tied_orders: Orders { regions: self.region_ids()?, alike: [].into(), reaches: self.u16s()? },
            order_length,
            rule_ends: self.u32s()?,
            rules: self.u16s()?,
        })
    }

    /// The links to the roots, how many sets there are, and the row of nodes.
    pub(super) fn trie(&mut self) -> Option<TrieTables> {
        Some(([self.u32()?, self.u32()?], self.u32()?, self.u16s()?))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn region(&mut self) -> Option<Option<Coordinates>> {
        match self.u8()? {
            0 => Some(None),
            1 => {
                let (latitude, longitude) = (f64::from_bits(self.u64()?), f64::from_bits(self.u64()?));
                Coordinates::new(latitude, longitude).map(Some)
            }
            _ => None,
        }
    }

    fn lens(&mut self) -> Option<Lens> {
        match self.u8()? {
            0 => {
                let tie_permille = self.array().map(u16::from_le_bytes)?;
                let bias = self.each(|reader| reader.array().map(i8::from_le_bytes))?;
                Some(Lens::Order { bias, tie_permille })
            }
            1 => Some(Lens::Cell),
            2 => self.each(Reader::key).map(Lens::Rules),
            _ => None,
        }
    }

    fn key(&mut self) -> Option<GeoKey> {
        match self.u8()? {
            0 => {
                let address: [u8; 4] = self.array()?;
                Some(GeoKey::Cidr(IpNet::V4(Ipv4Net::new(address.into(), self.u8()?).ok()?)))
            }
            1 => {
                let address: [u8; 16] = self.array()?;
                Some(GeoKey::Cidr(IpNet::V6(Ipv6Net::new(address.into(), self.u8()?).ok()?)))
            }
            2 => self.u32().map(GeoKey::Asn),
            3 => {
                let country = CountryCode(self.array()?);
                let length = self.u32()? as usize;
                let name = str::from_utf8(self.take(length)?).ok()?;
                Some(GeoKey::Subdivision(country, name.into()))
            }
            4 => self.array().map(|code| GeoKey::Country(CountryCode(code))),
            5 => {
                let code: [u8; 2] = self.array()?;
                str::from_utf8(&code).ok().and_then(Continent::from_code).map(GeoKey::Continent)
            }
            _ => None,
        }
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(|[octet]| octet)
    }

    fn region_ids(&mut self) -> Option<Box<[RegionId]>> {
        Some(self.u16s()?.into_iter().map(RegionId).collect())
    }

    fn u16s(&mut self) -> Option<Box<[u16]>> {
        self.list(u16::from_le_bytes)
    }

    fn u32s(&mut self) -> Option<Box<[u32]>> {
        self.list(u32::from_le_bytes)
    }

    /// A list of numbers of `N` octets after its length.
    fn list<T, const N: usize>(&mut self, number: impl Fn([u8; N]) -> T) -> Option<Box<[T]>> {
        let length = (self.u32()? as usize).checked_mul(N)?;
        let (numbers, _) = self.take(length)?.as_chunks();
        Some(numbers.iter().map(|octets| number(*octets)).collect())
    }

    /// A list of things of any size after its length. Grows as it reads: the length may lie.
    fn each<T>(&mut self, mut one: impl FnMut(&mut Reader<'b>) -> Option<T>) -> Option<Box<[T]>> {
        let count = self.u32()?;
        (0..count).map(|_| one(self)).collect()
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}
