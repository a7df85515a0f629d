//! Decisions folded over a map: which parts of the trie agree, and look-ups that use it.

use super::barrier::{BARRIER_COUNT, SPECIAL_COUNT, UNKNOWN};
use super::trie::{Entry, Node, Sets, Trie, first_octet};
use super::{Decided, LocationMap};
use crate::ids::{ClassId, Family};

/// The decisions of one (service, family, health generation), folded over a map.
#[derive(Debug)]
pub struct Fold {
    /// By class.
    colours: Box<[Colour]>,
    /// A bit per set: whether its classes disagree.
    mixed: Box<[u64]>,
    ttls: Ttls,
}

/// The TTLs of a fold, in the smallest form that tells them apart.
#[derive(Debug)]
enum Ttls {
    /// By decision, where each decision has one TTL.
    ByDecision(Box<[u32]>),
    /// Otherwise: indexes into `values`, which ascend, so that the least index is the least TTL.
    ByClass { values: Box<[u32]>, classes: Box<[u8]>, sets: Box<[u8]> },
}

/// What a class or a set counts as: neighbours of equal colour merge. The decision in the low half,
/// and above it 1 + the number of the class if it is a barrier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Colour(u32);

/// A run of equal colour around an address.
pub(super) struct Found {
    /// A class inside the scope.
    pub(super) class: ClassId,
    /// The prefix length.
    pub(super) scope: u8,
    /// The least TTL inside the scope.
    pub(super) ttl_s: u32,
}

/// What is below an entry.
enum Look {
    /// Classes of one colour.
    Colour(Colour),
    /// A node whose classes disagree.
    Mixed(Node),
}

/// A run of one colour in a mixed node, on the way to an address.
struct Position<'m> {
    runs: &'m [u32],
    /// The index of the run.
    at: usize,
    /// The address's octet at this depth.
    octet: u8,
    /// The bits above the node.
    depth: u8,
    entry: Entry,
    colour: Colour,
}

impl Fold {
    /// Folds decisions by class over a map.
    pub(super) fn new(map: &LocationMap, decided: &[Decided]) -> Fold {
        let missing = Decided { decision: 0, ttl_s: 0 };
        let of = |class: u32| decided.get(class as usize).copied().unwrap_or(missing);
        let classes = 0..map.class_count() as u32;
        let colours: Box<[Colour]> =
            classes.clone().map(|class| Colour::new(ClassId(class), of(class).decision)).collect();
        let mut mixed = vec![0u64; map.sets.ends.len().div_ceil(64)];
        for (set, members) in map.sets.iter().enumerate() {
            if is_mixed(&colours, members)
                && let Some(word) = mixed.get_mut(set / 64)
            {
                *word |= 1 << (set % 64);
            }
        }
        let by_class: Vec<u32> = classes.map(|class| of(class).ttl_s).collect();
        let ttls = Ttls::new(map, &colours, &by_class, &mixed);
        Fold { colours, mixed: mixed.into(), ttls }
    }

    /// The memory of the tables, in octets.
    pub fn memory_octets(&self) -> usize {
        let ttls = match &self.ttls {
            Ttls::ByDecision(values) => values.len() * 4,
            Ttls::ByClass { values, classes, sets } => values.len() * 4 + classes.len() + sets.len(),
        };
        self.colours.len() * 4 + self.mixed.len() * 8 + ttls
    }

    /// The decision of a class.
    pub(super) fn decision(&self, class: ClassId) -> u16 {
        self.colour_of(class).decision()
    }

    /// A class by itself, whatever surrounds it.
    pub(super) fn of_class(&self, class: ClassId) -> Found {
        Found { class, scope: 0, ttl_s: self.ttls.value(self.ttls.of_class(self, class)) }
    }

    /// The widest prefix around an address in which all classes have its colour.
    pub(super) fn find(&self, map: &LocationMap, family: Family, bits: u128) -> Found {
        let trie = &map.trie;
        let octets = bits.to_be_bytes();
        let (mut node, mut level) = match self.start(trie, family, bits) {
            Ok(start) => start,
            Err(entry) => return self.found(map, entry, 0, self.ttl_index(map, entry)),
        };
        while let Some(&octet) = octets.get(level) {
            let runs = trie.runs(node);
            let at = trie.run_of(node, runs, octet);
            let entry = runs.get(at).map_or(Entry::Class(UNKNOWN), |&run| Entry::from_bits(run));
            match self.look(trie, entry) {
                Look::Mixed(child) => node = child,
                Look::Colour(colour) => {
                    let depth = 8 * level as u8;
                    return self.widen(map, Position { runs, at, octet, depth, entry, colour });
                }
            }
            level += 1;
        }
        // Not reached: no trie is deeper than its family.
        self.of_class(UNKNOWN)
    }

    /// The node and level to start from, or the entry of the whole family if it has one colour.
    fn start(&self, trie: &Trie, family: Family, bits: u128) -> Result<(Node, usize), Entry> {
        // What is mixed below 16 bits is mixed above them.
        if let Look::Mixed(node) = self.look(trie, trie.after_two_octets(family, bits)) {
            return Ok((node, 2));
        }
        let root = trie.root(family);
        match self.look(trie, root) {
            Look::Mixed(node) => Ok((node, 0)),
            Look::Colour(_) => Err(root),
        }
    }

    /// Widens a find over the neighbouring runs of its colour, to an aligned block of octets.
    fn widen(&self, map: &LocationMap, position: Position<'_>) -> Found {
        let Position { runs, at, octet, depth, entry, colour } = position;
        let start_of = |index: usize| runs.get(index).map_or(256, |&run| u32::from(first_octet(run)));
        let has_colour = |index: usize| {
            let look = runs.get(index).map(|&run| self.look(&map.trie, Entry::from_bits(run)));
            matches!(look, Some(Look::Colour(found)) if found == colour)
        };
        // The runs `left..right` are known to be of the colour; each doubling of the block looks at
        // no more runs than it needs.
        let (mut left, mut right) = (at, at + 1);
        let mut free_bits = 0;
        while free_bits < 8 {
            let (first, end) = block(octet, free_bits + 1);
            while start_of(left) > first && has_colour(left - 1) {
                left -= 1;
            }
            while start_of(left) <= first && start_of(right) < end && has_colour(right) {
                right += 1;
            }
            if start_of(left) > first || start_of(right) < end {
                break;
            }
            free_bits += 1;
        }
        let scope = depth + 8 - free_bits;
        if let Ttls::ByDecision(_) = self.ttls {
            return self.found(map, entry, scope, usize::from(colour.decision()));
        }
        let (first, end) = block(octet, free_bits);
        let inside = (left..right).filter(|&index| start_of(index) < end && start_of(index + 1) > first);
        let indexes =
            inside.filter_map(|index| runs.get(index)).map(|&run| self.ttl_index(map, Entry::from_bits(run)));
        self.found(map, entry, scope, indexes.min().unwrap_or(0))
    }

    fn found(&self, map: &LocationMap, entry: Entry, scope: u8, ttl: usize) -> Found {
        let class = match entry {
            Entry::Class(class) => class,
            Entry::Child(node) => map.trie.node(node).first,
        };
        Found { class, scope, ttl_s: self.ttls.value(ttl) }
    }

    /// What is below an entry.
    fn look(&self, trie: &Trie, entry: Entry) -> Look {
        match entry {
            Entry::Class(class) => Look::Colour(self.colour_of(class)),
            Entry::Child(number) => {
                let node = trie.node(number);
                if self.is_mixed(node.set) {
                    Look::Mixed(node)
                } else {
                    Look::Colour(self.colour_of(node.first))
                }
            }
        }
    }

    fn colour_of(&self, class: ClassId) -> Colour {
        self.colours.get(class.index()).copied().unwrap_or(Colour(0))
    }

    fn is_mixed(&self, set: u32) -> bool {
        self.mixed.get(set as usize / 64).is_some_and(|word| word >> (set % 64) & 1 == 1)
    }

    /// The index for [`Ttls::value`] of an entry of one colour.
    fn ttl_index(&self, map: &LocationMap, entry: Entry) -> usize {
        match (&self.ttls, entry) {
            (_, Entry::Class(class)) => self.ttls.of_class(self, class),
            (Ttls::ByDecision(_), Entry::Child(node)) => self.ttls.of_class(self, map.trie.node(node).first),
            (Ttls::ByClass { sets, .. }, Entry::Child(node)) => {
                sets.get(map.trie.node(node).set as usize).map_or(0, |&index| usize::from(index))
            }
        }
    }
}

impl Colour {
    fn new(class: ClassId, decision: u16) -> Colour {
        let barrier = if class.0 < BARRIER_COUNT { class.0 + 1 } else { 0 };
        Colour(barrier << 16 | u32::from(decision))
    }

    fn decision(self) -> u16 {
        self.0 as u16
    }
}

impl Ttls {
    fn new(map: &LocationMap, colours: &[Colour], by_class: &[u32], mixed: &[u64]) -> Ttls {
        if let Some(by_decision) = by_decision(colours, by_class) {
            return Ttls::ByDecision(by_decision);
        }
        let values = palette(by_class);
        // Rounds down where there are more values than the palette holds: sound, only less long.
        let index = |ttl_s: u32| values.partition_point(|&value| value <= ttl_s).saturating_sub(1) as u8;
        let classes: Box<[u8]> = by_class.iter().map(|&ttl_s| index(ttl_s)).collect();
        let least = |(set, members): (usize, &[u32])| {
            let is_mixed = mixed.get(set / 64).is_some_and(|word| word >> (set % 64) & 1 == 1);
            let indexes = members.iter().filter_map(|&class| classes.get(class as usize).copied());
            // Mixed sets are never asked.
            if is_mixed { 0 } else { indexes.min().unwrap_or(0) }
        };
        let sets = map.sets.iter().enumerate().map(least).collect();
        Ttls::ByClass { values, classes, sets }
    }

    /// A class's index for [`Ttls::value`].
    fn of_class(&self, fold: &Fold, class: ClassId) -> usize {
        match self {
            Ttls::ByDecision(_) => usize::from(fold.decision(class)),
            Ttls::ByClass { classes, .. } => {
                classes.get(class.index()).map_or(0, |&index| usize::from(index))
            }
        }
    }

    fn value(&self, index: usize) -> u32 {
        let (Ttls::ByDecision(values) | Ttls::ByClass { values, .. }) = self;
        values.get(index).copied().unwrap_or(0)
    }
}

/// The TTLs by decision, if each decision has one TTL only.
fn by_decision(colours: &[Colour], by_class: &[u32]) -> Option<Box<[u32]>> {
    let mut ttls: Vec<Option<u32>> = Vec::new();
    // Special-purpose classes have no decision of their own; embedding blocks have.
    for (colour, &ttl_s) in colours.iter().zip(by_class).skip(SPECIAL_COUNT as usize) {
        let index = usize::from(colour.decision());
        if ttls.len() <= index {
            ttls.resize(index + 1, None);
        }
        let known = ttls.get_mut(index)?;
        if *known.get_or_insert(ttl_s) != ttl_s {
            return None;
        }
    }
    Some(ttls.into_iter().map(Option::unwrap_or_default).collect())
}

/// The different TTLs, ascending; at most 256, with the least among them.
fn palette(by_class: &[u32]) -> Box<[u32]> {
    let mut values = by_class.to_vec();
    values.sort_unstable();
    values.dedup();
    let step = values.len().div_ceil(256).max(1);
    values.into_iter().step_by(step).collect()
}

fn is_mixed(colours: &[Colour], members: &[u32]) -> bool {
    let mut found = members.iter().filter_map(|&class| colours.get(class as usize));
    let first = found.next();
    found.any(|colour| Some(colour) != first)
}

/// The aligned block of `1 << free_bits` octets around one: its first octet, and the one after it.
fn block(octet: u8, free_bits: u8) -> (u32, u32) {
    let first = u32::from(octet) >> free_bits << free_bits;
    (first, first + (1 << free_bits))
}

/// The interned sets of classes below the nodes of a trie.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct ClassSets {
    /// The members of all sets in a row; those of one set ascend.
    pub(super) members: Box<[u32]>,
    /// By set: where its members end; they start where those of the set before end.
    pub(super) ends: Box<[u32]>,
}

impl ClassSets {
    pub(super) fn new(sets: Sets) -> ClassSets {
        let (members, ends) = sets.into_parts();
        ClassSets { members: members.into(), ends: ends.into() }
    }

    /// The first member of a set.
    pub(super) fn first(&self, set: u32) -> ClassId {
        let start =
            (set as usize).checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&end| end);
        self.members.get(start as usize).map_or(UNKNOWN, |&class| ClassId(class))
    }

    /// All sets in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, &end)| self.members.get(start as usize..end as usize).unwrap_or(&[]))
    }
}
