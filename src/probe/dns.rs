//! DNS probes: one query, and what its answer must say.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

use super::addresses::Addresses;
use super::cause;
use super::stopwatch::{Phase, Stopwatch};
use crate::health::{DnsCheck, DnsData, DnsTransport, Failure, NotRun};

/// Without EDNS an answer over UDP has 512 octets; a server that sends more is not asked to stop.
const DATAGRAM_OCTETS_MAX: usize = 4096;

/// Datagrams that are not the answer, until the server is taken to be talking nonsense.
const STRAY_DATAGRAMS_MAX: usize = 16;

/// A DNS check of one target.
#[derive(Debug)]
pub struct DnsProbe {
    addresses: Addresses,
    transport: DnsTransport,
    name: Name,
    record_type: RecordType,
    rcode: u16,
    answer: Vec<DnsData>,
}

impl DnsProbe {
    /// Makes the question of a check.
    pub fn new(check: &DnsCheck, addresses: Addresses) -> Result<DnsProbe, NotRun> {
        let name = Name::from_ascii(format!("{}.", check.name)).map_err(|_| NotRun::BadRequest)?;
        Ok(DnsProbe {
            addresses,
            transport: check.transport,
            name,
            record_type: RecordType::from(check.record_type),
            rcode: check.rcode,
            answer: check.answer.clone(),
        })
    }

    /// Asks and judges the answer.
    pub async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let id = id();
        let query = self.query(id).ok_or(Failure::NotRun(NotRun::BadRequest))?;
        let answer = match self.transport {
            DnsTransport::Tcp => self.ask_tcp(&query, id, stopwatch).await?,
            DnsTransport::Udp => {
                let answer = self.ask_udp(&query, id, stopwatch).await?;
                match answer.metadata.truncation {
                    true => self.ask_tcp(&query, id, stopwatch).await?,
                    false => answer,
                }
            }
        };
        self.judge(&answer)
    }

    fn query(&self, id: u16) -> Option<Vec<u8>> {
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(self.name.clone(), self.record_type));
        query.to_vec().ok()
    }

    /// The first datagram that answers. Another id is somebody's forgery and not waited upon; what has
    /// our id and makes no sense is the server's own.
    async fn ask_udp(&self, query: &[u8], id: u16, stopwatch: &Stopwatch) -> Result<Message, Failure> {
        let failed = |error: std::io::Error| cause::of(&error, Phase::Asking);
        let address = self.addresses.find().await?.into_iter().next().ok_or(Failure::NameNotFound)?;
        let local = if address.is_ipv4() { ([0; 4], 0).into() } else { SocketAddr::from(([0u16; 8], 0)) };
        let socket = UdpSocket::bind(local).await.map_err(failed)?;
        stopwatch.asking();
        // Connected, so that nobody else is heard.
        socket.connect(address).await.map_err(failed)?;
        socket.send(query).await.map_err(failed)?;
        let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
        for _ in 0..STRAY_DATAGRAMS_MAX {
            let length = socket.recv(&mut buffer).await.map_err(failed)?;
            let datagram = buffer.get(..length).unwrap_or_default();
            if datagram.first_chunk().map(|octets| u16::from_be_bytes(*octets)) == Some(id) {
                stopwatch.head();
                return self.read(datagram, id);
            }
        }
        Err(Failure::NotDns)
    }

    async fn ask_tcp(&self, query: &[u8], id: u16, stopwatch: &Stopwatch) -> Result<Message, Failure> {
        let failed = |error: std::io::Error| cause::of(&error, Phase::Asking);
        let mut connection = self.addresses.connect(stopwatch).await?;
        stopwatch.asking();
        let size = (query.len() as u16).to_be_bytes();
        connection.write_all(&[&size, query].concat()).await.map_err(failed)?;
        let size = connection.read_u16().await.map_err(failed)?;
        stopwatch.head();
        let mut answer = vec![0; usize::from(size)];
        connection.read_exact(&mut answer).await.map_err(|_| Failure::BodyBroken)?;
        self.read(&answer, id)
    }

    /// An answer to this very question.
    fn read(&self, octets: &[u8], id: u16) -> Result<Message, Failure> {
        let answer = Message::from_vec(octets).map_err(|_| Failure::NotDns)?;
        let head = &answer.metadata;
        let ours = head.id == id && head.message_type == MessageType::Response;
        let asked = match answer.queries.as_slice() {
            [query] => *query.name() == self.name && query.query_type() == self.record_type,
            // Some servers leave the question out of a refusal.
            [] => u16::from(head.response_code) != 0,
            _ => false,
        };
        if ours && asked { Ok(answer) } else { Err(Failure::NotDns) }
    }

    fn judge(&self, answer: &Message) -> Result<(), Failure> {
        let rcode = u16::from(answer.metadata.response_code);
        if rcode != self.rcode {
            return Err(Failure::Rcode(rcode));
        }
        let is_there = |expected: &DnsData| answer.answers.iter().any(|record| holds(&record.data, expected));
        if self.answer.iter().all(is_there) { Ok(()) } else { Err(Failure::AnswerLacksRecord) }
    }
}

fn holds(data: &RData, expected: &DnsData) -> bool {
    match (data, expected) {
        (RData::A(found), DnsData::Address(expected)) => found.0 == *expected,
        (RData::AAAA(found), DnsData::Address(expected)) => found.0 == *expected,
        (RData::CNAME(found), DnsData::Name(expected)) => is_name(&found.0, expected),
        (RData::NS(found), DnsData::Name(expected)) => is_name(&found.0, expected),
        (RData::PTR(found), DnsData::Name(expected)) => is_name(&found.0, expected),
        (RData::TXT(found), DnsData::Text(expected)) => found.txt_data.concat() == expected.as_bytes(),
        _ => false,
    }
}

fn is_name(found: &Name, expected: &str) -> bool {
    found.to_ascii().trim_end_matches('.').eq_ignore_ascii_case(expected)
}

/// A number that nobody can guess: std seeds its hashers from the system.
fn id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}
