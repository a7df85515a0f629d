//! From a request's head to a DNS message, or to the status that says why not.

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::base64url;
use crate::server::session::MESSAGE_OCTETS_MAX;

/// Where a request's message is.
#[derive(PartialEq, Eq, Debug)]
pub enum Message {
    /// It was in the path.
    Whole(Vec<u8>),
    /// It is in the body.
    InBody,
}

/// Why a request is not answered with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another path.
    NotFound,
    /// Neither GET nor POST.
    Method,
    /// A POST of something else than a DNS message.
    MediaType,
    /// Longer than a DNS message can be.
    TooLarge,
    /// A GET without `dns`, or with several.
    NoMessage,
    /// `dns` is not base64url.
    Encoding,
    /// No header, or a response: what other transports answer with silence.
    NoQuery,
    /// The body broke off.
    Broken,
    /// The body did not arrive, or earlier answers were not taken, in time.
    Timeout,
}

impl Refusal {
    /// The status.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::NotFound => StatusCode::NOT_FOUND,
            Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
            Refusal::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::NoMessage | Refusal::Encoding | Refusal::NoQuery | Refusal::Broken => {
                StatusCode::BAD_REQUEST
            }
            Refusal::Timeout => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// What is wrong, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Refusal::NotFound => "There is nothing at this path.\n",
            Refusal::Method => "DNS over HTTPS is asked by GET and POST.\n",
            Refusal::MediaType => "A POST needs content-type: application/dns-message.\n",
            Refusal::TooLarge => "A DNS message has at most 65535 octets.\n",
            Refusal::NoMessage => "A GET needs one parameter: ?dns= and a DNS message in base64url.\n",
            Refusal::Encoding => "The parameter dns is not base64url without padding (RFC 4648 section 5).\n",
            Refusal::NoQuery => "This is not a DNS query.\n",
            Refusal::Broken => "The body broke off.\n",
            Refusal::Timeout => "The request did not arrive in time.\n",
        }
    }
}

/// Reads a head (RFC 8484 section 4.1).
pub fn read(head: &Parts, path: &str) -> Result<Message, Refusal> {
    if head.uri.path() != path {
        return Err(Refusal::NotFound);
    }
    match head.method {
        Method::GET | Method::HEAD => in_path(head.uri.query().unwrap_or_default()).map(Message::Whole),
        Method::POST => in_body(&head.headers).map(|()| Message::InBody),
        _ => Err(Refusal::Method),
    }
}

fn in_path(query: &str) -> Result<Vec<u8>, Refusal> {
    let mut messages = query.split('&').filter_map(|parameter| parameter.strip_prefix("dns="));
    let (Some(message), None) = (messages.next(), messages.next()) else { return Err(Refusal::NoMessage) };
    base64url::decode(message.as_bytes()).ok_or(Refusal::Encoding)
}

fn in_body(fields: &HeaderMap) -> Result<(), Refusal> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let media_type = text(CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/dns-message") {
        return Err(Refusal::MediaType);
    }
    // Nobody has to send what is refused anyway.
    let length = text(CONTENT_LENGTH).and_then(|value| value.parse::<u64>().ok());
    match length.is_some_and(|length| length > MESSAGE_OCTETS_MAX as u64) {
        true => Err(Refusal::TooLarge),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hyper::Request;

    use super::*;

    #[track_caller]
    fn check(method: &str, uri: &str, fields: &[(&str, &str)], expected: Result<Message, Refusal>) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(read(&head, "/dns-query"), expected, "{method} {uri}");
    }

    #[test]
    fn rfc8484_4_1_get_and_post() {
        let whole = |octets: &[u8]| Ok(Message::Whole(octets.to_vec()));
        check("GET", "/dns-query?dns=AAABAA", &[], whole(&[0, 0, 1, 0]));
        check("GET", "https://ns.example/dns-query?a=b&dns=_-8&c", &[], whole(&[0xff, 0xef]));
        check("HEAD", "/dns-query?dns=AAABAA", &[], whole(&[0, 0, 1, 0]));
        check("GET", "/dns-query?dns=", &[], whole(&[]));
        check("GET", "/dns-query", &[], Err(Refusal::NoMessage));
        check("GET", "/dns-query?name=example.com", &[], Err(Refusal::NoMessage));
        check("GET", "/dns-query?dns=AAAA&dns=AAAA", &[], Err(Refusal::NoMessage));
        check("GET", "/dns-query?dns=AAAA====", &[], Err(Refusal::Encoding));
        check("GET", "/dns-query?dns=AA+/", &[], Err(Refusal::Encoding));
        check("GET", "/", &[], Err(Refusal::NotFound));
        check("POST", "/dns-query/", &[], Err(Refusal::NotFound));
        check("PUT", "/dns-query?dns=AAAA", &[], Err(Refusal::Method));
        check("POST", "/dns-query", &[], Err(Refusal::MediaType));
        check("POST", "/dns-query", &[("content-type", "application/json")], Err(Refusal::MediaType));
        let message = ("content-type", "application/dns-message");
        check("POST", "/dns-query", &[message], Ok(Message::InBody));
        check("POST", "/dns-query", &[("content-type", "Application/DNS-Message; v=1")], Ok(Message::InBody));
        check("POST", "/dns-query", &[message, ("content-length", "65535")], Ok(Message::InBody));
        check("POST", "/dns-query", &[message, ("content-length", "65536")], Err(Refusal::TooLarge));
    }

    #[test]
    fn every_refusal_is_an_error_of_the_client() {
        for refusal in [Refusal::NotFound, Refusal::NoQuery, Refusal::Broken, Refusal::Timeout] {
            assert!(refusal.status().is_client_error() && refusal.text().ends_with(".\n"));
        }
    }
}
