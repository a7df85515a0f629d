//! What is served, and what is asked: meridian's configuration, its view, and queries with the exact replies that
//! meridian composes for them.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use meridian::daemon::{EarlierMaps, Source};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::HealthTable;
use meridian::ids::CounterId;
use meridian::limit::Admission;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::view::View;
use meridian::zone::ClientClass;

use crate::Result;

/// The server's address: of the block for benchmarks (RFC 2544), which is nobody's.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The client's.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
/// The server's port.
pub const PORT: u16 = 53;
/// The zone.
pub const ZONE: &str = "bench.test";
/// Static names in it.
pub const STATIC_NAMES: u32 = 1000;
/// Different queries of a kind: more octets than the first two levels of cache hold.
const QUERIES: usize = 65_536;
/// QTYPE of an IPv4 address.
pub const TYPE_A: u16 = 1;
/// No reply here is longer.
pub const REPLY_OCTETS_MAX: usize = 1232;
const REGIONS: [(&str, f64, f64); 8] = [
    ("us-east", 39.0, -77.5),
    ("us-west", 45.8, -119.7),
    ("sa-east", -23.5, -46.6),
    ("eu-west", 53.3, -6.3),
    ("eu-central", 50.1, 8.7),
    ("ap-south", 19.1, 72.9),
    ("ap-northeast", 35.7, 139.7),
    ("ap-southeast", -33.9, 151.2),
];

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Kind {
    /// One of a thousand static names, with EDNS
    Static,
    /// A name steered to the nearest of eight regions, with client subnets of 24 bits
    Subnet,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Static => "static",
            Kind::Subnet => "subnet",
        }
    }
}

/// What is served.
pub struct World {
    /// meridian's configuration.
    pub config: PathBuf,
    /// What it compiles to.
    pub view: Arc<View>,
}

impl World {
    /// Writes the configuration and compiles it.
    pub fn make(folder: &Path, databases: &[PathBuf]) -> Result<World> {
        let config = write(folder, databases)?;
        let mut counters = 0;
        let mut counter = |_: &str, _: &str| {
            counters += 1;
            CounterId(counters)
        };
        let source = Source { path: config.clone() };
        let prepared = source.read(1, &EarlierMaps::default(), &mut counter).outcome();
        let snapshot = prepared.map_err(|refused| refused.problems)?.snapshot;
        let health = HealthTable::unknown(0, snapshot.fleet.endpoints.len());
        let view = View::new(snapshot, health, Calendar::default(), None);
        Ok(World { config, view: Arc::new(view) })
    }

    /// Queries of a kind with their replies.
    pub fn queries(&self, kind: Kind) -> Result<Vec<Exchange>> {
        let mut responder = Responder::new(&self.view);
        let mut chance = Chance(20_261_121);
        let mut exchanges = Vec::with_capacity(QUERIES);
        while exchanges.len() < QUERIES {
            let query = match kind {
                Kind::Static => {
                    let number = chance.next() as u32 % STATIC_NAMES;
                    query(&wire_name(&static_name(number)), TYPE_A, Edns::Plain)
                }
                Kind::Subnet => {
                    let network = Ipv4Addr::from(chance.next() as u32 & 0xffff_ff00);
                    if !(1..=223).contains(&network.octets()[0]) {
                        continue;
                    }
                    query(&wire_name(&steered_name()), TYPE_A, Edns::Subnet(network))
                }
            };
            let reply = responder.reply(&query, CLIENT.into(), 0).ok_or("a query without a reply")?.to_vec();
            exchanges.push(Exchange { query, reply });
        }
        Ok(exchanges)
    }
}

/// A query and what meridian's responder makes of it; the number is 0 in both.
pub struct Exchange {
    /// The query's octets.
    pub query: Vec<u8>,
    /// The reply's octets.
    pub reply: Vec<u8>,
}

/// meridian's responder with what it needs.
pub struct Responder<'v> {
    view: &'v View,
    online: OnlineSignatures,
    buffer: [u8; REPLY_OCTETS_MAX],
}

impl<'v> Responder<'v> {
    /// A responder that answers from a view.
    pub fn new(view: &'v View) -> Responder<'v> {
        let online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
        Responder { view, online, buffer: [0; REPLY_OCTETS_MAX] }
    }

    /// The reply to a query over UDP; `None` for silence.
    pub fn reply(&mut self, query: &[u8], source: IpAddr, draw: u64) -> Option<&[u8]> {
        let mut buffer = std::mem::replace(&mut self.buffer, [0; REPLY_OCTETS_MAX]);
        let length = self.reply_into(query, source, draw, &mut buffer);
        self.buffer = buffer;
        self.buffer.get(..length?)
    }

    /// The same into a caller's buffer; its length.
    pub fn reply_into(
        &mut self,
        query: &[u8],
        source: IpAddr,
        draw: u64,
        buffer: &mut [u8],
    ) -> Option<usize> {
        let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
        let class = ClientClass::DEFAULT;
        let admission = Admission::Within;
        let asked = Asked { source, transport: Transport::Udp, class, idle_timeout: None, admission };
        match respond(self.view, &asked, now, draw, query, buffer, &mut self.online) {
            Outcome::Reply { length, .. } => Some(length),
            Outcome::Errand(_) | Outcome::Drop(_) => None,
        }
    }
}

/// What a query says by EDNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edns {
    /// Nothing.
    Absent,
    /// An OPT without options.
    Plain,
    /// A client subnet of 24 bits.
    Subnet(Ipv4Addr),
}

/// The name of a static record.
pub fn static_name(number: u32) -> String {
    format!("host-{number}.{ZONE}")
}

/// The steered name.
pub fn steered_name() -> String {
    format!("www.{ZONE}")
}

/// A name in wire form.
pub fn wire_name(text: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in text.split('.') {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire
}

/// A query for a name in wire form.
pub fn query(name: &[u8], rtype: u16, edns: Edns) -> Vec<u8> {
    let additionals = u8::from(edns != Edns::Absent);
    let mut octets = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, additionals];
    octets.extend(name);
    octets.extend(rtype.to_be_bytes());
    octets.extend([0, 1]);
    // OPT: the root, type, 1232 octets, no flags.
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0];
    match edns {
        Edns::Absent => {}
        Edns::Plain => {
            octets.extend(opt);
            octets.push(0);
        }
        Edns::Subnet(network) => {
            let [a, b, c, _] = network.octets();
            octets.extend(opt);
            octets.extend([11, 0, 8, 0, 7, 0, 1, 24, 0, a, b, c]);
        }
    }
    octets
}

/// SplitMix64: the same numbers in every run.
pub struct Chance(pub u64);

impl Chance {
    /// Uniform over u64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn write(folder: &Path, databases: &[PathBuf]) -> Result<PathBuf> {
    let mut text =
        format!("[server]\nlisten = [\"{SERVER}:{PORT}\"]\nworkers = 1\n\n[control]\nlisten = \"off\"\n\n");
    let databases = databases.iter().map(|path| path.canonicalize()).collect::<std::io::Result<Vec<_>>>()?;
    if !databases.is_empty() {
        writeln!(text, "[geoip]\ndatabase = {databases:?}\n")?;
    }
    for (name, north, east) in REGIONS {
        writeln!(text, "[regions.{name}]\nat = [{north:?}, {east:?}]")?;
    }
    writeln!(text, "\n[pools.www]\nendpoints = [")?;
    for (index, (name, _, _)) in REGIONS.iter().enumerate() {
        writeln!(
            text,
            "  {{ name = \"{name}\", region = \"{name}\", address = [\"192.0.2.{}\"] }},",
            index + 1
        )?;
    }
    writeln!(text, "]\n[services.www]\npolicy = {{ nearest = [\"www\"] }}")?;
    let mut zone = format!(
        "$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A {SERVER}\n"
    );
    for number in 0..STATIC_NAMES {
        writeln!(zone, "host-{number} A 203.0.{}.{}", 113 + number / 250, number % 250 + 1)?;
    }
    std::fs::create_dir_all(folder.join("zones"))?;
    std::fs::write(folder.join(format!("zones/{ZONE}.zone")), zone)?;
    std::fs::write(folder.join(format!("zones/{ZONE}.toml")), "[names]\n\"www\" = \"www\"\n")?;
    let file = folder.join("meridian.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}
