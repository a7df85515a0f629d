//! What can be wrong with a location file.

use std::fmt;

/// A location file that cannot be used: which, why, and the mend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocationError {
    /// The file as the operator names it.
    pub file: String,
    /// What is wrong, in one line without a full stop.
    pub problem: String,
    /// How to mend it, in one line.
    pub mend: String,
}

impl LocationError {
    /// All three parts.
    pub fn new(file: &str, problem: impl Into<String>, mend: impl Into<String>) -> LocationError {
        LocationError { file: file.to_owned(), problem: problem.into(), mend: mend.into() }
    }
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.file, self.problem, self.mend)
    }
}

impl std::error::Error for LocationError {}
