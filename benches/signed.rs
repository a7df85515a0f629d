//! What signatures cost: the pure path with and without them, the making of them, and their memory.
//!
//! `cargo bench --bench signed` prints all of it. `... -- answers KIND plain|signed COUNT` answers COUNT queries
//! of one kind and prints nothing: for an instrument that counts instructions, twice with different COUNT.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../tests/world/view.rs"]
mod view;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use meridian::dnssec::{
    Algorithm, Denial, KeyRecords, KeyUse, OnlineLimits, OnlineSignatures, Signature, Signed, Signer,
    SigningFailed, SigningJob, Spread, Steered, Validity, ZoneKey, in_order,
};
use meridian::ids::ZoneId;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::view::View;
use meridian::wire::{Name, Rtype};
use meridian::zone::{ClientClass, Zone, ZoneBuilder};

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
[geoip]
overrides = "overrides.csv"
[regions.us-east]
at = [39.0, -77.5]
[regions.eu-west]
at = [53.3, -6.3]
[pools.web]
endpoints = [
  { name = "iad-1", region = "us-east", address = ["192.0.2.10"] },
  { name = "dub-1", region = "eu-west", address = ["198.51.100.10", "2001:db8:2::10"] },
]
[services.near]
policy = { nearest = ["web"] }
"#;
const NAMES: &str = "[names]\n\"near\" = \"near\"\n";
const ZONE: &str = "$TTL 300\n@ SOA ns1 h 1 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.1\nwww A 192.0.2.2\n";

/// Kinds of questions: a name under `example.com`, and a type.
const KINDS: [(&str, &str, u16); 4] =
    [("static", "www", 1), ("steered", "near", 1), ("nodata", "www", 28), ("nxdomain", "none", 1)];

/// RRsets of the zone whose signing is timed.
const SIGNED_RRSETS: u32 = 100_000;

struct Edwards(Ed25519KeyPair);

impl Signer for Edwards {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        self.0.sign(message).as_ref().try_into().map_err(|_| SigningFailed)
    }
}

struct Ecdsa(EcdsaKeyPair);

impl Signer for Ecdsa {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        let signature = self.0.sign(&SystemRandom::new(), message).map_err(|_| SigningFailed)?;
        signature.as_ref().try_into().map_err(|_| SigningFailed)
    }
}

fn key(algorithm: Algorithm) -> ZoneKey {
    match algorithm {
        Algorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
            let public = pair.public_key().as_ref().to_vec();
            ZoneKey::new(algorithm, &public, true, KeyUse::SignsAll, Arc::new(Edwards(pair)))
        }
        Algorithm::EcdsaP256Sha256 => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let public = pair.public_key().as_ref()[1..].to_vec();
            ZoneKey::new(algorithm, &public, true, KeyUse::SignsAll, Arc::new(Ecdsa(pair)))
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|own| *own != "--bench").collect();
    match words[..] {
        // A run of all tests is not asking.
        [] if words.len() == arguments.len() => {}
        ["answers", kind, signed, count] => {
            let mut server = Server::new();
            server.answer(&packet(kind, signed == "signed"), count.parse().unwrap());
        }
        [] => report(),
        _ => panic!("cargo bench --bench signed [-- answers KIND plain|signed COUNT]"),
    }
}

fn report() {
    let mut server = Server::new();
    println!("answers, ns each: kind, plain, signed");
    for (kind, ..) in KINDS {
        let times = [false, true].map(|signed| {
            let packet = packet(kind, signed);
            server.answer(&packet, 10_000);
            let rounds = (0..7).map(|_| server.answer(&packet, 200_000));
            rounds.min().unwrap().as_nanos() as f64 / 200_000.0
        });
        println!("{kind:10} {:8.1} {:8.1}  {:.2}", times[0], times[1], times[1] / times[0]);
    }
    let zone = Arc::new(large_zone());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("signing a zone of {SIGNED_RRSETS} names, one RRset and one NSEC each");
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        for threads in [1, threads] {
            let start = Instant::now();
            let signed = sign(&zone, &key, Denial::Nsec, &Steered::default(), None, threads);
            let seconds = start.elapsed().as_secs_f64();
            let signatures = f64::from(SIGNED_RRSETS) * 2.0;
            println!(
                "{:16} {threads} threads: {:.2} s, {:.0} signatures/s, {:.0} octets a name",
                algorithm.mnemonic(),
                seconds,
                signatures / seconds,
                signed.octets() as f64 / f64::from(SIGNED_RRSETS),
            );
            let start = Instant::now();
            sign(&zone, &key, Denial::Nsec, &Steered::default(), Some(&signed), threads);
            println!("{:16} again, nothing due: {:.2} s", "", start.elapsed().as_secs_f64());
        }
    }
}

fn packet(kind: &str, signed: bool) -> Vec<u8> {
    let (_, name, rtype) = KINDS.iter().find(|(own, ..)| *own == kind).unwrap();
    let mut packet = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in [*name, "example", "com"] {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1, 0, 0, 41, 4, 0xd0, 0, 0, if signed { 0x80 } else { 0 }, 0, 0, 0]);
    packet
}

struct Server {
    view: View,
    online: OnlineSignatures,
}

impl Server {
    fn new() -> Server {
        let view = view();
        let steered = view.steered_in(ZoneId(0));
        let zone = &view.snapshot.catalog.zones()[0];
        let key = key(Algorithm::EcdsaP256Sha256);
        let signed = sign(zone, &key, Denial::Compact, &steered, None, 1);
        let view = view.with_signed(&[Some(Arc::new(signed))]);
        Server { view, online: OnlineSignatures::new(OnlineLimits::DEFAULT, [5; 16]) }
    }

    fn answer(&mut self, packet: &[u8], count: usize) -> Duration {
        let source: IpAddr = "203.0.113.7".parse().unwrap();
        let asked = Asked {
            source,
            transport: Transport::Udp,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: meridian::limit::Admission::Within,
        };
        let now = Now { monotonic: Duration::from_secs(1), wall: Duration::from_secs(1_800_000_000) };
        let mut buffer = [0; 1232];
        let start = Instant::now();
        for _ in 0..count {
            let packet = std::hint::black_box(packet);
            let outcome = respond(&self.view, &asked, now, 7, packet, &mut buffer, &mut self.online);
            let Outcome::Reply { length, .. } = outcome else { panic!("{outcome:?}") };
            std::hint::black_box(&buffer[..length]);
        }
        start.elapsed()
    }
}

fn view() -> View {
    view::example_com(CONFIG, ZONE, NAMES, "203.0.113.0/24,IE,,Dublin,\n")
}

fn large_zone() -> Zone {
    let origin = Name::from_wire(b"\x07example\x03com\x00").unwrap();
    let mut builder = ZoneBuilder::new(&origin);
    builder.rrset(&origin, Rtype::SOA, 300, std::iter::once(&[0; 22][..])).unwrap();
    for number in 0..SIGNED_RRSETS {
        let label = format!("host-{number}");
        let prefix = [&[label.len() as u8], label.as_bytes()].concat();
        let name = Name::joined(&prefix, origin.octets()).unwrap();
        let address = number.to_be_bytes();
        builder.rrset(&name, Rtype::A, 300, std::iter::once(&address[..])).unwrap();
    }
    builder.build()
}

fn sign(
    zone: &Arc<Zone>,
    key: &ZoneKey,
    denial: Denial,
    steered: &Steered,
    previous: Option<&Signed>,
    threads: usize,
) -> Signed {
    let job = SigningJob {
        zone,
        keys: std::slice::from_ref(key),
        key_ttl_s: 3600,
        key_records: &KeyRecords::default(),
        serial: None,
        denial,
        validity: Validity {
            now_s: 1_800_000_000,
            skew_s: 3600,
            lifetime_s: 14 * 86_400,
            jitter_s: 86_400,
            refresh_s: 4 * 86_400,
            seed: 1,
        },
        steered,
        previous,
    };
    let spread: &Spread<'_> = &|parts, part| {
        if threads == 1 {
            return in_order(parts, part);
        }
        let each = parts.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let run = |thread: usize| {
                scope.spawn(move || {
                    let own = (thread * each).min(parts)..((thread + 1) * each).min(parts);
                    own.map(part).collect::<Vec<_>>()
                })
            };
            let running: Vec<_> = (0..threads).map(run).collect();
            running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    };
    Signed::build(&job, spread).unwrap()
}
