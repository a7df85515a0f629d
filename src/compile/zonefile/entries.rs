//! The text of a master file as entries of tokens, each with its place.

use std::ops::Range;

/// A word, or a quoted string with its quotes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Token {
    /// Where it stands in the file.
    pub(super) range: Range<usize>,
}

/// One logical line: parentheses may have joined several.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Entry {
    /// At least one, unless there is a fault.
    pub(super) tokens: Vec<Token>,
    /// Whether it begins with white space: the owner is that of the entry before.
    pub(super) indented: bool,
    /// What broke it, and where; the tokens up to there are not to be trusted.
    pub(super) fault: Option<(Fault, Range<usize>)>,
}

/// What can be wrong with an entry before anybody looks at its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// A quoted string does not end on its line.
    OpenQuote,
    /// A parenthesis is never closed.
    OpenParenthesis,
    /// A parenthesis is closed that was never opened.
    StrayParenthesis,
}

/// The entries of a text, empty ones left out.
pub(super) struct Entries<'t> {
    text: &'t [u8],
    position: usize,
}

impl<'t> Entries<'t> {
    pub(super) fn new(text: &'t [u8]) -> Entries<'t> {
        // A byte order mark is no part of the first name.
        let position = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Entries { text, position }
    }

    fn octet(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn skip_line(&mut self) {
        while let Some(octet) = self.octet() {
            self.position += 1;
            if octet == b'\n' {
                return;
            }
        }
    }

    /// Goes to the next line that begins like a new entry: with something in its first column.
    fn skip_to_entry(&mut self) {
        loop {
            self.skip_line();
            match self.octet() {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b')') => {}
                _ => return,
            }
        }
    }

    /// Reads a token; an `Err` is the place of a quote that is not closed on its line.
    fn token(&mut self) -> Result<Token, Range<usize>> {
        let start = self.position;
        while let Some(octet) = self.octet() {
            match octet {
                b' ' | b'\t' | b'\r' | b'\n' | b'(' | b')' | b';' => break,
                b'\\' => self.position += 2,
                b'"' => self.quoted()?,
                _ => self.position += 1,
            }
        }
        self.position = self.position.min(self.text.len());
        Ok(Token { range: start..self.position })
    }

    fn quoted(&mut self) -> Result<(), Range<usize>> {
        let start = self.position;
        self.position += 1;
        while let Some(octet) = self.octet() {
            match octet {
                b'\n' => return Err(start..self.position),
                b'\\' if self.text.get(self.position + 1) == Some(&b'\n') => self.position += 1,
                b'\\' => self.position += 2,
                b'"' => {
                    self.position += 1;
                    return Ok(());
                }
                _ => self.position += 1,
            }
        }
        Err(start..self.text.len())
    }

    /// Reads the next entry that is not empty into `entry`, whose room is used again: files have millions.
    /// False at the end.
    pub(super) fn read(&mut self, entry: &mut Entry) -> bool {
        while self.position < self.text.len() {
            self.entry(entry);
            if !entry.tokens.is_empty() || entry.fault.is_some() {
                return true;
            }
        }
        false
    }

    /// One entry, maybe without tokens.
    fn entry(&mut self, entry: &mut Entry) {
        entry.tokens.clear();
        entry.fault = None;
        entry.indented = matches!(self.octet(), Some(b' ' | b'\t'));
        let mut opened = Vec::new();
        while let Some(octet) = self.octet() {
            match octet {
                b'\n' if opened.is_empty() => {
                    self.position += 1;
                    return;
                }
                b' ' | b'\t' | b'\r' | b'\n' => self.position += 1,
                b';' => self.skip_comment(),
                b'(' => {
                    opened.push(self.position);
                    self.position += 1;
                }
                b')' if opened.pop().is_none() => {
                    entry.fault = Some((Fault::StrayParenthesis, self.position..self.position + 1));
                    self.skip_line();
                    return;
                }
                b')' => self.position += 1,
                _ => match self.token() {
                    Ok(token) => entry.tokens.push(token),
                    Err(place) => {
                        entry.fault = Some((Fault::OpenQuote, place));
                        if opened.is_empty() {
                            self.skip_line()
                        } else {
                            self.skip_to_entry()
                        }
                        return;
                    }
                },
            }
        }
        if let Some(&place) = opened.first() {
            entry.fault = Some((Fault::OpenParenthesis, place..place + 1));
            self.position = place;
            self.skip_to_entry();
        }
    }

    fn skip_comment(&mut self) {
        while self.octet().is_some_and(|octet| octet != b'\n') {
            self.position += 1;
        }
    }
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let mut entry = Entry::default();
        self.read(&mut entry).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
    use super::*;

    /// Entries as text: `>` marks an indented one, `|` parts tokens, `!` a fault and its place.
    fn split(text: &str) -> Vec<String> {
        Entries::new(text.as_bytes())
            .map(|entry| {
                let tokens: Vec<_> = entry.tokens.iter().map(|token| &text[token.range.clone()]).collect();
                let fault =
                    entry.fault.map_or(String::new(), |(fault, place)| format!("!{fault:?}@{place:?}"));
                format!("{}{}{fault}", if entry.indented { ">" } else { "" }, tokens.join("|"))
            })
            .collect()
    }

    #[test]
    fn rfc1035_5_1_entries_and_tokens() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text), expected, "{text:?}");
        check("", &[]);
        check("\n ; comment\n\t\n", &[]);
        check("a A 1\n b\r\n", &["a|A|1", ">b"]);
        check("a (b ; x )\n c) d\ne", &["a|b|c|d", "e"]);
        check("a \"b ; c\\\" (\" d", &["a|\"b ; c\\\" (\"|d"]);
        check("a k=\"x y\"z q", &["a|k=\"x y\"z|q"]);
        check("a\\ b c\\;d", &["a\\ b|c\\;d"]);
        check("a\\", &["a\\"]);
        check("\u{feff}a b", &["a|b"]);
    }

    #[test]
    fn a_broken_entry_costs_only_itself() {
        let check = |text: &str, expected: &[&str]| assert_eq!(split(text), expected, "{text:?}");
        check("a \"b\nc d\n", &["a!OpenQuote@2..4", "c|d"]);
        check("a ) b\nc\n", &["a!StrayParenthesis@2..3", "c"]);
        check("a ( b\n  1\n  2\nc d\n", &["a|b|1|2|c|d!OpenParenthesis@2..3", "c|d"]);
        check("a \"b", &["a!OpenQuote@2..4"]);
        check("a (", &["a!OpenParenthesis@2..3"]);
    }
}
