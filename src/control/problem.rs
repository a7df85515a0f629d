//! Errors of the API, as RFC 9457 problem details.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// What went wrong with a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    mend: String,
}

impl Problem {
    /// A status and one line for people.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), mend: String::new() }
    }

    /// With what to do about it.
    pub fn mend(self, mend: impl Into<String>) -> Problem {
        Problem { mend: mend.into(), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = serde_json::json!({
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if !self.mend.is_empty() {
            body["mend"] = self.mend.into();
        }
        let form = HeaderValue::from_static("application/problem+json");
        (self.status, [(header::CONTENT_TYPE, form)], body.to_string()).into_response()
    }
}
