//! Numbers that look like chance and are the same in every run.

/// SplitMix64.
pub struct Chance(u64);

impl Chance {
    /// A sequence of its own for each seed.
    pub fn seeded(seed: u64) -> Chance {
        Chance(seed)
    }

    /// Uniform over u64.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform below `limit`, but for a bias of 1 in 2^32.
    pub fn below(&mut self, limit: u32) -> u32 {
        ((u64::from(self.next() as u32) * u64::from(limit)) >> 32) as u32
    }
}
