//! The short way: a plain question about a name that is simply there, or simply is not, answered in one pass.
//!
//! Plain is a query with one question of class IN and a common type, a name of common length, and at most an
//! OPT with a client subnet and a cookie. All else, and whatever turns out to need more (aliases, delegations, wildcards,
//! signatures, held answers, long ones), returns `None` and goes the long way, which says the same octet for
//! octet: builds with debug assertions go both ways and compare.

use super::{Asked, EdnsSeen, Note, Outcome, Size, Steering, Terms, client};
use crate::geo::ClientPrefix;
use crate::ids::{CounterId, Family, ServiceId, ZoneId};
use crate::now::Now;
use crate::steer::{Answer, Lane, Mode};
use crate::wire::{
    COOKIE_OCTETS, Class, ClientSubnet, Cookie, HEADER_OCTETS, Header, Opcode, Opt, OptionCode, Owner,
    Question, Rcode, ResponseWriter, Rtype, Section, UDP_OCTETS_MIN, Verdict,
};
use crate::zone::{Hit, Rrset, Sought, Validity, Zone};

/// A pointer to QNAME (RFC 1035 section 4.1.4).
const QNAME_POINTER: [u8; 2] = [0xc0, HEADER_OCTETS as u8];

/// Of the header's third octet up to its tenth: QR, the opcode, and the counts of questions, answers and authority
/// records.
const HEADER_MASK: u64 = 0xf800_ffff_ffff_ffff;

/// What they are in a plain query.
const HEADER_PLAIN: u64 = 0x0000_0001_0000_0000;

/// A plain question.
#[derive(Clone, Copy)]
struct Plain<'p> {
    id: [u8; 2],
    recursion_desired: bool,
    name: &'p Sought,
    rtype: Rtype,
    /// QNAME, QTYPE and QCLASS as sent.
    question: &'p [u8],
    edns: Option<PlainEdns<'p>>,
}

#[derive(Clone, Copy)]
struct PlainEdns<'p> {
    dnssec_ok: bool,
    subnet: Option<ClientSubnet<'p>>,
    cookie: Option<Cookie<'p>>,
}

/// What an answer is made of. Handed on by value, so that all of it can stay in registers.
struct Answering<'v, 'a, S> {
    steering: &'v S,
    terms: Terms<'a>,
    moment: (Now, u64),
    plain: Plain<'a>,
    zone: (ZoneId, &'v Zone),
}

impl<S> Clone for Answering<'_, '_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Answering<'_, '_, S> {}

/// What is to be counted of a service's answer.
type Steered<'v> = (ServiceId, ClientPrefix, Mode, &'v [CounterId]);

/// Answers a plain question; `None` for everything else.
#[inline]
pub(super) fn respond<'v, S: Steering>(
    steering: &'v S,
    asked: &Asked,
    moment: (Now, u64),
    packet: &[u8],
    buffer: &mut [u8],
) -> Option<Outcome<'v>> {
    let mut name = Sought::EMPTY;
    let plain = Plain::read(packet, &mut name)?;
    let catalog = steering.catalog();
    let (id, zone, origin) = catalog.find_sought(asked.class, plain.name)?;
    if catalog.validity(id) != Validity::Current {
        return None;
    }
    let is_signed = steering.signed(id).is_some();
    if is_signed && plain.edns.is_some_and(|edns| edns.dnssec_ok) {
        return None;
    }
    let sent = plain.edns.and_then(|edns| edns.cookie);
    let terms = Terms::of(steering.settings(), asked, sent, moment.0);
    if terms.is_refused() {
        return None;
    }
    let hit = zone.hit(plain.name, origin, plain.rtype);
    let answering = Answering { steering, terms, moment, plain, zone: (id, zone) };
    match hit {
        Hit::Answer(rrset) => answering.stored(&rrset, buffer),
        Hit::Steered(service) => answering.steered(service, is_signed, buffer),
        Hit::NoData if !is_signed => answering.negative(Rcode::NoError, None, buffer),
        Hit::NxDomain if !is_signed => answering.negative(Rcode::NxDomain, None, buffer),
        Hit::NoData | Hit::NxDomain | Hit::Walk => None,
    }
}

impl<'p> Plain<'p> {
    #[inline(always)]
    fn read(packet: &'p [u8], name: &'p mut Sought) -> Option<Plain<'p>> {
        let (head, body) = packet.split_first_chunk::<HEADER_OCTETS>()?;
        let [id1, id0, flags, rest @ ..] = *head;
        let [f0, q1, q0, n3, n2, n1, n0, a1, additional] = rest;
        // Neither QR nor an opcode; one question, no answers, no authority. One comparison of a word.
        let word = u64::from_be_bytes([flags, f0, q1, q0, n3, n2, n1, n0]);
        if word & HEADER_MASK != HEADER_PLAIN || a1 != 0 {
            return None;
        }
        name.read(body)?;
        // Its names may be accounts of answers.
        if name.first_octet() == b'_' {
            return None;
        }
        let (question, rest) = body.split_at_checked(name.octets() + 4)?;
        let [t1, t0, c1, c0] = *question.last_chunk::<4>()?;
        let rtype = Rtype(u16::from_be_bytes([t1, t0]));
        if u16::from_be_bytes([c1, c0]) != Class::IN.0 || !is_plain(rtype) {
            return None;
        }
        let edns = match (additional, rest) {
            (0, []) => None,
            (1, rest) => Some(PlainEdns::read(rest)?),
            _ => return None,
        };
        Some(Plain { id: [id1, id0], recursion_desired: flags & 1 == 1, name, rtype, question, edns })
    }
}

/// Types that no rule of DNS treats apart as questions.
#[inline]
fn is_plain(rtype: Rtype) -> bool {
    matches!(
        rtype,
        Rtype::A
            | Rtype::AAAA
            | Rtype::TXT
            | Rtype::HTTPS
            | Rtype::MX
            | Rtype::NS
            | Rtype::SRV
            | Rtype::PTR
            | Rtype::CAA
    )
}

impl<'p> PlainEdns<'p> {
    /// OPT as the rest of a message (RFC 6891 section 6.1.2).
    #[inline(always)]
    fn read(record: &'p [u8]) -> Option<PlainEdns<'p>> {
        let (head, options) = record.split_first_chunk::<11>()?;
        let [0, 0, 41, _, _, _, 0, flags, _, l1, l0] = *head else { return None };
        if options.len() != usize::from(u16::from_be_bytes([l1, l0])) {
            return None;
        }
        let (mut subnet, mut cookie) = (None, None);
        let mut rest = options;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let [c1, c0, l1, l0] = *head;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
            match OptionCode(u16::from_be_bytes([c1, c0])) {
                OptionCode::CLIENT_SUBNET if subnet.is_none() => subnet = Some(ClientSubnet::parse(data)?),
                OptionCode::COOKIE if cookie.is_none() => cookie = Some(Cookie::parse(data)?),
                _ => return None,
            }
            rest = after;
        }
        rest.is_empty().then_some(PlainEdns { dnssec_ok: flags & 0x80 != 0, subnet, cookie })
    }
}

impl<'v, S: Steering> Answering<'v, '_, S> {
    /// Records of the zone.
    #[inline(always)]
    fn stored(self, rrset: &Rrset<'_>, buffer: &mut [u8]) -> Option<Outcome<'v>> {
        // Other types have names in them, to be compressed and followed.
        if !matches!(rrset.rtype, Rtype::A | Rtype::AAAA | Rtype::TXT) {
            return None;
        }
        let mut page = Page::new(buffer, self.plain.question)?;
        for rdata in rrset.rdata() {
            page.record(rrset.rtype, rrset.ttl_s, rdata)?;
        }
        page.finish(&self, 0).map(|length| self.outcome(length, Rcode::NoError, None))
    }

    /// What a service says.
    #[inline(always)]
    fn steered(self, service: ServiceId, is_signed: bool, buffer: &mut [u8]) -> Option<Outcome<'v>> {
        let rtype = self.plain.rtype;
        let family = match rtype {
            Rtype::A => Family::V4,
            Rtype::AAAA => Family::V6,
            _ => return None,
        };
        if self.steering.is_alias(service) {
            return None;
        }
        let client = client(self.terms.asked, self.plain.edns.and_then(|edns| edns.subnet));
        let selection = self.steering.steer(service, Lane::Addresses(family), &client, self.moment);
        // What is held (R9, H11) is said with an extended error.
        if selection.mode != Mode::Normal {
            return None;
        }
        let prefix = client.subnet.unwrap_or(ClientPrefix::host(client.resolver));
        let addresses = match selection.answer {
            Answer::Addresses(addresses) => addresses,
            Answer::NoData if !is_signed => {
                let steered = (service, prefix, selection.mode, &[][..]);
                return self.negative(Rcode::NoError, Some(steered), buffer);
            }
            Answer::NoData | Answer::Refused | Answer::Alias(_) => return None,
        };
        let mut page = Page::new(buffer, self.plain.question)?;
        for address in addresses {
            match (address, family) {
                (std::net::IpAddr::V4(v4), Family::V4) => {
                    page.record(rtype, selection.ttl_s, &v4.octets())?;
                }
                (std::net::IpAddr::V6(v6), Family::V6) => {
                    page.record(rtype, selection.ttl_s, &v6.octets())?;
                }
                _ => {}
            }
        }
        let length = page.finish(&self, selection.scope)?;
        let steered = (service, prefix, selection.mode, selection.counters);
        Some(self.outcome(length, Rcode::NoError, Some(steered)))
    }

    /// The SOA says for how long (RFC 2308 section 2).
    #[inline(never)]
    fn negative(self, rcode: Rcode, steered: Option<Steered<'v>>, buffer: &mut [u8]) -> Option<Outcome<'v>> {
        let Plain { name, question, .. } = self.plain;
        let (_, zone) = self.zone;
        let Some(soa) = zone.negative_soa() else { return self.negative_at_length(rcode, steered, buffer) };
        let mut page = Page::new(buffer, question)?;
        // QNAME is at or below the origin, and so ends with it.
        let origin = name.octets().saturating_sub(zone.origin().octets().len());
        let Some(octets) = soa.write(name, origin, page.offset(), page.rest) else {
            return self.negative_at_length(rcode, steered, buffer);
        };
        page.rest = std::mem::take(&mut page.rest).get_mut(octets..)?;
        let length = page.finish(&self, 0)?;
        // What was written is no answer, and the code is not that of one.
        let [_, _, _, code, _, _, _, _, _, authority, ..] = buffer else { return None };
        (*code, *authority) = (rcode.number() as u8, 1);
        Some(self.outcome(length, rcode, steered))
    }

    /// The same where its SOA has to be composed.
    #[inline(never)]
    fn negative_at_length(
        self,
        rcode: Rcode,
        steered: Option<Steered<'v>>,
        buffer: &mut [u8],
    ) -> Option<Outcome<'v>> {
        let Plain { id, recursion_desired, question, .. } = self.plain;
        let (_, zone) = self.zone;
        let soa = zone.soa()?;
        let opt = self.plain.edns.map(|edns| opt(&self.terms, &edns));
        let mut writer = ResponseWriter::new(buffer, UDP_OCTETS_MIN)?;
        let name = question.get(..self.plain.name.octets())?;
        writer.question(&Question { name, rtype: self.plain.rtype, class: Class::IN }).ok()?;
        if let Some(opt) = &opt {
            writer.reserve(opt);
        }
        // QNAME is at or below the origin, and so ends with it.
        let owner = Owner::Question(name.len().saturating_sub(zone.origin().octets().len()));
        writer.rrset(Section::Authority, owner, Rtype::SOA, zone.negative_ttl_s(), soa.rdata()).ok()?;
        let header = Header { id: u16::from_be_bytes(id), opcode: Opcode::QUERY, recursion_desired };
        let verdict = Verdict { rcode, authoritative: true, truncated: false };
        let length = writer.finish(&header, &verdict, opt.as_ref());
        Some(self.outcome(length, rcode, steered))
    }

    #[inline(always)]
    fn outcome(self, length: usize, rcode: Rcode, steered: Option<Steered<'v>>) -> Outcome<'v> {
        let edns = match self.plain.edns {
            None => EdnsSeen::Absent,
            Some(PlainEdns { subnet: Some(_), .. }) => EdnsSeen::ClientSubnet,
            Some(_) => EdnsSeen::Plain,
        };
        let note = Note {
            rcode,
            size: Size::Whole,
            edns,
            zone: Some(self.zone.0),
            counters: steered.map_or(&[], |(_, _, _, counters)| counters),
            steered: steered.map(|(service, prefix, ..)| (service, prefix)),
            mode: steered.map(|(_, _, mode, _)| mode),
            cookie: self.terms.worth(),
            limited: self.terms.limited(),
        };
        Outcome::Reply { length, note }
    }
}

fn opt<'o>(terms: &Terms<'_>, edns: &PlainEdns<'o>) -> Opt<'o> {
    Opt {
        payload_octets: terms.settings.udp_payload_max,
        dnssec_ok: edns.dnssec_ok,
        compact_ok: false,
        nsid: None,
        subnet: edns.subnet.map(|subnet| (subnet, 0)),
        cookie: terms.cookie.map(|(_, cookie)| cookie),
        keepalive: None,
        error: None,
        padded: false,
    }
}

/// A response of at most 512 octets, which every client takes.
struct Page<'b> {
    header: &'b mut [u8; HEADER_OCTETS],
    /// Behind what is written.
    rest: &'b mut [u8],
    answers: u8,
}

impl<'b> Page<'b> {
    #[inline(always)]
    fn new(buffer: &'b mut [u8], question: &[u8]) -> Option<Page<'b>> {
        let octets = buffer.first_chunk_mut::<UDP_OCTETS_MIN>()?;
        let (header, rest) = octets.split_first_chunk_mut()?;
        let (to, rest) = rest.split_at_mut_checked(question.len())?;
        to.copy_from_slice(question);
        Some(Page { header, rest, answers: 0 })
    }

    /// Where in the message what is written next will stand.
    #[inline]
    fn offset(&self) -> usize {
        UDP_OCTETS_MIN - self.rest.len()
    }

    /// A record owned by QNAME.
    #[inline(always)]
    fn record(&mut self, rtype: Rtype, ttl_s: u32, rdata: &[u8]) -> Option<()> {
        let [t1, t0] = rtype.0.to_be_bytes();
        let [s3, s2, s1, s0] = ttl_s.to_be_bytes();
        let [l1, l0] = (rdata.len() as u16).to_be_bytes();
        let [p1, p0] = QNAME_POINTER;
        // Copies of known length are a move each.
        if let Ok([a3, a2, a1, a0]) = <&[u8; 4]>::try_from(rdata) {
            self.put(&[p1, p0, t1, t0, 0, 1, s3, s2, s1, s0, l1, l0, *a3, *a2, *a1, *a0])?;
        } else {
            self.put(&[p1, p0, t1, t0, 0, 1, s3, s2, s1, s0, l1, l0])?;
            match <&[u8; 16]>::try_from(rdata) {
                Ok(v6) => self.put(v6)?,
                Err(_) => self.put_slice(rdata)?,
            }
        }
        self.answers = self.answers.checked_add(1)?;
        Some(())
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, octets: &[u8; N]) -> Option<()> {
        let (to, rest) = std::mem::take(&mut self.rest).split_first_chunk_mut()?;
        *to = *octets;
        self.rest = rest;
        Some(())
    }

    #[inline(never)]
    fn put_slice(&mut self, octets: &[u8]) -> Option<()> {
        let (to, rest) = std::mem::take(&mut self.rest).split_at_mut_checked(octets.len())?;
        to.copy_from_slice(octets);
        self.rest = rest;
        Some(())
    }

    /// Returns the length.
    #[inline(always)]
    fn finish<S: Steering>(mut self, answering: &Answering<'_, '_, S>, scope: u8) -> Option<usize> {
        let Plain { id: [id1, id0], recursion_desired, edns, .. } = answering.plain;
        let mut additional = 0;
        if let Some(edns) = edns {
            additional = 1;
            self.opt(&answering.terms, edns, scope)?;
        }
        let flags = 0x84 | u8::from(recursion_desired);
        *self.header = [id1, id0, flags, 0, 0, 1, 0, self.answers, 0, 0, 0, additional];
        Some(UDP_OCTETS_MIN - self.rest.len())
    }

    #[inline(always)]
    fn opt(&mut self, terms: &Terms<'_>, edns: PlainEdns<'_>, scope: u8) -> Option<()> {
        let [p1, p0] = terms.settings.udp_payload_max.to_be_bytes();
        let dnssec_ok = u8::from(edns.dnssec_ok) << 7;
        let subnet = edns.subnet.map_or(0, |subnet| 4 + subnet.data().len());
        let options = subnet + terms.cookie.map_or(0, |_| 4 + COOKIE_OCTETS);
        let [l1, l0] = (options as u16).to_be_bytes();
        self.put(&[0, 0, 41, p1, p0, 0, 0, dnssec_ok, 0, l1, l0])?;
        if let Some(subnet) = edns.subnet {
            self.subnet(&subnet, scope)?;
        }
        if let Some((_, cookie)) = &terms.cookie {
            let [c1, c0] = OptionCode::COOKIE.0.to_be_bytes();
            self.put(&[c1, c0, 0, COOKIE_OCTETS as u8])?;
            self.put(cookie)?;
        }
        Some(())
    }

    #[inline(always)]
    fn subnet(&mut self, subnet: &ClientSubnet<'_>, scope: u8) -> Option<()> {
        let ([f1, f0, source, _], address) = subnet.data().split_first_chunk::<4>()?;
        let [c1, c0] = OptionCode::CLIENT_SUBNET.0.to_be_bytes();
        let [n1, n0] = (subnet.data().len() as u16).to_be_bytes();
        self.put(&[c1, c0, n1, n0, *f1, *f0, *source, scope])?;
        // A whole address, of which so much stays as was sent: copies of known length are a move.
        let to = self.rest.first_chunk_mut()?;
        *to = subnet.bits().to_be_bytes();
        self.rest = std::mem::take(&mut self.rest).get_mut(address.len()..)?;
        Some(())
    }
}
