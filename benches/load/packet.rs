//! Queries built ahead of the run, and what a right answer to each of them looks like. Written without
//! the server's own wire code: a shared mistake would go unseen.

use std::net::Ipv4Addr;

use crate::chance::Chance;

/// The zone that every server serves.
pub const ZONE: &str = "bench.test";
/// Static names in the zone: enough that no server answers from one warm line of cache.
pub const STATIC_NAMES: u32 = 1000;
/// Different queries of one kind: their octets are more than the first two levels of cache.
const QUERIES: usize = 65_536;
/// QTYPE and TYPE of addresses.
const TYPE_A: u16 = 1;
/// TYPE of the EDNS pseudo-record.
const TYPE_OPT: u16 = 41;
/// The option code of RFC 7871.
const OPTION_CLIENT_SUBNET: u16 = 8;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// Static names, EDNS, no client subnet.
    Static,
    /// One steered name with client subnets.
    Subnet,
    /// The same with two weighted endpoints in each region.
    Weighted,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Static => "static",
            Kind::Subnet => "subnet",
            Kind::Weighted => "weighted",
        }
    }
}

/// The address of a static name.
pub fn static_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number)
}

/// The address of an endpoint: `place` 0 or 1 in its region.
pub fn endpoint_address(region: usize, place: usize) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(192, 0, 2, 1)) + (region + place * 100) as u32)
}

/// What a right answer holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    /// This address.
    Address(Ipv4Addr),
    /// One endpoint of any region, and the client's network back.
    Endpoint { regions: usize, places: usize },
}

/// One query of a set.
struct Place {
    first: usize,
    length: usize,
    expected: Expected,
}

/// Prebuilt queries of one kind.
pub struct Queries {
    octets: Vec<u8>,
    places: Vec<Place>,
}

impl Queries {
    /// Queries for the static names.
    pub fn of_static_names(chance: &mut Chance) -> Queries {
        let mut queries = Queries { octets: Vec::new(), places: Vec::new() };
        for _ in 0..QUERIES {
            let number = chance.below(STATIC_NAMES);
            let expected = Expected::Address(static_address(number));
            queries.add(&format!("host-{number}.{ZONE}"), None, expected);
        }
        queries
    }

    /// Queries for a steered name from these /24 networks.
    pub fn of_networks(kind: Kind, networks: &[Ipv4Addr], regions: usize) -> Queries {
        let (name, places) = match kind {
            Kind::Weighted => ("shop", 2),
            Kind::Static | Kind::Subnet => ("www", 1),
        };
        let mut queries = Queries { octets: Vec::new(), places: Vec::new() };
        for network in networks.iter().take(QUERIES) {
            let expected = Expected::Endpoint { regions, places };
            queries.add(&format!("{name}.{ZONE}"), Some(*network), expected);
        }
        queries
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Writes the number by which the answer will be known.
    pub fn number(&mut self, index: usize, id: u16) {
        let first = self.places[index].first;
        self.octets[first..first + 2].copy_from_slice(&id.to_be_bytes());
    }

    /// A query's octets.
    pub fn octets(&self, index: usize) -> &[u8] {
        let place = &self.places[index];
        &self.octets[place.first..place.first + place.length]
    }

    /// Whether a reply answers a query; the number comes checked. `Ok` holds the address.
    pub fn check(&self, index: usize, reply: &[u8]) -> Result<Ipv4Addr, &'static str> {
        check(self.octets(index), self.places[index].expected, reply).ok_or("cut short")?
    }

    fn add(&mut self, name: &str, network: Option<Ipv4Addr>, expected: Expected) {
        let first = self.octets.len();
        let header = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        self.octets.extend(header);
        for label in name.split('.') {
            self.octets.push(label.len() as u8);
            self.octets.extend(label.as_bytes());
        }
        self.octets.extend([0, 0, TYPE_A as u8, 0, 1]);
        // OPT: the root, type, 1232 octets, no flags.
        self.octets.extend([0, 0, TYPE_OPT as u8, 4, 208, 0, 0, 0, 0]);
        match network {
            None => self.octets.extend([0, 0]),
            Some(network) => {
                let [a, b, c, _] = network.octets();
                // One option of 7 octets: IPv4, source length 24, scope 0, three octets of address.
                self.octets.extend([0, 11, 0, OPTION_CLIENT_SUBNET as u8, 0, 7, 0, 1, 24, 0, a, b, c]);
            }
        }
        self.places.push(Place { first, length: self.octets.len() - first, expected });
    }
}

/// Client networks (/24) drawn uniformly over the part of the IPv4 space that `is_located`.
pub fn networks(chance: &mut Chance, is_located: impl Fn(Ipv4Addr) -> bool) -> Vec<Ipv4Addr> {
    let draw = || Ipv4Addr::from(chance.next() as u32 & 0xffff_ff00);
    std::iter::repeat_with(draw).filter(|network| is_located(*network)).take(QUERIES).collect()
}

/// `None`: the reply ended too early.
fn check(query: &[u8], expected: Expected, reply: &[u8]) -> Option<Result<Ipv4Addr, &'static str>> {
    let question_end = question_end(query)?;
    let flags = number(reply, 2)?;
    // QR, AA and no TC; RCODE 0.
    if flags & 0x8600 != 0x8400 {
        return Some(Err("not an authoritative, whole answer"));
    }
    if flags & 0xf != 0 {
        return Some(Err("not NOERROR"));
    }
    if (number(reply, 4)?, number(reply, 6)?) != (1, 1) {
        return Some(Err("not one question and one answer"));
    }
    if reply.get(12..question_end)? != query.get(12..question_end)? {
        return Some(Err("another question"));
    }
    let mut position = name_end(reply, question_end)?;
    let (answer_type, data_octets) = (number(reply, position)?, number(reply, position + 8)?);
    if (answer_type, data_octets) != (TYPE_A, 4) {
        return Some(Err("not an address"));
    }
    let data: [u8; 4] = reply.get(position + 10..position + 14)?.try_into().ok()?;
    let address = Ipv4Addr::from(data);
    position += 14;
    Some(match expected {
        Expected::Address(right) if address == right => Ok(address),
        Expected::Address(_) => Err("another name's address"),
        Expected::Endpoint { .. } if !is_network_echoed(query, reply, position)? => {
            Err("the client's network does not come back")
        }
        Expected::Endpoint { regions, places } => {
            let is_endpoint = (0..places)
                .any(|place| (0..regions).any(|region| endpoint_address(region, place) == address));
            if is_endpoint { Ok(address) } else { Err("no endpoint's address") }
        }
    })
}

/// Whether the reply's OPT, past the answer, holds the query's option but for the scope.
fn is_network_echoed(query: &[u8], reply: &[u8], answers_end: usize) -> Option<bool> {
    let mut position = answers_end;
    for _ in 0..number(reply, 8)? + number(reply, 10)? {
        position = name_end(reply, position)?;
        let (rtype, octets) = (number(reply, position)?, usize::from(number(reply, position + 8)?));
        let data = reply.get(position + 10..position + 10 + octets)?;
        position += 10 + octets;
        if rtype == TYPE_OPT {
            // The query ends with family, source length, scope and three octets of address.
            let asked = query.get(query.len() - 7..)?;
            let options = data.windows(11).filter(|option| {
                option.get(..2) == Some(&OPTION_CLIENT_SUBNET.to_be_bytes()) && option[3] == 7
            });
            let mut echoes = options.map(|option| option[4..7] == asked[..3] && option[8..] == asked[4..]);
            return Some(echoes.next().unwrap_or(false));
        }
    }
    Some(false)
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
