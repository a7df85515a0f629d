//! HTTP and HTTPS probes: one fresh connection, one request, no redirects.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode, Url, redirect, retry};

use super::addresses::Addresses;
use super::cause;
use super::stopwatch::{Stopwatch, Timed};
use super::trust::Trust;
use crate::health::{BodyMatch, Failure, HttpCheck, NotRun, TargetAddress, Timings};

/// The body is read no further than this, counted after decompression: a health page is small, and
/// whatever streams or inflates costs no more. The head has hyper's own bounds: 100 fields in about
/// 400 KiB for HTTP/1.
const BODY_OCTETS_MAX: usize = 64 * 1024;

/// The same for the head of an HTTP/2 answer.
const HTTP2_HEAD_OCTETS_MAX: u32 = 64 * 1024;

/// What an HTTP/2 server may send before it is read: the least that the protocol starts with.
const HTTP2_WINDOW_OCTETS: u32 = 65_535;

/// An HTTP or HTTPS check of one target.
#[derive(Debug)]
pub struct HttpProbe {
    client: Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    check: HttpCheck,
    stopwatch: Arc<Stopwatch>,
}

impl HttpProbe {
    /// Makes the client and the request of a check.
    pub fn new(check: &HttpCheck, addresses: Addresses, trust: &mut Trust) -> Result<HttpProbe, NotRun> {
        let stopwatch = addresses.stopwatch.clone();
        let tls = trust.config(check.tls.as_ref(), stopwatch.clone())?;
        let url = url(check, &addresses.target)?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(addresses))
            .connector_layer(Timed(stopwatch.clone()))
            .pool_max_idle_per_host(0)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .user_agent(concat!("meridian/", env!("CARGO_PKG_VERSION")))
            .http2_max_header_list_size(HTTP2_HEAD_OCTETS_MAX)
            .http2_initial_stream_window_size(HTTP2_WINDOW_OCTETS)
            .http2_initial_connection_window_size(HTTP2_WINDOW_OCTETS)
            .build()
            .map_err(|_| NotRun::BadRequest)?;
        Ok(HttpProbe {
            client,
            method: Method::from_bytes(check.method.as_bytes()).map_err(|_| NotRun::BadRequest)?,
            url,
            headers: headers(check)?,
            check: check.clone(),
            stopwatch,
        })
    }

    /// Asks and judges the answer. A body is read only if the check looks for a text in it.
    pub async fn run(&self) -> Result<Timings, Failure> {
        let request = self.client.request(self.method.clone(), self.url.clone());
        let answer = request.headers(self.headers.clone()).send().await;
        let answer = answer.map_err(|error| cause::of(&error, self.stopwatch.phase()))?;
        self.stopwatch.head();
        self.judge_status(answer.status())?;
        if let [BodyMatch::Text(text), ..] = self.check.body.as_slice() {
            self.judge_body(answer, text.as_bytes()).await?;
        }
        Ok(self.stopwatch.timings())
    }

    fn judge_status(&self, status: StatusCode) -> Result<(), Failure> {
        let status = status.as_u16();
        let expected = self.check.expect.iter().any(|range| range.contains(&status));
        if expected { Ok(()) } else { Err(Failure::Status(status)) }
    }

    async fn judge_body(&self, mut answer: Response, text: &[u8]) -> Result<(), Failure> {
        let mut body = Vec::new();
        loop {
            let room = BODY_OCTETS_MAX - body.len();
            let chunk = answer.chunk().await;
            let chunk = chunk.map_err(|error| cause::of(&error, self.stopwatch.phase()))?;
            let Some(chunk) = chunk else { break };
            // A text can lie across two chunks.
            let from = body.len().saturating_sub(text.len());
            body.extend(chunk.iter().take(room));
            if contains(body.get(from..).unwrap_or_default(), text) {
                return Ok(());
            }
            if body.len() == BODY_OCTETS_MAX {
                break;
            }
        }
        if text.is_empty() { Ok(()) } else { Err(Failure::BodyLacksText) }
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}

/// The URL. What stands in it as host is what TLS asks for and verifies; the connection goes to the
/// target's own address, which our resolver gives for any name.
fn url(check: &HttpCheck, target: &TargetAddress) -> Result<Url, NotRun> {
    let name = match (target, &check.tls, &check.host) {
        (_, Some(_), Some(host)) => host.clone(),
        (TargetAddress::Address(IpAddr::V6(address)), ..) => format!("[{address}]"),
        (TargetAddress::Address(address), ..) => address.to_string(),
        (TargetAddress::Host(host), ..) => host.clone(),
    };
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let path = if check.path.starts_with('/') { check.path.as_str() } else { "/" };
    let url = format!("{scheme}://{name}:{}{path}", check.port);
    let url = Url::parse(&url).map_err(|_| NotRun::BadRequest)?;
    // An address in a URL goes round the resolver: then it must be the target's own.
    let address = url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
    let plain = url.username().is_empty() && url.password().is_none();
    match (url.domain(), target) {
        (Some(_), _) if plain => Ok(url),
        (None, TargetAddress::Address(target)) if plain && address == Some(*target) => Ok(url),
        _ => Err(NotRun::BadRequest),
    }
}

fn headers(check: &HttpCheck) -> Result<HeaderMap, NotRun> {
    let mut headers = HeaderMap::new();
    // There will be no second request; so the server need not wait for one.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // Exactly as written where HTTP/1 is certain. With TLS it could be HTTP/2, where the name in the
    // URL says it all and a second word would be an error.
    if let (Some(host), None) = (&check.host, &check.tls) {
        headers.insert(HOST, host.parse().map_err(|_| NotRun::BadRequest)?);
    }
    let mut named = HeaderMap::new();
    for (name, value) in &check.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotRun::BadRequest)?;
        named.append(name, HeaderValue::from_str(value).map_err(|_| NotRun::BadRequest)?);
    }
    headers.extend(named);
    Ok(headers)
}
