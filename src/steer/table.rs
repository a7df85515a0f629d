//! A service's decisions for every class of places, made when a view is made and only looked up
//! afterwards.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::geo::{
    ClientPrefix, Decided as ClassDecision, Fold, Located as Found, LocationMap, Nearest, NearestRegions,
    PlacesOfSets, Stand, What,
};
use crate::ids::{ClassId, MapId, RegionId};
use crate::now::Now;

use super::decide::{ByRegion, Inputs, LastGood, decide, decide_region};
use super::decision::{Decided, Decision, Mix, Mode, Pick};
use super::plan::{ClientSubnetUse, Lane, Plan};
use super::sticky;
use super::trace::Trace;

/// What a service remembers for R9's `last-good`, by lane.
pub type Remembered = Box<[(Lane, LastGood)]>;

/// One service's decisions under one health table.
#[derive(Debug)]
pub struct ServiceTable {
    /// By [`Lane::index`].
    lanes: [Option<LaneTable>; Lane::COUNT],
    /// What testing names answer (R11).
    testing: Box<[(RegionId, Lane, Decision)]>,
    /// When something that it was decided from is going to change by itself, on the monotonic clock (H7).
    changes_at: Option<Duration>,
    /// What R9's `last-good` goes by, from this table on.
    pub last_good: Remembered,
    // Of the plan, what every answer asks: it stands where the rest is read anyway.
    alias: bool,
    client_subnet: ClientSubnetUse,
    ttl_s_min: u32,
}

/// The decisions of one lane.
#[derive(Debug)]
pub struct LaneTable {
    /// By the number that the fold gives out.
    choices: Box<[Choice]>,
    /// The map and what is folded over it; `None` where the place does not matter.
    fold: Option<(Arc<LocationMap>, Arc<Fold>)>,
    /// The decision of places that nothing is known of, and its TTL in seconds.
    unknown: ClassDecision,
    /// Whether the fold alone says what a client gets: every client subnet is believed, and no change is foreseen.
    is_quick: bool,
}

/// A decision, and what is asked of it besides what it answers.
#[derive(PartialEq, Eq, Debug)]
pub struct Choice {
    decision: Decision,
    /// The weights together, where it is an answer of addresses that health decided and draws alone choose; else 0.
    plain_weight: u32,
    /// How it came about; the gravest where that differs by place.
    mode: Mode,
    /// See [`Mix::is_hashed`].
    is_hashed: bool,
}

/// Where a client's decision was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located<'t> {
    /// The decision.
    pub decision: &'t Decision,
    /// Its TTL in seconds: the minimum over everything inside the scope (H7).
    pub ttl_s: u32,
    /// The widest prefix length around the client inside which all share it.
    pub scope: u8,
    /// How it came about.
    pub mode: Mode,
}

/// What numbers stand for that nobody gave out.
static NOTHING: Choice =
    Choice { decision: Decision::NoData, plain_weight: 0, mode: Mode::Normal, is_hashed: false };

impl Choice {
    fn new(decision: Decision, mode: Mode) -> Choice {
        let (mut plain_weight, mut is_hashed) = (0, false);
        if let Decision::Answer(mix) = &decision {
            is_hashed = mix.is_hashed();
            plain_weight = if mode == Mode::Normal { mix.plain_weight() } else { 0 };
        }
        Choice { decision, plain_weight, mode, is_hashed }
    }

    /// The answer for a draw, where that is all there is to it.
    #[inline(always)]
    pub(crate) fn plain(&self, draw: u64) -> Option<&Pick> {
        match &self.decision {
            _ if self.plain_weight == 0 => None,
            Decision::Answer(Mix::One(pick)) => Some(pick),
            Decision::Answer(mix) => mix.choose_plainly(self.plain_weight, draw),
            Decision::NoData | Decision::Refused => None,
        }
    }

    /// Whether health decided that there is no data.
    pub(crate) fn is_no_data(&self) -> bool {
        self.mode == Mode::Normal
            && match &self.decision {
                Decision::NoData => true,
                Decision::Answer(Mix::One(pick)) => pick.addresses.is_empty(),
                Decision::Answer(_) | Decision::Refused => false,
            }
    }
}

impl ServiceTable {
    /// Decides for all classes. `remembered` is what the same service remembers from before; `folds` are
    /// those of the tables made so far from the same snapshot.
    pub fn new(
        inputs: Inputs<'_>,
        map: Option<&Arc<LocationMap>>,
        remembered: &[(Lane, LastGood)],
        folds: &mut Folds,
    ) -> ServiceTable {
        let lanes = &inputs.plan.lanes;
        let last_good: Remembered = lanes
            .iter()
            .map(|lane| (*lane, LastGood::after(inputs, *lane, of_lane(remembered, *lane))))
            .collect();
        let testing = inputs.plan.testing.iter().flat_map(|region| {
            let decided = |lane: &Lane| decide_region(inputs, *region, *lane, &mut Trace::off());
            lanes.iter().map(move |lane| (*region, *lane, decided(lane)))
        });
        let testing = testing.collect();
        let mut by_lane = [const { None }; Lane::COUNT];
        let changes_at = changes_at(inputs);
        let is_quick =
            !inputs.plan.alias && changes_at.is_none() && inputs.plan.client_subnet == ClientSubnetUse::Use;
        for lane in lanes {
            let inputs = Inputs { last_good: of_lane(&last_good, *lane), ..inputs };
            if let Some(place) = by_lane.get_mut(lane.index()) {
                *place = Some(LaneTable { is_quick, ..LaneTable::new(inputs, map, *lane, folds) });
            }
        }
        ServiceTable {
            lanes: by_lane,
            testing,
            changes_at,
            last_good,
            alias: inputs.plan.alias,
            client_subnet: inputs.plan.client_subnet.clone(),
            ttl_s_min: *inputs.plan.ttl_s.start(),
        }
    }

    /// Whether the service answers CNAME for every type (R14).
    #[inline(always)]
    pub fn is_alias(&self) -> bool {
        self.alias
    }

    /// Whether the service goes by the subnet that a resolver states (E5).
    #[inline(always)]
    pub fn believes(&self, resolver: &IpAddr) -> bool {
        match &self.client_subnet {
            ClientSubnetUse::Use => true,
            ClientSubnetUse::Ignore => false,
            ClientSubnetUse::Trusted(networks) => are_around(networks, resolver),
        }
    }

    /// What `last-good` goes by in a lane.
    pub fn last_good(&self, lane: Lane) -> Option<&LastGood> {
        of_lane(&self.last_good, lane)
    }

    /// The decisions of a lane; `None` for one that the service does not have.
    #[inline(always)]
    pub fn lane(&self, lane: Lane) -> Option<&LaneTable> {
        self.lanes.get(lane.index())?.as_ref()
    }

    /// What the testing name of a region answers in a lane.
    pub fn testing(&self, region: RegionId, lane: Lane) -> Option<&Decision> {
        self.testing.iter().find(|own| (own.0, own.1) == (region, lane)).map(|(_, _, decision)| decision)
    }

    /// The whole seconds until something that it was decided from is going to change by itself; `None` where
    /// nothing is.
    #[inline(always)]
    pub fn left_s(&self, now: &Now) -> Option<u32> {
        let left = self.changes_at?.saturating_sub(now.monotonic);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }

    /// A TTL cut to what is left until the next change by itself (H7), not below the service's minimum.
    #[inline(always)]
    pub fn bounded_ttl_s(&self, ttl_s: u32, now: &Now) -> u32 {
        match self.left_s(now) {
            Some(left_s) => ttl_s.min(left_s.max(self.ttl_s_min)),
            None => ttl_s,
        }
    }

    /// Finds out ahead what the service's table before this one was asked; see [`Fold::learn`].
    pub fn learn(&self, before: &ServiceTable, places: &mut Places) {
        let fold = |lane: &'_ Option<LaneTable>| lane.as_ref().and_then(|lane| lane.fold.clone());
        for (own, before) in self.lanes.iter().zip(&before.lanes) {
            if let (Some((map, own)), Some((old_map, before))) = (fold(own), fold(before))
                && Arc::ptr_eq(&map, &old_map)
                && !Arc::ptr_eq(&own, &before)
                && let Some(places) = places.of(&map)
            {
                own.learn(&map, places, &before);
            }
        }
    }

    /// Whether some place in some lane has a decision that came about so: R9's modes act, or the governor
    /// keeps what is down (H11).
    pub fn has(&self, mode: Mode) -> bool {
        self.lanes.iter().flatten().any(|lane| lane.choices.iter().any(|own| own.mode == mode))
    }
}

/// The first moment at which a share that a plan consults takes its next step, or a schedule switches.
fn changes_at(inputs: Inputs<'_>) -> Option<Duration> {
    let Inputs { plan, health, calendar, .. } = inputs;
    let addresses = plan.addresses.iter().filter_map(|id| health.address(*id).share.step_at);
    let endpoints = plan.members.iter().filter_map(|id| health.endpoint(*id).share.step_at);
    addresses.chain(endpoints).chain(calendar.changes_at(&plan.schedules)).min()
}

#[cold]
fn are_around(networks: &[IpNet], resolver: &IpAddr) -> bool {
    networks.iter().any(|network| network.contains(resolver))
}

fn of_lane(remembered: &[(Lane, LastGood)], lane: Lane) -> Option<&LastGood> {
    remembered.iter().find(|(own, _)| *own == lane).map(|(_, last_good)| last_good)
}

impl LaneTable {
    fn new(inputs: Inputs<'_>, map: Option<&Arc<LocationMap>>, lane: Lane, folds: &mut Folds) -> LaneTable {
        map.and_then(|map| LaneTable::by_region(inputs, map, lane, folds))
            .unwrap_or_else(|| LaneTable::by_class(inputs, map, lane))
    }

    /// The same as [`LaneTable::by_class`], where deciding for each region will do.
    fn by_region(
        inputs: Inputs<'_>,
        map: &Arc<LocationMap>,
        lane: Lane,
        folds: &mut Folds,
    ) -> Option<LaneTable> {
        let ByRegion { lens, unknown, stands, mut decided } = ByRegion::new(inputs, map, lane)?;
        let shared = folds.of(map, inputs.plan.map, lens, stands, unknown)?;
        let mut numbering = Numbering::new();
        let mut numbers: Vec<(RegionId, u16)> = Vec::with_capacity(shared.regions.len());
        for region in &shared.regions {
            let own = decided.get_mut(region.index())?.take()?;
            numbers.push((*region, numbering.number(inputs.plan, own).decision));
        }
        let (fold, unknown) = shared.fold(map, numbers);
        Some(LaneTable {
            choices: numbering.finish(),
            fold: Some((Arc::clone(map), fold)),
            unknown,
            is_quick: false,
        })
    }

    /// Asks the tree for each class.
    fn by_class(inputs: Inputs<'_>, map: Option<&Arc<LocationMap>>, lane: Lane) -> LaneTable {
        let mut numbering = Numbering::new();
        let Some(map) = map else {
            let decided = decide(inputs, ClassId(0), None, lane);
            let unknown = numbering.number(inputs.plan, decided);
            return LaneTable { choices: numbering.finish(), fold: None, unknown, is_quick: false };
        };
        let by_class: Vec<ClassDecision> = (0..map.class_count())
            .map(|class| {
                let class = ClassId(class as u32);
                let decided = decide(inputs, class, Some(map.place(class)), lane);
                numbering.number(inputs.plan, decided)
            })
            .collect();
        let unknown = by_class
            .get(map.unknown_class().index())
            .copied()
            .unwrap_or(ClassDecision { decision: 0, ttl_s: 0 });
        let fold = Some((Arc::clone(map), Arc::new(map.fold(&by_class))));
        LaneTable { choices: numbering.finish(), fold, unknown, is_quick: false }
    }

    /// All decisions.
    pub fn decisions(&self) -> impl ExactSizeIterator<Item = &Decision> {
        self.choices.iter().map(|choice| &choice.decision)
    }

    /// The decision for a prefix. A special-purpose prefix is decided by the address of the `resolver` (R7), with its
    /// own block's length as scope. Allocates nothing.
    #[inline(always)]
    pub fn locate(&self, prefix: &ClientPrefix, resolver: &IpAddr) -> Located<'_> {
        let (Choice { decision, mode, .. }, ttl_s, scope) = self.look_up(prefix, resolver);
        Located { decision, ttl_s, scope, mode: *mode }
    }

    /// [`LaneTable::look_up`] where the fold alone tells, and at once.
    #[inline(always)]
    pub(crate) fn look_up_quickly(&self, prefix: &ClientPrefix) -> Option<(&Choice, u32, u8)> {
        let (map, fold) = self.fold.as_ref().filter(|_| self.is_quick)?;
        let (number, ttl_s, scope) = map.locate_quickly(fold, prefix)?;
        let choice = self.choices.get(usize::from(number))?;
        Some((choice, ttl_s, scope))
    }

    /// The same, with the TTL and the scope apart.
    #[inline(always)]
    pub(crate) fn look_up(&self, prefix: &ClientPrefix, resolver: &IpAddr) -> (&Choice, u32, u8) {
        let (number, ttl_s, scope) = match &self.fold {
            Some((map, fold)) => {
                let Found { what, scope, ttl_s } = map.locate(fold, prefix);
                match what {
                    What::Decision(number) => (number, ttl_s, scope),
                    What::Special => {
                        let unknown = self.by_resolver(map, fold, *resolver);
                        (unknown.decision, unknown.ttl_s, scope)
                    }
                }
            }
            None => (self.unknown.decision, self.unknown.ttl_s, 0),
        };
        let Some(choice) = self.choices.get(usize::from(number)) else { return (&NOTHING, ttl_s, scope) };
        // What a hash of the prefix decides must not be shared more widely than what is hashed (R5).
        let scope = if choice.is_hashed { scope.max(sticky::hashed_length(*prefix)) } else { scope };
        (choice, ttl_s, scope)
    }

    /// The decision for who asks, or that of unknown places where that is no place either.
    #[cold]
    fn by_resolver(&self, map: &LocationMap, fold: &Fold, resolver: IpAddr) -> ClassDecision {
        let located = map.locate(fold, &ClientPrefix::host(resolver));
        match located.what {
            What::Decision(decision) => ClassDecision { decision, ttl_s: located.ttl_s },
            What::Special => self.unknown,
        }
    }
}

/// Where the sets of maps are, each map looked through once.
#[derive(Default)]
pub struct Places {
    all: Vec<(Arc<LocationMap>, PlacesOfSets)>,
}

impl Places {
    fn of(&mut self, map: &Arc<LocationMap>) -> Option<&PlacesOfSets> {
        if !self.all.iter().any(|(own, _)| Arc::ptr_eq(own, map)) {
            self.all.push((Arc::clone(map), map.places_of_sets()));
        }
        self.all.iter().find(|(own, _)| Arc::ptr_eq(own, map)).map(|(_, places)| places)
    }
}

/// Folds by what they follow from: services and lanes for which the same regions are well share them.
#[derive(Default)]
pub struct Folds {
    all: HashMap<FoldKey, Shared>,
}

/// What says which region is chosen where.
#[derive(PartialEq, Eq, Hash)]
struct FoldKey {
    map: Option<MapId>,
    lens: usize,
    stands: Vec<Stand>,
    unknown: Box<[RegionId]>,
}

/// The numbers of the decisions of regions.
type Numbers = Vec<(RegionId, u16)>;

/// Which region is chosen where, and the folds of that.
struct Shared {
    nearest: NearestRegions,
    /// The regions that some place gets.
    regions: Vec<RegionId>,
    /// By the numbers of the decisions of these regions, with the decision of places that nothing is known of.
    folds: Vec<(Numbers, Arc<Fold>, ClassDecision)>,
}

impl Folds {
    /// Which regions are chosen; `None` where for some class none is.
    fn of(
        &mut self,
        map: &LocationMap,
        id: Option<MapId>,
        lens: usize,
        stands: Vec<Stand>,
        unknown: &[RegionId],
    ) -> Option<&mut Shared> {
        let key = FoldKey { map: id, lens, stands, unknown: unknown.into() };
        match self.all.entry(key) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let nearest = map.nearest(lens, &place.key().stands, unknown)?;
                Some(place.insert(Shared::new(nearest)))
            }
        }
    }
}

impl Shared {
    fn new(nearest: NearestRegions) -> Shared {
        Shared { regions: nearest.regions(), nearest, folds: Vec::new() }
    }

    /// The fold for these numbers of the regions' decisions.
    fn fold(&mut self, map: &LocationMap, numbers: Vec<(RegionId, u16)>) -> (Arc<Fold>, ClassDecision) {
        if let Some((_, fold, unknown)) = self.folds.iter().find(|known| known.0 == numbers) {
            return (Arc::clone(fold), *unknown);
        }
        let mut by_region = Vec::new();
        for (region, number) in &numbers {
            if by_region.len() <= region.index() {
                by_region.resize(region.index() + 1, 0);
            }
            if let Some(place) = by_region.get_mut(region.index()) {
                *place = *number;
            }
        }
        let decided = |nearest: Nearest| ClassDecision {
            decision: by_region.get(nearest.region.index()).copied().unwrap_or(0),
            ttl_s: nearest.ttl_s,
        };
        let fold = Arc::new(map.fold_nearest(&self.nearest, decided));
        let unknown = decided(self.nearest.unknown());
        self.folds.push((numbers, Arc::clone(&fold), unknown));
        (fold, unknown)
    }
}

/// Gives equal decisions equal numbers.
struct Numbering {
    numbers: HashMap<Decision, u16, foldhash::fast::FixedState>,
    modes: Vec<Mode>,
}

impl Numbering {
    fn new() -> Numbering {
        Numbering { numbers: HashMap::default(), modes: Vec::new() }
    }

    fn number(&mut self, plan: &Plan, decided: Decided) -> ClassDecision {
        let ttl_s = plan.clamped_ttl_s(decided.ttl_bound_s);
        // More decisions than numbers cannot be told apart: the first stands for the rest. No tree that
        // people write comes near.
        let next = u16::try_from(self.numbers.len()).ok().filter(|number| *number < Fold::DECISIONS_MAX);
        let decision = match (self.numbers.entry(decided.decision), next) {
            (Entry::Occupied(known), _) => {
                let number = *known.get();
                if let Some(mode) = self.modes.get_mut(usize::from(number)) {
                    *mode = decided.mode.max(*mode);
                }
                number
            }
            (Entry::Vacant(place), Some(next)) => {
                self.modes.push(decided.mode);
                *place.insert(next)
            }
            (Entry::Vacant(_), None) => 0,
        };
        ClassDecision { decision, ttl_s }
    }

    fn finish(self) -> Box<[Choice]> {
        let mut decisions: Vec<(Decision, u16)> = self.numbers.into_iter().collect();
        decisions.sort_unstable_by_key(|(_, number)| *number);
        decisions
            .into_iter()
            .zip(self.modes)
            .map(|((decision, _), mode)| Choice::new(decision, mode))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;
    use crate::geo::{Coordinates, Lens, Location, MapBuilder, MapSpec, RegionOrder, ScopeFloor};
    use crate::health::{EndpointState, Forced, HealthTable, Share, Standing, Verdict};
    use crate::ids::{AddressId, EndpointId, Family, NodeId};
    use crate::steer::{
        Calendar, ClientSubnetUse, Endpoint, EndpointAddress, Few, Fleet, MinHealthy, Mix, Node, Pick, Rule,
    };

    fn plan(nodes: Vec<Node>, ttl_s: std::ops::RangeInclusive<u32>) -> Plan {
        let members = nodes.last().map_or_else(Box::default, |root| root.members.clone());
        Plan {
            service: crate::ids::ServiceId(0),
            name: "s".into(),
            root: NodeId((nodes.len() as u32).saturating_sub(1)),
            nodes: nodes.into(),
            ttl_s,
            client_subnet: ClientSubnetUse::Use,
            alias: false,
            flatten: None,
            lanes: Box::new([]),
            map: None,
            counters: members.iter().map(|id| crate::ids::CounterId(id.0)).collect(),
            members,
            addresses: Box::new([]),
            testing: Box::new([]),
            schedules: Box::new([]),
            families: crate::steer::Families::Independent,
            without_ipv6: Box::new([]),
            gates: Box::new([1, 2, 3, 4, 5]),
        }
    }

    const REGIONS: [(f64, f64); 5] =
        [(38.9, -77.4), (50.1, 8.7), (35.7, 139.7), (-23.5, -46.6), (1.4, 103.8)];

    /// 4,096 networks at places all over the world, some nowhere.
    static MAP: std::sync::LazyLock<Arc<LocationMap>> = std::sync::LazyLock::new(|| {
        let at = |(latitude, longitude)| Coordinates::new(latitude, longitude);
        let lens = Lens::Order { bias: Box::new([]), tie_permille: 0 };
        let regions = REGIONS.map(at).into();
        let mut builder =
            MapBuilder::new(MapSpec { regions, lenses: Box::new([lens]), floor: ScopeFloor::NONE });
        let place = |number: u32| Location {
            coordinates: at((f64::from(number % 17) * 10.0 - 80.0, f64::from(number % 36) * 10.0 - 180.0)),
            ..Location::default()
        };
        let places: Vec<Location> = (0..612).map(place).collect();
        for number in 0..4096u128 {
            let first = (0x2000_0000 + number * 0x1_0000) << 96;
            let last = first + (0xffff << 96);
            let place = (number * number * 7 / 5 % 700) as u32;
            let place = Some(place).filter(|place| *place < 612);
            builder.push(&places, Family::V4, first, last, place, false).unwrap();
        }
        Arc::new(builder.finish().unwrap())
    });

    #[derive(Clone, Debug)]
    struct Member {
        region: u16,
        weight: u16,
        families: (bool, bool),
        standing: (Verdict, Option<u32>, u16),
        forced: Forced,
        pool: usize,
    }

    fn member() -> impl Strategy<Value = Member> {
        let verdict = prop::sample::select(vec![Verdict::Up, Verdict::Up, Verdict::Down, Verdict::Unknown]);
        let bound = prop::option::weighted(0.3, 5u32..70);
        let share = prop_oneof![40 => Just(1000u16), 1 => 0u16..1000];
        let forced = prop_oneof![
            12 => Just(Forced::Not), 1 => Just(Forced::Down), 1 => Just(Forced::Up), 1 => Just(Forced::Drained)
        ];
        (0u16..5, 0u16..4, any::<(bool, bool)>(), (verdict, bound, share), forced, 0usize..2).prop_map(
            |(region, weight, families, standing, forced, pool)| Member {
                region,
                weight,
                families,
                standing,
                forced,
                pool,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        /// Deciding by region and sharing folds changes nothing: decisions, modes, scopes and TTLs are those
        /// that the walk down the tree comes to for each class.
        #[test]
        fn the_short_way_ends_where_the_long_one_does(
            members in prop::collection::vec(member(), 1..14),
            unknown in Just([0u16, 1, 2, 3, 4]).prop_shuffle(),
            answers in 1u8..4,
            least_s in 1u32..40,
            clients in prop::collection::vec(any::<u32>(), 60),
        ) {
            let (mut endpoints, mut standings, mut states) = (Vec::new(), Vec::new(), Vec::new());
            for (number, own) in (0u32..).zip(&members) {
                let v4 = std::net::IpAddr::from([192, 0, 2, number as u8]);
                let v6 = std::net::IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16]);
                let wanted = [(own.families.0, v4), (own.families.1, v6)];
                let mut addresses = Vec::new();
                for (_, address) in wanted.into_iter().filter(|(wanted, _)| *wanted) {
                    addresses.push(EndpointAddress { address, id: AddressId(standings.len() as u32) });
                    let (verdict, ttl_bound_s, permille) = own.standing;
                    let share = Share { permille, ..Share::FULL };
                    standings.push(Standing { verdict, ttl_bound_s, share });
                }
                endpoints.push(Endpoint {
                    name: "e".into(),
                    region: RegionId(own.region),
                    weight: own.weight,
                    addresses: addresses.into(),
                    alias: None,
                    monitor: None,
                    order: u64::from(number) * 7919 % 13,
                });
                states.push(EndpointState { forced: own.forced, ..EndpointState::PLAIN });
            }
            let node = |rule, ids: Vec<u32>| {
                let mut regions: Vec<RegionId> = ids.iter().map(|id| endpoints[*id as usize].region).collect();
                regions.sort_unstable();
                regions.dedup();
                Node {
                    name: "n".into(),
                    rule,
                    min_healthy: [MinHealthy::Count(1); 2],
                    skip_first: false,
                    schedule: None,
                    all_down: None,
                    members: ids.into_iter().map(EndpointId).collect(),
                    regions: regions.into(),
                }
            };
            let of_pool = |pool| (0..members.len() as u32).filter(|id| members[*id as usize].pool == pool).collect();
            let nearest = Rule::Nearest {
                children: Box::new([NodeId(0), NodeId(1)]),
                lens: 0,
                unknown: RegionOrder { regions: unknown.map(RegionId).into(), reaches: Box::new([]) },
                answers,
            };
            let plan = plan(vec![
                node(Rule::Pool { answers }, of_pool(0)),
                node(Rule::Pool { answers }, of_pool(1)),
                node(nearest, (0..members.len() as u32).collect()),
            ], least_s..=60);
            let fleet = Fleet { endpoints: endpoints.into(), regions: Box::new([]) };
            let health = HealthTable {
                addresses: standings.into(), endpoints: states.into(), ..HealthTable::unknown(0, 0)
            };
            let calendar = Calendar::default();
            let inputs = Inputs {
                fleet: &fleet, plan: &plan, health: &health, calendar: &calendar, last_good: None, rtt: None,
            };
            let mut folds = Folds::default();
            let (mut short_ways, mut lanes) = (0, Vec::new());
            for lane in Family::ALL.map(Lane::Addresses) {
                let Some(short) = LaneTable::by_region(inputs, &MAP, lane, &mut folds) else { continue };
                let long = LaneTable::by_class(inputs, Some(&MAP), lane);
                short_ways += 1;
                // The numbers may differ.
                let all = |table: &LaneTable| -> Vec<String> {
                    let mut all: Vec<String> = table.choices.iter().map(|own| format!("{own:?}")).collect();
                    all.sort_unstable();
                    all
                };
                prop_assert_eq!(all(&short), all(&long));
                let unknown = |table: &LaneTable| {
                    (table.choices[usize::from(table.unknown.decision)].decision.clone(), table.unknown.ttl_s)
                };
                prop_assert_eq!(unknown(&short), unknown(&long));
                let nobody = [127, 0, 0, 1].into();
                for client in &clients {
                    let inside = std::net::Ipv4Addr::from(0x1f00_0000 + client % 0x1300_0000);
                    let client = ClientPrefix::host(inside.into());
                    prop_assert_eq!(short.locate(&client, &nobody), long.locate(&client, &nobody));
                }
                lanes.push(short);
            }
            if let [a, b] = lanes.as_slice() && folds.all.len() == 1 && a.choices.len() == b.choices.len() {
                prop_assert!(a.fold.as_ref().zip(b.fold.as_ref()).is_some_and(|(a, b)| Arc::ptr_eq(&a.1, &b.1)));
            }
            // Where all is well and whole, the short way is the one that is taken.
            let plain = |own: &Member| own.forced == Forced::Not && own.standing.0 != Verdict::Down && own.standing.2 == 1000;
            if members.iter().all(plain) {
                prop_assert_eq!(short_ways, Family::ALL.iter().filter(|family| {
                    members.iter().any(|own| if **family == Family::V4 { own.families.0 } else { own.families.1 })
                }).count());
            }
        }
    }

    /// More decisions than there are numbers: whatever a class gets is a decision that exists.
    #[test]
    fn numbers_that_run_out_stand_for_the_first() {
        let plan = plan(Vec::new(), 20..=60);
        let mut numbering = Numbering::new();
        for number in 0..70_000u32 {
            let endpoints = [EndpointId(number)].into_iter().collect();
            let pick = Pick { endpoints, addresses: Few::new(), counters: Few::new() };
            let decision = Decision::Answer(Mix::One(pick));
            let decided = Decided { decision, ttl_bound_s: None, mode: Mode::Normal };
            let found = numbering.number(&plan, decided);
            let expected =
                u16::try_from(number).ok().filter(|number| *number < Fold::DECISIONS_MAX).unwrap_or(0);
            assert_eq!((found.decision, found.ttl_s), (expected, 60), "{number}");
        }
        assert_eq!(numbering.finish().len(), usize::from(Fold::DECISIONS_MAX));
    }
}
