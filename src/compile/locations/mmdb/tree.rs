//! The search tree of a file, walked leaf by leaf.
//!
//! The crate's own walk makes an address and a result of each leaf; here a leaf is three numbers, and fifteen million
//! of them are a quarter of a second.

/// The zeros between the tree and the data, in octets; the tree's numbers count them.
const SEPARATOR_OCTETS: u32 = 16;

/// The deepest tree: the bits of an IPv6 address.
const DEPTH_MAX: usize = 128;

/// The nodes of a file.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    octets: &'a [u8],
    nodes: u32,
    record_bits: u16,
}

/// The end of a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Leaf {
    /// The branch's bits, left-aligned.
    pub(super) bits: u128,
    /// How many they are.
    pub(super) depth: u8,
    /// Where its record is among the data; `None`: it has none.
    pub(super) record: Option<u32>,
}

/// A tree that is deeper than an address, or leads out of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Astray;

impl<'a> Tree<'a> {
    /// The tree at the beginning of a file; its metadata say how many nodes there are and how large a record is.
    pub(super) fn new(octets: &'a [u8], nodes: u32, record_bits: u16) -> Tree<'a> {
        Tree { octets, nodes, record_bits }
    }

    /// The leaves below a prefix of at most so many bits; the one above it where the tree ends before.
    pub(super) fn below(self, bits: u128, length: u8, depth_max: u8) -> Leaves<'a> {
        let (mut at, mut depth) = (0, 0);
        while depth < length && at < self.nodes {
            at = self.children(at)[usize::from(bits >> (127 - depth) & 1 == 1)];
            depth += 1;
        }
        Leaves::new(self, (at, bits, depth), depth_max)
    }

    /// The leaves below the node that is reached by so many zeros: their bits are counted from there. The whole is one
    /// leaf where the tree ends before.
    pub(super) fn below_zeros(self, zeros: u8, depth_max: u8) -> Leaves<'a> {
        let mut at = 0;
        for _ in 0..zeros {
            if at < self.nodes {
                [at, _] = self.children(at);
            }
        }
        Leaves::new(self, (at, 0, 0), depth_max)
    }

    /// What the two sides of a node lead to: less than the count of nodes is one of them, the count itself is nothing.
    #[inline]
    fn children(&self, node: u32) -> [u32; 2] {
        let octets = usize::from(self.record_bits) / 4;
        let start = node as usize * octets;
        match self.octets.get(start..start + octets) {
            Some(&[a, b, c, d, e, f]) => [u32::from_be_bytes([0, a, b, c]), u32::from_be_bytes([0, d, e, f])],
            Some(&[a, b, c, d, e, f, g]) => {
                [u32::from_be_bytes([d >> 4, a, b, c]), u32::from_be_bytes([d & 15, e, f, g])]
            }
            Some(&[a, b, c, d, e, f, g, h]) => {
                [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
            }
            // Not reached: the reader has checked the sizes.
            _ => [self.nodes, self.nodes],
        }
    }

    fn record(&self, value: u32) -> Result<Option<u32>, Astray> {
        match value - self.nodes {
            0 => Ok(None),
            past => past.checked_sub(SEPARATOR_OCTETS).map(Some).ok_or(Astray),
        }
    }
}

/// A walk over leaves, in the order of their addresses.
pub(super) struct Leaves<'a> {
    tree: Tree<'a>,
    depth_max: u8,
    /// Right sides not yet walked: where they lead, and their depth.
    open: [(u32, u8); DEPTH_MAX],
    open_count: usize,
    /// The next branch; `None` at the end.
    next: Option<(u32, u128, u8)>,
}

impl<'a> Leaves<'a> {
    fn new(tree: Tree<'a>, from: (u32, u128, u8), depth_max: u8) -> Leaves<'a> {
        Leaves { tree, depth_max, open: [(0, 0); DEPTH_MAX], open_count: 0, next: Some(from) }
    }

    /// The next leaf.
    #[inline]
    pub(super) fn step(&mut self) -> Result<Option<Leaf>, Astray> {
        let Some((mut at, mut bits, mut depth)) = self.next else { return Ok(None) };
        while at < self.tree.nodes {
            let slot = self.open.get_mut(self.open_count).filter(|_| depth < self.depth_max);
            let Some(slot) = slot else { return Err(Astray) };
            let [left, right] = self.tree.children(at);
            depth += 1;
            *slot = (right, depth);
            self.open_count += 1;
            at = left;
        }
        let leaf = Leaf { bits, depth, record: self.tree.record(at)? };
        self.next = match self.open_count.checked_sub(1).and_then(|last| self.open.get(last)) {
            Some(&(right, right_depth)) => {
                self.open_count -= 1;
                // The side of ones, and nothing of the leaf's own bits below.
                let one = 1u128 << (128 - u32::from(right_depth));
                bits = (bits & !(one - 1)) | one;
                Some((right, bits, right_depth))
            }
            None => None,
        };
        Ok(Some(leaf))
    }
}
