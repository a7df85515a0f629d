//! `[secondary]` of `zones/NAME.toml`.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::directory::Directory;
use super::reader::{At, Context, Table, Value, shortened};
use super::scalar;
use crate::config::shape::{PRIMARY, SECONDARY};
use crate::config::{Primary, PrimaryTls, Secondary, Span};
use crate::secondary::Limits;

/// Primaries of a zone: each that is down costs a round its timeout.
const PRIMARIES_MAX: usize = 16;
/// Networks of further senders of NOTIFY: each is compared with every NOTIFY.
const NOTIFY_FROM_MAX: usize = 100;
/// Of DNS over UDP and TCP.
const DNS_PORT: u16 = 53;
/// Of DNS over TLS (RFC 9103 section 6.1).
const TLS_PORT: u16 = 853;

/// What `value` says. `folder` is that of the main file.
pub fn secondary(cx: &mut Context, value: Value, keys: &mut Directory, folder: &Path) -> Option<Secondary> {
    let table = Table::open(cx, value, &SECONDARY, None)?;
    let primaries = primaries(cx, &table, keys, folder);
    let usual = Limits::USUAL;
    let limits = Limits {
        refresh: bounds(cx, &table, ("refresh_min", "refresh_max"), &usual.refresh),
        retry: bounds(cx, &table, ("retry_min", "retry_max"), &usual.retry),
        records_max: table.integer(cx, "records_max").map_or(usual.records_max, |at| at.value as usize),
        octets_max: table.integer(cx, "octets_max").map_or(usual.octets_max, |at| at.value as u64),
        transfer_timeout: table
            .duration(cx, "transfer_timeout")
            .map_or(usual.transfer_timeout, |at| at.value),
    };
    let notify_from = notify_from(cx, &table);
    Some(Secondary { span: value.span, primaries, notify_from, limits })
}

/// A least and a greatest duration; what is not written gives way to what is.
fn bounds(
    cx: &mut Context,
    table: &Table,
    (least, most): (&str, &str),
    usual: &RangeInclusive<Duration>,
) -> RangeInclusive<Duration> {
    let (min, max) = (table.duration(cx, least), table.duration(cx, most));
    if let (Some(min), Some(max)) = (min, max)
        && min.value > max.value
    {
        cx.error(max.span, format!("`{most}` is less than `{least}`"), "the greater one is the maximum");
        cx.also(min.span, "the minimum");
        return usual.clone();
    }
    let (low, high) = (min.map(|at| at.value), max.map(|at| at.value));
    let low_or_usual = low.unwrap_or(*usual.start()).min(high.unwrap_or(Duration::MAX));
    low_or_usual..=high.unwrap_or(*usual.end()).max(low_or_usual)
}

fn primaries(cx: &mut Context, table: &Table, keys: &mut Directory, folder: &Path) -> Vec<Primary> {
    let Some((values, span)) = table.one_or_many("primaries") else { return Vec::new() };
    if values.is_empty() {
        cx.error(span, "there is no primary", "write primaries = [\"192.0.2.1\"]");
    }
    if values.len() > PRIMARIES_MAX {
        let many = values.len();
        cx.error(span, format!("there are {many} primaries"), format!("at most {PRIMARIES_MAX}"));
    }
    let mut seen: Vec<(Primary, Span)> = Vec::new();
    for value in values.into_iter().take(PRIMARIES_MAX) {
        let Some(primary) = primary(cx, value, keys, folder) else { continue };
        match seen.iter().find(|(other, _)| other.address == primary.address) {
            Some((_, first)) => {
                let first = *first;
                let message = format!("the primary {} is listed twice", primary.address);
                cx.error(value.span, message, "remove one of them");
                cx.also(first, "first listed here");
            }
            None => seen.push((primary, value.span)),
        }
    }
    seen.into_iter().map(|(primary, _)| primary).collect()
}

fn primary(cx: &mut Context, value: Value, keys: &mut Directory, folder: &Path) -> Option<Primary> {
    if value.toml.as_table().is_none() {
        let text = value.text(cx, "primaries")?;
        let address = address(cx, text, DNS_PORT)?;
        return Some(Primary { address, key: None, tls: None });
    }
    let table = Table::open(cx, value, &PRIMARY, None)?;
    let tls = tls(cx, &table, folder);
    let text = table.text(cx, "address");
    let port = if table.get("tls").is_some() { TLS_PORT } else { DNS_PORT };
    let address = text.and_then(|text| address(cx, text, port));
    let key = table.text(cx, "key");
    let key = key.filter(|key| keys.refer(cx, *key).is_some()).map(|at| at.value.to_owned());
    Some(Primary { address: address?, key, tls })
}

fn tls(cx: &mut Context, table: &Table, folder: &Path) -> Option<PrimaryTls> {
    let ca = table.text(cx, "ca");
    let Some(name) = table.text(cx, "tls") else {
        if let Some(ca) = ca {
            cx.absent(ca.span, "`ca` has no effect without `tls`", "name the primary: tls = \"ns0.example\"");
        }
        return None;
    };
    match scalar::host_name(name.value) {
        Ok(host) => Some(PrimaryTls { name: host, ca: ca.map(|at| folder.join(at.value)) }),
        Err(why) => {
            let message = format!("`tls` cannot be `{}`: {why}", shortened(name.value));
            cx.error(name.span, message, "write the name in the primary's certificate");
            None
        }
    }
}

/// An address of one host, perhaps with its port.
fn address(cx: &mut Context, text: At<&str>, port: u16) -> Option<SocketAddr> {
    let written = text.value;
    let socket = written
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, port))
        .or_else(|_| written.parse::<SocketAddr>());
    let hint = "write ADDRESS or ADDRESS:PORT, such as \"192.0.2.1\" or \"[2001:db8::1]:5353\"";
    let why = match socket {
        Err(_) => "it is no address",
        Ok(socket) if socket.port() == 0 => "port 0 is none",
        Ok(socket) if socket.ip().is_unspecified() || socket.ip().is_multicast() => {
            "it is not the address of one host"
        }
        Ok(socket) => return Some(socket),
    };
    cx.error(text.span, format!("a primary cannot be `{}`: {why}", shortened(written)), hint);
    None
}

fn notify_from(cx: &mut Context, table: &Table) -> Vec<IpNet> {
    let mut networks = Vec::new();
    let Some((values, span)) = table.one_or_many("notify_from") else { return networks };
    if values.len() > NOTIFY_FROM_MAX {
        let many = values.len();
        cx.error(span, format!("`notify_from` has {many} networks"), format!("at most {NOTIFY_FROM_MAX}"));
    }
    for value in values.into_iter().take(NOTIFY_FROM_MAX) {
        let Some(text) = value.text(cx, "notify_from") else { continue };
        match scalar::network(text.value) {
            Ok(network) => networks.push(network),
            Err((why, hint)) => {
                let message = format!("`notify_from` cannot hold `{}`: {why}", shortened(text.value));
                cx.error(text.span, message, hint);
            }
        }
    }
    networks
}
