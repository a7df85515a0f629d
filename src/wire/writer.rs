//! Composes a response in a caller's buffer: whole RRsets, names compressed, never past the limit.

use std::net::IpAddr;

use super::binding::ServiceBinding;
use super::compression::{NameTable, Suffixes, same_name};
use super::edns::{ClientSubnet, ExtendedError, OptionCode};
use super::name::{NAME_OCTETS_MAX, Name, name_octets};
use super::query::{Header, Question};
use super::types::{Class, Rcode, Rtype};

/// The header of every message (RFC 1035 section 4.1.1).
pub const HEADER_OCTETS: usize = 12;

/// The fixed part of OPT: root, type, class, TTL, RDLENGTH.
const OPT_OCTETS: usize = 11;

/// A pointer has 14 bits.
const POINTER_MAX: usize = 0x3fff;

/// What padded responses are a multiple of (RFC 8467 section 4.1).
const PADDED_TO_OCTETS: usize = 468;

/// The head of an option: code and length.
const OPTION_HEAD_OCTETS: usize = 4;

/// A client cookie and a server's as this server makes them (RFC 9018 section 4).
pub const COOKIE_OCTETS: usize = 24;

/// The longest NSID sent: a reply of 512 octets has to hold the longest question and OPT.
const NSID_OCTETS_MAX: usize = 128;

/// The part of a response that records go into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// SOA of a negative answer, NS of a referral.
    Authority,
    /// Glue.
    Additional,
}

/// Whose records they are.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'n> {
    /// QNAME from this octet on; 0 is QNAME itself.
    Question(usize),
    /// Any name, in wire form.
    Name(&'n [u8]),
}

/// The records did not fit; nothing of them was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full;

/// What the header says besides the query's own fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// The response code.
    pub rcode: Rcode,
    /// AA
    pub authoritative: bool,
    /// TC
    pub truncated: bool,
}

/// The OPT of a response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opt<'o> {
    /// The UDP payload size this server takes.
    pub payload_octets: u16,
    /// DO, as in the query.
    pub dnssec_ok: bool,
    /// CO, where it was in the query and the zone denies compactly (RFC 9824 section 5.1).
    pub compact_ok: bool,
    /// Where it was asked for and is configured.
    pub nsid: Option<&'o [u8]>,
    /// The query's client subnet, and the scope to answer it with.
    pub subnet: Option<(ClientSubnet<'o>, u8)>,
    /// The query's client cookie with this server's (RFC 7873), where it had one.
    pub cookie: Option<[u8; COOKIE_OCTETS]>,
    /// How long the connection may be idle, in units of 100 ms, where it was asked for.
    pub keepalive: Option<u16>,
    /// Sent if there is room.
    pub error: Option<ExtendedError>,
    /// Whether the message is filled up to a multiple of 468 octets, as far as there is room.
    pub padded: bool,
}

/// Composes one response.
pub struct ResponseWriter<'b> {
    buffer: &'b mut [u8],
    end: usize,
    limit: usize,
    limit_with_opt: usize,
    counts: [u16; 4],
    question_octets: usize,
    /// Of every record: a response speaks of its question's class.
    class: Class,
    names: NameTable,
}

impl<'b> ResponseWriter<'b> {
    /// A response of at most `limit` octets; `None` where not even a header fits.
    pub fn new(buffer: &'b mut [u8], limit: usize) -> Option<ResponseWriter<'b>> {
        let limit = limit.min(buffer.len());
        (limit >= HEADER_OCTETS).then_some(ResponseWriter {
            buffer,
            end: HEADER_OCTETS,
            limit,
            limit_with_opt: limit,
            counts: [0; 4],
            question_octets: 0,
            class: Class::IN,
            names: NameTable::EMPTY,
        })
    }

    /// Echoes the question octet for octet. Comes before everything else.
    pub fn question(&mut self, question: &Question<'_>) -> Result<(), Full> {
        let start = self.end;
        let written = self
            .put(question.name)
            .and_then(|()| self.put(&question.rtype.0.to_be_bytes()))
            .and_then(|()| self.put(&question.class.0.to_be_bytes()));
        match written {
            Ok(()) => {
                self.question_octets = question.name.len();
                if question.class == Class::CH {
                    self.class = Class::CH;
                }
                self.count(0);
                Ok(())
            }
            Err(full) => {
                self.end = start;
                Err(full)
            }
        }
    }

    /// Keeps room for an OPT, so that it survives whatever is cut. Comes before the records.
    pub fn reserve(&mut self, opt: &Opt<'_>) {
        let octets = OPT_OCTETS
            + opt.nsid.map_or(0, |nsid| 4 + nsid.len().min(NSID_OCTETS_MAX))
            + opt.subnet.map_or(0, |(subnet, _)| 4 + subnet.data().len())
            + opt.cookie.map_or(0, |cookie| OPTION_HEAD_OCTETS + cookie.len())
            + opt.keepalive.map_or(0, |_| OPTION_HEAD_OCTETS + size_of::<u16>());
        self.limit = self.limit.saturating_sub(octets).max(self.end);
    }

    /// Keeps octets for what is appended after the message is finished.
    pub fn keep(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets).max(self.end);
        self.limit_with_opt = self.limit_with_opt.saturating_sub(octets).max(self.end);
    }

    /// Appends an RRset whole or not at all. RDATA is uncompressed wire form; the names in it are
    /// compressed where RFC 3597 section 4 allows it.
    pub fn rrset<'r>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl_s: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), Full> {
        self.whole(section, owner, rtype, ttl_s, rdata, |writer, rdata| writer.rdata(rtype, rdata))
    }

    /// Appends addresses as one RRset of A or AAAA, whole or not at all. Addresses of the other family
    /// are passed over.
    pub fn addresses(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl_s: u32,
        addresses: &[IpAddr],
    ) -> Result<(), Full> {
        let of_type = addresses.iter().filter(|address| match address {
            IpAddr::V4(_) => rtype == Rtype::A,
            IpAddr::V6(_) => rtype == Rtype::AAAA,
        });
        self.whole(section, owner, rtype, ttl_s, of_type, |writer, address| match address {
            IpAddr::V4(v4) => writer.put(&v4.octets()),
            IpAddr::V6(v6) => writer.put(&v6.octets()),
        })
    }

    /// Appends one SVCB or HTTPS record with addresses of both families as its hints.
    pub fn binding(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl_s: u32,
        binding: &ServiceBinding,
        addresses: &[IpAddr],
    ) -> Result<(), Full> {
        self.whole(section, owner, rtype, ttl_s, std::iter::once(binding), |writer, binding| {
            binding.compose(addresses, |octets| writer.put(octets))
        })
    }

    /// Whether the name that begins at `offset` of the message is `name`.
    pub fn is_name_at(&self, offset: usize, name: &[u8]) -> bool {
        same_name(self.buffer, offset, name)
    }

    /// The name that begins at `offset` of the message, pointers followed.
    pub fn name_at(&self, offset: usize) -> Option<Name> {
        let (mut wire, mut used) = ([0; NAME_OCTETS_MAX], 0);
        let mut position = offset;
        loop {
            let length = *self.buffer.get(..self.end)?.get(position)?;
            if length >= 0xc0 {
                let low = *self.buffer.get(position + 1)?;
                let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                position = if target < position { target } else { return None };
                continue;
            }
            let octets = 1 + usize::from(length);
            let label = self.buffer.get(position..position + octets)?;
            wire.get_mut(used..used + octets)?.copy_from_slice(label);
            (used, position) = (used + octets, position + octets);
            if length == 0 {
                return Name::from_wire(wire.get(..used)?);
            }
        }
    }

    /// Takes back all records: what stays is the question.
    pub fn clear(&mut self) {
        let [questions, ..] = self.counts;
        let question = if questions > 0 { self.question_octets + 4 } else { 0 };
        (self.end, self.counts) = (HEADER_OCTETS + question, [questions, 0, 0, 0]);
        self.names.used = 0;
    }

    /// Where the next record will begin.
    pub fn offset(&self) -> usize {
        self.end
    }

    /// Writes OPT and the header: the response's length.
    pub fn finish(&mut self, header: &Header, verdict: &Verdict, opt: Option<&Opt<'_>>) -> usize {
        if let Some(opt) = opt {
            self.limit = self.limit_with_opt;
            self.opt(opt, verdict.rcode);
        }
        self.header(header, verdict);
        self.end
    }

    fn whole<T>(
        &mut self,
        section: Section,
        owner: Owner<'_>,
        rtype: Rtype,
        ttl_s: u32,
        data: impl Iterator<Item = T>,
        write: impl Fn(&mut Self, T) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let (end, used, counts) = (self.end, self.names.used, self.counts);
        let index = match section {
            Section::Answer => 1,
            Section::Authority => 2,
            Section::Additional => 3,
        };
        let mut written = Ok(());
        let mut pointer = None;
        for item in data {
            written = self.record(owner, &mut pointer, rtype, ttl_s, item, &write);
            if written.is_err() {
                (self.end, self.names.used, self.counts) = (end, used, counts);
                break;
            }
            self.count(index);
        }
        written
    }

    fn record<T>(
        &mut self,
        owner: Owner<'_>,
        pointer: &mut Option<usize>,
        rtype: Rtype,
        ttl_s: u32,
        item: T,
        write: &impl Fn(&mut Self, T) -> Result<(), Full>,
    ) -> Result<(), Full> {
        match *pointer {
            Some(offset) => self.put(&(0xc000 | offset as u16).to_be_bytes())?,
            None => *pointer = self.owner(owner)?,
        }
        let [t1, t0] = rtype.0.to_be_bytes();
        let [c1, c0] = self.class.0.to_be_bytes();
        let [l3, l2, l1, l0] = ttl_s.to_be_bytes();
        self.put(&[t1, t0, c1, c0, l3, l2, l1, l0, 0, 0])?;
        let start = self.end;
        write(self, item)?;
        let length = u16::try_from(self.end - start).map_err(|_| Full)?;
        if let Some(place) = self.buffer.get_mut(start - 2..start) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    /// Writes an owner; returns where the next record of the same owner can point to.
    fn owner(&mut self, owner: Owner<'_>) -> Result<Option<usize>, Full> {
        match owner {
            Owner::Question(octet) if octet + 1 < self.question_octets => {
                let offset = HEADER_OCTETS + octet;
                self.put(&(0xc000 | offset as u16).to_be_bytes())?;
                Ok(Some(offset))
            }
            Owner::Question(_) => self.put(&[0]).map(|()| None),
            Owner::Name(name) => {
                let start = self.end;
                self.name(name)?;
                Ok(match self.buffer.get(start..start + 2) {
                    Some([high @ 0xc0..=0xff, low]) => {
                        Some(usize::from(u16::from_be_bytes([high & 0x3f, *low])))
                    }
                    Some([1..=63, _]) if start <= POINTER_MAX => Some(start),
                    _ => None,
                })
            }
        }
    }

    fn rdata(&mut self, rtype: Rtype, rdata: &[u8]) -> Result<(), Full> {
        let names_at = match rtype {
            Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::MB | Rtype::MG | Rtype::MR => (0, 1),
            Rtype::SOA => (0, 2),
            Rtype::MX => (2, 1),
            _ => {
                let start = self.end;
                self.put(rdata)?;
                self.remember_inside(rtype, rdata, start);
                return Ok(());
            }
        };
        let (before, names) = names_at;
        let (fixed, mut rest) = rdata.split_at_checked(before).unwrap_or((rdata, &[]));
        self.put(fixed)?;
        for _ in 0..names {
            // RDATA given as octets (RFC 3597) need not hold a name: then it goes out as it is.
            let Some((name, after)) = name_octets(rest).and_then(|octets| rest.split_at_checked(octets))
            else {
                break;
            };
            self.name(name)?;
            rest = after;
        }
        self.put(rest)
    }

    /// Remembers the name in data that went out as they are: what follows may point there (RFC 2782's
    /// target is not compressed itself).
    fn remember_inside(&mut self, rtype: Rtype, rdata: &[u8], start: usize) {
        let at = match rtype {
            Rtype::SRV => 6,
            Rtype::KX | Rtype::AFSDB | Rtype::RT | Rtype::SVCB | Rtype::HTTPS => 2,
            _ => return,
        };
        let name = rdata.get(at..).and_then(|rest| rest.get(..name_octets(rest)?)).unwrap_or(&[]);
        let Some(suffixes) = Suffixes::of(name) else { return };
        self.remember_question();
        let known = (0..suffixes.used).find(|index| self.find(&suffixes, *index, name).is_some());
        self.remember_at(start + at, &suffixes, known.unwrap_or(suffixes.used));
    }

    /// Writes a name, the part that was written before as a pointer.
    fn name(&mut self, name: &[u8]) -> Result<(), Full> {
        let Some(suffixes) = Suffixes::of(name) else { return self.put(name) };
        self.remember_question();
        let mut known = None;
        for index in 0..suffixes.used {
            known = self.find(&suffixes, index, name);
            if known.is_some() {
                self.remember(&suffixes, index);
                let whole = suffixes.start(index);
                self.put(name.get(..whole).unwrap_or(&[]))?;
                break;
            }
        }
        match known {
            Some(offset) => self.put(&(0xc000 | offset).to_be_bytes()),
            None => {
                self.remember(&suffixes, suffixes.used);
                self.put(name)
            }
        }
    }

    fn find(&self, suffixes: &Suffixes, index: usize, name: &[u8]) -> Option<u16> {
        self.names.find(self.buffer, suffixes.hash(index), name.get(suffixes.start(index)..)?)
    }

    /// Remembers the suffixes before number `count` of the name about to be written at the end.
    fn remember(&mut self, suffixes: &Suffixes, count: usize) {
        self.remember_at(self.end, suffixes, count);
    }

    /// The same for a name that begins at `start`.
    fn remember_at(&mut self, start: usize, suffixes: &Suffixes, count: usize) {
        for index in 0..count {
            let offset = start + suffixes.start(index);
            if offset <= POINTER_MAX {
                self.names.add(suffixes.hash(index), offset as u16);
            }
        }
    }

    fn remember_question(&mut self) {
        if self.names.used > 0 || self.question_octets <= 1 {
            return;
        }
        let name = self.buffer.get(HEADER_OCTETS..HEADER_OCTETS + self.question_octets);
        let Some(suffixes) = name.and_then(Suffixes::of) else { return };
        for index in 0..suffixes.used {
            self.names.add(suffixes.hash(index), (HEADER_OCTETS + suffixes.start(index)) as u16);
        }
    }

    fn opt(&mut self, opt: &Opt<'_>, rcode: Rcode) {
        let start = self.end;
        let [p1, p0] = opt.payload_octets.to_be_bytes();
        let [t1, t0] = Rtype::OPT.0.to_be_bytes();
        let dnssec_ok = if opt.dnssec_ok { 0x80 } else { 0 } | if opt.compact_ok { 0x40 } else { 0 };
        let fixed = [0, t1, t0, p1, p0, (rcode.number() >> 4) as u8, 0, dnssec_ok, 0, 0, 0];
        if self.put(&fixed).is_err() {
            return;
        }
        let options = self.end;
        // Room for these was kept; should it be missing all the same, the option is left out whole.
        if let Some((subnet, scope)) = opt.subnet {
            let (head, address) = subnet.data().split_at_checked(4).unwrap_or((&[0, 0, 0, 0], &[]));
            let [f1, f0, source, _] = *head.first_chunk().unwrap_or(&[0; 4]);
            let _ = self.option(OptionCode::CLIENT_SUBNET, [f1, f0, source, scope], address);
        }
        if let Some(nsid) = opt.nsid {
            let _ = self.option(OptionCode::NSID, [], nsid.get(..NSID_OCTETS_MAX).unwrap_or(nsid));
        }
        if let Some(cookie) = opt.cookie {
            let _ = self.option(OptionCode::COOKIE, cookie, &[]);
        }
        if let Some(keepalive) = opt.keepalive {
            let _ = self.option(OptionCode::TCP_KEEPALIVE, keepalive.to_be_bytes(), &[]);
        }
        if let Some(error) = opt.error {
            let _ = self.option(OptionCode::EXTENDED_ERROR, error.number().to_be_bytes(), &[]);
        }
        if opt.padded {
            // Last, because it makes up for all the others.
            self.pad();
        }
        let length = (self.end - options) as u16;
        if let Some(place) = self.buffer.get_mut(start + OPT_OCTETS - 2..start + OPT_OCTETS) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        self.count(3);
    }

    /// Fills the message up to the next multiple, or to the limit where that comes first.
    fn pad(&mut self) {
        let begun = self.end + OPTION_HEAD_OCTETS;
        let end = begun.next_multiple_of(PADDED_TO_OCTETS).min(self.limit);
        let Some(octets) = end.checked_sub(begun).and_then(|octets| u16::try_from(octets).ok()) else {
            return;
        };
        let [c1, c0] = OptionCode::PADDING.0.to_be_bytes();
        let [l1, l0] = octets.to_be_bytes();
        if self.put(&[c1, c0, l1, l0]).is_ok()
            && let Some(padding) = self.buffer.get_mut(begun..end)
        {
            padding.fill(0);
            self.end = end;
        }
    }

    /// Writes an option whole or not at all.
    fn option<const HEAD: usize>(
        &mut self,
        code: OptionCode,
        head: [u8; HEAD],
        tail: &[u8],
    ) -> Result<(), Full> {
        let octets = 4 + HEAD + tail.len();
        if self.end + octets > self.limit {
            return Err(Full);
        }
        let [c1, c0] = code.0.to_be_bytes();
        let [l1, l0] = ((octets - 4) as u16).to_be_bytes();
        self.put(&[c1, c0, l1, l0])?;
        self.put(&head)?;
        self.put(tail)
    }

    fn header(&mut self, header: &Header, verdict: &Verdict) {
        let bit = |set: bool, value: u8| if set { value } else { 0 };
        let flags = 0x80
            | header.opcode.0 << 3
            | bit(verdict.authoritative, 0x04)
            | bit(verdict.truncated, 0x02)
            | bit(header.recursion_desired, 0x01);
        let [id1, id0] = header.id.to_be_bytes();
        let [[q1, q0], [an1, an0], [ns1, ns0], [ar1, ar0]] = self.counts.map(u16::to_be_bytes);
        let low = (verdict.rcode.number() & 0x0f) as u8;
        let octets = [id1, id0, flags, low, q1, q0, an1, an0, ns1, ns0, ar1, ar0];
        if let Some(place) = self.buffer.first_chunk_mut::<HEADER_OCTETS>() {
            *place = octets;
        }
    }

    fn count(&mut self, index: usize) {
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.end + octets.len();
        if end > self.limit {
            return Err(Full);
        }
        self.buffer.get_mut(self.end..end).ok_or(Full)?.copy_from_slice(octets);
        self.end = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

    use hickory_proto::op::Message;
    use proptest::prelude::*;

    use super::super::name::{name_text, parse_name};
    use super::super::types::Opcode;
    use super::*;

    const QUESTION: Question<'static> =
        Question { name: b"\x03WWW\x07Example\x03com\x00", rtype: Rtype::NS, class: Class::IN };
    const HEADER: Header = Header { id: 7, opcode: Opcode::QUERY, recursion_desired: false };
    const VERDICT: Verdict = Verdict { rcode: Rcode::NoError, authoritative: true, truncated: false };

    fn name() -> impl Strategy<Value = Vec<u8>> {
        let labels =
            proptest::sample::select(vec!["a", "B", "www", "example", "COM", "x-y", "long-label-here"]);
        proptest::collection::vec(labels, 0..50).prop_map(|labels| {
            let text = labels.join(".");
            parse_name(format!("{text}.").as_bytes(), &[0]).unwrap_or(vec![0])
        })
    }

    fn lower(text: String) -> String {
        text.trim_end_matches('.').to_ascii_lowercase()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn rfc1035_4_1_4_compressed_names_are_read_as_they_were_meant(
            sets in proptest::collection::vec((name(), proptest::collection::vec(name(), 1..8)), 1..60),
            limit in 300..40_000usize,
        ) {
            let mut buffer = vec![0; 65_535];
            let mut writer = ResponseWriter::new(&mut buffer, limit).unwrap();
            writer.question(&QUESTION).unwrap();
            let mut expected = Vec::new();
            for (owner, targets) in &sets {
                let rdata = targets.iter().map(Vec::as_slice);
                if writer.rrset(Section::Answer, Owner::Name(owner), Rtype::NS, 9, rdata).is_ok() {
                    let text = |wire: &[u8]| lower(name_text(wire));
                    expected.extend(targets.iter().map(|target| (text(owner), text(target))));
                }
            }
            let length = writer.finish(&HEADER, &VERDICT, None);
            prop_assert!(length <= limit);
            let message = Message::from_vec(&buffer[..length]).unwrap();
            let read: Vec<_> = message
                .answers
                .iter()
                .map(|record| (lower(record.name.to_ascii()), lower(record.data.to_string())))
                .collect();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn what_does_not_fit_leaves_no_trace() {
        let mut buffer = [0xee; 512];
        let mut writer = ResponseWriter::new(&mut buffer, 80).unwrap();
        writer.question(&QUESTION).unwrap();
        let server = b"\x02ns\x05other\x00";
        let many = std::iter::repeat_n(&server[..], 9);
        assert_eq!(writer.rrset(Section::Answer, Owner::Question(0), Rtype::NS, 1, many), Err(Full));
        let one = std::iter::once(&server[..]);
        assert_eq!(writer.rrset(Section::Answer, Owner::Question(4), Rtype::NS, 1, one), Ok(()));
        let length = writer.finish(&HEADER, &VERDICT, None);
        let message = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(message.answers.len(), 1);
        assert_eq!(message.answers[0].name.to_string(), "Example.com.");
        assert_eq!(message.answers[0].data.to_string(), "ns.other.");
    }

    #[test]
    fn rfc3597_4_octets_that_hold_no_name_go_out_as_they_are() {
        let mut buffer = [0; 512];
        let mut writer = ResponseWriter::new(&mut buffer, 512).unwrap();
        writer.question(&QUESTION).unwrap();
        for (rtype, rdata) in [(Rtype::MX, &b"\x00"[..]), (Rtype::NS, b"\xc0\x0c"), (Rtype::SOA, b"\x01a")] {
            let before = writer.end;
            writer.rrset(Section::Answer, Owner::Question(0), rtype, 1, std::iter::once(rdata)).unwrap();
            assert_eq!(writer.buffer[before + 12..writer.end], *rdata);
        }
    }
}
