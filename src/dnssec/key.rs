//! A zone's keys (RFC 4034 section 2), without their private halves.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

use crate::wire::Name;

/// The octets of a signature by any algorithm that this server signs with.
pub const SIGNATURE_OCTETS: usize = 64;

/// A signature as it stands in RRSIG.
pub type Signature = [u8; SIGNATURE_OCTETS];

/// SEP: the key is meant to be known to the parent (RFC 4034 section 2.1.1).
const FLAG_SEP: u16 = 0x0001;

/// The key may sign the zone (RFC 4034 section 2.1.1).
const FLAG_ZONE: u16 = 0x0100;

/// The only value of DNSKEY's protocol field (RFC 4034 section 2.1.2).
const PROTOCOL: u8 = 3;

/// DS by SHA-256 (RFC 4509).
const DIGEST_SHA256: u8 = 2;

/// What this server signs with: what RFC 8624 section 3.1 recommends for signing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 6605).
    EcdsaP256Sha256,
    /// Ed25519 (RFC 8080).
    Ed25519,
}

impl Algorithm {
    /// All of them, in the order of their numbers.
    pub const ALL: [Algorithm; 2] = [Algorithm::EcdsaP256Sha256, Algorithm::Ed25519];

    /// The number in DNSKEY, DS and RRSIG.
    pub const fn number(self) -> u8 {
        match self {
            Algorithm::EcdsaP256Sha256 => 13,
            Algorithm::Ed25519 => 15,
        }
    }

    /// The mnemonic, as in configuration and key files.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Algorithm::EcdsaP256Sha256 => "ECDSAP256SHA256",
            Algorithm::Ed25519 => "ED25519",
        }
    }
}

/// Makes signatures with one private key: the only thing that pure code knows of it.
pub trait Signer: Send + Sync {
    /// The signature over a message.
    ///
    /// # Errors
    /// When the cryptographic library refuses.
    fn sign(&self, message: &[u8]) -> Result<Signature, SigningFailed>;
}

/// The private key could not be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SigningFailed;

/// What a key of a zone is for at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyUse {
    /// It stands in the DNSKEY RRset and signs nothing: it is about to come into use, or has gone out of it.
    Published,
    /// It signs DNSKEY, CDS and CDNSKEY (a KSK).
    SignsKeys,
    /// It signs everything else (a ZSK).
    SignsZone,
    /// It signs all (a CSK).
    SignsAll,
}

impl KeyUse {
    /// Whether it signs the DNSKEY RRset.
    pub const fn signs_keys(self) -> bool {
        matches!(self, KeyUse::SignsKeys | KeyUse::SignsAll)
    }

    /// Whether it signs RRsets other than those of keys.
    pub const fn signs_zone(self) -> bool {
        matches!(self, KeyUse::SignsZone | KeyUse::SignsAll)
    }
}

/// A key of a zone.
#[derive(Clone)]
pub struct ZoneKey {
    algorithm: Algorithm,
    tag: u16,
    rdata: Box<[u8]>,
    /// What it is for.
    pub key_use: KeyUse,
    /// Its private half.
    pub signer: Arc<dyn Signer>,
}

impl ZoneKey {
    /// A key from its public half as it stands in DNSKEY. `sep` marks those that the parent may know.
    pub fn new(
        algorithm: Algorithm,
        public: &[u8],
        sep: bool,
        key_use: KeyUse,
        signer: Arc<dyn Signer>,
    ) -> ZoneKey {
        let flags = FLAG_ZONE | if sep { FLAG_SEP } else { 0 };
        let mut rdata = flags.to_be_bytes().to_vec();
        rdata.extend([PROTOCOL, algorithm.number()]);
        rdata.extend_from_slice(public);
        ZoneKey { algorithm, tag: key_tag(&rdata), rdata: rdata.into(), key_use, signer }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key tag (RFC 4034 appendix B).
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// The RDATA of DNSKEY, and of CDNSKEY (RFC 7344 section 3.2).
    pub fn dnskey(&self) -> &[u8] {
        &self.rdata
    }

    /// The RDATA of DS, and of CDS, by SHA-256 (RFC 4034 section 5.1.4).
    pub fn ds(&self, owner: &Name) -> Vec<u8> {
        let mut rdata = self.tag.to_be_bytes().to_vec();
        rdata.extend([self.algorithm.number(), DIGEST_SHA256]);
        let subject = [owner.octets(), &*self.rdata].concat();
        rdata.extend_from_slice(digest(&SHA256, &subject).as_ref());
        rdata
    }
}

impl std::fmt::Debug for ZoneKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?}", self.algorithm.mnemonic(), self.tag, self.key_use)
    }
}

/// RFC 4034 appendix B.
fn key_tag(rdata: &[u8]) -> u16 {
    let sum: u32 = rdata
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => u32::from(high) << 8 | u32::from(low),
            [high] => u32::from(high) << 8,
            _ => 0,
        })
        .sum();
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct NoKey;

    impl Signer for NoKey {
        fn sign(&self, _: &[u8]) -> Result<Signature, SigningFailed> {
            Err(SigningFailed)
        }
    }

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    /// The examples of RFC 6605 section 6.1 and RFC 8080 section 6.1.
    #[test]
    fn rfc4034_b_and_5_1_4_tags_and_digests_of_published_examples() {
        let check = |algorithm, owner: &[u8], public: &str, tag, ds: &str| {
            let public: Vec<u8> = domain::utils::base64::decode(public).unwrap();
            let key = ZoneKey::new(algorithm, &public, true, KeyUse::SignsAll, Arc::new(NoKey));
            assert_eq!(key.tag(), tag);
            let rdata = key.ds(&Name::from_wire(owner).unwrap());
            assert_eq!(rdata[..4], [(tag >> 8) as u8, tag as u8, algorithm.number(), 2]);
            assert_eq!(hex(&rdata[4..]), ds);
        };
        check(
            Algorithm::EcdsaP256Sha256,
            b"\x07example\x03net\x00",
            "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==",
            55648,
            "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17",
        );
        check(
            Algorithm::Ed25519,
            b"\x07example\x03com\x00",
            "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
            3613,
            "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b",
        );
    }
}
