//! `[dnssec]` of the main file and of zones.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Context, Table, Value, wrong_type};
use crate::config::shape::{DNSSEC, SIGNED_ZONE};
use crate::config::{Announcement, DenialKind, Dnssec, KeyScheme, KeysManaged, ZoneDnssec};
use crate::dnssec::Algorithm;

/// A day.
const DAY: Duration = Duration::from_secs(86_400);

/// What signatures must be good for beyond the moment of their renewal: else all would be renewed at once,
/// and all the time.
const VALIDITY_BEYOND_REFRESH_MIN: Duration = Duration::from_secs(2 * 86_400);

/// `[dnssec]` of the main file.
pub fn dnssec(cx: &mut Context, main: &Table) -> Dnssec {
    let table = main.get("dnssec").and_then(|value| Table::open(cx, value, &DNSSEC, None));
    let Some(table) = table else {
        return Dnssec { key_folder: PathBuf::from("keys"), managed: KeysManaged::Here };
    };
    Dnssec {
        key_folder: table
            .text(cx, "key_folder")
            .map_or_else(|| PathBuf::from("keys"), |at| PathBuf::from(at.value)),
        managed: match table.word(cx, "managed").map(|at| at.value) {
            Some("elsewhere") => KeysManaged::Elsewhere,
            _ => KeysManaged::Here,
        },
    }
}

/// `dnssec = true`, or `[dnssec]`, of a zone; `steered`: whether it has steered names.
pub fn zone_dnssec(cx: &mut Context, zone: &Table, steered: bool) -> Option<ZoneDnssec> {
    let value = zone.get("dnssec")?;
    if let Some(signed) = value.toml.as_bool() {
        return signed.then(|| ZoneDnssec::usual(value.span, steered));
    }
    if !value.toml.is_table() {
        let hint = "write dnssec = true, or a table [dnssec]";
        wrong_type(cx, "dnssec", value, "true, false or a table is needed", hint);
        return None;
    }
    let at = zone.key_span("dnssec").unwrap_or(value.span);
    let table = Table::open(cx, value, &SIGNED_ZONE, Some(at))?;
    let usual = ZoneDnssec::usual(at, steered);
    let read = ZoneDnssec {
        span: at,
        scheme: match table.word(cx, "keys").map(|at| at.value) {
            Some("ksk-zsk") => KeyScheme::KskZsk,
            _ => KeyScheme::Csk,
        },
        algorithm: match table.word(cx, "algorithm").map(|at| at.value) {
            Some("ed25519") => Algorithm::Ed25519,
            _ => Algorithm::EcdsaP256Sha256,
        },
        denial: denial(cx, &table, steered).unwrap_or(usual.denial),
        signature_validity: table
            .duration(cx, "signature_validity")
            .map_or(usual.signature_validity, |at| at.value),
        refresh: table.duration(cx, "refresh").map_or(usual.refresh, |at| at.value),
        zsk_lifetime: zsk_lifetime(cx, &table, usual.zsk_lifetime),
        propagation_delay: table
            .duration(cx, "propagation_delay")
            .map_or(usual.propagation_delay, |at| at.value),
        parent_ds_ttl: table.duration(cx, "parent_ds_ttl").map_or(usual.parent_ds_ttl, |at| at.value),
        cds: match table.word(cx, "cds").map(|at| at.value) {
            Some("off") => Announcement::Off,
            Some("delete") => Announcement::Delete,
            _ => Announcement::Publish,
        },
        key_folder: table.text(cx, "key_folder").map(|at| PathBuf::from(at.value)),
    };
    if read.signature_validity < read.refresh + VALIDITY_BEYOND_REFRESH_MIN {
        let key = if table.get("refresh").is_some() { "refresh" } else { "signature_validity" };
        cx.error(
            table.get(key).map_or(at, |value| value.span),
            "`refresh` comes too soon before the end of `signature_validity`",
            "signatures are to be good for at least two days beyond `refresh`: 14d and 7d are usual",
        );
    }
    if read.scheme == KeyScheme::Csk
        && let Some(value) = table.get("zsk_lifetime")
    {
        cx.lint(
            value.span,
            "there is no ZSK: `keys` is \"csk\"",
            "write keys = \"ksk-zsk\", or remove `zsk_lifetime`",
        );
    }
    Some(read)
}

fn denial(cx: &mut Context, table: &Table, steered: bool) -> Option<DenialKind> {
    let word = table.word(cx, "denial")?;
    let kind = match word.value {
        "nsec" => DenialKind::Nsec,
        "nsec3" => DenialKind::Nsec3,
        _ => DenialKind::Compact,
    };
    if steered && kind != DenialKind::Compact {
        cx.error(
            word.span,
            format!("a zone with steered names cannot deny by `{}`", word.value),
            "which names and types exist changes with health: write denial = \"compact\", or leave it out",
        );
    }
    Some(kind)
}

fn zsk_lifetime(cx: &mut Context, table: &Table, usual: Option<Duration>) -> Option<Duration> {
    let Some(value) = table.get("zsk_lifetime") else { return usual };
    match value.toml.as_str() {
        Some("off") => None,
        _ => lifetime(cx, value).or(usual),
    }
}

fn lifetime(cx: &mut Context, value: Value) -> Option<Duration> {
    value.duration(cx, "zsk_lifetime", DAY, 3650 * DAY).map(|at| at.value)
}
