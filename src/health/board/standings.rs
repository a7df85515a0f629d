//! From verdicts of targets to what is published of addresses: composition, failback, the governor and
//! self-distrust, in that order (H4, H10, H11).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::FixedState;

use super::Board;
use crate::health::failback::{Failback, Stage};
use crate::health::governor::{Cause, Distrust, Fallen, Governor, SeatState, Stand, Turn};
use crate::health::{
    BoardSpec, Cadence, Check, FailbackSpec, Forced, News, Share, Standing, TargetHealth, Verdict, Word,
};
use crate::ids::{AddressId, EndpointId, ServiceId, TargetId};
use crate::now::Now;

/// What is made of verdicts.
#[derive(Clone, Debug)]
pub struct Standings {
    /// By address: what is published.
    pub published: Vec<Standing>,
    /// By target: the addresses that it votes for.
    users: Vec<Vec<AddressId>>,
    pub failback: Failback,
    pub governor: Governor,
    pub distrust: Distrust,
    /// What the governor holds.
    pub frozen: Arc<[(ServiceId, AddressId)]>,
    /// Regions with anything that is probed.
    monitored: usize,
    /// The longest interval within which falls count as one.
    together: Duration,
}

impl Standings {
    /// Of a fleet of which nothing is known but what targets say.
    pub fn new(spec: &BoardSpec, health: impl Fn(TargetId) -> Option<TargetHealth>) -> Standings {
        let mut users = vec![Vec::new(); spec.targets.len()];
        let mut monitored = BTreeSet::new();
        for (index, address) in spec.addresses.iter().enumerate() {
            let id = AddressId(index as u32);
            let passives = address.watched.iter().copied().filter(|target| is_passive(spec, *target));
            for target in address.checks.targets().chain(passives) {
                if let Some(of) = users.get_mut(target.index()) {
                    of.push(id);
                }
                monitored.extend(spec.region_of(id));
            }
        }
        Standings {
            published: (0..spec.addresses.len() as u32)
                .map(|address| compose(spec, AddressId(address), &health))
                .collect(),
            users,
            failback: Failback::default(),
            governor: Governor::new(spec),
            distrust: Distrust::default(),
            frozen: Arc::new([]),
            monitored: monitored.len(),
            together: spec.targets.iter().map(|target| together(&target.cadence)).max().unwrap_or_default(),
        }
    }
}

/// What the checks of an address come to.
fn compose(
    spec: &BoardSpec,
    address: AddressId,
    health: impl Fn(TargetId) -> Option<TargetHealth>,
) -> Standing {
    let Some(own) = spec.addresses.get(address.index()) else { return Standing::UNKNOWN };
    let verdict = own.checks.verdict(|target| health(target).map_or(Verdict::Unknown, |own| own.verdict));
    // Passive checks stand beside what the monitors say: too many errors take it down.
    let passives = || own.watched.iter().filter(|target| is_passive(spec, **target));
    let passives = || passives().filter_map(|target| health(*target));
    let verdict = match passives().any(|own| own.verdict == Verdict::Down) {
        true => Verdict::Down,
        false => verdict,
    };
    let known = passives().filter(|own| own.verdict != Verdict::Unknown);
    let bounds = own.checks.targets().filter_map(&health).chain(known).filter_map(|own| own.ttl_bound_s);
    Standing { verdict, ttl_bound_s: bounds.min(), share: Share::FULL }
}

/// Whether a target is a load feed, whose errors take down what it watches (H12).
fn is_passive(spec: &BoardSpec, target: TargetId) -> bool {
    spec.targets.get(target.index()).is_some_and(|target| matches!(target.check, Check::Load(_)))
}

/// How far apart the falls of what fails at one moment may be: probes are spread over the interval,
/// jittered, and take up to their timeout.
fn together(cadence: &Cadence) -> Duration {
    cadence.interval.mul_f64(1.0 + 2.0 * super::schedule::JITTER_SHARE) + cadence.timeout
}

impl Board {
    /// A target says something else than before.
    pub(super) fn target_changed(&mut self, target: TargetId, now: Now) {
        for address in self.standings.users.get(target.index()).cloned().unwrap_or_default() {
            let standing = compose(&self.spec, address, |target| self.health(target));
            let Some(old) = self.standings.published.get_mut(address.index()) else { continue };
            let new = Standing { share: old.share, ..standing };
            if *old == new {
                continue;
            }
            let from = std::mem::replace(old, new).verdict;
            self.generation += 1;
            if from != new.verdict {
                self.turned(address, from, new.verdict, now);
            }
        }
        if self.spec.canaries.contains(&target) {
            let down =
                |target: &TargetId| self.health(*target).is_some_and(|own| own.verdict == Verdict::Down);
            let down = self.spec.canaries.iter().all(down);
            self.standings.distrust.set_canaries(down, now.monotonic);
            self.judge(now);
        }
    }

    fn turned(&mut self, address: AddressId, from: Verdict, to: Verdict, now: Now) {
        let stage = self.standings.failback.turn(address, self.failback_of(address), to, now.monotonic);
        if let Some(stage) = stage {
            self.tell_stage(address, stage, now);
        }
        if from == Verdict::Up && to == Verdict::Down {
            let fallen = Fallen {
                region: self.spec.region_of(address).unwrap_or(crate::ids::RegionId(u16::MAX)),
                order: self.standings.governor.next_fall(),
                together: self.together_of(address),
            };
            self.standings.distrust.fell(address, fallen, now.monotonic);
        } else if to != Verdict::Down {
            self.standings.distrust.rose(address);
        }
        self.stand(address, now);
        self.share_out(now);
        self.judge(now);
    }

    /// Tells the governor how an address stands.
    fn stand(&mut self, address: AddressId, now: Now) {
        let down = self.published(address).verdict == Verdict::Down;
        let forced = self.endpoint_of(address).map_or(Forced::Not, |endpoint| self.word(endpoint).forced);
        let stand = match (forced, down) {
            (Forced::Up, _) | (Forced::Not, false) => Stand::Well,
            (Forced::Not, true) => Stand::Fallen,
            (Forced::Down | Forced::Drained, false) => Stand::Out,
            (Forced::Down | Forced::Drained, true) => Stand::OutFallen,
        };
        self.standings.governor.turn(address, stand, now.monotonic);
    }

    /// Operators' words on an endpoint have changed.
    pub(super) fn word_changed(&mut self, endpoint: EndpointId, before: Word, now: Now) {
        let after = self.word(endpoint);
        let lets_in = |word: Word| match word.forced {
            Forced::Down | Forced::Drained => 0,
            Forced::Up | Forced::Not => word.share.permille,
        };
        let addresses = self.spec.endpoints.get(endpoint.index()).map(|own| own.addresses.clone());
        for address in addresses.unwrap_or_default() {
            if before.forced != after.forced {
                self.stand(address, now);
            }
            let down = self.published(address).verdict == Verdict::Down;
            if lets_in(after) > lets_in(before) && after.forced == Forced::Not && !down {
                let spec = self.failback_of(address);
                let stage = self.standings.failback.let_go(address, spec, lets_in(before), now.monotonic);
                if let Some(stage) = stage {
                    self.tell_stage(address, stage, now);
                }
            }
        }
    }

    /// What time has done for those that come back and those that are held.
    pub(super) fn settle_standings(&mut self, now: Now) {
        let spec = Arc::clone(&self.spec);
        let of = |address: AddressId| failback_of(&spec, address);
        for (address, stage) in self.standings.failback.tick(of, now.monotonic) {
            self.tell_stage(address, stage, now);
        }
        self.share_out(now);
        self.standings.governor.tick(now.monotonic);
        self.judge(now);
    }

    /// Gives everybody on the way back the share of the moment.
    pub(super) fn share_out(&mut self, now: Now) {
        let Standings { failback, published, .. } = &mut self.standings;
        for (address, share) in failback.poll_shares(now.monotonic) {
            if let Some(own) = published.get_mut(address.index())
                && own.share != share
            {
                own.share = share;
                self.generation += 1;
            }
        }
    }

    /// Whether this node doubts what it sees, and what the governor holds.
    pub(super) fn judge(&mut self, now: Now) {
        let at = now.monotonic;
        let (monitored, together) = (self.standings.monitored, self.standings.together);
        match self.standings.distrust.poll(monitored, together, at) {
            Some(Turn::Begun { cause, from, regions }) => {
                self.standings.governor.distrust(from, cause == Cause::Regions, at);
                let name = |region: &crate::ids::RegionId| self.spec.regions.get(region.index()).cloned();
                let regions = regions.iter().filter_map(name).collect();
                self.tell(News::DistrustBegun { cause, regions }, now);
            }
            Some(Turn::Ended { how, after }) => {
                self.standings.governor.trust(at);
                self.tell(News::DistrustEnded { how: Some(how), after }, now);
            }
            None => {}
        }
        for news in self.standings.governor.poll(at) {
            let service = self.spec.services.get(news.service.index()).map(|own| own.name.clone());
            let service = service.unwrap_or_default();
            self.tell(News::Frozen { service, part: news.part, figures: news.figures }, now);
        }
        let frozen = self.standings.governor.frozen();
        if *frozen != *self.standings.frozen {
            self.standings.frozen = frozen.into();
            self.generation += 1;
        }
        self.changes_at = [
            self.overrides.next_change(at),
            self.standings.failback.next_change(at),
            self.standings.governor.next_change(at),
            self.standings.distrust.next_change(),
        ]
        .into_iter()
        .flatten()
        .min();
    }

    pub(super) fn tell_stage(&mut self, address: AddressId, stage: Stage, now: Now) {
        let label = self.spec.label(address);
        self.tell(News::Failback { label, stage }, now);
    }

    /// What is published of an address.
    pub(super) fn published(&self, address: AddressId) -> Standing {
        self.standings.published.get(address.index()).copied().unwrap_or(Standing::UNKNOWN)
    }

    /// The share of clients that an address of a service may get as far as monitors are concerned, in
    /// thousandths; 0: it is down.
    pub(super) fn share_well(&self, service: ServiceId, address: AddressId) -> u16 {
        let standing = self.published(address);
        let frozen = self.standings.frozen.binary_search(&(service, address)).is_ok();
        if standing.verdict == Verdict::Down && !frozen { 0 } else { standing.share.permille }
    }

    /// Where an address is on its way back (H10).
    pub fn stage(&self, address: AddressId) -> Stage {
        self.standings.failback.stage(address)
    }

    /// Why this node doubts what it sees, if it does (H11).
    pub fn distrust(&self) -> Option<Cause> {
        self.standings.distrust.active().map(|(cause, _)| cause)
    }

    pub(super) fn failback_of(&self, address: AddressId) -> FailbackSpec {
        failback_of(&self.spec, address)
    }

    fn together_of(&self, address: AddressId) -> Duration {
        let Some(own) = self.spec.addresses.get(address.index()) else { return Duration::ZERO };
        let cadences = own.checks.targets().filter_map(|target| self.spec.targets.get(target.index()));
        cadences.map(|target| together(&target.cadence)).max().unwrap_or_default()
    }

    fn endpoint_of(&self, address: AddressId) -> Option<EndpointId> {
        self.spec.addresses.get(address.index()).map(|own| own.endpoint)
    }

    /// Takes over what the board before a reload has made of verdicts, by identity.
    pub(super) fn inherit(&mut self, old: &BoardSpec, before: Standings, now: Now) {
        let spec = Arc::clone(&self.spec);
        let mut known: HashMap<_, AddressId, FixedState> = HashMap::default();
        for address in spec.address_ids() {
            known.insert(spec.identity(address), address);
        }
        let renumbered = |address: AddressId| known.get(&old.identity(address)).copied();
        for address in old.address_ids() {
            let stage = before.failback.stage(address);
            if let (Some(new), true) = (renumbered(address), stage != Stage::Full) {
                self.standings.failback.put(new, stage);
            }
        }
        let service = |id: ServiceId| {
            let name = &old.services.get(id.index())?.name;
            let at = spec.services.iter().position(|own| own.name == *name)?;
            Some(ServiceId(at as u32))
        };
        let mut states: HashMap<_, SeatState, FixedState> = HashMap::default();
        for lane in before.governor.lanes() {
            let Some(service) = service(lane.service) else { continue };
            for seat in lane.seats() {
                if let Some(address) = renumbered(seat.address) {
                    states.insert((service, address), seat.state);
                }
            }
        }
        self.seat(|service, address| states.get(&(service, address)).copied(), now);
        self.standings.distrust = before.distrust;
        self.standings
            .distrust
            .renumber(|address| renumbered(address).and_then(|new| Some((new, spec.region_of(new)?))));
        if let Some((cause, from)) = self.standings.distrust.active() {
            self.standings.governor.distrust(from, cause == Cause::Regions, now.monotonic);
        }
    }

    /// Seats those that are down: where they were, or else as removed long ago, since they were never up
    /// in this service.
    pub(super) fn seat(&mut self, state: impl Fn(ServiceId, AddressId) -> Option<SeatState>, now: Now) {
        let down = |address: AddressId| self.published(address).verdict == Verdict::Down;
        let seats = self.standings.governor.lanes().iter().flat_map(|lane| {
            lane.seats().iter().filter(|seat| down(seat.address)).map(|seat| {
                let settled = SeatState::Removed { order: 0, settles_at: now.monotonic };
                let before = state(lane.service, seat.address).filter(|state| *state != SeatState::Well);
                (lane.service, seat.address, before.unwrap_or(settled))
            })
        });
        for (service, address, state) in seats.collect::<Vec<_>>() {
            self.standings.governor.put(service, address, state);
        }
        for address in self.spec.address_ids() {
            self.stand(address, now);
        }
    }
}

fn failback_of(spec: &BoardSpec, address: AddressId) -> FailbackSpec {
    let endpoint =
        spec.addresses.get(address.index()).and_then(|own| spec.endpoints.get(own.endpoint.index()));
    endpoint.map_or(FailbackSpec::NONE, |endpoint| endpoint.failback)
}
