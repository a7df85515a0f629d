//! What a ring says of itself: for people who want to know what is waited for, and what they have to do.

use std::time::Duration;

use super::{Held, KeyId, ParentPart, Plan, Ring, Role, ZonePart};
use crate::dnssec::key::KeyUse;
use crate::now::Now;

/// A key as people see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyReport {
    /// Which.
    pub id: KeyId,
    /// What it is made for.
    pub role: Role,
    /// What it does in the zone.
    pub key_use: KeyUse,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it came into the ring, since 1970.
    pub made: Duration,
    /// What is left to wait; `None`: time alone changes nothing.
    pub left: Option<Duration>,
}

/// Where a key is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KeyState {
    /// It is in the zone, and waits until every cache can have it.
    Shown,
    /// It does what it is for.
    Active,
    /// The parent must be given its DS: an operator's turn.
    AwaitsDs,
    /// The parent has its DS; caches may have the old one.
    AwaitsCaches,
    /// Another has its place; caches may have its signatures.
    Retired,
}

impl KeyState {
    /// All of them.
    pub const ALL: [KeyState; 5] =
        [KeyState::Shown, KeyState::Active, KeyState::AwaitsDs, KeyState::AwaitsCaches, KeyState::Retired];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            KeyState::Shown => "shown",
            KeyState::Active => "active",
            KeyState::AwaitsDs => "awaits-ds",
            KeyState::AwaitsCaches => "awaits-caches",
            KeyState::Retired => "retired",
        }
    }
}

impl Ring {
    /// Its keys, oldest first.
    pub fn report(&self, plan: &Plan, now: Now) -> Vec<KeyReport> {
        let times = self.times.map_or(plan.times, |known| known.max(plan.times));
        let first = !self.keys.iter().any(|key| key.parent == ParentPart::Known);
        let announced_after = if first { times.retired() } else { times.shown() };
        let state = |key: &Held| match (key.parent, key.zone) {
            (ParentPart::Waits, _) => (KeyState::Shown, Some(key.shown.left(announced_after, now))),
            (ParentPart::Announced, _) => (KeyState::AwaitsDs, None),
            (ParentPart::Seen(timer), _) => (KeyState::AwaitsCaches, Some(timer.left(times.parent_ds, now))),
            (_, ZonePart::Waits) => (KeyState::Shown, Some(key.shown.left(times.shown(), now))),
            (ParentPart::Never | ParentPart::Left, ZonePart::Retired(timer)) => {
                (KeyState::Retired, Some(timer.left(times.retired(), now)))
            }
            (ParentPart::Left, ZonePart::Never) => (KeyState::Retired, None),
            // A successor waits for its DS.
            (ParentPart::Known, ZonePart::Retired(_)) => (KeyState::Retired, None),
            (_, ZonePart::Signs { .. }) | (ParentPart::Known | ParentPart::Never, ZonePart::Never) => {
                (KeyState::Active, None)
            }
        };
        let keys = self.keys.iter().map(|key| {
            let (state, left) = state(key);
            let key_use = key.key_use();
            KeyReport { id: key.id, role: key.role, key_use, state, made: key.made, left }
        });
        keys.collect()
    }
}
