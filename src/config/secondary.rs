//! `[secondary]` of `zones/NAME.toml`, as it runs.

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::Span;
use crate::secondary::Limits;

/// Where a zone's data come from.
#[derive(Clone, PartialEq, Debug)]
pub struct Secondary {
    /// Where it is written.
    pub span: Span,
    /// Who has the zone, in the order to be tried; at least one.
    pub primaries: Vec<Primary>,
    /// Who else may tell of a change.
    pub notify_from: Vec<IpNet>,
    /// What transfers and timers are held to.
    pub limits: Limits,
}

/// A server that has the zone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Primary {
    /// Where it is.
    pub address: SocketAddr,
    /// The name of the TSIG key.
    pub key: Option<String>,
    /// Over TLS.
    pub tls: Option<PrimaryTls>,
}

/// How a primary proves who it is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct PrimaryTls {
    /// The name in its certificate.
    pub name: String,
    /// Whom to trust: a file of PEM certificates; the system's authorities without it.
    pub ca: Option<PathBuf>,
}
