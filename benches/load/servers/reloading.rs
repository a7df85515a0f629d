//! How each server is told to read its files anew.

use std::fs::File;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::{Peer, Running, Setup, path, write_zone};
use crate::Result;

/// What has changed when a server is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The zone.
    Zone,
    /// The zone and the location database: everything is read as at a start.
    All,
}

impl Change {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Change::Zone => "zone",
            Change::All => "all",
        }
    }
}

impl Peer {
    /// Whether it has a way to take in this change while it runs.
    pub fn takes_in(self, change: Change) -> bool {
        match self {
            Peer::Reflector => false,
            // It has no places.
            Peer::Nsd => change == Change::Zone,
            Peer::Meridian | Peer::Gdnsd | Peer::Knot | Peer::Pdns => true,
        }
    }
}

impl Running {
    /// Changes the files: a new address of `canary`, and for `All` a new date of the database, by which
    /// servers know that it is another.
    pub fn change(&self, setup: &Setup, change: Change, canary: u8) -> Result<()> {
        if change == Change::All {
            File::options().write(true).open(&setup.world.database)?.set_modified(SystemTime::now())?;
        }
        write_zone(&self.folder, setup.world, self.peer, canary)
    }

    /// Tells the server; returns when the order is given, or, where the server's own tool waits, carried out.
    pub fn reload(&self, change: Change) -> Result<()> {
        let folder = path(&self.folder);
        let signal = ["-HUP".to_owned(), self.server.id().to_string()];
        let in_folder = format!("--config-dir={folder}");
        match self.peer {
            Peer::Reflector => Ok(()),
            Peer::Meridian | Peer::Nsd => run("kill", &[&signal[0], &signal[1]]),
            // A new process takes over the sockets of the old one.
            Peer::Gdnsd if change == Change::All => run("gdnsdctl", &["-c", &folder, "replace"]),
            Peer::Gdnsd => run("gdnsdctl", &["-c", &folder, "reload-zones"]),
            Peer::Knot => {
                let socket = format!("{folder}/run/knot.sock");
                run("knotc", &["-s", &socket, if change == Change::All { "reload" } else { "zone-reload" }])
            }
            // Its backend has one way only. Answers stay in two caches until they are purged.
            Peer::Pdns => {
                run("pdns_control", &[&in_folder, "rediscover"])?;
                run("pdns_control", &[&in_folder, "purge"])
            }
        }
    }

    /// Ends the server, also one that another process has replaced.
    pub fn end(self) -> Result<()> {
        if self.peer == Peer::Gdnsd {
            run("gdnsdctl", &["-c", &path(&self.folder), "-i", "stop"])?;
        }
        self.server.stop()
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into())
}
