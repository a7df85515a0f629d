//! What zones there are, and checks of those that come from primaries.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actor::Actor;
use super::problem::Problem;
use super::{SUPERVISOR_PATIENCE, Shared};
use crate::daemon::{Command, RefreshRequest, Refreshed, ZoneStatus};

/// A check ends with the transfer; who asks may wait less.
const REFRESH_PATIENCE: Duration = Duration::from_secs(590);

/// The paths.
pub fn routes() -> Router<Shared> {
    Router::new().route("/v1/zones", get(list)).route("/v1/zones/{zone}/refresh", post(refresh))
}

impl Shared {
    /// Every zone.
    pub async fn zones(&self) -> Result<Vec<ZoneStatus>, Problem> {
        let (reply, answer) = oneshot::channel();
        let asked = async {
            self.commands.send(Command::Zones(reply)).await.ok()?;
            answer.await.ok()
        };
        timeout(SUPERVISOR_PATIENCE, asked).await.ok().flatten().ok_or_else(silent)
    }
}

fn silent() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer")
}

async fn list(State(shared): State<Shared>) -> Result<Json<Vec<ZoneStatus>>, Problem> {
    shared.zones().await.map(Json)
}

async fn refresh(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Path(zone): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let force = parameters.iter().any(|(name, value)| name == "force" && value != "false");
    let (reply, answer) = oneshot::channel();
    let request = RefreshRequest { zone, force, actor, reply };
    shared.commands.send(Command::Refresh(request)).await.map_err(|_| silent())?;
    let refreshed = timeout(REFRESH_PATIENCE, answer).await.ok().and_then(Result::ok).ok_or_else(silent)?;
    let code = match refreshed {
        Refreshed::Same { .. } | Refreshed::Newer { .. } => StatusCode::OK,
        Refreshed::Unknown { .. } => StatusCode::NOT_FOUND,
        Refreshed::Failed { .. } => StatusCode::BAD_GATEWAY,
    };
    Ok((code, Json(refreshed)).into_response())
}
