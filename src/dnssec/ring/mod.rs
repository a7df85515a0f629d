//! The keys of one zone through their lives (RFC 6781, RFC 7583): which of them stand in the zone, what each
//! signs, which of them the parent is asked to know, and when that may change.
//!
//! A key has up to two parts to play, and each part has a life of its own. The *zone part* (ZSK and CSK)
//! follows pre-publication (RFC 6781 section 4.1.1.1): shown, then signing, then retired, then gone. The
//! *parent part* (KSK and CSK) follows double signatures (section 4.1.2): shown and signing the keys, then
//! announced to the parent, then seen there, then known to every cache, whereupon its predecessor goes. A CSK
//! plays both, and is gone when both are over.
//!
//! The ring says what should be; [`Ring::in_force`] tells it what is. No time is waited out before that.

mod report;
#[cfg(test)]
mod tests;
mod timer;

use std::time::Duration;

use super::key::{Algorithm, KeyUse};
use crate::now::Now;
use timer::Timer;

pub use report::{KeyReport, KeyState};

/// Keys of one zone: a roll-over needs two of each kind; more are a mistake.
pub const KEYS_MAX: usize = 16;

/// Which key: no two in one ring have the same algorithm and tag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId {
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its tag.
    pub tag: u16,
}

/// What a key is made for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// The parent knows it, and it signs the keys.
    Ksk,
    /// It signs the zone's data.
    Zsk,
    /// Both.
    Csk,
}

impl Role {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Role::Ksk => "ksk",
            Role::Zsk => "zsk",
            Role::Csk => "csk",
        }
    }

    /// Whether the parent may know it: SEP is set (RFC 4034 section 2.1.1).
    pub const fn sep(self) -> bool {
        matches!(self, Role::Ksk | Role::Csk)
    }

    const fn has_zone_part(self) -> bool {
        matches!(self, Role::Zsk | Role::Csk)
    }
}

/// Which keys a zone should have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// One that signs everything.
    Csk,
    /// One that the parent knows, one that signs the data.
    KskZsk,
}

impl Scheme {
    /// The roles of its keys.
    pub const fn roles(self) -> &'static [Role] {
        match self {
            Scheme::Csk => &[Role::Csk],
            Scheme::KskZsk => &[Role::Ksk, Role::Zsk],
        }
    }
}

/// What roll-overs go by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Which keys there should be.
    pub scheme: Scheme,
    /// The age at which a ZSK is replaced; `None`: only when told.
    pub zsk_lifetime: Option<Duration>,
    /// What has to be waited for.
    pub times: Times,
}

/// For how long the old may be seen after the new is in force (RFC 7583 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// The TTL of the DNSKEY RRset.
    pub dnskey_ttl: Duration,
    /// The largest TTL of anything else in the zone, denials included.
    pub zone_ttl_max: Duration,
    /// Until every server of the zone has a new version.
    pub propagation: Duration,
    /// The TTL of DS at the parent, and until every server of the parent has a new one.
    pub parent_ds: Duration,
}

impl Times {
    /// Until no cache holds a DNSKEY RRset without a key that was added (Ipub).
    pub fn shown(&self) -> Duration {
        self.dnskey_ttl.saturating_add(self.propagation)
    }

    /// Until no cache holds a signature that is made no more (Iret).
    pub fn retired(&self) -> Duration {
        self.zone_ttl_max.max(self.dnskey_ttl).saturating_add(self.propagation)
    }

    /// The larger of two in each respect.
    pub fn max(self, other: Times) -> Times {
        Times {
            dnskey_ttl: self.dnskey_ttl.max(other.dnskey_ttl),
            zone_ttl_max: self.zone_ttl_max.max(other.zone_ttl_max),
            propagation: self.propagation.max(other.propagation),
            parent_ds: self.parent_ds.max(other.parent_ds),
        }
    }
}

/// The keys of one zone.
#[derive(Clone, Debug)]
pub struct Ring {
    keys: Vec<Held>,
    /// Goes up with each change of what should be in the zone.
    version: u64,
    /// The longest times that what is cached may go by.
    times: Option<Times>,
    /// Lower times than those, and since when they are said.
    lower: Option<(Times, Timer)>,
}

#[derive(Clone, Debug)]
struct Held {
    id: KeyId,
    role: Role,
    /// When it came into the ring, by the wall clock.
    made: Duration,
    /// Since it stands in the DNSKEY RRset.
    shown: Timer,
    zone: ZonePart,
    parent: ParentPart,
}

/// A key's part in signing the zone's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ZonePart {
    /// None.
    Never,
    /// It will sign when every cache can have it.
    Waits,
    /// It signs, since then by the wall clock.
    Signs { since: Duration },
    /// Another has taken over.
    Retired(Timer),
}

/// A key's part in the chain from the parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ParentPart {
    /// None.
    Never,
    /// It will be announced when every cache can have it.
    Waits,
    /// The parent is asked to have its DS, and to drop all others.
    Announced,
    /// The parent has it, and only it.
    Seen(Timer),
    /// Every cache has its DS, or none.
    Known,
    /// Its DS is gone from every cache.
    Left,
}

/// A ring as it is kept: what a process that starts needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptRing {
    /// Its keys.
    pub keys: Vec<KeptKey>,
    /// The longest times that what is cached may go by.
    pub times: Option<Times>,
}

/// A key as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptKey {
    /// Which.
    pub id: KeyId,
    /// What it is made for.
    pub role: Role,
    /// When it came into the ring, since 1970.
    pub made: Duration,
    /// For how long it has stood in the DNSKEY RRset.
    pub shown: Duration,
    /// Its part in signing the zone's data.
    pub zone: KeptZonePart,
    /// Its part in the chain from the parent.
    pub parent: KeptParentPart,
}

/// A key's part in signing the zone's data, as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptZonePart {
    /// None.
    Never,
    /// It will sign.
    Waits,
    /// It signs, since then (since 1970).
    Signs(Duration),
    /// Another has taken over, for so long.
    Retired(Duration),
}

/// A key's part in the chain from the parent, as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptParentPart {
    /// None.
    Never,
    /// It will be announced.
    Waits,
    /// The parent is asked to have its DS.
    Announced,
    /// The parent has it, for so long.
    Seen(Duration),
    /// Every cache has its DS, or none.
    Known,
    /// Its DS is gone.
    Left,
}

/// Why the ring does not do what it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The zone's scheme has no such key.
    NotInScheme(Role),
    /// A key of that kind is already on its way in.
    UnderWay(KeyId),
    /// Nothing waits for a DS.
    NothingAnnounced,
    /// There are too many keys.
    Full,
    /// There is one with the same tag.
    SameTag(KeyId),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotInScheme(role) => {
                write!(f, "the zone has no {}: `keys` in its [dnssec] says so", role.word())
            }
            Refusal::UnderWay(id) => {
                write!(f, "a roll-over is under way: key {} is on its way in", id.tag)
            }
            Refusal::NothingAnnounced => f.write_str("no key waits for its DS at the parent"),
            Refusal::Full => write!(f, "the zone has {KEYS_MAX} keys already"),
            Refusal::SameTag(id) => write!(f, "the zone has a key with the tag {} already", id.tag),
        }
    }
}

impl Ring {
    /// No key yet.
    pub fn empty() -> Ring {
        Ring { keys: Vec::new(), version: 1, times: None, lower: None }
    }

    /// As an earlier process left it.
    pub fn restore(kept: &KeptRing) -> Ring {
        let version = 1;
        let keys = kept.keys.iter().map(|key| Held {
            id: key.id,
            role: key.role,
            made: key.made,
            shown: Timer::resumed(key.shown, version),
            zone: match key.zone {
                KeptZonePart::Never => ZonePart::Never,
                KeptZonePart::Waits => ZonePart::Waits,
                KeptZonePart::Signs(since) => ZonePart::Signs { since },
                KeptZonePart::Retired(credit) => ZonePart::Retired(Timer::resumed(credit, version)),
            },
            parent: match key.parent {
                KeptParentPart::Never => ParentPart::Never,
                KeptParentPart::Waits => ParentPart::Waits,
                KeptParentPart::Announced => ParentPart::Announced,
                KeptParentPart::Seen(credit) => ParentPart::Seen(Timer::resumed(credit, version)),
                KeptParentPart::Known => ParentPart::Known,
                KeptParentPart::Left => ParentPart::Left,
            },
        });
        Ring { keys: keys.collect(), version, times: kept.times, lower: None }
    }

    /// What another process would need to know.
    pub fn keep(&self, now: Now) -> KeptRing {
        let keys = self.keys.iter().map(|key| KeptKey {
            id: key.id,
            role: key.role,
            made: key.made,
            shown: key.shown.elapsed(now),
            zone: match key.zone {
                ZonePart::Never => KeptZonePart::Never,
                ZonePart::Waits => KeptZonePart::Waits,
                ZonePart::Signs { since } => KeptZonePart::Signs(since),
                ZonePart::Retired(timer) => KeptZonePart::Retired(timer.elapsed(now)),
            },
            parent: match key.parent {
                ParentPart::Never => KeptParentPart::Never,
                ParentPart::Waits => KeptParentPart::Waits,
                ParentPart::Announced => KeptParentPart::Announced,
                ParentPart::Seen(timer) => KeptParentPart::Seen(timer.elapsed(now)),
                ParentPart::Known => KeptParentPart::Known,
                ParentPart::Left => KeptParentPart::Left,
            },
        });
        KeptRing { keys: keys.collect(), times: self.times }
    }

    /// What is in the zone should be remade when this has changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The keys that should stand in the zone, and what for.
    pub fn uses(&self) -> impl Iterator<Item = (KeyId, Role, KeyUse)> {
        self.keys.iter().map(|key| (key.id, key.role, key.key_use()))
    }

    /// The key whose DS alone the parent should have (CDS, RFC 7344); `None`: it is too early to say.
    pub fn announced(&self) -> Option<KeyId> {
        let on_its_way = |key: &&Held| matches!(key.parent, ParentPart::Announced | ParentPart::Seen(_));
        let known = |key: &&Held| key.parent == ParentPart::Known;
        let newest = self.keys.iter().rev();
        newest.clone().find(on_its_way).or_else(|| newest.clone().find(known)).map(|key| key.id)
    }

    /// Zones made from this version are in force: what it changed can now be waited for.
    pub fn in_force(&mut self, version: u64, now: Now) {
        if let Some((_, since)) = &mut self.lower {
            since.in_force(version, now);
        }
        for key in &mut self.keys {
            key.shown.in_force(version, now);
            if let ZonePart::Retired(timer) = &mut key.zone {
                timer.in_force(version, now);
            }
            if let ParentPart::Seen(timer) = &mut key.parent {
                timer.in_force(version, now);
            }
        }
    }

    /// Lets time pass. True where what should be in the zone has changed.
    pub fn poll(&mut self, plan: &Plan, now: Now) -> bool {
        self.remember(plan.times, now);
        self.heed_clock(now);
        let times = self.times.unwrap_or(plan.times);
        let before = self.version;
        self.take_over(&times, now);
        self.announce(&times, now);
        self.come_to_be_known(&times, now);
        self.drop_gone(&times, now);
        self.version != before
    }

    /// The keys that have to be made now, by role: those that the scheme wants and nobody plays, and the
    /// successor of a ZSK that has become too old.
    pub fn wanted(&self, plan: &Plan, now: Now) -> Vec<Role> {
        let missing = |role: &&Role| !self.keys.iter().any(|key| key.role == **role && key.stays());
        let mut wanted: Vec<Role> = plan.scheme.roles().iter().filter(missing).copied().collect();
        let early = self.times.unwrap_or(plan.times).shown();
        let old = |key: &Held| match (key.role, key.zone, plan.zsk_lifetime) {
            (Role::Zsk, ZonePart::Signs { since }, Some(lifetime)) => {
                now.wall.saturating_sub(since) >= lifetime.saturating_sub(early)
            }
            _ => false,
        };
        let has_heir = self.keys.iter().any(|key| key.zone == ZonePart::Waits);
        if plan.scheme == Scheme::KskZsk && !has_heir && self.keys.iter().any(old) {
            wanted.push(Role::Zsk);
        }
        wanted.truncate(KEYS_MAX.saturating_sub(self.keys.len()));
        wanted
    }

    /// Whether a roll-over of such a key may begin.
    ///
    /// # Errors
    /// When the scheme has none, or one is under way.
    pub fn may_roll(&self, role: Role, plan: &Plan) -> Result<(), Refusal> {
        if !plan.scheme.roles().contains(&role) {
            return Err(Refusal::NotInScheme(role));
        }
        let coming = |key: &&Held| key.comes_in() && (key.role == role || role == Role::Csk);
        match self.keys.iter().find(coming) {
            Some(key) => Err(Refusal::UnderWay(key.id)),
            None => Ok(()),
        }
    }

    /// Takes in a key that was made. The first that can sign the zone's data does so at once; every other
    /// waits until it is shown everywhere.
    ///
    /// # Errors
    /// When one has the same tag, or there are too many.
    pub fn add(&mut self, id: KeyId, role: Role, now: Now) -> Result<(), Refusal> {
        // Resolvers go by the tag: two keys with one cost them work, or fail (RFC 4034 section 8).
        if let Some(same) = self.keys.iter().find(|key| key.id.tag == id.tag) {
            return Err(Refusal::SameTag(same.id));
        }
        if self.keys.len() >= KEYS_MAX {
            return Err(Refusal::Full);
        }
        let signed = self.keys.iter().any(|key| matches!(key.zone, ZonePart::Signs { .. }));
        self.version += 1;
        self.keys.push(Held {
            id,
            role,
            made: now.wall,
            shown: Timer::from_version(self.version),
            zone: match role.has_zone_part() {
                false => ZonePart::Never,
                true if signed => ZonePart::Waits,
                true => ZonePart::Signs { since: now.wall },
            },
            parent: if role.sep() { ParentPart::Waits } else { ParentPart::Never },
        });
        Ok(())
    }

    /// The operator says that the parent has the DS of the key that was announced, and no other.
    ///
    /// # Errors
    /// When no key waits for that.
    pub fn ds_seen(&mut self, now: Now) -> Result<KeyId, Refusal> {
        let announced = self.keys.iter_mut().rev().find(|key| key.parent == ParentPart::Announced);
        let key = announced.ok_or(Refusal::NothingAnnounced)?;
        key.parent = ParentPart::Seen(Timer::running(now));
        Ok(key.id)
    }

    /// Whether the ring holds no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether time has to be counted: what was counted should then be kept now and again.
    pub fn counts_time(&self) -> bool {
        !self.keys.iter().all(Held::is_settled)
    }

    /// The newest key that every cache can have begins to sign; whoever signed before stops.
    fn take_over(&mut self, times: &Times, now: Now) {
        let ready = |key: &Held| key.zone == ZonePart::Waits && key.shown.elapsed(now) >= times.shown();
        let Some(heir) = self.keys.iter().rposition(ready) else { return };
        self.version += 1;
        let version = self.version;
        for (position, key) in self.keys.iter_mut().enumerate() {
            key.zone = match key.zone {
                _ if position == heir => ZonePart::Signs { since: now.wall },
                ZonePart::Signs { .. } => ZonePart::Retired(Timer::from_version(version)),
                ZonePart::Waits if position < heir => ZonePart::Retired(Timer::from_version(version)),
                other => other,
            };
        }
    }

    /// A key that every cache can have is announced to the parent.
    fn announce(&mut self, times: &Times, now: Now) {
        // Before the first DS there are caches that hold the zone's data without signatures.
        let first = !self.keys.iter().any(|key| key.parent == ParentPart::Known);
        let needed = if first { times.retired() } else { times.shown() };
        for key in &mut self.keys {
            if key.parent == ParentPart::Waits && key.shown.elapsed(now) >= needed {
                key.parent = ParentPart::Announced;
                self.version += 1;
            }
        }
    }

    /// When the old DS is in no cache any more, its key is not needed.
    fn come_to_be_known(&mut self, times: &Times, now: Now) {
        let known = |key: &Held| match key.parent {
            ParentPart::Seen(timer) => timer.elapsed(now) >= times.parent_ds,
            _ => false,
        };
        let Some(position) = self.keys.iter().rposition(known) else { return };
        self.version += 1;
        for (other, key) in self.keys.iter_mut().enumerate() {
            key.parent = match key.parent {
                _ if other == position => ParentPart::Known,
                ParentPart::Known | ParentPart::Seen(_) | ParentPart::Announced if other < position => {
                    ParentPart::Left
                }
                same => same,
            };
        }
    }

    /// A key goes when no part of it is left to play.
    fn drop_gone(&mut self, times: &Times, now: Now) {
        let before = self.keys.len();
        self.keys.retain(|key| {
            let zone = match key.zone {
                ZonePart::Never => false,
                ZonePart::Retired(timer) => timer.elapsed(now) < times.retired(),
                ZonePart::Waits | ZonePart::Signs { .. } => true,
            };
            zone || !matches!(key.parent, ParentPart::Never | ParentPart::Left)
        });
        if self.keys.len() != before {
            self.version += 1;
        }
    }

    /// What is in caches goes by the TTLs that it had when it was sent: higher times count at once, lower
    /// ones when nothing that went by the higher ones can be left.
    fn remember(&mut self, times: Times, now: Now) {
        let longest = self.times.map_or(times, |known| known.max(times));
        self.times = Some(longest);
        if longest == times {
            self.lower = None;
            return;
        }
        let since = match self.lower {
            Some((lower, since)) if lower == times => since,
            // They have to be in force first, like everything else.
            _ => {
                self.version += 1;
                Timer::from_version(self.version)
            }
        };
        self.lower = Some((times, since));
        if since.elapsed(now) >= longest.retired().saturating_add(longest.parent_ds) {
            (self.times, self.lower) = (Some(times), None);
        }
    }

    /// No key began to sign in times to come: the clock has been set back since.
    fn heed_clock(&mut self, now: Now) {
        for key in &mut self.keys {
            key.made = key.made.min(now.wall);
            if let ZonePart::Signs { since } = &mut key.zone {
                *since = (*since).min(now.wall);
            }
        }
    }
}

impl Held {
    fn key_use(&self) -> KeyUse {
        let keys = !matches!(self.parent, ParentPart::Never | ParentPart::Left);
        match (keys, self.zone) {
            (true, ZonePart::Signs { .. }) => KeyUse::SignsAll,
            (false, ZonePart::Signs { .. }) => KeyUse::SignsZone,
            (true, _) => KeyUse::SignsKeys,
            (false, _) => KeyUse::Published,
        }
    }

    /// Whether it is not on its way out.
    fn stays(&self) -> bool {
        self.parent != ParentPart::Left && !matches!(self.zone, ZonePart::Retired(_)) || self.comes_in()
    }

    /// Whether it has still to come into its part.
    fn comes_in(&self) -> bool {
        let parent = matches!(self.parent, ParentPart::Waits | ParentPart::Announced | ParentPart::Seen(_));
        self.zone == ZonePart::Waits || parent
    }

    /// Whether time changes nothing about it.
    fn is_settled(&self) -> bool {
        let zone = matches!(self.zone, ZonePart::Never | ZonePart::Signs { .. });
        zone && matches!(self.parent, ParentPart::Never | ParentPart::Known)
    }
}
