//! TCP probes: a connection is enough.

use tokio::net::TcpStream;

use super::addresses::Addresses;
use super::cause;
use crate::health::{Failure, Timings};

/// A TCP check of one target.
#[derive(Debug)]
pub struct TcpProbe {
    addresses: Addresses,
}

impl TcpProbe {
    /// Connects to these.
    pub fn new(addresses: Addresses) -> TcpProbe {
        TcpProbe { addresses }
    }

    /// Connects, to the first of several addresses that answers, and closes again.
    pub async fn run(&self) -> Result<Timings, Failure> {
        let stopwatch = &self.addresses.stopwatch;
        let mut failure = Failure::NameNotFound;
        for address in self.addresses.find().await? {
            stopwatch.connecting();
            match TcpStream::connect(address).await {
                Ok(_) => {
                    stopwatch.ready();
                    return Ok(stopwatch.timings());
                }
                Err(error) => failure = cause::of(&error, stopwatch.phase()),
            }
        }
        Err(failure)
    }
}
