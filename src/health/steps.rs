//! From nobody to everybody in steps: what ramps (H10) and gradual drains (H9) share.

use std::time::Duration;

use super::Share;

/// Steps of a whole way: each makes a view anew, and none moves more than a twentieth of the clients.
const STEPS_MAX: u32 = 20;

/// No step is shorter: caches could not follow.
const STEP_MIN: Duration = Duration::from_secs(1);

/// A way in equal steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Steps {
    number: u32,
    length: Duration,
}

/// Where on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// How much of the way is done: between the ends, neither nobody nor everybody.
    pub permille: u16,
    /// When the next one begins.
    pub next_at: Duration,
}

impl Steps {
    /// A way that takes so long.
    pub fn of(whole: Duration) -> Steps {
        let fit = whole.as_nanos() / STEP_MIN.as_nanos();
        let number = u32::try_from(fit).unwrap_or(STEPS_MAX).clamp(1, STEPS_MAX);
        Steps { number, length: whole / number }
    }

    /// Where one is at `now` on the way that ends at `end`.
    pub fn towards(self, end: Duration, now: Duration) -> Step {
        let left = end.saturating_sub(now).as_nanos().div_ceil(self.length.as_nanos().max(1));
        // Steps that still lie ahead, this one included.
        let left = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, self.number);
        let done = self.number + 1 - left;
        let permille = u32::from(Share::PERMILLE_MAX) * done / (self.number + 1);
        Step {
            permille: u16::try_from(permille).unwrap_or(Share::PERMILLE_MAX),
            next_at: end.saturating_sub(self.length * (left - 1)),
        }
    }

    /// How long before the end the first step begins that does at least so much of the way.
    pub fn left_from(self, permille: u16) -> Duration {
        let wanted = u32::from(permille) * (self.number + 1);
        let done = wanted.div_ceil(u32::from(Share::PERMILLE_MAX)).clamp(1, self.number);
        self.length * (self.number + 1 - done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_way_is_even_and_ends_in_time() {
        let check = |whole: u64, at: u64, permille: u16, next_at: u64| {
            let expected = Step { permille, next_at: s(next_at) };
            assert_eq!(Steps::of(s(whole)).towards(s(1000 + whole), s(1000 + at)), expected, "{whole} {at}");
        };
        check(600, 0, 47, 1030);
        check(600, 29, 47, 1030);
        check(600, 30, 95, 1060);
        check(600, 570, 952, 1600);
        check(600, 599, 952, 1600);
        check(3, 0, 250, 1001);
        check(3, 2, 750, 1003);
        check(1, 0, 500, 1001);
        check(0, 0, 500, 1000);
    }

    #[test]
    fn a_way_can_be_entered_in_its_middle() {
        let steps = Steps::of(s(600));
        for permille in [1, 47, 48, 500, 952] {
            let left = steps.left_from(permille);
            let step = steps.towards(s(600), s(600).saturating_sub(left));
            assert!(step.permille >= permille && step.permille < permille + 48, "{permille}: {step:?}");
        }
    }
}
