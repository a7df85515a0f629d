//! Chance for the query path: one draw per packet, from a generator that each worker owns.

use std::hash::{BuildHasher, RandomState};

/// wyrand (Wang Yi): one multiplication per draw. Draws spread load and nothing else; they keep no secret.
#[derive(Clone, Debug)]
pub struct Draws(fastrand::Rng);

impl Draws {
    /// A generator seeded by the operating system's randomness, different for each call.
    pub fn seeded() -> Draws {
        // `RandomState` takes its keys from the system and never gives the same pair twice in a process.
        Draws(fastrand::Rng::with_seed(RandomState::new().hash_one(0x6d65_7269_6469_616e_u64)))
    }

    /// The next draw, uniform over `u64`.
    #[inline]
    pub fn draw(&mut self) -> u64 {
        self.0.u64(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_seeds_differ() {
        assert_ne!(Draws::seeded().draw(), Draws::seeded().draw());
    }
}
