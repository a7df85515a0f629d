//! From a target to the addresses that are connected to, each of them allowed, and to a connection.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::allowed::is_allowed;
use super::cause;
use super::stopwatch::{Phase, Stopwatch};
use crate::health::{Failure, NotRun, TargetAddress};

/// Name look-ups under way at once. The system's resolver works in threads that no timeout can end, so
/// a look-up holds its place until its thread is back, long after its probe has been given up.
const LOOKUPS_MAX: usize = 32;

/// What all look-ups share.
#[derive(Clone, Debug)]
pub struct Lookups {
    places: Arc<Semaphore>,
    allow_loopback: bool,
}

impl Lookups {
    /// With every place free.
    pub fn new(allow_loopback: bool) -> Lookups {
        Lookups { places: Arc::new(Semaphore::new(LOOKUPS_MAX)), allow_loopback }
    }

    /// Whether an address may be probed.
    pub fn allow(&self, address: IpAddr) -> bool {
        is_allowed(address, self.allow_loopback)
    }
}

/// One target's addresses.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// What is probed.
    pub target: TargetAddress,
    /// On this port.
    pub port: u16,
    /// How long the whole probe may take: several addresses share it.
    pub timeout: Duration,
    /// Shared by all targets.
    pub lookups: Lookups,
}

impl Addresses {
    /// A connection to the first address that takes one. Each gets an equal share of the time, so that a
    /// dead one cannot take that of the others.
    pub async fn connect(&self, stopwatch: &Stopwatch) -> Result<TcpStream, Failure> {
        let mut addresses = self.find().await?.into_iter();
        let mut failure = Failure::NameNotFound;
        while let Some(address) = addresses.next() {
            stopwatch.connecting();
            let connecting = TcpStream::connect(address);
            let left = addresses.len();
            let connected = match left {
                // The probe's own timeout ends this one.
                0 => Ok(connecting.await),
                _ => tokio::time::timeout(self.timeout / (left as u32 + 1), connecting).await,
            };
            match connected {
                Ok(Ok(connection)) => {
                    stopwatch.connected();
                    // What is asked is one small message: nothing is gained by waiting for more.
                    let _ = connection.set_nodelay(true);
                    return Ok(connection);
                }
                Ok(Err(error)) => failure = cause::of(&error, Phase::Connecting),
                Err(_) => failure = Failure::ConnectTimeout,
            }
        }
        Err(failure)
    }

    /// At least one address, all of them allowed.
    pub async fn find(&self) -> Result<Vec<SocketAddr>, Failure> {
        let found = match &self.target {
            TargetAddress::Address(address) => vec![SocketAddr::new(*address, self.port)],
            TargetAddress::Host(host) => self.look_up(host.clone()).await?,
        };
        let allowed: Vec<SocketAddr> =
            found.into_iter().filter(|address| self.lookups.allow(address.ip())).collect();
        if allowed.is_empty() {
            return Err(Failure::NotRun(NotRun::AddressRefused));
        }
        Ok(allowed)
    }

    async fn look_up(&self, host: String) -> Result<Vec<SocketAddr>, Failure> {
        let exhausted = Failure::NotRun(NotRun::Exhausted);
        let place = self.lookups.places.clone().acquire_owned().await.map_err(|_| exhausted)?;
        let port = self.port;
        let look_up = tokio::task::spawn_blocking(move || {
            let _place = place;
            (host, port).to_socket_addrs().map(Vec::from_iter)
        });
        match look_up.await.map_err(|_| exhausted)? {
            Ok(found) if found.is_empty() => Err(Failure::NameNotFound),
            Ok(found) => Ok(found),
            Err(error) if cause::is_exhausted(&error) => Err(exhausted),
            Err(_) => Err(Failure::NameNotFound),
        }
    }
}
