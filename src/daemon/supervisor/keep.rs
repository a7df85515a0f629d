//! What the next process is to know (T2): taken down when operators change something, and from time to
//! time.

use std::time::Duration;

use super::Supervisor;
use crate::now::Now;
use crate::state::{Durable, Kept};

/// Health counters and latencies change all the time: a crash loses this much of them.
const KEEP_INTERVAL: Duration = Duration::from_secs(30);

/// When to write next.
#[derive(Debug)]
pub(super) struct Keeping {
    due: Duration,
    /// Something has happened that must not wait.
    urgent: bool,
}

impl Keeping {
    /// From a start on: what was restored is written again at once, with what has become of it.
    pub fn since(now: Now) -> Keeping {
        Keeping { due: now.monotonic, urgent: false }
    }

    /// Something has happened that must not wait.
    pub fn hurry(&mut self) {
        self.urgent = true;
    }
}

impl Supervisor {
    /// Has the state written if it is time.
    pub(super) fn keep_if_due(&mut self, now: Now) {
        if self.keeper.is_durable() && (self.keeping.urgent || now.monotonic >= self.keeping.due) {
            self.keep(now, None::<fn(Durable)>);
        }
    }

    /// Has the state written; `told` hears what came of it.
    pub(super) fn keep(&mut self, now: Now, told: Option<impl FnOnce(Durable) + Send + 'static>) {
        self.keeping = Keeping { due: now.monotonic.saturating_add(KEEP_INTERVAL), urgent: false };
        let left = self.board.remember(now);
        self.keeper.keep(move || Kept::of(&left), told);
    }
}
