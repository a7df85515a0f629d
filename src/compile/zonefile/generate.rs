//! $GENERATE: many records from one line, as BIND has it.
//!
//! `$GENERATE start-stop[/step] owner [ttl] [class] type data`. `$` stands for the number, `${offset}`,
//! `${offset,width}` and `${offset,width,base}` for the number plus an offset, padded with zeros, in base
//! `d`, `o`, `x` or `X`, or as nibbles with full stops between them from the lowest up (`n`, `N`). `$$` and
//! `\\$` stand for the sign itself. Data that is one quoted word are the words in it.

use super::entries::Entries;
use super::records::{Line, Reader, shown};
use crate::config::Span;

/// Records that one zone generates: the reverse names of sixteen networks of length 16.
const GENERATED_MAX: u64 = 1 << 20;

/// Octets that one word can become: twice what the longest name takes when all of it is escaped.
const WORD_OCTETS_MAX: usize = 2048;

/// Digits that a number can be padded to: no label has more.
const WIDTH_MAX: usize = 63;

/// The numbers that `$` stands for, one after the other.
struct Range {
    start: u64,
    stop: u64,
    step: u64,
}

/// Reads the directive and adds its records.
pub(super) fn generate(reader: &mut Reader<'_>, line: &Line<'_>) {
    let Some(range) = Range::parse(line.word(1)) else {
        let hint = "write the first and the last number, and a step if it is not 1: `1-10`, `0-254/2`";
        let message = format!("`{}` is no range of numbers", shown(line.word(1)));
        return reader.problems.error(line.word_span(1), message, hint);
    };
    let template = Line { words: line.words.get(2..).unwrap_or(&[]).to_vec(), indented: false };
    if template.words.is_empty() {
        let hint = "$GENERATE takes a range, an owner, a type and data";
        return reader.problems.error(line.span(), "$GENERATE lacks an owner", hint);
    }
    let Some(head) = reader.head(&template) else { return };
    reader.generated = reader.generated.saturating_add(range.count());
    if reader.generated > GENERATED_MAX {
        let message = format!("the zone generates more than {GENERATED_MAX} records");
        return reader.problems.error(line.word_span(1), message, "use a wildcard, or split the zone");
    }
    for number in (range.start..=range.stop).step_by(range.step as usize) {
        let known = reader.problems.0.len();
        match words(&template, head.words, number) {
            Ok(words) => {
                let words = words.iter().map(|(octets, span)| (octets.as_slice(), *span)).collect();
                reader.record(&Line { words, indented: false });
            }
            Err((span, what)) => reader.problems.error(span, what, ""),
        }
        // What is wrong with one is wrong with the others.
        if reader.problems.0.len() > known {
            return reader.problems.also(line.word_span(1), format!("with {number} for `$`"));
        }
    }
}

impl Range {
    fn parse(word: &[u8]) -> Option<Range> {
        let word = std::str::from_utf8(word).ok()?;
        let (range, step) = word.split_once('/').unwrap_or((word, "1"));
        let (start, stop) = range.split_once('-')?;
        let number = |digits: &str| super::fields::number(digits, i32::MAX as u64);
        let range = Range { start: number(start)?, stop: number(stop)?, step: number(step)? };
        (range.start <= range.stop && range.step > 0).then_some(range)
    }

    fn count(&self) -> u64 {
        (self.stop - self.start) / self.step + 1
    }
}

type Words = Vec<(Vec<u8>, Span)>;

/// The words of the record of one number.
fn words(template: &Line<'_>, data: usize, number: u64) -> Result<Words, (Span, String)> {
    let mut words = Words::new();
    for (index, (word, span)) in template.words.iter().enumerate() {
        let is_only_data = index == data && template.words.len() == data + 1;
        let quoted =
            word.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).filter(|_| is_only_data);
        let expanded = expand(quoted.unwrap_or(word), number).map_err(|what| (*span, what))?;
        match quoted {
            None => words.push((expanded, *span)),
            Some(_) => {
                let entry = Entries::new(&expanded).next();
                let tokens = entry.filter(|entry| entry.fault.is_none()).map(|entry| entry.tokens);
                let tokens = tokens.ok_or_else(|| (*span, "there is no data in these quotes".to_owned()))?;
                words.extend(
                    tokens
                        .into_iter()
                        .map(|token| (expanded.get(token.range).unwrap_or(&[]).to_vec(), *span)),
                );
            }
        }
    }
    Ok(words)
}

/// A word with every `$` replaced.
fn expand(word: &[u8], number: u64) -> Result<Vec<u8>, String> {
    let mut expanded = Vec::with_capacity(word.len() + 8);
    let mut rest = word;
    loop {
        match rest {
            [] => break,
            [b'\\', next, after @ ..] => {
                expanded.extend([b'\\', *next]);
                rest = after;
            }
            [b'$', b'$', after @ ..] => {
                expanded.push(b'$');
                rest = after;
            }
            [b'$', b'{', after @ ..] => {
                let end = after.iter().position(|octet| *octet == b'}').ok_or("a `{` is not closed")?;
                let (inside, behind) = after.split_at_checked(end).unwrap_or((after, &[]));
                expanded.extend(formatted(inside, number)?);
                rest = behind.get(1..).unwrap_or(&[]);
            }
            [b'$', after @ ..] => {
                expanded.extend(number.to_string().into_bytes());
                rest = after;
            }
            [octet, after @ ..] => {
                expanded.push(*octet);
                rest = after;
            }
        }
        if expanded.len() > WORD_OCTETS_MAX {
            return Err(format!("this becomes longer than {WORD_OCTETS_MAX} octets"));
        }
    }
    Ok(expanded)
}

/// What stands for a number by `offset[,width[,base]]`.
fn formatted(inside: &[u8], number: u64) -> Result<Vec<u8>, String> {
    let what = || format!("`{}` is not `offset,width,base` with a base of d, o, x, X, n or N", shown(inside));
    let text = std::str::from_utf8(inside).map_err(|_| what())?;
    let mut parts = text.split(',');
    let offset: i64 = parts.next().and_then(|part| part.parse().ok()).ok_or_else(what)?;
    let width: usize = parts.next().map_or(Some(0), |part| part.parse().ok()).ok_or_else(what)?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() {
        return Err(what());
    }
    if width > WIDTH_MAX {
        return Err(format!("a width is at most {WIDTH_MAX}"));
    }
    let value = i64::try_from(number).ok().and_then(|number| number.checked_add(offset));
    let value = value.filter(|value| *value >= 0);
    let value = value.ok_or_else(|| format!("{number} with an offset of {offset} is below 0"))?;
    Ok(match base {
        "d" => format!("{value:0width$}").into_bytes(),
        "o" => format!("{value:0width$o}").into_bytes(),
        "x" => format!("{value:0width$x}").into_bytes(),
        "X" => format!("{value:0width$X}").into_bytes(),
        "n" => nibbles(&format!("{value:x}"), width),
        "N" => nibbles(&format!("{value:X}"), width),
        _ => return Err(what()),
    })
}

/// Digits from the lowest up with full stops between them, padded to a width that counts these.
fn nibbles(digits: &str, width: usize) -> Vec<u8> {
    let mut text = Vec::new();
    let wanted = digits.len().max(width.div_ceil(2));
    for (index, digit) in digits.bytes().rev().chain(std::iter::repeat(b'0')).take(wanted).enumerate() {
        if index > 0 {
            text.push(b'.');
        }
        text.push(digit);
    }
    // An even width ends with a full stop: the rest of the name goes on behind it.
    if width > text.len() {
        text.push(b'.');
    }
    text
}
