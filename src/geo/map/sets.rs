//! The sets of classes below the nodes of a trie, while it is made: nodes with equal sets get one number.

use super::slices::SliceTable;

/// Numbers sets of classes.
pub(super) struct Sets {
    /// The members of each set, ascending.
    lists: SliceTable,
    union: Vec<u32>,
    /// By class: the number of the last union that has it.
    seen: Vec<u32>,
    unions: u32,
}

impl Sets {
    /// Without any.
    pub(super) fn new() -> Sets {
        Sets { lists: SliceTable::new(), union: Vec::new(), seen: Vec::new(), unions: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lists.len()
    }

    /// The number of the set of these classes and all members of these sets together.
    pub(super) fn union(&mut self, classes: &[u32], sets: &[u32]) -> u32 {
        let Sets { lists, union, seen, unions } = self;
        *unions += 1;
        union.clear();
        let mut add = |class: &u32| {
            let index = *class as usize;
            if seen.len() <= index {
                seen.resize(index + 1, 0);
            }
            if let Some(last) = seen.get_mut(index)
                && *last != *unions
            {
                *last = *unions;
                union.push(*class);
            }
        };
        classes.iter().for_each(&mut add);
        sets.iter().for_each(|set| lists.get(*set).iter().for_each(&mut add));
        // Often one of the sets has all.
        if let Some(whole) = sets.iter().find(|set| lists.get(**set).len() == union.len()) {
            return *whole;
        }
        union.sort_unstable();
        lists.intern(union).number()
    }
}
