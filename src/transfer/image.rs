//! A version of a zone as secondaries get it: frozen, so that a transfer that outlasts a reload ends with what it
//! began with.

use std::sync::Arc;

use crate::dnssec::{Denial, HashedLabel, OverlayRrset, Proof, Signed};
use crate::ids::ZoneId;
use crate::view::{Rendered, View};
use crate::wire::{Name, Rtype};
use crate::zone::{NodeId, Validity, Zone};

/// A zone's data with everything that lies over it.
pub struct Image {
    pub(super) zone: Arc<Zone>,
    /// What signing replaces; of zones that deny by chains also all that it adds.
    signed: Option<Arc<Signed>>,
    /// In place of services, by node.
    rendered: Vec<Rendered>,
    /// The start of authority: its TTL and RDATA.
    pub(super) soa: (u32, Box<[u8]>),
    /// Its serial.
    pub(super) serial: u32,
}

/// One record, its owner known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Record<'i> {
    /// The type.
    pub rtype: Rtype,
    /// The TTL in seconds.
    pub ttl_s: u32,
    /// The RDATA, uncompressed.
    pub rdata: &'i [u8],
}

impl Image {
    /// The version of a zone in a view; `None` where there is nothing to serve.
    pub fn of(view: &View, id: ZoneId) -> Option<Image> {
        if view.snapshot.catalog.validity(id) != Validity::Current {
            return None;
        }
        let zone = view.snapshot.catalog.zones().get(id.index())?;
        let signed = view.signed(id).cloned();
        let soa: (u32, Box<[u8]>) = match signed.as_ref().and_then(|signed| signed.apex(Rtype::SOA)) {
            Some(soa) => (soa.ttl_s, soa.rdata.clone().next()?.into()),
            None => {
                let soa = zone.soa()?;
                (soa.ttl_s, soa.rdata().next()?.into())
            }
        };
        let serial = serial(&soa.1)?;
        Some(Image { zone: zone.clone(), signed, rendered: view.rendered(id), soa, serial })
    }

    /// Whether two versions were made from the very same data: then nothing has to be compared.
    pub fn is_same(&self, other: &Image) -> bool {
        let signed = match (&self.signed, &other.signed) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (None, None) => true,
            _ => false,
        };
        signed && Arc::ptr_eq(&self.zone, &other.zone) && self.rendered == other.rendered
    }

    /// How many nodes there are to go through: those of the zone, and behind them the hashed names of a chain.
    pub fn nodes(&self) -> u32 {
        let hashed = self.chained().map_or(0, Signed::nsec3_count);
        u32::try_from(self.zone.nodes() + hashed).unwrap_or(u32::MAX)
    }

    /// A node's owner.
    pub fn owner(&self, node: u32) -> Option<Name> {
        match self.hashed(node) {
            Some((label, _)) => Name::joined(&label, self.zone.origin().octets()),
            None => self.zone.name_of(NodeId(node)),
        }
    }

    /// The node of a hashed name, by its place in the chain.
    pub(super) fn hashed_nodes(&self) -> impl Iterator<Item = (HashedLabel, u32)> + '_ {
        let first = u32::try_from(self.zone.nodes()).unwrap_or(u32::MAX);
        (first..self.nodes()).filter_map(|node| Some((self.hashed(node)?.0, node)))
    }

    /// Everything at a node but the SOA.
    pub fn records(&self, node: u32, visit: &mut dyn FnMut(Record<'_>)) {
        let chained = self.chained();
        if let (Some((_, proof)), Some(signed)) = (self.hashed(node), chained) {
            return proven(Rtype::NSEC3, &proof, signed, visit);
        }
        let at_origin = node == 0;
        let replaced = |rtype: Rtype| {
            let again = chained.is_some_and(|signed| signed.apex(rtype).is_some());
            at_origin && (again || rtype == Rtype::SOA)
        };
        for rrset in self.zone.rrsets(NodeId(node)).filter(|rrset| !replaced(rrset.rtype)) {
            all(rrset.rtype, rrset.ttl_s, rrset.rdata(), visit);
            if let Some(signed) = chained {
                all(Rtype::RRSIG, rrset.ttl_s, signed.rrsigs(rrset.id), visit);
            }
        }
        if let Some(signed) = chained {
            if at_origin {
                signed.apex_rrsets().for_each(|own| overlaid(&own, visit));
            }
            if let Some(proof) = signed.nsec(NodeId(node)) {
                proven(Rtype::NSEC, &proof, signed, visit);
            }
        }
        let first = self.rendered.partition_point(|own| own.owner.0 < node);
        for own in self.rendered.iter().skip(first).take_while(|own| own.owner.0 == node) {
            all(own.rtype, own.ttl_s, own.records.iter().map(|record| &**record), visit);
        }
    }

    /// The signatures, of a zone that is sent with them. Compact denials are made when they are asked for, by who
    /// has the key: a secondary could not give them, so such a zone goes out as if it were not signed.
    fn chained(&self) -> Option<&Signed> {
        self.signed.as_deref().filter(|signed| signed.denial() != Denial::Compact)
    }

    fn hashed(&self, node: u32) -> Option<(HashedLabel, Proof<'_>)> {
        let place = (node as usize).checked_sub(self.zone.nodes())?;
        self.chained()?.nsec3(place)
    }
}

fn proven(rtype: Rtype, proof: &Proof<'_>, signed: &Signed, visit: &mut dyn FnMut(Record<'_>)) {
    let ttl_s = signed.negative_ttl_s();
    visit(Record { rtype, ttl_s, rdata: proof.rdata });
    all(Rtype::RRSIG, ttl_s, proof.rrsigs, visit);
}

fn overlaid(own: &OverlayRrset<'_>, visit: &mut dyn FnMut(Record<'_>)) {
    if own.rtype != Rtype::SOA {
        all(own.rtype, own.ttl_s, own.rdata, visit);
    }
    all(Rtype::RRSIG, own.ttl_s, own.rrsigs, visit);
}

fn all<'r>(
    rtype: Rtype,
    ttl_s: u32,
    rdata: impl Iterator<Item = &'r [u8]>,
    visit: &mut dyn FnMut(Record<'_>),
) {
    rdata.for_each(|rdata| visit(Record { rtype, ttl_s, rdata }));
}

/// The serial in the RDATA of an SOA: the first of the five numbers at its end.
pub fn serial(soa: &[u8]) -> Option<u32> {
    let numbers = soa.last_chunk::<20>()?;
    numbers.first_chunk().map(|serial| u32::from_be_bytes(*serial))
}
