//! `https = { ... }` and `svcb = { ... }`: service bindings (RFC 9460).

use std::collections::BTreeMap;

use domain::utils::base64;

use super::reader::{Context, Table, Value, shortened};
use crate::config::Binding;
use crate::config::shape::BINDING;
use crate::wire::SvcParamKey;

/// One parameter; a whole answer has to fit a datagram as a rule.
const VALUE_OCTETS_MAX: usize = 4096;
/// A protocol's length is one octet.
const PROTOCOL_OCTETS_MAX: usize = 255;

/// Reads one record.
pub fn binding(cx: &mut Context, value: Value) -> Option<Binding> {
    let table = Table::open(cx, value, &BINDING, None)?;
    let mut parameters: BTreeMap<SvcParamKey, Box<[u8]>> = BTreeMap::new();
    let priority = table.integer(cx, "priority").map_or(1, |at| at.value as u16);
    if let Some(alpn) = alpn(cx, &table) {
        parameters.insert(SvcParamKey::ALPN, alpn.into());
    }
    if table.flag(cx, "no_default_alpn") == Some(true) {
        if table.get("alpn").is_none() {
            let span = table.key_span("no_default_alpn").unwrap_or(table.span);
            cx.error(span, "`no_default_alpn` leaves no protocol", "name those that are spoken in `alpn`");
        }
        parameters.insert(SvcParamKey::NO_DEFAULT_ALPN, Box::new([]));
    }
    if let Some(port) = table.integer(cx, "port") {
        parameters.insert(SvcParamKey::PORT, (port.value as u16).to_be_bytes().into());
    }
    if let Some(ech) = ech(cx, &table) {
        parameters.insert(SvcParamKey::ECH, ech.into());
    }
    if let Some(path) = dohpath(cx, &table) {
        parameters.insert(SvcParamKey::DOHPATH, path.into());
    }
    Some(Binding { priority, parameters })
}

/// Each protocol with its length before it.
fn alpn(cx: &mut Context, table: &Table) -> Option<Vec<u8>> {
    let (elements, span) = table.one_or_many("alpn")?;
    if elements.is_empty() {
        cx.error(span, "`alpn` names no protocol", "leave it out, or write alpn = [\"h2\"]");
        return None;
    }
    let mut wire = Vec::new();
    for element in elements {
        let Some(text) = element.text(cx, "alpn") else { continue };
        match u8::try_from(text.value.len()) {
            Ok(length) => {
                wire.push(length);
                wire.extend_from_slice(text.value.as_bytes());
            }
            Err(_) => cx.error(
                text.span,
                format!("`{}` is too long for a protocol", shortened(text.value)),
                format!("at most {PROTOCOL_OCTETS_MAX} octets"),
            ),
        }
    }
    bounded(cx, "alpn", span, wire)
}

fn ech(cx: &mut Context, table: &Table) -> Option<Vec<u8>> {
    let text = table.text(cx, "ech")?;
    match base64::decode::<Vec<u8>>(text.value) {
        Ok(list) => bounded(cx, "ech", text.span, list),
        Err(_) => {
            cx.error(
                text.span,
                "`ech` is no base64",
                "write the ECHConfigList as the TLS server's tools print it",
            );
            None
        }
    }
}

fn dohpath(cx: &mut Context, table: &Table) -> Option<Vec<u8>> {
    let text = table.text(cx, "dohpath")?;
    if !text.value.starts_with('/') || !text.value.contains("{?dns}") {
        cx.error(text.span, "`dohpath` is no path with {?dns}", "write \"/dns-query{?dns}\"");
        return None;
    }
    bounded(cx, "dohpath", text.span, text.value.as_bytes().to_vec())
}

fn bounded(cx: &mut Context, key: &str, span: crate::config::Span, octets: Vec<u8>) -> Option<Vec<u8>> {
    if octets.len() > VALUE_OCTETS_MAX {
        cx.error(span, format!("`{key}` has {} octets", octets.len()), format!("at most {VALUE_OCTETS_MAX}"));
        return None;
    }
    Some(octets)
}
