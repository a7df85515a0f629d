//! The answering side: is a query what its TSIG says, and what is said back.

use std::sync::Arc;

use super::key::{Key, Keys, Mac};
use super::record::{Draft, FUDGE_S, Record, TsigError, prior, time};

/// A code cut to less than this, or to less than half of it, is no code (RFC 8945 section 5.2.2.1).
const MAC_OCTETS_MIN: usize = 10;

/// What came of checking a query's TSIG.
#[derive(Clone, Debug)]
pub enum Checked {
    /// It comes from who has the key, and is of now.
    Proven(Proven),
    /// It does not, or nobody can tell: the answer is NOTAUTH and says why.
    Refused(Box<Refusal>),
    /// The code's length is one that no code has: FORMERR.
    Malformed,
}

/// A query that was signed with a known key.
#[derive(Clone, Debug)]
pub struct Proven {
    key: Arc<Key>,
    mac: Mac,
}

impl Proven {
    /// The key.
    pub fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Signs what answers it.
    pub fn signer(&self) -> Signer {
        Signer { key: Arc::clone(&self.key), prior: self.mac, place: Place::First }
    }
}

/// A query whose TSIG was not accepted, with what its answer says.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Why.
    pub error: TsigError,
    name: crate::wire::Name,
    algorithm: crate::wire::Name,
    time_signed_s: u64,
    original_id: u16,
    /// Where the key was known and the code right: such an answer is signed.
    proven: Option<Proven>,
}

/// Checks a query in the order of RFC 8945 section 5.2: key, code, time, length of the code. `record` is the
/// TSIG of `message`.
pub fn check(message: &[u8], record: &Record<'_>, keys: &Keys, now_s: u64) -> Checked {
    let refusal = |error, proven| {
        Checked::Refused(Box::new(Refusal {
            error,
            name: record.name,
            algorithm: record.algorithm,
            time_signed_s: record.time_signed_s,
            original_id: record.original_id,
            proven,
        }))
    };
    let known = keys.find(&record.name);
    let Some(key) = known.filter(|key| key.algorithm().wire() == record.algorithm.octets()) else {
        return refusal(TsigError::BadKey, None);
    };
    let whole = key.algorithm().mac_octets();
    if record.mac.len() > whole || record.mac.len() < MAC_OCTETS_MIN.max(whole / 2) {
        return Checked::Malformed;
    }
    let mut context = key.context();
    record.unsigned_message(message, &mut context);
    record.variables(&mut context);
    let (expected, received) = (Mac::of(context), Mac::received(record.mac));
    let Some(mac) = received.filter(|_| expected.begins_with(record.mac)) else {
        return refusal(TsigError::BadSig, None);
    };
    let proven = Proven { key: Arc::clone(key), mac };
    if !record.is_timely(now_s) {
        return refusal(TsigError::BadTime, Some(proven));
    }
    // Nobody who has the key needs to cut codes short: who does is guessing.
    if record.mac.len() < whole {
        return refusal(TsigError::BadTrunc, Some(proven));
    }
    Checked::Proven(proven)
}

impl Refusal {
    /// The octets that its TSIG takes in the answer.
    pub fn octets(&self) -> usize {
        let mac_octets = self.proven.as_ref().map_or(0, |proven| proven.key.algorithm().mac_octets());
        self.draft(&time(0)).octets(mac_octets)
    }

    /// Appends the TSIG that says why to the answer that fills `buffer` up to `length` (RFC 8945 section
    /// 5.3.2): the new length, or `None` where there is no room.
    pub fn append(&self, buffer: &mut [u8], length: usize, now_s: u64) -> Option<usize> {
        let server_time = time(now_s);
        let draft = self.draft(&server_time);
        let Some(proven) = &self.proven else { return draft.append(&[], buffer, length) };
        let mut context = proven.key.context();
        prior(&proven.mac, &mut context);
        context.update(buffer.get(..length)?);
        draft.variables(&mut context);
        draft.append(Mac::of(context).octets(), buffer, length)
    }

    fn draft<'d>(&'d self, server_time: &'d [u8]) -> Draft<'d> {
        Draft {
            name: self.name.octets(),
            algorithm: self.algorithm.octets(),
            // The client's own: so it can tell what this answers, whatever its clock says.
            time_signed_s: self.time_signed_s,
            fudge_s: FUDGE_S,
            original_id: self.original_id,
            error: self.error.number(),
            other: if self.error == TsigError::BadTime { server_time } else { &[] },
        }
    }
}

/// Whether a message is the first of what answers a request: the first says everything, the others only when
/// they were signed (RFC 8945 section 5.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    First,
    Later,
}

/// Signs the messages that answer one request, each in its turn.
#[derive(Clone, Debug)]
pub struct Signer {
    key: Arc<Key>,
    prior: Mac,
    place: Place,
}

impl Signer {
    /// The octets that TSIG takes in each message.
    pub fn octets(&self) -> usize {
        Draft::of(&self.key, 0, 0).octets(self.key.algorithm().mac_octets())
    }

    /// Signs the message that fills `buffer` up to `length`: the new length, or `None` where there is no room.
    pub fn sign(&mut self, buffer: &mut [u8], length: usize, now_s: u64) -> Option<usize> {
        let message = buffer.get(..length)?;
        let id = u16::from_be_bytes(*message.first_chunk()?);
        let draft = Draft::of(&self.key, now_s, id);
        let mut context = self.key.context();
        prior(&self.prior, &mut context);
        context.update(message);
        match self.place {
            Place::First => draft.variables(&mut context),
            Place::Later => draft.timers(&mut context),
        }
        let mac = Mac::of(context);
        let signed = draft.append(mac.octets(), buffer, length)?;
        (self.prior, self.place) = (mac, Place::Later);
        Some(signed)
    }
}
