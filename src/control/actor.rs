//! Who asks, as they say themselves: the listener is on loopback and knows nobody.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The header field that names who asks; `meridian` fills in `user@host`.
pub const ACTOR_FIELD: &str = "meridian-actor";

/// Longer names are cut.
const ACTOR_CHARACTERS_MAX: usize = 100;

/// Who asks.
pub struct Actor(pub String);

impl<S: Sync> FromRequestParts<S> for Actor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Actor, Infallible> {
        let field = parts.headers.get(ACTOR_FIELD).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let name: String = field.trim().chars().take(ACTOR_CHARACTERS_MAX).collect();
        Ok(Actor(if name.is_empty() { "unnamed".to_owned() } else { name }))
    }
}
