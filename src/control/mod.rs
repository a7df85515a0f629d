//! The control listener, on loopback only: liveness, readiness, metrics, and a small API.
//!
//! It changes nothing by itself. What it is asked goes to the supervisor as a [`Command`], and what is
//! in force it reads from the cell.

mod actor;
mod explain;
mod guard;
mod journal;
mod keys;
mod metrics;
mod operate;
mod page;
mod problem;
mod question;
mod zones;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

pub use actor::ACTOR_FIELD;
pub use explain::{Candidate, Place, Report, Steered, report};
pub use operate::Accepted;
pub use question::Question;

use crate::daemon::{Command, Commands, Phase, ReloadRequest, Reloaded, Status};
use crate::geo::{ClientPrefix, Row};
use crate::now::Now;
use crate::publish::Cell;
use crate::state::{Keeper, Kept};
use crate::telemetry::{Exposition, Telemetry};
use actor::Actor;
use problem::Problem;

/// Connections served at once: a scraper, a few probes and people.
const CONNECTIONS_MAX: usize = 64;
/// A request's head: ours need a tenth of this.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Header fields of a request.
const HEADERS_MAX: usize = 64;
/// A request's body: no request needs one.
const BODY_OCTETS_MAX: usize = 16 << 10;
/// A request's head arrives within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this at the latest, whatever is going on: reloads of the largest
/// databases take a minute.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// The supervisor's loop answers within this, or something is wrong with it.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(5);
/// A pause when no connection can be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the handlers reach.
#[derive(Clone)]
pub struct Shared {
    /// To the supervisor.
    pub commands: Commands,
    /// What is in force.
    pub cell: Arc<Cell>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// What time it is.
    pub clock: ReadClock,
    /// What the location files say of a client.
    pub locate: Locate,
    /// The journal.
    pub keeper: Keeper<Kept>,
}

/// Reads the clock that the supervisor and the workers go by.
pub type ReadClock = Arc<dyn Fn() -> Now + Send + Sync>;

/// What the location files in force say of a client, or why they cannot be asked. Reads files.
pub type Locate = Arc<dyn Fn(ClientPrefix) -> Result<Row, String> + Send + Sync>;

/// Opens the listener.
///
/// # Errors
/// When the address is not loopback, or is taken.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let why = "the control listener has no authentication and takes loopback addresses only";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves the listener for as long as the runtime runs. Call it inside the runtime.
///
/// # Errors
/// When the runtime refuses the listener.
pub fn spawn(listener: TcpListener, shared: Shared) -> io::Result<()> {
    let address = listener.local_addr()?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router(shared);
    tracing::info!(%address, "control listener open");
    tokio::spawn(accept(listener, router));
    Ok(())
}

fn router(shared: Shared) -> Router {
    Router::new()
        .merge(page::routes())
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(show_metrics))
        .route("/v1/status", get(show_status))
        .route("/v1/regions", get(show_regions))
        .route("/v1/endpoints", get(show_endpoints))
        .route("/v1/explain", get(show_explanation))
        .route("/v1/reload", post(reload))
        .merge(operate::routes())
        .merge(keys::routes())
        .merge(zones::routes())
        .route("/v1/journal", get(journal::show))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(middleware::from_fn(guard::local_only))
        .with_state(shared)
}

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // Who comes when all places are taken waits in the kernel's queue.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_buf_size(HEAD_OCTETS_MAX)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service);
            // How a connection ends is its client's business.
            let _ = timeout(CONNECTION_LIFETIME, connection).await;
            drop(place);
        });
    }
}

impl Shared {
    async fn status(&self) -> Result<Box<Status>, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.commands.send(Command::Status(reply)).await.ok()?;
            answer.await.ok()
        };
        let silent = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer");
        timeout(SUPERVISOR_PATIENCE, asked).await.ok().flatten().ok_or_else(silent)
    }
}

/// Alive: the supervisor's loop turns.
async fn livez(State(shared): State<Shared>) -> Result<&'static str, Problem> {
    shared.status().await.map(|_| "ok\n")
}

/// Ready: queries are answered and the process does not mean to stop.
async fn readyz(
    State(shared): State<Shared>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let status = shared.status().await?;
    let code = match status.phase {
        Phase::Serving => StatusCode::OK,
        Phase::Starting | Phase::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    let text = match parameters.iter().any(|(name, _)| name == "verbose") {
        true => verbose(&status),
        false => format!("{}\n", status.phase.label()),
    };
    Ok((code, text).into_response())
}

fn verbose(status: &Status) -> String {
    let mut text = format!("phase: {}\ngeneration: {}\n", status.phase.label(), status.generation);
    for region in &status.regions {
        text.push_str(&format!(
            "region {}: {} of {} endpoints eligible\n",
            region.name, region.eligible, region.endpoints
        ));
    }
    for service in status.services.iter().filter(|service| service.frozen) {
        text.push_str(&format!("service {}: the governor keeps some answers that are down\n", service.name));
    }
    for service in status.services.iter().filter(|service| service.all_down) {
        text.push_str(&format!("service {}: the last resort answers some clients\n", service.name));
    }
    text
}

async fn show_metrics(State(shared): State<Shared>) -> Result<Response, Problem> {
    let status = shared.status().await?;
    let mut exposition = Exposition::default();
    metrics::expose(&status, &mut exposition);
    metrics::zones(&shared.zones().await?, &mut exposition);
    metrics::kept(&shared.keeper.counts(), &mut exposition);
    shared.telemetry.expose(&mut exposition);
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, form)], exposition.finish()).into_response())
}

async fn show_status(State(shared): State<Shared>) -> Result<Json<Box<Status>>, Problem> {
    shared.status().await.map(Json)
}

async fn show_regions(State(shared): State<Shared>) -> Result<Response, Problem> {
    shared.status().await.map(|status| Json(status.regions).into_response())
}

async fn show_endpoints(State(shared): State<Shared>) -> Result<Response, Problem> {
    shared.status().await.map(|status| Json(status.endpoints).into_response())
}

async fn show_explanation(
    State(shared): State<Shared>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Report>, Problem> {
    let question =
        Question::from_parameters(&parameters).map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why))?;
    let view = shared.cell.load_full();
    // The walk over a policy tree with assumptions decides for every class of places, and the location is
    // read from files: not here.
    let now = (shared.clock)();
    let explained = move || report(&view, &question, now, &*shared.locate);
    let explained = tokio::task::spawn_blocking(explained).await;
    let panicked = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the explanation failed");
    explained.map_err(panicked)?.map(Json).map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))
}

async fn reload(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let force = parameters.iter().any(|(name, value)| name == "force" && value != "false");
    let (reply, answer) = oneshot::channel();
    let request = ReloadRequest { actor, force, reply };
    let gone = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer");
    shared.commands.send(Command::Reload(request)).await.map_err(|_| gone())?;
    let reloaded = answer.await.map_err(|_| gone())?;
    let code = match reloaded {
        Reloaded::Done { .. } => StatusCode::OK,
        Reloaded::Refused { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok((code, Json(reloaded)).into_response())
}
