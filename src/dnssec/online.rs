//! Signatures made when they are asked for: each worker's own, bounded in number, in memory and in time.
//!
//! What was signed is found again by a keyed hash of everything that was signed. Only what is in no cache
//! costs a signature, and a bucket of tokens says how many of these there may be: clients can ask for names
//! that do not exist without end.

use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

use super::rrsig::{Pen, Signatory, Subject, Times, is_before};
use super::{SIGNATURE_OCTETS, Signature, ZoneKey};
use crate::now::Now;
use crate::wire::Name;

/// Signatures that share a place: the one that was used longest ago gives way.
const WAYS: usize = 4;

/// Room for what is signed: an RRset with its names. The largest that services answer and that are not signed
/// ahead are far below; what is larger gets no signature.
const MESSAGE_OCTETS_MAX: usize = 8192;

/// Records of an RRset that is signed here.
const RECORDS_MAX: usize = 256;

/// Signatures that have less of their time left are made anew: they are to hold for three days when served.
const LEFT_MIN_S: u32 = 3 * 86_400;

/// How much may be signed when it is asked for, by one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OnlineLimits {
    /// Signatures that are kept; about 110 octets each.
    pub kept_max: usize,
    /// Signatures a second. One takes about 25 microseconds of the worker's time.
    pub per_second: u32,
    /// Signatures at once, after a time without any.
    pub burst: u32,
}

impl OnlineLimits {
    /// 2 MiB and a twentieth of a worker's time.
    pub const DEFAULT: OnlineLimits = OnlineLimits { kept_max: 16_384, per_second: 2_000, burst: 4_000 };

    /// Nothing is signed: for tools that ask a view without a key.
    pub const NONE: OnlineLimits = OnlineLimits { kept_max: 0, per_second: 0, burst: 0 };
}

/// A worker's signatures.
pub struct OnlineSignatures {
    /// Taken whole with the first signature: servers without signed zones need none.
    slots: Vec<Slot>,
    places: usize,
    secret: [u8; 16],
    pen: Pen,
    room: Vec<u8>,
    bucket: Bucket,
    /// Counts accesses: what orders the slots of a place.
    clock: u32,
    /// What happened so far.
    pub counts: OnlineCounts,
}

/// What happened so far, each a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OnlineCounts {
    /// Signatures that were found.
    pub found: u64,
    /// Signatures that were made.
    pub made: u64,
    /// Signatures that there was no token for.
    pub refused: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    hash: u128,
    times: Times,
    used: u32,
    signature: Signature,
}

const VACANT: Slot = Slot {
    hash: 0,
    times: Times { inception_s: 0, expiration_s: 0 },
    used: 0,
    signature: [0; SIGNATURE_OCTETS],
};

/// Why there is no signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unsigned {
    /// All tokens are spent.
    NoToken,
    /// It is too large, or the key failed.
    Impossible,
}

/// How long signatures hold that are made now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lifetime {
    pub(super) skew_s: u32,
    pub(super) lifetime_s: u32,
}

impl OnlineSignatures {
    /// `secret` is of this worker only, and nobody else's guess.
    pub fn new(limits: OnlineLimits, secret: [u8; 16]) -> OnlineSignatures {
        let places = if limits.kept_max < WAYS { 0 } else { (limits.kept_max / WAYS).next_power_of_two() };
        OnlineSignatures {
            slots: Vec::new(),
            places,
            secret,
            pen: Pen::with_room(MESSAGE_OCTETS_MAX, RECORDS_MAX),
            room: Vec::with_capacity(MESSAGE_OCTETS_MAX),
            bucket: Bucket { limits, parts: u64::from(limits.burst) * PARTS, filled_at: None },
            clock: 0,
            counts: OnlineCounts::default(),
        }
    }

    /// The RDATA of an RRSIG by one key.
    pub(super) fn rrsig<'r>(
        &mut self,
        subject: &Subject<'_>,
        rdata: impl Iterator<Item = &'r [u8]> + Clone,
        (key, zone): (&ZoneKey, &Name),
        lifetime: Lifetime,
        now: Now,
    ) -> Result<&[u8], Unsigned> {
        self.pen.compose(subject, rdata, &Signatory::of(key, zone)).map_err(|_| Unsigned::Impossible)?;
        let wall_s = now.wall.as_secs() as u32;
        let hash = self.hash(key);
        let least_s = LEFT_MIN_S.min(lifetime.lifetime_s / 2);
        if let Some(slot) = self.find(hash) {
            let holds = is_before(wall_s.wrapping_add(least_s), slot.times.expiration_s)
                && !is_before(wall_s, slot.times.inception_s);
            if holds {
                self.counts.found += 1;
                return Ok(self.pen.finished(slot.times, &slot.signature));
            }
        }
        if !self.bucket.take(now.monotonic) {
            self.counts.refused += 1;
            return Err(Unsigned::NoToken);
        }
        let times = Times {
            inception_s: wall_s.wrapping_sub(lifetime.skew_s),
            expiration_s: wall_s.wrapping_add(lifetime.lifetime_s),
        };
        let message = self.pen.timed(times);
        let signature = key.signer.sign(message).map_err(|_| Unsigned::Impossible)?;
        self.counts.made += 1;
        self.keep(Slot { hash, times, used: self.clock, signature });
        Ok(self.pen.finished(times, &signature))
    }

    /// Room to put records together in; to be given back.
    pub fn take_room(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.room)
    }

    /// Takes the room back.
    pub fn give_room(&mut self, mut room: Vec<u8>) {
        room.clear();
        self.room = room;
    }

    /// Of all that is signed but the times, and of the whole key.
    fn hash(&self, key: &ZoneKey) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(key.dnskey());
        hasher.write(self.pen.untimed());
        hasher.finish128().as_u128()
    }

    fn find(&mut self, hash: u128) -> Option<Slot> {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let slot = self.place(hash)?.iter_mut().find(|slot| slot.hash == hash)?;
        slot.used = clock;
        Some(*slot)
    }

    /// Instead of an older one of the same, or of the one used longest ago.
    fn keep(&mut self, new: Slot) {
        if self.slots.is_empty() {
            self.slots.resize(self.places * WAYS, VACANT);
        }
        let clock = self.clock;
        let Some(place) = self.place(new.hash) else { return };
        let oldest = place.iter_mut().max_by_key(|slot| match slot.hash {
            hash if hash == new.hash => (2, 0),
            0 => (1, 0),
            _ => (0, clock.wrapping_sub(slot.used)),
        });
        if let Some(slot) = oldest {
            *slot = new;
        }
    }

    fn place(&mut self, hash: u128) -> Option<&mut [Slot]> {
        let place = hash as usize & self.places.checked_sub(1)?;
        self.slots.get_mut(place * WAYS..(place + 1) * WAYS)
    }
}

/// Parts of a token: per second as many tokens come as parts of one in a microsecond.
const PARTS: u64 = 1_000_000;

struct Bucket {
    limits: OnlineLimits,
    parts: u64,
    filled_at: Option<Duration>,
}

impl Bucket {
    fn take(&mut self, monotonic: Duration) -> bool {
        let past = monotonic.saturating_sub(self.filled_at.unwrap_or(monotonic));
        let micros = u64::try_from(past.as_micros()).unwrap_or(u64::MAX);
        let most = u64::from(self.limits.burst) * PARTS;
        let come = micros.saturating_mul(u64::from(self.limits.per_second));
        self.parts = self.parts.saturating_add(come).min(most);
        self.filled_at = Some(self.filled_at.unwrap_or(monotonic).max(monotonic));
        match self.parts.checked_sub(PARTS) {
            Some(rest) => {
                self.parts = rest;
                true
            }
            None => false,
        }
    }
}
