//! From a library's error to a failure in plain words.

use std::error::Error;
use std::io::{self, ErrorKind};

use rustls::{AlertDescription, CertificateError};

use super::stopwatch::Phase;
use crate::health::{Failure, NotRun, TlsFailure};

/// What an error means for a probe that had come as far as `phase`.
pub fn of(error: &(dyn Error + 'static), phase: Phase) -> Failure {
    known(error, phase).unwrap_or(match phase {
        Phase::Resolving => Failure::NameNotFound,
        Phase::Connecting => Failure::ConnectFailed,
        Phase::Securing => Failure::Tls(TlsFailure::Failed),
        Phase::Asking => Failure::NotHttp,
        Phase::Reading => Failure::BodyBroken,
        Phase::Waiting | Phase::Running => Failure::NotRun(NotRun::NoHelper),
    })
}

/// The first error of the chain that says what happened.
fn known(error: &(dyn Error + 'static), phase: Phase) -> Option<Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error
            .downcast_ref::<Failure>()
            .copied()
            .or_else(|| error.downcast_ref::<rustls::Error>().map(of_tls))
            .or_else(|| error.downcast_ref::<hyper::Error>().and_then(|error| of_http(error, phase)))
            .or_else(|| error.downcast_ref::<io::Error>().and_then(|error| of_io(error, phase)));
        if found.is_some() {
            return found;
        }
        next = error.source();
    }
    None
}

fn of_tls(error: &rustls::Error) -> Failure {
    let certificate = match error {
        rustls::Error::InvalidCertificate(certificate) => certificate,
        rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            return Failure::Tls(TlsFailure::NoHttp2);
        }
        _ => return Failure::Tls(TlsFailure::Failed),
    };
    Failure::Tls(match certificate {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFailure::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            TlsFailure::NotYetValid
        }
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::NameMismatch
        }
        _ => TlsFailure::BadCertificate,
    })
}

fn of_http(error: &hyper::Error, phase: Phase) -> Option<Failure> {
    match phase {
        Phase::Asking if error.is_parse_too_large() => Some(Failure::HeadTooLarge),
        Phase::Asking if error.is_parse() => Some(Failure::NotHttp),
        Phase::Asking if error.is_incomplete_message() || error.is_closed() || error.is_canceled() => {
            Some(Failure::Closed)
        }
        _ => None,
    }
}

fn of_io(error: &io::Error, phase: Phase) -> Option<Failure> {
    if is_exhausted(error) {
        return Some(Failure::NotRun(NotRun::Exhausted));
    }
    // An error inside an io::Error is not among its sources.
    if let Some(inner) = error.get_ref()
        && let Some(failure) = known(inner, phase)
    {
        return Some(failure);
    }
    match (error.kind(), phase) {
        (ErrorKind::ConnectionRefused, _) => Some(Failure::ConnectRefused),
        (ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable, _) => Some(Failure::Unreachable),
        (ErrorKind::TimedOut, phase) => Some(phase.timeout()),
        (
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof,
            Phase::Asking,
        ) => Some(Failure::Closed),
        _ => None,
    }
}

/// Whether this machine has run out of something.
pub fn is_exhausted(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL)
    )
}
