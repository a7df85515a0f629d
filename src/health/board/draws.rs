//! Jitter from a seed: the board's own chance, the same for the same seed.

use std::time::Duration;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seedable with any value, good enough to spread load.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    /// A fraction in 0..1.
    pub fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }

    /// `at` moved by at most `width` either way.
    pub fn around(&mut self, at: Duration, width: Duration) -> Duration {
        (at + (width * 2).mul_f64(self.fraction())).saturating_sub(width)
    }
}
