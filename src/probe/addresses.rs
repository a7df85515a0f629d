//! From a target to the addresses that are connected to, each of them allowed.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::allowed::is_allowed;
use super::cause;
use super::stopwatch::Stopwatch;
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

/// One target's addresses. As reqwest's resolver it gives them for whatever name stands in the URL.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// What is probed.
    pub target: TargetAddress,
    /// On this port.
    pub port: u16,
    /// Shared by all targets.
    pub lookups: Lookups,
    /// Told where name resolution ends and connecting begins.
    pub stopwatch: Arc<Stopwatch>,
}

impl Addresses {
    /// At least one address, all of them allowed.
    pub async fn find(&self) -> Result<Vec<SocketAddr>, Failure> {
        self.stopwatch.resolving();
        let found = match &self.target {
            TargetAddress::Address(address) => vec![SocketAddr::new(*address, self.port)],
            TargetAddress::Host(host) => self.look_up(host.clone()).await?,
        };
        let allowed: Vec<SocketAddr> =
            found.into_iter().filter(|address| self.lookups.allow(address.ip())).collect();
        if allowed.is_empty() {
            return Err(Failure::NotRun(NotRun::AddressRefused));
        }
        self.stopwatch.connecting();
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

impl Resolve for Addresses {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses = self.clone();
        Box::pin(async move {
            let found = addresses.find().await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
