//! `[rate_limit]` and `[cookies]`.

use super::reader::{At, Context, Table, Value};
use super::server::networks;
use super::{scalar, secret};
use crate::config::Cookies;
use crate::config::shape::{COOKIES, RATE_LIMIT};
use crate::cookie::{SECRETS_MAX, Secret};
use crate::limit::{BURST_MAX, Rates};

/// NSD's figure: several times what a busy resolver of a provider asks one server.
const RATE: u32 = 200;
/// They are looked through for every refused query.
const EXEMPT_MAX: usize = 100;

/// `[rate_limit]`: on where the table is written.
pub fn rate_limit(cx: &mut Context, main: &Table) -> Option<Rates> {
    let table = main.get("rate_limit").and_then(|value| Table::open(cx, value, &RATE_LIMIT, None))?;
    let number = |written: Option<At<i64>>| written.and_then(|at| u32::try_from(at.value).ok());
    let rate = number(table.integer(cx, "rate")).unwrap_or(RATE);
    let written = number(table.integer(cx, "burst"));
    let burst = written.unwrap_or((rate * 5 / 2).clamp(1, BURST_MAX));
    if burst < rate.div_ceil(10) {
        let span = table.key_span("burst").unwrap_or(table.span);
        cx.error(
            span,
            format!("a burst of {burst} is too small for a rate of {rate}"),
            format!("write at least a tenth of the rate, better {}", (rate * 5 / 2).min(BURST_MAX)),
        );
    }
    let slip = number(table.integer(cx, "slip")).unwrap_or(1);
    if slip == 0 {
        let span = table.key_span("slip").unwrap_or(table.span);
        cx.lint(
            span,
            "with `slip = 0` whoever is beyond the limit is met with silence, those whose address is forged too",
            "write 1: an answer of the query's own size harms nobody",
        );
    }
    let exempt = networks(cx, &table, "exempt");
    if exempt.len() > EXEMPT_MAX {
        let span = table.key_span("exempt").unwrap_or(table.span);
        cx.error(span, format!("`exempt` has {} networks", exempt.len()), format!("at most {EXEMPT_MAX}"));
    }
    Some(Rates { rate, burst, slip, exempt })
}

/// `[cookies]`
pub fn cookies(cx: &mut Context, main: &Table) -> Cookies {
    let table = main.get("cookies").and_then(|value| Table::open(cx, value, &COOKIES, None));
    let Some(table) = table else { return Cookies::default() };
    let own = table.get("secret").and_then(|value| key(cx, value, "secret"));
    let (accepted, span) = table.one_or_many("accept").unwrap_or((Vec::new(), table.span));
    if accepted.len() >= SECRETS_MAX {
        cx.error(
            span,
            format!("`accept` has {} secrets", accepted.len()),
            "at most two: the one before and the one after",
        );
    }
    if !accepted.is_empty() && table.get("secret").is_none() {
        cx.error(span, "`accept` stands without `secret`", "write the secret that cookies are made with");
    }
    let accepted = accepted.into_iter().filter_map(|value| key(cx, value, "accept")).collect();
    Cookies { enabled: table.flag(cx, "enabled").unwrap_or(true), secret: own, accepted }
}

fn key(cx: &mut Context, value: Value, name: &str) -> Option<Secret> {
    let text = value.secret(cx, name)?;
    let written = secret::resolve(cx, name, text)?;
    let octets = scalar::key_128(written.trim());
    if octets.is_none() {
        cx.error(
            text.span,
            format!("`{name}` is not a secret of 128 bits"),
            "write 32 hexadecimal digits, such as `openssl rand -hex 16` prints",
        );
    }
    octets.map(Secret)
}
