//! Schedules (R13): which branches may be used when, as a function of the wall clock.
//!
//! A [`Calendar`] is what all schedules say at one moment, and until when. It is an input of a view like
//! the health table; who publishes views makes a new one when the old one has run out.

mod civil;
mod cron;

use std::sync::Arc;
use std::time::Duration;

use crate::ids::ScheduleId;
use crate::now::Now;

pub use civil::{parse_utc, utc_text};
pub use cron::Cron;

/// Windows that follow each other without a gap, looked through in search of an end. Beyond that the end
/// is where the search stopped: there the calendar is asked again.
const JOINS_MAX: usize = 64;

/// The wall clock and the monotonic one may drift apart by so much before a calendar has run out: a
/// switch is at most this late after a step of the clock that nobody saw.
const DRIFT_MAX: Duration = Duration::from_millis(500);

/// A named set of windows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// The name.
    pub name: Box<str>,
    /// It is on while any of them is open.
    pub windows: Box<[Window]>,
}

/// A time, or times, when a schedule is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Window {
    /// Opens whenever the cron expression matches, for so long.
    Cron {
        /// When it opens (UTC).
        starts: Cron,
        /// For how long: at least a minute.
        length: Duration,
    },
    /// Open from one moment to before another, since 1970-01-01T00:00:00Z.
    Range {
        /// The first moment.
        from: Duration,
        /// The first moment after it.
        to: Duration,
    },
}

/// Whether a schedule lets its branches be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Switch {
    /// Inside a window.
    On,
    /// Outside all of them.
    Off,
}

/// What one schedule says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScheduleState {
    /// Now.
    pub switch: Switch,
    /// By the wall clock, since 1970-01-01T00:00:00Z: it stays so at least until then.
    pub until: Option<Duration>,
}

/// All schedules at one moment. The empty one has every schedule on, for ever.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Calendar {
    /// By [`ScheduleId`].
    states: Arc<[ScheduleState]>,
    taken: Option<Now>,
}

impl Calendar {
    /// What the schedules say at a moment.
    pub fn at(schedules: &[Schedule], now: Now) -> Calendar {
        Calendar { states: schedules.iter().map(|one| one.at(now.wall)).collect(), taken: Some(now) }
    }

    /// What one schedule says; one that is not known is on.
    pub fn state(&self, schedule: ScheduleId) -> ScheduleState {
        let always = ScheduleState { switch: Switch::On, until: None };
        self.states.get(schedule.index()).copied().unwrap_or(always)
    }

    /// The earliest moment, by the monotonic clock, at which some of these schedules can change.
    pub fn changes_at(&self, schedules: &[ScheduleId]) -> Option<Duration> {
        let until = schedules.iter().filter_map(|id| self.state(*id).until).min()?;
        let taken = self.taken?;
        Some(taken.monotonic.saturating_add(until.saturating_sub(taken.wall)))
    }

    /// Whether some schedule can have changed since it was taken, or the wall clock has been set.
    pub fn has_run_out(&self, now: Now) -> bool {
        let Some(taken) = self.taken.filter(|_| !self.states.is_empty()) else { return false };
        let expected = taken.wall.saturating_add(now.monotonic.saturating_sub(taken.monotonic));
        now.wall.abs_diff(expected) > DRIFT_MAX
            || self.states.iter().any(|state| state.until.is_some_and(|until| now.wall >= until))
    }
}

impl Schedule {
    fn at(&self, wall: Duration) -> ScheduleState {
        match self.open_until(wall) {
            Some(end) => ScheduleState { switch: Switch::On, until: Some(self.joined_until(end)) },
            None => {
                let until = self.windows.iter().filter_map(|window| window.next_start(wall)).min();
                ScheduleState { switch: Switch::Off, until }
            }
        }
    }

    /// The last end of the windows that are open.
    fn open_until(&self, wall: Duration) -> Option<Duration> {
        self.windows.iter().filter_map(|window| window.open_until(wall)).max()
    }

    /// Where windows that follow without a gap end.
    fn joined_until(&self, mut end: Duration) -> Duration {
        for _ in 0..JOINS_MAX {
            match self.open_until(end) {
                Some(later) => end = later,
                None => break,
            }
        }
        end
    }
}

impl Window {
    fn open_until(&self, wall: Duration) -> Option<Duration> {
        match self {
            Window::Cron { starts, length } => {
                let end = starts.last_at(wall)?.saturating_add(*length);
                (wall < end).then_some(end)
            }
            Window::Range { from, to } => (*from <= wall && wall < *to).then_some(*to),
        }
    }

    fn next_start(&self, wall: Duration) -> Option<Duration> {
        match self {
            Window::Cron { starts, .. } => starts.next_after(wall),
            Window::Range { from, .. } => (wall < *from).then_some(*from),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wall(date: (i64, u32, u32), hour: u64, minute: u64) -> Duration {
        parse_utc(&format!("{:04}-{:02}-{:02}T00:00:00Z", date.0, date.1, date.2)).unwrap()
            + Duration::from_secs(hour * 3600 + minute * 60)
    }

    fn schedule(windows: Vec<Window>) -> Schedule {
        Schedule { name: "s".into(), windows: windows.into() }
    }

    fn cron(text: &str, hours: u64) -> Window {
        Window::Cron { starts: text.parse().unwrap(), length: Duration::from_secs(hours * 3600) }
    }

    #[test]
    fn r13_a_night_shift_goes_over_midnight() {
        let nights = schedule(vec![cron("0 22 * * 1-5", 8)]);
        let check = |at: Duration, switch: Switch, until: Duration| {
            assert_eq!(nights.at(at), ScheduleState { switch, until: Some(until) }, "{}", utc_text(at));
        };
        // 2026-01-02 is a Friday.
        let (friday, saturday, monday) = ((2026, 1, 2), (2026, 1, 3), (2026, 1, 5));
        check(wall(friday, 21, 59), Switch::Off, wall(friday, 22, 0));
        check(wall(friday, 22, 0), Switch::On, wall(saturday, 6, 0));
        check(wall(saturday, 5, 59), Switch::On, wall(saturday, 6, 0));
        check(wall(saturday, 6, 0), Switch::Off, wall(monday, 22, 0));
    }

    #[test]
    fn r13_windows_that_touch_are_one() {
        let range =
            |from, to| Window::Range { from: wall((2026, 12, 24), from, 0), to: wall((2026, 12, 24), to, 0) };
        let both = schedule(vec![range(1, 3), range(3, 5), range(4, 9), range(10, 11)]);
        let state = both.at(wall((2026, 12, 24), 2, 0));
        assert_eq!(state, ScheduleState { switch: Switch::On, until: Some(wall((2026, 12, 24), 9, 0)) });
        let after = both.at(wall((2026, 12, 24), 11, 0));
        assert_eq!(after, ScheduleState { switch: Switch::Off, until: None });
    }

    /// No gap ever: on, and asked again some day.
    #[test]
    fn r13_a_window_without_an_end_ends_the_search() {
        let always = schedule(vec![cron("0 0 * * *", 24)]);
        let state = always.at(wall((2026, 1, 1), 12, 0));
        assert_eq!(state.switch, Switch::On);
        assert!(state.until.unwrap() > wall((2026, 2, 1), 0, 0));
    }

    #[test]
    fn t3_a_calendar_runs_out_at_a_switch_and_when_the_clock_is_set() {
        let nights = [schedule(vec![cron("0 22 * * *", 8)])];
        let now = Now { monotonic: Duration::from_secs(100), wall: wall((2026, 1, 2), 21, 0) };
        let calendar = Calendar::at(&nights, now);
        assert_eq!(calendar.changes_at(&[ScheduleId(0)]), Some(Duration::from_secs(3700)));
        assert_eq!(calendar.changes_at(&[]), None);
        assert!(!calendar.has_run_out(now.after(Duration::from_secs(3599))));
        assert!(calendar.has_run_out(now.after(Duration::from_secs(3600))));
        let set = Now { wall: now.wall + Duration::from_secs(5), ..now };
        assert!(calendar.has_run_out(set));
        let set_back = Now { wall: now.wall - Duration::from_secs(5), ..now };
        assert!(calendar.has_run_out(set_back));
        assert!(!Calendar::default().has_run_out(set));
    }
}
