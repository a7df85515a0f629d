//! `[tls]`, `[https]` and `[quic]`: each is on where its table is written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::reader::{At, Context, Table, shortened};
use super::server::{count, duration, listen};
use crate::config::shape::{HTTPS_SERVER, QUIC, Shape, TLS};
use crate::config::{CertificateFiles, Https, Quic, Server, StreamLimits, Tls};

/// The port of DNS over TLS and over QUIC.
const DNS_OVER_TLS_PORT: u16 = 853;
/// The port of HTTPS.
const HTTPS_PORT: u16 = 443;
/// Where DNS over HTTPS is expected.
const PATH: &str = "/dns-query";

/// The transports that are on.
#[derive(Default)]
pub struct Transports {
    /// `[tls]`
    pub tls: Option<Tls>,
    /// `[https]`
    pub https: Option<Https>,
    /// `[quic]`
    pub quic: Option<Quic>,
}

/// Reads all three; one that lacks something is reported and left out.
pub fn transports(cx: &mut Context, main: &Table, server: &Server) -> Transports {
    let mut taken = Taken { streams: server.listen.clone(), datagrams: server.listen.clone() };
    let tls = open(cx, main, "tls", &TLS).and_then(|table| tls(cx, &table, &mut taken));
    let shared = tls.as_ref().map(|tls| tls.files.clone());
    let https = open(cx, main, "https", &HTTPS_SERVER)
        .and_then(|table| https(cx, &table, shared.as_ref(), &mut taken));
    let quic = open(cx, main, "quic", &QUIC).and_then(|table| quic(cx, &table, shared.as_ref(), &mut taken));
    Transports { tls, https, quic }
}

impl Transports {
    /// Every address that is listened on, those of `[server]` first.
    pub fn entrances(&self, server: &Server) -> Vec<SocketAddr> {
        let tls = self.tls.iter().map(|tls| &tls.listen);
        let https = self.https.iter().flat_map(|https| [&https.listen, &https.plain_listen]);
        let quic = self.quic.iter().flat_map(|quic| [&quic.listen, &quic.http3_listen]);
        [&server.listen].into_iter().chain(tls).chain(https).chain(quic).flatten().copied().collect()
    }
}

fn open<'t>(cx: &mut Context, main: &Table<'t>, name: &str, shape: &'static Shape) -> Option<Table<'t>> {
    main.get(name).and_then(|value| Table::open(cx, value, shape, None))
}

fn tls(cx: &mut Context, table: &Table, taken: &mut Taken) -> Option<Tls> {
    let listen = listen(cx, table, "listen").unwrap_or_else(|| anywhere(DNS_OVER_TLS_PORT));
    Taken::by(cx, table, "listen", &listen, &mut taken.streams);
    let limits = limits(cx, table);
    Some(Tls { listen, files: files(cx, table, None)?, limits })
}

fn https(
    cx: &mut Context,
    table: &Table,
    shared: Option<&CertificateFiles>,
    taken: &mut Taken,
) -> Option<Https> {
    let plain_listen = listen(cx, table, "plain_listen").unwrap_or_default();
    loopback_only(cx, table, &plain_listen);
    let default = || if plain_listen.is_empty() { anywhere(HTTPS_PORT) } else { Vec::new() };
    let listen = listen(cx, table, "listen").unwrap_or_else(default);
    Taken::by(cx, table, "listen", &listen, &mut taken.streams);
    Taken::by(cx, table, "plain_listen", &plain_listen, &mut taken.streams);
    let limits = limits(cx, table);
    let path = path(cx, table).unwrap_or_else(|| PATH.to_owned());
    let streams_max = table.integer(cx, "streams").and_then(|at| u32::try_from(at.value).ok()).unwrap_or(100);
    // Without TLS nobody asks for a certificate; one that is written is looked at all the same.
    let written = table.get("certificate").is_some() || table.get("key").is_some();
    let files = match listen.is_empty() && !written {
        true => None,
        false => Some(files(cx, table, shared)?),
    };
    Some(Https { listen, plain_listen, files, path, streams_max, limits })
}

fn quic(
    cx: &mut Context,
    table: &Table,
    shared: Option<&CertificateFiles>,
    taken: &mut Taken,
) -> Option<Quic> {
    let http3_listen = listen(cx, table, "http3_listen").unwrap_or_default();
    let listen = listen(cx, table, "listen").unwrap_or_else(|| anywhere(DNS_OVER_TLS_PORT));
    Taken::by(cx, table, "listen", &listen, &mut taken.datagrams);
    Taken::by(cx, table, "http3_listen", &http3_listen, &mut taken.datagrams);
    let idle_timeout = duration(cx, table, "idle_timeout", StreamLimits::USUAL.idle_timeout);
    Some(Quic { listen, http3_listen, files: files(cx, table, shared)?, idle_timeout })
}

fn anywhere(port: u16) -> Vec<SocketAddr> {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    vec![SocketAddr::new(v4, port), SocketAddr::new(v6, port)]
}

fn limits(cx: &mut Context, table: &Table) -> StreamLimits {
    let usual = StreamLimits::USUAL;
    StreamLimits {
        connections_max: count(cx, table, "connections", usual.connections_max),
        connections_per_client_max: count(
            cx,
            table,
            "connections_per_client",
            usual.connections_per_client_max,
        ),
        idle_timeout: duration(cx, table, "idle_timeout", usual.idle_timeout),
        message_timeout: duration(cx, table, "message_timeout", usual.message_timeout),
        handshake_timeout: duration(cx, table, "handshake_timeout", usual.handshake_timeout),
    }
}

/// Both files, those of `[tls]`, or a report of what is missing.
fn files(cx: &mut Context, table: &Table, shared: Option<&CertificateFiles>) -> Option<CertificateFiles> {
    let (certificate, key) = (table.text(cx, "certificate"), table.text(cx, "key"));
    let written = |key: &str| table.get(key).is_some();
    let file = |at: At<&str>| (PathBuf::from(at.value), at.span);
    match (written("certificate"), written("key")) {
        (true, true) => Some(CertificateFiles { certificate: file(certificate?), key: file(key?) }),
        (false, false) if shared.is_some() => shared.cloned(),
        (has_certificate, _) => {
            let missing = if has_certificate { "key" } else { "certificate" };
            cx.error(
                table.span,
                format!("this transport has no `{missing}`"),
                "name two files in PEM: certificate = \"chain.pem\", key = \"key.pem\" (docs/encryption.md makes them in a minute)",
            );
            None
        }
    }
}

fn path(cx: &mut Context, table: &Table) -> Option<String> {
    let text = table.text(cx, "path")?;
    let usual = |octet: u8| octet.is_ascii_graphic() && !b"?#%\"<>\\^`{|}".contains(&octet);
    if !text.value.starts_with('/') || !text.value.bytes().all(usual) {
        cx.error(
            text.span,
            format!("`path` cannot be `{}`", shortened(text.value)),
            "begin it with a slash, and write it without blanks, `?`, `#`, `%`: \"/dns-query\"",
        );
    }
    Some(text.value.to_owned())
}

fn loopback_only(cx: &mut Context, table: &Table, listen: &[SocketAddr]) {
    let Some((values, _)) = table.one_or_many("plain_listen") else { return };
    let far = listen.iter().find(|socket| !socket.ip().is_loopback());
    if let (Some(socket), Some(value)) = (far, values.first()) {
        cx.error(
            value.span,
            format!("`plain_listen` cannot be {socket}: it is not a loopback address"),
            "without TLS only a proxy on this machine is answered: \"127.0.0.1:8053\"",
        );
    }
}

/// Where something listens already.
struct Taken {
    streams: Vec<SocketAddr>,
    datagrams: Vec<SocketAddr>,
}

impl Taken {
    fn by(cx: &mut Context, table: &Table, key: &str, listen: &[SocketAddr], taken: &mut Vec<SocketAddr>) {
        for socket in listen {
            if socket.port() != 0 && taken.contains(socket) {
                let span = table.get(key).map_or(table.span, |value| value.span);
                cx.error(
                    span,
                    format!("{socket} is taken by another transport"),
                    "every transport needs an address or a port of its own",
                );
            }
            taken.push(*socket);
        }
    }
}
