//! What goes into the board and what comes out: orders, observations, transitions.

use std::net::IpAddr;
use std::time::Duration;

use super::feed::Reading;
use super::{Failure, Notice, Verdict};
use crate::ids::TargetId;
use crate::now::Now;

/// Where an observation was made. One node, one vantage; more come with sharing between nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Vantage(pub u16);

impl Vantage {
    /// This node.
    pub const LOCAL: Vantage = Vantage(0);
}

/// One probe's number. It outlives a reload, so an outcome never lands on whoever has the target's
/// number now.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// "Probe this target now": to be answered by one [`Observation`] with the same ticket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeOrder {
    /// What to probe, as numbered when the order was given.
    pub target: TargetId,
    /// To hand back.
    pub ticket: Ticket,
}

/// How long a successful probe took.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timings {
    /// The TCP handshake: one round trip.
    pub connect: Duration,
    /// The TLS handshake; `None` without TLS.
    pub tls: Option<Duration>,
    /// From the request sent on the standing connection (after TLS) to the head of the answer: one
    /// round trip and the server's own time. `None` where nothing is asked (tcp).
    pub first_byte: Option<Duration>,
    /// From start to verdict, name resolution and TLS included.
    pub total: Duration,
}

/// One probe's outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The order it answers.
    pub ticket: Ticket,
    /// Who saw it.
    pub vantage: Vantage,
    /// What was seen.
    pub outcome: Result<Timings, Failure>,
    /// Until when the certificate is valid that the server showed, as time since the Unix epoch. Also
    /// of probes that failed later; `None` where none was seen.
    pub certificate_until: Option<Duration>,
    /// What a feed's page said; `None` of every other check, and of a page that could not be read.
    pub reading: Option<Reading>,
    /// The addresses that a host name has, of a look-up that succeeded; empty of every other check.
    pub resolved: Box<[IpAddr]>,
}

impl Observation {
    /// This node's answer to an order.
    pub fn local(order: ProbeOrder, outcome: Result<Timings, Failure>) -> Observation {
        Observation {
            ticket: order.ticket,
            vantage: Vantage::LOCAL,
            outcome,
            certificate_until: None,
            reading: None,
            resolved: Box::new([]),
        }
    }
}

/// A change of verdict: one log line, one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// Whose.
    pub target: TargetId,
    /// What people read.
    pub label: String,
    /// Before.
    pub from: Verdict,
    /// After.
    pub to: Verdict,
    /// Why, in one line: `3 failures counted: connect refused`.
    pub cause: String,
    /// When.
    pub at: Now,
}

/// Something to tell: one log line each, and some of them a line in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A target's verdict has changed.
    Transition(Transition),
    /// Anything else.
    Notice(Box<Notice>),
}
