//! What changed between two versions of a zone (RFC 1995 section 3).

use std::collections::HashMap;

use super::image::{Image, Record};
use crate::dnssec::HashedLabel;
use crate::wire::{Name, Rtype};
use crate::zone::NodeId;

/// A difference of more octets is not kept: whoever lacks it takes the whole zone.
pub const DIFFERENCE_OCTETS_MAX: usize = 16 << 20;
/// TYPE, TTL and the length of RDATA, behind the owner.
const FIXED_OCTETS: usize = 8;

/// The step from one version to the next.
pub struct Difference {
    /// The serial before.
    pub from: u32,
    /// The serial after.
    pub to: u32,
    /// The SOA before: its TTL and RDATA.
    pub soa_before: (u32, Box<[u8]>),
    /// The SOA after.
    pub soa_after: (u32, Box<[u8]>),
    /// What is gone.
    pub removed: Records,
    /// What is new.
    pub added: Records,
}

/// Records one after the other, in few octets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Records {
    octets: Vec<u8>,
    /// How many.
    pub count: usize,
}

/// What a comparison came to.
pub enum Compared {
    /// The same records; the SOA counts among them.
    Equal,
    /// Others.
    Changed(Difference),
    /// Others, and too many of them to be kept.
    TooMuch,
}

/// Compares two versions of one zone.
pub fn compare(before: &Image, after: &Image) -> Compared {
    if before.is_same(after) && before.soa == after.soa {
        return Compared::Equal;
    }
    let mut difference = Difference {
        from: before.serial,
        to: after.serial,
        soa_before: before.soa.clone(),
        soa_after: after.soa.clone(),
        removed: Records::default(),
        added: Records::default(),
    };
    let counterparts = counterparts(before, after);
    let mut matched = vec![false; after.nodes() as usize];
    for (node, counterpart) in (0u32..).zip(&counterparts) {
        if let Some(place) = counterpart.and_then(|other| matched.get_mut(other as usize)) {
            *place = true;
        }
        if !difference.compare_node((before, Some(node)), (after, *counterpart)) {
            return Compared::TooMuch;
        }
    }
    for (node, _) in (0u32..).zip(&matched).filter(|(_, matched)| !**matched) {
        if !difference.compare_node((before, None), (after, Some(node))) {
            return Compared::TooMuch;
        }
    }
    match difference.is_empty() && before.soa == after.soa {
        true => Compared::Equal,
        false => Compared::Changed(difference),
    }
}

/// By node of `before`: the node of the same name in `after`. Parents come before their children.
fn counterparts(before: &Image, after: &Image) -> Vec<Option<u32>> {
    let mut found: Vec<Option<u32>> = Vec::with_capacity(before.nodes() as usize);
    for node in 0..before.zone.nodes() as u32 {
        let parent = before.zone.parent(NodeId(node));
        found.push(match parent {
            None => Some(0),
            Some(parent) => found.get(parent.0 as usize).copied().flatten().and_then(|parent| {
                after.zone.counterpart(NodeId(parent), &before.zone, NodeId(node)).map(|own| own.0)
            }),
        });
    }
    // Hashed names have no parents among the nodes.
    let hashed: HashMap<HashedLabel, u32> = after.hashed_nodes().collect();
    found.extend(before.hashed_nodes().map(|(label, _)| hashed.get(&label).copied()));
    found
}

impl Difference {
    /// The octets that it takes.
    pub fn octets(&self) -> usize {
        self.removed.octets.len() + self.added.octets.len()
    }

    fn is_empty(&self) -> bool {
        self.removed.count == 0 && self.added.count == 0
    }

    /// Adds what differs at a name; says whether it is still little enough.
    fn compare_node(
        &mut self,
        (before, old): (&Image, Option<u32>),
        (after, new): (&Image, Option<u32>),
    ) -> bool {
        let (was, is) = (collected(before, old), collected(after, new));
        if was == is {
            return true;
        }
        let owner = old.and_then(|node| before.owner(node)).or(new.and_then(|node| after.owner(node)));
        let Some(owner) = owner else { return true };
        let gone = was.iter().filter(|own| is.binary_search(own).is_err());
        gone.for_each(|own| self.removed.push(&owner, &own.borrow()));
        let fresh = is.iter().filter(|own| was.binary_search(own).is_err());
        fresh.for_each(|own| self.added.push(&owner, &own.borrow()));
        self.octets() <= DIFFERENCE_OCTETS_MAX
    }
}

/// A record that stands alone.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owned {
    rtype: Rtype,
    ttl_s: u32,
    rdata: Vec<u8>,
}

impl Owned {
    fn borrow(&self) -> Record<'_> {
        Record { rtype: self.rtype, ttl_s: self.ttl_s, rdata: &self.rdata }
    }
}

/// A node's records in order.
fn collected(image: &Image, node: Option<u32>) -> Vec<Owned> {
    let mut all = Vec::new();
    if let Some(node) = node {
        image.records(node, &mut |own| {
            all.push(Owned { rtype: own.rtype, ttl_s: own.ttl_s, rdata: own.rdata.to_vec() });
        });
    }
    all.sort_unstable();
    all
}

impl Records {
    /// Adds one.
    pub fn push(&mut self, owner: &Name, record: &Record<'_>) {
        let name = owner.octets();
        self.octets.push(name.len() as u8);
        self.octets.extend_from_slice(name);
        self.octets.extend_from_slice(&record.rtype.0.to_be_bytes());
        self.octets.extend_from_slice(&record.ttl_s.to_be_bytes());
        self.octets.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
        self.octets.extend_from_slice(record.rdata);
        self.count += 1;
    }

    /// The record that begins at an octet, its owner, and where the next one begins; `None` behind the last.
    pub fn at(&self, start: usize) -> Option<(&[u8], Record<'_>, usize)> {
        let (length, rest) = self.octets.get(start..)?.split_first()?;
        let (owner, rest) = rest.split_at_checked(usize::from(*length))?;
        let (fixed, rest) = rest.split_first_chunk::<FIXED_OCTETS>()?;
        let [t1, t0, s3, s2, s1, s0, l1, l0] = *fixed;
        let rdata = rest.get(..usize::from(u16::from_be_bytes([l1, l0])))?;
        let (rtype, ttl_s) = (Rtype(u16::from_be_bytes([t1, t0])), u32::from_be_bytes([s3, s2, s1, s0]));
        let next = start + 1 + owner.len() + FIXED_OCTETS + rdata.len();
        Some((owner, Record { rtype, ttl_s, rdata }, next))
    }
}
