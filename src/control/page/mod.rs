//! The page (X2): what `meridian status` and `meridian explain` say, on a map, from inside the binary.
//!
//! It reads the same API as everybody else and can do nothing that the API does not allow. No build
//! step, no other host: the policy in its header forbids both.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::routing::get;

const HTML: &str = include_str!("index.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its two files.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", HTML) }))
        .route("/page.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
}

fn file(form: &'static str, text: &'static str) -> ([(HeaderName, HeaderValue); 4], &'static str) {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(form)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        // A new release must not run with an old script.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the policy forbids must not be in the page: it would be dead.
    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for forbidden in [" style=", " onclick=", "<style", "javascript:", "http://", "https://", "//cdn"] {
            assert!(!HTML.contains(forbidden), "{forbidden}");
        }
        assert!(!SCRIPT.contains("innerHTML"), "names come from a configuration: text, never markup");
    }
}
