//! Memory fetched ahead: what the look-ups of a batch of clients will read of the map is read before the first of them
//! is made, so that the processor waits for all of it at once and not for one node after the other. What is read
//! says nothing and changes nothing.

use std::hint::black_box;

use super::LocationMap;
use super::nodes::{Node, STRIDE, Target};
use crate::ids::Family;

/// Addresses that are read ahead for at a time: more than a processor has reads under way.
pub const AHEAD_MAX: usize = 32;

/// Maps of fewer words than this are taken to be in a core's own caches anyway.
const CACHED_WORDS_MAX: usize = 1 << 19;

/// A node, and the bits of the address that choose below it, the first of them the highest.
#[derive(Clone, Copy)]
struct Way {
    place: u32,
    rest: u32,
}

impl LocationMap {
    /// Reads what look-ups of so many IPv4 addresses will read after their first two octets, [`AHEAD_MAX`] at most.
    pub fn fetch(&self, addresses: impl Iterator<Item = u32>) {
        if self.trie.words() < CACHED_WORDS_MAX {
            return;
        }
        let mut ways = [Way { place: 0, rest: 0 }; AHEAD_MAX];
        let mut used = 0;
        for (to, way) in ways.iter_mut().zip(addresses.filter_map(|address| self.after_two_octets(address))) {
            *to = way;
            used += 1;
        }
        let ways = ways.get(..used).unwrap_or(&[]);
        // Each read of a step is independent of the others: that is what lets them overlap.
        black_box(ways.iter().fold(0, |read, way| read ^ self.node_of(way).first_word()));
        let below = ways.iter().filter_map(|way| self.below(way));
        black_box(below.fold(0, |read, way| read ^ self.node_of(&way).first_word()));
    }

    #[inline(always)]
    fn after_two_octets(&self, address: u32) -> Option<Way> {
        let top = self.trie.after_two_octets(Family::V4, (address >> 16) as u16)?;
        way(top.target(), address << 16)
    }

    #[inline(always)]
    fn below(&self, at: &Way) -> Option<Way> {
        let node = self.node_of(at);
        way(node.target(node.run_of(at.rest >> (u32::BITS - STRIDE))), at.rest << STRIDE)
    }

    #[inline(always)]
    fn node_of(&self, way: &Way) -> Node<'_> {
        self.trie.node(way.place)
    }
}

#[inline(always)]
fn way(target: Target, rest: u32) -> Option<Way> {
    match target {
        Target::Node(place) => Some(Way { place, rest }),
        Target::Class(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use crate::geo::{GeoKey, Lens, MapBuilder, MapSpec, ScopeFloor};

    #[test]
    fn what_is_read_is_on_the_way_of_an_address() {
        let rules = ["203.0.0.0/8", "203.1.0.0/16", "203.1.16.0/20", "203.1.17.0/24", "203.2.128.0/17"];
        let rules: Vec<GeoKey> = rules.map(|rule| GeoKey::Cidr(rule.parse().unwrap())).into();
        let (regions, lenses) = ([].into(), [Lens::Rules(rules.into())].into());
        let map = MapBuilder::new(MapSpec { regions, lenses, floor: ScopeFloor::NONE }).finish().unwrap();
        for (address, nodes) in [
            ("203.1.17.0", 2),
            ("203.1.16.0", 2),
            ("203.1.32.0", 1),
            ("203.2.128.0", 1),
            ("203.3.0.0", 0),
            ("8.8.8.0", 0),
        ] {
            let first = map.after_two_octets(address.parse::<Ipv4Addr>().unwrap().into());
            let ways = std::iter::successors(first, |way| map.below(way));
            assert_eq!(ways.take(2).count(), nodes, "{address}");
        }
    }
}
