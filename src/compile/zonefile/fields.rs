//! RDATA of the types that the `domain` crate does not read: their fields in a row, as their RFCs have
//! them.

use domain::utils::{base16, base64};

use super::rdata::{self, Objection};
use super::{coordinates, prefixes, records};
use crate::wire::{Name, Rtype, parse_name};

/// One field of a type's data.
#[derive(Clone, Copy)]
enum Field {
    /// A number of one octet.
    U8,
    /// A number of two octets.
    U16,
    /// A number of four octets.
    U32,
    /// Seconds, or numbers with units as TTLs have them.
    Time,
    /// A number of two octets, or a word for it.
    U16Word(&'static [(&'static str, u16)]),
    /// A number of one octet, or a word for it.
    U8Word(&'static [(&'static str, u16)]),
    /// A record type.
    Type,
    /// Record types as a bitmap (RFC 4034 section 4.1.2): all that is left.
    Types,
    /// A name, never compressed.
    Name,
    /// Names: all that is left.
    Names,
    /// A text of up to 255 octets with its length before it.
    Text,
    /// The same where there is a word left.
    TextIfAny,
    /// One text or more.
    Texts,
    /// A text without a length: all the rest of the data.
    Rest,
    /// Octets in base 16, in as many words as are left.
    Hex,
    /// Octets in base 64, in as many words as are left.
    Base64,
    /// The same in one word, `-` where there are none.
    Base64OrDash,
    /// An IPv4 address.
    Address4,
    /// So many octets in base 16 with hyphens between them.
    Hyphened(usize),
    /// Four groups of four digits in base 16.
    Locator,
    /// A whole of its own.
    Special(fn(&mut Words<'_>, &mut Vec<u8>) -> Result<(), Objection>),
}

use Field::*;

/// DNSSEC algorithms by name (RFC 4034 appendix A.1 and the registry).
const ALGORITHMS: &[(&str, u16)] = &[
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("ECC", 4),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("INDIRECT", 252),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Digests of keys by name, as BIND writes them.
const DIGESTS: &[(&str, u16)] =
    &[("SHA-1", 1), ("SHA1", 1), ("SHA-256", 2), ("SHA256", 2), ("GOST", 3), ("SHA-384", 4), ("SHA384", 4)];

/// RFC 4398 section 2.1.
const CERTIFICATES: &[(&str, u16)] = &[
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// RFC 9859 section 2.1.
const SCHEMES: &[(&str, u16)] = &[("NOTIFY", 1)];

/// The fields of each type.
const LAYOUTS: &[(Rtype, &[Field])] = &[
    (Rtype::SOA, &[Name, Name, U32, Time, Time, Time, Time]),
    (Rtype::AFSDB, &[U16, Name]),
    (Rtype::X25, &[Text]),
    (Rtype::ISDN, &[Text, TextIfAny]),
    (Rtype::RT, &[U16, Name]),
    (Rtype::NSAP, &[Special(nsap)]),
    (Rtype::KEY, &[U16, U8, U8Word(ALGORITHMS), Base64]),
    (Rtype::PX, &[U16, Name, Name]),
    (Rtype::GPOS, &[Text, Text, Text]),
    (Rtype::LOC, &[Special(coordinates::read)]),
    (Rtype::NAPTR, &[U16, U16, Text, Text, Text, Name]),
    (Rtype::KX, &[U16, Name]),
    (Rtype::CERT, &[U16Word(CERTIFICATES), U16, U8Word(ALGORITHMS), Base64]),
    (Rtype::APL, &[Special(prefixes::read)]),
    (Rtype::DS, &[U16, U8Word(ALGORITHMS), U8Word(DIGESTS), Hex]),
    (Rtype::DNSKEY, &[U16, U8, U8Word(ALGORITHMS), Base64]),
    (Rtype::DHCID, &[Base64]),
    (Rtype::SMIMEA, &[U8, U8, U8, Hex]),
    (Rtype::HIP, &[Special(host_identity), Names]),
    (Rtype::NINFO, &[Texts]),
    (Rtype::RKEY, &[U16, U8, U8Word(ALGORITHMS), Base64]),
    (Rtype::TALINK, &[Name, Name]),
    (Rtype::CDS, &[U16, U8Word(ALGORITHMS), U8Word(DIGESTS), Hex]),
    (Rtype::CDNSKEY, &[U16, U8, U8Word(ALGORITHMS), Base64]),
    (Rtype::CSYNC, &[U32, U16, Types]),
    (Rtype::DSYNC, &[Type, U8Word(SCHEMES), U16, Name]),
    (Rtype::HHIT, &[Base64]),
    (Rtype::BRID, &[Base64]),
    (Rtype::SPF, &[Texts]),
    (Rtype::NID, &[U16, Locator]),
    (Rtype::L32, &[U16, Address4]),
    (Rtype::L64, &[U16, Locator]),
    (Rtype::LP, &[U16, Name]),
    (Rtype::EUI48, &[Hyphened(6)]),
    (Rtype::EUI64, &[Hyphened(8)]),
    (Rtype::URI, &[U16, U16, Rest]),
    (Rtype::AVC, &[Texts]),
    (Rtype::DOA, &[U32, U32, U8, Text, Base64OrDash]),
    (Rtype::AMTRELAY, &[U8, Special(relay)]),
    (Rtype::RESINFO, &[Texts]),
    (Rtype::WALLET, &[Texts]),
    (Rtype::CLA, &[Texts]),
    (Rtype::TA, &[U16, U8Word(ALGORITHMS), U8Word(DIGESTS), Hex]),
    (Rtype::DLV, &[U16, U8Word(ALGORITHMS), U8Word(DIGESTS), Hex]),
];

/// Reads the data of a type listed here; `None` for others.
pub(super) fn read(rtype: Rtype, tokens: &[&[u8]], origin: &Name) -> Option<Result<Vec<u8>, Objection>> {
    let (_, fields) = LAYOUTS.iter().find(|(listed, _)| *listed == rtype)?;
    let mut words = Words::new(tokens, origin);
    let mut wire = Vec::new();
    let read = fields.iter().try_for_each(|field| words.field(*field, &mut wire));
    Some(read.and_then(|()| words.end()).map(|()| wire))
}

/// The words of an entry's data, read one after the other.
pub(super) struct Words<'t> {
    tokens: &'t [&'t [u8]],
    next: usize,
    origin: &'t Name,
}

impl<'t> Words<'t> {
    pub(super) fn new(tokens: &'t [&'t [u8]], origin: &'t Name) -> Words<'t> {
        Words { tokens, next: 0, origin }
    }

    /// Objects to the word read last.
    pub(super) fn object(&self, what: impl Into<String>) -> Objection {
        Objection { what: what.into(), token: self.next.saturating_sub(1) }
    }

    /// The next word as it is written.
    pub(super) fn next(&mut self) -> Result<&'t [u8], Objection> {
        match self.tokens.get(self.next) {
            Some(token) => {
                self.next += 1;
                Ok(token)
            }
            None => Err(Objection {
                what: "something is missing at its end".to_owned(),
                token: self.tokens.len(),
            }),
        }
    }

    /// The next word without reading it.
    pub(super) fn peek(&self) -> Option<&'t [u8]> {
        self.tokens.get(self.next).copied()
    }

    /// That there is no word left.
    pub(super) fn end(&self) -> Result<(), Objection> {
        match self.next < self.tokens.len() {
            true => Err(Objection { what: "there is more than it takes".to_owned(), token: self.next }),
            false => Ok(()),
        }
    }

    /// The next word with quotes and escapes undone.
    pub(super) fn text(&mut self) -> Result<Vec<u8>, Objection> {
        let word = self.next()?;
        unescaped(word)
            .ok_or_else(|| self.object("an escape is \\DDD up to \\255, or a backslash and a character"))
    }

    /// The next word as ASCII.
    pub(super) fn ascii(&mut self) -> Result<&'t str, Objection> {
        let word = self.next()?;
        let text = std::str::from_utf8(word).ok().filter(|text| text.is_ascii());
        text.ok_or_else(|| self.object("this is not ASCII"))
    }

    /// The next word as a number.
    pub(super) fn number(&mut self, max: u64) -> Result<u64, Objection> {
        let word = self.ascii()?;
        number(word, max).ok_or_else(|| self.object(format!("this is no number from 0 to {max}")))
    }

    pub(super) fn name(&mut self) -> Result<Vec<u8>, Objection> {
        let word = self.next()?;
        parse_name(word, self.origin.octets()).map_err(|error| self.object(format!("this is {error}")))
    }

    /// All words left, as one.
    fn joined(&mut self) -> Result<String, Objection> {
        let mut joined = self.ascii()?.to_owned();
        while self.next < self.tokens.len() {
            joined.push_str(self.ascii()?);
        }
        Ok(joined)
    }

    fn word(&mut self, words: &[(&str, u16)], max: u64) -> Result<u16, Objection> {
        let word = self.ascii()?;
        let known = words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, value)| *value);
        known
            .or_else(|| number(word, max).map(|value| value as u16))
            .ok_or_else(|| self.object("this is neither a number in its range nor a word for one"))
    }

    fn rtype(&mut self) -> Result<Rtype, Objection> {
        let word = self.ascii()?;
        rdata::rtype(word).ok_or_else(|| self.object("this is no record type"))
    }

    fn field(&mut self, field: Field, wire: &mut Vec<u8>) -> Result<(), Objection> {
        match field {
            U8 => wire.push(self.number(u64::from(u8::MAX))? as u8),
            U16 => wire.extend((self.number(u64::from(u16::MAX))? as u16).to_be_bytes()),
            U32 => wire.extend((self.number(u64::from(u32::MAX))? as u32).to_be_bytes()),
            Time => {
                let seconds = records::ttl(self.next()?).and_then(|seconds| u32::try_from(seconds).ok());
                let seconds =
                    seconds.ok_or_else(|| self.object("expected seconds, or a time such as 1h30m"))?;
                wire.extend(seconds.to_be_bytes());
            }
            U16Word(words) => wire.extend(self.word(words, u64::from(u16::MAX))?.to_be_bytes()),
            U8Word(words) => wire.push(self.word(words, u64::from(u8::MAX))? as u8),
            Type => wire.extend(self.rtype()?.0.to_be_bytes()),
            Types => {
                let mut types = Vec::new();
                while self.peek().is_some() {
                    types.push(self.rtype()?.0);
                }
                bitmap(types, wire);
            }
            Name => wire.extend(self.name()?),
            Names => {
                while self.peek().is_some() {
                    wire.extend(self.name()?);
                }
            }
            Text => self.text_with_length(wire)?,
            TextIfAny if self.peek().is_none() => {}
            TextIfAny => self.text_with_length(wire)?,
            Texts => {
                self.text_with_length(wire)?;
                while self.peek().is_some() {
                    self.text_with_length(wire)?;
                }
            }
            Rest => {
                let text = self.text()?;
                if text.is_empty() {
                    return Err(self.object("this cannot be empty"));
                }
                wire.extend(text);
            }
            Hex => wire.extend(self.hex()?),
            Base64 => {
                let joined = self.joined()?;
                wire.extend(self.base64(&joined)?);
            }
            Base64OrDash => match self.ascii()? {
                "-" => {}
                word => wire.extend(self.base64(word)?),
            },
            Address4 => {
                let address = self.ascii()?.parse::<std::net::Ipv4Addr>();
                wire.extend(address.map_err(|_| self.object("expected IPv4 address"))?.octets());
            }
            Hyphened(octets) => {
                let word = self.ascii()?;
                let read: Option<Vec<u8>> =
                    word.split('-').map(|digits| group(digits, 2).map(|v| v as u8)).collect();
                let read = read.filter(|read| read.len() == octets);
                wire.extend(read.ok_or_else(|| {
                    self.object(format!("expected {octets} octets in base 16 with hyphens between them"))
                })?);
            }
            Locator => {
                let word = self.ascii()?;
                let read: Option<Vec<u16>> = word.split(':').map(|digits| group(digits, 4)).collect();
                let read = read.filter(|read| read.len() == 4);
                let groups = read.ok_or_else(|| self.object("expected four groups such as 2001:db8:0:1"))?;
                groups.iter().for_each(|group| wire.extend(group.to_be_bytes()));
            }
            Special(read) => read(self, wire)?,
        }
        Ok(())
    }

    fn text_with_length(&mut self, wire: &mut Vec<u8>) -> Result<(), Objection> {
        let text = self.text()?;
        let length = u8::try_from(text.len())
            .map_err(|_| self.object("a text of more than 255 octets has to be split: \"...\" \"...\""))?;
        wire.push(length);
        wire.extend(text);
        Ok(())
    }

    fn hex(&mut self) -> Result<Vec<u8>, Objection> {
        let joined = self.joined()?;
        base16::decode::<Vec<u8>>(&joined).map_err(|_| self.object("this is not base 16"))
    }

    fn base64(&self, text: &str) -> Result<Vec<u8>, Objection> {
        base64::decode::<Vec<u8>>(text).map_err(|_| self.object("this is not base 64"))
    }
}

/// Decimal digits and nothing else.
pub(super) fn number(word: &str, max: u64) -> Option<u64> {
    let is_number = !word.is_empty() && word.bytes().all(|octet| octet.is_ascii_digit());
    word.parse().ok().filter(|number| is_number && *number <= max)
}

fn group(digits: &str, digits_max: usize) -> Option<u16> {
    let is_group = (1..=digits_max).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_hexdigit());
    is_group.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// A word with its quotes and escapes undone; `None` where an escape makes no sense.
pub(super) fn unescaped(word: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(word.len());
    let mut rest = word.iter();
    while let Some(octet) = rest.next() {
        match octet {
            b'"' => {}
            b'\\' => match rest.next()? {
                hundreds @ b'0'..=b'9' => {
                    let digits = [*hundreds, *rest.next()?, *rest.next()?];
                    let digits = std::str::from_utf8(&digits).ok()?;
                    text.push(u8::try_from(number(digits, 255)?).ok()?);
                }
                other => text.push(*other),
            },
            other => text.push(*other),
        }
    }
    Some(text)
}

/// Types as RFC 4034 section 4.1.2 has them.
fn bitmap(mut types: Vec<u16>, wire: &mut Vec<u8>) {
    types.sort_unstable();
    types.dedup();
    for window in types.chunk_by(|a, b| a >> 8 == b >> 8) {
        let mut bits = [0u8; 32];
        let mut used = 0;
        for rtype in window {
            let octet = usize::from(rtype & 0xff) / 8;
            if let Some(place) = bits.get_mut(octet) {
                *place |= 0x80 >> (rtype % 8);
            }
            used = octet + 1;
        }
        wire.push(window.first().map_or(0, |rtype| (rtype >> 8) as u8));
        wire.push(used as u8);
        wire.extend(bits.iter().take(used));
    }
}

/// RFC 1706 section 4: `0x` and octets in base 16, full stops anywhere between them.
fn nsap(words: &mut Words<'_>, wire: &mut Vec<u8>) -> Result<(), Objection> {
    let word = words.ascii()?;
    let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let digits = digits.map(|digits| digits.replace('.', ""));
    let octets = digits.filter(|digits| !digits.is_empty()).and_then(|d| base16::decode::<Vec<u8>>(&d).ok());
    wire.extend(octets.ok_or_else(|| words.object("expected 0x and octets in base 16"))?);
    Ok(())
}

/// RFC 8005 section 5: the lengths stand before the algorithm, the identity tag and the key.
fn host_identity(words: &mut Words<'_>, wire: &mut Vec<u8>) -> Result<(), Objection> {
    let algorithm = words.number(u64::from(u8::MAX))? as u8;
    let tag = words.ascii()?;
    let tag = base16::decode::<Vec<u8>>(tag).map_err(|_| words.object("this is not base 16"))?;
    let tag_length = u8::try_from(tag.len()).map_err(|_| words.object("this has more than 255 octets"))?;
    let key = words.ascii()?;
    let key = words.base64(key)?;
    let key_length = u16::try_from(key.len()).map_err(|_| words.object("this has more than 65535 octets"))?;
    wire.push(tag_length);
    wire.push(algorithm);
    wire.extend(key_length.to_be_bytes());
    wire.extend(tag);
    wire.extend(key);
    Ok(())
}

/// RFC 8777 section 4.3: the discovery bit, the kind of relay and the relay.
fn relay(words: &mut Words<'_>, wire: &mut Vec<u8>) -> Result<(), Objection> {
    let discovery = words.number(1)? as u8;
    let kind = words.number(3)? as u8;
    wire.push(discovery << 7 | kind);
    match kind {
        0 => match words.next()? {
            b"." => {}
            _ => return Err(words.object("no relay is written `.`")),
        },
        1 => words.field(Address4, wire)?,
        2 => {
            let address = words.ascii()?.parse::<std::net::Ipv6Addr>();
            wire.extend(address.map_err(|_| words.object("expected IPv6 address"))?.octets());
        }
        _ => wire.extend(words.name()?),
    }
    Ok(())
}
