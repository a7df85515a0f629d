//! Servers against each other: alternating rounds in rotated order, each server started anew, on core 0,
//! with the load from core 1.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::chance::Chance;
use crate::generator::{Checked, Generator, Outcome};
use crate::packet::{Kind, Queries};
use crate::process::{Server, busy_seconds, free_port};
use crate::socket;
use crate::world::{Probes, REGIONS, World};

/// Before the figures count: caches and branch predictors warm, the window full.
const WARM_UP: Duration = Duration::from_millis(400);
/// The generator's core; servers get core 0.
const GENERATOR_CORE: usize = 1;
/// The static names asked.
const SEED: u64 = 7;

/// Who is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Peer {
    /// The baseline without DNS.
    Reflector,
    /// This project.
    Meridian,
    /// Debian's gdnsd.
    Gdnsd,
    /// Debian's Knot DNS with its geoip module.
    Knot,
}

impl Peer {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Reflector => "reflector",
            Peer::Meridian => "meridian",
            Peer::Gdnsd => "gdnsd",
            Peer::Knot => "knot",
        }
    }

    /// Whether it can answer this. Knot's module cannot put weights under places.
    pub fn answers(self, kind: Kind) -> bool {
        !(self == Peer::Knot && kind == Kind::Weighted)
    }

    fn checked(self) -> Checked {
        if self == Peer::Reflector { Checked::Echo } else { Checked::Answer }
    }
}

/// What is run.
pub struct Plan {
    /// Who takes part.
    pub peers: Vec<Peer>,
    /// What is asked.
    pub kinds: Vec<Kind>,
    /// How often each is started and measured.
    pub rounds: usize,
    /// How long each kind is measured per round.
    pub stretch: Duration,
    /// For configurations and logs.
    pub folder: PathBuf,
    /// The release build to measure.
    pub meridian: PathBuf,
}

/// One server's figures of one round and kind.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Who.
    pub peer: Peer,
    /// What.
    pub kind: Kind,
    /// Which round.
    pub round: usize,
    /// The load's outcome.
    pub outcome: Outcome,
    /// CPU time per answered query, in microseconds.
    pub cpu_us: f64,
    /// The share of the server's core that others used meanwhile.
    pub foreign: f64,
}

/// One start of a server.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Who.
    pub peer: Peer,
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
}

/// The queries of each kind.
pub struct Load {
    queries: Vec<(Kind, Queries)>,
}

impl Load {
    /// Builds them.
    pub fn new(world: &World, kinds: &[Kind]) -> Load {
        let build = |kind: &Kind| match kind {
            Kind::Static => Queries::of_static_names(&mut Chance::seeded(SEED)),
            Kind::Subnet | Kind::Weighted => Queries::of_networks(*kind, &world.networks, REGIONS.len()),
        };
        Load { queries: kinds.iter().map(|kind| (*kind, build(kind))).collect() }
    }

    /// The queries of one kind.
    pub fn of(&mut self, kind: Kind) -> Result<&mut Queries> {
        let found = self.queries.iter_mut().find(|(of, _)| *of == kind);
        Ok(found.map(|(_, queries)| queries).ok_or("no such queries")?)
    }
}

/// Runs the rounds.
pub fn compare(world: &World, plan: &Plan, tell: &mut dyn FnMut(&str)) -> Result<Measured> {
    socket::pin(GENERATOR_CORE)?;
    let mut load = Load::new(world, &plan.kinds);
    let mut measured = Measured::default();
    for round in 0..plan.rounds {
        for place in 0..plan.peers.len() {
            let peer = plan.peers[(place + round) % plan.peers.len()];
            let server = start(world, peer, &plan.meridian, &plan.folder, &[])?;
            for kind in plan.kinds.iter().filter(|kind| peer.answers(**kind)) {
                let sample = stretch(&server, peer, *kind, round, load.of(*kind)?, plan.stretch)?;
                tell(&format!(
                    "round {:>2} {:<9} {:<8} {:>6.3} us/query {:>7.0} q/s{}",
                    round + 1,
                    peer.name(),
                    kind.name(),
                    sample.cpu_us,
                    sample.outcome.answered as f64 / sample.outcome.elapsed.as_secs_f64(),
                    trouble(&sample.outcome),
                ));
                measured.samples.push(sample);
            }
            let memory_kib = server.memory_kib()?;
            measured.starts.push(Start { peer, started_in: server.started_in, memory_kib });
            server.stop()?;
        }
    }
    Ok(measured)
}

/// What did not go well in a stretch, for the line about it.
pub fn trouble(outcome: &Outcome) -> String {
    match (outcome.lost, outcome.wrong, outcome.fault) {
        (0, 0, _) => String::new(),
        (lost, wrong, fault) => format!("  {lost} lost, {wrong} wrong ({})", fault.unwrap_or("-")),
    }
}

fn stretch(
    server: &Server,
    peer: Peer,
    kind: Kind,
    round: usize,
    queries: &mut Queries,
    duration: Duration,
) -> Result<Sample> {
    let mut generator = Generator::new(server.address, queries, peer.checked())?;
    generator.run(WARM_UP)?;
    let (busy, cpu, start) = (busy_seconds(0)?, server.cpu_time()?, Instant::now());
    let outcome = generator.run(duration)?;
    let (busy, cpu) = (busy_seconds(0)? - busy, server.cpu_time()? - cpu);
    let foreign = (busy - cpu.as_secs_f64()).max(0.0) / start.elapsed().as_secs_f64();
    let cpu_us = cpu.as_secs_f64() * 1e6 / outcome.answered as f64;
    Ok(Sample { peer, kind, round, outcome, cpu_us, foreign })
}

/// Writes a server's configuration and starts it, under `instrument` if one is given.
pub fn start(
    world: &World,
    peer: Peer,
    meridian: &Path,
    folder: &Path,
    instrument: &[String],
) -> Result<Server> {
    let port = free_port()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let folder = folder.join(peer.name());
    std::fs::create_dir_all(&folder)?;
    let own = |path: &Path| path.display().to_string();
    let command = match peer {
        Peer::Reflector => {
            vec![own(&std::env::current_exe()?), "reflect".to_owned(), address.to_string()]
        }
        Peer::Meridian => {
            let file = world.write_meridian(&folder, port, Probes::Nothing)?;
            vec![own(meridian), "serve".to_owned(), "--config".to_owned(), own(&file)]
        }
        Peer::Gdnsd => {
            world.write_gdnsd(&folder, port)?;
            vec!["gdnsd".to_owned(), "-c".to_owned(), own(&folder), "start".to_owned()]
        }
        Peer::Knot => {
            let file = world.write_knot(&folder, port)?;
            vec!["knotd".to_owned(), "-c".to_owned(), own(&file)]
        }
    };
    let command = [instrument, &command].concat();
    // Both kinds ready: the zone and, for servers that load locations later, the map.
    let mut queries = Queries::of_networks(Kind::Subnet, &world.networks[..1], REGIONS.len());
    queries.number(0, 1);
    Server::start(&command, address, &folder.join("log"), queries.octets(0))
}

/// Asks two servers the same and returns in how many networks they agree, of how many.
pub fn agreement(world: &World, plan: &Plan, peer: Peer) -> Result<(usize, usize)> {
    let mut load = Load::new(world, &[Kind::Subnet]);
    let mut answers = Vec::new();
    for peer in [Peer::Meridian, peer] {
        let server = start(world, peer, &plan.meridian, &plan.folder, &[])?;
        let queries = load.of(Kind::Subnet)?;
        let count = queries.len();
        let mut of_peer = vec![None; count];
        let mut generator = Generator::new(server.address, queries, Checked::Answer)?;
        generator.ask(count, |query, address| of_peer[query] = Some(address))?;
        answers.push(of_peer);
        server.stop()?;
    }
    let both = answers[0].iter().zip(&answers[1]).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
    Ok(both.fold((0, 0), |(same, all), (a, b)| (same + usize::from(a == b), all + 1)))
}
