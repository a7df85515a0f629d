//! Moments as people and programs write them: RFC 3339, in UTC.

use std::time::Duration;

/// Seconds in a day: UTC as computers keep it has no leap seconds.
const DAY_S: u64 = 86_400;
/// From 0000-03-01, where the count of days below begins, to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// Days in the 400 years after which the calendar repeats itself.
const ERA_DAYS: u64 = 146_097;

/// `2026-11-21T15:03:01.250Z` for a time since 1970.
pub fn rfc3339(wall: Duration) -> String {
    let (days, second) = (wall.as_secs() / DAY_S, wall.as_secs() % DAY_S);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millisecond = wall.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// The time since 1970 that a text such as `2026-11-21T15:03:01Z` or `…T16:03:01.25+01:00` names.
pub fn parse_rfc3339(text: &str) -> Option<Duration> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at_checked(zone_at)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = year <= 9999 && (1..=12).contains(&month) && day >= 1 && day <= days_in(year, month);
    if !in_range || hour > 23 || minute > 59 || second > 60 || !digits(fraction) {
        return None;
    }
    let fraction = Duration::try_from_secs_f64(format!("0.{fraction}").parse().ok()?).ok()?;
    let seconds = days_since_1970(year, month, day)? * DAY_S + hour * 3600 + minute * 60 + second;
    let ahead_s = offset_s(zone)?;
    let seconds = i64::try_from(seconds).ok()?.checked_sub(ahead_s)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?) + fraction)
}

/// How far a zone is ahead of UTC: `Z`, `+HH:MM`, `-HH:MM`.
fn offset_s(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let [hours, minutes] = numbers(rest, ':')?;
    let seconds = i64::try_from(hours * 3600 + minutes * 60).ok()?;
    let in_range = hours <= 23 && minutes <= 59;
    in_range.then_some(if sign == "-" { -seconds } else { seconds })
}

fn numbers<const N: usize>(text: &str, between: char) -> Option<[u64; N]> {
    let parts: Vec<u64> = text
        .split(between)
        .map(|part| part.parse().ok().filter(|_| digits(part) && part.len() >= 2 && part.len() <= 4))
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

/// Year, month and day of a day since 1970 (the proleptic Gregorian calendar, years that begin in March).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (era * ERA_DAYS + of_era).checked_sub(DAYS_TO_1970)
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(text: &str, milliseconds: u64) {
        let wall = Duration::from_millis(milliseconds);
        assert_eq!(rfc3339(wall), text);
        assert_eq!(parse_rfc3339(text), Some(wall), "{text}");
    }

    #[test]
    fn moments_are_written_and_read() {
        check("1970-01-01T00:00:00.000Z", 0);
        check("2000-02-29T23:59:59.999Z", 951_868_799_999);
        check("2026-11-21T15:03:01.250Z", 1_795_273_381_250);
        check("2100-03-01T00:00:00.000Z", 4_107_542_400_000);
        for days in (0..60_000).step_by(17) {
            let wall = Duration::from_secs(days * DAY_S + 3601);
            assert_eq!(parse_rfc3339(&rfc3339(wall)), Some(wall));
        }
    }

    #[test]
    fn zones_count_and_nonsense_does_not() {
        let noon = parse_rfc3339("2026-11-21T12:00:00Z").unwrap();
        for same in ["2026-11-21t13:00:00+01:00", "2026-11-21 06:30:00.000-05:30", "2026-11-21T12:00:00z"] {
            assert_eq!(parse_rfc3339(same), Some(noon), "{same}");
        }
        for wrong in [
            "",
            "T",
            "2026-11-21",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T12:00:00",
            "1969-12-31T23:59:59Z",
            "2026-11-21T12:00:00+25:00",
            "2026-11-21T1:2:3Z",
            "2026-11-21T12:00:00.Z",
            "+026-11-21T12:00:00Z",
            "2026-11-21T12:00:00é",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }
}
