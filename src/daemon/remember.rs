//! What outlives the process (T2): where it is kept, and what a start makes of it.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::StateFolder;
use crate::load;
use crate::now::Now;
use crate::state::{self, Keeper, Kept, Read};

/// Where the service manager has made a folder for us: systemd's `StateDirectory=`.
const TOLD_BY: &str = "STATE_DIRECTORY";

/// The folder that the configuration means; `None`: nothing is kept. What that means is told once, by this.
pub fn folder(configured: &StateFolder, config: &Path) -> Option<PathBuf> {
    let folder = place(configured, config);
    if folder.is_none() && *configured == StateFolder::Told {
        tracing::warn!("no state folder (server.state): a restart forgets overrides, health and the journal");
    }
    folder
}

/// The same, for who only looks.
pub fn place(configured: &StateFolder, config: &Path) -> Option<PathBuf> {
    match configured {
        StateFolder::Off => None,
        StateFolder::At(path) => Some(load::beside(config, path)),
        StateFolder::Told => {
            let told = std::env::var(TOLD_BY).unwrap_or_default();
            told.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
        }
    }
}

/// Makes the folder for the user that the process becomes. Without it the server goes on.
pub fn prepare(folder: Option<&Path>, user: Option<&str>) {
    let Some(folder) = folder else { return };
    if let Err(error) = state::prepare(folder, user) {
        tracing::warn!(folder = %folder.display(), %error, "the state folder cannot be made: nothing is kept until it is there");
    }
}

/// Begins to keep, and gives what an earlier process has kept. Whatever is found, the server starts.
pub fn open(folder: Option<&Path>, now: Now) -> io::Result<(Keeper<Kept>, Option<Kept>)> {
    let (keeper, found) = Keeper::open(folder, now.wall.as_secs())?;
    let kept = match found {
        Read::Nothing => None,
        Read::Kept(kept) => Some(kept),
        Read::SetAside(damage, aside) => {
            let aside =
                aside.map_or("left where it is".to_owned(), |aside| format!("now {}", aside.display()));
            tracing::error!(%damage, "the state file cannot be used and is {aside}: overrides and health begin anew");
            None
        }
        Read::Unreadable(error) => {
            tracing::error!(%error, "the state file cannot be read: overrides and health begin anew");
            None
        }
    };
    Ok((keeper, kept))
}
