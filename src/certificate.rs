//! When a certificate ends: the one field of X.509 that rustls keeps to itself.
//!
//! The certificate has been through rustls's own reader before; this one takes whatever octets come,
//! looks at a dozen of them, and says nothing rather than something wrong.

use std::time::Duration;

/// `notAfter` of a certificate in DER, as time since the Unix epoch (RFC 5280, 4.1).
pub fn ends(der: &[u8]) -> Option<Duration> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    // version is there in every certificate but those of the first.
    let rest = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, rest) = time(validity)?;
    time(rest).map(|(time, _)| time)
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
const VERSION: u8 = 0xa0;

/// The contents of the element at the front if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    if *found != tag {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), rest.get(2..)?),
        0x83 => {
            let [a, b, c] = *rest.first_chunk()?;
            (u32::from_be_bytes([0, a, b, c]) as usize, rest.get(3..)?)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The time at the front, and what follows it.
fn time(der: &[u8]) -> Option<(Duration, &[u8])> {
    if let Some((text, rest)) = element(der, UTC_TIME) {
        let (year, text) = number(text, 2)?;
        // RFC 5280, 4.1.2.5.1.
        let year = if year >= 50 { 1900 + year } else { 2000 + year };
        return Some((instant(year, text)?, rest));
    }
    let (text, rest) = element(der, GENERALIZED_TIME)?;
    let (year, text) = number(text, 4)?;
    Some((instant(year, text)?, rest))
}

/// What `MMDDHHMMSSZ` of a year means.
fn instant(year: u64, text: &[u8]) -> Option<Duration> {
    let (month, text) = number(text, 2)?;
    let (day, text) = number(text, 2)?;
    let (hour, text) = number(text, 2)?;
    let (minute, text) = number(text, 2)?;
    let (second, text) = number(text, 2)?;
    let fits =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 60;
    if text != b"Z" || !fits {
        return None;
    }
    let days = days_since_epoch(year, month, day)?;
    Some(Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; none before.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year.checked_sub(1)? } else { year };
    let month = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    days.checked_sub(EPOCH)
}

/// The decimal number in the first so many octets, and what follows it.
fn number(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = text.split_at_checked(digits)?;
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((number.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')), rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32, month: u8, day: u8) -> Vec<u8> {
        let mut params = CertificateParams::new(["www.example.com".to_owned()]).unwrap();
        params.not_before = date_time_ymd(1999, 12, 31);
        params.not_after = date_time_ymd(year, month, day);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read() {
        for (year, month, day) in
            [(2000, 2, 29), (2024, 2, 29), (2026, 12, 31), (2049, 12, 31), (2050, 1, 1), (9999, 12, 31)]
        {
            let expected = date_time_ymd(year, month, day).unix_timestamp() as u64;
            let found = ends(&certificate(year, month, day));
            assert_eq!(found, Some(Duration::from_secs(expected)), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn a_certificate_cut_anywhere_has_no_end() {
        let whole = certificate(2030, 1, 1);
        (0..whole.len()).for_each(|cut| assert_eq!(ends(whole.get(..cut).unwrap()), None, "{cut}"));
    }

    proptest! {
        #[test]
        fn any_octets_will_do(mut der in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..120, to in any::<u8>()) {
            ends(&der);
            der = certificate(2030, 1, 1);
            if let Some(octet) = der.get_mut(at) {
                *octet = to;
            }
            ends(&der);
        }
    }
}
