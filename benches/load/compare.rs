//! Servers against each other: alternating rounds in rotated order, each server started anew, on core 0,
//! with the load from core 1.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::Result;
use crate::chance::Chance;
use crate::generator::{Between, Checked, Generator, Outcome};
use crate::packet::{self, Kind, Queries};
use crate::process::{Cores, Server, busy_seconds};
use crate::reload::{self, Reloads};
use crate::servers::{Change, Peer, Setup};
use crate::socket;
use crate::stream::StreamGenerator;
use crate::world::{REGIONS, World};

/// Before the figures count: caches and branch predictors warm, the window full.
const WARM_UP: Duration = Duration::from_millis(300);
/// The generator's core; servers get core 0.
pub const GENERATOR_CORE: usize = 1;
/// The static names asked.
const SEED: u64 = 7;
/// Of so many rounds, a peer of `seldom` takes part in one.
const SELDOM_ROUNDS: usize = 4;

/// What is run.
pub struct Plan<'p> {
    /// How servers are run.
    pub setup: Setup<'p>,
    /// Who takes part.
    pub peers: Vec<Peer>,
    /// Who of them takes part in one round of four only.
    pub seldom: Vec<Peer>,
    /// What is asked.
    pub kinds: Vec<Kind>,
    /// How often each is started and measured.
    pub rounds: usize,
    /// How long each kind is measured per round.
    pub stretch: Duration,
    /// Threads that answer, to be compared with each other: more than one entry and a server takes part once
    /// with each.
    pub workers: Vec<usize>,
    /// For how long datagrams a call are counted after each stretch.
    pub batches: Duration,
    /// How long each kind is then asked at an even rate, for latencies.
    pub even: Duration,
    /// That rate, in queries a second.
    pub rate: f64,
    /// How often each is told to reload.
    pub reloads: usize,
}

impl Plan<'_> {
    /// Who takes part, each with so many workers.
    pub fn entrants(&self) -> Vec<Entrant> {
        let of = |peer: &Peer| {
            let peer = *peer;
            self.workers.iter().map(move |workers| Entrant { peer, workers: *workers }).collect::<Vec<_>>()
        };
        self.peers.iter().flat_map(of).collect()
    }

    fn takes_part(&self, peer: Peer, round: usize) -> bool {
        round.is_multiple_of(SELDOM_ROUNDS) || !self.seldom.contains(&peer)
    }
}

/// A server with a number of workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entrant {
    /// Who.
    pub peer: Peer,
    /// Threads or processes that answer.
    pub workers: usize,
}

impl Entrant {
    /// Its name in tables.
    pub fn name(self) -> String {
        if self.workers == 1 {
            self.peer.name().to_owned()
        } else {
            format!("{} x{}", self.peer.name(), self.workers)
        }
    }
}

/// One server's figures of one round and kind.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Who.
    pub entrant: Entrant,
    /// What.
    pub kind: Kind,
    /// Which round.
    pub round: usize,
    /// The load's outcome.
    pub outcome: Outcome,
    /// CPU time per answered query, in microseconds.
    pub cpu_us: f64,
    /// Latencies at an even rate, and what came of that load.
    pub even: Option<Outcome>,
    /// The share of the time that the server ran: below 1, it waited for the generator, and its batches
    /// were small.
    pub busy: f64,
    /// The share of the server's core that others used meanwhile.
    pub foreign: f64,
    /// How often the server's threads went to sleep, and how often another took their core, per 1,000 queries.
    pub switches: [f64; 2],
    /// Datagrams that a receiving call brought, where that was counted.
    pub per_call: Option<f64>,
}

/// One start of a server.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Who.
    pub entrant: Entrant,
    /// To the first answer.
    pub started_in: Duration,
    /// Resident after the load, in KiB, and at the peak.
    pub memory_kib: (u64, u64),
}

/// Everything measured.
#[derive(Default)]
pub struct Measured {
    /// Round by round.
    pub samples: Vec<Sample>,
    /// Start by start.
    pub starts: Vec<Start>,
    /// Reloads, one entry a server.
    pub reloads: Vec<Reloads>,
    /// What went wrong: a server that did not start is left out of that round.
    pub troubles: Vec<String>,
}

/// The queries of each kind.
pub struct Load {
    queries: Vec<(Kind, Queries)>,
}

impl Load {
    /// Builds them.
    pub fn new(world: &World, kinds: &[Kind]) -> Load {
        let build = |kind: &Kind| match kind {
            Kind::Static | Kind::Tcp => Queries::of_static_names(&mut Chance::seeded(SEED)),
            Kind::Subnet | Kind::Weighted => Queries::of_networks(*kind, &world.networks, REGIONS.len()),
            Kind::Subnet6 => Queries::of_networks(*kind, &world.networks6, REGIONS.len()),
            Kind::Nxdomain => Queries::of_absent_names(),
            Kind::Cookie => Queries::of_static_names_with_cookie(&mut Chance::seeded(SEED)),
        };
        Load { queries: kinds.iter().map(|kind| (*kind, build(kind))).collect() }
    }

    /// The queries of one kind.
    pub fn of(&mut self, kind: Kind) -> Result<&mut Queries> {
        let found = self.queries.iter_mut().find(|(of, _)| *of == kind);
        Ok(found.map(|(_, queries)| queries).ok_or("no such queries")?)
    }
}

/// Runs the rounds, then the reloads. `keep` gets what there is after each round.
pub fn compare(plan: &Plan, tell: &mut dyn FnMut(&str), keep: &mut dyn FnMut(&Measured)) -> Result<Measured> {
    plan.peers.iter().try_for_each(|peer| peer.require())?;
    // With several workers both cores are theirs, and the generator goes where there is room.
    if plan.setup.cores == Cores::First {
        socket::pin(GENERATOR_CORE)?;
    }
    let entrants = plan.entrants();
    let mut load = Load::new(plan.setup.world, &plan.kinds);
    let mut measured = Measured::default();
    for round in 0..plan.rounds {
        for place in 0..entrants.len() {
            let entrant = entrants[(place + round) % entrants.len()];
            if !plan.takes_part(entrant.peer, round) {
                continue;
            }
            if let Err(trouble) = turn(plan, entrant, round, &mut load, &mut measured, tell) {
                let trouble = format!("round {} {}: {trouble}", round + 1, entrant.name());
                tell(&trouble);
                measured.troubles.push(trouble);
            }
        }
        keep(&measured);
    }
    for peer in plan.peers.iter().filter(|_| plan.reloads > 0) {
        for change in [Change::Zone, Change::All].into_iter().filter(|change| peer.takes_in(*change)) {
            match reload::measure(&plan.setup, *peer, change, plan.reloads) {
                Ok(reloads) => {
                    tell(&reloads.line());
                    measured.reloads.push(reloads);
                }
                Err(trouble) => {
                    let trouble = format!("reload {} {}: {trouble}", change.name(), peer.name());
                    tell(&trouble);
                    measured.troubles.push(trouble);
                }
            }
            keep(&measured);
        }
    }
    Ok(measured)
}

/// One server's turn in a round.
fn turn(
    plan: &Plan,
    entrant: Entrant,
    round: usize,
    load: &mut Load,
    measured: &mut Measured,
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    let setup = Setup { workers: entrant.workers, ..plan.setup };
    let running = setup.start(entrant.peer)?;
    let server = &running.server;
    for kind in plan.kinds.iter().filter(|kind| entrant.peer.answers(**kind)) {
        let sample = stretch(plan, server, entrant, *kind, round, load.of(*kind)?)?;
        let even = sample.even.as_ref();
        tell(&format!(
            "round {:>2} {:<12} {:<8} {:>7.3} us/query {:>7.0} q/s{}{}{}",
            round + 1,
            entrant.name(),
            kind.name(),
            sample.cpu_us,
            sample.outcome.answered as f64 / sample.outcome.elapsed.as_secs_f64(),
            trouble(&sample.outcome),
            even.map_or(String::new(), |even| format!("  slowest {:.1} ms", even.latency.max_us() / 1000.0)),
            even.map_or(String::new(), trouble),
        ));
        if sample.outcome.answered == 0 {
            return Err(format!("no right answer to {}", kind.name()).into());
        }
        measured.samples.push(sample);
    }
    let memory_kib = server.memory_kib()?;
    measured.starts.push(Start { entrant, started_in: server.started_in, memory_kib });
    running.server.stop()
}

/// What did not go well in a stretch, for the line about it.
pub fn trouble(outcome: &Outcome) -> String {
    match (outcome.lost, outcome.wrong, outcome.fault) {
        (0, 0, _) => String::new(),
        (lost, wrong, fault) => format!("  {lost} lost, {wrong} wrong ({})", fault.unwrap_or("-")),
    }
}

/// How the replies of a server are checked.
pub fn checked(peer: Peer) -> Checked {
    if peer == Peer::Reflector { Checked::Echo } else { Checked::Answer }
}

/// One server, one kind: the closed loop, then an even rate.
fn stretch(
    plan: &Plan,
    server: &Server,
    entrant: Entrant,
    kind: Kind,
    round: usize,
    queries: &mut Queries,
) -> Result<Sample> {
    let checked = checked(entrant.peer);
    prove(server, entrant.peer, kind, queries)?;
    let mut generator = Closed::new(kind, server.address, queries, checked, entrant.workers)?;
    generator.run(WARM_UP)?;
    let (core, cpu, start) = (busy_seconds(0)?, server.cpu_time()?, Instant::now());
    let before = server.switches()?;
    let outcome = generator.run(plan.stretch)?;
    let after = server.switches()?;
    let (core, cpu) = (busy_seconds(0)? - core, (server.cpu_time()? - cpu).as_secs_f64());
    let elapsed = start.elapsed().as_secs_f64();
    let switches = [0, 1].map(|which| (after[which] - before[which]) as f64 * 1e3 / outcome.answered as f64);
    let per_call = match plan.batches {
        Duration::ZERO => None,
        time => Some(datagrams_per_call(server, &mut generator, time)?),
    };
    let foreign = (core - cpu).max(0.0) / elapsed;
    let cpu_us = cpu * 1e6 / outcome.answered as f64;
    drop(generator);
    let even = if plan.even.is_zero() || kind == Kind::Tcp {
        None
    } else {
        let mut generator = Generator::open_loop(server.address, queries, checked)?;
        let start = Instant::now();
        Some(generator.run_at(plan.rate, Between::Spin, || start.elapsed() > plan.even)?)
    };
    Ok(Sample {
        entrant,
        kind,
        round,
        outcome,
        cpu_us,
        even,
        busy: cpu / elapsed,
        foreign,
        switches,
        per_call,
    })
}

/// How many datagrams a call brings a server under full load.
fn datagrams_per_call(server: &Server, generator: &mut Closed<'_>, time: Duration) -> Result<f64> {
    let counting = server.count_calls("recvmmsg", time)?;
    // perf needs a moment to begin; the load is the same before, during and after.
    let outcome = generator.run(time + WARM_UP)?;
    let answered = outcome.answered as f64 * time.as_secs_f64() / outcome.elapsed.as_secs_f64();
    Ok(answered / counting.calls()?)
}

/// Starts a server, tells its process and keeps it under load; returns a line about it.
pub fn hold(setup: &Setup, peer: Peer, kind: Kind, time: Duration, tell: impl Fn(u32)) -> Result<String> {
    socket::pin(GENERATOR_CORE)?;
    let running = setup.start(peer)?;
    let mut load = Load::new(setup.world, &[kind]);
    let queries = load.of(kind)?;
    prove(&running.server, peer, kind, queries)?;
    let mut generator = Closed::new(kind, running.server.address, queries, checked(peer), setup.workers)?;
    generator.run(WARM_UP)?;
    tell(running.server.id());
    let outcome = generator.run(time)?;
    running.server.stop()?;
    Ok(format!("{} answered{}", outcome.answered, trouble(&outcome)))
}

/// Has the server give a cookie to queries that need one.
pub fn prove(server: &Server, peer: Peer, kind: Kind, queries: &mut Queries) -> Result<()> {
    if kind == Kind::Cookie && checked(peer) == Checked::Answer {
        queries.give_cookie(&server.ask(&packet::cookie_question())?)?;
    }
    Ok(())
}

/// The closed loop by either transport.
pub enum Closed<'q> {
    /// Over UDP.
    Datagrams(Generator<'q>),
    /// Over TCP.
    Streams(StreamGenerator<'q>),
}

impl<'q> Closed<'q> {
    /// Connects, for a server with so many workers.
    pub fn new(
        kind: Kind,
        server: SocketAddr,
        queries: &'q mut Queries,
        checked: Checked,
        workers: usize,
    ) -> Result<Closed<'q>> {
        Ok(match kind {
            Kind::Tcp => Closed::Streams(StreamGenerator::new(server, queries, checked)?),
            _ => Closed::Datagrams(Generator::of_workers(workers, server, queries, checked)?),
        })
    }

    /// Keeps the windows full for this long.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        match self {
            Closed::Datagrams(generator) => generator.run(duration),
            Closed::Streams(generator) => generator.run(duration),
        }
    }
}

/// Asks two servers the same and returns in how many networks they agree, of how many.
pub fn agreement(plan: &Plan, peer: Peer) -> Result<(usize, usize)> {
    let mut load = Load::new(plan.setup.world, &[Kind::Subnet]);
    let mut answers = Vec::new();
    for peer in [Peer::Meridian, peer] {
        let running = plan.setup.start(peer)?;
        let queries = load.of(Kind::Subnet)?;
        let count = queries.len();
        let mut of_peer = vec![None; count];
        let mut generator = Generator::new(running.server.address, queries, Checked::Answer)?;
        generator.ask(count, |query, address| of_peer[query] = Some(address))?;
        answers.push(of_peer);
        running.server.stop()?;
    }
    let both = answers[0].iter().zip(&answers[1]).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
    Ok(both.fold((0, 0), |(same, all), (a, b)| (same + usize::from(a == b), all + 1)))
}
