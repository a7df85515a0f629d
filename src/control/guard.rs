//! Who may ask: programs of this machine, and no page that a browser of this machine has open.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Refuses requests that a web page could have made: with an `Origin`, or for another host's name (which is how
/// a page reaches loopback by DNS rebinding).
pub async fn local_only(request: Request, next: Next) -> Response {
    match refusal(request.headers(), request.uri()) {
        Some(why) => Problem::new(StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

fn refusal(headers: &HeaderMap, uri: &Uri) -> Option<&'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Some("requests of web pages are refused");
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some("one Host is enough");
    }
    let host = match (uri.authority(), headers.get(header::HOST)) {
        (Some(authority), _) => authority.as_str(),
        (None, Some(host)) => host.to_str().unwrap_or_default(),
        (None, None) => return Some("a Host is required"),
    };
    (!is_loopback(host)).then_some("the Host must be a loopback address or localhost")
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_local_programs_pass() {
        let check = |fields: &[(&'static str, &str)], passes: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(*name, value.parse().unwrap());
            }
            assert_eq!(refusal(&headers, &Uri::from_static("/livez")).is_none(), passes, "{fields:?}");
        };
        check(&[("host", "127.0.0.1:9853")], true);
        check(&[("host", "127.1.2.3")], true);
        check(&[("host", "localhost:9853")], true);
        check(&[("host", "LOCALHOST")], true);
        check(&[("host", "[::1]:9853")], true);
        check(&[("host", "[::1]")], true);
        check(&[], false);
        check(&[("host", "attacker.example:9853")], false);
        check(&[("host", "localhost.attacker.example")], false);
        check(&[("host", "192.0.2.1")], false);
        check(&[("host", "")], false);
        check(&[("host", "localhost"), ("host", "attacker.example")], false);
        check(&[("host", "127.0.0.1:9853"), ("origin", "http://127.0.0.1:9853")], false);
        check(&[("host", "127.0.0.1:9853"), ("origin", "null")], false);
    }
}
