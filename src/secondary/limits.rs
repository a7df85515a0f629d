//! What transfers and timers are held to, whatever a primary says.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Bounds of one zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of the time between two checks.
    pub refresh: RangeInclusive<Duration>,
    /// Of the time from a failure to the next try.
    pub retry: RangeInclusive<Duration>,
    /// Records of a transfer, and of the zone that it makes.
    pub records_max: usize,
    /// Octets of a transfer's messages, and of the data that it makes.
    pub octets_max: u64,
    /// From the first octet sent to the last received.
    pub transfer_timeout: Duration,
}

impl Limits {
    /// Where nothing is configured: ten million records are more than all but a few registries have, and
    /// a gibibyte holds them.
    pub const USUAL: Limits = Limits {
        refresh: Duration::from_secs(60)..=Duration::from_secs(86_400),
        retry: Duration::from_secs(10)..=Duration::from_secs(3600),
        records_max: 10_000_000,
        octets_max: 1 << 30,
        transfer_timeout: Duration::from_secs(600),
    };
}
