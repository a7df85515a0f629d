//! Problems for people (the line, a caret, the mend) and for programs (JSON).

use std::collections::HashMap;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{FileId, Problem, Problems, Severity, Sources, Span};

/// Problems shown in full; a file that is no configuration at all makes thousands.
const SHOWN_MAX: usize = 100;
/// Octets of a line that are shown around a place.
const LINE_OCTETS_MAX: usize = 400;

/// How text is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// For files and logs.
    Plain,
    /// For a terminal.
    Coloured,
}

/// All problems as text, errors before warnings, each with its line and its mend, and a last line
/// that counts them. Empty where there are none.
pub fn text(sources: &Sources, problems: &Problems, style: Style) -> String {
    if problems.0.is_empty() {
        return String::new();
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Coloured => Renderer::styled(),
    };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut files = Files::new(sources);
    let mut shown: String = in_order(problems)
        .take(SHOWN_MAX)
        .map(|problem| format!("{}\n\n", one(&renderer, &mut files, problem)))
        .collect();
    if problems.0.len() > SHOWN_MAX {
        shown.push_str(&format!("... and {} more\n\n", problems.0.len() - SHOWN_MAX));
    }
    shown.push_str(&summary(problems));
    shown.push('\n');
    shown
}

/// "3 errors, 1 warning"
pub fn summary(problems: &Problems) -> String {
    let count = |severity| problems.0.iter().filter(|problem| problem.severity == severity).count();
    let spell = |number: usize, what: &str| match number {
        0 => None,
        1 => Some(format!("1 {what}")),
        _ => Some(format!("{number} {what}s")),
    };
    let parts = [spell(count(Severity::Error), "error"), spell(count(Severity::Warning), "warning")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => "no problems".to_owned(),
        false => parts.join(", "),
    }
}

/// All problems for programs: `{"problems": [{severity, message, file, line, column, hint}], "errors",
/// "warnings"}`; lines and columns count from 1, columns in characters; what is not known is null.
pub fn json(sources: &Sources, problems: &Problems) -> serde_json::Value {
    let mut files = Files::new(sources);
    let listed: Vec<_> = in_order(problems)
        .map(|problem| {
            let place = problem.span.and_then(|span| files.place(span));
            let also = problem.also.as_ref().and_then(|(span, why)| {
                let place = files.place(*span)?;
                Some(serde_json::json!({
                    "message": why, "file": place.path, "line": place.line, "column": place.column,
                }))
            });
            serde_json::json!({
                "severity": match problem.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": problem.message,
                "file": place.as_ref().map(|place| place.path.as_str()),
                "line": place.as_ref().map(|place| place.line),
                "column": place.as_ref().map(|place| place.column),
                "hint": problem.hint,
                "also": also,
            })
        })
        .collect();
    let count = |severity| problems.0.iter().filter(|problem| problem.severity == severity).count();
    serde_json::json!({
        "problems": listed,
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
    })
}

/// Errors first; among equals, where they stand.
fn in_order(problems: &Problems) -> impl Iterator<Item = &Problem> {
    let mut ordered: Vec<_> = problems.0.iter().collect();
    let place = |problem: &Problem| problem.span.map(|span| (span.file, span.start));
    ordered.sort_by_key(|problem| (std::cmp::Reverse(problem.severity), place(problem)));
    ordered.into_iter()
}

fn one(renderer: &Renderer, files: &mut Files, problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = annotate_snippets::normalize_untrusted_str(&problem.message);
    let hint = problem.hint.as_deref().map(annotate_snippets::normalize_untrusted_str);
    let mut group = Group::with_title(level.primary_title(message));
    if let Some(excerpt) = problem.span.and_then(|span| files.excerpt(span)) {
        group = excerpt.add_to(group, AnnotationKind::Primary, None);
    }
    let also = problem.also.as_ref();
    if let Some((excerpt, why)) = also.and_then(|(span, why)| Some((files.excerpt(*span)?, why))) {
        group = excerpt.add_to(group, AnnotationKind::Context, Some(why.clone()));
    }
    if let Some(hint) = hint {
        group = group.element(Level::HELP.message(hint));
    }
    renderer.render(&[group])
}

/// Where something is, for people.
struct Place {
    path: String,
    /// From 1.
    line: usize,
    /// In characters, from 1.
    column: usize,
}

/// A line, or the part of it that matters.
struct Excerpt {
    place: Place,
    text: String,
    mark: Range<usize>,
    /// Whether the line begins before the text.
    cut: bool,
}

impl Excerpt {
    fn add_to<'a>(self, group: Group<'a>, kind: AnnotationKind, label: Option<String>) -> Group<'a> {
        let Place { path, line, column } = self.place;
        let mark = kind.span(self.mark).label(label);
        let snippet = Snippet::source(self.text).line_start(line).fold(false).annotation(mark);
        match self.cut {
            // The renderer counts columns itself, from the start of what it is given.
            false => group.element(snippet.path(path)),
            true => group.element(Origin::path(path).line(line).char_column(column)).element(snippet),
        }
    }
}

/// Files as they are shown: each octet that is no UTF-8 as `?`, so that places stay what they are.
struct Files<'s> {
    sources: &'s Sources,
    shown: HashMap<FileId, Shown>,
}

struct Shown {
    text: String,
    /// The first octet of each line.
    lines: Vec<usize>,
}

impl<'s> Files<'s> {
    fn new(sources: &'s Sources) -> Self {
        Files { sources, shown: HashMap::new() }
    }

    fn shown(&mut self, file: FileId) -> Option<(&'s str, &Shown)> {
        let source = self.sources.file(file)?;
        let shown = self.shown.entry(file).or_insert_with(|| {
            let text = printable(&source.bytes);
            let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
            Shown { text, lines }
        });
        Some((&source.path, shown))
    }

    fn place(&mut self, span: Span) -> Option<Place> {
        let (path, shown) = self.shown(span.file)?;
        let (line, start, _) = shown.line(span.start as usize);
        let before = shown.text.get(start..shown.floor(span.start as usize)).unwrap_or_default();
        Some(Place { path: path.to_owned(), line: line + 1, column: before.chars().count() + 1 })
    }

    fn excerpt(&mut self, span: Span) -> Option<Excerpt> {
        let place = self.place(span)?;
        let (_, shown) = self.shown(span.file)?;
        let (_, line_start, line_end) = shown.line(span.start as usize);
        let mark_start = shown.floor(span.start as usize).min(line_end);
        let mark_end = shown.floor(span.end as usize).clamp(mark_start, line_end);
        let start = shown.floor(mark_start.saturating_sub(LINE_OCTETS_MAX)).max(line_start);
        let end = shown.floor(mark_start.saturating_add(LINE_OCTETS_MAX)).min(line_end);
        let text = shown.text.get(start..end).unwrap_or_default().to_owned();
        let mark = mark_start - start..mark_end.min(end) - start;
        Some(Excerpt { place, text, mark, cut: start > line_start })
    }
}

impl Shown {
    /// The number of a position's line from 0, where it starts, and where it ends without its newline.
    fn line(&self, position: usize) -> (usize, usize, usize) {
        let position = position.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= position).saturating_sub(1);
        let start = self.lines.get(line).copied().unwrap_or_default();
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let end = match self.text.as_bytes().get(end.wrapping_sub(1)) {
            Some(b'\r') if end > start => end - 1,
            _ => end,
        };
        (line, start, end)
    }

    /// The start of the character that a position lies in.
    fn floor(&self, position: usize) -> usize {
        let mut position = position.min(self.text.len());
        while !self.text.is_char_boundary(position) {
            position -= 1;
        }
        position
    }
}

/// Text in which octets that are no UTF-8, and control characters, are replaced by as many `?`.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\n' | '\t' | '\r' => text.push(character),
                control if control.is_control() => text.extend(std::iter::repeat_n('?', control.len_utf8())),
                plain => text.push(plain),
            }
        }
        text.extend(std::iter::repeat_n('?', chunk.invalid().len()));
    }
    text
}
