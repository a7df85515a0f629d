//! A question's name, made ready once for every look-up: lower case, in words of eight octets.

use super::blocks::{WORD_OCTETS, Word, words_of};

/// The longest name that is made ready so, in octets. Longer ones are looked up label by label.
const NAME_OCTETS_MAX: usize = 64;

/// Lowered at once: a register's.
const LOWERED_OCTETS: usize = 16;

/// Room for a name, and a word behind it: a word can be read at any of its octets.
const ROOM_OCTETS: usize = NAME_OCTETS_MAX + LOWERED_OCTETS;

/// Most names have two to five labels.
const LABELS_MAX: usize = 7;

/// A name of up to 7 labels and 64 octets.
pub struct Sought {
    octets: [u8; ROOM_OCTETS],
    length: u8,
    labels: u8,
    /// Where each label's length stands; behind the last label, the root's.
    starts: [u8; LABELS_MAX + 1],
}

impl Sought {
    /// Room for a name: read one into it.
    pub const EMPTY: Sought =
        Sought { octets: [0; ROOM_OCTETS], length: 0, labels: 0, starts: [0; LABELS_MAX + 1] };

    /// Reads the name that `wire` begins with into an empty one; `None` where that is none, the root, or one that is
    /// longer than what is made ready so.
    #[inline]
    pub fn read(&mut self, wire: &[u8]) -> Option<()> {
        let (mut position, mut labels) = (0, 0);
        loop {
            let octets = usize::from(*wire.get(position)?);
            self.starts[labels & LABELS_MAX] = position as u8;
            if octets == 0 {
                break;
            }
            // The last of the starts is the root's.
            if octets > 63 || labels >= LABELS_MAX {
                return None;
            }
            labels += 1;
            position += 1 + octets;
        }
        if position >= NAME_OCTETS_MAX || labels == 0 {
            return None;
        }
        (self.length, self.labels) = (position as u8 + 1, labels as u8);
        // What stands behind the name comes along, and is masked where it is read.
        let (lowered, _) = self.octets.as_chunks_mut::<LOWERED_OCTETS>();
        let (whole, rest) = wire.as_chunks::<LOWERED_OCTETS>();
        let used = position / LOWERED_OCTETS + 1;
        for (to, from) in lowered.iter_mut().take(used).zip(whole) {
            *to = lower(*from);
        }
        if used > whole.len() {
            lower_last(lowered.get_mut(whole.len())?, rest);
        }
        Some(())
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

    /// The first octet of its first label.
    #[inline]
    pub fn first_octet(&self) -> u8 {
        self.octets[1]
    }

    /// Where label `index`, counted from the left, begins; the root's place behind the last.
    #[inline]
    pub(super) fn start(&self, index: usize) -> usize {
        usize::from(self.starts[index & LABELS_MAX])
    }

    /// The label, in lower case, that ends before the octet `end`, where another begins; `None` where there is none.
    #[inline]
    pub(super) fn label_before(&self, end: usize) -> Option<&[u8]> {
        let starts = self.starts.get(..self.labels())?;
        let start = starts.iter().rev().find(|start| usize::from(**start) < end)?;
        self.octets.get(usize::from(*start) + 1..end)
    }

    /// The hash of the octets from `start` to before `end`, of which there are some: that of [`octets_hash`].
    #[inline]
    pub(super) fn hash(&self, start: usize, end: usize) -> u64 {
        let (mut state, mut at) = (NOTHING_HASH, start);
        while at + WORD_OCTETS < end {
            state = step(state ^ self.word(at));
            at += WORD_OCTETS;
        }
        let behind = bits_behind(at, end);
        step(state ^ self.word(at) << behind >> behind)
    }

    /// Whether the octets from `start` to before `end`, of which there are some, are what `words` begin with.
    #[inline]
    pub(super) fn is(&self, start: usize, end: usize, words: &[Word]) -> bool {
        let words = words.get(..words_of(end - start)).and_then(<[Word]>::split_last);
        let Some((last, whole)) = words else { return false };
        let mut at = start;
        for word in whole {
            if u64::from_le_bytes(*word) != self.word(at) {
                return false;
            }
            at += WORD_OCTETS;
        }
        (u64::from_le_bytes(*last) ^ self.word(at)) << bits_behind(at, end) == 0
    }

    /// The word of which `at` is the first octet.
    #[inline]
    fn word(&self, at: usize) -> u64 {
        let at = at % NAME_OCTETS_MAX;
        let word = self.octets.get(at..at + WORD_OCTETS).and_then(|octets| octets.first_chunk());
        word.map_or(0, |word| u64::from_le_bytes(*word))
    }
}

/// How many bits of the word at `at` belong to what follows the octet before `end`, which is one to eight behind.
#[inline]
fn bits_behind(at: usize, end: usize) -> u32 {
    (at.wrapping_sub(end).wrapping_mul(8) % (WORD_OCTETS * 8)) as u32
}

#[cold]
fn lower_last(to: &mut [u8; LOWERED_OCTETS], rest: &[u8]) {
    let mut last = [0; LOWERED_OCTETS];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    *to = lower(last);
}

/// ASCII letters in lower case. Length octets are below 64 and so below every letter: lowering all octets keeps them.
#[inline]
fn lower(octets: [u8; LOWERED_OCTETS]) -> [u8; LOWERED_OCTETS] {
    octets.map(|octet| octet | u8::from(octet.wrapping_sub(b'A') < 26) << 5)
}

/// The hash of no octets.
const NOTHING_HASH: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a part of a name, lower case: folded multiplication over eight octets at a time, zeros behind
/// the last. Clients choose what is looked up, never what is stored, so the hash needs no secret: the longest run of
/// slots bounds every miss.
pub(super) fn octets_hash(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<WORD_OCTETS>();
    let state = words.iter().fold(NOTHING_HASH, |state, word| step(state ^ u64::from_le_bytes(*word)));
    if rest.is_empty() { state } else { step(state ^ u64::from_le_bytes(padded(rest))) }
}

/// Up to eight octets, zeros behind them.
pub(super) fn padded(octets: &[u8]) -> Word {
    let mut word = [0; WORD_OCTETS];
    word.iter_mut().zip(octets).for_each(|(to, from)| *to = *from);
    word
}

#[inline]
fn step(value: u64) -> u64 {
    let product = u128::from(value) * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::Name;
    use proptest::prelude::*;

    fn read(wire: &[u8]) -> Option<Sought> {
        let mut sought = Sought::EMPTY;
        sought.read(wire).map(|()| sought)
    }

    fn words(octets: &[u8]) -> Vec<Word> {
        octets.chunks(WORD_OCTETS).map(padded).collect()
    }

    proptest! {
        #[test]
        fn says_of_a_name_what_the_name_itself_says(
            labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..24), 0..10),
            behind in prop::collection::vec(any::<u8>(), 0..40),
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
                prop_assert_eq!(sought.first_octet(), name.label(0)[0]);
                prop_assert_eq!(sought.label_before(0), None);
                for first in 0..=name.labels() {
                    let start = sought.start(first);
                    prop_assert_eq!(start, name.start(first));
                    let before = first.checked_sub(1).map(|before| name.label(before));
                    prop_assert_eq!(sought.label_before(start), before);
                    for end in first..=name.labels() {
                        let end = name.start(end);
                        let part = &name.octets()[start..end];
                        if let Some(other) = part.len().checked_sub(1) {
                            prop_assert_eq!(sought.hash(start, end), octets_hash(part));
                            let mut part = part.to_vec();
                            prop_assert!(sought.is(start, end, &words(&part)));
                            part[other] ^= 1;
                            prop_assert!(!sought.is(start, end, &words(&part)));
                        }
                    }
                }
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
