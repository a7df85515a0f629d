//! Answers of a primary: headers, questions and records, with every name written out.

use crate::wire::{Class, HEADER_OCTETS, NAME_OCTETS_MAX, Name, Rtype};

/// TYPE, CLASS, TTL and RDLENGTH.
const FIXED_OCTETS: usize = 10;

/// Why an answer cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Malformed {
    /// It ends too early.
    Short,
    /// A name is too long, points forward, or has a label of an unknown kind.
    Name,
    /// A record's data are longer or shorter than its type has.
    Data,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Malformed::Short => "a message ends too early",
            Malformed::Name => "a message holds a name that is none",
            Malformed::Data => "a record's data do not fit its type",
        })
    }
}

/// An answer as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'m> {
    octets: &'m [u8],
    /// Where the question begins, and how many there are.
    questions: u16,
    answers: u16,
}

/// What an answer's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The request's number.
    pub id: u16,
    /// QR
    pub is_response: bool,
    /// Four bits.
    pub opcode: u8,
    /// AA
    pub authoritative: bool,
    /// TC
    pub truncated: bool,
    /// The lower four bits of the response code.
    pub rcode: u8,
}

/// One record of the answer section. RDATA is written out where it may be compressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// The owner, in lower case.
    pub owner: Name,
    /// Its type.
    pub rtype: Rtype,
    /// Its class.
    pub class: Class,
    /// As sent: the upper bit counts as 0 (RFC 2181 section 8).
    pub ttl_s: u32,
    /// Uncompressed.
    pub rdata: Vec<u8>,
}

impl<'m> Message<'m> {
    /// An answer that has a header.
    ///
    /// # Errors
    /// When it has none.
    pub fn new(octets: &'m [u8]) -> Result<Message<'m>, Malformed> {
        let header = octets.first_chunk::<HEADER_OCTETS>().ok_or(Malformed::Short)?;
        let [_, _, _, _, q1, q0, a1, a0, ..] = *header;
        let (questions, answers) = (u16::from_be_bytes([q1, q0]), u16::from_be_bytes([a1, a0]));
        Ok(Message { octets, questions, answers })
    }

    /// What the header says.
    pub fn head(&self) -> Head {
        let [i1, i0, high, low, ..] =
            self.octets.first_chunk::<HEADER_OCTETS>().copied().unwrap_or([0; HEADER_OCTETS]);
        Head {
            id: u16::from_be_bytes([i1, i0]),
            is_response: high & 0x80 != 0,
            opcode: high >> 3 & 0xf,
            authoritative: high & 4 != 0,
            truncated: high & 2 != 0,
            rcode: low & 0xf,
        }
    }

    /// How many questions there are, and the first of them.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn question(&self) -> Result<Option<(Name, Rtype)>, Malformed> {
        if self.questions == 0 {
            return Ok(None);
        }
        let mut reader = Reader { octets: self.octets, at: HEADER_OCTETS };
        let name = reader.name()?;
        Ok(Some((name, Rtype(reader.number()?))))
    }

    /// The records of the answer section.
    ///
    /// # Errors
    /// When a question cannot be read.
    pub fn answers(&self) -> Result<Answers<'m>, Malformed> {
        let mut reader = Reader { octets: self.octets, at: HEADER_OCTETS };
        for _ in 0..self.questions {
            reader.name()?;
            reader.take(4)?;
        }
        Ok(Answers { reader, left: self.answers })
    }
}

/// The records of an answer section, one after the other; after an error none.
pub struct Answers<'m> {
    reader: Reader<'m>,
    left: u16,
}

impl Iterator for Answers<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Result<Record, Malformed>> {
        self.left = self.left.checked_sub(1)?;
        let record = self.reader.record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

struct Reader<'m> {
    octets: &'m [u8],
    at: usize,
}

impl<'m> Reader<'m> {
    fn take(&mut self, octets: usize) -> Result<&'m [u8], Malformed> {
        let taken = self.octets.get(self.at..).and_then(|rest| rest.get(..octets)).ok_or(Malformed::Short)?;
        self.at += octets;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        let octets = self.take(2)?.first_chunk::<2>().ok_or(Malformed::Short)?;
        Ok(u16::from_be_bytes(*octets))
    }

    fn name(&mut self) -> Result<Name, Malformed> {
        let mut wire = Vec::with_capacity(NAME_OCTETS_MAX);
        self.write_name(&mut wire)?;
        Name::from_wire(&wire).ok_or(Malformed::Name)
    }

    /// Writes a name out, its case kept. Pointers lead to what came earlier, each further back than the one
    /// before, so that there is no circle.
    fn write_name(&mut self, to: &mut Vec<u8>) -> Result<(), Malformed> {
        let start = to.len();
        let (mut at, mut end, mut before) = (self.at, None, self.at);
        loop {
            let length = *self.octets.get(at).ok_or(Malformed::Short)?;
            match length {
                0 => {
                    to.push(0);
                    self.at = end.unwrap_or(at + 1);
                    return Ok(());
                }
                1..=63 => {
                    let next = at + 1 + usize::from(length);
                    to.extend_from_slice(self.octets.get(at..next).ok_or(Malformed::Short)?);
                    if to.len() - start >= NAME_OCTETS_MAX {
                        return Err(Malformed::Name);
                    }
                    at = next;
                }
                0xc0.. => {
                    let low = *self.octets.get(at + 1).ok_or(Malformed::Short)?;
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if target >= before {
                        return Err(Malformed::Name);
                    }
                    end = end.or(Some(at + 2));
                    (at, before) = (target, target);
                }
                _ => return Err(Malformed::Name),
            }
        }
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        let owner = self.name()?;
        let fixed = self.take(FIXED_OCTETS)?.first_chunk::<FIXED_OCTETS>().ok_or(Malformed::Short)?;
        let [t1, t0, c1, c0, a, b, c, d, l1, l0] = *fixed;
        let (rtype, class) = (Rtype(u16::from_be_bytes([t1, t0])), Class(u16::from_be_bytes([c1, c0])));
        let sent = u32::from_be_bytes([a, b, c, d]);
        let ttl_s = if sent > i32::MAX as u32 { 0 } else { sent };
        let end = self.at + usize::from(u16::from_be_bytes([l1, l0]));
        if end > self.octets.len() {
            return Err(Malformed::Short);
        }
        let rdata = self.rdata(rtype, end)?;
        Ok(Record { owner, rtype, class, ttl_s, rdata })
    }

    /// RDATA up to `end`, with the names in it written out (RFC 3597 section 4: those types whose names are
    /// or were compressed by somebody).
    fn rdata(&mut self, rtype: Rtype, end: usize) -> Result<Vec<u8>, Malformed> {
        let mut rdata = Vec::with_capacity(end.saturating_sub(self.at));
        // Not beyond its end: a name's own octets are in the record, whatever it points at.
        let mut own = Reader { octets: self.octets.get(..end).ok_or(Malformed::Short)?, at: self.at };
        for part in parts(rtype) {
            let read = match part {
                Part::Octets(octets) => own.take(*octets).map(|octets| rdata.extend_from_slice(octets)),
                Part::Name => own.write_name(&mut rdata),
                Part::Text => own.text(&mut rdata),
            };
            read.map_err(|why| if why == Malformed::Short { Malformed::Data } else { why })?;
        }
        let rest = own.octets.get(own.at..).unwrap_or(&[]);
        if !rest.is_empty() && !parts(rtype).is_empty() {
            return Err(Malformed::Data);
        }
        rdata.extend_from_slice(rest);
        self.at = end;
        Ok(rdata)
    }

    /// A character string with its length octet.
    fn text(&mut self, to: &mut Vec<u8>) -> Result<(), Malformed> {
        let length = *self.octets.get(self.at).ok_or(Malformed::Short)?;
        to.extend_from_slice(self.take(1 + usize::from(length))?);
        Ok(())
    }
}

/// What RDATA consists of.
enum Part {
    Octets(usize),
    Name,
    Text,
}

/// The parts of RDATA of types with names that are, or were, compressed; nothing for all others, whose
/// octets stay as they are.
const fn parts(rtype: Rtype) -> &'static [Part] {
    use Part::{Name, Octets, Text};
    match rtype.0 {
        // NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME
        2 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 39 => &[Name],
        // SOA
        6 => &[Name, Name, Octets(20)],
        // MINFO, RP
        14 | 17 => &[Name, Name],
        // MX, AFSDB, RT, KX
        15 | 18 | 21 | 36 => &[Octets(2), Name],
        // PX
        26 => &[Octets(2), Name, Name],
        // SRV
        33 => &[Octets(6), Name],
        // NAPTR
        35 => &[Octets(4), Text, Text, Text, Name],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// A message with one question for `a.example` and these answers behind it.
    fn message(count: u16, answers: &[u8]) -> Vec<u8> {
        let header = [[0, 7], [0x84, 0], [0, 1], count.to_be_bytes(), [0, 0], [0, 0]].concat();
        [&header[..], b"\x01a\x07example\x00\x00\xfc\x00\x01", answers].concat()
    }

    fn first(answers: &[u8]) -> Result<Record, Malformed> {
        let octets = message(1, answers);
        let message = Message::new(&octets).unwrap();
        message.answers().unwrap().next().unwrap()
    }

    #[test]
    fn rfc3597_4_names_of_known_types_are_written_out() {
        let record =
            first(b"\x01W\xc0\x0e\x00\x0f\x00\x01\x00\x00\x00\x3c\x00\x06\x00\x0a\x01M\xc0\x0c").unwrap();
        assert_eq!(record.owner.octets(), b"\x01w\x07example\x00");
        assert_eq!(record.rdata, b"\x00\x0a\x01M\x01a\x07example\x00");
        let unknown = first(b"\xc0\x0c\xff\x01\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c").unwrap();
        assert_eq!(unknown.rdata, b"\xc0\x0c");
    }

    #[test]
    fn rfc1035_4_1_4_circles_and_forward_pointers_are_refused() {
        let ns = |rdata: &[u8]| {
            let fixed =
                [&b"\xc0\x0c\x00\x02\x00\x01\x00\x00\x00\x3c"[..], &(rdata.len() as u16).to_be_bytes()];
            first(&[&fixed.concat()[..], rdata].concat())
        };
        assert_eq!(ns(b"\xc0\x27"), Err(Malformed::Name));
        assert_eq!(ns(b"\x01a\xc0\x27"), Err(Malformed::Name));
        assert_eq!(ns(b"\x80\x00"), Err(Malformed::Name));
        assert_eq!(ns(b"\x01a"), Err(Malformed::Data));
        assert_eq!(ns(b"\x01a\x00x"), Err(Malformed::Data));
        assert!(ns(b"\x01a\xc0\x0c").is_ok());
    }

    #[test]
    fn rfc2181_8_a_ttl_with_its_upper_bit_set_is_zero() {
        let record = first(b"\xc0\x0c\x00\x01\x00\x01\x80\x00\x00\x3c\x00\x04\xc0\x00\x02\x01").unwrap();
        assert_eq!(record.ttl_s, 0);
    }

    proptest! {
        #[test]
        fn whatever_the_octets_reading_ends(octets in proptest::collection::vec(any::<u8>(), 0..300), count: u16) {
            let octets = message(count, &octets);
            let message = Message::new(&octets).unwrap();
            let records = message.answers().unwrap();
            prop_assert!(records.take(70_000).filter(Result::is_ok).count() <= usize::from(count));
        }
    }
}
