//! Where `server` brings what a view alone cannot answer, and the daemon what has changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use super::journal::{self, Holding, Holdings, Identity, News, Serial};
use super::notify;
use super::outgoing::{Order, Outgoing};
use crate::dnssec::Signed;
use crate::ids::ZoneId;
use crate::now::Now;
use crate::respond::Wanted;
use crate::telemetry::Telemetry;
use crate::view::{Snapshot, View};
use crate::wire::Name;

/// News of zones elsewhere that wait to be looked at; what comes beyond is dropped, and comes again: who sends
/// NOTIFY sends it until it is answered, and every secondary asks by itself in time.
const CHANGES_WAITING_MAX: usize = 1024;
/// Transfers at once. Each keeps up to a message of 64 KiB and a version of its zone in memory.
const TRANSFERS_MAX: usize = 32;
/// NOTIFY messages that wait for their answer at once.
const NOTIFIES_MAX: usize = 64;

/// One who is believed says that a zone elsewhere has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The zone's origin.
    pub zone: Name,
    /// Its new serial, if it was said.
    pub serial: Option<u32>,
    /// Who says so.
    pub from: IpAddr,
}

/// What versions of zones are made from. Kept, so that none of it is mistaken for what has its place in memory.
struct Seen {
    snapshot: Arc<Snapshot>,
    signed: Vec<Option<Arc<Signed>>>,
}

impl Seen {
    fn in_view(view: &View) -> Seen {
        let zones = view.snapshot.catalog.zones().len() as u32;
        let signed = (0..zones).map(|zone| view.signed(ZoneId(zone)).cloned()).collect();
        Seen { snapshot: view.snapshot.clone(), signed }
    }

    fn is(&self, other: &Seen) -> bool {
        let same = |(own, other): (&Option<Arc<Signed>>, &Option<Arc<Signed>>)| match (own, other) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        Arc::ptr_eq(&self.snapshot, &other.snapshot) && self.signed.iter().zip(&other.signed).all(same)
    }
}

/// Takes errands from every thread of the server.
pub struct Desk {
    changes: mpsc::Sender<Changed>,
    holdings: ArcSwap<Holdings>,
    /// What they were made from: while that stays, they do.
    seen: Mutex<Option<Seen>>,
    turns: Arc<Semaphore>,
    notifies: Arc<Semaphore>,
    /// Who is being told of the last version of each zone.
    telling: Mutex<HashMap<Identity, AbortHandle>>,
    telemetry: Arc<Telemetry>,
}

impl Desk {
    /// A desk, and where the news that come to it are to be had.
    pub fn new(telemetry: Arc<Telemetry>) -> (Arc<Desk>, mpsc::Receiver<Changed>) {
        let (changes, received) = mpsc::channel(CHANGES_WAITING_MAX);
        let desk = Desk {
            changes,
            holdings: ArcSwap::default(),
            seen: Mutex::default(),
            turns: Arc::new(Semaphore::new(TRANSFERS_MAX)),
            notifies: Arc::new(Semaphore::new(NOTIFIES_MAX)),
            telling: Mutex::default(),
            telemetry,
        };
        (Arc::new(desk), received)
    }

    /// Passes news on; never waits.
    pub fn changed(&self, changed: Changed) {
        // Full, or nobody is interested.
        let _ = self.changes.try_send(changed);
    }

    /// Begins to send a zone to one who may have it. `message` is the query.
    pub fn begin(&self, view: &View, message: &[u8], zone: ZoneId, wanted: Wanted, now: Now) -> Outgoing {
        let identity = journal::identity(view, zone).map(|(identity, _)| identity);
        let holding = identity.and_then(|identity| self.holdings.load().get(&identity).cloned());
        let settings = &view.snapshot.responder;
        let origin = view.snapshot.catalog.zone(zone).map_or(view_root(), |zone| *zone.origin());
        let order = Order {
            query: message,
            origin,
            holding,
            wanted,
            keys: &settings.peers.keys,
            payload_octets: settings.udp_payload_max,
            now,
        };
        Outgoing::new(order, &self.turns, &self.telemetry)
    }

    /// Takes over what a view has that others may take, keeps the steps to it, and tells them. Gives what is wrong,
    /// a line each. Compares whole zones: not for a thread that others wait for. Call it inside the runtime.
    pub fn published(self: &Arc<Desk>, view: &View) -> Vec<String> {
        let seen = Seen::in_view(view);
        {
            let mut before = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if before.as_ref().is_some_and(|before| before.is(&seen)) {
                return Vec::new();
            }
            *before = Some(seen);
        }
        let (holdings, news) = journal::succeed(&self.holdings.load(), view);
        self.forget(&holdings);
        self.holdings.store(Arc::new(holdings));
        let mut remarks = Vec::new();
        for news in news {
            if news.serial == Serial::Stayed {
                remarks.push(news.in_words());
            }
            self.tell(news);
        }
        remarks
    }

    /// The version of a zone that is sent, by class and origin.
    pub fn holding(&self, class: &str, origin: &Name) -> Option<Arc<Holding>> {
        self.holdings.load().get(&(class.into(), origin.octets().into())).cloned()
    }

    /// Tells everybody of a new version, and nobody any longer of the one before.
    fn tell(self: &Arc<Desk>, news: News) {
        if news.targets.is_empty() {
            return;
        }
        let identity = news.identity.clone();
        let telling = tokio::spawn(notify::tell(news, self.notifies.clone(), self.telemetry.clone()));
        let mut all = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = all.insert(identity, telling.abort_handle()) {
            earlier.abort();
        }
    }

    /// Stops telling of zones that are not there any more.
    fn forget(&self, holdings: &Holdings) {
        let mut all = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|identity, telling| {
            let stays = holdings.contains_key(identity);
            if !stays {
                telling.abort();
            }
            stays
        });
    }
}

/// The root, for a zone that is not there.
fn view_root() -> Name {
    Name::from_wire(&[0]).unwrap_or_else(|| unreachable!("the root is a name"))
}
