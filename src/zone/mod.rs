//! Zones and what they say of a name (pure).
//!
//! Names live in a [`NameTree`]: a hash table of names, keyed by a hash that a label adds to that of the name
//! above it. It is walked from the apex down, so a look-up ends at the first label that does not exist however
//! deep the question is; or asked for a whole name at once ([`Sought`]). Empty non-terminals are nodes like
//! any other, which makes RFC 4592 and RFC 8020 fall out of the walk.

mod builder;
mod catalog;
mod classes;
mod lookup;
mod sought;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub use builder::{OutOfZone, Place, ZoneBuilder};
pub use catalog::{Catalog, ClientClass, Replacement, Validity};
pub use classes::{ClassSpec, ClientClasses};
pub use lookup::{EntryId, Hit, Located, Lookup, Matched, NodeId, Rdata, Rrset, Zone};
pub use sought::Sought;
pub use walk::{Held, Standing};
