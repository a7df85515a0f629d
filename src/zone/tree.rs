//! Names as a tree in a hash table: compact, and one probe a label.

/// The node that every tree begins with.
pub(super) const ROOT: u32 = 0;

/// What is hashed and compared at once. Few labels are longer.
const WORD_OCTETS: usize = 8;

/// An unused slot.
const VACANT: u32 = u32::MAX;

/// Labels under labels. Nodes are numbered densely in the order in which they were made, the parent
/// before its children.
#[derive(Clone)]
pub(super) struct NameTree {
    nodes: Vec<Node>,
    /// One after the other, and a word of zeros: the first word of any label can be read at once.
    labels: Vec<u8>,
    /// A power of two of them, at most half in use: runs stay short, misses cheap.
    slots: Vec<Slot>,
}

#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    label: u32,
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

const VACANT_SLOT: Slot = Slot { tag: 0, node: VACANT };

impl NameTree {
    /// Only the root.
    pub(super) fn new() -> NameTree {
        NameTree {
            nodes: vec![Node { parent: ROOT, label: 0, length: 0, below: Below::Nothing }],
            labels: vec![0; WORD_OCTETS],
            slots: vec![VACANT_SLOT; 4],
        }
    }

    /// The number of nodes, the root among them.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a label (lower case) under another.
    pub(super) fn child(&self, parent: u32, label: &[u8]) -> Option<u32> {
        if self.nodes.get(parent as usize)?.below == Below::Nothing {
            return None;
        }
        let word = first_word(label);
        let hash = hash(parent, label, word);
        let tag = tag(hash);
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots.get(at)?;
            if slot.node == VACANT {
                return None;
            }
            if slot.tag == tag && self.is(slot.node, parent, label, word) {
                return Some(slot.node);
            }
            at = (at + 1) & mask;
        }
    }

    /// Where a node is: its parent, and its label under it. `None` for the root.
    pub(super) fn place(&self, node: u32) -> Option<(u32, &[u8])> {
        let node = self.nodes.get(node as usize).filter(|_| node != ROOT)?;
        Some((node.parent, self.label(node)))
    }

    /// The same, made where it does not exist. `None` when the tree is full: 2^32 - 1 nodes or octets
    /// of labels.
    pub(super) fn child_or_new(&mut self, parent: u32, label: &[u8]) -> Option<u32> {
        if let Some(node) = self.child(parent, label) {
            return Some(node);
        }
        let node = u32::try_from(self.nodes.len()).ok().filter(|node| *node != VACANT)?;
        let end = self.labels.len() - WORD_OCTETS;
        let start = u32::try_from(end).ok()?;
        let length = u8::try_from(label.len()).ok()?;
        self.labels.truncate(end);
        self.labels.extend_from_slice(label);
        self.labels.extend_from_slice(&[0; WORD_OCTETS]);
        self.nodes.push(Node { parent, label: start, length, below: Below::Nothing });
        self.nodes.get_mut(parent as usize)?.below = Below::Something;
        if self.nodes.len() * 2 > self.slots.len() {
            self.grow();
        } else {
            place(&mut self.slots, hash(parent, label, first_word(label)), node);
        }
        Some(node)
    }

    /// What it takes in memory.
    pub(super) fn octets(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.labels.capacity()
            + self.slots.capacity() * size_of::<Slot>()
    }

    /// Gives back what growing took too much.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.labels.shrink_to_fit();
    }

    fn grow(&mut self) {
        let mut slots = vec![VACANT_SLOT; self.slots.len() * 2];
        for (number, node) in self.nodes.iter().enumerate().skip(1) {
            let label = self.label(node);
            place(&mut slots, hash(node.parent, label, first_word(label)), number as u32);
        }
        self.slots = slots;
    }

    fn is(&self, node: u32, parent: u32, label: &[u8], word: u64) -> bool {
        self.nodes.get(node as usize).is_some_and(|node| {
            node.parent == parent
                && usize::from(node.length) == label.len()
                && self.first_word(node) == word
                && (label.len() <= WORD_OCTETS || self.label(node) == label)
        })
    }

    fn first_word(&self, node: &Node) -> u64 {
        let octets = self.labels.get(node.label as usize..).and_then(|octets| octets.first_chunk());
        let word = octets.map_or(0, |octets| u64::from_le_bytes(*octets));
        let behind = WORD_OCTETS.saturating_sub(usize::from(node.length)) * 8;
        word.checked_shl(behind as u32).map_or(0, |word| word >> behind)
    }

    fn label(&self, node: &Node) -> &[u8] {
        let start = node.label as usize;
        self.labels.get(start..start + usize::from(node.length)).unwrap_or(&[])
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

/// Folded multiplication over eight octets at a time. Clients choose what is looked up, never what is
/// stored, so the hash needs no secret: the longest run of slots bounds every miss.
fn hash(parent: u32, label: &[u8], word: u64) -> u64 {
    let mut state = fold(fold(u64::from(parent) << 8 | label.len() as u64) ^ word);
    let (words, rest) = label.get(WORD_OCTETS..).unwrap_or(&[]).as_chunks::<WORD_OCTETS>();
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word));
    }
    if rest.is_empty() { state } else { fold(state ^ short_word(rest)) }
}

/// The first octets of a label as a number, zeros behind the end of a short one.
fn first_word(label: &[u8]) -> u64 {
    label.first_chunk().map_or_else(|| short_word(label), |word| u64::from_le_bytes(*word))
}

/// Up to seven octets as a number, zeros behind them.
fn short_word(octets: &[u8]) -> u64 {
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

fn fold(value: u64) -> u64 {
    let product = u128::from(value ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_nothing_else() {
        let mut tree = NameTree::new();
        let mut numbers = Vec::new();
        for index in 0..20_000u32 {
            let parent = if index % 3 == 0 { ROOT } else { index / 2 };
            let label = format!("label-{index}");
            numbers.push((parent, label.clone(), tree.child_or_new(parent, label.as_bytes()).unwrap()));
        }
        assert_eq!(tree.len(), 20_001);
        for (parent, label, node) in &numbers {
            assert_eq!(tree.child(*parent, label.as_bytes()), Some(*node));
            assert_eq!(tree.child_or_new(*parent, label.as_bytes()), Some(*node));
            assert_eq!(tree.child(*parent + 1, format!("{label}x").as_bytes()), None);
        }
    }

    #[test]
    fn runs_of_occupied_slots_stay_short() {
        let mut tree = NameTree::new();
        for index in 0..200_000u32 {
            tree.child_or_new(ROOT, format!("host{index}").as_bytes()).unwrap();
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
