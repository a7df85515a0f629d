//! The server that fuzzed packets are sent to: every kind of static and steered name, in few octets.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use meridian::compile::locations::{Atlas, Overrides};
use meridian::compile::{Given, Inputs, ZoneReading, compile};
use meridian::config::{FileId, Problems, SourceFile, Sources};
use meridian::cookie::{Secret, Secrets};
use meridian::dnssec::{
    Algorithm, Denial, KeyRecords, KeyUse, OnlineLimits, OnlineSignatures, Signature, Signed, Signer,
    SigningFailed, SigningJob, Validity, ZoneKey, in_order,
};
use meridian::health::HealthTable;
use meridian::ids::{CounterId, ZoneId};
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::view::View;
use meridian::zone::ClientClass;

/// The configuration of [`view`], and a seed for that of others.
pub const CONFIG: &str = include_str!("world.toml");
/// The names that it steers.
pub const NAMES: &str = include_str!("world.names.toml");
/// Its zone, and a seed for others.
pub const ZONE: &str = include_str!("world.zone");
const GEOFEED: &str =
    "203.0.113.0/24,IE,,Dublin,\n198.51.0.0/16,US,US-VA,Ashburn,\n2001:db8:ff00::/40,IE,,Dublin,\n";

/// The largest answer over UDP (`udp_payload` of the configuration).
pub const UDP_OCTETS_MAX: usize = 1232;

/// When everything is asked.
const NOW_S: u32 = 1_800_000_000;

/// All of a server's files, with these as the main file, the zone `example.com` and its steered names.
pub fn sources(config: &[u8], zone: &[u8], names: &[u8]) -> Sources {
    let file = |path: &str, bytes: &[u8]| SourceFile { path: path.into(), bytes: bytes.to_vec() };
    Sources {
        files: vec![
            file("meridian.toml", config),
            file("zones/example.com.zone", zone),
            file("zones/example.com.toml", names),
        ],
        zones: vec![("example.com".into(), Some(FileId(1)), Some(FileId(2)))],
        ..Sources::default()
    }
}

/// Compiles what has been read; whether it can be is the caller's to judge.
pub fn compiled(sources: &Sources, config: &meridian::config::Config) -> (Option<View>, Problems) {
    let feed = SourceFile { path: "overrides.csv".into(), bytes: GEOFEED.as_bytes().to_vec() };
    let overrides = Overrides::read(FileId(3), &feed, &mut Problems::default());
    let inputs = Inputs {
        sources,
        locations: &mut Given { atlas: &Atlas::new(vec![], vec![], overrides), maps: &[] },
        zones: ZoneReading::ANEW,
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, problems) = compile(config, inputs);
    let view = snapshot.map(|mut snapshot| {
        snapshot.responder.protection.cookies = Some(Secrets::new(Secret([7; 16]), &[]));
        let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
        View::new(Arc::new(snapshot), health, Calendar::default(), None)
    });
    (view, problems)
}

/// The server.
pub fn view() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(|| {
        let sources = sources(CONFIG.as_bytes(), ZONE.as_bytes(), NAMES.as_bytes());
        let (config, problems) = meridian::config::read(&sources, &|_| None);
        let config = config.unwrap_or_else(|| panic!("{problems:#?}"));
        let (view, problems) = compiled(&sources, &config);
        view.unwrap_or_else(|| panic!("{problems:#?}"))
    })
}

/// The same with its zone signed, compactly: names are steered in it.
pub fn signed() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(|| {
        let plain = view();
        let key = KeyUse::SignsAll;
        let key = ZoneKey::new(Algorithm::Ed25519, &[7; 32], key.signs_keys(), key, Arc::new(Sum));
        let job = SigningJob {
            zone: &plain.snapshot.catalog.zones()[0],
            keys: &[key],
            key_ttl_s: 3600,
            key_records: &KeyRecords::default(),
            serial: None,
            denial: Denial::Compact,
            validity: Validity {
                now_s: NOW_S,
                skew_s: 3600,
                lifetime_s: 14 * 86_400,
                jitter_s: 86_400,
                refresh_s: 7 * 86_400,
                seed: 1,
            },
            steered: &plain.steered_in(ZoneId(0)),
            previous: None,
        };
        let signed = Arc::new(Signed::build(&job, &in_order).unwrap());
        let health = HealthTable::unknown(plain.health.addresses.len(), plain.snapshot.fleet.endpoints.len());
        View::new(Arc::clone(&plain.snapshot), health, Calendar::default(), None).with_signed(&[Some(signed)])
    })
}

/// A signature that costs nothing and proves nothing: what is fuzzed is where signatures go.
struct Sum;

impl Signer for Sum {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        let sum = message.iter().fold(7u8, |sum, octet| sum.rotate_left(3) ^ octet);
        Ok([sum; 64])
    }
}

/// Whether what is not signed ahead may be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tokens {
    Plenty,
    None,
}

/// Asks the server with the signed zone.
pub fn ask_signed(
    transport: Transport,
    source: IpAddr,
    packet: &[u8],
    filling: u8,
    tokens: Tokens,
) -> Option<Vec<u8>> {
    // Few are kept, so that they give way to each other all the time.
    const PLENTY: OnlineLimits = OnlineLimits { kept_max: 16, per_second: 0, burst: u32::MAX };
    thread_local! {
        static ONLINE: RefCell<OnlineSignatures> = RefCell::new(OnlineSignatures::new(PLENTY, [1; 16]));
    }
    match tokens {
        Tokens::Plenty => ONLINE.with_borrow_mut(|online| {
            if online.counts.made > 1 << 31 {
                *online = OnlineSignatures::new(PLENTY, [1; 16]);
            }
            ask_of(signed(), online, transport, source, packet, filling)
        }),
        Tokens::None => {
            let mut online = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
            ask_of(signed(), &mut online, transport, source, packet, filling)
        }
    }
}

/// Asks the server; `None`: it sends nothing. The buffer is filled with `filling` before.
pub fn ask(transport: Transport, source: IpAddr, packet: &[u8], filling: u8) -> Option<Vec<u8>> {
    let mut unsigned = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
    ask_of(view(), &mut unsigned, transport, source, packet, filling)
}

fn ask_of(
    view: &'static View,
    online: &mut OnlineSignatures,
    transport: Transport,
    source: IpAddr,
    packet: &[u8],
    filling: u8,
) -> Option<Vec<u8>> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_535]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.fill(filling);
        let asked = Asked {
            source,
            transport,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: meridian::limit::Admission::Within,
        };
        let now = Now { monotonic: Duration::from_secs(1), wall: Duration::from_secs(u64::from(NOW_S)) };
        match respond(view, &asked, now, 7, packet, buffer, online) {
            Outcome::Reply { length, .. } => Some(buffer[..length].to_vec()),
            Outcome::Errand(errand) => panic!("nobody may have anything here: {errand:?}"),
            Outcome::Drop(_) => None,
        }
    })
}
