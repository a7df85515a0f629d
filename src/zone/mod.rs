//! Zones and what they say of a name (pure).

/// All zones of a snapshot.
pub struct Catalog {}
