//! Connections of DNS over TCP and over TLS: a thread per core, each with all that happens on its connections.
//!
//! A thread waits in `epoll_wait` for its connections and for the listeners, which all threads of a transport share.
//! What has come on a connection is read by one call, answered, and sent by one. Nothing else is done per query: no task is
//! woken, no timer set. Deadlines are looked at by a walk over all connections now and then.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ipnet::IpNet;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::ServerConnection;
use tokio::runtime::Handle;

use super::answer::Answerer;
use super::clock::Clock;
use super::connections::{Connections, Exit, Place};
use super::mailbox::{Address, Mailbox, Note};
use super::nice::give_way;
use super::proxied::Said;
use super::session::{End, HELD_OCTETS_FREE, Patience, Room, Round, Session, Wants};
use super::stream::Stream;
use super::tls::Security;
use super::{ConnectionLimits, Inside};
use crate::now::Now;
use crate::publish::Cell;
use crate::respond::Transport;
use crate::telemetry::{Event, Telemetry, WorkerCounters, Writers};
use crate::view::View;

/// Connections that one call tells of.
const EVENTS_MAX: usize = 256;
/// Connections accepted before those that are there have their turn again.
const ACCEPTS_MAX: usize = 64;
/// Handshakes that are gone on with before those who have theirs behind them have their turn again: each may take a
/// quarter of a millisecond.
const HANDSHAKES_MAX: usize = 8;
/// A pause when the system has no more descriptors or memory for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The log tells of that no more often.
const EXHAUSTED_TOLD_INTERVAL: Duration = Duration::from_secs(10);
/// How long a stop waits for messages that have begun to arrive and for replies to be taken.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Deadlines are looked at so often within the shortest of them, and no more often than every `SWEEP_LEAST`.
const SWEEPS: u32 = 8;
const SWEEP_LEAST: Duration = Duration::from_millis(10);
const SWEEP_MOST: Duration = Duration::from_millis(500);
/// What all connections of a thread may hold, but for a little each: messages in parts, replies that are not taken.
const HELD_OCTETS_MAX: usize = 4 << 20;
/// A connection goes to the thread that has this many fewer than who has accepted it.
const LOAD_DIFFERENCE_MAX: usize = 8;

/// What an event is about, where it is not a connection.
const BELL: u64 = u64::MAX;
const FIRST_DOOR: u64 = u64::MAX - (1 << 16);

/// Where connections come in, and what they are held to.
pub struct Entrance {
    /// TCP or TLS.
    pub transport: Transport,
    /// The listeners, and how the configuration writes them.
    pub doors: Vec<(TcpListener, SocketAddr)>,
    /// What connections are held to.
    pub limits: ConnectionLimits,
    /// What TLS is set to, where it is spoken.
    pub security: Option<Security>,
    /// Threads.
    pub workers: usize,
}

/// The threads of a transport.
pub struct Workers(Vec<(Arc<Mailbox>, JoinHandle<()>)>);

impl Workers {
    /// Starts answering. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub fn start(entrance: Entrance, inside: &Inside, telemetry: &Telemetry) -> io::Result<Workers> {
        let connections = Arc::new(Connections::new(entrance.limits));
        let mailboxes = (0..entrance.workers.max(1)).map(|_| Ok(Arc::new(Mailbox::new()?)));
        let mailboxes: Arc<[_]> = mailboxes.collect::<nix::Result<Vec<_>>>()?.into();
        let mut workers = Vec::new();
        for (number, mailbox) in mailboxes.iter().enumerate() {
            let counters = telemetry.worker(entrance.transport, Writers::One);
            let mut worker = Worker {
                epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
                mailbox: mailbox.clone(),
                all: mailboxes.clone(),
                doors: Vec::new(),
                cell: inside.cell.clone(),
                clock: inside.clock,
                proxies: inside.proxies.clone(),
                runtime: Handle::current(),
                connections: connections.clone(),
                security: entrance.security.clone(),
                counters,
                sessions: Sessions::default(),
                room: Room::new(),
                closed: None,
                exhausted_told: None,
                stopping: None,
            };
            worker.epoll.add(mailbox.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, BELL))?;
            for (listener, written) in &entrance.doors {
                let answerer = Answerer::new(*written, worker.counters.clone(), inside.desk.clone());
                worker.doors.push(Door { listener: Some(listener.try_clone()?), answerer });
            }
            worker.open_doors()?;
            let name = format!("{}-{number}", entrance.transport.label());
            // A handshake takes as long as dozens of answers, and whoever likes may ask for thousands of them.
            let gives_way = entrance.security.is_some();
            let thread = Builder::new().name(name).spawn(move || {
                if gives_way {
                    give_way();
                }
                worker.run();
            })?;
            workers.push((mailbox.clone(), thread));
        }
        Ok(Workers(workers))
    }

    /// Tells them to take nothing new, answer what has arrived, and end.
    pub fn stop(&self) {
        self.0.iter().for_each(|(mailbox, _)| mailbox.stop());
    }

    /// Waits for their end.
    pub fn join(self) {
        for (_, thread) in self.0 {
            if thread.join().is_err() {
                tracing::error!("a worker of connections ended by a panic outside the responder");
            }
        }
    }
}

/// A listener, until the server stops, and who answers what comes in there.
struct Door {
    listener: Option<TcpListener>,
    answerer: Answerer,
}

/// One thread.
struct Worker {
    epoll: Epoll,
    mailbox: Arc<Mailbox>,
    /// Those of all threads of the transport.
    all: Arc<[Arc<Mailbox>]>,
    doors: Vec<Door>,
    cell: Arc<Cell>,
    clock: Clock,
    proxies: Arc<[IpNet]>,
    runtime: Handle,
    connections: Arc<Connections>,
    security: Option<Security>,
    counters: Arc<WorkerCounters>,
    sessions: Sessions,
    room: Room,
    /// Until when nobody is accepted, because the system has no more descriptors.
    closed: Option<Duration>,
    /// When the log has told of that.
    exhausted_told: Option<Duration>,
    /// Until when what is under way may end, once the server stops.
    stopping: Option<Duration>,
}

/// A connection as its thread keeps it.
struct Kept {
    session: Session,
    door: usize,
    interest: EpollFlags,
    /// What it held when it was looked at last.
    held_octets: usize,
    /// Where it stands among those who hold much.
    hoards: Option<Duration>,
}

/// All connections of a thread.
#[derive(Default)]
struct Sessions {
    slots: Vec<Option<Box<Kept>>>,
    free: Vec<usize>,
    /// What all of them hold.
    held_octets: usize,
    /// Those who hold more than a little, by since when.
    hoarders: BTreeSet<(Duration, usize)>,
}

impl Worker {
    fn run(mut self) {
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let mut notes = Vec::new();
        let mut next_sweep = self.clock.now().monotonic + self.sweep_interval();
        let cell = self.cell.clone();
        loop {
            let timeout = self.timeout(next_sweep);
            let waited = self.epoll.wait(&mut events, timeout);
            self.mailbox.collect(&mut notes);
            let (view, now) = (cell.load(), self.clock.now());
            let told = match waited {
                Ok(told) => events.get(..told).unwrap_or_default(),
                Err(Errno::EINTR) => &[],
                Err(error) => {
                    tracing::error!(%error, "cannot wait for connections");
                    std::thread::sleep(ACCEPT_PAUSE);
                    &[]
                }
            };
            for note in notes.drain(..) {
                self.take_note(note, &view, now);
            }
            self.serve_all(told, &view, now);
            if now.monotonic >= next_sweep {
                self.sweep(now.monotonic);
                next_sweep = now.monotonic + self.sweep_interval();
            }
            if self.closed.is_some_and(|until| until <= now.monotonic) && self.stopping.is_none() {
                self.closed = None;
                self.open_doors()
                    .unwrap_or_else(|error| tracing::error!(%error, "cannot accept connections"));
            }
            if self.mailbox.is_stopped() && self.stopping.is_none() {
                self.stopping = Some(now.monotonic + STOP_GRACE);
                self.finish(&view, now);
            }
            if self.stopping.is_some_and(|until| now.monotonic >= until || self.sessions.is_empty()) {
                return;
            }
        }
    }

    /// How long to wait for something to happen.
    fn timeout(&self, next_sweep: Duration) -> EpollTimeout {
        if !self.mailbox.may_wait() || self.mailbox.is_stopped() && self.stopping.is_none() {
            return EpollTimeout::ZERO;
        }
        if self.sessions.is_empty() && self.closed.is_none() && self.stopping.is_none() {
            return EpollTimeout::NONE;
        }
        let next = self.closed.map_or(next_sweep, |until| until.min(next_sweep));
        let left = next.saturating_sub(self.clock.now().monotonic);
        EpollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(EpollTimeout::ZERO)
    }

    /// How often deadlines are looked at.
    fn sweep_interval(&self) -> Duration {
        let patience = self.patience();
        let least = patience.idle.min(patience.message);
        let least = if self.security.is_some() { least.min(patience.handshake) } else { least };
        (least / SWEEPS).clamp(SWEEP_LEAST, SWEEP_MOST)
    }

    fn patience(&self) -> Patience {
        let handshake = self.security.as_ref().map_or(Duration::ZERO, |security| security.handshake_timeout);
        Patience {
            idle: self.connections.idle_timeout(),
            message: self.connections.limits.message_timeout,
            handshake,
        }
    }

    /// Serves who has something for us: first those whose handshake is behind them, last who comes new.
    fn serve_all(&mut self, told: &[EpollEvent], view: &View, now: Now) {
        let idle = self.connections.idle_timeout();
        self.doors.iter_mut().for_each(|door| door.answerer.may_be_idle(idle));
        let (mut shaking, mut strangers) = (Vec::new(), false);
        for event in told {
            match event.data() {
                BELL => self.mailbox.silence(),
                FIRST_DOOR.. => strangers = true,
                data => match self.sessions.find(data) {
                    Some((slot, true)) => shaking.push(slot),
                    Some((slot, false)) => self.serve(slot, view, now),
                    // It has gone since.
                    None => {}
                },
            }
        }
        // The others are told of again.
        for slot in shaking.into_iter().take(HANDSHAKES_MAX) {
            self.serve(slot, view, now);
        }
        if strangers && self.stopping.is_none() {
            self.accept(ACCEPTS_MAX, now);
        }
    }

    fn take_note(&mut self, note: Note, view: &View, now: Now) {
        match note {
            Note::Shed(Address { slot, number }) => {
                if self.sessions.number(slot) == Some(number) {
                    self.end(slot, End::Shed);
                }
            }
            Note::Visitor(stream, source, door) => self.enter(stream, source, door, now),
            Note::Turn(Address { slot, number }, outgoing) => {
                if self.sessions.number(slot) == Some(number)
                    && let Some(kept) = self.sessions.get(slot)
                {
                    kept.session.turn(outgoing, now.monotonic);
                    self.serve(slot, view, now);
                }
            }
        }
    }

    /// Serves one connection, and sees to what it wants next.
    fn serve(&mut self, slot: usize, view: &View, now: Now) {
        let stopping = self.stopping.is_some();
        let Some(Some(kept)) = self.sessions.slots.get_mut(slot) else { return };
        let Some(door) = self.doors.get_mut(kept.door) else { return };
        let (session, room) = (&mut kept.session, &mut self.room);
        let mut round = Round { view, now, answerer: &mut door.answerer, room };
        // What the responder does is guarded closer; here a defect costs the connection.
        let served = catch_unwind(AssertUnwindSafe(|| match stopping {
            true => session.finish(&mut round),
            false => session.serve(&mut round),
        }));
        let served = served.unwrap_or_else(|_| {
            self.counters.panicked();
            self.room = Room::new();
            Err(End::Closed)
        });
        match served {
            Ok(wants) => self.arrange(slot, wants, now),
            Err(end) => self.end(slot, end),
        }
    }

    fn arrange(&mut self, slot: usize, wants: Wants, now: Now) {
        let Some(kept) = self.sessions.get(slot) else { return };
        if self.stopping.is_some() && kept.session.is_done() {
            return self.end(slot, End::Stopped);
        }
        let interest = match wants {
            Wants::Octets => EpollFlags::EPOLLIN,
            Wants::Room => EpollFlags::EPOLLOUT,
            Wants::Turn(outgoing) => {
                let (address, mailbox) = (kept.address(slot), self.mailbox.clone());
                let mut outgoing = outgoing;
                self.runtime.spawn(async move {
                    outgoing.wait_for_turn().await;
                    mailbox.post(Note::Turn(address, outgoing));
                });
                EpollFlags::empty()
            }
            Wants::Client(said) => return self.announce(slot, said, now),
        };
        if interest != kept.interest {
            kept.interest = interest;
            let mut event = EpollEvent::new(interest, kept.data(slot));
            if self.epoll.modify(kept.session.stream(), &mut event).is_err() {
                return self.end(slot, End::Closed);
            }
        }
        if let Some(longest) = self.sessions.weigh(slot, now.monotonic, HELD_OCTETS_MAX) {
            self.end(longest, End::BuffersFull);
        }
    }

    /// Gives a connection a place as whom its proxy says it is.
    fn announce(&mut self, slot: usize, said: Said, now: Now) {
        let Some(kept) = self.sessions.take(slot) else { return };
        let client = match said {
            Said::Client(client) => Some((client, self.place(client, slot, now))),
            Said::Nobody => None,
        };
        let security = self.security.as_ref();
        match kept.session.announced(client, now.monotonic, |stream| secure(stream, security)) {
            Some(session) => self.keep(slot, session, kept.door),
            None => {
                self.counters.closed();
                self.sessions.free.push(slot);
            }
        }
    }

    fn place(&self, client: SocketAddr, slot: usize, now: Now) -> Place {
        let exit = Exit::Worker(self.mailbox.clone(), slot);
        let admission = self.connections.admit(client.ip(), now.monotonic, exit);
        if admission.shed > 0 {
            self.counters.happened(Event::ConnectionShed, admission.shed);
        }
        admission.place
    }

    /// Takes connections that the kernel has accepted, at most so many of each listener.
    fn accept(&mut self, most: usize, now: Now) {
        for door in 0..self.doors.len() {
            for _ in 0..most {
                let listener = self.doors.get(door).and_then(|door| door.listener.as_ref());
                let Some(listener) = listener else { break };
                match listener.accept() {
                    Ok((stream, source)) => self.admit(stream, source, door, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => {
                        let exhausted = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
                        if error.raw_os_error().is_some_and(|code| exhausted.contains(&code)) {
                            return self.close_doors(&error, now.monotonic);
                        }
                        // The connection that was to be accepted is gone already, and the next one is another
                        // matter.
                    }
                }
            }
        }
    }

    /// Keeps a connection, or gives it to the thread that has the fewest.
    fn admit(&mut self, stream: TcpStream, source: SocketAddr, door: usize, now: Now) {
        let load = |mailbox: &Arc<Mailbox>| mailbox.load.load(Ordering::Relaxed);
        let least = self.all.iter().min_by_key(|mailbox| load(mailbox));
        match least {
            Some(least)
                if load(least) + LOAD_DIFFERENCE_MAX < load(&self.mailbox) && self.stopping.is_none() =>
            {
                least.post(Note::Visitor(stream, source, door));
            }
            Some(_) | None => self.enter(stream, source, door, now),
        }
    }

    fn enter(&mut self, stream: TcpStream, source: SocketAddr, door: usize, now: Now) {
        self.counters.opened();
        let slot = self.sessions.room();
        let place = self.place(source, slot, now);
        let proxied = self.proxies.iter().any(|proxy| proxy.contains(&source.ip()));
        let stream = Stream::plain(stream);
        let stream = if proxied { Some(stream) } else { secure(stream, self.security.as_ref()) };
        match stream {
            Some(stream) => {
                let session = Session::new(stream, source, place, proxied, now.monotonic);
                self.keep(slot, session, door);
            }
            None => {
                self.counters.closed();
                self.sessions.free.push(slot);
            }
        }
    }

    /// Puts a connection into its slot, and waits for what comes.
    fn keep(&mut self, slot: usize, session: Session, door: usize) {
        let interest = EpollFlags::EPOLLIN;
        let kept = Box::new(Kept { session, door, interest, held_octets: 0, hoards: None });
        let mut event = EpollEvent::new(interest, kept.data(slot));
        let stream = kept.session.stream();
        let waited_for = match self.epoll.add(stream, event) {
            // It was waited for before its proxy had spoken.
            Err(Errno::EEXIST) => self.epoll.modify(stream, &mut event),
            added => added,
        };
        match waited_for {
            Ok(()) => self.sessions.put(slot, kept),
            Err(_) => {
                self.counters.closed();
                self.sessions.free.push(slot);
            }
        }
        self.mailbox.load.store(self.sessions.len(), Ordering::Relaxed);
    }

    fn end(&mut self, slot: usize, end: End) {
        let Some(mut kept) = self.sessions.take(slot) else { return };
        self.counters.closed();
        self.sessions.free.push(slot);
        self.mailbox.load.store(self.sessions.len(), Ordering::Relaxed);
        match end {
            End::Idle | End::Stopped => kept.session.close(),
            End::Closed | End::Shed | End::BuffersFull | End::MessageTimeout => {}
            End::ProxyHeader | End::HandshakeFailed | End::HandshakeTimeout => {}
        }
        if let Some(event) = end.event() {
            self.counters.happened(event, 1);
        }
    }

    /// Ends what has had its time.
    fn sweep(&mut self, now: Duration) {
        let patience = self.patience();
        let over = self.sessions.slots.iter().enumerate().filter_map(|(slot, kept)| {
            let (deadline, end) = kept.as_ref()?.session.deadline(&patience);
            (deadline <= now).then_some((slot, end))
        });
        for (slot, end) in over.collect::<Vec<_>>() {
            self.end(slot, end);
        }
    }

    /// Waits for strangers. All threads wait at the same listeners, and one of them is woken.
    fn open_doors(&self) -> nix::Result<()> {
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        for (number, door) in self.doors.iter().enumerate() {
            if let Some(listener) = &door.listener {
                self.epoll.add(listener, EpollEvent::new(events, FIRST_DOOR + number as u64))?;
            }
        }
        Ok(())
    }

    /// Leaves strangers waiting in the kernel for a moment, and makes room for one.
    fn close_doors(&mut self, error: &io::Error, now: Duration) {
        let told = self.exhausted_told.is_some_and(|told| now < told + EXHAUSTED_TOLD_INTERVAL);
        if !told {
            self.exhausted_told = Some(now);
            tracing::warn!(%error, "cannot accept connections; closing the longest idle ones");
        }
        self.counters.happened(Event::ConnectionShed, self.connections.shed_one());
        for listener in self.doors.iter().filter_map(|door| door.listener.as_ref()) {
            let _ = self.epoll.delete(listener);
        }
        self.closed = Some(now + ACCEPT_PAUSE);
    }

    /// Takes the connections that the kernel has accepted for us, which count as received, closes the entrance, and
    /// answers all that has come.
    fn finish(&mut self, view: &View, now: Now) {
        self.accept(usize::MAX, now);
        for listener in self.doors.iter_mut().filter_map(|door| door.listener.take()) {
            // The others of its kind keep it open, and would have us woken.
            let _ = self.epoll.delete(listener);
        }
        for slot in 0..self.sessions.slots.len() {
            self.serve(slot, view, now);
        }
    }
}

impl Kept {
    fn address(&self, slot: usize) -> Address {
        Address { slot, number: self.session.place.number() }
    }

    /// What its events are known by: where it is kept, and as much of its number as tells it from who was kept there
    /// a moment ago.
    fn data(&self, slot: usize) -> u64 {
        self.session.place.number() << 32 | slot as u64
    }
}

impl Sessions {
    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A slot that is free, and no longer counted as such.
    fn room(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    fn put(&mut self, slot: usize, kept: Box<Kept>) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(kept);
        }
    }

    /// Takes a connection out; the slot stays its own.
    fn take(&mut self, slot: usize) -> Option<Box<Kept>> {
        let kept = self.slots.get_mut(slot)?.take()?;
        self.held_octets = self.held_octets.saturating_sub(kept.held_octets);
        if let Some(since) = kept.hoards {
            self.hoarders.remove(&(since, slot));
        }
        Some(kept)
    }

    fn get(&mut self, slot: usize) -> Option<&mut Kept> {
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    fn number(&self, slot: usize) -> Option<u64> {
        Some(self.slots.get(slot)?.as_ref()?.session.place.number())
    }

    /// Whom an event is about, and whether a handshake is under way there.
    fn find(&self, data: u64) -> Option<(usize, bool)> {
        let slot = (data & u64::from(u32::MAX)) as usize;
        let kept = self.slots.get(slot)?.as_ref()?;
        (kept.data(slot) == data).then(|| (slot, kept.session.is_shaking()))
    }

    /// Notes what a connection holds now. Where all hold more than so much, says who has to go: the one that has held
    /// more than a little for longest.
    fn weigh(&mut self, slot: usize, now: Duration, held_octets_max: usize) -> Option<usize> {
        let kept = self.slots.get_mut(slot)?.as_deref_mut()?;
        let held = kept.session.held_octets();
        if held == kept.held_octets {
            return None;
        }
        self.held_octets = self.held_octets.saturating_sub(kept.held_octets) + held;
        kept.held_octets = held;
        match (kept.hoards, held > HELD_OCTETS_FREE) {
            (None, true) => {
                kept.hoards = Some(now);
                self.hoarders.insert((now, slot));
            }
            (Some(since), false) => {
                kept.hoards = None;
                self.hoarders.remove(&(since, slot));
            }
            (None, false) | (Some(_), true) => {}
        }
        let too_much = self.held_octets > held_octets_max;
        self.hoarders.first().filter(|_| too_much).map(|(_, slot)| *slot)
    }
}

/// The same connection, with TLS on it where that is spoken.
fn secure(stream: Stream, security: Option<&Security>) -> Option<Stream> {
    match security {
        None => Some(stream),
        Some(security) => Some(stream.secured(ServerConnection::new(security.config.clone()).ok()?)),
    }
}
