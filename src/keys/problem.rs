//! What is wrong with a key or its file, and what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong, with which file, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyProblem {
    /// The file or folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub mend: String,
}

impl KeyProblem {
    /// Of a file.
    pub fn new(file: &Path, problem: impl Into<String>, mend: impl Into<String>) -> KeyProblem {
        KeyProblem { file: file.to_owned(), problem: problem.into(), mend: mend.into() }
    }

    /// What the system says of a file.
    pub fn system(file: &Path, error: &io::Error) -> KeyProblem {
        let (problem, mend) = match error.kind() {
            io::ErrorKind::NotFound => {
                ("it is not there", "put it back from a backup, or name another folder: `key_folder`")
            }
            io::ErrorKind::PermissionDenied => (
                "permission denied",
                "the key folder and the files in it must belong to the user that the server runs as",
            ),
            io::ErrorKind::WouldBlock => {
                ("another process holds it", "a server is running on these keys: ask it, or stop it")
            }
            _ => return KeyProblem::new(file, error.to_string(), "see to the disk and its permissions"),
        };
        KeyProblem::new(file, problem, mend)
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.file.display(), self.problem, self.mend)
    }
}

impl std::error::Error for KeyProblem {}
