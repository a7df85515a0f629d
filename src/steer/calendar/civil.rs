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

/// A moment as RFC 3339 writes it, from 1970 on, since then; parts of a second are dropped.
pub fn parse_utc(text: &str) -> Option<Duration> {
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = day.splitn(3, '-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let days = days_of(Date { year: i64::from(year), month, day })?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(zone)?;
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) =
        (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    // A leap second counts as the next one.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = days * DAY_S + u64::from(hour * 3600 + minute * 60 + second);
    let seconds = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => local,
        ("+", ahead) => local.checked_sub(offset_s(ahead)?)?,
        ("-", behind) => local.checked_add(offset_s(behind)?)?,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

fn offset_s(text: &str) -> Option<u64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours <= 23 && minutes <= 59).then_some(u64::from(hours * 3600 + minutes * 60))
}

fn digits(text: &str, count: usize) -> Option<u32> {
    let sound = text.len() == count && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|_| sound)
}

/// Days from 1970-01-01 to a date; `None` before, and where there is no such date.
fn days_of(wanted: Date) -> Option<u64> {
    if !(1..=12).contains(&wanted.month) {
        return None;
    }
    let year = wanted.year - i64::from(wanted.month <= 2);
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (i64::from(wanted.month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(wanted.day) - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    let days = u64::try_from(cycle * 146_097 + day_of_cycle - 719_468).ok()?;
    (date(days) == wanted).then_some(days)
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

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, expected) in [
            ("2026-01-01T00:00:00Z", Some("2026-01-01T00:00:00Z")),
            ("2024-02-29 23:59:59.75z", Some("2024-02-29T23:59:59Z")),
            ("2026-12-24T01:00:00+01:00", Some("2026-12-24T00:00:00Z")),
            ("2026-12-24T01:00:00-05:30", Some("2026-12-24T06:30:00Z")),
            ("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z")),
            ("1970-01-01T00:00:00+01:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-00T00:00:00Z", None),
            ("2026-01-01T24:00:00Z", None),
            ("2026-01-01T00:00:00", None),
            ("2026-01-01", None),
            ("26-01-01T00:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(parse_utc(text).map(utc_text).as_deref(), expected, "{text}");
        }
    }
}
