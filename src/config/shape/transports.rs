//! `[tls]`, `[https]` and `[quic]`.

use super::{FILE, Key, Kind, SOCKET, Shape, ms, optional, s};

/// One address or several.
const SOCKETS: Kind = Kind::Either(&[SOCKET, Kind::List(&SOCKET)]);

const CONNECTIONS: Key = optional(
    "connections",
    Kind::Integer(1, 1_000_000),
    "1000",
    "Connections at once, in total; those with a handshake under way count.",
);
const CONNECTIONS_PER_CLIENT: Key = optional(
    "connections_per_client",
    Kind::Integer(1, 1_000_000),
    "50",
    "Connections at once from one client address, likewise.",
);
const IDLE_TIMEOUT: Key = optional(
    "idle_timeout",
    Kind::Span(ms(100), s(600)),
    r#""10s""#,
    "A connection on which no message is under way is closed after this.",
);
const MESSAGE_TIMEOUT: Key = optional(
    "message_timeout",
    Kind::Span(ms(100), s(600)),
    r#""5s""#,
    "A message, once begun, must have arrived within this.",
);
const HANDSHAKE_TIMEOUT: Key = optional(
    "handshake_timeout",
    Kind::Span(ms(100), s(60)),
    r#""5s""#,
    "A handshake must be complete within this.",
);

/// `[tls]`
pub static TLS: Shape = Shape {
    name: "[tls]",
    doc: "DNS over TLS (RFC 7858).",
    keys: &[
        optional("listen", SOCKETS, r#"["0.0.0.0:853", "[::]:853"]"#, "Addresses with ports to answer at."),
        optional(
            "certificate",
            FILE,
            "needed",
            "The server's certificate and behind it those of its issuers, in PEM.",
        ),
        optional("key", FILE, "needed", "The private key of the certificate, in PEM."),
        CONNECTIONS,
        CONNECTIONS_PER_CLIENT,
        IDLE_TIMEOUT,
        MESSAGE_TIMEOUT,
        HANDSHAKE_TIMEOUT,
    ],
    exactly_one: &[],
};

/// `[https]`
pub static HTTPS_SERVER: Shape = Shape {
    name: "[https]",
    doc: "DNS over HTTPS (RFC 8484).",
    keys: &[
        optional(
            "listen",
            SOCKETS,
            r#"["0.0.0.0:443", "[::]:443"]; nowhere with `plain_listen`"#,
            "Addresses with ports to answer at.",
        ),
        optional(
            "plain_listen",
            SOCKETS,
            "nowhere",
            "Loopback addresses with ports to answer at without TLS, for a proxy on the same machine.",
        ),
        optional("certificate", FILE, "that of [tls]", "As in [tls]."),
        optional("key", FILE, "that of [tls]", "As in [tls]."),
        optional("path", Kind::Text("a path"), r#""/dns-query""#, "The path that is answered at."),
        optional("streams", Kind::Integer(1, 1000), "100", "Requests at once on one connection of HTTP/2."),
        CONNECTIONS,
        CONNECTIONS_PER_CLIENT,
        IDLE_TIMEOUT,
        MESSAGE_TIMEOUT,
        HANDSHAKE_TIMEOUT,
    ],
    exactly_one: &[],
};

/// `[quic]`
pub static QUIC: Shape = Shape {
    name: "[quic]",
    doc: "DNS over QUIC (RFC 9250) and over HTTP/3.",
    keys: &[
        optional(
            "listen",
            SOCKETS,
            r#"["0.0.0.0:853", "[::]:853"]"#,
            "Addresses with ports to answer DNS over QUIC at, over UDP.",
        ),
        optional(
            "http3_listen",
            SOCKETS,
            "nowhere",
            "Addresses with ports to answer DNS over HTTP/3 at, over UDP.",
        ),
        optional("certificate", FILE, "that of [tls]", "As in [tls]."),
        optional("key", FILE, "that of [tls]", "As in [tls]."),
        IDLE_TIMEOUT,
    ],
    exactly_one: &[],
};
