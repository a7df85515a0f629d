//! The timers in virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;

use super::timers::{EXPIRE_MAX, LOST_AFTER, expire_of};
use super::{Heard, Limits, Outcome, Soa, Step, Timers};
use crate::now::Now;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Now {
    Now { monotonic: s(seconds), wall: s(1_800_000_000 + seconds) }
}

fn soa(serial: u32) -> Soa {
    Soa { serial, refresh: s(3600), retry: s(600), expire: s(604_800) }
}

fn limits() -> Limits {
    Limits { refresh: s(60)..=s(86_400), retry: s(10)..=s(3600), ..Limits::USUAL }
}

/// Timers of a zone that was confirmed just now, with nothing under way.
fn fresh(primaries: usize) -> Timers {
    let mut timers = Timers::start(&limits(), primaries, Some((soa(1), s(0))), at(0), 0);
    assert_eq!(timers.poll(at(0), 0), Some(Step::Ask(0)));
    timers.finished(Outcome::Same, at(0), 0);
    timers
}

#[test]
fn rfc1034_4_3_5_a_zone_is_checked_each_refresh_and_each_retry_after_a_failure() {
    let mut timers = fresh(1);
    assert_eq!(timers.due(), s(3600));
    assert_eq!(timers.poll(at(3599), 0), None);
    assert_eq!(timers.poll(at(3600), 0), Some(Step::Ask(0)));
    assert_eq!(timers.poll(at(3600), 0), None);
    timers.finished(Outcome::Failed, at(3610), 0);
    assert_eq!(timers.due(), s(4210));
    assert_eq!(timers.poll(at(4210), 0), Some(Step::Ask(0)));
    timers.finished(Outcome::Newer(soa(2)), at(4211), 0);
    assert_eq!((timers.soa().unwrap().serial, timers.due()), (2, s(7811)));
}

#[test]
fn rfc1034_4_3_5_a_zone_expires_and_comes_back() {
    let mut timers = fresh(1);
    let mut asked = 0;
    let mut now = 0;
    while !timers.is_expired() {
        now = timers.due().as_secs_f64().ceil() as u64;
        match timers.poll(at(now), 0) {
            Some(Step::Ask(0)) => {
                asked += 1;
                timers.finished(Outcome::Failed, at(now), 0);
            }
            Some(Step::Expire) => assert!(timers.is_expired()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(now, 604_800);
    assert!(asked > 100, "{asked}");
    // It goes on trying, and one success is enough.
    let due = timers.due().as_secs() + 1;
    assert!(due < 604_800 + 3601, "{due}");
    assert_eq!(timers.poll(at(due), 0), Some(Step::Ask(0)));
    timers.finished(Outcome::Same, at(due), 0);
    assert!(!timers.is_expired());
    assert_eq!(timers.expires_at(), Some(s(due + 604_800)));
}

#[test]
fn rfc1996_3_11_notify_asks_the_one_who_told_at_once() {
    let mut timers = fresh(3);
    assert_eq!(timers.notified(Some(2), Some(1), at(100)), Heard::NothingNew);
    assert_eq!(timers.notified(Some(2), Some(0), at(100)), Heard::NothingNew);
    assert_eq!(timers.poll(at(100), 0), None);
    assert_eq!(timers.notified(Some(2), Some(5), at(100)), Heard::Check);
    assert_eq!(timers.poll(at(100), 0), Some(Step::Ask(2)));
    // What is told meanwhile is looked after when this is done, and only once.
    for _ in 0..1000 {
        assert_eq!(timers.notified(None, None, at(100)), Heard::Check);
    }
    timers.finished(Outcome::Newer(soa(5)), at(100), 0);
    assert_eq!(timers.poll(at(100), 0), None);
    assert_eq!(timers.poll(at(101), 0), Some(Step::Ask(2)));
    timers.finished(Outcome::Same, at(101), 0);
    assert_eq!(timers.due(), s(3701));
}

#[test]
fn primaries_are_tried_in_turn_and_the_round_fails_as_one() {
    let mut timers = fresh(3);
    for primary in 0..3 {
        assert_eq!(timers.poll(at(3600), 0), Some(Step::Ask(primary)));
        assert_eq!(timers.failures(), 0);
        timers.finished(if primary == 1 { Outcome::Behind } else { Outcome::Failed }, at(3600), 0);
    }
    assert_eq!((timers.failures(), timers.due()), (1, s(4200)));
    assert_eq!(timers.poll(at(4200), 0), Some(Step::Ask(0)));
    timers.finished(Outcome::Failed, at(4200), 0);
    assert_eq!(timers.poll(at(4200), 0), Some(Step::Ask(1)));
    timers.finished(Outcome::Same, at(4200), 0);
    // Who was of use is asked first from now on.
    assert_eq!(timers.poll(at(4200 + 3600), 0), Some(Step::Ask(1)));
}

#[test]
fn a_zone_without_data_is_asked_for_soon_and_then_less_often() {
    let mut timers = Timers::start(&limits(), 1, None, at(0), 0);
    let mut pauses = Vec::new();
    let mut now = 0;
    for _ in 0..12 {
        assert_eq!(timers.poll(at(now), 0), Some(Step::Ask(0)));
        timers.finished(Outcome::Failed, at(now), 0);
        pauses.push(timers.due().as_secs() - now);
        now = timers.due().as_secs();
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
    assert_eq!(timers.expires_at(), None);
}

#[test]
fn what_was_stored_counts_from_when_it_was_confirmed() {
    let check = |age, expired, expires: Option<u64>| {
        let timers = Timers::start(&limits(), 1, Some((soa(1), s(age))), at(50), 0);
        assert_eq!((timers.is_expired(), timers.expires_at()), (expired, expires.map(s)), "{age}");
        assert_eq!(timers.age(at(60)), Some(s(age + 10)));
        assert_eq!(timers.due(), s(50));
    };
    check(0, false, Some(50 + 604_800));
    check(604_000, false, Some(850));
    check(604_800, true, None);
    check(10_000_000, true, None);
}

#[test]
fn rfc1912_2_2_an_expiry_below_the_refresh_interval_is_none() {
    let odd = Soa { serial: 1, refresh: s(3600), retry: s(600), expire: s(1) };
    let timers = Timers::start(&limits(), 1, Some((odd, s(0))), at(0), 0);
    assert_eq!(timers.expires_at(), Some(s(4200)));
    let endless = Soa { expire: s(u64::from(u32::MAX)), ..odd };
    let timers = Timers::start(&limits(), 1, Some((endless, s(0))), at(0), 0);
    assert_eq!(timers.expires_at(), Some(EXPIRE_MAX));
}

#[test]
fn a_check_that_is_never_heard_of_again_is_a_failure() {
    let mut timers = fresh(1);
    assert_eq!(timers.poll(at(3600), 0), Some(Step::Ask(0)));
    let lost = timers.due();
    assert_eq!(lost, s(3600) + limits().transfer_timeout + LOST_AFTER);
    assert_eq!(timers.poll(at(lost.as_secs()), 0), None);
    assert_eq!(timers.failures(), 1);
}

#[test]
fn a_jump_of_the_wall_clock_changes_nothing() {
    let mut timers = fresh(1);
    let jumped = |seconds| Now { wall: Duration::ZERO, ..at(seconds) };
    assert_eq!(timers.poll(jumped(3599), 0), None);
    let far = Now { wall: s(u64::from(u32::MAX)), ..at(3599) };
    assert_eq!(timers.poll(far, 0), None);
    assert_eq!(timers.poll(jumped(3600), 0), Some(Step::Ask(0)));
}

/// What happens to timers in the property below.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Wait(u32),
    Finish(u8),
    Notify(Option<usize>, Option<u32>),
    Ask,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..200_000u32).prop_map(Happens::Wait),
        4 => (0..4u8).prop_map(Happens::Finish),
        1 => (proptest::option::of(0..5usize), proptest::option::of(0..20u32))
            .prop_map(|(primary, serial)| Happens::Notify(primary, serial)),
        1 => Just(Happens::Ask),
    ]
}

proptest! {
    /// Whatever happens: one primary is asked at a time, no interval is beyond its bounds, data that nobody
    /// has confirmed for too long are not answered with, and there is always a next step.
    #[test]
    fn timers_keep_their_promises(
        events in proptest::collection::vec((happens(), any::<u64>()), 1..200),
        primaries in 1..4usize,
        times in (0..100_000u32, 0..100_000u32, 0..2_000_000u32),
    ) {
        let times = |serial| Soa {
            serial,
            refresh: s(times.0.into()),
            retry: s(times.1.into()),
            expire: s(times.2.into()),
        };
        let mut now = 0u64;
        let mut timers = Timers::start(&limits(), primaries, None, at(0), 0);
        let mut under_way = None;
        let mut confirmed: Option<u64> = None;
        let mut serial = 0;
        for (event, draw) in events {
            match event {
                Happens::Wait(seconds) => now += u64::from(seconds),
                Happens::Finish(how) if under_way.take().is_some() => {
                    let outcome = match (how, confirmed) {
                        (0, Some(_)) => Outcome::Same,
                        (1, _) => {
                            serial += 1;
                            Outcome::Newer(times(serial))
                        }
                        (2, _) => Outcome::Behind,
                        _ => Outcome::Failed,
                    };
                    if matches!(outcome, Outcome::Same | Outcome::Newer(_)) {
                        confirmed = Some(now);
                    }
                    timers.finished(outcome, at(now), draw);
                }
                Happens::Finish(_) => {}
                Happens::Notify(primary, serial) => {
                    timers.notified(primary.map(|primary| primary % primaries), serial, at(now));
                }
                Happens::Ask => timers.asked(at(now)),
            }
            let mut steps = 0;
            while let Some(step) = timers.poll(at(now), draw) {
                steps += 1;
                prop_assert!(steps < 5);
                if let Step::Ask(primary) = step {
                    prop_assert!(primary < primaries);
                    under_way = Some(primary);
                }
            }
            prop_assert!(timers.due() > s(now), "{timers:?}");
            if let Some(next) = timers.next_check() {
                prop_assert!(next <= s(now + 86_400), "{timers:?}");
                under_way = None;
            } else {
                prop_assert!(under_way.is_some());
            }
            if let Some(at) = confirmed {
                let expire = expire_of(&times(serial), &limits()).as_secs();
                prop_assert_eq!(timers.is_expired(), now >= at + expire);
            }
        }
    }
}
