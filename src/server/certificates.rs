//! Certificates with their keys: read from PEM, put in each other's place while connections go on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

/// Certificates in one file: a chain has three or four.
const CHAIN_LENGTH_MAX: usize = 16;

/// A chain of certificates with its key, ready to be shown.
#[derive(Clone, Debug)]
pub struct Credentials {
    key: Arc<CertifiedKey>,
    /// When the server's own certificate ends, since the Unix epoch, where it says so in a form we read.
    pub ends: Option<Duration>,
}

/// Which of the two files is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// `certificate`
    Certificate,
    /// `key`
    Key,
}

/// What is wrong with a pair of files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
    /// The file at fault.
    pub part: Part,
    /// What is wrong with it: the end of a sentence that begins with its name.
    pub problem: String,
    /// What to do.
    pub mend: &'static str,
}

impl Credentials {
    /// From the texts of the two files: the server's own certificate first, those of its issuers behind it.
    ///
    /// # Errors
    /// The file at fault, and what to do about it.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Credentials, Unusable> {
        let chain = chain(certificate)?;
        let key = private_key(key)?;
        let ends = chain.first().and_then(|own| crate::certificate::ends(own));
        let provider = aws_lc_rs::default_provider();
        match CertifiedKey::from_der(chain, key, &provider) {
            Ok(key) => Ok(Credentials { key: Arc::new(key), ends }),
            Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(Unusable {
                part: Part::Key,
                problem: "is not the key of the first certificate".to_owned(),
                mend: "name two files that were made together; the server's own certificate comes first in its file",
            }),
            Err(error @ Error::InvalidCertificate(_)) => Err(Unusable {
                part: Part::Certificate,
                problem: format!("cannot be used: {error}"),
                mend: "ask for a new certificate; `openssl x509 -text -in FILE` shows this one",
            }),
            Err(error) => Err(Unusable {
                part: Part::Key,
                problem: format!("cannot be used: {error}"),
                mend: "use ECDSA (P-256 or P-384), Ed25519, or RSA of at least 2048 bits",
            }),
        }
    }
}

fn chain(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    let fault =
        |problem: &str, mend| Err(Unusable { part: Part::Certificate, problem: problem.to_owned(), mend });
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        match certificate {
            Ok(certificate) if chain.len() < CHAIN_LENGTH_MAX => chain.push(certificate),
            Ok(_) => {
                return fault(
                    "holds more than 16 certificates",
                    "leave only the server's own and its issuers'",
                );
            }
            Err(_) => {
                return fault("is damaged", "copy it again: PEM, from BEGIN CERTIFICATE to END CERTIFICATE");
            }
        }
    }
    match chain.is_empty() {
        false => Ok(chain),
        true if PrivateKeyDer::from_pem_slice(text).is_ok() => {
            fault("holds a private key and no certificate", "exchange `certificate` and `key`")
        }
        true => fault(
            "holds no certificate",
            "it must be PEM: a block that begins with -----BEGIN CERTIFICATE-----",
        ),
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Unusable> {
    let fault = |problem: &str, mend| Err(Unusable { part: Part::Key, problem: problem.to_owned(), mend });
    let encrypted = text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED);
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(_) if encrypted => fault(
            "is locked with a passphrase",
            "unlock it: openssl pkey -in FILE -out OTHER, readable for the server's user alone",
        ),
        Err(pem::Error::NoItemsFound) => fault(
            "holds no private key",
            "it must be PEM: a block that begins with -----BEGIN PRIVATE KEY-----",
        ),
        Err(_) => fault("is damaged", "copy it again: PEM, from BEGIN PRIVATE KEY to END PRIVATE KEY"),
    }
}

/// Of the first line of a key that needs a passphrase.
const ENCRYPTED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";

/// The credentials that listeners show at this moment.
pub struct Certificate {
    current: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// These, until others take their place.
    pub fn new(credentials: &Credentials) -> Certificate {
        Certificate { current: ArcSwap::new(credentials.key.clone()) }
    }

    /// What tells one from another: the first certificate's octets.
    #[cfg(test)]
    pub fn fingerprint(&self) -> Vec<u8> {
        self.current.load().cert.first().map(|own| own.to_vec()).unwrap_or_default()
    }

    /// Shows others from the next handshake on; connections that stand go on.
    pub fn replace(&self, credentials: &Credentials) {
        self.current.store(credentials.key.clone());
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn pair() -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["ns.example.test".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[track_caller]
    fn check(certificate: &str, key: &str, part: Part, problem: &str) {
        let unusable = Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!((unusable.part, unusable.problem.as_str()), (part, problem));
        assert!(!unusable.mend.is_empty());
    }

    #[test]
    fn every_fault_names_its_file() {
        let ((certificate, key), (other, other_key)) = (pair(), pair());
        let good = Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        assert!(good.ends.is_some());
        check(&certificate, &other_key, Part::Key, "is not the key of the first certificate");
        check(&format!("{other}{certificate}"), &key, Part::Key, "is not the key of the first certificate");
        check(&key, &certificate, Part::Certificate, "holds a private key and no certificate");
        check("", &key, Part::Certificate, "holds no certificate");
        check(&certificate, "", Part::Key, "holds no private key");
        check(&certificate, &certificate, Part::Key, "holds no private key");
        check(&certificate.repeat(17), &key, Part::Certificate, "holds more than 16 certificates");
        let cut = certificate.get(..certificate.len() / 2).unwrap();
        check(cut, &key, Part::Certificate, "is damaged");
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        check(&certificate, &locked, Part::Key, "is locked with a passphrase");
    }

    #[test]
    fn files_cut_anywhere_are_refused_in_words() {
        let (certificate, key) = pair();
        for cut in 0..certificate.len() - 2 {
            assert!(
                Credentials::from_pem(certificate.get(..cut).unwrap().as_bytes(), key.as_bytes()).is_err()
            );
        }
        for cut in 0..key.len() - 2 {
            assert!(
                Credentials::from_pem(certificate.as_bytes(), key.get(..cut).unwrap().as_bytes()).is_err()
            );
        }
    }
}
