//! A question's way through its zone: the chain of aliases, and what stands at its end.

use super::denial::{Owed, put_rrsigs};
use super::{Answered, Asked, Steering, Transport, why};
use crate::dnssec::{Denial, OnlineSignatures, Signed};
use crate::ids::ZoneId;
use crate::now::Now;
use crate::steer::Client;
use crate::wire::{
    Class, ExtendedError, Full, HEADER_OCTETS, Name, Owner, Query, Rcode, ResponseWriter, Rtype, Section,
    Verdict,
};
use crate::zone::{ClientClass, Located, Lookup, NodeId, Rrset, Validity, Zone};

/// Aliases followed in one answer. Resolvers go on from the last by themselves; 8 is more than sane
/// zones have, and bounds the work of a query.
const CHAIN_MAX: usize = 8;

/// One query being answered.
pub(super) struct Answering<'v, 'q, S> {
    pub(super) steering: &'v S,
    pub(super) query: &'q Query<'q>,
    pub(super) client: Client,
    /// When, and by what chance.
    pub(super) moment: (Now, u64),
    pub(super) answered: Answered<'v>,
    pub(super) online: &'q mut OnlineSignatures,
    /// What lies over the zone of the name asked for.
    pub(super) signed: Option<&'v Signed>,
    pub(super) owed: Owed,
}

/// Why an answer ends before its time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Halt {
    /// There is no room for what is needed.
    Full,
    /// There is no signature, and none can be made now.
    Unsigned,
}

impl From<Full> for Halt {
    fn from(_: Full) -> Halt {
        Halt::Full
    }
}

/// A name of the chain.
#[derive(Clone, Copy)]
pub(super) struct Link<'n> {
    pub(super) name: &'n Name,
    /// Whether it is QNAME itself, whose case is kept by pointing at it.
    pub(super) asked: bool,
}

impl<'n> Link<'n> {
    /// The name from label `index` on, as an owner.
    pub(super) fn owner(self, index: usize) -> Owner<'n> {
        if self.asked {
            Owner::Question(self.name.start(index))
        } else {
            Owner::Name(self.name.suffix(index))
        }
    }
}

/// Where the owners of the chain so far stand in the message.
#[derive(Default)]
struct Offsets {
    places: [usize; CHAIN_MAX],
    used: usize,
}

impl Offsets {
    fn add(&mut self, offset: usize) {
        if let Some(place) = self.places.get_mut(self.used) {
            *place = offset;
            self.used += 1;
        }
    }

    fn contain(&self, writer: &ResponseWriter<'_>, name: &[u8]) -> bool {
        self.places.iter().take(self.used).any(|place| writer.is_name_at(*place, name))
    }
}

impl<'v, 'q, S: Steering> Answering<'v, 'q, S> {
    pub(super) fn new(
        steering: &'v S,
        query: &'q Query<'q>,
        client: Client,
        moment: (Now, u64),
        online: &'q mut OnlineSignatures,
    ) -> Self {
        let answered = Answered {
            verdict: Verdict { rcode: Rcode::NoError, authoritative: true, truncated: false },
            error: None,
            scope: 0,
            zone: None,
            counters: &[],
            steered: None,
            mode: None,
            compact: false,
        };
        Answering { steering, query, client, moment, answered, online, signed: None, owed: Owed::default() }
    }

    /// Writes the sections; what does not fit sets TC.
    pub(super) fn answer(mut self, asked: &Asked, writer: &mut ResponseWriter<'_>) -> Answered<'v> {
        let written = match Name::from_wire(self.query.question.name) {
            Some(name) => self.look_up(asked.class, &name, writer),
            None => Ok(()),
        };
        match written {
            Ok(()) => {}
            Err(Halt::Full) => self.answered.verdict.truncated = true,
            Err(Halt::Unsigned) => self.come_again(asked, writer),
        }
        self.answered
    }

    /// What cannot be proven now is not said. Who asked in a datagram, and may not have asked at all, comes
    /// again in a stream.
    fn come_again(&mut self, asked: &Asked, writer: &mut ResponseWriter<'_>) {
        writer.clear();
        (self.answered.counters, self.answered.scope) = (&[], 0);
        match asked.transport {
            Transport::Udp => {
                self.answered.verdict.rcode = Rcode::NoError;
                self.answered.verdict.truncated = true;
            }
            Transport::Tcp | Transport::Tls | Transport::Https | Transport::Quic => {
                let _ = self.fail(ExtendedError::NotReady);
            }
        }
    }

    fn look_up(
        &mut self,
        class: ClientClass,
        name: &Name,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let question = self.query.question;
        match question.class {
            Class::IN => {}
            Class::CH => return Ok(self.chaos(name, writer)?),
            _ => {
                self.refuse(Some(ExtendedError::NotAuthoritative));
                return Ok(());
            }
        }
        if question.rtype == Rtype::NXNAME {
            // RFC 9824 section 3.5: it is nothing to ask for.
            let rcode = Rcode::FormErr;
            self.answered.verdict = Verdict { rcode, authoritative: false, truncated: false };
            self.answered.error = Some(ExtendedError::InvalidQueryType);
            return Ok(());
        }
        let catalog = self.steering.catalog();
        let mut found = catalog.find(class, name);
        if question.rtype == Rtype::DS && found.is_some_and(|(_, zone)| zone.origin() == name) {
            found = catalog.find_above(class, name).or(found);
        }
        let Some((id, zone)) = found else {
            self.refuse(Some(ExtendedError::NotAuthoritative));
            return Ok(());
        };
        self.answered.zone = Some(id);
        self.signed = self.steering.signed(id);
        self.answered.compact = self.signed.is_some_and(|signed| signed.denial() == Denial::Compact);
        if matches!(question.rtype, Rtype::AXFR | Rtype::IXFR) {
            self.refuse(Some(ExtendedError::Prohibited));
            return Ok(());
        }
        if catalog.validity(id) != Validity::Current && !self.is_answered_without(zone, id, name) {
            return Ok(());
        }
        if self.why(zone, name, writer)? {
            return Ok(());
        }
        self.follow(zone, name, writer)
    }

    /// Whether a zone that has expired answers nevertheless: at names that are steered, whose answers are
    /// made here and owe nothing to the primary. Everything else is SERVFAIL.
    fn is_answered_without(&mut self, zone: &Zone, id: ZoneId, name: &Name) -> bool {
        let rtype = self.query.question.rtype;
        let is_steered = matches!(zone.lookup(name, rtype), Lookup::Steered(_) | Lookup::Testing(..));
        match self.steering.catalog().validity(id) {
            Validity::Current => true,
            Validity::Expired if is_steered => true,
            Validity::Expired => self.fail(ExtendedError::InvalidData),
            Validity::Missing => self.fail(ExtendedError::NotReady),
        }
    }

    /// SERVFAIL; always false.
    fn fail(&mut self, error: ExtendedError) -> bool {
        self.answered.verdict = Verdict { rcode: Rcode::ServFail, authoritative: false, truncated: false };
        self.answered.error = Some(error);
        false
    }

    /// X2: the account of an answer at `_why.NAME`, for whom it is meant; to others there is no such name.
    fn why(&mut self, zone: &'v Zone, name: &Name, writer: &mut ResponseWriter<'_>) -> Result<bool, Halt> {
        let meant = &self.steering.settings().why;
        if meant.is_empty() || name.labels() == 0 || name.label(0) != why::LABEL {
            return Ok(false);
        }
        let Some(below) = Name::from_wire(name.suffix(1)).filter(|below| zone.contains(below)) else {
            return Ok(false);
        };
        let rtype = self.query.question.rtype;
        let is_static = matches!(zone.lookup(name, rtype), Lookup::Answer(_) | Lookup::Alias(_));
        let Lookup::Steered(service) = zone.lookup(&below, Rtype::A) else { return Ok(false) };
        if is_static || !meant.iter().any(|network| network.contains(&self.client.resolver)) {
            return Ok(false);
        }
        let account = match rtype {
            Rtype::TXT => self.steering.account(service, &self.client, self.moment),
            _ => None,
        };
        let Some(account) = account else {
            return self.why_nothing(zone, name, writer).map(|()| true);
        };
        // It speaks of this one address: others get the same answer for other reasons.
        self.answered.scope = self.client.subnet.map_or(0, |subnet| subnet.family().bits());
        let (owner, rdata) = (Owner::Question(0), std::iter::once(account.as_slice()));
        writer.rrset(Section::Answer, owner, Rtype::TXT, 0, rdata)?;
        let mut records = (account.len() as u16).to_be_bytes().to_vec();
        records.extend_from_slice(&account);
        self.sign_now((owner, name, Rtype::TXT, 0), Section::Answer, &records, writer).map(|()| true)
    }

    /// The account of an answer is TXT and nothing else.
    fn why_nothing(&mut self, zone: &Zone, name: &Name, writer: &mut ResponseWriter<'_>) -> Result<(), Halt> {
        // Its NSEC is there to be asked for, as that of every name.
        let section = match (self.signing(), self.query.question.rtype) {
            (Some(_), Rtype::NSEC) => Section::Answer,
            _ => {
                self.soa(zone, Rcode::NoError, u32::MAX, writer)?;
                Section::Authority
            }
        };
        match self.signing() {
            Some(signed) => self.made(section, signed.negative_ttl_s(), writer, |room| {
                signed.push_present(name, &[Rtype::TXT], room);
                Some(*name)
            }),
            None => Ok(()),
        }
    }

    /// Follows aliases inside the zone. Its response code is that of the end (RFC 6604).
    fn follow(&mut self, zone: &'v Zone, asked: &Name, writer: &mut ResponseWriter<'_>) -> Result<(), Halt> {
        let rtype = self.query.question.rtype;
        let (mut owners, mut redirects) = (Offsets::default(), Offsets::default());
        let mut target: Option<Name> = None;
        loop {
            let link = Link { name: target.as_ref().unwrap_or(asked), asked: target.is_none() };
            let located = zone.locate(link.name, rtype);
            if self.of_signing(zone, &located, link, writer)? {
                return self.settle(zone, writer);
            }
            let next = match located.lookup {
                // A DNAME that led here is in the message already.
                Lookup::Answer(rrset)
                    if rrset.rtype == Rtype::DNAME && redirects.contain(writer, link.name.octets()) =>
                {
                    return self.settle(zone, writer);
                }
                Lookup::Answer(rrset) => {
                    self.expanded(&located, link, writer.offset());
                    self.put(Section::Answer, link.owner(0), &rrset, writer)?;
                    self.settle(zone, writer)?;
                    self.additional(zone, link.name, &rrset, writer);
                    return Ok(());
                }
                Lookup::NoData => return self.negative(zone, &located, link, u32::MAX, writer),
                Lookup::NxDomain => return self.negative(zone, &located, link, u32::MAX, writer),
                Lookup::Steered(service) => {
                    return self.steered(zone, (service, None), &located, link, writer);
                }
                Lookup::Testing(service, region) => {
                    return self.steered(zone, (service, Some(region)), &located, link, writer);
                }
                Lookup::Referral { servers, owner } => {
                    return self.referral(zone, located.node, (link, owner), &servers, writer);
                }
                Lookup::Alias(rrset) => {
                    let offset = writer.offset();
                    owners.add(if link.asked { HEADER_OCTETS } else { offset });
                    self.expanded(&located, link, offset);
                    self.put(Section::Answer, link.owner(0), &rrset, writer)?;
                    rrset.rdata().next().and_then(Name::from_wire)
                }
                Lookup::Redirect { rrset, owner } => {
                    let next = self.redirect(link, owner, &rrset, (&mut owners, &mut redirects), writer)?;
                    // The CNAME that a DNAME stands for is what was asked for.
                    next.filter(|_| rtype != Rtype::CNAME)
                }
            };
            let ends = next.is_none_or(|name| {
                !zone.contains(&name) || owners.used >= CHAIN_MAX || owners.contain(writer, name.octets())
            });
            if ends {
                return self.settle(zone, writer);
            }
            target = next;
        }
    }

    /// A DNAME and the CNAME it stands for (RFC 6672 section 3.1): where that leads.
    fn redirect(
        &mut self,
        link: Link<'_>,
        owner: usize,
        rrset: &Rrset<'v>,
        (owners, redirects): (&mut Offsets, &mut Offsets),
        writer: &mut ResponseWriter<'_>,
    ) -> Result<Option<Name>, Full> {
        if !redirects.contain(writer, link.name.suffix(owner)) {
            redirects.add(if link.asked { HEADER_OCTETS + link.name.start(owner) } else { writer.offset() });
            self.put(Section::Answer, link.owner(owner), rrset, writer)?;
        }
        let target = rrset.rdata().next().unwrap_or(&[]);
        let Some(name) = Name::joined(link.name.prefix(owner), target) else {
            self.answered.verdict.rcode = Rcode::YxDomain;
            return Ok(None);
        };
        owners.add(if link.asked { HEADER_OCTETS } else { writer.offset() });
        let alias = std::iter::once(name.octets());
        // Not signed: it follows from the DNAME (RFC 6672 section 5.3.1).
        writer.rrset(Section::Answer, link.owner(0), Rtype::CNAME, rrset.ttl_s, alias)?;
        Ok(Some(name))
    }

    /// NXDOMAIN or NODATA with the SOA (RFC 2308 section 2), and with what proves it.
    pub(super) fn negative(
        &mut self,
        zone: &Zone,
        located: &Located<'_>,
        link: Link<'_>,
        ttl_max_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let rcode = match located.lookup {
            Lookup::NxDomain => self.absent_rcode(),
            _ => Rcode::NoError,
        };
        self.soa(zone, rcode, ttl_max_s, writer)?;
        let ttl_s = self.signed.map_or(0, Signed::negative_ttl_s).min(ttl_max_s);
        self.deny(zone, located, link, ttl_s, writer)
    }

    fn soa(
        &mut self,
        zone: &Zone,
        rcode: Rcode,
        ttl_max_s: u32,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        let expired =
            self.answered.zone.is_some_and(|id| self.steering.catalog().validity(id) != Validity::Current);
        if expired {
            // The SOA of a denial would be the primary's word.
            self.fail(ExtendedError::InvalidData);
            return Ok(());
        }
        self.answered.verdict.rcode = rcode;
        let Some(soa) = zone.soa() else { return Ok(()) };
        // QNAME is at or below the origin, and so ends with it.
        let octets = self.query.question.name.len().saturating_sub(zone.origin().octets().len());
        let (section, owner) = (Section::Authority, Owner::Question(octets));
        let ttl_s = zone.negative_ttl_s().min(ttl_max_s);
        let served = self.signed.and_then(|signed| signed.apex(Rtype::SOA));
        let rdata = served.map_or(soa.rdata(), |served| served.rdata);
        writer.rrset(section, owner, Rtype::SOA, ttl_s, rdata)?;
        if let Some(signed) = self.signing() {
            let rrsigs = served.map_or_else(|| signed.rrsigs(soa.id), |served| served.rrsigs);
            put_rrsigs(section, owner, ttl_s, rrsigs, writer)?;
        }
        Ok(())
    }

    /// The cut's servers, with all glue in their own domain or TC (RFC 9471), and what else is known
    /// of them if it fits.
    fn referral(
        &mut self,
        zone: &Zone,
        node: NodeId,
        (link, owner): (Link<'_>, usize),
        servers: &Rrset<'v>,
        writer: &mut ResponseWriter<'_>,
    ) -> Result<(), Halt> {
        self.answered.verdict.authoritative = !link.asked;
        self.put(Section::Authority, link.owner(owner), servers, writer)?;
        self.delegation(zone, node, (link, owner), writer)?;
        let Some(cut) = Name::from_wire(link.name.suffix(owner)) else { return Ok(()) };
        for server in servers.rdata() {
            if Name::from_wire(server).is_some_and(|name| name.is_at_or_below(&cut)) {
                glue(zone, self.signing(), server, writer)?;
            }
        }
        for server in servers.rdata() {
            let elsewhere = Name::from_wire(server).is_some_and(|name| !name.is_at_or_below(&cut));
            if elsewhere && glue(zone, self.signing(), server, writer).is_err() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, error: Option<ExtendedError>) {
        self.answered.verdict = Verdict { rcode: Rcode::Refused, authoritative: false, truncated: false };
        self.answered.error = error;
    }
}

/// Addresses of a server, glue or not.
pub(super) fn glue(
    zone: &Zone,
    signed: Option<&Signed>,
    server: &[u8],
    writer: &mut ResponseWriter<'_>,
) -> Result<(), Full> {
    let Some(name) = Name::from_wire(server) else { return Ok(()) };
    for rrset in zone.addresses(&name).iter().flatten() {
        offer(signed, Owner::Name(server), rrset, writer)?;
    }
    Ok(())
}

/// Writes an RRset into the additional section. Its signatures come with it if they fit: who needs them can
/// ask for them (RFC 4035 section 3.1.1).
pub(super) fn offer(
    signed: Option<&Signed>,
    owner: Owner<'_>,
    rrset: &Rrset<'_>,
    writer: &mut ResponseWriter<'_>,
) -> Result<(), Full> {
    let section = Section::Additional;
    writer.rrset(section, owner, rrset.rtype, rrset.ttl_s, rrset.rdata())?;
    if let Some(signed) = signed {
        let _ = put_rrsigs(section, owner, rrset.ttl_s, signed.rrsigs(rrset.id), writer);
    }
    Ok(())
}
