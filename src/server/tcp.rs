//! Connections: messages behind a two-octet length (RFC 7766), several at once, in pieces, within limits.

use std::cell::RefCell;
use std::future::pending;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::Answerer;
use super::clock::Clock;
use super::connections::{Connections, Place};
use crate::publish::Cell;
use crate::telemetry::{Event, WorkerCounters};

/// The octets of a message's length.
const LENGTH_OCTETS: usize = 2;
/// The longest message that the length can announce.
const MESSAGE_OCTETS_MAX: usize = u16::MAX as usize;
/// Asked of a connection at a time: dozens of queries, and what an idle connection costs.
const READ_OCTETS: usize = 2048;
/// Replies gathered before they are sent; what a client that pipelines without reading can make us hold,
/// but for one more message.
const UNSENT_OCTETS_MAX: usize = 64 << 10;
/// A pause when the system has no more descriptors or memory for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a stop waits for messages that have begun to arrive and for replies to be taken.
const STOP_GRACE: Duration = Duration::from_secs(2);

thread_local! {
    /// Room for one reply: shared by a thread's connections, because a reply is made without waiting.
    static REPLY: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE_OCTETS_MAX].into());
}

/// What every connection needs.
#[derive(Clone)]
pub struct Service {
    /// Where the view is.
    pub cell: Arc<Cell>,
    /// What time it is.
    pub clock: Clock,
    /// Who else is connected.
    pub connections: Arc<Connections>,
    /// Where to count.
    pub listener: SocketAddr,
    pub counters: Arc<WorkerCounters>,
}

/// Accepts and serves until `stopped`; then finishes what has been received and returns.
pub async fn serve(listener: TcpListener, service: Service, mut stopped: watch::Receiver<bool>) {
    let mut tasks = JoinSet::new();
    let sessions_stopped = stopped.clone();
    loop {
        tokio::select! {
            biased;
            () = wait_for_stop(&mut stopped, false) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => admit(&mut tasks, stream, source, &service, &sessions_stopped),
                Err(error) => pause_if_exhausted(&error, &service).await,
            },
        }
    }
    accept_rest(listener, &mut tasks, &service, &sessions_stopped);
    let _ = timeout(STOP_GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

/// Takes the connections that the kernel has accepted for us, which count as received, and closes the entrance.
fn accept_rest(
    listener: TcpListener,
    tasks: &mut JoinSet<()>,
    service: &Service,
    stopped: &watch::Receiver<bool>,
) {
    // The runtime learns of connections by events and may not have seen the last; the system call does.
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, source)) = listener.accept() {
        let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            admit(tasks, stream, source, service, stopped);
        }
    }
}

fn admit(
    tasks: &mut JoinSet<()>,
    stream: TcpStream,
    source: SocketAddr,
    service: &Service,
    stopped: &watch::Receiver<bool>,
) {
    let admission = service.connections.admit(source.ip(), service.clock.now().monotonic);
    if admission.shed > 0 {
        service.counters.happened(Event::ConnectionShed, admission.shed);
    }
    // Replies are written whole; waiting for more would only delay them.
    let _ = stream.set_nodelay(true);
    let session = Session {
        stream,
        source,
        place: admission.place,
        answerer: Answerer::new(service.listener, service.counters.clone()),
        service: service.clone(),
        received: Vec::new(),
        unsent: Vec::new(),
        last_message: Instant::now(),
        begun: None,
    };
    tasks.spawn(session.run(stopped.clone()));
}

async fn pause_if_exhausted(error: &io::Error, service: &Service) {
    // In all other cases the connection that was to be accepted is gone already, and the next one is another
    // matter.
    if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) = error.raw_os_error() {
        tracing::warn!(%error, "cannot accept a connection; closing the longest idle one");
        service.counters.happened(Event::ConnectionShed, service.connections.shed_one());
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Why a connection ends.
enum End {
    /// The client closed it, or it broke.
    Closed,
    /// Another one needed its place.
    Shed,
    /// No whole message for too long, and none begun.
    Idle,
    /// A message that was begun did not arrive, or a reply was not taken, in time.
    MessageTimeout,
    /// The server stops.
    Stopped,
}

/// One connection.
struct Session {
    stream: TcpStream,
    source: SocketAddr,
    place: Place,
    answerer: Answerer,
    service: Service,
    /// Octets that are not answered yet: at most one message, and what was read with it.
    received: Vec<u8>,
    /// Replies that are not sent yet.
    unsent: Vec<u8>,
    /// When the last whole message came.
    last_message: Instant,
    /// When the message that is arriving began.
    begun: Option<Instant>,
}

impl Session {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let end = match self.serve(&mut stopped).await {
            Ok(end) | Err(end) => end,
        };
        let event = match end {
            End::Idle => Event::ConnectionIdle,
            End::MessageTimeout => Event::MessageTimeout,
            End::Closed | End::Shed | End::Stopped => return,
        };
        self.service.counters.happened(event, 1);
    }

    /// Reads and answers until something ends the connection. `Err` is an end like any other, met halfway.
    async fn serve(&mut self, stopped: &mut watch::Receiver<bool>) -> Result<End, End> {
        let mut stopping = false;
        loop {
            let limits = self.service.connections.limits;
            let idle = self.last_message + limits.idle_timeout;
            let deadline = self.begun.map_or(idle, |begun| idle.min(begun + limits.message_timeout));
            tokio::select! {
                biased;
                () = self.place.shed() => return Ok(End::Shed),
                () = wait_for_stop(stopped, stopping) => stopping = true,
                readable = self.stream.readable() => readable.map_err(|_| End::Closed)?,
                () = sleep_until(deadline) => {
                    return Ok(if self.begun.is_some() { End::MessageTimeout } else { End::Idle });
                }
            }
            while self.read(stopping)? {
                self.answer_all().await?;
                // A client that always has more must not keep the thread from the others.
                consume_budget().await;
                // A stop finishes what was received before it closes; otherwise the deadlines come first.
                if !stopping {
                    break;
                }
            }
            if stopping && self.received.is_empty() {
                let _ = self.stream.shutdown().await;
                return Ok(End::Stopped);
            }
        }
    }

    /// Takes some of what has arrived; says whether there was anything.
    fn read(&mut self, stopping: bool) -> Result<bool, End> {
        self.received.reserve(READ_OCTETS);
        let outcome = if stopping {
            // The runtime may not have seen the last octets yet; the system call does.
            let mut octets = [0; READ_OCTETS];
            let read = (&*SockRef::from(&self.stream)).read(&mut octets);
            self.received
                .extend_from_slice(read.as_ref().map_or(&[], |&read| octets.get(..read).unwrap_or(&[])));
            read
        } else {
            self.stream.try_read_buf(&mut self.received)
        };
        match outcome {
            Ok(0) => Err(End::Closed),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(End::Closed),
        }
    }

    /// Answers every whole message that has been received and sends the replies.
    async fn answer_all(&mut self) -> Result<(), End> {
        let mut answered = 0;
        while let Some(message) = whole_message(self.received.get(answered..).unwrap_or_default()) {
            let view = self.service.cell.load();
            let now = self.service.clock.now();
            self.place.message(now.monotonic);
            self.last_message = Instant::now();
            REPLY.with_borrow_mut(|reply| {
                let reply_octets = self.answerer.answer_guarded(&view, now, self.source, message, reply);
                let reply = reply_octets.and_then(|octets| reply.get(..octets)).unwrap_or_default();
                if let Ok(length @ 1..) = u16::try_from(reply.len()) {
                    self.unsent.extend_from_slice(&length.to_be_bytes());
                    self.unsent.extend_from_slice(reply);
                }
            });
            drop(view);
            answered += LENGTH_OCTETS + message.len();
            if self.unsent.len() >= UNSENT_OCTETS_MAX {
                self.send().await?;
            }
        }
        self.received.drain(..answered);
        self.begun = match (self.received.is_empty(), answered) {
            (true, _) => None,
            (false, 0) => self.begun.or(Some(Instant::now())),
            (false, _) => Some(Instant::now()),
        };
        if self.received.is_empty() && self.received.capacity() > 2 * READ_OCTETS {
            self.received = Vec::new();
        }
        self.send().await
    }

    async fn send(&mut self) -> Result<(), End> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let limit = self.service.connections.limits.message_timeout;
        let written = tokio::select! {
            () = self.place.shed() => return Err(End::Shed),
            written = timeout(limit, self.stream.write_all(&self.unsent)) => written,
        };
        self.unsent = Vec::new();
        written.map_err(|_| End::MessageTimeout)?.map_err(|_| End::Closed)
    }
}

/// Returns when the server stops; never once that is known.
async fn wait_for_stop(stopped: &mut watch::Receiver<bool>, known: bool) {
    if known || stopped.wait_for(|&stopped| stopped).await.is_err() {
        pending::<()>().await;
    }
}

/// The first message of what has been received, if all of it is there.
fn whole_message(received: &[u8]) -> Option<&[u8]> {
    let (length, rest) = received.split_first_chunk::<LENGTH_OCTETS>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
