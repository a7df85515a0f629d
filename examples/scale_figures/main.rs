//! Figures of large configurations: see docs/performance.md, "Scale".
//!
//!     cargo run --release --example scale_figures -- make /tmp/world records 5000000
//!     cargo run --release --example scale_figures -- load /tmp/world [again]
//!     cargo run --release --example scale_figures -- ask /tmp/world hits records 5000000
//!
//! *make* writes a world into a folder: `small`, `records N`, `zones N NAMES`, `steered NAMES SERVICES`,
//! `services N REGIONS`. *load* reads and compiles it, and says what that took; *again* reloads it. *ask* answers
//! queries for names of it, in one thread, without sockets: `hits` for names that are there, `misses` for names
//! that never come again. In its environment QUERIES says how many of them there are, ROUNDS how often all are asked,
//! and BATCH how many come at a time: with 1 nothing is read ahead.
#![allow(clippy::disallowed_methods, reason = "a program that measures reads files and clocks")]

mod ask;
mod worlds;

use std::path::{Path, PathBuf};
use std::time::Instant;

use meridian::daemon::{EarlierMaps, Prepared, Source};
use meridian::ids::CounterId;
use worlds::World;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "make FOLDER WORLD | load FOLDER [again] | ask FOLDER hits|misses WORLD";

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let folder = words.get(1).map(PathBuf::from).ok_or(USAGE)?;
    let world = |from: usize| World::from_words(words.get(from..).unwrap_or(&[])).ok_or(USAGE);
    match words.first().map(String::as_str) {
        Some("make") => make(&folder, world(2)?),
        Some("load") => load(&folder, words.get(2).is_some_and(|word| word == "again")),
        Some("ask") => {
            let kind = words.get(2).and_then(|word| ask::Kind::of(word)).ok_or(USAGE)?;
            ask::ask(&folder, world(3)?, kind)
        }
        _ => Err(USAGE.into()),
    }
}

fn make(folder: &Path, world: World) -> Result<()> {
    std::fs::create_dir_all(folder.join("zones"))?;
    let mut failed = None;
    let mut octets = 0;
    world.files(&mut |(name, text)| {
        octets += text.len();
        failed = std::fs::write(folder.join(name), text).err().or(failed.take());
    });
    println!("{world:?}: {octets} octets");
    Ok(failed.map_or(Ok(()), Err)?)
}

/// Reads and compiles a folder's configuration.
fn read(folder: &Path, earlier: &EarlierMaps) -> Result<Prepared> {
    let mut counters = 0;
    let mut counter = |_: &str, _: &str| {
        counters += 1;
        CounterId(counters)
    };
    let source = Source { path: folder.join("meridian.toml") };
    let outcome = source.read(1, earlier, &mut counter).outcome();
    Ok(outcome.map_err(|refused| refused.problems)?)
}

fn load(folder: &Path, again: bool) -> Result<()> {
    let prepared = timed("load", || read(folder, &EarlierMaps::default()))?;
    let zones = prepared.snapshot.catalog.zones();
    let nodes: usize = zones.iter().map(|zone| zone.nodes()).sum();
    let entries: usize = zones.iter().map(|zone| zone.entries()).sum();
    println!("{} zones, {nodes} nodes, {entries} RRsets", zones.len());
    if again {
        let next = timed("reload", || read(folder, &prepared.maps()))?;
        timed("drop", || {
            drop(prepared);
            Ok(())
        })?;
        drop(next);
    }
    Ok(())
}

/// Runs something and prints what it took.
fn timed<T>(what: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let (before, cpu) = (Instant::now(), cpu_seconds()?);
    let made = run()?;
    let (seconds, cpu) = (before.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    let (resident, peak) = memory_kib()?;
    println!(
        "{what}: {seconds:.2} s, {cpu:.2} s of CPU time, resident {} MiB, peak {} MiB",
        resident / 1024,
        peak / 1024
    );
    Ok(made)
}

/// User and system, of this process.
fn cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // Fields 14 and 15 of proc(5); two are before the name's end.
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// Resident now and at the peak.
fn memory_kib() -> Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Ok(line("VmRSS:").zip(line("VmHWM:")).ok_or("an unreadable /proc/self/status")?)
}
