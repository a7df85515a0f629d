//! The folder in which keys and their state are kept: who may read it, and how files in it are replaced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::problem::KeyProblem;

/// Its owner alone may read a private key and the state.
pub const PRIVATE_MODE: u32 = 0o600;
/// Everybody may read a public key.
pub const PUBLIC_MODE: u32 = 0o644;
/// What nobody may do with a private key: others anything, the group write. A group that may read it is how
/// BIND's packages share keys.
const FORBIDDEN_MODE: u32 = 0o027;
/// Key files are a few hundred octets, and states of rings a few thousand.
const OCTETS_MAX: u64 = 1 << 20;

/// A folder of keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folder(PathBuf);

/// A ring that is held against other processes for as long as this lives.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "dropping it lets go")] Flock<File>);

impl Folder {
    /// The folder at a path, which may not exist yet.
    pub fn at(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The name of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it, sorted; none where it does not exist.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, KeyProblem> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(KeyProblem::system(&self.0, &error)),
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Holds what is called so against other processes.
    ///
    /// # Errors
    /// When another process holds it, or the folder cannot be written to.
    pub fn hold(&self, name: &str) -> Result<Hold, KeyProblem> {
        crate::state::prepare(&self.0, None).map_err(|error| KeyProblem::system(&self.0, &error))?;
        let path = self.file(name);
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(false).mode(PRIVATE_MODE);
        let file = how.open(&path).map_err(|error| KeyProblem::system(&path, &error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Hold(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(KeyProblem::system(&path, &io::ErrorKind::WouldBlock.into()))
            }
            Err((_, error)) => Err(KeyProblem::system(&path, &error.into())),
        }
    }

    /// Replaces a file, or makes it: whoever reads finds the old one or the new one, whole. After this returns
    /// it is durable.
    ///
    /// # Errors
    /// Those of the system; the file that was there stays.
    pub fn write(&self, name: &str, octets: &[u8], mode: u32) -> Result<(), KeyProblem> {
        let (path, new) = (self.file(name), self.file(&format!(".{name}.new")));
        let written = write_new(&new, octets, mode).and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            // What was begun takes room on a disk that may be full.
            let _ = fs::remove_file(&new);
            return Err(KeyProblem::system(&path, &error));
        }
        let synced = File::open(&self.0).and_then(|folder| folder.sync_all());
        synced.map_err(|error| KeyProblem::system(&self.0, &error))
    }
}

/// The octets of a file.
///
/// # Errors
/// Those of the system.
pub fn read(path: &Path) -> Result<Vec<u8>, KeyProblem> {
    let mut octets = Vec::new();
    let read = File::open(path).and_then(|file| file.take(OCTETS_MAX).read_to_end(&mut octets));
    read.map_err(|error| KeyProblem::system(path, &error))?;
    Ok(octets)
}

/// The text of a file.
///
/// # Errors
/// Those of the system, or when it is no text.
pub fn read_text(path: &Path) -> Result<String, KeyProblem> {
    let octets = read(path)?;
    String::from_utf8(octets).map_err(|_| KeyProblem::new(path, "it is no text", "is it a key file at all?"))
}

/// The text of a file that holds a private key, which nobody else may read.
///
/// # Errors
/// Those of the system, and when the file's permissions leave the key open.
pub fn read_secret(path: &Path) -> Result<String, KeyProblem> {
    let about = fs::metadata(path).map_err(|error| KeyProblem::system(path, &error))?;
    let mode = about.mode() & 0o777;
    if mode & FORBIDDEN_MODE != 0 {
        return Err(KeyProblem::new(
            path,
            format!("others may read or change this private key (mode {mode:04o})"),
            format!("chmod 600 {}, and think about who may have read it", path.display()),
        ));
    }
    read_text(path)
}

fn write_new(path: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    // One that a process left behind when it was killed may have another mode.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}
