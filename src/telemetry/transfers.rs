//! What is counted of transfers and of the word that zones have changed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::{Exposition, Kind};

macro_rules! transfer_events {
    ($($(#[$doc:meta])* $name:ident = $family:ident $label:literal;)*) => {
        /// What happens in transfers.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum TransferEvent {
            $($(#[$doc])* $name,)*
        }

        impl TransferEvent {
            /// All of them, in the order of their numbers.
            pub const ALL: &[TransferEvent] = &[$(TransferEvent::$name),*];

            const fn place(self) -> (Family, &'static str) {
                match self {
                    $(TransferEvent::$name => (Family::$family, $label),)*
                }
            }
        }
    };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Transfers,
    Notifies,
}

transfer_events! {
    /// A whole zone was asked for and is sent (AXFR).
    Whole = Transfers "axfr";
    /// Differences were asked for and are sent (IXFR).
    Differences = Transfers "ixfr";
    /// Differences were asked for that are not there: the whole zone is sent.
    WholeInstead = Transfers "ixfr_as_axfr";
    /// Differences were asked for and there are none.
    UpToDate = Transfers "ixfr_up_to_date";
    /// A transfer was allowed and could not begin: SERVFAIL.
    Failed = Transfers "failed";
    /// A transfer that had begun could not go on: the connection was closed.
    Broken = Transfers "broken";
    /// A secondary knows of a new version.
    Notified = Notifies "answered";
    /// A secondary does not answer, or refuses.
    NotifyFailed = Notifies "failed";
}

/// Counters of transfers.
#[derive(Default)]
pub struct TransferCounters {
    events: [AtomicU64; TransferEvent::ALL.len()],
    messages: AtomicU64,
    octets: AtomicU64,
}

impl TransferCounters {
    /// Something happened.
    pub fn happened(&self, event: TransferEvent) {
        if let Some(counter) = self.events.get(event as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A message of so many octets was made.
    pub fn sent(&self, octets: u64) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.octets.fetch_add(octets, Ordering::Relaxed);
    }

    /// How often something happened so far.
    pub fn count(&self, event: TransferEvent) -> u64 {
        self.events.get(event as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    pub(super) fn expose(&self, to: &mut Exposition) {
        to.family("meridian_transfers_total", Kind::Counter, "Transfers to other name servers, by outcome.");
        self.family(Family::Transfers, to);
        to.family("meridian_notifies_total", Kind::Counter, "NOTIFY to other name servers, by outcome.");
        self.family(Family::Notifies, to);
        to.family("meridian_transfer_messages_total", Kind::Counter, "Messages of transfers.");
        to.sample(&[], self.messages.load(Ordering::Relaxed) as f64);
        to.family("meridian_transfer_octets_total", Kind::Counter, "Octets of these messages.");
        to.sample(&[], self.octets.load(Ordering::Relaxed) as f64);
    }

    fn family(&self, family: Family, to: &mut Exposition) {
        let own = TransferEvent::ALL.iter().filter(|event| event.place().0 == family);
        own.for_each(|event| to.sample(&[("outcome", event.place().1)], self.count(*event) as f64));
    }
}
