//! `[monitors.*]`: what is done, how often, and the thresholds.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::directory::Directory;
use super::reader::{Context, Name, Table, Value, shortened};
use super::{body, checks, scalar, secret};
use crate::config::Monitor;
use crate::config::shape::{HTTP, HTTPS, MONITOR};
use crate::health::{Cadence, Check, Http2, HttpCheck, TcpCheck, TlsCheck};

/// `[monitors.*]`, in the order written. `folder` is the configuration's.
pub fn monitors(cx: &mut Context, directory: &Directory, folder: &Path) -> Vec<Monitor> {
    directory.entries.iter().map(|(name, value)| monitor(cx, *name, *value, folder)).collect()
}

fn monitor(cx: &mut Context, name: Name, value: Value, folder: &Path) -> Monitor {
    let table = Table::open(cx, value, &MONITOR, Some(name.span));
    let check = table.as_ref().and_then(|table| check(cx, table, folder));
    if let (Some(table), Some(Check::Push { .. })) = (&table, &check) {
        refuse_cadence(cx, table);
    }
    Monitor {
        name: name.text.to_owned(),
        span: name.span,
        // A monitor without a check has been reported.
        check: check.unwrap_or(Check::Tcp(TcpCheck::connect(0))),
        cadence: cadence(cx, table.as_ref()),
    }
}

/// What is posted is not probed: there is no interval, and each verdict is taken as it comes.
fn refuse_cadence(cx: &mut Context, table: &Table) {
    for key in ["interval", "timeout", "fall", "rise", "ok", "relapse_window"] {
        if let Some(span) = table.key_span(key) {
            cx.error(
                span,
                format!("`{key}` has no effect with `push`"),
                "remove it: posted verdicts are taken as they come, and hold for their `ttl`",
            );
        }
    }
}

/// How often, how long, and the thresholds.
pub fn cadence(cx: &mut Context, table: Option<&Table>) -> Cadence {
    let Some(table) = table else { return Cadence::DEFAULT };
    let small = |at: super::reader::At<i64>| u8::try_from(at.value).unwrap_or(u8::MAX);
    let interval = table.duration(cx, "interval").map_or(Cadence::DEFAULT.interval, |at| at.value);
    let timeout = table.duration(cx, "timeout");
    if let Some(timeout) = timeout
        && timeout.value > interval
    {
        cx.error(
            timeout.span,
            format!(
                "the timeout of {} is longer than the interval of {}",
                scalar::spell_duration(timeout.value),
                scalar::spell_duration(interval)
            ),
            "a probe must end before the next one starts: shorten `timeout` or lengthen `interval`",
        );
        if let Some(interval) = table.get("interval") {
            cx.also(interval.span, "the interval");
        }
    }
    Cadence {
        interval,
        timeout: timeout.map_or(Cadence::DEFAULT.timeout.min(interval), |at| at.value),
        fall: table.integer(cx, "fall").map_or(Cadence::DEFAULT.fall, small),
        rise: table.integer(cx, "rise").map_or(Cadence::DEFAULT.rise, small),
        ok: table.integer(cx, "ok").map_or(Cadence::DEFAULT.ok, small),
        relapse_window: table
            .duration(cx, "relapse_window")
            .map_or(Cadence::DEFAULT.relapse_window, |at| at.value),
    }
}

fn check(cx: &mut Context, monitor: &Table, folder: &Path) -> Option<Check> {
    if monitor.get("http").or(monitor.get("https")).is_some() {
        return request(cx, monitor, folder).map(Check::Http);
    }
    checks::other(cx, monitor, folder)
}

/// The request of a feed: nothing is looked for in its body.
pub fn page(cx: &mut Context, feed: &Table, folder: &Path) -> Option<HttpCheck> {
    let mut check = request(cx, feed, folder)?;
    if !std::mem::take(&mut check.body).is_empty()
        && let Some(value) = feed.get("http").or(feed.get("https"))
    {
        cx.error(
            value.span,
            "nothing is looked for in the page of a feed",
            "remove `body`, `regex` and `json`; a page without a load counts as missing",
        );
    }
    Some(check)
}

/// `http` or `https`.
fn request(cx: &mut Context, owner: &Table, folder: &Path) -> Option<HttpCheck> {
    if let Some(value) = owner.get("http") {
        let table = Table::open(cx, value, &HTTP, None)?;
        return Some(http(cx, &table, None, 80));
    }
    let table = Table::open(cx, owner.get("https")?, &HTTPS, None)?;
    let tls = tls(cx, &table, folder);
    Some(http(cx, &table, Some(tls), 443))
}

/// A port.
pub fn port(cx: &mut Context, table: &Table) -> Option<u16> {
    table.integer(cx, "port").and_then(|at| u16::try_from(at.value).ok())
}

/// `verify`, `ca` and `expires_in_days`.
pub fn tls(cx: &mut Context, table: &Table, folder: &Path) -> TlsCheck {
    let verify = table.flag(cx, "verify").unwrap_or(true);
    let ca = table.text(cx, "ca");
    if let Some(ca) = ca
        && !verify
    {
        cx.error(ca.span, "`ca` has no effect with verify = false", "remove one of the two");
    }
    let days = table.integer(cx, "expires_in_days").and_then(|at| u16::try_from(at.value).ok());
    TlsCheck {
        verify,
        ca: ca.map(|at| -> PathBuf { folder.join(at.value) }),
        expires_in_days: days.unwrap_or(TlsCheck::EXPIRES_IN_DAYS),
    }
}

fn http(cx: &mut Context, table: &Table, tls: Option<TlsCheck>, default_port: u16) -> HttpCheck {
    let method = table.word(cx, "method").map_or("GET", |at| at.value);
    HttpCheck {
        http2: if tls.is_some() { http2(cx, table) } else { Http2::Never },
        tls,
        port: port(cx, table).unwrap_or(default_port),
        method: method.to_owned(),
        path: path(cx, table).unwrap_or_else(|| "/".to_owned()),
        host: host(cx, table),
        headers: headers(cx, table),
        expect: expect(cx, table).unwrap_or_else(|| vec![200..=299]),
        body: body::matches(cx, table, method),
    }
}

fn http2(cx: &mut Context, table: &Table) -> Http2 {
    match table.word(cx, "http2").map(|at| at.value) {
        Some("required") => Http2::Required,
        Some("never") => Http2::Never,
        _ => Http2::IfOffered,
    }
}

fn path(cx: &mut Context, table: &Table) -> Option<String> {
    let path = table.text(cx, "path")?;
    let visible = path.value.bytes().all(|c| c.is_ascii_graphic());
    if !path.value.starts_with('/') {
        let hint = match path.value.contains("://") {
            true => "write the path alone; the address is the endpoint's own".to_owned(),
            false => format!("write \"/{}\"", shortened(path.value)),
        };
        cx.error(path.span, "`path` does not begin with a slash", hint);
        return None;
    }
    if !visible {
        cx.error(
            path.span,
            "`path` holds blanks or characters beyond ASCII",
            "percent-encode them: a blank is %20",
        );
        return None;
    }
    if path.value.contains('#') {
        cx.error(
            path.span,
            "`path` holds a `#`, which is never sent to a server",
            "remove it and what follows, or write %23",
        );
        return None;
    }
    Some(path.value.to_owned())
}

/// `host`: a name, perhaps with a port.
pub fn host(cx: &mut Context, table: &Table) -> Option<String> {
    let host = table.text(cx, "host")?;
    let (name, port) = match host.value.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, Some(port)),
        _ => (host.value, None),
    };
    let port_is_fine = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().is_ok();
    let why = match scalar::host_name(name) {
        _ if host.value.contains('/') => "it is more than a name",
        Err(why) if !address => why,
        _ if !port_is_fine => "its port is none",
        _ => return Some(host.value.to_ascii_lowercase()),
    };
    let hint = match host.value.contains('/') {
        true => "write the name alone, without https:// and path",
        false => "write the name that clients use: host = \"www.example.com\"",
    };
    cx.error(host.span, format!("`host` cannot be `{}`: {why}", shortened(host.value)), hint);
    None
}

/// Field names that the probe itself writes, and what to do instead.
const OWN_FIELDS: [(&str, &str); 4] = [
    ("host", "write it as `host`, beside `path`"),
    ("content-length", "the probe has no body"),
    ("transfer-encoding", "the probe has no body"),
    ("connection", "each probe makes its own connection"),
];

fn headers(cx: &mut Context, table: &Table) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for (name, value) in table.names(cx, "headers") {
        let token = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if name.text.is_empty() || !name.text.bytes().all(token) {
            cx.error(
                name.span,
                "this is not the name of a header field",
                "write letters, digits and hyphens",
            );
        }
        if let Some((_, hint)) = OWN_FIELDS.iter().find(|(own, _)| name.text.eq_ignore_ascii_case(own)) {
            cx.error(name.span, format!("the field `{}` cannot be set here", name.text), *hint);
        }
        let Some(text) = value.secret(cx, name.text) else { continue };
        let Some(resolved) = secret::resolve(cx, name.text, text) else { continue };
        if resolved.bytes().any(|c| c.is_ascii_control() && c != b'\t') {
            cx.error(
                value.span,
                format!("the value of `{}` holds control characters", name.text),
                "remove them",
            );
        }
        headers.push((name.text.to_owned(), resolved));
    }
    headers
}

fn expect(cx: &mut Context, table: &Table) -> Option<Vec<RangeInclusive<u16>>> {
    let (values, span) = table.one_or_many("expect")?;
    if values.is_empty() {
        cx.error(
            span,
            "`expect` is empty: no answer could count as well",
            "name a status code, or leave the key out",
        );
    }
    Some(values.into_iter().filter_map(|value| status(cx, value)).collect())
}

fn status(cx: &mut Context, value: Value) -> Option<RangeInclusive<u16>> {
    if value.toml.as_integer().is_some() {
        let code = value.integer(cx, "expect", 100, 599)?.value as u16;
        return Some(code..=code);
    }
    let text = value.text(cx, "expect")?;
    let range = scalar::status_range(text.value);
    if range.is_none() {
        cx.error(
            text.span,
            format!(
                "`expect` cannot be `{}`: it is no status code nor a range of them",
                shortened(text.value)
            ),
            "write 200, \"200-299\" or [200, 204]; codes lie in 100 to 599",
        );
    }
    range
}
