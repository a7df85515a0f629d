//! `[tsig.*]`, and `[transfer]` of a zone.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use domain::utils::base64;
use ipnet::IpNet;

use super::directory::Directory;
use super::reader::{At, Context, Name, Table, Value, shortened};
use super::{scalar, secret};
use crate::config::shape::{TRANSFER, TRANSFER_NOTIFY, TRANSFER_TO, TSIG};
use crate::config::{NotifyTarget, Transfer, TransferPeer, TsigKey};
use crate::tsig::{Algorithm, Key};
use crate::wire::{self, parse_name};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// Peers of one zone: each is compared with whoever asks for it, or is sent a message.
const PEERS_MAX: usize = 100;
/// Shorter secrets can be guessed (RFC 8945 section 8 would have them as long as the code).
const SECRET_OCTETS_MIN: usize = 16;

/// `[tsig.*]` in the order written: `None` in place of those with a mistake.
pub fn keys(cx: &mut Context, directory: &Directory) -> Vec<Option<TsigKey>> {
    directory.entries.iter().map(|(name, value)| key(cx, *name, *value)).collect()
}

fn key(cx: &mut Context, name: Name, value: Value) -> Option<TsigKey> {
    let table = Table::open(cx, value, &TSIG, Some(name.span))?;
    let algorithm = match table.word(cx, "algorithm") {
        Some(At { value: "hmac-sha512", .. }) => Algorithm::HmacSha512,
        _ => Algorithm::HmacSha256,
    };
    let wire = match parse_name(name.text.as_bytes(), &[0]) {
        Ok(wire) => wire::Name::from_wire(&wire),
        Err(why) => {
            cx.error(name.span, format!("a key cannot be called that: {why}"), "write a domain name");
            None
        }
    };
    let text = table.get("secret")?.secret(cx, "secret")?;
    let written = secret::resolve(cx, "secret", text)?;
    let Ok(octets) = base64::decode::<Vec<u8>>(written.trim()) else {
        cx.error(text.span, "`secret` is no base64", "write it as the other end's tools print it");
        return None;
    };
    if octets.len() < SECRET_OCTETS_MIN {
        cx.lint(
            text.span,
            format!("`secret` has {} octets: it can be guessed", octets.len()),
            "make a new one for both ends, with `openssl rand -base64 32` for example",
        );
    }
    let key = Arc::new(Key::new(&wire?, algorithm, &octets));
    Some(TsigKey { name: name.text.to_owned(), span: name.span, key })
}

/// `[transfer]` of a zone's own file.
pub fn transfer(cx: &mut Context, file: &Table, keys: &mut Directory) -> Transfer {
    let table = file.get("transfer").and_then(|value| Table::open(cx, value, &TRANSFER, None));
    let Some(table) = table else { return Transfer::default() };
    let to = elements(cx, &table, "to").into_iter().filter_map(|value| peer(cx, value, keys)).collect();
    let notify =
        elements(cx, &table, "notify").into_iter().filter_map(|value| target(cx, value, keys)).collect();
    if let (Some(notify), None) = (table.key_span("notify"), table.get("to")) {
        cx.lint(notify, "who is told that the zone has changed may not take it", "add them: to = [...]");
    }
    Transfer { to, notify }
}

fn elements<'t>(cx: &mut Context, table: &Table<'t>, key: &str) -> Vec<Value<'t>> {
    let Some((mut values, span)) = table.one_or_many(key) else { return Vec::new() };
    if values.len() > PEERS_MAX {
        cx.error(span, format!("`{key}` has {} servers", values.len()), format!("at most {PEERS_MAX}"));
        values.truncate(PEERS_MAX);
    }
    values
}

fn peer(cx: &mut Context, value: Value, keys: &mut Directory) -> Option<TransferPeer> {
    if !value.toml.is_table() {
        return Some(TransferPeer { network: Some(network(cx, value, "to")?), key: None });
    }
    let table = Table::open(cx, value, &TRANSFER_TO, None)?;
    let network = match table.get("address") {
        Some(address) => Some(network(cx, address, "address")?),
        None => None,
    };
    let key = key_of(cx, &table, keys)?;
    if network.is_none() && key.is_none() {
        cx.absent(value.span, "this would let everybody take the zone", "write an address, a key, or both");
        return None;
    }
    Some(TransferPeer { network, key })
}

fn target(cx: &mut Context, value: Value, keys: &mut Directory) -> Option<NotifyTarget> {
    if !value.toml.is_table() {
        return Some(NotifyTarget { address: address(cx, value, "notify")?, key: None });
    }
    let table = Table::open(cx, value, &TRANSFER_NOTIFY, None)?;
    let address = address(cx, table.get("address")?, "address")?;
    Some(NotifyTarget { address, key: key_of(cx, &table, keys)? })
}

/// The number of the key that a table names; the outer `None` is a mistake.
fn key_of(cx: &mut Context, table: &Table, keys: &mut Directory) -> Option<Option<usize>> {
    match table.get("key") {
        None => Some(None),
        Some(value) => {
            let text = value.text(cx, "key")?;
            keys.refer(cx, text).map(Some)
        }
    }
}

/// An address stands for itself alone.
fn network(cx: &mut Context, value: Value, key: &str) -> Option<IpNet> {
    let text = value.text(cx, key)?;
    if let Ok(address) = text.value.parse::<IpAddr>() {
        return Some(address.to_canonical().into());
    }
    match scalar::network(text.value) {
        Ok(network) => Some(network),
        Err((why, hint)) => {
            cx.error(text.span, format!("`{key}` cannot be `{}`: {why}", shortened(text.value)), hint);
            None
        }
    }
}

/// An address, on the port of DNS where it says none.
fn address(cx: &mut Context, value: Value, key: &str) -> Option<SocketAddr> {
    let text = value.text(cx, key)?;
    let written = match text.value.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, DNS_PORT)),
        Err(_) => scalar::socket(text.value),
    };
    match written {
        Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => Some(address),
        Ok(_) => {
            let shown = shortened(text.value);
            cx.error(text.span, format!("`{key}` cannot be `{shown}`: nobody is there"), "write its address");
            None
        }
        Err((why, hint)) => {
            cx.error(text.span, format!("`{key}` cannot be `{}`: {why}", shortened(text.value)), hint);
            None
        }
    }
}
