//! RDATA from text: by the `domain` crate, and by `fields` and `binding` what it does not read.

use std::ops::Range;

use domain::base::iana::{Class, Rtype as DomainRtype};
use domain::base::name::{Name as DomainName, ParsedName};
use domain::base::rdata::{ComposeRecordData, ParseRecordData};
use domain::dep::octseq::{OctetsInto, Parser};
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, ScannedRecordData, Zonefile};

use super::{binding, fields};
use crate::wire::{Name, Rtype, name_text};

/// What the reader objects to, and in which part of its tokens.
pub(super) struct Objection {
    pub(super) what: String,
    /// Which token, counted in the data; beyond the last where something is missing.
    pub(super) token: usize,
}

/// The type of a mnemonic or of `TYPE` with a number.
pub(super) fn rtype(mnemonic: &str) -> Option<Rtype> {
    mnemonic.parse::<DomainRtype>().ok().map(|rtype| Rtype(rtype.to_int()))
}

/// Reads the data of one record into uncompressed wire form. Relative names in it get `origin`.
pub(super) fn read(rtype: Rtype, tokens: &[&[u8]], origin: &Name) -> Result<Vec<u8>, Objection> {
    let is_generic = tokens.first() == Some(&&b"\\#"[..]);
    if !is_generic && let Rtype::SVCB | Rtype::HTTPS = rtype {
        return bounded(binding::read(tokens, origin)?);
    }
    if !is_generic && let Some(read) = fields::read(rtype, tokens, origin) {
        return bounded(read?);
    }
    by_domain(rtype, tokens, origin)
}

fn bounded(wire: Vec<u8>) -> Result<Vec<u8>, Objection> {
    match wire.len() > usize::from(u16::MAX) {
        true => Err(Objection { what: "the data has more than 65535 octets".to_owned(), token: 0 }),
        false => Ok(wire),
    }
}

fn by_domain(rtype: Rtype, tokens: &[&[u8]], origin: &Name) -> Result<Vec<u8>, Objection> {
    let (line, places) = line(rtype, tokens, origin);
    let at_start = |what: &str| Objection { what: what.to_owned(), token: 0 };
    let mut reader = Zonefile::from(line.as_slice());
    reader.set_default_class(Class::IN);
    let name =
        DomainName::from_octets(origin.octets().to_vec()).map_err(|_| at_start("the origin is no name"))?;
    reader.set_origin(name.octets_into());
    let data = match reader.next_entry() {
        Ok(Some(Entry::Record(record))) => record.into_data(),
        Ok(_) => return Err(at_start("there is no data")),
        Err(error) => return Err(objection(&error.to_string(), &places)),
    };
    let mut wire = Vec::new();
    // Vectors take any number of octets.
    let _ = data.compose_rdata(&mut wire);
    if let ScannedRecordData::Unknown(_) = data {
        check_known(rtype, &wire).map_err(|what| at_start(&what))?;
    }
    bounded(wire)
}

/// The record as one line for the reader, and where each token begins and ends in it.
fn line(rtype: Rtype, tokens: &[&[u8]], origin: &Name) -> (Vec<u8>, Vec<Range<usize>>) {
    let mut line = format!(". 0 IN TYPE{}", rtype.0).into_bytes();
    let mut places = Vec::with_capacity(tokens.len());
    for token in tokens {
        line.push(b' ');
        let start = line.len();
        match *token {
            // The reader takes it for a name of one label.
            b"@" if has_names(rtype) => line.extend(absolute(origin).as_bytes()),
            token => push_token(&mut line, token),
        }
        places.push(start..line.len());
    }
    line.push(b'\n');
    (line, places)
}

/// Whether a lone `@` in the data of a type that `domain` reads is a name, and no text.
fn has_names(rtype: Rtype) -> bool {
    let is_old = matches!(rtype, Rtype(3 | 4) | Rtype::MB | Rtype::MG | Rtype::MR | Rtype::MINFO | Rtype::RP);
    is_old
        || matches!(rtype, Rtype::NS | Rtype::CNAME | Rtype::PTR | Rtype::DNAME | Rtype::MX)
        || matches!(rtype, Rtype::SRV | Rtype::NSEC | Rtype::RRSIG | Rtype::IPSECKEY)
}

fn absolute(name: &Name) -> String {
    let text = name_text(name.octets());
    if name.labels() == 0 { text } else { format!("{text}.") }
}

/// Copies a token; octets above 127 inside quotes, which the reader refuses, go as escapes.
fn push_token(line: &mut Vec<u8>, token: &[u8]) {
    let mut quoted = false;
    let mut escaped = false;
    for octet in token {
        match octet {
            b'"' if !escaped => quoted = !quoted,
            128.. if quoted => {
                // A backslash before such an octet says nothing that the escape does not say.
                if escaped {
                    line.pop();
                }
                line.extend_from_slice(format!("\\{octet:03}").as_bytes());
                escaped = false;
                continue;
            }
            _ => {}
        }
        escaped = *octet == b'\\' && !escaped;
        line.push(*octet);
    }
}

/// The reader's "line:column: message" with its column turned into a token.
fn objection(error: &str, places: &[Range<usize>]) -> Objection {
    let mut parts = error.splitn(3, ':');
    let column = parts.nth(1).and_then(|column| column.parse::<usize>().ok()).unwrap_or(1);
    let what = parts.next().map_or(error, str::trim);
    let token = places.iter().position(|place| column <= place.end + 1).unwrap_or(places.len());
    Objection { what: plain(what).to_owned(), token }
}

/// The reader's words in ours.
fn plain(what: &str) -> &str {
    match what {
        "unexpected end of entry" | "short buffer" => "something is missing at its end",
        "trailing tokens" => "there is more than it takes",
        "unknown record type with concrete data" => "data of this type has to be written as \\# (RFC 3597)",
        "bad charstr" => "a text of more than 255 octets has to be split: \"...\" \"...\"",
        "bad name" => "this is no domain name",
        other => other,
    }
}

/// Data in the form for unknown types (RFC 3597) must still be data of its type.
fn check_known(rtype: Rtype, wire: &[u8]) -> Result<(), String> {
    let mut parser = Parser::from_ref(wire);
    let parsed =
        ZoneRecordData::<&[u8], ParsedName<&[u8]>>::parse_rdata(DomainRtype::from_int(rtype.0), &mut parser);
    match parsed {
        Ok(None) => Ok(()),
        Ok(Some(_)) if parser.remaining() == 0 => Ok(()),
        Ok(Some(_)) => Err(format!("these octets are more than a record of type {rtype} has")),
        Err(_) => Err(format!("these octets are no data of type {rtype}")),
    }
}

/// The same for data that were never text: they must be what this reader would write itself, so that no
/// compressed name is left in them.
pub(super) fn check_exact(rtype: Rtype, wire: &[u8]) -> Result<(), String> {
    check_known(rtype, wire)?;
    let mut parser = Parser::from_ref(wire);
    let parsed =
        ZoneRecordData::<&[u8], ParsedName<&[u8]>>::parse_rdata(DomainRtype::from_int(rtype.0), &mut parser);
    let Ok(Some(data)) = parsed else { return Ok(()) };
    let mut again = Vec::with_capacity(wire.len());
    // Vectors take any number of octets.
    let _ = data.compose_rdata(&mut again);
    match again == wire {
        true => Ok(()),
        false => Err(format!("these octets are no data of type {rtype} as it is written out")),
    }
}
