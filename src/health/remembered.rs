//! What one process leaves to the next (T2): plain data, in which everything has a name and no number.
//!
//! Lengths of time are as they were when it was taken down; `at_wall` says when that was.

use std::net::IpAddr;
use std::time::Duration;

use super::OverrideKind;

/// All of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Remembered {
    /// When it was taken down, by the wall clock.
    pub at_wall: Duration,
    /// The last number that an override was given.
    pub last_override: u64,
    /// Operators' words.
    pub overrides: Vec<RememberedOverride>,
    /// What is known of what is probed.
    pub targets: Vec<RememberedTarget>,
    /// Who is on the way back.
    pub returning: Vec<RememberedStage>,
    /// What the governor has accepted and what it holds.
    pub removals: Vec<RememberedRemoval>,
    /// The addresses of host names.
    pub hosts: Vec<RememberedHost>,
}

/// The addresses that a host name had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedHost {
    /// The name.
    pub host: String,
    /// At least one.
    pub addresses: Vec<IpAddr>,
}

/// An override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedOverride {
    /// Its number.
    pub id: u64,
    /// What it says.
    pub kind: OverrideKind,
    /// As it is written.
    pub selector: String,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// Since when, by the wall clock.
    pub since: Duration,
    /// Until when, by the wall clock.
    pub until: Option<Duration>,
    /// What is left of its time.
    pub left: Option<Duration>,
    /// When it is or was out of what is published, by the wall clock.
    pub out_at_wall: Duration,
    /// What is left of a gradual drain; `None`: it is complete.
    pub out_in: Option<Duration>,
    /// The largest TTL so far, in seconds.
    pub ttl_max_s: u32,
}

/// What is known of a target.
#[derive(Clone, PartialEq, Debug)]
pub struct RememberedTarget {
    /// The address or the host name.
    pub address: String,
    /// The check, as a number that changes with every part of it.
    pub check: u64,
    /// The verdict.
    pub verdict: RememberedVerdict,
    /// How often it has relapsed.
    pub relapses: u8,
    /// How long ago it recovered.
    pub recovered_ago: Option<Duration>,
    /// How long ago it failed.
    pub failed_ago: Option<Duration>,
    /// How long ago it last had a result.
    pub result_ago: Option<Duration>,
    /// For how long a posted verdict holds.
    pub valid_for: Option<Duration>,
    /// Latencies, once there are any.
    pub latency: Option<RememberedLatency>,
    /// The service time of its region as published, in milliseconds.
    pub service_time_ms: u16,
}

/// A verdict and what counts for the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RememberedVerdict {
    /// None.
    Unknown,
    /// Well.
    Up {
        /// Failures counted.
        failures: u8,
        /// Successes since.
        in_row: u8,
        /// How often successes came between failures.
        interruptions: u8,
    },
    /// Not well.
    Down {
        /// Successes needed.
        needed: u8,
        /// Successes so far.
        in_row: u8,
    },
}

/// Averages in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RememberedLatency {
    /// Of the TCP handshake.
    pub connect_ms: f64,
    /// Of the first byte.
    pub first_byte_ms: Option<f64>,
    /// Of the server's own time.
    pub own_ms: Option<f64>,
    /// How many samples.
    pub samples: u64,
}

/// Where an address is on its way back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedStage {
    /// `pool/endpoint`
    pub endpoint: String,
    /// The address or the host name.
    pub address: String,
    /// Where.
    pub stage: ReturnStage,
}

/// A stage of the way back with what is left of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReturnStage {
    /// It is down.
    Fallen,
    /// It has to stay well for so much longer.
    Hold {
        /// For how long.
        left: Duration,
        /// Whether an operator is waited for then.
        manual: bool,
    },
    /// An operator is waited for.
    Manual,
    /// It takes its share.
    Ramp {
        /// What is left.
        left: Duration,
        /// Of how much.
        over: Duration,
    },
}

/// A verdict that the governor has accepted or holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RememberedRemoval {
    /// For which service.
    pub service: String,
    /// `pool/endpoint`
    pub endpoint: String,
    /// The address or the host name.
    pub address: String,
    /// The how manieth fall it was.
    pub order: u64,
    /// In what time it is settled; `None`: it is held.
    pub settles_in: Option<Duration>,
}
