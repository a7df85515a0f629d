//! One connection, whatever it runs over: messages behind a two-octet length (RFC 7766), several at once, in
//! pieces, within limits.

use std::cell::RefCell;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use ipnet::IpNet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::{Answer, Answerer};
use super::clock::Clock;
use super::connections::{Connections, Place};
use super::stream::Stream;
use crate::publish::Cell;
use crate::telemetry::{Event, WorkerCounters};
use crate::transfer::{Desk, Outgoing, Progress};

/// The octets of a message's length.
const LENGTH_OCTETS: usize = 2;
/// The longest message that the length can announce.
pub const MESSAGE_OCTETS_MAX: usize = u16::MAX as usize;
/// Asked of a connection at a time: dozens of queries, and what an idle connection costs.
const READ_OCTETS: usize = 2048;
/// Replies gathered before they are sent; what a client that pipelines without reading can make us hold,
/// but for one more message.
const UNSENT_OCTETS_MAX: usize = 64 << 10;

thread_local! {
    /// Room for one reply: shared by a thread's connections, because a reply is made without waiting.
    static REPLY: RefCell<Box<[u8]>> = RefCell::new(vec![0; MESSAGE_OCTETS_MAX].into());
}

/// Makes a reply in the thread's room for one and hands it to `take`; the room is empty where there is silence.
pub fn with_reply<T>(make: impl FnOnce(&mut [u8]) -> Option<usize>, take: impl FnOnce(&[u8]) -> T) -> T {
    REPLY.with_borrow_mut(|reply| {
        let octets = make(reply);
        take(octets.and_then(|octets| reply.get(..octets)).unwrap_or_default())
    })
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
    /// The address it came in at, as it is written in the configuration.
    pub listener: SocketAddr,
    /// Where to count.
    pub counters: Arc<WorkerCounters>,
    /// Where errands go.
    pub desk: Arc<Desk>,
    /// Whose connections begin by saying who the client is.
    pub proxies: Arc<[IpNet]>,
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
pub struct Session<S> {
    stream: S,
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

impl<S: Stream> Session<S> {
    /// A connection on which nothing has been read yet.
    pub fn new(stream: S, source: SocketAddr, place: Place, service: Service) -> Session<S> {
        let answerer = Answerer::new(service.listener, service.counters.clone(), service.desk.clone());
        Session {
            stream,
            source,
            place,
            answerer: answerer.idle(service.connections.limits.idle_timeout),
            service,
            received: Vec::new(),
            unsent: Vec::new(),
            last_message: Instant::now(),
            begun: None,
        }
    }

    /// Serves until the connection ends, or until `stopped` and all that was received is answered.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let end = match self.serve(&mut stopped).await {
            Ok(end) | Err(end) => end,
        };
        if matches!(end, End::Idle) {
            // Within TLS the client is told, so that it knows this end from one that somebody on the way made.
            let _ = timeout(self.service.connections.limits.message_timeout, self.stream.shutdown()).await;
        }
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
            self.received.reserve(READ_OCTETS);
            let mut news = tokio::select! {
                biased;
                () = self.place.shed() => return Ok(End::Shed),
                () = wait_for_stop(stopped, stopping) => {
                    stopping = true;
                    self.stream.look_directly();
                    self.read_now().await?
                }
                read = self.stream.read_buf(&mut self.received) => some_octets(read)?,
                () = sleep_until(deadline) => {
                    return Ok(if self.begun.is_some() { End::MessageTimeout } else { End::Idle });
                }
            };
            while news {
                self.answer_all().await?;
                // A client that always has more must not keep the thread from the others.
                consume_budget().await;
                // A stop finishes what was received before it closes; otherwise the deadlines come first.
                news = stopping && self.read_now().await?;
            }
            if stopping && self.received.is_empty() {
                // Who does not take the last octets does not hold up the stop.
                let _ = timeout(limits.message_timeout, self.stream.shutdown()).await;
                return Ok(End::Stopped);
            }
        }
    }

    /// Takes some of what has arrived, without waiting for more; says whether there was anything.
    async fn read_now(&mut self) -> Result<bool, End> {
        self.received.reserve(READ_OCTETS);
        let mut read = std::pin::pin!(self.stream.read_buf(&mut self.received));
        let read = poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
        match read {
            Poll::Ready(read) => some_octets(read),
            Poll::Pending => Ok(false),
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
            let (answerer, source, unsent) = (&mut self.answerer, self.source, &mut self.unsent);
            let mut stream = None;
            with_reply(
                |reply| match answerer.answer_stream(&view, now, source, message, reply) {
                    Answer::Reply(octets) => Some(octets),
                    Answer::Silence => None,
                    Answer::Stream(outgoing) => {
                        stream = Some(outgoing);
                        None
                    }
                },
                |reply| {
                    if let Ok(length @ 1..) = u16::try_from(reply.len()) {
                        unsent.extend_from_slice(&length.to_be_bytes());
                        unsent.extend_from_slice(reply);
                    }
                },
            );
            drop(view);
            answered += LENGTH_OCTETS + message.len();
            if let Some(outgoing) = stream {
                self.transfer(*outgoing).await?;
            }
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

    /// Sends a stream of messages, each when the one before has been taken. Queries behind it wait, those of
    /// other connections do not.
    async fn transfer(&mut self, mut outgoing: Outgoing) -> Result<(), End> {
        tokio::select! {
            () = self.place.shed() => return Err(End::Shed),
            () = outgoing.wait_for_turn() => {}
        }
        loop {
            let now = self.service.clock.now();
            self.place.message(now.monotonic);
            self.last_message = Instant::now();
            match outgoing.next(now, &mut self.unsent) {
                Progress::More => self.send().await?,
                Progress::Done => return self.send().await,
                Progress::Broken => return Err(End::Closed),
            }
            consume_budget().await;
        }
    }

    async fn send(&mut self) -> Result<(), End> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let limit = self.service.connections.limits.message_timeout;
        let (stream, unsent) = (&mut self.stream, &self.unsent);
        let all = async {
            stream.write_all(unsent).await?;
            // A stream that encrypts may hold some of it.
            stream.flush().await
        };
        let written = tokio::select! {
            () = self.place.shed() => return Err(End::Shed),
            written = timeout(limit, all) => written,
        };
        self.unsent = Vec::new();
        written.map_err(|_| End::MessageTimeout)?.map_err(|_| End::Closed)
    }
}

/// Whether a read brought anything; a client that has closed brings an end.
fn some_octets(read: std::io::Result<usize>) -> Result<bool, End> {
    match read {
        Ok(0) | Err(_) => Err(End::Closed),
        Ok(_) => Ok(true),
    }
}

/// Returns when the server stops; never once that is known.
pub async fn wait_for_stop(stopped: &mut watch::Receiver<bool>, known: bool) {
    if known || stopped.wait_for(|&stopped| stopped).await.is_err() {
        pending::<()>().await;
    }
}

/// The first message of what has been received behind its length, if all of it is there (RFC 1035 section 4.2.2).
pub fn whole_message(received: &[u8]) -> Option<&[u8]> {
    let (length, rest) = received.split_first_chunk::<LENGTH_OCTETS>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}
