//! Replies as hickory-proto reads them, and what must hold for every one of them.

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{RData, Record};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use crate::question::{Question, Subnet};

/// The length of a message's header.
const HEADER_OCTETS: usize = 12;

/// A reply, in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// `NOERROR`, `NXDOMAIN`, ...
    pub rcode: String,
    /// AA.
    pub authoritative: bool,
    /// TC.
    pub truncated: bool,
    /// The answer section.
    pub answers: Vec<Line>,
    /// The authority section.
    pub authorities: Vec<Line>,
    /// The additional section without OPT.
    pub additionals: Vec<Line>,
    /// Whether there is an OPT.
    pub edns: bool,
    /// The scope in the client subnet option.
    pub scope: Option<u8>,
    /// The name server identifier.
    pub nsid: Option<String>,
    /// The extended error.
    pub extended_error: Option<u16>,
}

/// A record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// With the final dot, in the case sent.
    pub owner: String,
    /// In seconds.
    pub ttl_s: u32,
    /// `A`, `CNAME`, ...
    pub rtype: String,
    /// As in a master file.
    pub data: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.owner, self.ttl_s, self.rtype, self.data)
    }
}

impl std::fmt::Display for Reply {
    /// One line, and one more for each record.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.rcode)?;
        let flags = [(self.authoritative, "aa"), (self.truncated, "tc"), (self.edns, "edns")];
        flags.iter().filter(|(set, _)| *set).try_for_each(|(_, name)| write!(f, " {name}"))?;
        self.scope.map_or(Ok(()), |scope| write!(f, " scope {scope}"))?;
        self.nsid.as_ref().map_or(Ok(()), |nsid| write!(f, " nsid {nsid}"))?;
        self.extended_error.map_or(Ok(()), |code| write!(f, " extended-error {code}"))?;
        let sections =
            [("answer", &self.answers), ("authority", &self.authorities), ("additional", &self.additionals)];
        for (name, lines) in sections {
            lines.iter().try_for_each(|line| write!(f, "\n        {name} {line}"))?;
        }
        Ok(())
    }
}

/// Reads a reply and holds it against its query: what every reply must be, whatever was asked.
pub fn read(question: &Question, query: &[u8], octets: &[u8]) -> Result<Reply, String> {
    let message = decode(octets)?;
    let rcode = message.metadata.response_code;
    let rule = |holds: bool, text: &str| if holds { Ok(()) } else { Err(text.to_owned()) };
    rule(message.metadata.message_type == MessageType::Response, "QR is not set")?;
    rule(query.get(..2) == octets.get(..2), "the id is not the query's")?;
    rule(!message.metadata.recursion_available, "RA is set")?;
    rule(u8::from(message.metadata.op_code) == question.opcode, "the opcode is not the query's")?;
    let question_end = HEADER_OCTETS + question_octets(query);
    rule(
        message.queries.is_empty() && rcode == ResponseCode::FormErr
            || query.get(HEADER_OCTETS..question_end) == octets.get(HEADER_OCTETS..question_end),
        "the question is not the query's, octet for octet",
    )?;
    let asked_edns = query.len() > question_end;
    rule(message.edns.is_some() == asked_edns, "OPT is there if and only if the query has one")?;
    let most = match (question.tcp, asked_edns) {
        (true, _) => 65535,
        (false, true) => usize::from(question.payload_octets.max(512)),
        (false, false) => 512,
    };
    rule(octets.len() <= most, "it is longer than the client takes")?;
    let lines = |records: &[Record]| records.iter().map(line).collect();
    let edns = message.edns.as_ref();
    Ok(Reply {
        rcode: rcode_name(rcode),
        authoritative: message.metadata.authoritative,
        truncated: message.metadata.truncation,
        answers: lines(&message.answers),
        authorities: lines(&message.authorities),
        additionals: lines(&message.additionals),
        edns: edns.is_some(),
        scope: scope(question, edns, rcode)?,
        nsid: edns.and_then(nsid),
        extended_error: edns.and_then(extended_error),
    })
}

fn decode(octets: &[u8]) -> Result<Message, String> {
    let mut decoder = BinDecoder::new(octets);
    let message = Message::read(&mut decoder).map_err(|error| format!("hickory cannot read it: {error}"))?;
    if !decoder.is_empty() {
        return Err("octets are left over after the message".to_owned());
    }
    Ok(message)
}

/// The length of the question after the header: what our own queries have, uncompressed.
fn question_octets(query: &[u8]) -> usize {
    let mut at = HEADER_OCTETS;
    while let Some(length) = query.get(at).filter(|length| **length > 0) {
        at += 1 + usize::from(*length);
    }
    at + 5 - HEADER_OCTETS
}

/// E5: the option is in every reply to a query with a well-formed one and nowhere else, and says again
/// what was asked.
fn scope(question: &Question, edns: Option<&Edns>, rcode: ResponseCode) -> Result<Option<u8>, String> {
    let option = edns.and_then(|edns| match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) => Some(*subnet),
        _ => None,
    });
    let echoed = question.subnet.filter(|_| !matches!(rcode_name(rcode).as_str(), "FORMERR" | "BADVERS"));
    match (echoed, option) {
        (None, None) => Ok(None),
        (None, Some(option)) => Err(format!("a client subnet nobody asked for: {option:?}")),
        (Some(asked), None) => Err(format!("no client subnet, asked was {asked:?}")),
        (Some(asked), Some(option)) => {
            let said = Subnet { address: option.addr(), length: option.source_prefix() };
            if said != asked {
                return Err(format!("the client subnet is {said:?}, asked was {asked:?}"));
            }
            if option.scope_prefix() > asked.bits_max() {
                return Err(format!("the scope {} is longer than an address", option.scope_prefix()));
            }
            Ok(Some(option.scope_prefix()))
        }
    }
}

fn nsid(edns: &Edns) -> Option<String> {
    match edns.option(EdnsCode::NSID)? {
        EdnsOption::NSID(id) => Some(String::from_utf8_lossy(id.as_ref()).into_owned()),
        _ => None,
    }
}

fn extended_error(edns: &Edns) -> Option<u16> {
    match edns.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(_, data) => Some(u16::from_be_bytes([*data.first()?, *data.get(1)?])),
        _ => None,
    }
}

fn line(record: &Record) -> Line {
    Line {
        owner: record.name.to_string(),
        ttl_s: record.ttl,
        rtype: record.record_type().to_string(),
        data: match &record.data {
            // The strings apart, as hickory does not show them.
            RData::TXT(txt) => {
                let strings = txt.txt_data.iter().map(|one| String::from_utf8_lossy(one));
                strings.collect::<Vec<_>>().join(" ")
            }
            // As RFC 3597 writes what a program does not know.
            RData::Unknown { rdata, .. } => {
                let octets = &rdata.anything;
                let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
                format!("\\# {} {hex}", octets.len())
            }
            // As master files write it, without quotes, which are the scenario's own.
            binding @ (RData::HTTPS(_) | RData::SVCB(_)) => {
                let text = format!("{binding} ").replace('"', "").replace(", ", " ");
                text.trim_end().to_owned()
            }
            data => data.to_string(),
        },
    }
}

fn rcode_name(rcode: ResponseCode) -> String {
    match rcode {
        // 16 has two names; without TSIG it is this one.
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS".to_owned(),
        ResponseCode::Unknown(number) => format!("RCODE{number}"),
        known => format!("{known:?}").to_ascii_uppercase(),
    }
}
