//! Sockets, batches, threads, limits: how octets come in and go out. What they mean is `respond`'s.

mod answer;
mod batch;
mod clock;
mod connections;
mod draw;
mod socket;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use clock::Clock;
pub use draw::Draws;
pub use socket::Bound;

use crate::publish::Cell;
use crate::respond::Transport;
use crate::telemetry::{Telemetry, Writers};

/// Bounds on connections; see `[server]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionLimits {
    /// Connections in total.
    pub connections_max: usize,
    /// Connections of one client: an IPv4 address or an IPv6 /64.
    pub connections_per_client_max: usize,
    /// A connection without a whole message for this long is closed.
    pub idle_timeout: Duration,
    /// A message, once begun, arrives within this; a reply is taken within this.
    pub message_timeout: Duration,
}

/// Opens all sockets, so many datagram sockets per address. Nothing is answered yet. On a machine without IPv6
/// `[::]` is passed over where there are other addresses: it is part of the default.
///
/// # Errors
/// The first address that could not be opened, and why.
pub fn bind(listen: &[SocketAddr], workers: usize) -> Result<Vec<Bound>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::new();
    for &address in listen {
        match socket::bind(address, workers) {
            Ok(bound) => sockets.push(bound),
            Err(error) if listen.len() > 1 && lacks_ipv6(address, &error) => {
                tracing::warn!(%address, "this machine has no IPv6: passed over");
            }
            Err(error) => return Err((address, error)),
        }
    }
    Ok(sockets)
}

fn lacks_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let absent = matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL));
    absent && address.is_ipv6() && address.ip().is_unspecified()
}

/// A server that answers.
pub struct Server {
    workers: Vec<udp::Worker>,
    listeners: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts answering on the sockets from whatever view is in the cell. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the system gives no more threads or refuses a listener.
    pub fn start(
        sockets: Vec<Bound>,
        cell: &Arc<Cell>,
        clock: Clock,
        limits: ConnectionLimits,
        telemetry: &Telemetry,
    ) -> io::Result<Server> {
        let (stop, stopped) = watch::channel(false);
        let mut server = Server { workers: Vec::new(), listeners: Vec::new(), stop };
        // The limits hold for all addresses together.
        let connections = Arc::new(connections::Connections::new(limits));
        let counters = telemetry.worker(Transport::Tcp, Writers::Many);
        for (number, bound) in sockets.into_iter().enumerate() {
            for (core, socket) in bound.datagrams.into_iter().enumerate() {
                let counters = telemetry.worker(Transport::Udp, Writers::One);
                let name = format!("udp-{number}-{core}");
                server.workers.push(udp::Worker::start(
                    name,
                    socket,
                    bound.written,
                    cell.clone(),
                    clock,
                    counters,
                )?);
            }
            let listener = tokio::net::TcpListener::from_std(bound.connections)?;
            let service = tcp::Service {
                cell: cell.clone(),
                clock,
                connections: connections.clone(),
                listener: bound.written,
                counters: counters.clone(),
            };
            server.listeners.push(tokio::spawn(tcp::serve(listener, service, stopped.clone())));
        }
        Ok(server)
    }

    /// Takes nothing new, answers what has been received, and returns when that is done.
    pub async fn stop(self) {
        self.workers.iter().for_each(udp::Worker::stop);
        let _ = self.stop.send(true);
        for listener in self.listeners {
            if listener.await.is_err() {
                tracing::error!("a TCP listener ended by a panic");
            }
        }
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(|| workers.into_iter().for_each(udp::Worker::join));
        if joined.await.is_err() {
            tracing::error!("the UDP workers could not be awaited");
        }
    }
}

#[cfg(test)]
mod tests;
