//! How fine a service tells networks apart.

use crate::ids::Family;

/// E6: the longest prefixes that are decided apart, by family. Everything inside one gets one decision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ScopeFloor {
    /// By family index, in bits.
    lengths: [u8; 2],
}

impl ScopeFloor {
    /// Every address may be decided apart.
    pub const NONE: ScopeFloor = ScopeFloor { lengths: [32, 128] };

    /// A floor for one family or both; lengths beyond a family's are none.
    pub fn new(v4: Option<u8>, v6: Option<u8>) -> ScopeFloor {
        ScopeFloor { lengths: [v4.unwrap_or(32).min(32), v6.unwrap_or(128).min(128)] }
    }

    /// The floor of a family, in bits.
    pub fn length(self, family: Family) -> u8 {
        match family {
            Family::V4 => self.lengths[0],
            Family::V6 => self.lengths[1],
        }
    }

    /// Whether a prefix of this length is finer than the floor.
    pub fn is_below(self, family: Family, length: u8) -> bool {
        length > self.length(family)
    }
}
