//! Whom HTTPS probes trust.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::health::{NotRun, TlsCheck};

type Verifier = Arc<dyn ServerCertVerifier>;

/// Verifiers, each made once: reading the system's certificates takes milliseconds.
#[derive(Debug)]
pub struct Trust {
    provider: Arc<CryptoProvider>,
    /// By file; `None` is the system's.
    known: HashMap<Option<PathBuf>, Option<Verifier>>,
}

impl Trust {
    /// Nothing read yet.
    pub fn new() -> Trust {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Trust { provider, known: HashMap::new() }
    }

    /// The TLS settings of one check. `sessions` is asked as each handshake begins.
    pub fn config(
        &mut self,
        check: Option<&TlsCheck>,
        sessions: Arc<dyn ClientSessionStore>,
    ) -> Result<ClientConfig, NotRun> {
        let verifier = match check {
            Some(check) if check.verify => self.verifier(check.ca.as_deref())?,
            // A plain check never gets as far as a certificate.
            _ => Arc::new(AnyCertificate(self.provider.clone())),
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|_| NotRun::NoTrust)?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = Resumption::store(sessions);
        Ok(config)
    }

    fn verifier(&mut self, file: Option<&Path>) -> Result<Verifier, NotRun> {
        let provider = &self.provider;
        let known = self.known.entry(file.map(Path::to_owned)).or_insert_with(|| {
            let roots = Arc::new(file.map_or_else(system_roots, file_roots)?);
            let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
            built.ok().map(|verifier| verifier as Verifier)
        });
        known.clone().ok_or(NotRun::NoTrust)
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
