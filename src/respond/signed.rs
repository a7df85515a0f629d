//! Messages signed with TSIG: what the signature of one means for its answer.

use crate::now::Now;
use crate::tsig::{Checked, Key, Keys, Proven, Record, Refusal, check};
use crate::wire::{Malformed, Parsed};

/// A message's signature.
pub(super) enum Signature {
    /// There is none.
    Absent,
    /// It holds: the answer is signed too.
    Proven(Proven),
    /// It does not.
    Refused(Box<Refusal>),
    /// It cannot be read.
    Malformed,
}

impl Signature {
    /// Looks at the TSIG of a packet.
    pub(super) fn of(packet: &[u8], parsed: &Parsed<'_>, keys: &Keys, now: Now) -> Signature {
        let at = match parsed {
            Parsed::Query(query) | Parsed::Notify(query) => query.tsig,
            Parsed::Rejected(rejected) | Parsed::CookieRequest(rejected) => rejected.tsig,
            Parsed::Silent(_) => None,
        };
        let Some(at) = at else { return Signature::Absent };
        let Some(record) = Record::read(packet, at) else { return Signature::Malformed };
        match check(packet, &record, keys, now.wall.as_secs()) {
            Checked::Proven(proven) => Signature::Proven(proven),
            Checked::Refused(refusal) => Signature::Refused(refusal),
            Checked::Malformed => Signature::Malformed,
        }
    }

    /// The key that it holds by.
    pub(super) fn key(&self) -> Option<&Key> {
        match self {
            Signature::Proven(proven) => Some(proven.key()),
            Signature::Absent | Signature::Refused(_) | Signature::Malformed => None,
        }
    }

    /// What is wrong with a message, if its signature is.
    pub(super) fn fault(&self) -> Option<Malformed> {
        match self {
            Signature::Absent | Signature::Proven(_) => None,
            Signature::Refused(_) => Some(Malformed::Unproven),
            Signature::Malformed => Some(Malformed::Tsig),
        }
    }

    /// The octets that the answer's own signature takes.
    pub(super) fn octets(&self) -> usize {
        match self {
            Signature::Proven(proven) => proven.signer().octets(),
            Signature::Refused(refusal) => refusal.octets(),
            Signature::Absent | Signature::Malformed => 0,
        }
    }

    /// Signs the answer that fills `buffer` up to `length`, or says there why it cannot be: the new length,
    /// `None` where there is no room.
    pub(super) fn append(&self, buffer: &mut [u8], length: usize, now: Now) -> Option<usize> {
        let now_s = now.wall.as_secs();
        match self {
            Signature::Proven(proven) => proven.signer().sign(buffer, length, now_s),
            Signature::Refused(refusal) => refusal.append(buffer, length, now_s),
            Signature::Absent | Signature::Malformed => Some(length),
        }
    }
}
