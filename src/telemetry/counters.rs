//! What one worker counts: plain words that it alone writes and anybody may read.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::registry::IDENTITIES_MAX;
use super::samples::{Sample, Samples};
use crate::cookie::Worth;
use crate::dnssec::OnlineCounts;
use crate::ids::CounterId;
use crate::respond::{Limited, Note, Size, Transport};
use crate::steer::Mode;
use crate::wire::Rcode;

/// Counters allocated at a time.
const CHUNK_COUNTERS: usize = 1024;

/// Who writes a set of counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writers {
    /// One thread: an addition is a load and a store.
    One,
    /// The tasks of a runtime: an addition is atomic.
    Many,
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $label:literal;)*) => {
        /// What happens to a worker apart from answering.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Event {
            $($(#[$doc])* $name,)*
        }

        impl Event {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Event] = &[$(Event::$name),*];

            /// The label in metrics.
            pub const fn label(self) -> &'static str {
                match self {
                    $(Event::$name => $label,)*
                }
            }
        }
    };
}

events! {
    /// A message with QR=1, or too short for a header: silence.
    NotAQuery = "not_a_query";
    /// A datagram whose source is beyond its limit.
    Limited = "rate_limited";
    /// A datagram whose source cannot be answered.
    Unanswerable = "unanswerable_source";
    /// A buffer that does not hold a header: a defect.
    NoRoom = "no_room";
    /// A reply that the kernel refused to send.
    SendFailed = "send_failed";
    /// A connection closed for another because there were too many.
    ConnectionShed = "connection_shed";
    /// A connection closed because messages in parts and replies that were not taken held too much memory.
    BuffersFull = "buffers_full";
    /// A connection without a whole message for too long.
    ConnectionIdle = "connection_idle";
    /// A TLS handshake that failed: no common version, cipher or application protocol, or no TLS at all.
    HandshakeFailed = "handshake_failed";
    /// A TLS handshake that was not complete in time.
    HandshakeTimeout = "handshake_timeout";
    /// A connection of a proxy that did not begin with a PROXY protocol header.
    ProxyHeader = "proxy_header";
    /// An HTTP request that holds no message: refused with a status of 400 to 431.
    HttpRefused = "http_refused";
    /// A message that was begun and did not arrive in time, or a reply that was not taken in time.
    MessageTimeout = "message_timeout";
}

/// What comes of a signature that could not be made ahead.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Signing {
    /// It was made lately, and found.
    Found,
    /// It was made.
    Made,
    /// There was no token for it: TC, or SERVFAIL in streams.
    Refused,
}

impl Signing {
    /// All of them, in the order of their numbers.
    pub const ALL: [Signing; 3] = [Signing::Found, Signing::Made, Signing::Refused];

    /// The label in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Signing::Found => "found",
            Signing::Made => "made",
            Signing::Refused => "refused",
        }
    }

    fn of(self, counts: OnlineCounts) -> u64 {
        match self {
            Signing::Found => counts.found,
            Signing::Made => counts.made,
            Signing::Refused => counts.refused,
        }
    }
}

/// One worker's counters. Padded so that no two workers write to one cache line.
#[repr(align(128))]
pub struct WorkerCounters {
    /// How its queries arrive.
    pub transport: Transport,
    writers: Writers,
    rcodes: [AtomicU64; Rcode::ALL.len()],
    events: [AtomicU64; Event::ALL.len()],
    truncated: AtomicU64,
    connections: [AtomicU64; 2],
    modes: [AtomicU64; Mode::ALL.len()],
    cookies: [AtomicU64; Worth::ALL.len()],
    limited: [AtomicU64; Limited::ALL.len()],
    panics: AtomicU64,
    signatures: [AtomicU64; Signing::ALL.len()],
    endpoints: Box<[OnceLock<Box<[AtomicU64]>>]>,
    samples: Samples,
}

impl WorkerCounters {
    /// Counters at zero, with room for `identities` endpoints.
    pub fn new(transport: Transport, writers: Writers, identities: usize) -> WorkerCounters {
        let counters = WorkerCounters {
            transport,
            writers,
            rcodes: [const { AtomicU64::new(0) }; Rcode::ALL.len()],
            events: [const { AtomicU64::new(0) }; Event::ALL.len()],
            truncated: AtomicU64::new(0),
            connections: [const { AtomicU64::new(0) }; 2],
            modes: [const { AtomicU64::new(0) }; Mode::ALL.len()],
            cookies: [const { AtomicU64::new(0) }; Worth::ALL.len()],
            limited: [const { AtomicU64::new(0) }; Limited::ALL.len()],
            panics: AtomicU64::new(0),
            signatures: [const { AtomicU64::new(0) }; Signing::ALL.len()],
            endpoints: (0..IDENTITIES_MAX.div_ceil(CHUNK_COUNTERS)).map(|_| OnceLock::new()).collect(),
            samples: Samples::new(),
        };
        counters.make_room(identities);
        counters
    }

    /// Allocates for counters below `identities`, so that counting never does.
    pub fn make_room(&self, identities: usize) {
        for chunk in self.endpoints.iter().take(identities.div_ceil(CHUNK_COUNTERS)) {
            chunk.get_or_init(|| (0..CHUNK_COUNTERS).map(|_| AtomicU64::new(0)).collect());
        }
    }

    /// A reply went out that comes with this note.
    #[inline(always)]
    pub fn answered(&self, note: &Note<'_>) {
        // Who writes is asked once for all that is added.
        match self.writers {
            Writers::One => self.add_note(note, add_alone),
            Writers::Many => self.add_note(note, add_among_many),
        }
    }

    #[inline(always)]
    fn add_note(&self, note: &Note<'_>, add: impl Fn(&AtomicU64, u64)) {
        if let Some(counter) = self.rcodes.get(note.rcode.index()) {
            add(counter, 1);
        }
        if note.size == Size::Truncated {
            add(&self.truncated, 1);
        }
        if let Some(counter) = note.mode.and_then(|mode| self.modes.get(mode as usize)) {
            add(counter, 1);
        }
        if let Some(counter) = note.cookie.and_then(|worth| self.cookies.get(worth as usize)) {
            add(counter, 1);
        }
        if let Some(counter) = note.limited.and_then(|limited| self.limited.get(limited as usize)) {
            add(counter, 1);
        }
        for &endpoint in note.counters {
            if let Some(counter) = self.endpoint(endpoint) {
                add(counter, 1);
            }
        }
    }

    /// A reply went out that the responder did not make.
    pub fn replied(&self, rcode: Rcode) {
        if let Some(counter) = self.rcodes.get(rcode.index()) {
            self.add(counter, 1);
        }
    }

    /// A connection was accepted.
    pub fn opened(&self) {
        let [opened, _] = &self.connections;
        self.add(opened, 1);
    }

    /// An accepted connection has ended.
    pub fn closed(&self) {
        let [_, closed] = &self.connections;
        self.add(closed, 1);
    }

    /// Something else happened, so many times.
    pub fn happened(&self, event: Event, times: u64) {
        if let Some(counter) = self.events.get(event as usize) {
            self.add(counter, times);
        }
    }

    /// A query made the responder panic.
    pub fn panicked(&self) {
        self.add(&self.panics, 1);
    }

    /// What has come of signatures since an earlier look at the same counts.
    pub fn signed(&self, earlier: OnlineCounts, counts: OnlineCounts) {
        for outcome in Signing::ALL {
            let times = outcome.of(counts).wrapping_sub(outcome.of(earlier));
            if let Some(counter) = self.signatures.get(outcome as usize)
                && times > 0
            {
                self.add(counter, times);
            }
        }
    }

    /// Remembers a query. The memory is for one writer: what several tasks answer is not sampled.
    pub fn sample(&self, sample: Sample) {
        match self.writers {
            Writers::One => self.samples.push(sample),
            Writers::Many => {}
        }
    }

    /// The queries sampled last.
    pub fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.samples.read()
    }

    #[inline(always)]
    fn endpoint(&self, endpoint: CounterId) -> Option<&AtomicU64> {
        let chunk = self.endpoints.get(endpoint.index() / CHUNK_COUNTERS)?;
        chunk.get()?.get(endpoint.index() % CHUNK_COUNTERS)
    }

    fn add(&self, counter: &AtomicU64, times: u64) {
        match self.writers {
            Writers::One => add_alone(counter, times),
            Writers::Many => add_among_many(counter, times),
        }
    }

    /// Replies by RCODE so far.
    pub fn rcode(&self, rcode: Rcode) -> u64 {
        self.rcodes.get(rcode.index()).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How often something happened so far.
    pub fn event(&self, event: Event) -> u64 {
        self.events.get(event as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Connections accepted so far, and of these ended.
    pub fn connections(&self) -> [u64; 2] {
        // The other way round an end could be seen without its beginning.
        let [opened, closed] = &self.connections;
        let closed = closed.load(Ordering::Relaxed);
        [opened.load(Ordering::Relaxed), closed]
    }

    /// Truncated replies so far.
    pub fn truncated_count(&self) -> u64 {
        self.truncated.load(Ordering::Relaxed)
    }

    /// Answers of services so far that came about so.
    pub fn steered_count(&self, mode: Mode) -> u64 {
        self.modes.get(mode as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Signatures so far that were wanted when asked for, and of which this came.
    pub fn signed_count(&self, outcome: Signing) -> u64 {
        self.signatures.get(outcome as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Queries so far with a cookie of this worth.
    pub fn cookie_count(&self, worth: Worth) -> u64 {
        self.cookies.get(worth as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Queries so far from beyond a limit that were not dropped, and of which this became.
    pub fn limited_count(&self, limited: Limited) -> u64 {
        self.limited.get(limited as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Answers that named an endpoint so far.
    pub fn named_count(&self, endpoint: CounterId) -> u64 {
        self.endpoint(endpoint).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// Adds to what no other thread writes to.
#[inline(always)]
fn add_alone(counter: &AtomicU64, times: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(times), Ordering::Relaxed);
}

#[inline(always)]
fn add_among_many(counter: &AtomicU64, times: u64) {
    counter.fetch_add(times, Ordering::Relaxed);
}
