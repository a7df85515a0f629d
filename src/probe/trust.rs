//! TLS of probes: whom they trust, and the handshake.
//!
//! Every probe does the full handshake, so that a certificate is judged each time: with sessions
//! resumed an expired one would pass for hours.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::stopwatch::{Phase, Stopwatch};
use super::{authority, cause};
use crate::certificate;
use crate::health::{Failure, Http2, NotRun, TargetAddress, TlsCheck, TlsFailure};

type Verifier = Arc<dyn ServerCertVerifier>;

/// What TLS offers by ALPN for each choice of HTTP/2.
fn protocols(http2: Http2) -> Vec<Vec<u8>> {
    let (two, one) = (b"h2".to_vec(), b"http/1.1".to_vec());
    match http2 {
        Http2::IfOffered => vec![two, one],
        Http2::Required => vec![two],
        Http2::Never => vec![one],
    }
}

/// The TLS of one target.
#[derive(Clone)]
pub struct Secure {
    connector: TlsConnector,
    name: ServerName<'static>,
    http2: Http2,
}

impl std::fmt::Debug for Secure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secure").field("name", &self.name).field("http2", &self.http2).finish_non_exhaustive()
    }
}

/// A secured connection, and whether HTTP/2 has been agreed on.
pub struct Secured {
    /// The connection.
    pub connection: TlsStream<TcpStream>,
    /// Whether HTTP/2 was chosen.
    pub http2: bool,
}

impl Secure {
    /// Does the handshake.
    pub async fn handshake(&self, connection: TcpStream, stopwatch: &Stopwatch) -> Result<Secured, Failure> {
        stopwatch.securing();
        let secured = self.connector.connect(self.name.clone(), connection).await;
        let connection = secured.map_err(|error| cause::of(&error, Phase::Securing))?;
        let (_, session) = connection.get_ref();
        let shown = session.peer_certificates().and_then(<[_]>::first);
        stopwatch.secured(shown.and_then(|shown| certificate::ends(shown)));
        let http2 = session.alpn_protocol() == Some(b"h2");
        match self.http2 {
            Http2::Required if !http2 => Err(Failure::Tls(TlsFailure::NoHttp2)),
            _ => Ok(Secured { connection, http2 }),
        }
    }
}

/// Verifiers and settings, each made once for all targets: reading the system's certificates takes
/// milliseconds, and settings are kilobytes.
#[derive(Debug)]
pub struct Trust {
    provider: Arc<CryptoProvider>,
    /// By file; `None` is the system's.
    verifiers: HashMap<Option<PathBuf>, Option<Verifier>>,
    settings: HashMap<(bool, Option<PathBuf>, Http2), Arc<ClientConfig>>,
}

impl Trust {
    /// Nothing read yet.
    pub fn new() -> Trust {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Trust { provider, verifiers: HashMap::new(), settings: HashMap::new() }
    }

    /// The TLS of a check at a target. `host` is the name that is asked for and verified; without one it
    /// is the target itself.
    pub fn secure(
        &mut self,
        check: &TlsCheck,
        http2: Http2,
        host: Option<&str>,
        target: &TargetAddress,
    ) -> Result<Secure, NotRun> {
        let connector = TlsConnector::from(self.settings(check, http2)?);
        Ok(Secure { connector, name: name(host, target)?, http2 })
    }

    fn settings(&mut self, check: &TlsCheck, http2: Http2) -> Result<Arc<ClientConfig>, NotRun> {
        let key = (check.verify, check.ca.clone(), http2);
        if let Some(known) = self.settings.get(&key) {
            return Ok(known.clone());
        }
        let verifier = match check.verify {
            true => self.verifier(check.ca.as_deref())?,
            false => Arc::new(AnyCertificate(self.provider.clone())),
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|_| NotRun::NoTrust)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = protocols(http2);
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        self.settings.insert(key, config.clone());
        Ok(config)
    }

    fn verifier(&mut self, file: Option<&Path>) -> Result<Verifier, NotRun> {
        let provider = &self.provider;
        let known = self.verifiers.entry(file.map(Path::to_owned)).or_insert_with(|| {
            let roots = Arc::new(file.map_or_else(system_roots, file_roots)?);
            let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            built.ok().map(|verifier| verifier as Verifier)
        });
        known.clone().ok_or(NotRun::NoTrust)
    }
}

fn name(host: Option<&str>, target: &TargetAddress) -> Result<ServerName<'static>, NotRun> {
    let address = |address: IpAddr| ServerName::IpAddress(address.into());
    let Some(host) = host else {
        return match target {
            TargetAddress::Address(target) => Ok(address(*target)),
            TargetAddress::Host(host) => ServerName::try_from(host.clone()).map_err(|_| NotRun::BadRequest),
        };
    };
    let name = authority::name(host);
    match name.parse() {
        Ok(literal) => Ok(address(literal)),
        Err(_) => ServerName::try_from(name.to_owned()).map_err(|_| NotRun::BadRequest),
    }
}

fn system_roots() -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Some system certificates are always odd; what cannot be read is not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    (!roots.is_empty()).then_some(roots)
}

/// A file that an operator names is taken whole or not at all.
fn file_roots(file: &Path) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).ok()? {
        roots.add(certificate.ok()?).ok()?;
    }
    (!roots.is_empty()).then_some(roots)
}

/// `verify = false`: any certificate will do, though the peer must hold its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
