//! Counts of networks: words, how they decay, and where they are.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::now::Now;

/// Buckets: half a million networks in 4 MiB.
const BUCKETS: usize = 1 << 16;
/// Networks in a bucket: one cache line.
const ENTRIES: usize = 8;
/// Steps of decay that are told apart; what is older counts as nothing.
const STEPS: usize = 256;
/// Of the shares in the table of decay.
const SHARE_BITS: u32 = 32;
/// Ticks in a second, the shortest ones.
const TICKS_PER_SECOND: u32 = 15;
/// A worker's clock is read once for a batch: another may be so many ticks ahead of it.
const AHEAD_TICKS: u16 = 16;

const LEVEL_BITS: u32 = 28;
const TICK_BITS: u32 = 16;
const TAG_BITS: u32 = 20;

/// The highest level.
pub const LEVEL_MAX: u32 = (1 << LEVEL_BITS) - 1;

/// A count: 20 bits of tag, 16 of the tick at which it was right, 28 of level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word(pub u64);

impl Word {
    /// A word that nobody has counted in, and that is not zero.
    pub const UNTOUCHED: Word = Word(1 << LEVEL_BITS);

    /// A level as of a tick.
    #[inline]
    pub fn new(tag: u32, tick: u16, level: u32) -> Word {
        Word(u64::from(tag) << (LEVEL_BITS + TICK_BITS) | u64::from(tick) << LEVEL_BITS | u64::from(level))
    }

    #[inline]
    fn tag(self) -> u32 {
        (self.0 >> (LEVEL_BITS + TICK_BITS)) as u32
    }

    #[inline]
    fn tick(self) -> u16 {
        (self.0 >> LEVEL_BITS) as u16
    }

    #[inline]
    fn level(self) -> u32 {
        self.0 as u32 & LEVEL_MAX
    }
}

/// How counts decay.
pub struct Decay {
    /// What is left after so many ticks, in units of 2^-32.
    shares: Box<[u32; STEPS]>,
    /// A tick is so many times two of the shortest.
    shift: u32,
}

impl Decay {
    /// So that who has had `burst` answers can have `rate` in each second from then on.
    pub fn new(rate: u32, burst: u32) -> Decay {
        let per_second = f64::from(rate.max(1)) / f64::from(burst.max(1));
        // Past the last step hardly more than a thousandth is left.
        let mut shift = 0;
        let lost = |shift: u32| per_second / f64::from(TICKS_PER_SECOND) * f64::from(1_u32 << shift);
        while shift < 12 && lost(shift) * (STEPS as f64) < 7.0 {
            shift += 1;
        }
        // What decays in a tick is what the rate gives in a tick, not the share that a smooth decay would
        // leave: with long ticks these differ, and the rate is what was asked for.
        let kept = (1.0 - lost(shift)).max(0.0);
        let mut shares = Box::new([0; STEPS]);
        for (steps, share) in shares.iter_mut().enumerate() {
            *share = (kept.powi(steps as i32) * f64::from(u32::MAX)) as u32;
        }
        Decay { shares, shift }
    }

    /// The tick of a moment. A second has 15 short ticks, the last a little shorter than the others: that costs no
    /// division.
    #[inline]
    pub fn tick(&self, now: Now) -> u16 {
        let short = now.monotonic.as_secs() * u64::from(TICKS_PER_SECOND)
            + u64::from(now.monotonic.subsec_nanos() >> 26);
        (short >> self.shift) as u16
    }

    /// What is left of a count at a tick.
    #[inline]
    pub fn level(&self, word: Word, tick: u16) -> u32 {
        let steps = tick.wrapping_sub(word.tick());
        if steps == 0 {
            return word.level();
        }
        self.decayed(word.level(), steps)
    }

    #[inline]
    fn decayed(&self, level: u32, steps: u16) -> u32 {
        match self.shares.get(usize::from(steps)) {
            Some(share) => ((u64::from(level) * u64::from(*share)) >> SHARE_BITS) as u32,
            // Another worker has been here with a later reading of the clock.
            None if steps > u16::MAX - AHEAD_TICKS => level,
            None => 0,
        }
    }
}

/// The counts of all networks but those of IPv4's widest tier.
pub struct Buckets {
    buckets: Box<[Bucket]>,
    key: [u64; 2],
}

/// Eight networks.
#[repr(align(64))]
struct Bucket([AtomicU64; ENTRIES]);

/// Where a network's count is, if anywhere.
#[derive(Clone, Copy)]
pub struct Place<'b> {
    bucket: &'b [AtomicU64; ENTRIES],
    /// What tells it from others in the bucket; never 0.
    pub tag: u32,
}

impl Buckets {
    /// Empty ones.
    pub fn new(key: [u64; 2]) -> Buckets {
        let bucket = |_| Bucket([const { AtomicU64::new(Word::UNTOUCHED.0) }; ENTRIES]);
        Buckets { buckets: (0..BUCKETS).map(bucket).collect(), key }
    }

    /// The place of a prefix (its high and its low bits) in a tier.
    #[inline]
    pub fn place(&self, (high, low): (u64, u64), tier: u8) -> Place<'_> {
        let [first, second] = self.key;
        let mut hash = folded(low ^ first, second ^ (u64::from(tier) << 56 | 1));
        if high != 0 {
            hash = folded(hash ^ high, first | 1);
        }
        let tag = (hash >> (u64::BITS - TAG_BITS)) as u32;
        static EMPTY: [AtomicU64; ENTRIES] = [const { AtomicU64::new(0) }; ENTRIES];
        let bucket = self.buckets.get(hash as usize % BUCKETS).map_or(&EMPTY, |bucket| &bucket.0);
        Place { bucket, tag: tag.max(1) }
    }
}

/// The two halves of a product, over each other.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

impl<'b> Place<'b> {
    /// The network's word and its level; where it has none, the word that gives way, and nothing.
    #[inline]
    pub fn find(&self, decay: &Decay, tick: u16) -> (&'b AtomicU64, u32) {
        // Most are where they were put when the bucket had room: each has an entry of its choice.
        let [first, ..] = self.bucket;
        let chosen = self.bucket.get(self.tag as usize % ENTRIES).unwrap_or(first);
        let word = Word(chosen.load(Ordering::Relaxed));
        if word.tag() == self.tag {
            return (chosen, decay.level(word, tick));
        }
        self.search(chosen, decay, tick)
    }

    #[inline(never)]
    fn search(&self, chosen: &'b AtomicU64, decay: &Decay, tick: u16) -> (&'b AtomicU64, u32) {
        let (mut smallest, mut least) = (chosen, decay.level(Word(chosen.load(Ordering::Relaxed)), tick));
        for entry in self.bucket {
            let word = Word(entry.load(Ordering::Relaxed));
            let level = decay.level(word, tick);
            if word.tag() == self.tag {
                return (entry, level);
            }
            if level < least {
                (smallest, least) = (entry, level);
            }
        }
        (smallest, 0)
    }
}
