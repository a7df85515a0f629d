//! A question's name, made ready once for every look-up: lower case, and the hash of each of its suffixes.

use super::tree::WORD_OCTETS;
use crate::wire::{Name, lowered};

/// The longest name that is made ready so, in octets. Longer ones are looked up label by label.
const NAME_OCTETS_MAX: usize = 64;

/// Room for a name, and a word of zeros behind it: any label's first word can be read at once.
const ROOM_OCTETS: usize = NAME_OCTETS_MAX + WORD_OCTETS;

/// Most names have two to five labels.
const LABELS_MAX: usize = 7;

/// The hash of the root's name.
pub(super) const ROOT_HASH: u64 = 0;

/// A name of up to 7 labels and 64 octets.
pub struct Sought {
    octets: [u8; ROOM_OCTETS],
    length: u8,
    labels: u8,
    /// Where each label's length stands.
    starts: [u8; LABELS_MAX + 1],
    /// By number of the first label; the last is the root's.
    hashes: [u64; LABELS_MAX + 1],
}

impl Sought {
    /// Room for a name: read one into it.
    pub const EMPTY: Sought = Sought {
        octets: [0; ROOM_OCTETS],
        length: 0,
        labels: 0,
        starts: [0; LABELS_MAX + 1],
        hashes: [ROOT_HASH; LABELS_MAX + 1],
    };

    /// Reads the name that `wire` begins with into an empty one; `None` where that is none, the root, or one that is
    /// longer than what is made ready so.
    #[inline]
    pub fn read(&mut self, wire: &[u8]) -> Option<()> {
        let (mut position, mut labels) = (0, 0);
        loop {
            let octets = usize::from(*wire.get(position)?);
            if octets == 0 {
                break;
            }
            // The last of the starts is never a label's.
            if octets > 63 || labels >= LABELS_MAX {
                return None;
            }
            self.starts[labels & LABELS_MAX] = position as u8;
            labels += 1;
            position += 1 + octets;
        }
        if position >= NAME_OCTETS_MAX || labels == 0 {
            return None;
        }
        (self.length, self.labels) = (position as u8 + 1, labels as u8);
        // What stands behind the name comes along, and is masked where it is read.
        let (words, _) = self.octets.as_chunks_mut::<WORD_OCTETS>();
        let (whole, tail) = wire.as_chunks::<WORD_OCTETS>();
        let used = position.div_ceil(WORD_OCTETS);
        for (to, from) in words.iter_mut().take(used).zip(whole) {
            *to = lowered(u64::from_le_bytes(*from)).to_le_bytes();
        }
        if used > whole.len()
            && let Some(to) = words.get_mut(whole.len())
        {
            *to = lowered(super::tree::short_word(tail)).to_le_bytes();
        }
        let mut hash = ROOT_HASH;
        for index in (0..labels).rev() {
            let (octets, word) = self.label_start(index);
            hash = step(hash.wrapping_add(octets as u64) ^ word);
            if octets > WORD_OCTETS {
                hash = self.step_on(hash, index, octets);
            }
            self.hashes[index & LABELS_MAX] = hash;
        }
        // Beyond the labels of this name the hashes are the root's.
        Some(())
    }

    /// The hash of a label goes on behind its first word.
    fn step_on(&self, mut hash: u64, index: usize, octets: usize) -> u64 {
        let start = self.start(index) + 1;
        let mut read = WORD_OCTETS;
        while read < octets {
            hash = step(hash ^ self.masked(start + read, octets - read));
            read += WORD_OCTETS;
        }
        hash
    }

    /// The first `octets` of the word at `start`, zeros behind them. `octets` is at least 1.
    #[inline]
    fn masked(&self, start: usize, octets: usize) -> u64 {
        let start = start.min(NAME_OCTETS_MAX);
        let word = self.octets.get(start..start + WORD_OCTETS).and_then(|octets| octets.first_chunk());
        let word = word.map_or(0, |word| u64::from_le_bytes(*word));
        let behind = (WORD_OCTETS - octets.min(WORD_OCTETS)) * 8;
        word << behind >> behind
    }

    /// The octets it takes up in a message, the root's included.
    #[inline]
    pub fn octets(&self) -> usize {
        usize::from(self.length)
    }

    /// The number of labels, the root not counted.
    #[inline]
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }

    /// Label `index`, counted from the left, without its length octet.
    #[inline]
    pub fn label(&self, index: usize) -> &[u8] {
        let start = self.start(index) % NAME_OCTETS_MAX;
        let octets = usize::from(self.octets[start]);
        self.octets.get(start + 1..start + 1 + octets).unwrap_or(&[])
    }

    #[inline]
    fn start(&self, index: usize) -> usize {
        usize::from(self.starts[index & LABELS_MAX])
    }

    /// How many octets label `index` has, and the first word of them, zeros behind the end of a short one.
    #[inline]
    pub(super) fn label_start(&self, index: usize) -> (usize, u64) {
        let start = self.start(index) % NAME_OCTETS_MAX;
        let octets = usize::from(self.octets[start]);
        (octets, self.masked(start + 1, octets))
    }

    /// The hash of the name from label `index` on.
    #[inline]
    pub(super) fn hash(&self, index: usize) -> u64 {
        self.hashes[index & LABELS_MAX]
    }
}

/// The hash of a name, from those of its labels.
pub(super) fn name_hash(name: &Name) -> u64 {
    (0..name.labels()).rev().fold(ROOT_HASH, |above, index| {
        let label = name.label(index);
        label_hash(above, label, super::tree::first_word(label))
    })
}

/// The hash of a label (lower case, `word` its first octets) under a name of hash `above`: folded multiplication
/// over eight octets at a time. Clients choose what is looked up, never what is stored, so the hash needs no
/// secret: the longest run of slots bounds every miss.
pub(super) fn label_hash(above: u64, label: &[u8], word: u64) -> u64 {
    let state = step(above.wrapping_add(label.len() as u64) ^ word);
    let (words, rest) = label.get(WORD_OCTETS..).unwrap_or(&[]).as_chunks::<WORD_OCTETS>();
    let state = words.iter().fold(state, |state, word| step(state ^ u64::from_le_bytes(*word)));
    if rest.is_empty() { state } else { step(state ^ super::tree::short_word(rest)) }
}

#[inline]
fn step(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn read(wire: &[u8]) -> Option<Sought> {
        let mut sought = Sought::EMPTY;
        sought.read(wire).map(|()| sought)
    }

    fn suffix_hash(name: &Name, index: usize) -> u64 {
        Name::from_wire(name.suffix(index)).map_or(ROOT_HASH, |suffix| name_hash(&suffix))
    }

    proptest! {
        #[test]
        fn says_of_a_name_what_the_name_itself_says(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..24), 0..10),
            behind in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let mut wire: Vec<u8> = labels.iter().flat_map(|label| {
                std::iter::once(label.len() as u8).chain(label.iter().copied())
            }).collect();
            wire.push(0);
            let octets = wire.len();
            wire.extend(behind);
            let name = Name::from_wire(&wire).filter(|name| (1..=7).contains(&name.labels()) && octets <= 64);
            let sought = read(&wire);
            prop_assert_eq!(sought.is_some(), name.is_some());
            if let (Some(sought), Some(name)) = (sought, name) {
                prop_assert_eq!((sought.octets(), sought.labels()), (octets, name.labels()));
                for index in 0..name.labels() {
                    prop_assert_eq!(sought.label(index), name.label(index));
                    prop_assert_eq!(sought.hash(index), suffix_hash(&name, index));
                }
                prop_assert_eq!(sought.hash(name.labels()), ROOT_HASH);
            }
        }
    }

    #[test]
    fn what_is_no_name_or_too_long_is_none() {
        let long = [&[63u8][..], &[b'a'; 63], &[0]].concat();
        for wire in [&b""[..], b"\x00", b"\x03ww", b"\x03www", b"\xc0\x0c", b"\x40a\x00", &long] {
            assert!(read(wire).is_none(), "{wire:?}");
        }
    }
}
