//! Collects a zone's data. Judges nothing: whether it makes sense is `compile::zonefile`'s to say.

use super::blocks::{
    NODE_WORDS, Node, NodeKind, Way, Word, mark_wildcard, push_node, push_rrset, rrset_words, words_of,
};
use super::lookup::{ROOT, Zone};
use super::negative::NegativeSoa;
use super::slots::Slots;
use super::sought::octets_hash;
use crate::ids::{RegionId, ServiceId};
use crate::wire::{Name, Rtype};

/// The owner is not at or below the origin, or the zone has outgrown its 32-bit offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfZone;

/// Where a name is in a zone in the making; they rise in the order in which names come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place(u32);

/// A zone in the making.
pub struct ZoneBuilder {
    origin: Name,
    names: Names,
    pending: Vec<Pending>,
    /// Those RRsets as they will stand in the zone.
    rrsets: Vec<Chunk>,
    /// The RDATA of one RRset, while it comes.
    rdata: Vec<u8>,
    steered: Vec<(u32, Attached)>,
    /// What the zone will take up.
    words: u64,
    soa_times: Option<(u32, u32)>,
}

/// An RRset that came.
struct Pending {
    node: u32,
    rtype: Rtype,
    /// Where its words begin: the number of the chunk, and a place in it.
    start: u32,
}

/// RRsets one behind the other. A zone is built from chunks, and each is given back when all of it is in the zone: what
/// is large is not there twice.
struct Chunk {
    words: Vec<Word>,
    /// How many RRsets of it are not in the zone yet.
    left: usize,
}

/// Bits of a place in a chunk: where an RRset begins. From 32 MiB on, what an allocator has taken from the system for one
/// piece it gives back with it. Tests have more than one chunk.
const CHUNK_BITS: u32 = if cfg!(test) { 3 } else { 22 };

/// Who answers for a node.
#[derive(Clone, Copy)]
struct Attached {
    service: ServiceId,
    /// For this one only (R11).
    region: Option<RegionId>,
}

impl ZoneBuilder {
    /// A zone without data.
    pub fn new(origin: &Name) -> ZoneBuilder {
        ZoneBuilder {
            origin: *origin,
            names: Names::new(),
            pending: Vec::new(),
            rrsets: Vec::new(),
            rdata: Vec::new(),
            steered: Vec::new(),
            words: NODE_WORDS as u64,
            soa_times: None,
        }
    }

    /// The place of a name, made if it is new: an empty non-terminal until something is put there.
    pub fn place(&mut self, owner: &Name) -> Result<Place, OutOfZone> {
        let depth = owner.depth_below(&self.origin).ok_or(OutOfZone)?;
        let (octets, end) = (owner.octets(), owner.start(depth));
        let name = |first: usize| octets.get(owner.start(first)..end).unwrap_or(&[]);
        // From the name up to what is there, and down again: those above come first.
        let found = (0..depth).find_map(|first| Some((first, self.names.find(name(first))?)));
        let (missing, mut number) = found.unwrap_or((depth, ROOT));
        for first in (0..missing).rev() {
            self.grow(NODE_WORDS + words_of(name(first).len()))?;
            number = self.names.push(name(first)).ok_or(OutOfZone)?;
        }
        Ok(Place(number))
    }

    /// Adds an RRset: RDATA in uncompressed wire form. An owner and a type come once.
    pub fn rrset<'r>(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        ttl_s: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.rrset_at(place, rtype, ttl_s, rdata)
    }

    /// The same where the owner's place is known.
    pub fn rrset_at<'r>(
        &mut self,
        Place(node): Place,
        rtype: Rtype,
        ttl_s: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), OutOfZone> {
        self.rdata.clear();
        for octets in rdata {
            let length = u16::try_from(octets.len()).map_err(|_| OutOfZone)?;
            self.rdata.extend_from_slice(&length.to_be_bytes());
            self.rdata.extend_from_slice(octets);
            if rtype == Rtype::SOA && node == ROOT {
                let minimum = octets.last_chunk::<4>().map_or(0, |last| u32::from_be_bytes(*last));
                self.soa_times = Some((ttl_s, minimum));
            }
        }
        if self.rrsets.last().is_none_or(|chunk| chunk.words.len() >> CHUNK_BITS != 0) {
            self.rrsets.push(Chunk { words: Vec::new(), left: 0 });
        }
        let number = u32::try_from(self.rrsets.len() - 1).map_err(|_| OutOfZone)?;
        let Some(Chunk { words, left }) = self.rrsets.last_mut() else { return Err(OutOfZone) };
        let before = words.len();
        push_rrset(words, rtype, ttl_s, &self.rdata);
        *left += 1;
        self.pending.push(Pending { node, rtype, start: number << CHUNK_BITS | before as u32 });
        let words = words.len() - before;
        self.grow(words)
    }

    fn grow(&mut self, words: usize) -> Result<(), OutOfZone> {
        self.words += words as u64;
        if self.words > u64::from(Slots::NUMBER_MAX) { Err(OutOfZone) } else { Ok(()) }
    }

    /// Gives a name to a service.
    pub fn steer(&mut self, owner: &Name, service: ServiceId) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.steer_at(place, service);
        Ok(())
    }

    /// The same where the name's place is known.
    pub fn steer_at(&mut self, Place(node): Place, service: ServiceId) {
        self.steered.push((node, Attached { service, region: None }));
    }

    /// Gives a name to one region of a service (R11).
    pub fn steer_region(
        &mut self,
        owner: &Name,
        service: ServiceId,
        region: RegionId,
    ) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.steer_region_at(place, service, region);
        Ok(())
    }

    /// The same where the name's place is known.
    pub fn steer_region_at(&mut self, Place(node): Place, service: ServiceId, region: RegionId) {
        self.steered.push((node, Attached { service, region: Some(region) }));
    }

    /// The zone.
    pub fn build(mut self) -> Zone {
        // Most files have what a name has in one place: then the order of nodes is there, and no room is needed to make it.
        if !self.pending.is_sorted_by_key(|pending| pending.node) {
            self.pending.sort_by_key(|pending| pending.node);
        }
        for own in self.pending.chunk_by_mut(|one, other| one.node == other.node) {
            own.sort_by_key(|pending| pending.rtype);
        }
        self.steered.sort_by_key(|(node, _)| *node);
        // Of a name that was steered twice the last word holds.
        self.steered.reverse();
        self.steered.dedup_by_key(|(node, _)| *node);
        self.steered.reverse();
        let mut words: Vec<Word> = Vec::with_capacity(self.words as usize);
        let mut starts: Vec<u32> = Vec::with_capacity(self.names.len());
        let (mut pending, mut steered) = (&*self.pending, &*self.steered);
        for number in 0..self.names.len() as u32 {
            let count = pending.iter().take_while(|pending| pending.node == number).count();
            let (own, after) = pending.split_at(count);
            pending = after;
            let attached = steered.split_first().filter(|((node, _), _)| *node == number);
            let attached = attached.map(|((_, attached), after)| {
                steered = after;
                *attached
            });
            let name = self.names.get(number);
            let kind = kind(number, own, attached);
            let above = self.names.above(number).and_then(|above| starts.get(above as usize)).copied();
            let node = Node {
                name_octets: name.len() as u8,
                kind,
                way: match kind {
                    NodeKind::Cut | NodeKind::Redirect => Way::Leaves,
                    // Parents come before their children.
                    _ => above.map_or(Way::Clear, |above| way(&words, above)),
                },
                has_wildcard: false,
                count: count as u16,
                number,
                first: (self.pending.len() - pending.len() - count) as u32,
                service: attached.map_or(ServiceId(0), |attached| attached.service),
            };
            if name.starts_with(b"\x01*")
                && let Some(above) = above.and_then(|above| words.get_mut(above as usize..))
            {
                mark_wildcard(above);
            }
            starts.push(words.len() as u32);
            push_node(&mut words, node, name);
            for pending in own {
                let Some(chunk) = self.rrsets.get_mut((pending.start >> CHUNK_BITS) as usize) else {
                    continue;
                };
                let place = (pending.start & ((1 << CHUNK_BITS) - 1)) as usize;
                let rrset = chunk.words.get(place..).unwrap_or(&[]);
                words.extend_from_slice(rrset.get(..rrset_words(rrset)).unwrap_or(&[]));
                chunk.left -= 1;
                if chunk.left == 0 {
                    chunk.words = Vec::new();
                }
            }
        }
        let slots =
            self.names.slots.renumbered(|number| starts.get(number as usize).copied().unwrap_or(ROOT));
        let mut zone = Zone {
            origin: self.origin,
            slots,
            words: words.into(),
            starts: starts.into(),
            entries: self.pending.len(),
            steered: self.steered.iter().map(|(node, attached)| (*node, attached.region)).collect(),
            negative_ttl_s: self.soa_times.map_or(0, |(ttl_s, minimum_s)| ttl_s.min(minimum_s)),
            negative_soa: None,
        };
        let mut soa = zone.soa().into_iter().flat_map(|soa| soa.rdata());
        if let (Some(rdata), None) = (soa.next(), soa.next()) {
            zone.negative_soa = NegativeSoa::of(&zone.origin, zone.negative_ttl_s, rdata);
        }
        zone
    }
}

fn kind(number: u32, own: &[Pending], attached: Option<Attached>) -> NodeKind {
    match attached {
        Some(Attached { region: None, .. }) => return NodeKind::Steered,
        Some(Attached { region: Some(_), .. }) => return NodeKind::Testing,
        None => {}
    }
    own.iter().fold(NodeKind::Plain, |kind, pending| match pending.rtype {
        Rtype::NS if number != ROOT => NodeKind::Cut,
        Rtype::DNAME => NodeKind::Redirect,
        Rtype::CNAME => NodeKind::Alias,
        _ => kind,
    })
}

fn way(words: &[Word], start: u32) -> Way {
    let block = words.get(start as usize..).and_then(super::blocks::Block::read);
    block.map_or(Way::Clear, super::blocks::Block::way)
}

/// Names by number, as labels up to the origin in wire form: the first is the origin's own.
struct Names {
    slots: Slots,
    /// One behind the other.
    octets: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Names {
    /// The origin.
    fn new() -> Names {
        Names { slots: Slots::with_room(1), octets: Vec::new(), ends: vec![0] }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(number).copied().unwrap_or(start);
        self.octets.get(start as usize..end as usize).unwrap_or(&[])
    }

    fn find(&self, name: &[u8]) -> Option<u32> {
        if name.is_empty() {
            return Some(ROOT);
        }
        self.slots.find(octets_hash(name), |number| (self.get(number) == name).then_some(number))
    }

    /// The one that a name is a label under; `None` for the origin.
    fn above(&self, number: u32) -> Option<u32> {
        let (length, after) = self.get(number).split_first()?;
        self.find(after.get(usize::from(*length)..)?)
    }

    /// Adds a name that is not there, and says its number. `None` when there are too many.
    fn push(&mut self, name: &[u8]) -> Option<u32> {
        let number = u32::try_from(self.ends.len()).ok()?;
        self.octets.extend_from_slice(name);
        self.ends.push(u32::try_from(self.octets.len()).ok()?);
        if self.ends.len() > self.slots.room() {
            let mut slots = Slots::with_room(self.ends.len());
            for number in 1..=number {
                slots.put(octets_hash(self.get(number)), number);
            }
            self.slots = slots;
        } else {
            self.slots.put(octets_hash(name), number);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut names = Names::new();
        let wire = |index: usize| {
            let label = format!("label-{}", index * 7919 % 100_000);
            [&[label.len() as u8], label.as_bytes()].concat()
        };
        let mut all = vec![Vec::new()];
        for index in 0..20_000 {
            // Chains and fans.
            let above = &all[if index % 3 == 0 { 0 } else { index % 70 }];
            let name: Vec<u8> = wire(index).iter().chain(above).copied().collect();
            assert_eq!(names.find(&name), None);
            names.push(&name).unwrap();
            all.push(name);
        }
        for (number, name) in all.iter().enumerate() {
            assert_eq!(names.find(name), Some(number as u32));
            assert_eq!(names.get(number as u32), name);
            assert_eq!(names.find(&[name, &b"x"[..]].concat()), None);
        }
    }

    #[test]
    fn runs_of_occupied_slots_stay_short() {
        let mut names = Names::new();
        for index in 0..200_000u32 {
            let label = format!("host{index}");
            names.push(&[&[label.len() as u8], label.as_bytes()].concat()).unwrap();
        }
        assert!(names.slots.longest_run() < 100, "{}", names.slots.longest_run());
    }
}
