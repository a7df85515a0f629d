//! Tables and values with their places, read key by key; every problem is noted, none stops it.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::scalar;
use crate::config::schema::describe;
use crate::config::shape::{self, Kind, Needed, Shape};
use crate::config::suggest;
use crate::config::{FileId, Problems, Severity, Span};
use crate::steer::parse_utc;

/// Looks up a variable of the environment.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What reading has come to know so far.
pub struct Context<'e> {
    /// The problems found.
    pub problems: Problems,
    /// Some text could not be parsed, so what seems to be missing may only be unreadable: problems
    /// that follow from absence are then kept back.
    pub partial: bool,
    /// From where a file makes no sense any more: only the first problem there is of use.
    pub senseless: Option<Span>,
    /// Whether the last problem was kept.
    kept: bool,
    /// For `${VARIABLE}` in secrets.
    pub environment: Environment<'e>,
}

impl<'e> Context<'e> {
    /// Nothing read yet.
    pub fn new(environment: Environment<'e>) -> Self {
        Context { problems: Problems::default(), partial: false, senseless: None, kept: false, environment }
    }

    /// Adds an error.
    pub fn error(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.keep(true, Severity::Error, span, message.into(), hint.into());
    }

    fn keep(&mut self, wanted: bool, severity: Severity, span: Span, message: String, hint: String) {
        let senseless = self.senseless.is_some_and(|from| from.file == span.file && span.start >= from.start);
        self.kept = wanted && !senseless;
        match severity {
            _ if !self.kept => {}
            Severity::Error => self.problems.error(span, message, hint),
            Severity::Warning => self.problems.warning(span, message, hint),
        }
    }

    /// Names a second place for the last problem.
    pub fn also(&mut self, span: Span, why: &str) {
        if self.kept {
            self.problems.also(span, why);
        }
    }

    /// Adds an error that is none where the missing part may be in text that could not be parsed.
    pub fn absent(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.keep(!self.partial, Severity::Error, span, message.into(), hint.into());
    }

    /// Adds a warning, likewise.
    pub fn lint(&mut self, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.keep(!self.partial, Severity::Warning, span, message.into(), hint.into());
    }
}

/// A key or name as written.
#[derive(Clone, Copy)]
pub struct Name<'t> {
    /// Without quotes.
    pub text: &'t str,
    /// Where.
    pub span: Span,
}

/// A value and where it is written.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    /// The value.
    pub toml: &'t DeValue<'t>,
    /// Where.
    pub span: Span,
}

/// Something read, and where it is written.
#[derive(Clone, Copy, Debug)]
pub struct At<T> {
    /// What.
    pub value: T,
    /// Where.
    pub span: Span,
}

impl<T> At<T> {
    /// The same place, another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At { value: change(self.value), span: self.span }
    }
}

/// A table of a known shape. Unknown, missing and conflicting keys have been reported.
pub struct Table<'t> {
    /// Its shape.
    pub shape: &'static Shape,
    /// Where to point for what is missing.
    pub span: Span,
    entries: Vec<(Name<'t>, Value<'t>)>,
}

impl<'t> Table<'t> {
    /// The root of a file.
    pub fn root(cx: &mut Context, file: FileId, table: &'t DeTable<'t>, shape: &'static Shape) -> Table<'t> {
        let span = Span { file, start: 0, end: 0 };
        Table::check(cx, Table { shape, span, entries: entries(file, table) })
    }

    /// A value that must be a table of this shape; `at` is where to point for what is missing.
    pub fn open(
        cx: &mut Context,
        value: Value<'t>,
        shape: &'static Shape,
        at: Option<Span>,
    ) -> Option<Table<'t>> {
        let Some(table) = value.toml.as_table() else {
            let keys: Vec<_> = shape.keys.iter().map(|key| key.name).collect();
            cx.error(
                value.span,
                format!("{} is {}; a table is needed", called(shape), type_of(value)),
                format!("its keys are {}", suggest::list(&keys)),
            );
            return None;
        };
        let entries = entries(value.span.file, table);
        Some(Table::check(cx, Table { shape, span: at.unwrap_or(value.span), entries }))
    }

    fn check(cx: &mut Context, table: Table<'t>) -> Table<'t> {
        for (name, _) in &table.entries {
            if table.shape.key(name.text).is_none() {
                unknown_key(cx, table.shape, *name);
            }
        }
        let misspelt = table.misspelt();
        for key in table.shape.keys.iter().filter(|key| key.needed == Needed::Required) {
            if table.get(key.name).is_none() && !misspelt.contains(&key.name) {
                cx.absent(
                    table.span,
                    format!("{} has no `{}`", table.called(), key.name),
                    format!("add {} = ...: {}", key.name, describe(&key.kind)),
                );
            }
        }
        for set in table.shape.exactly_one {
            if !set.iter().any(|key| misspelt.contains(key)) {
                table.check_exactly_one(cx, set);
            }
        }
        table
    }

    /// The keys that unknown ones look like: they are not missing, they are misspelt.
    fn misspelt(&self) -> Vec<&'static str> {
        let keys: Vec<_> = self.shape.keys.iter().map(|key| key.name).collect();
        let unknown = self.entries.iter().filter(|(name, _)| !keys.contains(&name.text));
        unknown.filter_map(|(name, _)| suggest::near(name.text, &keys)).collect()
    }

    fn called(&self) -> String {
        called(self.shape)
    }

    fn check_exactly_one(&self, cx: &mut Context, set: &[&str]) {
        let mut present = self.entries.iter().filter(|(name, _)| set.contains(&name.text));
        let (first, second) = (present.next(), present.next());
        match (first, second) {
            (None, _) => cx.absent(
                self.span,
                format!("{} has none of {}", self.called(), suggest::list(set)),
                "write exactly one of them",
            ),
            (Some((first, _)), Some((second, _))) => {
                cx.error(
                    second.span,
                    format!("{} has both `{}` and `{}`", self.called(), first.text, second.text),
                    format!("keep exactly one of {}", suggest::list(set)),
                );
                cx.also(first.span, "the other one");
            }
            (Some(_), None) => {}
        }
    }

    /// The value of a key of the shape.
    pub fn get(&self, key: &str) -> Option<Value<'t>> {
        debug_assert!(self.shape.key(key).is_some(), "{}: {key} is not in the shape", self.shape.name);
        self.entries.iter().find(|(name, _)| name.text == key).map(|(_, value)| *value)
    }

    /// Where a key is written.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.iter().find(|(name, _)| name.text == key).map(|(name, _)| name.span)
    }

    /// The value and the kind that the shape gives it.
    fn kind(&self, key: &str) -> Option<(&'static Kind, Value<'t>)> {
        let value = self.get(key)?;
        Some((&self.shape.key(key)?.kind, value))
    }

    /// A text that is not blank.
    pub fn text(&self, cx: &mut Context, key: &str) -> Option<At<&'t str>> {
        self.get(key)?.text(cx, key)
    }

    /// A whole number in the range of the shape.
    pub fn integer(&self, cx: &mut Context, key: &str) -> Option<At<i64>> {
        let (kind, value) = self.kind(key)?;
        match kind {
            Kind::Integer(min, max) => value.integer(cx, key, *min, *max),
            _ => None,
        }
    }

    /// A duration in the range of the shape.
    pub fn duration(&self, cx: &mut Context, key: &str) -> Option<At<Duration>> {
        let (kind, value) = self.kind(key)?;
        match kind {
            Kind::Span(min, max) => value.duration(cx, key, *min, *max),
            _ => None,
        }
    }

    /// One of the words of the shape.
    pub fn word(&self, cx: &mut Context, key: &str) -> Option<At<&'static str>> {
        let (kind, value) = self.kind(key)?;
        match kind {
            Kind::Word(words) => value.word(cx, key, words),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub fn flag(&self, cx: &mut Context, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let flag = value.toml.as_bool();
        if flag.is_none() {
            wrong_type(
                cx,
                key,
                value,
                "true or false is needed",
                &format!("write {key} = true, without quotes"),
            );
        }
        flag
    }

    /// A moment, as text or as TOML writes dates, since 1970-01-01T00:00:00Z.
    pub fn moment(&self, cx: &mut Context, key: &str) -> Option<At<Duration>> {
        let value = self.get(key)?;
        let written = match value.toml {
            DeValue::Datetime(moment) => moment.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => {
                wrong_type(cx, key, value, "a moment is needed", "write 2026-12-24T00:00:00Z");
                return None;
            }
        };
        let moment = parse_utc(&written);
        if moment.is_none() {
            cx.error(
                value.span,
                format!("`{}` is no moment", shortened(&written)),
                "write date, time and offset from 1970 on: 2026-12-24T00:00:00Z or 2026-12-24T01:00:00+01:00",
            );
        }
        moment.map(|moment| At { value: moment, span: value.span })
    }

    /// A table whose keys the operator chose, in the order written.
    pub fn names(&self, cx: &mut Context, key: &str) -> Vec<(Name<'t>, Value<'t>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(table) = value.toml.as_table() else {
            wrong_type(cx, key, value, "a table is needed", "");
            return Vec::new();
        };
        entries(value.span.file, table)
    }

    /// An array, or one value that stands for an array of itself.
    pub fn one_or_many(&self, key: &str) -> Option<(Vec<Value<'t>>, Span)> {
        let value = self.get(key)?;
        Some((value.elements().unwrap_or_else(|| vec![value]), value.span))
    }
}

impl<'t> Value<'t> {
    /// The elements of an array.
    pub fn elements(self) -> Option<Vec<Value<'t>>> {
        let array = self.toml.as_array()?;
        let file = self.span.file;
        Some(array.iter().map(|item| Value { toml: item.get_ref(), span: span(file, item.span()) }).collect())
    }

    /// A text that is not blank and asks for no variable.
    pub fn text(self, cx: &mut Context, key: &str) -> Option<At<&'t str>> {
        let text = self.secret(cx, key)?;
        if text.value.contains("${") {
            cx.error(
                text.span,
                format!("`{key}` cannot be read from the environment"),
                "${VARIABLE} is read in `hash_key`, in secrets and in the header fields of monitors only",
            );
            return None;
        }
        Some(text)
    }

    /// A text that is not blank; variables in it have not been replaced.
    pub fn secret(self, cx: &mut Context, key: &str) -> Option<At<&'t str>> {
        let Some(text) = self.toml.as_str() else {
            wrong_type(cx, key, self, "text is needed", "put it in quotes");
            return None;
        };
        if text.trim().is_empty() {
            cx.error(self.span, format!("`{key}` is blank"), "give it a value, or leave the key out");
            return None;
        }
        Some(At { value: text, span: self.span })
    }

    /// A whole number in a range.
    pub fn integer(self, cx: &mut Context, key: &str, min: i64, max: i64) -> Option<At<i64>> {
        let Some(digits) = self.toml.as_integer() else {
            let hint = match self.toml.as_str() {
                Some(_) => format!("write it without quotes: {key} = {min}"),
                None => String::new(),
            };
            wrong_type(cx, key, self, "a whole number is needed", &hint);
            return None;
        };
        match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if (min..=max).contains(&number) => Some(At { value: number, span: self.span }),
            _ => {
                cx.error(
                    self.span,
                    format!("`{key}` is {}, out of range", shortened(&digits.to_string())),
                    format!("from {min} to {max}"),
                );
                None
            }
        }
    }

    /// A number, whole or not.
    pub fn number(self, cx: &mut Context, key: &str) -> Option<At<f64>> {
        let number = match self.toml {
            DeValue::Integer(digits) => {
                i64::from_str_radix(digits.as_str(), digits.radix()).ok().map(|number| number as f64)
            }
            DeValue::Float(float) => float.as_str().parse().ok(),
            _ => {
                wrong_type(cx, key, self, "a number is needed", "write it without quotes");
                return None;
            }
        };
        match number {
            Some(number) => Some(At { value: number, span: self.span }),
            None => {
                cx.error(
                    self.span,
                    format!("`{key}` is not a number that can be used"),
                    "write it in decimals",
                );
                None
            }
        }
    }

    /// A duration in a range.
    pub fn duration(self, cx: &mut Context, key: &str, min: Duration, max: Duration) -> Option<At<Duration>> {
        if let Some(digits) = self.toml.as_integer() {
            let hint = format!("write it with its unit: {key} = \"{}s\"", shortened(digits.as_str()));
            wrong_type(cx, key, self, "a duration is needed", &hint);
            return None;
        }
        let text = self.text(cx, key)?;
        match scalar::duration(text.value) {
            Err(why) => {
                cx.error(
                    self.span,
                    format!("`{}` is not a duration: {why}", shortened(text.value)),
                    "write numbers with their units ms, s, m, h or d: \"500ms\", \"5s\", \"1m30s\"",
                );
                None
            }
            Ok(length) if length < min || length > max => {
                cx.error(
                    self.span,
                    format!("`{key}` is {}, out of range", shortened(text.value)),
                    format!("from {} to {}", scalar::spell_duration(min), scalar::spell_duration(max)),
                );
                None
            }
            Ok(length) => Some(At { value: length, span: self.span }),
        }
    }

    /// One of some words.
    pub fn word(
        self,
        cx: &mut Context,
        key: &str,
        words: &'static [&'static str],
    ) -> Option<At<&'static str>> {
        if self.toml.as_str().is_none() {
            wrong_type(
                cx,
                key,
                self,
                "a word is needed",
                &format!("it can be {}, in quotes", suggest::any(words)),
            );
            return None;
        }
        let text = self.text(cx, key)?;
        let found = words.iter().find(|word| **word == text.value);
        if found.is_none() {
            cx.error(
                self.span,
                format!("`{key}` cannot be `{}`", shortened(text.value)),
                suggest::or_any(text.value, words),
            );
        }
        found.map(|word| At { value: *word, span: self.span })
    }
}

/// Reports a value of the wrong type: "`port` is text; a whole number is needed".
pub fn wrong_type(cx: &mut Context, key: &str, value: Value, needed: &str, hint: &str) {
    cx.error(value.span, format!("`{key}` is {}; {needed}", type_of(value)), hint);
}

/// "this monitor", "[server]".
fn called(shape: &Shape) -> String {
    match shape.name.starts_with('[') {
        true => shape.name.to_owned(),
        false => format!("this {}", shape.name),
    }
}

fn type_of(value: Value) -> &'static str {
    match value.toml {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with decimals",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

fn unknown_key(cx: &mut Context, shape: &Shape, name: Name) {
    let keys: Vec<_> = shape.keys.iter().map(|key| key.name).collect();
    let place = if shape.name.ends_with(".toml") { "at the top of the file" } else { shape.name };
    let place = if place.starts_with('[') || place.starts_with("at") {
        place.to_owned()
    } else {
        format!("this {place}")
    };
    let hint =
        elsewhere(name.text, &keys).unwrap_or_else(|| suggest::or_list(name.text, &keys, "known keys:"));
    let joint = if place.starts_with("at") { "" } else { "in " };
    cx.error(name.span, format!("unknown key `{}` {joint}{place}", shortened(name.text)), hint);
}

/// The tables that have a key of that name, where it is no slip of one of these keys.
fn elsewhere(written: &str, keys: &[&str]) -> Option<String> {
    if suggest::near(written, keys).is_some() {
        return None;
    }
    let owners: Vec<_> =
        shape::all().iter().filter(|shape| shape.key(written).is_some()).map(|shape| shape.name).collect();
    match owners.as_slice() {
        [] => None,
        owners => Some(format!("it belongs in {}", owners.join(" or "))),
    }
}

/// Text for a message: at most [`SHOWN_CHARS_MAX`] characters.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A message repeats at most so much of a value; the caret shows the rest.
const SHOWN_CHARS_MAX: usize = 60;

/// A table's entries in the order written.
fn entries<'t>(file: FileId, table: &'t DeTable<'t>) -> Vec<(Name<'t>, Value<'t>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let name = Name { text: key.get_ref(), span: span(file, key.span()) };
            (name, Value { toml: value.get_ref(), span: span(file, value.span()) })
        })
        .collect();
    entries.sort_by_key(|(name, _)| name.span.start);
    entries
}

/// A range of the parser as a place. Files are too small for the numbers to be cut.
pub fn span(file: FileId, range: std::ops::Range<usize>) -> Span {
    Span { file, start: octet(range.start), end: octet(range.end) }
}

fn octet(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
