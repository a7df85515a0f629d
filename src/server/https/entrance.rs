//! Connections of HTTP: accepted, given a place among the others, and served; with TLS where it is asked for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Resource, Version};
use crate::server::connections::{Exit, Place};
use crate::server::proxied::{self, Said};
use crate::server::tasks::{Service, wait_for_stop};
use crate::server::tls::Security;
use crate::telemetry::{Event, WorkerCounters};

/// A pause when the system has no more descriptors or memory for connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a stop waits for messages that have begun to arrive and for replies to be taken.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What is spoken on the connections of a listener.
#[derive(Clone)]
pub enum Protocol {
    /// HTTP within TLS (RFC 8484).
    DnsOverHttps(Security, Arc<Resource>),
    /// HTTP without TLS, from a proxy on this machine.
    DnsOverHttp(Arc<Resource>),
}

/// Accepts and serves until `stopped`; then finishes what has been received and returns.
pub async fn serve(
    listener: TcpListener,
    protocol: Protocol,
    service: Service,
    mut stopped: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let entrance = Entrance { protocol, service, stopped: stopped.clone() };
    loop {
        tokio::select! {
            biased;
            () = wait_for_stop(&mut stopped, false) => break,
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => entrance.admit(&mut tasks, stream, source),
                Err(error) => entrance.pause_if_exhausted(&error).await,
            },
        }
    }
    entrance.accept_rest(listener, &mut tasks);
    let _ = timeout(STOP_GRACE, async { while tasks.join_next().await.is_some() {} }).await;
}

/// What becomes of those who come in.
struct Entrance {
    protocol: Protocol,
    service: Service,
    stopped: watch::Receiver<bool>,
}

impl Entrance {
    /// Takes the connections that the kernel has accepted for us, which count as received, and closes the
    /// entrance.
    fn accept_rest(&self, listener: TcpListener, tasks: &mut JoinSet<()>) {
        // The runtime learns of connections by events and may not have seen the last; the system call does.
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, source)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.admit(tasks, stream, source);
            }
        }
    }

    fn admit(&self, tasks: &mut JoinSet<()>, stream: TcpStream, source: SocketAddr) {
        let service = &self.service;
        let admission = service.connections.admit(source.ip(), service.clock.now().monotonic, Exit::task());
        if admission.shed > 0 {
            service.counters.happened(Event::ConnectionShed, admission.shed);
        }
        // Replies are written whole; waiting for more would only delay them.
        let _ = stream.set_nodelay(true);
        let visitor = Visitor { stream, source, place: admission.place };
        tasks.spawn(visitor.served(self.protocol.clone(), service.clone(), self.stopped.clone()));
    }

    async fn pause_if_exhausted(&self, error: &io::Error) {
        // In all other cases the connection that was to be accepted is gone already, and the next one is another
        // matter.
        if let Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) = error.raw_os_error() {
            tracing::warn!(%error, "cannot accept a connection; closing the longest idle one");
            self.service.counters.happened(Event::ConnectionShed, self.service.connections.shed_one());
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// A connection with its place.
struct Visitor {
    stream: TcpStream,
    source: SocketAddr,
    place: Place,
}

impl Visitor {
    async fn served(self, protocol: Protocol, service: Service, stopped: watch::Receiver<bool>) {
        let _open = Open::counted(service.counters.clone());
        let visitor = match service.proxies.iter().any(|proxy| proxy.contains(&self.source.ip())) {
            true => self.announced(&service).await,
            false => Some(self),
        };
        if let Some(visitor) = visitor {
            visitor.answered(protocol, service, stopped).await;
        }
    }

    /// The same as whom its proxy says it is, with a place as that client.
    async fn announced(mut self, service: &Service) -> Option<Visitor> {
        let limit = service.connections.limits.message_timeout;
        let header = tokio::select! {
            biased;
            () = self.place.shed() => return None,
            header = timeout(limit, read_header(&mut self.stream)) => header,
        };
        let Some(said) = header.ok().flatten() else {
            service.counters.happened(Event::ProxyHeader, 1);
            return None;
        };
        if let Said::Client(source) = said {
            let admission =
                service.connections.admit(source.ip(), service.clock.now().monotonic, Exit::task());
            if admission.shed > 0 {
                service.counters.happened(Event::ConnectionShed, admission.shed);
            }
            (self.source, self.place) = (source, admission.place);
        }
        Some(self)
    }

    async fn answered(self, protocol: Protocol, service: Service, stopped: watch::Receiver<bool>) {
        let Visitor { stream, source, place } = self;
        match protocol {
            Protocol::DnsOverHttps(security, resource) => {
                // The handshake holds a place like any connection, and can be shed like any.
                if let Some(stream) = handshake(&security, stream, &place, &service).await {
                    let version = http_version(&stream);
                    super::serve(stream, version, resource, (source, place), service, stopped).await;
                }
            }
            Protocol::DnsOverHttp(resource) => {
                super::serve(stream, Version::One, resource, (source, place), service, stopped).await;
            }
        }
    }
}

/// An open connection, for the time that it is counted as such.
struct Open(Arc<WorkerCounters>);

impl Open {
    fn counted(counters: Arc<WorkerCounters>) -> Open {
        counters.opened();
        Open(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Reads the header that a connection begins with, and nothing behind it; `None` where there is none.
async fn read_header(stream: &mut TcpStream) -> Option<Said> {
    let mut header = Vec::new();
    while let missing @ 1.. = proxied::missing(&header)? {
        let begun = header.len();
        header.resize(begun + missing, 0);
        stream.read_exact(header.get_mut(begun..)?).await.ok()?;
    }
    proxied::read_header(&header)
}

/// Does the handshake, for as long as the place is not needed by another; counts where nothing comes of it.
async fn handshake(
    security: &Security,
    stream: TcpStream,
    place: &Place,
    service: &Service,
) -> Option<TlsStream<TcpStream>> {
    let acceptor = TlsAcceptor::from(security.config.clone());
    let shaken = tokio::select! {
        biased;
        () = place.shed() => return None,
        shaken = timeout(security.handshake_timeout, acceptor.accept(stream)) => shaken,
    };
    let event = match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(_)) => Event::HandshakeFailed,
        Err(_) => Event::HandshakeTimeout,
    };
    service.counters.happened(event, 1);
    None
}

/// The version of HTTP that was agreed on; a client that names none speaks the older one.
fn http_version(stream: &TlsStream<TcpStream>) -> Version {
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Two,
        _ => Version::One,
    }
}
