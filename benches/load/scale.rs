//! What a query costs a whole server whose zones are large, against one with a small zone: all of them run side
//! by side on core 0 and are asked in turn, names drawn evenly from everything that they have.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Result;
use crate::chance::Chance;
use crate::compare::{GENERATOR_CORE, trouble};
use crate::generator::{Checked, Generator};
use crate::packet::{Named, Queries};
use crate::process::{Cores, Server, busy_seconds, free_port};
use crate::socket;
use crate::statistics::{estimate, median};
use crate::worlds::World;

/// Different queries of each world.
const QUERIES: usize = 1_000_000;
/// The names' sequence.
const SEED: u64 = 23;
/// Before the figures count.
const WARM_UP: Duration = Duration::from_millis(200);
/// What the allocator is told for huge pages: see gnu_get_libc_tunables(3).
const HUGE_PAGES: &str = "GLIBC_TUNABLES=glibc.malloc.hugetlb=1";
/// What every server has besides its zones, as in the comparison with others: a limit far above the load, cookies.
const PROTECTION: &str = "\n[rate_limit]\nrate = 1000000\nburst = 100000\n\n[cookies]\nsecret = \"00112233445566778899aabbccddeeff\"\n";
/// The file that names the others.
const MAIN_FILE: &str = "meridian.toml";
/// Where that one listens, until a port is found.
const LISTEN: &str = "127.0.0.1:5300";

/// The worlds, the small one first, by the names of their rows.
const WORLDS: [(&str, World); 4] = [
    ("one zone of 1,000 names", World::Small),
    ("10,000 zones of 10 records", World::Zones(10_000, 6)),
    ("one zone of 5,000,000 records", World::Records(5_000_000)),
    ("1,000,000 steered names", World::Steered(1_000_000, 1000)),
];

/// What is run.
pub struct Plan<'p> {
    /// The builds to be compared.
    pub programs: &'p [PathBuf],
    /// For configurations and logs.
    pub folder: &'p Path,
    /// Whether each is also run with huge pages.
    pub huge_pages: bool,
    /// How often each server is asked.
    pub rounds: usize,
    /// For how long.
    pub stretch: Duration,
}

/// A server with a world, and what it has cost in each round, in microseconds a query.
struct Entrant {
    name: String,
    server: Server,
    /// The place of its world.
    world: usize,
    cost_us: Vec<f64>,
}

/// Starts the servers, asks them in turn and prints a table.
pub fn run(plan: &Plan<'_>) -> Result<()> {
    socket::pin(GENERATOR_CORE)?;
    let mut queries: Vec<Queries> = WORLDS.iter().map(|(_, world)| queries(*world)).collect();
    let mut entrants = Vec::new();
    for (place, program) in plan.programs.iter().enumerate() {
        for huge_pages in [false, true].into_iter().take(1 + usize::from(plan.huge_pages)) {
            for (world, (name, _)) in WORLDS.iter().enumerate() {
                let build =
                    if plan.programs.len() > 1 { format!(" (build {})", place + 1) } else { String::new() };
                let pages = if huge_pages { ", huge pages" } else { "" };
                let entrant = Entrant {
                    name: format!("{name}{pages}{build}"),
                    server: start(plan.folder, world, program, huge_pages, &mut queries[world])?,
                    world,
                    cost_us: Vec::new(),
                };
                eprintln!("{} answers after {:.2} s", entrant.name, entrant.server.started_in.as_secs_f64());
                entrants.push(entrant);
            }
        }
    }
    for round in 0..plan.rounds {
        for place in 0..entrants.len() {
            let place = (place + round) % entrants.len();
            let entrant = &mut entrants[place];
            ask(plan, round, entrant, &mut queries[entrant.world])?;
        }
    }
    print(&entrants)?;
    entrants.into_iter().try_for_each(|entrant| entrant.server.stop())
}

fn ask(plan: &Plan<'_>, round: usize, entrant: &mut Entrant, queries: &mut Queries) -> Result<()> {
    let mut generator = Generator::new(entrant.server.address, queries, Checked::Answer)?;
    // Every round goes on where the one before ended: no name is asked twice while it is in a cache.
    generator.begin_at(round * QUERIES / plan.rounds.max(1));
    generator.run(WARM_UP)?;
    let (core, cpu, start) = (busy_seconds(0)?, entrant.server.cpu_time()?, Instant::now());
    let outcome = generator.run(plan.stretch)?;
    let (core, cpu) = (busy_seconds(0)? - core, (entrant.server.cpu_time()? - cpu).as_secs_f64());
    let elapsed = start.elapsed().as_secs_f64();
    if outcome.answered == 0 || outcome.wrong > 0 {
        return Err(format!("{}: no right answers{}", entrant.name, trouble(&outcome)).into());
    }
    let cost_us = cpu * 1e6 / outcome.answered as f64;
    entrant.cost_us.push(cost_us);
    eprintln!(
        "round {:>2} {:<40} {cost_us:.3} us/query {:>7.0} q/s, busy {:.2}, foreign {:.2}{}",
        round + 1,
        entrant.name,
        outcome.answered as f64 / outcome.elapsed.as_secs_f64(),
        cpu / elapsed,
        (core - cpu).max(0.0) / elapsed,
        trouble(&outcome),
    );
    Ok(())
}

/// Ratios are those to the small zone of the same build and pages, round by round.
fn print(entrants: &[Entrant]) -> Result<()> {
    println!("| server | CPU µs per query | ratio to the small zone | resident, MiB |");
    println!("| --- | --- | --- | --- |");
    for group in entrants.chunks(WORLDS.len()) {
        let Some(small) = group.first() else { continue };
        for entrant in group {
            let ratios: Vec<f64> =
                entrant.cost_us.iter().zip(&small.cost_us).map(|(cost, small)| cost / small).collect();
            let ratio = estimate(&ratios);
            println!(
                "| {} | {:.3} | {:.3} [{:.3}-{:.3}] | {} |",
                entrant.name,
                median(&entrant.cost_us),
                ratio.median,
                ratio.low,
                ratio.high,
                entrant.server.memory_kib()?.0 / 1024
            );
        }
    }
    Ok(())
}

fn start(
    folder: &Path,
    world: usize,
    program: &Path,
    huge_pages: bool,
    queries: &mut Queries,
) -> Result<Server> {
    let port = free_port()?;
    let folder = folder.join(format!("world-{world}"));
    let config = folder.join(format!("{port}.toml"));
    if !folder.join(MAIN_FILE).exists() {
        write(&folder, WORLDS[world].1)?;
    }
    let text = std::fs::read_to_string(folder.join(MAIN_FILE))?;
    std::fs::write(&config, text.replace(LISTEN, &format!("127.0.0.1:{port}")) + PROTECTION)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut command = if huge_pages { vec!["env".to_owned(), HUGE_PAGES.to_owned()] } else { Vec::new() };
    command.extend([text(program), "serve".to_owned(), "--config".to_owned(), text(&config)]);
    queries.number(0, 1);
    let log = folder.join(format!("{port}.log"));
    Server::start(&command, Cores::First, (Ipv4Addr::LOCALHOST, port).into(), &log, queries.octets(0))
}

fn write(folder: &Path, world: World) -> Result<()> {
    std::fs::create_dir_all(folder.join("zones"))?;
    let mut main = None;
    let mut failed = None;
    world.files(&mut |(name, text)| {
        if name == MAIN_FILE {
            main = Some(text);
        } else if let Err(error) = std::fs::write(folder.join(name), text) {
            failed = Some(error);
        }
    });
    failed.map_or(Ok(()), Err)?;
    // Last: a folder with it is whole.
    Ok(std::fs::write(folder.join(MAIN_FILE), main.unwrap_or_default())?)
}

fn queries(world: World) -> Queries {
    let mut chance = Chance::seeded(SEED);
    let names = (0..QUERIES).map(|_| {
        let number = chance.next() % world.names();
        let expected = match world {
            World::Zones(zones, _) => Named::Address(address(number / zones)),
            World::Steered(_, services) => Named::Endpoint(number % services),
            _ => Named::Address(address(number)),
        };
        (world.name(number), expected)
    });
    Queries::of_names(names)
}

/// The address of the name of a number, as the zone files have it.
fn address(number: u64) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | number as u32 & 0xff_ffff)
}
