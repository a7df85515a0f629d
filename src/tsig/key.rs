//! Keys that two ends share, and codes made with them.

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::wire::Name;

/// The longest code: HMAC with SHA-512.
const MAC_OCTETS_MAX: usize = 64;

/// The algorithms (RFC 8945 section 6): the one that must be there and the strongest. Those on MD5 and SHA-1
/// are not accepted, and nothing that speaks TSIG today lacks these two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 2] = [Algorithm::HmacSha256, Algorithm::HmacSha512];

    /// As the registry and configurations spell it.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    /// The name in the record, in wire form.
    pub const fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::HmacSha256 => b"\x0bhmac-sha256\x00",
            Algorithm::HmacSha512 => b"\x0bhmac-sha512\x00",
        }
    }

    /// The length of a whole code.
    pub const fn mac_octets(self) -> usize {
        match self {
            Algorithm::HmacSha256 => 32,
            Algorithm::HmacSha512 => 64,
        }
    }
}

/// A shared secret with its name.
pub struct Key {
    name: Name,
    algorithm: Algorithm,
    secret: hmac::Key,
}

impl Key {
    /// A key; its name is part of what both ends have to agree on.
    pub fn new(name: &Name, algorithm: Algorithm, secret: &[u8]) -> Key {
        let digest = match algorithm {
            Algorithm::HmacSha256 => hmac::HMAC_SHA256,
            Algorithm::HmacSha512 => hmac::HMAC_SHA512,
        };
        Key { name: *name, algorithm, secret: hmac::Key::new(digest, secret) }
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn context(&self) -> hmac::Context {
        hmac::Context::with_key(&self.secret)
    }
}

impl std::fmt::Debug for Key {
    /// Never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.name, self.algorithm.mnemonic())
    }
}

/// All keys of a server, found by name.
#[derive(Clone, Debug, Default)]
pub struct Keys(Box<[Arc<Key>]>);

impl Keys {
    /// Of two with the same name the first is found.
    pub fn new(mut keys: Vec<Arc<Key>>) -> Keys {
        keys.sort_by(|a, b| a.name.octets().cmp(b.name.octets()));
        keys.dedup_by(|later, earlier| later.name == earlier.name);
        Keys(keys.into())
    }

    /// The key of that name.
    pub fn find(&self, name: &Name) -> Option<&Arc<Key>> {
        let found = self.0.binary_search_by(|key| key.name.octets().cmp(name.octets())).ok()?;
        self.0.get(found)
    }
}

/// A code: what proves that a message comes from who has the key.
#[derive(Clone, Copy)]
pub(super) struct Mac {
    octets: [u8; MAC_OCTETS_MAX],
    length: usize,
}

impl Mac {
    /// A code as received; `None` where it is longer than any.
    pub(super) fn received(octets: &[u8]) -> Option<Mac> {
        let mut mac = Mac { octets: [0; MAC_OCTETS_MAX], length: octets.len() };
        mac.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(mac)
    }

    /// The code over everything that a context was given.
    pub(super) fn of(context: hmac::Context) -> Mac {
        let tag = context.sign();
        Mac::received(tag.as_ref()).unwrap_or(Mac { octets: [0; MAC_OCTETS_MAX], length: 0 })
    }

    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or(&[])
    }

    /// Compares in a time that tells nothing of where they differ.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(self.octets(), other).is_ok()
    }

    /// Whether `other` is the beginning of this one.
    pub(super) fn begins_with(&self, other: &[u8]) -> bool {
        let own = self.octets().get(..other.len()).unwrap_or(&[]);
        aws_lc_rs::constant_time::verify_slices_are_equal(own, other).is_ok()
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a code of {} octets", self.length)
    }
}
