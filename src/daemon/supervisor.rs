//! The one loop: every input of the process, and the only place from which an answer can change.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::command::{Command, Phase, ReloadCounts, Reloaded};
use super::notify::{State, notify};
use super::prepare::{Prepared, Refused, Source, needs_restart};
use super::status::{Facts, status};
use crate::health::{Board, Event, Level, Notice, Observation, Transition, Verdict};
use crate::ids::ServiceId;
use crate::now::Now;
use crate::probe::Prober;
use crate::publish::Cell;
use crate::server::{Bound, Clock, ConnectionLimits, Server};
use crate::telemetry::Telemetry;
use crate::view::View;

/// Views follow each other no faster than this: many targets that change at once make one new view.
pub const COALESCING_INTERVAL: Duration = Duration::from_millis(100);
/// Observations waiting for the supervisor; beyond that, probes wait to report.
pub const OBSERVATIONS_WAITING_MAX: usize = 1024;
/// The longest sleep: a board that has nothing to do is still asked this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Everything that can happen to the process.
enum Input {
    /// A probe's outcome.
    Observation(Observation),
    /// A request from outside.
    Command(Command),
    /// A signal.
    Signal(Signal),
    /// A configuration that was being read and compiled is ready, or is not.
    Compiled(Result<Box<Prepared>, Refused>),
    /// Time has passed.
    Tick,
}

/// The signals that mean something to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Signal {
    /// SIGHUP
    Reload,
    /// SIGTERM or SIGINT
    Stop,
}

/// What the supervisor is built from.
pub struct Parts {
    /// Where configurations come from.
    pub source: Source,
    /// The first configuration, compiled.
    pub prepared: Prepared,
    /// The opened sockets.
    pub sockets: Vec<Bound>,
    /// What connections are held to.
    pub connection_limits: ConnectionLimits,
    /// The state of health.
    pub board: Board,
    /// The first view.
    pub view: Arc<View>,
    /// Where it is published.
    pub cell: Arc<Cell>,
    /// What time it is.
    pub clock: Clock,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// Runs the probes.
    pub prober: Prober,
    /// What the probes saw.
    pub observations: mpsc::Receiver<Observation>,
    /// What is asked.
    pub commands: mpsc::Receiver<Command>,
}

/// The process's state, owned by one task.
pub struct Supervisor {
    source: Source,
    prepared: Prepared,
    board: Board,
    /// The view in force.
    view: Arc<View>,
    cell: Arc<Cell>,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    prober: Prober,
    life: Life,
    connection_limits: ConnectionLimits,
    listen: Vec<SocketAddr>,
    inputs: Inputs,
    /// Who waits for the reload that is under way; `None`: none is.
    reloading: Option<Vec<oneshot::Sender<Reloaded>>>,
    /// Who asked while one was under way: the files may have changed since it began.
    reload_again: Option<Vec<oneshot::Sender<Reloaded>>>,
    reloads: ReloadCounts,
    transitions: u64,
    /// The board's generation that the view in force was made from.
    published_health: u64,
    published: Now,
    /// The services for which a last resort answered in the view in force, by name.
    all_down: BTreeSet<String>,
}

/// Where the process is in its life, with what it needs there.
enum Life {
    /// Sockets are open, nothing is read from them until the first round or `until`.
    Starting { until: Duration, sockets: Vec<Bound> },
    /// Queries are answered.
    Serving { server: Server },
    /// Queries are answered until `until`; readiness is off.
    Draining { until: Duration, server: Option<Server> },
}

/// Where inputs come from.
struct Inputs {
    observations: mpsc::Receiver<Observation>,
    commands: mpsc::Receiver<Command>,
    compiled: mpsc::Receiver<Result<Box<Prepared>, Refused>>,
    compiled_sender: mpsc::Sender<Result<Box<Prepared>, Refused>>,
    hangup: SignalStream,
    terminate: SignalStream,
    interrupt: SignalStream,
}

impl Supervisor {
    /// Takes everything over. Call it inside the runtime.
    ///
    /// # Errors
    /// When the system refuses to deliver signals.
    pub fn new(parts: Parts) -> std::io::Result<Supervisor> {
        let (compiled_sender, compiled) = mpsc::channel(1);
        let inputs = Inputs {
            observations: parts.observations,
            commands: parts.commands,
            compiled,
            compiled_sender,
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        };
        let now = parts.clock.now();
        let until = now.monotonic.saturating_add(parts.prepared.config.server.start_timeout);
        Ok(Supervisor {
            source: parts.source,
            prepared: parts.prepared,
            published_health: parts.board.generation(),
            board: parts.board,
            view: parts.view,
            cell: parts.cell,
            clock: parts.clock,
            telemetry: parts.telemetry,
            prober: parts.prober,
            listen: parts.sockets.iter().map(|bound| bound.address).collect(),
            life: Life::Starting { until, sockets: parts.sockets },
            connection_limits: parts.connection_limits,
            inputs,
            reloading: None,
            reload_again: None,
            reloads: ReloadCounts::default(),
            transitions: 0,
            published: now,
            all_down: BTreeSet::new(),
        })
    }

    /// Runs until the process is to end.
    ///
    /// # Errors
    /// When the server cannot be started.
    pub async fn run(mut self) -> std::io::Result<()> {
        self.prober.retarget(self.board.targets());
        loop {
            let now = self.clock.now();
            self.start_due_probes(now);
            self.tell_events();
            self.publish_if_due(now);
            if self.grow_up(now).await?.is_break() {
                return Ok(());
            }
            let input = self.next_input().await;
            if self.handle(input).is_break() {
                return Ok(());
            }
        }
    }

    async fn next_input(&mut self) -> Input {
        let sleep_for = self.sleep_for(self.clock.now());
        let inputs = &mut self.inputs;
        tokio::select! {
            biased;
            _ = inputs.terminate.recv() => Input::Signal(Signal::Stop),
            _ = inputs.interrupt.recv() => Input::Signal(Signal::Stop),
            _ = inputs.hangup.recv() => Input::Signal(Signal::Reload),
            Some(command) = inputs.commands.recv() => Input::Command(command),
            Some(compiled) = inputs.compiled.recv() => Input::Compiled(compiled),
            Some(observation) = inputs.observations.recv() => Input::Observation(observation),
            () = sleep(sleep_for) => Input::Tick,
        }
    }

    /// How long until something is due whatever happens.
    fn sleep_for(&self, now: Now) -> Duration {
        let until = |instant: Duration| instant.saturating_sub(now.monotonic);
        let mut least = self.board.poll_timeout(now).unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
        if self.board.generation() != self.published_health {
            least = least.min(until(self.published.monotonic + COALESCING_INTERVAL));
        }
        match &self.life {
            Life::Starting { until: deadline, .. } | Life::Draining { until: deadline, .. } => {
                least.min(until(*deadline))
            }
            Life::Serving { .. } => least,
        }
    }

    fn handle(&mut self, input: Input) -> ControlFlow<()> {
        match input {
            Input::Observation(observation) => self.board.observe(observation, self.clock.now()),
            Input::Command(Command::Reload(reply)) => self.reload(Some(reply)),
            Input::Command(Command::Status(reply)) => self.tell_status(reply),
            Input::Signal(Signal::Reload) => self.reload(None),
            Input::Signal(Signal::Stop) => return self.begin_to_stop(),
            Input::Compiled(compiled) => self.finish_reload(compiled),
            Input::Tick => {}
        }
        ControlFlow::Continue(())
    }

    fn start_due_probes(&mut self, now: Now) {
        for order in self.board.poll_due(now) {
            self.prober.start(order);
        }
    }

    fn tell_events(&mut self) {
        while let Some(event) = self.board.poll_event() {
            match event {
                Event::Transition(transition) => {
                    self.transitions += 1;
                    log_transition(&transition);
                }
                Event::Notice(notice) => log_notice(&notice),
            }
        }
    }

    /// At most one new view per coalescing interval, and none when neither health nor a schedule has changed.
    fn publish_if_due(&mut self, now: Now) {
        let due = self.published.monotonic.saturating_add(COALESCING_INTERVAL);
        let changed = self.board.generation() != self.published_health || self.view.calendar.has_run_out(now);
        if changed && now.monotonic >= due {
            self.publish();
        }
    }

    /// Makes a view of the snapshot and the health as they are, and puts it in force.
    fn publish(&mut self) {
        let table = self.board.table();
        self.published_health = self.board.generation();
        let (snapshot, previous) = (self.prepared.snapshot.clone(), self.view.clone());
        // Deciding for every class of places can take a while: the runtime's other tasks go on elsewhere.
        let calendar = snapshot.calendar(self.clock.now());
        let view = tokio::task::block_in_place(|| View::new(snapshot, table, calendar, Some(&previous)));
        self.view = Arc::new(view);
        self.cell.publish(self.view.clone());
        self.published = self.clock.now();
        self.tell_last_resorts();
    }

    /// Tells telemetry where the endpoints of the generation to come are.
    fn tell_places(&self) {
        let fleet = &self.prepared.snapshot.fleet;
        let regions = fleet.endpoints.iter().map(|own| (&*own.name, fleet.region_name(own.region)));
        self.telemetry.place(regions);
    }

    /// One line per service that has lost its last healthy endpoint somewhere, or has one again (R9).
    fn tell_last_resorts(&mut self) {
        let plans = self.view.snapshot.plans.iter().enumerate();
        let all_down = plans
            .filter(|(index, _)| {
                self.view.table(ServiceId(*index as u32)).is_some_and(|table| table.all_down())
            })
            .map(|(_, plan)| plan.name.to_string())
            .collect::<BTreeSet<_>>();
        for service in all_down.difference(&self.all_down) {
            tracing::error!(service, "nothing healthy is left for some clients: the last resort answers");
        }
        for service in self.all_down.difference(&all_down) {
            tracing::info!(service, "healthy again for all clients");
        }
        self.all_down = all_down;
    }

    /// Goes from one phase of life to the next when its time has come; breaks at the end.
    async fn grow_up(&mut self, now: Now) -> std::io::Result<ControlFlow<()>> {
        match &mut self.life {
            Life::Starting { until, sockets } => {
                let complete = self.board.first_round_done();
                if complete || now.monotonic >= *until {
                    let sockets = std::mem::take(sockets);
                    self.begin_to_serve(sockets, complete)?;
                }
            }
            Life::Serving { .. } => {}
            Life::Draining { until, server } => {
                if now.monotonic >= *until {
                    if let Some(server) = server.take() {
                        server.stop().await;
                    }
                    tracing::info!("stopped");
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn begin_to_serve(&mut self, sockets: Vec<Bound>, complete: bool) -> std::io::Result<()> {
        if !complete {
            tracing::warn!("start_timeout has passed: what has no verdict yet counts as eligible");
        }
        self.tell_places();
        self.publish();
        let server = Server::start(sockets, &self.cell, self.clock, self.connection_limits, &self.telemetry)?;
        self.life = Life::Serving { server };
        let listen = self.listen.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        tracing::info!(listen, generation = self.view.snapshot.generation, "ready");
        notify(State::Ready);
        Ok(())
    }

    /// The first request to stop drains, the second does not wait.
    fn begin_to_stop(&mut self) -> ControlFlow<()> {
        let drain = self.prepared.config.server.drain_timeout;
        let until = self.clock.now().monotonic.saturating_add(drain);
        let serving = Life::Draining { until, server: None };
        match std::mem::replace(&mut self.life, serving) {
            Life::Starting { .. } => {
                tracing::info!("stopped before the first answer");
                ControlFlow::Break(())
            }
            Life::Serving { server } => {
                tracing::info!(?drain, "stopping: readiness is off, queries are answered a little longer");
                notify(State::Stopping);
                self.life = Life::Draining { until, server: Some(server) };
                ControlFlow::Continue(())
            }
            Life::Draining { .. } => {
                tracing::warn!("told again to stop: stopping at once");
                ControlFlow::Break(())
            }
        }
    }

    /// Begins to read and compile the configuration on another thread. A request during a reload starts
    /// another one after it.
    fn reload(&mut self, reply: Option<oneshot::Sender<Reloaded>>) {
        if self.reloading.is_some() {
            self.reload_again.get_or_insert_default().extend(reply);
            return;
        }
        tracing::info!(config = %self.source.path.display(), "reloading");
        self.reloading = Some(reply.into_iter().collect());
        let (source, telemetry, earlier) =
            (self.source.clone(), self.telemetry.clone(), self.prepared.maps());
        let generation = self.view.snapshot.generation + 1;
        let sender = self.inputs.compiled_sender.clone();
        tokio::spawn(async move {
            let compiling = tokio::task::spawn_blocking(move || {
                let mut counter = |service: &str, endpoint: &str| telemetry.counter(service, endpoint);
                source.read(generation, &earlier, &mut counter).outcome()
            });
            let compiled = match compiling.await {
                Ok(compiled) => compiled.map(Box::new),
                Err(_) => Err(Refused { problems: "reading the configuration panicked".to_owned() }),
            };
            // Fails only when the supervisor is gone.
            let _ = sender.send(compiled).await;
        });
    }

    fn finish_reload(&mut self, compiled: Result<Box<Prepared>, Refused>) {
        let outcome = match compiled {
            Ok(prepared) => self.take_over(*prepared),
            Err(refused) => {
                self.reloads.refused += 1;
                tracing::error!(
                    generation = self.view.snapshot.generation,
                    "reload refused, the old generation stays:\n{}",
                    refused.problems
                );
                Reloaded::Refused { problems: refused.problems }
            }
        };
        for reply in self.reloading.take().unwrap_or_default() {
            // Who asked may have left.
            let _ = reply.send(outcome.clone());
        }
        if let Some(again) = self.reload_again.take() {
            self.reload(None);
            self.reloading = Some(again);
        }
    }

    /// Puts a new generation in force: health and counters are carried over by identity, sockets stay.
    fn take_over(&mut self, prepared: Prepared) -> Reloaded {
        let restart = needs_restart(&self.prepared.config, &prepared.config);
        let now = self.clock.now();
        let spec = Arc::clone(&prepared.snapshot.board);
        let limits = prepared.board_limits();
        let board = std::mem::replace(&mut self.board, Board::new(Arc::default(), limits, now, 0));
        self.board = board.succeed(spec, limits, now);
        if prepared.probe_limits() != self.prepared.probe_limits() {
            self.prober = self.prober.limited(prepared.probe_limits());
        }
        self.prober.retarget(self.board.targets());
        let mut remarks = prepared.warnings.clone();
        if !remarks.is_empty() {
            tracing::warn!("{}", remarks.trim_end());
        }
        self.prepared = prepared;
        self.tell_places();
        self.publish();
        self.reloads.done += 1;
        for setting in restart {
            tracing::warn!(setting, "changed, and takes effect only after a restart");
            remarks.push_str(&format!("{setting} has changed and takes effect only after a restart\n"));
        }
        let generation = self.view.snapshot.generation;
        tracing::info!(generation, services = self.view.snapshot.plans.len(), "reloaded");
        Reloaded::Done { generation, remarks }
    }

    fn tell_status(&self, reply: oneshot::Sender<Box<super::command::Status>>) {
        let facts = Facts {
            phase: match self.life {
                Life::Starting { .. } => Phase::Starting,
                Life::Serving { .. } => Phase::Serving,
                Life::Draining { .. } => Phase::Draining,
            },
            published: self.published,
            listen: &self.listen,
            reloads: self.reloads,
            transitions: self.transitions,
        };
        let status = status(&self.view, &self.board, &self.telemetry, self.clock.now(), &facts);
        // Who asked may have left.
        let _ = reply.send(Box::new(status));
    }
}

fn log_notice(notice: &Notice) {
    let event = notice.word();
    match notice.level() {
        Level::Info => tracing::info!(event, "{notice}"),
        Level::Warning => tracing::warn!(event, "{notice}"),
        Level::Alert => tracing::error!(event, "{notice}"),
    }
}

fn log_transition(transition: &Transition) {
    let (endpoint, cause) = (&transition.label, &transition.cause);
    let (from, to) = (verdict_label(transition.from), verdict_label(transition.to));
    match transition.to {
        Verdict::Down => tracing::warn!(endpoint, from, to, cause, "health changed"),
        Verdict::Up | Verdict::Unknown => tracing::info!(endpoint, from, to, cause, "health changed"),
    }
}

const fn verdict_label(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Up => "up",
        Verdict::Down => "down",
        Verdict::Unknown => "unknown",
    }
}
