//! One world from its start to its end: events, probes and questions in the order of virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian::health::{Check, Event, Observation, ProbeOrder, Ticket, Verdict};
use meridian::ids::Family;
use meridian::now::Now;
use meridian::steer::Answer;
use meridian::view::View;

use crate::checks::{self, Checker, Context, Given, Violation};
use crate::design::Design;
use crate::dice::Dice;
use crate::ledger::{self, Key, Ledger};
use crate::node::{self, Node, Reloaded};
use crate::operators::Operators;
use crate::removals::Removals;
use crate::script::{Act, Change, Script};
use crate::sweep;
use crate::trace::{Lines, Trace};
use crate::truth::Truth;
use crate::users::Users;

/// Where the wall clock stands at the start: 2026-01-01T00:00:00Z.
pub const WALL: Duration = Duration::from_secs(1_767_225_600);

/// Of outcomes so many get lost, so many come late, so many come twice, while the network is bad.
const LOSS_ONE_IN: usize = 60;

/// More steps without time passing mean that it stands still.
const STEPS_AT_ONCE_MAX: u32 = 10_000;

/// A design that cannot be is drawn again so often: some drawn fences cannot be.
const DESIGNS_MAX: usize = 20;

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub hash: u64,
    pub simulated: Duration,
    pub answers: u64,
    pub probes: u64,
    pub views: u64,
    pub transitions: u64,
    pub moves: u64,
    pub reloads: u64,
    pub refused_reloads: u64,
}

/// What is left out of a run, to see that it made no difference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The wall clock jumps when the script says so.
    Jumps,
    /// It does not.
    Steady,
}

/// A world that runs.
pub struct Run {
    clock: Clock,
    dice: Dice,
    /// For what only the checks draw.
    check_dice: Dice,
    design: Design,
    node: Node,
    healed: View,
    truth: Truth,
    acts: VecDeque<(Duration, Act)>,
    end: Duration,
    users: Users,
    ledger: Ledger,
    /// Whose probe an order is.
    orders: BTreeMap<Ticket, Key>,
    operators: Operators,
    removals: Removals,
    paused_until: Option<Duration>,
    lossy: bool,
    trace: Trace,
    report: Report,
}

/// Runs a seed; on a violation the trace's last lines come with it.
pub fn run(seed: u64, clock: Clock, lines: Lines) -> Result<Report, (Violation, String)> {
    let mut run = Run::new(seed, clock, lines).map_err(|violation| (violation, String::new()))?;
    match run.play() {
        Ok(()) => Ok(Report { hash: run.trace.hash(), simulated: run.node.now.monotonic, ..run.report }),
        Err(violation) => Err((violation, run.trace.last_lines())),
    }
}

impl Run {
    fn new(seed: u64, clock: Clock, lines: Lines) -> Result<Run, Violation> {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5eed);
        let now = Now { monotonic: Duration::ZERO, wall: WALL };
        let mut started = Err(String::new());
        let mut design = Design::new(&mut dice);
        for _ in 0..DESIGNS_MAX {
            started = Node::start(&design, now, dice.roll());
            match &started {
                Err(problem) if problem.contains("fenced branch") => design = Design::new(&mut dice),
                _ => break,
            }
        }
        let node = started.map_err(|why| {
            Violation::new(Checker::Reload, format!("the world is refused: {why}\n{}", design.toml()))
        })?;
        let script = Script::new(&design, &mut dice);
        let number = 12 + dice.below(12);
        let users = Users::new(&design, number, &mut dice);
        let mut trace = Trace::new(lines);
        trace.note(Duration::ZERO, &[seed], || format!("seed {seed}\n{}", design.toml()));
        let mut ledger = Ledger::default();
        ledger.retarget(node.board.targets().iter(), Duration::ZERO);
        Ok(Run {
            clock,
            check_dice: Dice(seed ^ 0xc4ec),
            dice,
            healed: node::healed(&node.view),
            node,
            truth: Truth::new(script.faults),
            acts: script.acts.into(),
            end: script.end,
            users,
            ledger,
            orders: BTreeMap::new(),
            operators: Operators::default(),
            removals: Removals::default(),
            paused_until: None,
            lossy: false,
            trace,
            report: Report::default(),
            design,
        })
    }

    fn play(&mut self) -> Result<(), Violation> {
        self.until(self.end)?;
        self.heal()?;
        // Everything is well from here on: after so long all must be as if nothing had ever been.
        let settled = self.end + self.settles_within();
        self.until(settled)?;
        sweep::converged(&self.users, self.node.now, &self.node.view, &self.healed)
    }

    /// How long recovery takes at most once everything is well: 32 successes in a row, those that forget
    /// earlier failures, and what was under way.
    fn settles_within(&self) -> Duration {
        let accounts = self.ledger.0.values().map(|own| {
            let rounds = 32 + u32::from(own.cadence.ok) + 3;
            own.cadence.interval.mul_f64(1.2) * rounds + own.cadence.timeout * 4
        });
        accounts.max().unwrap_or_default()
    }

    fn heal(&mut self) -> Result<(), Violation> {
        for fault in &mut self.truth.faults {
            fault.since = None;
        }
        self.lossy = false;
        self.operators.remove_all(&mut self.node.board, &self.design, self.node.now)
    }

    fn until(&mut self, end: Duration) -> Result<(), Violation> {
        let mut steps = 0;
        loop {
            let before = self.node.now.monotonic;
            self.defer();
            let act = self.acts.front().map(|(at, _)| *at);
            let node = match self.paused_until {
                Some(until) => Some(until),
                None => self.node.next_event(),
            };
            let next = [act, node, self.users.next_event()].into_iter().flatten().min();
            let next = next.filter(|next| *next <= end).unwrap_or(end).max(self.node.now.monotonic);
            self.node.now = self.node.now.after(next - self.node.now.monotonic);
            while self.acts.front().is_some_and(|(at, _)| *at <= next) {
                if let Some((_, act)) = self.acts.pop_front() {
                    self.act(act)?;
                }
            }
            self.step_node()?;
            while let Some(user) = self.users.asks(next) {
                self.ask(user)?;
            }
            if next == end {
                return Ok(());
            }
            steps = if next > before { 0 } else { steps + 1 };
            if steps > STEPS_AT_ONCE_MAX {
                return Err(Violation::new(Checker::Bounds, "time stands still".to_owned()));
            }
        }
    }

    /// What is asked of the daemon while nobody polls waits until somebody does.
    fn defer(&mut self) {
        let Some(until) = self.paused_until else { return };
        for (at, act) in &mut self.acts {
            let asks = matches!(act, Act::Override { .. } | Act::Remove { .. } | Act::Reload(_));
            *at = if asks { until.max(*at) } else { *at };
        }
        self.acts.make_contiguous().sort_by_key(|(at, _)| *at);
    }

    // What the daemon's loop does.

    fn step_node(&mut self) -> Result<(), Violation> {
        let now = self.node.now.monotonic;
        if self.paused_until.is_some_and(|until| until > now) {
            return Ok(());
        }
        self.paused_until = None;
        while let Some(observation) = self.node.arrived() {
            self.observe(observation)?;
        }
        for order in self.node.due() {
            self.launch(order);
        }
        self.hear()?;
        if let Some(previous) = self.node.publish_if_due() {
            self.published(&previous)?;
        }
        Ok(())
    }

    fn observe(&mut self, observation: Observation) -> Result<(), Violation> {
        let now = self.node.now;
        let key = self.orders.get(&observation.ticket).copied();
        let well = observation.outcome.is_ok();
        let strays = self.node.board.counters().stray;
        self.node.board.observe(observation, now);
        let taken = self.node.board.counters().stray == strays;
        let Some(key) = key else { return Ok(()) };
        self.trace.note(now.monotonic, &[1, u64::from(well), u64::from(taken), number(key.0)], || {
            format!(
                "{}:{} {}{}",
                key.0,
                key.1,
                if well { "well" } else { "fails" },
                if taken { "" } else { ", too late" }
            )
        });
        if taken {
            self.ledger.observed(key, well);
        }
        self.hear()?;
        self.ledger.judge(key)
    }

    /// What the board tells.
    fn hear(&mut self) -> Result<(), Violation> {
        let now = self.node.now.monotonic;
        while let Some(event) = self.node.told() {
            let Event::Transition(told) = event else {
                self.trace.note(now, &[7], || format!("{event:?}"));
                continue;
            };
            self.report.transitions += 1;
            self.trace.note(now, &[2, u64::from(told.target.0), verdict(told.to)], || {
                format!("{} {:?} -> {:?}: {}", told.label, told.from, told.to, told.cause)
            });
            let key = self.node.board.targets().get(told.target.index()).and_then(ledger::key);
            if let Some(key) = key {
                self.ledger.changed(key, told.from, told.to, now)?;
            }
        }
        Ok(())
    }

    fn launch(&mut self, order: ProbeOrder) {
        let Some(spec) = self.node.board.targets().get(order.target.index()) else { return };
        let (cadence, asks) = (spec.cadence, !matches!(spec.check, Check::Tcp(_)));
        let Some(key) = ledger::key(spec) else { return };
        let now = self.node.now.monotonic;
        self.report.probes += 1;
        self.orders.insert(order.ticket, key);
        let (mut after, outcome) = self.truth.probe(key.0, &cadence, asks, now, &mut self.dice);
        let observation = Observation::local(order, outcome);
        if self.lossy {
            match self.dice.below(3 * LOSS_ONE_IN) {
                0 => {
                    self.ledger.delay(key, now, cadence.timeout * 2 + Duration::from_secs(1));
                    return;
                }
                1 => {
                    let late = Duration::from_millis(self.dice.below(6000) as u64);
                    self.ledger.delay(key, now, late + cadence.timeout * 2 + Duration::from_secs(1));
                    after += late;
                }
                2 => self.node.fly(after + Duration::from_millis(700), observation.clone()),
                _ => {}
            }
        }
        self.node.fly(after, observation);
    }

    fn published(&mut self, previous: &Arc<View>) -> Result<(), Violation> {
        self.report.views += 1;
        self.ledger.published();
        let now = self.node.now.monotonic;
        let generation = self.node.board.generation();
        self.trace.note(now, &[3, generation], || format!("published, health {generation}"));
        if previous.health.service_times != self.node.view.health.service_times {
            self.healed = node::healed(&self.node.view);
        }
        checks::bounds(previous, &self.node)?;
        self.removals.published(previous, &self.node.view, now)?;
        let moves = sweep::published(&self.design, &self.users, self.node.now, previous, &self.node.view)?;
        self.report.moves += moves;
        self.trace.note(now, &[4, moves], || format!("{moves} users moved"));
        Ok(())
    }

    // What users do.

    fn ask(&mut self, user: usize) -> Result<(), Violation> {
        let now = self.node.now.monotonic;
        let draw = self.dice.roll();
        if let Some(cached) = self.users.cached(user, now) {
            self.users.all[user].at = cached;
            return Ok(());
        }
        if !self.node.serves() {
            return Ok(());
        }
        let own = self.users.all[user].clone();
        let client = self.users.client(&own);
        let given =
            Given { service: own.service, family: own.family, client: &client, now: self.node.now, draw };
        let view = Arc::clone(&self.node.view);
        let selection = given.of(&view);
        let first = match selection.answer {
            Answer::Addresses(addresses) => addresses.first().copied(),
            _ => None,
        };
        let numbers =
            [5, user as u64, first.map_or(0, number), u64::from(selection.ttl_s), u64::from(selection.scope)];
        self.trace.note(now, &numbers, || {
            let who = format!("{} asks s{} {:?}", own.network, own.service, own.family);
            format!("{who}: {:?} ttl {} scope {}", selection.answer, selection.ttl_s, selection.scope)
        });
        self.report.answers += 1;
        let context = Context {
            node: &self.node,
            truth: &self.truth,
            ledger: &self.ledger,
            design: &self.design,
            operators: &self.operators,
            healed: &self.healed,
        };
        checks::answer(&context, given, &selection, &mut self.check_dice)?;
        self.users.keep(user, selection.scope, selection.ttl_s, first, now);
        self.users.all[user].at = first;
        Ok(())
    }

    // What happens to the world.

    fn act(&mut self, act: Act) -> Result<(), Violation> {
        let now = self.node.now.monotonic;
        let jump = matches!(act, Act::Jump { .. });
        if !jump {
            self.trace.note(now, &[6], || format!("--- {act:?}"));
        }
        match act {
            Act::Begin(fault) => self.truth.faults[fault].since = Some(now),
            Act::End(fault) => self.truth.faults[fault].since = None,
            Act::Override { region, kind, force } => {
                let name = self.design.regions[region].name;
                let present = self.design.regions[region].present;
                let now = self.node.now;
                self.operators.set(&mut self.node.board, (region, name, present), kind, force, now)?;
            }
            Act::Remove { region } => {
                self.operators.remove(&mut self.node.board, &self.design, region, self.node.now)?;
            }
            Act::Reload(change) => self.reload(change)?,
            Act::Pause(time) => {
                self.paused_until = Some(now + time);
                self.ledger.delay_all(now, time);
                self.operators.delay(now, time);
            }
            Act::Restart { restores } => self.restart(restores)?,
            Act::Jump { seconds } if self.clock == Clock::Jumps => {
                let by = Duration::from_secs(seconds.unsigned_abs());
                let wall = self.node.now.wall;
                self.node.now.wall = if seconds < 0 { wall - by } else { wall + by };
            }
            Act::Jump { .. } => {}
            Act::Loss(on) => self.lossy = on,
        }
        Ok(())
    }

    fn reload(&mut self, change: Change) -> Result<(), Violation> {
        let wrong = |text: String| Err(Violation::new(Checker::Reload, text));
        let before = self.design.clone();
        self.edit(change);
        let previous = Arc::clone(&self.node.view);
        let known: Vec<(Key, Verdict)> = self.ledger.0.iter().map(|(key, own)| (*key, own.verdict)).collect();
        // The daemon tells what the board has to tell before it gives the board up.
        self.hear()?;
        let reloaded = match self.node.reload(&self.design) {
            Ok(reloaded) => reloaded,
            Err(text) => return wrong(text),
        };
        match reloaded {
            Reloaded::Refused(problems) => {
                let fence = problems.iter().all(|problem| problem.contains("fenced branch"));
                if change != Change::Mistake && !fence {
                    return wrong(format!("{change:?} is refused: {problems:?}\n{}", self.design.toml()));
                }
                self.report.refused_reloads += 1;
                self.design = before;
                return match Arc::ptr_eq(&previous, &self.node.view) {
                    true => Ok(()),
                    false => wrong("a refused reload changed the view".into()),
                };
            }
            Reloaded::Done if change == Change::Mistake => return wrong("a mistake is accepted".into()),
            Reloaded::Done => {}
        }
        self.report.reloads += 1;
        self.reloaded(change, &previous, &known)
    }

    /// What must be true after a reload.
    fn reloaded(
        &mut self,
        change: Change,
        previous: &Arc<View>,
        known: &[(Key, Verdict)],
    ) -> Result<(), Violation> {
        let now = self.node.now.monotonic;
        self.ledger.retarget(self.node.board.targets().iter(), now);
        self.healed = node::healed(&self.node.view);
        for (key, verdict) in known {
            let found = self.verdict_of(*key);
            if found.is_some_and(|found| found != *verdict) {
                let text = format!("{} was {verdict:?}, and after the reload is {found:?}", key.0);
                return Err(Violation::new(Checker::Reload, text));
            }
        }
        if let Some(between) = self.node.publish_if_due() {
            checks::bounds(&between, &self.node)?;
        }
        self.ledger.published();
        self.removals.take(&self.node.view);
        checks::bounds(previous, &self.node)?;
        if change == Change::Nothing && self.is_up_to_date(previous) {
            for service in 0..self.design.services.len() {
                for family in Family::ALL {
                    let lane = (service, family, self.node.now);
                    sweep::unmoved(&self.users, lane, previous, &self.node.view, Checker::Reload)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a view of before has everything that was known when the new one was made.
    fn is_up_to_date(&self, previous: &View) -> bool {
        previous.health == self.node.view.health
    }

    fn verdict_of(&self, key: Key) -> Option<Verdict> {
        let at = self.node.board.targets().iter().position(|spec| ledger::key(spec) == Some(key))?;
        let id = meridian::ids::TargetId(at as u32);
        self.node.board.status(id, self.node.now).map(|status| status.health.verdict)
    }

    fn edit(&mut self, change: Change) {
        self.design.mistake = change == Change::Mistake;
        match change {
            Change::Nothing | Change::Mistake => {}
            Change::Weights => {
                for own in &mut self.design.endpoints {
                    own.weight = *self.dice.pick(&[1, 20, 100, 300]);
                }
            }
            Change::Ttl => {
                for own in &mut self.design.services {
                    own.ttl_s = *self.dice.pick(&[(20, 60), (30, 45), (20, 30)]);
                }
            }
            Change::Remove(region) => {
                let left = self.design.regions.iter().filter(|own| own.present).count();
                self.design.regions[region].present = left <= 2;
            }
            Change::Add(region) => self.design.regions[region].present = true,
        }
    }

    /// The process starts anew, with what it has left behind or with nothing (T2).
    fn restart(&mut self, restores: bool) -> Result<(), Violation> {
        let wrong = |text: String| Violation::new(Checker::Reload, text);
        let now = self.node.now;
        let seed = self.dice.roll();
        let left = self.node.board.remember(now);
        self.node = Node::start(&self.design, now, seed).map_err(wrong)?;
        self.orders.clear();
        self.paused_until = None;
        if !restores {
            self.ledger.forget(now.monotonic);
            self.ledger.retarget(self.node.board.targets().iter(), now.monotonic);
            self.removals = Removals::default();
            self.healed = node::healed(&self.node.view);
            return self.operators.repeat(&mut self.node.board, &self.design, now);
        }
        self.node.restore(&left);
        self.healed = node::healed(&self.node.view);
        self.ledger.delay_all(now.monotonic, Duration::from_secs(10));
        self.removals.take(&self.node.view);
        let known: Vec<(Key, Verdict)> = self.ledger.0.iter().map(|(key, own)| (*key, own.verdict)).collect();
        for (key, verdict) in known {
            match self.verdict_of(key) {
                Some(found) if found == verdict => {}
                // Too old to be believed (H1).
                Some(Verdict::Unknown) => self.ledger.forget_one(key, now.monotonic),
                found => {
                    return Err(wrong(format!("{} was {verdict:?}, restored as {found:?}", key.0)));
                }
            }
        }
        self.ledger.published();
        Ok(())
    }
}

fn number(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6) as u64,
    }
}

fn verdict(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Up => 1,
        Verdict::Down => 2,
        Verdict::Unknown => 3,
    }
}
