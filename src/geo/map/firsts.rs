//! What a fold has found of IPv4 addresses by their first two octets: kept, for two thirds of all look-ups end there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::fold::Shade;

/// How many folds of a map have such a table at once: 8 MiB together. Those that are made when there are so many do
/// without, and find the same.
const TABLES_MAX: usize = 64;

/// Two octets.
const SLOTS: usize = 1 << 16;

/// What is known by two octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum First {
    /// Nothing.
    Unknown,
    /// They lead to a node whose classes disagree.
    Mixed,
    /// What holds at all addresses that begin so.
    Found(Shade),
}

/// A table of what is known; or none.
#[derive(Debug)]
pub(super) struct Firsts {
    /// By the first two octets: see [`pack`]. Empty where there is none.
    slots: Box<[AtomicU16]>,
    /// Counts the tables of a map.
    _one_of: Option<Tables>,
}

/// Held by the map, and by each table of one of its folds.
pub(super) type Tables = Arc<()>;

/// Of a slot: five bits for the scope and one more, one for the level, the others for the colour. What does not fit is
/// not kept.
const SCOPE_MASK: u16 = 0x1f;
const LEVEL_SHIFT: u32 = 5;
const COLOUR_SHIFT: u32 = 6;

/// A slot of which nothing is known.
const UNKNOWN: u16 = 0;

/// A slot for [`First::Mixed`]. No scope that is kept is so long.
const MIXED: u16 = SCOPE_MASK;

impl Firsts {
    /// An empty table, if the map has not too many already.
    pub(super) fn new(tables: &Tables) -> Firsts {
        if Arc::strong_count(tables) > TABLES_MAX {
            return Firsts { slots: Box::default(), _one_of: None };
        }
        // As the allocator has them: see `States` of folds.
        let slots = vec![UNKNOWN; SLOTS].into_iter().map(AtomicU16::new).collect();
        Firsts { slots, _one_of: Some(Arc::clone(tables)) }
    }

    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.slots)
    }

    #[inline(always)]
    pub(super) fn get(&self, octets: u16) -> First {
        // Only itself matters: there is nothing else that it would have to be seen with.
        let slot = self.slots.get(usize::from(octets)).map_or(UNKNOWN, |slot| slot.load(Ordering::Relaxed));
        match slot {
            UNKNOWN => First::Unknown,
            MIXED => First::Mixed,
            slot => First::Found(Shade {
                colour: slot >> COLOUR_SHIFT,
                scope: ((slot & SCOPE_MASK) - 1) as u8,
                level: (slot >> LEVEL_SHIFT & 1) as u8,
            }),
        }
    }

    /// Keeps what was found of an address that begins so. Whoever keeps something keeps the same.
    pub(super) fn put(&self, octets: u16, found: Shade) {
        if let (Some(slot), Some(value)) = (self.slots.get(usize::from(octets)), pack(found)) {
            slot.store(value, Ordering::Relaxed);
        }
    }
}

fn pack(Shade { colour, scope, level }: Shade) -> Option<u16> {
    if scope > 16 {
        return Some(MIXED);
    }
    let fits = colour >> (u16::BITS - COLOUR_SHIFT) == 0 && level <= 1;
    fits.then_some(colour << COLOUR_SHIFT | u16::from(level) << LEVEL_SHIFT | (u16::from(scope) + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let tables = Tables::default();
        let firsts = Firsts::new(&tables);
        let check = |octets: u16, found: Shade, expected: First| {
            assert_eq!(firsts.get(octets), First::Unknown);
            firsts.put(octets, found);
            assert_eq!(firsts.get(octets), expected, "{found:?}");
        };
        for (octets, scope) in (0..=16).enumerate() {
            let found = Shade { colour: 1023 - octets as u16, scope, level: scope % 2 };
            check(octets as u16, found, First::Found(found));
        }
        check(
            100,
            Shade { colour: 0, scope: 0, level: 0 },
            First::Found(Shade { colour: 0, scope: 0, level: 0 }),
        );
        check(101, Shade { colour: 5, scope: 17, level: 0 }, First::Mixed);
        check(102, Shade { colour: 1024, scope: 9, level: 0 }, First::Unknown);
        check(103, Shade { colour: 1, scope: 9, level: 2 }, First::Unknown);
    }

    #[test]
    fn there_are_no_more_tables_than_that() {
        let tables = Tables::default();
        let mut all: Vec<Firsts> = (0..TABLES_MAX).map(|_| Firsts::new(&tables)).collect();
        assert!(all.iter().all(|firsts| firsts.memory_octets() == 2 * SLOTS));
        let without = Firsts::new(&tables);
        assert_eq!(without.memory_octets(), 0);
        without.put(7, Shade { colour: 1, scope: 8, level: 0 });
        assert_eq!(without.get(7), First::Unknown);
        // One that goes makes room.
        all.pop();
        assert_eq!(Firsts::new(&tables).memory_octets(), 2 * SLOTS);
    }
}
