//! Private keys in memory: the library under rustls makes the signatures.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};

use crate::dnssec::{Algorithm, SIGNATURE_OCTETS, Signature, Signer, SigningFailed};

/// The octets of a private key of either algorithm, in key files.
pub const PRIVATE_OCTETS: usize = 32;

/// A private key with its public half.
pub struct KeyPair(Pair);

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// The octets are no private key of the algorithm, or the library has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoKey;

impl KeyPair {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random octets.
    pub fn generate(algorithm: Algorithm) -> Result<KeyPair, NoKey> {
        let pair = match algorithm {
            Algorithm::EcdsaP256Sha256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
                Pair::Ecdsa(Box::new(pair.map_err(|_| NoKey)?))
            }
            Algorithm::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| NoKey)?),
        };
        Ok(KeyPair(pair))
    }

    /// From the octets of `PrivateKey:` in a key file (RFC 6605 section 6.1, RFC 8080 section 6.1).
    ///
    /// # Errors
    /// When they are no key of that algorithm.
    pub fn from_private(algorithm: Algorithm, private: &[u8]) -> Result<KeyPair, NoKey> {
        if private.len() != PRIVATE_OCTETS {
            return Err(NoKey);
        }
        match algorithm {
            Algorithm::EcdsaP256Sha256 => KeyPair::from_der(algorithm, &sec1(private)),
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(private).map_err(|_| NoKey)?;
                Ok(KeyPair(Pair::Ed25519(pair)))
            }
        }
    }

    /// From PKCS#8.
    ///
    /// # Errors
    /// When it holds no key of that algorithm.
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<KeyPair, NoKey> {
        let pair = match algorithm {
            Algorithm::EcdsaP256Sha256 => {
                let pair = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                Pair::Ecdsa(Box::new(pair.map_err(|_| NoKey)?))
            }
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                Pair::Ed25519(pair.map_err(|_| NoKey)?)
            }
        };
        Ok(KeyPair(pair))
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Pair::Ecdsa(_) => Algorithm::EcdsaP256Sha256,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The public half as it stands in DNSKEY (RFC 6605 section 4, RFC 8080 section 3).
    pub fn public(&self) -> Vec<u8> {
        match &self.0 {
            // The first octet says that the point is not compressed.
            Pair::Ecdsa(pair) => pair.public_key().as_ref().get(1..).unwrap_or_default().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// The private half as it stands in key files.
    ///
    /// # Errors
    /// When the library does not give it out.
    pub fn private(&self) -> Result<Vec<u8>, NoKey> {
        match &self.0 {
            Pair::Ecdsa(pair) => {
                let octets: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().map_err(|_| NoKey)?;
                Ok(octets.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => {
                let seed = pair.seed().map_err(|_| NoKey)?;
                let octets: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| NoKey)?;
                Ok(octets.as_ref().to_vec())
            }
        }
    }

    /// The private half in PKCS#8.
    ///
    /// # Errors
    /// When the library does not give it out.
    pub fn to_der(&self) -> Result<Vec<u8>, NoKey> {
        let document = match &self.0 {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
        };
        document.map(|document| document.as_ref().to_vec()).map_err(|_| NoKey)
    }
}

impl Signer for KeyPair {
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed> {
        let signature = match &self.0 {
            Pair::Ecdsa(pair) => pair.sign(&SystemRandom::new(), message).map_err(|_| SigningFailed)?,
            Pair::Ed25519(pair) => pair.sign(message),
        };
        <[u8; SIGNATURE_OCTETS]>::try_from(signature.as_ref()).map_err(|_| SigningFailed)
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (private half not shown)", self.algorithm().mnemonic())
    }
}

/// The octets of a P-256 key as RFC 5915 has them, without the public half: the library computes it.
fn sec1(private: &[u8]) -> Vec<u8> {
    // SEQUENCE { INTEGER 1, OCTET STRING (32), [0] { OBJECT IDENTIFIER prime256v1 } }
    let head = [0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
    let curve = [0xa0, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    [&head[..], private, &curve].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    fn verifies(pair: &KeyPair) {
        let message = b"what is to be signed";
        let signature = pair.sign(message).unwrap();
        match pair.algorithm() {
            Algorithm::EcdsaP256Sha256 => {
                let point = [&[4][..], &pair.public()].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signature).unwrap();
            }
            Algorithm::Ed25519 => {
                UnparsedPublicKey::new(&ED25519, pair.public()).verify(message, &signature).unwrap();
            }
        }
    }

    /// The keys of RFC 6605 section 6.1 and RFC 8080 section 6.1.
    #[test]
    fn rfc6605_6_1_and_rfc8080_6_1_published_keys() {
        let check = |algorithm, private: &str, public: &str| {
            let decode = |text: &str| domain::utils::base64::decode::<Vec<u8>>(text).unwrap();
            let pair = KeyPair::from_private(algorithm, &decode(private)).unwrap();
            assert_eq!((pair.public(), pair.private().unwrap()), (decode(public), decode(private)));
            verifies(&pair);
            verifies(&KeyPair::from_der(algorithm, &pair.to_der().unwrap()).unwrap());
        };
        check(
            Algorithm::EcdsaP256Sha256,
            "GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=",
            "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
        );
        check(
            Algorithm::Ed25519,
            "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=",
            "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
        );
    }

    #[test]
    fn new_keys_sign_and_what_is_no_key_is_none() {
        for algorithm in Algorithm::ALL {
            let pair = KeyPair::generate(algorithm).unwrap();
            verifies(&pair);
            assert!(
                !format!("{pair:?}")
                    .contains(&domain::utils::base64::encode_string(&pair.private().unwrap()))
            );
            for broken in [&[][..], &[1; 31], &[1; 33]] {
                assert_eq!(KeyPair::from_private(algorithm, broken).err(), Some(NoKey));
                assert_eq!(KeyPair::from_der(algorithm, broken).err(), Some(NoKey));
            }
        }
        // Zero, and what is beyond the order of the curve, are no scalars.
        for broken in [[0; 32], [0xff; 32]] {
            assert!(KeyPair::from_private(Algorithm::EcdsaP256Sha256, &broken).is_err());
        }
    }
}
