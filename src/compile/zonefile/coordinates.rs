//! LOC (RFC 1876): a place on the earth.

use super::fields::Words;
use super::rdata::Objection;

/// Thousandths of a second of arc at the equator and at the prime meridian.
const MIDDLE: u32 = 1 << 31;

/// Centimetres from the base of altitudes up to the WGS 84 spheroid.
const BASE_CM: i64 = 10_000_000;

/// Size, horizontal and vertical precision where they are left out: 1 m, 10 km, 10 m.
const SIZES: [u8; 3] = [0x12, 0x16, 0x13];

/// The largest size: 9 * 10^9 cm.
const SIZE_CM_MAX: i64 = 9_000_000_000;

/// `d [m [s]] N|S d [m [s]] E|W altitude [size [horizontal [vertical]]]`.
pub(super) fn read(words: &mut Words<'_>, wire: &mut Vec<u8>) -> Result<(), Objection> {
    let latitude = angle(words, 90, ["N", "S"])?;
    let longitude = angle(words, 180, ["E", "W"])?;
    let word = words.ascii()?;
    let altitude = metres(word).map(|cm| cm + BASE_CM).and_then(|cm| u32::try_from(cm).ok());
    let altitude =
        altitude.ok_or_else(|| words.object("expected an altitude from -100000m to 42849672.95m"))?;
    let mut sizes = SIZES;
    for size in &mut sizes {
        if words.peek().is_none() {
            break;
        }
        let word = words.ascii()?;
        let cm = metres(word).filter(|cm| (0..=SIZE_CM_MAX).contains(cm));
        *size = cm.map(power).ok_or_else(|| words.object("expected a size from 0m to 90000000m"))?;
    }
    wire.push(0);
    wire.extend(sizes);
    wire.extend(latitude.to_be_bytes());
    wire.extend(longitude.to_be_bytes());
    wire.extend(altitude.to_be_bytes());
    Ok(())
}

/// Degrees, minutes and seconds up to the letter of the hemisphere.
fn angle(words: &mut Words<'_>, degrees_max: u64, [positive, negative]: [&str; 2]) -> Result<u32, Objection> {
    let mut thousandths = words.number(degrees_max)? * 3_600_000;
    for step in 0..=2 {
        let word = words.ascii()?;
        if word.eq_ignore_ascii_case(positive) || word.eq_ignore_ascii_case(negative) {
            if thousandths > degrees_max * 3_600_000 {
                return Err(words.object(format!("this is beyond {degrees_max} degrees")));
            }
            let offset = thousandths as u32;
            let is_positive = word.eq_ignore_ascii_case(positive);
            return Ok(if is_positive { MIDDLE + offset } else { MIDDLE - offset });
        }
        let value = match step {
            0 => super::fields::number(word, 59).map(|minutes| minutes * 60_000),
            1 => decimal(word, 3).and_then(|value| u64::try_from(value).ok()).filter(|value| *value < 60_000),
            _ => None,
        };
        thousandths += value.ok_or_else(|| {
            words.object(format!("expected minutes, seconds, or {positive} or {negative} here"))
        })?;
    }
    Err(words.object(format!("expected {positive} or {negative} here")))
}

/// Metres, with or without their letter, as centimetres.
fn metres(word: &str) -> Option<i64> {
    decimal(word.strip_suffix(['m', 'M']).unwrap_or(word), 2)
}

/// A decimal number times ten to the power of `digits`, the most it has behind its point.
fn decimal(word: &str, digits: usize) -> Option<i64> {
    /// Longer numbers are beyond every range.
    const DIGITS_MAX: usize = 12;
    let (sign, word) = word.strip_prefix('-').map_or((1, word), |rest| (-1, rest));
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let only_digits = whole.bytes().chain(fraction.bytes()).all(|octet| octet.is_ascii_digit());
    if !has_digits || !only_digits || whole.len() > DIGITS_MAX || fraction.len() > digits {
        return None;
    }
    let text = format!("{whole}{fraction:0<digits$}");
    text.parse::<i64>().ok().map(|value| sign * value)
}

/// Centimetres as a digit times a power of ten, cut off.
fn power(cm: i64) -> u8 {
    let (mut digit, mut exponent) = (cm, 0u8);
    while digit > 9 {
        digit /= 10;
        exponent += 1;
    }
    (digit as u8) << 4 | exponent
}
