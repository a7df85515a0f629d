//! Every socket that clients come in by: opened before privileges go, given their limits after.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::certificates::Certificates;
use crate::config::{Config, StreamLimits};
use crate::respond::Transport;
use crate::server::{
    self, Bound, ConnectionLimits, Datagrams, Entrances, HttpsEntrance, Listening, QuicEntrance, TlsEntrance,
};

/// Descriptors kept for the control listener's connections, our sockets, the log, and files of a reload.
const DESCRIPTORS_RESERVED: usize = 256;

/// Opened sockets.
pub struct Opened {
    dns: Vec<Bound>,
    tls: Vec<Listening>,
    https: Vec<Listening>,
    plain: Vec<Listening>,
    quic: Vec<Datagrams>,
    http3: Vec<Datagrams>,
}

/// Opens every address of a configuration, with so many UDP workers for each of DNS.
///
/// # Errors
/// The first address that could not be opened, and why.
pub fn open(config: &Config, workers: usize) -> Result<Opened, (SocketAddr, io::Error)> {
    let tls = config.tls.as_ref().map_or(&[][..], |tls| &tls.listen);
    let (https, plain) =
        config.https.as_ref().map_or((&[][..], &[][..]), |https| (&https.listen, &https.plain_listen));
    let (quic, http3) =
        config.quic.as_ref().map_or((&[][..], &[][..]), |quic| (&quic.listen, &quic.http3_listen));
    Ok(Opened {
        dns: server::bind(&config.server.listen, workers)?,
        tls: server::listen(tls)?,
        https: server::listen(https)?,
        plain: server::listen(plain)?,
        quic: server::listen_for_datagrams(quic)?,
        http3: server::listen_for_datagrams(http3)?,
    })
}

impl Opened {
    /// The ways in with their limits, in a process that may open so many descriptors.
    pub fn entrances(
        self,
        config: &Config,
        certificates: &Certificates,
        descriptors: Option<u64>,
    ) -> Entrances {
        let room = Room::of(config, descriptors);
        let tls = config.tls.as_ref().zip(certificates.of(Transport::Tls));
        let https = config.https.as_ref();
        let quic = config.quic.as_ref().zip(certificates.of(Transport::Quic));
        Entrances {
            dns: self.dns,
            limits: room.limits(usual(config)),
            proxies: config.server.proxies.clone(),
            tls: tls.map(|(tls, certificate)| TlsEntrance {
                listeners: self.tls,
                certificate,
                limits: room.limits(tls.limits),
                handshake_timeout: tls.limits.handshake_timeout,
            }),
            https: https.map(|https| HttpsEntrance {
                secured: certificates.of(Transport::Https).map(|certificate| (self.https, certificate)),
                plain: self.plain,
                path: https.path.clone(),
                streams_max: https.streams_max,
                limits: room.limits(https.limits),
                handshake_timeout: https.limits.handshake_timeout,
            }),
            quic: quic.map(|(quic, certificate)| QuicEntrance {
                quic: self.quic,
                http3: self.http3,
                certificate,
                idle_timeout: quic.idle_timeout,
            }),
        }
    }

    /// Says where the encrypted transports can be reached.
    pub fn tell(&self) {
        let text = |addresses: Vec<SocketAddr>| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let streams = |sockets: &[Listening]| text(sockets.iter().map(|socket| socket.address).collect());
        let datagrams = |sockets: &[Datagrams]| text(sockets.iter().map(|socket| socket.address).collect());
        for (protocol, listen) in [
            ("dns-over-tls", streams(&self.tls)),
            ("dns-over-https", streams(&self.https)),
            ("dns-over-http", streams(&self.plain)),
            ("dns-over-quic", datagrams(&self.quic)),
            ("dns-over-http3", datagrams(&self.http3)),
        ] {
            if !listen.is_empty() {
                tracing::info!(protocol, listen, "open");
            }
        }
    }
}

/// Descriptors that connections and probes may take together, at most.
pub fn descriptors_wanted(config: &Config) -> u64 {
    let rest = config.probes.concurrency_max.saturating_add(DESCRIPTORS_RESERVED);
    connections_configured(config).saturating_add(rest) as u64
}

/// Connections of all transports that the configuration allows.
fn connections_configured(config: &Config) -> usize {
    let tls = config.tls.as_ref().map_or(0, |tls| tls.limits.connections_max);
    let https = config.https.as_ref().map_or(0, |https| {
        let doors = usize::from(!https.listen.is_empty()) + usize::from(!https.plain_listen.is_empty());
        https.limits.connections_max * doors
    });
    config.server.tcp_connections_max + tls + https
}

/// `[server]`'s limits in the words of the others.
fn usual(config: &Config) -> StreamLimits {
    StreamLimits {
        connections_max: config.server.tcp_connections_max,
        connections_per_client_max: config.server.tcp_connections_per_client_max,
        idle_timeout: config.server.tcp_idle_timeout,
        message_timeout: config.server.tcp_message_timeout,
        handshake_timeout: Duration::ZERO,
    }
}

/// How many connections there is room for, of how many that are configured: clients must not take the
/// descriptors that probes and the control listener need.
struct Room {
    possible: usize,
    configured: usize,
}

impl Room {
    fn of(config: &Config, descriptors: Option<u64>) -> Room {
        let configured = connections_configured(config);
        let possible = connections_possible(descriptors, config.probes.concurrency_max);
        if possible < configured {
            tracing::warn!(
                descriptors,
                "room for {possible} TCP connections, not {configured}: raise the limit on open files (ulimit -n)"
            );
        } else {
            tracing::info!(descriptors, connections = configured, "room for all connections");
        }
        Room { possible, configured }
    }

    /// A transport's limits, with its share of the room where there is too little.
    fn limits(&self, limits: StreamLimits) -> ConnectionLimits {
        let share = match self.possible < self.configured {
            true => (limits.connections_max.saturating_mul(self.possible) / self.configured).max(1),
            false => limits.connections_max,
        };
        ConnectionLimits {
            connections_max: share,
            connections_per_client_max: limits.connections_per_client_max,
            idle_timeout: limits.idle_timeout,
            message_timeout: limits.message_timeout,
        }
    }
}

/// How many connections leave enough descriptors for the rest; never less than a quarter of all.
fn connections_possible(descriptors: Option<u64>, probes: usize) -> usize {
    let all = descriptors.map_or(usize::MAX, |all| usize::try_from(all).unwrap_or(usize::MAX));
    all.saturating_sub(probes.saturating_add(DESCRIPTORS_RESERVED)).max(all / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        let check = |descriptors, probes, expected| {
            assert_eq!(connections_possible(descriptors, probes), expected, "{descriptors:?} {probes}");
        };
        check(None, 256, usize::MAX - 512);
        check(Some(1 << 20), 256, (1 << 20) - 512);
        check(Some(1024), 256, 512);
        check(Some(1024), 65_536, 256);
        check(Some(64), 256, 16);
        check(Some(0), 256, 0);
    }

    #[test]
    fn transports_share_what_room_there_is() {
        let check = |possible, configured, connections_max, expected| {
            let limits = StreamLimits { connections_max, ..StreamLimits::USUAL };
            let room = Room { possible, configured };
            assert_eq!(room.limits(limits).connections_max, expected);
        };
        check(5000, 3000, 1000, 1000);
        check(600, 3000, 1000, 200);
        check(600, 3000, 1, 1);
        check(0, 3000, 1000, 1);
    }
}
