//! Load feeds (H12): what a page of a load balancer says of its load, read as it comes, never held whole.
//!
//! A [`FeedReader`] is fed the page chunk by chunk and keeps a line or a token of it at most.

mod haproxy;
mod json;
mod lines;
mod prometheus;
mod select;

use std::fmt;

use self::haproxy::CsvReader;
use self::json::JsonReader;
use self::prometheus::PrometheusReader;
pub use self::select::{Cell, Fold, LabelMatch, Matcher, Pattern, Pointer, Series};

/// A page is read no further than this: HAProxy's own exporter writes a few hundred octets for each server
/// and metric, so this is some ten thousand servers; whatever streams forever ends here.
pub const PAGE_OCTETS_MAX: u64 = 16 * 1024 * 1024;

/// What one page said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// The load as it is.
    pub current: Amount,
    /// Responses since the load balancer started; `None`: not asked for.
    pub responses: Option<u64>,
    /// Those of them that were errors of the server (5xx).
    pub errors: Option<u64>,
}

/// A load, in thousandths of whatever unit the feed counts in: connections, requests, cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Amount {
    /// Thousandths.
    pub milli: u64,
}

impl Amount {
    /// The greatest amount that is told apart: a million million units.
    const MILLI_MAX: f64 = 1e15;

    /// A number of units; `None` where it is negative or none.
    pub fn from_units(units: f64) -> Option<Amount> {
        let milli = units * 1000.0;
        (milli >= 0.0).then(|| Amount { milli: milli.min(Amount::MILLI_MAX).round() as u64 })
    }

    /// In units.
    pub fn units(self) -> f64 {
        self.milli as f64 / 1000.0
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.milli % 1000 {
            0 => write!(f, "{}", self.milli / 1000),
            _ => write!(f, "{}", self.units()),
        }
    }
}

/// How a page is written, and what is selected from it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FeedFormat {
    /// Prometheus' text exposition, or OpenMetrics' as far as they agree.
    Prometheus(Selection<Series>),
    /// HAProxy's statistics as CSV: `/;csv`.
    HaproxyCsv(Selection<Cell>),
    /// A JSON document.
    Json(Selection<Pointer>),
}

/// Where the values of a [`Reading`] stand.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Selection<S> {
    /// The load.
    pub current: S,
    /// Responses.
    pub responses: Option<S>,
    /// Errors among them.
    pub errors: Option<S>,
}

impl<S> Selection<S> {
    /// What is selected, with the value it gives.
    fn parts(&self) -> impl Iterator<Item = (FeedValue, &S)> {
        let current = Some((FeedValue::Current, &self.current));
        let responses = self.responses.as_ref().map(|own| (FeedValue::Responses, own));
        let errors = self.errors.as_ref().map(|own| (FeedValue::Errors, own));
        [current, responses, errors].into_iter().flatten()
    }
}

/// One of the values of a [`Reading`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FeedValue {
    /// `current`
    Current,
    /// `responses`
    Responses,
    /// `errors`
    Errors,
}

/// Why a page gives no reading.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FeedProblem {
    /// It is larger than [`PAGE_OCTETS_MAX`].
    TooLarge,
    /// A line that matters, or any of a CSV, is too long to be one.
    LineTooLong,
    /// It is not written in the format.
    NotTheFormat,
    /// It ends too early.
    Cut,
    /// Nothing in it is what the selector selects.
    Missing(FeedValue),
    /// What is selected is no number, negative, or infinite.
    NotANumber(FeedValue),
}

impl fmt::Display for FeedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FeedValue::Current => "current",
            FeedValue::Responses => "responses",
            FeedValue::Errors => "errors",
        })
    }
}

impl fmt::Display for FeedProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FeedProblem::TooLarge => "page too large",
            FeedProblem::LineTooLong => "line too long",
            FeedProblem::NotTheFormat => "page is not in the format",
            FeedProblem::Cut => "page is cut off",
            FeedProblem::Missing(value) => return write!(f, "nothing selected by `{value}`"),
            FeedProblem::NotANumber(value) => return write!(f, "`{value}` selects what is no number"),
        })
    }
}

/// Whether the rest of a page is of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Go on.
    More,
    /// The outcome stands: hang up.
    Enough,
}

/// Reads one page.
#[derive(Debug)]
pub struct FeedReader<'f> {
    format: Reader<'f>,
    octets: u64,
    problem: Option<FeedProblem>,
}

#[derive(Debug)]
enum Reader<'f> {
    Prometheus(PrometheusReader<'f>),
    HaproxyCsv(CsvReader<'f>),
    Json(JsonReader<'f>),
}

impl<'f> FeedReader<'f> {
    /// Before the first octet.
    pub fn new(format: &'f FeedFormat) -> FeedReader<'f> {
        let format = match format {
            FeedFormat::Prometheus(selection) => Reader::Prometheus(PrometheusReader::new(selection)),
            FeedFormat::HaproxyCsv(selection) => Reader::HaproxyCsv(CsvReader::new(selection)),
            FeedFormat::Json(selection) => Reader::Json(JsonReader::new(selection)),
        };
        FeedReader { format, octets: 0, problem: None }
    }

    /// The next part of the page, cut wherever it was cut.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        if self.problem.is_none() {
            self.octets = self.octets.saturating_add(chunk.len() as u64);
            let taken = match &mut self.format {
                _ if self.octets > PAGE_OCTETS_MAX => Err(FeedProblem::TooLarge),
                Reader::Prometheus(reader) => reader.push(chunk),
                Reader::HaproxyCsv(reader) => reader.push(chunk),
                Reader::Json(reader) => reader.push(chunk),
            };
            self.problem = taken.err();
        }
        if self.problem.is_some() { Progress::Enough } else { Progress::More }
    }

    /// The page has ended.
    pub fn finish(self) -> Result<Reading, FeedProblem> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        match self.format {
            Reader::Prometheus(reader) => reader.finish(),
            Reader::HaproxyCsv(reader) => reader.finish(),
            Reader::Json(reader) => reader.finish(),
        }
    }
}

/// The values gathered so far, by [`FeedValue`].
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Gathered([Option<f64>; 3]);

impl Gathered {
    /// Takes in one more number that a selector selects. What is not a number at all (NaN) is none.
    fn add(&mut self, value: FeedValue, fold: Fold, number: f64) -> Result<(), FeedProblem> {
        if number.is_nan() {
            return Ok(());
        }
        if number < 0.0 || number.is_infinite() {
            return Err(FeedProblem::NotANumber(value));
        }
        if let Some(slot) = self.0.get_mut(value as usize) {
            *slot = Some(slot.map_or(number, |before| fold.of(before, number)));
        }
        Ok(())
    }

    /// The same, without what was there before.
    fn set(&mut self, value: FeedValue, number: f64) -> Result<(), FeedProblem> {
        if let Some(slot) = self.0.get_mut(value as usize) {
            *slot = None;
        }
        self.add(value, Fold::Sum, number)
    }

    /// All values asked for, or which is missing. Exporters leave out what has not been counted yet: no
    /// errors among responses are none.
    fn reading<S>(self, selection: &Selection<S>) -> Result<Reading, FeedProblem> {
        let [current, responses, errors] = self.0;
        let current = current.ok_or(FeedProblem::Missing(FeedValue::Current))?;
        let current = Amount::from_units(current).ok_or(FeedProblem::NotANumber(FeedValue::Current))?;
        if selection.responses.is_some() && responses.is_none() {
            return Err(FeedProblem::Missing(FeedValue::Responses));
        }
        let errors = selection.errors.as_ref().map(|_| errors.unwrap_or(0.0));
        Ok(Reading {
            current,
            responses: responses.map(|number| number as u64),
            errors: errors.map(|number| number as u64),
        })
    }
}

#[cfg(test)]
mod tests;
