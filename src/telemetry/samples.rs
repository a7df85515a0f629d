//! A bounded memory of who asked for what: one writer that never waits, readers that skip what is being
//! written. Later questions ("whom would this change move?") are asked of it.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::geo::ClientPrefix;
use crate::ids::{Family, ServiceId};

/// One query in this many is sampled: cheap enough for every worker, dense enough within seconds.
pub const SAMPLED_ONE_IN: u64 = 64;
/// Samples that a worker keeps: 40 KiB, the last 65,536 queries at one in 64.
const SAMPLES_MAX: usize = 1024;

/// A query for a steered name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The snapshot in which `service` means something.
    pub generation: u64,
    /// What was asked for.
    pub service: ServiceId,
    /// Whom the answer was for.
    pub client: ClientPrefix,
}

/// The last samples of one worker.
pub struct Samples {
    slots: Box<[Slot]>,
    written: AtomicU64,
}

/// A sequence lock over plain words: odd while being written.
#[derive(Default)]
struct Slot {
    sequence: AtomicU64,
    generation: AtomicU64,
    /// Service in the high half; family and length in the low.
    service: AtomicU64,
    bits_high: AtomicU64,
    bits_low: AtomicU64,
}

impl Samples {
    /// An empty memory.
    pub fn new() -> Samples {
        Samples { slots: (0..SAMPLES_MAX).map(|_| Slot::default()).collect(), written: AtomicU64::new(0) }
    }

    /// Remembers a sample in place of the oldest. For one writer at a time.
    pub fn push(&self, sample: Sample) {
        let written = self.written.load(Ordering::Relaxed);
        let Some(slot) = self.slots.get(written as usize % SAMPLES_MAX) else { return };
        let sequence = slot.sequence.load(Ordering::Relaxed);
        slot.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let bits = sample.client.bits();
        let family = sample.client.family().index() as u64;
        let service = u64::from(sample.service.0) << 32;
        slot.generation.store(sample.generation, Ordering::Relaxed);
        slot.service.store(service | family << 8 | u64::from(sample.client.length()), Ordering::Relaxed);
        slot.bits_high.store((bits >> 64) as u64, Ordering::Relaxed);
        slot.bits_low.store(bits as u64, Ordering::Relaxed);
        slot.sequence.store(sequence.wrapping_add(2), Ordering::Release);
        self.written.store(written.wrapping_add(1), Ordering::Relaxed);
    }

    /// The samples that can be read whole right now.
    pub fn read(&self) -> impl Iterator<Item = Sample> + '_ {
        self.slots.iter().filter_map(Slot::read)
    }
}

impl Default for Samples {
    fn default() -> Samples {
        Samples::new()
    }
}

impl Slot {
    fn read(&self) -> Option<Sample> {
        let before = self.sequence.load(Ordering::Acquire);
        let generation = self.generation.load(Ordering::Relaxed);
        let service = self.service.load(Ordering::Relaxed);
        let high = self.bits_high.load(Ordering::Relaxed);
        let low = self.bits_low.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        let after = self.sequence.load(Ordering::Relaxed);
        if before == 0 || before % 2 == 1 || before != after {
            return None;
        }
        let family = if service >> 8 & 1 == 0 { Family::V4 } else { Family::V6 };
        let bits = u128::from(high) << 64 | u128::from(low);
        Some(Sample {
            generation,
            service: ServiceId((service >> 32) as u32),
            client: ClientPrefix::from_bits(family, bits, service as u8),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::atomic::AtomicBool;

    fn sample(number: u32) -> Sample {
        let address: std::net::IpAddr = match number % 2 {
            0 => std::net::Ipv4Addr::from(number).into(),
            _ => std::net::Ipv6Addr::from(u128::from(number) << 96).into(),
        };
        Sample {
            generation: u64::from(number),
            service: ServiceId(number),
            client: ClientPrefix::new(address, 24),
        }
    }

    #[test]
    fn the_last_samples_are_kept() {
        let samples = Samples::new();
        assert_eq!(samples.read().count(), 0);
        samples.push(sample(7));
        assert_eq!(samples.read().collect::<Vec<_>>(), [sample(7)]);
        for number in 0..5000 {
            samples.push(sample(number));
        }
        let mut services = samples.read().map(|kept| kept.service.0).collect::<Vec<_>>();
        services.sort_unstable();
        assert_eq!(services, (5000 - SAMPLES_MAX as u32..5000).collect::<Vec<_>>());
    }

    #[test]
    fn a_reader_beside_the_writer_sees_only_whole_samples() {
        let samples = Samples::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..200_000 {
                    samples.push(sample(number));
                }
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                assert!(samples.read().all(|read| read == sample(read.service.0)));
            }
        });
    }
}
