//! What keeps a service whole: `failback`, `governor`, `min_capacity`, `canaries`.

use std::net::SocketAddr;

use super::reader::{Context, Table, Value, shortened, wrong_type};
use super::scalar;
use crate::config::Span;
use crate::config::shape::{FAILBACK, GOVERNOR};
use crate::health::{FailbackMode, FailbackSpec, GovernorSpec, MinCapacity};

/// Canaries: all must fail to count, so that more than a few make them worthless.
const CANARIES_MAX: usize = 16;

/// `failback = { ... }`
pub fn failback(cx: &mut Context, pool: &Table) -> FailbackSpec {
    let table = pool.get("failback").and_then(|value| Table::open(cx, value, &FAILBACK, None));
    let Some(table) = table else { return FailbackSpec::NONE };
    let mode = match table.word(cx, "mode") {
        Some(mode) if mode.value == "manual" => FailbackMode::Manual,
        _ => FailbackMode::Auto,
    };
    let spec = FailbackSpec {
        hold: table.duration(cx, "hold").map_or(FailbackSpec::NONE.hold, |at| at.value),
        ramp: table.duration(cx, "ramp").map_or(FailbackSpec::NONE.ramp, |at| at.value),
        mode,
    };
    if spec == FailbackSpec::NONE {
        let hint = "write hold = \"5m\", ramp = \"10m\" or mode = \"manual\", or leave `failback` out";
        cx.lint(table.span, "this `failback` lets everything back at once", hint);
    }
    spec
}

/// `governor = { ... }` of the main file or of a service; what is not written is as in `otherwise`.
pub fn governor(cx: &mut Context, of: &Table, otherwise: GovernorSpec) -> GovernorSpec {
    let table = of.get("governor").and_then(|value| Table::open(cx, value, &GOVERNOR, None));
    let Some(table) = table else { return otherwise };
    GovernorSpec {
        max_removed_percent: max_removed(cx, &table).unwrap_or(otherwise.max_removed_percent),
        window: table.duration(cx, "window").map_or(otherwise.window, |at| at.value),
    }
}

fn max_removed(cx: &mut Context, table: &Table) -> Option<u8> {
    let text = table.text(cx, "max_removed")?;
    let percent = if text.value == "0%" { Some(0) } else { scalar::percent(text.value) };
    if percent.is_none() {
        let written = shortened(text.value);
        cx.error(
            text.span,
            format!("`max_removed` cannot be `{written}`"),
            "write a share from \"0%\" (one region and no more) to \"100%\" (no limit)",
        );
    }
    percent
}

/// `min_capacity = 100` or `"30%"`.
pub fn min_capacity(cx: &mut Context, service: &Table) -> Option<MinCapacity> {
    let value = service.get("min_capacity")?;
    if value.toml.as_integer().is_some() {
        let units = value.integer(cx, "min_capacity", 1, i64::from(u32::MAX))?;
        return u32::try_from(units.value).ok().map(MinCapacity::Units);
    }
    if value.toml.as_str().is_none() {
        wrong_type(cx, "min_capacity", value, "a capacity or a share is needed", "write 100 or \"30%\"");
        return None;
    }
    let text = value.text(cx, "min_capacity")?;
    let percent = scalar::percent(text.value);
    if percent.is_none() {
        cx.error(
            text.span,
            format!("`min_capacity` cannot be `{}`", shortened(text.value)),
            "write a capacity without quotes, or a share from \"1%\" to \"100%\"",
        );
    }
    percent.map(MinCapacity::Percent)
}

/// `canaries = ["192.0.2.1:443", ...]`
pub fn canaries(cx: &mut Context, probes: &Table) -> Vec<SocketAddr> {
    let Some(value) = probes.get("canaries") else { return Vec::new() };
    let Some(elements) = value.elements() else {
        let hint = "write canaries = [\"192.0.2.1:443\", \"198.51.100.1:443\"]";
        wrong_type(cx, "canaries", value, "an array of ADDRESS:PORT is needed", hint);
        return Vec::new();
    };
    if elements.len() > CANARIES_MAX {
        let many = elements.len();
        cx.error(value.span, format!("there are {many} canaries"), format!("at most {CANARIES_MAX}"));
    }
    let mut canaries: Vec<(SocketAddr, Span)> = Vec::new();
    for element in elements.into_iter().take(CANARIES_MAX) {
        let Some(socket) = canary(cx, element) else { continue };
        match canaries.iter().find(|(other, _)| *other == socket) {
            Some((_, first)) => {
                let first = *first;
                cx.error(element.span, format!("{socket} is listed twice"), "remove one of them");
                cx.also(first, "first listed here");
            }
            None => canaries.push((socket, element.span)),
        }
    }
    canaries.into_iter().map(|(socket, _)| socket).collect()
}

fn canary(cx: &mut Context, value: Value) -> Option<SocketAddr> {
    let text = value.text(cx, "canaries")?;
    match scalar::socket(text.value) {
        Ok(socket) => Some(socket),
        Err((why, hint)) => {
            cx.error(value.span, format!("a canary cannot be `{}`: {why}", shortened(text.value)), hint);
            None
        }
    }
}
