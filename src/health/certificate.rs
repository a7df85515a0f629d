//! Certificates that are about to expire: warned of, and no failure (H3).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::now::Now;

/// A certificate is spoken of once in so long.
const REPEAT: Duration = Duration::from_secs(86_400);

/// A certificate that expires soon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiringCertificate {
    /// The first that showed it, as people read it.
    pub label: String,
    /// Until when it is valid, as time since the Unix epoch.
    pub until: Duration,
    /// How long that is from now; `None`: no longer.
    pub left: Option<Duration>,
}

/// Which certificates have been spoken of. Those that end in the same second are taken for one: many
/// endpoints show the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Certificates {
    /// By their end: when they were spoken of last, on the monotonic clock.
    told: BTreeMap<Duration, Duration>,
}

impl Certificates {
    /// A certificate was seen that is valid until then. It is to be told where fewer days are left than
    /// `days`, once a day.
    pub fn see(&mut self, until: Duration, days: u16, label: &str, now: Now) -> Option<ExpiringCertificate> {
        let left = until.checked_sub(now.wall);
        let soon = left.is_none_or(|left| left < REPEAT * u32::from(days));
        if days == 0 || !soon {
            return None;
        }
        self.told.retain(|_, told| now.monotonic.saturating_sub(*told) < REPEAT);
        if self.told.contains_key(&until) {
            return None;
        }
        self.told.insert(until, now.monotonic);
        Some(ExpiringCertificate { label: label.to_owned(), until, left })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn h3_a_certificate_is_warned_of_once_a_day_and_a_new_one_at_once() {
        let mut certificates = Certificates::default();
        let mut check = |at_s: u64, until_s: u64, days: u16, told: Option<Option<u64>>| {
            let now =
                Now { monotonic: Duration::from_secs(at_s), wall: Duration::from_secs(100 * DAY + at_s) };
            let until = Duration::from_secs(100 * DAY + until_s);
            let notice = certificates.see(until, days, "web/a 192.0.2.1", now);
            let left = notice.map(|notice| notice.left.map(|left| left.as_secs()));
            assert_eq!(left, told, "at {at_s} until {until_s}");
        };
        check(0, 8 * DAY, 7, None);
        check(0, 6 * DAY, 7, Some(Some(6 * DAY)));
        check(5, 6 * DAY, 7, None);
        check(5, 5 * DAY, 7, Some(Some(5 * DAY - 5)));
        check(DAY - 1, 6 * DAY, 7, None);
        check(DAY, 6 * DAY, 7, Some(Some(5 * DAY)));
        check(3 * DAY, 2 * DAY, 7, Some(None));
        check(3 * DAY, DAY, 0, None);
    }
}
