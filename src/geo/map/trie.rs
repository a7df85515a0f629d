//! The trie: eight bits a level, equal nodes shared, built from a stream of runs.

use super::MapError;
use super::barrier::UNKNOWN;
use super::slices::{Interned, SliceTable};
use crate::ids::{ClassId, Family};

/// The largest number of a class or node: the bits of an entry below the child flag.
pub(super) const NUMBER_MAX: u32 = (1 << 23) - 1;

/// Set in entries that lead to a child node.
const CHILD: u32 = 1 << 23;

/// The bits of a run that are its entry; the others are its first octet.
const ENTRY: u32 = (1 << 24) - 1;

/// What a run of equal octets leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// All addresses below are of this class.
    Class(ClassId),
    /// A node by number.
    Child(u32),
}

impl Entry {
    pub(super) fn from_bits(bits: u32) -> Entry {
        let number = bits & NUMBER_MAX;
        if bits & CHILD == 0 { Entry::Class(ClassId(number)) } else { Entry::Child(number) }
    }

    fn to_bits(self) -> u32 {
        match self {
            Entry::Class(class) => class.0,
            Entry::Child(node) => node | CHILD,
        }
    }
}

/// The first octet of a run.
pub(super) fn first_octet(run: u32) -> u8 {
    (run >> 24) as u8
}

/// The finished trie. Children have smaller numbers than their parents.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Trie {
    /// The whole of each family, by family index: entries as bits.
    pub(super) roots: [u32; 2],
    /// The nodes.
    pub(super) nodes: Box<[Node]>,
    /// The runs of all nodes: the first octet in the top 8 bits, then the entry. The first run of a
    /// node starts at octet 0, the others ascend.
    pub(super) runs: Box<[u32]>,
    /// Of nodes with more than [`UNRANKED_RUNS_MAX`] runs: by the top five bits of an octet, the run
    /// that the first such octet is in. A search starts there.
    ranks: Box<[[u8; 32]]>,
    /// By family index and the first 16 bits of an address: the entry after two octets.
    tops: [Box<[u32]>; 2],
}

/// A node: at least two runs, which make up all 256 octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node {
    /// The index of its first run.
    runs_at: u32,
    /// The index of its ranks in the top 24 bits, its count of runs less one below.
    ranks_and_count: u32,
    /// The set of classes below it.
    pub(super) set: u32,
    /// The first class of the set: what the whole node is, where its set is uniform.
    pub(super) first: ClassId,
}

/// Nodes with no more runs than this are searched from their first run.
const UNRANKED_RUNS_MAX: usize = 8;

impl Node {
    /// How many runs it has.
    pub(super) fn run_count(self) -> usize {
        (self.ranks_and_count & 0xff) as usize + 1
    }
}

impl Trie {
    /// A trie with its search tables. `nodes` are (count of runs, set, first class of the set), and
    /// `runs` those of all nodes in a row. `None` if the counts do not fit the runs.
    pub(super) fn new(
        roots: [u32; 2],
        nodes: impl Iterator<Item = (usize, u32, ClassId)>,
        runs: Box<[u32]>,
    ) -> Option<Trie> {
        let mut ranks = Vec::new();
        let mut runs_at = 0usize;
        let node = |(count, set, first): (usize, u32, ClassId)| {
            let of_node = runs.get(runs_at..runs_at.checked_add(count)?)?;
            if !(1..=256).contains(&count) {
                return None;
            }
            let ranks_and_count = (ranks.len() as u32) << 8 | (count as u32 - 1);
            if count > UNRANKED_RUNS_MAX {
                ranks.push(std::array::from_fn(|top| run_from(of_node, 0, top as u8 * 8) as u8));
            }
            let node = Node { runs_at: runs_at as u32, ranks_and_count, set, first };
            runs_at += count;
            Some(node)
        };
        let nodes: Box<[Node]> = nodes.map(node).collect::<Option<_>>()?;
        if runs_at != runs.len() {
            return None;
        }
        let mut trie = Trie { roots, nodes, runs, ranks: ranks.into(), tops: Default::default() };
        let top = |family| (0..=u16::MAX).map(|bits| trie.walk_two_octets(family, bits)).collect();
        trie.tops = Family::ALL.map(top);
        Some(trie)
    }

    /// Where a family starts.
    pub(super) fn root(&self, family: Family) -> Entry {
        Entry::from_bits(self.roots.get(family.index()).copied().unwrap_or(0))
    }

    /// Where an address is after its first two octets.
    pub(super) fn after_two_octets(&self, family: Family, bits: u128) -> Entry {
        let entry = self.tops.get(family.index()).and_then(|tops| tops.get((bits >> 112) as usize));
        entry.map_or(Entry::Class(UNKNOWN), |&bits| Entry::from_bits(bits))
    }

    /// A node by number.
    pub(super) fn node(&self, number: u32) -> Node {
        let missing = Node { runs_at: 0, ranks_and_count: 0, set: 0, first: UNKNOWN };
        self.nodes.get(number as usize).copied().unwrap_or(missing)
    }

    /// The runs of a node.
    pub(super) fn runs(&self, node: Node) -> &[u32] {
        let start = node.runs_at as usize;
        self.runs.get(start..start + node.run_count()).unwrap_or(&[])
    }

    /// The index of the run of a node that an octet is in.
    pub(super) fn run_of(&self, node: Node, runs: &[u32], octet: u8) -> usize {
        if runs.len() <= UNRANKED_RUNS_MAX {
            return run_from(runs, 0, octet);
        }
        let ranks = self.ranks.get((node.ranks_and_count >> 8) as usize);
        let start =
            ranks.and_then(|ranks| ranks.get(usize::from(octet >> 3))).map_or(0, |&rank| usize::from(rank));
        run_from(runs, start, octet)
    }

    /// The class of an address.
    pub(super) fn class_of(&self, family: Family, bits: u128) -> ClassId {
        let octets = bits.to_be_bytes().into_iter();
        match octets.fold(self.root(family), |entry, octet| self.step(entry, octet)) {
            Entry::Class(class) => class,
            Entry::Child(_) => UNKNOWN,
        }
    }

    /// The memory of the tables, in octets.
    pub(super) fn memory_octets(&self) -> usize {
        let tops: usize = self.tops.iter().map(|tops| tops.len() * 4).sum();
        self.nodes.len() * size_of::<Node>() + self.runs.len() * 4 + self.ranks.len() * 32 + tops
    }

    fn walk_two_octets(&self, family: Family, bits: u16) -> u32 {
        let octets = bits.to_be_bytes().into_iter();
        octets.fold(self.root(family), |entry, octet| self.step(entry, octet)).to_bits()
    }

    /// The entry below an entry; classes stay what they are.
    fn step(&self, entry: Entry, octet: u8) -> Entry {
        let Entry::Child(number) = entry else { return entry };
        let node = self.node(number);
        let runs = self.runs(node);
        runs.get(self.run_of(node, runs, octet)).map_or(entry, |&run| Entry::from_bits(run))
    }
}

/// The index of the run that an octet is in, from a run that starts no later.
fn run_from(runs: &[u32], start: usize, octet: u8) -> usize {
    let mut at = start;
    while runs.get(at + 1).is_some_and(|&next| first_octet(next) <= octet) {
        at += 1;
    }
    at
}

/// Builds a trie from ascending runs; of each family, only the nodes on the path to the current
/// address are open.
pub(super) struct TrieBuilder {
    paths: [Path; 2],
    nodes: SliceTable,
    sets_of_nodes: Vec<u32>,
    sets: Sets,
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
        TrieBuilder {
            paths: [Path::new(), Path::new()],
            nodes: SliceTable::new(),
            sets_of_nodes: Vec::new(),
            sets: Sets::new(),
        }
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
                close(path, &mut self.nodes, &mut self.sets_of_nodes, &mut self.sets)?;
            }
            if covered == left {
                return Ok(());
            }
            at += covered + 1;
        }
    }

    /// Takes over a family that another builder has, whose classes are `classes` here. Numbers go on as if its runs had
    /// come here.
    pub(super) fn absorb(
        &mut self,
        family: Family,
        other: TrieBuilder,
        classes: &[ClassId],
    ) -> Result<(), MapError> {
        let mut nodes: Vec<u32> = Vec::with_capacity(other.nodes.len());
        let here = |entry: u32, nodes: &[u32]| match Entry::from_bits(entry) {
            Entry::Class(class) => Entry::Class(classes.get(class.index()).copied().unwrap_or(UNKNOWN)),
            Entry::Child(node) => Entry::Child(nodes.get(node as usize).copied().unwrap_or(0)),
        };
        let mut runs = Vec::new();
        for number in 0..other.nodes.len() as u32 {
            runs.clear();
            let own = other.nodes.get(number).iter();
            runs.extend(own.map(|&run| run & !ENTRY | here(run & ENTRY, &nodes).to_bits()));
            nodes.push(intern(&runs, &mut self.nodes, &mut self.sets_of_nodes, &mut self.sets)?);
        }
        let (Some(own), Some(root)) =
            (self.paths.get_mut(family.index()), other.paths.get(family.index()).map(|path| path.root))
        else {
            return Ok(());
        };
        own.root = here(root, &nodes).to_bits();
        Ok(())
    }

    /// The trie and its sets.
    pub(super) fn finish(self) -> Option<(Trie, Sets)> {
        let (runs, run_ends) = self.nodes.into_parts();
        let starts = std::iter::once(0).chain(run_ends.iter().copied());
        let counts = starts.zip(&run_ends).map(|(start, &end)| (end - start) as usize);
        let sets = self.sets_of_nodes.iter().map(|&set| (set, self.sets.first(set)));
        let nodes = counts.zip(sets).map(|(count, (set, first))| (count, set, first));
        let trie = Trie::new(self.paths.map(|path| path.root), nodes, runs.into())?;
        Some((trie, self.sets))
    }
}

/// Closes the deepest node, which is full: its parent gets the entry.
fn close(
    path: &mut Path,
    nodes: &mut SliceTable,
    sets_of_nodes: &mut Vec<u32>,
    sets: &mut Sets,
) -> Result<(), MapError> {
    let Some(level) = path.levels.get_mut(path.deepest) else { return Ok(()) };
    let entry = match level.runs.as_slice() {
        [only] => only & ENTRY,
        runs => Entry::Child(intern(runs, nodes, sets_of_nodes, sets)?).to_bits(),
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
fn intern(
    runs: &[u32],
    nodes: &mut SliceTable,
    sets_of_nodes: &mut Vec<u32>,
    sets: &mut Sets,
) -> Result<u32, MapError> {
    match nodes.intern(runs) {
        Interned::Old(node) => Ok(node),
        Interned::New(node) if node > NUMBER_MAX => Err(MapError::TooLarge),
        Interned::New(node) => {
            let set = sets.union(runs, sets_of_nodes);
            sets_of_nodes.push(set);
            Ok(node)
        }
    }
}

/// The sets of classes below nodes, interned.
pub(super) struct Sets {
    lists: SliceTable,
    union: Vec<u32>,
    /// By class: the number of the last union that has it.
    seen: Vec<u32>,
    unions: u32,
}

impl Sets {
    fn new() -> Sets {
        Sets { lists: SliceTable::new(), union: Vec::new(), seen: Vec::new(), unions: 0 }
    }

    /// The set of all classes below a node with these runs.
    fn union(&mut self, runs: &[u32], sets_of_nodes: &[u32]) -> u32 {
        let Sets { lists, union, seen, unions } = self;
        *unions += 1;
        union.clear();
        let mut add = |class: u32| {
            let index = class as usize;
            if seen.len() <= index {
                seen.resize(index + 1, 0);
            }
            if let Some(last) = seen.get_mut(index)
                && *last != *unions
            {
                *last = *unions;
                union.push(class);
            }
        };
        for &run in runs {
            match Entry::from_bits(run) {
                Entry::Class(class) => add(class.0),
                Entry::Child(node) => {
                    let set = sets_of_nodes.get(node as usize).copied().unwrap_or(0);
                    lists.get(set).iter().copied().for_each(&mut add);
                }
            }
        }
        union.sort_unstable();
        lists.intern(union).number()
    }

    /// The first member of a set.
    fn first(&self, set: u32) -> ClassId {
        self.lists.get(set).first().map_or(UNKNOWN, |&class| ClassId(class))
    }

    /// All members in a row, and where each set ends.
    pub(super) fn into_parts(self) -> (Vec<u32>, Vec<u32>) {
        self.lists.into_parts()
    }
}
