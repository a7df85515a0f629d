//! T2 and H4's push: what a restart keeps, and verdicts that are posted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use super::Board;
use super::fixture::{FOUR, LIMITS, START, Theatre, fleet, s, set};
use crate::health::{
    BoardSpec, Check, FailbackMode, FailbackSpec, Forced, OverrideKind, Refusal, Selector, ShareCause,
    Verdict,
};
use crate::now::Now;

/// Another process takes over after `away`; its monotonic clock is its own.
fn restart(t: &Theatre, spec: BoardSpec, away: Duration) -> Theatre {
    let left = t.board.remember(t.now);
    let now = Now { monotonic: START.monotonic + s(7), wall: t.now.wall + away };
    let mut board = Board::new(Arc::new(spec), LIMITS, now, 9);
    board.restore(&left, now);
    let mut next = Theatre::with(board, now);
    next.failing = t.failing.clone();
    next
}

#[test]
fn t2_a_restart_keeps_overrides_verdicts_counters_and_averages() {
    let mut t = Theatre::new(FOUR);
    t.command(set(OverrideKind::Drain { over: None }, "region:a", Some(s(600)), false)).unwrap();
    t.set(OverrideKind::Drain { over: Some(s(600)) }, "web/c1").unwrap();
    t.fail("web/b1");
    t.pass(s(60));
    let mut after = restart(&t, fleet(FOUR), s(3));
    assert!(after.board.restored_fresh(), "younger than three intervals: nobody waits for probes (H1)");
    assert!(after.board.first_round_done());
    assert_eq!(after.endpoint("web/a1").forced, Forced::Drained);
    assert_eq!(after.standing("web/b1").verdict, Verdict::Down);
    assert_eq!(after.endpoint("web/c1").share.why, ShareCause::Draining);
    let share = |t: &Theatre| t.endpoint("web/c1").share.permille;
    assert!(share(&after) <= share(&t) && share(&after) + 60 > share(&t));
    let latency = after.board.status(crate::ids::TargetId(0), after.now).unwrap().latency.unwrap();
    assert_eq!(latency.connect, Duration::from_millis(10));
    assert!(latency.samples > 5);
    // It is down still, by one further failure or by none: nothing is counted anew.
    after.pass(s(10));
    assert_eq!(after.transitions, []);
    after.mend("web/b1");
    after.pass(s(11));
    assert_eq!(after.standing("web/b1").verdict, Verdict::Up, "by `rise` successes");
    // The rest of the ten minutes.
    after.pass(s(600 - 63 - 22));
    assert_eq!(after.endpoint("web/a1").forced, Forced::Drained);
    after.pass(s(3));
    assert_eq!(after.endpoint("web/a1").forced, Forced::Not);
    // Numbers go on.
    assert_eq!(after.drain("web/d1").unwrap().set.unwrap().0, 3);
}

#[test]
fn t2_relapses_are_remembered() {
    let mut t = Theatre::new(FOUR);
    for _ in 0..3 {
        t.fail("web/a1");
        t.pass(s(20));
        t.mend("web/a1");
        t.pass(s(60));
    }
    let mut after = restart(&t, fleet(FOUR), s(1));
    after.fail("web/a1");
    after.pass(s(20));
    let status = after.board.status(crate::ids::TargetId(0), after.now).unwrap();
    assert!(status.successes_needed >= 8, "{status:?}");
}

#[test]
fn h1_verdicts_older_than_three_intervals_are_none() {
    let mut t = Theatre::new(FOUR);
    t.fail("web/b1");
    t.pass(s(60));
    let after = restart(&t, fleet(FOUR), s(60));
    assert!(!after.board.restored_fresh() && !after.board.first_round_done());
    assert_eq!(after.standing("web/b1").verdict, Verdict::Unknown);
    // A wall clock that has gone back says nothing of how long it was.
    let left = t.board.remember(t.now);
    let now = Now { monotonic: START.monotonic, wall: t.now.wall - s(3600) };
    let mut board = Board::new(Arc::new(fleet(FOUR)), LIMITS, now, 9);
    board.restore(&left, now);
    assert!(board.restored_fresh());
}

#[test]
fn t2_overrides_whose_time_is_over_end_at_the_start_and_unknown_ones_sleep() {
    let mut t = Theatre::new(FOUR);
    t.command(set(OverrideKind::ForceDown, "web/a1", Some(s(600)), false)).unwrap();
    t.drain("web/b1").unwrap();
    let mut after = restart(&t, fleet("web/x x\n web/y y"), s(3600));
    after.listen();
    assert!(after.heard("override-expired"));
    assert_eq!(after.board.overrides().len(), 1);
    assert!(after.board.overrides()[0].is_dormant());
    let again = restart(&after, fleet(FOUR), s(1));
    assert_eq!(again.endpoint("web/b1").forced, Forced::Drained);
}

#[test]
fn t2_failback_and_the_governor_go_on_after_a_restart() {
    let mut spec = fleet(FOUR);
    let failback = FailbackSpec { hold: s(300), ramp: s(600), mode: FailbackMode::Auto };
    spec.endpoints.iter_mut().for_each(|endpoint| endpoint.failback = failback);
    let mut t = Theatre::of(spec.clone());
    for endpoint in ["web/a1", "web/a2", "web/b1", "web/b2", "web/c1", "web/c2", "web/d1"] {
        t.fail(endpoint);
        t.pass(s(30));
    }
    assert_eq!(t.frozen(0), ["web/c2", "web/d1"]);
    t.mend("web/d1");
    t.pass(s(100));
    assert_eq!(t.standing("web/d1").share.why, ShareCause::Hold);
    let mut after = restart(&t, spec, s(2));
    assert_eq!(after.frozen(0), ["web/c2"]);
    assert_eq!(after.standing("web/d1").share.why, ShareCause::Hold);
    after.pass(s(220));
    assert_eq!(after.standing("web/d1").share.why, ShareCause::Ramp);
}

/// `web/a` is told of, `web/b` is probed.
fn pushed() -> BoardSpec {
    let mut spec = fleet("web/a a\n web/b b");
    spec.targets[0].check = Check::Push { ttl: s(60) };
    spec
}

#[test]
fn h4_h13_a_posted_verdict_counts_at_once_and_is_unknown_when_it_is_old() {
    let mut t = Theatre::of(pushed());
    assert!(t.board.first_round_done(), "nobody waits for what nobody probes");
    assert_eq!(t.standing("web/a").verdict, Verdict::Unknown);
    let selector = |text: &str| text.parse::<Selector>().unwrap();
    let post = |t: &mut Theatre, verdict, ttl| {
        let (selector, now) = (selector("web/a"), t.now);
        let outcome = t.board.post(&selector, verdict, ttl, "batch", now);
        t.listen();
        outcome
    };
    assert_eq!(post(&mut t, Verdict::Down, None), Ok(1));
    assert_eq!(t.standing("web/a").verdict, Verdict::Down);
    assert_eq!(t.transitions.last().unwrap().cause, "posted by batch");
    assert!(t.heard("posted: batch says that web/a is down (1 checks)"));
    post(&mut t, Verdict::Up, Some(s(3600))).unwrap();
    t.pass(s(58));
    assert_eq!(t.standing("web/a").verdict, Verdict::Up);
    t.pass(s(3));
    assert_eq!(t.standing("web/a").verdict, Verdict::Unknown, "at most for the monitor's own time");
    assert_eq!(t.transitions.last().unwrap().cause, "the verdict posted holds no longer");
    // Down and silent: unknown, never down (H13).
    post(&mut t, Verdict::Down, Some(s(10))).unwrap();
    t.pass(s(12));
    assert_eq!(t.standing("web/a").verdict, Verdict::Unknown);
    let now = t.now;
    assert_eq!(
        t.board.post(&selector("web/b"), Verdict::Up, None, "batch", now),
        Err(Refusal::NoPush(selector("web/b")))
    );
    // It outlives a restart for as long as it holds.
    post(&mut t, Verdict::Down, None).unwrap();
    let mut after = restart(&t, pushed(), s(50));
    assert_eq!(after.standing("web/a").verdict, Verdict::Down);
    after.pass(s(12));
    assert_eq!(after.standing("web/a").verdict, Verdict::Unknown);
}

#[test]
fn h7_a_region_that_dies_right_after_the_start_is_down_in_time_too() {
    for seed in 0..200 {
        let board = Board::new(Arc::new(fleet(FOUR)), LIMITS, START, seed);
        let mut t = Theatre::with(board, START);
        t.pass(Duration::from_millis(1));
        t.fail("web/a1 web/a2 web/b1 web/b2");
        // Interval x fall, jitter at first and at last, and no timeout: failures are seen at once.
        t.pass(s(15) + Duration::from_millis(1000));
        for endpoint in ["web/a1", "web/a2", "web/b1", "web/b2"] {
            assert_eq!(t.standing(endpoint).verdict, Verdict::Down, "{endpoint} with seed {seed}");
        }
    }
}

#[test]
fn t3_clocks_that_jump_an_hour_change_no_health() {
    let mut t = Theatre::new(FOUR);
    t.fail("web/b1");
    t.pass(s(30));
    let before = t.board.table();
    let transitions = t.transitions.len();
    for forward in [true, false, false, true] {
        t.now.wall = if forward { t.now.wall + s(3600) } else { t.now.wall - s(3600) };
        t.pass(s(30));
        assert_eq!(t.board.table(), before);
    }
    assert_eq!(t.transitions.len(), transitions);
}
