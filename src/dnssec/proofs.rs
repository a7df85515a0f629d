//! What proves that something does not exist, as far as it can be signed ahead: the NSEC or NSEC3 records of
//! a zone's own names.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::names::compare;
use super::signed::{PART, Signed};
use super::{Slices, bitmap};
use crate::wire::{Name, Rtype, name_octets};
use crate::zone::{NodeId, Rdata, Zone};

/// SHA-1's, and so those of hashed owners (RFC 5155 section 5).
pub(super) const HASH_OCTETS: usize = 20;

/// A hashed name.
pub(super) type Hash = [u8; HASH_OCTETS];

/// A hash in base32hex (RFC 5155 section 3.3).
pub(super) const LABEL_OCTETS: usize = 32;

/// The flag of a span that may hold unsigned delegations (RFC 5155 section 3.1.2.1).
const OPT_OUT: u8 = 1;

/// The records that deny.
#[derive(Debug)]
pub(super) enum Proofs {
    /// By node, in parts: an NSEC that speaks of this name alone. Names that do not exist are denied when they
    /// are asked for.
    Compact(Box<[Arc<Slices>]>),
    /// By node, in parts; and the nodes that have one in canonical order.
    Nsec(Box<[Arc<Slices>]>, Box<[NodeId]>),
    /// By place.
    Nsec3(Nsec3Chain),
}

/// A chain of hashed names.
#[derive(Debug)]
pub(super) struct Nsec3Chain {
    pub(super) iterations: u16,
    pub(super) salt: Box<[u8]>,
    /// Sorted.
    pub(super) hashes: Box<[Hash]>,
    /// By place among the hashes, in parts.
    pub(super) records: Box<[Arc<Slices>]>,
}

/// A record that denies, with its signatures.
#[derive(Clone, Copy, Debug)]
pub struct Proof<'s> {
    /// The RDATA of NSEC or NSEC3.
    pub rdata: &'s [u8],
    /// The RDATA of its RRSIGs.
    pub rrsigs: Rdata<'s>,
}

/// Where the hash of a name is in a chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hashed {
    /// It is that of the record at this place.
    At(usize),
    /// It is between that of the record at this place and the next.
    After(usize),
}

/// A hashed owner's first label, with its length octet.
pub type HashedLabel = [u8; LABEL_OCTETS + 1];

impl<'s> Proof<'s> {
    fn of(mut list: Rdata<'s>) -> Option<Proof<'s>> {
        list.next().map(|rdata| Proof { rdata, rrsigs: list })
    }

    /// The types of an NSEC.
    pub fn nsec_bitmap(&self) -> &'s [u8] {
        let next = name_octets(self.rdata).unwrap_or(0);
        self.rdata.get(next..).unwrap_or(&[])
    }

    /// Whether an NSEC has a type.
    pub fn nsec_has(&self, rtype: Rtype) -> bool {
        bitmap::has(self.nsec_bitmap(), rtype)
    }

    /// Whether an NSEC3's span may hold unsigned delegations.
    pub fn is_opt_out(&self) -> bool {
        self.rdata.get(1).is_some_and(|flags| flags & OPT_OUT != 0)
    }
}

impl Signed {
    /// The NSEC of a node; `None` where it has none.
    pub fn nsec(&self, node: NodeId) -> Option<Proof<'_>> {
        match &self.proofs {
            Proofs::Compact(records) | Proofs::Nsec(records, _) => Proof::of(at(records, node.0 as usize)),
            Proofs::Nsec3(_) => None,
        }
    }

    /// The node of a chain's NSEC whose span a name is in, or that it is the owner of.
    pub fn nsec_before(&self, name: &Name) -> Option<NodeId> {
        let Proofs::Nsec(_, order) = &self.proofs else { return None };
        let after = order.partition_point(|node| {
            self.zone.name_of(*node).is_none_or(|owner| compare(&owner, name).is_le())
        });
        order.get(after.checked_sub(1)?).copied()
    }

    /// Where a name in wire form (lower case) is among the hashed ones; `None` without such a chain.
    pub fn nsec3_place(&self, name: &[u8]) -> Option<Hashed> {
        let Proofs::Nsec3(chain) = &self.proofs else { return None };
        let hash = hash(name, chain.iterations, &chain.salt);
        Some(match chain.hashes.binary_search(&hash) {
            Ok(place) => Hashed::At(place),
            // Before the first is after the last.
            Err(place) => Hashed::After(place.checked_sub(1).or(chain.hashes.len().checked_sub(1))?),
        })
    }

    /// The NSEC3 at a place, and the first label of its owner; the rest is the origin.
    pub fn nsec3(&self, place: usize) -> Option<(HashedLabel, Proof<'_>)> {
        let Proofs::Nsec3(chain) = &self.proofs else { return None };
        Some((label(chain.hashes.get(place)?), Proof::of(at(&chain.records, place))?))
    }

    /// How many NSEC3 there are.
    pub fn nsec3_count(&self) -> usize {
        match &self.proofs {
            Proofs::Nsec3(chain) => chain.hashes.len(),
            Proofs::Compact(_) | Proofs::Nsec(..) => 0,
        }
    }
}

impl Proofs {
    /// Every list of records.
    pub(super) fn parts(&self) -> &[Arc<Slices>] {
        match self {
            Proofs::Compact(records) | Proofs::Nsec(records, _) => records,
            Proofs::Nsec3(chain) => &chain.records,
        }
    }
}

impl Nsec3Chain {
    /// The record of a hash.
    pub(super) fn proof(&self, hash: &Hash) -> Option<Proof<'_>> {
        Proof::of(at(&self.records, self.hashes.binary_search(hash).ok()?))
    }
}

fn at(parts: &[Arc<Slices>], index: usize) -> Rdata<'_> {
    parts.get(index / PART).map_or(Rdata::new(&[]), |part| part.get(index % PART))
}

/// The hash of a name in wire form and lower case (RFC 5155 section 5). Allocates nothing.
pub(super) fn hash(name: &[u8], iterations: u16, salt: &[u8]) -> Hash {
    let mut room = [0; 512];
    let mut hash = of(name, salt, &mut room);
    for _ in 0..iterations {
        hash = of(&hash, salt, &mut room);
    }
    hash
}

fn of(octets: &[u8], salt: &[u8], room: &mut [u8; 512]) -> Hash {
    let length = octets.len() + salt.len();
    if let Some(place) = room.get_mut(..octets.len()) {
        place.copy_from_slice(octets);
    }
    if let Some(place) = room.get_mut(octets.len()..length) {
        place.copy_from_slice(salt);
    }
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, room.get(..length).unwrap_or(&[]));
    digest.as_ref().first_chunk().copied().unwrap_or([0; HASH_OCTETS])
}

/// A hash as a label, in lower case.
pub(super) fn label(hash: &Hash) -> HashedLabel {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut label = [LABEL_OCTETS as u8; LABEL_OCTETS + 1];
    let (fives, _) = hash.as_chunks::<5>();
    let places = label.get_mut(1..).into_iter().flat_map(|places| places.chunks_mut(8));
    for (five, places) in fives.iter().zip(places) {
        let bits = five.iter().fold(0u64, |bits, octet| bits << 8 | u64::from(*octet));
        for (index, place) in places.iter_mut().enumerate() {
            *place = DIGITS[(bits >> (35 - 5 * index) & 31) as usize];
        }
    }
    label
}

/// A hash from a label's text, in any case; `None` where it is none.
pub(super) fn unlabel(label: &[u8]) -> Option<Hash> {
    let mut hash = [0; HASH_OCTETS];
    if label.len() != LABEL_OCTETS {
        return None;
    }
    for (eight, place) in label.chunks(8).zip(hash.chunks_mut(5)) {
        let mut bits = 0u64;
        for digit in eight {
            let value = match digit.to_ascii_lowercase() {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'v' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        place.copy_from_slice(bits.to_be_bytes().get(3..)?);
    }
    Some(hash)
}

/// The nodes of a zone in canonical order (RFC 4034 section 6.1).
pub(super) fn canonical_order(zone: &Zone) -> Vec<NodeId> {
    let mut children: Vec<(NodeId, NodeId)> = (0..zone.nodes() as u32)
        .map(NodeId)
        .filter_map(|node| zone.parent(node).map(|parent| (parent, node)))
        .collect();
    // Siblings from the last to the first: what comes off the stack is in order.
    children.sort_unstable_by(|a, b| (a.0, zone.label(b.1)).cmp(&(b.0, zone.label(a.1))));
    let mut order = Vec::with_capacity(zone.nodes());
    let mut stack = vec![NodeId::ORIGIN];
    while let Some(node) = stack.pop() {
        order.push(node);
        let first = children.partition_point(|(parent, _)| *parent < node);
        let own = children.get(first..).unwrap_or(&[]).iter().take_while(|(parent, _)| *parent == node);
        stack.extend(own.map(|(_, child)| *child));
    }
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// RFC 5155 appendix A.
    #[test]
    fn rfc5155_5_hashes_of_published_examples() {
        let check = |name: &[u8], expected: &str| {
            let hash = hash(name, 12, &[0xaa, 0xbb, 0xcc, 0xdd]);
            let label = label(&hash);
            assert_eq!(label[0], 32);
            assert_eq!(std::str::from_utf8(&label[1..]).unwrap(), expected);
            assert_eq!(unlabel(expected.to_ascii_uppercase().as_bytes()), Some(hash));
        };
        check(b"\x07example\x00", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom");
        check(b"\x01a\x07example\x00", "35mthgpgcu1qg68fab165klnsnk3dpvl");
        check(b"\x03ns1\x07example\x00", "2t7b4g4vsa5smi47k61mv5bv1a22bojr");
        check(b"\x01*\x01w\x07example\x00", "r53bq7cc2uvmubfu5ocmm6pers9tk9en");
        assert_eq!(unlabel(b"0p9mhaveqvm6t7vbl5lop2u3t2rp3to"), None);
        assert_eq!(unlabel(b"0p9mhaveqvm6t7vbl5lop2u3t2rp3tow"), None);
    }
}
