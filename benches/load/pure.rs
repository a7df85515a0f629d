//! The pure path alone: `respond` on prebuilt queries in one thread, no sockets; for callgrind, and for
//! nanoseconds by the clock.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use meridian::daemon::{EarlierMaps, Source};
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::{HealthTable, Standing, Verdict};
use meridian::ids::CounterId;
use meridian::limit::Admission;
use meridian::now::Now;
use meridian::respond::{Asked, Outcome, Transport, respond};
use meridian::steer::Calendar;
use meridian::telemetry::{Telemetry, WorkerCounters, Writers};
use meridian::view::{Snapshot, View};
use meridian::zone::ClientClass;

use crate::Result;
use crate::chance::Chance;
use crate::packet::{self, Kind, Queries};
use crate::socket::BATCH_DATAGRAMS_MAX;
use crate::statistics::{estimate, median};
use crate::world::REGIONS;

/// The region that is down, so that a share of the clients is on its way elsewhere.
const DOWN: usize = 4;
/// When what is not counted is answered.
const WARM_UP: Now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
/// When it is counted: so much later that rate limits have forgotten what there was before.
const COUNTED: Now = Now { monotonic: Duration::from_secs(3600), wall: Duration::ZERO };
/// Whose queries are counted.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Endpoints that have a counter, and more.
const COUNTERS: usize = 64;
/// Queries whose answers are looked at: under an instrument each takes a while.
const CHECKED_MAX: usize = 8192;

/// When to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At once.
    Now,
    /// When a line comes in: an instrument is switched on meanwhile.
    OnLine,
}

/// Answers so many queries from a configuration; returns the time they took.
pub fn answer(
    kind: Kind,
    config: &Path,
    queries: &mut Queries,
    count: usize,
    begin: Begin,
) -> Result<Duration> {
    let view = view(config)?;
    if kind == Kind::Cookie {
        let mut buffer = [0; 1232];
        let reply = reply(&view, &packet::cookie_question(), &mut buffer).ok_or("no cookie")?;
        queries.give_cookie(reply)?;
    }
    for index in 0..queries.len() {
        queries.number(index, 1);
    }
    check(&view, queries)?;
    // Each once: what tables find out when they are first asked is there then.
    answer_all(&view, queries, queries.len(), WARM_UP);
    if begin == Begin::OnLine {
        println!("ready");
        std::io::stdout().flush()?;
        std::io::stdin().read_exact(&mut [0])?;
    }
    let start = Instant::now();
    let octets = counted(&view, queries, count);
    let elapsed = start.elapsed();
    std::hint::black_box(octets);
    if begin == Begin::OnLine {
        println!("done");
        std::io::stdout().flush()?;
        std::io::stdin().read_exact(&mut [0])?;
    }
    Ok(elapsed)
}

/// What is measured; by its name callgrind is told to count in here only.
#[inline(never)]
fn counted(view: &View, queries: &Queries, count: usize) -> usize {
    answer_all(view, queries, count, COUNTED)
}

fn answer_all(view: &View, queries: &Queries, count: usize, now: Now) -> usize {
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    let mut chance = Chance::seeded(3);
    let mut octets = 0;
    for (index, _) in (0..queries.len()).cycle().zip(0..count) {
        let asked = asked(view, now, LOOPBACK);
        if let Outcome::Reply { length, .. } =
            respond(view, &asked, now, chance.next(), queries.octets(index), &mut buffer, &mut online)
        {
            octets += length;
        }
    }
    octets
}

/// Where the queries of threads come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sources {
    /// All from one address, as those of a generator on loopback: every thread counts in the same place.
    One,
    /// Each thread's from a network of its own.
    Own,
}

/// Answers so many queries in one thread and in several at once, and prints what CPU time a query takes: the
/// difference is what threads cost each other, without sockets and without a kernel.
pub fn compare_threads(
    config: &Path,
    queries: &mut Queries,
    count: usize,
    threads: usize,
    rounds: usize,
) -> Result<()> {
    let view = view(config)?;
    for index in 0..queries.len() {
        queries.number(index, 1);
    }
    check(&view, queries)?;
    answer_all(&view, queries, queries.len(), WARM_UP);
    let telemetry = Telemetry::default();
    let counters: Vec<_> = (0..threads).map(|_| telemetry.worker(Transport::Udp, Writers::One)).collect();
    counters.iter().for_each(|counters| counters.make_room(COUNTERS));
    for sources in [Sources::Own, Sources::One] {
        let (mut alone, mut ratios) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let [one, several] = [1, threads].map(|threads| {
                let start = Barrier::new(threads);
                let used: u64 = std::thread::scope(|scope| {
                    let work = |(thread, counters): (usize, &Arc<WorkerCounters>)| {
                        let (view, queries, start, counters) =
                            (&view, &*queries, &start, Arc::clone(counters));
                        let number = if sources == Sources::Own { thread as u8 } else { 0 };
                        let source = IpAddr::V4(Ipv4Addr::new(198, 18, 64 * number, 1));
                        scope.spawn(move || {
                            start.wait();
                            answer_as_worker(view, queries, count, source, &counters);
                            own_time_ns()
                        })
                    };
                    let running: Vec<_> = counters.iter().take(threads).enumerate().map(work).collect();
                    running.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
                });
                used as f64 / (threads * count) as f64
            });
            alone.push(one);
            ratios.push(several / one);
        }
        let ratio = estimate(&ratios);
        println!(
            "{} ns a query in one thread; {threads} at once: {:.3} [{:.3}-{:.3}] of that ({})",
            median(&alone).round(),
            ratio.median,
            ratio.low,
            ratio.high,
            if sources == Sources::Own { "sources of their own" } else { "one source" },
        );
    }
    Ok(())
}

/// What the calling thread has had of a core, in nanoseconds.
fn own_time_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

fn answer_as_worker(view: &View, queries: &Queries, count: usize, source: IpAddr, counters: &WorkerCounters) {
    let mut buffer = [0; 1232];
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    let mut chance = Chance::seeded(3);
    let begun = Instant::now();
    let mut now = COUNTED;
    for (index, place) in (0..queries.len()).cycle().zip(0..count) {
        // A worker looks at its clock once for a batch.
        if place % BATCH_DATAGRAMS_MAX == 0 {
            now = Now { monotonic: COUNTED.monotonic + begun.elapsed(), ..COUNTED };
        }
        let asked = asked(view, now, source);
        if let Outcome::Reply { note, .. } =
            respond(view, &asked, now, chance.next(), queries.octets(index), &mut buffer, &mut online)
        {
            counters.answered(&note);
        }
    }
}

/// Every answer must be right before it is worth counting.
fn check(view: &View, queries: &Queries) -> Result<()> {
    let mut buffer = [0; 1232];
    for index in 0..queries.len().min(CHECKED_MAX) {
        queries.check(
            index,
            reply(view, queries.octets(index), &mut buffer).ok_or("a query without a reply")?,
        )?;
    }
    Ok(())
}

/// One reply, apart from what is measured.
fn reply<'b>(view: &View, query: &[u8], buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let now = WARM_UP;
    let mut online = OnlineSignatures::new(OnlineLimits::DEFAULT, [0; 16]);
    match respond(view, &asked(view, now, LOOPBACK), now, 0, query, buffer, &mut online) {
        Outcome::Reply { length, .. } => buffer.get(..length),
        _ => None,
    }
}

/// As a worker asks: the source's rate is looked at first.
fn asked(view: &View, now: Now, source: IpAddr) -> Asked {
    let limiter = view.snapshot.responder.protection.limiter.as_ref();
    Asked {
        source,
        transport: Transport::Udp,
        class: ClientClass::DEFAULT,
        idle_timeout: None,
        admission: limiter.map_or(Admission::Within, |limiter| limiter.admit(source, now)),
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
