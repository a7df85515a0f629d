//! A query as it came off the wire, checked in the order that keeps loops and amplifiers out.

use super::edns::{Edns, ExtendedError};
use super::name::{NAME_OCTETS_MAX, name_octets};
use super::types::{Class, Opcode, Rcode, Rtype};
use super::writer::HEADER_OCTETS;

/// What a reply takes over from the query's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The message's number.
    pub id: u16,
    /// The kind of message.
    pub opcode: Opcode,
    /// RD: copied, never obeyed.
    pub recursion_desired: bool,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Question<'p> {
    /// QNAME as sent: uncompressed, any case.
    pub name: &'p [u8],
    /// QTYPE
    pub rtype: Rtype,
    /// QCLASS
    pub class: Class,
}

/// A well-formed query of opcode QUERY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Query<'p> {
    /// From the header.
    pub header: Header,
    /// The one question.
    pub question: Question<'p>,
    /// OPT, if there was one.
    pub edns: Option<Edns<'p>>,
    /// Where TSIG begins, if there was one: the last record.
    pub tsig: Option<usize>,
}

/// A packet that is answered with an error, and what could still be read of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejected<'p> {
    /// From the header.
    pub header: Header,
    /// The question, if there was exactly one that could be read.
    pub question: Option<Question<'p>>,
    /// OPT, if it could be read; its options only where all of them were well-formed.
    pub edns: Option<Edns<'p>>,
    /// Where TSIG begins, if there was one at the end of a message that could be read to its end.
    pub tsig: Option<usize>,
    /// Why.
    pub why: Malformed,
}

/// A packet that is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Silence {
    /// Less than a header.
    Short,
    /// A response: answering it could start a loop.
    Response,
}

/// What is wrong with a query that has a header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// An opcode that this server does not know.
    UnknownOpcode,
    /// NOTIFY or UPDATE: known, and not for strangers (RFC 1996, RFC 2136).
    ForbiddenOpcode,
    /// QDCOUNT is not 1 (RFC 9619).
    QuestionCount,
    /// The question is cut short, or its name compressed or beyond the limits.
    Question,
    /// A record is cut short or its owner makes no sense.
    Record,
    /// An OPT outside the additional section, or one not owned by the root.
    MisplacedOpt,
    /// A second OPT (RFC 6891 section 6.1.1).
    SecondOpt,
    /// A TSIG that is not the last record, or cannot be read (RFC 8945 section 5.1).
    Tsig,
    /// A TSIG that does not hold (RFC 8945 section 5.2).
    Unproven,
    /// Octets after the last record.
    TrailingOctets,
    /// An EDNS version above 0.
    Version,
    /// An option is longer than OPT.
    Options,
    /// A client subnet against RFC 7871, or two.
    ClientSubnet,
}

impl Malformed {
    /// The response code it is answered with.
    pub const fn rcode(self) -> Rcode {
        match self {
            Malformed::UnknownOpcode => Rcode::NotImp,
            Malformed::ForbiddenOpcode => Rcode::Refused,
            Malformed::Unproven => Rcode::NotAuth,
            Malformed::Version => Rcode::BadVers,
            Malformed::QuestionCount
            | Malformed::Question
            | Malformed::Record
            | Malformed::MisplacedOpt
            | Malformed::SecondOpt
            | Malformed::Tsig
            | Malformed::TrailingOctets
            | Malformed::Options
            | Malformed::ClientSubnet => Rcode::FormErr,
        }
    }
}

impl Malformed {
    /// What is said of it where the response code leaves something open (RFC 8914).
    pub const fn extended_error(self) -> Option<ExtendedError> {
        match self {
            Malformed::UnknownOpcode => Some(ExtendedError::NotSupported),
            Malformed::ForbiddenOpcode => Some(ExtendedError::Prohibited),
            // A signature that does not hold is explained in TSIG itself.
            Malformed::Unproven
            | Malformed::Tsig
            | Malformed::Version
            | Malformed::QuestionCount
            | Malformed::Question
            | Malformed::Record
            | Malformed::MisplacedOpt
            | Malformed::SecondOpt
            | Malformed::TrailingOctets
            | Malformed::Options
            | Malformed::ClientSubnet => None,
        }
    }
}

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<'p> {
    /// To be looked up.
    Query(Query<'p>),
    /// A zone has changed, somebody says (RFC 1996).
    Notify(Query<'p>),
    /// Nothing is asked but a cookie (RFC 7873 section 5.4); FORMERR for who knows none.
    CookieRequest(Rejected<'p>),
    /// To be answered with an error.
    Rejected(Rejected<'p>),
    /// Not to be answered.
    Silent(Silence),
}

impl<'p> Parsed<'p> {
    /// Reads a packet: first what must be silent, then opcode, then QDCOUNT, then the rest.
    pub fn from_packet(packet: &'p [u8]) -> Parsed<'p> {
        let Some((head, rest)) = packet.split_first_chunk::<12>() else {
            return Parsed::Silent(Silence::Short);
        };
        let [id_high, id_low, flags, _, qd_high, qd_low, an_high, an_low, ns_high, ns_low, ar_high, ar_low] =
            *head;
        if flags & 0x80 != 0 {
            return Parsed::Silent(Silence::Response);
        }
        let header = Header {
            id: u16::from_be_bytes([id_high, id_low]),
            opcode: Opcode(flags >> 3 & 0x0f),
            recursion_desired: flags & 0x01 != 0,
        };
        let counts = Counts {
            questions: u16::from_be_bytes([qd_high, qd_low]),
            before_additional: u32::from(u16::from_be_bytes([an_high, an_low]))
                + u32::from(u16::from_be_bytes([ns_high, ns_low])),
            additional: u32::from(u16::from_be_bytes([ar_high, ar_low])),
        };
        let body = Body::parse(packet, rest, &counts);
        let opcode_fault = match header.opcode {
            Opcode::QUERY => None,
            // One that makes sense may come from a primary.
            Opcode::NOTIFY if body.fault.is_none() && body.question.is_some() => None,
            Opcode::NOTIFY | Opcode::UPDATE => Some(Malformed::ForbiddenOpcode),
            _ => Some(Malformed::UnknownOpcode),
        };
        match (opcode_fault.or(body.fault), body.question) {
            (None, Some(question)) => {
                let query = Query { header, question, edns: body.edns, tsig: body.tsig };
                if header.opcode == Opcode::NOTIFY { Parsed::Notify(query) } else { Parsed::Query(query) }
            }
            (fault, question) => {
                let why = fault.unwrap_or(Malformed::QuestionCount);
                let rejected = Rejected { header, question, edns: body.edns, tsig: body.tsig, why };
                match fault {
                    None => Parsed::CookieRequest(rejected),
                    Some(_) => Parsed::Rejected(rejected),
                }
            }
        }
    }
}

struct Counts {
    questions: u16,
    before_additional: u32,
    additional: u32,
}

/// What could be read after the header, up to the first fault.
struct Body<'p> {
    question: Option<Question<'p>>,
    edns: Option<Edns<'p>>,
    tsig: Option<usize>,
    fault: Option<Malformed>,
}

impl<'p> Body<'p> {
    fn parse(packet: &'p [u8], octets: &'p [u8], counts: &Counts) -> Body<'p> {
        let mut body = Body { question: None, edns: None, tsig: None, fault: None };
        body.fault = body.read(packet, octets, counts).err();
        let is_cookie_request = counts.questions == 0
            && body.fault.is_none()
            && body.edns.is_some_and(|edns| edns.cookie.is_some());
        if counts.questions != 1 && !is_cookie_request {
            body.question = None;
            body.fault = Some(Malformed::QuestionCount);
        }
        body
    }

    fn read(&mut self, packet: &'p [u8], octets: &'p [u8], counts: &Counts) -> Result<(), Malformed> {
        let mut rest = octets;
        for _ in 0..counts.questions {
            let (question, after) = split_question(rest).ok_or(Malformed::Question)?;
            self.question = Some(question);
            rest = after;
        }
        for _ in 0..counts.before_additional {
            let (record, after) = split_record(packet, rest).ok_or(Malformed::Record)?;
            match record.rtype {
                Rtype::OPT => return Err(Malformed::MisplacedOpt),
                Rtype::TSIG => return Err(Malformed::Tsig),
                _ => rest = after,
            }
        }
        let mut tsig = None;
        for _ in 0..counts.additional {
            let (record, after) = split_record(packet, rest).ok_or(Malformed::Record)?;
            if tsig.is_some() {
                return Err(Malformed::Tsig);
            }
            if record.rtype == Rtype::TSIG {
                tsig = Some(packet.len() - rest.len());
            }
            if record.rtype == Rtype::OPT {
                if self.edns.is_some() {
                    return Err(Malformed::SecondOpt);
                }
                if record.owner != [0] {
                    return Err(Malformed::MisplacedOpt);
                }
                self.edns = Some(Edns::new(record.class, record.ttl, record.rdata));
            }
            rest = after;
        }
        // It counts only as the end of a whole message: what cannot be read to its end is answered without one
        // (RFC 8945 section 5.1).
        self.tsig = tsig.filter(|_| rest.is_empty());
        if let Some(edns) = &mut self.edns {
            if edns.version > 0 {
                return Err(Malformed::Version);
            }
            edns.read_options()?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Malformed::TrailingOctets) }
    }
}

/// The question that `octets` begin with. Its name cannot be compressed: nothing comes before it.
pub(super) fn split_question(octets: &[u8]) -> Option<(Question<'_>, &[u8])> {
    let (name, rest) = octets.split_at_checked(name_octets(octets)?)?;
    let (fixed, rest) = rest.split_first_chunk::<4>()?;
    let [type_high, type_low, class_high, class_low] = *fixed;
    let rtype = Rtype(u16::from_be_bytes([type_high, type_low]));
    Some((Question { name, rtype, class: Class(u16::from_be_bytes([class_high, class_low])) }, rest))
}

/// A record as sent.
pub(super) struct Record<'p> {
    owner: &'p [u8],
    /// TYPE
    pub rtype: Rtype,
    class: u16,
    /// TTL
    pub ttl: u32,
    /// RDATA
    pub rdata: &'p [u8],
}

/// The record at the end of `packet` that `octets` begin with.
pub(super) fn split_record<'p>(packet: &'p [u8], octets: &'p [u8]) -> Option<(Record<'p>, &'p [u8])> {
    let owner_length = match octets.first()? {
        0 => 1,
        _ => owner_octets(packet, packet.len() - octets.len())?,
    };
    let (owner, rest) = octets.split_at_checked(owner_length)?;
    let (fixed, rest) = rest.split_first_chunk::<10>()?;
    let [t1, t0, c1, c0, l3, l2, l1, l0, d1, d0] = *fixed;
    let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([d1, d0])))?;
    let record = Record {
        owner,
        rtype: Rtype(u16::from_be_bytes([t1, t0])),
        class: u16::from_be_bytes([c1, c0]),
        ttl: u32::from_be_bytes([l3, l2, l1, l0]),
        rdata,
    };
    Some((record, rest))
}

/// The octets that an owner takes up in place. Every pointer must lead to before the part of the name
/// it ends (RFC 1035 section 4.1.4: a prior occurrence), so the walk ends.
fn owner_octets(packet: &[u8], at: usize) -> Option<usize> {
    let (mut part, mut position, mut name_length) = (at, at, 0);
    let mut in_place = None;
    loop {
        match *packet.get(position)? {
            0 => return in_place.or_else(|| (position + 1).checked_sub(at)),
            length @ 1..=63 => {
                position += 1 + usize::from(length);
                name_length += 1 + usize::from(length);
            }
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, *packet.get(position + 1)?]));
                if target >= part || target < HEADER_OCTETS {
                    return None;
                }
                in_place = in_place.or_else(|| (position + 2).checked_sub(at));
                (part, position) = (target, target);
            }
            _ => return None,
        }
        if name_length >= NAME_OCTETS_MAX {
            return None;
        }
    }
}
