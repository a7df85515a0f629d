//! From bytes to TOML tables: UTF-8, syntax, and limits that the parser does not have.

use toml::Spanned;
use toml::de::DeTable;

use super::reader::{Context, span};
use crate::config::{FileId, Sources, Span};

/// Parts of a dotted key. Each makes a table inside a table, and those are walked by recursion.
const KEY_PARTS_MAX: usize = 32;
/// Syntax errors reported of one file; the first ones matter.
const SYNTAX_ERRORS_MAX: usize = 100;

/// The table of a file, as much of it as could be parsed. `None`: nothing.
pub fn file<'s>(cx: &mut Context, sources: &'s Sources, file: FileId) -> Option<Spanned<DeTable<'s>>> {
    let source = sources.file(file)?;
    let text = match std::str::from_utf8(&source.bytes) {
        Ok(text) => text,
        Err(error) => {
            let start = error.valid_up_to();
            let length = error.error_len().unwrap_or(1);
            let hint = match source.bytes.get(..2) {
                Some([0xFF, 0xFE] | [0xFE, 0xFF]) => "the file looks like UTF-16: save it as UTF-8",
                _ => "save the file as UTF-8",
            };
            cx.error(
                span(file, start..start + length),
                format!("the file is not UTF-8 at byte {start}"),
                hint,
            );
            cx.partial = true;
            return None;
        }
    };
    if let Some(at) = overlong_key(text) {
        cx.error(
            span(file, at..at),
            format!("a key has more than {KEY_PARTS_MAX} parts"),
            "put text with dots in quotes",
        );
        cx.partial = true;
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    cx.partial |= !errors.is_empty();
    for error in errors.into_iter().take(SYNTAX_ERRORS_MAX) {
        let place = error.span().map_or(Span { file, start: 0, end: 0 }, |range| span(file, range));
        let from = text.get(place.start as usize..).unwrap_or_default();
        if in_open_array(error.message()) && begins_statement(text, place.start as usize) {
            cx.error(
                place,
                "syntax: an array that begins before this line is not closed",
                "put its `]` before this line",
            );
            // Whatever follows was read as its elements.
            cx.senseless = Some(place);
            break;
        }
        let (message, hint) = explain(error.message(), from);
        cx.error(place, message, hint);
    }
    Some(table)
}

/// Whether the parser says that it is in an array and expected its next element.
fn in_open_array(message: &str) -> bool {
    message.starts_with("missing comma between array elements") || message.contains("in array")
}

/// Whether a line begins here, or just before an equals sign, that looks like a statement of its own.
fn begins_statement(text: &str, at: usize) -> bool {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default().trim();
    let key_ends = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.\"' ".contains(c)));
    let assigns = key_ends.is_some_and(|end| end > 0 && line.as_bytes().get(end) == Some(&b'='));
    let header = line.starts_with('[') && line.ends_with(']') && !line.contains([',', '"', '\'']);
    assigns || (header && line.len() > 2)
}

/// The parser's words in ours, with a mend where there is a usual one.
fn explain(message: &str, rest: &str) -> (String, &'static str) {
    let hint = if message.starts_with("duplicate key") && rest.starts_with("dnssec]") {
        "the table alone signs the zone: remove dnssec = true"
    } else if message.starts_with("duplicate key") {
        "a key or table can be written once only"
    } else if message.contains("string values must be quoted") {
        "put text in quotes"
    } else if rest.starts_with('\'') || rest.starts_with('"') {
        "see whether a quote is missing"
    } else {
        ""
    };
    (format!("syntax: {message}"), hint)
}

/// Where a dotted key with too many parts begins to be too long.
fn overlong_key(text: &str) -> Option<usize> {
    let mut dots = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'.' => {
                dots += 1;
                if dots >= KEY_PARTS_MAX {
                    return Some(at);
                }
            }
            b'=' | b',' | b'[' | b']' | b'{' | b'}' | b'\n' => dots = 0,
            b'#' => {
                dots = 0;
                bytes.by_ref().find(|(_, byte)| *byte == b'\n');
            }
            b'"' | b'\'' => skip_quoted(&mut bytes, byte),
            _ => {}
        }
    }
    None
}

/// Steps over the rest of a quoted text, which ends with its line at the latest.
fn skip_quoted(bytes: &mut impl Iterator<Item = (usize, u8)>, quote: u8) {
    let mut escaped = false;
    for (_, byte) in bytes {
        match byte {
            b'\n' => return,
            _ if escaped => escaped = false,
            b'\\' if quote == b'"' => escaped = true,
            _ if byte == quote => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_found_and_nothing_else_is() {
        let long = "a.".repeat(KEY_PARTS_MAX) + "b = 1";
        assert!(overlong_key(&long).is_some());
        let addresses = format!("a = [{}]", "\"192.0.2.1\", 1.5, ".repeat(50));
        for text in ["a.b.c = 1", "# ....................................", addresses.as_str()] {
            assert_eq!(overlong_key(text), None, "{text}");
        }
    }
}
