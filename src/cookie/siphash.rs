//! SipHash-2-4 (Aumasson, Bernstein 2012) over a message of whole words and a last one that is not: cookies have two
//! lengths, and a hasher for any length takes twice as long.

/// A key made ready.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SipHash24 {
    state: [u64; 4],
}

impl SipHash24 {
    /// The state that a key begins with.
    pub fn new(key: [u8; 16]) -> SipHash24 {
        let key = u128::from_le_bytes(key);
        let (k0, k1) = (key as u64, (key >> 64) as u64);
        // The words that the paper's section 2 begins with, "somepseudorandomlygeneratedbytes".
        let words = [
            u64::from_be_bytes(*b"somepseu"),
            u64::from_be_bytes(*b"dorandom"),
            u64::from_be_bytes(*b"lygenera"),
            u64::from_be_bytes(*b"tedbytes"),
        ];
        let [a, b, c, d] = words;
        SipHash24 { state: [a ^ k0, b ^ k1, c ^ k0, d ^ k1] }
    }

    /// The hash of `words`, then `more`, then what `last` holds in its low octets: `octets` of all these together.
    #[inline]
    pub fn hash(&self, words: [u64; 2], more: &[u64], last: u64, octets: u8) -> u64 {
        let mut state = self.state;
        for word in words.iter().chain(more) {
            compress(&mut state, *word);
        }
        compress(&mut state, last | u64::from(octets) << 56);
        state[2] ^= 0xff;
        (0..4).for_each(|_| round(&mut state));
        state.into_iter().fold(0, |hash, word| hash ^ word)
    }
}

#[inline(always)]
fn compress(state: &mut [u64; 4], word: u64) {
    state[3] ^= word;
    round(state);
    round(state);
    state[0] ^= word;
}

#[inline(always)]
fn round(state: &mut [u64; 4]) {
    let [mut a, mut b, mut c, mut d] = *state;
    a = a.wrapping_add(b);
    c = c.wrapping_add(d);
    b = b.rotate_left(13) ^ a;
    d = d.rotate_left(16) ^ c;
    a = a.rotate_left(32);
    c = c.wrapping_add(b);
    a = a.wrapping_add(d);
    b = b.rotate_left(17) ^ c;
    d = d.rotate_left(21) ^ a;
    c = c.rotate_left(32);
    *state = [a, b, c, d];
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn hashes_are_those_of_an_independent_hasher() {
        for seed in 0..200_u64 {
            let spread = |n: u64| (seed * 31 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = (u128::from(spread(0)) << 64 | u128::from(spread(1))).to_le_bytes();
            let check = |more: &[u64], last: u64, octets: usize| {
                let words = [spread(2), spread(3)];
                let message: Vec<u8> =
                    words.iter().chain(more).chain([&last]).flat_map(|word| word.to_le_bytes()).collect();
                let mut hasher = siphasher::sip::SipHasher24::new_with_key(&key);
                hasher.write(message.get(..octets).unwrap_or_default());
                assert_eq!(SipHash24::new(key).hash(words, more, last, octets as u8), hasher.finish());
            };
            check(&[], spread(4) >> 32, 20);
            check(&[spread(5), spread(6)], 0, 32);
        }
    }
}
