//! Every transport over loopback: the same message by all of them, their limits, and hostile clients.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

mod alike;
mod clients;
mod hostile;
mod http;
mod quic;
mod renewal;
#[path = "../world/view.rs"]
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian::publish::Cell;
use meridian::server::{
    Certificate, Clock, ConnectionLimits, Credentials, Entrances, HttpsEntrance, QuicEntrance, Server,
    TlsEntrance,
};
use meridian::telemetry::{Event, Telemetry};
use meridian::transfer::Desk;
use meridian::view::View;
use rustls::pki_types::CertificateDer;

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What no test reaches that does not mean to.
const LIMITS: Limits = Limits {
    connections: ConnectionLimits {
        connections_max: 200,
        connections_per_client_max: 200,
        idle_timeout: Duration::from_secs(60),
        message_timeout: Duration::from_secs(60),
    },
    handshake: Duration::from_secs(60),
};

const CONFIG: &str = r#"
[server]
listen = ["127.0.0.1:0"]
nsid = "node-1"

[regions.us-east]
at = [39.0, -77.5]
[regions.eu-west]
at = [53.3, -6.3]

[pools.web]
endpoints = [
  { name = "iad-1", region = "us-east", address = ["192.0.2.10", "2001:db8:1::10"] },
  { name = "dub-1", region = "eu-west", address = ["198.51.100.10", "2001:db8:2::10"] },
]
[pools.one]
endpoints = [{ name = "iad-2", region = "us-east", address = "192.0.2.11" }]
[pools.hosts]
endpoints = [{ name = "dub", region = "eu-west", host = "eu.lb.example.net" }]

[services.near]
policy = { nearest = ["web"] }
https = { alpn = ["h3", "h2"], port = 443 }
[services.first]
policy = { failover = ["one"] }
[services.alias]
policy = { nearest = ["hosts"] }
"#;

const NAMES: &str = "[names]\nnear = \"near\"\nfirst = \"first\"\nalias = \"alias\"\n\"*.apps\" = \"near\"\n";

const ZONE: &str = "\
$TTL 300
@ SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
@ MX 10 mail
ns1 A 192.0.2.1
www 60 A 192.0.2.2
www TXT \"hello\"
link CNAME www
tonear CNAME near
*.wild A 192.0.2.3
cut NS ns.cut
ns.cut A 192.0.2.4
old DNAME new
x.new A 192.0.2.5
a.b.c.ent TXT x
";

const GEOFEED: &str = "203.0.113.0/24,IE,,Dublin,\n198.51.0.0/16,US,US-VA,Ashburn,\n";

/// What the connections of every transport are held to.
#[derive(Clone, Copy)]
struct Limits {
    connections: ConnectionLimits,
    handshake: Duration,
}

/// A certificate with its key, and what its clients trust.
struct Identity {
    credentials: Credentials,
    trusted: CertificateDer<'static>,
}

impl Identity {
    fn new() -> Identity {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let credentials = Credentials::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        Identity { credentials, trusted: made.cert.der().clone() }
    }
}

/// A running server with every transport.
struct World {
    runtime: tokio::runtime::Runtime,
    server: Option<Server>,
    telemetry: Arc<Telemetry>,
    certificate: Arc<Certificate>,
    identity: Identity,
    dns: SocketAddr,
    tls: SocketAddr,
    https: SocketAddr,
    plain: SocketAddr,
    quic: SocketAddr,
    http3: SocketAddr,
}

impl World {
    fn start(limits: Limits) -> World {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let any: [SocketAddr; 1] = ["127.0.0.1:0".parse().unwrap()];
        let identity = Identity::new();
        let certificate = Arc::new(Certificate::new(&identity.credentials));
        let dns = meridian::server::bind(&any, 1).unwrap();
        let [tls, https, plain] = [(); 3].map(|()| meridian::server::listen(&any).unwrap());
        let [quic, http3] = [(); 2].map(|()| meridian::server::listen_for_datagrams(&any).unwrap());
        let telemetry = Arc::new(Telemetry::default());
        let mut world = World {
            server: None,
            telemetry: telemetry.clone(),
            certificate: certificate.clone(),
            identity,
            dns: dns[0].address,
            tls: tls[0].address,
            https: https[0].address,
            plain: plain[0].address,
            quic: quic[0].address,
            http3: http3[0].address,
            runtime,
        };
        let entrances = Entrances {
            dns,
            limits: limits.connections,
            proxies: vec!["127.0.7.0/24".parse().unwrap()],
            tls: Some(TlsEntrance {
                listeners: tls,
                certificate: certificate.clone(),
                limits: limits.connections,
                handshake_timeout: limits.handshake,
            }),
            https: Some(HttpsEntrance {
                secured: Some((https, certificate.clone())),
                plain,
                path: "/dns-query".to_owned(),
                streams_max: 100,
                limits: limits.connections,
                handshake_timeout: limits.handshake,
            }),
            quic: Some(QuicEntrance {
                quic,
                http3,
                certificate,
                idle_timeout: limits.connections.idle_timeout,
            }),
        };
        let cell = Arc::new(Cell::new(Arc::new(view())));
        let started = world.runtime.block_on(async {
            Server::start(entrances, &cell, Clock::start(), &telemetry, &Desk::new(telemetry.clone()).0)
        });
        world.server = Some(started.unwrap());
        world
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// Waits until the server has counted something.
    fn wait_for(&self, event: Event, times: u64) {
        let begun = Instant::now();
        while self.telemetry.events(event) < times {
            let all =
                || Event::ALL.iter().map(|event| (event, self.telemetry.events(*event))).collect::<Vec<_>>();
            assert!(begun.elapsed() < PATIENCE, "{event:?}: {:?}", all());
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
    }
}

fn view() -> View {
    let large = (0..40).map(|n| format!("large TXT \"{n} {}\"\n", "x".repeat(200))).collect::<String>();
    view::example_com(CONFIG, &format!("{ZONE}{large}"), NAMES, GEOFEED)
}

/// A query for a name (without its final dot) and a type; EDNS options as octets, or no EDNS.
fn query(id: u16, name: &str, rtype: u16, options: Option<&[u8]>) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let mut packet = vec![id_high, id_low, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(options.is_some())];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    packet.push(0);
    packet.extend(rtype.to_be_bytes());
    packet.extend([0, 1]);
    if let Some(options) = options {
        packet.extend([0, 0, 41, 4, 0xd0, 0, 0, 0x80, 0]);
        packet.extend((options.len() as u16).to_be_bytes());
        packet.extend(options);
    }
    packet
}

/// `www.example.com A`
fn www(id: u16) -> Vec<u8> {
    query(id, "www.example.com", 1, None)
}

/// Asserts that a message answers [`www`]'s query.
fn assert_www(message: &[u8], id: u16) {
    assert_eq!(message[..2], id.to_be_bytes());
    assert_eq!((message[3] & 0xf, message[7]), (0, 1));
    assert_eq!(message[message.len() - 4..], [192, 0, 2, 2]);
}
