//! RRSIG (RFC 4034 section 3): the message that is signed, and the record that carries the signature.

use super::canonical::push_canonical;
use super::{Algorithm, SIGNATURE_OCTETS, Signature, SigningFailed, ZoneKey};
use crate::wire::{Class, Name, Rtype};

/// What stands before the signer's name.
const FIXED_OCTETS: usize = 18;

/// Where the times stand in RDATA.
const TIMES_AT: usize = 8;

/// When a signature holds: seconds since 1970 in serial arithmetic (RFC 4034 section 3.1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Times {
    pub(super) inception_s: u32,
    pub(super) expiration_s: u32,
}

/// The RRset that is signed.
#[derive(Clone, Copy)]
pub(super) struct Subject<'s> {
    /// As it stands in the zone: a wildcard as such.
    pub(super) owner: &'s Name,
    pub(super) rtype: Rtype,
    pub(super) ttl_s: u32,
}

/// Who signs.
#[derive(Clone, Copy)]
pub(super) struct Signatory<'s> {
    pub(super) algorithm: Algorithm,
    pub(super) tag: u16,
    pub(super) zone: &'s Name,
}

impl<'s> Signatory<'s> {
    pub(super) fn of(key: &ZoneKey, zone: &'s Name) -> Signatory<'s> {
        Signatory { algorithm: key.algorithm(), tag: key.tag(), zone }
    }
}

/// Whether serial time `a` is before `b` (RFC 1982).
pub(super) fn is_before(a: u32, b: u32) -> bool {
    (b.wrapping_sub(a) as i32) > 0
}

/// Appends the RDATA without the signature.
pub(super) fn push_head(subject: &Subject<'_>, signatory: &Signatory<'_>, times: Times, out: &mut Vec<u8>) {
    let [t1, t0] = subject.rtype.0.to_be_bytes();
    out.extend_from_slice(&[t1, t0, signatory.algorithm.number(), labels(subject.owner)]);
    out.extend_from_slice(&subject.ttl_s.to_be_bytes());
    out.extend_from_slice(&times.expiration_s.to_be_bytes());
    out.extend_from_slice(&times.inception_s.to_be_bytes());
    out.extend_from_slice(&signatory.tag.to_be_bytes());
    out.extend_from_slice(signatory.zone.octets());
}

/// Labels without the root and without the asterisk of a wildcard (RFC 4034 section 3.1.3).
fn labels(owner: &Name) -> u8 {
    let all = owner.labels();
    (if all > 0 && owner.label(0) == b"*" { all - 1 } else { all }) as u8
}

/// Appends a record of the RRset as it is signed (RFC 4034 section 3.1.8.1). `rdata` is canonical.
pub(super) fn push_record(subject: &Subject<'_>, rdata: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(subject.owner.octets());
    out.extend_from_slice(&subject.rtype.0.to_be_bytes());
    out.extend_from_slice(&Class::IN.0.to_be_bytes());
    out.extend_from_slice(&subject.ttl_s.to_be_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(rdata);
}

/// Puts together what is signed, in room that is used again and again.
#[derive(Default)]
pub(super) struct Pen {
    /// The head of RRSIG's RDATA, then the records.
    message: Vec<u8>,
    head: usize,
    records: Vec<u8>,
    ranges: Vec<(usize, usize)>,
    /// Octets of messages and numbers of records; `None`: room grows as it is needed.
    room: Option<(usize, usize)>,
}

/// What is to be signed does not fit the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoRoom;

impl Pen {
    /// A pen that never takes more room than this, and takes it now.
    pub(super) fn with_room(octets: usize, records: usize) -> Pen {
        Pen {
            message: Vec::with_capacity(octets),
            head: 0,
            records: Vec::with_capacity(octets),
            ranges: Vec::with_capacity(records),
            room: Some((octets, records)),
        }
    }

    /// Puts the message together, with times of zero.
    pub(super) fn compose<'r>(
        &mut self,
        subject: &Subject<'_>,
        rdata: impl Iterator<Item = &'r [u8]> + Clone,
        signatory: &Signatory<'_>,
    ) -> Result<(), NoRoom> {
        if let Some((octets_max, records_max)) = self.room {
            let each = subject.owner.octets().len() + 10;
            let (count, octets) =
                rdata.clone().fold((0, 0), |(count, octets), rdata| (count + 1, octets + each + rdata.len()));
            if count > records_max || octets + rrsig_octets(signatory.zone) > octets_max {
                return Err(NoRoom);
            }
        }
        self.message.clear();
        self.records.clear();
        self.ranges.clear();
        push_head(subject, signatory, Times { inception_s: 0, expiration_s: 0 }, &mut self.message);
        self.head = self.message.len();
        for rdata in rdata {
            let start = self.records.len();
            push_canonical(subject.rtype, rdata, &mut self.records);
            self.ranges.push((start, self.records.len()));
        }
        let records = &self.records;
        let octets = |range: &(usize, usize)| records.get(range.0..range.1).unwrap_or(&[]);
        self.ranges.sort_unstable_by(|a, b| octets(a).cmp(octets(b)));
        self.ranges.dedup_by(|a, b| octets(a) == octets(b));
        for range in &self.ranges {
            push_record(subject, octets(range), &mut self.message);
        }
        Ok(())
    }

    /// The message before it has its times.
    pub(super) fn untimed(&self) -> &[u8] {
        &self.message
    }

    /// The message to sign.
    pub(super) fn timed(&mut self, times: Times) -> &[u8] {
        if let Some(place) = self.message.get_mut(TIMES) {
            let both = u64::from(times.expiration_s) << 32 | u64::from(times.inception_s);
            place.copy_from_slice(&both.to_be_bytes());
        }
        &self.message
    }

    /// The RDATA of the RRSIG.
    pub(super) fn finished(&mut self, times: Times, signature: &Signature) -> &[u8] {
        self.timed(times);
        self.message.truncate(self.head);
        self.message.extend_from_slice(signature);
        &self.message
    }

    /// The RDATA of one RRSIG, made now.
    pub(super) fn sign<'r>(
        &mut self,
        subject: &Subject<'_>,
        rdata: impl Iterator<Item = &'r [u8]> + Clone,
        (key, zone): (&ZoneKey, &Name),
        times: Times,
    ) -> Result<&[u8], SigningFailed> {
        self.compose(subject, rdata, &Signatory::of(key, zone)).map_err(|_| SigningFailed)?;
        let signature = key.signer.sign(self.timed(times))?;
        Ok(self.finished(times, &signature))
    }
}

/// What is asked of an RRSIG that exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Read<'r> {
    pub(super) covered: Rtype,
    pub(super) algorithm: u8,
    pub(super) labels: u8,
    pub(super) ttl_s: u32,
    pub(super) times: Times,
    pub(super) tag: u16,
    /// The signer's name and the signature.
    pub(super) rest: &'r [u8],
}

/// Reads an RRSIG's RDATA; `None` where it is too short.
pub(super) fn read(rdata: &[u8]) -> Option<Read<'_>> {
    let (fixed, rest) = rdata.split_first_chunk::<FIXED_OCTETS>()?;
    let [c1, c0, algorithm, labels, l3, l2, l1, l0, e3, e2, e1, e0, i3, i2, i1, i0, t1, t0] = *fixed;
    Some(Read {
        covered: Rtype(u16::from_be_bytes([c1, c0])),
        algorithm,
        labels,
        ttl_s: u32::from_be_bytes([l3, l2, l1, l0]),
        times: Times {
            expiration_s: u32::from_be_bytes([e3, e2, e1, e0]),
            inception_s: u32::from_be_bytes([i3, i2, i1, i0]),
        },
        tag: u16::from_be_bytes([t1, t0]),
        rest,
    })
}

/// The octets of an RRSIG's RDATA by a signer of this name.
pub(super) fn rrsig_octets(zone: &Name) -> usize {
    FIXED_OCTETS + zone.octets().len() + SIGNATURE_OCTETS
}

/// The place of expiration and inception in RDATA.
const TIMES: std::ops::Range<usize> = TIMES_AT..TIMES_AT + 8;
