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

/// Words that are read of a row to see a node: more than any has, and a power of two.
const WINDOW: usize = 64;

/// What is seen outside a row.
static NOTHING: [u16; WINDOW] = [0; WINDOW];

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

/// By half-octet: what the aligned block around it takes in as it doubles from one half-octet to two, four, eight
/// and all. Sixteen bits for each time, the first the lowest: those of the runs that begin where the block then
/// meets them, which is on the side where it grows.
const GROWTH: [u64; 16] = {
    let mut growth = [0u64; 16];
    let mut half = 0usize;
    while half < 16 {
        let mut doubling = 0;
        while doubling < STRIDE {
            let size = 1usize << doubling;
            let first = half >> doubling << doubling;
            // To the left, the runs behind each new half-octet; to the right, those that begin at one.
            let begins = if half >> doubling & 1 == 1 { first - size + 1 } else { first + size };
            let bits = ((1u64 << size) - 1) << (begins - 1);
            growth[half] |= bits << (16 * doubling);
            doubling += 1;
        }
        half += 1;
    }
    growth
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
    #[inline(always)]
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

/// The nodes of a trie.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Nodes {
    /// The row, and behind it the words that the last nodes lack to a window.
    words: Box<[u16]>,
}

/// A node in its row.
#[derive(Clone, Copy)]
pub(super) struct Node<'n> {
    /// The row from the node's first word on.
    words: &'n [u16; WINDOW],
}

/// The runs that the block around a half-octet takes in while it doubles, the nearest first.
#[derive(Clone, Copy)]
pub(super) struct Growth {
    half: u32,
    /// One bit for each, as in [`GROWTH`].
    ahead: u64,
    /// The first run of the block so far.
    left: u32,
    /// Its last one.
    right: u32,
}

impl Nodes {
    /// The nodes of a row that is whole.
    pub(super) fn new(mut row: Vec<u16>) -> Nodes {
        row.reserve_exact(WINDOW);
        row.extend(NOTHING);
        Nodes { words: row.into() }
    }

    /// The row.
    pub(super) fn row(&self) -> &[u16] {
        self.words.split_last_chunk::<WINDOW>().map_or(&[], |(row, _)| row)
    }

    /// The node at a place. What is not in the row reads as zeros.
    #[inline(always)]
    pub(super) fn at(&self, place: u32) -> Node<'_> {
        let first = place as usize;
        let words = self.words.get(first..first + WINDOW).and_then(|words| words.first_chunk());
        Node { words: words.unwrap_or(&NOTHING) }
    }

    /// The words that the node at a place takes, if it is whole: the entries ask for the links in order, all is in
    /// the row, and a single run leads to a node.
    pub(super) fn whole(&self, place: u32) -> Option<usize> {
        let node = self.at(place);
        let mut length = HEAD + node.count() as usize;
        for run in 0..node.count() {
            let entry = node.entry(run);
            if entry & OUTSIDE != 0 {
                if usize::from(entry & !(OUTSIDE | CLASS)) != length {
                    return None;
                }
                length += 2;
            }
        }
        let holds = node.starts() >> 15 == 0 && place as usize + length <= self.row().len();
        let leads = node.count() > 1 || matches!(node.target(0), Target::Node(_));
        (holds && leads).then_some(length)
    }
}

impl Growth {
    /// The next run that the block must take in to double, and how often it has doubled without it; `None` when it
    /// has the whole node.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<(u32, u32)> {
        if self.ahead == 0 {
            return None;
        }
        let doubled = self.ahead.trailing_zeros() / 16;
        self.ahead &= self.ahead - 1;
        if self.half >> doubled & 1 == 1 {
            self.left = self.left.wrapping_sub(1);
            Some((self.left, doubled))
        } else {
            self.right += 1;
            Some((self.right, doubled))
        }
    }
}

impl<'n> Node<'n> {
    /// The number of the set of classes below it.
    #[inline(always)]
    pub(super) fn set(self) -> u32 {
        u32::from(self.words[1]) | u32::from(self.words[2]) << 16
    }

    /// What a look at it reads first.
    #[inline(always)]
    pub(super) fn first_word(self) -> u16 {
        self.words[0]
    }

    /// A bit for each half-octet but 0 at which a run begins.
    #[inline(always)]
    fn starts(self) -> u16 {
        self.words[0]
    }

    /// How many runs it has.
    pub(super) fn count(self) -> u32 {
        self.starts().count_ones() + 1
    }

    /// The number of the run that a half-octet is in: how many runs begin after the first and up to it.
    #[inline(always)]
    pub(super) fn run_of(self, half: u32) -> u32 {
        // Four copies side by side, 15 bits each, have each bit once at a multiple of four; the product's top
        // four bits are their sum, which is at most 15. Half the instructions of a plain count.
        const COPIES: u64 = 1 << 45 | 1 << 30 | 1 << 15 | 1;
        const FOURTHS: u64 = 0x1111_1111_1111_1111;
        let begun = u64::from(self.starts() & UP_TO.get(half as usize).copied().unwrap_or(0));
        (((begun * COPIES) & FOURTHS).wrapping_mul(FOURTHS) >> 60) as u32
    }

    /// The runs around one, which a half-octet is in.
    #[inline(always)]
    pub(super) fn growth(self, half: u32, run: u32) -> Growth {
        const COPIES: u64 = 1 << 48 | 1 << 32 | 1 << 16 | 1;
        let around = GROWTH.get(half as usize).copied().unwrap_or(0);
        Growth { half, ahead: (u64::from(self.starts()) * COPIES) & around, left: run, right: run }
    }

    /// What a run leads to.
    #[inline(always)]
    pub(super) fn target(self, run: u32) -> Target {
        let entry = self.entry(run);
        if entry & OUTSIDE == 0 {
            return Target::Class(u32::from(entry));
        }
        let at = usize::from(entry & !(OUTSIDE | CLASS));
        let outside = self.words.get(at..at + 2).and_then(|words| words.first_chunk());
        let outside = outside.map_or(0, |[low, high]| u32::from(*low) | u32::from(*high) << 16);
        if entry & CLASS == 0 { Target::Node(outside) } else { Target::Class(outside) }
    }

    /// What all runs lead to.
    pub(super) fn targets(self) -> impl Iterator<Item = Target> + use<'n> {
        (0..self.count()).map(move |run| self.target(run))
    }

    #[inline(always)]
    fn entry(self, run: u32) -> u16 {
        // No run is beyond the window.
        self.words.get((HEAD + run as usize) % WINDOW).copied().unwrap_or(0)
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
            let (nodes, place) = (Nodes::new(row.clone()), before.len() as u32);
            prop_assert_eq!(nodes.row(), row);
            let node = nodes.at(place);
            prop_assert_eq!((node.set(), node.count() as usize), (set, all.len()));
            prop_assert_eq!(nodes.whole(place), Some(length));
            for half in 0..16u32 {
                let number = all.iter().filter(|start| **start <= half).count() - 1;
                prop_assert_eq!(node.run_of(half) as usize, number);
                prop_assert_eq!(node.target(number as u32), target(number));
                let run_at = |half: u32| all.iter().filter(|start| **start <= half).count() as u32 - 1;
                let mut expected = Vec::new();
                for doubled in 0..STRIDE {
                    let block = |bits: u32| {
                        let first = half >> bits << bits;
                        (run_at(first), run_at(first + (1 << bits) - 1))
                    };
                    let (before, after) = (block(doubled), block(doubled + 1));
                    expected.extend((after.0..before.0).rev().map(|run| (run, doubled)));
                    expected.extend((before.1 + 1..=after.1).map(|run| (run, doubled)));
                }
                let mut growth = node.growth(half, number as u32);
                let grown: Vec<(u32, u32)> = std::iter::from_fn(|| growth.next()).collect();
                prop_assert_eq!(grown, expected);
            }
        }
    }
}
