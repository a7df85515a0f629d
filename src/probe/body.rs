//! Reads the beginning of a body, decompressed, and judges it. Whatever streams or inflates costs no
//! more than a health page.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use regex::bytes::Regex;
use serde_json::Value;

use crate::health::{BodyMatch, Failure, NotRun};

/// The body is read no further than this, counted after decompression.
pub const BODY_OCTETS_MAX: usize = 64 * 1024;

/// Compressed, no more than this is looked at: what decompresses to less than its own size is no page.
const COMPRESSED_OCTETS_MAX: usize = 2 * BODY_OCTETS_MAX;

/// What must be true of a body.
#[derive(Debug)]
pub struct Judge {
    texts: Vec<Vec<u8>>,
    expressions: Vec<Regex>,
    pointers: Vec<(String, Vec<Value>)>,
}

impl Judge {
    /// Compiles what a check says; `None` if it says nothing, and the body need not be read.
    pub fn new(matches: &[BodyMatch]) -> Result<Option<Judge>, NotRun> {
        let mut judge = Judge { texts: Vec::new(), expressions: Vec::new(), pointers: Vec::new() };
        for one in matches {
            match one {
                BodyMatch::Text(text) => judge.texts.push(text.as_bytes().to_vec()),
                BodyMatch::Regex(pattern) => {
                    let compiled = BodyMatch::compile(pattern).map_err(|_| NotRun::BadRequest)?;
                    judge.expressions.push(compiled);
                }
                BodyMatch::Json { pointer, values } => judge.pointers.push((pointer.clone(), values.clone())),
            }
        }
        Ok((!matches.is_empty()).then_some(judge))
    }

    /// Whether all holds whatever else may come: the one text that is looked for is there. Only what
    /// came last, `from` there on, is new.
    fn is_settled(&self, body: &[u8], from: usize) -> bool {
        let [text] = self.texts.as_slice() else { return false };
        // A text can lie across two pieces.
        let from = from.saturating_sub(text.len());
        let alone = self.expressions.is_empty() && self.pointers.is_empty();
        alone && contains(body.get(from..).unwrap_or_default(), text)
    }

    fn judge(&self, body: &[u8]) -> Result<(), Failure> {
        if !self.texts.iter().all(|text| contains(body, text)) {
            return Err(Failure::BodyLacksText);
        }
        if !self.expressions.iter().all(|expression| expression.is_match(body)) {
            return Err(Failure::BodyLacksMatch);
        }
        if self.pointers.is_empty() {
            return Ok(());
        }
        let json: Value = serde_json::from_slice(body).map_err(|_| Failure::BodyNotJson)?;
        let holds = |(pointer, values): &(String, Vec<Value>)| {
            json.pointer(pointer).is_some_and(|found| values.iter().any(|value| equal(found, value)))
        };
        if self.pointers.iter().all(holds) { Ok(()) } else { Err(Failure::BodyLacksValue) }
    }
}

/// 1 and 1.0 are the same number of JSON.
fn equal(found: &Value, expected: &Value) -> bool {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => found == expected,
        _ => found == expected,
    }
}

pub(super) fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// Whether more is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum More {
    /// Yes, if there is more.
    Wanted,
    /// No: enough has been seen.
    Enough,
}

/// A body as it arrives.
pub struct Reader<'j> {
    judge: &'j Judge,
    decoder: Decoder,
    received: usize,
}

enum Decoder {
    Plain(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
}

impl<'j> Reader<'j> {
    /// Nothing read yet. `encoding` is that of the head (`Content-Encoding`).
    pub fn new(judge: &'j Judge, encoding: &[u8]) -> Reader<'j> {
        let gzip = encoding.eq_ignore_ascii_case(b"gzip") || encoding.eq_ignore_ascii_case(b"x-gzip");
        let decoder = match gzip {
            true => Decoder::Gzip(Box::new(MultiGzDecoder::new(Capped(Vec::new())))),
            false => Decoder::Plain(Capped(Vec::new())),
        };
        Reader { judge, decoder, received: 0 }
    }

    /// Takes in a piece.
    pub fn take(&mut self, piece: &[u8]) -> Result<More, Failure> {
        self.received += piece.len();
        let from = self.octets().len();
        let written = match &mut self.decoder {
            Decoder::Plain(plain) => plain.write_all(piece),
            // Flushed, so that what has arrived can be looked at.
            Decoder::Gzip(gzip) => gzip.write_all(piece).and_then(|()| gzip.flush()),
        };
        let full = self.octets().len() == BODY_OCTETS_MAX;
        if written.is_err() && !full {
            return Err(Failure::BodyBroken);
        }
        let enough =
            full || self.received > COMPRESSED_OCTETS_MAX || self.judge.is_settled(self.octets(), from);
        Ok(if enough { More::Enough } else { More::Wanted })
    }

    /// Nothing more comes, or nothing more is wanted.
    pub fn finish(mut self, more: More) -> Result<(), Failure> {
        // An empty body can be no gzip, and servers say it is: to HEAD, for one.
        if let (Decoder::Gzip(gzip), More::Wanted, true) = (&mut self.decoder, more, self.received > 0)
            && gzip.try_finish().is_err()
            && gzip.get_ref().0.len() < BODY_OCTETS_MAX
        {
            return Err(Failure::BodyBroken);
        }
        self.judge.judge(self.octets())
    }

    fn octets(&self) -> &[u8] {
        match &self.decoder {
            Decoder::Plain(plain) => &plain.0,
            Decoder::Gzip(gzip) => &gzip.get_ref().0,
        }
    }
}

/// Takes so much and no more.
struct Capped(Vec<u8>);

impl Write for Capped {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let room = BODY_OCTETS_MAX - self.0.len();
        let taken = octets.get(..room).unwrap_or(octets);
        self.0.extend_from_slice(taken);
        // Nothing written is an error to those who write all.
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
