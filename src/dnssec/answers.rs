//! What services can answer, and its signatures: found by what the answer says, so that a change of health
//! that leads to an answer given before finds it signed.

use std::net::IpAddr;
use std::sync::Arc;

use super::slices::push_rdata;
use crate::wire::{Rtype, ServiceBinding};
use crate::zone::{NodeId, Rdata};

/// What services can answer in a zone.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Steered {
    /// The types that each steered name can have in some state, CNAME never among them; sorted by node.
    pub types: Vec<(NodeId, Arc<[Rtype]>)>,
    /// Every answer that the decisions of a view can lead to.
    pub answers: Vec<PossibleAnswer>,
}

/// One answer that a steered name can give.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PossibleAnswer {
    /// Who gives it: a wildcard as such.
    pub owner: NodeId,
    /// Its type.
    pub rtype: Rtype,
    /// The greatest TTL that it goes out with.
    pub ttl_s: u32,
    /// What it says.
    pub data: Arc<AnswerData>,
}

/// The data of an answer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum AnswerData {
    /// Addresses of one family, sorted, without duplicates.
    Addresses(Box<[IpAddr]>),
    /// The target of a CNAME: an uncompressed lower-case name.
    Alias(Box<[u8]>),
    /// One SVCB or HTTPS record.
    Binding {
        /// Its hints, in their order.
        addresses: Box<[IpAddr]>,
        /// All of it.
        rdata: Box<[u8]>,
    },
}

/// What an answer says, as the query path has it.
#[derive(Clone, Copy, Debug)]
pub enum Content<'c> {
    /// Addresses of one family, in any order.
    Addresses(&'c [IpAddr]),
    /// The target of a CNAME.
    Alias(&'c [u8]),
    /// SVCB or HTTPS with these addresses as hints.
    Binding(&'c ServiceBinding, &'c [IpAddr]),
}

impl AnswerData {
    /// A set of addresses.
    pub fn addresses(addresses: &[IpAddr]) -> AnswerData {
        let mut all = addresses.to_vec();
        all.sort_unstable();
        all.dedup();
        AnswerData::Addresses(all.into())
    }

    fn is(&self, content: &Content<'_>) -> bool {
        match (self, content) {
            (AnswerData::Addresses(own), Content::Addresses(addresses)) => {
                own.len() == addresses.len() && addresses.iter().all(|address| own.contains(address))
            }
            (AnswerData::Alias(own), Content::Alias(target)) => **own == **target,
            (AnswerData::Binding { rdata, .. }, Content::Binding(binding, addresses)) => {
                binding.is(addresses, rdata)
            }
            _ => false,
        }
    }

    fn content_hash(&self) -> u64 {
        match self {
            AnswerData::Addresses(addresses) | AnswerData::Binding { addresses, .. } => unordered(addresses),
            AnswerData::Alias(target) => ordered(target),
        }
    }

    /// The RDATA of each record.
    pub(super) fn rdata(&self) -> Vec<Vec<u8>> {
        match self {
            AnswerData::Addresses(addresses) => addresses
                .iter()
                .map(|address| match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                })
                .collect(),
            AnswerData::Alias(target) => vec![target.to_vec()],
            AnswerData::Binding { rdata, .. } => vec![rdata.to_vec()],
        }
    }
}

impl Content<'_> {
    /// Appends the RDATA of each record, each with its length before it. `None` where that is too long.
    pub fn push_records(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Content::Addresses(addresses) => addresses.iter().for_each(|address| match address {
                IpAddr::V4(v4) => push_rdata(out, &v4.octets()),
                IpAddr::V6(v6) => push_rdata(out, &v6.octets()),
            }),
            Content::Alias(target) => push_rdata(out, target),
            Content::Binding(binding, addresses) => {
                let start = out.len();
                out.extend_from_slice(&[0, 0]);
                binding.push(addresses, out);
                let length = u16::try_from(out.len() - start - 2).ok()?;
                out.get_mut(start..start + 2)?.copy_from_slice(&length.to_be_bytes());
            }
        }
        Some(())
    }

    fn content_hash(&self) -> u64 {
        match self {
            Content::Addresses(addresses) | Content::Binding(_, addresses) => unordered(addresses),
            Content::Alias(target) => ordered(target),
        }
    }
}

fn unordered(addresses: &[IpAddr]) -> u64 {
    addresses.iter().fold(0, |sum: u64, address| {
        let bits = match address {
            IpAddr::V4(v4) => u128::from(u32::from(*v4)),
            IpAddr::V6(v6) => u128::from(*v6),
        };
        sum.wrapping_add(fold(fold(bits as u64) ^ (bits >> 64) as u64))
    })
}

fn ordered(octets: &[u8]) -> u64 {
    octets.chunks(8).fold(octets.len() as u64, |state, chunk| {
        let word = chunk.iter().fold(0, |word, octet| word << 8 | u64::from(*octet));
        fold(state ^ word)
    })
}

/// Operators choose what is signed, clients only ask for it: the hash needs no secret.
fn fold(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

/// An answer with its signatures.
#[derive(Debug)]
pub(super) struct SignedAnswer {
    pub(super) answer: PossibleAnswer,
    /// The RDATA of RRSIGs, each with its length before it.
    pub(super) rrsigs: Box<[u8]>,
}

/// Signed answers, found by what they say.
#[derive(Debug, Default)]
pub(super) struct AnswerTable {
    pub(super) all: Vec<Arc<SignedAnswer>>,
    /// A power of two of places, at most half in use: (half of the hash, one above the number).
    slots: Box<[(u32, u32)]>,
}

impl AnswerTable {
    pub(super) fn new(all: Vec<Arc<SignedAnswer>>) -> AnswerTable {
        let mut slots = vec![(0, 0); (all.len() * 2).next_power_of_two().max(2)];
        let mask = slots.len() - 1;
        for (number, signed) in (1u32..).zip(&all) {
            let PossibleAnswer { owner, rtype, data, .. } = &signed.answer;
            let hash = place_hash(*owner, *rtype, data.content_hash());
            let mut at = hash as usize & mask;
            while let Some(slot) = slots.get_mut(at) {
                if slot.1 == 0 {
                    *slot = ((hash >> 32) as u32, number);
                    break;
                }
                at = (at + 1) & mask;
            }
        }
        AnswerTable { all, slots: slots.into() }
    }

    pub(super) fn get(&self, owner: NodeId, rtype: Rtype, content: &Content<'_>) -> Option<&SignedAnswer> {
        self.find(place_hash(owner, rtype, content.content_hash()), |answer| {
            answer.owner == owner && answer.rtype == rtype && answer.data.is(content)
        })
    }

    /// The same answer, signed before.
    pub(super) fn same(&self, owner: NodeId, answer: &PossibleAnswer) -> Option<&Arc<SignedAnswer>> {
        let hash = place_hash(owner, answer.rtype, answer.data.content_hash());
        self.find_shared(hash, |own| {
            (own.owner, own.rtype, own.ttl_s) == (owner, answer.rtype, answer.ttl_s)
                && own.data == answer.data
        })
    }

    fn find(&self, hash: u64, is: impl Fn(&PossibleAnswer) -> bool) -> Option<&SignedAnswer> {
        self.find_shared(hash, is).map(|found| &**found)
    }

    fn find_shared(&self, hash: u64, is: impl Fn(&PossibleAnswer) -> bool) -> Option<&Arc<SignedAnswer>> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        loop {
            let (half, number) = *self.slots.get(at)?;
            let index = (number as usize).checked_sub(1)?;
            if half == (hash >> 32) as u32
                && let Some(found) = self.all.get(index)
                && is(&found.answer)
            {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
    }
}

impl SignedAnswer {
    pub(super) fn rrsigs(&self) -> Rdata<'_> {
        Rdata::new(&self.rrsigs)
    }
}

fn place_hash(owner: NodeId, rtype: Rtype, content: u64) -> u64 {
    fold(content ^ fold(u64::from(owner.0) << 16 | u64::from(rtype.0)))
}
