//! Decisions folded over a map: which parts of the trie agree, and look-ups that use it.

use super::barrier::{BARRIER_COUNT, SPECIAL_COUNT};
use super::nodes::{Node, STRIDE, Target};
use super::{Decided, LocationMap};
use crate::geo::embedded::EMBEDDING_BLOCK_COUNT;
use crate::ids::Family;

/// The decisions of one (service, family, health generation), folded over a map.
#[derive(Debug)]
pub struct Fold {
    /// By class: what it counts as. Neighbours of equal colour merge. Colours below [`BARRIERS`] are
    /// decisions; a barrier's colour is that and the number of its class.
    colours: Box<[u16]>,
    /// A bit per set: whether its classes disagree.
    mixed: Box<[u64]>,
    /// The decisions of the embedding blocks.
    embedding: [u16; EMBEDDING_BLOCK_COUNT],
    /// In seconds: by decision, where each decision has one TTL; otherwise by the indexes of `by_place`.
    ttls_s: Box<[u32]>,
    by_place: Option<Box<Indexes>>,
}

/// Places in a row of TTLs that ascend, so that the least index is the least TTL.
#[derive(Debug)]
struct Indexes {
    /// By class.
    classes: Box<[u8]>,
    /// By set: the least of its classes.
    sets: Box<[u8]>,
}

/// The first colour that is no decision.
const BARRIERS: u16 = u16::MAX - BARRIER_COUNT as u16 + 1;

/// What an address and its surroundings have.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// What holds there.
    pub(super) held: Held,
    /// The length of the widest prefix in which all classes have it.
    pub(super) scope: u8,
    /// The least TTL inside the scope, in seconds.
    pub(super) ttl_s: u32,
}

/// What holds at an address.
#[derive(Clone, Copy)]
pub(super) enum Held {
    /// A decision.
    Decision(u16),
    /// That it is in a special-purpose block.
    Special,
}

/// What is below a target.
enum Look<'m> {
    /// Classes of one colour.
    Colour(u16),
    /// A node whose classes disagree.
    Mixed(Node<'m>),
}

/// A run of one colour in a mixed node, on the way to an address.
#[derive(Clone, Copy)]
struct Position<'m> {
    node: Node<'m>,
    /// The number of the run.
    run: u32,
    /// The address's half-octet at this depth.
    half: u32,
    /// The bits above the node.
    depth: u32,
    colour: u16,
}

impl Look<'_> {
    #[inline]
    fn colour(self) -> Option<u16> {
        match self {
            Look::Colour(colour) => Some(colour),
            Look::Mixed(_) => None,
        }
    }
}

impl Fold {
    /// A decision's number is below this; others count as 0.
    pub const DECISIONS_MAX: u16 = BARRIERS;

    /// Folds decisions by class over a map.
    pub(super) fn new(map: &LocationMap, decided: &[Decided]) -> Fold {
        let missing = Decided { decision: 0, ttl_s: 0 };
        let of = |class: u32| {
            let decided = decided.get(class as usize).copied().unwrap_or(missing);
            if decided.decision < BARRIERS { decided } else { Decided { decision: 0, ..decided } }
        };
        let classes = 0..map.class_count() as u32;
        let colour = |class: u32| match class {
            barrier if barrier < BARRIER_COUNT => BARRIERS + barrier as u16,
            class => of(class).decision,
        };
        let colours: Box<[u16]> = classes.clone().map(colour).collect();
        let embedding = std::array::from_fn(|block| of(SPECIAL_COUNT + block as u32).decision);
        let mixed = mixed(map, &colours);
        let by_class: Vec<Decided> = classes.map(of).collect();
        let (ttls_s, by_place) = match by_decision(&by_class) {
            Some(ttls_s) => (ttls_s, None),
            None => {
                let (ttls_s, indexes) = Indexes::new(map, &by_class);
                (ttls_s, Some(Box::new(indexes)))
            }
        };
        Fold { colours, mixed, embedding, ttls_s, by_place }
    }

    /// The memory of the tables, in octets.
    pub fn memory_octets(&self) -> usize {
        let by_place = self.by_place.as_ref().map_or(0, |own| own.classes.len() + own.sets.len());
        self.colours.len() * 2 + self.mixed.len() * 8 + self.ttls_s.len() * 4 + by_place
    }

    /// An embedding block by itself, whatever surrounds it.
    pub(super) fn of_embedding(&self, block: usize) -> Found {
        self.of_barrier(SPECIAL_COUNT + block as u32, 0)
    }

    /// The widest prefix around an address in which all classes have its colour. `bits` are left-aligned.
    #[inline]
    pub(super) fn find(&self, map: &LocationMap, family: Family, bits: u128) -> Found {
        let mut rest = (bits >> 64) as u64;
        let (mut node, mut depth) = match self.start(map, family, (rest >> 48) as u16) {
            Ok(start) => start,
            Err(found) => return found,
        };
        rest <<= depth;
        loop {
            let half = (rest >> 60) as u32;
            let run = node.run_of(half);
            match self.look(map, node.target(run)) {
                Look::Colour(colour) => {
                    return self.widen(map, Position { node, run, half, depth, colour });
                }
                Look::Mixed(child) => (node, depth, rest) = (child, depth + STRIDE, rest << STRIDE),
            }
            if depth == 64 {
                rest = bits as u64;
            } else if depth == 128 {
                // Not reached: no trie is deeper than its family.
                return self.found(0, depth);
            }
        }
    }

    /// The node and depth to start from, or what is found if the whole family has one colour. What is mixed
    /// below some bits is mixed above them.
    #[inline]
    fn start<'m>(&self, map: &'m LocationMap, family: Family, octets: u16) -> Result<(Node<'m>, u32), Found> {
        if let Look::Mixed(node) = self.look(map, map.trie.after_two_octets(family, octets)) {
            return Ok((node, 16));
        }
        if let Look::Mixed(node) = self.look(map, map.trie.after_octet(family, (octets >> 8) as u8)) {
            return Ok((node, 8));
        }
        let root = map.trie.root(family);
        match self.look(map, root) {
            Look::Mixed(node) => Ok((node, 0)),
            Look::Colour(colour) => Err(self.found_by_place(colour, 0, || self.ttl_index(map, root))),
        }
    }

    /// Widens a find over the neighbouring runs of its colour, to an aligned block of half-octets.
    ///
    /// The block can have so many free bits as are below the first in which the half-octet differs from the
    /// nearest one of another colour. Of the two neighbours of what is known to be of the colour, the one that
    /// a smaller block takes in is looked at first: so no more are looked at than must be.
    #[inline]
    fn widen(&self, map: &LocationMap, position: Position<'_>) -> Found {
        let Position { node, run, half, depth, colour } = position;
        let (mut left, mut right) = (run, run);
        let mut around = node.around(half);
        let free_bits = loop {
            // The bits that differ, of which the highest counts. Beyond the node's ends there are more than it
            // has: those of 16, and all.
            let to_right = half ^ around.end();
            let to_left = half ^ around.first().wrapping_sub(1);
            if to_right < to_left {
                if to_right >= 1 << STRIDE && to_left >= 1 << STRIDE {
                    break STRIDE;
                }
                right += 1;
                if self.look(map, node.target(right)).colour() != Some(colour) {
                    break to_right.ilog2();
                }
                around.step_right();
            } else {
                left = left.wrapping_sub(1);
                if self.look(map, node.target(left)).colour() != Some(colour) {
                    break to_left.ilog2();
                }
                around.step_left();
            }
        };
        let scope = depth + STRIDE - free_bits;
        self.found_by_place(colour, scope, || self.least_ttl(map, node, half, free_bits))
    }

    /// The least TTL index in the aligned block of so many free bits around a half-octet.
    fn least_ttl(&self, map: &LocationMap, node: Node<'_>, half: u32, free_bits: u32) -> usize {
        let mut next = half >> free_bits << free_bits;
        let block_end = next + (1 << free_bits);
        let mut least = usize::MAX;
        while next < block_end {
            least = least.min(self.ttl_index(map, node.target(node.run_of(next))));
            next = node.around(next).end();
        }
        least
    }

    /// A colour with its TTL, which `least` finds where it is a question of the place.
    #[inline]
    fn found_by_place(&self, colour: u16, scope: u32, least: impl FnOnce() -> usize) -> Found {
        if self.by_place.is_some() && colour < BARRIERS {
            let ttl_s = self.ttl_s(least());
            return Found { held: Held::Decision(colour), scope: scope as u8, ttl_s };
        }
        self.found(colour, scope)
    }

    /// A colour with the TTL of its decision.
    #[inline]
    fn found(&self, colour: u16, scope: u32) -> Found {
        match colour.checked_sub(BARRIERS) {
            None => {
                let ttl_s = self.ttl_s(usize::from(colour));
                Found { held: Held::Decision(colour), scope: scope as u8, ttl_s }
            }
            Some(class) => self.of_barrier(u32::from(class), scope as u8),
        }
    }

    #[cold]
    fn of_barrier(&self, class: u32, scope: u8) -> Found {
        let decision = class.checked_sub(SPECIAL_COUNT).and_then(|block| self.embedding.get(block as usize));
        let Some(&decision) = decision else { return Found { held: Held::Special, scope, ttl_s: 0 } };
        let ttl_s = match &self.by_place {
            None => self.ttl_s(usize::from(decision)),
            Some(own) => self.ttl_s(index(&own.classes, class as usize)),
        };
        Found { held: Held::Decision(decision), scope, ttl_s }
    }

    #[inline]
    fn ttl_s(&self, at: usize) -> u32 {
        self.ttls_s.get(at).copied().unwrap_or(0)
    }

    /// What is below a target.
    #[inline]
    fn look<'m>(&self, map: &'m LocationMap, target: Target) -> Look<'m> {
        match target {
            Target::Class(class) => Look::Colour(self.colour_of(class as usize)),
            Target::Node(place) => {
                let node = map.trie.node(place);
                if self.is_mixed(node.set) {
                    Look::Mixed(node)
                } else {
                    // All classes below have one colour: any will do.
                    Look::Colour(self.colour_of(map.trie.first_class(node)))
                }
            }
        }
    }

    #[inline]
    fn colour_of(&self, class: usize) -> u16 {
        self.colours.get(class).copied().unwrap_or(0)
    }

    #[inline]
    fn is_mixed(&self, set: u32) -> bool {
        self.mixed.get(set as usize / 64).is_some_and(|word| word >> (set % 64) & 1 == 1)
    }

    /// The place of the TTL of a target of one colour; 0 where TTLs go by decision.
    fn ttl_index(&self, map: &LocationMap, target: Target) -> usize {
        let Some(own) = &self.by_place else { return 0 };
        match target {
            Target::Class(class) => index(&own.classes, class as usize),
            Target::Node(place) => index(&own.sets, map.trie.node(place).set as usize),
        }
    }
}

fn index(indexes: &[u8], at: usize) -> usize {
    indexes.get(at).map_or(0, |index| usize::from(*index))
}

/// In place of the colour of a set whose classes disagree.
const MIXED: u32 = u32::MAX;

/// A bit per set: whether its classes disagree.
fn mixed(map: &LocationMap, colours: &[u16]) -> Box<[u64]> {
    let mut sets: Vec<u32> = Vec::with_capacity(map.trie.sets.len());
    for place in &map.trie.sets {
        let of = |target| match target {
            Target::Class(class) => colours.get(class as usize).map_or(0, |colour| u32::from(*colour)),
            Target::Node(child) => sets.get(map.trie.node(child).set as usize).copied().unwrap_or(MIXED),
        };
        let mut all = map.trie.node(*place).targets().map(of);
        let first = all.next().unwrap_or(MIXED);
        sets.push(if first != MIXED && all.all(|colour| colour == first) { first } else { MIXED });
    }
    let word = |sets: &[u32]| sets.iter().rev().fold(0, |word, set| word << 1 | u64::from(*set == MIXED));
    sets.chunks(64).map(word).collect()
}

impl Indexes {
    /// The row of TTLs, and the indexes into it.
    fn new(map: &LocationMap, by_class: &[Decided]) -> (Box<[u32]>, Indexes) {
        let values = palette(by_class);
        // Rounds down where there are more values than the palette holds: sound, only less long.
        let index = |ttl_s: u32| values.partition_point(|&value| value <= ttl_s).saturating_sub(1) as u8;
        let classes: Box<[u8]> = by_class.iter().map(|decided| index(decided.ttl_s)).collect();
        let mut sets: Vec<u8> = Vec::with_capacity(map.trie.sets.len());
        for place in &map.trie.sets {
            let least = |target| match target {
                Target::Class(class) => classes.get(class as usize).copied(),
                Target::Node(child) => sets.get(map.trie.node(child).set as usize).copied(),
            };
            sets.push(map.trie.node(*place).targets().filter_map(least).min().unwrap_or(0));
        }
        (values, Indexes { classes, sets: sets.into() })
    }
}

/// The TTLs by decision, if each decision has one TTL only.
fn by_decision(by_class: &[Decided]) -> Option<Box<[u32]>> {
    let mut ttls: Vec<Option<u32>> = Vec::new();
    // Special-purpose classes have no decision of their own; embedding blocks have.
    for decided in by_class.iter().skip(SPECIAL_COUNT as usize) {
        let index = usize::from(decided.decision);
        if ttls.len() <= index {
            ttls.resize(index + 1, None);
        }
        let known = ttls.get_mut(index)?;
        if *known.get_or_insert(decided.ttl_s) != decided.ttl_s {
            return None;
        }
    }
    Some(ttls.into_iter().map(Option::unwrap_or_default).collect())
}

/// The different TTLs, ascending; at most 256, with the least among them.
fn palette(by_class: &[Decided]) -> Box<[u32]> {
    let mut values: Vec<u32> = by_class.iter().map(|decided| decided.ttl_s).collect();
    values.sort_unstable();
    values.dedup();
    let step = values.len().div_ceil(256).max(1);
    values.into_iter().step_by(step).collect()
}
