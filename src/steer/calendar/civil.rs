//! Days and dates of the Gregorian calendar, in UTC.

use std::time::Duration;

/// Seconds of a day; leap seconds do not count, as everywhere in UNIX time.
pub const DAY_S: u64 = 86_400;

/// A date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date {
    /// The year.
    pub year: i64,
    /// 1..=12
    pub month: u32,
    /// 1..=31
    pub day: u32,
}

/// The date so many days after 1970-01-01. Years begin in March here, so that the leap day is the last.
pub fn date(days: u64) -> Date {
    // From 0000-03-01 on, in cycles of 400 years with 146,097 days.
    let shifted = days as i64 + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    Date { year, month: month as u32, day: day as u32 }
}

/// The weekday so many days after 1970-01-01, a Thursday: 0 is Sunday.
pub fn weekday(days: u64) -> u32 {
    ((days + 4) % 7) as u32
}

/// A moment as RFC 3339 writes it, to the second.
pub fn utc_text(wall: Duration) -> String {
    let seconds = wall.as_secs();
    let Date { year, month, day } = date(seconds / DAY_S);
    let (hour, minute, second) = (seconds % DAY_S / 3600, seconds % 3600 / 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The first moment of a date from 1970 on, since then.
#[cfg(test)]
pub fn seconds(year: i64, month: u32, day: u32) -> Duration {
    let mut days = (year as u64 - 1970) * 365;
    while date(days) != (Date { year, month, day }) {
        days += 1;
    }
    Duration::from_secs(days * DAY_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_767_225_600, "2026-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc_text(Duration::from_secs(seconds)), text);
        }
        assert_eq!(weekday(1_767_225_600 / DAY_S), 4, "the first of January 2026 is a Thursday");
    }
}
