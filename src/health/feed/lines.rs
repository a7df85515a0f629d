//! Lines of a page that comes in chunks.

/// A longer line is not kept. HAProxy's longest is about 1 KiB, label values of other exporters come to some.
pub const LINE_OCTETS_MAX: usize = 16 * 1024;

/// Cuts chunks into lines.
#[derive(Debug, Default)]
pub struct Lines {
    kept: Vec<u8>,
    /// The line under way is longer than what is kept of it.
    overlong: bool,
}

/// One line without its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'l> {
    /// All of it.
    Whole(&'l [u8]),
    /// Its first [`LINE_OCTETS_MAX`] octets.
    Overlong(&'l [u8]),
}

impl Lines {
    /// Calls `take` with each line that this chunk ends.
    pub fn push<E>(
        &mut self,
        mut chunk: &[u8],
        mut take: impl FnMut(Line) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(at) = chunk.iter().position(|octet| *octet == b'\n') {
            let (line, rest) = chunk.split_at(at);
            chunk = rest.get(1..).unwrap_or_default();
            if self.kept.is_empty() && !self.overlong && line.len() <= LINE_OCTETS_MAX {
                take(Line::Whole(trimmed(line)))?;
                continue;
            }
            self.keep(line);
            take(self.line())?;
            self.kept.clear();
            self.overlong = false;
        }
        self.keep(chunk);
        Ok(())
    }

    /// The last line, if the page does not end with a line's end.
    pub fn rest(&self) -> Option<Line<'_>> {
        (!self.kept.is_empty()).then(|| self.line())
    }

    fn keep(&mut self, part: &[u8]) {
        let room = LINE_OCTETS_MAX.saturating_sub(self.kept.len());
        self.overlong |= part.len() > room;
        self.kept.extend(part.iter().take(room));
    }

    fn line(&self) -> Line<'_> {
        match self.overlong {
            true => Line::Overlong(&self.kept),
            false => Line::Whole(trimmed(&self.kept)),
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
