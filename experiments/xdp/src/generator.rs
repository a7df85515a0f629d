//! The load: a closed loop of queries over several sockets, every reply compared octet by octet with the one that
//! meridian's responder composes.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use crate::Result;
use crate::datagrams::{Datagrams, wait_for_any};
use crate::world::{CLIENT, Exchange, PORT, SERVER};

/// Sockets: as many sources.
const FLOWS: usize = 8;
/// Queries in flight on each.
const WINDOW: usize = 16;
/// A query that is not answered for so long is lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
const WAIT_MS_MAX: i32 = 5;

/// How replies are judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judged {
    /// They are the expected one.
    Whole,
    /// Only their number counts: a reflector is no name server.
    Number,
}

/// What came of a stretch of load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Right replies.
    pub answered: u64,
    /// Replies that were not right.
    pub wrong: u64,
    /// Queries without a reply.
    pub lost: u64,
}

struct Flow {
    socket: UdpSocket,
    /// The number of the query in each place, 0 where there is none, which query it is, and since when.
    places: [(u16, usize, Instant); WINDOW],
    turn: u16,
}

/// A client with its sockets, in the network namespace of the thread that made it.
pub struct Generator<'q> {
    flows: Vec<Flow>,
    sockets: Vec<UdpSocket>,
    queries: Vec<Vec<u8>>,
    exchanges: &'q [Exchange],
    next: usize,
    datagrams: Datagrams,
}

impl<'q> Generator<'q> {
    /// Sockets connected to the server.
    pub fn new(exchanges: &'q [Exchange]) -> Result<Generator<'q>> {
        let (mut flows, mut sockets) = (Vec::new(), Vec::new());
        for _ in 0..FLOWS {
            let socket = UdpSocket::bind((CLIENT, 0))?;
            socket.connect((SERVER, PORT))?;
            sockets.push(socket.try_clone()?);
            flows.push(Flow { socket, places: [(0, 0, Instant::now()); WINDOW], turn: 0 });
        }
        let queries = exchanges.iter().map(|exchange| exchange.query.clone()).collect();
        Ok(Generator { flows, sockets, queries, exchanges, next: 0, datagrams: Datagrams::new(WINDOW) })
    }

    /// Keeps the windows full for so long, then waits for what is in flight.
    pub fn run(&mut self, duration: Duration, judged: Judged) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        loop {
            let now = Instant::now();
            let ending = now - start >= duration;
            let (mut moved, mut in_flight) = (0, 0);
            for index in 0..FLOWS {
                moved += self.receive(index, judged, &mut outcome)?;
                if !ending {
                    moved += self.send(index, now)?;
                }
                in_flight += self.give_up(index, now, &mut outcome);
            }
            if ending && in_flight == 0 {
                return Ok(outcome);
            }
            if moved == 0 {
                wait_for_any(&self.sockets, WAIT_MS_MAX);
            }
        }
    }

    fn receive(&mut self, index: usize, judged: Judged, outcome: &mut Outcome) -> Result<usize> {
        let flow = &mut self.flows[index];
        let received = self.datagrams.receive(&flow.socket)?;
        for reply in self.datagrams.datagrams() {
            let number = reply.first_chunk().map_or(0, |number| u16::from_be_bytes(*number));
            let place = &mut flow.places[usize::from(number) % WINDOW];
            let is_asked = number != 0 && place.0 == number;
            let expected = &self.exchanges[place.1].reply;
            // Compared in either case, so that the generator's own pace is alike.
            let is_right = reply.get(2..) == expected.get(2..) || judged == Judged::Number;
            if is_asked {
                place.0 = 0;
            }
            if is_asked && is_right {
                outcome.answered += 1;
            } else {
                outcome.wrong += 1;
            }
        }
        Ok(received)
    }

    fn send(&mut self, index: usize, now: Instant) -> Result<usize> {
        let Generator { flows, queries, next, datagrams, .. } = self;
        let flow = &mut flows[index];
        flow.turn = if flow.turn >= u16::MAX / WINDOW as u16 - 1 { 1 } else { flow.turn + 1 };
        let (mut picked, mut count) = ([(0, 0); WINDOW], 0);
        for (position, place) in flow.places.iter_mut().enumerate().filter(|(_, place)| place.0 == 0) {
            *place = (flow.turn * WINDOW as u16 + position as u16, *next, now);
            if let Some(octets) = queries[*next].first_chunk_mut() {
                *octets = place.0.to_be_bytes();
            }
            picked[count] = (position, *next);
            count += 1;
            *next = (*next + 1) % queries.len();
        }
        if count == 0 {
            return Ok(0);
        }
        let picked = &picked[..count];
        let sent = datagrams.send(&flow.socket, picked.iter().map(|(_, query)| &*queries[*query]))?;
        for (position, _) in &picked[sent..] {
            flow.places[*position].0 = 0;
        }
        Ok(sent)
    }

    /// Counts what is lost; returns how many queries are in flight.
    fn give_up(&mut self, index: usize, now: Instant, outcome: &mut Outcome) -> usize {
        let mut in_flight = 0;
        for place in self.flows[index].places.iter_mut().filter(|place| place.0 != 0) {
            if now.saturating_duration_since(place.2) > LOST_AFTER {
                place.0 = 0;
                outcome.lost += 1;
            } else {
                in_flight += 1;
            }
        }
        in_flight
    }
}
