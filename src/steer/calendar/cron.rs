//! When a cron expression matches: minute, hour, day of month, month, day of week, in UTC.
//!
//! Read here and not by a crate: the ones there are bring a calendar library and a clock, and none says
//! when the last match was.

use std::str::FromStr;
use std::time::Duration;

use super::civil::{DAY_S, date, weekday};

/// Days looked through in search of a match: 29 February comes again after eight years at the latest.
const DAYS_MAX: u64 = 8 * 366 + 1;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// Days of the months at most.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A cron expression: what matches, as sets of bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: Days,
    months: u64,
}

/// Which days match.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Days {
    /// Both have to match: at least one of the fields begins with `*`.
    Both { of_month: u64, of_week: u64 },
    /// One of them suffices, as in every cron, because both are given.
    Either { of_month: u64, of_week: u64 },
}

/// What a field may hold.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    words: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of the month", least: 1, most: 31, words: &[] },
    Field { name: "month", least: 1, most: 12, words: &MONTHS },
    Field { name: "day of the week", least: 0, most: 7, words: &WEEKDAYS },
];

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Cron, String> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        let [minute, hour, day, month, week] = parts.as_slice() else {
            return Err(format!("it has {} fields and not five", parts.len()));
        };
        let [minutes, hours, days, months, weeks] = &FIELDS;
        let week_bits = weeks.bits(week)?;
        let of_month = days.bits(day)?;
        // 7 is Sunday too.
        let of_week = (week_bits | week_bits >> 7) & 0x7f;
        let cron = Cron {
            minutes: minutes.bits(minute)?,
            hours: hours.bits(hour)?,
            days: match day.starts_with('*') || week.starts_with('*') {
                true => Days::Both { of_month, of_week },
                false => Days::Either { of_month, of_week },
            },
            months: months.bits(month)?,
        };
        if cron.can_match() { Ok(cron) } else { Err("no month has such a day".to_owned()) }
    }
}

impl Cron {
    /// The last moment at or before one, since 1970-01-01T00:00:00Z, at which it matches.
    pub fn last_at(&self, wall: Duration) -> Option<Duration> {
        let minute = wall.as_secs() / 60;
        let (today, minute_of_day) = (minute / 1440, (minute % 1440) as u32);
        (0..DAYS_MAX).find_map(|back| {
            let day = today.checked_sub(back)?;
            let latest = if back == 0 { minute_of_day } else { 1439 };
            self.minutes_of(day)?.rev().find(|minute| *minute <= latest).map(|minute| moment(day, minute))
        })
    }

    /// The first moment after one at which it matches.
    pub fn next_after(&self, wall: Duration) -> Option<Duration> {
        let minute = wall.as_secs() / 60;
        let (today, minute_of_day) = (minute / 1440, (minute % 1440) as u32);
        (0..DAYS_MAX).find_map(|ahead| {
            let day = today.checked_add(ahead)?;
            let later = |minute: &u32| ahead > 0 || *minute > minute_of_day;
            self.minutes_of(day)?.find(later).map(|minute| moment(day, minute))
        })
    }

    /// The matching minutes of a day, in order; `None` where the day does not match.
    fn minutes_of(&self, day: u64) -> Option<impl DoubleEndedIterator<Item = u32> + '_> {
        self.matches_day(day).then(|| {
            let hours = (0..24).filter(|hour| has(self.hours, *hour));
            hours.flat_map(|hour| {
                (0..60).filter(|minute| has(self.minutes, *minute)).map(move |minute| hour * 60 + minute)
            })
        })
    }

    fn matches_day(&self, days: u64) -> bool {
        let date = date(days);
        let matches = |of_month, of_week| (has(of_month, date.day), has(of_week, weekday(days)));
        has(self.months, date.month)
            && match self.days {
                Days::Both { of_month, of_week } => matches(of_month, of_week) == (true, true),
                Days::Either { of_month, of_week } => matches(of_month, of_week) != (false, false),
            }
    }

    /// Whether there is any such day: 30 February is none.
    fn can_match(&self) -> bool {
        let Days::Both { of_month, .. } = self.days else { return true };
        let mut months = (1..).zip(MONTH_DAYS).filter(|(month, _)| has(self.months, *month));
        months.any(|(_, days)| of_month & ((2u64 << days) - 1) != 0)
    }
}

impl Field {
    /// `*`, `5`, `1-5`, `*/15`, `1-30/2`, `mon`, and lists of these.
    fn bits(&self, text: &str) -> Result<u64, String> {
        text.split(',').try_fold(0, |bits, part| Ok(bits | self.part(part)?))
    }

    fn part(&self, text: &str) -> Result<u64, String> {
        let wrong = || format!("`{text}` is no {}", self.name);
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => {
                let step = step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(wrong)?;
                (range, Some(step))
            }
            None => (text, None),
        };
        let (first, last) = match (range, range.split_once('-'), step) {
            ("*", _, _) => (self.least, self.most),
            (_, Some((first, last)), _) => {
                (self.value(first).ok_or_else(wrong)?, self.value(last).ok_or_else(wrong)?)
            }
            (_, None, Some(_)) => (self.value(range).ok_or_else(wrong)?, self.most),
            (_, None, None) => {
                let one = self.value(range).ok_or_else(wrong)?;
                (one, one)
            }
        };
        if first > last {
            return Err(format!("`{text}` goes backwards"));
        }
        Ok((first..=last).step_by(step.unwrap_or(1)).fold(0, |bits, value| bits | 1 << value))
    }

    fn value(&self, text: &str) -> Option<u32> {
        if let Some(index) = self.words.iter().position(|word| text.eq_ignore_ascii_case(word)) {
            return Some(index as u32 + self.least);
        }
        let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let value = text.parse().ok().filter(|_| digits)?;
        (self.least..=self.most).contains(&value).then_some(value)
    }
}

fn has(bits: u64, value: u32) -> bool {
    bits & (1 << value) != 0
}

fn moment(day: u64, minute: u32) -> Duration {
    Duration::from_secs(day * DAY_S + u64::from(minute) * 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::civil::{parse_utc, utc_text};
    use super::*;

    #[test]
    fn r13_expressions_match_as_in_every_cron() {
        // A Thursday.
        let now = parse_utc("2026-01-01T12:30:59Z").unwrap();
        for (text, last, next) in [
            ("* * * * *", "2026-01-01T12:30:00Z", "2026-01-01T12:31:00Z"),
            ("*/15 * * * *", "2026-01-01T12:30:00Z", "2026-01-01T12:45:00Z"),
            ("5/20 8-18 * * *", "2026-01-01T12:25:00Z", "2026-01-01T12:45:00Z"),
            ("0 22 * * 1-5", "2025-12-31T22:00:00Z", "2026-01-01T22:00:00Z"),
            ("0 0 * * sun", "2025-12-28T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 * * 7", "2025-12-28T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z", "2028-02-29T00:00:00Z"),
            // Either day suffices where both are given.
            ("0 0 13 * FRI", "2025-12-26T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 6 1 jan,jul *", "2026-01-01T06:00:00Z", "2026-07-01T06:00:00Z"),
        ] {
            let cron: Cron = text.parse().unwrap();
            assert_eq!(cron.last_at(now).map(utc_text).as_deref(), Some(last), "{text}");
            assert_eq!(cron.next_after(now).map(utc_text).as_deref(), Some(next), "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for (text, why) in [
            ("0 22 * *", "it has 4 fields and not five"),
            ("60 * * * *", "`60` is no minute"),
            ("* 24 * * *", "`24` is no hour"),
            ("* * 0 * *", "`0` is no day of the month"),
            ("* * * 13 *", "`13` is no month"),
            ("* * * * 8", "`8` is no day of the week"),
            ("* * * * mo", "`mo` is no day of the week"),
            ("*/0 * * * *", "`*/0` is no minute"),
            ("30-10 * * * *", "`30-10` goes backwards"),
            ("+5 * * * *", "`+5` is no minute"),
            ("0 0 30 2 *", "no month has such a day"),
        ] {
            assert_eq!(text.parse::<Cron>(), Err(why.to_owned()), "{text}");
        }
    }
}
