//! Response rate limiting: how much is answered to one source over UDP (pure: time and the source are arguments).
//!
//! Answers are counted in tiers, as Knot DNS counts them: for the source's own address and for the networks around it,
//! each with a limit of its own. A count decays by a constant share per tick, so a source that stays below the rate
//! is never refused, and one that was silent may have a burst at once. What is refused is not counted: a source that
//! asks too much goes on being answered at the rate.
//!
//! **The common case is one word.** Every count decays alike and the tiers count the same answers, so no network's count
//! exceeds that of the network around it. A tier is therefore opened only once the one around it has counted a share of
//! the smallest burst; below that nothing inside can be anywhere near its limit. What an address had before its
//! tier was opened is not known: it may have up to one burst more, once ([`OPENED_AT`] is chosen for that).
//!
//! **The memory is fixed.** The widest IPv4 tier has a word for each of its networks, and no two share one. All
//! other tiers share buckets of one cache line, eight networks each, told apart by a tag of 20 bits. In a
//! full bucket the smallest count gives way, and the newcomer begins at nothing: crowding lets through what
//! should be refused, never the other way. An innocent query is refused only if its network has the tag of one that is at its
//! limit in the same bucket: at most 8 in 2^20 for each tier, were every network in the table at its limit.
//!
//! **Nobody can aim.** Bucket and tag come from a multiplication with folded halves under a key drawn at the
//! start. That is no cryptographic hash, and need not be: nobody is told which bucket is whose, whose answers stop says
//! nothing but that he asked too much, and a collision found at great pains only lets somebody through.
//!
//! Workers share the counts through relaxed loads and stores. Two that count in one word at one instant
//! may lose one of the two; nothing else can go wrong.

mod table;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ipnet::IpNet;

use crate::now::Now;
use table::{Buckets, Decay, LEVEL_MAX, Word};

/// A tier: the networks of one prefix length.
struct Tier {
    /// The length.
    prefix_length: u8,
    /// Its limits are those of an address times this.
    multiplier: u32,
}

const fn tier(prefix_length: u8, multiplier: u32) -> Tier {
    Tier { prefix_length, multiplier }
}

/// The tiers of IPv4, the widest first.
const TIERS_V4: [Tier; 4] = [tier(18, 768), tier(20, 256), tier(24, 32), tier(32, 1)];
/// The tiers of IPv6 likewise.
const TIERS_V6: [Tier; 5] = [tier(32, 64), tier(48, 4), tier(56, 3), tier(64, 2), tier(128, 1)];
/// The largest multiplier.
const MULTIPLIER_MAX: u32 = 768;
/// Tiers of a family.
const TIERS_MAX: usize = 5;
/// A tier is opened when the one around it has counted this share of the smallest burst. The last of five is opened
/// by the fourth opening, each of which overlooks at most this share: together one burst.
const OPENED_AT: u32 = 4;
/// Networks of IPv4's widest tier.
const WIDEST_V4: usize = 1 << 18;

/// What a source may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Answers per second to one address, for as long as it likes: 1..=[`RATE_MAX`].
    pub rate: u32,
    /// Answers to one address at once: at least a tenth of the rate, at most [`BURST_MAX`].
    pub burst: u32,
    /// Every so many refused answers one goes out truncated; 1: all of them do. 0: none.
    pub slip: u32,
    /// Whose queries are never refused.
    pub exempt: Vec<IpNet>,
}

/// The highest rate.
pub const RATE_MAX: u32 = 1_000_000;
/// The largest burst.
pub const BURST_MAX: u32 = 100_000;

/// What is to be done with a query.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Admission {
    /// Answer it.
    Within,
    /// Its source is beyond its limit, and asks over TCP where it is told to: say that, in no more octets than it sent.
    Slip,
    /// Its source is beyond its limit: say nothing.
    Drop,
}

/// What all sources have had of late.
pub struct Limiter {
    rates: Rates,
    limits_v4: [u32; TIERS_V4.len()],
    limits_v6: [u32; TIERS_V6.len()],
    opened_at: u32,
    /// One answer.
    price: u32,
    decay: Decay,
    widest_v4: Box<[AtomicU64]>,
    buckets: Buckets,
    refused: Refused,
}

/// How many were refused: on a cache line of its own.
#[repr(align(128))]
struct Refused(AtomicU32);

impl Limiter {
    /// Nobody has had anything. `key` is drawn by chance and told nobody. Takes 6 MiB, all of them at once: nothing
    /// grows later.
    pub fn new(rates: Rates, key: [u64; 2]) -> Limiter {
        let burst = rates.burst.clamp(1, BURST_MAX);
        // The finest unit in which the highest limit still fits.
        let price = 1 << (LEVEL_MAX / (burst * MULTIPLIER_MAX)).ilog2();
        let limit = |tier: &Tier| burst * tier.multiplier * price;
        Limiter {
            limits_v4: TIERS_V4.each_ref().map(limit),
            limits_v6: TIERS_V6.each_ref().map(limit),
            opened_at: (burst * price / OPENED_AT).max(price),
            price,
            decay: Decay::new(rates.rate, burst),
            // Words that are not zero: zeroed memory would be given by the system page by page, when first
            // written to, and so grow under an attack.
            widest_v4: (0..WIDEST_V4).map(|_| AtomicU64::new(Word::UNTOUCHED.0)).collect(),
            buckets: Buckets::new(key),
            refused: Refused(AtomicU32::new(0)),
            rates,
        }
    }

    /// What it was made for.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Counts an answer to this source, unless that is too much.
    #[inline]
    pub fn admit(&self, source: IpAddr, now: Now) -> Admission {
        match source {
            IpAddr::V4(v4) => self.admit_v4(v4.into(), now),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => self.admit_v4(v4.into(), now),
                None => self.admit_v6(v6, self.decay.tick(now)),
            },
        }
    }

    #[inline]
    fn admit_v4(&self, address: u32, now: Now) -> Admission {
        let tick = self.decay.tick(now);
        // 18 bits: the table has so many.
        let Some(widest) = self.widest_v4.get((address >> 14) as usize) else {
            return Admission::Within;
        };
        let word = Word(widest.load(Ordering::Relaxed));
        let level = self.decay.level(word, tick);
        if level < self.opened_at {
            widest.store(Word::new(0, tick, level + self.price).0, Ordering::Relaxed);
            return Admission::Within;
        }
        self.admit_in_tiers(address, tick, widest, level)
    }

    #[inline(never)]
    fn admit_in_tiers(&self, address: u32, tick: u16, widest: &AtomicU64, level: u32) -> Admission {
        let [limit, finer @ ..] = &self.limits_v4;
        if level + self.price > *limit {
            return self.refuse(IpAddr::V4(address.into()));
        }
        let mut counted = Counted::new(widest, Word::new(0, tick, level + self.price));
        for (tier, limit) in TIERS_V4.iter().skip(1).zip(finer) {
            let prefix = u64::from(address >> (32 - tier.prefix_length));
            let place = self.buckets.place((0, prefix), tier.prefix_length);
            let (entry, level) = place.find(&self.decay, tick);
            if level + self.price > *limit {
                return self.refuse(IpAddr::V4(address.into()));
            }
            counted.push(entry, Word::new(place.tag, tick, level + self.price));
            if level < self.opened_at {
                break;
            }
        }
        counted.store();
        Admission::Within
    }

    #[inline(never)]
    fn admit_v6(&self, address: Ipv6Addr, tick: u16) -> Admission {
        let bits = u128::from(address);
        let (high, low) = ((bits >> 64) as u64, bits as u64);
        let mut counted: Option<Counted<'_>> = None;
        for (tier, limit) in TIERS_V6.iter().zip(&self.limits_v6) {
            let prefix = match tier.prefix_length {
                length @ ..=64 => (0, high >> (64 - length)),
                _ => (high, low),
            };
            let place = self.buckets.place(prefix, 128 | tier.prefix_length);
            let (entry, level) = place.find(&self.decay, tick);
            if level + self.price > *limit {
                return self.refuse(IpAddr::V6(address));
            }
            let word = Word::new(place.tag, tick, level + self.price);
            if level < self.opened_at {
                // In most cases this is the widest tier, and there is nothing else to write.
                entry.store(word.0, Ordering::Relaxed);
                break;
            }
            match &mut counted {
                Some(counted) => counted.push(entry, word),
                None => counted = Some(Counted::new(entry, word)),
            }
        }
        counted.iter().for_each(Counted::store);
        Admission::Within
    }

    #[cold]
    fn refuse(&self, source: IpAddr) -> Admission {
        if self.rates.exempt.iter().any(|network| network.contains(&source)) {
            return Admission::Within;
        }
        match self.rates.slip {
            0 => Admission::Drop,
            1 => Admission::Slip,
            slip => {
                let earlier = self.refused.0.load(Ordering::Relaxed);
                self.refused.0.store(earlier.wrapping_add(1), Ordering::Relaxed);
                if earlier.is_multiple_of(slip) { Admission::Slip } else { Admission::Drop }
            }
        }
    }
}

impl std::fmt::Debug for Limiter {
    /// Without its key and its counts.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("rates", &self.rates).finish_non_exhaustive()
    }
}

/// What is written once every tier has been found within its limit.
struct Counted<'l> {
    entries: [&'l AtomicU64; TIERS_MAX],
    words: [Word; TIERS_MAX],
    used: usize,
}

impl<'l> Counted<'l> {
    #[inline]
    fn new(entry: &'l AtomicU64, word: Word) -> Counted<'l> {
        Counted { entries: [entry; TIERS_MAX], words: [word; TIERS_MAX], used: 1 }
    }

    #[inline]
    fn push(&mut self, entry: &'l AtomicU64, word: Word) {
        if let (Some(to), Some(place)) = (self.entries.get_mut(self.used), self.words.get_mut(self.used)) {
            (*to, *place) = (entry, word);
            self.used += 1;
        }
    }

    #[inline]
    fn store(&self) {
        for (entry, word) in self.entries.iter().zip(&self.words).take(self.used) {
            entry.store(word.0, Ordering::Relaxed);
        }
    }
}
