//! H11: the rule, held against a checker that knows nothing but its words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::ids::RegionId;

const WINDOW: Duration = Duration::from_secs(600);

/// One seat as the checker sees it.
#[derive(Clone, Copy, Debug)]
struct Seen {
    region: u16,
    capacity: u64,
    out: bool,
    /// When it was accepted as removed, and the how manieth fall it was.
    removed: Option<(Duration, u64)>,
}

/// The rule in its own words, by trying every region.
fn allowed(seats: &[Seen], one_more: usize, percent: u64, now: Duration) -> bool {
    let in_force: Vec<(usize, &Seen)> = seats.iter().enumerate().filter(|(_, seat)| !seat.out).collect();
    let regions: BTreeSet<u16> = in_force.iter().map(|(_, seat)| seat.region).collect();
    let lost = |region: u16| {
        let mut own = in_force.iter().filter(|(_, seat)| seat.region == region);
        own.all(|(_, seat)| seat.removed.is_some())
    };
    let lost_at = |region: u16| {
        let own = in_force.iter().filter(|(_, seat)| seat.region == region);
        own.map(|(_, seat)| seat.removed.unwrap().1).max().unwrap()
    };
    let first = regions.iter().copied().filter(|region| lost(*region)).min_by_key(|region| lost_at(*region));
    let keeps = |exempt: u16| {
        let (mut recent, mut remaining) = (0, 0);
        for (at, seat) in in_force.iter().filter(|(_, seat)| seat.region != exempt) {
            let settled = seat.removed.is_some_and(|(accepted, _)| now >= accepted + WINDOW);
            remaining += if settled { 0 } else { seat.capacity };
            let goes = *at == one_more || seat.removed.is_some();
            recent += if goes && !settled { seat.capacity } else { 0 };
        }
        recent * 100 <= percent * remaining
    };
    match first {
        Some(region) => keeps(region),
        None => regions.into_iter().any(keeps),
    }
}

/// A lane of one-address endpoints, driven and checked.
struct Checked {
    lane: Lane,
    seen: Vec<Seen>,
    down: Vec<bool>,
    falls: u64,
    percent: u64,
    now: Duration,
}

impl Checked {
    fn new(seats: &[(u16, u32)], percent: u8) -> Checked {
        let spec = GovernorSpec { max_removed_percent: percent, window: WINDOW };
        let seat = |(at, (region, capacity)): (usize, &(u16, u32))| {
            Seat::new(AddressId(at as u32), RegionId(*region), *capacity, 1)
        };
        let all = seats.iter().enumerate().map(seat).collect();
        let seen = |(region, capacity): &(u16, u32)| Seen {
            region: *region,
            capacity: u64::from(*capacity),
            out: false,
            removed: None,
        };
        Checked {
            lane: Lane::new(ServiceId(0), None, spec, all),
            seen: seats.iter().map(seen).collect(),
            down: vec![false; seats.len()],
            falls: 0,
            percent: u64::from(percent),
            now: Duration::from_secs(10_000),
        }
    }

    /// A seat stands otherwise; `Err` where the lane breaks the rule.
    fn stand(&mut self, at: usize, down: bool, out: bool) -> Result<(), TestCaseError> {
        let stand = match (down, out) {
            (false, false) => Stand::Well,
            (true, false) => Stand::Fallen,
            (false, true) => Stand::Out,
            (true, true) => Stand::OutFallen,
        };
        self.falls += u64::from(down);
        if !down {
            self.seen[at].removed = None;
        } else if out && self.seen[at].removed.is_none() {
            self.seen[at].removed = Some((self.now - WINDOW, self.falls));
        }
        self.seen[at].out = out;
        self.down[at] = down;
        self.lane.turn(AddressId(at as u32), stand, self.falls, self.now);
        self.check()
    }

    fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        self.now += time;
        self.lane.judge(self.now);
        self.check()
    }

    /// Everything newly accepted was allowed when its turn came, and what is held is not.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let states: Vec<SeatState> = self.lane.seats().iter().map(|seat| seat.state).collect();
        let mut new: Vec<(u64, usize)> = Vec::new();
        for (at, state) in states.iter().enumerate() {
            match state {
                SeatState::Removed { order, .. } if self.seen[at].removed.is_none() => new.push((*order, at)),
                SeatState::Well => prop_assert!(!self.down[at], "{at} is down and counts as well"),
                _ => {}
            }
        }
        new.sort_unstable();
        for (order, at) in new {
            let fair = self.seen[at].out || allowed(&self.seen, at, self.percent, self.now);
            prop_assert!(fair, "{at} must not go: {:?}", self.seen);
            self.seen[at].removed = Some((self.now, order));
        }
        for (at, state) in states.iter().enumerate() {
            if matches!(state, SeatState::Held { .. }) {
                let may = allowed(&self.seen, at, self.percent, self.now);
                prop_assert!(!may, "{at} is held for nothing: {:?}", self.seen);
            }
        }
        Ok(())
    }

    fn held(&self) -> Vec<u32> {
        self.lane.held().map(|address| address.0).collect()
    }
}

/// The same cases in every run.
fn repeatable(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(11);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(repeatable(400))]

    #[test]
    fn h11_the_rule_is_kept_and_nothing_is_held_for_nothing(
        seats in prop::collection::vec((0u16..5, 1u32..12), 1..14),
        percent in prop::sample::select(vec![0u8, 10, 34, 50, 100]),
        steps in prop::collection::vec((0usize..14, 0u8..8, 1u64..400), 1..120),
    ) {
        let mut world = Checked::new(&seats, percent);
        for (at, what, seconds) in steps {
            let at = at % seats.len();
            let (down, out) = (world.down[at], world.seen[at].out);
            match what {
                0..=3 => world.stand(at, true, out)?,
                4 => world.stand(at, false, out)?,
                5 => world.stand(at, down, !out)?,
                _ => world.pass(Duration::from_secs(seconds))?,
            }
        }
    }

    #[test]
    fn h11_any_one_whole_region_may_go(
        seats in prop::collection::vec((0u16..5, 1u32..100), 1..14),
        region in 0u16..5,
        percent in 0u8..=100,
    ) {
        let mut world = Checked::new(&seats, percent);
        for (at, (own, _)) in seats.iter().enumerate() {
            if *own == region {
                world.stand(at, true, false)?;
            }
        }
        prop_assert_eq!(world.held(), Vec::<u32>::new());
    }
}

/// `falls` fall one after the other; who is held then.
fn check(seats: &[(u16, u32)], percent: u8, falls: &[usize], held: &[u32]) -> Checked {
    let mut world = Checked::new(seats, percent);
    for at in falls {
        world.stand(*at, true, false).unwrap();
    }
    assert_eq!(world.held(), held, "{falls:?}");
    world
}

const TWO_EACH: [(u16, u32); 8] = [(0, 1), (0, 1), (1, 1), (1, 1), (2, 1), (2, 1), (3, 1), (3, 1)];

#[test]
fn h11_beyond_the_first_region_half_of_the_rest_may_go() {
    // A region, then three of the six that remain.
    check(&TWO_EACH, 50, &[0, 1, 2, 4, 6], &[]);
    check(&TWO_EACH, 50, &[0, 1, 2, 4, 6, 3], &[3]);
    // One of each: a region's part is free, whichever it is.
    check(&TWO_EACH, 50, &[0, 2, 4, 6], &[]);
    // Nothing beyond the first region, everything of it.
    check(&TWO_EACH, 0, &[2, 3, 0], &[0]);
    check(&TWO_EACH, 100, &[0, 1, 2, 3, 4, 5, 6, 7], &[]);
    // One region only: its loss is the loss of one region.
    check(&[(0, 1), (0, 1), (0, 1)], 0, &[0, 1, 2], &[]);
    // Two regions: half of the second.
    check(&TWO_EACH[..4], 50, &[0, 1, 2, 3], &[3]);
    // Capacity counts, not number.
    check(&[(0, 1), (1, 10), (1, 1), (2, 9)], 50, &[0, 1], &[]);
    check(&[(0, 1), (1, 10), (1, 1), (2, 8)], 50, &[0, 1], &[1]);
}

#[test]
fn h11_what_is_held_thaws_by_recovery_by_time_and_by_an_operator() {
    let falls = [0, 1, 2, 4, 6, 3, 5];
    // One of the accepted recovers: the next in turn goes.
    let mut world = check(&TWO_EACH, 50, &falls, &[3, 5]);
    world.stand(2, false, false).unwrap();
    assert_eq!(world.held(), [5]);
    // The window has passed: of the three that remain one more.
    let mut world = check(&TWO_EACH, 50, &falls, &[3, 5]);
    world.pass(WINDOW - Duration::from_secs(1)).unwrap();
    assert_eq!(world.held(), [3, 5]);
    world.pass(Duration::from_secs(1)).unwrap();
    assert_eq!(world.held(), [5]);
    // Two remain; both are down or will be: one of them.
    world.pass(WINDOW).unwrap();
    assert_eq!(world.held(), Vec::<u32>::new());
    // An operator says so.
    let mut world = check(&TWO_EACH, 50, &falls, &[3, 5]);
    assert_eq!(world.lane.release(world.now), 2);
    assert_eq!(world.held(), Vec::<u32>::new());
}

#[test]
fn h11_what_operators_keep_out_reduces_what_remains_and_is_not_counted() {
    let mut world = Checked::new(&TWO_EACH, 50);
    for at in [4, 5, 6, 7] {
        world.stand(at, false, true).unwrap();
    }
    // Two regions are left: one may go, and half of the other.
    for at in [0, 1, 2] {
        world.stand(at, true, false).unwrap();
    }
    assert_eq!(world.held(), Vec::<u32>::new());
    world.stand(3, true, false).unwrap();
    assert_eq!(world.held(), [3]);
    // What falls while it is out takes nobody's place, not even when it is let go.
    world.stand(4, true, true).unwrap();
    world.stand(4, true, false).unwrap();
    assert_eq!(world.held(), [3]);
}
