//! H10 and H11 on a whole board: who comes back how, and what is not believed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;
use std::time::Duration;

use super::fixture::{FOUR, LIMITS, Theatre, fleet, s};
use crate::health::{
    BoardSpec, Cause, Check, Command, FailbackMode, FailbackSpec, Forced, OverrideKind, Refusal, Share,
    ShareCause, TargetAddress, TargetSpec, TcpCheck, Verdict,
};
use crate::ids::{MonitorId, RegionId, TargetId};

const TWO: &str = "web/a a\n web/b b";

fn with(lines: &str, hold: u64, ramp: u64, mode: FailbackMode) -> BoardSpec {
    let mut spec = fleet(lines);
    let failback = FailbackSpec { hold: s(hold), ramp: s(ramp), mode };
    spec.endpoints.iter_mut().for_each(|endpoint| endpoint.failback = failback);
    spec
}

fn down_and_up(t: &mut Theatre, endpoint: &str) {
    t.fail(endpoint);
    t.pass(s(20));
    assert_eq!(t.standing(endpoint).verdict, Verdict::Down);
    t.mend(endpoint);
    t.pass(s(12));
    assert_eq!(t.standing(endpoint).verdict, Verdict::Up);
}

fn share(t: &Theatre) -> (u16, ShareCause) {
    let share = t.standing("web/a").share;
    (share.permille, share.why)
}

#[test]
fn h10_a_recovery_holds_then_ramps_then_has_everybody() {
    let mut t = Theatre::of(with(TWO, 300, 600, FailbackMode::Auto));
    assert_eq!(t.standing("web/a").share, Share::FULL, "the first verdict is no recovery");
    down_and_up(&mut t, "web/a");
    assert_eq!(share(&t), (0, ShareCause::Hold));
    assert!(t.heard("failback-hold: web/a 192.0.2.0 must stay well for 300 s"));
    t.pass(s(285));
    assert_eq!(share(&t), (0, ShareCause::Hold));
    t.pass(s(15));
    assert_eq!(share(&t), (47, ShareCause::Ramp));
    assert!(t.heard("failback-ramp: web/a 192.0.2.0 takes its share within 600 s"));
    t.pass(s(300));
    let (permille, _) = share(&t);
    assert!((500..=530).contains(&permille), "{permille}");
    let step_at = t.standing("web/a").share.step_at.unwrap();
    assert!(step_at > t.now.monotonic && step_at <= t.now.monotonic + s(30));
    t.pass(s(300));
    assert_eq!(share(&t), (1000, ShareCause::Full));
    assert!(t.heard("failback-done"));
}

#[test]
fn h10_a_relapse_starts_over() {
    let mut t = Theatre::of(with(TWO, 300, 600, FailbackMode::Auto));
    down_and_up(&mut t, "web/a");
    t.pass(s(400));
    assert_eq!(share(&t).1, ShareCause::Ramp);
    t.fail("web/a");
    t.pass(s(20));
    t.mend("web/a");
    t.pass(s(60));
    assert_eq!(t.standing("web/a").verdict, Verdict::Up);
    assert_eq!(share(&t), (0, ShareCause::Hold));
}

#[test]
fn h10_manual_failback_waits_for_an_operator() {
    let mut t = Theatre::of(with(TWO, 0, 0, FailbackMode::Manual));
    down_and_up(&mut t, "web/a");
    t.pass(s(86_400));
    assert_eq!(share(&t), (0, ShareCause::Manual));
    assert!(t.heard("failback-waits: web/a 192.0.2.0 is well and waits for an operator"));
    let approve =
        |selector: &str| Command::Approve { selector: selector.parse().unwrap(), actor: "ann".into() };
    assert_eq!(t.command(approve("web/b")), Err(Refusal::NothingWaits));
    t.command(approve("region:a")).unwrap();
    assert_eq!(share(&t), (1000, ShareCause::Full));
    assert!(t.heard("approved: ann lets region:a back (1 waiting)"));
}

#[test]
fn h10_the_end_of_an_override_is_a_way_back_too() {
    let mut t = Theatre::of(with(TWO, 300, 600, FailbackMode::Manual));
    t.drain("web/a").unwrap();
    t.pass(s(60));
    t.remove("web/a").unwrap();
    assert_eq!(share(&t), (0, ShareCause::Hold));
    t.pass(s(301));
    assert_eq!(share(&t).1, ShareCause::Ramp, "the operator has spoken already");
    // Half a drain taken back is half a way.
    let mut t = Theatre::of(with(TWO, 300, 600, FailbackMode::Auto));
    t.set(OverrideKind::Drain { over: Some(s(600)) }, "web/a").unwrap();
    t.pass(s(300));
    let drained_to = t.endpoint("web/a").share.permille;
    t.remove("web/a").unwrap();
    let (permille, why) = share(&t);
    assert_eq!(why, ShareCause::Ramp);
    assert!(permille >= drained_to && permille < drained_to + 96, "{drained_to} {permille}");
}

#[test]
fn h10_failback_is_kept_over_a_reload() {
    let spec = with(TWO, 300, 600, FailbackMode::Auto);
    let mut t = Theatre::of(spec.clone());
    down_and_up(&mut t, "web/a");
    t.pass(s(200));
    t.board = t.board.clone().succeed(Arc::new(spec), LIMITS, t.now);
    assert_eq!(share(&t), (0, ShareCause::Hold));
    t.pass(s(100));
    assert_eq!(share(&t).1, ShareCause::Ramp);
}

/// Falls far enough apart to be unrelated.
fn one_by_one(t: &mut Theatre, endpoints: &str) {
    for endpoint in endpoints.split_whitespace() {
        t.fail(endpoint);
        t.pass(s(30));
    }
}

#[test]
fn h11_past_the_cap_the_last_good_state_is_frozen_and_one_alert_is_raised() {
    let mut t = Theatre::new(FOUR);
    one_by_one(&mut t, "web/a1 web/a2 web/b1 web/b2 web/c1");
    assert_eq!(t.frozen(0), Vec::<String>::new());
    one_by_one(&mut t, "web/c2 web/d1");
    assert_eq!(t.frozen(0), ["web/c2", "web/d1"]);
    assert_eq!(t.standing("web/c2").verdict, Verdict::Down, "the verdict itself is told as it is");
    assert_eq!(t.told.iter().filter(|line| line.starts_with("frozen")).count(), 1);
    assert!(t.heard(
        "frozen: service www (IPv4): 1 down of capacity 1 count as up; 5 of 8 is removed already, and beyond the first region at most 50 % may be"
    ));
    // Time makes room for one, a recovery for the other.
    t.pass(s(600));
    assert_eq!(t.frozen(0), ["web/d1"]);
    t.mend("web/d1");
    t.pass(s(30));
    assert_eq!(t.frozen(0), Vec::<String>::new());
    assert!(t.heard("thawed: service www (IPv4): nothing is held any more"));
}

#[test]
fn h11_an_operator_accepts_what_is_held() {
    let mut t = Theatre::new(FOUR);
    let release =
        |service: Option<&str>| Command::Release { service: service.map(str::to_owned), actor: "ann".into() };
    assert_eq!(t.command(release(None)), Err(Refusal::NothingFrozen));
    assert!(matches!(t.command(release(Some("web"))), Err(Refusal::NoService(_))));
    one_by_one(&mut t, "web/a1 web/a2 web/b1 web/b2 web/c1 web/c2");
    t.command(release(Some("www"))).unwrap();
    assert_eq!(t.frozen(0), Vec::<String>::new());
    assert!(t.heard("released: ann accepts what is held for www: 1 down"));
}

#[test]
fn h11_families_are_governed_apart() {
    let mut t = Theatre::new("web/a a 46\n web/b b 46\n web/c c 46");
    for address in ["web/a 2001:db8::1", "web/b 2001:db8::3", "web/c 2001:db8::5"] {
        t.fail("");
        t.failing.insert(address.to_owned());
        t.pass(s(30));
    }
    assert_eq!(t.frozen(0), ["web/c"], "one region, half of the others, and no more");
    t.failing.insert("web/a 192.0.2.0".to_owned());
    t.pass(s(30));
    assert_eq!(t.frozen(0), ["web/c"], "IPv4 has lost nothing yet");
}

#[test]
fn h11_three_regions_within_one_interval_are_not_believed_and_the_first_is() {
    let mut t = Theatre::new(FOUR);
    t.fail("web/a1 web/a2 web/b1 web/b2 web/c1 web/c2");
    t.pass(s(30));
    assert_eq!(t.board.distrust(), Some(Cause::Regions));
    let frozen = t.frozen(0);
    assert_eq!(frozen.len(), 4, "one region has left: {frozen:?}");
    assert!(t.heard("fell within one interval: more likely it is this node"));
    // Two of the three come back.
    t.mend(&frozen.join(" "));
    t.pass(s(30));
    assert_eq!(t.board.distrust(), None);
    assert_eq!(t.frozen(0), Vec::<String>::new());
    assert!(t.heard("trust: verdicts are believed again"));
}

#[test]
fn h11_distrust_is_bounded_and_can_be_ended() {
    let all = "web/a1 web/a2 web/b1 web/b2 web/c1 web/c2";
    let mut t = Theatre::new(FOUR);
    t.fail(all);
    t.pass(s(30));
    t.pass(s(600));
    assert_eq!(t.board.distrust(), None, "then the governor alone decides");
    assert_eq!(t.frozen(0).len(), 1);
    let mut t = Theatre::new(FOUR);
    t.fail(all);
    t.pass(s(30));
    t.command(Command::Release { service: None, actor: "ann".into() }).unwrap();
    assert_eq!((t.board.distrust(), t.frozen(0).len()), (None, 0));
}

#[test]
fn h11_two_regions_and_canaries_that_are_well_are_believed() {
    let run = |canary_fails: bool| {
        let mut spec = fleet("web/a a\n web/b b");
        let mut targets = spec.targets.to_vec();
        targets.push(TargetSpec {
            address: TargetAddress::Address([198, 51, 100, 1].into()),
            check: Check::Tcp(TcpCheck::connect(443)),
            cadence: super::fixture::cadence(),
            monitor: MonitorId(0),
            region: RegionId(0),
            label: "canary 198.51.100.1".to_owned(),
        });
        spec.targets = targets.into();
        spec.canaries = Box::new([TargetId(2)]);
        let mut t = Theatre::of(spec);
        t.fail(if canary_fails { "web/a web/b canary" } else { "web/a web/b" });
        t.pass(s(30));
        t
    };
    let t = run(false);
    assert_eq!((t.board.distrust(), t.frozen(0).len()), (None, 1));
    let mut t = run(true);
    assert_eq!((t.board.distrust(), t.frozen(0).len()), (Some(Cause::Canaries), 2));
    t.mend("canary");
    t.pass(s(30));
    assert_eq!((t.board.distrust(), t.frozen(0).len()), (None, 1));
}

#[test]
fn h11_one_region_is_not_delayed() {
    let mut t = Theatre::new(FOUR);
    t.fail("web/a1 web/a2");
    t.pass(Duration::from_millis(17_500));
    assert_eq!(t.standing("web/a1").verdict, Verdict::Down);
    assert_eq!(t.standing("web/a2").verdict, Verdict::Down);
    assert_eq!(t.frozen(0), Vec::<String>::new());
    assert_eq!(t.endpoint("web/a1").forced, Forced::Not);
}

#[test]
fn h11_the_governor_is_kept_over_a_reload() {
    let mut t = Theatre::new(FOUR);
    one_by_one(&mut t, "web/a1 web/a2 web/b1 web/b2 web/c1 web/c2");
    assert_eq!(t.frozen(0), ["web/c2"]);
    t.board = t.board.clone().succeed(Arc::new(fleet(FOUR)), LIMITS, t.now);
    assert_eq!(t.frozen(0), ["web/c2"]);
    // A service that comes new over what is down was never the better for it.
    let mut spec = fleet(FOUR);
    spec.services[0].name = "new".into();
    t.board = t.board.clone().succeed(Arc::new(spec), LIMITS, t.now);
    assert_eq!(t.frozen(0), Vec::<String>::new());
}
