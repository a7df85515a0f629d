//! The TSIG record (RFC 8945 section 4): found at the end of a message, appended there, and what codes are
//! made over.

use aws_lc_rs::hmac;

use super::key::{Key, Mac};
use crate::wire::{HEADER_OCTETS, Name, Rtype, name_octets, read_name};

/// TYPE, CLASS, TTL and RDLENGTH.
const FIXED_OCTETS: usize = 10;
/// CLASS of TSIG: ANY.
const CLASS_ANY: u16 = 255;
/// The seconds that clocks may differ by (RFC 8945 section 10 recommends 300).
pub(super) const FUDGE_S: u16 = 300;
/// Other Data of BADTIME: the server's time.
const TIME_OCTETS: usize = 6;

/// What the Error field says (RFC 8945 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TsigError {
    /// The code is wrong.
    BadSig,
    /// The key is not known, or not with that algorithm.
    BadKey,
    /// The clocks differ too much, or the message is old.
    BadTime,
    /// The code is shorter than is accepted here.
    BadTrunc,
}

impl TsigError {
    /// The registry's number.
    pub const fn number(self) -> u16 {
        match self {
            TsigError::BadSig => 16,
            TsigError::BadKey => 17,
            TsigError::BadTime => 18,
            TsigError::BadTrunc => 22,
        }
    }

    /// The registry's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            TsigError::BadSig => "BADSIG",
            TsigError::BadKey => "BADKEY",
            TsigError::BadTime => "BADTIME",
            TsigError::BadTrunc => "BADTRUNC",
        }
    }

    pub(super) const fn from_number(number: u16) -> Option<TsigError> {
        match number {
            16 => Some(TsigError::BadSig),
            17 => Some(TsigError::BadKey),
            18 => Some(TsigError::BadTime),
            22 => Some(TsigError::BadTrunc),
            _ => None,
        }
    }
}

/// A message's TSIG as sent.
#[derive(Clone, Copy, Debug)]
pub struct Record<'p> {
    /// Where in the message it begins.
    pub start: usize,
    /// The key's name.
    pub name: Name,
    /// The algorithm's name.
    pub algorithm: Name,
    /// When the message was signed, in seconds since 1970.
    pub time_signed_s: u64,
    /// By how much that may differ from the present.
    pub fudge_s: u16,
    /// The code, perhaps cut short.
    pub mac: &'p [u8],
    /// The message's ID when it was signed: forwarders may have changed it.
    pub original_id: u16,
    /// 0, or an error.
    pub error: u16,
    /// With BADTIME: the server's time.
    pub other: &'p [u8],
}

/// What a message has of TSIG.
#[allow(clippy::large_enum_variant, reason = "it stays on the stack of who asks")]
#[derive(Clone, Copy, Debug)]
pub enum Found<'p> {
    /// Nothing.
    Nothing,
    /// One, and nothing behind it.
    Tsig(Record<'p>),
    /// One that cannot be read or is not the last record (RFC 8945 section 5.1: FORMERR), or the message
    /// itself cannot be read.
    Malformed,
}

impl<'p> Found<'p> {
    /// Looks for it in any message, query or answer.
    pub fn in_message(message: &'p [u8]) -> Found<'p> {
        let Some(records) = Walk::new(message) else { return Found::Malformed };
        let (mut last, mut at) = (None, records.first);
        for number in 0..records.count {
            let Some((rtype, next)) = skip_record(message, at) else { return Found::Malformed };
            if rtype == Rtype::TSIG {
                if number + 1 < records.count || number < records.before_additional {
                    return Found::Malformed;
                }
                last = Some(at);
            }
            at = next;
        }
        match last.map(|at| Record::read(message, at)) {
            None => Found::Nothing,
            Some(Some(record)) => Found::Tsig(record),
            Some(None) => Found::Malformed,
        }
    }
}

/// Where a message's records are.
struct Walk {
    first: usize,
    before_additional: u32,
    count: u32,
}

impl Walk {
    fn new(message: &[u8]) -> Option<Walk> {
        let header = message.first_chunk::<HEADER_OCTETS>()?;
        let count = |at: usize| {
            let high = header.get(at).copied().unwrap_or(0);
            u32::from(high) << 8 | u32::from(header.get(at + 1).copied().unwrap_or(0))
        };
        let mut first = HEADER_OCTETS;
        for _ in 0..count(4) {
            first = read_name(message, first)?.1 + 4;
        }
        let before_additional = count(6) + count(8);
        Some(Walk { first, before_additional, count: before_additional + count(10) })
    }
}

fn skip_record(message: &[u8], at: usize) -> Option<(Rtype, usize)> {
    let (_, fixed_at) = read_name(message, at)?;
    let [t1, t0, _, _, _, _, _, _, l1, l0] = *message.get(fixed_at..)?.first_chunk::<FIXED_OCTETS>()?;
    let next = fixed_at + FIXED_OCTETS + usize::from(u16::from_be_bytes([l1, l0]));
    (next <= message.len()).then_some((Rtype(u16::from_be_bytes([t1, t0])), next))
}

impl<'p> Record<'p> {
    /// The TSIG that begins at an octet of a message and ends with it.
    pub fn read(message: &'p [u8], start: usize) -> Option<Record<'p>> {
        let (name, fixed_at) = read_name(message, start)?;
        let (fixed, rdata) = message.get(fixed_at..)?.split_first_chunk::<FIXED_OCTETS>()?;
        let [t1, t0, c1, c0, ttl @ .., l1, l0] = *fixed;
        let is_tsig = u16::from_be_bytes([t1, t0]) == Rtype::TSIG.0
            && u16::from_be_bytes([c1, c0]) == CLASS_ANY
            && ttl == [0; 4]
            && usize::from(u16::from_be_bytes([l1, l0])) == rdata.len();
        if !is_tsig {
            return None;
        }
        let algorithm = Name::from_wire(rdata)?;
        let rest = rdata.get(name_octets(rdata)?..)?;
        let ([s5, s4, s3, s2, s1, s0, f1, f0, m1, m0], rest) = rest.split_first_chunk::<10>()?;
        let (mac, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*m1, *m0])))?;
        let ([i1, i0, e1, e0, o1, o0], other) = rest.split_first_chunk::<6>()?;
        (other.len() == usize::from(u16::from_be_bytes([*o1, *o0]))).then_some(Record {
            start,
            name,
            algorithm,
            time_signed_s: u64::from_be_bytes([0, 0, *s5, *s4, *s3, *s2, *s1, *s0]),
            fudge_s: u16::from_be_bytes([*f1, *f0]),
            mac,
            original_id: u16::from_be_bytes([*i1, *i0]),
            error: u16::from_be_bytes([*e1, *e0]),
            other,
        })
    }

    /// Whether a clock agrees with the sender's (RFC 8945 section 5.2.3).
    pub(super) fn is_timely(&self, now_s: u64) -> bool {
        self.time_signed_s.abs_diff(now_s) <= u64::from(self.fudge_s)
    }

    /// Gives a context the message as it was before it was signed.
    pub(super) fn unsigned_message(&self, message: &[u8], context: &mut hmac::Context) {
        let Some((header, _)) = message.split_first_chunk::<HEADER_OCTETS>() else { return };
        let [_, _, between @ .., ar1, ar0] = *header;
        let records = u16::from_be_bytes([ar1, ar0]).saturating_sub(1);
        context.update(&self.original_id.to_be_bytes());
        context.update(&between);
        context.update(&records.to_be_bytes());
        context.update(message.get(HEADER_OCTETS..self.start).unwrap_or(&[]));
    }

    /// Gives a context the record's own fields, as in a request or a first answer.
    pub(super) fn variables(&self, context: &mut hmac::Context) {
        let draft = Draft {
            name: self.name.octets(),
            algorithm: self.algorithm.octets(),
            time_signed_s: self.time_signed_s,
            fudge_s: self.fudge_s,
            original_id: self.original_id,
            error: self.error,
            other: self.other,
        };
        draft.variables(context);
    }

    /// Gives a context the timers alone, as in later messages of a stream.
    pub(super) fn timers(&self, context: &mut hmac::Context) {
        context.update(&time(self.time_signed_s));
        context.update(&self.fudge_s.to_be_bytes());
    }
}

/// A TSIG to be appended.
pub(super) struct Draft<'d> {
    pub(super) name: &'d [u8],
    pub(super) algorithm: &'d [u8],
    pub(super) time_signed_s: u64,
    pub(super) fudge_s: u16,
    pub(super) original_id: u16,
    pub(super) error: u16,
    pub(super) other: &'d [u8],
}

impl<'d> Draft<'d> {
    /// Of a key, without an error.
    pub(super) fn of(key: &'d Key, now_s: u64, original_id: u16) -> Draft<'d> {
        Draft {
            name: key.name().octets(),
            algorithm: key.algorithm().wire(),
            time_signed_s: now_s,
            fudge_s: FUDGE_S,
            original_id,
            error: 0,
            other: &[],
        }
    }

    pub(super) fn variables(&self, context: &mut hmac::Context) {
        context.update(self.name);
        context.update(&CLASS_ANY.to_be_bytes());
        context.update(&[0; 4]);
        context.update(self.algorithm);
        self.timers(context);
        context.update(&self.error.to_be_bytes());
        context.update(&(self.other.len() as u16).to_be_bytes());
        context.update(self.other);
    }

    pub(super) fn timers(&self, context: &mut hmac::Context) {
        context.update(&time(self.time_signed_s));
        context.update(&self.fudge_s.to_be_bytes());
    }

    /// The octets that the record takes with a code of so many.
    pub(super) fn octets(&self, mac_octets: usize) -> usize {
        let rdata = self.algorithm.len() + 16 + mac_octets + self.other.len();
        self.name.len() + FIXED_OCTETS + rdata
    }

    /// Appends the record to the message that fills `buffer` up to `length`; the new length, or `None`
    /// where there is no room.
    pub(super) fn append(&self, mac: &[u8], buffer: &mut [u8], length: usize) -> Option<usize> {
        let rdata_octets = self.algorithm.len() + 16 + mac.len() + self.other.len();
        let [_, _, t5, t4, t3, t2, t1, t0] = self.time_signed_s.to_be_bytes();
        let parts: [&[u8]; 14] = [
            self.name,
            &Rtype::TSIG.0.to_be_bytes(),
            &CLASS_ANY.to_be_bytes(),
            &[0; 4],
            &u16::try_from(rdata_octets).ok()?.to_be_bytes(),
            self.algorithm,
            &[t5, t4, t3, t2, t1, t0],
            &self.fudge_s.to_be_bytes(),
            &(mac.len() as u16).to_be_bytes(),
            mac,
            &self.original_id.to_be_bytes(),
            &self.error.to_be_bytes(),
            &(self.other.len() as u16).to_be_bytes(),
            self.other,
        ];
        let octets = self.octets(mac.len());
        let mut room = buffer.get_mut(length..length.checked_add(octets)?)?;
        for part in parts {
            let (place, rest) = std::mem::take(&mut room).split_at_mut_checked(part.len())?;
            place.copy_from_slice(part);
            room = rest;
        }
        count_one_more(buffer)?;
        Some(length + octets)
    }
}

/// ARCOUNT plus one.
fn count_one_more(buffer: &mut [u8]) -> Option<()> {
    let place = buffer.get_mut(HEADER_OCTETS - 2..HEADER_OCTETS)?.first_chunk_mut::<2>()?;
    *place = u16::from_be_bytes(*place).checked_add(1)?.to_be_bytes();
    Some(())
}

/// A length and that many octets: how an earlier code goes into the next (RFC 8945 section 5.3).
pub(super) fn prior(mac: &Mac, context: &mut hmac::Context) {
    context.update(&(mac.octets().len() as u16).to_be_bytes());
    context.update(mac.octets());
}

/// Seconds since 1970 in 48 bits.
pub(super) fn time(seconds: u64) -> [u8; TIME_OCTETS] {
    let [_, _, rest @ ..] = seconds.to_be_bytes();
    rest
}
