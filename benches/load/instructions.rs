//! Instructions per query in user space, by callgrind: its counting is switched on only between two
//! batches of queries, so that starting and loading do not count.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::compare::{Load, prove, trouble};
use crate::generator::{Checked, Generator};
use crate::packet::Kind;
use crate::process::Cores;
use crate::servers::{Peer, Setup};
use crate::world::World;
use crate::{Result, Source};

/// What is counted with.
pub struct Counting<'c> {
    /// What is served.
    pub world: &'c World,
    /// For configurations and profiles.
    pub folder: &'c Path,
    /// The location data, for this program run as the instrumented one.
    pub source: &'c Source,
    /// Queries counted of each kind.
    pub queries: usize,
}

impl Counting<'_> {
    /// Counts the pure path alone and prints a line for each kind.
    pub fn pure(&self, kinds: &[Kind]) -> Result<()> {
        for kind in kinds {
            let profile = self.profile("pure", *kind);
            let mut child = Command::new("valgrind")
                .args(&instrument(&profile)[1..])
                .arg(std::env::current_exe()?)
                .args(["pure", "--wait", "--kind", kind.name(), "--queries", &self.queries.to_string()])
                .args([Path::new("--folder"), self.folder])
                .args([Path::new("--v4"), &self.source.v4, Path::new("--v6"), &self.source.v6])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()?;
            let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
            let mut input = child.stdin.take().ok_or("no input")?;
            for (said, switch) in [("ready", "on"), ("done", "off")] {
                if !matches!(lines.next(), Some(Ok(line)) if line == said) {
                    return Err("the pure path did not run".into());
                }
                control(&["-i", switch], child.id())?;
                input.write_all(b"\n")?;
            }
            child.wait()?;
            self.tell("respond", *kind, &profile)?;
        }
        Ok(())
    }

    /// Counts whole servers and prints a line for each and each kind.
    pub fn servers(&self, meridian: &Path, peers: &[Peer], kinds: &[Kind]) -> Result<()> {
        let mut load = Load::new(self.world, kinds);
        for peer in peers {
            for kind in kinds.iter().filter(|kind| peer.answers(**kind)) {
                let profile = self.profile(peer.name(), *kind);
                let setup = Setup {
                    world: self.world,
                    meridian,
                    folder: self.folder,
                    workers: 1,
                    cores: Cores::First,
                    instrument: &instrument(&profile),
                };
                let server = setup.start(*peer)?.server;
                prove(&server, *peer, *kind, load.of(*kind)?)?;
                let queries = load.of(*kind)?;
                let each = queries.len();
                let mut generator = Generator::new(server.address, queries, Checked::Answer)?;
                // Each query once: buffers are there then, and what tables find out when they are first asked.
                generator.ask(each, |_, _| {})?;
                control(&["-i", "on"], server.id())?;
                let outcome = generator.ask(self.queries, |_, _| {})?;
                control(&["-i", "off"], server.id())?;
                server.stop()?;
                if outcome.answered != self.queries as u64 {
                    let trouble = trouble(&outcome);
                    return Err(format!("{} of {} answered{trouble}", outcome.answered, self.queries).into());
                }
                self.tell(peer.name(), *kind, &profile)?;
            }
        }
        Ok(())
    }

    fn profile(&self, name: &str, kind: Kind) -> PathBuf {
        self.folder.join(format!("callgrind.{name}.{}", kind.name()))
    }

    fn tell(&self, name: &str, kind: Kind, profile: &Path) -> Result<()> {
        let total = instructions_in(profile)?;
        println!(
            "{name:<9} {:<9} {:>8.0} instructions per query",
            kind.name(),
            total as f64 / self.queries as f64
        );
        Ok(())
    }
}

/// The sum in a profile of callgrind.
pub fn instructions_in(profile: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(profile)?;
    let total = |line: &str| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok();
    Ok(text.lines().find_map(total).filter(|total| *total > 0).ok_or("callgrind counted nothing")?)
}

fn instrument(profile: &Path) -> Vec<String> {
    let file = format!("--callgrind-out-file={}", profile.display());
    ["valgrind", "--tool=callgrind", "--instr-atstart=no", &file].map(str::to_owned).to_vec()
}

fn control(arguments: &[&str], process: u32) -> Result<()> {
    let output = Command::new("callgrind_control").args(arguments).arg(process.to_string()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}
