//! Operators' words on endpoints: who said what of whom until when (H8, H9).
//!
//! One override a selector: a later one takes the earlier one's place. Where several meet on an endpoint
//! the strictest stands: force-down before drain before force-up.

mod guard;
mod selector;

use std::fmt;
use std::time::Duration;

pub use guard::{Harm, harm};
pub use selector::{Scope, Selector, SelectorError};

use super::steps::Steps;
use super::{BoardSpec, Forced, OverrideKind, Share, ShareCause, Which};
use crate::ids::EndpointId;
use crate::now::Now;

/// Overrides at once: each is looked at with every command, and people have to read them.
pub const OVERRIDES_MAX: usize = 1000;

/// Octets of a reason or an actor: a sentence and a link.
pub const REASON_OCTETS_MAX: usize = 500;

/// A wall clock that says an override is over before its time has passed has been set, or is wrong for
/// a moment. It is believed when it has said so for this long.
const WALL_BELIEVED_AFTER: Duration = Duration::from_secs(60);

/// An override's number: never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OverrideId(pub u64);

/// An operator's word.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Override {
    /// Its number.
    pub id: OverrideId,
    /// What is to be.
    pub kind: OverrideKind,
    /// For whom.
    pub selector: Selector,
    /// Why.
    pub reason: String,
    /// Who said so.
    pub actor: String,
    /// When, by the wall clock.
    pub since: Duration,
    /// Until when, by the wall clock; `None`: until it is removed.
    pub until: Option<Duration>,
    /// Whom it concerns, sorted. Empty: dormant, because nobody has these names any more.
    pub endpoints: Box<[EndpointId]>,
    /// The largest TTL in force, in seconds, of the services that held the endpoints since (H9).
    pub ttl_max_s: u32,
    /// When it is or was out of what the board publishes, on the monotonic clock: at once, or at the end
    /// of a gradual drain.
    pub out_at: Duration,
    /// The same by the wall clock, as it stood then.
    pub out_at_wall: Duration,
    /// The end of its time on the monotonic clock.
    pub(super) deadline: Option<Duration>,
    /// Since when the wall clock says that it is over.
    pub(super) wall_past_since: Option<Duration>,
    /// Whether it has been told that all of it is out.
    pub(super) told_out: bool,
}

/// What all overrides together say of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// The state that stands.
    pub forced: Forced,
    /// What a gradual drain lets in; also carries when the word changes by itself.
    pub share: Share,
    /// Whose word it is.
    pub by: Option<OverrideId>,
}

impl Word {
    /// Nobody has said anything.
    pub const NONE: Word = Word { forced: Forced::Not, share: Share::FULL, by: None };

    fn rank(self) -> u8 {
        match (self.forced, self.share.permille) {
            (Forced::Down, _) => 4,
            (Forced::Drained, _) => 3,
            (_, permille) if permille < Share::PERMILLE_MAX => 2,
            (Forced::Up, _) => 1,
            (Forced::Not, _) => 0,
        }
    }
}

/// All overrides, by number.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub(super) all: Vec<Override>,
    pub(super) last_id: u64,
}

/// What is still to come of gradual drains when words are worked out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drains {
    /// As far as they are now.
    AsTheyAre,
    /// As if they had ended.
    Ended,
}

impl Overrides {
    /// The next number.
    pub fn next_id(&mut self) -> OverrideId {
        self.last_id += 1;
        OverrideId(self.last_id)
    }

    /// All of them, by number.
    pub fn all(&self) -> &[Override] {
        &self.all
    }

    /// Adds one; the one with the same selector goes.
    pub fn set(&mut self, new: Override) -> Option<Override> {
        let old = self.remove(&Which::Selector(new.selector.clone()));
        self.all.push(new);
        old
    }

    /// Takes one away.
    pub fn remove(&mut self, which: &Which) -> Option<Override> {
        let at = self.all.iter().position(|own| match which {
            Which::Id(id) => own.id == *id,
            Which::Selector(selector) => own.selector == *selector,
        })?;
        Some(self.all.remove(at))
    }

    /// What they come to for every endpoint.
    pub fn words(&self, endpoints: usize, drains: Drains, now: Duration) -> Vec<Word> {
        let mut words = vec![Word::NONE; endpoints];
        for own in &self.all {
            let said = own.word(drains, now);
            for endpoint in &own.endpoints {
                if let Some(word) = words.get_mut(endpoint.index()) {
                    *word = both(*word, said);
                }
            }
        }
        words
    }

    /// Takes out those whose time is over.
    pub fn expire(&mut self, now: Now) -> Vec<Override> {
        let mut over = Vec::new();
        self.all.retain_mut(|own| {
            let ends = own.is_over(now);
            if ends {
                over.push(own.clone());
            }
            !ends
        });
        over
    }

    /// Marks gradual drains that have ended, and gives them.
    pub fn ended_drains(&mut self, now: Duration) -> Vec<Override> {
        let ended = self.all.iter_mut().filter(|own| !own.told_out && own.out_at <= now);
        ended
            .map(|own| {
                own.told_out = true;
                own.clone()
            })
            .collect()
    }

    /// When one of them changes by itself.
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        let believed = |own: &Override| Some(own.wall_past_since? + WALL_BELIEVED_AFTER);
        let changes = self.all.iter().flat_map(|own| {
            let out = (!own.told_out).then_some(own.out_at);
            [out, own.word(Drains::AsTheyAre, now).share.step_at, believed(own)]
        });
        changes.flatten().min()
    }

    /// Finds everybody again after a reload. Gives those that have become dormant.
    pub fn resolve(&mut self, spec: &BoardSpec) -> Vec<Override> {
        let mut dormant = Vec::new();
        for own in &mut self.all {
            let before = std::mem::replace(&mut own.endpoints, own.selector.matches(spec));
            own.ttl_max_s = own.ttl_max_s.max(spec.ttl_max_s(&own.endpoints));
            if own.is_dormant() && !before.is_empty() {
                dormant.push(own.clone());
            }
        }
        dormant
    }
}

impl Override {
    /// Whether nobody has the names it is about, so that it says nothing until somebody has.
    pub fn is_dormant(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The wall time by which every cache that obeys TTLs has dropped the endpoints, if what is out was
    /// published `delay` later; `None` where it takes nobody out (H9).
    pub fn gone_by(&self, delay: Duration) -> Option<Duration> {
        let ttl = Duration::from_secs(u64::from(self.ttl_max_s));
        let takes_out = self.kind != OverrideKind::ForceUp;
        takes_out.then(|| self.out_at_wall.saturating_add(delay).saturating_add(ttl))
    }

    /// The share of clients that a drain lets in now, in thousandths; `None`: it is no drain.
    pub fn drained_to(&self, now: Duration) -> Option<u16> {
        let OverrideKind::Drain { .. } = self.kind else { return None };
        let word = self.word(Drains::AsTheyAre, now);
        Some(if word.forced == Forced::Drained { 0 } else { word.share.permille })
    }

    fn word(&self, drains: Drains, now: Duration) -> Word {
        let plain = Share { step_at: self.deadline, ..Share::FULL };
        let forced = |forced| Word { forced, share: plain, by: Some(self.id) };
        match self.kind {
            OverrideKind::ForceDown => forced(Forced::Down),
            OverrideKind::ForceUp => forced(Forced::Up),
            OverrideKind::Drain { over: Some(over) } if drains == Drains::AsTheyAre && now < self.out_at => {
                let step = Steps::of(over).towards(self.out_at, now);
                let share = Share {
                    permille: Share::PERMILLE_MAX - step.permille,
                    why: ShareCause::Draining,
                    step_at: Some(step.next_at),
                };
                Word { forced: Forced::Not, share: share.least(plain), by: Some(self.id) }
            }
            OverrideKind::Drain { .. } => forced(Forced::Drained),
        }
    }

    /// An ordinary end is that its length of time has passed: a step back of the wall clock prolongs
    /// nothing. A wall clock past the end is believed after a while: a step forward that is taken back
    /// ends nothing.
    fn is_over(&mut self, now: Now) -> bool {
        let (Some(until), Some(deadline)) = (self.until, self.deadline) else { return false };
        if now.monotonic >= deadline {
            return true;
        }
        if now.wall < until {
            self.wall_past_since = None;
            return false;
        }
        let since = *self.wall_past_since.get_or_insert(now.monotonic);
        now.monotonic.saturating_sub(since) >= WALL_BELIEVED_AFTER
    }
}

/// Two words on one endpoint: the stricter state, the lesser share, and the first change.
fn both(a: Word, b: Word) -> Word {
    let share = a.share.least(b.share);
    let (first, second) = if b.rank() > a.rank() { (b, a) } else { (a, b) };
    // A gradual drain of what is forced up lets in a share of what is forced up.
    let forced = if first.forced == Forced::Not { second.forced } else { first.forced };
    // Who is out is out, whatever another drain would still let in.
    let share = match forced {
        Forced::Down | Forced::Drained => Share { step_at: share.step_at, ..Share::FULL },
        Forced::Up | Forced::Not => share,
    };
    Word { forced, share, by: first.by }
}

impl fmt::Display for OverrideId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
