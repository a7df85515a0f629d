//! What signed zones prove: signatures beside RRsets, and why there are no others.

use super::Steering;
use super::answer::{Answering, Halt, Link};
use crate::dnssec::{Content, Denial, Hashed, Proof, Signed};
use crate::wire::{Full, HEADER_OCTETS, Name, Owner, Rcode, ResponseWriter, Rtype, Section};
use crate::zone::{Located, Lookup, Matched, NodeId, Rdata, Rrset, Zone};

/// Records that deny in one answer: three of NSEC3 for the end of a chain, and one for each wildcard on the
/// way there.
const SHOWN_MAX: usize = 16;

/// What an answer has to prove yet, and what it has proven.
#[derive(Default)]
pub(super) struct Owed {
    wildcards: [Option<Expanded>; SHOWN_MAX],
    shown: [Option<u64>; SHOWN_MAX],
}

/// A wildcard that stood for a name: no closer name may exist (RFC 4035 section 3.1.3.3).
#[derive(Clone, Copy)]
struct Expanded {
    /// Where the name stands in the message.
    offset: usize,
    /// The closest encloser is the name from this label on.
    encloser: usize,
    wildcard: NodeId,
}

impl Owed {
    fn add(&mut self, expanded: Expanded) {
        if let Some(place) = self.wildcards.iter_mut().find(|place| place.is_none()) {
            *place = Some(expanded);
        }
    }

    /// Whether a record is shown for the first time.
    fn is_new(&mut self, record: u64) -> bool {
        if self.shown.contains(&Some(record)) {
            return false;
        }
        if let Some(place) = self.shown.iter_mut().find(|place| place.is_none()) {
            *place = Some(record);
        }
        true
    }
}

impl<'v, S: Steering> Answering<'v, '_, S> {
    /// The zone's signatures, where they are wanted (RFC 4035 section 3.1).
    pub(super) fn signing(&self) -> Option<&'v Signed> {
        self.signed.filter(|_| self.query.edns.is_some_and(|edns| edns.dnssec_ok))
    }

    /// Writes an RRset of the zone, with its signatures where these are wanted.
    pub(super) fn put(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rrset: &Rrset<'_>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Full> {
        writer.rrset(section, owner, rrset.rtype, rrset.ttl_s, rrset.rdata())?;
        match self.signing() {
            Some(signed) => put_rrsigs(section, owner, rrset.ttl_s, signed.rrsigs(rrset.id), writer),
            None => Ok(()),
        }
    }

    /// Remembers that a wildcard stood for a name whose records begin at `offset`.
    pub(super) fn expanded(&mut self, located: &Located<'_>, link: Link<'_>, offset: usize) {
        if let Matched::Wildcard { encloser } = located.matched
            && self.signing().is_some()
        {
            let offset = if link.asked { HEADER_OCTETS } else { offset };
            self.owed.add(Expanded { offset, encloser, wildcard: located.node });
        }
    }

    /// What only signed zones have, or have otherwise: RRsets that signing adds to the origin, NSEC and RRSIG
    /// as what was asked for. Whether that was the answer.
    pub(super) fn of_signing(
        &mut self,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<bool, Halt> {
        let Some(signed) = self.signed else { return Ok(false) };
        let rtype = self.query.question.rtype;
        let at_origin = link.name.labels() == zone.origin().labels();
        let (section, owner, offset) = (Section::Answer, link.owner(0), writer.offset());
        if at_origin && let Some(rrset) = signed.apex(rtype) {
            writer.rrset(section, owner, rtype, rrset.ttl_s, rrset.rdata)?;
            if self.signing().is_some() {
                put_rrsigs(section, owner, rrset.ttl_s, rrset.rrsigs, writer)?;
            }
            return Ok(true);
        }
        if rtype == Rtype::NSEC && located.lookup == Lookup::NxDomain && self.signing().is_some() {
            return self.absent_nsec(signed, link, writer);
        }
        let is_here = !matches!(located.matched, Matched::Nothing { .. }) && !located.leads_elsewhere();
        if !is_here || !matches!(rtype, Rtype::NSEC | Rtype::RRSIG) {
            return Ok(false);
        }
        let proof = signed.nsec(located.node);
        match (rtype, proof) {
            (Rtype::NSEC, Some(proof)) => {
                let ttl_s = signed.negative_ttl_s();
                writer.rrset(section, owner, rtype, ttl_s, std::iter::once(proof.rdata))?;
                if self.signing().is_some() {
                    put_rrsigs(section, owner, ttl_s, proof.rrsigs, writer)?;
                }
            }
            (Rtype::RRSIG, proof) => {
                // One RRset's signatures stand for all, as for ANY (RFC 8482 section 4.1).
                let apex = at_origin.then(|| signed.apex(Rtype::SOA)).flatten();
                let of_zone = zone.rrsets(located.node).map(|rrset| (rrset.ttl_s, signed.rrsigs(rrset.id)));
                let found = apex
                    .map(|rrset| (rrset.ttl_s, rrset.rrsigs))
                    .into_iter()
                    .chain(of_zone)
                    .chain(proof.map(|proof| (signed.negative_ttl_s(), proof.rrsigs)))
                    .find(|(_, rrsigs)| rrsigs.clone().next().is_some());
                let Some((ttl_s, rrsigs)) = found else { return Ok(false) };
                put_rrsigs(section, owner, ttl_s, rrsigs, writer)?;
            }
            _ => return Ok(false),
        }
        self.expanded(located, link, offset);
        Ok(true)
    }

    /// The NSEC that a name has which does not exist, to who asks for it: by compact denial it is data. As a
    /// proof it would deny the type asked for with a bitmap that has it (RFC 9824 section 3.1).
    fn absent_nsec(
        &mut self,
        signed: &Signed,
        link: Link<'_>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<bool, Halt> {
        if signed.denial() != Denial::Compact {
            return Ok(false);
        }
        self.made(Section::Answer, signed.negative_ttl_s(), writer, |room| {
            signed.push_absent(link.name, room);
            Some(*link.name)
        })?;
        Ok(true)
    }

    /// The signatures of what a service has answered: found by what it says, or made now.
    pub(super) fn sign_answer(
        &mut self,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        (ttl_s, content): (u32, &Content<'_>),
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let Some(signed) = self.signing() else { return Ok(()) };
        let rtype = match content {
            Content::Alias(_) => Rtype::CNAME,
            Content::Addresses(_) | Content::Binding(..) => self.query.question.rtype,
        };
        if let Some(rrsigs) = signed.answer(located.node, rtype, content) {
            return Ok(put_rrsigs(Section::Answer, link.owner(0), ttl_s, rrsigs, writer)?);
        }
        let owner = zone.name_of(located.node).ok_or(Halt::Unsigned)?;
        let mut room = self.online.take_room();
        let signable = content.push_records(&mut room);
        let signed = match signable {
            Some(()) => self.sign_now((link.owner(0), &owner, rtype, ttl_s), Section::Answer, &room, writer),
            None => Err(Halt::Unsigned),
        };
        self.online.give_room(room);
        signed
    }

    /// Signs records, each with its length before it, and writes the signatures.
    pub(super) fn sign_now(
        &mut self,
        (owner, name, rtype, ttl_s): (Owner<'_>, &Name, Rtype, u32),
        section: Section,
        records: &[u8],
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let Some(signed) = self.signing() else { return Ok(()) };
        for key in 0..signed.online_keys().max(1) {
            let rdata = Rdata::new(records);
            let rrsig = signed
                .sign_online((name, rtype, ttl_s), rdata, key, self.moment.0, self.online)
                .map_err(|_| Halt::Unsigned)?;
            writer.rrset(section, owner, Rtype::RRSIG, ttl_s, std::iter::once(rrsig))?;
        }
        Ok(())
    }

    /// Why nothing is where the zone was looked up; with what wildcards on the way there owe.
    pub(super) fn deny(
        &mut self,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let Some(signed) = self.signing() else { return Ok(()) };
        self.settle(zone, writer)?;
        match signed.denial() {
            Denial::Compact => self.deny_compactly(signed, zone, located, link, ttl_s, writer),
            Denial::Nsec => self.deny_by_nsec(signed, zone, located, link, ttl_s, writer),
            Denial::Nsec3 => self.deny_by_nsec3(signed, zone, located, link.name, ttl_s, writer),
        }
    }

    /// What the wildcards of the chain owe: that no closer name exists.
    pub(super) fn settle(&mut self, zone: &Zone, writer: &mut ResponseWriter<'_>) -> Result<(), Halt> {
        let Some(signed) = self.signing() else { return Ok(()) };
        let ttl_s = signed.negative_ttl_s();
        while let Some(expanded) = self.owed.wildcards.iter_mut().find_map(Option::take) {
            let Some(name) = writer.name_at(expanded.offset) else { continue };
            self.no_closer(signed, zone, &name, expanded.encloser, expanded.wildcard, ttl_s, writer)?;
        }
        Ok(())
    }

    /// That no name between another and its closest encloser exists.
    #[allow(clippy::too_many_arguments)]
    fn no_closer(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        name: &Name,
        encloser: usize,
        wildcard: NodeId,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let index = encloser.saturating_sub(1);
        match signed.denial() {
            Denial::Compact => {
                let parent = zone.parent(wildcard).ok_or(Halt::Unsigned)?;
                self.made(Section::Authority, ttl_s, writer, |room| {
                    signed.push_covering(name, index, parent, room)
                })
            }
            Denial::Nsec => self.nsec_around(signed, zone, name, ttl_s, writer),
            Denial::Nsec3 => self.nsec3_of(signed, zone, name.suffix(index), ttl_s, writer).map(|_| ()),
        }
    }

    fn deny_compactly(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let (name, node) = (link.name, located.node);
        match located.matched {
            Matched::Nothing { .. } => self.made(Section::Authority, ttl_s, writer, |room| {
                signed.push_absent(name, room);
                Some(*name)
            }),
            Matched::Exact => self.nsec_without(signed, node, name, ttl_s, writer),
            Matched::Wildcard { encloser } => {
                self.no_closer(signed, zone, name, encloser, node, ttl_s, writer)?;
                let wildcard = zone.name_of(node).ok_or(Halt::Unsigned)?;
                self.nsec_without(signed, node, &wildcard, ttl_s, writer)
            }
        }
    }

    /// The NSEC of an existing name, which must not have the type asked for: it may have it in another state.
    fn nsec_without(
        &mut self,
        signed: &Signed,
        node: NodeId,
        name: &Name,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let rtype = self.query.question.rtype;
        let own = signed.nsec(node).ok_or(Halt::Unsigned)?;
        if own.nsec_has(rtype) && !matches!(rtype, Rtype::NSEC | Rtype::RRSIG) {
            return self.made(Section::Authority, ttl_s, writer, |room| {
                signed.push_without(node, name, rtype, room);
                Some(*name)
            });
        }
        self.shown_once(u64::from(node.0), Rtype::NSEC, Owner::Name(name.octets()), &own, ttl_s, writer)
    }

    /// An NSEC that is made now.
    pub(super) fn made(
        &mut self,
        section: Section,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
        push: impl FnOnce(&mut Vec<u8>) -> Option<Name>,
    ) -> Result<(), Halt> {
        let mut room = self.online.take_room();
        room.extend_from_slice(&[0, 0]);
        let written = match push(&mut room) {
            // Names under the same wildcard share a proof.
            Some(owner) if !self.owed.is_new(number_of(&owner)) => Ok(()),
            Some(owner) => {
                let length = (room.len() - 2) as u16;
                if let Some(place) = room.first_chunk_mut() {
                    *place = length.to_be_bytes();
                }
                let at = Owner::Name(owner.octets());
                match writer.rrset(section, at, Rtype::NSEC, ttl_s, Rdata::new(&room)) {
                    Ok(()) => self.sign_now((at, &owner, Rtype::NSEC, ttl_s), section, &room, writer),
                    Err(full) => Err(full.into()),
                }
            }
            None => Err(Halt::Unsigned),
        };
        self.online.give_room(room);
        written
    }

    /// A record that was signed ahead, unless it is in the message already.
    fn shown_once(
        &mut self,
        number: u64,
        rtype: Rtype,
        owner: Owner<'_>,
        proof: &Proof<'_>,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        if self.owed.is_new(number) {
            writer.rrset(Section::Authority, owner, rtype, ttl_s, std::iter::once(proof.rdata))?;
            put_rrsigs(Section::Authority, owner, ttl_s, proof.rrsigs, writer)?;
        }
        Ok(())
    }

    /// RFC 4035 section 3.1.3.
    fn deny_by_nsec(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        match located.matched {
            Matched::Exact => self.nsec_of(signed, zone, located.node, ttl_s, writer),
            Matched::Wildcard { .. } => {
                self.nsec_around(signed, zone, link.name, ttl_s, writer)?;
                self.nsec_of(signed, zone, located.node, ttl_s, writer)
            }
            Matched::Nothing { encloser } => {
                self.nsec_around(signed, zone, link.name, ttl_s, writer)?;
                match Name::joined(b"\x01*", link.name.suffix(encloser)) {
                    Some(wildcard) => self.nsec_around(signed, zone, &wildcard, ttl_s, writer),
                    // No wildcard can be where its name would be too long.
                    None => Ok(()),
                }
            }
        }
    }

    /// The NSEC of a node; of an empty non-terminal, the one whose span it is in.
    fn nsec_of(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        node: NodeId,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let name = zone.name_of(node).ok_or(Halt::Unsigned)?;
        match signed.nsec(node) {
            Some(own) => {
                let owner = Owner::Name(name.octets());
                self.shown_once(u64::from(node.0), Rtype::NSEC, owner, &own, ttl_s, writer)
            }
            None => self.nsec_around(signed, zone, &name, ttl_s, writer),
        }
    }

    /// The NSEC of a chain whose span a name is in.
    fn nsec_around(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        name: &Name,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let node = signed.nsec_before(name).ok_or(Halt::Unsigned)?;
        let (own, owner) = signed.nsec(node).zip(zone.name_of(node)).ok_or(Halt::Unsigned)?;
        let owner = Owner::Name(owner.octets());
        self.shown_once(u64::from(node.0), Rtype::NSEC, owner, &own, ttl_s, writer)
    }

    /// RFC 5155 section 7.2.
    fn deny_by_nsec3(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        located: &Located<'_>,
        name: &Name,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let encloser = match located.matched {
            Matched::Exact => return self.nsec3_exact(signed, zone, name, ttl_s, writer),
            Matched::Wildcard { encloser } | Matched::Nothing { encloser } => encloser,
        };
        self.nsec3_of(signed, zone, name.suffix(encloser), ttl_s, writer)?;
        self.nsec3_of(signed, zone, name.suffix(encloser.saturating_sub(1)), ttl_s, writer)?;
        match Name::joined(b"\x01*", name.suffix(encloser)) {
            Some(wildcard) => self.nsec3_of(signed, zone, wildcard.octets(), ttl_s, writer).map(|_| ()),
            None => Ok(()),
        }
    }

    /// The NSEC3 of an existing name; under opt-out there may be none: then the closest one above that has
    /// one, and the span of the next closer name (RFC 5155 section 7.2.4).
    fn nsec3_exact(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        name: &Name,
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let depth = name.depth_below(zone.origin()).unwrap_or(0);
        for index in 0..=depth {
            if let Some(Hashed::At(_)) = signed.nsec3_place(name.suffix(index)) {
                self.nsec3_of(signed, zone, name.suffix(index), ttl_s, writer)?;
                if let Some(closer) = index.checked_sub(1) {
                    self.nsec3_of(signed, zone, name.suffix(closer), ttl_s, writer)?;
                }
                return Ok(());
            }
        }
        Err(Halt::Unsigned)
    }

    /// The NSEC3 of a name, or the one whose span its hash is in.
    fn nsec3_of(
        &mut self,
        signed: &Signed,
        zone: &Zone,
        name: &[u8],
        ttl_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<Hashed, Halt> {
        let place = signed.nsec3_place(name).ok_or(Halt::Unsigned)?;
        let (Hashed::At(number) | Hashed::After(number)) = place;
        let (label, proof) = signed.nsec3(number).ok_or(Halt::Unsigned)?;
        let owner = Name::joined(&label, zone.origin().octets()).ok_or(Halt::Unsigned)?;
        let owner = Owner::Name(owner.octets());
        self.shown_once(number as u64, Rtype::NSEC3, owner, &proof, ttl_s, writer)?;
        Ok(place)
    }

    /// DS of a delegation, or that there is none (RFC 4035 section 3.1.4).
    pub(super) fn delegation(
        &mut self,
        zone: &Zone,
        node: NodeId,
        (link, owner): (Link<'_>, usize),
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let Some(signed) = self.signing() else { return Ok(()) };
        self.settle(zone, writer)?;
        if let Some(ds) = zone.rrset_at(node, Rtype::DS) {
            return Ok(self.put(Section::Authority, link.owner(owner), &ds, writer)?);
        }
        let ttl_s = signed.negative_ttl_s();
        let cut = Name::from_wire(link.name.suffix(owner)).ok_or(Halt::Unsigned)?;
        match signed.denial() {
            Denial::Compact | Denial::Nsec => self.nsec_of(signed, zone, node, ttl_s, writer),
            Denial::Nsec3 => self.nsec3_exact(signed, zone, &cut, ttl_s, writer),
        }
    }

    /// The response code of a name that does not exist: by compact denial it exists and has nothing, but for
    /// those who say that they know better (RFC 9824 section 5.1).
    pub(super) fn absent_rcode(&self) -> Rcode {
        let compact = self.signing().is_some_and(|signed| signed.denial() == Denial::Compact);
        let knows = self.query.edns.is_some_and(|edns| edns.compact_ok);
        if compact && !knows { Rcode::NoError } else { Rcode::NxDomain }
    }
}

/// Tells the records that are made for one answer apart from each other, and from nodes: FNV-1a.
fn number_of(owner: &Name) -> u64 {
    let step = |hash: u64, octet: &u8| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3);
    owner.octets().iter().fold(0xcbf2_9ce4_8422_2325, step) | 1 << 63
}

/// Writes signatures beside their RRset, with its TTL.
pub(super) fn put_rrsigs(
    section: Section,
    owner: Owner<'_>,
    ttl_s: u32,
    rrsigs: Rdata<'_>,
    writer: &mut ResponseWriter<'_>,
) -> Result<(), Full> {
    writer.rrset(section, owner, Rtype::RRSIG, ttl_s, rrsigs)
}
