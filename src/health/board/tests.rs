//! The statements H1, H2, H5, H6, H7 and H13, each by its number, in virtual time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::health::{
    AddressSpec, Cadence, Check, Composition, EndpointSpec, FailbackSpec, NotRun, TargetAddress, Ticket,
    Timings, Verdict,
};
use crate::ids::{AddressId, EndpointId, MonitorId, RegionId};

const INTERVAL: Duration = Duration::from_secs(5);
const REFUSED: Failure = Failure::ConnectRefused;
const START: Now = Now { monotonic: Duration::from_secs(1000), wall: Duration::from_secs(1_800_000_000) };

fn cadence() -> Cadence {
    Cadence {
        interval: INTERVAL,
        timeout: Duration::from_secs(2),
        fall: 3,
        rise: 2,
        ok: 10,
        relapse_window: Duration::from_secs(600),
    }
}

fn target(number: u32) -> TargetSpec {
    TargetSpec {
        address: TargetAddress::Address(IpAddr::V4(Ipv4Addr::from(0xC000_0200 + number))),
        check: Check::Tcp(crate::health::TcpCheck::connect(80)),
        cadence: cadence(),
        monitor: MonitorId(0),
        region: RegionId(0),
        label: format!("web/{number}"),
    }
}

/// An endpoint with one address for each target.
fn spec(targets: Vec<TargetSpec>) -> Arc<BoardSpec> {
    let numbers = 0..targets.len() as u32;
    let endpoint = |number: u32| EndpointSpec {
        name: targets[number as usize].label.as_str().into(),
        region: targets[number as usize].region,
        capacity: 1,
        addresses: Box::new([AddressId(number)]),
        failback: FailbackSpec::NONE,
    };
    let address = |number: u32| AddressSpec {
        endpoint: EndpointId(number),
        address: format!("{number}").into(),
        family: None,
        checks: Composition::single(TargetId(number)),
        watched: Box::new([]),
    };
    Arc::new(BoardSpec {
        addresses: numbers.clone().map(address).collect(),
        endpoints: numbers.map(endpoint).collect(),
        targets: targets.into(),
        ..BoardSpec::default()
    })
}

fn well(connect_ms: u64, first_byte_ms: u64) -> Result<Timings, Failure> {
    let first_byte = Duration::from_millis(first_byte_ms);
    let connect = Duration::from_millis(connect_ms);
    Ok(Timings { connect, tls: None, first_byte: Some(first_byte), total: connect + first_byte })
}

/// A board, its time, and what it has said.
struct World {
    board: Board,
    now: Now,
    transitions: Vec<Transition>,
}

impl World {
    fn new(targets: Vec<TargetSpec>) -> World {
        let limits = BoardLimits { under_way_max: 256 };
        World { board: Board::new(spec(targets), limits, START, 7), now: START, transitions: Vec::new() }
    }

    fn one() -> World {
        World::new(vec![target(1)])
    }

    /// Runs until `number` probes have been answered, each at once by `outcome(how many before it)`.
    fn probes(&mut self, number: usize, mut outcome: impl FnMut(usize) -> Result<Timings, Failure>) {
        let mut done = 0;
        while done < number {
            self.now = self.now.after(self.board.poll_timeout(self.now).unwrap());
            for order in self.board.poll_due(self.now) {
                self.board.observe(Observation::local(order, outcome(done)), self.now);
                done += 1;
            }
            self.collect();
        }
    }

    /// Probes by pattern: `S` success, `F` failure.
    fn pattern(&mut self, pattern: &str) {
        let letters: Vec<char> = pattern.chars().collect();
        self.probes(letters.len(), |probe| if letters[probe] == 'F' { Err(REFUSED) } else { well(1, 2) });
    }

    fn collect(&mut self) {
        while let Some(event) = self.board.poll_event() {
            match event {
                Event::Transition(transition) => self.transitions.push(transition),
                Event::Notice(notice) => panic!("{notice}"),
            }
        }
    }

    fn verdict(&self) -> Verdict {
        self.board.table().address(AddressId(0)).verdict
    }

    fn bound(&self) -> Option<u32> {
        self.board.table().address(AddressId(0)).ttl_bound_s
    }

    fn causes(&self) -> Vec<&str> {
        self.transitions.iter().map(|transition| transition.cause.as_str()).collect()
    }
}

/// The verdict after a pattern of results, and the causes of all transitions on the way.
fn check(pattern: &str, verdict: Verdict, causes: &[&str]) {
    let mut world = World::one();
    world.pattern(pattern);
    assert_eq!(world.verdict(), verdict, "{pattern}");
    assert_eq!(world.causes(), causes, "{pattern}");
}

#[test]
fn h1_the_first_result_alone_gives_the_verdict() {
    check("", Verdict::Unknown, &[]);
    check("S", Verdict::Up, &["first result: well"]);
    check("F", Verdict::Down, &["first result: connect refused"]);
}

#[test]
fn h1_the_first_round_is_due_at_once_and_known_when_done() {
    let mut board =
        Board::new(spec((0..9).map(target).collect()), BoardLimits { under_way_max: 4 }, START, 1);
    assert_eq!(board.poll_timeout(START), Some(Duration::ZERO));
    for left in [4, 4, 1] {
        assert!(!board.first_round_done());
        let orders = board.poll_due(START);
        assert_eq!(orders.len(), left);
        for order in orders {
            board.observe(Observation::local(order, Err(REFUSED)), START);
        }
    }
    assert!(board.first_round_done());
    assert!(Board::new(spec(vec![]), BoardLimits { under_way_max: 1 }, START, 1).first_round_done());
}

#[test]
fn h2_a_clean_outage_and_a_clean_recovery_are_quick() {
    let down = ["first result: well", "3 failures counted: connect refused"];
    check("SFF", Verdict::Up, &down[..1]);
    check("SFFF", Verdict::Down, &down);
    check("SFFFFFFS", Verdict::Down, &down);
    check("SFFFSFS", Verdict::Down, &down);
    check("SFFFFFFSS", Verdict::Up, &[down[0], down[1], "2 successes in a row"]);
}

#[test]
fn h2_every_failure_counts_until_ok_successes_in_a_row() {
    check("SFSFSSSSSSSSSF", Verdict::Down, &["first result: well", "3 failures counted: connect refused"]);
    check("SFSFSSSSSSSSSSF", Verdict::Up, &["first result: well"]);
}

#[test]
fn h2_every_relapse_doubles_the_successes_needed_up_to_32() {
    let mut world = World::one();
    world.pattern("S");
    for needed in [2, 4, 8, 16, 32, 32, 32] {
        world.pattern("FFF");
        assert_eq!(world.verdict(), Verdict::Down);
        assert_eq!(world.board.status(TargetId(0), world.now).unwrap().successes_needed, needed);
        world.pattern(&"S".repeat(usize::from(needed) - 1));
        assert_eq!(world.verdict(), Verdict::Down);
        world.pattern("S");
        assert_eq!(world.verdict(), Verdict::Up);
    }
    // More than the relapse window later all is forgiven.
    world.pattern(&"S".repeat(130));
    world.pattern("FFF");
    assert_eq!(world.board.status(TargetId(0), world.now).unwrap().successes_needed, 2);
}

#[test]
fn h2_one_failure_in_three_goes_down_once() {
    let mut world = World::one();
    world.probes(24 * 720, |probe| if probe % 3 == 2 { Err(REFUSED) } else { well(1, 2) });
    let day = world.now.monotonic - START.monotonic;
    assert!(day > Duration::from_secs(86_300), "{day:?}");
    assert_eq!(world.causes(), ["first result: well", "3 failures counted: connect refused"]);
    assert_eq!(world.verdict(), Verdict::Down);
}

#[test]
fn h2_no_regular_pattern_goes_on_flapping() {
    for every in 2..40 {
        let mut world = World::one();
        world.probes(24 * 720, |probe| if probe % every == 0 { Err(REFUSED) } else { well(1, 2) });
        let changes = world.transitions.len();
        assert!(changes <= 10, "1 failure in {every}: {changes} transitions");
    }
}

#[test]
fn h5_starts_are_spread_over_the_interval() {
    let mut world = World::new((0..1000).map(target).collect());
    world.probes(3000, |_| well(1, 1));
    let mut tenths = [0; 10];
    let begin = world.now.monotonic;
    while world.now.monotonic < begin + INTERVAL {
        world.now = world.now.after(world.board.poll_timeout(world.now).unwrap());
        for order in world.board.poll_due(world.now) {
            let at = (world.now.monotonic - begin).as_secs_f64() / INTERVAL.as_secs_f64();
            tenths[((at * 10.0) as usize).min(9)] += 1;
            world.board.observe(Observation::local(order, well(1, 1)), world.now);
        }
    }
    assert!(tenths.iter().all(|starts| (60..=140).contains(starts)), "{tenths:?}");
}

#[test]
fn h5_a_late_probe_is_skipped_and_counted_and_never_piled_up() {
    let mut world = World::new((0..10).map(target).collect());
    world.probes(50, |_| well(1, 1));
    assert_eq!(world.board.counters().late_skipped, 0);
    // The process stands still for a minute.
    world.now = world.now.after(Duration::from_secs(60));
    let orders = world.board.poll_due(world.now);
    assert_eq!(orders.len(), 10, "each target once, not twelve times");
    let skipped = world.board.counters().late_skipped;
    assert!((100..=120).contains(&skipped), "{skipped}");
    assert_eq!(world.board.poll_due(world.now), []);
}

#[test]
fn h5_an_order_that_is_never_answered_is_given_up() {
    let mut board = Board::new(spec(vec![target(1)]), BoardLimits { under_way_max: 1 }, START, 1);
    let lost = board.poll_due(START)[0];
    let mut now = START;
    let mut orders = Vec::new();
    while orders.is_empty() {
        now = now.after(board.poll_timeout(now).unwrap());
        orders = board.poll_due(now);
    }
    assert!(now.monotonic - START.monotonic <= INTERVAL * 2);
    assert_eq!(board.counters().lost, 1);
    board.observe(Observation::local(lost, well(1, 1)), now);
    assert_eq!(board.counters().stray, 1);
    assert_eq!(board.under_way(), 1);
    assert_eq!(board.table().address(AddressId(0)).verdict, Verdict::Unknown);
}

#[test]
fn h6_averages_rise_at_once_and_fall_slowly() {
    let mut world = World::one();
    let latency = |world: &World| world.board.status(TargetId(0), world.now).unwrap().latency.unwrap();
    assert_eq!(world.board.status(TargetId(0), world.now).unwrap().latency, None);
    world.probes(20, |_| well(10, 20));
    assert_eq!(latency(&world).connect, Duration::from_millis(10));
    world.probes(1, |_| well(90, 200));
    assert_eq!(latency(&world).connect, Duration::from_millis(90));
    assert_eq!(latency(&world).first_byte, Some(Duration::from_millis(200)));
    world.probes(1, |_| well(10, 20));
    assert!(latency(&world).connect > Duration::from_millis(70));
    world.probes(40, |_| well(10, 20));
    assert!(latency(&world).connect < Duration::from_millis(11));
    assert_eq!(latency(&world).samples, 62);
    world.now = world.now.after(Duration::from_secs(2));
    assert_eq!(latency(&world).age, Duration::from_secs(2));
}

#[test]
fn h7_the_ttl_bound_is_the_time_until_the_verdict_can_change() {
    let mut world = World::one();
    let mut bounds = Vec::new();
    for letter in "SFSFFSFSS".chars() {
        world.pattern(&letter.to_string());
        bounds.push(world.bound());
    }
    // Up; 1 failure; 1; 2; down: 4 are needed, as it was well between the failures; 3; 4; 3; 2.
    let expected = [None, Some(10), Some(10), Some(5), Some(20), Some(15), Some(20), Some(15), Some(10)];
    assert_eq!(bounds, expected);
    assert_eq!(World::one().bound(), Some(5), "the first result alone gives the verdict");
}

#[test]
fn h13_missing_data_is_stale_then_unknown_and_never_down() {
    let mut world = World::one();
    world.probes(3, |_| well(1, 1));
    // From now on this node cannot probe.
    world.probes(2, |_| Err(Failure::NotRun(NotRun::Exhausted)));
    assert!(!world.board.status(TargetId(0), world.now).unwrap().stale);
    world.probes(2, |_| Err(Failure::NotRun(NotRun::Exhausted)));
    assert!(world.board.status(TargetId(0), world.now).unwrap().stale);
    assert_eq!(world.verdict(), Verdict::Up);
    let why = world.board.status(TargetId(0), world.now).unwrap().last_failure;
    assert_eq!(why, Some(Failure::NotRun(NotRun::Exhausted)));
    world.probes(55, |_| Err(Failure::NotRun(NotRun::Exhausted)));
    assert_eq!(world.verdict(), Verdict::Up);
    world.probes(5, |_| Err(Failure::NotRun(NotRun::Exhausted)));
    assert_eq!(world.verdict(), Verdict::Unknown);
    let last = world.transitions.last().unwrap();
    assert_eq!((last.from, last.to), (Verdict::Up, Verdict::Unknown));
    assert!(last.cause.starts_with("no result for 30"), "{}", last.cause);
    world.pattern("F");
    assert_eq!(world.verdict(), Verdict::Down);
}

#[test]
fn t1_a_reload_carries_history_by_identity_and_never_by_number() {
    let mut world = World::new(vec![target(1), target(2)]);
    let first = world.board.poll_due(world.now);
    world.board.observe(Observation::local(first[0], well(1, 1)), world.now);
    world.board.observe(Observation::local(first[1], Err(REFUSED)), world.now);
    world.probes(2, |_| Err(REFUSED));
    let orders: Vec<ProbeOrder> = loop {
        world.now = world.now.after(world.board.poll_timeout(world.now).unwrap());
        let orders = world.board.poll_due(world.now);
        if !orders.is_empty() {
            break orders;
        }
    };
    let before = world.board.generation();
    let limits = BoardLimits { under_way_max: 8 };
    let mut targets = vec![target(3), target(2), target(1)];
    targets[2].label = "renamed".to_owned();
    targets[2].monitor = MonitorId(4);
    world.board = world.board.succeed(spec(targets), limits, world.now);
    assert!(world.board.generation() > before);
    let verdicts = |board: &Board| board.table().addresses.iter().map(|t| t.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(&world.board), [Verdict::Unknown, Verdict::Down, Verdict::Up]);
    assert!(!world.board.first_round_done());
    // A probe under way over the reload counts for whom it was meant.
    let moved = if orders[0].target == TargetId(0) { TargetId(2) } else { TargetId(1) };
    world.now = world.now.after(Duration::from_millis(1));
    world.board.observe(Observation::local(orders[0], Err(REFUSED)), world.now);
    let age = |target| world.board.status(target, world.now).unwrap().age;
    assert_eq!(age(moved), Some(Duration::ZERO));
    // Without the target its outcome is nobody's, and no stray.
    let due = world.board.poll_due(world.now);
    assert_eq!(due.iter().map(|order| order.target).collect::<Vec<_>>(), [TargetId(0)]);
    world.board = world.board.succeed(spec(vec![target(9)]), limits, world.now);
    world.board.observe(Observation::local(due[0], Err(REFUSED)), world.now);
    assert_eq!(verdicts(&world.board), [Verdict::Unknown]);
    assert_eq!(world.board.counters().stray, 0);
}

#[test]
fn t3_a_step_of_the_wall_clock_changes_no_health() {
    let mut world = World::one();
    world.pattern("SSFSS");
    let before = world.board.table();
    for step in [0, 86_400, 4_000_000_000] {
        world.now.wall = Duration::from_secs(step);
        assert!(world.board.poll_due(world.now).is_empty());
        assert_eq!(world.board.table(), before);
    }
}

/// Two regions under one monitor, each with two targets.
fn two_regions() -> World {
    let mut targets: Vec<TargetSpec> = (0..4).map(target).collect();
    targets[2].region = RegionId(1);
    targets[3].region = RegionId(1);
    World::new(targets)
}

/// Runs `rounds` intervals with the given own times by target; NAN is a failure.
fn rounds(world: &mut World, rounds: u64, own_ms: [f64; 4]) {
    let until = world.now.monotonic + INTERVAL * u32::try_from(rounds).unwrap();
    while world.now.monotonic < until {
        world.now = world.now.after(world.board.poll_timeout(world.now).unwrap());
        for order in world.board.poll_due(world.now) {
            let own = own_ms[order.target.index()];
            let outcome = if own.is_nan() { Err(REFUSED) } else { well(40, 40 + own as u64) };
            world.board.observe(Observation::local(order, outcome), world.now);
        }
    }
}

fn published(world: &World) -> [u16; 2] {
    let table = world.board.table();
    [0, 1].map(|region| table.service_time_ms(RegionId(region), MonitorId(0)))
}

#[test]
fn service_times_follow_a_lasting_change_and_nothing_else() {
    let mut world = two_regions();
    rounds(&mut world, 10, [4.0, 8.0, 100.0, 60.0]);
    assert_eq!(published(&world), [0, 80], "a small one is within the hysteresis of zero");
    // One odd probe each moves nobody.
    world.probes(4, |_| well(40, 940));
    rounds(&mut world, 10, [4.0, 8.0, 100.0, 60.0]);
    assert_eq!(published(&world), [0, 80]);
    // Neither does a lasting change below 20 %.
    rounds(&mut world, 20, [14.0, 14.0, 110.0, 80.0]);
    assert_eq!(published(&world), [0, 80]);
    // A lasting one is followed, both ways.
    rounds(&mut world, 20, [200.0, 200.0, 20.0, 20.0]);
    let [slow, quick] = published(&world);
    assert!((165..=200).contains(&slow) && (20..=35).contains(&quick), "{slow} {quick}");
    // A target that is down says nothing of the region's speed.
    let generation = world.board.generation();
    rounds(&mut world, 3, [f64::NAN, 200.0, 20.0, 20.0]);
    assert!(world.board.generation() > generation);
    assert_eq!(published(&world), [slow, quick]);
}

#[test]
fn service_times_are_carried_over_a_reload() {
    let mut world = two_regions();
    rounds(&mut world, 20, [300.0, 300.0, 0.0, 0.0]);
    let [slow, _] = published(&world);
    let mut targets: Vec<TargetSpec> = (0..4).map(target).collect();
    for (index, target) in targets.iter_mut().enumerate() {
        target.region = RegionId(if index < 2 { 5 } else { 3 });
    }
    world.board = world.board.succeed(spec(targets), BoardLimits { under_way_max: 8 }, world.now);
    let table = world.board.table();
    assert!(slow > 0);
    assert_eq!(table.service_time_ms(RegionId(5), MonitorId(0)), slow);
    assert_eq!(table.service_time_ms(RegionId(3), MonitorId(0)), 0);
}

#[test]
fn strays_are_counted_and_change_nothing() {
    let mut world = World::one();
    let order = ProbeOrder { target: TargetId(0), ticket: Ticket(99) };
    world.board.observe(Observation::local(order, Err(REFUSED)), world.now);
    assert_eq!((world.verdict(), world.board.counters().stray), (Verdict::Unknown, 1));
}

/// The same cases in every run.
fn repeatable(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(5);
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(repeatable(100))]

    /// Whatever the number of targets, the bound and the time probes take: the bound is kept, nobody
    /// starves, and where there is room no two starts are more than interval plus jitter apart.
    #[test]
    fn h5_bounded_and_fair(
        count in 1usize..60,
        under_way_max in 1usize..20,
        takes_ms in 1u64..2000,
        seed: u64,
    ) {
        let targets = (0..count as u32).map(target).collect();
        let mut board = Board::new(spec(targets), BoardLimits { under_way_max }, START, seed);
        let mut now = START;
        let mut running: VecDeque<(Now, ProbeOrder)> = VecDeque::new();
        let mut starts = vec![Vec::new(); count];
        let takes = Duration::from_millis(takes_ms);
        while now.monotonic < START.monotonic + INTERVAL * 40 {
            let wake = board.poll_timeout(now).map(|timeout| now.after(timeout));
            let ends = running.front().map(|(at, _)| *at);
            now = wake.into_iter().chain(ends).min().unwrap();
            while running.front().is_some_and(|(at, _)| *at <= now) {
                let (_, order) = running.pop_front().unwrap();
                board.observe(Observation::local(order, Ok(Timings {
                    connect: takes, tls: None, first_byte: None, total: takes,
                })), now);
            }
            for order in board.poll_due(now) {
                running.push_back((now.after(takes), order));
                starts[order.target.index()].push(now.monotonic);
            }
            prop_assert!(running.len() <= under_way_max);
            prop_assert_eq!(board.under_way(), running.len());
        }
        // What one round of everybody takes at least, if that is longer than the interval.
        let round = takes.mul_f64((count as f64 / under_way_max as f64).ceil());
        let roomy = round < INTERVAL.mul_f64(0.5);
        for starts in &starts {
            let wait = if roomy { round } else { round + INTERVAL };
            let bound = INTERVAL.mul_f64(1.2) + wait;
            let gaps: Vec<Duration> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let longest = gaps.iter().max().copied().unwrap_or_default();
            prop_assert!(longest <= bound, "{longest:?} {round:?}");
        }
        if roomy {
            prop_assert_eq!(board.counters().late_skipped, 0);
            let expected = 40.0;
            for starts in &starts {
                let shortest = starts[2..].windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
                prop_assert!(shortest + round >= INTERVAL.mul_f64(0.8), "{shortest:?} {round:?}");
                prop_assert!((starts.len() as f64 - expected).abs() <= 2.0, "{} starts", starts.len());
            }
        }
        prop_assert_eq!(board.counters().lost, 0);
    }

    /// Random results: whatever comes, counters and bounds stay in range.
    #[test]
    fn h2_h7_bounds_hold_for_any_history(results in prop::collection::vec(0u8..4, 1..400)) {
        let mut world = World::one();
        world.probes(results.len(), |probe| match results[probe] {
            0 => Err(REFUSED),
            1 => Err(Failure::NotRun(NotRun::Exhausted)),
            _ => well(1, 1),
        });
        let health = world.board.table().address(AddressId(0));
        match health.verdict {
            Verdict::Up => prop_assert!(health.ttl_bound_s.is_none_or(|s| (5..=10).contains(&s))),
            Verdict::Down => prop_assert!(health.ttl_bound_s.is_some_and(|s| (5..=160).contains(&s))),
            Verdict::Unknown => prop_assert_eq!(health.ttl_bound_s, Some(5)),
        }
    }
}
