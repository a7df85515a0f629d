//! A decision: the weighted candidates that a tree arrives at for a client, before any draw and
//! without the TTL. Kept in a normal form, so that equal candidates compare equal.

use std::net::IpAddr;

use crate::ids::{CounterId, EndpointId};

use super::few::Few;
use super::sticky;

/// What a tree says to one class of places.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The candidates.
    pub decision: Decision,
    /// The bound that the health of everything consulted puts on the TTL, in seconds (H7).
    pub ttl_bound_s: Option<u32>,
    /// How it came about; not part of the decision.
    pub mode: Mode,
}

/// The candidates, or why there are none.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Decision {
    /// At least one candidate.
    Answer(Mix),
    /// An empty answer.
    NoData,
    /// REFUSED.
    Refused,
}

/// Whether health decided, or one of R9's modes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Mode {
    /// Healthy candidates.
    Normal,
    /// Among them some that are down and that the governor keeps (H11).
    Frozen,
    /// Nothing healthy: a mode of R9 acted.
    AllDown,
}

impl Mode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Mode; 3] = [Mode::Normal, Mode::Frozen, Mode::AllDown];

    /// The label in metrics and reports.
    pub const fn label(self) -> &'static str {
        match self {
            Mode::Normal => "normal",
            Mode::Frozen => "frozen",
            Mode::AllDown => "all-down",
        }
    }
}

/// A distribution over answers.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Mix {
    /// One answer.
    One(Pick),
    /// Drawn by weight: at least two, sorted, without equals, weights without a common factor.
    Drawn(Box<[(u32, Mix)]>),
    /// Chosen by hash of the client's prefix (R5): at least two; (seed, weight, what).
    Sticky(Box<[(u64, u32, Mix)]>),
    /// Clients told apart at a gate (R12).
    Gated {
        /// The gate's seed.
        gate: u64,
        /// Each for the clients whose value is below the first number and not below the one before: at
        /// least two, neighbours differ, the last number is 1000.
        parts: Box<[(u16, Mix)]>,
    },
}

/// One possible answer: some endpoints with their usable addresses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Pick {
    /// The endpoints named, in the hashed order.
    pub endpoints: Few<EndpointId>,
    /// Their usable addresses of the family asked; empty for an alias.
    pub addresses: Few<IpAddr>,
    /// Their counters in this service, in the same order: carried along for the query path.
    pub counters: Few<CounterId>,
}

/// One above the greatest value at a gate.
const GATE_END: u16 = crate::health::Share::PERMILLE_MAX;

/// What a mix without parts would choose; the normal form has none.
static NOTHING: std::sync::LazyLock<Pick> =
    std::sync::LazyLock::new(|| Pick { endpoints: Few::new(), addresses: Few::new(), counters: Few::new() });

impl Mix {
    /// Combines weighted parts into the normal form; `None` without parts. Drawn parts inside drawn
    /// parts are multiplied out, equal parts are added up. Weights of zero count as absent.
    pub fn drawn(parts: Vec<(u32, Mix)>) -> Option<Mix> {
        let mut parts: Vec<(u32, Mix)> = parts.into_iter().filter(|(weight, _)| *weight > 0).collect();
        if parts.len() <= 1 {
            return parts.pop().map(|(_, mix)| mix);
        }
        // Nearly always nothing is nested, and the weights are small: it is done where they stand.
        let total: u64 = parts.iter().map(|(weight, _)| u64::from(*weight)).sum();
        if u32::try_from(total).is_ok() && parts.iter().all(|(_, mix)| !matches!(mix, Mix::Drawn(_))) {
            return Mix::drawn_flat(parts);
        }
        // Common denominator of all nested totals; beyond 2^64 precision is given up, never a panic.
        let denominator = parts.iter().fold(1u128, |all, (_, mix)| lcm_capped(all, mix.total()));
        let mut flat: Vec<(u128, Mix)> = Vec::with_capacity(parts.len());
        for (weight, mix) in parts {
            let scale = u128::from(weight) * (denominator / mix.total()).max(1);
            match mix {
                Mix::Drawn(inner) => {
                    for (inner_weight, inner_mix) in inner {
                        flat.push((scale.saturating_mul(u128::from(inner_weight)), inner_mix));
                    }
                }
                one => flat.push((scale, one)),
            }
        }
        flat.sort_by(|a, b| a.1.cmp_key(&b.1));
        let mut merged: Vec<(u128, Mix)> = Vec::with_capacity(flat.len());
        for (weight, mix) in flat {
            match merged.last_mut() {
                Some(last) if last.1 == mix => last.0 = last.0.saturating_add(weight),
                _ => merged.push((weight, mix)),
            }
        }
        if merged.len() == 1 {
            return merged.pop().map(|(_, mix)| mix);
        }
        Some(Mix::Drawn(reduced(merged)))
    }

    /// [`Mix::drawn`] of several parts that are not nested, whose weights together fit 32 bits.
    fn drawn_flat(mut parts: Vec<(u32, Mix)>) -> Option<Mix> {
        parts.sort_by(|a, b| a.1.cmp_key(&b.1));
        parts.dedup_by(|next, kept| {
            let is_same = next.1 == kept.1;
            if is_same {
                kept.0 = kept.0.saturating_add(next.0);
            }
            is_same
        });
        if parts.len() == 1 {
            return parts.pop().map(|(_, mix)| mix);
        }
        let common = parts.iter().fold(0u128, |all, part| gcd(all, u128::from(part.0))).max(1) as u32;
        parts.iter_mut().for_each(|part| part.0 /= common);
        Some(Mix::Drawn(parts.into()))
    }

    /// Combines sticky parts; `None` without parts, the part itself where there is one, or where all are
    /// the same: then the hash decides nothing.
    pub fn sticky(parts: Vec<(u64, u32, Mix)>) -> Option<Mix> {
        let mut parts: Vec<(u64, u32, Mix)> = parts.into_iter().filter(|part| part.1 > 0).collect();
        if parts.iter().skip(1).all(|part| parts.first().is_some_and(|first| first.2 == part.2)) {
            return parts.pop().map(|(_, _, mix)| mix);
        }
        parts.sort_by_key(|part| part.0);
        Some(Mix::Sticky(parts.into()))
    }

    /// Tells clients apart at a gate: those with values below `permille`, and the others.
    pub fn gated(gate: u64, permille: u16, inside: Mix, outside: Mix) -> Mix {
        let of = |mix| match mix {
            Mix::Gated { gate: own, parts } if own == gate => parts.into_vec(),
            other => vec![(GATE_END, other)],
        };
        let below = of(inside).into_iter().map(|(end, mix)| (end.min(permille), mix));
        let above = of(outside).into_iter().filter(|(end, _)| *end > permille);
        let mut parts: Vec<(u16, Mix)> = Vec::new();
        for (end, mix) in below.chain(above) {
            match parts.last_mut() {
                Some(last) if last.0 >= end => {}
                Some(last) if last.1 == mix => last.0 = end,
                _ => parts.push((end, mix)),
            }
        }
        match parts.pop() {
            Some((_, only)) if parts.is_empty() => only,
            Some(last) => {
                parts.push(last);
                Mix::Gated { gate, parts: parts.into() }
            }
            None => Mix::One(NOTHING.clone()),
        }
    }

    /// The answer for a draw and a client: no allocation. `draw` is uniform over u64; what one level of
    /// a draw leaves of it serves the next.
    pub fn choose(&self, mut draw: u64, client: impl Fn() -> u64) -> &Pick {
        let mut mix = self;
        loop {
            mix = match mix {
                Mix::One(pick) => return pick,
                Mix::Drawn(parts) => {
                    let total: u64 = parts.iter().map(|part| u64::from(part.0)).sum();
                    let product = u128::from(draw) * u128::from(total);
                    let mut point = (product >> 64) as u64;
                    draw = product as u64;
                    let chosen = parts.iter().find(|part| match point.checked_sub(u64::from(part.0)) {
                        Some(rest) => {
                            point = rest;
                            false
                        }
                        None => true,
                    });
                    match chosen.or(parts.last()) {
                        Some(part) => &part.1,
                        None => return &NOTHING,
                    }
                }
                Mix::Gated { gate, parts } => {
                    let value = sticky::gate_value(*gate, client());
                    match parts.iter().find(|(end, _)| value < *end).or(parts.last()) {
                        Some((_, mix)) => mix,
                        None => return &NOTHING,
                    }
                }
                Mix::Sticky(parts) => {
                    let index = sticky::choose(client(), parts.iter().map(|part| (part.0, part.1)));
                    match parts.get(index) {
                        Some(part) => &part.2,
                        None => return &NOTHING,
                    }
                }
            }
        }
    }

    /// The weights together, where this is one answer of addresses, or such answers drawn by weight; else 0.
    pub(super) fn plain_weight(&self) -> u32 {
        match self {
            Mix::One(pick) => u32::from(!pick.addresses.is_empty()),
            Mix::Drawn(parts)
                if parts.iter().all(|(_, mix)| matches!(mix, Mix::One(_)) && mix.plain_weight() > 0) =>
            {
                parts.iter().try_fold(0u32, |sum, part| sum.checked_add(part.0)).unwrap_or(0)
            }
            Mix::Drawn(_) | Mix::Sticky(_) | Mix::Gated { .. } => 0,
        }
    }

    /// [`Mix::choose`] where [`Mix::plain_weight`] is this and not 0.
    #[inline(always)]
    pub(super) fn choose_plainly(&self, weight: u32, draw: u64) -> Option<&Pick> {
        match self {
            Mix::One(pick) => Some(pick),
            Mix::Drawn(parts) => {
                let mut point = ((u128::from(draw) * u128::from(weight)) >> 64) as u32;
                for (own, mix) in parts {
                    match (point.checked_sub(*own), mix) {
                        (Some(rest), _) => point = rest,
                        (None, Mix::One(pick)) => return Some(pick),
                        (None, _) => return None,
                    }
                }
                None
            }
            Mix::Sticky(_) | Mix::Gated { .. } => None,
        }
    }

    /// Whether the client's prefix takes part in the choice.
    pub fn is_hashed(&self) -> bool {
        match self {
            Mix::One(_) => false,
            Mix::Drawn(parts) => parts.iter().any(|(_, mix)| mix.is_hashed()),
            Mix::Sticky(_) | Mix::Gated { .. } => true,
        }
    }

    /// Calls `visit` with every possible answer and its share of draws (sticky parts by weight, those at
    /// a gate by its share).
    pub fn visit<'m>(&'m self, share: f64, visit: &mut dyn FnMut(f64, &'m Pick)) {
        match self {
            Mix::One(pick) => visit(share, pick),
            Mix::Drawn(parts) => {
                let total: f64 = parts.iter().map(|part| f64::from(part.0)).sum();
                for (weight, mix) in parts {
                    mix.visit(share * f64::from(*weight) / total, visit);
                }
            }
            Mix::Sticky(parts) => {
                let total: f64 = parts.iter().map(|part| f64::from(part.1)).sum();
                for (_, weight, mix) in parts {
                    mix.visit(share * f64::from(*weight) / total, visit);
                }
            }
            Mix::Gated { parts, .. } => {
                let mut start = 0;
                for (end, mix) in parts {
                    mix.visit(share * f64::from(end.saturating_sub(start)) / f64::from(GATE_END), visit);
                    start = *end;
                }
            }
        }
    }

    fn total(&self) -> u128 {
        match self {
            Mix::Drawn(parts) => parts.iter().map(|part| u128::from(part.0)).sum::<u128>().max(1),
            Mix::One(_) | Mix::Sticky(_) | Mix::Gated { .. } => 1,
        }
    }

    /// Any total order will do for the normal form; single picks by their endpoints first.
    fn cmp_key(&self, other: &Mix) -> std::cmp::Ordering {
        match (self, other) {
            (Mix::One(a), Mix::One(b)) => a.cmp(b),
            (Mix::One(_), _) => std::cmp::Ordering::Less,
            (_, Mix::One(_)) => std::cmp::Ordering::Greater,
            (Mix::Gated { gate: a, parts: of_a }, Mix::Gated { gate: b, parts: of_b }) => {
                let parts = || compare(of_a, of_b, |x, y| x.0.cmp(&y.0).then(x.1.cmp_key(&y.1)));
                a.cmp(b).then_with(parts)
            }
            (Mix::Gated { .. }, _) => std::cmp::Ordering::Greater,
            (_, Mix::Gated { .. }) => std::cmp::Ordering::Less,
            (Mix::Drawn(a), Mix::Drawn(b)) => compare(a, b, |x, y| x.0.cmp(&y.0).then(x.1.cmp_key(&y.1))),
            (Mix::Drawn(_), Mix::Sticky(_)) => std::cmp::Ordering::Less,
            (Mix::Sticky(_), Mix::Drawn(_)) => std::cmp::Ordering::Greater,
            (Mix::Sticky(a), Mix::Sticky(b)) => {
                compare(a, b, |x, y| (x.0, x.1).cmp(&(y.0, y.1)).then(x.2.cmp_key(&y.2)))
            }
        }
    }
}

fn compare<T>(a: &[T], b: &[T], by: impl Fn(&T, &T) -> std::cmp::Ordering) -> std::cmp::Ordering {
    a.iter().zip(b).map(|(x, y)| by(x, y)).find(|order| order.is_ne()).unwrap_or(a.len().cmp(&b.len()))
}

/// Divides out the common factor and, where weights do not fit 32 bits, scales them down (at least 1).
fn reduced(parts: Vec<(u128, Mix)>) -> Box<[(u32, Mix)]> {
    let common = parts.iter().fold(0u128, |all, part| gcd(all, part.0)).max(1);
    let total: u128 = parts.iter().fold(0u128, |sum, part| sum.saturating_add(part.0 / common));
    // The total stays below 2^32, so cumulative sums on the query path fit 32 bits too.
    let shift = (128 - total.leading_zeros()).saturating_sub(32);
    parts
        .into_iter()
        .map(|(weight, mix)| (u32::try_from((weight / common) >> shift).unwrap_or(u32::MAX).max(1), mix))
        .collect()
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The least common multiple, or the first argument where it would pass 2^64.
fn lcm_capped(a: u128, b: u128) -> u128 {
    let lcm = a / gcd(a, b).max(1) * b;
    if lcm > u128::from(u64::MAX) { a } else { lcm }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn one(number: u32) -> Mix {
        let endpoints = [EndpointId(number)].into_iter().collect();
        Mix::One(Pick { endpoints, addresses: Few::new(), counters: Few::new() })
    }

    /// The share of each endpoint, exactly as the weights say.
    fn shares(mix: &Mix) -> Vec<f64> {
        let mut shares = vec![0.0; 8];
        mix.visit(1.0, &mut |share, pick| shares[pick.endpoints[0].index()] += share);
        shares
    }

    #[test]
    fn e1_the_same_candidates_are_the_same_decision() {
        let flat = Mix::drawn(vec![(2, one(1)), (1, one(2)), (1, one(3))]);
        let inner = |parts| Mix::drawn(parts).unwrap();
        let cases = [
            vec![(4, one(3)), (8, one(1)), (4, one(2))],
            vec![(1, one(1)), (1, inner(vec![(5, one(3)), (5, one(2))]))],
            vec![(1, inner(vec![(1, one(1)), (1, one(2))])), (1, inner(vec![(1, one(3)), (1, one(1))]))],
            vec![(0, one(7)), (1, one(2)), (1, one(1)), (1, one(3)), (1, one(1))],
        ];
        for (number, parts) in cases.into_iter().enumerate() {
            assert_eq!(Mix::drawn(parts), flat, "{number}");
        }
        assert_eq!(Mix::drawn(vec![(3, one(1)), (9, one(1))]), Some(one(1)));
        assert_eq!(Mix::drawn(vec![(0, one(1))]), None);
    }

    /// What the hash cannot change is no sticky choice, and needs no narrow scope.
    #[test]
    fn r5_sticky_parts_that_are_all_the_same_are_that_part() {
        assert_eq!(Mix::sticky(vec![(5, 1, one(1)), (6, 2, one(1))]), Some(one(1)));
        assert_eq!(Mix::sticky(vec![(5, 1, one(1)), (6, 0, one(2))]), Some(one(1)));
        let two = Mix::sticky(vec![(5, 1, one(1)), (6, 2, one(2)), (7, 1, one(1))]).unwrap();
        assert!(two.is_hashed());
        assert_eq!(Mix::sticky(vec![(6, 2, one(2)), (7, 1, one(1)), (5, 1, one(1))]), Some(two));
    }

    #[test]
    fn r4_heavy_weights_neither_overflow_nor_vanish() {
        let heavy = |level: Mix, at: u32| Mix::drawn(vec![(65_535, level), (65_521, one(at % 7))]).unwrap();
        let mix = (0..10).fold(one(7), heavy);
        let total: f64 = shares(&mix).iter().sum();
        assert!((total - 1.0).abs() < 1e-9);
        assert!((shares(&mix)[7] - (65_535.0f64 / 131_056.0).powi(10)).abs() < 1e-6);
        let light = Mix::drawn(vec![(1, one(1)), (65_535, heavy(one(2), 3))]).unwrap();
        assert!(shares(&light)[1] > 0.0);
    }

    proptest! {
        /// However the parts are nested and ordered, shares are the products of weights, and the draw
        /// hits them.
        #[test]
        fn shares_survive_the_normal_form(
            parts in prop::collection::vec((0u32..100, prop::collection::vec((1u32..50, 0u32..8), 1..5)), 1..5),
        ) {
            let inner = |inner: &[(u32, u32)]| {
                Mix::drawn(inner.iter().map(|(weight, at)| (*weight, one(*at))).collect()).unwrap()
            };
            let build = |parts: &[(u32, Vec<(u32, u32)>)]| {
                Mix::drawn(parts.iter().map(|(weight, below)| (*weight, inner(below))).collect())
            };
            let total: u32 = parts.iter().map(|part| part.0).sum();
            let Some(mix) = build(&parts) else {
                prop_assert_eq!(total, 0);
                return Ok(());
            };
            let mut expected = [0.0; 8];
            for (weight, below) in &parts {
                let all: u32 = below.iter().map(|part| part.0).sum();
                for (own, at) in below {
                    expected[*at as usize] +=
                        f64::from(*weight) / f64::from(total) * f64::from(*own) / f64::from(all);
                }
            }
            let found = shares(&mix);
            for (expected, found) in expected.iter().zip(&found) {
                prop_assert!((expected - found).abs() < 1e-6, "{expected} {found}");
            }
            let mut hits = [0u32; 8];
            for draw in 0..2048u64 {
                hits[mix.choose(draw << 53, || 0).endpoints[0].index()] += 1;
            }
            for (expected, hits) in expected.iter().zip(&hits) {
                prop_assert!((expected - f64::from(*hits) / 2048.0).abs() < 0.01);
            }
            let mut turned = parts.clone();
            turned.reverse();
            prop_assert_eq!(build(&turned), Some(mix));
        }
    }
}
