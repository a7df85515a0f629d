//! TCP probes: a connection, and perhaps a short exchange.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::addresses::Addresses;
use super::body::contains;
use super::cause;
use super::stopwatch::{Phase, Stopwatch};
use crate::health::{Failure, TcpCheck};

/// So much of an answer is looked at: greetings are lines.
const ANSWER_OCTETS_MAX: usize = 4 * 1024;

/// A TCP check of one target.
#[derive(Debug)]
pub struct TcpProbe {
    addresses: Addresses,
    check: TcpCheck,
}

impl TcpProbe {
    /// Connects to these.
    pub fn new(check: &TcpCheck, addresses: Addresses) -> TcpProbe {
        TcpProbe { addresses, check: check.clone() }
    }

    /// Connects, says and hears what the check asks for, and closes again.
    pub async fn run(&self, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let mut connection = self.addresses.connect(stopwatch).await?;
        if self.check.send.is_none() && self.check.expect.is_none() {
            return Ok(());
        }
        stopwatch.asking();
        if let Some(text) = &self.check.send {
            let sent = connection.write_all(text.as_bytes()).await;
            sent.map_err(|error| cause::of(&error, Phase::Asking))?;
        }
        match &self.check.expect {
            Some(text) => hear(connection, text.as_bytes(), stopwatch).await,
            None => Ok(()),
        }
    }
}

/// Reads until the text is there.
async fn hear(mut connection: TcpStream, text: &[u8], stopwatch: &Stopwatch) -> Result<(), Failure> {
    let mut heard = vec![0; ANSWER_OCTETS_MAX];
    let mut length = 0;
    loop {
        let room = heard.get_mut(length..).unwrap_or_default();
        if room.is_empty() {
            return Err(Failure::AnswerLacksText);
        }
        let read = connection.read(room).await.map_err(|error| cause::of(&error, Phase::Asking))?;
        match (read, length) {
            (0, 0) => return Err(Failure::Closed),
            (0, _) => return Err(Failure::AnswerLacksText),
            (_, 0) => stopwatch.head(),
            _ => {}
        }
        // A text can lie across two pieces.
        let from = length.saturating_sub(text.len());
        length += read;
        if contains(heard.get(from..length).unwrap_or_default(), text) {
            return Ok(());
        }
    }
}
