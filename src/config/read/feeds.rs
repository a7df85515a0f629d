//! `[feeds.*]` and `load`: where loads are read, and what they are held against.

use std::path::Path;

use super::directory::Directory;
use super::monitors::{cadence, page};
use super::reader::{At, Context, Name, Table, Value, shortened};
use super::scalar;
use crate::config::Monitor;
use crate::config::shape::{FEED, LOAD, LOADS};
use crate::health::feed::{Amount, Cell, FeedFormat, Pointer, Selection, Series};
use crate::health::load::LoadLimits;
use crate::health::{Check, LoadCheck, TcpCheck};

/// `[feeds.*]`, in the order written: to the rest of the program they are monitors of a kind of their own.
pub fn feeds(cx: &mut Context, directory: &Directory, folder: &Path) -> Vec<Monitor> {
    directory.entries.iter().map(|(name, value)| feed(cx, *name, *value, folder)).collect()
}

fn feed(cx: &mut Context, name: Name, value: Value, folder: &Path) -> Monitor {
    let table = Table::open(cx, value, &FEED, Some(name.span));
    let check = table.as_ref().and_then(|table| check(cx, table, folder));
    Monitor {
        name: name.text.to_owned(),
        span: name.span,
        // A feed without a page has been reported.
        check: check.map_or(Check::Tcp(TcpCheck::connect(0)), |check| Check::Load(Box::new(check))),
        cadence: cadence(cx, table.as_ref()),
    }
}

fn check(cx: &mut Context, table: &Table, folder: &Path) -> Option<LoadCheck> {
    let http = page(cx, table, folder);
    let format = table.word(cx, "format").and_then(|format| match format.value {
        "prometheus" => selection(cx, table, Series::parse, SERIES_HINT).map(FeedFormat::Prometheus),
        "haproxy-csv" => selection(cx, table, Cell::parse, CELL_HINT).map(FeedFormat::HaproxyCsv),
        _ => selection(cx, table, Pointer::parse, POINTER_HINT).map(FeedFormat::Json),
    });
    let errors_permille_max = errors_max(cx, table);
    Some(LoadCheck { http: http?, format: format?, errors_permille_max })
}

const SERIES_HINT: &str = "write a metric's name, perhaps with labels: 'requests_total{code=~\"5..\"}'";
const CELL_HINT: &str = "write PROXY/SERVER COLUMN: \"web/FRONTEND scur\"";
const POINTER_HINT: &str = "write a JSON pointer: \"/connections/active\"";

fn selection<S>(
    cx: &mut Context,
    table: &Table,
    parse: fn(&str) -> Result<S, &'static str>,
    hint: &str,
) -> Option<Selection<S>> {
    let mut select = |key: &str| {
        let text = table.text(cx, key)?;
        let selector = parse(text.value);
        if let Err(why) = &selector {
            cx.error(text.span, format!("`{key}` cannot be `{}`: {why}", shortened(text.value)), hint);
        }
        selector.ok()
    };
    let (current, responses, errors) = (select("current"), select("responses"), select("errors"));
    Some(Selection { current: current?, responses, errors })
}

/// In permille.
fn errors_max(cx: &mut Context, table: &Table) -> Option<u16> {
    let text = table.text(cx, "errors_max")?;
    for key in ["responses", "errors"] {
        if table.get(key).is_none() {
            cx.absent(
                text.span,
                format!("`errors_max` has no effect without `{key}`"),
                format!("say where they are counted: {key} = ..."),
            );
        }
    }
    let share = scalar::percent(text.value).map(|percent| u16::from(percent) * 10);
    if share.is_none() {
        cx.error(
            text.span,
            format!("`errors_max` cannot be `{}`", shortened(text.value)),
            "write a share from \"1%\" to \"100%\"",
        );
    }
    share
}

/// `load = { target = 200, max = 400 }` of a pool or an endpoint.
pub fn limits(cx: &mut Context, owner: &Table, fed: bool) -> Option<LoadLimits> {
    let value = owner.get("load")?;
    if !fed {
        cx.absent(
            value.span,
            "`load` has no effect: nothing says where the load is read",
            "name a feed in the pool: feed = \"...\"",
        );
    }
    let table = Table::open(cx, value, &LOAD, None)?;
    let target = amount(cx, &table, "target");
    let max = amount(cx, &table, "max");
    let target = target?;
    if let Some(max) = max
        && max.value <= target.value
    {
        cx.error(
            max.span,
            "`max` is not greater than `target`",
            "between the two the share that is shed grows",
        );
        cx.also(target.span, "the target");
    }
    let twice = Amount { milli: target.value.milli.saturating_mul(2) };
    Some(LoadLimits { target: target.value, max: max.map_or(twice, |max| max.value) })
}

fn amount(cx: &mut Context, table: &Table, key: &str) -> Option<At<Amount>> {
    let number = table.get(key)?.number(cx, key)?;
    let (least, most) = LOADS;
    if !(least..=most).contains(&number.value) {
        cx.error(number.span, format!("`{key}` is out of range"), format!("from {least} to {most}"));
        return None;
    }
    Amount::from_units(number.value).map(|value| At { value, span: number.span })
}
