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
use crate::daemon::{Command, KeysAsked, KeysDone, KeysRequest, Status};
use crate::dnssec::ring::{KeyState, Role};
use crate::telemetry::{Exposition, Kind};

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

/// Writes the figures of signed zones.
pub fn expose(status: &Status, to: &mut Exposition) {
    let mut family = |name, help, value: &dyn Fn(&crate::daemon::signing::SignedStatus) -> Option<f64>| {
        to.family(name, Kind::Gauge, help);
        for own in &status.signed {
            let class = own.class.as_deref().unwrap_or_default();
            if let Some(value) = value(own) {
                to.sample(&[("zone", &own.zone), ("class", class)], value);
            }
        }
    };
    family("meridian_zone_signatures", "Signatures of a zone that are made ahead.", &|own| {
        Some(own.signatures as f64)
    });
    family(
        "meridian_zone_signature_expiry_seconds",
        "Time until the first signature of a zone ends; below zero when it has.",
        &|own| own.expires_in_s,
    );
    family("meridian_zone_serial", "The serial that a signed zone is served with.", &|own| {
        own.serial.map(f64::from)
    });
    family(
        "meridian_zone_signing_trouble",
        "1 while a zone cannot be signed anew, or a restart would not find its keys.",
        &|own| Some(f64::from(u8::from(own.trouble.is_some()))),
    );
    to.family("meridian_zone_keys", Kind::Gauge, "Keys of a zone by role and state.");
    for own in status.signed.iter().filter(|own| own.class.is_none() && !own.keys.is_empty()) {
        for role in [Role::Csk, Role::Ksk, Role::Zsk].map(Role::word) {
            for state in KeyState::ALL.map(KeyState::word) {
                let number = own.keys.iter().filter(|key| (&*key.role, &*key.state) == (role, state)).count();
                to.sample(&[("zone", &own.zone), ("role", role), ("state", state)], number as f64);
            }
        }
    }
    to.family(
        "meridian_signing_failures_total",
        Kind::Counter,
        "Zones that were to be signed anew and could not be.",
    );
    to.sample(&[], status.signed.first().map_or(0.0, |own| own.failures as f64));
}
