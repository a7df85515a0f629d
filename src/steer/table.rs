//! A service's decisions for every class of places, made when a view is made and only looked up
//! afterwards.

use std::collections::HashMap;
use std::time::Duration;

use crate::geo::{ClientPrefix, Decided as ClassDecision, Fold, LocationMap, What};
use crate::ids::{ClassId, RegionId};
use crate::now::Now;

use super::decide::{Inputs, LastGood, decide, decide_region};
use super::decision::{Decision, Mode};
use super::plan::{Lane, Plan};
use super::sticky;
use super::trace::Trace;

/// What a service remembers for R9's `last-good`, by lane.
pub type Remembered = Box<[(Lane, LastGood)]>;

/// One service's decisions under one health table.
#[derive(Debug)]
pub struct ServiceTable {
    lanes: Box<[(Lane, LaneTable)]>,
    /// What testing names answer (R11).
    testing: Box<[(RegionId, Lane, Decision)]>,
    /// When something that it was decided from is going to change by itself, on the monotonic clock (H7).
    changes_at: Option<Duration>,
    /// What R9's `last-good` goes by, from this table on.
    pub last_good: Remembered,
}

/// The decisions of one lane.
#[derive(Debug)]
pub struct LaneTable {
    /// By the number that the fold gives out.
    pub decisions: Box<[Decision]>,
    /// In the order of `decisions`: how each came about; the gravest where it differs by place.
    modes: Box<[Mode]>,
    fold: Option<Fold>,
    /// The decision of places that nothing is known of, and its TTL in seconds.
    unknown: ClassDecision,
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

impl ServiceTable {
    /// Decides for all classes. `remembered` is what the same service remembers from before.
    pub fn new(
        inputs: Inputs<'_>,
        map: Option<&LocationMap>,
        remembered: &[(Lane, LastGood)],
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
        let lanes = lanes.iter().map(|lane| {
            let inputs = Inputs { last_good: of_lane(&last_good, *lane), ..inputs };
            (*lane, LaneTable::new(inputs, map, *lane))
        });
        ServiceTable { lanes: lanes.collect(), testing, changes_at: changes_at(inputs), last_good }
    }

    /// What `last-good` goes by in a lane.
    pub fn last_good(&self, lane: Lane) -> Option<&LastGood> {
        of_lane(&self.last_good, lane)
    }

    /// The decisions of a lane; `None` for one that the service does not have.
    pub fn lane(&self, lane: Lane) -> Option<&LaneTable> {
        self.lanes.iter().find(|(own, _)| *own == lane).map(|(_, table)| table)
    }

    /// What the testing name of a region answers in a lane.
    pub fn testing(&self, region: RegionId, lane: Lane) -> Option<&Decision> {
        self.testing.iter().find(|own| (own.0, own.1) == (region, lane)).map(|(_, _, decision)| decision)
    }

    /// The whole seconds until something that it was decided from is going to change by itself; `None` where
    /// nothing is.
    pub fn left_s(&self, now: Now) -> Option<u32> {
        let left = self.changes_at?.saturating_sub(now.monotonic);
        Some(u32::try_from(left.as_secs()).unwrap_or(u32::MAX))
    }

    /// A TTL cut to what is left until the next change by itself (H7), not below the service's minimum.
    pub fn bounded_ttl_s(&self, plan: &Plan, ttl_s: u32, now: Now) -> u32 {
        match self.left_s(now) {
            Some(left_s) => ttl_s.min(left_s.max(*plan.ttl_s.start())),
            None => ttl_s,
        }
    }

    /// Whether some place in some lane has a decision that came about so: R9's modes act, or the governor
    /// keeps what is down (H11).
    pub fn has(&self, mode: Mode) -> bool {
        self.lanes.iter().any(|(_, lane)| lane.modes.contains(&mode))
    }
}

/// The first moment at which a share that a plan consults takes its next step, or a schedule switches.
fn changes_at(inputs: Inputs<'_>) -> Option<Duration> {
    let Inputs { plan, health, calendar, .. } = inputs;
    let addresses = plan.addresses.iter().filter_map(|id| health.address(*id).share.step_at);
    let endpoints = plan.members.iter().filter_map(|id| health.endpoint(*id).share.step_at);
    addresses.chain(endpoints).chain(calendar.changes_at(&plan.schedules)).min()
}

fn of_lane(remembered: &[(Lane, LastGood)], lane: Lane) -> Option<&LastGood> {
    remembered.iter().find(|(own, _)| *own == lane).map(|(_, last_good)| last_good)
}

impl LaneTable {
    fn new(inputs: Inputs<'_>, map: Option<&LocationMap>, lane: Lane) -> LaneTable {
        let mut numbering = Numbering { numbers: HashMap::new(), decisions: Vec::new(), modes: Vec::new() };
        let Some(map) = map else {
            let decided = decide(inputs, ClassId(0), None, lane);
            let unknown = numbering.number(inputs.plan, decided);
            let (decisions, modes) = numbering.finish();
            return LaneTable { decisions, modes, fold: None, unknown };
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
        let fold = Some(map.fold(&by_class));
        let (decisions, modes) = numbering.finish();
        LaneTable { decisions, modes, fold, unknown }
    }

    /// The decision for a prefix. A special-purpose prefix is decided by `resolver` (R7), with its own
    /// block's length as scope. Allocates nothing.
    pub fn locate(
        &self,
        map: Option<&LocationMap>,
        prefix: ClientPrefix,
        resolver: ClientPrefix,
    ) -> Located<'_> {
        let (number, ttl_s, scope) = match (map, &self.fold) {
            (Some(map), Some(fold)) => {
                let located = map.locate(fold, prefix);
                match located.what {
                    What::Decision(number) => (number, located.ttl_s, located.scope),
                    What::Special => {
                        let by_resolver = map.locate(fold, resolver);
                        match by_resolver.what {
                            What::Decision(number) => (number, by_resolver.ttl_s, located.scope),
                            What::Special => (self.unknown.decision, self.unknown.ttl_s, located.scope),
                        }
                    }
                }
            }
            _ => (self.unknown.decision, self.unknown.ttl_s, 0),
        };
        let decision = self.decisions.get(usize::from(number)).unwrap_or(&Decision::NoData);
        // What a hash of the prefix decides must not be shared more widely than what is hashed (R5).
        let scope = match decision {
            Decision::Answer(mix) if mix.is_hashed() => scope.max(sticky::hashed_length(prefix)),
            _ => scope,
        };
        let mode = self.modes.get(usize::from(number)).copied().unwrap_or(Mode::Normal);
        Located { decision, ttl_s, scope, mode }
    }
}

/// Gives equal decisions equal numbers.
struct Numbering {
    numbers: HashMap<Decision, u16>,
    decisions: Vec<Decision>,
    modes: Vec<Mode>,
}

impl Numbering {
    fn number(&mut self, plan: &Plan, decided: super::decision::Decided) -> ClassDecision {
        let (least, most) = (*plan.ttl_s.start(), *plan.ttl_s.end());
        let ttl_s = decided.ttl_bound_s.unwrap_or(most).min(most).max(least.min(most));
        if let Some(number) = self.numbers.get(&decided.decision) {
            if let Some(mode) = self.modes.get_mut(usize::from(*number)) {
                *mode = decided.mode.max(*mode);
            }
            return ClassDecision { decision: *number, ttl_s };
        }
        // More decisions than numbers cannot be told apart: the first stands for the rest. No tree that
        // people write comes near.
        let number = u16::try_from(self.decisions.len()).ok().filter(|number| *number < Fold::DECISIONS_MAX);
        let Some(number) = number else {
            return ClassDecision { decision: 0, ttl_s };
        };
        self.decisions.push(decided.decision.clone());
        self.modes.push(decided.mode);
        self.numbers.insert(decided.decision, number);
        ClassDecision { decision: number, ttl_s }
    }

    fn finish(self) -> (Box<[Decision]>, Box<[Mode]>) {
        (self.decisions.into(), self.modes.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::{EndpointId, NodeId};
    use crate::steer::{ClientSubnetUse, Decided, Mix, Pick};

    /// More decisions than there are numbers: whatever a class gets is a decision that exists.
    #[test]
    fn numbers_that_run_out_stand_for_the_first() {
        let plan = Plan {
            service: crate::ids::ServiceId(0),
            name: "s".into(),
            nodes: Box::new([]),
            root: NodeId(0),
            ttl_s: 20..=60,
            client_subnet: ClientSubnetUse::Use,
            alias: false,
            flatten: None,
            lanes: Box::new([]),
            map: None,
            members: Box::new([]),
            counters: Box::new([]),
            addresses: Box::new([]),
            testing: Box::new([]),
            schedules: Box::new([]),
            families: crate::steer::Families::Independent,
            without_ipv6: Box::new([]),
            gates: Box::new([]),
        };
        let mut numbering = Numbering { numbers: HashMap::new(), decisions: Vec::new(), modes: Vec::new() };
        for number in 0..70_000u32 {
            let endpoints = Box::new([EndpointId(number)]);
            let pick = Pick { endpoints, addresses: Box::new([]), counters: Box::new([]) };
            let decision = Decision::Answer(Mix::One(pick));
            let decided = Decided { decision, ttl_bound_s: None, mode: Mode::Normal };
            let found = numbering.number(&plan, decided);
            let expected =
                u16::try_from(number).ok().filter(|number| *number < Fold::DECISIONS_MAX).unwrap_or(0);
            assert_eq!((found.decision, found.ttl_s), (expected, 60), "{number}");
        }
        assert_eq!(numbering.finish().0.len(), usize::from(Fold::DECISIONS_MAX));
    }
}
