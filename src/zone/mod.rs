//! Zones and what they say of a name (pure).
//!
//! What a zone has of a name stands in one block of words, the name included; a hash table of whole names
//! says where. It is walked from the apex down, so that a look-up ends at the first label that does not exist however
//! deep the question is; or asked for a whole name at once ([`Sought`]). Empty non-terminals are nodes like
//! any other, which makes RFC 4592 and RFC 8020 fall out of the walk.

mod ahead;
mod blocks;
mod builder;
mod catalog;
mod classes;
mod lookup;
mod negative;
mod slots;
mod sought;
#[cfg(test)]
mod tests;
mod walk;

pub use ahead::AHEAD_MAX;
pub use builder::{OutOfZone, Place, ZoneBuilder};
pub use catalog::{Catalog, ClientClass, Replacement, Validity};
pub use classes::{ClassSpec, ClientClasses};
pub use lookup::{EntryId, Hit, Located, Lookup, Matched, NodeId, Rdata, Rrset, Zone};
pub use negative::NegativeSoa;
pub use sought::Sought;
pub use walk::{Held, Standing};
