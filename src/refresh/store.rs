//! What was transferred, on disk: a file a zone, written beside and renamed over, so that whoever reads
//! finds the old one or the new one. When it was confirmed last is its time of modification.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::compile::secondary::Recipe;
use crate::secondary::{Damage, ZoneData};

/// The folder in the state folder.
const FOLDER: &str = "secondary";
/// What a zone's file is called after its name.
const ENDING: &str = "copy";
/// Its owner alone: zones of hidden primaries may be nobody else's business.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// No zone is larger: offsets in it have 32 bits.
const OCTETS_MAX: u64 = 2 << 32;

/// Keeps zones in a folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

/// What was found of a zone.
#[derive(Debug)]
pub enum Loaded {
    /// Nothing.
    Nothing,
    /// What was kept, and how long ago a primary had confirmed it.
    Kept(Box<ZoneData>, Duration),
    /// Something that cannot be used, now under another name, or still there when `None`.
    SetAside(Damage, Option<PathBuf>),
    /// The system does not let us read it.
    Unreadable(io::Error),
}

impl Store {
    /// The store in a state folder.
    pub fn within(state: &Path) -> Store {
        Store { folder: state.join(FOLDER) }
    }

    /// Keeps a zone: when this returns it is durable.
    ///
    /// # Errors
    /// Those of the system; what was there stays.
    pub fn keep(&self, name: &str, data: &ZoneData) -> io::Result<()> {
        if !self.folder.is_dir() {
            DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(&self.folder)?;
        }
        let (path, new) = (self.path(name, ENDING), self.path(name, &format!("new.{}", std::process::id())));
        let written = write(&new, &data.to_octets()).and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            // What was begun takes room on a disk that may be full.
            let _ = fs::remove_file(&new);
        }
        written?;
        File::open(&self.folder)?.sync_all()
    }

    /// Notes that a primary has confirmed a zone just now. What is not there is kept.
    pub fn confirm(&self, name: &str, data: &ZoneData) {
        let file = OpenOptions::new().write(true).open(self.path(name, ENDING));
        let noted = match file {
            Ok(file) => file.set_modified(SystemTime::now()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.keep(name, data),
            Err(error) => Err(error),
        };
        if let Err(error) = noted {
            tracing::warn!(zone = name, %error, "the stored zone cannot be marked as confirmed: after a restart it would expire too early");
        }
    }

    /// Reads a zone. What cannot be used is set aside.
    pub fn load(&self, recipe: &Recipe) -> Loaded {
        let path = self.path(&recipe.name, ENDING);
        let (octets, confirmed) = match read(&path) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Nothing,
            Err(error) => return Loaded::Unreadable(error),
        };
        match ZoneData::from_octets(&recipe.origin, &octets, &recipe.secondary.limits) {
            // A clock that was ahead when this was written does not make it older than it is.
            Ok(data) => {
                Loaded::Kept(Box::new(data), SystemTime::now().duration_since(confirmed).unwrap_or_default())
            }
            Err(damage) => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let aside = self.path(&recipe.name, &format!("damaged.{}", since.as_secs()));
                let moved = fs::rename(&path, &aside).is_ok();
                Loaded::SetAside(damage, moved.then_some(aside))
            }
        }
    }

    /// Names of zones hold no slash; the root's is a dot, which with an ending is no folder.
    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{name}.{ending}"))
    }
}

fn write(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut how = OpenOptions::new();
    let mut file = how.write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<(Vec<u8>, SystemTime)> {
    let file = File::open(path)?;
    let confirmed = file.metadata()?.modified()?;
    let mut octets = Vec::new();
    file.take(OCTETS_MAX).read_to_end(&mut octets)?;
    Ok((octets, confirmed))
}
