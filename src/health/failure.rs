//! Why a probe failed.

use std::fmt;

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
            Failure::BodyTimeout | Failure::BodyBroken | Failure::BodyLacksText => "body",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Failure::NotRun(reason) => return write!(f, "not probed: {reason}"),
            Failure::Tls(reason) => return write!(f, "tls: {reason}"),
            Failure::Status(status) => return write!(f, "status {status}"),
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
        };
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotRun::Exhausted => "out of descriptors, ports or memory",
            NotRun::AddressRefused => "address not allowed",
            NotRun::BadRequest => "the check is not a valid request",
            NotRun::NoTrust => "no usable trusted certificates",
            NotRun::NoTarget => "no such target",
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
            TlsFailure::Timeout => "no handshake in time",
            TlsFailure::Failed => "handshake failed",
        })
    }
}
