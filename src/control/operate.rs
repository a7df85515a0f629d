//! What operators change: overrides, failback, the governor. Each request becomes one command.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actor::Actor;
use super::problem::Problem;
use super::{SUPERVISOR_PATIENCE, Shared};
use crate::config;
use crate::daemon::{Command, Done, Fault, NotOperated, OperateRequest, OverrideStatus, PostRequest};
use crate::health::{self, OverrideId, OverrideKind, Selector, Verdict, Which};
use crate::state::Durable;

/// How long an answer waits for the disk; the change itself is in force.
const DURABLE_PATIENCE: Duration = Duration::from_secs(3);

/// The paths.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/overrides", get(list).post(set))
        .route("/v1/overrides/{*which}", delete(remove))
        .route("/v1/push/{*selector}", post(push))
        .route("/v1/failback/approve", post(approve))
        .route("/v1/governor/release", post(release))
}

/// `POST /v1/overrides`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `drain`, `force-up` or `force-down`.
    kind: String,
    /// `region:NAME`, `pool:NAME`, `endpoint:POOL/NAME`, or a pattern.
    selector: String,
    /// Why.
    reason: String,
    /// How long a gradual drain takes; without it everybody leaves at once.
    over: Option<String>,
    /// For how long it stands; without it until it is removed.
    #[serde(rename = "for")]
    lasts: Option<String>,
    /// Also if a service is left with nothing or too little.
    #[serde(default)]
    force: bool,
}

/// `POST /v1/failback/approve`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Approved {
    selector: String,
}

/// `POST /v1/governor/release`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Released {
    service: Option<String>,
}

/// `POST /v1/push/SELECTOR`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Posted {
    /// `up`, `down`, or `unknown` to take back what was posted.
    verdict: String,
    /// For how long it holds, at most the monitor's own time.
    ttl: Option<String>,
}

/// How many checks took a posted verdict.
#[derive(Serialize, Deserialize)]
pub struct Accepted {
    /// So many.
    pub checks: usize,
}

async fn list(State(shared): State<Shared>) -> Result<Json<Vec<OverrideStatus>>, Problem> {
    shared.status().await.map(|status| Json(status.overrides))
}

async fn set(State(shared): State<Shared>, Actor(actor): Actor, body: Bytes) -> Result<Json<Done>, Problem> {
    let written: Written = parse(&body)?;
    let (over, expires_in) = (span("over", written.over.as_deref())?, span("for", written.lasts.as_deref())?);
    let kind = match (written.kind.as_str(), over) {
        ("drain", over) => OverrideKind::Drain { over },
        (_, Some(_)) => return Err(bad("over: only a drain goes step by step")),
        ("force-up", None) => OverrideKind::ForceUp,
        ("force-down", None) => OverrideKind::ForceDown,
        (other, None) => return Err(bad(format!("kind: {other:?} is not drain, force-up or force-down"))),
    };
    if written.reason.trim().is_empty() {
        return Err(bad("reason: say why").mend("whoever is on call next reads it"));
    }
    let (selector, reason, force) = (selector(&written.selector)?, written.reason, written.force);
    shared.operate(health::Command::Override { kind, selector, reason, actor, expires_in, force }).await
}

async fn remove(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Path(which): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Done>, Problem> {
    let parameter = |name: &str| parameters.iter().find(|(own, _)| own == name).map(|(_, value)| value);
    let which = match which.parse() {
        Ok(id) => Which::Id(OverrideId(id)),
        Err(_) => Which::Selector(selector(&which)?),
    };
    let reason = parameter("reason").cloned().unwrap_or_default();
    let force = parameter("force").is_some_and(|value| value != "false");
    shared.operate(health::Command::Remove { which, reason, actor, force }).await
}

async fn approve(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    body: Bytes,
) -> Result<Json<Done>, Problem> {
    let approved: Approved = parse(&body)?;
    let selector = selector(&approved.selector)?;
    shared.operate(health::Command::Approve { selector, actor }).await
}

async fn release(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    body: Bytes,
) -> Result<Json<Done>, Problem> {
    let released = if body.is_empty() { Released::default() } else { parse(&body)? };
    shared.operate(health::Command::Release { service: released.service, actor }).await
}

async fn push(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Path(whose): Path<String>,
    body: Bytes,
) -> Result<Json<Accepted>, Problem> {
    let posted: Posted = parse(&body)?;
    let verdict = match posted.verdict.as_str() {
        "up" => Verdict::Up,
        "down" => Verdict::Down,
        "unknown" => Verdict::Unknown,
        other => return Err(bad(format!("verdict: {other:?} is not up, down or unknown"))),
    };
    let (selector, ttl) = (selector(&whose)?, span("ttl", posted.ttl.as_deref())?);
    let (reply, answer) = oneshot::channel();
    let request = Command::Post(PostRequest { selector, verdict, ttl, actor, reply });
    shared.ask(request, answer).await?.map(|checks| Json(Accepted { checks })).map_err(refused)
}

impl Shared {
    /// Sends a command, and waits for what comes of it.
    async fn ask<T>(&self, command: Command, answer: oneshot::Receiver<T>) -> Result<T, Problem> {
        let asked = async {
            self.commands.send(command).await.ok()?;
            answer.await.ok()
        };
        timeout(SUPERVISOR_PATIENCE, asked).await.ok().flatten().ok_or_else(|| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer")
                .mend("look at `meridian status` before asking again: it may be done")
        })
    }

    async fn operate(&self, asked: health::Command) -> Result<Json<Done>, Problem> {
        let (reply, answer) = oneshot::channel();
        let request = Command::Operate(Box::new(OperateRequest { asked, reply }));
        let operated = self.ask(request, answer).await?.map_err(refused)?;
        let durable = timeout(DURABLE_PATIENCE, operated.durable).await;
        let durable = match durable {
            Ok(Ok(Durable::Yes)) => "yes",
            Ok(Ok(Durable::Nowhere)) => "nowhere",
            Ok(Ok(Durable::Failed) | Err(_)) | Err(_) => "failed",
        };
        Ok(Json(Done { durable: durable.to_owned(), ..operated.done }))
    }
}

pub(super) fn refused(refused: NotOperated) -> Problem {
    let status = match refused.kind {
        Fault::Senseless => StatusCode::BAD_REQUEST,
        Fault::Missing => StatusCode::NOT_FOUND,
        Fault::Harmful | Fault::Conflict => StatusCode::CONFLICT,
    };
    Problem::new(status, refused.why).mend(refused.mend)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| bad(format!("the body: {error}")))
}

fn span(key: &str, text: Option<&str>) -> Result<Option<Duration>, Problem> {
    let Some(text) = text else { return Ok(None) };
    config::duration(text).map(Some).map_err(|why| {
        bad(format!("{key}: {text:?} is no duration: {why}"))
            .mend("write one such as \"90s\", \"10m\" or \"2h\"")
    })
}

fn selector(text: &str) -> Result<Selector, Problem> {
    text.parse().map_err(|error: health::SelectorError| bad(format!("selector: {error}")))
}

fn bad(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, why)
}
