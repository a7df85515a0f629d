//! From an address to its class, and from a class to its place: the compiled location map.
//!
//! Every address belongs to one class: all addresses that look alike through all lenses of the
//! map. A caller decides once for each class and folds the decisions over the map; a look-up then
//! gives a client's decision together with the widest prefix around it that shares the decision.

mod build;

pub use build::{MapBuilder, MapError};

use super::{ClientPrefix, Coordinates, MapSpec};
use crate::ids::{ClassId, RegionId};

/// A compiled location map.
pub struct LocationMap {
    spec: MapSpec,
}

/// What a caller has decided for a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The number of the decision; the caller knows what it stands for.
    pub decision: u16,
    /// The TTL that the inputs of the decision allow, in seconds.
    pub ttl_s: u32,
}

/// The decisions of one (service, family, health generation), folded over a map.
#[derive(Debug)]
pub struct Fold {
    #[expect(dead_code)]
    decided: Box<[Decided]>,
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
    /// The class of the client's first address.
    pub class: ClassId,
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
        0
    }

    /// The class of addresses of which nothing is known.
    pub fn unknown_class(&self) -> ClassId {
        ClassId(0)
    }

    /// A class as the policies see it. Special-purpose blocks look like the unknown location.
    pub fn place(&self, class: ClassId) -> Place<'_> {
        Place { map: self, class }
    }

    /// The class of a client (of its first address, for a prefix).
    pub fn class_of(&self, prefix: ClientPrefix) -> ClassOf {
        let _ = prefix;
        ClassOf::Class(ClassId(0))
    }

    /// Prepares look-ups for one set of decisions, given by class; missing classes count as
    /// decision 0 with TTL 0. Entries of special-purpose classes are ignored.
    pub fn fold(&self, decided: &[Decided]) -> Fold {
        Fold { decided: decided.into() }
    }

    /// The decision for a client and its scope. Allocates nothing. `fold` must come from this map.
    pub fn locate(&self, fold: &Fold, prefix: ClientPrefix) -> Located {
        let _ = (fold, prefix);
        Located { what: What::Special, scope: 0, ttl_s: 0, class: ClassId(0) }
    }

    /// The flat versioned form.
    pub fn to_bytes(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Reads [`LocationMap::to_bytes`]. Whatever the input, the outcome is an error or a map whose
    /// look-ups stay in bounds.
    pub fn from_bytes(bytes: &[u8]) -> Result<LocationMap, MapError> {
        let _ = bytes;
        Err(MapError::TooLarge)
    }
}

impl<'m> Place<'m> {
    /// Whether the lens has an answer: coordinates for `Order` and `Cell`; any of ASN, subdivision,
    /// country or continent for `Rules` (CIDR rules match unknown locations too).
    pub fn is_known(self, lens: usize) -> bool {
        let _ = (self.map, self.class, lens);
        false
    }

    /// The regions, nearest first, of an `Order` lens; empty where the location is unknown.
    pub fn order(self, lens: usize) -> &'m [RegionId] {
        let _ = lens;
        &[]
    }

    /// The centre of the place's cell of a `Cell` lens; `None` where the location is unknown.
    pub fn cell(self, lens: usize) -> Option<Coordinates> {
        let _ = lens;
        None
    }

    /// The rules of a `Rules` lens that match, most specific first.
    pub fn rules(self, lens: usize) -> &'m [u16] {
        let _ = lens;
        &[]
    }
}
