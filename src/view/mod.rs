//! The frozen whole that the query path reads (pure): a snapshot and its health table.

use std::sync::Arc;

use crate::health::HealthTable;
use crate::ids::ServiceId;
use crate::steer::{Client, Selection, Wanted};
use crate::zone::Catalog;

/// One compiled generation of zones, geography and services. Immutable.
pub struct Snapshot {
    /// Goes up by one with each snapshot published by this process.
    pub generation: u64,
    /// The zones.
    pub catalog: Catalog,
    /// What `respond` needs to know of the server.
    pub responder: ResponderSettings,
}

/// Server-wide settings of answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResponderSettings {
    /// The largest UDP answer and the size announced in OPT, in octets.
    pub udp_payload_max: u16,
    /// RFC 5001; `None`: not answered.
    pub nsid: Option<Box<[u8]>>,
}

/// {snapshot, health table}: the only thing that the query path reads.
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The states that the decisions of this view follow from.
    pub health: HealthTable,
}

impl View {
    /// A service's answer to a client: a look-up in tables made when the view was. `draw` is uniform
    /// over u64. Allocates nothing.
    pub fn steer(&self, service: ServiceId, wanted: Wanted, client: &Client, draw: u64) -> Selection<'_> {
        let _ = (service, wanted, client, draw);
        Selection { answer: crate::steer::Answer::NoData, ttl_s: 0, scope: 0, counters: &[] }
    }

    /// Whether a service answers CNAME for every type (R14).
    pub fn is_alias(&self, service: ServiceId) -> bool {
        let _ = service;
        false
    }
}
