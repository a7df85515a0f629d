//! TLS on accepted connections: what it is set to.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;

use super::certificates::Certificate;

/// What a connection speaks within TLS, by its name in ALPN.
pub const DOT: &[&[u8]] = &[b"dot"];

/// Both versions of HTTP, the better one first.
pub const HTTP: &[&[u8]] = &[b"h2", b"http/1.1"];

/// How a listener's connections are secured.
#[derive(Clone)]
pub struct Security {
    /// The settings of every connection.
    pub config: Arc<ServerConfig>,
    /// A handshake is complete within this.
    pub handshake_timeout: Duration,
}

impl Security {
    /// By this certificate, whatever it is at the moment of a handshake. A client that names protocols must name
    /// one of these; one that names none is taken.
    ///
    /// # Errors
    /// When the library finds no version of TLS that it and its cryptography both know: a defect.
    pub fn new(
        certificate: Arc<Certificate>,
        protocols: &[&[u8]],
        handshake_timeout: Duration,
    ) -> Result<Security, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // Sessions are resumed by tickets: what is remembered of them is with the clients, so that their number
        // costs no memory. The keys of tickets change every few hours.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        Ok(Security { config: Arc::new(config), handshake_timeout })
    }
}
