//! What is to be told besides changes of verdicts: one log line each, and one in the journal.

use std::fmt;
use std::time::Duration;

use super::{ExpiringCertificate, Override, OverrideId, OverrideKind};
use crate::now::Now;

/// Something to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What.
    pub news: News,
    /// When.
    pub at: Now,
}

/// What has happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// An operator has set an override.
    OverrideSet(Override),
    /// An override is over.
    OverrideEnded {
        /// Which.
        own: Override,
        /// How.
        how: OverrideEnd,
    },
    /// Nobody has the names any more that an override is about.
    OverrideDormant(Override),
    /// A gradual drain has come to its end.
    Drained(Override),
    /// A certificate expires soon, or has expired.
    CertificateExpires(ExpiringCertificate),
}

/// How an override ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OverrideEnd {
    /// An operator took it back.
    Removed {
        /// Who.
        actor: String,
        /// Why.
        reason: String,
    },
    /// Another with the same selector took its place.
    Replaced(OverrideId),
    /// Its time was over.
    Expired,
}

/// How loud a notice is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// For the record.
    Info,
    /// Somebody should look at it in time.
    Warning,
    /// Somebody should look at it now.
    Alert,
}

impl Notice {
    /// How loud it is.
    pub const fn level(&self) -> Level {
        match &self.news {
            News::OverrideSet(_) | News::OverrideEnded { .. } | News::Drained(_) => Level::Info,
            News::OverrideDormant(_) | News::CertificateExpires(_) => Level::Warning,
        }
    }

    /// What logs and the journal call it.
    pub const fn word(&self) -> &'static str {
        match &self.news {
            News::OverrideSet(_) => "override-set",
            News::OverrideEnded { how: OverrideEnd::Removed { .. }, .. } => "override-removed",
            News::OverrideEnded { how: OverrideEnd::Replaced(_), .. } => "override-replaced",
            News::OverrideEnded { how: OverrideEnd::Expired, .. } => "override-expired",
            News::OverrideDormant(_) => "override-dormant",
            News::Drained(_) => "drained",
            News::CertificateExpires(_) => "certificate-expires",
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.news {
            News::OverrideSet(own) => {
                write!(f, "{own} by {}: {}", own.actor, own.reason)?;
                if let OverrideKind::Drain { over: Some(over) } = own.kind {
                    write!(f, "; within {} s", over.as_secs())?;
                }
                match own.until {
                    Some(until) => write!(f, "; ends in {} s", until.saturating_sub(own.since).as_secs()),
                    None => f.write_str("; until it is removed"),
                }
            }
            News::OverrideEnded { own, how: OverrideEnd::Removed { actor, reason } } => {
                write!(f, "{own} removed by {actor}: {reason}")
            }
            News::OverrideEnded { own, how: OverrideEnd::Replaced(by) } => {
                write!(f, "{own} replaced by {by}")
            }
            News::OverrideEnded { own, how: OverrideEnd::Expired } => write!(f, "{own} has expired"),
            News::CertificateExpires(certificate) => write!(f, "{certificate}"),
            News::OverrideDormant(own) => write!(f, "{own} is dormant: nobody has that name any more"),
            News::Drained(own) => {
                let ttl = Duration::from_secs(u64::from(own.ttl_max_s)).as_secs();
                write!(f, "{own} is complete; caches have dropped it in {ttl} s")
            }
        }
    }
}

impl fmt::Display for ExpiringCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.left {
            Some(left) => {
                let days = left.as_secs_f64() / 86_400.0;
                write!(f, "the certificate of {} expires in {days:.1} days", self.label)
            }
            None => write!(f, "the certificate of {} has expired", self.label),
        }
    }
}

impl fmt::Display for Override {
    /// `drain 7 of region:dub (3 endpoints)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, id, endpoints) = (self.kind.word(), self.id, self.endpoints.len());
        let plural = if endpoints == 1 { "" } else { "s" };
        write!(f, "{word} {id} of {} ({endpoints} endpoint{plural})", self.selector)
    }
}
