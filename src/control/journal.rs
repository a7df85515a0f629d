//! The journal, as far back as memory goes.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;

use super::Shared;
use super::problem::Problem;
use crate::state::{Line, parse_rfc3339};

/// Lines in one answer, unless fewer are asked for.
const LINES_MAX: usize = 1000;

/// `after=NUMBER`, `since=TIME` (RFC 3339), `limit=COUNT`: the oldest first.
pub async fn show(
    State(shared): State<Shared>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Json<Vec<Line>>, Problem> {
    let bad = |why: String| Problem::new(StatusCode::BAD_REQUEST, why);
    let (mut after, mut since, mut limit) = (0, None, LINES_MAX);
    for (name, value) in &parameters {
        let number = || bad(format!("{name}: {value:?} is not a number"));
        match name.as_str() {
            "after" => after = value.parse().map_err(|_| number())?,
            "limit" => limit = value.parse().map_err(|_| number())?,
            "since" => {
                let wrong = || bad(format!("since: {value:?} is not a time such as 2026-11-21T15:03:01Z"));
                since = Some(parse_rfc3339(value).ok_or_else(wrong)?);
            }
            other => return Err(bad(format!("there is no parameter {other:?}"))),
        }
    }
    let mut lines = shared.keeper.recent(after, limit.min(LINES_MAX));
    lines.retain(|line| since.is_none() || parse_rfc3339(&line.when) >= since);
    Ok(Json(lines))
}
