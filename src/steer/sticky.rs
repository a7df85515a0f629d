//! Sticky choices: weighted rendezvous hashing (R5), in integers only, so that every node, platform
//! and release chooses alike. The algorithm's name is `siphash24-rendezvous-1`; `docs/policies.md`
//! states it with test vectors, and likewise the gates of partial shares, `siphash24-gate-1` (R12).
//! Changing anything here moves users: make a version 2 instead.

use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use crate::geo::{ClientPrefix, Effective};
use crate::ids::Family;

/// The name that opens every hashed seed; its last number is the version.
const ALGORITHM: &[u8] = b"siphash24-rendezvous-1";
/// Likewise of gates (R12).
const GATE_ALGORITHM: &[u8] = b"siphash24-gate-1";

/// The length of the network that is hashed: /24 for IPv4, /56 for IPv6.
const fn network_length(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 56,
    }
}

/// How many bits of a client's prefix a sticky choice depends on: an IPv4 network inside an IPv6 prefix
/// is hashed as such, so that a client behind a translator is one client.
pub fn hashed_length(client: ClientPrefix) -> u8 {
    let effective = Effective::of(client);
    effective.announce(network_length(effective.prefix.family()))
}

/// The configured key of the hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StickyKey(pub [u8; 16]);

impl StickyKey {
    /// The seed of a branch: SipHash-2-4 over algorithm, service, node and branch name, each ended by
    /// a zero octet. The node's name keeps nested sticky nodes with like-named branches independent.
    pub fn seed(self, service: &str, node: &str, branch: &str) -> u64 {
        self.named(&[ALGORITHM, service.as_bytes(), node.as_bytes(), branch.as_bytes()])
    }

    /// The gate of a region (R12): over algorithm, `region`, service and region.
    pub fn region_gate(self, service: &str, region: &str) -> u64 {
        self.named(&[GATE_ALGORITHM, b"region", service.as_bytes(), region.as_bytes()])
    }

    /// The gate of a branch of a node (R12): over algorithm, `branch`, service, node and branch.
    pub fn branch_gate(self, service: &str, node: &str, branch: &str) -> u64 {
        let parts = [service.as_bytes(), node.as_bytes(), branch.as_bytes()];
        self.named(&[GATE_ALGORITHM, b"branch", parts[0], parts[1], parts[2]])
    }

    fn named(self, parts: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        for part in parts {
            hasher.write(part);
            hasher.write(&[0]);
        }
        hasher.finish()
    }
}

/// A client's value at a gate, 0..=999: who is below a share passes, so that a greater share lets in
/// everybody of a smaller one (R12).
pub fn gate_value(gate: u64, client: u64) -> u16 {
    ((u128::from(mixed(gate, client)) * 1000) >> 64) as u16
}

/// What stands for a client: SipHash-2-4, keyed by zero, over the family's number (4 or 6) and the
/// first eight octets of its network; an IPv4 network inside an IPv6 prefix counts as IPv4.
pub fn client_key(prefix: ClientPrefix) -> u64 {
    let prefix = Effective::of(prefix).prefix;
    let cut = prefix.widened(network_length(prefix.family()));
    let mut octets = [0u8; 9];
    octets[0] = match prefix.family() {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    octets[1..].copy_from_slice(&((cut.bits() >> 64) as u64).to_be_bytes());
    let mut hasher = SipHasher24::new();
    hasher.write(&octets);
    hasher.finish()
}

/// The index of the chosen branch among (seed, weight) pairs with weights above zero: the one with
/// the least `-log2(u) / weight`, where `u` in (0, 1] is the hash of seed and client. Ties go to the
/// lower index.
pub fn choose(client: u64, branches: impl Iterator<Item = (u64, u32)>) -> usize {
    let mut best: Option<(usize, u64, u32)> = None;
    for (index, (seed, weight)) in branches.enumerate() {
        let cost = minus_log2(mixed(seed, client));
        let better = best.is_none_or(|(_, best_cost, best_weight)| {
            u128::from(cost) * u128::from(best_weight) < u128::from(best_cost) * u128::from(weight)
        });
        if better {
            best = Some((index, cost, weight));
        }
    }
    best.map_or(0, |best| best.0)
}

/// The hash of a branch's seed and a client: SipHash-2-4 keyed by the two, of nothing.
fn mixed(seed: u64, client: u64) -> u64 {
    SipHasher24::new_with_keys(seed, client).finish()
}

/// `-log2((hash + 1) / 2^64)` with 32 fractional bits, by repeated squaring: no floating point, so no
/// platform differs.
fn minus_log2(hash: u64) -> u64 {
    let value = u128::from(hash) + 1;
    let exponent = 127 - value.leading_zeros();
    // The mantissa as a fixed-point number in [1, 2) with 63 fractional bits.
    let mut mantissa = if exponent >= 63 { value >> (exponent - 63) } else { value << (63 - exponent) };
    let mut log = u64::from(exponent) << 32;
    for bit in (0..32).rev() {
        mantissa = (mantissa * mantissa) >> 63;
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            log |= 1 << bit;
        }
    }
    (64u64 << 32) - log
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn logarithm_agrees_with_floating_point() {
        for hash in [0u64, 1, 2, 3, 1000, u64::MAX / 3, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            let expected = 64.0 - ((hash as f64) + 1.0).log2();
            let found = minus_log2(hash) as f64 / f64::from(2u32).powi(32);
            assert!((expected - found).abs() < 1e-6, "{hash}: {expected} against {found}");
        }
    }

    /// The vectors of docs/policies.md, computed by an independent program from the description there. A change here moves every sticky user: see the headline.
    #[test]
    fn test_vectors() {
        let key = StickyKey(std::array::from_fn(|i| i as u8));
        let found = (
            key.seed("www", "canary", "blue"),
            key.seed("www", "canary", "green"),
            client_key(ClientPrefix::new("192.0.2.77".parse().unwrap(), 32)),
            client_key(ClientPrefix::new("2001:db8:0:1ff::1".parse().unwrap(), 128)),
        );
        assert_eq!(found, (VECTORS[0], VECTORS[1], VECTORS[2], VECTORS[3]));
        let weights = [(VECTORS[0], 70), (VECTORS[1], 30)];
        assert_eq!(choose(VECTORS[2], weights.into_iter()), CHOSEN[0]);
        assert_eq!(choose(VECTORS[3], weights.into_iter()), CHOSEN[1]);
    }
    /// Those of gates, likewise.
    #[test]
    fn r12_gate_vectors() {
        let key = StickyKey(std::array::from_fn(|i| i as u8));
        let gates = [key.region_gate("www", "eu-west"), key.branch_gate("www", "main", "standby")];
        assert_eq!(gates, [8629439580615090398, 8546598804823359585]);
        let values = gates.map(|gate| [gate_value(gate, VECTORS[2]), gate_value(gate, VECTORS[3])]);
        assert_eq!(values, [[17, 622], [661, 128]]);
    }

    const VECTORS: [u64; 4] =
        [17332237802490407979, 7855193016492274987, 4712658358833557717, 2674297604253962830];
    const CHOSEN: [usize; 2] = [1, 0];

    #[test]
    fn r5_losing_one_of_eight_moves_an_eighth_and_nobody_else() {
        let key = StickyKey([7; 16]);
        let branches: Vec<(u64, u32)> = (0..8).map(|i| (key.seed("s", "n", &format!("b{i}")), 1)).collect();
        let (mut moved, mut strays) = (0u32, 0u32);
        let clients = 100_000u32;
        for client in 0..clients {
            let client = client_key(ClientPrefix::new(std::net::Ipv4Addr::from(client << 8).into(), 24));
            let before = choose(client, branches.iter().copied());
            let after = choose(client, branches.iter().copied().skip(1)) + 1;
            moved += u32::from(before != after);
            strays += u32::from(before != 0 && before != after);
        }
        assert_eq!(strays, 0);
        let share = f64::from(moved) / f64::from(clients);
        assert!((0.115..=0.135).contains(&share), "{share}");
    }

    /// docs/decisions/0007-sticky-shares.md: what 50/30/20 to 50/30/10/10 moves, plainly and by seats.
    #[test]
    fn r5_a_share_taken_over_moves_the_minimum() {
        let key = StickyKey([5; 16]);
        let seed = |branch| key.seed("s", "n", branch);
        let before = [(seed("a"), 50), (seed("b"), 30), (seed("c"), 20)];
        let plain = [(seed("a"), 50), (seed("b"), 30), (seed("c"), 10), (seed("d"), 10)];
        let inside = [(key.seed("s", "c-and-d", "c"), 10), (key.seed("s", "c-and-d", "d"), 10)];
        let (mut moved, mut moved_by_seat, clients) = (0u32, 0u32, 200_000u32);
        for client in 0..clients {
            let client = client_key(ClientPrefix::new(std::net::Ipv4Addr::from(client << 8).into(), 24));
            let was = choose(client, before.into_iter());
            moved += u32::from(choose(client, plain.into_iter()) != was);
            moved_by_seat += u32::from(was == 2 && choose(client, inside.into_iter()) == 1);
        }
        let percent = |moved: u32| f64::from(moved) * 100.0 / f64::from(clients);
        assert!((percent(moved) - 17.3).abs() < 0.3, "{}", percent(moved));
        assert!((percent(moved_by_seat) - 10.0).abs() < 0.3, "{}", percent(moved_by_seat));
    }

    #[test]
    fn r4_shares_follow_the_weights() {
        let key = StickyKey([9; 16]);
        let weights = [70u32, 20, 10];
        let branches: Vec<(u64, u32)> =
            weights.iter().enumerate().map(|(i, w)| (key.seed("s", "n", &i.to_string()), *w)).collect();
        let mut hits = [0u32; 3];
        for client in 0..200_000u32 {
            let client = client_key(ClientPrefix::new(std::net::Ipv4Addr::from(client << 8).into(), 24));
            hits[choose(client, branches.iter().copied())] += 1;
        }
        for (hit, weight) in hits.iter().zip(weights) {
            let share = f64::from(*hit) / 2000.0;
            assert!((share - f64::from(weight)).abs() < 0.5, "{share} against {weight}");
        }
    }
}
