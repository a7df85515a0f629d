//! HAProxy's statistics as CSV, line by line.

use super::lines::{Line, Lines};
use super::{Cell, FeedProblem, FeedValue, Gathered, Reading, Selection};

/// Reads a CSV.
#[derive(Debug)]
pub struct CsvReader<'f> {
    selection: &'f Selection<Cell>,
    lines: Lines,
    page: Page,
}

#[derive(Debug, Default)]
struct Page {
    gathered: Gathered,
    /// Where the selected columns stand, once the head is read.
    columns: Option<Columns>,
}

#[derive(Debug)]
struct Columns {
    proxy: usize,
    server: usize,
    /// By [`FeedValue`]; `None`: this HAProxy has no such column.
    values: [Option<usize>; 3],
}

/// Rows of a proxy that are no servers.
const SUMMARIES: [&[u8]; 2] = [b"FRONTEND", b"BACKEND"];

impl<'f> CsvReader<'f> {
    /// Before the first octet.
    pub fn new(selection: &'f Selection<Cell>) -> CsvReader<'f> {
        CsvReader { selection, lines: Lines::default(), page: Page::default() }
    }

    /// The next part of the page.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), FeedProblem> {
        let (selection, page) = (self.selection, &mut self.page);
        self.lines.push(chunk, |line| page.take(selection, line))
    }

    /// The page has ended.
    pub fn finish(self) -> Result<Reading, FeedProblem> {
        match self.page.columns {
            _ if self.lines.rest().is_some() => Err(FeedProblem::Cut),
            None => Err(FeedProblem::NotTheFormat),
            Some(_) => self.page.gathered.reading(self.selection),
        }
    }
}

impl Page {
    fn take(&mut self, selection: &Selection<Cell>, line: Line) -> Result<(), FeedProblem> {
        let line = match line {
            Line::Whole(line) => line.trim_ascii(),
            Line::Overlong(_) => return Err(FeedProblem::LineTooLong),
        };
        if line.is_empty() {
            return Ok(());
        }
        let Some(columns) = &self.columns else {
            let head = line.strip_prefix(b"# ").ok_or(FeedProblem::NotTheFormat)?;
            self.columns = Some(Columns::find(head, selection).ok_or(FeedProblem::NotTheFormat)?);
            return Ok(());
        };
        let fields = fields(line).ok_or(FeedProblem::NotTheFormat)?;
        let field = |at: usize| fields.get(at).map(|field| field.as_slice());
        let row = (field(columns.proxy), field(columns.server));
        let (Some(proxy), Some(server)) = row else { return Err(FeedProblem::NotTheFormat) };
        for (value, cell) in selection.parts().filter(|(_, cell)| cell.is_in(proxy, server)) {
            let at = columns.values.get(value as usize).copied().flatten();
            // A row has no number in the columns that are not for its kind.
            let Some(text) = at.and_then(field).filter(|text| !text.is_empty()) else { continue };
            let number = number(text).ok_or(FeedProblem::NotANumber(value))?;
            self.gathered.add(value, cell.fold, number)?;
        }
        Ok(())
    }
}

impl Columns {
    fn find(head: &[u8], selection: &Selection<Cell>) -> Option<Columns> {
        let names = fields(head)?;
        let find = |name: &[u8]| names.iter().position(|own| own == name);
        let mut values = [None; 3];
        for (value, cell) in selection.parts() {
            if let Some(slot) = values.get_mut(value as usize) {
                *slot = find(cell.column.as_bytes());
            }
        }
        Some(Columns { proxy: find(b"pxname")?, server: find(b"svname")?, values })
    }
}

impl Cell {
    fn is_in(&self, proxy: &[u8], server: &[u8]) -> bool {
        let own = self.proxy.as_ref().is_none_or(|wanted| wanted.as_bytes() == proxy);
        own && match &self.server {
            Some(wanted) => wanted.as_bytes() == server,
            None => !SUMMARIES.contains(&server),
        }
    }
}

/// The fields of a line (RFC 4180, without line ends inside quotes: HAProxy writes none).
fn fields(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut fields = Vec::new();
    let mut field = Vec::new();
    let mut octets = line.iter().copied().peekable();
    let mut in_quotes = false;
    while let Some(octet) = octets.next() {
        match octet {
            b'"' if in_quotes && octets.next_if_eq(&b'"').is_some() => field.push(b'"'),
            b'"' if in_quotes || field.is_empty() => in_quotes = !in_quotes,
            b',' if !in_quotes => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    (!in_quotes).then_some(fields)
}

fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// For the order in which values are kept.
const _: () = assert!(FeedValue::Current as usize == 0 && FeedValue::Errors as usize == 2);
