//! What is probed, how, and how often.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::feed::FeedFormat;
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

impl Cadence {
    /// Where nothing is written (H2).
    pub const DEFAULT: Cadence = Cadence {
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        fall: 3,
        rise: 2,
        ok: 10,
        relapse_window: Duration::from_secs(600),
    };
}

/// What a monitor does. Equal checks of equal addresses are one probe (H5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Check {
    /// `http = {...}` or `https = {...}`
    Http(HttpCheck),
    /// `tcp = {...}`
    Tcp(TcpCheck),
    /// `grpc = {...}`
    Grpc(GrpcCheck),
    /// `dns = {...}`
    Dns(DnsCheck),
    /// `exec = {...}`
    Exec(ExecCheck),
    /// A page of load figures, `[feeds.NAME]`: read, and judged by the share of errors if at all.
    Load(Box<LoadCheck>),
    /// A host name whose addresses stand in answers (`flatten`): looked up, and a failure takes nothing away.
    Resolve,
    /// `push = {...}`: never probed; somebody posts verdicts, and each is good for so long.
    Push {
        /// How long a verdict holds.
        ttl: Duration,
    },
}

/// An HTTP or HTTPS request and what counts as well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HttpCheck {
    /// `None` for http.
    pub tls: Option<TlsCheck>,
    /// Whether HTTP/2 is spoken; without TLS it is not.
    pub http2: Http2,
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
    /// What must be true of the first 64 KiB of the body; empty: the status alone decides and the body
    /// is not read.
    pub body: Vec<BodyMatch>,
}

/// Whether HTTP/2 is spoken with an HTTPS server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Http2 {
    /// Where the server offers it.
    IfOffered,
    /// A server that does not offer it is not well.
    Required,
    /// Never: HTTP/1.1.
    Never,
}

/// What must be true of a body.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum BodyMatch {
    /// It contains this text.
    Text(String),
    /// This regular expression, checked already, is found in it.
    Regex(String),
    /// It is JSON, and what the pointer (RFC 6901) leads to is one of these values.
    Json {
        /// Empty or beginning with a slash.
        pointer: String,
        /// At least one; texts, numbers, true or false.
        values: Vec<serde_json::Value>,
    },
}

/// A compiled regular expression may take so much memory: a pattern like `.{9999}` is refused.
const REGEX_OCTETS_MAX: usize = 256 * 1024;

impl BodyMatch {
    /// Compiles a regular expression as checks use them: over octets, so that a body need not be UTF-8.
    ///
    /// # Errors
    /// What is wrong with the pattern, or that it is too large.
    pub fn compile(pattern: &str) -> Result<regex::bytes::Regex, regex::Error> {
        regex::bytes::RegexBuilder::new(pattern)
            .size_limit(REGEX_OCTETS_MAX)
            .dfa_size_limit(REGEX_OCTETS_MAX)
            .build()
    }
}

/// Where an address's load is read (H12).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LoadCheck {
    /// The page; nothing is looked for in its body.
    pub http: HttpCheck,
    /// How it is written, and what of it counts.
    pub format: FeedFormat,
    /// A greater share of errors between two readings is a failure, in permille; `None`: none is.
    pub errors_permille_max: Option<u16>,
}

/// How TLS is verified.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TlsCheck {
    /// `verify = false` accepts any certificate.
    pub verify: bool,
    /// A file of PEM certificates to trust instead of the public ones, already resolved against
    /// the folder of the configuration file.
    pub ca: Option<PathBuf>,
    /// A certificate with fewer days left is warned of (default 7); 0: never.
    pub expires_in_days: u16,
}

impl TlsCheck {
    /// What `expires_in_days` is where it is not written: less than any automatic renewal leaves.
    pub const EXPIRES_IN_DAYS: u16 = 7;
}

/// A TCP connection, and perhaps a short exchange over it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TcpCheck {
    /// The port.
    pub port: u16,
    /// What is sent once the connection stands.
    pub send: Option<String>,
    /// What the first 4 KiB of the answer must contain; `None`: a connection is enough.
    pub expect: Option<String>,
}

impl TcpCheck {
    /// A connection is enough.
    pub fn connect(port: u16) -> TcpCheck {
        TcpCheck { port, send: None, expect: None }
    }
}

/// The standard gRPC health service (grpc.health.v1): SERVING is well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct GrpcCheck {
    /// `None`: HTTP/2 without TLS.
    pub tls: Option<TlsCheck>,
    /// The port.
    pub port: u16,
    /// The authority, and the name that TLS asks for and verifies; `None`: the address itself.
    pub host: Option<String>,
    /// The service asked for; empty: the server as a whole.
    pub service: String,
}

/// A DNS query to the endpoint's own address, and what counts as well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DnsCheck {
    /// Over TCP and not UDP.
    pub transport: DnsTransport,
    /// Default 53.
    pub port: u16,
    /// What is asked for, without the final dot; empty for the root.
    pub name: String,
    /// The record type's number.
    pub record_type: u16,
    /// The response code expected (default NOERROR).
    pub rcode: u16,
    /// Each must be among the answers.
    pub answer: Vec<DnsData>,
}

/// How a DNS query is sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DnsTransport {
    /// Over UDP, and over TCP again where the answer is truncated.
    Udp,
    /// Over TCP.
    Tcp,
}

/// What a record must hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum DnsData {
    /// A, AAAA
    Address(IpAddr),
    /// CNAME, NS, PTR: in lower case without the final dot.
    Name(String),
    /// TXT: its strings together.
    Text(String),
}

/// A command; status 0 is well.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ExecCheck {
    /// The program, an absolute path.
    pub program: PathBuf,
    /// Its arguments; `{address}` in them stands for the address.
    pub arguments: Vec<String>,
}

impl Check {
    /// The port that is connected to; `None` where that is nobody's business or the command's own.
    pub fn port(&self) -> Option<u16> {
        match self {
            Check::Http(check) => Some(check.port),
            Check::Tcp(check) => Some(check.port),
            Check::Grpc(check) => Some(check.port),
            Check::Dns(check) => Some(check.port),
            Check::Load(check) => Some(check.http.port),
            Check::Exec(_) | Check::Resolve | Check::Push { .. } => None,
        }
    }

    /// How its server's certificate is judged; `None` where there is none.
    pub fn tls(&self) -> Option<&TlsCheck> {
        match self {
            Check::Http(check) => check.tls.as_ref(),
            Check::Grpc(check) => check.tls.as_ref(),
            Check::Load(check) => check.http.tls.as_ref(),
            Check::Tcp(_) | Check::Dns(_) | Check::Exec(_) | Check::Resolve | Check::Push { .. } => None,
        }
    }
}
