//! What the controller does step by step.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::health::ShareCause;

const INTERVAL: Duration = Duration::from_secs(5);
const CACHES: Duration = Duration::from_secs(60);

fn units(number: f64) -> Amount {
    Amount::from_units(number).unwrap_or_default()
}

/// One endpoint for each target, its feed of the same number, `max` twice the target; 0: open.
fn fleet(targets: &[u32]) -> Vec<LoadMember> {
    let member = |(index, target): (usize, &u32)| LoadMember {
        endpoint: EndpointId(index as u32),
        group: 0,
        metered: (*target > 0).then(|| Metered {
            feeds: Box::new([TargetId(index as u32)]),
            interval: INTERVAL,
            caches: CACHES,
            limits: LoadLimits { target: units(f64::from(*target)), max: units(f64::from(2 * target)) },
        }),
    };
    targets.iter().enumerate().map(member).collect()
}

struct World {
    loads: Loads,
    now: Duration,
}

impl World {
    fn new(targets: &[u32]) -> World {
        World { loads: Loads::new(fleet(targets)), now: Duration::from_secs(1000) }
    }

    /// An interval with these readings; a negative one is missing.
    fn pass(&mut self, readings: &[f64]) -> Vec<u16> {
        self.now += INTERVAL;
        for (index, reading) in readings.iter().enumerate() {
            if let Some(reading) = Amount::from_units(*reading) {
                self.loads.observe(TargetId(index as u32), reading, self.now);
            }
        }
        assert!(self.loads.poll_timeout(self.now).is_none_or(|timeout| timeout.is_zero()));
        self.loads.poll(self.now);
        self.shares(readings.len())
    }

    fn passes(&mut self, number: usize, readings: &[f64]) -> Vec<u16> {
        (0..number).map(|_| self.pass(readings)).last().unwrap_or_default()
    }

    fn shares(&self, number: usize) -> Vec<u16> {
        (0..number as u32).map(|endpoint| self.loads.share(EndpointId(endpoint)).permille).collect()
    }

    fn weights(&self, number: usize) -> Vec<u16> {
        (0..number as u32).map(|endpoint| self.loads.load_weight(EndpointId(endpoint))).collect()
    }
}

#[test]
fn what_is_shed_grows_from_target_to_max() {
    // 240 of 200 with max 400, kept in balance: 20 % of the clients are elsewhere.
    assert_eq!(law::wanted(300.0, 200.0, 400.0), 0.8);
    assert_eq!(law::wanted(200.0, 200.0, 400.0), 1.0);
    assert_eq!(law::wanted(0.0, 200.0, 400.0), 1.0);
    assert_eq!(law::wanted(1e12, 200.0, 400.0), law::KEPT_MIN);
    assert_eq!(law::wanted(f64::NAN, 200.0, 400.0), 1.0);
}

#[test]
fn nobody_sheds_at_or_a_little_above_target() {
    let mut world = World::new(&[200, 200]);
    assert_eq!(world.passes(30, &[200.0, 100.0]), [1000, 1000]);
    assert_eq!(world.passes(30, &[208.0, 100.0]), [1000, 1000]);
}

#[test]
fn the_one_above_target_sheds_while_the_other_has_room() {
    let mut world = World::new(&[200, 200]);
    let first = world.pass(&[300.0, 50.0])[0];
    assert!(first < 1000, "{first}");
    // As long as caches answer for the old share the demand is what it was: down to what suits it, no further.
    let settled = world.passes(12, &[300.0, 50.0]);
    assert!((800..=850).contains(&settled[0]), "{settled:?}");
    assert_eq!(settled[1], 1000);
    let share = world.loads.share(EndpointId(0));
    assert_eq!((share.why, share.step_at), (ShareCause::Shed, None));
    // Now the load has followed, and explains itself: nothing moves.
    assert_eq!(world.passes(30, &[248.0, 100.0])[0], settled[0]);
    // The pressure ends.
    assert_eq!(world.passes(40, &[100.0, 60.0]), [1000, 1000]);
}

#[test]
fn when_all_exceed_targets_are_raised_and_nobody_sheds() {
    let mut world = World::new(&[200, 400]);
    assert_eq!(world.passes(30, &[300.0, 600.0]), [1000, 1000]);
    let status = world.loads.status(EndpointId(0), world.now).map(|status| status.raised_target);
    assert_eq!(status, Some(units(300.0)));
    // One exceeds more than the other: it sheds, the other does not.
    let shares = world.passes(30, &[500.0, 500.0]);
    assert!(shares[0] < 900 && shares[1] == 1000, "{shares:?}");
}

#[test]
fn the_last_one_standing_keeps_everything() {
    let mut world = World::new(&[200, 200]);
    assert!(world.passes(12, &[300.0, 50.0])[0] < 1000);
    world.loads.set_eligible(EndpointId(1), false);
    assert_eq!(world.pass(&[300.0, 0.0])[0], 1000);
    assert_eq!(world.passes(30, &[900.0, 0.0])[0], 1000);
}

#[test]
fn what_is_open_takes_everything() {
    let mut world = World::new(&[200, 0]);
    let shares = world.passes(12, &[400.0, 0.0]);
    assert!((650..=720).contains(&shares[0]) && shares[1] == 1000, "{shares:?}");
    assert_eq!(world.loads.status(EndpointId(1), world.now), None);
}

#[test]
fn a_missing_feed_keeps_its_last_value_then_decays_to_neutral() {
    let mut world = World::new(&[200, 200]);
    let shed = world.passes(12, &[300.0, 50.0])[0];
    let missing = [-1.0, 50.0];
    assert_eq!(world.passes(12, &missing)[0], shed, "held for twelve intervals");
    let after = world.passes(1, &missing)[0];
    assert!(after > shed && after < 1000, "in steps: {after}");
    assert_eq!(world.passes(20, &missing)[0], 1000);
}

#[test]
fn weights_start_from_targets_and_move_towards_equal_utilisation() {
    let mut world = World::new(&[100, 300]);
    assert_eq!(world.weights(2), [500, 1500]);
    world.passes(60, &[90.0, 150.0]);
    let moved = world.weights(2);
    assert!(moved[0] < 400 && moved[1] > 1500, "{moved:?}");
    assert!(moved[0] >= 500 / 16, "bounded: {moved:?}");
    // Without readings they return to what the targets say.
    world.passes(200, &[-1.0, -1.0]);
    let back = world.weights(2);
    assert!(back[0].abs_diff(500) <= 50 && back[1].abs_diff(1500) <= 50, "{back:?}");
}

#[test]
fn a_reload_carries_on_by_identity() {
    let mut world = World::new(&[200, 200]);
    let shed = world.passes(12, &[300.0, 50.0])[0];
    let swapped = |endpoint: EndpointId| Some(EndpointId(1 - endpoint.0));
    world.loads = world.loads.succeed(fleet(&[200, 200]), world.now, swapped);
    assert_eq!(world.shares(2), [1000, shed]);
}

#[test]
fn nothing_metered_is_nothing_to_do() {
    let mut loads = Loads::new(fleet(&[0, 0]));
    assert_eq!(loads.poll_timeout(Duration::ZERO), None);
    assert!(!loads.poll(Duration::ZERO));
    assert_eq!(loads.share(EndpointId(7)), Share::FULL);
    assert_eq!(loads.load_weight(EndpointId(7)), EndpointState::LOAD_WEIGHT_NEUTRAL);
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 200,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// Whatever is read, missing, or in or out: somebody who is eligible keeps all, nobody keeps nothing,
    /// steps are bounded, weights are weights.
    #[test]
    fn never_shed_everywhere(
        targets in prop::collection::vec(1u32..1000, 1..5),
        rounds in prop::collection::vec(prop::collection::vec((-1.0f64..3000.0, prop::bool::weighted(0.9)), 5), 1..60),
    ) {
        let mut world = World::new(&targets);
        for round in rounds {
            let readings: Vec<f64> = round.iter().take(targets.len()).map(|(reading, _)| *reading).collect();
            let eligible: Vec<bool> = round.iter().take(targets.len()).map(|(_, eligible)| *eligible).collect();
            for (index, eligible) in eligible.iter().enumerate() {
                world.loads.set_eligible(EndpointId(index as u32), *eligible);
            }
            let before = world.shares(targets.len());
            let shares = world.pass(&readings);
            let kept = shares.iter().zip(&eligible).filter(|(_, eligible)| **eligible);
            let most = kept.map(|(share, _)| *share).max();
            prop_assert!(most.is_none_or(|most| most == 1000), "{:?} of {:?}", shares, eligible);
            prop_assert!(shares.iter().all(|share| *share >= 50), "{:?}", shares);
            let fell = before.iter().zip(&shares).map(|(before, after)| before.saturating_sub(*after)).max();
            prop_assert!(fell <= Some(251), "{:?} {:?}", before, shares);
            prop_assert!(world.weights(targets.len()).iter().all(|weight| *weight >= 1));
        }
    }
}
