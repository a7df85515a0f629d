//! Steered names by the million: the lines of `[names]` that look as nearly all do, taken out of a file before
//! its TOML is read. A tree of tables and values costs many times the octets of such lines. Nothing is refused
//! here: a file with anything unusual about its names is left whole.

use std::collections::HashSet;
use std::ops::Range;

/// A name, and the service that answers for it, as written without quotes; each with its place, quotes among it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlainName<'t> {
    /// The name.
    pub name: &'t str,
    /// Where.
    pub name_at: Range<usize>,
    /// The service.
    pub service: &'t str,
    /// Where.
    pub service_at: Range<usize>,
}

/// A file without the lines of `[names]`, each octet of the rest where it was, and these lines. `None` where any of them is
/// unusual: an escape, a dot that is not in quotes, a name that is there twice.
pub fn taken_out(text: &str) -> Option<(String, Vec<PlainName<'_>>)> {
    // The header might be within a text of several lines.
    if !text.is_ascii() || text.contains("\"\"\"") || text.contains("'''") {
        return None;
    }
    let header = line_starts(text, 0).find(|start| line(text, *start).trim_end() == "[names]")?;
    let first = header + line(text, header).len() + 1;
    let mut names = Vec::new();
    let mut end = text.len();
    for start in line_starts(text, first) {
        let line = line(text, start);
        if line.starts_with('[') {
            end = start;
            break;
        }
        names.extend(plain(line, start)?);
    }
    let mut seen = HashSet::with_capacity(names.len());
    if !names.iter().all(|own| seen.insert(own.name)) {
        return None;
    }
    let mut rest = String::with_capacity(header + text.len() - end);
    rest.push_str(text.get(..first.min(text.len()))?);
    if end < text.len() {
        rest.extend(std::iter::repeat_n('\n', end.saturating_sub(first)));
        rest.push_str(text.get(end..)?);
    }
    Some((rest, names))
}

/// Where lines begin, from one of them on.
fn line_starts(text: &str, first: usize) -> impl Iterator<Item = usize> {
    let next = move |start: &usize| {
        let end = *start + text.get(*start..)?.find('\n')?;
        Some(end + 1).filter(|next| *next < text.len())
    };
    std::iter::successors(Some(first).filter(|first| *first < text.len()), next)
}

/// A line without what ends it.
fn line(text: &str, start: usize) -> &str {
    let rest = text.get(start..).unwrap_or_default();
    rest.find('\n').and_then(|end| rest.get(..end)).unwrap_or(rest)
}

/// The name of a line; an empty `Some` where it has none; `None` where it is unusual.
fn plain(line: &str, start: usize) -> Option<Option<PlainName<'_>>> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.bytes().any(|octet| octet != b'\t' && !matches!(octet, b' '..=b'~')) {
        return None;
    }
    let key_at = blanks(line, 0);
    if matches!(line.as_bytes().get(key_at), None | Some(b'#')) {
        return Some(None);
    }
    let (name, key_end) = quoted(line, key_at).or_else(|| bare(line, key_at))?;
    let equals = blanks(line, key_end);
    if line.as_bytes().get(equals) != Some(&b'=') {
        return None;
    }
    let value_at = blanks(line, equals + 1);
    // What is blank, or would be a variable, has its own words said of it.
    let (service, value_end) = quoted(line, value_at)
        .filter(|(service, _)| !service.trim().is_empty() && !service.contains("${"))?;
    if !matches!(line.as_bytes().get(blanks(line, value_end)), None | Some(b'#')) {
        return None;
    }
    let at = |first: usize, last: usize| start + first..start + last;
    Some(Some(PlainName { name, name_at: at(key_at, key_end), service, service_at: at(value_at, value_end) }))
}

/// Where blanks end.
fn blanks(line: &str, from: usize) -> usize {
    let rest = line.as_bytes().get(from..).unwrap_or(&[]);
    from + rest.iter().take_while(|octet| matches!(octet, b' ' | b'\t')).count()
}

/// What stands in quotes without an escape, and where it ends.
fn quoted(line: &str, from: usize) -> Option<(&str, usize)> {
    let quote = line.as_bytes().get(from).filter(|octet| matches!(octet, b'"' | b'\''))?;
    let inside = line.get(from + 1..)?;
    let length = inside.bytes().position(|octet| octet == *quote)?;
    let inside = inside.get(..length)?;
    (*quote == b'\'' || !inside.contains('\\')).then_some((inside, from + length + 2))
}

/// A key without quotes and dots, and where it ends.
fn bare(line: &str, from: usize) -> Option<(&str, usize)> {
    let rest = line.get(from..)?;
    let is_bare = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    let length = rest.bytes().take_while(is_bare).count();
    rest.get(..length).filter(|key| !key.is_empty()).map(|key| (key, from + length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_lines_are_taken_out_and_the_rest_stays_where_it_is() {
        let text =
            "dnssec = true\n[names] \n# all\nwww = \"web\"\r\n \"*.a\"= 'api' # it\n\n[transfer]\nto = []\n";
        let (rest, names) = taken_out(text).unwrap();
        let shown: Vec<_> = names.iter().map(|own| (own.name, own.service)).collect();
        assert_eq!(shown, [("www", "web"), ("*.a", "api")]);
        assert_eq!(text.get(names[1].name_at.clone()), Some("\"*.a\""));
        assert_eq!(text.get(names[1].service_at.clone()), Some("'api'"));
        assert_eq!(rest.len(), text.len());
        assert_eq!(rest.find("[transfer]"), text.find("[transfer]"));
        assert!(rest.parse::<toml::Table>().unwrap().get("names").unwrap().as_table().unwrap().is_empty());
        let (rest, names) = taken_out("[names]\na = \"b\"").unwrap();
        assert_eq!((rest.as_str(), names.len()), ("[names]\n", 1));
    }

    #[test]
    fn what_is_unusual_is_left_whole() {
        for text in [
            "",
            "names = { a = \"b\" }\n",
            "[names]\na.b = \"c\"\n",
            "[names]\na = \"\\u0062\"\n",
            "[names]\na = \"b\"\na = \"c\"\n",
            "[names]\na = 1\n",
            "[names]\na = \"b\" c\n",
            "[names]\na = \"\"\"b\"\"\"\n",
            "[names]\n\u{e4} = \"b\"\n",
            "x = \"\"\"\n[names]\na = \"b\"\n\"\"\"\n",
        ] {
            assert_eq!(taken_out(text), None, "{text:?}");
        }
    }
}
