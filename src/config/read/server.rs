//! `[server]`, `[control]`, `[geoip]` and `[probes]`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::{At, Context, Table, Value, shortened};
use super::{protection, scalar, secret};
use crate::config::shape::{CONTROL, GEOIP, PROBES, SERVER};
use crate::config::{Control, Geoip, Probes, Server, Span, StateFolder};

/// The port of DNS.
const DNS_PORT: u16 = 53;
/// Where the control listener is unless the configuration says otherwise.
pub const CONTROL_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9853);
/// Some resolvers drop longer ones; nothing sensible needs more.
const NSID_OCTETS_MAX: usize = 128;
/// One text of a TXT record holds no more.
const CHAOS_OCTETS_MAX: usize = 255;

/// Networks of who may ask for accounts; each is compared where such a name is asked for.
const NETWORKS_MAX: usize = 1000;

/// `[server]`
pub fn server(cx: &mut Context, main: &Table) -> Server {
    let table = main.get("server").and_then(|value| Table::open(cx, value, &SERVER, None));
    let Some(table) = table else { return default_server() };
    let default = default_server();
    Server {
        listen: listen(cx, &table, "listen").unwrap_or(default.listen),
        workers: table.integer(cx, "workers").map(|at| at.value as usize),
        udp_payload_max: table
            .integer(cx, "udp_payload")
            .map_or(default.udp_payload_max, |at| at.value as u16),
        udp_payload_unproven_max: table
            .integer(cx, "udp_payload_without_cookie")
            .map_or(default.udp_payload_unproven_max, |at| at.value as u16),
        nsid: nsid(cx, &table),
        version: chaos(cx, &table, "version"),
        identity: chaos(cx, &table, "identity"),
        minimal_responses: table.flag(cx, "minimal_responses").unwrap_or(default.minimal_responses),
        user: table.text(cx, "user").map(|at| at.value.to_owned()),
        group: table.text(cx, "group").map(|at| at.value.to_owned()),
        tcp_connections_max: count(cx, &table, "tcp_connections", default.tcp_connections_max),
        tcp_connections_per_client_max: count(
            cx,
            &table,
            "tcp_connections_per_client",
            default.tcp_connections_per_client_max,
        ),
        tcp_idle_timeout: duration(cx, &table, "tcp_idle_timeout", default.tcp_idle_timeout),
        tcp_message_timeout: duration(cx, &table, "tcp_message_timeout", default.tcp_message_timeout),
        proxies: networks(cx, &table, "proxies"),
        start_timeout: duration(cx, &table, "start_timeout", default.start_timeout),
        drain_timeout: duration(cx, &table, "drain_timeout", default.drain_timeout),
        why: networks(cx, &table, "why"),
        hash_key: hash_key(cx, &table).unwrap_or(default.hash_key),
        zones: table.text(cx, "zones").map_or(default.zones, |at| PathBuf::from(at.value)),
        state: state(cx, &table),
        reload_removed_max_percent: removed_max(cx, &table).unwrap_or(default.reload_removed_max_percent),
    }
}

/// `[server]` where nothing is written.
fn default_server() -> Server {
    Server {
        listen: vec![
            SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DNS_PORT),
            SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), DNS_PORT),
        ],
        workers: None,
        udp_payload_max: 1232,
        udp_payload_unproven_max: u16::MAX,
        nsid: None,
        version: None,
        identity: None,
        minimal_responses: false,
        user: None,
        group: None,
        tcp_connections_max: 10_000,
        tcp_connections_per_client_max: 50,
        tcp_idle_timeout: Duration::from_secs(10),
        tcp_message_timeout: Duration::from_secs(5),
        proxies: Vec::new(),
        start_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(5),
        why: Vec::new(),
        hash_key: [0; 16],
        zones: PathBuf::from("zones"),
        state: StateFolder::Told,
        reload_removed_max_percent: 30,
    }
}

/// Addresses with ports, each once.
pub fn listen(cx: &mut Context, table: &Table, key: &str) -> Option<Vec<SocketAddr>> {
    let (values, span) = table.one_or_many(key)?;
    if values.is_empty() {
        cx.error(span, format!("`{key}` is empty"), "name at least one ADDRESS:PORT, or leave the key out");
    }
    let mut sockets: Vec<(SocketAddr, Span)> = Vec::new();
    for value in values {
        let Some(socket) = socket(cx, value, key) else { continue };
        let earlier = sockets.iter().find(|(other, _)| *other == socket && socket.port() != 0);
        match earlier {
            Some((_, first)) => {
                let first = *first;
                cx.error(value.span, format!("{socket} is listed twice"), "remove one of them");
                cx.also(first, "first listed here");
            }
            None => sockets.push((socket, value.span)),
        }
    }
    Some(sockets.into_iter().map(|(socket, _)| socket).collect())
}

/// An address with its port.
pub fn socket(cx: &mut Context, value: Value, key: &str) -> Option<SocketAddr> {
    let text = value.text(cx, key)?;
    match scalar::socket(text.value) {
        Ok(socket) => Some(socket),
        Err((why, hint)) => {
            cx.error(value.span, format!("`{key}` cannot be `{}`: {why}", shortened(text.value)), hint);
            None
        }
    }
}

/// A number, or the default.
pub fn count(cx: &mut Context, table: &Table, key: &str, default: usize) -> usize {
    table.integer(cx, key).and_then(|at| usize::try_from(at.value).ok()).unwrap_or(default)
}

/// A duration, or the default.
pub fn duration(cx: &mut Context, table: &Table, key: &str, default: Duration) -> Duration {
    table.duration(cx, key).map_or(default, |at| at.value)
}

fn nsid(cx: &mut Context, table: &Table) -> Option<Vec<u8>> {
    let text = table.text(cx, "nsid")?;
    if text.value.len() > NSID_OCTETS_MAX {
        cx.error(
            text.span,
            format!("`nsid` has {} octets, out of range", text.value.len()),
            format!("at most {NSID_OCTETS_MAX}"),
        );
        return None;
    }
    Some(text.value.as_bytes().to_vec())
}

/// One text of a TXT record.
fn chaos(cx: &mut Context, table: &Table, key: &str) -> Option<String> {
    let text = table.text(cx, key)?;
    if text.value.len() > CHAOS_OCTETS_MAX {
        let message = format!("`{key}` has {} octets, out of range", text.value.len());
        cx.error(text.span, message, format!("at most {CHAOS_OCTETS_MAX}"));
        return None;
    }
    Some(text.value.to_owned())
}

fn state(cx: &mut Context, table: &Table) -> StateFolder {
    match table.text(cx, "state") {
        None => StateFolder::Told,
        Some(At { value: "off", .. }) => StateFolder::Off,
        Some(At { value, .. }) => StateFolder::At(PathBuf::from(value)),
    }
}

fn removed_max(cx: &mut Context, table: &Table) -> Option<u8> {
    let text = table.text(cx, "reload_removed_max")?;
    let share = scalar::percent(text.value);
    if share.is_none() {
        cx.error(
            text.span,
            format!("`reload_removed_max` cannot be `{}`", shortened(text.value)),
            "write a share from \"1%\" to \"100%\"; \"100%\" lets every reload pass",
        );
    }
    share
}

/// Networks; none where the key is not written.
pub fn networks(cx: &mut Context, table: &Table, key: &str) -> Vec<IpNet> {
    let Some((elements, span)) = table.one_or_many(key) else { return Vec::new() };
    if elements.len() > NETWORKS_MAX {
        cx.error(span, format!("`{key}` has {} networks", elements.len()), format!("at most {NETWORKS_MAX}"));
    }
    let mut networks = Vec::new();
    for element in elements.into_iter().take(NETWORKS_MAX) {
        let Some(text) = element.text(cx, key) else { continue };
        match scalar::network(text.value) {
            Ok(network) => networks.push(network),
            Err((why, hint)) => {
                cx.error(text.span, format!("`{key}` cannot hold `{}`: {why}", shortened(text.value)), hint);
            }
        }
    }
    networks
}

fn hash_key(cx: &mut Context, table: &Table) -> Option<[u8; 16]> {
    let text = table.get("hash_key")?.secret(cx, "hash_key")?;
    let key = secret::resolve(cx, "hash_key", text)?;
    let octets = scalar::key_128(key.trim());
    if octets.is_none() {
        cx.error(
            text.span,
            "`hash_key` is not a key of 128 bits",
            "write 32 hexadecimal digits, such as `openssl rand -hex 16` prints",
        );
    }
    octets
}

/// `[control]`
pub fn control(cx: &mut Context, main: &Table) -> Control {
    let table = main.get("control").and_then(|value| Table::open(cx, value, &CONTROL, None));
    let Some(value) = table.and_then(|table| table.get("listen")) else {
        return Control { listen: Some(CONTROL_LISTEN) };
    };
    if value.toml.as_str() == Some("off") {
        return Control { listen: None };
    }
    let socket = socket(cx, value, "listen");
    if let Some(socket) = socket
        && !socket.ip().is_loopback()
    {
        cx.error(
            value.span,
            format!("the control listener cannot be {socket}: it is not a loopback address"),
            format!("write \"127.0.0.1:{0}\" or \"[::1]:{0}\"; a reverse proxy can add TLS", socket.port()),
        );
    }
    Control { listen: Some(socket.unwrap_or(CONTROL_LISTEN)) }
}

/// `[geoip]`
pub fn geoip(cx: &mut Context, main: &Table) -> Geoip {
    let table = main.get("geoip").and_then(|value| Table::open(cx, value, &GEOIP, None));
    let Some(table) = table else {
        return Geoip { database: Vec::new(), asn: None, overrides: None, is_cached: true };
    };
    if let (Some(first), Some(second)) = (table.key_span("database"), table.key_span("city")) {
        cx.error(second, "[geoip] has both `database` and `city`", "they mean the same: keep `database`");
        cx.also(first, "the other one");
    }
    let key = if table.get("database").is_some() { "database" } else { "city" };
    Geoip {
        database: databases(cx, &table, key),
        asn: file(cx, &table, "asn"),
        overrides: file(cx, &table, "overrides"),
        is_cached: table.flag(cx, "cache").unwrap_or(true),
    }
}

/// One database holds both families; two are one for each.
const DATABASES_MAX: usize = 2;

fn databases(cx: &mut Context, table: &Table, key: &str) -> Vec<(PathBuf, Span)> {
    let Some((values, span)) = table.one_or_many(key) else { return Vec::new() };
    if values.is_empty() || values.len() > DATABASES_MAX {
        cx.error(
            span,
            format!("`{key}` names {} files", values.len()),
            "name one file, or two: one for each address family",
        );
    }
    let mut files: Vec<(PathBuf, Span)> = Vec::new();
    for value in values {
        let Some(text) = value.text(cx, key) else { continue };
        let path = PathBuf::from(text.value);
        if files.iter().any(|(other, _)| *other == path) {
            cx.error(text.span, format!("{} is listed twice", path.display()), "remove one of them");
        } else {
            files.push((path, text.span));
        }
    }
    files
}

fn file(cx: &mut Context, table: &Table, key: &str) -> Option<(PathBuf, Span)> {
    table.text(cx, key).map(|at| (PathBuf::from(at.value), at.span))
}

/// `[probes]`
pub fn probes(cx: &mut Context, main: &Table) -> Probes {
    let default = Probes {
        concurrency_max: 256,
        allow_loopback: false,
        canaries: Vec::new(),
        resolve_interval: Duration::from_secs(30),
    };
    let table = main.get("probes").and_then(|value| Table::open(cx, value, &PROBES, None));
    let Some(table) = table else { return default };
    Probes {
        concurrency_max: count(cx, &table, "concurrency", default.concurrency_max),
        allow_loopback: table.flag(cx, "allow_loopback").unwrap_or(default.allow_loopback),
        canaries: protection::canaries(cx, &table),
        resolve_interval: duration(cx, &table, "resolve_interval", default.resolve_interval),
    }
}
