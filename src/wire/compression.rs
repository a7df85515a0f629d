//! Name compression (RFC 1035 section 4.1.4): which names a message already holds, and where.

use super::name::LABEL_OCTETS_MAX;

/// Names that later names are compared with. A referral with 13 servers and their names needs about
/// 40; beyond the table names go out whole, which is right and only longer.
const REMEMBERED_MAX: usize = 48;

/// Names of more labels go out whole. Reverse names of IPv6 have 34.
const COMPRESSED_LABELS_MAX: usize = 40;

/// The names written so far, by the hash of each of their suffixes.
pub(super) struct NameTable {
    entries: [Remembered; REMEMBERED_MAX],
    /// How many entries are in use; lowered to forget what was written last.
    pub(super) used: usize,
}

#[derive(Clone, Copy)]
struct Remembered {
    hash: u16,
    offset: u16,
}

impl NameTable {
    pub(super) const EMPTY: NameTable =
        NameTable { entries: [Remembered { hash: 0, offset: 0 }; REMEMBERED_MAX], used: 0 };

    /// Where in `message` the name `suffix` with this hash begins, if it is known.
    pub(super) fn find(&self, message: &[u8], hash: u16, suffix: &[u8]) -> Option<u16> {
        let known = self.entries.get(..self.used)?;
        let is_same =
            |entry: &&Remembered| entry.hash == hash && same_name(message, usize::from(entry.offset), suffix);
        known.iter().find(is_same).map(|entry| entry.offset)
    }

    /// Remembers a name; passed over when the table is full.
    pub(super) fn add(&mut self, hash: u16, offset: u16) {
        if let Some(entry) = self.entries.get_mut(self.used) {
            *entry = Remembered { hash, offset };
            self.used += 1;
        }
    }
}

/// Where the suffixes of a name begin, the root left out, and their hashes: over the length and the
/// ends of each label, which tells names apart well enough to be worth comparing.
pub(super) struct Suffixes {
    starts: [u8; COMPRESSED_LABELS_MAX],
    hashes: [u16; COMPRESSED_LABELS_MAX],
    /// How many there are.
    pub(super) used: usize,
}

impl Suffixes {
    /// `None` where the name has too many labels, or is none.
    pub(super) fn of(name: &[u8]) -> Option<Suffixes> {
        let mut suffixes =
            Suffixes { starts: [0; COMPRESSED_LABELS_MAX], hashes: [0; COMPRESSED_LABELS_MAX], used: 0 };
        let mut position = 0;
        loop {
            let length = usize::from(*name.get(position)?);
            if length == 0 {
                break;
            }
            if length > LABEL_OCTETS_MAX {
                return None;
            }
            *suffixes.starts.get_mut(suffixes.used)? = u8::try_from(position).ok()?;
            suffixes.used += 1;
            position += 1 + length;
        }
        let mut hash = 0u32;
        for index in (0..suffixes.used).rev() {
            let start = suffixes.start(index);
            let length = usize::from(*name.get(start)?);
            let (first, last) = (name.get(start + 1)?, name.get(start + length)?);
            let ends = [length as u8, first.to_ascii_lowercase(), last.to_ascii_lowercase(), 0];
            hash = (hash ^ u32::from_le_bytes(ends)).wrapping_mul(0x9e37_79b1).rotate_left(15);
            *suffixes.hashes.get_mut(index)? = (hash ^ hash >> 16) as u16;
        }
        Some(suffixes)
    }

    pub(super) fn start(&self, index: usize) -> usize {
        self.starts.get(index).map_or(0, |start| usize::from(*start))
    }

    pub(super) fn hash(&self, index: usize) -> u16 {
        self.hashes.get(index).copied().unwrap_or(0)
    }
}

/// Whether the name at `offset` of a message of our own, pointers followed, is `name` in any case.
pub(super) fn same_name(message: &[u8], offset: usize, name: &[u8]) -> bool {
    let (mut position, mut rest) = (offset, name);
    loop {
        let Some(&length) = message.get(position) else { return false };
        if length >= 0xc0 {
            let Some(&low) = message.get(position + 1) else { return false };
            let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
            if target >= position {
                return false;
            }
            position = target;
            continue;
        }
        let octets = 1 + usize::from(length);
        let (Some(ours), Some(theirs)) = (message.get(position..position + octets), rest.get(..octets))
        else {
            return false;
        };
        if !ours.eq_ignore_ascii_case(theirs) {
            return false;
        }
        if length == 0 {
            return true;
        }
        position += octets;
        rest = rest.get(octets..).unwrap_or(&[]);
    }
}
