//! Memory fetched ahead: what the answers to a batch of questions will be made of is read before the first of them is
//! answered.
//!
//! In a large catalog a question touches places that are in no cache, each found by the one before: the zone, its slot,
//! the block. Question after question, the processor waits for every one of them. Read for all questions of a
//! batch, step by step, they come side by side, and the batch waits about as long as one question would. What is read says
//! nothing and changes nothing: a guess that is wrong has cost a read.

use std::hint::black_box;

use super::catalog::Catalog;
use super::lookup::Zone;
use super::sought::Sought;

/// Questions that are read ahead for at a time: more than a processor has reads under way.
pub const AHEAD_MAX: usize = 32;

/// Zones that take up less, in octets, are taken to be in a core's own caches anyway.
const CACHED_OCTETS_MAX: usize = 1 << 20;

/// Where a question's answer is looked for.
#[derive(Clone, Copy)]
struct Place {
    /// The zone's number.
    zone: u32,
    /// That of the name in it.
    hash: u64,
}

/// Nowhere: there is no zone of this number.
const NOWHERE: Place = Place { zone: u32::MAX, hash: 0 };

impl Catalog {
    /// Whether its zones are more than what caches hold.
    #[inline]
    pub fn is_large(&self) -> bool {
        self.octets() > CACHED_OCTETS_MAX
    }

    /// Reads what the answers to so many questions will be made of, [`AHEAD_MAX`] at most; each begins with QNAME.
    pub fn fetch<'q>(&self, questions: impl Iterator<Item = &'q [u8]>) {
        let mut places = [NOWHERE; AHEAD_MAX];
        let mut used = 0;
        for (place, question) in places.iter_mut().zip(questions) {
            *place = self.place(question).unwrap_or(NOWHERE);
            used += 1;
        }
        let places = places.get(..used).unwrap_or(&[]);
        let zones =
            || places.iter().filter_map(|place| Some((self.zones().get(place.zone as usize)?, place.hash)));
        // Each read of a step is independent of the others: that is what lets them overlap.
        black_box(zones().fold(0, |read, (zone, _)| read ^ zone.read_head()));
        black_box(zones().fold(0, |read, (zone, hash)| read ^ zone.read_slot(hash)));
        black_box(zones().fold(0, |read, (zone, hash)| read ^ zone.read_block(hash)));
    }

    /// Without touching a zone.
    #[inline]
    fn place(&self, question: &[u8]) -> Option<Place> {
        let mut sought = Sought::EMPTY;
        sought.read(question)?;
        let (zone, start) = self.guess(&sought)?;
        let hash = if start == 0 { 0 } else { sought.hash(0, start) };
        Some(Place { zone, hash })
    }
}

impl Zone {
    /// Something of what every question asks of a zone.
    #[inline]
    fn read_head(&self) -> u64 {
        let origin = self.origin.room().first().map_or(0, |word| u64::from_le_bytes(*word));
        origin ^ self.words.len() as u64
    }

    /// Something of the slot of a hash.
    #[inline]
    fn read_slot(&self, hash: u64) -> u64 {
        self.slots.peek(hash)
    }

    /// Something of the two lines of memory in which the block of a hash stands for the most part. Where there is none the
    /// origin's, which has the SOA.
    #[inline]
    fn read_block(&self, hash: u64) -> u64 {
        let start = self.slots.find(hash, Some).unwrap_or(0) as usize;
        let word = |at: usize| self.words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        word(start) ^ word(start + LINE_WORDS)
    }
}

/// Words of a line of memory.
const LINE_WORDS: usize = 8;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::{Name, Rtype, parse_name};
    use crate::zone::{ClientClass, ZoneBuilder};

    fn name(text: &str) -> Name {
        Name::from_wire(&parse_name(text.as_bytes(), &[0]).unwrap()).unwrap()
    }

    fn zone(origin: &str, names: usize) -> Zone {
        let mut builder = ZoneBuilder::new(&name(origin));
        for number in 0..names {
            let owner = name(&format!("n{number}.{origin}"));
            let rdata = [number as u8; 4];
            builder.rrset(&owner, Rtype::A, 60, std::iter::once(&rdata[..])).unwrap();
        }
        builder.build()
    }

    #[test]
    fn what_is_read_is_where_the_answer_is() {
        let catalog = Catalog::new(vec![
            zone("example.", 9),
            zone("b.example.", 50),
            zone("c.example.", 5),
            zone("d.", 0),
        ]);
        assert!(!catalog.is_large());
        for (text, found) in [
            ("n3.example.", true),
            ("n49.b.example.", true),
            ("n4.c.example.", true),
            ("n5.c.example.", false),
            ("d.", false),
            ("x.n1.b.example.", false),
        ] {
            let name = name(text);
            let mut sought = Sought::EMPTY;
            sought.read(name.octets()).unwrap();
            let (id, zone, start) = catalog.find_sought(ClientClass::DEFAULT, &sought).unwrap();
            let place = catalog.place(name.octets()).unwrap();
            assert_eq!(place.zone, id.0);
            let block = if found { zone.find(name.octets().get(..start).unwrap()) } else { zone.block(0) };
            let at = zone.starts.get(block.unwrap().number() as usize).copied().unwrap() as usize;
            let word = |at: usize| zone.words.get(at).map_or(0, |word| u64::from_le_bytes(*word));
            assert_eq!(zone.read_block(place.hash), word(at) ^ word(at + LINE_WORDS));
        }
        let other = name("n1.e.");
        assert!(catalog.place(other.octets()).is_none());
        // Whatever comes in.
        let long = [&[63][..], &[b'a'; 63], &[0]].concat();
        catalog.fetch([&b""[..], b"\x00", b"\xc0\x0c", other.octets(), &long].into_iter());
        Catalog::new(Vec::new()).fetch(std::iter::repeat_n(other.octets(), 2 * AHEAD_MAX));
    }

    #[test]
    fn a_catalog_is_large_that_caches_do_not_hold() {
        assert!(Catalog::new(vec![zone("example.", 30_000)]).is_large());
        assert!(
            Catalog::new((0..3000).map(|number| zone(&format!("z{number}.example."), 1)).collect())
                .is_large()
        );
    }
}
