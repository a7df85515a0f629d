//! Where clients are, and how wide a prefix shares one decision (pure).
//!
//! `place` says what is known of a network's place; `prefix` what a client looks like to us;
//! `map` is the compiled trie from addresses to classes of places, with exact scopes.

mod embedded;
mod floor;
mod key;
mod lens;
mod map;
mod order;
mod place;
mod prefix;
mod row;
mod special;

pub use embedded::Effective;
pub use floor::ScopeFloor;
pub use key::GeoKey;
pub use lens::{Lens, MapSpec, RegionOrder, biased_distance_km};
pub use map::{
    ClassOf, Decided, Fold, Located, LocationMap, MapBuilder, MapError, MapFigures, Nearest, NearestRegions,
    Place, PlacesOfSets, Stand, What,
};
pub use place::{Continent, Coordinates, CountryCode, Location};
pub use prefix::ClientPrefix;
pub use row::{Row, SaidBy};
pub use special::unlocated_block;
