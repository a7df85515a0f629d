//! A connection to a primary: TCP, or TLS as RFC 9103 has it, and messages with their lengths on it.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::check::Failure;
use crate::config::{Primary, PrimaryTls};
use crate::wire::MESSAGE_OCTETS_MAX;

/// A primary is near, or at least on the same planet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A message follows the one before within this: a primary may have to make a large zone ready.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// What speaks DNS over TLS says so (RFC 9103 section 7.1).
const PROTOCOL: &[u8] = b"dot";

/// What messages come over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection to a primary.
pub struct Connection {
    stream: Box<dyn Stream>,
}

impl Connection {
    /// Connects; over TLS the primary's certificate is of its name, or this fails.
    pub async fn open(primary: &Primary) -> Result<Connection, Failure> {
        let tls = match &primary.tls {
            Some(tls) => Some((client(tls).await?, tls.name.clone())),
            None => None,
        };
        let connecting = async {
            let stream = TcpStream::connect(primary.address).await.map_err(Failure::Connect)?;
            stream.set_nodelay(true).map_err(Failure::Connect)?;
            let Some((client, name)) = tls else { return Ok(Connection { stream: Box::new(stream) }) };
            let name = ServerName::try_from(name).map_err(|_| Failure::Protocol("`tls` is no host name"))?;
            let secured = TlsConnector::from(client).connect(name, stream).await.map_err(Failure::Tls)?;
            if secured.get_ref().1.alpn_protocol().is_some_and(|agreed| agreed != PROTOCOL) {
                return Err(Failure::Protocol("it speaks another protocol over TLS"));
            }
            Ok(Connection { stream: Box::new(secured) })
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or(Err(Failure::Timeout("connecting")))
    }

    /// Sends a message.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let length =
            u16::try_from(message.len()).map_err(|_| Failure::Protocol("the request is too long"))?;
        let framed = [&length.to_be_bytes(), message].concat();
        let sending = async {
            self.stream.write_all(&framed).await?;
            self.stream.flush().await
        };
        match timeout(MESSAGE_TIMEOUT, sending).await {
            Ok(sent) => sent.map_err(Failure::Broken),
            Err(_) => Err(Failure::Timeout("sending")),
        }
    }

    /// Receives the next message into `buffer`.
    pub async fn receive<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], Failure> {
        let receiving = async {
            let length = usize::from(self.stream.read_u16().await?);
            buffer.resize(length.min(MESSAGE_OCTETS_MAX), 0);
            self.stream.read_exact(buffer).await.map(drop)
        };
        match timeout(MESSAGE_TIMEOUT, receiving).await {
            Ok(Ok(())) => Ok(buffer),
            Ok(Err(error)) => Err(Failure::Broken(error)),
            Err(_) => Err(Failure::Timeout("waiting for a message")),
        }
    }
}

/// TLS 1.3 alone (RFC 9103 section 7.1), and no session is resumed, so that every certificate is judged.
async fn client(tls: &PrimaryTls) -> Result<Arc<ClientConfig>, Failure> {
    let ca = tls.ca.clone();
    let roots = tokio::task::spawn_blocking(move || match ca {
        Some(file) => file_roots(&file).map(Arc::new),
        None => Ok(system_roots()),
    });
    let roots = roots.await.map_err(|_| Failure::Protocol("reading certificates failed"))?;
    let roots = roots.map_err(Failure::Authorities)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| Failure::Protocol("TLS 1.3 is not there"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The system's, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        // Some system certificates are always odd; what cannot be read is not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    ROOTS.get_or_init(read).clone()
}

/// A file that an operator names is taken whole or not at all. It is read each time: it may be renewed.
fn file_roots(file: &Path) -> io::Result<RootCertStore> {
    let odd = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", file.display()));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| odd(&error.to_string()))? {
        let certificate = certificate.map_err(|error| odd(&error.to_string()))?;
        roots.add(certificate).map_err(|error| odd(&error.to_string()))?;
    }
    if roots.is_empty() { Err(odd("it holds no certificate")) } else { Ok(roots) }
}
