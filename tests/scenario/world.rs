//! The server in a scenario's own time: the real configuration, board, view and responder, driven by
//! steps; no socket, no thread, no clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian::compile::locations::Atlas;
use meridian::dnssec::{OnlineLimits, OnlineSignatures};
use meridian::health::feed::{Amount, FeedProblem, Reading};
use meridian::health::{
    Board, BoardLimits, Check, Command, Event, Failure, Forced, Observation, OverrideKind, ProbeOrder,
    Selector, TargetAddress, Timings, Transition, Verdict, Which,
};
use meridian::ids::{CounterId, TargetId};
use meridian::now::Now;
use meridian::respond::{self, Asked, Outcome, Transport};
use meridian::view::{Snapshot, View};

use crate::files::{Compiled, Files};
use crate::names::{self, endpoints, targets};
use crate::play::{Change, Server};
use crate::question::Question;
use crate::reply::{self, Reply};
use crate::script::{Load, Sight, Whose};

/// What probes that are not spoken of see.
const WELL: Sight = Sight::Up { connect: Duration::from_millis(10), first_byte: Duration::from_millis(10) };

/// Where the wall clock stands when a scenario starts: 2026-01-01T00:00:00Z.
const WALL: Duration = Duration::from_secs(1_767_225_600);

/// Of jitter: any number will do, but always the same.
const SEED: u64 = 7;

/// Events in one step that lets time pass: more mean that time stands still.
const EVENTS_MAX: usize = 1_000_000;

/// A running server.
pub struct World {
    now: Now,
    board: Board,
    view: Arc<View>,
    published: u64,
    probes: Probes,
    in_flight: BTreeMap<(Duration, u64), Observation>,
    flown: u64,
    transitions: VecDeque<Transition>,
    /// What was told besides, in lines.
    told: Vec<String>,
    /// What feeds counted so far: responses and errors.
    counted: HashMap<TargetId, (u64, u64)>,
    counters: RefCell<HashMap<(String, String), CounterId>>,
    /// What the files last read were warned of.
    warnings: Vec<String>,
    /// The locations of the files last read.
    atlas: Atlas,
}

/// What probes see: later rules go before earlier ones.
#[derive(Clone, Default)]
pub struct Probes(
    Vec<(Whose, Vec<Sight>, HashMap<TargetId, usize>)>,
    Vec<(Whose, Option<Load>)>,
    HashMap<String, Vec<IpAddr>>,
);

impl Probes {
    /// From now on.
    pub fn set(&mut self, whose: Whose, sights: Vec<Sight>) {
        self.0.retain(|(other, ..)| *other != whose);
        self.0.push((whose, sights, HashMap::new()));
    }

    /// What feeds read from now on.
    pub fn set_load(&mut self, whose: Whose, load: Option<Load>) {
        self.1.retain(|(other, _)| *other != whose);
        self.1.push((whose, load));
    }

    /// What a look-up of a host name finds from now on; nothing: it fails.
    pub fn set_addresses(&mut self, host: &str, addresses: &[IpAddr]) {
        self.2.insert(host.to_owned(), addresses.to_vec());
    }

    /// What a feed of an address reads; nothing is under way where nothing is said.
    fn load(&self, snapshot: &Snapshot, address: &TargetAddress) -> Option<Load> {
        let is_theirs = |whose: &Whose| {
            endpoints(snapshot, whose).into_iter().filter_map(|id| snapshot.fleet.endpoint(id)).any(
                |endpoint| {
                    endpoint.addresses.iter().any(|own| TargetAddress::Address(own.address) == *address)
                },
            )
        };
        let rule = self.1.iter().rev().find(|(whose, _)| is_theirs(whose));
        rule.map_or(Some(Load { current: 0.0, errors: 0.0 }), |(_, load)| *load)
    }

    /// What probes of a target see that stays the same.
    pub fn standing(&self, snapshot: &Snapshot, target: TargetId) -> Sight {
        let rule = self.0.iter().rev().find(|(whose, ..)| targets(snapshot, whose).contains(&target));
        rule.and_then(|(_, sights, _)| sights.first().copied()).unwrap_or(WELL)
    }

    fn see(&mut self, snapshot: &Snapshot, target: TargetId) -> Sight {
        let rule = self.0.iter_mut().rev().find(|(whose, ..)| targets(snapshot, whose).contains(&target));
        let Some((_, sights, seen)) = rule else { return WELL };
        let number = seen.entry(target).or_default();
        let sight = sights.get(*number % sights.len().max(1)).copied().unwrap_or(WELL);
        *number += 1;
        sight
    }
}

impl Server for World {
    const PATIENCE: Duration = Duration::ZERO;

    fn start(files: &Files, probes: Probes) -> Result<Self, Vec<String>> {
        let counters = RefCell::new(HashMap::new());
        let (compiled, warnings) =
            files.compile(1, &mut |service, endpoint| counted(&counters, service, endpoint))?;
        let start_timeout = compiled.config.server.start_timeout;
        let limits = limits(&compiled);
        let now = Now { monotonic: Duration::ZERO, wall: WALL };
        let snapshot = Arc::new(compiled.snapshot);
        let board = Board::new(Arc::clone(&snapshot.board), limits, now, SEED);
        let calendar = snapshot.calendar(now);
        let view = Arc::new(View::new(snapshot, board.table(), calendar, None));
        let mut world = World {
            now,
            published: board.generation(),
            board,
            view,
            probes,
            in_flight: BTreeMap::new(),
            flown: 0,
            transitions: VecDeque::new(),
            told: Vec::new(),
            counted: HashMap::new(),
            counters,
            warnings,
            atlas: files.atlas().map_err(|problem| vec![problem])?,
        };
        for (whose, ..) in &world.probes.0 {
            names::known(&world.view.snapshot, whose).map_err(|problem| vec![problem])?;
        }
        while !world.board.first_round_done() && world.now.monotonic < start_timeout {
            world.step(start_timeout);
        }
        world.transitions.clear();
        world.told.clear();
        // A scenario's time begins when the server answers.
        Ok(world)
    }

    fn reload(&mut self, files: &Files) -> Result<(), Vec<String>> {
        let counters = &self.counters;
        let generation = self.view.snapshot.generation + 1;
        let (compiled, warnings) =
            files.compile(generation, &mut |service, endpoint| counted(counters, service, endpoint))?;
        let limits = limits(&compiled);
        let snapshot = Arc::new(compiled.snapshot);
        let board = std::mem::replace(&mut self.board, Board::new(Arc::default(), limits, self.now, SEED));
        self.board = board.succeed(Arc::clone(&snapshot.board), limits, self.now);
        self.warnings = warnings;
        self.atlas = files.atlas().map_err(|problem| vec![problem])?;
        let calendar = snapshot.calendar(self.now);
        self.view = Arc::new(View::new(snapshot, self.board.table(), calendar, Some(&self.view)));
        self.listen();
        self.publish();
        Ok(())
    }

    fn probe(&mut self, whose: Whose, sights: Vec<Sight>) -> Result<(), String> {
        names::known(&self.view.snapshot, &whose)?;
        self.probes.set(whose, sights);
        Ok(())
    }

    fn load(&mut self, whose: Whose, load: Option<Load>) -> Result<(), String> {
        names::known(&self.view.snapshot, &whose)?;
        self.probes.set_load(whose, load);
        Ok(())
    }

    fn resolve(&mut self, host: &str, addresses: &[IpAddr]) -> Result<(), String> {
        self.probes.set_addresses(host, addresses);
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.now.monotonic + time;
        self.transitions.clear();
        self.told.clear();
        for _ in 0..EVENTS_MAX {
            if !self.step(until) {
                return Ok(());
            }
        }
        Err("time stands still".to_owned())
    }

    fn at(&mut self, time: Duration) -> Result<(), String> {
        match time.checked_sub(self.now.monotonic) {
            Some(rest) => self.pass(rest),
            None => Err(format!("it is {:?} already", self.now.monotonic)),
        }
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn wait(&mut self, whose: &Whose, verdict: Verdict, within: Duration) -> Result<(), String> {
        names::known(&self.view.snapshot, whose)?;
        let until = self.now.monotonic + within;
        self.transitions.clear();
        self.told.clear();
        loop {
            let own = targets(&self.view.snapshot, whose);
            if own.iter().all(|target| {
                self.board.status(*target, self.now).is_some_and(|status| status.health.verdict == verdict)
            }) {
                return Ok(());
            }
            if !self.step(until) {
                let found: Vec<_> = own.iter().map(|target| self.board.status(*target, self.now)).collect();
                return Err(format!("expected {verdict:?} within {within:?}\n    found    {found:?}"));
            }
        }
    }

    fn force(&mut self, whose: &Whose, forced: Forced) -> Result<(), String> {
        names::known(&self.view.snapshot, whose)?;
        let fleet = &self.view.snapshot.fleet;
        let names: Vec<String> = endpoints(&self.view.snapshot, whose)
            .into_iter()
            .filter_map(|endpoint| Some(fleet.endpoint(endpoint)?.name.to_string()))
            .collect();
        names.iter().try_for_each(|name| self.command(&word(name, forced)))
    }

    fn command(&mut self, command: &Command) -> Result<(), String> {
        self.told.clear();
        let outcome = self.board.command(command.clone(), self.now);
        self.listen();
        self.publish();
        outcome.map(|_| ()).map_err(|refusal| refusal.to_string())
    }

    fn told(&mut self) -> Result<Vec<String>, String> {
        Ok(self.told.clone())
    }

    fn set_wall(&mut self, forward: bool, by: Duration) -> Result<(), String> {
        let wall = self.now.wall;
        self.now.wall = if forward { wall.saturating_add(by) } else { wall.saturating_sub(by) };
        Ok(())
    }

    fn clock(&mut self, wall: Duration) -> Result<(), String> {
        self.now.wall = wall;
        self.publish();
        Ok(())
    }

    fn explain(&self, parameters: &[(String, String)]) -> Result<String, String> {
        let question = meridian::control::Question::from_parameters(parameters)?;
        let locate = |client| self.atlas.row(client).map_err(|error| error.to_string());
        let report = meridian::control::report(&self.view, &question, self.now, &locate)?;
        serde_json::to_string_pretty(&report).map_err(|error| error.to_string())
    }

    fn transition(&mut self) -> Result<Option<Change>, String> {
        Ok(self.transitions.pop_front().map(|transition| Change {
            label: transition.label,
            from: transition.from,
            to: transition.to,
            cause: transition.cause,
        }))
    }

    fn concerns(&self, change: &Change, whose: &Whose) -> bool {
        names::concerns(&self.view.snapshot, &change.label, whose)
    }

    fn ask(&self, question: &Question, draw: u64) -> Result<Option<Reply>, String> {
        let query = question.octets(draw as u16);
        let asked = Asked {
            source: question.from,
            transport: if question.tcp { Transport::Tcp } else { Transport::Udp },
            class: self.view.snapshot.catalog.classes().of(question.from, question.at),
            idle_timeout: None,
            admission: meridian::limit::Admission::Within,
        };
        let mut buffer = vec![0; 65535];
        let mut unsigned = OnlineSignatures::new(OnlineLimits::NONE, [0; 16]);
        match respond::respond(&self.view, &asked, self.now, draw, &query, &mut buffer, &mut unsigned) {
            Outcome::Drop(_) => Ok(None),
            Outcome::Errand(errand) => Err(format!("nobody may have anything here: {errand:?}")),
            Outcome::Reply { length, .. } => {
                let octets = buffer.get(..length).ok_or("a reply longer than the buffer")?;
                let reply = reply::read(question, &query, octets)
                    .map_err(|why| format!("{why}\n    the reply is {octets:02x?}"))?;
                Ok(Some(reply))
            }
        }
    }
}

impl World {
    /// Goes on to the next event, at most to `until`; whether there was one.
    fn step(&mut self, until: Duration) -> bool {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let due = self.board.poll_timeout(self.now).map(|wait| self.now.monotonic + wait);
        let next = arrival.into_iter().chain(due).min().filter(|next| *next <= until);
        let Some(next) = next else {
            self.now = self.now.after(until.saturating_sub(self.now.monotonic));
            return false;
        };
        self.now = self.now.after(next.saturating_sub(self.now.monotonic));
        while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= next) {
            let observation = entry.remove();
            self.board.observe(observation, self.now);
        }
        for order in self.board.poll_due(self.now) {
            self.launch(order);
        }
        self.listen();
        self.publish();
        true
    }

    fn listen(&mut self) {
        while let Some(event) = self.board.poll_event() {
            match event {
                Event::Transition(transition) => self.transitions.push_back(transition),
                Event::Notice(notice) => self.told.push(format!("{}: {notice}", notice.word())),
            }
        }
    }

    /// A probe starts: what it will see arrives when it would have seen it.
    fn launch(&mut self, order: ProbeOrder) {
        let sight = self.probes.see(&self.view.snapshot, order.target);
        let Some(target) = self.board.targets().get(order.target.index()) else { return };
        let asks = !matches!(target.check, Check::Tcp(_));
        let is_feed = matches!(target.check, Check::Load(_));
        let load = self.probes.load(&self.view.snapshot, &target.address);
        let (took, outcome) = match sight {
            Sight::Silent => return,
            Sight::Up { connect, first_byte } => {
                let total = if asks { connect + first_byte } else { connect };
                let first_byte = asks.then_some(first_byte);
                (total, Ok(Timings { connect, tls: None, first_byte, total }))
            }
            Sight::Down(failure @ (Failure::ConnectTimeout | Failure::AnswerTimeout)) => {
                (target.cadence.timeout, Err(failure))
            }
            Sight::Down(failure) => (Duration::from_millis(1), Err(failure)),
        };
        self.flown += 1;
        let mut observation = Observation::local(order, outcome);
        if let (Check::Resolve, TargetAddress::Host(host)) = (&target.check, &target.address) {
            let found = self.probes.2.get(host).cloned().unwrap_or_default();
            if found.is_empty() {
                observation.outcome = Err(Failure::NameNotFound);
            }
            observation.resolved = found.into();
        }
        if is_feed {
            match load {
                Some(load) => observation.reading = Some(self.read(order.target, load)),
                None => observation.outcome = Err(Failure::Feed(FeedProblem::NotTheFormat)),
            }
        }
        self.in_flight.insert((self.now.monotonic + took, self.flown), observation);
    }

    /// A page: a hundred responses more than the last one said.
    fn read(&mut self, target: TargetId, load: Load) -> Reading {
        let (responses, errors) = self.counted.entry(target).or_default();
        *responses += 100;
        *errors += load.errors.round() as u64;
        Reading {
            current: Amount::from_units(load.current).unwrap_or_default(),
            responses: Some(*responses),
            errors: Some(*errors),
        }
    }

    fn publish(&mut self) {
        if self.published != self.board.generation() || self.view.calendar.has_run_out(self.now) {
            self.published = self.board.generation();
            let snapshot = Arc::clone(&self.view.snapshot);
            let calendar = snapshot.calendar(self.now);
            self.view = Arc::new(View::new(snapshot, self.board.table(), calendar, Some(&self.view)));
        }
    }
}

/// The command that sets an endpoint's state, or takes it back.
fn word(endpoint: &str, forced: Forced) -> Command {
    let selector = Selector::endpoint(endpoint);
    let (actor, reason) = ("scenario".to_owned(), "shown".to_owned());
    let kind = match forced {
        Forced::Up => OverrideKind::ForceUp,
        Forced::Down => OverrideKind::ForceDown,
        Forced::Drained => OverrideKind::Drain { over: None },
        Forced::Not => {
            return Command::Remove { which: Which::Selector(selector), reason, actor, force: true };
        }
    };
    Command::Override { kind, selector, reason, actor, expires_in: None, force: true }
}

fn limits(compiled: &Compiled) -> BoardLimits {
    BoardLimits { under_way_max: compiled.config.probes.concurrency_max }
}

fn counted(
    counters: &RefCell<HashMap<(String, String), CounterId>>,
    service: &str,
    endpoint: &str,
) -> CounterId {
    let mut counters = counters.borrow_mut();
    let next = CounterId(counters.len() as u32);
    *counters.entry((service.to_owned(), endpoint.to_owned())).or_insert(next)
}
