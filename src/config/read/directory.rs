//! Names that others refer to: found, near-missed, and noted as used.

use std::collections::HashMap;

use super::reader::{At, Context, Name, Value, shortened};
use crate::config::{Span, suggest};

/// A name is shown in metrics, logs and commands: it must fit there.
const NAME_OCTETS_MAX: usize = 63;

/// The names of one section, in the order written.
pub struct Directory<'t> {
    /// What they name: "region", "pool".
    pub what: &'static str,
    /// Names and the values they stand for.
    pub entries: Vec<(Name<'t>, Value<'t>)>,
    index: HashMap<&'t str, usize>,
    used: Vec<bool>,
}

impl<'t> Directory<'t> {
    /// Takes a section's entries; at most `limit` of them.
    pub fn new(
        cx: &mut Context,
        what: &'static str,
        mut entries: Vec<(Name<'t>, Value<'t>)>,
        limit: usize,
    ) -> Self {
        if let Some((name, _)) = entries.get(limit) {
            cx.error(
                name.span,
                format!("there are {} of the kind {what}, more than the {limit} possible", entries.len()),
                "split the configuration over several servers",
            );
            entries.truncate(limit);
        }
        for (name, _) in &entries {
            check_name(cx, what, At { value: name.text, span: name.span });
        }
        let index = entries.iter().enumerate().map(|(at, (name, _))| (name.text, at)).collect();
        let used = vec![false; entries.len()];
        Directory { what, entries, index, used }
    }

    /// The number of a name, without a report.
    pub fn get(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// Notes that a name is of use.
    pub fn mark(&mut self, number: usize) {
        if let Some(used) = self.used.get_mut(number) {
            *used = true;
        }
    }

    /// The number of the name that is referred to. A missing one is reported.
    pub fn refer(&mut self, cx: &mut Context, name: At<&str>) -> Option<usize> {
        let number = self.get(name.value);
        match number {
            Some(number) => self.mark(number),
            None => missing(cx, self.what, name, &self.known()),
        }
        number
    }

    /// All names.
    pub fn known(&self) -> Vec<&'t str> {
        self.entries.iter().map(|(name, _)| name.text).collect()
    }

    /// Where a name is written.
    pub fn span(&self, number: usize) -> Option<Span> {
        self.entries.get(number).map(|(name, _)| name.span)
    }

    /// Warns of names that nothing refers to.
    pub fn lint_unused(&self, cx: &mut Context, hint: &str) {
        for ((name, _), used) in self.entries.iter().zip(&self.used) {
            if !used {
                cx.lint(name.span, format!("{} `{}` is not used", self.what, shortened(name.text)), hint);
            }
        }
    }
}

/// Reports a reference to nothing.
pub fn missing(cx: &mut Context, what: &str, name: At<&str>, known: &[&str]) {
    let hint = suggest::or_else(name.value, known, &format!("add a {what} of that name"));
    cx.absent(name.span, format!("there is no {what} `{}`", shortened(name.value)), hint);
}

/// Reports a name that could not be shown everywhere.
pub fn check_name(cx: &mut Context, what: &str, name: At<&str>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let why = if name.value.trim().is_empty() {
        "is blank"
    } else if name.value.len() > NAME_OCTETS_MAX {
        "is longer than 63 characters"
    } else if !name.value.chars().all(plain) {
        "holds other characters than letters, digits, `-`, `_` and `.`"
    } else if !name.value.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "does not begin with a letter or digit"
    } else {
        return;
    };
    cx.error(
        name.span,
        format!("the name of this {what} {why}"),
        "names are shown in metrics, logs and commands: keep to letters, digits, `-`, `_` and `.`",
    );
}
