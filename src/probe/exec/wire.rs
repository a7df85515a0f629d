//! What the server and its helper say to each other: JSON, one line each.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// "Run this."
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// To hand back.
    pub number: u64,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// `MERIDIAN_ADDRESS`
    pub address: String,
    /// `MERIDIAN_ENDPOINT`
    pub endpoint: String,
    /// `MERIDIAN_TIMEOUT_MS`; then it is killed.
    pub timeout_ms: u64,
}

/// "That is what it came to."
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// The order's.
    pub number: u64,
    /// How.
    pub end: End,
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum End {
    /// By itself, with a status.
    Exit(u8),
    /// By a signal that was not ours.
    Signal(u8),
    /// It was killed, its time had run out.
    Timeout,
    /// It was killed, it wrote too much.
    OutputTooLarge,
    /// It cannot be started.
    NoCommand,
    /// There is no room for another process.
    Exhausted,
}

/// A message with its newline.
pub fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
