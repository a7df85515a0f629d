//! What a query costs: prebuilt queries answered by the batch in one thread, no sockets.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use meridian::daemon::EarlierMaps;
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::HealthTable;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, fetch, respond};
use meridian::steer::Calendar;
use meridian::view::View;
use meridian::zone::{AHEAD_MAX, ClientClass};

use crate::Result;
use crate::worlds::World;

/// Different queries: their answers' data are more than any cache but the last holds.
const QUERIES: usize = 500_000;
/// Measured so often; the fastest counts, for others use this machine's caches.
const ROUNDS: usize = 7;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Names that are there, drawn evenly.
    Hits,
    /// Names that are not, each once.
    Misses,
}

impl Kind {
    /// By its word.
    pub fn of(word: &str) -> Option<Kind> {
        match word {
            "hits" => Some(Kind::Hits),
            "misses" => Some(Kind::Misses),
            _ => None,
        }
    }
}

/// Queries one after the other.
struct Queries {
    octets: Vec<u8>,
    ends: Vec<u32>,
}

/// Answers queries for names of a world that lies in a folder.
pub fn ask(folder: &Path, world: World, kind: Kind) -> Result<()> {
    let prepared = crate::read(folder, &EarlierMaps::default())?;
    let snapshot = prepared.snapshot;
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    let view = View::new(snapshot, health, Calendar::default(), None);
    // Under callgrind so many would take an hour.
    let count = set("QUERIES").unwrap_or(QUERIES);
    let rounds = set("ROUNDS").unwrap_or(ROUNDS);
    let batch = set("BATCH").unwrap_or(AHEAD_MAX).max(1);
    let queries = queries(world, kind, count);
    let wanted = if kind == Kind::Hits { 0 } else { 3 };
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let start = on_cpu()?;
        let right = answer_all(&view, &queries, batch, wanted);
        best = best.min(on_cpu()? - start);
        if right != queries.ends.len() {
            return Err(format!("{right} of {} answers have RCODE {wanted}", queries.ends.len()).into());
        }
    }
    let ns = best.as_nanos() as f64 / queries.ends.len() as f64;
    println!("{world:?} {kind:?}: {ns:.0} ns a query");
    Ok(())
}

/// A number from the environment.
fn set(name: &str) -> Option<usize> {
    std::env::var(name).ok()?.parse().ok()
}

/// How long this thread has been on a processor: others may have it in between.
fn on_cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = stat.split_whitespace().next().and_then(|field| field.parse().ok());
    Ok(Duration::from_nanos(ns.ok_or("an unreadable /proc/thread-self/schedstat")?))
}

fn queries(world: World, kind: Kind, count: usize) -> Queries {
    let mut queries = Queries { octets: Vec::new(), ends: Vec::new() };
    let mut draw = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..count {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        let name = match (kind, world) {
            (Kind::Hits, _) => world.name(draw % world.names()),
            // A zone of the many, or the one.
            (Kind::Misses, World::Zones(zones, _)) => {
                let name = world.name(draw % zones);
                format!("{draw:016x}.{}", name.split_once('.').map_or("", |(_, zone)| zone))
            }
            (Kind::Misses, _) => format!("{draw:016x}.{}", crate::worlds::PARENT),
        };
        queries.push(&name);
    }
    queries
}

impl Queries {
    /// A query for the A records of a name, with EDNS.
    fn push(&mut self, name: &str) {
        let header = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        self.octets.extend(header);
        for label in name.split('.') {
            self.octets.push(label.len() as u8);
            self.octets.extend(label.bytes());
        }
        // The root, A, IN; OPT of 1232 octets.
        self.octets.extend([0, 0, 1, 0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        self.ends.push(self.octets.len() as u32);
    }

    fn packet(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        self.octets.get(start as usize..end as usize).unwrap_or(&[])
    }
}

/// The measured loop: how many answers have the RCODE that is wanted.
#[inline(never)]
fn answer_all(view: &View, queries: &Queries, batch: usize, wanted: u8) -> usize {
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let asked = Asked {
        source: IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: meridian::limit::Admission::Within,
    };
    let mut right = 0;
    for first in (0..queries.ends.len()).step_by(batch) {
        let batch = first..queries.ends.len().min(first + batch);
        fetch(view, batch.clone().map(|index| queries.packet(index)));
        for index in batch {
            let packet = queries.packet(index);
            let outcome = respond(view, &asked, now, index as u64, packet, &mut buffer, &mut online);
            if let Outcome::Reply { .. } = outcome {
                right += usize::from(buffer.get(3).is_some_and(|octet| octet & 15 == wanted));
            }
        }
    }
    right
}
