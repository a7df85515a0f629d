//! Where `server` brings what a view alone cannot answer.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::ids::ZoneId;
use crate::now::Now;
use crate::respond::Wanted;
use crate::view::View;
use crate::wire::Name;

/// News of zones elsewhere that wait to be looked at; what comes beyond is dropped, and comes again: who sends
/// NOTIFY sends it until it is answered, and every secondary asks by itself in time.
const CHANGES_WAITING_MAX: usize = 1024;

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

/// Takes errands from every thread of the server.
pub struct Desk {
    changes: mpsc::Sender<Changed>,
}

impl Desk {
    /// A desk, and where the news that come to it are to be had.
    pub fn new() -> (Arc<Desk>, mpsc::Receiver<Changed>) {
        let (changes, received) = mpsc::channel(CHANGES_WAITING_MAX);
        (Arc::new(Desk { changes }), received)
    }

    /// Passes news on; never waits.
    pub fn changed(&self, changed: Changed) {
        // Full, or nobody is interested.
        let _ = self.changes.try_send(changed);
    }

    /// Begins to send a zone to one who may have it. `message` is the query.
    pub fn begin(&self, _view: &View, message: &[u8], _zone: ZoneId, _wanted: Wanted) -> Outgoing {
        Outgoing { message: message.to_vec() }
    }
}

/// A transfer under way.
pub struct Outgoing {
    message: Vec<u8>,
}

/// What became of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A message was added, and more follow.
    More,
    /// The last message was added.
    Done,
    /// It cannot go on: the connection has to be closed, so that nobody takes a part for the whole.
    Broken,
}

impl Outgoing {
    /// Adds the next message, its length in front, to what is to be sent.
    pub fn next(&mut self, _now: Now, _unsent: &mut Vec<u8>) -> Progress {
        self.message.clear();
        Progress::Broken
    }
}
