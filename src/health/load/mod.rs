//! From load readings to shares and weights (H12): the controller, pure, time as an argument.
//!
//! Endpoints that can take over each other's clients form a group. Every interval a group is decided
//! anew: how far targets must be raised so that they hold what there is, what share of its clients each
//! endpoint keeps, and what it weighs under `least-loaded`. The law is in `law`; why it settles although
//! caches answer with old shares for a minute is in docs/decisions/0008-load-control.md.

mod law;
mod member;

use std::collections::BTreeMap;
use std::time::Duration;

use self::member::{Member, Presence};
use super::feed::Amount;
use super::{EndpointState, Share};
use crate::ids::{EndpointId, TargetId};

/// An endpoint as the controller has to know it. Those without limits count as open: they have room
/// without end, and never shed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadMember {
    /// Which.
    pub endpoint: EndpointId,
    /// Those with the same number can take over each other's clients.
    pub group: u32,
    /// What is read of it, if anything.
    pub metered: Option<Metered>,
}

/// How an endpoint's load is known and judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Metered {
    /// The targets whose readings count, one for each address; the greatest counts.
    pub feeds: Box<[TargetId]>,
    /// How often they are read.
    pub interval: Duration,
    /// How long caches may hold an answer: the greatest TTL of the services that name it.
    pub caches: Duration,
    /// Between what loads it sheds.
    pub limits: LoadLimits,
}

/// `load = { target, max }`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoadLimits {
    /// Above this it sheds.
    pub target: Amount,
    /// Here it would shed everything.
    pub max: Amount,
}

/// What people may ask of one endpoint's load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LoadStatus {
    /// The load as last read, smoothed; `None`: never read.
    pub current: Option<Amount>,
    /// Time since it was read.
    pub age: Option<Duration>,
    /// As configured.
    pub limits: LoadLimits,
    /// The target as raised because all exceed theirs; as configured where nobody has to.
    pub raised_target: Amount,
    /// What is kept of its clients, and why.
    pub share: Share,
    /// What it weighs under `least-loaded`.
    pub load_weight: u16,
}

/// The controller.
#[derive(Clone, Debug, Default)]
pub struct Loads {
    members: Vec<Member>,
    groups: Vec<Group>,
    /// By endpoint number, sorted.
    of_endpoint: BTreeMap<EndpointId, usize>,
    /// Members and places in their feeds, by target.
    of_feed: BTreeMap<TargetId, Vec<(usize, usize)>>,
}

/// Members that can take over each other's clients.
#[derive(Clone, Debug)]
struct Group {
    members: Vec<usize>,
    /// How often it is decided: the shortest interval of its feeds.
    interval: Duration,
    /// How long a new share takes to show in full in the readings.
    settling: Duration,
    decided_at: Option<Duration>,
    balanced_at: Duration,
    /// By what factor targets are raised, at least 1.
    raise: f64,
}

/// A reading takes this many intervals to follow the load: one to be made, and the smoothing.
const READING_INTERVALS: u32 = 4;

/// A longer settling time (from TTLs beyond ten minutes) would make the controller blind: then the share
/// may be a little too low for a while.
const SETTLING_MAX: Duration = Duration::from_secs(900);

impl Loads {
    /// A controller that has read nothing yet: everybody keeps everything.
    pub fn new(members: Vec<LoadMember>) -> Loads {
        let mut loads = Loads::default();
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (index, spec) in members.into_iter().enumerate() {
            groups.entry(spec.group).or_default().push(index);
            loads.of_endpoint.insert(spec.endpoint, index);
            let feeds = spec.metered.iter().flat_map(|metered| metered.feeds.iter()).enumerate();
            for (place, feed) in feeds {
                loads.of_feed.entry(*feed).or_default().push((index, place));
            }
            loads.members.push(Member::new(spec));
        }
        loads.groups =
            groups.into_values().filter_map(|members| Group::new(members, &loads.members)).collect();
        loads.weigh();
        loads
    }

    /// The controller after a reload: `before` gives an endpoint's former number. Shares, weights and what
    /// was read go on.
    pub fn succeed(
        mut self,
        members: Vec<LoadMember>,
        now: Duration,
        before: impl Fn(EndpointId) -> Option<EndpointId>,
    ) -> Loads {
        let mut loads = Loads::new(members);
        for (endpoint, index) in &loads.of_endpoint {
            let old = before(*endpoint).and_then(|old| self.of_endpoint.get(&old));
            let old = old.and_then(|old| self.members.get_mut(*old));
            if let (Some(old), Some(new)) = (old, loads.members.get_mut(*index)) {
                new.inherit(old);
            }
        }
        for group in &mut loads.groups {
            group.balanced_at = now;
        }
        loads.weigh();
        loads
    }

    fn weigh(&mut self) {
        self.groups.iter().for_each(|group| group.weigh(&mut self.members));
    }

    /// Takes in what a feed's page said.
    pub fn observe(&mut self, feed: TargetId, current: Amount, now: Duration) {
        for (member, place) in self.of_feed.get(&feed).into_iter().flatten() {
            if let Some(member) = self.members.get_mut(*member) {
                member.read(*place, current, now);
            }
        }
    }

    /// Tells whether clients are sent to an endpoint at all: it is well, and no operator keeps it out.
    pub fn set_eligible(&mut self, endpoint: EndpointId, eligible: bool) {
        let member = self.of_endpoint.get(&endpoint).and_then(|index| self.members.get_mut(*index));
        if let Some(member) = member {
            member.eligible = eligible;
        }
    }

    /// How long until [`Loads::poll`] has something to do; `None`: nothing is metered.
    pub fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        self.groups.iter().map(|group| group.due_at().saturating_sub(now)).min()
    }

    /// Decides the groups whose time has come. Whether a share or weight has changed.
    pub fn poll(&mut self, now: Duration) -> bool {
        let Loads { groups, members, .. } = self;
        let due = groups.iter_mut().filter(|group| group.due_at() <= now);
        due.fold(false, |changed, group| group.decide(members, now) | changed)
    }

    /// An endpoint's share of its clients.
    pub fn share(&self, endpoint: EndpointId) -> Share {
        self.member(endpoint).map_or(Share::FULL, Member::share)
    }

    /// What an endpoint weighs under `least-loaded`.
    pub fn load_weight(&self, endpoint: EndpointId) -> u16 {
        self.member(endpoint).map_or(EndpointState::LOAD_WEIGHT_NEUTRAL, |member| member.load_weight)
    }

    /// All about one endpoint's load; `None`: it is not metered.
    pub fn status(&self, endpoint: EndpointId, now: Duration) -> Option<LoadStatus> {
        let index = self.of_endpoint.get(&endpoint)?;
        let member = self.members.get(*index)?;
        let limits = member.limits()?;
        let group = self.groups.iter().find(|group| group.members.contains(index));
        let raised = limits.target.units() * group.map_or(1.0, |group| group.raise);
        Some(LoadStatus {
            current: member.current().and_then(Amount::from_units),
            age: member.read_at().map(|at| now.saturating_sub(at)),
            limits,
            raised_target: Amount::from_units(raised).unwrap_or(limits.target),
            share: member.share(),
            load_weight: member.load_weight,
        })
    }

    fn member(&self, endpoint: EndpointId) -> Option<&Member> {
        self.members.get(*self.of_endpoint.get(&endpoint)?)
    }
}

impl Group {
    /// A group; `None` where nobody in it is metered.
    fn new(members: Vec<usize>, all: &[Member]) -> Option<Group> {
        let metered = || members.iter().filter_map(|index| all.get(*index)?.spec.metered.as_ref());
        let interval = metered().map(|own| own.interval).min()?.max(Duration::from_millis(1));
        let settling = metered().map(|own| own.caches + own.interval * READING_INTERVALS).max()?;
        let settling = settling.min(SETTLING_MAX).max(interval);
        Some(Group { members, interval, settling, decided_at: None, balanced_at: Duration::ZERO, raise: 1.0 })
    }

    fn due_at(&self) -> Duration {
        self.decided_at.map_or(Duration::ZERO, |at| at + self.interval)
    }

    fn decide(&mut self, all: &mut [Member], now: Duration) -> bool {
        let elapsed = self.decided_at.map_or(self.interval, |at| now.saturating_sub(at));
        self.decided_at = Some(now);
        let published = |all: &[Member], members: &[usize]| -> Vec<(Share, u16)> {
            members
                .iter()
                .filter_map(|index| all.get(*index))
                .map(|own| (own.share(), own.load_weight))
                .collect()
        };
        let before = published(all, &self.members);
        self.raise = self.raise(all, now);
        let pace = law::Pace::new(elapsed, self.settling);
        let raise = self.raise;
        self.each(all, |member| member.step(raise, pace, now));
        self.keep_whole(all, now);
        if now.saturating_sub(self.balanced_at) >= self.settling {
            self.balanced_at = now;
            self.balance(all, now);
        }
        before != published(all, &self.members)
    }

    fn each(&self, all: &mut [Member], mut change: impl FnMut(&mut Member)) {
        for index in &self.members {
            if let Some(member) = all.get_mut(*index) {
                change(member);
            }
        }
    }

    fn own<'a>(&'a self, all: &'a [Member]) -> impl Iterator<Item = &'a Member> {
        self.members.iter().filter_map(|index| all.get(*index))
    }

    /// By what factor targets must be raised so that all of them together hold what there is.
    fn raise(&self, all: &[Member], now: Duration) -> f64 {
        let is_open = |member: &Member| member.eligible && member.spec.metered.is_none();
        if self.own(all).any(is_open) {
            return 1.0;
        }
        self.utilisation(all, now).map_or(1.0, |utilisation| utilisation.max(1.0))
    }

    /// The load of all eligible members against their targets.
    fn utilisation(&self, all: &[Member], now: Duration) -> Option<f64> {
        let known = self.own(all).filter_map(|member| member.known(now));
        let (load, target) = known.fold((0.0, 0.0), |(load, target), own| (load + own.0, target + own.1));
        (target > 0.0).then_some(load / target)
    }

    /// Never shed everywhere: whoever keeps most of its clients keeps all, the others in proportion.
    fn keep_whole(&self, all: &mut [Member], now: Duration) {
        let eligible = self.own(all).filter(|member| member.eligible);
        let most = eligible.map(|member| member.kept).fold(0.0, f64::max);
        if most > 0.0 && most < 1.0 {
            self.each(all, |member| {
                if member.eligible {
                    member.keep(member.kept / most, now);
                }
            });
        }
    }

    /// Moves weights towards equal utilisation.
    fn balance(&self, all: &mut [Member], now: Duration) {
        let mean = self.utilisation(all, now).unwrap_or(1.0);
        self.each(all, |member| member.balance(mean, now));
        self.weigh(all);
    }

    /// Makes weights of targets and factors; these are 1 on average.
    fn weigh(&self, all: &mut [Member]) {
        let metered =
            || self.own(all).filter_map(|member| Some((member.factor, member.limits()?.target.units())));
        let targets: f64 = metered().map(|(_, target)| target).sum();
        let weighted: f64 = metered().map(|(factor, target)| factor * target).sum();
        let mean_target = targets / metered().count().max(1) as f64;
        if weighted > 0.0 && mean_target > 0.0 {
            let scale = targets / weighted;
            self.each(all, |member| member.weigh(scale, mean_target));
        }
    }
}

impl Member {
    /// Load and target, while clients are sent there and the load is known.
    fn known(&self, now: Duration) -> Option<(f64, f64)> {
        let load = match self.presence(now) {
            Presence::Fresh(load) | Presence::Held(load) if self.eligible => load,
            _ => return None,
        };
        Some((load, self.limits()?.target.units()))
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
