//! What nearly all records of large zones look like, read without a detour. Nothing is refused here: what does
//! not look so is read by `rdata` and `wire`, which know every form and every mistake.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::Span;
use crate::wire::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX, Rtype};

/// The longest text without its length octet (RFC 1035 section 3.3).
const TEXT_OCTETS_MAX: usize = 255;

/// The longest data: all texts of a record together.
const DATA_OCTETS_MAX: usize = u16::MAX as usize;

/// The types that large zones are made of.
pub(super) fn rtype(word: &[u8]) -> Option<Rtype> {
    Some(match word {
        b"A" => Rtype::A,
        b"AAAA" => Rtype::AAAA,
        b"TXT" => Rtype::TXT,
        b"NS" => Rtype::NS,
        b"CNAME" => Rtype::CNAME,
        b"PTR" => Rtype::PTR,
        b"MX" => Rtype::MX,
        _ => return None,
    })
}

/// Appends the data of a record in wire form. False, and nothing appended, where it has to be looked at closely.
pub(super) fn read(rtype: Rtype, words: &[(&[u8], Span)], origin: &[u8], wire: &mut Vec<u8>) -> bool {
    let start = wire.len();
    let is_read = match (rtype, words) {
        (Rtype::A, [(address, _)]) => address4(address, wire),
        (Rtype::AAAA, [(address, _)]) => address6(address, wire),
        (Rtype::NS | Rtype::CNAME | Rtype::PTR, [(target, _)]) => name(target, origin, wire),
        (Rtype::MX, [(preference, _), (target, _)]) => match number(preference) {
            Some(preference) => {
                wire.extend_from_slice(&preference.to_be_bytes());
                name(target, origin, wire)
            }
            None => false,
        },
        (Rtype::TXT, [_, ..]) => words.iter().all(|(word, _)| text(word, wire)),
        _ => false,
    };
    let is_read = is_read && wire.len() - start <= DATA_OCTETS_MAX;
    if !is_read {
        wire.truncate(start);
    }
    is_read
}

fn address4(word: &[u8], wire: &mut Vec<u8>) -> bool {
    let address = std::str::from_utf8(word).ok().and_then(|word| word.parse::<Ipv4Addr>().ok());
    address.map(|address| wire.extend_from_slice(&address.octets())).is_some()
}

fn address6(word: &[u8], wire: &mut Vec<u8>) -> bool {
    let address = std::str::from_utf8(word).ok().and_then(|word| word.parse::<Ipv6Addr>().ok());
    address.map(|address| wire.extend_from_slice(&address.octets())).is_some()
}

fn number(word: &[u8]) -> Option<u16> {
    let is_number = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| is_number)?.parse().ok()
}

/// A text, with quotes or without, in ASCII and with nothing escaped.
fn text(word: &[u8], wire: &mut Vec<u8>) -> bool {
    let text = word.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(word);
    let is_plain = text.iter().all(|octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\'));
    match u8::try_from(text.len()) {
        Ok(length) if is_plain && usize::from(length) <= TEXT_OCTETS_MAX => {
            wire.push(length);
            wire.extend_from_slice(text);
            true
        }
        _ => false,
    }
}

/// Appends a name in wire form, case kept; behind a relative one comes `origin` (wire form). False, with
/// something appended, where it has other than letters, digits, hyphens, underscores and asterisks, or is none.
pub(super) fn name(word: &[u8], origin: &[u8], wire: &mut Vec<u8>) -> bool {
    if word == b"@" {
        wire.extend_from_slice(origin);
        return true;
    }
    let (labels, behind) = match word.strip_suffix(b".") {
        Some(labels) => (labels, &[0][..]),
        None => (word, origin),
    };
    if 1 + labels.len() + behind.len() > NAME_OCTETS_MAX {
        return false;
    }
    // Labels stand as they are written, each with its length where the dot before it was.
    let mut label = wire.len();
    wire.push(0);
    wire.extend_from_slice(labels);
    for place in label + 1..=wire.len() {
        match wire.get(place).copied() {
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*') => continue,
            Some(b'.') | None => {}
            Some(_) => return false,
        }
        let length = place - label - 1;
        if length == 0 || length > LABEL_OCTETS_MAX {
            return false;
        }
        if let Some(before) = wire.get_mut(label) {
            *before = length as u8;
        }
        label = place;
    }
    wire.extend_from_slice(behind);
    true
}
