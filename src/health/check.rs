//! What is probed, how, and how often.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use crate::ids::{MonitorId, RegionId};

/// One thing to probe. Its identity, what keeps its history over a reload, is (address, check).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSpec {
    /// Where to connect.
    pub address: TargetAddress,
    /// What to do there.
    pub check: Check,
    /// How often, how long, and the thresholds.
    pub cadence: Cadence,
    /// The first monitor that asks for it: names it in logs and metrics.
    pub monitor: MonitorId,
    /// The region of the first endpoint that uses it.
    pub region: RegionId,
    /// What people read: `pool/endpoint address`.
    pub label: String,
}

/// Where a probe connects.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum TargetAddress {
    /// An endpoint's own address.
    Address(IpAddr),
    /// A host name, resolved by the system's resolver at each probe.
    Host(String),
}

/// A monitor's intervals and thresholds (H2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Cadence {
    /// How often (default 5 s).
    pub interval: Duration,
    /// How long one probe may take (default 2 s, at most the interval).
    pub timeout: Duration,
    /// Failures that take a target down (default 3).
    pub fall: u8,
    /// Successes in a row that bring it back (default 2).
    pub rise: u8,
    /// Successes in a row that forget earlier failures while up (default 10).
    pub ok: u8,
    /// A relapse within this doubles the successes needed (default 10 min).
    pub relapse_window: Duration,
}

/// What a monitor does. Equal checks of equal addresses are one probe (H5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// `http = {...}` or `https = {...}`
    Http(HttpCheck),
    /// `tcp = { port = N }`: a connection is enough.
    Tcp {
        /// The port.
        port: u16,
    },
}

/// An HTTP or HTTPS request and what counts as well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpCheck {
    /// `None` for http.
    pub tls: Option<TlsCheck>,
    /// Default 80 or 443.
    pub port: u16,
    /// Default GET.
    pub method: String,
    /// Path and query, beginning with a slash (default "/").
    pub path: String,
    /// `Host`, and the name that TLS asks for and verifies; `None`: the address itself.
    pub host: Option<String>,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// Status codes that count as well (default 200-299).
    pub expect: Vec<RangeInclusive<u16>>,
    /// Text that the first 64 KiB of the body must contain; `None`: the status alone decides and the
    /// body is not read.
    pub body: Option<String>,
}

/// How HTTPS is verified.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsCheck {
    /// `verify = false` accepts any certificate.
    pub verify: bool,
    /// A file of PEM certificates to trust instead of the public ones, already resolved against
    /// the folder of the configuration file.
    pub ca: Option<PathBuf>,
}
