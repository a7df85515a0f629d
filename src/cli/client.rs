//! Asking a running server over its control listener.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde::de::DeserializeOwned;

use crate::config;
use crate::control::ACTOR_FIELD;
use crate::load::{self, CONFIG_OCTETS_MAX};

/// Loopback connects at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A reload of the largest databases takes a minute.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
/// Whoever asks whether the server is ready asks again soon; the server itself gives up after five seconds.
const READY_TIMEOUT: Duration = Duration::from_secs(6);

/// What came of a request.
pub(super) enum Answer<T> {
    /// The server answered.
    Given(T),
    /// The server refused, and says why.
    Refused(String),
    /// No server is there, and why we think so.
    Nobody(String),
}

/// Where to ask: as told, else as configured, else the default. A configuration that is refused may be the very
/// reason for asking, so only this one setting is read of it.
pub(super) fn address(told: Option<SocketAddr>, config: &Path) -> Option<SocketAddr> {
    told.or_else(|| config::control_listen(&load::read_bytes(config, CONFIG_OCTETS_MAX).unwrap_or_default()))
}

/// Gets a document.
pub(super) fn get<T: DeserializeOwned>(
    address: Option<SocketAddr>,
    path: &str,
    parameters: &[(String, String)],
) -> Answer<T> {
    ask(address, |client, address| {
        let mut url = reqwest::Url::parse(&format!("http://{address}{path}")).ok()?;
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        Some(client.get(url))
    })
}

/// A request that changes something.
#[derive(Default)]
pub(super) struct Change<'c> {
    /// The last part of the path, as it is: it may hold slashes.
    pub(super) last: Option<&'c str>,
    /// Parameters of the query.
    pub(super) parameters: &'c [(String, String)],
    /// What is sent.
    pub(super) body: Option<serde_json::Value>,
}

/// Sends a request that changes something, in the name of whoever runs this.
pub(super) fn send_change<T: DeserializeOwned>(
    address: Option<SocketAddr>,
    method: Method,
    path: &str,
    change: &Change<'_>,
) -> Answer<T> {
    ask(address, |client, address| {
        let mut url = reqwest::Url::parse(&format!("http://{address}{path}")).ok()?;
        if let Some(last) = change.last {
            url.path_segments_mut().ok()?.push(last);
        }
        if !change.parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(change.parameters);
        }
        let request = client.request(method, url).header(ACTOR_FIELD, actor());
        Some(match &change.body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
    })
}

/// `user@host`: the one who gained another's rights by sudo is named, and not the other.
fn actor() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let own = || nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten().map(|user| user.name);
    let user = user.or_else(own).unwrap_or_else(|| nix::unistd::getuid().to_string());
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok());
    let named = format!("{user}@{}", host.unwrap_or_default());
    named.chars().filter(|c| c.is_ascii_graphic()).collect()
}

/// Whether the server is ready, with its own words for it.
pub(super) fn ready(address: Option<SocketAddr>) -> Answer<String> {
    let asked =
        send(address, READY_TIMEOUT, |client, address| Some(client.get(format!("http://{address}/readyz"))));
    match asked {
        Ok((200, body, _)) => Answer::Given(String::from_utf8_lossy(&body).trim_end().to_owned()),
        Ok((_, body, _)) => Answer::Refused(String::from_utf8_lossy(&body).trim_end().to_owned()),
        Err(why) => Answer::Nobody(why),
    }
}

fn ask<T: DeserializeOwned>(
    address: Option<SocketAddr>,
    request: impl FnOnce(&reqwest::Client, SocketAddr) -> Option<reqwest::RequestBuilder>,
) -> Answer<T> {
    match send(address, ANSWER_TIMEOUT, request) {
        Ok((_, body, address)) => understand(&body, address),
        Err(why) => Answer::Nobody(why),
    }
}

/// Sends a request; gives the status, the body and who was asked, or why nobody answers.
fn send(
    address: Option<SocketAddr>,
    answer_timeout: Duration,
    request: impl FnOnce(&reqwest::Client, SocketAddr) -> Option<reqwest::RequestBuilder>,
) -> Result<(u16, Vec<u8>, SocketAddr), String> {
    let address = address.ok_or("the configuration has no control listener")?;
    let asked = || -> Result<(u16, Vec<u8>), Box<dyn std::error::Error>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(answer_timeout)
            .build()?;
        let request = request(&client, address).ok_or("the address makes no URL")?;
        runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            Ok((status, response.bytes().await?.to_vec()))
        })
    };
    asked().map(|(status, body)| (status, body, address)).map_err(|error| {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(deeper) = source {
            why = deeper.to_string();
            source = deeper.source();
        }
        format!("no server answers on {address}: {why}")
    })
}

/// A document, or problem details.
fn understand<T: DeserializeOwned>(body: &[u8], address: SocketAddr) -> Answer<T> {
    if let Ok(document) = serde_json::from_slice(body) {
        return Answer::Given(document);
    }
    let problem = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    let member = |name: &str| problem.get(name).and_then(|text| text.as_str());
    match (member("detail"), member("mend")) {
        (Some(detail), Some(mend)) => Answer::Refused(format!("{detail}\n  {mend}")),
        (Some(detail), None) => Answer::Refused(detail.to_owned()),
        (None, _) => Answer::Nobody(format!("what answers on {address} is not meridian, or another version")),
    }
}
