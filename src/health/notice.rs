//! What is to be told besides changes of verdicts: one log line each, and one in the journal.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::command::milli;
use super::failback::Stage;
use super::governor::{Cause, Ending, Figures};
use super::{ExpiringCertificate, Override, OverrideId, OverrideKind, Part, Selector, Verdict};
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
    /// Somebody has posted verdicts (H4).
    Posted {
        /// Whose.
        selector: Selector,
        /// Which.
        verdict: Verdict,
        /// How many checks took it.
        targets: usize,
        /// Who.
        actor: String,
    },
    /// A host name that stands in answers has other addresses than before.
    Resolved {
        /// The name.
        host: String,
        /// At least one.
        addresses: Vec<IpAddr>,
    },
    /// An address goes on its way back (H10).
    Failback {
        /// `pool/endpoint 192.0.2.1`
        label: String,
        /// Where it is now.
        stage: Stage,
    },
    /// An operator has let somebody back.
    Approved {
        /// Whom.
        selector: Selector,
        /// Who.
        actor: String,
        /// How many addresses were waiting.
        addresses: usize,
    },
    /// The governor has begun to hold, or holds nothing any more (`figures.held` is 0).
    Frozen {
        /// Which service.
        service: Box<str>,
        /// Which of its answers.
        part: Part,
        /// How it stands.
        figures: Figures,
    },
    /// An operator has accepted what was held.
    Released {
        /// Of which service; `None`: of all.
        service: Option<String>,
        /// Who.
        actor: String,
        /// How many verdicts, counted for each service.
        addresses: usize,
    },
    /// This node doubts what it sees.
    DistrustBegun {
        /// Why.
        cause: Cause,
        /// Where everything fell.
        regions: Vec<Box<str>>,
    },
    /// And not any more.
    DistrustEnded {
        /// Why; `None`: an operator said so.
        how: Option<Ending>,
        /// How long it was.
        after: Duration,
    },
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
            News::Posted { .. } | News::Failback { .. } | News::Resolved { .. } => Level::Info,
            News::Approved { .. } | News::Released { .. } => Level::Info,
            News::OverrideDormant(_) | News::CertificateExpires(_) | News::DistrustEnded { .. } => {
                Level::Warning
            }
            News::Frozen { figures: Figures { held: 0, .. }, .. } => Level::Warning,
            News::Frozen { .. } | News::DistrustBegun { .. } => Level::Alert,
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
            News::Posted { .. } => "posted",
            News::Resolved { .. } => "resolved",
            News::Failback { stage: Stage::Hold { .. }, .. } => "failback-hold",
            News::Failback { stage: Stage::Manual, .. } => "failback-waits",
            News::Failback { stage: Stage::Ramp { .. }, .. } => "failback-ramp",
            News::Failback { stage: Stage::Full | Stage::Fallen, .. } => "failback-done",
            News::Approved { .. } => "approved",
            News::Frozen { figures: Figures { held: 0, .. }, .. } => "thawed",
            News::Frozen { .. } => "frozen",
            News::Released { .. } => "released",
            News::DistrustBegun { .. } => "distrust",
            News::DistrustEnded { .. } => "trust",
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
            News::Resolved { host, addresses } => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(f, "{host} is {}", addresses.join(" "))
            }
            News::OverrideDormant(own) => write!(f, "{own} is dormant: nobody has that name any more"),
            News::Posted { selector, verdict, targets, actor } => {
                let verdict = match verdict {
                    Verdict::Up => "up",
                    Verdict::Down => "down",
                    Verdict::Unknown => "unknown",
                };
                write!(f, "{actor} says that {selector} is {verdict} ({targets} checks)")
            }
            News::Failback { label, stage } => self.fmt_stage(label, *stage, f),
            News::Approved { selector, actor, addresses } => {
                write!(f, "{actor} lets {selector} back ({addresses} waiting)")
            }
            News::Frozen { service, part, figures } => fmt_frozen(service, *part, figures, f),
            News::Released { service, actor, addresses } => {
                let whose = service.as_deref().unwrap_or("every service");
                write!(f, "{actor} accepts what is held for {whose}: {addresses} down")
            }
            News::DistrustBegun { cause, regions } => {
                let canaries = match cause {
                    Cause::Regions => "",
                    Cause::Canaries => " and all canaries",
                };
                let regions = regions.join(", ");
                write!(f, "regions {regions}{canaries} fell within one interval: more likely it is this node")
            }
            News::DistrustEnded { how, after } => {
                let why = match how {
                    Some(Ending::Recovered) => "few enough regions are still down",
                    Some(Ending::Canary) => "a canary is well",
                    Some(Ending::Bound) => "it has lasted long enough",
                    None => "an operator said so",
                };
                write!(f, "verdicts are believed again after {} s: {why}", after.as_secs())
            }
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

impl Notice {
    fn fmt_stage(&self, label: &str, stage: Stage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = |until: Duration| until.saturating_sub(self.at.monotonic).as_secs();
        match stage {
            Stage::Hold { until, .. } => write!(f, "{label} must stay well for {} s", left(until)),
            Stage::Manual => write!(f, "{label} is well and waits for an operator"),
            Stage::Ramp { until, .. } => write!(f, "{label} takes its share within {} s", left(until)),
            Stage::Full | Stage::Fallen => write!(f, "{label} has its whole share"),
        }
    }
}

fn fmt_frozen(service: &str, part: Part, figures: &Figures, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (held, part) = (figures.held, part.word());
    if held == 0 {
        return write!(f, "service {service} ({part}): nothing is held any more");
    }
    let (capacity, removed) = (milli(figures.held_milli), milli(figures.removed_milli));
    let (remaining, most) = (milli(figures.remaining_milli), figures.max_removed_percent);
    write!(f, "service {service} ({part}): {held} down of capacity {capacity} count as up")?;
    match figures.distrusted {
        true => f.write_str("; this node doubts what it sees"),
        false => write!(
            f,
            "; {removed} of {remaining} is removed already, and beyond the first region at most {most} % may be"
        ),
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
