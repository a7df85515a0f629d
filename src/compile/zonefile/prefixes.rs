//! APL (RFC 3123): lists of address prefixes.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::fields::{Words, number};
use super::rdata::Objection;

/// `[!]family:address/length`, any number of them.
pub(super) fn read(words: &mut Words<'_>, wire: &mut Vec<u8>) -> Result<(), Objection> {
    while words.peek().is_some() {
        let word = words.ascii()?;
        let item = item(word);
        wire.extend(
            item.ok_or_else(|| words.object("expected a prefix such as 1:192.0.2.0/24 or !2:2001:db8::/32"))?,
        );
    }
    Ok(())
}

fn item(word: &str) -> Option<Vec<u8>> {
    let (negated, word) = word.strip_prefix('!').map_or((0, word), |rest| (0x80, rest));
    let (family, rest) = word.split_once(':')?;
    let (address, length) = rest.split_once('/')?;
    let (octets, bits) = match family {
        "1" => (address.parse::<Ipv4Addr>().ok()?.octets().to_vec(), 32),
        "2" => (address.parse::<Ipv6Addr>().ok()?.octets().to_vec(), 128),
        _ => return None,
    };
    let length = number(length, bits)?;
    // Zeros at the end are not sent (section 4).
    let used = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let family = number(family, 2)? as u16;
    let mut item = family.to_be_bytes().to_vec();
    item.push(length as u8);
    item.push(negated | used as u8);
    item.extend(octets.iter().take(used));
    Some(item)
}
