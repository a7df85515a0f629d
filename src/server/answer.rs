//! From octets to octets for every transport: the one place that calls the responder, counts what came
//! of it, and turns a defect into SERVFAIL.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::draw::Draws;
use crate::dnssec::{OnlineCounts, OnlineLimits, OnlineSignatures};
use crate::limit::Admission;
use crate::now::Now;
use crate::respond::{Asked, DropReason, Errand, Note, Outcome, respond, respond_at_length, respond_shortly};
use crate::telemetry::{Event, SAMPLED_ONE_IN, Sample, WorkerCounters};
use crate::transfer::{Changed, Desk, Outgoing};
use crate::view::View;
use crate::wire::{HEADER_OCTETS, Rcode};
use crate::zone::{ClientClass, ClientClasses};

/// What a worker needs to answer: where queries come in, its counters, its chance, and where it brings what
/// it cannot answer itself.
pub struct Answerer {
    listener: SocketAddr,
    /// Of the query at hand. In place: most of it is the same for all of them.
    asked: Asked,
    counters: Arc<WorkerCounters>,
    draws: Draws,
    desk: Arc<Desk>,
}

/// What is to be sent.
pub enum Answer {
    /// So many octets of the buffer.
    Reply(usize),
    /// A stream of messages, instead of the one that answers everything else.
    Stream(Box<Outgoing>),
    /// Nothing.
    Silence,
}

impl Answer {
    /// The length of the one message, if it is one.
    fn reply(self) -> Option<usize> {
        match self {
            Answer::Reply(length) => Some(length),
            Answer::Stream(_) | Answer::Silence => None,
        }
    }
}

/// Signatures that one thread makes when asked for, and how many of them have been counted.
pub struct Online {
    signatures: OnlineSignatures,
    counted: OnlineCounts,
}

impl Online {
    /// None yet, with a secret of their own.
    pub fn new() -> Online {
        let mut draws = Draws::seeded();
        let secret = (u128::from(draws.draw()) << 64 | u128::from(draws.draw())).to_be_bytes();
        let signatures = OnlineSignatures::new(OnlineLimits::DEFAULT, secret);
        Online { counted: signatures.counts, signatures }
    }

    /// Counts what has come of them since the last time.
    pub fn count(&mut self, counters: &WorkerCounters) {
        if self.signatures.counts != self.counted {
            counters.signed(self.counted, self.signatures.counts);
            self.counted = self.signatures.counts;
        }
    }
}

thread_local! {
    /// For connections: each thread's own, shared by all that it serves, because an answer is made without
    /// waiting.
    static ONLINE: RefCell<Online> = RefCell::new(Online::new());
}

impl Answerer {
    /// An answerer for a listen address as it is written in the configuration, that counts here.
    pub fn new(listener: SocketAddr, counters: Arc<WorkerCounters>, desk: Arc<Desk>) -> Answerer {
        let asked = Asked {
            source: listener.ip(),
            transport: counters.transport,
            class: ClientClass::DEFAULT,
            idle_timeout: None,
            admission: Admission::Within,
        };
        Answerer { listener, asked, counters, draws: Draws::seeded(), desk }
    }

    /// From now on connections may be idle so long, and clients may be told so (RFC 7828).
    pub fn may_be_idle(&mut self, timeout: Duration) {
        self.asked.idle_timeout = Some(timeout);
    }

    /// Where it counts.
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Writes the reply to one datagram; returns its length, or `None` for silence. A panic is the caller's to
    /// catch, and what has come of signatures the caller's to count: both once a batch.
    #[inline(always)]
    pub fn answer(
        &mut self,
        view: &View,
        now: &Now,
        source: IpAddr,
        packet: &[u8],
        buffer: &mut [u8],
        online: &mut Online,
    ) -> Option<usize> {
        let draw = self.draws.draw();
        let admission = match &view.snapshot.responder.protection.limiter {
            Some(limiter) => limiter.admit(source, *now),
            None => Admission::Within,
        };
        self.is_asked(view, source, admission);
        let signatures = &mut online.signatures;
        if let Some((length, note)) =
            respond_shortly(view, &self.asked, now, draw, packet, buffer, signatures)
        {
            self.count(view, draw, &note);
            return Some(length);
        }
        let outcome = respond_at_length(view, &self.asked, now, draw, packet, buffer, signatures);
        // There is no stream for transports that have none.
        self.run(view, (*now, draw), source, packet, outcome).reply()
    }

    /// The same for a message of a connection.
    fn answer_message(
        &mut self,
        view: &View,
        now: Now,
        source: IpAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Answer {
        let draw = self.draws.draw();
        self.is_asked(view, source, Admission::Within);
        let outcome = ONLINE.with_borrow_mut(|online| {
            let outcome = respond(view, &self.asked, now, draw, packet, buffer, &mut online.signatures);
            online.count(&self.counters);
            outcome
        });
        self.run(view, (now, draw), source, packet, outcome)
    }

    #[inline]
    fn is_asked(&mut self, view: &View, source: IpAddr, admission: Admission) {
        self.asked.source = source;
        self.asked.class = self.class(view, &source);
        self.asked.admission = admission;
    }

    /// The class of clients that a source is in. Mostly there are none, and then no query is to pay for them.
    #[inline]
    fn class(&self, view: &View, source: &IpAddr) -> ClientClass {
        let classes = view.snapshot.catalog.classes();
        if classes.is_empty() { ClientClass::DEFAULT } else { self.class_among(classes, source) }
    }

    #[inline(never)]
    fn class_among(&self, classes: &ClientClasses, source: &IpAddr) -> ClientClass {
        classes.of(*source, Some(self.listener))
    }

    /// Does what is left to be done for an outcome.
    fn run(
        &mut self,
        view: &View,
        (now, draw): (Now, u64),
        source: IpAddr,
        packet: &[u8],
        outcome: Outcome<'_>,
    ) -> Answer {
        match outcome {
            Outcome::Reply { length, note } => {
                self.count(view, draw, &note);
                Answer::Reply(length)
            }
            Outcome::Errand(Errand::Notify { length, note, zone, serial }) => {
                self.count(view, draw, &note);
                self.desk.changed(Changed { zone: *zone, serial, from: source });
                Answer::Reply(length)
            }
            Outcome::Errand(Errand::Transfer { zone, wanted }) => {
                Answer::Stream(Box::new(self.desk.begin(view, packet, zone, wanted, now)))
            }
            Outcome::Drop(reason) => {
                let event = match reason {
                    DropReason::Short | DropReason::Response => Event::NotAQuery,
                    DropReason::NoRoom => Event::NoRoom,
                    DropReason::Limited => Event::Limited,
                };
                self.counters.happened(event, 1);
                Answer::Silence
            }
        }
    }

    #[inline(always)]
    fn count(&self, view: &View, draw: u64, note: &Note<'_>) {
        self.counters.answered(note);
        // The lowest bits of a draw are independent of the choice that its value makes.
        if let Some((service, client)) = note.steered
            && draw.is_multiple_of(SAMPLED_ONE_IN)
        {
            self.counters.sample(Sample { generation: view.snapshot.generation, service, client });
        }
    }

    /// Writes the reply to one message of a connection that knows no streams; returns its length, or `None` for
    /// silence. A panic is answered by SERVFAIL.
    pub fn answer_guarded(
        &mut self,
        view: &View,
        now: Now,
        source: SocketAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Option<usize> {
        self.answer_stream(view, now, source, packet, buffer).reply()
    }

    /// The same for transports in which a message may be answered by many.
    pub fn answer_stream(
        &mut self,
        view: &View,
        now: Now,
        source: SocketAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Answer {
        // What the responder leaves half done is the reply's buffer, and that is written anew.
        let caught =
            catch_unwind(AssertUnwindSafe(|| self.answer_message(view, now, source.ip(), packet, buffer)));
        caught.unwrap_or_else(|_| self.failed(packet, buffer).map_or(Answer::Silence, Answer::Reply))
    }

    /// Counts a panic and writes the reply that stands for it.
    pub fn failed(&mut self, packet: &[u8], buffer: &mut [u8]) -> Option<usize> {
        self.counters.panicked();
        let length = servfail(packet, buffer)?;
        self.counters.replied(Rcode::ServFail);
        Some(length)
    }
}

/// A bare SERVFAIL for a query: its ID, opcode and RD, and nothing else. `None` for what is no query.
fn servfail(packet: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let [id_high, id_low, flags, ..] = *packet.get(..HEADER_OCTETS)? else { return None };
    let is_response = flags & 0x80 != 0;
    let header = buffer.get_mut(..HEADER_OCTETS)?;
    if is_response {
        return None;
    }
    header.fill(0);
    header.copy_from_slice(&[
        id_high,
        id_low,
        0x80 | flags & 0x79,
        Rcode::ServFail.number() as u8,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]);
    Some(HEADER_OCTETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servfail_echoes_id_opcode_and_rd_and_never_answers_a_response() {
        let mut buffer = [0xff; 64];
        let check = |packet: &[u8], expected: Option<&[u8]>, buffer: &mut [u8]| {
            let length = servfail(packet, buffer);
            assert_eq!(length.and_then(|length| buffer.get(..length)), expected);
        };
        let query = [7, 8, 0x23, 0xff, 0, 1, 0, 2, 0, 3, 0, 4, 9, 9];
        check(&query, Some(&[7, 8, 0xa1, 2, 0, 0, 0, 0, 0, 0, 0, 0]), &mut buffer);
        check(&[7, 8, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0], None, &mut buffer);
        check(&[7, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0], None, &mut buffer);
    }
}
