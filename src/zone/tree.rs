//! Names as a tree in a hash table: compact, one probe a label on the way down, and one probe in all for who
//! has the hashes of a name's suffixes already.

use super::sought::{Sought, label_hash};

/// The node that every tree begins with.
pub(super) const ROOT: u32 = 0;

/// What is hashed and compared at once. Few labels are longer.
pub(super) const WORD_OCTETS: usize = 8;

/// Labels of a name at most.
const DEPTH_MAX: usize = 127;

/// An unused slot.
const VACANT: u32 = u32::MAX;

/// Labels under labels. Nodes are numbered densely in the order in which they were made, the parent
/// before its children.
#[derive(Clone)]
pub(super) struct NameTree {
    /// The hash of the name that the tree begins with.
    seed: u64,
    nodes: Vec<Node>,
    /// Labels of more than a word, one after the other.
    long: Vec<u8>,
    /// A power of two of them, at most half in use: runs stay short, misses cheap.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Node {
    /// The first octets of the label, zeros behind the end of a short one: most labels are compared without
    /// touching other memory.
    word: [u8; WORD_OCTETS],
    parent: u32,
    /// Where the whole label stands, if it is longer.
    long: u32,
    length: u8,
    below: Below,
}

/// Whether anything is below a node: where nothing is, nothing has to be looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Nothing,
    Something,
}

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    node: u32,
}

/// A node on a way down, and the hash of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct At {
    pub(super) node: u32,
    hash: u64,
}

const VACANT_SLOT: Slot = Slot { tag: 0, node: VACANT };

impl NameTree {
    /// Only the root, which stands for a name of this hash.
    pub(super) fn new(seed: u64) -> NameTree {
        NameTree {
            seed,
            nodes: vec![Node::new(ROOT, &[], 0, 0)],
            long: Vec::new(),
            slots: vec![VACANT_SLOT; 4],
        }
    }

    /// The number of nodes, the root among them.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Where every way down begins.
    pub(super) fn root(&self) -> At {
        At { node: ROOT, hash: self.seed }
    }

    /// A node by its number, for a way on from there.
    pub(super) fn at(&self, node: u32) -> At {
        let (mut path, mut depth, mut number) = ([ROOT; DEPTH_MAX], 0, node);
        while let Some((parent, _)) = self.place(number) {
            let Some(step) = path.get_mut(depth) else { break };
            (*step, number, depth) = (number, parent, depth + 1);
        }
        let steps = path.iter().take(depth).rev();
        let hash = steps.fold(self.seed, |above, step| {
            self.place(*step).map_or(above, |(_, label)| label_hash(above, label, first_word(label)))
        });
        At { node, hash }
    }

    /// The node of a label (lower case) under another.
    pub(super) fn child(&self, parent: At, label: &[u8]) -> Option<At> {
        if self.nodes.get(parent.node as usize)?.below == Below::Nothing {
            return None;
        }
        let word = first_word(label);
        let hash = label_hash(parent.hash, label, word);
        let node = self.find(hash, |node| self.is(node, parent.node, label, word))?;
        Some(At { node, hash })
    }

    /// The node of a name's suffix from label `first` on, where the tree's root is that from label `root` on.
    pub(super) fn suffix(&self, sought: &Sought, first: usize, root: usize) -> Option<At> {
        let hash = sought.hash(first);
        let node = self.find(hash, |node| self.is_named(node, sought, first, root))?;
        Some(At { node, hash })
    }

    /// The node of a hash that is the one.
    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.node == VACANT {
                return None;
            }
            if slot.tag == tag && is_it(slot.node) {
                return Some(slot.node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether a node's labels up to the root are those of a name from `first` to `root`.
    #[inline]
    fn is_named(&self, node: u32, sought: &Sought, first: usize, root: usize) -> bool {
        let mut number = node;
        for index in first..root {
            let Some(own) = self.nodes.get(number as usize) else { return false };
            // The root's length is no label's.
            let (length, word) = sought.label_start(index);
            if usize::from(own.length) != length || u64::from_le_bytes(own.word) != word {
                return false;
            }
            if length > WORD_OCTETS && self.label(own) != sought.label(index) {
                return false;
            }
            number = own.parent;
        }
        number == ROOT
    }

    /// Where a node is: its parent, and its label under it. `None` for the root.
    pub(super) fn place(&self, node: u32) -> Option<(u32, &[u8])> {
        let node = self.nodes.get(node as usize).filter(|_| node != ROOT)?;
        Some((node.parent, self.label(node)))
    }

    /// The node of a label under another, made where it does not exist. `None` when the tree is full: 2^32 - 1
    /// nodes or octets of labels, or more labels than a name has.
    pub(super) fn child_or_new(&mut self, parent: At, label: &[u8]) -> Option<At> {
        if let Some(at) = self.child(parent, label) {
            return Some(at);
        }
        let node = u32::try_from(self.nodes.len()).ok().filter(|node| *node != VACANT)?;
        let start = u32::try_from(self.long.len()).ok()?;
        let length = u8::try_from(label.len()).ok()?;
        if label.len() > WORD_OCTETS {
            self.long.extend_from_slice(label);
        }
        self.nodes.push(Node::new(parent.node, label, start, length));
        self.nodes.get_mut(parent.node as usize)?.below = Below::Something;
        let hash = label_hash(parent.hash, label, first_word(label));
        if self.nodes.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            place(&mut self.slots, hash, node);
        }
        Some(At { node, hash })
    }

    /// What it takes in memory.
    pub(super) fn octets(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.long.capacity()
            + self.slots.capacity() * size_of::<Slot>()
    }

    /// Gives back what growing took too much.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.long.shrink_to_fit();
    }

    fn grow(&mut self) {
        let mut slots = vec![VACANT_SLOT; self.slots.len() * 2];
        let mut hashes = Vec::with_capacity(self.nodes.len());
        hashes.push(self.seed);
        for (number, node) in self.nodes.iter().enumerate().skip(1) {
            let label = self.label(node);
            // Parents come before their children.
            let above = hashes.get(node.parent as usize).copied().unwrap_or(self.seed);
            let hash = label_hash(above, label, first_word(label));
            hashes.push(hash);
            place(&mut slots, hash, number as u32);
        }
        self.slots = slots;
    }

    fn is(&self, node: u32, parent: u32, label: &[u8], word: u64) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| {
            node.parent == parent
                && usize::from(node.length) == label.len()
                && u64::from_le_bytes(node.word) == word
                && (label.len() <= WORD_OCTETS || self.label(node) == label)
        })
    }

    fn label<'t>(&'t self, node: &'t Node) -> &'t [u8] {
        let length = usize::from(node.length);
        let octets = if length <= WORD_OCTETS {
            node.word.get(..length)
        } else {
            self.long.get(node.long as usize..node.long as usize + length)
        };
        octets.unwrap_or(&[])
    }
}

impl Node {
    fn new(parent: u32, label: &[u8], long: u32, length: u8) -> Node {
        let word = first_word(label).to_le_bytes();
        Node { word, parent, long, length, below: Below::Nothing }
    }
}

fn place(slots: &mut [Slot], hash: u64, node: u32) {
    let mask = slots.len() - 1;
    let mut at = hash as usize & mask;
    while let Some(slot) = slots.get_mut(at) {
        if slot.node == VACANT {
            *slot = Slot { tag: tag(hash), node };
            return;
        }
        at = (at + 1) & mask;
    }
}

/// The upper half: the lower one has chosen the slot.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// The first octets of a label as a number, zeros behind the end of a short one.
pub(super) fn first_word(label: &[u8]) -> u64 {
    label.first_chunk().map_or_else(|| short_word(label), |word| u64::from_le_bytes(*word))
}

/// Up to seven octets as a number, zeros behind them.
pub(super) fn short_word(octets: &[u8]) -> u64 {
    let rest = |octets: &[u8]| match *octets {
        [a, b, c] => u64::from(a) | u64::from(b) << 8 | u64::from(c) << 16,
        [a, b] => u64::from(a) | u64::from(b) << 8,
        [a] => u64::from(a),
        _ => 0,
    };
    match octets.split_first_chunk::<4>() {
        Some((first, behind)) => u64::from(u32::from_le_bytes(*first)) | rest(behind) << 32,
        None => rest(octets),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut tree = NameTree::new(7);
        let mut places = vec![tree.root()];
        let mut made = Vec::new();
        for index in 0..20_000usize {
            // Chains and fans, as deep as names may be.
            let parent = places[if index % 3 == 0 { 0 } else { index / 2 }];
            let label = format!("label-{}", index * 7919 % 100_000);
            let at = tree.child_or_new(parent, label.as_bytes()).unwrap();
            places.push(at);
            made.push((parent, label, at));
        }
        assert_eq!(tree.len(), 20_001);
        for (parent, label, at) in &made {
            assert_eq!(tree.child(*parent, label.as_bytes()), Some(*at));
            assert_eq!(tree.child_or_new(*parent, label.as_bytes()), Some(*at));
            assert_eq!(tree.at(at.node), *at);
            assert_eq!(tree.child(*parent, format!("{label}x").as_bytes()), None);
        }
    }

    #[test]
    fn runs_of_occupied_slots_stay_short() {
        let mut tree = NameTree::new(0);
        for index in 0..200_000u32 {
            tree.child_or_new(tree.root(), format!("host{index}").as_bytes()).unwrap();
        }
        let mut longest = 0;
        let mut run = 0;
        for slot in &tree.slots {
            run = if slot.node == VACANT { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        assert!(longest < 100, "{longest}");
    }
}
