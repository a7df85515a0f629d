//! Chance for the query path: one draw per packet, from a generator that each worker owns.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64 (Steele, Lea, Flood 2014): a few instructions per draw, and every 64-bit value comes up once in
/// a period. Draws spread load and nothing else; they keep no secret.
#[derive(Clone, Debug)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// A generator seeded by the operating system's randomness, different for each call.
    pub fn seeded() -> Draws {
        // `RandomState` takes its keys from the system and never gives the same pair twice in a process.
        Draws { state: RandomState::new().hash_one(0x6d65_7269_6469_616e_u64) }
    }

    /// The next draw, uniform over `u64`.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_published_vector() {
        let mut draws = Draws { state: 1_234_567 };
        let drawn = [draws.draw(), draws.draw(), draws.draw()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn two_seeds_differ() {
        assert_ne!(Draws::seeded().draw(), Draws::seeded().draw());
    }
}
