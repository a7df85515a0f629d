//! Decisions folded over a map: which parts of the trie agree, and look-ups that use it.
//!
//! Whether the classes of a set agree is found when a look-up first asks, and kept: it follows from the
//! decisions alone, so whoever asks at the same time finds the same. Thousands of folds can be made in the
//! time that it would take to judge all sets for a few. So it is with what is found of IPv4 addresses by their first
//! two octets, where two thirds of all look-ups end.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::barrier::{BARRIER_COUNT, SPECIAL_COUNT};
use super::firsts::{First, Firsts};
use super::nodes::{Node, STRIDE, Target};
use super::trie::Top;
use super::{Decided, LocationMap};
use crate::geo::embedded::EMBEDDING_BLOCK_COUNT;
use crate::ids::Family;

/// The decisions of one (service, family, health generation), folded over a map.
#[derive(Debug)]
pub struct Fold {
    /// By class: what it counts as. Neighbours of equal colour merge. Colours below [`BARRIERS`] are
    /// decisions; a barrier's colour is that and the number of its class.
    colours: Box<[u16]>,
    sets: States,
    /// What has been found of IPv4 addresses by their first two octets.
    firsts: Firsts,
    /// The decisions of the embedding blocks.
    embedding: [u16; EMBEDDING_BLOCK_COUNT],
    ttls: Ttls,
}

/// What has been found of sets.
#[derive(Debug)]
struct States {
    /// Two bits for each set: its state up to [`LEVEL_ONE`].
    words: Box<[AtomicU64]>,
    /// The states of sets of one colour by themselves, where there are more than two levels; else empty.
    wide: Box<[AtomicU8]>,
}

/// The state of a set of which nothing has been found.
const UNKNOWN: u8 = 0;

/// Its classes have several colours.
const MIXED: u8 = 1;

/// They have one colour; and the level of the least TTL is added.
const ONE_COLOUR: u8 = 2;

/// The greatest state that two bits can tell.
const LEVEL_ONE: u8 = ONE_COLOUR + 1;

/// The TTLs of a fold. They go by levels: the greater the level, the less the TTL.
#[derive(Debug)]
struct Ttls {
    /// By class; empty where each decision has one TTL.
    levels: Box<[u8]>,
    /// In seconds: two for each decision. With `wide`: by level alone.
    values_s: Box<[u32]>,
    wide: bool,
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

/// What holds at an address, in the fold's own numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shade {
    /// Of everything inside the scope.
    pub(super) colour: u16,
    /// The length of the widest such prefix.
    pub(super) scope: u8,
    /// The greatest inside it.
    pub(super) level: u8,
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

impl Fold {
    /// A decision's number is below this; others count as 0.
    pub const DECISIONS_MAX: u16 = BARRIERS;

    /// Folds decisions by class over a map.
    pub(super) fn new(map: &LocationMap, decided: &[Decided]) -> Fold {
        let missing = Decided { decision: 0, ttl_s: 0 };
        let of = |class: u32| decided.get(class as usize).copied().map_or(missing, numbered);
        let classes = 0..map.class_count() as u32;
        let colour = |class: u32| match class {
            barrier if barrier < BARRIER_COUNT => BARRIERS + barrier as u16,
            class => of(class).decision,
        };
        // Special-purpose classes have no decision of their own; embedding blocks have.
        let scale = Scale::new(classes.clone().skip(SPECIAL_COUNT as usize).map(of));
        let levels = match scale.is_flat {
            true => Box::default(),
            false => classes.clone().map(|class| scale.level(of(class))).collect(),
        };
        Fold {
            colours: classes.map(colour).collect(),
            sets: States::new(map.trie.sets, scale.wide),
            firsts: Firsts::new(&map.firsts),
            embedding: std::array::from_fn(|block| of(SPECIAL_COUNT + block as u32).decision),
            ttls: scale.ttls(levels),
        }
    }

    /// Folds decisions by the order of an `Order` lens without a tie: each holds up to the order at which the next one
    /// begins. `unknown` is for places that are not known.
    pub(super) fn by_order(
        map: &LocationMap,
        lens: usize,
        unknown: Decided,
        runs: impl Iterator<Item = (Decided, usize)> + Clone,
    ) -> Fold {
        let runs = || runs.clone().map(|(decided, end)| (numbered(decided), end));
        let unknown = numbered(unknown);
        let scale = Scale::new(runs().map(|(decided, _)| decided).chain([unknown]));
        let sets = States::new(map.trie.sets, scale.wide);
        let lenses = map.spec.lenses.len().max(1);
        let values = || map.classes.values.iter().skip(lens).step_by(lenses);
        // By the values of the lens: at first of the unknown, then of all orders.
        let orders = map.classes.orders.alike.len();
        let mut colours: Vec<u16> = Vec::with_capacity(orders + 1);
        colours.push(unknown.decision);
        runs().for_each(|(decided, end)| colours.resize(end + 1, decided.decision));
        let colour = |value: &u32| colours.get(*value as usize).copied().unwrap_or(unknown.decision);
        let mut by_class: Vec<u16> = Vec::with_capacity(map.class_count());
        by_class.extend((0..BARRIER_COUNT as u16).map(|class| BARRIERS + class));
        by_class.extend(values().skip(BARRIER_COUNT as usize).map(colour));
        let mut levels: Box<[u8]> = Box::default();
        if !scale.is_flat {
            let mut of_values: Vec<u8> = Vec::with_capacity(orders + 1);
            of_values.push(scale.level(unknown));
            runs().for_each(|(decided, end)| of_values.resize(end + 1, scale.level(decided)));
            levels = values().map(|value| of_values.get(*value as usize).copied().unwrap_or(0)).collect();
        }
        let embedding = [unknown.decision; EMBEDDING_BLOCK_COUNT];
        let firsts = Firsts::new(&map.firsts);
        Fold { colours: by_class.into(), sets, firsts, embedding, ttls: scale.ttls(levels) }
    }

    /// Finds out ahead what `before`, a fold of the same map, has been asked: so much and no more, for it is what the next
    /// look-ups will ask. Returns how many sets that were.
    pub fn learn(&self, map: &LocationMap, places: &PlacesOfSets, before: &Fold) -> usize {
        let mut sets = 0;
        for (index, (own, of_before)) in (0u32..).zip(self.sets.words.iter().zip(&before.sets.words)) {
            // The lower of the two bits of each set of which that fold knows and this one does not.
            let mut asked = known(of_before) & !known(own);
            while asked != 0 {
                let set = index * SETS_IN_WORD + asked.trailing_zeros() / 2;
                asked &= asked - 1;
                if let Some(place) = places.0.get(set as usize).filter(|place| **place != NO_PLACE) {
                    self.state(map, *place, set);
                    sets += 1;
                }
            }
        }
        for octets in 0..=u16::MAX {
            if before.firsts.get(octets) != First::Unknown && self.firsts.get(octets) == First::Unknown {
                self.search_v4(map, u64::from(octets) << 48);
            }
        }
        sets
    }

    /// The memory of the tables, in octets.
    pub fn memory_octets(&self) -> usize {
        let ttls = self.ttls.levels.len() + self.ttls.values_s.len() * 4;
        let sets = self.sets.words.len() * 8 + self.sets.wide.len();
        self.colours.len() * 2 + sets + self.firsts.memory_octets() + ttls
    }

    /// An embedding block by itself, whatever surrounds it.
    pub(super) fn of_embedding(&self, block: usize) -> Found {
        self.of_barrier(SPECIAL_COUNT + block as u32, 0)
    }

    /// The widest prefix around an address in which all classes have its colour. `bits` are left-aligned.
    #[inline(always)]
    pub(super) fn find(&self, map: &LocationMap, family: Family, bits: u128) -> Found {
        let high = (bits >> 64) as u64;
        let shade = match family {
            Family::V4 => match self.firsts.get((high >> 48) as u16) {
                First::Found(found) => found,
                First::Mixed => self.find_below(map, high),
                First::Unknown => self.search_v4(map, high),
            },
            Family::V6 => self.search(map, Family::V6, bits),
        };
        self.found(shade)
    }

    /// What an IPv4 address gets, its TTL and its scope; `None` in special-purpose blocks, and where TTLs are many.
    #[inline(always)]
    pub(super) fn find_quickly(&self, map: &LocationMap, high: u64) -> Option<(u16, u32, u8)> {
        if self.ttls.wide {
            return None;
        }
        let (colour, level, scope) = match self.firsts.get((high >> 48) as u16) {
            First::Found(Shade { colour, level, scope }) => (u32::from(colour), u32::from(level), scope),
            first => {
                let Shade { colour, level, scope } = match first {
                    First::Mixed => self.find_below(map, high),
                    _ => self.search_v4(map, high),
                };
                if colour >= BARRIERS {
                    return None;
                }
                (u32::from(colour), u32::from(level), scope)
            }
        };
        let ttl_s = *self.ttls.values_s.get((colour * 2 + level) as usize)?;
        Some((colour as u16, ttl_s, scope))
    }

    /// [`Fold::search`] of an IPv4 address whose first two octets lead to a mixed node. What has not been judged yet
    /// is left to that: so nothing of this has to be remembered over a call, and it stays in few registers.
    #[inline(never)]
    fn find_below(&self, map: &LocationMap, high: u64) -> Shade {
        let Some(mut node) = self.node_after_two_octets(map, (high >> 48) as u16) else {
            return self.search_v4(map, high);
        };
        let (mut rest, mut depth) = (high << 16, 16);
        let (half, run, colour) = loop {
            let half = (rest >> 60) as u32;
            let run = node.run_of(half);
            match self.glance(map, node.target(run)) {
                Some(Look::Colour(colour)) => break (half, run, colour),
                // Children stand before their parents, so this ends.
                Some(Look::Mixed(child)) => (node, rest, depth) = (child, rest << STRIDE, depth + STRIDE),
                None => return self.search_v4(map, high),
            }
        };
        let mut growth = node.growth(half, run);
        let free_bits = loop {
            let Some((next, doubled)) = growth.next() else { break STRIDE };
            match self.glance(map, node.target(next)) {
                Some(Look::Colour(own)) if own == colour => {}
                Some(_) => break doubled,
                None => return self.search_v4(map, high),
            }
        };
        let scope = (depth + STRIDE - free_bits) as u8;
        if self.ttls.levels.is_empty() {
            return Shade { colour, scope, level: 0 };
        }
        Shade { colour, scope, level: self.greatest_level(map, node, half, free_bits) }
    }

    /// What is below a target, if that is known.
    #[inline(always)]
    fn glance<'m>(&self, map: &'m LocationMap, target: Target) -> Option<Look<'m>> {
        let place = match target {
            Target::Class(class) => return Some(Look::Colour(self.colour_of(class as usize))),
            Target::Node(place) => place,
        };
        let node = map.trie.node(place);
        match self.sets.get(node.set()) {
            UNKNOWN => None,
            state => Some(self.below(map, node, state)),
        }
    }

    /// What is below a node whose set has this state.
    #[inline(always)]
    fn below<'m>(&self, map: &'m LocationMap, node: Node<'m>, state: u8) -> Look<'m> {
        match state {
            MIXED => Look::Mixed(node),
            // All classes below have one colour: any will do.
            _ => Look::Colour(self.colour_of(map.trie.first_class(node))),
        }
    }

    /// Keeps what it finds.
    #[inline(never)]
    fn search_v4(&self, map: &LocationMap, high: u64) -> Shade {
        let found = self.search(map, Family::V4, u128::from(high) << 64);
        self.firsts.put((high >> 48) as u16, found);
        found
    }

    #[inline(never)]
    fn search(&self, map: &LocationMap, family: Family, bits: u128) -> Shade {
        match self.start(map, family, (bits >> 112) as u16) {
            Ok(start) => self.descend(map, bits, start),
            Err(found) => found,
        }
    }

    /// From a mixed node at a depth down to one colour.
    #[inline]
    fn descend(&self, map: &LocationMap, bits: u128, (mut node, mut depth): (Node<'_>, u32)) -> Shade {
        let mut rest = ((bits >> 64) as u64) << depth;
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
                return Shade { colour: 0, scope: 128, level: 0 };
            }
        }
    }

    /// The node that is known to be there.
    #[inline]
    fn node_after_two_octets<'m>(&self, map: &'m LocationMap, octets: u16) -> Option<Node<'m>> {
        match map.trie.after_two_octets(Family::V4, octets)?.target() {
            Target::Node(place) => Some(map.trie.node(place)),
            Target::Class(_) => None,
        }
    }

    /// The node and depth to start from, or what is found if the whole family has one colour. What is mixed
    /// below some bits is mixed above them.
    #[inline(always)]
    fn start<'m>(&self, map: &'m LocationMap, family: Family, octets: u16) -> Result<(Node<'m>, u32), Shade> {
        let trie = &map.trie;
        if let Some(top) = trie.after_two_octets(family, octets)
            && let Some(node) = self.mixed_top(map, top)
        {
            return Ok((node, 16));
        }
        if let Some(node) = self.mixed_top(map, trie.after_octet(family, (octets >> 8) as u8)) {
            return Ok((node, 8));
        }
        self.start_at_root(map, family)
    }

    #[cold]
    fn start_at_root<'m>(&self, map: &'m LocationMap, family: Family) -> Result<(Node<'m>, u32), Shade> {
        let root = map.trie.root(family);
        match self.look(map, root) {
            Look::Mixed(node) => Ok((node, 0)),
            Look::Colour(colour) => Err(Shade { colour, scope: 0, level: self.level(map, root) }),
        }
    }

    /// The node after some octets, if its classes disagree.
    #[inline(always)]
    fn mixed_top<'m>(&self, map: &'m LocationMap, top: Top) -> Option<Node<'m>> {
        let Target::Node(place) = top.target() else { return None };
        (self.state(map, place, top.set()) == MIXED).then(|| map.trie.node(place))
    }

    /// Widens a find over the neighbouring runs of its colour, to an aligned block of half-octets. No more of them
    /// are looked at than a block takes in that is too large.
    #[inline(always)]
    fn widen(&self, map: &LocationMap, position: Position<'_>) -> Shade {
        let Position { node, run, half, depth, colour } = position;
        let mut growth = node.growth(half, run);
        let free_bits = loop {
            let Some((next, doubled)) = growth.next() else { break STRIDE };
            if self.colour_below(map, node.target(next)) != Some(colour) {
                break doubled;
            }
        };
        let scope = (depth + STRIDE - free_bits) as u8;
        let level =
            if self.ttls.levels.is_empty() { 0 } else { self.greatest_level(map, node, half, free_bits) };
        Shade { colour, scope, level }
    }

    /// The greatest level in the aligned block of so many free bits around a half-octet.
    fn greatest_level(&self, map: &LocationMap, node: Node<'_>, half: u32, free_bits: u32) -> u8 {
        let first = half >> free_bits << free_bits;
        let runs = node.run_of(first)..=node.run_of(first + (1 << free_bits) - 1);
        runs.map(|run| self.level(map, node.target(run))).max().unwrap_or(0)
    }

    /// A colour with the TTL of its decision at a level.
    #[inline(always)]
    fn found(&self, Shade { colour, scope, level }: Shade) -> Found {
        match colour.checked_sub(BARRIERS) {
            None => {
                let ttl_s = self.ttls.value_s(colour, level);
                Found { held: Held::Decision(colour), scope, ttl_s }
            }
            Some(class) => self.of_barrier(u32::from(class), scope),
        }
    }

    #[cold]
    fn of_barrier(&self, class: u32, scope: u8) -> Found {
        let decision = class.checked_sub(SPECIAL_COUNT).and_then(|block| self.embedding.get(block as usize));
        let Some(&decision) = decision else { return Found { held: Held::Special, scope, ttl_s: 0 } };
        let ttl_s = self.ttls.value_s(decision, self.ttls.level(class));
        Found { held: Held::Decision(decision), scope, ttl_s }
    }

    /// What is below a target.
    #[inline(always)]
    fn look<'m>(&self, map: &'m LocationMap, target: Target) -> Look<'m> {
        match target {
            Target::Class(class) => Look::Colour(self.colour_of(class as usize)),
            Target::Node(place) => {
                let node = map.trie.node(place);
                self.below(map, node, self.state(map, place, node.set()))
            }
        }
    }

    /// The colour of all below a target, if they have one.
    #[inline(always)]
    fn colour_below(&self, map: &LocationMap, target: Target) -> Option<u16> {
        match self.look(map, target) {
            Look::Colour(colour) => Some(colour),
            Look::Mixed(_) => None,
        }
    }

    #[inline]
    fn colour_of(&self, class: usize) -> u16 {
        self.colours.get(class).copied().unwrap_or(0)
    }

    /// The state of the set of a node, which is not [`UNKNOWN`].
    #[inline(always)]
    fn state(&self, map: &LocationMap, place: u32, set: u32) -> u8 {
        match self.sets.get(set) {
            UNKNOWN => self.judge(map, place).min(LEVEL_ONE),
            state => state,
        }
    }

    /// The same, with every level that there is.
    fn exact_state(&self, map: &LocationMap, place: u32) -> u8 {
        let set = map.trie.node(place).set();
        match self.sets.get_exact(set) {
            UNKNOWN => self.judge(map, place),
            state => state,
        }
    }

    /// Finds out about the set of a node, and keeps it.
    #[cold]
    #[inline(never)]
    fn judge(&self, map: &LocationMap, place: u32) -> u8 {
        let node = map.trie.node(place);
        let any_colour = |target| match target {
            Target::Class(class) => self.colour_of(class as usize),
            Target::Node(place) => self.colour_of(map.trie.first_class(map.trie.node(place))),
        };
        let mut colours = node.targets().map(any_colour);
        let first = colours.next();
        let mut state = ONE_COLOUR;
        if colours.all(|colour| Some(colour) == first) {
            for target in node.targets() {
                let own = match target {
                    Target::Class(class) => ONE_COLOUR + self.ttls.level(class),
                    // Children stand before their parents, so this ends; no trie is deeper than 32 nodes.
                    Target::Node(place) => self.exact_state(map, place),
                };
                if own == MIXED {
                    state = MIXED;
                    break;
                }
                state = state.max(own);
            }
        } else {
            state = MIXED;
        }
        self.sets.put(node.set(), state);
        state
    }

    /// The greatest level below a target of one colour.
    fn level(&self, map: &LocationMap, target: Target) -> u8 {
        match target {
            Target::Class(class) => self.ttls.level(class),
            Target::Node(place) => self.exact_state(map, place).saturating_sub(ONE_COLOUR),
        }
    }
}

impl States {
    fn new(sets: usize, wide: bool) -> States {
        let words = sets.div_ceil(SETS_IN_WORD as usize);
        let wide = if wide { sets } else { 0 };
        // Zeros as the allocator has them: of a fold that nobody asks these are no memory yet.
        States {
            words: vec![0; words].into_iter().map(AtomicU64::new).collect(),
            wide: vec![0; wide].into_iter().map(AtomicU8::new).collect(),
        }
    }

    /// The state of a set, or [`LEVEL_ONE`] for a greater one. Of a set that has not been put it is [`UNKNOWN`].
    #[inline(always)]
    fn get(&self, set: u32) -> u8 {
        // Only itself matters: there is nothing else that it would have to be seen with.
        let word = self.words.get((set / SETS_IN_WORD) as usize);
        word.map_or(MIXED, |word| (word.load(Ordering::Relaxed) >> (set % SETS_IN_WORD * 2)) as u8 & 3)
    }

    fn get_exact(&self, set: u32) -> u8 {
        match (self.get(set), self.wide.get(set as usize)) {
            // Another may have put the one and not yet the other: then it is found out again.
            (ONE_COLOUR.., Some(wide)) => wide.load(Ordering::Relaxed),
            (state, _) => state,
        }
    }

    /// Whoever puts something there puts the same.
    fn put(&self, set: u32, state: u8) {
        if let Some(wide) = self.wide.get(set as usize) {
            wide.store(state, Ordering::Relaxed);
        }
        if let Some(word) = self.words.get((set / SETS_IN_WORD) as usize) {
            let state = u64::from(state.min(LEVEL_ONE));
            word.fetch_or(state << (set % SETS_IN_WORD * 2), Ordering::Relaxed);
        }
    }
}

/// Of two bits for each set the lower: whether something has been found of it.
fn known(word: &AtomicU64) -> u64 {
    const LOWER: u64 = 0x5555_5555_5555_5555;
    let word = word.load(Ordering::Relaxed);
    (word | word >> 1) & LOWER
}

/// By set: the place of a node whose classes it has.
pub struct PlacesOfSets(Box<[u32]>);

/// Of a set that no node has.
const NO_PLACE: u32 = u32::MAX;

impl PlacesOfSets {
    /// Looks through all nodes.
    pub(super) fn new(map: &LocationMap) -> PlacesOfSets {
        let mut places = vec![NO_PLACE; map.trie.sets];
        let mut place = 0;
        while let Some(length) = map.trie.nodes.whole(place) {
            if let Some(known) = places.get_mut(map.trie.node(place).set() as usize) {
                *known = place;
            }
            place += length as u32;
        }
        PlacesOfSets(places.into())
    }
}

/// Sets whose states one word holds.
const SETS_IN_WORD: u32 = u64::BITS / 2;

/// The levels that eight bits of [`States`] can tell.
const LEVELS_MAX: usize = (u8::MAX - ONE_COLOUR) as usize + 1;

/// A decision with a number that a fold can hold.
fn numbered(decided: Decided) -> Decided {
    if decided.decision < BARRIERS { decided } else { Decided { decision: 0, ..decided } }
}

/// The TTLs of all decisions of a fold.
struct Scale {
    /// As in [`Ttls`].
    values_s: Vec<u32>,
    wide: bool,
    /// Whether all levels are 0.
    is_flat: bool,
}

impl Scale {
    /// Of all decisions that any place has.
    fn new(of_places: impl Iterator<Item = Decided> + Clone) -> Scale {
        if let Some(pairs) = pairs(of_places.clone()) {
            let values_s: Vec<u32> = pairs.into_iter().flatten().collect();
            let mut scale = Scale { values_s, wide: false, is_flat: false };
            scale.is_flat = of_places.clone().all(|decided| scale.level(decided) == 0);
            return scale;
        }
        let mut values_s: Vec<u32> = of_places.map(|decided| decided.ttl_s).collect();
        values_s.sort_unstable();
        values_s.dedup();
        // Rounds down where there are more: sound, only less long.
        let step = values_s.len().div_ceil(LEVELS_MAX).max(1);
        let values_s: Vec<u32> = values_s.into_iter().step_by(step).rev().collect();
        Scale { values_s, wide: true, is_flat: false }
    }

    fn level(&self, decided: Decided) -> u8 {
        if self.wide {
            return self.values_s.partition_point(|value| *value > decided.ttl_s) as u8;
        }
        let most = self.values_s.get(usize::from(decided.decision) * 2);
        u8::from(most.is_some_and(|most| decided.ttl_s < *most))
    }

    fn ttls(self, levels: Box<[u8]>) -> Ttls {
        Ttls { levels, values_s: self.values_s.into(), wide: self.wide }
    }
}

impl Ttls {
    #[inline]
    fn level(&self, class: u32) -> u8 {
        self.levels.get(class as usize).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn value_s(&self, decision: u16, level: u8) -> u32 {
        if self.wide {
            return self.wide_value_s(level);
        }
        self.values_s.get(usize::from(decision) * 2 + usize::from(level)).copied().unwrap_or(0)
    }

    #[cold]
    fn wide_value_s(&self, level: u8) -> u32 {
        self.values_s.get(usize::from(level)).copied().unwrap_or(0)
    }
}

/// The greatest and the least TTL of each decision, if none has more than two.
fn pairs(by_class: impl Iterator<Item = Decided>) -> Option<Vec<[u32; 2]>> {
    let mut pairs: Vec<Option<[u32; 2]>> = Vec::new();
    for Decided { decision, ttl_s } in by_class {
        let index = usize::from(decision);
        if pairs.len() <= index {
            pairs.resize(index + 1, None);
        }
        match pairs.get_mut(index)? {
            none @ None => *none = Some([ttl_s; 2]),
            Some([most, least]) if ttl_s == *most || ttl_s == *least => {}
            Some([most, least]) if most == least => {
                (*most, *least) = ((*most).max(ttl_s), (*least).min(ttl_s))
            }
            Some(_) => return None,
        }
    }
    Some(pairs.into_iter().map(Option::unwrap_or_default).collect())
}
