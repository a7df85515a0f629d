//! What the state file holds, as it is written: the board's memory with times in seconds.
//!
//! The written form has its own types, so that a change of the running ones cannot change the file by
//! accident. Fields that are missing take their default: an older file is read by a newer program.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::health::OverrideKind;
use crate::health::remembered::{
    Remembered, RememberedHost, RememberedLatency, RememberedOverride, RememberedRemoval, RememberedStage,
    RememberedTarget, RememberedVerdict, ReturnStage,
};

/// All of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// When it was taken down, in RFC 3339: for people.
    pub saved_at: String,
    /// The same in seconds since 1970.
    at_s: f64,
    last_override: u64,
    overrides: Vec<KeptOverride>,
    targets: Vec<KeptTarget>,
    returning: Vec<KeptStage>,
    removals: Vec<KeptRemoval>,
    hosts: Vec<KeptHost>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptOverride {
    id: u64,
    kind: KeptKind,
    /// Of a gradual drain: within what time.
    over_s: Option<f64>,
    selector: String,
    reason: String,
    actor: String,
    since_s: f64,
    until_s: Option<f64>,
    left_s: Option<f64>,
    out_at_s: f64,
    out_in_s: Option<f64>,
    ttl_max_s: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptKind {
    Drain,
    ForceUp,
    ForceDown,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptTarget {
    address: String,
    /// A number of 64 bits in hexadecimal: other programs' JSON numbers have 53.
    check: String,
    verdict: KeptVerdict,
    relapses: u8,
    recovered_ago_s: Option<f64>,
    failed_ago_s: Option<f64>,
    result_ago_s: Option<f64>,
    valid_for_s: Option<f64>,
    latency: Option<KeptLatency>,
    service_time_ms: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptVerdict {
    Unknown,
    Up { failures: u8, in_row: u8, interruptions: u8 },
    Down { needed: u8, in_row: u8 },
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct KeptLatency {
    connect_ms: f64,
    first_byte_ms: Option<f64>,
    own_ms: Option<f64>,
    samples: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptStage {
    endpoint: String,
    address: String,
    stage: KeptReturn,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptReturn {
    Fallen,
    Hold { left_s: f64, manual: bool },
    Manual,
    Ramp { left_s: f64, over_s: f64 },
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptRemoval {
    service: String,
    endpoint: String,
    address: String,
    order: u64,
    settles_in_s: Option<f64>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct KeptHost {
    host: String,
    addresses: Vec<IpAddr>,
}

impl Kept {
    /// For writing.
    pub fn of(board: &Remembered) -> Kept {
        Kept {
            saved_at: super::rfc3339(board.at_wall),
            at_s: board.at_wall.as_secs_f64(),
            last_override: board.last_override,
            overrides: board.overrides.iter().map(KeptOverride::of).collect(),
            targets: board.targets.iter().map(KeptTarget::of).collect(),
            returning: board.returning.iter().map(KeptStage::of).collect(),
            removals: board.removals.iter().map(KeptRemoval::of).collect(),
            hosts: board.hosts.iter().map(KeptHost::of).collect(),
        }
    }

    /// For the board. What makes no sense is left out.
    pub fn remembered(&self) -> Remembered {
        Remembered {
            at_wall: time(self.at_s),
            last_override: self.last_override,
            overrides: self.overrides.iter().map(KeptOverride::remembered).collect(),
            targets: self.targets.iter().filter_map(KeptTarget::remembered).collect(),
            returning: self.returning.iter().map(KeptStage::remembered).collect(),
            removals: self.removals.iter().map(KeptRemoval::remembered).collect(),
            hosts: self.hosts.iter().map(KeptHost::remembered).collect(),
        }
    }
}

impl KeptHost {
    fn of(own: &RememberedHost) -> KeptHost {
        KeptHost { host: own.host.clone(), addresses: own.addresses.clone() }
    }

    fn remembered(&self) -> RememberedHost {
        RememberedHost { host: self.host.clone(), addresses: self.addresses.clone() }
    }
}

impl KeptOverride {
    fn of(own: &RememberedOverride) -> KeptOverride {
        let (kind, over) = match own.kind {
            OverrideKind::Drain { over } => (KeptKind::Drain, over),
            OverrideKind::ForceUp => (KeptKind::ForceUp, None),
            OverrideKind::ForceDown => (KeptKind::ForceDown, None),
        };
        KeptOverride {
            id: own.id,
            kind,
            over_s: seconds(over),
            selector: own.selector.clone(),
            reason: own.reason.clone(),
            actor: own.actor.clone(),
            since_s: own.since.as_secs_f64(),
            until_s: seconds(own.until),
            left_s: seconds(own.left),
            out_at_s: own.out_at_wall.as_secs_f64(),
            out_in_s: seconds(own.out_in),
            ttl_max_s: own.ttl_max_s,
        }
    }

    fn remembered(&self) -> RememberedOverride {
        RememberedOverride {
            id: self.id,
            kind: match self.kind {
                KeptKind::Drain => OverrideKind::Drain { over: self.over_s.map(time) },
                KeptKind::ForceUp => OverrideKind::ForceUp,
                KeptKind::ForceDown => OverrideKind::ForceDown,
            },
            selector: self.selector.clone(),
            reason: self.reason.clone(),
            actor: self.actor.clone(),
            since: time(self.since_s),
            until: self.until_s.map(time),
            left: self.left_s.map(time),
            out_at_wall: time(self.out_at_s),
            out_in: self.out_in_s.map(time),
            ttl_max_s: self.ttl_max_s,
        }
    }
}

impl KeptTarget {
    fn of(own: &RememberedTarget) -> KeptTarget {
        KeptTarget {
            address: own.address.clone(),
            check: format!("{:016x}", own.check),
            verdict: match own.verdict {
                RememberedVerdict::Unknown => KeptVerdict::Unknown,
                RememberedVerdict::Up { failures, in_row, interruptions } => {
                    KeptVerdict::Up { failures, in_row, interruptions }
                }
                RememberedVerdict::Down { needed, in_row } => KeptVerdict::Down { needed, in_row },
            },
            relapses: own.relapses,
            recovered_ago_s: seconds(own.recovered_ago),
            failed_ago_s: seconds(own.failed_ago),
            result_ago_s: seconds(own.result_ago),
            valid_for_s: seconds(own.valid_for),
            latency: own.latency.map(|own| KeptLatency {
                connect_ms: own.connect_ms,
                first_byte_ms: own.first_byte_ms,
                own_ms: own.own_ms,
                samples: own.samples,
            }),
            service_time_ms: own.service_time_ms,
        }
    }

    fn remembered(&self) -> Option<RememberedTarget> {
        Some(RememberedTarget {
            address: self.address.clone(),
            check: u64::from_str_radix(&self.check, 16).ok()?,
            verdict: match self.verdict {
                KeptVerdict::Unknown => RememberedVerdict::Unknown,
                KeptVerdict::Up { failures, in_row, interruptions } => {
                    RememberedVerdict::Up { failures, in_row, interruptions }
                }
                KeptVerdict::Down { needed, in_row } => RememberedVerdict::Down { needed, in_row },
            },
            relapses: self.relapses,
            recovered_ago: self.recovered_ago_s.map(time),
            failed_ago: self.failed_ago_s.map(time),
            result_ago: self.result_ago_s.map(time),
            valid_for: self.valid_for_s.map(time),
            latency: self.latency.map(|own| RememberedLatency {
                connect_ms: own.connect_ms,
                first_byte_ms: own.first_byte_ms,
                own_ms: own.own_ms,
                samples: own.samples,
            }),
            service_time_ms: self.service_time_ms,
        })
    }
}

impl KeptStage {
    fn of(own: &RememberedStage) -> KeptStage {
        KeptStage {
            endpoint: own.endpoint.clone(),
            address: own.address.clone(),
            stage: match own.stage {
                ReturnStage::Fallen => KeptReturn::Fallen,
                ReturnStage::Hold { left, manual } => KeptReturn::Hold { left_s: left.as_secs_f64(), manual },
                ReturnStage::Manual => KeptReturn::Manual,
                ReturnStage::Ramp { left, over } => {
                    KeptReturn::Ramp { left_s: left.as_secs_f64(), over_s: over.as_secs_f64() }
                }
            },
        }
    }

    fn remembered(&self) -> RememberedStage {
        RememberedStage {
            endpoint: self.endpoint.clone(),
            address: self.address.clone(),
            stage: match self.stage {
                KeptReturn::Fallen => ReturnStage::Fallen,
                KeptReturn::Hold { left_s, manual } => ReturnStage::Hold { left: time(left_s), manual },
                KeptReturn::Manual => ReturnStage::Manual,
                KeptReturn::Ramp { left_s, over_s } => {
                    ReturnStage::Ramp { left: time(left_s), over: time(over_s) }
                }
            },
        }
    }
}

impl KeptRemoval {
    fn of(own: &RememberedRemoval) -> KeptRemoval {
        KeptRemoval {
            service: own.service.clone(),
            endpoint: own.endpoint.clone(),
            address: own.address.clone(),
            order: own.order,
            settles_in_s: seconds(own.settles_in),
        }
    }

    fn remembered(&self) -> RememberedRemoval {
        RememberedRemoval {
            service: self.service.clone(),
            endpoint: self.endpoint.clone(),
            address: self.address.clone(),
            order: self.order,
            settles_in: self.settles_in_s.map(time),
        }
    }
}

/// Longer times than a thousand years are a slip of a pen, and would overflow sums.
const TIME_MAX_S: f64 = 1000.0 * 366.0 * 86_400.0;

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

/// What is not a time counts as none.
fn time(seconds: f64) -> Duration {
    // Not `min`: it would take the bound for what is not a number.
    let bounded = if seconds > TIME_MAX_S { TIME_MAX_S } else { seconds };
    Duration::try_from_secs_f64(bounded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Remembered {
        let s = Duration::from_secs;
        let named = |text: &str| text.to_owned();
        Remembered {
            at_wall: s(1_795_273_381),
            last_override: 9,
            overrides: [
                OverrideKind::Drain { over: Some(s(600)) },
                OverrideKind::Drain { over: None },
                OverrideKind::ForceUp,
                OverrideKind::ForceDown,
            ]
            .into_iter()
            .zip(1..)
            .map(|(kind, id)| RememberedOverride {
                id,
                kind,
                selector: named("region:eu-west"),
                reason: named("a \"reason\"\u{2028}"),
                actor: named("anna@bastion"),
                since: s(1_795_270_000),
                until: (id > 1).then_some(s(1_795_280_000)),
                left: (id > 1).then_some(s(10_000)),
                out_at_wall: s(1_795_270_600),
                out_in: (id == 1).then_some(s(17)),
                ttl_max_s: 60,
            })
            .collect(),
            targets: [
                RememberedVerdict::Unknown,
                RememberedVerdict::Up { failures: 1, in_row: 2, interruptions: 3 },
                RememberedVerdict::Down { needed: 4, in_row: 1 },
            ]
            .map(|verdict| RememberedTarget {
                address: named("192.0.2.1"),
                check: u64::MAX - 1,
                verdict,
                relapses: 2,
                recovered_ago: Some(s(7)),
                failed_ago: None,
                result_ago: Some(s(1)),
                valid_for: Some(s(30)),
                latency: Some(RememberedLatency {
                    connect_ms: 1.25,
                    first_byte_ms: Some(3.5),
                    own_ms: None,
                    samples: 77,
                }),
                service_time_ms: 12,
            })
            .to_vec(),
            returning: [
                ReturnStage::Fallen,
                ReturnStage::Hold { left: s(5), manual: true },
                ReturnStage::Manual,
                ReturnStage::Ramp { left: s(5), over: s(600) },
            ]
            .map(|stage| RememberedStage { endpoint: named("web/a"), address: named("192.0.2.1"), stage })
            .to_vec(),
            removals: [None, Some(s(3))]
                .map(|settles_in| RememberedRemoval {
                    service: named("www"),
                    endpoint: named("web/a"),
                    address: named("192.0.2.1"),
                    order: 3,
                    settles_in,
                })
                .to_vec(),
            hosts: vec![RememberedHost {
                host: named("lb.example.net"),
                addresses: vec!["192.0.2.9".parse().unwrap(), "2001:db8::9".parse().unwrap()],
            }],
        }
    }

    #[test]
    fn t2_the_written_form_loses_nothing() {
        let text = serde_json::to_string(&Kept::of(&sample())).unwrap();
        let kept: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!(kept.remembered(), sample());
    }

    #[test]
    fn t2_numbers_that_are_no_times_count_as_none() {
        for wrong in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(time(wrong), Duration::ZERO);
        }
        assert_eq!(time(f64::INFINITY), time(TIME_MAX_S));
        assert_eq!(serde_json::from_str::<Kept>("{}").unwrap().remembered(), Remembered::default());
    }
}
