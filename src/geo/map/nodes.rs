//! The nodes of a finished trie as one row of 16-bit words: small, and quick to search.
//!
//! A node takes four bits of an address. It is the runs of equal half-octets that make up all 16, each with
//! what it leads to. Its form:
//!
//! - A word with a bit for each half-octet but 0 at which a run begins, that of half-octet 1 the lowest.
//! - Two words, the low one first: the number of the set of classes below the node.
//! - For each run an entry: the number of a class, or [`OUTSIDE`] and how many words after the node's first what
//!   it leads to stands; with [`CLASS`] that is a class that does not fit an entry, without it a child node.
//! - What stands outside the entries, two words each, the low one first: the place of a child in the row, or the
//!   number of a class.
//!
//! Children stand before their parents.

/// The bits of an address that a node takes.
pub(super) const STRIDE: u32 = 4;

/// Set in entries that say where something stands; the others are classes.
const OUTSIDE: u16 = 1 << 15;

/// Set in such entries where that is a class.
const CLASS: u16 = 1 << 14;

/// Set in links that are classes; the others are places of nodes.
const CLASS_LINK: u32 = 1 << 31;

/// The last place that a link can lead to.
pub(super) const PLACE_MAX: u32 = CLASS_LINK - 1;

/// Words of a node before its entries.
const HEAD: usize = 3;

/// By half-octet: the bits of the runs that begin at or before it.
const UP_TO: [u16; 16] = {
    let mut bits = [0; 16];
    let mut half = 0;
    while half < 16 {
        bits[half] = (1 << half) - 1;
        half += 1;
    }
    bits
};

/// Where something leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Target {
    /// All addresses below are of this class.
    Class(u32),
    /// To the node at this place.
    Node(u32),
}

impl Target {
    /// From a link.
    #[inline]
    pub(super) fn from_link(link: u32) -> Target {
        if link & CLASS_LINK == 0 { Target::Node(link) } else { Target::Class(link & !CLASS_LINK) }
    }

    /// As a link.
    pub(super) fn to_link(self) -> u32 {
        match self {
            Target::Node(place) => place,
            Target::Class(class) => class | CLASS_LINK,
        }
    }
}

/// A node in its row.
#[derive(Clone, Copy)]
pub(super) struct Node<'n> {
    row: &'n [u16],
    /// The index of the node's first word.
    place: usize,
    /// A bit for each half-octet but 0 at which a run begins.
    starts: u16,
    /// The number of the set of classes below it.
    pub(super) set: u32,
}

/// Where the runs of a node begin, seen from one of its half-octets.
#[derive(Clone, Copy)]
pub(super) struct Around {
    /// A bit for each beginning up to the half-octet, or up to where [`Around::step_left`] has come.
    up_to: u32,
    /// Likewise for those after it, and one at 16.
    after: u32,
}

impl Around {
    /// The first half-octet of the run.
    #[inline]
    pub(super) fn first(self) -> u32 {
        self.up_to.ilog2()
    }

    /// The half-octet after the run; 16 after the last one.
    #[inline]
    pub(super) fn end(self) -> u32 {
        self.after.trailing_zeros()
    }

    /// Takes in the run to the left, if there is one.
    #[inline]
    pub(super) fn step_left(&mut self) {
        self.up_to = self.up_to & !(1 << self.up_to.ilog2()) | 1;
    }

    /// Takes in the run to the right, if there is one.
    #[inline]
    pub(super) fn step_right(&mut self) {
        self.after = self.after & (self.after - 1) | 1 << 16;
    }
}

impl<'n> Node<'n> {
    /// The node at a place of a row. What is not in the row reads as zeros.
    #[inline(always)]
    pub(super) fn at(row: &'n [u16], place: u32) -> Node<'n> {
        let place = place as usize;
        let head = row.get(place..place + HEAD).and_then(|head| head.first_chunk()).copied();
        let [starts, low, high] = head.unwrap_or([0; 3]);
        Node { row, place, starts, set: u32::from(low) | u32::from(high) << 16 }
    }

    /// Where in its row it is.
    pub(super) fn place(self) -> u32 {
        self.place as u32
    }

    /// How many runs it has.
    pub(super) fn count(self) -> u32 {
        self.starts.count_ones() + 1
    }

    /// The number of the run that a half-octet is in: how many runs begin after the first and up to it.
    #[inline]
    pub(super) fn run_of(self, half: u32) -> u32 {
        // Four copies side by side, 15 bits each, have each bit once at a multiple of four; the product's top
        // four bits are their sum, which is at most 15. Half the instructions of a plain count.
        const COPIES: u64 = 1 << 45 | 1 << 30 | 1 << 15 | 1;
        const FOURTHS: u64 = 0x1111_1111_1111_1111;
        let begun = u64::from(self.begun(half));
        (((begun * COPIES) & FOURTHS).wrapping_mul(FOURTHS) >> 60) as u32
    }

    /// The run that a half-octet is in, and those around it.
    #[inline]
    pub(super) fn around(self, half: u32) -> Around {
        let begun = self.begun(half);
        Around { up_to: u32::from(begun) << 1 | 1, after: u32::from(self.starts ^ begun) << 1 | 1 << 16 }
    }

    #[inline]
    fn begun(self, half: u32) -> u16 {
        self.starts & UP_TO.get(half as usize).copied().unwrap_or(0)
    }

    /// What a run leads to.
    #[inline(always)]
    pub(super) fn target(self, run: u32) -> Target {
        let entry = self.entry(run);
        if entry & OUTSIDE == 0 {
            return Target::Class(u32::from(entry));
        }
        let at = self.place + usize::from(entry & !(OUTSIDE | CLASS));
        let outside = self.row.get(at..at + 2).and_then(|words| words.first_chunk());
        let outside = outside.map_or(0, |[low, high]| u32::from(*low) | u32::from(*high) << 16);
        if entry & CLASS == 0 { Target::Node(outside) } else { Target::Class(outside) }
    }

    /// What all runs lead to.
    pub(super) fn targets(self) -> impl Iterator<Item = Target> + use<'n> {
        (0..self.count()).map(move |run| self.target(run))
    }

    #[inline]
    fn entry(self, run: u32) -> u16 {
        self.row.get(self.place + HEAD + run as usize).copied().unwrap_or(0)
    }

    /// The words that the node takes, if it is whole: the entries ask for the links in
    /// order, all is in the row, and a single run leads to a node.
    pub(super) fn whole(self) -> Option<usize> {
        let mut length = HEAD + self.count() as usize;
        for run in 0..self.count() {
            let entry = self.entry(run);
            if entry & OUTSIDE != 0 {
                if usize::from(entry & !(OUTSIDE | CLASS)) != length {
                    return None;
                }
                length += 2;
            }
        }
        let holds = self.starts >> 15 == 0 && self.place + length <= self.row.len();
        let leads = self.count() > 1 || matches!(self.target(0), Target::Node(_));
        (holds && leads).then_some(length)
    }
}

/// Appends a node to a row: a bit for each half-octet but 0 at which a run begins, the set, and what the runs
/// lead to.
pub(super) fn append(row: &mut Vec<u16>, starts: u16, set: u32, targets: impl Iterator<Item = Target>) {
    row.extend([starts, set as u16, (set >> 16) as u16]);
    let mut outside = [0u16; 32];
    let mut length = 0usize;
    let behind = HEAD + starts.count_ones() as usize + 1;
    for target in targets {
        let (number, kind) = match target {
            Target::Class(class) if class < u32::from(OUTSIDE) => {
                row.push(class as u16);
                continue;
            }
            Target::Class(class) => (class, CLASS),
            Target::Node(place) => (place, 0),
        };
        row.push(OUTSIDE | kind | (behind + length) as u16);
        if let Some(words) = outside.get_mut(length..length + 2) {
            words.copy_from_slice(&[number as u16, (number >> 16) as u16]);
        }
        length += 2;
    }
    row.extend(outside.iter().take(length));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Every node reads as it was written, at the end of its row and inside it.
        #[test]
        fn nodes_read_as_written(
            starts in any::<u16>(),
            set in any::<u32>(),
            seed in any::<u32>(),
            before in proptest::collection::vec(any::<u16>(), 0..8),
            behind in proptest::collection::vec(any::<u16>(), 0..64),
        ) {
            let starts = (starts | 1) & 0x7fff;
            let all: Vec<u32> = (0..16).filter(|half| (u32::from(starts) << 1 | 1) >> half & 1 == 1).collect();
            let target = |number: usize| match seed.rotate_left(number as u32) % 4 {
                0 => Target::Node(number as u32 * 7919),
                1 => Target::Class(number as u32 + 40_000),
                _ => Target::Class(number as u32 * 3),
            };
            let mut row = before.clone();
            append(&mut row, starts, set, (0..all.len()).map(target));
            let length = row.len() - before.len();
            row.extend(&behind);
            let node = Node::at(&row, before.len() as u32);
            prop_assert_eq!((node.set, node.count() as usize), (set, all.len()));
            prop_assert_eq!(node.whole(), Some(length));
            for half in 0..16u32 {
                let number = all.iter().filter(|start| **start <= half).count() - 1;
                prop_assert_eq!(node.run_of(half) as usize, number);
                let (mut left, mut right) = (node.around(half), node.around(half));
                for start in all.iter().take(number + 1).rev() {
                    prop_assert_eq!(left.first(), *start);
                    left.step_left();
                }
                for end in all.iter().skip(number + 1).copied().chain([16, 16]) {
                    prop_assert_eq!(right.end(), end);
                    right.step_right();
                }
                prop_assert_eq!(node.target(number as u32), target(number));
            }
        }
    }
}
