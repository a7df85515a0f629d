//! The load: a closed loop of queries over several sockets, each answer checked.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::Result;
use crate::packet::Queries;
use crate::socket::{Inbox, Outbox, Wait, wait_for_any};

/// Sockets: the server sees that many sources.
const FLOWS: usize = 8;
/// Queries in flight on each. In total fewer than fill a server's socket buffer of the kernel's default
/// size (some 270 datagrams), so that nothing is lost and no server gains by a larger buffer.
const WINDOW: usize = 16;
/// A query that is not answered for this long is lost, and its place is used again. Longer than a busy
/// machine keeps a process waiting, and than an instrument stops one when it is switched on.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// The longest sleep when nothing has arrived.
const WAIT_MS_MAX: i32 = 5;

/// What came of a stretch of load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Right answers.
    pub answered: u64,
    /// Queries without an answer.
    pub lost: u64,
    /// Answers that were not right.
    pub wrong: u64,
    /// What was wrong with the last of those.
    pub fault: Option<&'static str>,
    /// How long it took.
    pub elapsed: Duration,
}

/// How replies are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// As DNS answers.
    Answer,
    /// Only for their number: a reflector is no DNS server.
    Echo,
}

/// A query in flight.
#[derive(Clone, Copy)]
struct Slot {
    /// 0: none.
    id: u16,
    query: usize,
    asked: Instant,
}

struct Flow {
    slots: [Slot; WINDOW],
    /// The upper part of the next id.
    turn: u16,
}

/// A generator with its sockets.
pub struct Generator<'q> {
    sockets: Vec<UdpSocket>,
    flows: Vec<Flow>,
    queries: &'q mut Queries,
    next: usize,
    inbox: Inbox,
    outbox: Outbox,
    checked: Checked,
}

impl<'q> Generator<'q> {
    /// Sockets connected to the server.
    pub fn new(server: SocketAddr, queries: &'q mut Queries, checked: Checked) -> Result<Generator<'q>> {
        let sockets = (0..FLOWS).map(|_| connected(server)).collect::<Result<Vec<_>>>()?;
        let empty = Slot { id: 0, query: 0, asked: Instant::now() };
        let flow = || Flow { slots: [empty; WINDOW], turn: 1 };
        Ok(Generator {
            sockets,
            flows: std::iter::repeat_with(flow).take(FLOWS).collect(),
            queries,
            next: 0,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            checked,
        })
    }

    /// Keeps the windows full for this long; what is in flight at the end goes on into the next call.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        while start.elapsed() < duration {
            let mut moved = 0;
            for flow in 0..FLOWS {
                moved += self.receive(flow, &mut outcome, &mut |_, _| {})?;
                moved += self.send(flow, &mut outcome)?;
            }
            if moved == 0 {
                wait_for_any(&self.sockets, WAIT_MS_MAX);
            }
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    /// Asks at least `count` queries and waits for the answers, which `seen` gets with the query's index.
    pub fn ask(&mut self, count: usize, mut seen: impl FnMut(usize, Ipv4Addr)) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let done = |outcome: &Outcome| outcome.answered + outcome.lost + outcome.wrong;
        while done(&outcome) < count as u64 {
            let mut moved = 0;
            for flow in 0..FLOWS {
                moved += self.receive(flow, &mut outcome, &mut seen)?;
                let asked = done(&outcome) as usize + self.in_flight();
                if asked < count {
                    moved += self.send(flow, &mut outcome)?;
                }
            }
            if moved == 0 {
                let now = Instant::now();
                self.flows.iter_mut().for_each(|flow| give_up(flow, now, &mut outcome));
                wait_for_any(&self.sockets, WAIT_MS_MAX);
            }
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    fn in_flight(&self) -> usize {
        self.flows.iter().flat_map(|flow| &flow.slots).filter(|slot| slot.id != 0).count()
    }

    fn receive(
        &mut self,
        flow: usize,
        outcome: &mut Outcome,
        seen: &mut impl FnMut(usize, Ipv4Addr),
    ) -> Result<usize> {
        let received = self.inbox.receive(&self.sockets[flow], WINDOW, Wait::Never)?;
        let flow = &mut self.flows[flow];
        for reply in self.inbox.datagrams() {
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let slot = &mut flow.slots[usize::from(id) % WINDOW];
            if id == 0 || slot.id != id {
                // The answer to a query that was given up, or to none.
                outcome.wrong += 1;
                outcome.fault = Some("an unknown number");
                continue;
            }
            slot.id = 0;
            match (self.checked, self.queries.check(slot.query, reply)) {
                (Checked::Answer, Ok(address)) => {
                    outcome.answered += 1;
                    seen(slot.query, address);
                }
                (Checked::Answer, Err(fault)) => {
                    outcome.wrong += 1;
                    outcome.fault = Some(fault);
                }
                // Checked all the same, so that the generator's own pace is alike.
                (Checked::Echo, _) => outcome.answered += 1,
            }
        }
        Ok(received)
    }

    fn send(&mut self, index: usize, outcome: &mut Outcome) -> Result<usize> {
        let flow = &mut self.flows[index];
        let now = Instant::now();
        give_up(flow, now, outcome);
        let mut picked = [0; WINDOW];
        let mut count = 0;
        flow.turn = if flow.turn >= u16::MAX / WINDOW as u16 { 1 } else { flow.turn + 1 };
        for (place, slot) in flow.slots.iter_mut().enumerate().filter(|(_, slot)| slot.id == 0) {
            slot.id = flow.turn * WINDOW as u16 + place as u16;
            slot.query = self.next;
            slot.asked = now;
            self.queries.number(slot.query, slot.id);
            picked[count] = slot.query;
            count += 1;
            self.next = (self.next + 1) % self.queries.len();
        }
        if count == 0 {
            return Ok(0);
        }
        let picked = &picked[..count];
        let octets = picked.iter().map(|query| self.queries.octets(*query));
        let sent = self.outbox.send(&self.sockets[index], octets)?;
        // What the kernel did not take was never asked.
        for query in &picked[sent..] {
            for slot in flow.slots.iter_mut().filter(|slot| slot.query == *query) {
                slot.id = 0;
            }
        }
        Ok(sent)
    }
}

fn give_up(flow: &mut Flow, now: Instant, outcome: &mut Outcome) {
    for slot in flow.slots.iter_mut().filter(|slot| slot.id != 0 && now - slot.asked > LOST_AFTER) {
        slot.id = 0;
        outcome.lost += 1;
    }
}

fn connected(server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    Ok(socket)
}
