//! Interned lists of numbers: equal lists get one number.

use std::hash::BuildHasher;

/// Lists of `u32`, numbered in the order in which they were first seen.
pub(super) struct SliceTable {
    values: Vec<u32>,
    /// Where each list ends in `values`; it starts where the one before it ends.
    ends: Vec<u32>,
    /// Open addressing: list numbers and half of their hashes, [`FREE`] where free. The size is a power of two, at
    /// most half full.
    slots: Vec<Slot>,
    /// The same in every run, so builds are repeatable. The lists come from our own files.
    hasher: foldhash::fast::FixedState,
}

/// The number of a list, and the upper half of its hash: what is not equal is seldom looked at, and no list is
/// hashed twice.
type Slot = (u32, u32);

const FREE: Slot = (u32::MAX, 0);

/// Whether a list was there before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Interned {
    /// First seen now, under this number.
    New(u32),
    /// Seen before, under this number.
    Old(u32),
}

impl Interned {
    /// The number.
    pub(super) fn number(self) -> u32 {
        match self {
            Interned::New(number) | Interned::Old(number) => number,
        }
    }
}

impl SliceTable {
    /// An empty table.
    pub(super) fn new() -> SliceTable {
        SliceTable {
            values: Vec::new(),
            ends: Vec::new(),
            slots: vec![FREE; 64],
            hasher: foldhash::fast::FixedState::with_seed(0x6d65_7269_6469_616e),
        }
    }

    /// The number of a list.
    pub(super) fn intern(&mut self, list: &[u32]) -> Interned {
        if self.ends.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let hash = self.hasher.hash_one(list);
        let mask = self.slots.len() - 1;
        let upper = (hash >> 32) as u32;
        let mut at = upper as usize & mask;
        loop {
            match self.slots.get(at).copied().unwrap_or(FREE) {
                FREE => break,
                (number, own) if own == upper && self.get(number) == list => return Interned::Old(number),
                _ => at = (at + 1) & mask,
            }
        }
        let number = self.ends.len() as u32;
        self.values.extend_from_slice(list);
        self.ends.push(self.values.len() as u32);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = (number, upper);
        }
        Interned::New(number)
    }

    /// A list by number; empty for a number never given out.
    pub(super) fn get(&self, number: u32) -> &[u32] {
        let number = number as usize;
        let start =
            number.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end as usize);
        let end = self.ends.get(number).map_or(start, |&end| end as usize);
        self.values.get(start..end).unwrap_or(&[])
    }

    /// How many different lists there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All values in a row, and where each list ends.
    pub(super) fn into_parts(self) -> (Vec<u32>, Vec<u32>) {
        (self.values, self.ends)
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 2;
        for slot in std::mem::replace(&mut self.slots, vec![FREE; size]) {
            if slot == FREE {
                continue;
            }
            let mut at = slot.1 as usize & (size - 1);
            while self.slots.get(at).is_some_and(|slot| *slot != FREE) {
                at = (at + 1) & (size - 1);
            }
            if let Some(place) = self.slots.get_mut(at) {
                *place = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_share_a_number() {
        let mut table = SliceTable::new();
        for number in 0..1000u32 {
            assert_eq!(table.intern(&[number, number / 7]), Interned::New(number));
        }
        for number in 0..1000u32 {
            assert_eq!(table.intern(&[number, number / 7]), Interned::Old(number));
            assert_eq!(table.get(number), [number, number / 7]);
        }
        assert_eq!(table.intern(&[]), Interned::New(1000));
        assert_eq!(table.len(), 1001);
        assert!(table.get(5000).is_empty());
    }
}
