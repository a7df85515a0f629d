//! Prometheus' text exposition, line by line.

use super::lines::{Line, Lines};
use super::{FeedProblem, FeedValue, Gathered, Reading, Selection, Series};

/// Reads an exposition.
#[derive(Debug)]
pub struct PrometheusReader<'f> {
    selection: &'f Selection<Series>,
    lines: Lines,
    page: Page,
}

#[derive(Debug, Default)]
struct Page {
    gathered: Gathered,
    /// A sample or comment was there: it is an exposition, however empty.
    recognised: bool,
}

impl<'f> PrometheusReader<'f> {
    /// Before the first octet.
    pub fn new(selection: &'f Selection<Series>) -> PrometheusReader<'f> {
        PrometheusReader { selection, lines: Lines::default(), page: Page::default() }
    }

    /// The next part of the page.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FeedProblem> {
        let (selection, page) = (self.selection, &mut self.page);
        self.lines.push(chunk, |line| page.take(selection, line))
    }

    /// The page has ended.
    pub fn finish(mut self) -> Result<Reading, FeedProblem> {
        // Every line of an exposition ends; one that does not was cut off, perhaps within its number.
        match self.lines.rest() {
            Some(Line::Whole(line)) if line.iter().any(|octet| !octet.is_ascii_whitespace()) => {
                let selected = self.page.take(self.selection, Line::Whole(line));
                return Err(selected.err().unwrap_or(FeedProblem::Cut));
            }
            Some(Line::Overlong(_)) => return Err(FeedProblem::Cut),
            _ => {}
        }
        match self.page.recognised {
            true => self.page.gathered.reading(self.selection),
            false => Err(FeedProblem::NotTheFormat),
        }
    }
}

impl Page {
    fn take(&mut self, selection: &Selection<Series>, line: Line) -> Result<(), FeedProblem> {
        let (line, whole) = match line {
            Line::Whole(line) => (line, true),
            Line::Overlong(line) => (line, false),
        };
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        if line.starts_with(b"#") {
            self.recognised = true;
            return Ok(());
        }
        let end = line.iter().position(|octet| !is_name(*octet)).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() {
            return Err(FeedProblem::NotTheFormat);
        }
        let mut selected = selection.parts().filter(|(_, series)| series.name.as_bytes() == name).peekable();
        if selected.peek().is_none() {
            // What nobody asked for need not be right in every detail, but it must look like a sample.
            self.recognised |= matches!(rest.first(), Some(b'{' | b' ' | b'\t'));
            return if self.recognised { Ok(()) } else { Err(FeedProblem::NotTheFormat) };
        }
        if !whole {
            return Err(FeedProblem::LineTooLong);
        }
        let sample = Sample::parse(rest).ok_or(FeedProblem::NotTheFormat)?;
        self.recognised = true;
        for (value, series) in selected {
            self.add(value, series, &sample)?;
        }
        Ok(())
    }

    fn add(&mut self, value: FeedValue, series: &Series, sample: &Sample) -> Result<(), FeedProblem> {
        let meets = |condition: &super::LabelMatch| {
            let own = sample.labels.iter().find(|(label, _)| *label == condition.label.as_bytes());
            condition.matcher.meets(own.map_or(&[], |(_, text)| text))
        };
        if !series.labels.iter().all(meets) {
            return Ok(());
        }
        let number = number(sample.number).ok_or(FeedProblem::NotANumber(value))?;
        self.gathered.add(value, series.fold, number)
    }
}

/// A sample behind its metric's name.
struct Sample<'l> {
    labels: Vec<(&'l [u8], Vec<u8>)>,
    number: &'l [u8],
}

impl<'l> Sample<'l> {
    /// `{a="b",c="d"} 12.5 1700000000`
    fn parse(rest: &'l [u8]) -> Option<Sample<'l>> {
        let mut rest = rest.trim_ascii_start();
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix(b"{") {
            rest = inside.trim_ascii_start();
            loop {
                if let Some(after) = rest.strip_prefix(b"}") {
                    rest = after;
                    break;
                }
                let end = rest.iter().position(|octet| !is_name(*octet))?;
                let (label, tail) = rest.split_at(end);
                let tail = tail.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
                let (text, tail) = quoted(tail)?;
                labels.push((label, text));
                rest = tail.trim_ascii_start();
                match rest.strip_prefix(b",") {
                    Some(after) => rest = after.trim_ascii_start(),
                    None if rest.starts_with(b"}") => {}
                    None => return None,
                }
            }
        }
        // A time stamp or an exemplar may follow.
        let number = rest.split(|octet| octet.is_ascii_whitespace()).find(|word| !word.is_empty())?;
        Some(Sample { labels, number })
    }
}

/// A text in double quotes, unescaped, and what follows.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut value = Vec::new();
    let mut octets = text.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Some((value, text.get(at + 1..).unwrap_or_default())),
            b'\\' => match octets.next()?.1 {
                b'n' => value.push(b'\n'),
                other => value.push(*other),
            },
            other => value.push(*other),
        }
    }
    None
}

fn is_name(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || octet == b'_' || octet == b':'
}

/// A number as the format writes it: also `NaN`, `+Inf`.
fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
