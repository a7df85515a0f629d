//! Why a probe failed.

use std::fmt;

use super::feed::FeedProblem;

/// Why a probe failed, in the order of a probe's phases.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Failure {
    /// This node could not probe: no descriptors, no memory, a check it cannot build. Says nothing
    /// of the target and counts as missing data (H13).
    NotRun(NotRun),
    /// The host name has no address.
    NameNotFound,
    /// The host name was not resolved in time.
    NameTimeout,
    /// Nobody listens.
    ConnectRefused,
    /// No answer to the TCP handshake in time.
    ConnectTimeout,
    /// No way to the host.
    Unreachable,
    /// Any other failure to connect.
    ConnectFailed,
    /// The TLS handshake failed.
    Tls(TlsFailure),
    /// No head of an answer in time.
    AnswerTimeout,
    /// The connection was closed before the head of an answer was whole.
    Closed,
    /// The head of the answer is larger than a probe reads.
    HeadTooLarge,
    /// The answer is not HTTP.
    NotHttp,
    /// A status that is not expected.
    Status(u16),
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off, or its compression is broken.
    BodyBroken,
    /// The body, as far as it is read, lacks the text.
    BodyLacksText,
    /// The regular expression is not found in the body, as far as it is read.
    BodyLacksMatch,
    /// The body, as far as it is read, is not JSON.
    BodyNotJson,
    /// What a pointer leads to in the body's JSON is not what it should be.
    BodyLacksValue,
    /// What was answered over TCP lacks the text.
    AnswerLacksText,
    /// The answer is not gRPC, or not the health service's.
    NotGrpc,
    /// A gRPC status other than OK.
    GrpcStatus(u8),
    /// A serving status other than SERVING.
    NotServing(ServingStatus),
    /// The answer is not DNS, or not to what was asked.
    NotDns,
    /// A response code that is not expected.
    Rcode(u16),
    /// The answer lacks the expected record.
    AnswerLacksRecord,
    /// A command ended with this status.
    Exit(u8),
    /// A command was ended by this signal.
    Signal(u8),
    /// A command did not end in time.
    CommandTimeout,
    /// A command wrote more than it may.
    OutputTooLarge,
    /// A feed's page gives no reading.
    Feed(FeedProblem),
    /// A load balancer counted too many errors between two readings: this share, in permille.
    Errors(u16),
}

/// What the health service says of a service that is not SERVING.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServingStatus {
    /// UNKNOWN
    Unknown,
    /// NOT_SERVING
    NotServing,
    /// SERVICE_UNKNOWN
    ServiceUnknown,
    /// A number without a name.
    Other,
}

/// Why a probe could not be run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NotRun {
    /// Out of descriptors, ports or memory.
    Exhausted,
    /// The address is one that is never probed (link-local, metadata, loopback unless allowed).
    AddressRefused,
    /// The check cannot be made into a request.
    BadRequest,
    /// The file of trusted certificates cannot be used, or there are no public ones.
    NoTrust,
    /// The order named a target that is not there.
    NoTarget,
    /// Verdicts on it are posted: it is never probed.
    Posted,
    /// The helper that runs commands was not started, or is gone.
    NoHelper,
    /// The command cannot be started.
    NoCommand,
}

/// Why a TLS handshake failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TlsFailure {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The chain leads to no trusted issuer.
    UnknownIssuer,
    /// The certificate is for another name.
    NameMismatch,
    /// Anything else about the certificate.
    BadCertificate,
    /// HTTP/2 is required and not offered.
    NoHttp2,
    /// No handshake in time.
    Timeout,
    /// The peer does not speak TLS, or not ours.
    Failed,
}

impl Failure {
    /// Whether it says something of the target, and not only of this node.
    pub fn is_evidence(self) -> bool {
        !matches!(self, Failure::NotRun(_))
    }

    /// A metric's label.
    pub fn kind(self) -> &'static str {
        match self {
            Failure::NotRun(_) => "not_run",
            Failure::NameNotFound | Failure::NameTimeout => "name",
            Failure::ConnectRefused
            | Failure::ConnectTimeout
            | Failure::Unreachable
            | Failure::ConnectFailed => "connect",
            Failure::Tls(_) => "tls",
            Failure::AnswerTimeout => "timeout",
            Failure::Closed | Failure::HeadTooLarge | Failure::NotHttp => "http",
            Failure::Status(_) => "status",
            Failure::BodyTimeout
            | Failure::BodyBroken
            | Failure::BodyLacksText
            | Failure::BodyLacksMatch
            | Failure::BodyNotJson
            | Failure::BodyLacksValue => "body",
            Failure::AnswerLacksText => "answer",
            Failure::NotGrpc | Failure::GrpcStatus(_) | Failure::NotServing(_) => "grpc",
            Failure::NotDns | Failure::Rcode(_) | Failure::AnswerLacksRecord => "dns",
            Failure::Exit(_) | Failure::Signal(_) | Failure::CommandTimeout | Failure::OutputTooLarge => {
                "exec"
            }
            Failure::Feed(_) => "feed",
            Failure::Errors(_) => "errors",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Failure::NotRun(reason) => return write!(f, "not probed: {reason}"),
            Failure::Tls(reason) => return write!(f, "tls: {reason}"),
            Failure::Status(status) => return write!(f, "status {status}"),
            Failure::GrpcStatus(status) => return write!(f, "grpc status {status}"),
            Failure::NotServing(status) => return write!(f, "grpc health: {status}"),
            Failure::Rcode(rcode) => return write!(f, "dns: {}", Rcode(*rcode)),
            Failure::Exit(status) => return write!(f, "command ended with status {status}"),
            Failure::Signal(signal) => return write!(f, "command ended by signal {signal}"),
            Failure::Feed(problem) => return write!(f, "feed: {problem}"),
            Failure::Errors(permille) => {
                return write!(f, "{}.{} % of responses were errors", permille / 10, permille % 10);
            }
            Failure::NameNotFound => "host name not found",
            Failure::NameTimeout => "host name not resolved in time",
            Failure::ConnectRefused => "connect refused",
            Failure::ConnectTimeout => "connect timeout",
            Failure::Unreachable => "no route to host",
            Failure::ConnectFailed => "connect failed",
            Failure::AnswerTimeout => "no answer in time",
            Failure::Closed => "closed before an answer",
            Failure::HeadTooLarge => "answer's head too large",
            Failure::NotHttp => "answer is not HTTP",
            Failure::BodyTimeout => "body not complete in time",
            Failure::BodyBroken => "body broken off",
            Failure::BodyLacksText => "body lacks the expected text",
            Failure::BodyLacksMatch => "body does not match the regular expression",
            Failure::BodyNotJson => "body is not JSON",
            Failure::BodyLacksValue => "body's JSON lacks the expected value",
            Failure::AnswerLacksText => "answer lacks the expected text",
            Failure::NotGrpc => "answer is not that of the gRPC health service",
            Failure::NotDns => "answer is not DNS, or to another question",
            Failure::AnswerLacksRecord => "answer lacks the expected record",
            Failure::CommandTimeout => "command did not end in time",
            Failure::OutputTooLarge => "command wrote too much",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for ServingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ServingStatus::Unknown => "UNKNOWN",
            ServingStatus::NotServing => "NOT_SERVING",
            ServingStatus::ServiceUnknown => "SERVICE_UNKNOWN",
            ServingStatus::Other => "a status without a name",
        })
    }
}

/// A response code by its name where it has one.
struct Rcode(u16);

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("NOERROR"),
            1 => f.write_str("FORMERR"),
            2 => f.write_str("SERVFAIL"),
            3 => f.write_str("NXDOMAIN"),
            4 => f.write_str("NOTIMP"),
            5 => f.write_str("REFUSED"),
            code => write!(f, "rcode {code}"),
        }
    }
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotRun::Exhausted => "out of descriptors, ports or memory",
            NotRun::AddressRefused => "address not allowed",
            NotRun::BadRequest => "the check is not a valid request",
            NotRun::NoTrust => "no usable trusted certificates",
            NotRun::NoTarget => "no such target",
            NotRun::Posted => "its verdicts are posted",
            NotRun::NoHelper => "no helper to run commands: restart",
            NotRun::NoCommand => "the command cannot be started",
        })
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TlsFailure::Expired => "certificate expired",
            TlsFailure::NotYetValid => "certificate not valid yet",
            TlsFailure::UnknownIssuer => "unknown issuer",
            TlsFailure::NameMismatch => "name mismatch",
            TlsFailure::BadCertificate => "bad certificate",
            TlsFailure::NoHttp2 => "HTTP/2 not offered",
            TlsFailure::Timeout => "no handshake in time",
            TlsFailure::Failed => "handshake failed",
        })
    }
}
