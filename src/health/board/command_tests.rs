//! H8 and H9: operators' commands, what stands, what is refused, and when it ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{INTERVAL, LIMITS, Theatre, fleet, s, set};
use crate::health::{
    Command, Forced, MinCapacity, OverrideId, OverrideKind, Part, Refusal, ShareCause, Verdict, Which,
};
use crate::ids::Family;

const DRAIN: OverrideKind = OverrideKind::Drain { over: None };

const SIX: &str = "web/a1 a
    web/a2 a
    web/b1 b
    web/b2 b
    web/c1 c
    web/c2 c";

#[test]
fn h8_overrides_stand_above_verdicts_and_end_when_removed() {
    let mut t = Theatre::new(SIX);
    let receipt = t.drain("region:a").unwrap();
    assert_eq!((receipt.set, receipt.endpoints.len(), receipt.ttl_max_s), (Some(OverrideId(1)), 2, 60));
    assert_eq!(receipt.gone_by(Duration::ZERO), Some(t.now.wall + s(60)));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    assert_eq!(t.standing("web/a1").verdict, Verdict::Up, "the real state is still there");
    assert!(t.heard("override-set: drain 1 of region:a (2 endpoints) by ann: works"));
    t.set(OverrideKind::ForceDown, "web/b1").unwrap();
    assert_eq!(t.endpoint("web/b1").forced, Forced::Down);
    t.remove("region:a").unwrap();
    assert_eq!(t.endpoint("web/a1").forced, Forced::Not);
    assert!(t.heard("override-removed: drain 1 of region:a (2 endpoints) removed by ann: done"));
    assert_eq!(t.remove("region:a"), Err(Refusal::NoOverride(Which::Selector("region:a".parse().unwrap()))));
}

#[test]
fn h8_the_strictest_stands_and_the_latest_of_one_selector() {
    let mut t = Theatre::new(SIX);
    t.drain("region:a").unwrap();
    let receipt = t.set(OverrideKind::ForceUp, "web/a1").unwrap();
    assert_eq!(receipt.outranked.len(), 1, "an endpoint's force-up does not undo the region's drain");
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    t.set(OverrideKind::ForceDown, "web/a?").unwrap();
    assert_eq!(t.endpoint("web/a1").forced, Forced::Down);
    let receipt = t.set(OverrideKind::ForceUp, "web/a?").unwrap();
    assert_eq!(receipt.ended, [OverrideId(3)]);
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    t.remove("region:a").unwrap();
    assert_eq!(t.endpoint("web/a1").forced, Forced::Up);
}

#[test]
fn h8_who_names_nobody_is_told_who_was_perhaps_meant() {
    let mut t = Theatre::new(SIX);
    let refusal = t.drain("region:A1").unwrap_err();
    assert!(refusal.to_string().starts_with("region:A1 names no endpoint; did you mean"), "{refusal}");
    let refusal = t.drain("web/d*").unwrap_err();
    assert!(matches!(refusal, Refusal::NoMatch { .. }));
    assert_eq!(t.board.overrides(), []);
}

#[test]
fn h8_nothing_left_is_refused_by_family_and_as_a_whole_unless_forced() {
    let mut t = Theatre::new("web/a a 46\n web/b b 4\n web/c c 4");
    let Err(Refusal::Harm(short)) = t.drain("web/a") else { panic!() };
    assert_eq!((&*short[0].service, short[0].part), ("www", Part::Lane(Some(Family::V6))));
    assert_eq!(short[0].to_string(), "service www (IPv6): capacity 1 -> 0, nothing is left");
    assert_eq!(t.endpoint("web/a").forced, Forced::Not, "nothing has changed");
    let refusal = t.drain("*").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "too little would be left; service www (all): capacity 3 -> 0, nothing is left"
    );
    let receipt = t.command(set(DRAIN, "*", None, true)).unwrap();
    assert_eq!(receipt.shortfalls.len(), 1);
    assert_eq!(t.endpoint("web/c").forced, Forced::Drained);
}

#[test]
fn h8_the_last_well_one_is_guarded_when_the_others_are_down() {
    let mut t = Theatre::new("web/a a\n web/b b");
    t.fail("web/b");
    t.pass(s(20));
    assert!(matches!(t.drain("region:a"), Err(Refusal::Harm(_))));
    t.drain("region:b").unwrap();
    t.mend("web/b");
    t.pass(s(20));
    assert!(matches!(t.drain("region:a"), Err(Refusal::Harm(_))), "the other is still drained");
}

#[test]
fn h8_min_capacity_is_guarded() {
    let check = |least, refused: bool| {
        let mut spec = fleet(SIX);
        spec.services[0].min_capacity = Some(least);
        let mut t = Theatre::of(spec);
        t.drain("web/a1").unwrap();
        let outcome = t.drain("web/a2");
        assert_eq!(outcome.is_err(), refused, "{least:?} {outcome:?}");
        if let Err(refusal) = outcome {
            assert!(refusal.to_string().contains("(all): capacity 5 -> 4, min_capacity is"), "{refusal}");
        }
    };
    check(MinCapacity::Units(4), false);
    check(MinCapacity::Units(5), true);
    check(MinCapacity::Percent(66), false);
    check(MinCapacity::Percent(67), true);
}

#[test]
fn h8_taking_back_what_holds_a_service_up_is_guarded_too() {
    let mut t = Theatre::new("web/a a\n web/b b");
    t.fail("web/a web/b");
    t.pass(s(20));
    t.set(OverrideKind::ForceUp, "web/a").unwrap();
    assert!(matches!(t.remove("web/a"), Err(Refusal::Harm(_))));
    t.mend("web/b");
    t.pass(s(20));
    t.remove("web/a").unwrap();
}

#[test]
fn h8_the_last_one_that_a_last_resort_has_is_guarded() {
    let mut t = Theatre::new("web/a a\n web/b a");
    t.fail("web/a web/b");
    t.pass(s(20));
    t.set(OverrideKind::ForceDown, "web/a").unwrap();
    assert!(matches!(t.set(OverrideKind::ForceDown, "web/b"), Err(Refusal::Harm(_))));
}

#[test]
fn h8_an_override_ends_when_its_time_is_over() {
    let mut t = Theatre::new(SIX);
    t.command(set(DRAIN, "region:a", Some(s(600)), false)).unwrap();
    let step_at = t.endpoint("web/a1").share.step_at;
    assert_eq!(step_at, Some(t.now.monotonic + s(600)), "the end bounds the TTL (H7)");
    t.pass(s(599));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    t.pass(s(1));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Not);
    assert!(t.heard("override-expired: drain 1 of region:a (2 endpoints) has expired"));
}

#[test]
fn h8_t3_steps_of_the_wall_clock_end_no_override_early_and_prolong_none() {
    // Back: over when its time has passed.
    let mut t = Theatre::new(SIX);
    t.command(set(DRAIN, "region:a", Some(s(600)), false)).unwrap();
    t.now.wall -= s(3600);
    t.pass(s(601));
    assert_eq!(t.board.overrides(), []);
    // Forward and back again within a minute: nothing.
    t.command(set(DRAIN, "region:a", Some(s(600)), false)).unwrap();
    t.now.wall += s(3600);
    t.pass(s(50));
    t.now.wall -= s(3600);
    t.pass(s(100));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    // Forward for good: believed after a minute.
    t.now.wall += s(3600);
    t.pass(s(50));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Drained);
    t.pass(s(20));
    assert_eq!(t.endpoint("web/a1").forced, Forced::Not);
}

#[test]
fn h8_overrides_outlive_reloads_by_name_and_sleep_when_nobody_has_it() {
    let mut t = Theatre::new(SIX);
    t.drain("web/c2").unwrap();
    t.set(OverrideKind::ForceDown, "region:b").unwrap();
    let reload = |t: &mut Theatre, lines: &str| {
        t.board = t.board.clone().succeed(Arc::new(fleet(lines)), LIMITS, t.now);
        t.listen();
    };
    reload(&mut t, "web/c2 c\n web/new b\n web/d d");
    assert_eq!(t.endpoint("web/c2").forced, Forced::Drained);
    assert_eq!(t.endpoint("web/new").forced, Forced::Down);
    reload(&mut t, "web/d d");
    assert!(t.told.iter().any(|line| line.starts_with("override-dormant: drain 1 of web/c2 (0 endpoints)")));
    assert!(t.board.overrides().iter().all(|own| own.is_dormant()));
    reload(&mut t, SIX);
    assert_eq!(t.endpoint("web/c2").forced, Forced::Drained);
}

#[test]
fn h9_a_gradual_drain_falls_step_by_step_and_says_when_it_is_over() {
    let mut t = Theatre::new(SIX);
    let begun = t.now;
    let receipt = t.set(OverrideKind::Drain { over: Some(s(600)) }, "region:a").unwrap();
    assert_eq!(receipt.out_at, Some(begun.after(s(600))));
    assert_eq!(receipt.gone_by(Duration::from_millis(100)).unwrap(), begun.wall + s(660) + s(1) / 10);
    let mut permille = 1000;
    for step in 0..20 {
        let share = t.endpoint("web/a1").share;
        assert!(share.permille < permille && share.permille + 48 >= permille, "{share:?} after {permille}");
        assert_eq!(share.why, ShareCause::Draining);
        assert_eq!(share.step_at, Some(begun.monotonic + s(30) * (step + 1)));
        assert_eq!(t.endpoint("web/a1").forced, Forced::Not);
        permille = share.permille;
        t.pass(s(30));
    }
    assert_eq!((t.endpoint("web/a1").forced, t.endpoint("web/a1").share.permille), (Forced::Drained, 1000));
    assert!(t.heard("drained: drain 1 of region:a (2 endpoints) is complete"));
}

#[test]
fn h9_a_gradual_drain_of_what_is_forced_up_lets_in_a_share_of_it() {
    let mut t = Theatre::new(SIX);
    t.set(OverrideKind::ForceUp, "web/a1").unwrap();
    t.set(OverrideKind::Drain { over: Some(s(600)) }, "region:a").unwrap();
    let state = t.endpoint("web/a1");
    assert_eq!((state.forced, state.share.why), (Forced::Up, ShareCause::Draining));
    t.set(OverrideKind::ForceDown, "web/a1").unwrap();
    assert_eq!(t.endpoint("web/a1").share.permille, 1000);
}

#[test]
fn h9_a_drain_is_judged_by_its_end() {
    let mut t = Theatre::new("web/a a\n web/b b");
    t.set(OverrideKind::Drain { over: Some(s(600)) }, "region:a").unwrap();
    t.pass(INTERVAL);
    assert!(matches!(t.drain("region:b"), Err(Refusal::Harm(_))));
}

#[test]
fn h8_texts_and_numbers_are_bounded() {
    let mut t = Theatre::new("web/a a\n web/b b");
    let Command::Override { kind, selector, actor, expires_in, force, .. } = set(DRAIN, "web/a", None, true)
    else {
        panic!()
    };
    let reason = "x".repeat(501);
    let long = Command::Override { kind, selector, reason, actor, expires_in, force };
    assert_eq!(t.command(long), Err(Refusal::Unfit(500)));
    // All of them name everybody, each in its own way.
    let selector = |number: usize| format!("w?*b/{}", "*".repeat(number % 180 + 1));
    let prefixed = |number: usize| format!("{}{}", ["", "endpoint:"][number / 180 % 2], selector(number));
    for number in 0..360 {
        t.command(set(OverrideKind::ForceUp, &prefixed(number), None, false)).unwrap();
    }
    assert_eq!(t.board.overrides().len(), 360);
}
