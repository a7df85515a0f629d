//! The pure path alone: `respond` on prebuilt queries in one thread, no sockets; for callgrind, and for
//! nanoseconds by the clock.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian::daemon::{EarlierMaps, Source};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::{HealthTable, Standing, Verdict};
use meridian::ids::CounterId;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::view::{Snapshot, View};
use meridian::zone::ClientClass;

use crate::Result;
use crate::chance::Chance;
use crate::packet::Queries;
use crate::world::REGIONS;

/// The region that is down, so that a share of the clients is on its way elsewhere.
const DOWN: usize = 4;
/// Answered before anything is counted.
const WARM_UP_QUERIES: usize = 2_000;

/// When to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At once.
    Now,
    /// When a line comes in: an instrument is switched on meanwhile.
    OnLine,
}

/// Answers so many queries from a configuration; returns the time they took.
pub fn answer(config: &Path, queries: &mut Queries, count: usize, begin: Begin) -> Result<Duration> {
    let view = view(config)?;
    for index in 0..queries.len() {
        queries.number(index, 1);
    }
    check(&view, queries)?;
    answer_all(&view, queries, WARM_UP_QUERIES);
    if begin == Begin::OnLine {
        println!("ready");
        std::io::stdout().flush()?;
        std::io::stdin().read_exact(&mut [0])?;
    }
    let start = Instant::now();
    let octets = answer_all(&view, queries, count);
    let elapsed = start.elapsed();
    std::hint::black_box(octets);
    if begin == Begin::OnLine {
        println!("done");
        std::io::stdout().flush()?;
        std::io::stdin().read_exact(&mut [0])?;
    }
    Ok(elapsed)
}

/// The measured loop.
#[inline(never)]
fn answer_all(view: &View, queries: &Queries, count: usize) -> usize {
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    let mut chance = Chance::seeded(3);
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let mut octets = 0;
    for (index, _) in (0..queries.len()).cycle().zip(0..count) {
        if let Outcome::Reply { length, .. } =
            respond(view, &asked(), now, chance.next(), queries.octets(index), &mut buffer, &mut online)
        {
            octets += length;
        }
    }
    octets
}

/// Every answer must be right before it is worth counting.
fn check(view: &View, queries: &Queries) -> Result<()> {
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    for index in 0..queries.len() {
        let outcome = respond(view, &asked(), now, 0, queries.octets(index), &mut buffer, &mut online);
        let Outcome::Reply { length, .. } = outcome else { return Err("a query without a reply".into()) };
        let reply = buffer.get(..length).ok_or("a length past the buffer")?;
        queries.check(index, reply)?;
    }
    Ok(())
}

fn asked() -> Asked {
    Asked {
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: meridian::limit::Admission::Within,
    }
}

/// The view of a configuration with one region down and everything else well.
fn view(config: &Path) -> Result<View> {
    let mut counters = 0;
    let mut counter = |_: &str, _: &str| {
        counters += 1;
        CounterId(counters)
    };
    let source = Source { path: config.to_owned() };
    let prepared = source.read(1, &EarlierMaps::default(), &mut counter).outcome();
    let snapshot = prepared.map_err(|refused| refused.problems)?.snapshot;
    let health = health(&snapshot);
    Ok(View::new(Arc::clone(&snapshot), health, Calendar::default(), None))
}

fn health(snapshot: &Snapshot) -> HealthTable {
    let down = REGIONS[DOWN].0;
    let state = |label: &str| {
        let verdict = if label.contains(down) { Verdict::Down } else { Verdict::Up };
        Standing::of(verdict)
    };
    let mut health = HealthTable::unknown(0, snapshot.fleet.endpoints.len());
    let addresses = (0..snapshot.board.addresses.len() as u32).map(meridian::ids::AddressId);
    health.addresses = addresses.map(|id| state(&snapshot.board.label(id))).collect();
    health
}
