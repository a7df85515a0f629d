//! The board: the sole writer of health. Observations in, orders, transitions and tables out; no I/O.
//!
//! Drive it like this: sleep for [`Board::poll_timeout`] or until an observation comes; hand every
//! order of [`Board::poll_due`] to the prober; give every outcome to [`Board::observe`]; tell what
//! [`Board::poll_event`] has; publish [`Board::table`] when [`Board::generation`] has moved.

mod commands;
mod draws;
mod feeds;
mod hosts;
mod latency;
mod memory;
mod push;
mod restart;
mod schedule;
mod service_time;
mod standings;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use self::feeds::Feeds;
use self::hosts::Resolved;
use self::memory::{Change, Memory, State};
use self::schedule::{Finished, Probed, Schedule};
use self::service_time::Group;
use self::standings::Standings;
use super::certificate::Certificates;
use super::load::LoadStatus;
use super::overrides::Drains;
use super::{
    BoardSpec, Check, EndpointState, Event, Failure, Forced, HealthTable, News, Notice, Observation,
    Overrides, ProbeOrder, TargetHealth, TargetSpec, Transition, Verdict, Word,
};
use crate::ids::{EndpointId, TargetId};
use crate::now::Now;

/// Bounds on what the board has under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BoardLimits {
    /// Probes under way at once; at least 1.
    pub under_way_max: usize,
}

/// What the probes came to since the process began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Orders given.
    pub started: u64,
    /// Starts left out because the one before was still under way or waiting.
    pub late_skipped: u64,
    /// Orders that were never answered.
    pub lost: u64,
    /// Observations that answer no order of ours.
    pub stray: u64,
    /// Successes.
    pub succeeded: u64,
    /// Failures by [`Failure::kind`]; `not_run` are not counted against a target.
    pub failed: BTreeMap<&'static str, u64>,
}

/// Smoothed latencies of one target (H6).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Latency {
    /// The TCP handshake.
    pub connect: Duration,
    /// The TLS handshake; `None` without TLS.
    pub tls: Option<Duration>,
    /// Request to head of the answer; `None` where nothing is asked.
    pub first_byte: Option<Duration>,
    /// The whole probe.
    pub total: Duration,
    /// How many probes went into it.
    pub samples: u64,
    /// Time since the last.
    pub age: Duration,
}

/// All that people may ask of one target.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetStatus {
    /// What the table says.
    pub health: TargetHealth,
    /// No result for more than three intervals (H13).
    pub stale: bool,
    /// Failures counted while up.
    pub failures: u8,
    /// While down: successes still needed in a row.
    pub successes_needed: u8,
    /// The last failure, also one of ours that counts against nobody; kept when the target recovers.
    pub last_failure: Option<Failure>,
    /// Time since the last result; `None`: there was none.
    pub age: Option<Duration>,
    /// Smoothed latencies; `None` before the first success.
    pub latency: Option<Latency>,
    /// Until when the certificate is valid that was shown last, as time since the Unix epoch.
    pub certificate_until: Option<Duration>,
}

/// How often old results are looked for: a coarse bound is enough for what takes minutes.
const FORGET_SCAN: Duration = Duration::from_secs(1);

/// The state machine of health.
#[derive(Clone, Debug)]
pub struct Board {
    spec: Arc<BoardSpec>,
    /// By target.
    memories: Vec<Memory>,
    /// By target: its place in `groups`.
    group_of: Vec<usize>,
    /// Sorted by region, then monitor.
    groups: Vec<Group>,
    /// Loads and errors as load balancers tell them (H12).
    feeds: Feeds,
    /// Addresses of host names, the last good ones.
    hosts: Resolved,
    overrides: Overrides,
    /// By endpoint: what the overrides come to.
    words: Vec<Word>,
    standings: Standings,
    schedule: Schedule,
    events: VecDeque<Event>,
    certificates: Certificates,
    counters: Counters,
    generation: u64,
    untried: usize,
    /// Whether an earlier process has left something.
    restored: bool,
    forget_scan_at: Duration,
    /// When something changes by itself.
    changes_at: Option<Duration>,
}

impl Board {
    /// A board that knows nothing yet: the first round of probes is due at once. `seed` draws jitter.
    pub fn new(spec: Arc<BoardSpec>, limits: BoardLimits, now: Now, seed: u64) -> Board {
        let mut schedule = Schedule::new(limits.under_way_max, seed);
        for target in &spec.targets {
            match Probed::by(&target.check) {
                Probed::Ever => schedule.add(&target.cadence, now.monotonic),
                Probed::Never => schedule.add_silent(&target.cadence),
            }
        }
        let (groups, group_of) = group(&spec.targets);
        let memories: Vec<Memory> = spec.targets.iter().map(new_memory).collect();
        Board {
            untried: memories.iter().filter(|memory| !memory.tried).count(),
            memories,
            restored: false,
            feeds: Feeds::new(&spec),
            hosts: Resolved::default(),
            overrides: Overrides::default(),
            words: vec![Word::NONE; spec.endpoints.len()],
            standings: Standings::new(&spec, |target| unknown(&spec, target)),
            spec,
            group_of,
            groups,
            schedule,
            events: VecDeque::new(),
            certificates: Certificates::default(),
            counters: Counters::default(),
            generation: 0,
            forget_scan_at: now.monotonic,
            changes_at: None,
        }
    }

    /// The board after a reload: history, schedule and probes under way are carried over by identity
    /// (address and check), overrides by the names they are about; one that is about nobody any more is
    /// kept. Events not told yet are dropped with the numbers they use: tell them before.
    pub fn succeed(mut self, spec: Arc<BoardSpec>, limits: BoardLimits, now: Now) -> Board {
        let old = self.carry(&spec.targets);
        let probed =
            |(old, target): (&Option<usize>, &TargetSpec)| (*old, Probed::by(&target.check), target.cadence);
        let cadences = old.iter().zip(&spec.targets).map(probed);
        let schedule = self.schedule.succeed(limits.under_way_max, cadences, now.monotonic);
        let (mut groups, group_of) = group(&spec.targets);
        for group in &mut groups {
            let mut members = group.members.iter().filter_map(|member| *old.get(*member as usize)?);
            let before = members.find_map(|member| self.groups.get(*self.group_of.get(member)?));
            group.published_ms = before.map_or(0, |before| before.published_ms);
        }
        let mut memories = Vec::with_capacity(spec.targets.len());
        for (old, target) in old.iter().zip(&spec.targets) {
            let memory = old.and_then(|old| self.memories.get_mut(old));
            memories.push(memory.map_or_else(|| new_memory(target), std::mem::take));
        }
        let mut overrides = std::mem::take(&mut self.overrides);
        let dormant = overrides.resolve(&spec);
        let feeds = self.feeds.succeed(&spec, &self.spec, &old, now.monotonic);
        let health = |target: TargetId| {
            Some(memories.get(target.index())?.health(&spec.targets.get(target.index())?.cadence))
        };
        let standings = Standings::new(&spec, health);
        let mut next = Board {
            hosts: std::mem::take(&mut self.hosts).succeed(&self.spec, &spec),
            feeds,
            untried: memories.iter().filter(|memory| !memory.tried).count(),
            memories,
            restored: self.restored,
            overrides,
            words: Vec::new(),
            standings,
            spec,
            group_of,
            groups,
            schedule,
            events: VecDeque::new(),
            certificates: self.certificates,
            counters: self.counters,
            generation: self.generation + 1,
            forget_scan_at: self.forget_scan_at,
            changes_at: None,
        };
        dormant.into_iter().for_each(|own| next.tell(News::OverrideDormant(own), now));
        next.words = next.overrides.words(next.spec.endpoints.len(), Drains::AsTheyAre, now.monotonic);
        next.inherit(&self.spec, self.standings, now);
        next.settle(now);
        next
    }

    /// For each new target its old number, if address and check are the same. No two get the same.
    fn carry(&self, targets: &[TargetSpec]) -> Vec<Option<usize>> {
        let mut known: HashMap<_, usize, FixedState> = HashMap::default();
        for (old, target) in self.spec.targets.iter().enumerate() {
            known.insert((&target.address, &target.check), old);
        }
        targets.iter().map(|target| known.remove(&(&target.address, &target.check))).collect()
    }

    /// How long to sleep before [`Board::poll_due`] has something to do; `None`: until an observation.
    pub fn poll_timeout(&self, now: Now) -> Option<Duration> {
        let changes = self.changes_at.map(|at| at.saturating_sub(now.monotonic));
        let loads = self.feeds.poll_timeout(now.monotonic);
        [self.schedule.timeout(now.monotonic), changes, loads].into_iter().flatten().min()
    }

    /// The probes to start now. Never more are under way than the limit allows.
    pub fn poll_due(&mut self, now: Now) -> Vec<ProbeOrder> {
        self.counters.lost += self.schedule.lose(now.monotonic);
        self.forget_old(now);
        if self.changes_at.is_some_and(|at| at <= now.monotonic) {
            self.settle(now);
        }
        self.decide_loads(now);
        let due = self.schedule.due(now.monotonic);
        self.counters.started += due.orders.len() as u64;
        self.counters.late_skipped += due.skipped;
        due.orders
    }

    /// Decides shares and weights anew, where their time has come (H12).
    fn decide_loads(&mut self, now: Now) {
        if self.feeds.poll_timeout(now.monotonic).is_none_or(|timeout| !timeout.is_zero()) {
            return;
        }
        let spec = self.spec.clone();
        for member in &spec.loads {
            self.feeds.set_eligible(member.endpoint, self.is_sent_clients(member.endpoint));
        }
        if self.feeds.poll(now.monotonic) {
            self.generation += 1;
        }
    }

    /// Whether clients are sent to an endpoint: it is well or may be, and no operator keeps it out.
    fn is_sent_clients(&self, endpoint: EndpointId) -> bool {
        let Some(own) = self.spec.endpoints.get(endpoint.index()) else { return false };
        match self.words.get(endpoint.index()).map(|word| word.forced) {
            Some(Forced::Down | Forced::Drained) => false,
            Some(Forced::Up) => true,
            Some(Forced::Not) | None => {
                own.addresses.iter().any(|address| self.published(*address).verdict != Verdict::Down)
            }
        }
    }

    fn forget_old(&mut self, now: Now) {
        if now.monotonic < self.forget_scan_at {
            return;
        }
        self.forget_scan_at = now.monotonic + FORGET_SCAN;
        // The wall clock may have been set.
        self.settle(now);
        for index in 0..self.memories.len() {
            let (Some(memory), Some(target)) = (self.memories.get_mut(index), self.spec.targets.get(index))
            else {
                continue;
            };
            if let Some(change) = memory.forget(&target.cadence, now.monotonic) {
                let id = TargetId(index as u32);
                self.events.push_back(Event::Transition(transition(id, target, change, now)));
                self.target_changed(id, now);
            }
        }
    }

    /// Does what time has brought: ends of overrides, steps of drains and ramps.
    fn settle(&mut self, now: Now) {
        self.settle_overrides(now);
        self.settle_standings(now);
    }

    fn tell(&mut self, news: News, at: Now) {
        self.events.push_back(Event::Notice(Box::new(Notice { news, at })));
    }

    /// Takes in an outcome. What changes is told by [`Board::poll_event`].
    pub fn observe(&mut self, observation: Observation, now: Now) {
        match &observation.outcome {
            Ok(_) => self.counters.succeeded += 1,
            Err(failure) => *self.counters.failed.entry(failure.kind()).or_default() += 1,
        }
        match self.schedule.finish(observation.ticket) {
            Finished::Target(target) => self.observe_target(target, &observation, now),
            Finished::Gone => {}
            Finished::Stray => self.counters.stray += 1,
        }
    }

    fn observe_target(&mut self, id: TargetId, observation: &Observation, now: Now) {
        let index = id.index();
        let (Some(memory), Some(target)) = (self.memories.get_mut(index), self.spec.targets.get(index))
        else {
            return;
        };
        if !std::mem::replace(&mut memory.tried, true) {
            self.untried = self.untried.saturating_sub(1);
        }
        if let (Some(until), Some(tls)) = (observation.certificate_until, target.check.tls()) {
            memory.certificate_until = Some(until);
            let notice = self.certificates.see(until, tls.expires_in_days, &target.label, now);
            let told = |certificate| {
                Event::Notice(Box::new(Notice { news: News::CertificateExpires(certificate), at: now }))
            };
            self.events.extend(notice.map(told));
        }
        let evidence = match &target.check {
            Check::Load(check) => self.feeds.take(id, check, &target.cadence, observation, now.monotonic),
            _ => Some(observation.outcome).filter(|outcome| outcome.err().is_none_or(Failure::is_evidence)),
        };
        let Some(outcome) = evidence else {
            memory.last_failure = observation.outcome.err().or(memory.last_failure);
            return;
        };
        if !observation.resolved.is_empty()
            && let Some(news) = self.hosts.take(&self.spec, id, &observation.resolved)
        {
            self.generation += 1;
            self.events.push_back(Event::Notice(Box::new(Notice { news, at: now })));
        }
        let is_aside = matches!(target.check, Check::Load(_) | Check::Resolve);
        let before = memory.health(&target.cadence);
        let change = memory.take(&outcome, &target.cadence, now.monotonic);
        let changed = memory.health(&target.cadence) != before;
        if let Some(change) = change {
            self.events.push_back(Event::Transition(transition(id, target, change, now)));
        }
        if changed {
            self.target_changed(id, now);
        }
        // How quickly an exporter or a resolver answers says nothing of the service.
        if !is_aside {
            self.update_service_time(index);
        }
    }

    fn update_service_time(&mut self, member: usize) {
        let Some(group) = self.group_of.get(member).and_then(|group| self.groups.get_mut(*group)) else {
            return;
        };
        if !group.completes_round() {
            return;
        }
        let eligible = |member: &u32| {
            let memory = self.memories.get(*member as usize)?;
            let down = matches!(memory.state, State::Down { .. });
            memory.averages.own_time.average_ms().filter(|_| !down)
        };
        let (sum, number) = group
            .members
            .iter()
            .filter_map(eligible)
            .fold((0.0, 0u32), |(sum, number), average| (sum + average, number + 1));
        if number > 0 && group.round(sum / f64::from(number)) {
            self.generation += 1;
        }
    }

    /// The next thing that has not been told yet (from `observe`, `poll_due`).
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Goes up with every change of what [`Board::table`] would give.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The states as they are, to be published.
    pub fn table(&self) -> HealthTable {
        let state = |(index, word): (usize, &Word)| {
            let endpoint = EndpointId(index as u32);
            EndpointState {
                forced: word.forced,
                share: word.share.least(self.feeds.share(endpoint)),
                load_weight: self.feeds.load_weight(endpoint),
            }
        };
        let endpoints = self.words.iter().enumerate().map(state);
        HealthTable {
            addresses: self.standings.published.as_slice().into(),
            endpoints: endpoints.collect(),
            frozen: Arc::clone(&self.standings.frozen),
            service_times: self.groups.iter().filter_map(Group::entry).collect(),
            hosts: self.hosts.table(),
        }
    }

    fn health(&self, target: TargetId) -> Option<TargetHealth> {
        let cadence = &self.spec.targets.get(target.index())?.cadence;
        Some(self.memories.get(target.index())?.health(cadence))
    }

    /// Whether a probe of every target has ended, well or not (H1).
    pub fn first_round_done(&self) -> bool {
        self.untried == 0
    }

    /// What it watches over.
    pub fn spec(&self) -> &Arc<BoardSpec> {
        &self.spec
    }

    /// The targets, by [`TargetId`].
    pub fn targets(&self) -> &[TargetSpec] {
        &self.spec.targets
    }

    /// One target's state in full.
    pub fn status(&self, target: TargetId, now: Now) -> Option<TargetStatus> {
        let memory = self.memories.get(target.index())?;
        let cadence = &self.spec.targets.get(target.index())?.cadence;
        let (failures, successes_needed) = match memory.state {
            State::Unknown => (0, 0),
            State::Up { failures, .. } => (failures, 0),
            State::Down { needed, in_row } => (0, needed.saturating_sub(in_row)),
        };
        let age = memory.result_at.map(|at| now.monotonic.saturating_sub(at));
        Some(TargetStatus {
            health: memory.health(cadence),
            stale: memory.is_stale(cadence, now.monotonic),
            failures,
            successes_needed,
            last_failure: memory.last_failure,
            age,
            latency: memory.averages.latency(now.monotonic),
            certificate_until: memory.certificate_until,
        })
    }

    /// One endpoint's load, as its feed tells it; `None`: nothing tells it (H12).
    pub fn load(&self, endpoint: EndpointId, now: Now) -> Option<LoadStatus> {
        self.feeds.status(endpoint, now.monotonic)
    }

    /// Probes under way.
    pub fn under_way(&self) -> usize {
        self.schedule.under_way()
    }

    /// What the probes came to.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// A target that nothing is known of. No round of probes is waited for where none will come.
fn new_memory(target: &TargetSpec) -> Memory {
    Memory { tried: Probed::by(&target.check) == Probed::Never, ..Memory::default() }
}

/// What is known of a target at first.
fn unknown(spec: &BoardSpec, target: TargetId) -> Option<TargetHealth> {
    Some(Memory::default().health(&spec.targets.get(target.index())?.cadence))
}

/// Gathers targets by region and monitor, in that order.
fn group(targets: &[TargetSpec]) -> (Vec<Group>, Vec<usize>) {
    let mut numbers = BTreeMap::new();
    for target in targets {
        numbers.insert((target.region, target.monitor), 0);
    }
    let mut groups = Vec::with_capacity(numbers.len());
    for (number, (&(region, monitor), place)) in numbers.iter_mut().enumerate() {
        *place = number;
        groups.push(Group::new(region, monitor));
    }
    let mut group_of = Vec::with_capacity(targets.len());
    for (index, target) in targets.iter().enumerate() {
        let place = numbers.get(&(target.region, target.monitor)).copied().unwrap_or_default();
        if let Some(group) = groups.get_mut(place) {
            group.members.push(index as u32);
        }
        group_of.push(place);
    }
    (groups, group_of)
}

fn transition(id: TargetId, target: &TargetSpec, change: Change, at: Now) -> Transition {
    let Change { from, to, cause } = change;
    Transition { target: id, label: target.label.clone(), from, to, cause, at }
}

#[cfg(test)]
mod comeback_tests;
#[cfg(test)]
mod command_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod restart_tests;
#[cfg(test)]
mod tests;
