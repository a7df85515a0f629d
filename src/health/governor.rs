//! How much of a service may go by itself (H11).

use std::time::Duration;

/// `[governor]`, or a service's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GovernorSpec {
    /// Of what remains beyond the first region, in percent: 0..=100.
    pub max_removed_percent: u8,
    /// Within which time.
    pub window: Duration,
}

impl GovernorSpec {
    /// What is not configured.
    pub const USUAL: GovernorSpec =
        GovernorSpec { max_removed_percent: 50, window: Duration::from_secs(600) };
}
