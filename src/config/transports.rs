//! The encrypted transports once they are read: `[tls]`, `[https]`, `[quic]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::Span;

/// `[tls]`: DNS over TLS (RFC 7858).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// Where connections come in. Default: 0.0.0.0:853 and [::]:853.
    pub listen: Vec<SocketAddr>,
    /// What is shown to clients.
    pub files: CertificateFiles,
    /// What connections are held to.
    pub limits: StreamLimits,
}

/// `[https]`: DNS over HTTPS (RFC 8484).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Https {
    /// Where connections with TLS come in. Default: 0.0.0.0:443 and [::]:443, or nowhere with `plain_listen`.
    pub listen: Vec<SocketAddr>,
    /// Where connections without TLS come in, from a proxy on this machine: loopback only.
    pub plain_listen: Vec<SocketAddr>,
    /// What is shown to clients; `None` only where `listen` is empty.
    pub files: Option<CertificateFiles>,
    /// The path of the resource, with its slash (default "/dns-query").
    pub path: String,
    /// Requests at once on one connection of HTTP/2 (default 100).
    pub streams_max: u32,
    /// What connections are held to.
    pub limits: StreamLimits,
}

/// `[quic]`: DNS over QUIC (RFC 9250), and over HTTP/3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quic {
    /// Where DNS over QUIC comes in. Default: 0.0.0.0:853 and [::]:853.
    pub listen: Vec<SocketAddr>,
    /// Where DNS over HTTP/3 comes in. Default: nowhere.
    pub http3_listen: Vec<SocketAddr>,
    /// What is shown to clients.
    pub files: CertificateFiles,
    /// A connection without a whole message for this long is closed (default 10 s).
    pub idle_timeout: Duration,
}

/// A certificate and its key, as written, relative to the configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateFiles {
    /// PEM: the server's own certificate, behind it those of its issuers.
    pub certificate: (PathBuf, Span),
    /// PEM: the private key.
    pub key: (PathBuf, Span),
}

/// What the connections of an encrypted transport are held to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamLimits {
    /// Connections in total, those with a handshake under way among them (default 1000).
    pub connections_max: usize,
    /// Connections from one client address (default 50).
    pub connections_per_client_max: usize,
    /// A connection without a whole message for this long is closed (default 10 s).
    pub idle_timeout: Duration,
    /// A message, once begun, must arrive within this (default 5 s).
    pub message_timeout: Duration,
    /// A handshake must be complete within this (default 5 s).
    pub handshake_timeout: Duration,
}

impl StreamLimits {
    /// Where nothing is written.
    pub const USUAL: StreamLimits = StreamLimits {
        connections_max: 1000,
        connections_per_client_max: 50,
        idle_timeout: Duration::from_secs(10),
        message_timeout: Duration::from_secs(5),
        handshake_timeout: Duration::from_secs(5),
    };
}
