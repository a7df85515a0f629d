//! The trie: equal nodes shared, built from a stream of runs.
//!
//! It grows with eight bits a level, where a stream closes few nodes, and is finished with four: a look-up
//! compares an address with no more than the 15 neighbours that a node can have.

use std::ops::RangeInclusive;

use super::MapError;
use super::barrier::UNKNOWN;
use super::nodes::{self, Node, Nodes, Target};
use super::sets::Sets;
use super::slices::{Interned, SliceTable};
use crate::ids::{ClassId, Family};

/// The largest number of a class or node while a trie is built: the bits of an entry below the child flag.
pub(super) const NUMBER_MAX: u32 = (1 << 23) - 1;

/// Set in entries that lead to a child node.
const CHILD: u32 = 1 << 23;

/// The bits of a run that are its entry; the others are its first octet.
const ENTRY: u32 = (1 << 24) - 1;

/// The finished trie.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Trie {
    /// The whole of each family, by family index: links.
    pub(super) roots: [u32; 2],
    /// All nodes.
    pub(super) nodes: Nodes,
    /// How many different sets of classes there are below nodes.
    pub(super) sets: usize,
    /// How many nodes there are.
    pub(super) node_count: usize,
    /// How many runs they have together.
    pub(super) run_count: usize,
    /// By family index and the first octet of an address.
    tops: [Box<[Top]>; 2],
    /// By family index and the first two octets less the first of [`SECOND_TOPS`].
    second_tops: [Box<[Top]>; 2],
}

/// Where an address is after its first octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Top {
    link: u32,
    /// The set of the node there, so that nobody goes to the node to ask.
    set: u32,
}

/// By family index: the first two octets that there are tops for. Of IPv6 it is 2000::/3: in the rest are no places.
const SECOND_TOPS: [RangeInclusive<u16>; 2] = [0..=0xffff, 0x2000..=0x3fff];

impl Top {
    /// What is there.
    #[inline(always)]
    pub(super) fn target(self) -> Target {
        Target::from_link(self.link)
    }

    /// If it is a node, its set.
    #[inline(always)]
    pub(super) fn set(self) -> u32 {
        self.set
    }
}

impl Trie {
    /// A trie with its search tables. The counts are those of sets, of nodes and of their runs.
    pub(super) fn new(roots: [u32; 2], nodes: Nodes, [sets, node_count, run_count]: [usize; 3]) -> Trie {
        let none = || [Box::default(), Box::default()];
        let mut trie = Trie { roots, nodes, sets, node_count, run_count, tops: none(), second_tops: none() };
        let below = |target, octet: u8| {
            let octet = u32::from(octet);
            trie.step(trie.step(target, octet >> 4), octet & 15)
        };
        let first = |family, octets: u16| below(trie.root(family), (octets >> 8) as u8);
        let second = |family, octets: u16| below(first(family, octets), octets as u8);
        let tops = |octets: RangeInclusive<u16>, target: &dyn Fn(u16) -> Target| -> Box<[Top]> {
            octets.map(|octets| trie.top(target(octets))).collect()
        };
        let [v4, v6] = SECOND_TOPS;
        let second_tops = [(Family::V4, v4), (Family::V6, v6)]
            .map(|(family, octets)| tops(octets, &|two| second(family, two)));
        let tops = Family::ALL.map(|family| tops(0..=0xff, &|octet| first(family, octet << 8)));
        (trie.tops, trie.second_tops) = (tops, second_tops);
        trie
    }

    /// Where a family starts.
    #[inline]
    pub(super) fn root(&self, family: Family) -> Target {
        Target::from_link(self.roots.get(family.index()).copied().unwrap_or(0))
    }

    /// Where an address is after its first octet.
    #[inline(always)]
    pub(super) fn after_octet(&self, family: Family, octet: u8) -> Top {
        let top = self.tops.get(family.index()).and_then(|tops| tops.get(usize::from(octet)));
        top.copied().unwrap_or(Top { link: Target::Class(UNKNOWN.0).to_link(), set: 0 })
    }

    /// Where an address is after its first two octets, if there is a top for them.
    #[inline(always)]
    pub(super) fn after_two_octets(&self, family: Family, octets: u16) -> Option<Top> {
        let [v4, v6] = &SECOND_TOPS;
        let first = if family == Family::V4 { v4.start() } else { v6.start() };
        let tops = self.second_tops.get(family.index())?;
        tops.get(usize::from(octets).wrapping_sub(usize::from(*first))).copied()
    }

    fn top(&self, target: Target) -> Top {
        let set = match target {
            Target::Class(_) => 0,
            Target::Node(place) => self.node(place).set(),
        };
        Top { link: target.to_link(), set }
    }

    /// How many words its nodes take.
    #[inline]
    pub(super) fn words(&self) -> usize {
        self.nodes.row().len()
    }

    /// A node by its place.
    #[inline]
    pub(super) fn node(&self, place: u32) -> Node<'_> {
        self.nodes.at(place)
    }

    /// A class below a node.
    #[inline]
    pub(super) fn first_class(&self, node: Node<'_>) -> usize {
        match node.target(0) {
            Target::Class(class) => class as usize,
            Target::Node(place) => self.first_class_below(place),
        }
    }

    #[cold]
    fn first_class_below(&self, mut place: u32) -> usize {
        // Children stand before their parents, so this ends.
        loop {
            match self.node(place).target(0) {
                Target::Class(class) => return class as usize,
                Target::Node(child) => place = child,
            }
        }
    }

    /// The class of an address.
    pub(super) fn class_of(&self, family: Family, bits: u128) -> ClassId {
        let halves = (0..32).map(|half| (bits >> (124 - 4 * half)) as u32 & 15);
        let mut target = self.root(family);
        for half in halves {
            target = self.step(target, half);
        }
        match target {
            Target::Class(class) => ClassId(class),
            Target::Node(_) => UNKNOWN,
        }
    }

    /// The memory of the tables, in octets.
    pub(super) fn memory_octets(&self) -> usize {
        let tops: usize = self.tops.iter().chain(&self.second_tops).map(|tops| size_of_val(&**tops)).sum();
        self.nodes.row().len() * 2 + tops
    }

    /// What is below a target; classes stay what they are.
    fn step(&self, target: Target, half: u32) -> Target {
        let Target::Node(place) = target else { return target };
        let node = self.node(place);
        node.target(node.run_of(half))
    }
}

/// Builds a trie from ascending runs, at first with nodes of eight bits; of each family, only the nodes on the path to the current
/// address are open.
pub(super) struct TrieBuilder {
    paths: [Path; 2],
    nodes: SliceTable,
}

/// The open nodes of a family.
struct Path {
    levels: [Level; 16],
    /// The index of the deepest open level.
    deepest: usize,
    root: u32,
}

/// An open node.
#[derive(Default)]
struct Level {
    runs: Vec<u32>,
    /// The next octet to fill; 256 when the node is full.
    next: u16,
}

impl Path {
    fn new() -> Path {
        Path { levels: std::array::from_fn(|_| Level::default()), deepest: 0, root: UNKNOWN.0 }
    }
}

impl Level {
    /// Fills the next `count` octets.
    fn append(&mut self, count: u16, entry: u32) {
        if self.runs.last().is_none_or(|last| last & ENTRY != entry) {
            self.runs.push(u32::from(self.next) << 24 | entry);
        }
        self.next += count;
    }
}

impl TrieBuilder {
    /// An empty builder. Every family must be filled from its first address to its last.
    pub(super) fn new() -> TrieBuilder {
        TrieBuilder { paths: [Path::new(), Path::new()], nodes: SliceTable::new() }
    }

    /// The next addresses of a family, up to `last`, are of this class.
    pub(super) fn add(
        &mut self,
        family: Family,
        first: u128,
        last: u128,
        class: ClassId,
    ) -> Result<(), MapError> {
        let Some(path) = self.paths.get_mut(family.index()) else { return Ok(()) };
        let mut at = first;
        loop {
            let shift = 120 - 8 * path.deepest as u32;
            let slot = (1u128 << shift) - 1;
            let left = last - at;
            // Octets of the deepest node that are wholly inside; `at` is the first address of one.
            let whole = (left >> shift) + u128::from(left & slot == slot);
            let Some(level) = path.levels.get_mut(path.deepest) else { return Ok(()) };
            let count = whole.min(u128::from(256 - level.next)) as u16;
            if count == 0 {
                path.deepest += 1;
                continue;
            }
            level.append(count, class.0);
            let covered = (u128::from(count) << shift).wrapping_sub(1);
            while path.levels.get(path.deepest).is_some_and(|level| level.next == 256) {
                close(path, &mut self.nodes)?;
            }
            if covered == left {
                return Ok(());
            }
            at += covered + 1;
        }
    }

    /// Takes over a family that another builder has, whose classes are `classes` here. Numbers go on as if its
    /// runs had come here.
    pub(super) fn absorb(
        &mut self,
        family: Family,
        other: TrieBuilder,
        classes: &[ClassId],
    ) -> Result<(), MapError> {
        let mut nodes: Vec<u32> = Vec::with_capacity(other.nodes.len());
        let here = |entry: u32, nodes: &[u32]| {
            let number = (entry & NUMBER_MAX) as usize;
            match entry & CHILD {
                0 => classes.get(number).map_or(UNKNOWN.0, |class| class.0),
                _ => nodes.get(number).copied().unwrap_or(0) | CHILD,
            }
        };
        let mut runs = Vec::new();
        for number in 0..other.nodes.len() as u32 {
            runs.clear();
            let own = other.nodes.get(number).iter();
            runs.extend(own.map(|&run| run & !ENTRY | here(run & ENTRY, &nodes)));
            nodes.push(intern(&runs, &mut self.nodes)?);
        }
        let (Some(own), Some(root)) =
            (self.paths.get_mut(family.index()), other.paths.get(family.index()).map(|path| path.root))
        else {
            return Ok(());
        };
        own.root = here(root, &nodes);
        Ok(())
    }

    /// The trie; `None` where the row would be too long for its links.
    pub(super) fn finish(self) -> Option<Trie> {
        let mut halves = Halves::new();
        let roots = self.paths.each_ref().map(|path| path.root);
        let roots = halves.take(&self.nodes, roots);
        drop(self);
        halves.finish(roots)
    }
}

/// Closes the deepest node, which is full: its parent gets the entry.
fn close(path: &mut Path, nodes: &mut SliceTable) -> Result<(), MapError> {
    let Some(level) = path.levels.get_mut(path.deepest) else { return Ok(()) };
    let entry = match level.runs.as_slice() {
        // A child stays one level below, even where all octets lead to it.
        [only] if only & CHILD == 0 => only & ENTRY,
        runs => intern(runs, nodes)? | CHILD,
    };
    level.runs.clear();
    level.next = 0;
    match path.deepest.checked_sub(1) {
        Some(parent) => {
            path.deepest = parent;
            if let Some(level) = path.levels.get_mut(parent) {
                level.append(1, entry);
            }
        }
        None => path.root = entry,
    }
    Ok(())
}

/// The number of a node with these runs.
fn intern(runs: &[u32], nodes: &mut SliceTable) -> Result<u32, MapError> {
    let node = nodes.intern(runs).number();
    if node > NUMBER_MAX { Err(MapError::TooLarge) } else { Ok(node) }
}

/// Makes nodes of four bits out of nodes of eight, with the sets of classes below them.
struct Halves {
    /// The nodes: the bits of [`nodes::append`], then for each run what it leads to.
    nodes: SliceTable,
    sets_of_nodes: Vec<u32>,
    sets: Sets,
    runs: usize,
}

impl Halves {
    fn new() -> Halves {
        Halves { nodes: SliceTable::new(), sets_of_nodes: Vec::new(), sets: Sets::new(), runs: 0 }
    }

    /// Takes over all nodes of eight bits, and gives what `roots` have become.
    fn take<const N: usize>(&mut self, whole: &SliceTable, roots: [u32; N]) -> [u32; N] {
        let mut new: Vec<u32> = Vec::with_capacity(whole.len());
        let renamed = |new: &[u32], entry: u32| match entry & CHILD {
            0 => entry & NUMBER_MAX,
            _ => new.get((entry & NUMBER_MAX) as usize).copied().unwrap_or(UNKNOWN.0),
        };
        for number in 0..whole.len() as u32 {
            let mut upper = HalfNode::new();
            let mut runs = whole.get(number).iter().copied().peekable();
            let mut current = 0;
            for high in 0..16u32 {
                let mut lower = HalfNode::new();
                let mut next = high * 16;
                // The run that reaches over from before, and those that begin in here.
                while next < high * 16 + 16 {
                    if let Some(run) = runs.next_if(|run| run >> 24 <= next) {
                        current = renamed(&new, run);
                    }
                    lower.append((next & 15) as u16, current);
                    next = runs.peek().map_or(256, |run| run >> 24);
                }
                let lower = self.intern(&lower);
                upper.append(high as u16, lower);
            }
            new.push(self.intern(&upper));
        }
        roots.map(|root| renamed(&new, root))
    }

    /// What a node is: a class where all of it is, and else its number with [`CHILD`].
    fn intern(&mut self, node: &HalfNode) -> u32 {
        let list = node.list();
        if let [_, only] = list
            && only & CHILD == 0
        {
            return *only;
        }
        match self.nodes.intern(list) {
            Interned::Old(number) => number | CHILD,
            Interned::New(number) => {
                let entries = list.get(1..).unwrap_or(&[]);
                self.runs += entries.len();
                let set = self.set_of(entries);
                self.sets_of_nodes.push(set);
                number | CHILD
            }
        }
    }

    /// The set of all classes below a node with these entries.
    fn set_of(&mut self, entries: &[u32]) -> u32 {
        let (mut classes, mut sets) = ([0; 16], [0; 16]);
        let (mut class_count, mut set_count) = (0, 0);
        for entry in entries {
            let (list, count, number) = match entry & CHILD {
                0 => (&mut classes, &mut class_count, *entry),
                _ => {
                    let set = self.sets_of_nodes.get((entry & NUMBER_MAX) as usize);
                    (&mut sets, &mut set_count, set.copied().unwrap_or(0))
                }
            };
            if let Some(place) = list.get_mut(*count) {
                *place = number;
                *count += 1;
            }
        }
        self.sets.union(classes.get(..class_count).unwrap_or(&[]), sets.get(..set_count).unwrap_or(&[]))
    }

    fn finish(self, roots: [u32; 2]) -> Option<Trie> {
        let mut places: Vec<u32> = Vec::with_capacity(self.nodes.len());
        let target = |places: &[u32], entry: u32| match entry & CHILD {
            0 => Target::Class(entry),
            _ => Target::Node(places.get((entry & NUMBER_MAX) as usize).copied().unwrap_or(0)),
        };
        let mut row: Vec<u16> = Vec::new();
        for (number, &set) in (0..).zip(&self.sets_of_nodes) {
            places.push(u32::try_from(row.len()).ok().filter(|place| *place <= nodes::PLACE_MAX)?);
            let (starts, entries) = self.nodes.get(number).split_first()?;
            nodes::append(
                &mut row,
                (*starts >> 1) as u16,
                set,
                entries.iter().map(|entry| target(&places, *entry)),
            );
        }
        let roots = roots.map(|root| target(&places, root).to_link());
        // Halves are at most 31 for each node of eight bits, of which there are less than 2^23.
        let fits = self.nodes.len() <= NUMBER_MAX as usize + 1;
        let counts = [self.sets.len(), places.len(), self.runs];
        fits.then(|| Trie::new(roots, Nodes::new(row), counts))
    }
}

/// A node of four bits in the making.
struct HalfNode {
    list: [u32; 17],
    length: usize,
}

impl HalfNode {
    fn new() -> HalfNode {
        HalfNode { list: [0; 17], length: 1 }
    }

    /// From this half-octet on, `entry`.
    fn append(&mut self, half: u16, entry: u32) {
        if self.length > 1 && self.list.get(self.length - 1) == Some(&entry) {
            return;
        }
        if let Some(place) = self.list.get_mut(self.length) {
            *place = entry;
            self.length += 1;
        }
        self.list[0] |= 1 << half;
    }

    fn list(&self) -> &[u32] {
        self.list.get(..self.length).unwrap_or(&[])
    }
}
