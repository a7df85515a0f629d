//! DNS over HTTPS (RFC 8484): one resource, asked by GET and by POST, over HTTP/2 and HTTP/1.1.
//!
//! Every message goes through the same [`Answerer`] as those of any transport. What an HTTP client can make us
//! hold is bounded: heads, bodies, streams, and answers that it does not take.

mod base64url;
mod entrance;
mod request;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::answer::Answerer;
use super::connections::Place;
use super::session::MESSAGE_OCTETS_MAX;
use super::tasks::{Service, wait_for_stop, with_reply};
use crate::telemetry::Event;
use crate::wire::freshness;

pub use entrance::{Protocol, serve as serve_all};
pub use request::{Message as RequestMessage, Refusal, read as read_request};

/// A head with its path and fields; a query of 8 KiB fits into the path of a GET.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Header fields of a request: browsers send twenty.
const HEADERS_MAX: usize = 64;
/// What a client may send on one stream before we have taken it: one message.
const STREAM_WINDOW_OCTETS: u32 = 65_535;
/// What it may send on all streams together, likewise.
const CONNECTION_WINDOW_OCTETS: u32 = 128 << 10;
/// Bodies longer than this are received one at a time on a connection: real queries are a tenth of it.
const SHORT_BODY_OCTETS: usize = 4 << 10;
/// What is thrown away of a body that is refused; whoever sends more has his stream closed.
const PASSED_OVER_OCTETS_MAX: usize = 256 << 10;
/// Answers of one connection that wait to be taken. Room for the longest message is needed to begin one.
const UNSENT_OCTETS_MAX: usize = 128 << 10;
/// A body goes out in parts of this, so that a client that takes it drop by drop holds no more of it in the
/// buffers below us.
const PART_OCTETS: usize = 4 << 10;
/// What HTTP/2 buffers of a stream's body.
const SEND_BUFFER_OCTETS: usize = 2 * PART_OCTETS;
/// At a stop, what the kernel has received and the runtime has not yet seen is looked for so long.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// The one type of bodies here, both ways.
const DNS_MESSAGE: HeaderValue = HeaderValue::from_static("application/dns-message");

/// The versions of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0 and HTTP/1.1
    One,
    /// HTTP/2
    Two,
}

/// What is served, and within which limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource {
    /// Its path.
    pub path: Box<str>,
    /// Requests at once on one connection of HTTP/2.
    pub streams_max: u32,
}

/// Serves one connection until it ends, or until `stopped` and all that was received is answered.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    version: Version,
    resource: Arc<Resource>,
    (source, place): (SocketAddr, Place),
    service: Service,
    stopped: watch::Receiver<bool>,
) {
    let client = Arc::new(Client::new(resource, source, place, service));
    let asked = client.clone();
    let exchange = service_fn(move |request| {
        let client = asked.clone();
        async move { Ok::<_, std::convert::Infallible>(client.exchange(request).await) }
    });
    let stream = TokioIo::new(stream);
    match version {
        Version::One => drive(http1_connection(&client, stream, exchange), &client, stopped).await,
        Version::Two => drive(http2_connection(&client, stream, exchange), &client, stopped).await,
    }
}

fn http1_connection<I, S>(client: &Client, stream: I, exchange: S) -> http1::Connection<I, S>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Reply>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        // It counts from the end of the request before, so it is the idle timeout.
        .header_read_timeout(client.service.connections.limits.idle_timeout)
        .max_buf_size(HEAD_OCTETS_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(stream, exchange)
}

fn http2_connection<I, S>(client: &Client, stream: I, exchange: S) -> http2::Connection<I, S, TokioExecutor>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Reply>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(client.resource.streams_max)
        .initial_stream_window_size(STREAM_WINDOW_OCTETS)
        .initial_connection_window_size(CONNECTION_WINDOW_OCTETS)
        .max_header_list_size(HEAD_OCTETS_MAX as u32)
        .max_send_buf_size(SEND_BUFFER_OCTETS)
        .serve_connection(stream, exchange)
}

/// A connection that can be told to take nothing new.
trait Closing: Future {
    fn close(self: Pin<&mut Self>);
}

impl<I, S> Closing for http1::Connection<I, S>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Reply>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Closing for http2::Connection<I, S, TokioExecutor>
where
    I: Read + Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Reply>,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn close(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How far a connection has come.
enum Course {
    /// It takes requests.
    Open,
    /// The server stops: from this moment on it takes no more.
    Stopping(Instant),
    /// What has begun may end until this moment.
    Closing(Instant),
}

/// Turns the connection's handle until it ends, is shed, has been idle for too long or is stopped.
async fn drive(connection: impl Closing, client: &Client, mut stopped: watch::Receiver<bool>) {
    let limits = client.service.connections.limits;
    let mut connection = pin!(connection);
    let mut course = Course::Open;
    loop {
        let deadline = match course {
            Course::Open => client.last_message() + limits.idle_timeout,
            Course::Stopping(until) | Course::Closing(until) => until,
        };
        let open = matches!(course, Course::Open);
        tokio::select! {
            biased;
            () = client.place.shed() => return,
            () = wait_for_stop(&mut stopped, !open) => course = Course::Stopping(Instant::now() + LAST_LOOK),
            _ = connection.as_mut() => return,
            () = sleep_until(deadline) => match course {
                // A message may have come since.
                Course::Open if client.last_message() + limits.idle_timeout > Instant::now() => {}
                Course::Open | Course::Stopping(_) => {
                    if open {
                        client.service.counters.happened(Event::ConnectionIdle, 1);
                    }
                    connection.as_mut().close();
                    course = Course::Closing(Instant::now() + limits.message_timeout);
                }
                Course::Closing(_) => return,
            },
        }
    }
}

/// One connection's client, as its exchanges share it.
struct Client {
    resource: Arc<Resource>,
    source: SocketAddr,
    place: Place,
    service: Service,
    answerer: Mutex<Answerer>,
    /// When the last whole message came.
    last_message: Mutex<Instant>,
    /// Room for answers, in octets.
    unsent: Arc<Semaphore>,
    /// The right to receive a long body.
    long_body: Semaphore,
}

impl Client {
    fn new(resource: Arc<Resource>, source: SocketAddr, place: Place, service: Service) -> Client {
        Client {
            resource,
            source,
            place,
            answerer: Mutex::new(Answerer::new(
                service.listener,
                service.counters.clone(),
                service.desk.clone(),
            )),
            service,
            last_message: Mutex::new(Instant::now()),
            unsent: Arc::new(Semaphore::new(UNSENT_OCTETS_MAX)),
            long_body: Semaphore::new(1),
        }
    }

    fn last_message(&self) -> Instant {
        *self.last_message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From a request to its response, in time.
    async fn exchange(&self, request: Request<Incoming>) -> Response<Reply> {
        let limit = self.service.connections.limits.message_timeout;
        let (head, mut body) = request.into_parts();
        let outcome = timeout(limit, self.answered(&head, &mut body)).await;
        let refusal = match outcome {
            Ok(Ok(response)) => return response,
            Ok(Err(refusal)) => refusal,
            Err(_) => Refusal::Timeout,
        };
        match refusal {
            Refusal::Timeout => self.service.counters.happened(Event::MessageTimeout, 1),
            _ => {
                self.service.counters.happened(Event::HttpRefused, 1);
                let _ = timeout(limit, pass_over(body)).await;
            }
        }
        refused(refusal)
    }

    async fn answered(&self, head: &Parts, body: &mut Incoming) -> Result<Response<Reply>, Refusal> {
        let message = match request::read(head, &self.resource.path)? {
            request::Message::Whole(message) => message,
            request::Message::InBody => self.body(body).await?,
        };
        // Whoever does not take answers gets no more of them, and is idle.
        let longest = MESSAGE_OCTETS_MAX as u32;
        let room = self.unsent.clone().acquire_many_owned(longest).await;
        let room = room.map_err(|_| Refusal::Timeout)?;
        let (octets, room) = self.answer(&message, room).ok_or(Refusal::NoQuery)?;
        Ok(response(octets, room))
    }

    /// The body of a request, no longer than a message.
    async fn body(&self, body: &mut Incoming) -> Result<Vec<u8>, Refusal> {
        let mut message = Vec::new();
        let mut long_body = None;
        while let Some(frame) = next_frame(body).await {
            let frame = frame.map_err(|_| Refusal::Broken)?;
            let Some(part) = frame.data_ref() else { continue };
            if message.len() + part.len() > MESSAGE_OCTETS_MAX {
                return Err(Refusal::TooLarge);
            }
            if message.len() + part.len() > SHORT_BODY_OCTETS && long_body.is_none() {
                long_body = Some(self.long_body.acquire().await);
            }
            message.extend_from_slice(part);
        }
        Ok(message)
    }

    /// The reply to a message, and as much of the room as it takes; `None` for what is not answered.
    fn answer(
        &self,
        message: &[u8],
        mut room: OwnedSemaphorePermit,
    ) -> Option<(Bytes, Option<OwnedSemaphorePermit>)> {
        let view = self.service.cell.load();
        let now = self.service.clock.now();
        self.place.message(now.monotonic);
        *self.last_message.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let mut answerer = self.answerer.lock().unwrap_or_else(PoisonError::into_inner);
        let octets = with_reply(
            |reply| answerer.answer_guarded(&view, now, self.source, message, reply),
            Bytes::copy_from_slice,
        );
        let room = room.split(octets.len());
        (!octets.is_empty()).then_some((octets, room))
    }
}

async fn next_frame(body: &mut Incoming) -> Option<hyper::Result<Frame<Bytes>>> {
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Throws away what is left of a body, up to a bound: many clients do not look for an answer before they have
/// sent all.
async fn pass_over(mut body: Incoming) {
    let announced = body.size_hint().exact();
    let mut passed = if announced.is_some_and(|octets| octets > PASSED_OVER_OCTETS_MAX as u64) {
        // No use to begin.
        PASSED_OVER_OCTETS_MAX
    } else {
        0
    };
    while passed < PASSED_OVER_OCTETS_MAX
        && let Some(Ok(frame)) = next_frame(&mut body).await
    {
        passed += frame.data_ref().map_or(0, Bytes::len);
    }
}

/// An answer, fresh for as long as its records are (RFC 8484 section 5.1).
fn response(octets: Bytes, room: Option<OwnedSemaphorePermit>) -> Response<Reply> {
    let age = HeaderValue::try_from(format!("max-age={}", freshness(&octets)));
    let mut response = Response::new(Reply { octets, _room: room });
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, DNS_MESSAGE);
    if let Ok(age) = age {
        fields.insert(CACHE_CONTROL, age);
    }
    response
}

/// A response without an answer, that says in a line what was wrong.
fn refused(refusal: Refusal) -> Response<Reply> {
    let text = Bytes::from_static(refusal.text().as_bytes());
    let mut response = Response::new(Reply { octets: text, _room: None });
    *response.status_mut() = refusal.status();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if refusal.status() == StatusCode::METHOD_NOT_ALLOWED {
        fields.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

/// A response's body, which holds its room until it is taken.
struct Reply {
    octets: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.octets.is_empty() {
            return Poll::Ready(None);
        }
        let part = PART_OCTETS.min(self.octets.len());
        Poll::Ready(Some(Ok(Frame::data(self.octets.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.octets.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.octets.len() as u64)
    }
}
