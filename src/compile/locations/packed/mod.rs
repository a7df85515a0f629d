//! Our own location file: small enough to ship, and decoded as it is read.
//!
//! ```text
//! magic      8 octets
//! version    1 octet
//! sections   nine, each a u32 length and one zstd frame:
//!              the head, then for IPv4 and for IPv6: counts, long counts, ranks, new places
//! checksum   8 octets: SipHash-2-4 with a zero key over all before
//! ```
//! Numbers are little-endian. The head has the time of the build (u64), the attribution (u16, UTF-8),
//! the length of a network and the number of runs of each family (u8, u32; no runs: no such family),
//! and the table of places (u32; `head.rs`).
//!
//! A family is a list of runs from the first address to the last: so many networks of its length in a
//! row (a code of one octet in `counts`, rare ones spelt out in `long counts`) are at one place. Places
//! come back soon, so a place is its rank among those used last (`ranks`), or new (u32: 0 for no place,
//! else its number in the table plus one). Everything is bounded before it is allocated: a hostile file
//! is an error, never a surprise.

mod code;
mod head;
mod read;
mod write;

pub(super) use read::{Packed, Runs};
pub use write::write;

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

/// What a file begins with. The line ends show what a text-mode transfer did to it.
pub(super) const MAGIC: &[u8; 8] = b"\x8fMGEO\r\n\n";

/// The version of the form.
const VERSION: u8 = 1;

/// The head and four columns for each family.
const SECTIONS: usize = 9;

const CHECKSUM_OCTETS: usize = 8;

/// The largest file read: some thirty times the shipped one.
const FILE_OCTETS_MAX: usize = 128 << 20;

/// The largest head once decompressed: some hundred times the shipped one.
const HEAD_OCTETS_MAX: usize = 32 << 20;

/// Places in one file: some hundred times the shipped ones.
const PLACES_MAX: usize = 1 << 20;

/// Runs in one family: the number of IPv4 /24s.
const RUNS_MAX: u32 = 1 << 24;

/// The logarithm of the largest zstd window: the memory that reading one column may take (16 MiB).
const WINDOW_LOG_MAX: u32 = 24;

fn checksum(octets: &[u8]) -> [u8; CHECKSUM_OCTETS] {
    let mut hasher = SipHasher24::new_with_keys(0, 0);
    hasher.write(octets);
    hasher.finish().to_le_bytes()
}

#[cfg(test)]
mod tests;
