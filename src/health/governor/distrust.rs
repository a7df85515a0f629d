//! When a node should rather doubt itself: unrelated regions that fall together (H11).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{AddressId, RegionId};

/// So many regions do not fail within one interval; the way to them does.
const REGIONS_MIN: usize = 3;

/// Distrust ends after this at the latest: then the governor alone decides. As long as its usual window.
const DISTRUST_MAX: Duration = Duration::from_secs(600);

/// Falls of the last interval, and whether they are believed.
#[derive(Clone, Debug, Default)]
pub struct Distrust {
    /// Addresses that fell from up and have not risen since.
    fresh: BTreeMap<AddressId, Fresh>,
    /// Since when all canaries have been down.
    canaries_down: Option<Duration>,
    active: Option<Active>,
}

/// A fall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fallen {
    /// Where.
    pub region: RegionId,
    /// The how manieth it is.
    pub order: u64,
    /// How long others may take to fall to count as one failure with it: an interval of its monitors.
    pub together: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Fresh {
    region: RegionId,
    order: u64,
    /// Until when it counts as fallen together with others.
    until: Duration,
}

#[derive(Clone, Debug)]
struct Active {
    cause: Cause,
    since: Duration,
    /// The first fall that is doubted.
    from: u64,
    /// The falls that are doubted and still down.
    suspects: BTreeMap<AddressId, RegionId>,
}

/// Why this node doubts what it sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Several regions fell within one interval.
    Regions,
    /// All regions fell, and with them this node's canaries.
    Canaries,
}

/// Why it does not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Few enough of the regions are still down.
    Recovered,
    /// A canary is well.
    Canary,
    /// It has lasted for as long as it may.
    Bound,
}

/// What begins or ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Falls from this one on are doubted.
    Begun {
        /// Why.
        cause: Cause,
        /// The first fall that is doubted.
        from: u64,
        /// Where.
        regions: Vec<RegionId>,
    },
    /// They are believed again.
    Ended {
        /// Why.
        how: Ending,
        /// How long it was.
        after: Duration,
    },
}

impl Distrust {
    /// An address has fallen from up.
    pub fn fell(&mut self, address: AddressId, fall: Fallen, now: Duration) {
        let Fallen { region, order, together } = fall;
        self.fresh.insert(address, Fresh { region, order, until: now + together });
        if let Some(active) = &mut self.active {
            active.suspects.insert(address, region);
        }
    }

    /// An address is no longer down.
    pub fn rose(&mut self, address: AddressId) {
        self.fresh.remove(&address);
        if let Some(active) = &mut self.active {
            active.suspects.remove(&address);
        }
    }

    /// All canaries are down, or not.
    pub fn set_canaries(&mut self, down: bool, now: Duration) {
        self.canaries_down = if down { self.canaries_down.or(Some(now)) } else { None };
    }

    /// Judges. `monitored` is how many regions have anything that is probed; `together` how old the fall
    /// of the canaries may be.
    pub fn poll(&mut self, monitored: usize, together: Duration, now: Duration) -> Option<Turn> {
        self.fresh.retain(|_, fresh| fresh.until > now);
        match &self.active {
            Some(active) => {
                let how = self.ending(active, now)?;
                let after = now.saturating_sub(active.since);
                self.end();
                Some(Turn::Ended { how, after })
            }
            None => self.begin(monitored, together, now),
        }
    }

    fn begin(&mut self, monitored: usize, together: Duration, now: Duration) -> Option<Turn> {
        let regions: BTreeSet<RegionId> = self.fresh.values().map(|fresh| fresh.region).collect();
        let canaries = self.canaries_down.is_some_and(|since| now.saturating_sub(since) <= together);
        let cause = match () {
            () if canaries && monitored > 0 && regions.len() >= monitored => Cause::Canaries,
            () if regions.len() >= REGIONS_MIN => Cause::Regions,
            () => return None,
        };
        let from = self.fresh.values().map(|fresh| fresh.order).min()?;
        let suspects = self.fresh.iter().map(|(address, fresh)| (*address, fresh.region)).collect();
        self.active = Some(Active { cause, since: now, from, suspects });
        Some(Turn::Begun { cause, from, regions: regions.into_iter().collect() })
    }

    fn ending(&self, active: &Active, now: Duration) -> Option<Ending> {
        let regions: BTreeSet<RegionId> = active.suspects.values().copied().collect();
        match active.cause {
            _ if now >= active.since + DISTRUST_MAX => Some(Ending::Bound),
            Cause::Canaries if self.canaries_down.is_none() => Some(Ending::Canary),
            Cause::Canaries if regions.is_empty() => Some(Ending::Recovered),
            Cause::Regions if regions.len() < REGIONS_MIN => Some(Ending::Recovered),
            Cause::Canaries | Cause::Regions => None,
        }
    }

    /// Ends it, if it lasts; how long it did. The same falls do not begin it again.
    pub fn release(&mut self, now: Duration) -> Option<Duration> {
        let since = self.active.as_ref()?.since;
        self.end();
        Some(now.saturating_sub(since))
    }

    fn end(&mut self) {
        self.active = None;
        self.fresh.clear();
    }

    /// Why it lasts and the first fall that is doubted, if it does.
    pub fn active(&self) -> Option<(Cause, u64)> {
        self.active.as_ref().map(|active| (active.cause, active.from))
    }

    /// After a reload: everybody under a new number, or gone.
    pub fn renumber(&mut self, new: impl Fn(AddressId) -> Option<(AddressId, RegionId)>) {
        let fresh = std::mem::take(&mut self.fresh).into_iter();
        let renumbered = |(address, fresh)| new(address).map(|(id, region)| (id, Fresh { region, ..fresh }));
        self.fresh = fresh.filter_map(renumbered).collect();
        if let Some(active) = &mut self.active {
            let suspects = std::mem::take(&mut active.suspects).into_keys();
            active.suspects = suspects.filter_map(&new).collect();
        }
    }

    /// When it ends at the latest.
    pub fn next_change(&self) -> Option<Duration> {
        self.active.as_ref().map(|active| active.since + DISTRUST_MAX)
    }
}
