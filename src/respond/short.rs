//! The short way: a plain question about a name that is simply there, or simply is not, answered in one pass.
//!
//! Plain is a query with one question of class IN and a common type, a name of common length, and at most an
//! OPT with a client subnet and a cookie. All else, and whatever turns out to need more (aliases, delegations, wildcards,
//! signatures, held answers, long ones), returns `None` and goes the long way, which says the same octet for
//! octet: builds with debug assertions go both ways and compare.

use std::net::IpAddr;

use super::{Asked, EdnsSeen, Note, Size, Steering, Terms, network};
use crate::geo::ClientPrefix;
use crate::ids::{CounterId, Family, ServiceId};
use crate::now::Now;
use crate::steer::Mode;
use crate::wire::{
    COOKIE_OCTETS, Class, ClientSubnet, Cookie, HEADER_OCTETS, OptionCode, Rcode, Rtype, UDP_OCTETS_MIN,
};
use crate::zone::{Hit, NegativeSoa, Rrset, Sought, Validity, Zone};

/// A pointer to QNAME (RFC 1035 section 4.1.4).
const QNAME_POINTER: [u8; 2] = [0xc0, HEADER_OCTETS as u8];

/// Of the header's third octet up to its tenth: QR, the opcode, and the counts of questions, answers and authority
/// records. As octets stand in memory, the first the lowest.
const HEADER_MASK: u64 = u64::from_le_bytes([0xf8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);

/// What they are in a plain query: neither a response nor an opcode, one question, no answers, no authority.
const HEADER_PLAIN: u64 = u64::from_le_bytes([0, 0, 0, 1, 0, 0, 0, 0]);

/// Of OPT's first eight octets: its owner, the root, its type, the upper bits of the RCODE, but its VERSION.
const OPT_MASK: u64 = u64::from_le_bytes([0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0]);

/// What they are in a plain query (RFC 6891 section 6.1.2).
const OPT_PLAIN: u64 = u64::from_le_bytes([0, 0, Rtype::OPT.0 as u8, 0, 0, 0, 0, 0]);

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

/// What is to be counted of a service's answer.
type Steered<'v> = (ServiceId, ClientPrefix, Mode, &'v [CounterId]);

/// Answers a plain question; `None` for everything else.
#[inline(always)]
pub(super) fn respond<'v, S: Steering>(
    steering: &'v S,
    asked: &Asked,
    moment: (&Now, u64),
    packet: &[u8],
    buffer: &mut [u8],
) -> Option<(usize, Note<'v>)> {
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
    let mut rcode = Rcode::NoError;
    let (length, steered) = match zone.hit(plain.name, origin, plain.rtype) {
        Hit::Answer(rrset) => (stored(&plain, &terms, &rrset, buffer)?, None),
        Hit::Steered(service) => match select(steering, &plain, asked, service, moment)? {
            (Some(selected), steered) => (selected.write(&plain, &terms, buffer)?, Some(steered)),
            (None, steered) if !is_signed => (negative(&plain, &terms, zone, rcode, buffer)?, Some(steered)),
            (None, _) => return None,
        },
        Hit::NoData if !is_signed => (negative(&plain, &terms, zone, rcode, buffer)?, None),
        Hit::NxDomain if !is_signed => {
            rcode = Rcode::NxDomain;
            (negative(&plain, &terms, zone, rcode, buffer)?, None)
        }
        Hit::NoData | Hit::NxDomain | Hit::Walk => return None,
    };
    let edns = match plain.edns {
        None => EdnsSeen::Absent,
        Some(PlainEdns { subnet: Some(_), .. }) => EdnsSeen::ClientSubnet,
        Some(_) => EdnsSeen::Plain,
    };
    let note = Note {
        rcode,
        size: Size::Whole,
        edns,
        zone: Some(id),
        counters: steered.map_or(&[], |(_, _, _, counters)| counters),
        steered: steered.map(|(service, prefix, ..)| (service, prefix)),
        mode: steered.map(|(_, _, mode, _)| mode),
        cookie: terms.worth(),
        limited: terms.limited(),
    };
    Some((length, note))
}

impl<'p> Plain<'p> {
    #[inline(always)]
    fn read(packet: &'p [u8], name: &'p mut Sought) -> Option<Plain<'p>> {
        let (head, body) = packet.split_first_chunk::<HEADER_OCTETS>()?;
        let [id1, id0, flags, _, _, _, _, _, _, _, a1, additional] = *head;
        let word = head.get(2..10).and_then(|octets| octets.first_chunk())?;
        if u64::from_le_bytes(*word) & HEADER_MASK != HEADER_PLAIN || a1 != 0 {
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
#[inline(always)]
fn is_plain(rtype: Rtype) -> bool {
    // One bit for each: a test instead of a table of jumps.
    const LOW: u64 = bit(Rtype::A)
        | bit(Rtype::AAAA)
        | bit(Rtype::TXT)
        | bit(Rtype::MX)
        | bit(Rtype::NS)
        | bit(Rtype::SRV)
        | bit(Rtype::PTR);
    (rtype.0 < 64 && LOW >> rtype.0 & 1 == 1) || rtype == Rtype::HTTPS || rtype == Rtype::CAA
}

const fn bit(rtype: Rtype) -> u64 {
    1 << rtype.0
}

impl<'p> PlainEdns<'p> {
    /// OPT as the rest of a message (RFC 6891 section 6.1.2).
    #[inline(always)]
    fn read(record: &'p [u8]) -> Option<PlainEdns<'p>> {
        let (head, options) = record.split_first_chunk::<11>()?;
        let [_, _, _, _, _, _, _, flags, _, l1, l0] = *head;
        if u64::from_le_bytes(*head.first_chunk()?) & OPT_MASK != OPT_PLAIN
            || options.len() != usize::from(u16::from_be_bytes([l1, l0]))
        {
            return None;
        }
        let dnssec_ok = flags & 0x80 != 0;
        if options.is_empty() {
            return Some(PlainEdns { dnssec_ok, subnet: None, cookie: None });
        }
        let (mut subnet, mut cookie) = (None, None);
        let mut rest = options;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let [c1, c0, l1, l0] = *head;
            let (data, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
            match OptionCode(u16::from_be_bytes([c1, c0])) {
                OptionCode::CLIENT_SUBNET if subnet.is_none() => subnet = Some(data),
                OptionCode::COOKIE if cookie.is_none() => cookie = Some(data),
                _ => return None,
            }
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
        let subnet = match subnet {
            Some(data) => Some(ClientSubnet::parse(data)?),
            None => None,
        };
        let cookie = match cookie {
            Some(data) => Some(Cookie::parse(data)?),
            None => None,
        };
        Some(PlainEdns { dnssec_ok, subnet, cookie })
    }
}

/// The network of the client subnet that a packet ends with, if it is one of 24 bits: those that most resolvers send, as the
/// last option (RFC 7871 section 11.1). Good for guesses alone.
#[inline]
pub(super) fn last_network(packet: &[u8]) -> Option<u32> {
    const CODE: u16 = OptionCode::CLIENT_SUBNET.0;
    let (head, network) = packet.last_chunk::<11>()?.split_first_chunk::<8>()?;
    let [a, b, c] = *network else { return None };
    let expected = u64::from(CODE) << 48 | 7 << 32 | 1 << 16 | 24 << 8;
    (u64::from_be_bytes(*head) == expected).then_some(u32::from_be_bytes([a, b, c, 0]))
}

/// Records of the zone.
#[inline(always)]
fn stored(plain: &Plain<'_>, terms: &Terms<'_>, rrset: &Rrset<'_>, buffer: &mut [u8]) -> Option<usize> {
    // Other types have names in them, to be compressed and followed.
    if !matches!(rrset.rtype, Rtype::A | Rtype::AAAA | Rtype::TXT) {
        return None;
    }
    let mut page = Page::new(buffer, plain.question)?;
    for rdata in rrset.rdata() {
        page.record(rrset.rtype, rrset.ttl_s, rdata)?;
    }
    page.finish(plain, terms, Rcode::NoError, 0)
}

/// Addresses that a service has chosen.
struct Selected<'v> {
    addresses: &'v [IpAddr],
    ttl_s: u32,
    scope: u8,
}

/// What a service says; `None` among it where it has no addresses of the family.
#[inline(always)]
fn select<'v, S: Steering>(
    steering: &'v S,
    plain: &Plain<'_>,
    asked: &Asked,
    service: ServiceId,
    (now, draw): (&Now, u64),
) -> Option<(Option<Selected<'v>>, Steered<'v>)> {
    let family = match plain.rtype {
        Rtype::A => Family::V4,
        Rtype::AAAA => Family::V6,
        _ => return None,
    };
    let (prefix, is_subnet) = match network(plain.edns.and_then(|edns| edns.subnet)) {
        Some(subnet) => (subnet, true),
        None => (ClientPrefix::host(asked.source), false),
    };
    let selection = steering.steer_plainly(service, family, &prefix, draw, &asked.source, now);
    let Some(pick) = selection.pick else {
        return selection.is_no_data().then_some((None, (service, prefix, Mode::Normal, &[])));
    };
    let scope = if is_subnet { selection.scope() } else { 0 };
    let selected = Selected { addresses: &pick.addresses, ttl_s: selection.ttl_s(), scope };
    Some((Some(selected), (service, prefix, Mode::Normal, &pick.counters)))
}

impl Selected<'_> {
    #[inline(always)]
    fn write(self, plain: &Plain<'_>, terms: &Terms<'_>, buffer: &mut [u8]) -> Option<usize> {
        let mut page = Page::new(buffer, plain.question)?;
        for address in self.addresses {
            match (address, plain.rtype) {
                (IpAddr::V4(v4), Rtype::A) => page.record(Rtype::A, self.ttl_s, &v4.octets())?,
                (IpAddr::V6(v6), Rtype::AAAA) => page.record(Rtype::AAAA, self.ttl_s, &v6.octets())?,
                _ => {}
            }
        }
        page.finish(plain, terms, Rcode::NoError, self.scope)
    }
}

/// The SOA says for how long (RFC 2308 section 2). One that is not composed ahead is for the long way.
#[inline(always)]
fn negative(
    plain: &Plain<'_>,
    terms: &Terms<'_>,
    zone: &Zone,
    rcode: Rcode,
    buffer: &mut [u8],
) -> Option<usize> {
    let soa = zone.negative_soa()?;
    let mut page = Page::new(buffer, plain.question)?;
    // QNAME is at or below the origin, and so ends with it.
    let origin = plain.name.octets().saturating_sub(zone.origin().octets().len());
    page.soa(soa, plain.name, origin)?;
    page.finish(plain, terms, rcode, 0)
}

/// A response of at most 512 octets, which every client takes.
struct Page<'b> {
    header: &'b mut [u8; HEADER_OCTETS],
    /// Behind what is written.
    rest: &'b mut [u8],
    answers: u8,
    authority: u8,
}

impl<'b> Page<'b> {
    #[inline(always)]
    fn new(buffer: &'b mut [u8], question: &[u8]) -> Option<Page<'b>> {
        let octets = buffer.first_chunk_mut::<UDP_OCTETS_MIN>()?;
        let (header, rest) = octets.split_first_chunk_mut()?;
        let (to, rest) = rest.split_at_mut_checked(question.len())?;
        copy_question(to, question);
        Some(Page { header, rest, answers: 0, authority: 0 })
    }

    /// The SOA of a negative answer. QNAME ends with the origin, from the octet `origin` of it on.
    #[inline(always)]
    fn soa(&mut self, soa: &NegativeSoa, name: &Sought, origin: usize) -> Option<()> {
        let offset = UDP_OCTETS_MIN - self.rest.len();
        self.rest = put_soa(std::mem::take(&mut self.rest), soa, name, origin, offset)?;
        self.authority = 1;
        Some(())
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
                Err(_) => self.rest = put_slice(std::mem::take(&mut self.rest), rdata)?,
            }
        }
        // There is no room for as many as would not fit.
        self.answers = self.answers.wrapping_add(1);
        Some(())
    }

    #[inline(always)]
    fn put<const N: usize>(&mut self, octets: &[u8; N]) -> Option<()> {
        let (to, rest) = std::mem::take(&mut self.rest).split_first_chunk_mut()?;
        *to = *octets;
        self.rest = rest;
        Some(())
    }

    /// Returns the length.
    #[inline(always)]
    fn finish(mut self, plain: &Plain<'_>, terms: &Terms<'_>, rcode: Rcode, scope: u8) -> Option<usize> {
        let &Plain { id: [id1, id0], recursion_desired, edns, .. } = plain;
        let mut additional = 0;
        if let Some(edns) = edns {
            additional = 1;
            self.opt(terms, edns, scope)?;
        }
        let flags = 0x84 | u8::from(recursion_desired);
        // Codes above 15 are none of these.
        let rcode = rcode.number() as u8;
        *self.header = [id1, id0, flags, rcode, 0, 1, 0, self.answers, 0, self.authority, 0, additional];
        Some(UDP_OCTETS_MIN - self.rest.len())
    }

    #[inline(always)]
    fn opt(&mut self, terms: &Terms<'_>, edns: PlainEdns<'_>, scope: u8) -> Option<()> {
        let payload_octets = u64::from(terms.settings.udp_payload_max);
        // The first eight octets are a word's store.
        let head = u64::from(Rtype::OPT.0) << 40 | payload_octets << 24 | u64::from(edns.dnssec_ok) << 7;
        let [o0, o1, o2, o3, o4, o5, o6, o7] = head.to_be_bytes();
        let subnet = edns.subnet.map_or(0, |subnet| 4 + subnet.data().len());
        let options = subnet + terms.cookie.map_or(0, |_| 4 + COOKIE_OCTETS);
        let [l1, l0] = (options as u16).to_be_bytes();
        self.put(&[o0, o1, o2, o3, o4, o5, o6, o7, 0, l1, l0])?;
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

/// Octets at the front of a page; returns what is behind them.
#[inline(never)]
fn put_slice<'b>(page: &'b mut [u8], octets: &[u8]) -> Option<&'b mut [u8]> {
    let (to, rest) = page.split_at_mut_checked(octets.len())?;
    to.copy_from_slice(octets);
    Some(rest)
}

#[inline(never)]
fn put_soa<'b>(
    page: &'b mut [u8],
    soa: &NegativeSoa,
    name: &Sought,
    origin: usize,
    offset: usize,
) -> Option<&'b mut [u8]> {
    let octets = soa.write(name, origin, offset, page)?;
    page.get_mut(octets..)
}

/// Copies as many octets as both have. Two pieces of known length, which overlap, are a few moves and no call.
#[inline(always)]
fn copy_question(to: &mut [u8], question: &[u8]) {
    if !(copy_ends::<16>(to, question) || copy_ends::<32>(to, question)) {
        copy_short_or_long(to, question);
    }
}

/// Copies the first and the last `N` octets; `false` where that is not all, or more than all.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    if to.len() != from.len() || from.len() > 2 * N {
        return false;
    }
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
    true
}

#[cold]
fn copy_short_or_long(to: &mut [u8], question: &[u8]) {
    to.iter_mut().zip(question).for_each(|(to, octet)| *to = *octet);
}
