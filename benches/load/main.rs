//! The benchmark: a load generator that checks every answer, a reflector as the baseline, and the rounds
//! that compare servers. `benches/run.sh` and `benches/instructions.sh` call it; docs/performance.md has
//! the figures.
// A program that measures reads clocks and files and opens sockets: it is all edge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod chance;
mod compare;
mod database;
mod flood;
mod gate;
mod generator;
mod histogram;
mod instructions;
mod packet;
mod process;
mod pure;
mod reflector;
mod reload;
mod report;
mod scale;
mod servers;
mod socket;
mod statistics;
mod stream;
mod synthetic;
mod world;
#[path = "../../examples/scale_figures/worlds.rs"]
#[allow(dead_code, reason = "the example asks more of it")]
mod worlds;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use compare::{Load, Measured, Plan};
use packet::Kind;
use process::Cores;
use report::Report;
use servers::{Locations, Peer, Probes, Setup};
use world::World;

/// Errors are for whoever runs the benchmark, as text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures DNS servers over loopback.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Compares servers in alternating rounds
    #[command(args_override_self = true)]
    Compare(CompareArguments),
    /// Puts load on a server that runs already
    Generate {
        /// Where it listens
        server: SocketAddr,
        #[command(flatten)]
        source: Source,
        /// What to ask
        #[arg(long, value_enum, default_value = "subnet")]
        kind: Kind,
        /// For how long
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
    },
    /// Starts a server, prints its process and keeps it under full load: for profilers
    Hold {
        #[command(flatten)]
        source: Source,
        /// The build of meridian
        #[arg(long)]
        meridian: PathBuf,
        /// Whom to start
        #[arg(long, value_enum, default_value = "meridian")]
        peer: Peer,
        /// What to ask
        #[arg(long, value_enum, default_value = "subnet")]
        kind: Kind,
        /// For how long
        #[arg(long, default_value_t = 8.0)]
        seconds: f64,
    },
    /// Counts user-space instructions per query of whole servers under callgrind
    Instructions {
        #[command(flatten)]
        source: Source,
        /// The release build of meridian
        #[arg(long)]
        meridian: PathBuf,
        /// Whom to count
        #[arg(long, value_enum, value_delimiter = ',', default_value = "meridian,gdnsd,knot")]
        peers: Vec<Peer>,
        /// What to ask
        #[arg(long, value_enum, value_delimiter = ',', default_value = "static,subnet,weighted")]
        kinds: Vec<Kind>,
        /// Queries counted of each kind
        #[arg(long, default_value_t = 50_000)]
        queries: usize,
    },
    /// Counts instructions per query of the pure path over a small made-up world and compares them with the
    /// committed figures: fails at 5 % more
    Gate {
        /// The committed figures
        #[arg(long, default_value = "benches/instructions.toml")]
        figures: PathBuf,
        /// Write the figures counted instead of comparing them
        #[arg(long)]
        accept: bool,
        /// For the world and the profiles
        #[arg(long, default_value = "target/bench/gate")]
        folder: PathBuf,
    },
    /// Answers queries over the small made-up world: what `gate` counts
    #[command(hide = true)]
    AnswerSynthetic {
        #[arg(long, value_enum)]
        kind: Kind,
        #[arg(long)]
        queries: usize,
        #[arg(long)]
        folder: PathBuf,
    },
    /// Answers queries in one thread, without sockets, and times it
    Pure {
        #[command(flatten)]
        source: Source,
        /// What to ask
        #[arg(long, value_enum, default_value = "subnet")]
        kind: Kind,
        /// How many queries
        #[arg(long, default_value_t = 5_000_000)]
        queries: usize,
        /// Wait for a line before and after: for instruments
        #[arg(long)]
        wait: bool,
        /// Compare so many threads at once with one alone, so many times, each thread counting as a worker does
        #[arg(long, num_args = 2, value_names = ["THREADS", "ROUNDS"])]
        threads: Option<Vec<usize>>,
    },
    /// Compares servers with large zones with one that has a small one
    Scale {
        /// The release build of meridian; several are compared with each other
        #[arg(long, required = true)]
        meridian: Vec<PathBuf>,
        /// Run each with huge pages too
        #[arg(long)]
        huge_pages: bool,
        /// How often each server is asked
        #[arg(long, default_value_t = 10)]
        rounds: usize,
        /// Seconds per server and round
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
        /// For configurations and logs
        #[arg(long, default_value = "target/bench/scale")]
        folder: PathBuf,
    },
    /// Floods a server with half-open connections and handshakes: see benches/floods.sh
    Flood {
        /// The release build of meridian
        #[arg(long)]
        meridian: PathBuf,
        /// What is done to it
        #[arg(long, value_enum, value_delimiter = ',', default_value = "nothing,hello,half,handshake")]
        attacks: Vec<flood::Hostility>,
        /// For how long each
        #[arg(long, default_value_t = 4.0)]
        seconds: f64,
        /// The part of the server's capacity that well-behaved clients ask
        #[arg(long, default_value_t = 0.8)]
        part: f64,
        /// An address besides loopback where it listens, and where half-open connections come in
        #[arg(long)]
        address: Option<std::net::Ipv4Addr>,
        /// The network namespace that those come from
        #[arg(long)]
        namespace: Option<String>,
        /// For the configuration and the log
        #[arg(long, default_value = "target/bench/flood")]
        folder: PathBuf,
    },
    /// Attacks, as `flood` starts it
    #[command(hide = true)]
    BeHostile { attack: flood::Hostility, server: SocketAddr, seconds: f64, certificate: PathBuf },
    /// Sends every datagram back
    Reflect {
        /// Where to listen
        listen: SocketAddr,
        /// Threads for datagrams
        #[arg(long, default_value_t = 1)]
        workers: usize,
    },
    /// Writes the nested location database and meridian's configuration
    Prepare {
        #[command(flatten)]
        source: Source,
    },
}

#[derive(clap::Args)]
struct CompareArguments {
    #[command(flatten)]
    source: Source,
    /// The release build of meridian
    #[arg(long)]
    meridian: PathBuf,
    /// Who takes part
    #[arg(long, value_enum, value_delimiter = ',', default_value = "reflector,meridian,gdnsd,knot,nsd,pdns")]
    peers: Vec<Peer>,
    /// Who of them takes part in one round of four only
    #[arg(long, value_enum, value_delimiter = ',')]
    seldom: Vec<Peer>,
    /// What is asked
    #[arg(long, value_enum, value_delimiter = ',', default_value = "static,subnet")]
    kinds: Vec<Kind>,
    /// Rounds
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Seconds per server, kind and round
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Threads that answer; `1,2` compares two with one, on both cores, with the generator beside them
    #[arg(long, value_delimiter = ',', default_value = "1")]
    workers: Vec<usize>,
    /// Count for so many seconds after each stretch how many datagrams a call moves, by perf(1): not part of the
    /// other figures, which that would disturb; 0: do not
    #[arg(long, default_value_t = 0.0)]
    batches: f64,
    /// Queries a second at an even rate, for latencies
    #[arg(long, default_value_t = 20_000.0)]
    rate: f64,
    /// Seconds at that rate per server, kind and round; 0: none
    #[arg(long, default_value_t = 0.5)]
    even: f64,
    /// Reloads of each server, under load; 0: none
    #[arg(long, default_value_t = 5)]
    reloads: usize,
    /// Where to write the figures as JSON, after each round
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where to append them as a line
    #[arg(long)]
    history: Option<PathBuf>,
}

/// Where the location data comes from and where files are made.
#[derive(clap::Args)]
pub struct Source {
    /// DB-IP's IPv4 cities as ip-location-db publishes them
    #[arg(long)]
    v4: PathBuf,
    /// The same for IPv6
    #[arg(long)]
    v6: PathBuf,
    /// For the nested database, configurations and logs
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
}

impl Source {
    fn world(&self) -> Result<(World, PathBuf)> {
        std::fs::create_dir_all(&self.folder)?;
        let folder = self.folder.canonicalize()?;
        Ok((World::make(&folder, &self.v4, &self.v6)?, folder))
    }
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Option<Task>) -> Result<()> {
    match task {
        None => {
            println!("Run benches/run.sh or benches/instructions.sh; --help tells what this program does.")
        }
        Some(Task::Reflect { listen, workers }) => reflector::reflect(listen, workers)?,
        Some(Task::Prepare { source }) => {
            let (world, folder) = source.world()?;
            let file = servers::write_configuration(
                &folder.join("meridian"),
                Locations::Database(&world.database),
                5300,
                1,
                Probes::Nothing,
            )?;
            println!("{}", file.display());
        }
        Some(Task::Pure { source, kind, queries, wait, threads }) => {
            let (world, folder) = source.world()?;
            let config = servers::write_configuration(
                &folder.join("pure"),
                Locations::Database(&world.database),
                5300,
                1,
                Probes::OfShop,
            )?;
            let mut load = Load::new(&world, &[kind]);
            if let Some([threads, rounds]) = threads.as_deref() {
                return pure::compare_threads(&config, load.of(kind)?, queries, *threads, *rounds);
            }
            let begin = if wait { pure::Begin::OnLine } else { pure::Begin::Now };
            let elapsed = pure::answer(kind, &config, load.of(kind)?, queries, begin)?;
            println!("{:.1} ns per query", elapsed.as_nanos() as f64 / queries as f64);
        }
        Some(Task::Gate { figures, accept, folder }) => {
            std::fs::create_dir_all(&folder)?;
            let what = if accept { gate::Figures::Accept } else { gate::Figures::Hold };
            gate::run(&folder, &figures, what)?;
        }
        Some(Task::AnswerSynthetic { kind, queries, folder }) => {
            let (config, networks) = synthetic::write(&folder)?;
            pure::answer(
                kind,
                &config,
                &mut synthetic::queries(kind, &networks)?,
                queries,
                pure::Begin::Now,
            )?;
        }
        Some(Task::Scale { meridian, huge_pages, rounds, seconds, folder }) => {
            std::fs::create_dir_all(&folder)?;
            let (folder, stretch) = (folder.canonicalize()?, Duration::from_secs_f64(seconds));
            scale::run(&scale::Plan { programs: &meridian, folder: &folder, huge_pages, rounds, stretch })?;
        }
        Some(Task::Generate { server, source, kind, seconds }) => {
            let mut load = Load::new(&source.world()?.0, &[kind]);
            let queries = load.of(kind)?;
            let mut generator = compare::Closed::new(kind, server, queries, generator::Checked::Answer, 1)?;
            let outcome = generator.run(Duration::from_secs_f64(seconds))?;
            let rate = outcome.answered as f64 / outcome.elapsed.as_secs_f64();
            println!("{rate:.0} answers per second{}", compare::trouble(&outcome));
        }
        Some(Task::Hold { source, meridian, peer, kind, seconds }) => {
            let (world, folder) = source.world()?;
            let setup = Setup {
                world: &world,
                meridian: &meridian,
                folder: &folder,
                workers: 1,
                cores: Cores::First,
                instrument: &[],
            };
            println!(
                "{}",
                compare::hold(&setup, peer, kind, Duration::from_secs_f64(seconds), |process| {
                    println!("{process}");
                })?
            );
        }
        Some(Task::Instructions { source, meridian, peers, kinds, queries }) => {
            let (world, folder) = source.world()?;
            let counting =
                instructions::Counting { world: &world, folder: &folder, source: &source, queries };
            counting.pure(&kinds)?;
            counting.servers(&meridian, &peers, &kinds)?;
        }
        Some(Task::Flood { meridian, attacks, seconds, part, address, namespace, folder }) => {
            std::fs::create_dir_all(&folder)?;
            let folder = folder.canonicalize()?;
            flood::run(&flood::Plan {
                meridian: &meridian,
                folder: &folder,
                hostilities: &attacks,
                time: Duration::from_secs_f64(seconds),
                part,
                address,
                namespace: namespace.as_deref(),
            })?;
        }
        Some(Task::BeHostile { attack, server, seconds, certificate }) => {
            let time = Duration::from_secs_f64(seconds);
            println!("{:.0}", flood::be_hostile(attack, server, time, &certificate)?);
        }
        Some(Task::Compare(arguments)) => compare(arguments)?,
    }
    Ok(())
}

fn compare(arguments: CompareArguments) -> Result<()> {
    let (world, folder) = arguments.source.world()?;
    let plan = Plan {
        setup: Setup {
            world: &world,
            meridian: &arguments.meridian,
            folder: &folder,
            workers: 1,
            cores: if arguments.workers == [1] { Cores::First } else { Cores::Both },
            instrument: &[],
        },
        workers: arguments.workers,
        batches: Duration::from_secs_f64(arguments.batches),
        even: Duration::from_secs_f64(arguments.even),
        rate: arguments.rate,
        peers: arguments.peers,
        seldom: arguments.seldom,
        kinds: arguments.kinds,
        rounds: arguments.rounds,
        stretch: Duration::from_secs_f64(arguments.seconds),
        reloads: arguments.reloads,
    };
    let json = |report: &Report| match &arguments.json {
        Some(path) => std::fs::write(path, report.json().to_string()),
        None => Ok(()),
    };
    let mut kept = Ok(());
    let mut keep = |measured: &Measured| kept = json(&Report::new(&plan, measured, &[]));
    let measured = compare::compare(&plan, &mut |line| println!("{line}"), &mut keep)?;
    kept?;
    let mut agreement = Vec::new();
    if plan.peers.contains(&Peer::Meridian) {
        let placed = |peer: &&Peer| matches!(peer, Peer::Gdnsd | Peer::Knot | Peer::Pdns);
        for peer in plan.peers.iter().filter(placed) {
            let (same, all) = compare::agreement(&plan, *peer)?;
            agreement.push((*peer, same, all));
        }
    }
    let report = Report::new(&plan, &measured, &agreement);
    println!("\n{}", report.text());
    json(&report)?;
    if let Some(path) = arguments.history {
        report.append(&path)?;
    }
    Ok(())
}
