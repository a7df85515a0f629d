//! Times the phases of a probe.
//!
//! reqwest tells only when an answer's head is there. The rest is read off three places that every
//! connection passes: our resolver (connecting begins), rustls asking its session store as a handshake
//! begins (TCP stands), and the end of the connector, which a layer around it sees (the connection is
//! ready for a request). So no second connection is made to measure the first.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use tower::{Layer, Service};

use crate::health::{Failure, Timings, TlsFailure};

/// The marks of one target's probe; a target has one probe under way at most.
#[derive(Debug)]
pub struct Stopwatch(Mutex<Marks>);

#[derive(Clone, Copy, Debug)]
struct Marks {
    phase: Phase,
    started: Instant,
    connecting: Instant,
    connected: Instant,
    ready: Instant,
    head: Instant,
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
        }
    }
}

impl Stopwatch {
    /// At zero.
    pub fn new() -> Stopwatch {
        Stopwatch(Mutex::new(Marks::start()))
    }

    /// A new probe starts.
    pub fn start(&self) {
        self.mark(|marks, _| *marks = Marks::start());
    }

    /// The address is being looked up.
    pub fn resolving(&self) {
        self.mark(|marks, _| marks.phase = Phase::Resolving);
    }

    /// The TCP handshake begins.
    pub fn connecting(&self) {
        self.mark(|marks, now| (marks.phase, marks.connecting) = (Phase::Connecting, now));
    }

    /// The TCP handshake is done, TLS begins.
    fn securing(&self) {
        self.mark(|marks, now| (marks.phase, marks.connected) = (Phase::Securing, now));
    }

    /// The connection is ready for a request.
    pub fn ready(&self) {
        self.mark(|marks, now| {
            if marks.phase < Phase::Securing {
                marks.connected = now;
            }
            (marks.phase, marks.ready) = (Phase::Asking, now);
        });
    }

    /// The head of the answer is there.
    pub fn head(&self) {
        self.mark(|marks, now| (marks.phase, marks.head) = (Phase::Reading, now));
    }

    /// How far the probe is.
    pub fn phase(&self) -> Phase {
        self.marks().phase
    }

    /// A finished probe's timings.
    pub fn timings(&self) -> Timings {
        let marks = self.marks();
        Timings {
            connect: marks.connected.saturating_duration_since(marks.connecting),
            tls: None,
            first_byte: (marks.phase == Phase::Reading)
                .then(|| marks.head.saturating_duration_since(marks.ready)),
            total: elapsed(marks.started),
        }
    }

    fn mark(&self, set: impl FnOnce(&mut Marks, Instant)) {
        // Nothing can panic while the lock is held, and marks of any kind are better than none.
        set(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
    }

    fn marks(&self) -> Marks {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    fn start() -> Marks {
        let now = Instant::now();
        let phase = Phase::Resolving;
        Marks { phase, started: now, connecting: now, connected: now, ready: now, head: now }
    }
}

fn elapsed(since: Instant) -> Duration {
    Instant::now().saturating_duration_since(since)
}

/// The layer around reqwest's connector.
#[derive(Clone, Debug)]
pub struct Timed(pub Arc<Stopwatch>);

impl<S> Layer<S> for Timed {
    type Service = TimedConnector<S>;

    fn layer(&self, connector: S) -> TimedConnector<S> {
        TimedConnector { connector, stopwatch: self.0.clone() }
    }
}

/// A connector that marks its beginning and its end.
#[derive(Clone, Debug)]
pub struct TimedConnector<S> {
    connector: S,
    stopwatch: Arc<Stopwatch>,
}

impl<S, Request> Service<Request> for TimedConnector<S>
where
    S: Service<Request>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // A URL with an address needs no resolver: connecting begins here. With a name the resolver
        // sets the mark again.
        self.stopwatch.connecting();
        let stopwatch = self.stopwatch.clone();
        let connecting = self.connector.call(request);
        Box::pin(async move {
            let connection = connecting.await?;
            stopwatch.ready();
            Ok(connection)
        })
    }
}

/// A TLS session store that keeps nothing, so that every probe does the full handshake and judges the
/// certificate anew, and that notes when it is asked: a handshake begins.
impl ClientSessionStore for Stopwatch {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.securing();
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        None
    }
}
