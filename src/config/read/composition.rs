//! `monitor` and `watch` of a pool: which monitors check its endpoints, and how they add up.

use super::directory::Directory;
use super::reader::{At, Context, Table, Value, wrong_type};
use crate::config::shape::{COMPOSITION, VOTE};
use crate::config::{MonitorVote, PoolMonitor, Span};
use crate::ids::MonitorId;

/// Monitors of one pool: each is a probe of every address.
const VOTES_MAX: usize = 32;

/// A monitor, and where it is named.
type Named = (MonitorVote, Span);

/// `monitor = "web"` or `monitor = { all = ["web", "tcp"] }`
pub fn monitor(cx: &mut Context, value: Value, monitors: &mut Directory) -> Option<PoolMonitor> {
    if value.toml.as_str().is_some() {
        return refer(cx, value, monitors).map(PoolMonitor::single);
    }
    if value.toml.as_table().is_none() {
        wrong_type(
            cx,
            "monitor",
            value,
            "a monitor's name or a table is needed",
            "write \"web\", or { all = [\"web\", \"tcp\"] }",
        );
        return None;
    }
    let table = Table::open(cx, value, &COMPOSITION, None)?;
    if table.get("at_least").is_some() {
        return at_least(cx, &table, monitors);
    }
    if let Some(span) = table.key_span("of") {
        cx.error(span, "`of` has no effect without `at_least`", "write { at_least = 2, of = [...] }");
        return None;
    }
    let all = table.get("all").is_some();
    let votes = votes(cx, &table, if all { "all" } else { "any" }, monitors)?;
    for (vote, span) in &votes {
        if vote.weight != 1 {
            cx.error(*span, "a weight counts under `at_least` only", "write { at_least = ..., of = [...] }");
        }
    }
    let needed = if all { votes.len() as u32 } else { 1 };
    Some(PoolMonitor { needed, votes: votes.into_iter().map(|(vote, _)| vote).collect() })
}

/// `watch = ["slow"]`, none of which votes.
pub fn watch(
    cx: &mut Context,
    pool: &Table,
    voting: Option<&PoolMonitor>,
    monitors: &mut Directory,
) -> Vec<MonitorId> {
    let Some(value) = pool.get("watch") else { return Vec::new() };
    let Some(values) = value.elements() else {
        wrong_type(cx, "watch", value, "an array is needed", "write watch = [\"web\"]");
        return Vec::new();
    };
    if values.is_empty() {
        cx.error(value.span, "`watch` is empty", "name a monitor, or leave the key out");
    }
    let mut watched = Vec::new();
    for value in values {
        let Some(monitor) = refer(cx, value, monitors) else { continue };
        if voting.is_some_and(|voting| voting.votes.iter().any(|vote| vote.monitor == monitor)) {
            cx.error(
                value.span,
                "this monitor votes already in `monitor`",
                "remove it from one of the two: what is watched never votes",
            );
        } else if watched.contains(&monitor) {
            cx.error(value.span, "this monitor is named twice", "remove one of them");
        } else {
            watched.push(monitor);
        }
    }
    watched
}

fn at_least(cx: &mut Context, table: &Table, monitors: &mut Directory) -> Option<PoolMonitor> {
    let needed = table.integer(cx, "at_least");
    if table.get("of").is_none() {
        let span = table.key_span("at_least").unwrap_or(table.span);
        cx.absent(
            span,
            "`at_least` has no `of`",
            "name the monitors: { at_least = 2, of = [\"web\", \"tcp\"] }",
        );
        return None;
    }
    let votes = votes(cx, table, "of", monitors)?;
    let needed = needed?;
    let sum: u32 = votes.iter().map(|(vote, _)| u32::from(vote.weight)).sum();
    if needed.value > i64::from(sum) {
        cx.error(
            needed.span,
            format!("`at_least` is {}, and all of `of` together count {sum}", needed.value),
            "lower it, or raise the weights: as it is no endpoint is ever well",
        );
    }
    let needed = u32::try_from(needed.value).ok()?;
    Some(PoolMonitor { needed, votes: votes.into_iter().map(|(vote, _)| vote).collect() })
}

fn votes(cx: &mut Context, table: &Table, key: &str, monitors: &mut Directory) -> Option<Vec<Named>> {
    let value = table.get(key)?;
    let Some(elements) = value.elements() else {
        wrong_type(cx, key, value, "an array is needed", &format!("write {key} = [\"web\", \"tcp\"]"));
        return None;
    };
    if elements.is_empty() {
        cx.error(value.span, format!("`{key}` is empty"), "name at least one monitor");
    }
    if elements.len() > VOTES_MAX {
        cx.error(
            value.span,
            format!("`{key}` names {} monitors", elements.len()),
            format!("at most {VOTES_MAX}"),
        );
    }
    let mut votes: Vec<Named> = Vec::new();
    for element in elements.into_iter().take(VOTES_MAX) {
        let Some(vote) = vote(cx, element, monitors) else { continue };
        match votes.iter().find(|(other, _)| other.monitor == vote.0.monitor) {
            Some((_, first)) => {
                let first = *first;
                cx.error(vote.1, "this monitor is named twice", "remove one of them, or give it a `weight`");
                cx.also(first, "the first one");
            }
            None => votes.push(vote),
        }
    }
    (!votes.is_empty()).then_some(votes)
}

/// `"web"` or `{ use = "web", weight = 2 }`
fn vote(cx: &mut Context, value: Value, monitors: &mut Directory) -> Option<Named> {
    if value.toml.as_table().is_none() {
        let monitor = refer(cx, value, monitors)?;
        return Some((MonitorVote { monitor, weight: 1, inverted: false }, value.span));
    }
    let table = Table::open(cx, value, &VOTE, None)?;
    let weight = table.integer(cx, "weight").and_then(|at| u16::try_from(at.value).ok());
    let inverted = table.flag(cx, "inverted").unwrap_or(false);
    let monitor = refer(cx, table.get("use")?, monitors)?;
    Some((MonitorVote { monitor, weight: weight.unwrap_or(1), inverted }, value.span))
}

fn refer(cx: &mut Context, value: Value, monitors: &mut Directory) -> Option<MonitorId> {
    let name: At<&str> = value.text(cx, "monitor")?;
    monitors.refer(cx, name).map(|number| MonitorId(number as u16))
}
