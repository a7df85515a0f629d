//! SVCB and HTTPS (RFC 9460 section 2.1 and appendix A). The `domain` crate's reader refuses some keys,
//! and every name with a 9 or a z in it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use domain::utils::base64;

use super::fields::{Words, number, unescaped};
use super::rdata::Objection;
use crate::wire::{Name, SvcParamKey};

/// The keys that have names.
const KEYS: &[(&str, SvcParamKey)] = &[
    ("mandatory", SvcParamKey::MANDATORY),
    ("alpn", SvcParamKey::ALPN),
    ("no-default-alpn", SvcParamKey::NO_DEFAULT_ALPN),
    ("port", SvcParamKey::PORT),
    ("ipv4hint", SvcParamKey::IPV4HINT),
    ("ech", SvcParamKey::ECH),
    ("ipv6hint", SvcParamKey::IPV6HINT),
    ("dohpath", SvcParamKey::DOHPATH),
    ("ohttp", SvcParamKey::OHTTP),
    ("tls-supported-groups", SvcParamKey::TLS_SUPPORTED_GROUPS),
];

/// The key that stands for none (section 14.3.2).
const INVALID_KEY: u64 = 65_535;

type Parameters = BTreeMap<SvcParamKey, Vec<u8>>;

/// `priority target [key[=value]]...`
pub(super) fn read(tokens: &[&[u8]], origin: &Name) -> Result<Vec<u8>, Objection> {
    let mut words = Words::new(tokens, origin);
    let mut wire = (words.number(u64::from(u16::MAX))? as u16).to_be_bytes().to_vec();
    wire.extend(words.name()?);
    let mut parameters = Parameters::new();
    while words.peek().is_some() {
        let word = words.next()?;
        let (key, value) = parameter(word).map_err(|what| words.object(what))?;
        if parameters.insert(key, value).is_some() {
            return Err(words.object("this key is there twice"));
        }
    }
    check(&parameters).map_err(|what| words.object(what))?;
    for (key, value) in parameters {
        let length = u16::try_from(value.len()).map_err(|_| words.object("this value is too long"))?;
        wire.extend(key.0.to_be_bytes());
        wire.extend(length.to_be_bytes());
        wire.extend(value);
    }
    Ok(wire)
}

/// One parameter in wire form.
fn parameter(word: &[u8]) -> Result<(SvcParamKey, Vec<u8>), String> {
    let equals = word.iter().position(|octet| *octet == b'=');
    let (name, value) = match equals {
        Some(place) => (word.get(..place).unwrap_or(word), word.get(place + 1..)),
        None => (word, None),
    };
    let name = String::from_utf8_lossy(name);
    let key =
        key(&name).ok_or_else(|| format!("`{}` is no key of a service parameter", name.escape_debug()))?;
    let written =
        value.map(|value| unescaped(value).ok_or("an escape is \\DDD up to \\255, or \\ and a character"));
    let written = written.transpose()?;
    // `key5=...` gives octets, whatever the key means (section 2.1).
    if name.starts_with("key") {
        return Ok((key, written.unwrap_or_default()));
    }
    let none = "this key needs a value";
    let value = match (key, written) {
        (SvcParamKey::NO_DEFAULT_ALPN | SvcParamKey::OHTTP, None) => Vec::new(),
        (SvcParamKey::NO_DEFAULT_ALPN | SvcParamKey::OHTTP, Some(_)) => {
            return Err("this key has no value".into());
        }
        (_, None) => return Err(none.into()),
        (_, Some(written)) if written.is_empty() => return Err(none.into()),
        (key, Some(written)) => value_of(key, &written)?,
    };
    Ok((key, value))
}

fn key(name: &str) -> Option<SvcParamKey> {
    let known = KEYS.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
    known.or_else(|| {
        let digits = name.strip_prefix("key")?;
        let key = number(digits, INVALID_KEY - 1)?;
        // No leading zeros: each key has one name.
        (digits == "0" || !digits.starts_with('0')).then_some(SvcParamKey(key as u16))
    })
}

/// The value of a key in the form that its RFC gives it.
fn value_of(key: SvcParamKey, written: &[u8]) -> Result<Vec<u8>, String> {
    let text = || std::str::from_utf8(written).map_err(|_| "this value is not UTF-8".to_owned());
    match key {
        SvcParamKey::MANDATORY => {
            let mut keys = Vec::new();
            for name in text()?.split(',') {
                keys.push(self::key(name).ok_or_else(|| format!("`{}` is no key", name.escape_debug()))?);
            }
            keys.sort_unstable();
            Ok(keys.iter().flat_map(|key| key.0.to_be_bytes()).collect())
        }
        SvcParamKey::ALPN => {
            let mut wire = Vec::new();
            for item in list(written) {
                let length = u8::try_from(item.len()).ok().filter(|length| *length > 0);
                wire.push(length.ok_or("a protocol has 1 to 255 octets")?);
                wire.extend(item);
            }
            Ok(wire)
        }
        SvcParamKey::PORT => {
            let port = number(text()?, u64::from(u16::MAX)).ok_or("expected a port from 0 to 65535")?;
            Ok((port as u16).to_be_bytes().to_vec())
        }
        SvcParamKey::IPV4HINT => {
            let hints: Result<Vec<Ipv4Addr>, _> = text()?.split(',').map(str::parse).collect();
            Ok(hints.map_err(|_| "expected IPv4 addresses")?.iter().flat_map(Ipv4Addr::octets).collect())
        }
        SvcParamKey::IPV6HINT => {
            let hints: Result<Vec<Ipv6Addr>, _> = text()?.split(',').map(str::parse).collect();
            Ok(hints.map_err(|_| "expected IPv6 addresses")?.iter().flat_map(Ipv6Addr::octets).collect())
        }
        SvcParamKey::ECH => base64::decode::<Vec<u8>>(text()?).map_err(|_| "this is not base 64".to_owned()),
        SvcParamKey::TLS_SUPPORTED_GROUPS => {
            let groups: Option<Vec<u64>> =
                text()?.split(',').map(|one| number(one, u64::from(u16::MAX))).collect();
            let groups = groups.ok_or("expected numbers of groups")?;
            Ok(groups.iter().flat_map(|group| (*group as u16).to_be_bytes()).collect())
        }
        SvcParamKey::DOHPATH => text().map(|text| text.as_bytes().to_vec()),
        _ => Ok(written.to_vec()),
    }
}

/// Items between commas; a backslash makes a comma or a backslash part of one (appendix A.1).
fn list(written: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut rest = written.iter();
    while let Some(octet) = rest.next() {
        let octet = match octet {
            b',' => {
                items.push(Vec::new());
                continue;
            }
            b'\\' => rest.next().unwrap_or(octet),
            other => other,
        };
        if let Some(item) = items.last_mut() {
            item.push(*octet);
        }
    }
    items
}

/// What the parameters must be together, and the values that were given as octets.
fn check(parameters: &Parameters) -> Result<(), String> {
    if parameters.contains_key(&SvcParamKey::NO_DEFAULT_ALPN) && !parameters.contains_key(&SvcParamKey::ALPN)
    {
        return Err("`no-default-alpn` needs `alpn` beside it".to_owned());
    }
    for (key, value) in parameters {
        let is_sound = match *key {
            SvcParamKey::MANDATORY => is_mandatory_sound(value, parameters),
            SvcParamKey::ALPN => is_alpn_sound(value),
            SvcParamKey::NO_DEFAULT_ALPN | SvcParamKey::OHTTP => value.is_empty(),
            SvcParamKey::PORT => value.len() == 2,
            SvcParamKey::IPV4HINT => !value.is_empty() && value.len() % 4 == 0,
            SvcParamKey::IPV6HINT => !value.is_empty() && value.len() % 16 == 0,
            SvcParamKey::TLS_SUPPORTED_GROUPS => !value.is_empty() && value.len() % 2 == 0,
            _ => true,
        };
        if !is_sound {
            let name = KEYS.iter().find(|(_, known)| known == key).map_or("?", |(name, _)| name);
            return Err(match *key {
                SvcParamKey::MANDATORY => {
                    "`mandatory` lists keys that are there, each once, never itself".to_owned()
                }
                _ => format!("these octets are no value of `{name}`"),
            });
        }
    }
    Ok(())
}

/// Section 8: in order, each once, all of them there.
fn is_mandatory_sound(value: &[u8], parameters: &Parameters) -> bool {
    let (keys, rest) = value.as_chunks::<2>();
    let keys: Vec<_> = keys.iter().map(|key| SvcParamKey(u16::from_be_bytes(*key))).collect();
    rest.is_empty()
        && !keys.is_empty()
        && keys.is_sorted_by(|a, b| a < b)
        && keys.iter().all(|key| *key != SvcParamKey::MANDATORY && parameters.contains_key(key))
}

fn is_alpn_sound(mut value: &[u8]) -> bool {
    if value.is_empty() {
        return false;
    }
    while let Some((length, rest)) = value.split_first() {
        match rest.split_at_checked(usize::from(*length)) {
            Some((item, after)) if !item.is_empty() => value = after,
            _ => return false,
        }
    }
    true
}
