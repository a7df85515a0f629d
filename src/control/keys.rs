//! Keys of signed zones: what operators ask of them.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::actor::Actor;
use super::operate::refused;
use super::problem::Problem;
use super::{SUPERVISOR_PATIENCE, Shared};
use crate::daemon::{Command, KeysAsked, KeysDone, KeysRequest};
use crate::dnssec::ring::Role;

/// The paths.
pub fn routes() -> Router<Shared> {
    Router::new().route("/v1/keys/{zone}/roll", post(roll)).route("/v1/keys/{zone}/ds-seen", post(ds_seen))
}

async fn roll(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Path(zone): Path<String>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<KeysDone>, Problem> {
    let written = parameters.iter().find(|(name, _)| name == "role").map(|(_, value)| value.as_str());
    let role = [Role::Csk, Role::Ksk, Role::Zsk].into_iter().find(|role| Some(role.word()) == written);
    let role = role.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "role: it is csk, ksk or zsk"))?;
    shared.keys(zone, KeysAsked::Roll(role), actor).await
}

async fn ds_seen(
    State(shared): State<Shared>,
    Actor(actor): Actor,
    Path(zone): Path<String>,
) -> Result<Json<KeysDone>, Problem> {
    shared.keys(zone, KeysAsked::DsSeen, actor).await
}

impl Shared {
    async fn keys(&self, zone: String, asked: KeysAsked, actor: String) -> Result<Json<KeysDone>, Problem> {
        let (reply, answer) = oneshot::channel();
        let zone = match zone.trim_end_matches('.') {
            "" => ".".to_owned(),
            zone => zone.to_ascii_lowercase(),
        };
        let asking = async {
            self.commands.send(Command::Keys(KeysRequest { zone, asked, actor, reply })).await.ok()?;
            answer.await.ok()
        };
        let silent = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the supervisor does not answer");
        let done = timeout(SUPERVISOR_PATIENCE, asking).await.ok().flatten().ok_or_else(silent)?;
        done.map(Json).map_err(refused)
    }
}
