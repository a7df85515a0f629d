//! The one loop: every input of the process, and the only place from which an answer can change.

mod keep;
mod life;
mod operate;
mod reload;
mod secondary;
mod sign;
mod tell;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::certificates::Certificates;
use super::command::{Command, ReloadCounts};
use super::locations::LocationFiles;
use super::prepare::{Prepared, Refused, Source};
use super::secondaries::{Carried, Secondaries};
use crate::health::{Board, Observation};
use crate::now::Now;
use crate::probe::Prober;
use crate::publish::Cell;
use crate::refresh::{Refresher, Report};
use crate::server::{Clock, Entrances};
use crate::state::{Keeper, Kept};
use crate::telemetry::Telemetry;
use crate::transfer::{Changed, Desk};
use crate::view::View;
use crate::zone::Replacement;

use keep::Keeping;
use life::Life;
use reload::Reloading;
use sign::SignedAnew;

pub use sign::{Ready, SharedSigning, held, make_ready};

/// Views follow each other no faster than this: many targets that change at once make one new view.
pub const COALESCING_INTERVAL: Duration = Duration::from_millis(100);
/// Observations waiting for the supervisor; beyond that, probes wait to report.
pub const OBSERVATIONS_WAITING_MAX: usize = 1024;
/// The longest sleep: a board that has nothing to do is still asked this often.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Rings and signatures are looked at this often: their times are hours and days.
const SIGNING_INTERVAL: Duration = Duration::from_secs(1);
/// Zones that were signed beside the loop and wait for it.
const SIGNED_WAITING_MAX: usize = 64;
/// After a view could not be signed, and so was not published, the next one is tried no sooner.
const UNSIGNED_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Everything that can happen to the process.
enum Input {
    /// A probe's outcome.
    Observation(Observation),
    /// A request from outside.
    Command(Command),
    /// A signal.
    Signal(Signal),
    /// A configuration that was being read and compiled is ready, or is not.
    Compiled(Result<Box<Ready>, Refused>),
    /// A zone was signed beside the loop, or was not.
    Signed(Box<SignedAnew>),
    /// What a primary had of a zone.
    Refreshed(Box<Report>),
    /// A primary tells that a zone has changed.
    Changed(Box<Changed>),
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
    /// The ways in, opened.
    pub entrances: Entrances,
    /// What the encrypted ones show.
    pub certificates: Certificates,
    /// The state of health.
    pub board: Board,
    /// The first view.
    pub view: Arc<View>,
    /// Where it is published.
    pub cell: Arc<Cell>,
    /// The location files of the configuration in force.
    pub locations: Arc<ArcSwap<LocationFiles>>,
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
    /// Keeps what outlives the process.
    pub keeper: Keeper<Kept>,
    /// Where the server brings its errands.
    pub desk: Arc<Desk>,
    /// The signed zones.
    pub signing: SharedSigning,
    /// The zones from primaries, with what there is of them.
    pub carried: Vec<Carried>,
    /// Asks primaries.
    pub refresher: Refresher,
    /// What they had.
    pub reports: mpsc::Receiver<Report>,
    /// Who tells of changes.
    pub changes: mpsc::Receiver<Changed>,
}

/// The process's state, owned by one task.
pub struct Supervisor {
    source: Source,
    prepared: Prepared,
    board: Board,
    /// The view in force.
    view: Arc<View>,
    cell: Arc<Cell>,
    certificates: Certificates,
    locations: Arc<ArcSwap<LocationFiles>>,
    clock: Clock,
    telemetry: Arc<Telemetry>,
    prober: Prober,
    life: Life,
    listen: Vec<SocketAddr>,
    inputs: Inputs,
    keeper: Keeper<Kept>,
    keeping: Keeping,
    desk: Arc<Desk>,
    signing: SharedSigning,
    /// When it was looked at last, by the monotonic clock.
    signing_looked_at: Duration,
    /// A view could not be signed: no other is made until then.
    unsigned_until: Duration,
    secondaries: Secondaries,
    refresher: Refresher,
    /// Zones that wait to be put in force.
    replacements: Vec<Replacement>,
    /// The reload that is under way, if one is.
    reloading: Option<Reloading>,
    /// What was asked while one was under way: the files may have changed since it began.
    reload_again: Option<Reloading>,
    reloads: ReloadCounts,
    transitions: u64,
    /// The board's generation that the view in force was made from.
    published_health: u64,
    published: Now,
    /// The services for which a last resort answered in the view in force, by name.
    all_down: BTreeSet<String>,
}

/// Where inputs come from.
struct Inputs {
    observations: mpsc::Receiver<Observation>,
    commands: mpsc::Receiver<Command>,
    compiled: mpsc::Receiver<Result<Box<Ready>, Refused>>,
    compiled_sender: mpsc::Sender<Result<Box<Ready>, Refused>>,
    signed: mpsc::Receiver<Box<SignedAnew>>,
    signed_sender: mpsc::Sender<Box<SignedAnew>>,
    reports: mpsc::Receiver<Report>,
    changes: mpsc::Receiver<Changed>,
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
        let (signed_sender, signed) = mpsc::channel(SIGNED_WAITING_MAX);
        let inputs = Inputs {
            observations: parts.observations,
            commands: parts.commands,
            compiled,
            compiled_sender,
            signed,
            signed_sender,
            reports: parts.reports,
            changes: parts.changes,
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
            certificates: parts.certificates,
            locations: parts.locations,
            clock: parts.clock,
            telemetry: parts.telemetry,
            prober: parts.prober,
            listen: parts.entrances.dns.iter().map(|bound| bound.address).collect(),
            life: Life::Starting { until, entrances: Some(Box::new(parts.entrances)) },
            inputs,
            keeper: parts.keeper,
            keeping: Keeping::since(now),
            desk: parts.desk,
            signing: parts.signing,
            signing_looked_at: Duration::ZERO,
            unsigned_until: Duration::ZERO,
            secondaries: Secondaries::start(parts.carried, now),
            refresher: parts.refresher,
            replacements: Vec::new(),
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
            self.refresh_due(now);
            self.tell_events();
            self.sign_if_due(now);
            self.publish_if_due(now);
            self.keep_if_due(now);
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
            Some(signed) = inputs.signed.recv() => Input::Signed(signed),
            Some(report) = inputs.reports.recv() => Input::Refreshed(Box::new(report)),
            Some(changed) = inputs.changes.recv() => Input::Changed(Box::new(changed)),
            Some(observation) = inputs.observations.recv() => Input::Observation(observation),
            () = sleep(sleep_for) => Input::Tick,
        }
    }

    /// How long until something is due whatever happens.
    fn sleep_for(&self, now: Now) -> Duration {
        let until = |instant: Duration| instant.saturating_sub(now.monotonic);
        let mut least = self.board.poll_timeout(now).unwrap_or(SLEEP_MAX).min(SLEEP_MAX);
        if let Some(due) = self.secondaries.due() {
            least = least.min(until(due));
        }
        if self.board.generation() != self.published_health || !self.replacements.is_empty() {
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
            Input::Command(Command::Reload(request)) => self.reload(Reloading::asked(request)),
            Input::Command(Command::Operate(request)) => self.operate(*request),
            Input::Command(Command::Post(request)) => self.post(request),
            Input::Command(Command::Keys(request)) => self.keys(request),
            Input::Command(Command::Status(reply)) => self.tell_status(reply),
            Input::Command(Command::Zones(reply)) => self.tell_zones(reply),
            Input::Command(Command::Refresh(request)) => self.refresh(request),
            Input::Refreshed(report) => self.refreshed(*report),
            Input::Changed(changed) => self.notified(&changed),
            Input::Signal(Signal::Reload) => self.reload(Reloading::signalled()),
            Input::Signal(Signal::Stop) => return self.begin_to_stop(),
            Input::Compiled(compiled) => self.finish_reload(compiled),
            Input::Signed(signed) => self.take_signed(*signed),
            Input::Tick => {}
        }
        ControlFlow::Continue(())
    }

    fn start_due_probes(&mut self, now: Now) {
        for order in self.board.poll_due(now) {
            self.prober.start(order);
        }
    }

    /// At most one new view per coalescing interval, and none when neither health nor a schedule has changed.
    fn publish_if_due(&mut self, now: Now) {
        let due = self.published.monotonic.saturating_add(COALESCING_INTERVAL);
        let changed = self.board.generation() != self.published_health
            || !self.replacements.is_empty()
            || !self.unsigned_until.is_zero()
            || self.view.calendar.has_run_out(now);
        if changed && now.monotonic >= due.max(self.unsigned_until) {
            self.publish();
        }
    }

    /// Makes a view of the snapshot and the health as they are, and puts it in force.
    fn publish(&mut self) {
        self.replace_zones();
        let table = self.board.table();
        let (snapshot, previous) = (self.prepared.snapshot.clone(), self.view.clone());
        // Deciding for every class of places can take a while: the runtime's other tasks go on elsewhere.
        let calendar = snapshot.calendar(self.clock.now());
        let now = self.clock.now();
        let signed = tokio::task::block_in_place(|| {
            let view = View::new(snapshot, table, calendar, Some(&previous));
            held(&self.signing).sign(view, now)
        });
        match signed {
            Ok(view) => drop(self.put_in_force(view)),
            // An answer without signatures would be none to those who validate; an old one is.
            Err(why) => {
                tracing::error!("the view cannot be signed, and the one before stays in force: {why}");
                self.unsigned_until = now.monotonic.saturating_add(UNSIGNED_RETRY_INTERVAL);
            }
        }
    }

    /// Puts a view in force that was made from the snapshot and the health as they are.
    /// Gives what is wrong with it for other name servers, a line each.
    fn put_in_force(&mut self, view: View) -> Vec<String> {
        self.published_health = self.board.generation();
        self.unsigned_until = Duration::ZERO;
        self.view = Arc::new(view);
        self.cell.publish(self.view.clone());
        self.published = self.clock.now();
        held(&self.signing).in_force(&self.view, self.published);
        self.tell_last_resorts();
        let remarks = tokio::task::block_in_place(|| self.desk.published(&self.view));
        remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
        remarks
    }
}
