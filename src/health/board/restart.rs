//! Over a restart (T2): what a board leaves behind, and what another makes of it.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;
use siphasher::sip::SipHasher24;

use super::Board;
use super::hosts::Resolved;
use super::latency::Averages;
use super::memory::{Memory, STALE_INTERVALS, State};
use super::standings::Standings;
use crate::health::failback::Stage;
use crate::health::governor::SeatState;
use crate::health::remembered::{
    Remembered, RememberedLatency, RememberedOverride, RememberedRemoval, RememberedStage, RememberedTarget,
    RememberedVerdict, ReturnStage,
};
use crate::health::{Check, FailbackMode, Override, OverrideId, Selector, TargetAddress, TargetSpec};
use crate::ids::{AddressId, TargetId};
use crate::now::Now;

impl Board {
    /// Everything that the next process should know.
    pub fn remember(&self, now: Now) -> Remembered {
        let at = now.monotonic;
        let targets = self.spec.targets.iter().zip(&self.memories).enumerate();
        let named =
            |address: AddressId| self.spec.identity(address).map(|(a, b)| (a.to_owned(), b.to_owned()));
        let returning = self.spec.address_ids().filter_map(|id| {
            let (endpoint, address) = named(id)?;
            Some(RememberedStage { endpoint, address, stage: left_of(self.stage(id), at)? })
        });
        let removals = self.standings.governor.lanes().iter().flat_map(|lane| {
            let service = self.spec.services.get(lane.service.index()).map(|own| own.name.to_string());
            lane.seats().iter().filter_map(move |seat| {
                let (endpoint, address) = named(seat.address)?;
                let (order, settles_in) = match seat.state {
                    SeatState::Well => return None,
                    SeatState::Held { order } => (order, None),
                    SeatState::Removed { order, settles_at } => (order, Some(settles_at.saturating_sub(at))),
                };
                let service = service.clone()?;
                Some(RememberedRemoval { service, endpoint, address, order, settles_in })
            })
        });
        Remembered {
            at_wall: now.wall,
            last_override: self.overrides.last_id,
            overrides: self.overrides.all().iter().map(|own| override_left(own, at)).collect(),
            targets: targets
                .map(|(index, (spec, memory))| self.target_left(index, spec, memory, at))
                .collect(),
            returning: returning.collect(),
            removals: removals.collect(),
            hosts: self.hosts.remember(&self.spec),
        }
    }

    fn target_left(
        &self,
        index: usize,
        spec: &TargetSpec,
        memory: &Memory,
        at: Duration,
    ) -> RememberedTarget {
        let ago = |since: Option<Duration>| since.map(|since| at.saturating_sub(since));
        let averages = &memory.averages;
        let group = self.group_of.get(index).and_then(|group| self.groups.get(*group));
        RememberedTarget {
            address: target_name(&spec.address),
            check: check_number(&spec.check),
            verdict: match memory.state {
                State::Unknown => RememberedVerdict::Unknown,
                State::Up { failures, in_row, interruptions } => {
                    RememberedVerdict::Up { failures, in_row, interruptions }
                }
                State::Down { needed, in_row } => RememberedVerdict::Down { needed, in_row },
            },
            relapses: memory.relapses,
            recovered_ago: ago(memory.recovered_at),
            failed_ago: ago(memory.failed_at),
            result_ago: ago(memory.result_at),
            valid_for: memory.valid_until.map(|until| until.saturating_sub(at)),
            latency: (averages.samples > 0).then(|| RememberedLatency {
                connect_ms: averages.connect_ms,
                first_byte_ms: averages.first_byte_ms,
                own_ms: averages.own_time.average_ms(),
                samples: averages.samples,
            }),
            service_time_ms: group.map_or(0, |group| group.published_ms),
        }
    }

    /// Takes up what an earlier process has left, on a board that is new. What is about nobody any more
    /// is passed over, but for overrides. A verdict whose last result is older than three intervals is
    /// none; a wall clock that has gone back counts as no time in between.
    pub fn restore(&mut self, left: &Remembered, now: Now) {
        let away = now.wall.saturating_sub(left.at_wall);
        self.restore_targets(&left.targets, away, now);
        self.hosts = Resolved::restore(&self.spec, &left.hosts);
        let (spec, memories) = (Arc::clone(&self.spec), &self.memories);
        let health = |target: TargetId| {
            Some(memories.get(target.index())?.health(&spec.targets.get(target.index())?.cadence))
        };
        self.standings = Standings::new(&spec, health);
        self.restore_overrides(left, away, now);
        self.words = self.overrides.words(
            spec.endpoints.len(),
            crate::health::overrides::Drains::AsTheyAre,
            now.monotonic,
        );
        let mut known: HashMap<_, AddressId, FixedState> = HashMap::default();
        for address in spec.address_ids() {
            known.extend(spec.identity(address).map(|name| (name, address)));
        }
        for own in &left.returning {
            if let Some(address) = known.get(&(&*own.endpoint, &*own.address)) {
                self.standings.failback.put(*address, stage_from(own.stage, now.monotonic));
            }
        }
        let mut removals: HashMap<_, SeatState, FixedState> = HashMap::default();
        for own in &left.removals {
            let Some(address) = known.get(&(&*own.endpoint, &*own.address)) else { continue };
            let service = spec.services.iter().position(|service| *service.name == *own.service);
            let order = own.order;
            let state = own.settles_in.map_or(SeatState::Held { order }, |settles_in| SeatState::Removed {
                order,
                settles_at: now.monotonic + settles_in.saturating_sub(away),
            });
            removals.extend(service.map(|service| ((service, *address), state)));
        }
        self.seat(|service, address| removals.get(&(service.index(), address)).copied(), now);
        self.generation += 1;
        self.settle(now);
    }

    fn restore_targets(&mut self, left: &[RememberedTarget], away: Duration, now: Now) {
        let mut known: HashMap<_, &RememberedTarget, FixedState> = HashMap::default();
        for own in left {
            known.insert((own.address.as_str(), own.check), own);
        }
        for (index, (target, memory)) in self.spec.targets.iter().zip(&mut self.memories).enumerate() {
            let name = target_name(&target.address);
            let Some(own) = known.get(&(name.as_str(), check_number(&target.check))) else { continue };
            *memory = memory_from(own, target, away, now.monotonic);
            if let Some(group) = self.group_of.get(index).and_then(|group| self.groups.get_mut(*group)) {
                group.published_ms = own.service_time_ms;
            }
        }
        self.untried = self.memories.iter().filter(|memory| !memory.tried).count();
        self.restored = true;
    }

    fn restore_overrides(&mut self, left: &Remembered, away: Duration, now: Now) {
        self.overrides.last_id = left.last_override;
        for own in &left.overrides {
            let Ok(selector) = own.selector.parse::<Selector>() else { continue };
            let out_in = own.out_in.map(|left| left.saturating_sub(away));
            self.overrides.last_id = self.overrides.last_id.max(own.id);
            self.overrides.all.push(Override {
                id: OverrideId(own.id),
                kind: own.kind,
                selector,
                reason: own.reason.clone(),
                actor: own.actor.clone(),
                since: own.since,
                until: own.until,
                endpoints: Box::new([]),
                ttl_max_s: own.ttl_max_s,
                out_at: now.monotonic + out_in.unwrap_or_default(),
                out_at_wall: own.out_at_wall,
                deadline: own.left.map(|left| now.monotonic + left.saturating_sub(away)),
                wall_past_since: None,
                told_out: out_in.is_none(),
            });
        }
        self.overrides.resolve(&Arc::clone(&self.spec));
    }

    /// Whether everything that is probed has a verdict that an earlier process left and that is fresh:
    /// then there is no first round to wait for (H1).
    pub fn restored_fresh(&self) -> bool {
        self.restored && self.untried == 0
    }
}

fn override_left(own: &Override, at: Duration) -> RememberedOverride {
    RememberedOverride {
        id: own.id.0,
        kind: own.kind,
        selector: own.selector.to_string(),
        reason: own.reason.clone(),
        actor: own.actor.clone(),
        since: own.since,
        until: own.until,
        left: own.deadline.map(|deadline| deadline.saturating_sub(at)),
        out_at_wall: own.out_at_wall,
        out_in: (!own.told_out).then(|| own.out_at.saturating_sub(at)),
        ttl_max_s: own.ttl_max_s,
    }
}

fn left_of(stage: Stage, at: Duration) -> Option<ReturnStage> {
    Some(match stage {
        Stage::Full => return None,
        Stage::Fallen => ReturnStage::Fallen,
        Stage::Manual => ReturnStage::Manual,
        Stage::Hold { until, then } => {
            ReturnStage::Hold { left: until.saturating_sub(at), manual: then == FailbackMode::Manual }
        }
        Stage::Ramp { until, over } => ReturnStage::Ramp { left: until.saturating_sub(at), over },
    })
}

/// The time in between was nobody's: what is left is what was left.
fn stage_from(stage: ReturnStage, at: Duration) -> Stage {
    match stage {
        ReturnStage::Fallen => Stage::Fallen,
        ReturnStage::Manual => Stage::Manual,
        ReturnStage::Hold { left, manual } => Stage::Hold {
            until: at + left,
            then: if manual { FailbackMode::Manual } else { FailbackMode::Auto },
        },
        ReturnStage::Ramp { left, over } => Stage::Ramp { until: at + left, over },
    }
}

fn memory_from(own: &RememberedTarget, target: &TargetSpec, away: Duration, at: Duration) -> Memory {
    // What is older than this clock can say is too old to matter.
    let since = |ago: Option<Duration>| at.checked_sub(ago?.saturating_add(away));
    let result_at = since(own.result_ago);
    let valid_until = own.valid_for.map(|left| at + left.saturating_sub(away));
    let fresh = match (&target.check, valid_until) {
        (Check::Push { .. }, Some(until)) => until > at,
        (Check::Push { .. }, None) => false,
        _ => result_at
            .is_some_and(|result| at.saturating_sub(result) <= target.cadence.interval * STALE_INTERVALS),
    };
    let state = match own.verdict {
        RememberedVerdict::Up { failures, in_row, interruptions } if fresh => {
            State::Up { failures: failures.min(target.cadence.fall.saturating_sub(1)), in_row, interruptions }
        }
        RememberedVerdict::Down { needed, in_row } if fresh => {
            State::Down { needed: needed.max(1), in_row: in_row.min(needed.saturating_sub(1)) }
        }
        _ => State::Unknown,
    };
    let mut averages = Averages::default();
    if let Some(latency) = own.latency {
        averages.connect_ms = latency.connect_ms;
        averages.first_byte_ms = latency.first_byte_ms;
        averages.samples = latency.samples;
        averages.sampled_at = result_at.unwrap_or_default();
        latency.own_ms.into_iter().for_each(|own_ms| averages.own_time.begin_at(own_ms));
    }
    Memory {
        tried: state != State::Unknown || matches!(target.check, Check::Push { .. }),
        state,
        relapses: own.relapses,
        recovered_at: since(own.recovered_ago),
        failed_at: since(own.failed_ago),
        last_failure: None,
        certificate_until: None,
        result_at: result_at.filter(|_| state != State::Unknown),
        valid_until: valid_until.filter(|_| state != State::Unknown),
        averages,
    }
}

fn target_name(address: &TargetAddress) -> String {
    match address {
        TargetAddress::Address(address) => address.to_string(),
        TargetAddress::Host(host) => host.clone(),
    }
}

/// A check's number. Checks hold secrets (header fields), which have no business in a state file.
fn check_number(check: &Check) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(format!("{check:?}").as_bytes());
    hasher.finish()
}
