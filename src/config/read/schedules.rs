//! `[schedules.*]`: windows in time.

use super::directory::Directory;
use super::reader::{Context, Name, Table, Value, shortened};
use crate::config::Schedule;
use crate::config::shape::{SCHEDULE, WINDOW};
use crate::steer::{self, Cron, Window};

/// Windows of one schedule; all are looked at whenever one has run out.
const WINDOWS_MAX: usize = 1000;

/// `[schedules.*]`, in the order written.
pub fn schedules(cx: &mut Context, directory: &Directory) -> Vec<Schedule> {
    directory.entries.iter().map(|(name, value)| schedule(cx, *name, *value)).collect()
}

fn schedule(cx: &mut Context, name: Name, value: Value) -> Schedule {
    let mut windows = Vec::new();
    if let Some(table) = Table::open(cx, value, &SCHEDULE, Some(name.span))
        && let Some((elements, span)) = table.one_or_many("windows")
    {
        if elements.is_empty() {
            cx.error(span, "`windows` is empty", "a schedule that is never on is no schedule: add a window");
        }
        if elements.len() > WINDOWS_MAX {
            cx.error(
                span,
                format!("`windows` has {} windows", elements.len()),
                format!("at most {WINDOWS_MAX}"),
            );
        }
        windows.extend(elements.into_iter().take(WINDOWS_MAX).filter_map(|element| window(cx, element)));
    }
    let schedule = steer::Schedule { name: name.text.into(), windows: windows.into() };
    Schedule { span: name.span, schedule }
}

fn window(cx: &mut Context, value: Value) -> Option<Window> {
    let table = Table::open(cx, value, &WINDOW, None)?;
    let (kind, needed, other) = match table.get("cron") {
        Some(_) => ("cron", "for", "to"),
        None => ("from", "to", "for"),
    };
    table.get(kind)?;
    if let Some(foreign) = table.key_span(other) {
        let partner = if other == "to" { "from" } else { "cron" };
        cx.error(
            foreign,
            format!("`{other}` belongs to `{partner}`, not to `{kind}`"),
            format!("write `{needed}`"),
        );
        return None;
    }
    if table.get(needed).is_none() {
        cx.absent(
            table.span,
            format!("this window has `{kind}` and no `{needed}`"),
            format!("add {needed} = ..."),
        );
        return None;
    }
    match kind {
        "cron" => {
            let starts = cron(cx, &table);
            let length = table.duration(cx, "for")?.value;
            Some(Window::Cron { starts: starts?, length })
        }
        _ => {
            let (from, to) = (table.moment(cx, "from"), table.moment(cx, "to"));
            let (from, to) = (from?, to?);
            if from.value >= to.value {
                cx.error(to.span, "this window closes before it opens", "`to` lies after `from`");
                return None;
            }
            Some(Window::Range { from: from.value, to: to.value })
        }
    }
}

fn cron(cx: &mut Context, table: &Table) -> Option<Cron> {
    let text = table.text(cx, "cron")?;
    match text.value.parse() {
        Ok(cron) => Some(cron),
        Err(why) => {
            cx.error(
                text.span,
                format!("`{}` is no cron expression: {why}", shortened(text.value)),
                "minute, hour, day of month, month, day of week, in UTC: \"0 22 * * 1-5\"",
            );
            None
        }
    }
}
