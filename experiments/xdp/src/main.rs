//! An experiment: hot names answered in the receive hook of an interface (XDP), and AF_XDP sockets in front of
//! meridian's own responder, both measured against meridian's sockets on the same pair of virtual interfaces.
//!
//! `run.sh` makes the network namespaces and calls this; README.md says what comes of it.

// A program that measures reads clocks and files and opens sockets: it is all edge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod afxdp;
mod check;
mod datagrams;
mod frame;
mod generator;
mod hook;
mod hot;
mod machine;
mod rounds;
mod statistics;
mod world;
mod xsk;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use world::World;

/// Errors are for whoever runs the experiment, as text.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Answers DNS inside XDP and measures it.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    task: Task,
}

/// Where everything is.
#[derive(clap::Args)]
pub struct Place {
    /// City databases as meridian reads them; without one, the table that meridian ships
    #[arg(long)]
    database: Vec<PathBuf>,
    /// For the configuration, its zone and the server's log
    #[arg(long)]
    folder: PathBuf,
    /// meridian, as built for a release
    #[arg(long)]
    meridian: PathBuf,
    /// The network namespace of the server; its interface is `server`
    #[arg(long)]
    server_namespace: PathBuf,
    /// The network namespace of the client; its interface is `client`
    #[arg(long)]
    client_namespace: PathBuf,
}

#[derive(Subcommand)]
enum Task {
    /// Asks everything both ways and compares octets
    Check,
    /// Leaves the server and the program in place until a line comes in: for dig
    Serve,
    /// Has the kernel say how long each program runs
    Cost,
    /// Measures in alternating rounds
    Measure(rounds::Plan),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let world = World::make(&arguments.place.folder, &arguments.place.database)?;
    match arguments.task {
        Task::Check => check::check(&world, &arguments.place),
        Task::Serve => check::serve(&world, &arguments.place),
        Task::Cost => check::cost(&world, &arguments.place),
        Task::Measure(plan) => rounds::measure(&world, &arguments.place, &plan),
    }
}
