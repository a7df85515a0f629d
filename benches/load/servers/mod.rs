//! The servers that are compared: the same zone and the same places in each one's own words, how each is
//! started, and how it is told to read everything anew.

mod gdnsd;
mod knot;
mod meridian;
mod nsd;
mod pdns;
mod reloading;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

pub use meridian::{Locations, Probes, write_configuration};
pub use reloading::Change;

use crate::Result;
use crate::packet::{self, Kind, STATIC_NAMES, ZONE, static_address};
use crate::process::{Cores, Server, free_port};
use crate::world::World;

/// The TTL of everything that is asked, in seconds.
const TTL_S: u32 = 60;
/// The shares of a region's two endpoints under `shop`.
const WEIGHTS: [u32; 2] = [70, 30];

/// Who is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, clap::ValueEnum)]
pub enum Peer {
    /// The baseline without DNS: sends every datagram back
    Reflector,
    /// This project
    Meridian,
    /// gdnsd, with its geoip and weighted plugins
    Gdnsd,
    /// Knot DNS with its geoip module, by country
    Knot,
    /// NSD: static names only
    Nsd,
    /// The PowerDNS authoritative server with its geoip backend, by country
    Pdns,
}

impl Peer {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Reflector => "reflector",
            Peer::Meridian => "meridian",
            Peer::Gdnsd => "gdnsd",
            Peer::Knot => "knot",
            Peer::Nsd => "nsd",
            Peer::Pdns => "pdns",
        }
    }

    /// Its program, where it is not one of this tree, and the Debian packages that have it.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Peer::Reflector | Peer::Meridian => None,
            Peer::Gdnsd => Some(("gdnsd", "gdnsd")),
            Peer::Knot => Some(("knotd", "knot knot-module-geoip")),
            Peer::Nsd => Some(("nsd", "nsd")),
            Peer::Pdns => Some(("pdns_server", "pdns-server pdns-backend-geoip")),
        }
    }

    /// Whether it can answer this. Knot and PowerDNS cannot put weights under places; NSD has no places; and
    /// of the servers as they come, gdnsd alone gives cookies.
    pub fn answers(self, kind: Kind) -> bool {
        match self {
            Peer::Reflector | Peer::Meridian | Peer::Gdnsd => true,
            Peer::Knot | Peer::Pdns => !matches!(kind, Kind::Weighted | Kind::Cookie),
            Peer::Nsd => !kind.is_steered() && kind != Kind::Cookie,
        }
    }

    /// Says what is to be installed if it cannot be started.
    pub fn require(self) -> Result<()> {
        let Some((program, packages)) = self.program() else { return Ok(()) };
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
        if found {
            return Ok(());
        }
        Err(format!(
            "{program} is not in PATH: install {packages} (benches/prepare.sh does; Debian has it in \
             /usr/sbin), or leave {} out of --peers",
            self.name()
        )
        .into())
    }

    /// The version that is installed, as Debian names it.
    pub fn version(self) -> Option<String> {
        let package = self.program()?.1.split(' ').next()?;
        let output = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// How a server is to be run.
#[derive(Clone, Copy)]
pub struct Setup<'s> {
    /// What it serves.
    pub world: &'s World,
    /// The build of meridian to run.
    pub meridian: &'s Path,
    /// For configurations and logs; each server has a folder of its own in it.
    pub folder: &'s Path,
    /// Threads or processes that answer.
    pub workers: usize,
    /// Where it may run.
    pub cores: Cores,
    /// A program with arguments to run it under, or nothing.
    pub instrument: &'s [String],
}

impl Setup<'_> {
    /// Writes a server's configuration, starts it and waits until it answers.
    pub fn start(&self, peer: Peer) -> Result<Running> {
        peer.require()?;
        let port = free_port()?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let folder = self.folder.join(peer.name());
        std::fs::create_dir_all(&folder)?;
        let site = Site { world: self.world, folder, port, workers: self.workers };
        let command = match peer {
            Peer::Reflector => words(&[
                &path(&std::env::current_exe()?),
                "reflect",
                &address.to_string(),
                "--workers",
                &self.workers.to_string(),
            ]),
            Peer::Meridian => site.meridian(self.meridian)?,
            Peer::Gdnsd => site.gdnsd()?,
            Peer::Knot => site.knot()?,
            Peer::Nsd => site.nsd()?,
            Peer::Pdns => site.pdns()?,
        };
        site.write_zone(peer, 0)?;
        let command = [self.instrument, &command].concat();
        // One that needs all that is loaded: the zone and the places.
        let question = packet::one_of_network(self.world.networks[0]);
        let server = Server::start(&command, self.cores, address, &site.folder.join("log"), &question)?;
        Ok(Running { peer, server, folder: site.folder })
    }
}

/// A server that answers.
pub struct Running {
    peer: Peer,
    /// Its process.
    pub server: Server,
    folder: PathBuf,
}

/// What one server's configuration is written from.
struct Site<'s> {
    world: &'s World,
    folder: PathBuf,
    port: u16,
    workers: usize,
}

impl Site<'_> {
    /// Writes the zone with this number in the address of `canary`.
    fn write_zone(&self, peer: Peer, canary: u8) -> Result<()> {
        write_zone(&self.folder, self.world, peer, canary)
    }
}

fn write_zone(folder: &Path, world: &World, peer: Peer, canary: u8) -> Result<()> {
    match peer {
        Peer::Reflector => Ok(()),
        Peer::Meridian => meridian::write_zone(folder, canary),
        Peer::Gdnsd => gdnsd::write_zone(folder, canary),
        Peer::Knot | Peer::Nsd => write(&folder.join("zone"), &with_static_www(canary)),
        Peer::Pdns => pdns::write_zone(folder, world, canary),
    }
}

/// The zone's master file; `steered` are the lines of steered names.
fn zone(steered: &str, canary: u8) -> String {
    let serial = 1 + u32::from(canary);
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL {TTL_S}\n@ SOA ns1 hostmaster {serial} 3600 900 604800 60\n@ NS ns1\n\
         ns1 A 127.0.0.1\ncanary A {}\n{steered}",
        packet::canary_address(canary)
    );
    for number in 0..STATIC_NAMES {
        text += &format!("host-{number} A {}\n", static_address(number));
    }
    text
}

/// Writes the zone without steered names.
pub fn write_plain_zone(file: &Path) -> Result<()> {
    write(file, &zone("", 0))
}

/// The zone for servers that know no steered names in it: Knot's module answers in place of what is here.
fn with_static_www(canary: u8) -> String {
    zone(&format!("www {TTL_S} A {}\n", packet::endpoint_address(0, 0)), canary)
}

fn write(file: &Path, text: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))?)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
