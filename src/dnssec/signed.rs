//! A signed zone: what lies over its data.

use std::sync::Arc;

use super::answers::{AnswerTable, Content};
use super::online::{Lifetime, OnlineSignatures, Unsigned};
use super::proofs::Proofs;
use super::rrsig::{self, Subject};
use super::{Denial, Slices, ZoneKey};
use crate::now::Now;
use crate::wire::{Name, Rtype};
use crate::zone::{EntryId, NodeId, Rdata, Zone};

/// RRsets, and nodes, whose signatures are in one piece: what is made anew together.
pub(super) const PART: usize = 1024;

/// The signatures of a zone and what proves that something does not exist. Immutable.
pub struct Signed {
    pub(super) zone: Arc<Zone>,
    /// Sorted by type.
    pub(super) apex: Box<[Overlaid]>,
    /// RRSIGs by [`EntryId`], in parts.
    pub(super) statics: Box<[Arc<Slices>]>,
    pub(super) answers: AnswerTable,
    pub(super) denial: Denial,
    pub(super) proofs: Proofs,
    /// All DNSKEY that there were at signing.
    pub(super) all_keys: Box<[Box<[u8]>]>,
    /// Those that sign the zone.
    pub(super) keys: Box<[ZoneKey]>,
    pub(super) lifetime: Lifetime,
    pub(super) negative_ttl_s: u32,
    pub(super) came: Option<Came>,
}

/// What a zone that came signed came with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Came {
    /// How many signatures.
    pub signatures: usize,
    /// When the first of them ends, in seconds since 1970.
    pub ends_first_s: Option<u32>,
}

/// An RRset of the origin that signing adds or replaces.
#[derive(Clone, Debug)]
pub(super) struct Overlaid {
    pub(super) rtype: Rtype,
    pub(super) ttl_s: u32,
    /// RDATA with lengths.
    pub(super) records: Box<[u8]>,
    pub(super) rrsigs: Box<[u8]>,
}

/// An RRset with its signatures.
#[derive(Clone, Copy, Debug)]
pub struct OverlayRrset<'s> {
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL.
    pub ttl_s: u32,
    /// The RDATA of its records.
    pub rdata: Rdata<'s>,
    /// The RDATA of its RRSIGs.
    pub rrsigs: Rdata<'s>,
}

impl Signed {
    /// The zone that it lies over.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// How existence is denied.
    pub fn denial(&self) -> Denial {
        self.denial
    }

    /// The RRset of the origin that signing adds or replaces: SOA, DNSKEY, CDS, CDNSKEY, NSEC3PARAM.
    pub fn apex(&self, rtype: Rtype) -> Option<OverlayRrset<'_>> {
        self.apex.iter().find(|own| own.rtype == rtype).map(Overlaid::rrset)
    }

    /// All of these.
    pub fn apex_rrsets(&self) -> impl Iterator<Item = OverlayRrset<'_>> {
        self.apex.iter().map(Overlaid::rrset)
    }

    /// The RRSIGs of an RRset of the zone; none of what is not signed: glue, and NS of delegations.
    pub fn rrsigs(&self, entry: EntryId) -> Rdata<'_> {
        let index = entry.0 as usize;
        self.statics.get(index / PART).map_or(Rdata::new(&[]), |part| part.get(index % PART))
    }

    /// The RRSIGs of a service's answer, found by what it says; `None` where it was not signed ahead.
    pub fn answer(&self, owner: NodeId, rtype: Rtype, content: &Content<'_>) -> Option<Rdata<'_>> {
        self.answers.get(owner, rtype, content).map(super::answers::SignedAnswer::rrsigs)
    }

    /// The keys that sign the zone: what is signed when it is asked for is signed by each.
    pub fn online_keys(&self) -> usize {
        self.keys.len()
    }

    /// The RDATA of an RRSIG by one of these keys.
    pub fn sign_online<'o, 'r>(
        &self,
        (owner, rtype, ttl_s): (&Name, Rtype, u32),
        rdata: impl Iterator<Item = &'r [u8]> + Clone,
        key: usize,
        now: Now,
        online: &'o mut OnlineSignatures,
    ) -> Result<&'o [u8], Unsigned> {
        let key = self.keys.get(key).ok_or(Unsigned::Impossible)?;
        let subject = Subject { owner, rtype, ttl_s };
        online.rrsig(&subject, rdata, (key, self.zone.origin()), self.lifetime, now)
    }

    /// The TTL of what denies (RFC 9077): min(SOA's TTL, MINIMUM).
    pub fn negative_ttl_s(&self) -> u32 {
        self.negative_ttl_s
    }

    /// The expiration of the signature that ends first, in seconds since 1970: when to make the zone's
    /// signatures anew follows from it. `None` where nothing is signed ahead.
    pub fn expires_first_s(&self, now_s: u32) -> Option<u32> {
        let of = |rrsigs: Rdata<'_>| {
            rrsigs.filter_map(rrsig::read).map(|read| read.times.expiration_s).collect::<Vec<_>>()
        };
        let statics = self.statics.iter().flat_map(|part| (0..part.len()).flat_map(|own| of(part.get(own))));
        let proofs = self.proofs.parts().iter();
        let proofs = proofs.flat_map(|part| {
            (0..part.len()).flat_map(|own| {
                let mut list = part.get(own);
                let _ = list.next();
                of(list)
            })
        });
        let apex = self.apex.iter().flat_map(|own| of(Rdata::new(&own.rrsigs)));
        let answers = self.answers.all.iter().flat_map(|own| of(own.rrsigs()));
        // As far from now as serial arithmetic sees them.
        statics
            .chain(proofs)
            .chain(apex)
            .chain(answers)
            .min_by_key(|expiration_s| expiration_s.wrapping_sub(now_s) as i32)
    }

    /// How many signatures are made ahead.
    pub fn signatures(&self) -> usize {
        let statics = self.statics.iter().flat_map(|part| (0..part.len()).map(|own| part.get(own).count()));
        let apex = self.apex.iter().map(|own| Rdata::new(&own.rrsigs).count());
        let answers = self.answers.all.iter().map(|own| own.rrsigs().count());
        // The first of each is the proof itself.
        let proofs =
            self.proofs.parts().iter().flat_map(|part| (0..part.len()).map(|own| part.get(own).count()));
        let proofs = proofs.map(|octets| octets.saturating_sub(1));
        statics.chain(apex).chain(answers).chain(proofs).sum()
    }

    /// What it came with; `None` where it is signed here.
    pub fn came(&self) -> Option<Came> {
        self.came
    }

    /// The serial of the zone's file, whatever is served.
    pub fn file_serial(&self) -> u32 {
        let rdata = self.zone.soa().and_then(|soa| soa.rdata().next());
        // Five numbers end the RDATA, the serial is the first of them.
        let serial = rdata.and_then(|rdata| rdata.get(rdata.len().checked_sub(20)?..)?.first_chunk::<4>());
        serial.map_or(0, |octets| u32::from_be_bytes(*octets))
    }

    /// Whether both say the same of everything that does not change with health: what a transfer would show.
    pub fn same_content(&self, other: &Signed) -> bool {
        let same_apex = || {
            self.apex.len() == other.apex.len()
                && self.apex.iter().zip(&other.apex).all(|(one, other)| {
                    (one.rtype, one.ttl_s) == (other.rtype, other.ttl_s)
                        && (&one.records, &one.rrsigs) == (&other.records, &other.rrsigs)
                })
        };
        let same_part = |(one, other): (&Arc<Slices>, &Arc<Slices>)| Arc::ptr_eq(one, other) || one == other;
        self.denial == other.denial
            && self.file_serial() == other.file_serial()
            && self.statics.len() == other.statics.len()
            && same_apex()
            && self.statics.iter().zip(&other.statics).all(same_part)
            && self.proofs.parts().len() == other.proofs.parts().len()
            && self.proofs.parts().iter().zip(other.proofs.parts()).all(same_part)
    }

    /// The memory that signatures take, in octets.
    pub fn octets(&self) -> usize {
        let statics: usize = self.statics.iter().map(|part| part.octets()).sum();
        let answers: usize = self.answers.all.iter().map(|own| own.rrsigs.len() + 96).sum();
        let proofs: usize = self.proofs.parts().iter().map(|part| part.octets()).sum();
        statics + answers + proofs
    }
}

impl Overlaid {
    pub(super) fn rrset(&self) -> OverlayRrset<'_> {
        OverlayRrset {
            rtype: self.rtype,
            ttl_s: self.ttl_s,
            rdata: Rdata::new(&self.records),
            rrsigs: Rdata::new(&self.rrsigs),
        }
    }
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signed")
            .field("zone", self.zone.origin())
            .field("denial", &self.denial)
            .finish_non_exhaustive()
    }
}
