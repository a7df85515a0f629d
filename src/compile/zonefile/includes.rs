//! What a zone file includes: for whoever reads the files, before anything is made of their texts.

use super::entries::Entries;
use super::fields::unescaped;
use crate::config::{FileId, Span};

/// A $INCLUDE of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Include {
    /// The file as it is called there.
    pub name: String,
    /// Where.
    pub span: Span,
}

const DIRECTIVE: &[u8] = b"$INCLUDE";

/// The $INCLUDEs of a text, by the same reading of entries that records get.
pub fn includes(file: FileId, text: &[u8]) -> Vec<Include> {
    // Most files have none, and some have millions of entries.
    if !has_directive(text) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for entry in Entries::new(text).filter(|entry| !entry.indented && entry.fault.is_none()) {
        let word = |index: usize| entry.tokens.get(index).and_then(|token| text.get(token.range.clone()));
        let is_include = word(0).is_some_and(|first| first.eq_ignore_ascii_case(DIRECTIVE));
        let Some(place) = entry.tokens.get(1).filter(|_| is_include) else { continue };
        let span = Span { file, start: place.range.start as u32, end: place.range.end as u32 };
        found.extend(word(1).and_then(name).map(|name| Include { name, span }));
    }
    found
}

/// A file's name from its word: quotes and escapes undone.
pub(super) fn name(word: &[u8]) -> Option<String> {
    String::from_utf8(unescaped(word)?).ok()
}

fn has_directive(text: &[u8]) -> bool {
    text.split(|octet| *octet == b'\n').any(|line| {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        line.get(..DIRECTIVE.len()).is_some_and(|start| start.eq_ignore_ascii_case(DIRECTIVE))
    })
}
