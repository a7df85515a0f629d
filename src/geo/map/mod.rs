//! From an address to its class, and from a class to its place: the compiled location map.
//!
//! Every address belongs to one class: all addresses that look alike through all lenses of the
//! map. A caller decides once for each class and folds the decisions over the map; a look-up then
//! gives a client's decision together with the widest prefix around it that shares the decision.

mod ahead;
mod barrier;
mod build;
mod classes;
mod firsts;
mod flat;
mod floor;
mod fold;
mod nearest;
mod nodes;
mod overlay;
mod sets;
mod slices;
mod trie;

#[cfg(test)]
mod tests;

pub use build::{MapBuilder, MapError};
pub use fold::{Fold, PlacesOfSets};
pub use nearest::{Nearest, NearestRegions, Stand};

use self::barrier::ClassKind;
use self::classes::{Classes, UNKNOWN_VALUE};
use self::firsts::Tables;
use self::fold::Held;
use self::trie::Trie;
use super::embedded::{LookUp, look_up, may_embed};
use super::lens::cell_centre;
use super::{ClientPrefix, Coordinates, Lens, MapSpec};
use crate::ids::{ClassId, Family, RegionId};

/// A compiled location map.
#[derive(PartialEq, Eq, Debug)]
pub struct LocationMap {
    spec: MapSpec,
    classes: Classes,
    trie: Trie,
    /// Counts the tables of its folds.
    firsts: Tables,
}

/// What a caller has decided for a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The number of the decision, below [`Fold::DECISIONS_MAX`]; the caller knows what it stands for.
    pub decision: u16,
    /// The TTL that the inputs of the decision allow, in seconds.
    pub ttl_s: u32,
}

/// The outcome of a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located {
    /// What holds everywhere in the scope.
    pub what: What,
    /// The length of the widest prefix around the client in which `what` holds; may exceed the
    /// client's own length.
    pub scope: u8,
    /// The smallest TTL of the classes inside the scope, in seconds; 0 with [`What::Special`].
    pub ttl_s: u32,
}

/// What a look-up finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A decision by number.
    Decision(u16),
    /// A special-purpose block: decide by the resolver's address instead, keep the scope.
    Special,
}

/// The class of a client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClassOf {
    /// A class of places.
    Class(ClassId),
    /// A special-purpose block; `name` is the registry's.
    Special {
        /// The class that stands for the block (its place is the unknown one).
        class: ClassId,
        /// The block's name in IANA's registry.
        name: &'static str,
    },
}

/// How big a map is: for reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapFigures {
    /// Classes of places, those of the fixed blocks included.
    pub classes: usize,
    /// Different nodes of the trie.
    pub nodes: usize,
    /// Their runs together.
    pub runs: usize,
    /// Different sets of classes below nodes.
    pub sets: usize,
    /// The memory of all tables, in octets.
    pub memory_octets: usize,
}

/// A class seen through the lenses of its map.
#[derive(Clone, Copy)]
pub struct Place<'m> {
    map: &'m LocationMap,
    class: ClassId,
}

impl LocationMap {
    /// What the map was made for.
    pub fn spec(&self) -> &MapSpec {
        &self.spec
    }

    /// How many classes there are; [`ClassId`]s are `0..class_count()`.
    pub fn class_count(&self) -> usize {
        self.classes.count as usize
    }

    /// The class of addresses of which nothing is known.
    pub fn unknown_class(&self) -> ClassId {
        barrier::UNKNOWN
    }

    /// A class as the policies see it. Special-purpose blocks look like the unknown location.
    pub fn place(&self, class: ClassId) -> Place<'_> {
        Place { map: self, class }
    }

    /// The class of a client (of its first address, for a prefix).
    pub fn class_of(&self, prefix: ClientPrefix) -> ClassOf {
        let class = match look_up(prefix) {
            LookUp::Itself => self.trie.class_of(prefix.family(), prefix.bits()),
            LookUp::Inner { prefix, .. } => self.trie.class_of(Family::V4, prefix.bits()),
            LookUp::Nothing { block, .. } => barrier::embedding(block),
        };
        match barrier::kind(class) {
            ClassKind::Special(name) => ClassOf::Special { class, name },
            ClassKind::Embedding | ClassKind::Place => ClassOf::Class(class),
        }
    }

    /// Prepares look-ups for one set of decisions, given by class; missing classes count as
    /// decision 0 with TTL 0. Entries of special-purpose classes are ignored.
    pub fn fold(&self, decided: &[Decided]) -> Fold {
        Fold::new(self, decided)
    }

    /// What [`Fold::learn`] has to know of the map.
    pub fn places_of_sets(&self) -> PlacesOfSets {
        PlacesOfSets::new(self)
    }

    /// The decision for a client and its scope. Allocates nothing. `fold` must come from this map.
    #[inline(always)]
    pub fn locate(&self, fold: &Fold, prefix: &ClientPrefix) -> Located {
        if may_embed(prefix) {
            // Taken apart, so that what is seldom written to memory does not take the other way there too.
            let Located { what, scope, ttl_s } = self.locate_embedded(fold, prefix);
            return Located { what, scope, ttl_s };
        }
        let found = fold.find(self, prefix.family(), prefix.bits());
        Located { what: found.held.into(), scope: found.scope, ttl_s: found.ttl_s }
    }

    /// The number of the decision, the TTL and the scope of an IPv4 network, where [`LocationMap::locate`] has nothing
    /// else to say of it; `None` for other networks too.
    #[inline(always)]
    pub fn locate_quickly(&self, fold: &Fold, prefix: &ClientPrefix) -> Option<(u16, u32, u8)> {
        if prefix.family() == Family::V4 { fold.find_quickly(self, prefix.high()) } else { None }
    }

    #[cold]
    fn locate_embedded(&self, fold: &Fold, prefix: &ClientPrefix) -> Located {
        let (found, scope) = match look_up(*prefix) {
            LookUp::Itself => {
                let found = fold.find(self, prefix.family(), prefix.bits());
                (found, found.scope)
            }
            LookUp::Inner { prefix, scope } => {
                let found = fold.find(self, Family::V4, prefix.bits());
                (found, scope.announce(found.scope))
            }
            LookUp::Nothing { block, scope } => (fold.of_embedding(block), scope),
        };
        Located { what: found.held.into(), scope, ttl_s: found.ttl_s }
    }

    /// How big the map is.
    pub fn figures(&self) -> MapFigures {
        let Classes { values, orders, tied_orders, rule_ends, rules, .. } = &self.classes;
        let orders =
            orders.regions.len() + orders.alike.len() + tied_orders.regions.len() + tied_orders.reaches.len();
        let classes = (values.len() + rule_ends.len()) * 4 + (orders + rules.len()) * 2;
        MapFigures {
            classes: self.class_count(),
            nodes: self.trie.node_count,
            runs: self.trie.run_count,
            sets: self.trie.sets,
            memory_octets: classes + self.trie.memory_octets(),
        }
    }
}

impl From<Held> for What {
    #[inline]
    fn from(held: Held) -> What {
        match held {
            Held::Decision(number) => What::Decision(number),
            Held::Special => What::Special,
        }
    }
}

impl<'m> Place<'m> {
    /// Whether the lens has an answer: coordinates for `Order` and `Cell`; any of ASN, country or
    /// continent for `Rules` (CIDR rules match unknown locations too).
    pub fn is_known(self, lens: usize) -> bool {
        let value = self.value(lens);
        match self.map.spec.lenses.get(lens) {
            Some(Lens::Order { .. } | Lens::Cell) => value != UNKNOWN_VALUE,
            Some(Lens::Rules(_)) => value % 2 == 1,
            None => false,
        }
    }

    /// The regions, nearest first, of an `Order` lens; empty where the location is unknown.
    pub fn order(self, lens: usize) -> &'m [RegionId] {
        match self.map.spec.lenses.get(lens) {
            Some(Lens::Order { tie_permille, .. }) => self.map.classes.order(*tie_permille, self.value(lens)),
            _ => &[],
        }
    }

    /// By place in [`Place::order`]: how many of its regions, counted from the first, are not farther
    /// than the lens's tie allows from the region there. Empty without a tie, and where the location is
    /// unknown.
    pub fn ties(self, lens: usize) -> &'m [u16] {
        match self.map.spec.lenses.get(lens) {
            Some(Lens::Order { tie_permille, .. }) => {
                self.map.classes.reaches(*tie_permille, self.value(lens))
            }
            _ => &[],
        }
    }

    /// The centre of the place's cell of a `Cell` lens; `None` where the location is unknown.
    pub fn cell(self, lens: usize) -> Option<Coordinates> {
        match self.map.spec.lenses.get(lens) {
            Some(Lens::Cell) => self.value(lens).checked_sub(1).and_then(cell_centre),
            _ => None,
        }
    }

    /// The rules of a `Rules` lens that match, most specific first.
    pub fn rules(self, lens: usize) -> &'m [u16] {
        match self.map.spec.lenses.get(lens) {
            Some(Lens::Rules(_)) => self.map.classes.rules(self.value(lens)),
            _ => &[],
        }
    }

    fn value(self, lens: usize) -> u32 {
        self.map.classes.value(self.class, lens, self.map.spec.lenses.len())
    }
}
