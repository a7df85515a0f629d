//! Statements of the RFCs as data: a question in a line, the answer in lines. hickory-proto reads
//! every reply, so what we meant and what an independent reader sees have to agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod additional;
mod alike;
mod chaos;
mod cookies;
mod edns;
mod hostile;
mod lookups;
mod peers;
mod secondary;
mod steered;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::rdata::opt::EdnsOption;

use super::*;
use crate::compile::zonefile::{SteeredOwner, read_zone};
use crate::config::{FileId, Problems, Span};
use crate::dnssec::OnlineLimits;
use crate::ids::{Family, ServiceId};
use crate::steer::{Answer, Few, Mode, Pick, PlainSelection};
use crate::view::Peers;
use crate::wire::parse_name;

/// Steered names of `example.com`, and their services.
const STEERED: &[(&str, Service)] = &[
    ("geo", Service::Addresses),
    ("*.wild", Service::Addresses),
    ("@", Service::Addresses),
    ("host", Service::Alias),
    ("*.hosts", Service::Alias),
    ("empty", Service::NoData),
    ("closed", Service::Refused),
    ("many", Service::Many),
    ("into", Service::Addresses),
    ("held", Service::Held),
];

/// What the stand-in services answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    Addresses,
    Alias,
    NoData,
    Refused,
    Many,
    Held,
}

const SERVICES: [Service; 6] =
    [Service::Addresses, Service::Alias, Service::NoData, Service::Refused, Service::Many, Service::Held];

const ZONE: &str = include_str!("example.com.zone");

/// A server with `example.com`, a child of it that it serves too, and a zone with a DNAME.
struct Fixture {
    catalog: Catalog,
    settings: ResponderSettings,
    many: Vec<IpAddr>,
    /// One address of each family, and [`Fixture::many`].
    picks: [Pick; 3],
}

impl Fixture {
    fn new() -> Fixture {
        let steered: Vec<_> = STEERED
            .iter()
            .map(|(name, service)| SteeredOwner {
                name,
                span: Span { file: FileId(9), start: 0, end: 0 },
                service: ServiceId(SERVICES.iter().position(|s| s == service).unwrap() as u32),
                alias: *service == Service::Alias,
                testing: &[],
            })
            .collect();
        let child = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.2\nwww A 192.0.2.3\n";
        let redirect = "$TTL 60\n@ SOA ns.example.com. h 1 2 3 4 5\n@ NS ns.example.com.\n@ TXT top\n\
            old DNAME new\nold TXT self\nwww.new A 192.0.2.5\naway DNAME example.net.\n\
            loop DNAME a.loop2\nloop2 DNAME loop\n";
        let long = format!(
            "$TTL 60\n@ SOA . . 1 2 3 4 5\n@ NS .\nd DNAME {}.org.\n",
            vec!["x".repeat(60); 3].join(".")
        );
        let zones = vec![
            zone("example.com", ZONE, &steered),
            zone("child.example.com", child, &[]),
            zone("dname.test", redirect, &[]),
            zone("long.test", &long, &[]),
        ];
        let many: Vec<IpAddr> = (0..200).map(|i| IpAddr::from([198, 51, 100, i])).collect();
        Fixture {
            catalog: Catalog::new(zones),
            settings: ResponderSettings {
                udp_payload_max: 1232,
                nsid: Some((*b"node-1").into()),
                why: Box::default(),
                peers: Peers::default(),
                chaos: crate::view::Chaos::default(),
                additional: crate::view::Additional::Given,
                protection: crate::view::Protection::OFF,
            },
            picks: [V4, V6, &many].map(|addresses| Pick {
                endpoints: Few::new(),
                addresses: addresses.iter().copied().collect(),
                counters: [CounterId(5)].into_iter().collect(),
            }),
            many,
        }
    }
}

fn zone(origin: &str, text: &str, steered: &[SteeredOwner<'_>]) -> crate::zone::Zone {
    let mut problems = Problems::default();
    let zone = read_zone(origin, FileId(1), text.as_bytes(), steered, &mut problems);
    zone.unwrap_or_else(|| panic!("{:?}", problems.0))
}

const NOW: Now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
const V4: &[IpAddr] = &[IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 80))];
const V6: &[IpAddr] = &[IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x80))];

/// Nothing here is signed.
fn unsigned() -> OnlineSignatures {
    OnlineSignatures::new(OnlineLimits::NONE, [0; 16])
}

impl Steering for Fixture {
    fn signed(&self, _: ZoneId) -> Option<&Signed> {
        None
    }

    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    fn settings(&self) -> &ResponderSettings {
        &self.settings
    }

    fn steer_plainly(
        &self,
        service: ServiceId,
        family: Family,
        _prefix: &ClientPrefix,
        _draw: u64,
        _resolver: &IpAddr,
        _now: &Now,
    ) -> PlainSelection<'_> {
        let [v4, v6, many] = &self.picks;
        let pick = match (SERVICES[service.index()], family) {
            (Service::Addresses, Family::V4) => v4,
            (Service::Addresses, Family::V6) => v6,
            (Service::Many, Family::V4) => many,
            (Service::NoData | Service::Many, _) => return PlainSelection::NO_DATA,
            (Service::Held | Service::Alias | Service::Refused, _) => return PlainSelection::NOT_PLAIN,
        };
        PlainSelection::of(pick, 30, 20)
    }

    fn steer(&self, service: ServiceId, wanted: Lane, client: &Client, _moment: (Now, u64)) -> Selection<'_> {
        let answer = match (SERVICES[service.index()], wanted) {
            (Service::Addresses | Service::Held, Lane::Addresses(Family::V4)) => Answer::Addresses(V4),
            (Service::Addresses | Service::Held, Lane::Addresses(Family::V6)) => Answer::Addresses(V6),
            (Service::Many, Lane::Addresses(Family::V4)) => Answer::Addresses(&self.many),
            (Service::Alias, Lane::Alias) => Answer::Alias(b"\x02lb\x07example\x03net\x00"),
            (Service::NoData | Service::Many, _) => Answer::NoData,
            (Service::Refused, _) => Answer::Refused,
            (service, wanted) => panic!("{service:?} was asked for {wanted:?}"),
        };
        let scope = if client.subnet.is_some() { 20 } else { 0 };
        let mode = if SERVICES[service.index()] == Service::Held { Mode::AllDown } else { Mode::Normal };
        Selection { answer, ttl_s: 30, scope, counters: &[CounterId(5)], mode }
    }

    fn steer_region(&self, service: ServiceId, _: RegionId, _: Lane, _: u64) -> Selection<'_> {
        panic!("{service:?} has no testing names")
    }

    fn account(&self, _: ServiceId, _: &Client, _: (Now, u64)) -> Option<Vec<u8>> {
        None
    }

    fn binding(&self, _: ServiceId, _: Rtype) -> Option<&ServiceBinding> {
        None
    }

    fn is_alias(&self, service: ServiceId) -> bool {
        SERVICES[service.index()] == Service::Alias
    }
}

/// A question as a line: `NAME TYPE [+tcp|+tls|+https|+quic] [+edns] [+do] [+bufsize=N] [+nsid]
/// [+subnet=ADDRESS/LENGTH] [+keepalive[=TENTHS]] [+padding=OCTETS] [+cookie=HEX]`.
struct Ask {
    packet: Vec<u8>,
    asked: Asked,
    has_edns: bool,
    subnet: Option<Vec<u8>>,
    limit: usize,
}

fn ask(line: &str) -> Ask {
    let mut words = line.split_whitespace();
    let (name, rtype) = (words.next().unwrap(), words.next().unwrap());
    let mut options: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut transport = Transport::Udp;
    let (mut edns, mut dnssec_ok, mut payload, mut class, mut subnet) = (false, false, 1232u16, 1u16, None);
    for word in words {
        edns |= !["+tcp", "+tls", "+https", "+quic"].contains(&word) && !word.starts_with("+class");
        match word.split_once('=').unwrap_or((word, "")) {
            ("+tcp", _) => transport = Transport::Tcp,
            ("+tls", _) => transport = Transport::Tls,
            ("+https", _) => transport = Transport::Https,
            ("+quic", _) => transport = Transport::Quic,
            ("+edns", _) => {}
            ("+keepalive", "") => options.push((11, Vec::new())),
            ("+keepalive", tenths) => {
                options.push((11, tenths.parse::<u16>().unwrap().to_be_bytes().to_vec()))
            }
            ("+padding", octets) => options.push((12, vec![0; octets.parse().unwrap()])),
            ("+do", _) => dnssec_ok = true,
            ("+bufsize", octets) => payload = octets.parse().unwrap(),
            ("+nsid", _) => options.push((3, Vec::new())),
            ("+cookie", hex) => options.push((10, octets_of(hex))),
            ("+class", number) => class = number.parse().unwrap(),
            ("+subnet", network) => {
                let data = subnet_data(network);
                options.push((8, data.clone()));
                subnet = Some(data);
            }
            (other, _) => panic!("{other}"),
        }
    }
    let mut packet = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    packet.extend(parse_name(name.as_bytes(), &[0]).unwrap());
    packet.extend(rtype_number(rtype).to_be_bytes());
    packet.extend(class.to_be_bytes());
    if edns {
        packet.extend([0, 0, 41]);
        packet.extend(payload.to_be_bytes());
        packet.extend([0, 0, if dnssec_ok { 0x80 } else { 0 }, 0]);
        let data: Vec<u8> = options.iter().flat_map(|(code, data)| option(*code, data)).collect();
        packet.extend((data.len() as u16).to_be_bytes());
        packet.extend(data);
    }
    let limit = match (transport, edns) {
        (Transport::Udp, true) => usize::from(payload).clamp(512, 1232),
        (Transport::Udp, false) => 512,
        _ => 65_535,
    };
    let idle_timeout =
        matches!(transport, Transport::Tcp | Transport::Tls).then_some(Duration::from_secs(10));
    let source = "203.0.113.53".parse().unwrap();
    let asked = Asked {
        source,
        transport,
        class: ClientClass::DEFAULT,
        idle_timeout,
        admission: crate::limit::Admission::Within,
    };
    Ask { packet, asked, has_edns: edns, subnet, limit }
}

/// Octets written in hexadecimal digits.
fn octets_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

fn subnet_data(network: &str) -> Vec<u8> {
    let (address, length) = network.split_once('/').unwrap();
    let length: u8 = length.parse().unwrap();
    let (family, octets) = match address.parse().unwrap() {
        IpAddr::V4(v4) => (1, v4.octets().to_vec()),
        IpAddr::V6(v6) => (2, v6.octets().to_vec()),
    };
    [&[0, family, length, 0][..], &octets[..usize::from(length).div_ceil(8)]].concat()
}

fn rtype_number(mnemonic: &str) -> u16 {
    match mnemonic {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "PTR" => 12,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "NAPTR" => 35,
        "DNAME" => 39,
        "DS" => 43,
        "HTTPS" => 65,
        "IXFR" => 251,
        "AXFR" => 252,
        "ANY" => 255,
        "CAA" => 257,
        other => other.strip_prefix("TYPE").unwrap().parse().unwrap(),
    }
}

/// A reply and what was noted of it.
struct Got<'v> {
    octets: Vec<u8>,
    note: Note<'v>,
}

fn send<'v>(fixture: &'v Fixture, asked: &Asked, packet: &[u8]) -> Result<Got<'v>, DropReason> {
    let mut buffer = vec![0xee; 65_535];
    match respond_from(fixture, asked, (NOW, 7), packet, &mut buffer, &mut unsigned()) {
        Outcome::Reply { length, note } => Ok(Got { octets: buffer[..length].to_vec(), note }),
        Outcome::Errand(errand) => panic!("nobody may have anything here: {errand:?}"),
        Outcome::Drop(reason) => Err(reason),
    }
}

/// The reply as hickory-proto reads it: `RCODE [aa] [tc]`, a line a record with its section, a line for
/// the options.
fn lines(reply: &[u8]) -> Vec<String> {
    let message = Message::from_vec(reply).expect("hickory-proto reads what we write");
    assert_eq!(message.metadata.message_type, MessageType::Response);
    let flag = |set: bool, text: &str| if set { format!(" {text}") } else { String::new() };
    let rcode = u16::from(message.metadata.response_code);
    let aa = flag(message.metadata.authoritative, "aa");
    let tc = flag(message.metadata.truncation, "tc");
    let mnemonic = Rcode::ALL.iter().find(|r| r.number() == rcode).map_or("?", |r| r.mnemonic());
    let mut lines = vec![format!("{mnemonic}{aa}{tc}")];
    let sections = [("an", &message.answers), ("ns", &message.authorities), ("ar", &message.additionals)];
    for (section, records) in sections {
        for record in records {
            let text = record.to_string().replace(" IN ", " ");
            lines.push(format!("{section} {text}"));
        }
    }
    if let Some(edns) = &message.edns {
        let mut line = format!("opt {}", edns.max_payload());
        line += &flag(edns.flags().dnssec_ok, "do");
        assert_eq!(edns.version(), 0);
        for (_, option) in &edns.options().options {
            line += &match option {
                EdnsOption::Subnet(s) => {
                    format!(" subnet={}/{}/{}", s.addr(), s.source_prefix(), s.scope_prefix())
                }
                EdnsOption::NSID(id) => format!(" nsid={}", String::from_utf8_lossy(id.as_ref())),
                EdnsOption::Unknown(10, data) => {
                    let hex: String = data.iter().map(|octet| format!("{octet:02x}")).collect();
                    format!(" cookie={hex}")
                }
                EdnsOption::Unknown(11, data) => {
                    format!(" keepalive={}", u16::from_be_bytes([data[0], data[1]]))
                }
                EdnsOption::Unknown(12, data) => {
                    assert!(data.iter().all(|octet| *octet == 0), "RFC 7830 section 3");
                    format!(" padded={}", reply.len())
                }
                EdnsOption::Unknown(15, data) => format!(" error={}", data[1]),
                other => panic!("{other:?}"),
            };
        }
        lines.push(line);
    }
    lines
}

/// Asks and compares. What holds for every reply is checked here too.
#[track_caller]
fn check(line: &str, expected: &[&str]) {
    let fixture = Fixture::new();
    let ask = ask(line);
    let got = send(&fixture, &ask.asked, &ask.packet).unwrap();
    let reply = &got.octets;
    assert_eq!(lines(reply), expected, "{line}");
    assert!(reply.len() <= ask.limit, "{line}: {} octets", reply.len());
    assert_eq!(reply[..2], [0xab, 0xcd], "{line}: the ID");
    assert_eq!(reply[2] & 0xf9, 0x81, "{line}: QR, opcode and RD");
    assert_eq!(reply[3] & 0xf0, 0, "{line}: RA, Z, AD, CD");
    let question = ask.packet[12..].len() - if ask.has_edns { 11 + options_octets(&ask.packet) } else { 0 };
    assert_eq!(reply[12..12 + question], ask.packet[12..12 + question], "{line}: the question");
    let message = Message::from_vec(reply).unwrap();
    assert_eq!(message.edns.is_some(), ask.has_edns, "{line}: an OPT for an OPT");
    let echoed = expected.iter().any(|line| line.contains(" subnet="));
    assert_eq!(echoed, ask.subnet.is_some(), "{line}: a client subnet for a client subnet");
    let truncated = expected[0].contains(" tc");
    assert_eq!(got.note.size == Size::Truncated, truncated, "{line}");
    assert!(expected[0].starts_with(got.note.rcode.mnemonic()), "{line}");
}

fn options_octets(packet: &[u8]) -> usize {
    let message = Message::from_vec(packet).unwrap();
    message.edns.unwrap().options().options.iter().map(|(_, option)| 4 + option_octets(option)).sum()
}

fn option_octets(option: &EdnsOption) -> usize {
    match option {
        EdnsOption::Subnet(subnet) => 4 + usize::from(subnet.source_prefix()).div_ceil(8),
        EdnsOption::NSID(id) => id.as_ref().len(),
        EdnsOption::Unknown(_, data) => data.len(),
        other => panic!("{other:?}"),
    }
}
