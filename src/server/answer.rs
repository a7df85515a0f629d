//! From octets to octets for every transport: the one place that calls the responder, counts what came
//! of it, and turns a defect into SERVFAIL.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::draw::Draws;
use crate::dnssec::{OnlineLimits, OnlineSignatures};
use crate::now::Now;
use crate::respond::{Asked, DropReason, Errand, Note, Outcome, Size, respond};
use crate::telemetry::{Event, SAMPLED_ONE_IN, Sample, WorkerCounters};
use crate::transfer::{Changed, Desk, Outgoing};
use crate::view::View;
use crate::wire::{HEADER_OCTETS, Rcode};

/// What a worker needs to answer: where queries come in, its counters, its chance, and where it brings what
/// it cannot answer itself.
pub struct Answerer {
    listener: SocketAddr,
    idle_timeout: Option<Duration>,
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

thread_local! {
    /// Signatures made when asked for: each thread's own, shared by its connections, because an answer is
    /// made without waiting.
    static ONLINE: RefCell<OnlineSignatures> = RefCell::new(online());
}

fn online() -> OnlineSignatures {
    let mut draws = Draws::seeded();
    let secret = (u128::from(draws.draw()) << 64 | u128::from(draws.draw())).to_be_bytes();
    OnlineSignatures::new(OnlineLimits::DEFAULT, secret)
}

impl Answerer {
    /// An answerer for a listen address as it is written in the configuration, that counts here.
    pub fn new(listener: SocketAddr, counters: Arc<WorkerCounters>, desk: Arc<Desk>) -> Answerer {
        Answerer { listener, idle_timeout: None, counters, draws: Draws::seeded(), desk }
    }

    /// The same for a connection that may be idle so long, and whose client may be told so (RFC 7828).
    pub fn idle(self, timeout: Duration) -> Answerer {
        Answerer { idle_timeout: Some(timeout), ..self }
    }

    /// Where it counts.
    pub fn counters(&self) -> &WorkerCounters {
        &self.counters
    }

    /// Writes the reply to one message; returns its length, or `None` for silence. What is answered by a stream
    /// comes from [`Answerer::answer_stream`] alone: `respond` gives none to transports that have none.
    pub fn answer(
        &mut self,
        view: &View,
        now: Now,
        source: SocketAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Option<usize> {
        match self.answer_any(view, now, source, packet, buffer) {
            Answer::Reply(length) => Some(length),
            Answer::Stream(_) | Answer::Silence => None,
        }
    }

    fn answer_any(
        &mut self,
        view: &View,
        now: Now,
        source: SocketAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Answer {
        let asked = Asked {
            source: source.ip(),
            transport: self.counters.transport,
            class: view.snapshot.catalog.classes().of(source.ip(), Some(self.listener)),
            idle_timeout: self.idle_timeout,
        };
        let draw = self.draws.draw();
        let outcome = ONLINE.with_borrow_mut(|online| {
            let earlier = online.counts;
            let outcome = respond(view, &asked, now, draw, packet, buffer, online);
            if online.counts != earlier {
                self.counters.signed(earlier, online.counts);
            }
            outcome
        });
        match outcome {
            Outcome::Reply { length, note } => {
                self.count(view, draw, &note);
                Answer::Reply(length)
            }
            Outcome::Errand(Errand::Notify { length, note, zone, serial }) => {
                self.count(view, draw, &note);
                self.desk.changed(Changed { zone: *zone, serial, from: source.ip() });
                Answer::Reply(length)
            }
            Outcome::Errand(Errand::Transfer { zone, wanted }) => {
                Answer::Stream(Box::new(self.desk.begin(view, packet, zone, wanted, now)))
            }
            Outcome::Drop(reason) => {
                let event = match reason {
                    DropReason::Short | DropReason::Response => Event::NotAQuery,
                    DropReason::NoRoom => Event::NoRoom,
                };
                self.counters.happened(event, 1);
                Answer::Silence
            }
        }
    }

    fn count(&self, view: &View, draw: u64, note: &Note<'_>) {
        self.counters.replied(note.rcode);
        if note.size == Size::Truncated {
            self.counters.truncated();
        }
        self.counters.named(note.counters);
        if let Some(mode) = note.mode {
            self.counters.steered(mode);
        }
        // The lowest bits of a draw are independent of the choice that its value makes.
        if let Some((service, client)) = note.steered
            && draw.is_multiple_of(SAMPLED_ONE_IN)
        {
            self.counters.sample(Sample { generation: view.snapshot.generation, service, client });
        }
    }

    /// The same, with a panic answered by SERVFAIL.
    pub fn answer_guarded(
        &mut self,
        view: &View,
        now: Now,
        source: SocketAddr,
        packet: &[u8],
        buffer: &mut [u8],
    ) -> Option<usize> {
        // What the responder leaves half done is the reply's buffer, and that is written anew.
        let caught = catch_unwind(AssertUnwindSafe(|| self.answer(view, now, source, packet, buffer)));
        caught.unwrap_or_else(|_| self.failed(packet, buffer))
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
        let caught = catch_unwind(AssertUnwindSafe(|| self.answer_any(view, now, source, packet, buffer)));
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
