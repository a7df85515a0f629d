//! Queries built ahead of the run, and what a right answer to each of them looks like. Written without
//! the server's own wire code: a shared mistake would go unseen.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::chance::Chance;

/// The zone that every server serves.
pub const ZONE: &str = "bench.test";
/// Static names in the zone: enough that no server answers from one warm line of cache.
pub const STATIC_NAMES: u32 = 1000;
/// Different queries of one kind: their octets are more than the first two levels of cache.
const QUERIES: usize = 65_536;
/// A label of hexadecimal digits, that comes once.
const FRESH_LABEL_OCTETS: usize = 16;
/// The labels' sequence.
const FRESH_SEED: u64 = 11;
/// QTYPE and TYPE of addresses.
const TYPE_A: u16 = 1;
/// TYPE of the EDNS pseudo-record.
const TYPE_OPT: u16 = 41;
/// The option code of RFC 7873.
const OPTION_COOKIE: u16 = 10;
/// The client's half of every cookie.
const CLIENT_COOKIE: [u8; 8] = *b"\x9f\x10bench\x07";
/// What the server's half may have (RFC 7873 section 4); under RFC 9018 it is 16.
const SERVER_COOKIE_OCTETS: RangeInclusive<usize> = 8..=32;
/// The option code of RFC 7871.
const OPTION_CLIENT_SUBNET: u16 = 8;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Kind {
    /// Static names, with EDNS
    Static,
    /// A steered name with IPv4 client subnets (/24)
    Subnet,
    /// A steered name with IPv6 client subnets (/48)
    Subnet6,
    /// A steered name with two weighted endpoints in each region, IPv4 client subnets
    Weighted,
    /// Names that do not exist, none twice
    Nxdomain,
    /// Static names with a cookie that the server gave
    Cookie,
    /// Static names over persistent TCP connections
    Tcp,
}

impl Kind {
    /// Whether it needs places.
    pub fn is_steered(self) -> bool {
        matches!(self, Kind::Subnet | Kind::Subnet6 | Kind::Weighted)
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Static => "static",
            Kind::Subnet => "subnet",
            Kind::Subnet6 => "subnet6",
            Kind::Weighted => "weighted",
            Kind::Nxdomain => "nxdomain",
            Kind::Cookie => "cookie",
            Kind::Tcp => "tcp",
        }
    }
}

/// The address of `canary`, a name whose data changes with every reload.
pub fn canary_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, number)
}

/// The address of a static name.
pub fn static_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
}

/// The address of an endpoint: `place` 0 or 1 in its region.
pub fn endpoint_address(region: usize, place: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 1)) + (region + place * 100) as u32)
}

/// A client's network: an address whose bits past the length are zero, and the length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// Its bits.
    pub bits: u8,
}

/// What a right answer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// This address.
    Address(Ipv4Addr),
    /// This address, and the client's half of the cookie back.
    AddressAndCookie(Ipv4Addr),
    /// One endpoint of any region, and the client's network back.
    Endpoint { regions: usize, places: usize },
    /// An endpoint of a service of a large configuration: this address, but for its region.
    EndpointOf(Ipv4Addr),
    /// NXDOMAIN.
    Absent,
}

/// What a name of a large configuration is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Its address.
    Address(Ipv4Addr),
    /// An endpoint of the service of this number.
    Endpoint(u64),
}

/// One query of a set.
struct Place {
    first: usize,
    length: usize,
    /// Where the data of its option begins, after `first`.
    option: usize,
    expected: Expected,
}

/// Prebuilt queries of one kind.
pub struct Queries {
    octets: Vec<u8>,
    places: Vec<Place>,
    /// Where labels come from that never repeat.
    fresh: Chance,
}

impl Queries {
    /// Queries for the static names.
    pub fn of_static_names(chance: &mut Chance) -> Queries {
        let mut queries = Queries::none();
        for _ in 0..QUERIES {
            let number = chance.below(STATIC_NAMES);
            let expected = Expected::Address(static_address(number));
            queries.add(&format!("host-{number}.{ZONE}"), None, expected);
        }
        queries
    }

    /// Queries for the static names with a cookie: the client's half, until `give_cookie` has the server's.
    pub fn of_static_names_with_cookie(chance: &mut Chance) -> Queries {
        let mut queries = Queries::none();
        for _ in 0..QUERIES {
            queries.add_with_cookie(chance.below(STATIC_NAMES), &CLIENT_COOKIE);
        }
        queries
    }

    /// Takes the cookie from a server's reply to `cookie_question` and writes all queries anew with it.
    pub fn give_cookie(&mut self, reply: &[u8]) -> Result<(), &'static str> {
        let question_end = question_end(reply).ok_or("a reply without a question")?;
        let cookie = option(OPTION_COOKIE, reply, question_end).ok_or("a reply without a cookie")?;
        if !cookie.starts_with(&CLIENT_COOKIE)
            || !SERVER_COOKIE_OCTETS.contains(&(cookie.len() - CLIENT_COOKIE.len()))
        {
            return Err("a cookie that no RFC knows");
        }
        let mut queries = Queries::none();
        for place in &self.places {
            if let Expected::AddressAndCookie(address) = place.expected {
                queries.add_with_cookie(u32::from(address) - u32::from(static_address(0)), cookie);
            }
        }
        *self = queries;
        Ok(())
    }

    fn add_with_cookie(&mut self, number: u32, cookie: &[u8]) {
        let expected = Expected::AddressAndCookie(static_address(number));
        self.add_with(&format!("host-{number}.{ZONE}"), Some((OPTION_COOKIE, cookie)), expected);
    }

    /// Queries for a steered name from these networks.
    pub fn of_networks(kind: Kind, networks: &[Network], regions: usize) -> Queries {
        let (name, places) = if kind == Kind::Weighted { ("shop", 2) } else { ("www", 1) };
        let mut queries = Queries::none();
        for network in networks.iter().take(QUERIES) {
            let expected = Expected::Endpoint { regions, places };
            queries.add(&format!("{name}.{ZONE}"), Some(*network), expected);
        }
        queries
    }

    /// Queries for the names of a large configuration.
    pub fn of_names(names: impl Iterator<Item = (String, Named)>) -> Queries {
        let mut queries = Queries::none();
        for (name, named) in names {
            let expected = match named {
                Named::Address(address) => Expected::Address(address),
                // 127, the region, and two octets of the service.
                Named::Endpoint(service) => Expected::EndpointOf(Ipv4Addr::new(
                    127,
                    0,
                    (service / 250) as u8,
                    (service % 250) as u8 + 1,
                )),
            };
            queries.add(&name, None, expected);
        }
        queries
    }

    /// Queries for names that do not exist; `number` gives each a new name.
    pub fn of_absent_names() -> Queries {
        let mut queries = Queries::none();
        for _ in 0..QUERIES {
            queries.add(&format!("{}.{ZONE}", "x".repeat(FRESH_LABEL_OCTETS)), None, Expected::Absent);
        }
        queries
    }

    fn none() -> Queries {
        Queries { octets: Vec::new(), places: Vec::new(), fresh: Chance::seeded(FRESH_SEED) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Writes the number by which the answer will be known.
    pub fn number(&mut self, index: usize, id: u16) {
        let Place { first, expected, .. } = self.places[index];
        self.octets[first..first + 2].copy_from_slice(&id.to_be_bytes());
        if expected == Expected::Absent {
            // SplitMix64 is a permutation of its counter: no label comes twice.
            let fresh = self.fresh.next();
            let label = &mut self.octets[first + 13..first + 13 + FRESH_LABEL_OCTETS];
            for (place, octet) in label.iter_mut().enumerate() {
                *octet = b"0123456789abcdef"[(fresh >> (place * 4) & 15) as usize];
            }
        }
    }

    /// A query's octets.
    pub fn octets(&self, index: usize) -> &[u8] {
        let place = &self.places[index];
        &self.octets[place.first..place.first + place.length]
    }

    /// Whether a reply answers a query; the number comes checked. `Ok` holds the address, if there is to be one.
    pub fn check(&self, index: usize, reply: &[u8]) -> Result<Ipv4Addr, &'static str> {
        let place = &self.places[index];
        let query = self.octets(index);
        check(query, &query[place.option..], place.expected, reply).ok_or("cut short")?
    }

    fn add(&mut self, name: &str, network: Option<Network>, expected: Expected) {
        let Some(Network { address, bits }) = network else { return self.add_with(name, None, expected) };
        let (family, octets) = match address {
            IpAddr::V4(address) => (1, address.octets().to_vec()),
            IpAddr::V6(address) => (2, address.octets().to_vec()),
        };
        // Family, source length, scope 0, and of the address what the length covers.
        let data = [&[0, family, bits, 0], &octets[..usize::from(bits).div_ceil(8)]].concat();
        self.add_with(name, Some((OPTION_CLIENT_SUBNET, &data)), expected);
    }

    fn add_with(&mut self, name: &str, option: Option<(u16, &[u8])>, expected: Expected) {
        let first = self.octets.len();
        write_question(&mut self.octets, name);
        let data = write_opt(&mut self.octets, option);
        let length = self.octets.len() - first;
        self.places.push(Place { first, length, option: length - data, expected });
    }
}

/// The header and the question of a query with one record in the additional section.
fn write_question(out: &mut Vec<u8>, name: &str) {
    out.extend([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    write_name(out, name);
    out.extend([0, TYPE_A as u8, 0, 1]);
}

/// OPT: the root, type, 1232 octets, no flags, at most one option; returns the octets of its data.
fn write_opt(out: &mut Vec<u8>, option: Option<(u16, &[u8])>) -> usize {
    out.extend([0, 0, TYPE_OPT as u8, 4, 208, 0, 0, 0, 0]);
    let Some((code, data)) = option else {
        out.extend([0, 0]);
        return 0;
    };
    out.extend((data.len() as u16 + 4).to_be_bytes());
    out.extend(code.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    data.len()
}

/// Asks for a static name with half a cookie: the reply has the server's half.
pub fn cookie_question() -> Vec<u8> {
    let mut question = Vec::new();
    write_question(&mut question, &format!("host-0.{ZONE}"));
    write_opt(&mut question, Some((OPTION_COOKIE, &CLIENT_COOKIE)));
    question[1] = 1;
    question
}

/// One query for the steered name from this network.
pub fn one_of_network(network: Network) -> Vec<u8> {
    let mut queries = Queries::of_networks(Kind::Subnet, &[network], 1);
    queries.number(0, 1);
    queries.octets(0).to_vec()
}

/// Asks for the address of `canary`, without EDNS.
pub fn canary_question() -> Vec<u8> {
    let mut question = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    write_name(&mut question, &format!("canary.{ZONE}"));
    question.extend([0, TYPE_A as u8, 0, 1]);
    question
}

/// The address in an answer to that, if it is one.
pub fn canary_in(reply: &[u8]) -> Option<Ipv4Addr> {
    let question = canary_question();
    if reply.get(12..question.len())? != &question[12..] || number(reply, 6)? != 1 {
        return None;
    }
    let record = name_end(reply, question.len())?;
    let data: [u8; 4] = reply.get(record + 10..record + 14)?.try_into().ok()?;
    Some(Ipv4Addr::from(data))
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
}

/// Client networks drawn uniformly over the part of the address space that `is_located`: /24s of IPv4.
pub fn networks(chance: &mut Chance, is_located: impl Fn(IpAddr) -> bool) -> Vec<Network> {
    let draw = || IpAddr::from(Ipv4Addr::from(chance.next() as u32 & 0xffff_ff00));
    let networks = std::iter::repeat_with(draw).filter(|network| is_located(*network)).take(QUERIES);
    networks.map(|address| Network { address, bits: 24 }).collect()
}

/// The same of IPv6's global unicast, 2000::/3: /48s.
pub fn networks6(chance: &mut Chance, is_located: impl Fn(IpAddr) -> bool) -> Vec<Network> {
    let draw = || {
        let high = 1 << 61 | chance.next() >> 3 & 0xffff_ffff_ffff_0000;
        IpAddr::from(Ipv6Addr::from(u128::from(high) << 64))
    };
    let networks = std::iter::repeat_with(draw).filter(|network| is_located(*network)).take(QUERIES);
    networks.map(|address| Network { address, bits: 48 }).collect()
}

/// `asked` is the data of the query's option. `None`: the reply ended too early.
fn check(
    query: &[u8],
    asked: &[u8],
    expected: Expected,
    reply: &[u8],
) -> Option<Result<Ipv4Addr, &'static str>> {
    let question_end = question_end(query)?;
    let flags = number(reply, 2)?;
    // QR, AA and no TC.
    if flags & 0x8600 != 0x8400 {
        return Some(Err("not an authoritative, whole answer"));
    }
    if reply.get(12..question_end)? != query.get(12..question_end)? || number(reply, 4)? != 1 {
        return Some(Err("another question"));
    }
    if expected == Expected::Absent {
        let is_absent = flags & 0xf == 3 && number(reply, 6)? == 0 && number(reply, 8)? >= 1;
        return Some(if is_absent { Ok(Ipv4Addr::UNSPECIFIED) } else { Err("not NXDOMAIN with a SOA") });
    }
    if flags & 0xf != 0 {
        return Some(Err("not NOERROR"));
    }
    if number(reply, 6)? != 1 {
        return Some(Err("not one answer"));
    }
    let position = name_end(reply, question_end)?;
    let (answer_type, data_octets) = (number(reply, position)?, number(reply, position + 8)?);
    if (answer_type, data_octets) != (TYPE_A, 4) {
        return Some(Err("not an address"));
    }
    let data: [u8; 4] = reply.get(position + 10..position + 14)?.try_into().ok()?;
    let address = Ipv4Addr::from(data);
    let option = |code| option(code, reply, question_end).unwrap_or_default();
    Some(match expected {
        Expected::Address(right) | Expected::AddressAndCookie(right) if address != right => {
            Err("another name's address")
        }
        Expected::AddressAndCookie(_) if !option(OPTION_COOKIE).starts_with(&CLIENT_COOKIE) => {
            Err("the client's cookie does not come back")
        }
        Expected::Endpoint { .. } if !is_network_echoed(asked, option(OPTION_CLIENT_SUBNET)) => {
            Err("the client's network does not come back")
        }
        Expected::Endpoint { regions, places } => {
            let is_endpoint = (0..places)
                .any(|place| (0..regions).any(|region| endpoint_address(region, place) == address));
            if is_endpoint { Ok(address) } else { Err("no endpoint's address") }
        }
        Expected::EndpointOf(of) if u32::from(address) & 0xff00_ffff != u32::from(of) => {
            Err("another service's endpoint")
        }
        Expected::Address(_) | Expected::AddressAndCookie(_) | Expected::EndpointOf(_) | Expected::Absent => {
            Ok(address)
        }
    })
}

/// Whether family, source length and address, but for the scope between them, are those asked with.
fn is_network_echoed(asked: &[u8], echoed: &[u8]) -> bool {
    asked.len() == echoed.len() && asked.len() > 4 && echoed[..3] == asked[..3] && echoed[4..] == asked[4..]
}

/// The data of an option of a reply's OPT.
fn option(code: u16, reply: &[u8], question_end: usize) -> Option<&[u8]> {
    let mut position = question_end;
    for _ in 0..number(reply, 6)? + number(reply, 8)? + number(reply, 10)? {
        position = name_end(reply, position)?;
        let (rtype, octets) = (number(reply, position)?, usize::from(number(reply, position + 8)?));
        let mut options = reply.get(position + 10..position + 10 + octets)?;
        position += 10 + octets;
        while rtype == TYPE_OPT && !options.is_empty() {
            let end = 4 + usize::from(number(options, 2)?);
            if number(options, 0)? == code {
                return options.get(4..end);
            }
            options = options.get(end..)?;
        }
    }
    None
}

/// Where the question ends.
fn question_end(message: &[u8]) -> Option<usize> {
    Some(name_end(message, 12)? + 4)
}

/// Where a name ends: after the root or a pointer.
fn name_end(message: &[u8], mut position: usize) -> Option<usize> {
    loop {
        match *message.get(position)? {
            0 => return Some(position + 1),
            pointer if pointer >= 0xc0 => return Some(position + 2),
            label => position += 1 + usize::from(label),
        }
    }
}

fn number(message: &[u8], position: usize) -> Option<u16> {
    Some(u16::from_be_bytes(message.get(position..position + 2)?.try_into().ok()?))
}
