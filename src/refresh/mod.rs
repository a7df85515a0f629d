//! The primaries' side of secondary zones: asks for serials, fetches zones, and keeps what came on disk.
//!
//! When to ask whom is `secondary`'s to say and the supervisor's to order; an [`Order`] goes in, a
//! [`Report`] comes out. What is reported has been judged already: it can be put in force as it is.

mod check;
mod connection;
mod seal;
mod store;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::compile::secondary::{Laid, Recipe};
use crate::config::Primary;
use crate::secondary::ZoneData;
use crate::tsig::Key;

pub use check::Failure;
pub use store::{Loaded, Store};

/// Primaries that are asked at once: one that does not answer holds its place for ten seconds.
const AT_ONCE_MAX: usize = 256;
/// Zones that are fetched at once: each is in memory as it comes.
const FETCHES_MAX: usize = 16;
/// Reports waiting for the supervisor; beyond that, who has one waits.
pub const REPORTS_WAITING_MAX: usize = 64;

/// "Ask this primary whether it has something newer, and fetch it."
pub struct Order {
    /// The supervisor's number for it.
    pub number: u64,
    /// The zone, and how it is made.
    pub recipe: Arc<Recipe>,
    /// Whom to ask.
    pub primary: Primary,
    /// The key that its configuration names.
    pub key: Option<Arc<Key>>,
    /// What is here.
    pub data: Option<Arc<ZoneData>>,
    /// Fetch all of it, whatever its serial.
    pub force: bool,
    /// For the numbers of messages.
    pub draw: u64,
}

/// What came of an order.
pub struct Report {
    /// The order's number.
    pub number: u64,
    /// The zone and how it was made.
    pub recipe: Arc<Recipe>,
    /// Who was asked.
    pub primary: Primary,
    /// What came.
    pub found: Result<Found, Failure>,
}

/// What a primary had.
pub enum Found {
    /// The same.
    Same,
    /// Something older: this serial.
    Behind(u32),
    /// Something newer.
    Newer(Box<Fresh>),
}

/// A zone as it was fetched.
pub struct Fresh {
    /// The data.
    pub data: Arc<ZoneData>,
    /// The zone made of them.
    pub laid: Laid,
    /// In what way it came.
    pub way: Way,
    /// What it took.
    pub took: Duration,
    /// Why it is not on disk; `None`: it is, or there is no disk to be on.
    pub not_stored: Option<String>,
}

/// In what way a zone came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// Whole (AXFR, or IXFR answered with it).
    Whole,
    /// In so many steps (IXFR).
    Steps(usize),
    /// Whole, because what came as IXFR was of no use.
    WholeInstead(String),
}

/// Runs orders. Clones are the same refresher.
#[derive(Clone)]
pub struct Refresher {
    runtime: Handle,
    places: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
    reports: mpsc::Sender<Report>,
    store: Option<Store>,
}

impl Refresher {
    /// A refresher on this runtime that keeps what comes here.
    pub fn new(runtime: Handle, store: Option<Store>, reports: mpsc::Sender<Report>) -> Refresher {
        let (places, fetches) = (Semaphore::new(AT_ONCE_MAX), Semaphore::new(FETCHES_MAX));
        Refresher { runtime, places: Arc::new(places), fetches: Arc::new(fetches), reports, store }
    }

    /// Where it keeps what comes.
    pub fn store(&self) -> Option<&Store> {
        self.store.as_ref()
    }

    /// Begins; the report comes on the channel.
    pub fn start(&self, order: Order) {
        let (places, fetches) = (self.places.clone(), self.fetches.clone());
        let (reports, store) = (self.reports.clone(), self.store.clone());
        self.runtime.spawn(async move {
            let Ok(place) = places.acquire_owned().await else { return };
            let (number, recipe, primary) = (order.number, order.recipe.clone(), order.primary.clone());
            let found = check::check(order, store, &fetches, Instant::now()).await;
            drop(place);
            // Fails only when the supervisor is gone.
            let _ = reports.send(Report { number, recipe, primary, found }).await;
        });
    }
}
