//! Passive checks (H12): the share of errors that a load balancer counted between two readings.

use std::time::Duration;

use super::feed::Reading;

/// Fewer responses say nothing: one error in nineteen would be more than 5 %. Readings are put together
/// until there are so many.
const RESPONSES_MIN: u64 = 20;

/// Readings further apart than this many intervals are not put together.
const APART_INTERVALS: u32 = 12;

/// What was counted when errors were last judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passive {
    base: Option<Base>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Base {
    responses: u64,
    errors: u64,
    at: Duration,
}

/// What a reading says of the errors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// Nothing: it is the first, too little was counted, or the counters began anew.
    None,
    /// No more than allowed.
    Well,
    /// More than allowed: this share, in permille.
    Errors(u16),
}

impl Passive {
    /// Takes in a reading; `allowed` is the greatest share that is well, in permille.
    pub fn take(&mut self, reading: Reading, allowed: u16, interval: Duration, now: Duration) -> Evidence {
        let (Some(responses), Some(errors)) = (reading.responses, reading.errors) else {
            return Evidence::None;
        };
        let next = Base { responses, errors, at: now };
        let Some(base) = self.base.filter(|base| base.is_before(next, interval)) else {
            self.base = Some(next);
            return Evidence::None;
        };
        let counted = responses - base.responses;
        if counted < RESPONSES_MIN {
            return Evidence::None;
        }
        self.base = Some(next);
        // Two pages' values may be a moment apart: never more errors than responses.
        let errors = u128::from((errors - base.errors).min(counted));
        match errors * 1000 > u128::from(counted) * u128::from(allowed) {
            true => Evidence::Errors((errors * 1000 / u128::from(counted)) as u16),
            false => Evidence::Well,
        }
    }
}

impl Base {
    /// Whether the same counters, a moment later, can have come to this.
    fn is_before(self, next: Base, interval: Duration) -> bool {
        let apart = next.at.saturating_sub(self.at);
        next.responses >= self.responses && next.errors >= self.errors && apart <= interval * APART_INTERVALS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::feed::Amount;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn check(steps: &[(u64, u64, u64, Evidence)]) {
        let mut passive = Passive::default();
        for (at_s, responses, errors, expected) in steps {
            let reading =
                Reading { current: Amount::default(), responses: Some(*responses), errors: Some(*errors) };
            let got = passive.take(reading, 50, INTERVAL, Duration::from_secs(*at_s));
            assert_eq!(got, *expected, "at {at_s} s");
        }
    }

    #[test]
    fn the_share_between_readings_counts() {
        check(&[
            (0, 1_000_000, 900_000, Evidence::None),
            (5, 1_000_100, 900_005, Evidence::Well),
            (10, 1_000_200, 900_011, Evidence::Errors(60)),
            (15, 1_000_300, 900_011, Evidence::Well),
        ]);
    }

    #[test]
    fn too_few_responses_are_put_together() {
        check(&[
            (0, 0, 0, Evidence::None),
            (5, 10, 10, Evidence::None),
            (10, 19, 19, Evidence::None),
            (15, 20, 20, Evidence::Errors(1000)),
            (20, 20, 20, Evidence::None),
            // Too long ago: begun anew.
            (81, 60, 60, Evidence::None),
            (86, 100, 60, Evidence::Well),
        ]);
    }

    #[test]
    fn counters_that_begin_anew_say_nothing() {
        check(&[
            (0, 500, 100, Evidence::None),
            (5, 40, 40, Evidence::None),
            (10, 80, 40, Evidence::Well),
            // Only one of the two: a page in between.
            (15, 200, 0, Evidence::None),
        ]);
    }

    #[test]
    fn more_errors_than_responses_are_all() {
        check(&[(0, 0, 0, Evidence::None), (5, 30, 40, Evidence::Errors(1000))]);
    }

    #[test]
    fn a_reading_without_counters_says_nothing() {
        let reading = Reading { current: Amount::default(), responses: Some(9), errors: None };
        let evidence = Passive::default().take(reading, 50, INTERVAL, Duration::ZERO);
        assert_eq!(evidence, Evidence::None);
    }
}
