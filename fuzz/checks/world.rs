//! The server that fuzzed packets are sent to: every kind of static and steered name, in few octets.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use meridian::compile::locations::{Atlas, Overrides};
use meridian::compile::{Inputs, compile};
use meridian::config::{FileId, Problems, SourceFile, Sources};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::HealthTable;
use meridian::ids::CounterId;
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
        atlas: &Atlas::new(vec![], vec![], overrides),
        maps: &[],
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, problems) = compile(config, inputs);
    let view = snapshot.map(|snapshot| {
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

/// Asks the server; `None`: it sends nothing. The buffer is filled with `filling` before.
pub fn ask(transport: Transport, source: IpAddr, packet: &[u8], filling: u8) -> Option<Vec<u8>> {
    thread_local! {
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_535]);
    }
    BUFFER.with_borrow_mut(|buffer| {
        buffer.fill(filling);
        let asked = Asked { source, transport, class: ClientClass::DEFAULT, idle_timeout: None };
        let mut unsigned = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
        let now = Now { monotonic: Duration::from_secs(1), wall: Duration::from_secs(1_800_000_000) };
        match respond(view(), &asked, now, 7, packet, buffer, &mut unsigned) {
            Outcome::Reply { length, .. } => Some(buffer[..length].to_vec()),
            Outcome::Errand(errand) => panic!("nobody may have anything here: {errand:?}"),
            Outcome::Drop(_) => None,
        }
    })
}
