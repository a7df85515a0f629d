#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

fn rates(rate: u32, burst: u32) -> Rates {
    Rates { rate, burst, slip: 1, exempt: Vec::new() }
}

/// The beginning of a tick, some ticks after the start.
fn at(tick: u64) -> Now {
    let monotonic = Duration::new(tick / 15, ((tick % 15) << 26) as u32);
    Now { monotonic, wall: Duration::ZERO }
}

fn admitted(limiter: &Limiter, source: &str, now: Now, queries: u32) -> u32 {
    let source: IpAddr = source.parse().unwrap();
    (0..queries).filter(|_| limiter.admit(source, now) == Admission::Within).count() as u32
}

#[test]
fn an_address_has_its_burst_and_then_its_rate() {
    for (rate, burst) in [(200, 500), (20, 20), (1000, 2000), (5, 100), (100_000, 100_000)] {
        for source in ["192.0.2.1", "2001:db8::1"] {
            let limiter = Limiter::new(rates(rate, burst), KEY);
            // What it had before its own tier was opened is overlooked, once.
            let first = admitted(&limiter, source, at(0), 3 * burst);
            assert!((burst..=2 * burst).contains(&first), "{source} {rate}/{burst}: {first} at once");
            let seconds = 20;
            let later: u32 =
                (1..=seconds * 15).map(|tick| admitted(&limiter, source, at(u64::from(tick)), burst)).sum();
            let (least, most) = (rate * seconds * 8 / 10, rate * seconds * 11 / 10 + 1);
            assert!((least..=most).contains(&later), "{source} {rate}/{burst}: {later} in {seconds} s");
            // After a silence it has its burst again.
            let again = admitted(&limiter, source, at(100_000), 3 * burst);
            assert!((burst..=2 * burst).contains(&again), "{source} {rate}/{burst}: {again} after a silence");
        }
    }
}

#[test]
fn networks_have_multiples() {
    let limiter = Limiter::new(rates(10, 25), KEY);
    // 256 addresses of a /24, each with less than an address may have.
    let of_24: u32 = (0..=255).map(|host| admitted(&limiter, &format!("192.0.2.{host}"), at(0), 20)).sum();
    assert!((25 * 32..=25 * 33).contains(&of_24), "{of_24}");
    // The /20 around it has room.
    assert_eq!(admitted(&limiter, "192.0.3.1", at(0), 20), 20);
    let of_18: u32 = (0..64 * 256)
        .map(|n: u32| {
            let source = Ipv4Addr::from(0x0a00_0000 + n);
            admitted(&limiter, &source.to_string(), at(0), 5)
        })
        .sum();
    assert!((25 * 768..=25 * 769).contains(&of_18), "{of_18}");
    // Neighbours outside are not touched.
    assert_eq!(admitted(&limiter, "10.0.64.1", at(0), 20), 20);
}

#[test]
fn an_ipv4_address_is_the_same_in_ipv6() {
    let limiter = Limiter::new(rates(10, 25), KEY);
    admitted(&limiter, "192.0.2.1", at(0), 100);
    assert_eq!(admitted(&limiter, "::ffff:192.0.2.1", at(0), 100), 0);
}

#[test]
fn slip_and_exemption() {
    let check = |slip, expected: [u32; 2]| {
        let limiter = Limiter::new(Rates { slip, ..rates(10, 25) }, KEY);
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        admitted(&limiter, "192.0.2.1", at(0), 100);
        let answers: Vec<Admission> = (0..60).map(|_| limiter.admit(source, at(0))).collect();
        let of = |wanted| answers.iter().filter(|answer| **answer == wanted).count() as u32;
        assert_eq!([of(Admission::Slip), of(Admission::Drop)], expected, "slip = {slip}");
    };
    check(0, [0, 60]);
    check(1, [60, 0]);
    check(2, [30, 30]);
    check(5, [12, 48]);
    let exempt = vec!["192.0.2.0/30".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let limiter = Limiter::new(Rates { exempt, ..rates(10, 25) }, KEY);
    for source in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(admitted(&limiter, source, at(0), 1000), 1000);
    }
    assert!(admitted(&limiter, "192.0.2.9", at(0), 1000) < 100);
}

/// Every tier of every network counted, as if there were room for all of them.
struct Exact {
    counts: HashMap<(u8, u128), (u64, f64)>,
    kept: f64,
}

impl Exact {
    /// Counts; what every tier had before, as shares of its limit: the greatest.
    fn answered(&mut self, address: u32, tick: u64, burst: u32) -> f64 {
        let mut greatest = 0.0_f64;
        for tier in &TIERS_V4 {
            let network = (tier.prefix_length, u128::from(address >> (32 - tier.prefix_length)));
            let (then, count) = self.counts.get(&network).copied().unwrap_or((tick, 0.0));
            let count = count * self.kept.powi((tick - then) as i32);
            greatest = greatest.max(count / f64::from(burst * tier.multiplier));
            self.counts.insert(network, (tick, count + 1.0));
        }
        greatest
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// Against a model that counts every tier of every network: nobody is refused whom the model knows to be
    /// within all limits, and nobody has more than one burst beyond what the model would give.
    #[test]
    fn tiers_opened_late_refuse_nobody_early_and_let_through_one_burst(
        seed: u64, hosts in 1..40_u32, spread in 0..3_u32, per_tick in 1..60_u64,
    ) {
        let burst = 40;
        let limiter = Limiter::new(rates(16, burst), KEY);
        // 16 of 40 per second and 15 ticks in one.
        let mut exact = Exact { counts: HashMap::new(), kept: 1.0 - 16.0 / 40.0 / 15.0 };
        let mut state = seed;
        let mut chance = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        for tick in 0..150 {
            for _ in 0..per_tick {
                let host = (chance() % u64::from(hosts)) as u32;
                let address = 0xc000_0200 + (host << (spread * 4));
                match limiter.admit(IpAddr::V4(address.into()), at(tick)) {
                    Admission::Within => {
                        let share = exact.answered(address, tick, burst);
                        prop_assert!(share < 2.0 + 0.02, "{share} of a limit");
                    }
                    _ => {
                        let share = TIERS_V4.iter().map(|tier| {
                            let network = (tier.prefix_length, u128::from(address >> (32 - tier.prefix_length)));
                            let (then, count) = exact.counts.get(&network).copied().unwrap_or((tick, 0.0));
                            (count * exact.kept.powi((tick - then) as i32) + 1.0)
                                / f64::from(burst * tier.multiplier)
                        }).fold(0.0_f64, f64::max);
                        prop_assert!(share > 1.0 - 0.02, "refused at {share} of a limit");
                    }
                }
            }
        }
    }
}
