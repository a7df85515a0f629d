//! The flat form of a location map: one row of octets, checked when read.
//!
//! Magic, format version and length, then the payload: the spec, the tables of the classes, and the
//! trie. Numbers are little-endian; lists start with their length. A reader takes nothing on trust: what a
//! look-up follows later is in bounds, and descents end. Against damage that leaves it so, who keeps it has
//! a checksum of his own.

mod check;
mod read;
mod write;

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use self::read::Reader;
use self::write::Writer;
use super::{LocationMap, MapError};
use crate::geo::embedded::EMBEDDING_BLOCKS;
use crate::geo::special::SPECIAL_BLOCKS;

/// The first octets of every flat map.
const MAGIC: [u8; 8] = *b"MERIDMAP";

/// Raised with every change of the form.
const VERSION: u32 = 6;

/// Magic, version, fixed blocks and length of the payload.
const HEADER_OCTETS: usize = 8 + 4 + 8 + 8;

impl LocationMap {
    /// The flat versioned form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut payload = Writer::new();
        payload.spec(&self.spec);
        payload.classes(&self.classes);
        payload.trie(&self.trie);
        let payload = payload.into_bytes();
        let mut bytes = Vec::with_capacity(HEADER_OCTETS + payload.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(fixed_blocks().to_le_bytes());
        bytes.extend((payload.len() as u64).to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Reads [`LocationMap::to_bytes`]. Whatever the input, the outcome is an error or a map whose
    /// look-ups stay in bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<LocationMap, MapError> {
        read(bytes).filter(check::holds).ok_or(MapError::NotAMap)
    }
}

fn read(bytes: &[u8]) -> Option<LocationMap> {
    let mut header = Reader::new(bytes);
    let same_form = header.array()? == MAGIC && header.u32()? == VERSION && header.u64()? == fixed_blocks();
    let length = usize::try_from(header.u64()?).ok()?;
    let payload = header.rest();
    if !same_form || payload.len() != length {
        return None;
    }
    let mut reader = Reader::new(payload);
    let spec = reader.spec()?;
    let classes = reader.classes(&spec)?;
    let (roots, sets, row) = reader.trie()?;
    let trie = check::trie(roots, sets, row, classes.count)?;
    reader.rest().is_empty().then_some(LocationMap { spec, classes, trie, firsts: Arc::default() })
}

/// A fingerprint of the fixed blocks: the first classes of a map stand for them by number.
fn fixed_blocks() -> u64 {
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    for (first, length) in SPECIAL_BLOCKS
        .iter()
        .map(|block| (block.first, block.length))
        .chain(EMBEDDING_BLOCKS.iter().map(|block| (block.first, block.length)))
    {
        hasher.write(&first.to_le_bytes());
        hasher.write(&[length]);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
