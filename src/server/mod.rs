//! Sockets, batches, threads, limits: how octets come in and go out. What they mean is `respond`'s.

mod answer;
mod batch;
mod certificates;
mod clock;
mod connections;
mod draw;
mod https;
mod mailbox;
mod nice;
mod proxied;
mod quic;
mod session;
mod socket;
mod stream;
mod tasks;
mod tcp;
mod tls;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use certificates::{Certificate, Credentials, Part, Unusable};
pub use clock::Clock;
pub use draw::Draws;
pub use https::{Refusal, RequestMessage, read_request};
pub use nice::give_way;
pub use session::whole_message;
pub use socket::{Bound, Datagrams, Listening};

use crate::publish::Cell;
use crate::respond::Transport;
use crate::telemetry::{Telemetry, WorkerCounters, Writers};
use crate::transfer::Desk;

use answer::Answerer;
use connections::Connections;
use https::{Protocol, Resource};
use tasks::{Service, Threads};
use tls::Security;

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

/// Where DNS over TLS comes in.
pub struct TlsEntrance {
    /// The opened sockets.
    pub listeners: Vec<Listening>,
    /// What is shown.
    pub certificate: Arc<Certificate>,
    /// What connections are held to, those with a handshake under way among them.
    pub limits: ConnectionLimits,
    /// A handshake is complete within this.
    pub handshake_timeout: Duration,
}

/// Where DNS over HTTPS comes in.
pub struct HttpsEntrance {
    /// The opened sockets for connections with TLS, and what is shown on them.
    pub secured: Option<(Vec<Listening>, Arc<Certificate>)>,
    /// The opened sockets for connections of a proxy.
    pub plain: Vec<Listening>,
    /// The path of the resource.
    pub path: String,
    /// Requests at once on one connection of HTTP/2.
    pub streams_max: u32,
    /// What connections are held to.
    pub limits: ConnectionLimits,
    /// A handshake is complete within this.
    pub handshake_timeout: Duration,
}

/// Where DNS over QUIC and over HTTP/3 comes in.
pub struct QuicEntrance {
    /// The opened sockets for DNS over QUIC.
    pub quic: Vec<Datagrams>,
    /// The opened sockets for DNS over HTTP/3.
    pub http3: Vec<Datagrams>,
    /// What is shown.
    pub certificate: Arc<Certificate>,
    /// A connection without a request for this long is closed.
    pub idle_timeout: Duration,
}

/// Every way into the server.
pub struct Entrances {
    /// DNS over UDP and TCP.
    pub dns: Vec<Bound>,
    /// What TCP connections are held to.
    pub limits: ConnectionLimits,
    /// Whose connections begin with a PROXY protocol header, over whatever transport.
    pub proxies: Vec<IpNet>,
    /// DNS over TLS.
    pub tls: Option<TlsEntrance>,
    /// DNS over HTTPS.
    pub https: Option<HttpsEntrance>,
    /// DNS over QUIC and over HTTP/3.
    pub quic: Option<QuicEntrance>,
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

/// Opens sockets for connections alone, likewise.
///
/// # Errors
/// The first address that could not be opened, and why.
pub fn listen(addresses: &[SocketAddr]) -> Result<Vec<Listening>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::new();
    for &address in addresses {
        match socket::listen(address) {
            Ok(listening) => sockets.push(listening),
            Err(error) if addresses.len() > 1 && lacks_ipv6(address, &error) => {
                tracing::warn!(%address, "this machine has no IPv6: passed over");
            }
            Err(error) => return Err((address, error)),
        }
    }
    Ok(sockets)
}

/// Opens sockets for QUIC, likewise.
///
/// # Errors
/// The first address that could not be opened, and why.
pub fn listen_for_datagrams(addresses: &[SocketAddr]) -> Result<Vec<Datagrams>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::new();
    for &address in addresses {
        match socket::one_for_datagrams(address) {
            Ok(datagrams) => sockets.push(datagrams),
            Err(error) if addresses.len() > 1 && lacks_ipv6(address, &error) => {
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

/// What all entrances lead to.
struct Inside {
    cell: Arc<Cell>,
    clock: Clock,
    stopped: watch::Receiver<bool>,
    desk: Arc<Desk>,
    proxies: Arc<[IpNet]>,
}

impl Inside {
    /// The tasks of one transport's connections, and where they are counted.
    fn transport(
        &self,
        transport: Transport,
        limits: ConnectionLimits,
        telemetry: &Telemetry,
    ) -> (Arc<Connections>, Arc<WorkerCounters>) {
        (Arc::new(Connections::new(limits)), telemetry.worker(transport, Writers::Many))
    }
}

/// A server that answers.
pub struct Server {
    workers: Vec<udp::Worker>,
    streams: Vec<tcp::Workers>,
    listeners: Vec<JoinHandle<()>>,
    https: Option<Threads>,
    quic: Option<quic::Thread>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Starts answering at every entrance from whatever view is in the cell. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// When the system gives no more threads or refuses a listener, or the cryptography refuses to work.
    pub fn start(
        entrances: Entrances,
        cell: &Arc<Cell>,
        clock: Clock,
        telemetry: &Telemetry,
        desk: &Arc<Desk>,
    ) -> io::Result<Server> {
        let (stop, stopped) = watch::channel(false);
        let mut server = Server {
            workers: Vec::new(),
            streams: Vec::new(),
            listeners: Vec::new(),
            https: None,
            quic: None,
            stop,
        };
        let proxies = Arc::from(entrances.proxies);
        let inside = Inside { cell: cell.clone(), clock, stopped, desk: desk.clone(), proxies };
        // Limits hold for all addresses of a transport together.
        let (mut doors, mut workers) = (Vec::new(), 1);
        for (number, bound) in entrances.dns.into_iter().enumerate() {
            workers = workers.max(bound.datagrams.len());
            for (core, socket) in bound.datagrams.into_iter().enumerate() {
                let counters = telemetry.worker(Transport::Udp, Writers::One);
                let name = format!("udp-{number}-{core}");
                let answerer = Answerer::new(bound.written, counters, desk.clone());
                server.workers.push(udp::Worker::start(name, socket, cell.clone(), clock, answerer)?);
            }
            doors.push((bound.connections, bound.written));
        }
        let tcp = tcp::Entrance {
            transport: Transport::Tcp,
            doors,
            limits: entrances.limits,
            security: None,
            workers,
        };
        server.streams.push(tcp::Workers::start(tcp, &inside, telemetry)?);
        if let Some(tls) = entrances.tls {
            let security = Security::new(tls.certificate, tls::DOT, tls.handshake_timeout);
            let doors = tls.listeners.into_iter().map(|door| (door.connections, door.written));
            let tls = tcp::Entrance {
                transport: Transport::Tls,
                doors: doors.collect(),
                limits: tls.limits,
                security: Some(security.map_err(io::Error::other)?),
                workers,
            };
            server.streams.push(tcp::Workers::start(tls, &inside, telemetry)?);
        }
        if let Some(https) = entrances.https {
            server.https = Some(server.start_https(https, workers, &inside, telemetry)?);
        }
        if let Some(quic) = entrances.quic {
            let counters = telemetry.worker(Transport::Quic, Writers::Many);
            server.quic = Some(quic::Thread::start(quic, cell.clone(), clock, counters, desk.clone())?);
        }
        Ok(server)
    }

    /// Starts threads of its own: neither handshakes nor requests are to keep probes and operators waiting.
    fn start_https(
        &mut self,
        https: HttpsEntrance,
        workers: usize,
        inside: &Inside,
        telemetry: &Telemetry,
    ) -> io::Result<Threads> {
        let threads = Threads::start("https", workers)?;
        let entered = threads.enter();
        let resource =
            Arc::new(Resource { path: https.path.into_boxed_str(), streams_max: https.streams_max });
        let transport = inside.transport(Transport::Https, https.limits, telemetry);
        if let Some((listeners, certificate)) = https.secured {
            let security = Security::new(certificate, tls::HTTP, https.handshake_timeout);
            let protocol = Protocol::DnsOverHttps(security.map_err(io::Error::other)?, resource.clone());
            for Listening { written, connections, .. } in listeners {
                self.listen(connections, written, protocol.clone(), &transport, inside)?;
            }
        }
        // All of a proxy's connections come from one address: it is the proxy that limits its clients.
        let limits =
            ConnectionLimits { connections_per_client_max: https.limits.connections_max, ..https.limits };
        let transport = (Arc::new(Connections::new(limits)), transport.1);
        for Listening { written, connections, .. } in https.plain {
            let protocol = Protocol::DnsOverHttp(resource.clone());
            self.listen(connections, written, protocol, &transport, inside)?;
        }
        drop(entered);
        Ok(threads)
    }

    fn listen(
        &mut self,
        listener: std::net::TcpListener,
        written: SocketAddr,
        protocol: Protocol,
        (connections, counters): &(Arc<Connections>, Arc<WorkerCounters>),
        inside: &Inside,
    ) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let service = Service {
            cell: inside.cell.clone(),
            clock: inside.clock,
            connections: connections.clone(),
            listener: written,
            counters: counters.clone(),
            desk: inside.desk.clone(),
            proxies: inside.proxies.clone(),
        };
        self.listeners.push(tokio::spawn(https::serve_all(
            listener,
            protocol,
            service,
            inside.stopped.clone(),
        )));
        Ok(())
    }

    /// Takes nothing new, answers what has been received, and returns when that is done.
    pub async fn stop(self) {
        self.workers.iter().for_each(udp::Worker::stop);
        self.streams.iter().for_each(tcp::Workers::stop);
        self.quic.iter().for_each(quic::Thread::stop);
        let _ = self.stop.send(true);
        for listener in self.listeners {
            if listener.await.is_err() {
                tracing::error!("a listener ended by a panic");
            }
        }
        drop(self.https);
        let (workers, streams, quic) = (self.workers, self.streams, self.quic);
        let joined = tokio::task::spawn_blocking(|| {
            workers.into_iter().for_each(udp::Worker::join);
            streams.into_iter().for_each(tcp::Workers::join);
            quic.into_iter().for_each(quic::Thread::join);
        });
        if joined.await.is_err() {
            tracing::error!("the workers could not be awaited");
        }
    }
}

#[cfg(test)]
mod tests;
