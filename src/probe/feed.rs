//! Takes in bodies: those that are judged, and the pages of load feeds, decompressed as they come and never
//! held whole.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;

use super::body::{More, Reader};
use super::http::Wanted;
use super::stopwatch::Stopwatch;
use crate::health::Failure;
use crate::health::feed::{FeedFormat, FeedReader, Progress};

/// A body under way.
pub enum Intake<'b> {
    /// Its beginning is judged.
    Judged(Reader<'b>),
    /// A load is read from it.
    Plain(Page<'b>),
    /// The same, compressed.
    Gzip(Box<MultiGzDecoder<Page<'b>>>),
}

impl<'b> Intake<'b> {
    /// Before the first octet; `None` where the body is not read. `encoding` is that of the head.
    pub fn new(wanted: &'b Wanted, encoding: &[u8]) -> Option<Intake<'b>> {
        let gzip = encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip");
        match wanted {
            Wanted::Nothing => None,
            Wanted::Judged(judge) => Some(Intake::Judged(Reader::new(judge, encoding))),
            Wanted::Feed(format) if gzip => {
                Some(Intake::Gzip(Box::new(MultiGzDecoder::new(Page::new(format)))))
            }
            Wanted::Feed(format) => Some(Intake::Plain(Page::new(format))),
        }
    }

    /// Takes in a piece.
    pub fn take(&mut self, piece: &[u8]) -> Result<More, Failure> {
        let (written, enough) = match self {
            Intake::Judged(reader) => return reader.take(piece),
            Intake::Plain(page) => (page.write_all(piece), page.enough),
            Intake::Gzip(gzip) => (gzip.write_all(piece), gzip.get_ref().enough),
        };
        match written {
            _ if enough => Ok(More::Enough),
            Ok(()) => Ok(More::Wanted),
            Err(_) => Err(Failure::BodyBroken),
        }
    }

    /// Nothing more comes, or nothing more is wanted. A reading is left with the stopwatch.
    pub fn finish(self, more: More, stopwatch: &Stopwatch) -> Result<(), Failure> {
        let reader = match self {
            Intake::Judged(reader) => return reader.finish(more),
            Intake::Plain(mut page) => page.reader.take(),
            Intake::Gzip(mut gzip) => {
                if more == More::Wanted && gzip.try_finish().is_err() && !gzip.get_ref().enough {
                    return Err(Failure::BodyBroken);
                }
                gzip.get_mut().reader.take()
            }
        };
        if let Some(reader) = reader {
            stopwatch.read(reader.finish().map_err(Failure::Feed)?);
        }
        Ok(())
    }
}

/// The page of a feed.
pub struct Page<'f> {
    /// Until it has ended.
    reader: Option<FeedReader<'f>>,
    enough: bool,
}

impl<'f> Page<'f> {
    fn new(format: &'f FeedFormat) -> Page<'f> {
        Page { reader: Some(FeedReader::new(format)), enough: false }
    }
}

impl Write for Page<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let Some(reader) = self.reader.as_mut().filter(|_| !self.enough) else {
            // Nothing written is an error to those who write all: a decoder ends there.
            return Ok(0);
        };
        self.enough = reader.push(octets) == Progress::Enough;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
