//! What operators ask of the board, and what they get back (H8, H9, H10, H11).

use std::fmt;
use std::time::Duration;

use super::{OverrideId, Selector, SelectorError};
use crate::ids::{EndpointId, Family};
use crate::now::Now;

/// The word of an operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Sets an override. One with the same selector takes the earlier one's place.
    Override {
        /// What is to be.
        kind: OverrideKind,
        /// For whom.
        selector: Selector,
        /// Why.
        reason: String,
        /// Who says so.
        actor: String,
        /// For how long; `None`: until it is removed.
        expires_in: Option<Duration>,
        /// Also if a service is left with nothing or too little.
        force: bool,
    },
    /// Takes an override back.
    Remove {
        /// Which.
        which: Which,
        /// Why.
        reason: String,
        /// Who says so.
        actor: String,
        /// Also if a service is left with nothing or too little.
        force: bool,
    },
    /// Lets those back that wait for it, or hold (H10).
    Approve {
        /// Whom.
        selector: Selector,
        /// Who says so.
        actor: String,
    },
    /// Accepts what the governor holds, and ends self-distrust (H11).
    Release {
        /// Whose; `None`: everybody's.
        service: Option<String>,
        /// Who says so.
        actor: String,
    },
}

/// What an override says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OverrideKind {
    /// Leave the answers, at once or step by step; served only if nothing else exists (H9, R9).
    Drain {
        /// Within which time; `None`: at once.
        over: Option<Duration>,
    },
    /// Count as well whatever the probes say.
    ForceUp,
    /// Never be served.
    ForceDown,
}

/// Which override.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// By its number.
    Id(OverrideId),
    /// The one with exactly this selector.
    Selector(Selector),
}

/// What a command has come to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Receipt {
    /// The override that was set.
    pub set: Option<OverrideId>,
    /// The overrides that are gone: taken back, or replaced.
    pub ended: Vec<OverrideId>,
    /// Whom it concerns, sorted.
    pub endpoints: Vec<EndpointId>,
    /// Of these, for whom a stricter override stands, and which.
    pub outranked: Vec<(EndpointId, OverrideId)>,
    /// What services lose, where it was done in spite of that.
    pub shortfalls: Vec<Shortfall>,
    /// When a drained or downed endpoint is out of what the board publishes.
    pub out_at: Option<Now>,
    /// The largest TTL in force of the services that hold the endpoints, in seconds (H9).
    pub ttl_max_s: u32,
}

impl Receipt {
    /// The wall time by which every cache that obeys TTLs has dropped the endpoints, if what is out
    /// `out_at` was published `delay` later (H9).
    pub fn gone_by(&self, delay: Duration) -> Option<Duration> {
        let ttl = Duration::from_secs(u64::from(self.ttl_max_s));
        self.out_at.map(|at| at.wall.saturating_add(delay).saturating_add(ttl))
    }
}

/// Why a command is not done. Nothing has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The selector is none.
    Selector(SelectorError),
    /// The selector names nobody.
    NoMatch {
        /// As given.
        selector: Selector,
        /// What was perhaps meant.
        near: Option<Selector>,
    },
    /// There is no such override.
    NoOverride(Which),
    /// There is no such service.
    NoService(String),
    /// Nobody selected has a `push` monitor.
    NoPush(Selector),
    /// Nobody selected waits to come back.
    NothingWaits,
    /// The governor holds nothing there.
    NothingFrozen,
    /// Services would be left with nothing, or with too little.
    Harm(Vec<Shortfall>),
    /// As many overrides as there may be.
    TooMany(usize),
    /// A reason or an actor longer than this many octets, or with control characters.
    Unfit(usize),
}

/// What a service would lose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shortfall {
    /// Which.
    pub service: Box<str>,
    /// Of which answers.
    pub part: Part,
    /// Capacity in service before, in thousandths of the pool's unit.
    pub before_milli: u64,
    /// And after.
    pub after_milli: u64,
    /// What there must be; 0: anything at all.
    pub needed_milli: u64,
}

/// A part of a service that guards and the governor look at by itself (R10).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Part {
    /// All answers together.
    Whole,
    /// A, AAAA, or (`None`) CNAME.
    Lane(Option<Family>),
}

impl Part {
    /// What its answers are called.
    pub const fn word(self) -> &'static str {
        match self {
            Part::Whole => "all",
            Part::Lane(Some(Family::V4)) => "IPv4",
            Part::Lane(Some(Family::V6)) => "IPv6",
            Part::Lane(None) => "CNAME",
        }
    }
}

impl OverrideKind {
    /// The name by which people set it.
    pub const fn word(self) -> &'static str {
        match self {
            OverrideKind::Drain { .. } => "drain",
            OverrideKind::ForceUp => "force-up",
            OverrideKind::ForceDown => "force-down",
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::Id(id) => write!(f, "number {id}"),
            Which::Selector(selector) => write!(f, "for {selector}"),
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (milli(self.before_milli), milli(self.after_milli));
        write!(f, "service {} ({}): capacity {before} -> {after}", self.service, self.part.word())?;
        match self.needed_milli {
            0 => write!(f, ", nothing is left"),
            needed => write!(f, ", min_capacity is {}", milli(needed)),
        }
    }
}

/// Thousandths as people write them.
pub(super) fn milli(thousandths: u64) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths % 1000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:03}").trim_end_matches('0').to_owned()
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Selector(error) => error.fmt(f),
            Refusal::NoMatch { selector, near: None } => write!(f, "{selector} names no endpoint"),
            Refusal::NoMatch { selector, near: Some(near) } => {
                write!(f, "{selector} names no endpoint; did you mean {near}?")
            }
            Refusal::NoOverride(which) => write!(f, "there is no override {which}"),
            Refusal::NoService(name) => write!(f, "there is no service {name}"),
            Refusal::NoPush(selector) => write!(f, "{selector} has no push monitor"),
            Refusal::NothingWaits => f.write_str("nobody there waits to come back"),
            Refusal::NothingFrozen => f.write_str("nothing is frozen there"),
            Refusal::Harm(shortfalls) => {
                f.write_str("too little would be left")?;
                shortfalls.iter().try_for_each(|shortfall| write!(f, "; {shortfall}"))
            }
            Refusal::TooMany(most) => write!(f, "there are {most} overrides already: remove some"),
            Refusal::Unfit(most) => {
                write!(f, "reasons and actors have at most {most} octets and no control characters")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl From<SelectorError> for Refusal {
    fn from(error: SelectorError) -> Refusal {
        Refusal::Selector(error)
    }
}
