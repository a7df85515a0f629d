//! Smoothed latencies of one target (H6), and the sample behind service times.

use std::time::Duration;

use super::Latency;
use crate::health::Timings;

/// How long a peak is remembered: an average falls to a third of the way in this many intervals.
const DECAY_INTERVALS: f64 = 6.0;

/// The weight of a new sample of the server's own time: a lasting change is nearly whole after four.
const OWN_TIME_WEIGHT: f64 = 0.5;

/// Averages in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Averages {
    /// TCP handshakes, peak-sensitive.
    pub connect_ms: f64,
    /// TLS handshakes, peak-sensitive.
    pub tls_ms: Option<f64>,
    /// Whole probes, peak-sensitive.
    pub total_ms: f64,
    /// Request to head of the answer, peak-sensitive.
    pub first_byte_ms: Option<f64>,
    /// How many samples.
    pub samples: u64,
    /// When the last sample came.
    pub sampled_at: Duration,
    /// First byte minus connect: what the server itself takes.
    pub own_time: OwnTime,
}

impl Averages {
    /// Takes in a success.
    pub fn take(&mut self, timings: &Timings, interval: Duration, now: Duration) {
        let span = interval.as_secs_f64().max(0.001) * DECAY_INTERVALS;
        let since = now.saturating_sub(self.sampled_at).as_secs_f64();
        let keep = if self.samples > 0 { (-since / span).exp() } else { 0.0 };
        self.samples += 1;
        self.sampled_at = now;
        self.connect_ms = peak(self.connect_ms, milliseconds(timings.connect), keep);
        self.total_ms = peak(self.total_ms, milliseconds(timings.total), keep);
        if let Some(sample) = timings.tls.map(milliseconds) {
            self.tls_ms = Some(peak(self.tls_ms.unwrap_or(sample), sample, keep));
        }
        if let Some(first_byte) = timings.first_byte {
            let sample = milliseconds(first_byte);
            self.first_byte_ms = Some(peak(self.first_byte_ms.unwrap_or(sample), sample, keep));
            self.own_time.take(milliseconds(first_byte.saturating_sub(timings.connect)));
        }
    }

    /// As people read them; `None` before the first sample.
    pub fn latency(&self, now: Duration) -> Option<Latency> {
        let duration = |ms: f64| Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
        (self.samples > 0).then(|| Latency {
            connect: duration(self.connect_ms),
            tls: self.tls_ms.map(duration),
            first_byte: self.first_byte_ms.map(duration),
            total: duration(self.total_ms),
            samples: self.samples,
            age: now.saturating_sub(self.sampled_at),
        })
    }
}

/// An average that goes up at once and comes down slowly: a server that has been slow a moment ago may
/// be slow again.
fn peak(average: f64, sample: f64, keep: f64) -> f64 {
    if sample >= average { sample } else { average * keep + sample * (1.0 - keep) }
}

/// The server's own time. It steers clients, so one odd probe must not move it: the median of the last
/// three samples goes into the average.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct OwnTime {
    last: [f64; 3],
    samples: u64,
    average_ms: f64,
}

impl OwnTime {
    fn take(&mut self, sample_ms: f64) {
        let [_, b, c] = self.last;
        self.last = if self.samples == 0 { [sample_ms; 3] } else { [b, c, sample_ms] };
        self.samples += 1;
        let [a, b, c] = self.last;
        let median = a.min(b).max(a.max(b).min(c));
        let weight = if self.samples == 1 { 1.0 } else { OWN_TIME_WEIGHT };
        self.average_ms += (median - self.average_ms) * weight;
    }

    /// Begins at an average of an earlier process.
    pub fn begin_at(&mut self, average_ms: f64) {
        *self = OwnTime { last: [average_ms; 3], samples: 1, average_ms };
    }

    /// The average in milliseconds; `None` before the first sample.
    pub fn average_ms(&self) -> Option<f64> {
        (self.samples > 0).then_some(self.average_ms)
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
