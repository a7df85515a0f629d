//! A hash table of numbers: what a number stands for, and so whether it is the one, its owner knows.

/// An unused slot.
const VACANT: u32 = u32::MAX;

/// Slots in a row, a power of two of them, at most half in use: runs stay short, misses cheap.
#[derive(Clone)]
pub(super) struct Slots(Box<[Slot]>);

/// A hash's upper half beside the number: nearly everything else is told apart without touching other memory.
#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    number: u32,
}

impl Slots {
    /// The highest number that can be kept.
    pub(super) const NUMBER_MAX: u32 = VACANT - 1;

    /// Room for so many numbers.
    pub(super) fn with_room(numbers: usize) -> Slots {
        let slots = (numbers * 2).next_power_of_two().max(4);
        Slots(vec![Slot { tag: 0, number: VACANT }; slots].into())
    }

    /// How many numbers there is room for.
    pub(super) fn room(&self) -> usize {
        self.0.len() / 2
    }

    /// What `is_it` makes of the first number of a hash that it takes for the one.
    #[inline]
    pub(super) fn find<T>(&self, hash: u64, is_it: impl Fn(u32) -> Option<T>) -> Option<T> {
        let mask = self.0.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.0.get(at)?;
            if slot.number == VACANT {
                return None;
            }
            if slot.tag == tag(hash)
                && let Some(found) = is_it(slot.number)
            {
                return Some(found);
            }
            at = (at + 1) & mask;
        }
    }

    /// Something of the place where a search for a hash begins: reading it brings that into the caches.
    #[inline]
    pub(super) fn peek(&self, hash: u64) -> u64 {
        let at = hash as usize & (self.0.len() - 1);
        self.0.get(at).map_or(0, |slot| slot.tag.into())
    }

    /// Puts in a number that is not there. Beyond the room that there is, searches would not end.
    pub(super) fn put(&mut self, hash: u64, number: u32) {
        let mask = self.0.len() - 1;
        let mut at = hash as usize & mask;
        while let Some(slot) = self.0.get_mut(at) {
            if slot.number == VACANT {
                *slot = Slot { tag: tag(hash), number };
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// The same slots with other numbers in them.
    pub(super) fn renumbered(mut self, number: impl Fn(u32) -> u32) -> Slots {
        for slot in self.0.iter_mut().filter(|slot| slot.number != VACANT) {
            slot.number = number(slot.number);
        }
        self
    }

    /// What it takes in memory.
    pub(super) fn octets(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// The longest run of slots in use.
    #[cfg(test)]
    pub(super) fn longest_run(&self) -> usize {
        self.0.split(|slot| slot.number == VACANT).map(<[Slot]>::len).max().unwrap_or(0)
    }
}

/// The upper half: the lower one has chosen the slot.
#[inline]
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}
