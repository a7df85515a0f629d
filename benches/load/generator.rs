//! The load: queries over several sockets, in a closed loop or at an even rate, each answer checked.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::Result;
use crate::histogram::Histogram;
use crate::packet::Queries;
use crate::socket::{BATCH_DATAGRAMS_MAX, Inbox, Outbox, Wait, room_for_bursts, wait_for_any};

/// Sockets for each worker of the server, which sees that many sources.
const FLOWS: usize = 8;
/// Queries in flight on each in the closed loop. For each worker fewer than fill a server's socket buffer of the
/// kernel's default size (some 270 datagrams), so that nothing is lost and no server gains by a larger buffer.
const CLOSED_WINDOW: usize = 16;
/// The same at an even rate: what a server may owe for as long as `LOST_AFTER`.
const OPEN_WINDOW: usize = 8192;
/// A query that is not answered for this long is lost, and its place is used again. Longer than a busy
/// machine keeps a process waiting, and than an instrument stops one when it is switched on.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// How often an even rate looks for lost ones.
const LOOK_FOR_LOST: Duration = Duration::from_millis(100);
/// The longest sleep when nothing has arrived.
const WAIT_MS_MAX: i32 = 5;
/// The same at an even rate: what is due meanwhile goes out together.
const PACE_MS: i32 = 1;

/// What came of a stretch of load.
#[derive(Clone, Debug, Default)]
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
    /// From a query to its answer; at an even rate, from when the query was due.
    pub latency: Histogram,
}

/// How replies are checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checked {
    /// As DNS answers.
    Answer,
    /// Only for their number: a reflector is no DNS server.
    Echo,
}

/// What an even rate does between two queries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Between {
    /// Looks for answers without a pause: for latencies, with a core of its own.
    Spin,
    /// Sleeps up to a millisecond.
    Sleep,
}

/// A query in flight.
#[derive(Clone, Copy)]
struct Slot {
    /// 0: none.
    id: u16,
    /// The upper part of the id.
    turn: u16,
    query: usize,
    asked: Instant,
}

struct Flow {
    slots: Vec<Slot>,
    /// The slots without a query; the one longest so first.
    free: VecDeque<u16>,
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
    /// For the closed loop: sockets connected to a server with one worker.
    pub fn new(server: SocketAddr, queries: &'q mut Queries, checked: Checked) -> Result<Generator<'q>> {
        Generator::of_workers(1, server, queries, checked)
    }

    /// For the closed loop with as much in flight for each of so many workers.
    pub fn of_workers(
        workers: usize,
        server: SocketAddr,
        queries: &'q mut Queries,
        checked: Checked,
    ) -> Result<Generator<'q>> {
        Generator::with(FLOWS * workers, CLOSED_WINDOW, server, queries, checked)
    }

    /// For even rates.
    pub fn open_loop(
        server: SocketAddr,
        queries: &'q mut Queries,
        checked: Checked,
    ) -> Result<Generator<'q>> {
        Generator::with(FLOWS, OPEN_WINDOW, server, queries, checked)
    }

    fn with(
        flows: usize,
        window: usize,
        server: SocketAddr,
        queries: &'q mut Queries,
        checked: Checked,
    ) -> Result<Generator<'q>> {
        let sockets = (0..flows).map(|_| connected(server)).collect::<Result<Vec<_>>>()?;
        let empty = Slot { id: 0, turn: 0, query: 0, asked: Instant::now() };
        let flow = || Flow { slots: vec![empty; window], free: (0..window as u16).collect() };
        Ok(Generator {
            sockets,
            flows: std::iter::repeat_with(flow).take(flows).collect(),
            queries,
            next: 0,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            checked,
        })
    }

    /// Begins with another query than the first.
    pub fn begin_at(&mut self, query: usize) {
        self.next = query % self.queries.len();
    }

    /// Keeps the windows full for this long; what is in flight at the end goes on into the next call.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        while start.elapsed() < duration {
            let mut moved = 0;
            for flow in 0..self.flows.len() {
                moved += self.receive(flow, &mut outcome, &mut |_, _| {})?;
                let now = Instant::now();
                give_up(&mut self.flows[flow], now, &mut outcome);
                moved += self.send(flow, BATCH_DATAGRAMS_MAX, |_| now)?;
            }
            if moved == 0 {
                wait_for_any(&self.sockets, WAIT_MS_MAX);
            }
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    /// Asks so many queries a second, spread evenly, until it is over; then waits for the last answers.
    pub fn run_at(&mut self, rate: f64, between: Between, is_over: impl Fn() -> bool) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let (mut asked, mut looked) = (0_u64, start);
        loop {
            let mut moved = 0;
            for flow in 0..self.flows.len() {
                moved += self.receive(flow, &mut outcome, &mut |_, _| {})?;
            }
            let now = Instant::now();
            if now - looked > LOOK_FOR_LOST {
                self.flows.iter_mut().for_each(|flow| give_up(flow, now, &mut outcome));
                looked = now;
            }
            if is_over() {
                outcome.elapsed = if outcome.elapsed.is_zero() { now - start } else { outcome.elapsed };
                if self.in_flight() == 0 {
                    return Ok(outcome);
                }
            } else {
                let due = ((now - start).as_secs_f64() * rate) as u64;
                let count = (due - asked).min(BATCH_DATAGRAMS_MAX as u64);
                if count > 0 {
                    let flow = (asked / BATCH_DATAGRAMS_MAX as u64) as usize % self.flows.len();
                    let first = asked;
                    let due_at = |place| start + Duration::from_secs_f64((first + place) as f64 / rate);
                    let sent = self.send(flow, count as usize, due_at)? as u64;
                    // Without a place for it, or without room in the kernel, it cannot be answered.
                    outcome.lost += count - sent;
                    asked += count;
                    moved += count as usize;
                }
            }
            if moved == 0 && between == Between::Sleep {
                wait_for_any(&self.sockets, PACE_MS);
            }
        }
    }

    /// Asks at least `count` queries and waits for the answers, which `seen` gets with the query's index.
    pub fn ask(&mut self, count: usize, mut seen: impl FnMut(usize, Ipv4Addr)) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        let done = |outcome: &Outcome| (outcome.answered + outcome.lost + outcome.wrong) as usize;
        while done(&outcome) < count {
            let mut moved = 0;
            for flow in 0..self.flows.len() {
                moved += self.receive(flow, &mut outcome, &mut seen)?;
                let left = count.saturating_sub(done(&outcome) + self.in_flight());
                if left > 0 {
                    let now = Instant::now();
                    moved += self.send(flow, left.min(BATCH_DATAGRAMS_MAX), |_| now)?;
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
        self.flows.iter().map(|flow| flow.slots.len() - flow.free.len()).sum()
    }

    fn receive(
        &mut self,
        flow: usize,
        outcome: &mut Outcome,
        seen: &mut impl FnMut(usize, Ipv4Addr),
    ) -> Result<usize> {
        let received = self.inbox.receive(&self.sockets[flow], BATCH_DATAGRAMS_MAX, Wait::Never)?;
        if received == 0 {
            return Ok(0);
        }
        let now = Instant::now();
        let flow = &mut self.flows[flow];
        let window = flow.slots.len();
        for reply in self.inbox.datagrams() {
            let id = reply.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            let place = usize::from(id) % window;
            let slot = &mut flow.slots[place];
            if id == 0 || slot.id != id {
                // The answer to a query that was given up, or to none.
                outcome.wrong += 1;
                outcome.fault = Some("an unknown number");
                continue;
            }
            slot.id = 0;
            flow.free.push_back(place as u16);
            outcome.latency.record(now.saturating_duration_since(slot.asked));
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

    /// Sends up to so many queries; `asked` says since when each counts as asked.
    fn send(&mut self, index: usize, most: usize, asked: impl Fn(u64) -> Instant) -> Result<usize> {
        let flow = &mut self.flows[index];
        let window = flow.slots.len();
        let mut picked = [(0, 0); BATCH_DATAGRAMS_MAX];
        let mut count = 0;
        for pick in picked.iter_mut().take(most) {
            let Some(place) = flow.free.pop_front() else { break };
            let slot = &mut flow.slots[usize::from(place)];
            slot.turn =
                if usize::from(slot.turn) + 1 >= usize::from(u16::MAX) / window { 1 } else { slot.turn + 1 };
            slot.id = slot.turn * window as u16 + place;
            slot.query = self.next;
            slot.asked = asked(count as u64);
            self.queries.number(slot.query, slot.id);
            *pick = (slot.query, place);
            count += 1;
            self.next = (self.next + 1) % self.queries.len();
        }
        if count == 0 {
            return Ok(0);
        }
        let picked = &picked[..count];
        let octets = picked.iter().map(|(query, _)| self.queries.octets(*query));
        let sent = self.outbox.send(&self.sockets[index], octets)?;
        // What the kernel did not take was never asked.
        for (_, place) in picked[sent..].iter().rev() {
            flow.slots[usize::from(*place)].id = 0;
            flow.free.push_front(*place);
        }
        Ok(sent)
    }
}

fn give_up(flow: &mut Flow, now: Instant, outcome: &mut Outcome) {
    if flow.free.len() == flow.slots.len() {
        return;
    }
    for (place, slot) in flow.slots.iter_mut().enumerate() {
        if slot.id != 0 && now.saturating_duration_since(slot.asked) > LOST_AFTER {
            slot.id = 0;
            flow.free.push_back(place as u16);
            outcome.lost += 1;
        }
    }
}

fn connected(server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    room_for_bursts(&socket);
    Ok(socket)
}
