//! The directory itself: made before privileges are dropped, held by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::User;

/// Its owner alone: what is in it decides where traffic goes.
pub(super) const DIRECTORY_MODE: u32 = 0o700;
/// Files likewise.
pub const FILE_MODE: u32 = 0o600;

/// Makes the directory where it does not exist, for `user` if the process is root and will become
/// somebody. Call it before privileges are dropped.
///
/// # Errors
/// When it cannot be made, or is no directory.
pub fn prepare(path: &Path, user: Option<&str>) -> io::Result<()> {
    if !path.exists() {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)?;
        let owner = user.filter(|_| nix::unistd::geteuid().is_root()).map(User::from_name);
        if let Some(Ok(Some(owner))) = owner {
            chown(path, Some(owner.uid.as_raw()), Some(owner.gid.as_raw()))?;
        }
    }
    if path.is_dir() { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory")) }
}

/// A directory, and whether it is ours to write to.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    lock: Option<Flock<File>>,
}

impl Directory {
    /// The directory at a path, not yet held.
    pub fn at(path: PathBuf) -> Directory {
        Directory { path, lock: None }
    }

    /// The name of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Holds it against other processes, for as long as this value lives.
    ///
    /// # Errors
    /// When another process holds it, or the lock file cannot be opened.
    pub fn hold(&mut self) -> io::Result<()> {
        if self.lock.is_some() {
            return Ok(());
        }
        let mut how = OpenOptions::new();
        how.write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = how.open(self.file("lock"))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                self.lock = Some(lock);
                Ok(())
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(io::Error::new(io::ErrorKind::WouldBlock, "another process holds it"))
            }
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Whether it is ours.
    pub fn is_held(&self) -> bool {
        self.lock.is_some()
    }

    /// Makes renames in it last.
    ///
    /// # Errors
    /// Those of the system.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}
