//! Times the phases of one probe, and keeps what it has come to should its time run out.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::health::feed::Reading;
use crate::health::{Failure, NotRun, Timings, TlsFailure};

/// The marks of one probe.
#[derive(Debug)]
pub struct Stopwatch(Mutex<Marks>);

#[derive(Clone, Debug)]
struct Marks {
    phase: Phase,
    started: Instant,
    connecting: Instant,
    connected: Instant,
    secured: Option<Instant>,
    asked: Option<Instant>,
    head: Option<Instant>,
    certificate_until: Option<Duration>,
    reading: Option<Reading>,
    resolved: Box<[IpAddr]>,
}

/// How far a probe has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Looking for the address.
    Resolving,
    /// TCP.
    Connecting,
    /// TLS.
    Securing,
    /// Waiting for the head of the answer.
    Asking,
    /// Reading the body.
    Reading,
    /// Waiting until a command can be run.
    Waiting,
    /// A command is running.
    Running,
}

impl Phase {
    /// What it means if time runs out here.
    pub fn timeout(self) -> Failure {
        match self {
            Phase::Resolving => Failure::NameTimeout,
            Phase::Connecting => Failure::ConnectTimeout,
            Phase::Securing => Failure::Tls(TlsFailure::Timeout),
            Phase::Asking => Failure::AnswerTimeout,
            Phase::Reading => Failure::BodyTimeout,
            Phase::Waiting => Failure::NotRun(NotRun::Exhausted),
            // The helper ends a command in time; if it says nothing even then, it is not well itself.
            Phase::Running => Failure::NotRun(NotRun::NoHelper),
        }
    }
}

impl Stopwatch {
    /// A probe starts.
    pub fn start() -> Stopwatch {
        let now = Instant::now();
        Stopwatch(Mutex::new(Marks {
            phase: Phase::Resolving,
            started: now,
            connecting: now,
            connected: now,
            secured: None,
            asked: None,
            head: None,
            certificate_until: None,
            reading: None,
            resolved: Box::new([]),
        }))
    }

    /// The TCP handshake begins.
    pub fn connecting(&self) {
        self.mark(|marks, now| (marks.phase, marks.connecting) = (Phase::Connecting, now));
    }

    /// The TCP handshake is done; without TLS the request follows.
    pub fn connected(&self) {
        self.mark(|marks, now| (marks.phase, marks.connected) = (Phase::Asking, now));
    }

    /// TLS begins.
    pub fn securing(&self) {
        self.mark(|marks, _| marks.phase = Phase::Securing);
    }

    /// TLS is done, and the server's certificate is valid until then.
    pub fn secured(&self, certificate_until: Option<Duration>) {
        self.mark(|marks, now| {
            (marks.phase, marks.secured) = (Phase::Asking, Some(now));
            marks.certificate_until = certificate_until;
        });
    }

    /// The request is on its way.
    pub fn asking(&self) {
        self.mark(|marks, now| (marks.phase, marks.asked) = (Phase::Asking, Some(now)));
    }

    /// The head of the answer is there.
    pub fn head(&self) {
        self.mark(|marks, now| {
            marks.phase = Phase::Reading;
            marks.head.get_or_insert(now);
        });
    }

    /// A command has to wait for others.
    pub fn waiting(&self) {
        self.mark(|marks, _| marks.phase = Phase::Waiting);
    }

    /// A command begins.
    pub fn running(&self) {
        self.mark(|marks, _| marks.phase = Phase::Running);
    }

    /// How far the probe is.
    pub fn phase(&self) -> Phase {
        self.marks().phase
    }

    /// A feed's page has been read.
    pub fn read(&self, reading: Reading) {
        self.mark(|marks, _| marks.reading = Some(reading));
    }

    /// What a feed's page said.
    pub fn reading(&self) -> Option<Reading> {
        self.marks().reading
    }

    /// A host name's addresses have been found.
    pub fn found(&self, addresses: Box<[IpAddr]>) {
        self.mark(|marks, _| marks.resolved = addresses);
    }

    /// The addresses of a host name.
    pub fn resolved(&self) -> Box<[IpAddr]> {
        self.marks().resolved
    }

    /// Until when the certificate is valid that was seen.
    pub fn certificate_until(&self) -> Option<Duration> {
        self.marks().certificate_until
    }

    /// A finished probe's timings.
    pub fn timings(&self) -> Timings {
        let marks = self.marks();
        let since = |end: Instant, begin: Instant| end.saturating_duration_since(begin);
        Timings {
            connect: since(marks.connected, marks.connecting),
            tls: marks.secured.map(|secured| since(secured, marks.connected)),
            first_byte: marks.head.zip(marks.asked).map(|(head, asked)| since(head, asked)),
            total: since(Instant::now(), marks.started),
        }
    }

    fn mark(&self, set: impl FnOnce(&mut Marks, Instant)) {
        // Nothing can panic while the lock is held, and marks of any kind are better than none.
        set(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }

    fn marks(&self) -> Marks {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
