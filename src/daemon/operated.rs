//! What operators ask of a running server, and what they hear, in the form that leaves the process.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::health::{self, Override, OverrideKind, Receipt, Refusal, Selector, Verdict};
use crate::now::Now;
use crate::state::{Durable, What, rfc3339};
use crate::view::Snapshot;

/// A command for the board.
pub struct OperateRequest {
    /// What is asked.
    pub asked: health::Command,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Result<Operated, NotOperated>>,
}

/// A verdict that is posted for an endpoint (H4).
pub struct PostRequest {
    /// Whose.
    pub selector: Selector,
    /// What they are; unknown takes back what was posted.
    pub verdict: Verdict,
    /// For how long it holds; `None`: as long as the monitor allows.
    pub ttl: Option<Duration>,
    /// Who says so.
    pub actor: String,
    /// Where the outcome goes: how many checks took it.
    pub reply: oneshot::Sender<Result<usize, NotOperated>>,
}

/// It was done.
pub struct Operated {
    /// What came of it.
    pub done: Done,
    /// Whether it survives a crash, as soon as that is known.
    pub durable: oneshot::Receiver<Durable>,
}

/// What came of a command.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// The number of the override that was set.
    pub id: Option<u64>,
    /// The overrides that are gone.
    pub ended: Vec<u64>,
    /// Whom it concerns: `pool/endpoint`.
    pub endpoints: Vec<String>,
    /// The services that hold any of them.
    pub services: Vec<String>,
    /// For whom a stricter override stands: `pool/endpoint` and its number.
    pub outranked: Vec<(String, u64)>,
    /// What services lose, where it was done in spite of that.
    pub shortfalls: Vec<String>,
    /// When the last of them leaves the answers, in RFC 3339.
    pub out_at: Option<String>,
    /// When every cache that obeys TTLs has dropped them, in RFC 3339 (H9).
    pub gone_by: Option<String>,
    /// The same in seconds since 1970.
    pub gone_by_s: Option<f64>,
    /// The largest TTL in force of these services, in seconds.
    pub ttl_max_s: u32,
    /// `yes`, `failed` or `nowhere`: whether a restart remembers it.
    pub durable: String,
}

/// Nothing was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotOperated {
    /// Whose fault it is.
    pub kind: Fault,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub mend: String,
}

/// Why nothing was done, as far as programs care.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// What was asked makes no sense.
    Senseless,
    /// What it is about does not exist.
    Missing,
    /// It could be done and must not, unless forced.
    Harmful,
    /// There is nothing to do, or no room for more.
    Conflict,
}

/// An override in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// Its number.
    pub id: u64,
    /// `drain`, `force-up` or `force-down`.
    pub kind: String,
    /// Whom it is about, as written.
    pub selector: String,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// Since when, in RFC 3339.
    pub since: String,
    /// Until when; `None`: until it is taken back.
    pub until: Option<String>,
    /// Seconds until it ends by itself.
    pub ends_in_s: Option<f64>,
    /// Whom it concerns now; empty: dormant, because nobody has that name any more.
    pub endpoints: Vec<String>,
    /// The share of clients that a drain still lets in, in thousandths.
    pub draining_permille: Option<u16>,
    /// When every cache that obeys TTLs has dropped them, in RFC 3339 (H9).
    pub gone_by: Option<String>,
    /// Seconds until then; 0 when it has passed.
    pub gone_in_s: Option<f64>,
}

impl Done {
    /// From the board's receipt; `delay` is what publishing takes. Durability is told later.
    pub fn new(receipt: &Receipt, snapshot: &Snapshot, delay: Duration) -> Done {
        let name = |id: &crate::ids::EndpointId| {
            snapshot.fleet.endpoint(*id).map_or_else(|| "?".to_owned(), |own| own.name.to_string())
        };
        let holds = |members: &[crate::ids::EndpointId]| {
            members.iter().any(|member| receipt.endpoints.binary_search(member).is_ok())
        };
        let services = snapshot.plans.iter().filter(|plan| holds(&plan.members));
        let gone_by = receipt.gone_by(delay);
        Done {
            id: receipt.set.map(|id| id.0),
            ended: receipt.ended.iter().map(|id| id.0).collect(),
            endpoints: receipt.endpoints.iter().map(name).collect(),
            services: services.map(|plan| plan.name.to_string()).collect(),
            outranked: receipt.outranked.iter().map(|(id, by)| (name(id), by.0)).collect(),
            shortfalls: receipt.shortfalls.iter().map(ToString::to_string).collect(),
            out_at: receipt.out_at.map(|at| rfc3339(at.wall)),
            gone_by: gone_by.map(rfc3339),
            gone_by_s: gone_by.map(|at| at.as_secs_f64()),
            ttl_max_s: receipt.ttl_max_s,
            durable: String::new(),
        }
    }

    /// In one line, for the journal.
    pub fn summary(&self) -> String {
        let mut said = Vec::new();
        said.extend(self.id.map(|id| format!("override {id}")));
        said.extend(self.ended.iter().map(|id| format!("override {id} is gone")));
        said.push(self.endpoints.join(" "));
        said.extend(self.gone_by.as_ref().map(|at| format!("caches have dropped them by {at}")));
        said.extend(self.shortfalls.iter().map(|loss| format!("in spite of: {loss}")));
        said.retain(|part| !part.is_empty());
        said.join("; ")
    }
}

impl OverrideStatus {
    /// As it stands; `delay` is what publishing takes.
    pub fn new(own: &Override, snapshot: &Snapshot, now: Now, delay: Duration) -> OverrideStatus {
        let left = |at: Duration| at.saturating_sub(now.wall).as_secs_f64();
        let endpoints = own.endpoints.iter().filter_map(|id| snapshot.fleet.endpoint(*id));
        let gone_by = own.gone_by(delay);
        OverrideStatus {
            id: own.id.0,
            kind: own.kind.word().to_owned(),
            selector: own.selector.to_string(),
            reason: own.reason.clone(),
            actor: own.actor.clone(),
            since: rfc3339(own.since),
            until: own.until.map(rfc3339),
            ends_in_s: own.until.map(left),
            endpoints: endpoints.map(|endpoint| endpoint.name.to_string()).collect(),
            draining_permille: own.drained_to(now.monotonic),
            gone_by: gone_by.map(rfc3339),
            gone_in_s: gone_by.map(left),
        }
    }
}

impl NotOperated {
    /// What the board refuses.
    pub fn new(refusal: &Refusal) -> NotOperated {
        let (kind, mend) = match refusal {
            Refusal::Selector(_) | Refusal::Unfit(_) => (Fault::Senseless, ""),
            Refusal::NoMatch { .. } => (Fault::Missing, "`meridian status` lists regions and endpoints"),
            Refusal::NoPush(_) => (Fault::Missing, "give their pool a monitor with `push = { ttl = ... }`"),
            Refusal::NoOverride(_) => (Fault::Missing, "`meridian overrides` lists them"),
            Refusal::NoService(_) => (Fault::Missing, "`meridian status --json` lists the services"),
            Refusal::NothingWaits | Refusal::NothingFrozen => {
                (Fault::Conflict, "`meridian status` shows what is held back and what is frozen")
            }
            Refusal::Harm(_) => (
                Fault::Harmful,
                "take less at once, bring others back first, or add --force if that is meant",
            ),
            Refusal::TooMany(_) => {
                (Fault::Conflict, "`meridian overrides` lists them, `meridian undo` ends one")
            }
        };
        NotOperated { kind, why: refusal.to_string(), mend: mend.to_owned() }
    }
}

/// What the journal says of a command: who, what, to what, why.
pub struct Entry {
    /// Who asked.
    pub who: String,
    /// What for.
    pub what: What,
    /// To whom.
    pub on: String,
    /// Why.
    pub why: String,
}

impl Entry {
    /// Of a command.
    pub fn of(asked: &health::Command) -> Entry {
        let (who, what, on, why) = match asked {
            health::Command::Override { kind, selector, reason, actor, .. } => {
                let what = match kind {
                    OverrideKind::Drain { .. } => What::Drain,
                    OverrideKind::ForceUp => What::ForceUp,
                    OverrideKind::ForceDown => What::ForceDown,
                };
                (actor, what, selector.to_string(), reason.as_str())
            }
            health::Command::Remove { which, reason, actor, .. } => {
                (actor, What::Undo, which.to_string(), reason.as_str())
            }
            health::Command::Approve { selector, actor } => (actor, What::Approve, selector.to_string(), ""),
            health::Command::Release { service, actor } => {
                (actor, What::Release, service.clone().unwrap_or_else(|| "*".to_owned()), "")
            }
        };
        Entry { who: who.clone(), what, on, why: why.to_owned() }
    }
}
