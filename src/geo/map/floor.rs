//! E6: decisions per floor prefix. The runs of each family pass through here on their way to the trie;
//! what is finer than the floor becomes one class.

use super::barrier::{BARRIER_COUNT, UNKNOWN};
use crate::ids::{ClassId, Family};

/// A run of addresses of one class: first, last, class.
pub(super) type Run = (u128, u128, ClassId);

/// The floor of one family, and the block that is not complete yet.
pub(super) struct Floor {
    /// The bits of an address below the floor; `None` where there is no floor.
    below: Option<u128>,
    /// The runs of the current block, in order.
    pieces: Vec<Run>,
}

impl Floor {
    /// For a floor in bits of a family.
    pub(super) fn new(family: Family, length: u8) -> Floor {
        let below = u128::MAX.checked_shr(u32::from(length)).filter(|_| length < family.bits());
        Floor { below, pieces: Vec::new() }
    }

    /// Takes the next run, which begins where the last one ended; `emit` gets the runs that come of it.
    pub(super) fn add<E>(
        &mut self,
        (first, last, class): Run,
        emit: &mut dyn FnMut(Run) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(below) = self.below else { return emit((first, last, class)) };
        let mut next = Some(first);
        while let Some(first) = next.filter(|&first| first <= last) {
            let block_last = first | below;
            let end = if first & below == 0 && block_last <= last {
                // Whole blocks: up to the last that the run fills.
                let end = if last & below == below { last } else { (last & !below) - 1 };
                emit((first, end, class))?;
                end
            } else {
                let end = last.min(block_last);
                self.pieces.push((first, end, class));
                if end == block_last {
                    self.settle(emit)?;
                }
                end
            };
            next = end.checked_add(1);
        }
        Ok(())
    }

    /// Gives the whole block the class that most of its addresses have, the first of equals; unknown
    /// addresses follow those that are known. Fixed blocks inside stay what they are.
    fn settle<E>(&mut self, emit: &mut dyn FnMut(Run) -> Result<(), E>) -> Result<(), E> {
        let mut sizes: Vec<(ClassId, u128)> = Vec::new();
        for &(first, last, class) in self.pieces.iter().filter(|run| !is_fixed(run.2) && run.2 != UNKNOWN) {
            let size = last - first + 1;
            match sizes.iter_mut().find(|(of, _)| *of == class) {
                Some((_, sum)) => *sum += size,
                None => sizes.push((class, size)),
            }
        }
        // The first of equals: `max_by_key` takes the last.
        let most = sizes.iter().rev().max_by_key(|(_, size)| *size).map_or(UNKNOWN, |(class, _)| *class);
        for (first, last, class) in self.pieces.drain(..) {
            emit((first, last, if is_fixed(class) { class } else { most }))?;
        }
        Ok(())
    }
}

fn is_fixed(class: ClassId) -> bool {
    class.0 < BARRIER_COUNT
}

/// The classes that are left above the floor, numbered anew as they come.
pub(super) struct Kept {
    /// By old number; [`GONE`] where nothing is of the class.
    new_of: Vec<u32>,
    /// By new number.
    old: Vec<ClassId>,
}

const GONE: u32 = u32::MAX;

impl Kept {
    /// The fixed blocks and the unknown location keep their numbers.
    pub(super) fn new() -> Kept {
        let fixed = 0..=UNKNOWN.0;
        Kept { new_of: fixed.clone().collect(), old: fixed.map(ClassId).collect() }
    }

    /// The new number of a class.
    pub(super) fn number(&mut self, class: ClassId) -> ClassId {
        if self.new_of.len() <= class.index() {
            self.new_of.resize(class.index() + 1, GONE);
        }
        let next = self.old.len() as u32;
        match self.new_of.get_mut(class.index()) {
            Some(slot) if *slot == GONE => {
                *slot = next;
                self.old.push(class);
                ClassId(next)
            }
            Some(slot) => ClassId(*slot),
            None => UNKNOWN,
        }
    }

    /// The old numbers by new number.
    pub(super) fn into_old(self) -> Vec<ClassId> {
        self.old
    }
}
