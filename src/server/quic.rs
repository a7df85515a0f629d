//! DNS over QUIC (RFC 9250) and over HTTP/3, by hickory-server: the one place where it is used (decision 0011).
//!
//! Its listener does one handshake after the other and waits five seconds for each, so that one Initial packet,
//! replayed, keeps all new connections of its socket out. It has no limits per client either. Therefore it is off
//! by default and has a thread of its own, whose troubles are nobody else's.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::Record;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::{MessageResponse, MessageResponseBuilder};
use tokio::sync::watch;
use tokio::time::timeout;

use super::answer::Answerer;
use super::clock::Clock;
use super::nice::give_way;
use super::tasks::{wait_for_stop, with_reply};
use super::{Datagrams, QuicEntrance};
use crate::publish::Cell;
use crate::telemetry::WorkerCounters;
use crate::transfer::Desk;
use crate::wire::OptionCode;

/// How long a stop waits for exchanges under way.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// What padded responses are a multiple of (RFC 8467 section 4.1).
const PADDED_TO_OCTETS: usize = 468;
/// The head of an option: code and length.
const OPTION_HEAD_OCTETS: usize = 4;

/// The thread that serves QUIC.
pub struct Thread {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Thread {
    /// Starts serving on the sockets from whatever view is in the cell.
    pub fn start(
        entrance: QuicEntrance,
        cell: Arc<Cell>,
        clock: Clock,
        counters: Arc<WorkerCounters>,
        desk: Arc<Desk>,
    ) -> io::Result<Thread> {
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let servers = {
            let _inside = runtime.enter();
            servers(entrance, &cell, clock, &counters, &desk)?
        };
        let thread = Builder::new().name("quic".to_owned()).spawn(move || {
            give_way();
            runtime.block_on(run(servers, stopped));
        })?;
        Ok(Thread { stop, thread })
    }

    /// Tells it to take no new connection and end.
    pub fn stop(&self) {
        let _ = self.stop.send(true);
    }

    /// Waits for its end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the QUIC thread ended by a panic");
        }
    }
}

/// One server a socket, because a handler does not learn where a query came in.
fn servers(
    entrance: QuicEntrance,
    cell: &Arc<Cell>,
    clock: Clock,
    counters: &Arc<WorkerCounters>,
    desk: &Arc<Desk>,
) -> io::Result<Vec<Server<Handler>>> {
    let handler = |listener: SocketAddr| Handler {
        cell: cell.clone(),
        clock,
        answerer: Mutex::new(Answerer::new(listener, counters.clone(), desk.clone())),
    };
    let mut servers = Vec::new();
    for Datagrams { written, socket, .. } in entrance.quic {
        let (mut server, socket) = (Server::new(handler(written)), tokio::net::UdpSocket::from_std(socket)?);
        server.register_quic_listener(socket, entrance.idle_timeout, entrance.certificate.clone())?;
        servers.push(server);
    }
    for Datagrams { written, socket, .. } in entrance.http3 {
        let (mut server, socket) = (Server::new(handler(written)), tokio::net::UdpSocket::from_std(socket)?);
        server.register_h3_listener(socket, entrance.idle_timeout, entrance.certificate.clone(), None)?;
        servers.push(server);
    }
    Ok(servers)
}

async fn run(mut servers: Vec<Server<Handler>>, mut stopped: watch::Receiver<bool>) {
    wait_for_stop(&mut stopped, false).await;
    servers.iter().for_each(|server| server.shutdown_token().cancel());
    let all = async {
        for server in &mut servers {
            let _ = server.block_until_done().await;
        }
    };
    let _ = timeout(STOP_GRACE, all).await;
}

/// Between hickory's form of messages and octets.
struct Handler {
    cell: Arc<Cell>,
    clock: Clock,
    answerer: Mutex<Answerer>,
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response_handle: R,
    ) -> ResponseInfo {
        let mut parts = self.answer(request).unwrap_or_else(|| failed(request));
        pad_anew(&mut parts, request);
        let response = composed(&parts, request);
        match response_handle.send_response(response).await {
            Ok(info) => info,
            // What cannot be sent concerns the client alone.
            Err(_) => {
                hickory_proto::op::Header { metadata: parts.metadata, counts: Default::default() }.into()
            }
        }
    }
}

impl Handler {
    /// The answer that every transport gives. hickory-server has refused what it cannot read.
    fn answer(&self, request: &Request) -> Option<Message> {
        let view = self.cell.load();
        let mut answerer = self.answerer.lock().unwrap_or_else(PoisonError::into_inner);
        with_reply(
            |reply| {
                answerer.answer_guarded(&view, self.clock.now(), request.src(), request.as_slice(), reply)
            },
            |reply| Message::from_vec(reply).ok(),
        )
    }
}

/// SERVFAIL, where there is no answer or one that hickory-proto cannot read: neither happens to queries.
fn failed(request: &Request) -> Message {
    Message::error_msg(
        request.metadata.id,
        request.metadata.op_code,
        hickory_proto::op::ResponseCode::ServFail,
    )
}

/// The parts as hickory-server composes them.
fn composed<'p>(
    parts: &'p Message,
    request: &'p Request,
) -> MessageResponse<'p, 'p, Records<'p>, Records<'p>, Records<'p>, Records<'p>> {
    MessageResponseBuilder::new(&request.queries, parts.edns.as_ref()).build(
        parts.metadata,
        &parts.answers,
        &parts.authorities,
        &[],
        &parts.additionals,
    )
}

type Records<'p> = std::slice::Iter<'p, Record>;

/// Where the answer was padded: pads it to what it has become, because hickory-server compresses fewer names.
fn pad_anew(parts: &mut Message, request: &Request) {
    let code = EdnsCode::from(OptionCode::PADDING.0);
    let Some(edns) = parts.edns.as_mut().filter(|edns| edns.option(code).is_some()) else { return };
    edns.options_mut().remove(code);
    let mut octets = Vec::new();
    if composed(parts, request).destructive_emit(&mut BinEncoder::new(&mut octets)).is_err() {
        return;
    }
    let begun = octets.len() + OPTION_HEAD_OCTETS;
    let end = begun.next_multiple_of(PADDED_TO_OCTETS).min(usize::from(u16::MAX));
    if let (Some(padding), Some(edns)) = (end.checked_sub(begun), parts.edns.as_mut()) {
        edns.options_mut().insert(EdnsOption::Unknown(OptionCode::PADDING.0, vec![0; padding]));
    }
}
