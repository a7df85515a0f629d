//! Latencies in buckets: each at most a thirty-second wide of what it holds.

use std::time::Duration;

/// Buckets to a doubling, as a power of two.
const FINE_BITS: u32 = 5;
/// Enough for every number of nanoseconds in a u64.
const BUCKETS: usize = (65 - FINE_BITS as usize) << FINE_BITS;

/// How often which time was seen.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts a time.
    pub fn record(&mut self, time: Duration) {
        let ns = time.as_nanos() as u64;
        self.counts[bucket(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.total += other.total;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// The time that this share of all stayed below, in microseconds, to a thirty-second; NaN of nothing.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        reached.map_or(f64::NAN, |bucket| upper_end(bucket).min(self.max_ns) as f64 / 1000.0)
    }

    /// The longest, in microseconds.
    pub fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1000.0
    }
}

/// Numbers below 2^FINE_BITS have a bucket each; above, the bits after the highest tell.
fn bucket(ns: u64) -> usize {
    let doublings = (u64::BITS - ns.leading_zeros()).saturating_sub(FINE_BITS + 1);
    ((doublings << FINE_BITS) as usize) + (ns >> doublings) as usize
}

/// The largest number in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let fine = 1usize << FINE_BITS;
    let doublings = (bucket >> FINE_BITS).saturating_sub(1);
    let first = if bucket < fine { bucket } else { fine + bucket % fine };
    (((first as u128 + 1) << doublings) - 1).min(u128::from(u64::MAX)) as u64
}
