//! Writing the flat form.

use ipnet::IpNet;

use crate::geo::map::classes::Classes;
use crate::geo::map::trie::Trie;
use crate::geo::{Coordinates, GeoKey, Lens, MapSpec};
use crate::ids::Family;

/// Appends to a payload.
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { bytes: Vec::new() }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn spec(&mut self, spec: &MapSpec) {
        self.u32(spec.regions.len() as u32);
        for region in &spec.regions {
            self.region(*region);
        }
        Family::ALL.into_iter().for_each(|family| self.u8(spec.floor.length(family)));
        self.u32(spec.lenses.len() as u32);
        for lens in &spec.lenses {
            self.lens(lens);
        }
    }

    pub(super) fn classes(&mut self, classes: &Classes) {
        let Classes { count, values, orders, tied_orders, order_length: _, rule_ends, rules } = classes;
        self.u32(*count);
        self.u32s(values.iter().copied());
        self.u16s(orders.regions.iter().map(|region| region.0));
        self.u16s(tied_orders.regions.iter().map(|region| region.0));
        self.u16s(tied_orders.reaches.iter().copied());
        self.u32s(rule_ends.iter().copied());
        self.u16s(rules.iter().copied());
    }

    pub(super) fn trie(&mut self, trie: &Trie) {
        trie.roots.into_iter().for_each(|root| self.u32(root));
        self.u32(trie.sets as u32);
        self.u16s(trie.nodes.row().iter().copied());
    }

    fn region(&mut self, region: Option<Coordinates>) {
        self.u8(u8::from(region.is_some()));
        if let Some(at) = region {
            self.bytes.extend(at.latitude().to_bits().to_le_bytes());
            self.bytes.extend(at.longitude().to_bits().to_le_bytes());
        }
    }

    fn lens(&mut self, lens: &Lens) {
        match lens {
            Lens::Order { bias, tie_permille } => {
                self.u8(0);
                self.u16(*tie_permille);
                self.u32(bias.len() as u32);
                self.bytes.extend(bias.iter().flat_map(|bias| bias.to_le_bytes()));
            }
            Lens::Cell => self.u8(1),
            Lens::Rules(keys) => {
                self.u8(2);
                self.u32(keys.len() as u32);
                keys.iter().for_each(|key| self.key(key));
            }
        }
    }

    fn key(&mut self, key: &GeoKey) {
        match key {
            GeoKey::Cidr(IpNet::V4(net)) => {
                self.u8(0);
                self.bytes.extend(net.addr().octets());
                self.u8(net.prefix_len());
            }
            GeoKey::Cidr(IpNet::V6(net)) => {
                self.u8(1);
                self.bytes.extend(net.addr().octets());
                self.u8(net.prefix_len());
            }
            GeoKey::Asn(asn) => {
                self.u8(2);
                self.u32(*asn);
            }
            GeoKey::Subdivision(country, name) => {
                self.u8(3);
                self.bytes.extend(country.0);
                self.u32(name.len() as u32);
                self.bytes.extend(name.bytes());
            }
            GeoKey::Country(country) => {
                self.u8(4);
                self.bytes.extend(country.0);
            }
            GeoKey::Continent(continent) => {
                self.u8(5);
                self.bytes.extend(continent.code().bytes());
            }
        }
    }

    fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend(value.to_le_bytes());
    }

    fn u16s(&mut self, values: impl Iterator<Item = u16>) {
        self.list(values.map(u16::to_le_bytes));
    }

    fn u32s(&mut self, values: impl Iterator<Item = u32>) {
        self.list(values.map(u32::to_le_bytes));
    }

    /// A list of little-endian numbers after its length.
    fn list<const N: usize>(&mut self, values: impl Iterator<Item = [u8; N]>) {
        let start = self.bytes.len();
        self.u32(0);
        self.bytes.extend(values.flatten());
        let count = (self.bytes.len() - start - 4) / N;
        if let Some(length) = self.bytes.get_mut(start..start + 4) {
            length.copy_from_slice(&(count as u32).to_le_bytes());
        }
    }
}
