//! What the transports that run as tasks of a runtime share: HTTPS and QUIC.

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::runtime::{Builder, EnterGuard, Runtime};
use tokio::sync::watch;

use super::clock::Clock;
use super::connections::Connections;
use super::nice::give_way;
use super::session::MESSAGE_OCTETS_MAX;
use crate::publish::Cell;
use crate::telemetry::WorkerCounters;
use crate::transfer::Desk;

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

/// Threads with a runtime of their own, that give way to those that answer datagrams: a handshake takes a quarter of a
/// millisecond, and whoever likes may ask for thousands.
pub struct Threads(Option<Runtime>);

impl Threads {
    /// Starts so many.
    ///
    /// # Errors
    /// When the system gives no more threads or descriptors.
    pub fn start(name: &str, threads: usize) -> io::Result<Threads> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(threads.max(1)).thread_name(name).on_thread_start(give_way).enable_all();
        Ok(Threads(Some(builder.build()?)))
    }

    /// What is spawned while this lives is theirs.
    pub fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime that is dropped within another waits for it, which that does not allow.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
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

/// Returns when the server stops; never once that is known.
pub async fn wait_for_stop(stopped: &mut watch::Receiver<bool>, known: bool) {
    if known || stopped.wait_for(|&stopped| stopped).await.is_err() {
        pending::<()>().await;
    }
}
