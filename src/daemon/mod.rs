//! The process: start, the supervisor's loop, stop.
//!
//! Start and reload take the same path: read, check, compile; on any problem nothing changes. The
//! supervisor is the only one that publishes views, so everything that changes an answer is an input
//! of its loop.

mod certificates;
mod command;
mod entrances;
mod locations;
mod maps;
mod notify;
mod operated;
mod prepare;
mod privileges;
mod progress;
mod remember;
mod secondaries;
mod shield;
pub mod signing;
mod status;
mod supervisor;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use nix::sys::signal::{SigSet, Signal};
use tokio::sync::mpsc;

pub use command::{
    AddressStatus, CheckStatus, Command, Commands, EndpointStatus, KeysAsked, KeysDone, KeysRequest,
    LoadFigures, Phase, ProbeCounts, RefreshRequest, Refreshed, RegionStatus, ReloadCounts, ReloadRequest,
    Reloaded, SecondaryStatus, ServiceStatus, ShareStatus, Status, ZoneStatus,
};
pub use locations::{EarlierMaps, LocationFiles};
pub use operated::{Done, Fault, NotOperated, OperateRequest, Operated, OverrideStatus, PostRequest};
pub use prepare::{Prepared, Reading, Refused, Source};
pub use progress::Progress;

use crate::config::Config;
use crate::control;
use crate::health::Board;
use crate::probe::Prober;
use crate::probe::exec::{Commands as ExecCommands, Helper};
use crate::publish::Cell;
use crate::refresh::{self, Refresher, Store};
use crate::server::{Clock, Draws, Entrances};
use crate::telemetry::Telemetry;
use crate::transfer::Desk;
use crate::view::View;

use certificates::Certificates;
use privileges::{DropError, Privileges, drop_privileges, identity, raise_descriptor_limit};
use secondaries::InMemory;
use signing::Signing;
use supervisor::{OBSERVATIONS_WAITING_MAX, Parts, Ready, SharedSigning, Supervisor, make_ready};

/// Why the process could not start or go on.
#[derive(Debug)]
pub enum Failed {
    /// The configuration was refused: every problem, as text.
    Refused(Refused),
    /// An address could not be opened.
    Bind(SocketAddr, io::Error),
    /// Privileges could not be dropped.
    Privileges(DropError),
    /// The system refused threads, signals or a listener.
    System(io::Error),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failed::Refused(refused) => f.write_str(refused.problems.trim_end()),
            Failed::Bind(address, error) => {
                write!(f, "cannot listen on {address}: {}", bind_problem(error))
            }
            Failed::Privileges(error) => write!(f, "{error}"),
            Failed::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl std::error::Error for Failed {}

/// What is wrong, with what to do where that is known.
fn bind_problem(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            "Permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE".to_owned()
        }
        Some(libc::EADDRINUSE) => {
            "Address already in use: another server has it, and `ss -lnptu` shows which".to_owned()
        }
        Some(libc::EADDRNOTAVAIL) => {
            "Cannot assign requested address: the machine does not have it".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Runs the server on a configuration until it is told to stop.
///
/// # Errors
/// When it cannot start, or the runtime fails.
pub fn serve(path: &Path) -> Result<(), Failed> {
    // Until somebody listens for it, SIGHUP would end the process; kept back, it reloads a little later.
    let mut hangup = SigSet::empty();
    hangup.add(Signal::SIGHUP);
    hangup.thread_block().map_err(|error| Failed::System(error.into()))?;
    let telemetry = Arc::new(Telemetry::default());
    let source = Source { path: path.to_owned() };
    let reading = source
        .read(1, &EarlierMaps::default(), &mut |service, endpoint| telemetry.counter(service, endpoint));
    let mut prepared = reading.strict().outcome().map_err(Failed::Refused)?;
    if !prepared.warnings.is_empty() {
        tracing::warn!("{}", prepared.warnings.trim_end());
    }

    // Everything that needs privileges comes before the first thread.
    let config = &prepared.config.server;
    let workers =
        config.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    let opened = entrances::open(&prepared.config, workers)
        .map_err(|(address, error)| Failed::Bind(address, error))?;
    let control = match prepared.config.control.listen {
        Some(address) => Some(control::bind(address).map_err(|error| Failed::Bind(address, error))?),
        None => None,
    };
    let state = remember::folder(&config.state, path);
    remember::prepare(state.as_deref(), config.user.as_deref());
    let helper = match prepared.config.runs_commands() {
        true => {
            let identity = identity(config.user.as_deref(), config.group.as_deref());
            let identity = identity.map_err(Failed::Privileges)?;
            Some(Helper::spawn(identity).map_err(Failed::System)?)
        }
        false => None,
    };
    for place in signing::places(&prepared.config, path) {
        // Whether keys can be kept there is told when they are opened.
        let _ = crate::state::prepare(&place.settings.folder, config.user.as_deref());
    }
    let descriptors = raise_descriptor_limit(entrances::descriptors_wanted(&prepared.config));
    let privileges = drop_privileges(config.user.as_deref(), config.group.as_deref());
    tell_privileges(&privileges.map_err(Failed::Privileges)?, path);
    let certificates = Certificates::new(&prepared.certificates, telemetry.clone());
    certificates.tell_unreadable();
    opened.tell();
    let entrances = opened.entrances(&prepared.config, &certificates, descriptors);

    let clock = Clock::start();
    let shared = SharedSigning::default();
    let store = state.as_deref().map(Store::within);
    prepared.carry_zones(&InMemory::default(), store.as_ref());
    let ready = make_ready(prepared, &source, &shared, clock.now()).map_err(Failed::Refused)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("runtime")
        .enable_all()
        .build()
        .map_err(Failed::System)?;
    let start = Start {
        source,
        ready,
        signing: shared,
        clock,
        entrances,
        certificates,
        control,
        telemetry,
        hangup,
        state,
        store,
        helper,
    };
    let outcome = runtime.block_on(supervise(start));
    // Probes and control connections under way are not waited for.
    runtime.shutdown_background();
    outcome.map_err(Failed::System)
}

/// What is there before the first thread.
struct Start {
    source: Source,
    ready: Ready,
    signing: SharedSigning,
    clock: Clock,
    entrances: Entrances,
    certificates: Certificates,
    control: Option<std::net::TcpListener>,
    telemetry: Arc<Telemetry>,
    hangup: SigSet,
    state: Option<PathBuf>,
    store: Option<Store>,
    helper: Option<Helper>,
}

async fn supervise(start: Start) -> io::Result<()> {
    let Start {
        source,
        ready,
        signing,
        clock,
        entrances,
        certificates,
        control,
        telemetry,
        hangup,
        state,
        store,
        helper,
    } = start;
    let Ready { mut prepared, mut opened, bases } = ready;
    let now = clock.now();
    let (keeper, kept) = remember::open(state.as_deref(), now)?;
    let (reports_sender, reports) = mpsc::channel(refresh::REPORTS_WAITING_MAX);
    let carried = std::mem::take(&mut prepared.carried);
    let refresher = Refresher::new(tokio::runtime::Handle::current(), store, reports_sender);
    let snapshot = prepared.snapshot.clone();
    let seed = Draws::seeded().draw();
    let mut board = Board::new(Arc::clone(&snapshot.board), prepared.board_limits(), now, seed);
    if let Some(kept) = kept {
        board.restore(&kept.remembered(), now);
        tracing::info!(saved_at = kept.saved_at, overrides = board.overrides().len(), "state restored");
    }
    let calendar = snapshot.calendar(now);
    let (view, bases) = tokio::task::block_in_place(|| {
        let config = (&prepared.config, source.path.as_path());
        let bases = supervisor::held(&signing).settle(config, &mut opened, bases, now)?;
        Signing::sign_with(bases, View::new(snapshot, board.table(), calendar, None), now)
    })
    .map_err(io::Error::other)?;
    // What is wrong with key files has been logged; a start has nobody else to tell.
    let _ = supervisor::held(&signing).take_over(&prepared.config, &source.path, opened, bases, now);
    let view = Arc::new(view);
    let cell = Arc::new(Cell::new(view.clone()));
    let locations = Arc::new(ArcSwap::new(prepared.location_files()));
    let (commands_sender, commands) = mpsc::channel(command::COMMANDS_WAITING_MAX);
    let (observations_sender, observations) = mpsc::channel(OBSERVATIONS_WAITING_MAX);
    if let Some(listener) = control {
        let files = Arc::clone(&locations);
        let shared = control::Shared {
            commands: commands_sender.clone(),
            cell: cell.clone(),
            telemetry: telemetry.clone(),
            clock: Arc::new(move || clock.now()),
            locate: Arc::new(move |client| files.load_full().row(client)),
            keeper: keeper.clone(),
        };
        control::spawn(listener, shared)?;
    }
    let exec = helper.map(ExecCommands::new).transpose()?;
    prepared.keep_maps();
    let (desk, changes) = Desk::new(telemetry.clone());
    let prober = Prober::new(prepared.probe_limits(), exec, observations_sender);
    let supervisor = Supervisor::new(Parts {
        source,
        entrances,
        certificates: certificates.clone(),
        prepared,
        board,
        view,
        cell,
        locations,
        clock,
        telemetry,
        prober,
        observations,
        commands,
        keeper: keeper.clone(),
        desk,
        signing,
        carried,
        refresher,
        reports,
        changes,
    })?;
    tokio::spawn(certificates.watch());
    hangup.thread_unblock()?;
    let outcome = supervisor.run().await;
    tokio::task::block_in_place(|| keeper.finish());
    // Kept until here: without senders the loop would spin on a closed channel.
    drop(commands_sender);
    outcome
}

/// Becomes the user that the server runs as, where this is root: what is then written to a folder, made for that
/// user where it does not exist, the server can read.
///
/// # Errors
/// When the system refuses.
pub fn become_user(config: &Config, folder: &Path) -> Result<(), String> {
    let (user, group) = (config.server.user.as_deref(), config.server.group.as_deref());
    crate::state::prepare(folder, user).map_err(|error| format!("{}: {error}", folder.display()))?;
    match user {
        Some(_) => drop_privileges(user, group).map(|_| ()).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

fn tell_privileges(privileges: &Privileges, path: &Path) {
    match privileges {
        Privileges::Unprivileged => {}
        Privileges::Root => tracing::warn!("running as root: set server.user to drop privileges"),
        Privileges::Dropped(uid, gid) => {
            tracing::info!(%uid, %gid, "privileges dropped");
            if let Err(error) = std::fs::File::open(path) {
                tracing::warn!(%error, "this user cannot read the configuration: reloads will be refused");
            }
        }
    }
}
