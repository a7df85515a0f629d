//! The short way for plans that are one `nearest` over pools: each region is decided for once, and not each
//! class of places.

use crate::geo::{LocationMap, Stand};
use crate::ids::RegionId;
use crate::steer::decision::{Decided, Decision, Mode};
use crate::steer::plan::{Lane, MinHealthy, Rule};
use crate::steer::trace::Trace;

use super::gates::Gates;
use super::members::Regard;
use super::{Inputs, Outcome, Walk};

/// What such a plan says to whom comes to each of its regions.
pub struct ByRegion<'a> {
    /// The lens that gives the order of regions.
    pub lens: usize,
    /// The order for unknown locations.
    pub unknown: &'a [RegionId],
    /// By [`RegionId`]; TTLs are within the service's bounds.
    pub stands: Vec<Stand>,
    /// By [`RegionId`]: what those who stay there get.
    pub decided: Vec<Option<Decided>>,
}

impl<'a> ByRegion<'a> {
    /// Asks every region by itself. `None` for another plan, where clients of one class are told apart, and
    /// where a mode of R9 might have to act: only the walk down the tree can say what happens then.
    pub fn new(inputs: Inputs<'a>, map: &LocationMap, lane: Lane) -> Option<ByRegion<'a>> {
        let plan = inputs.plan;
        let root = plan.node(plan.root)?;
        let Rule::Nearest { children, lens, unknown, answers } = &root.rule else { return None };
        let is_pool = |child| plan.node(child).is_some_and(|node| matches!(node.rule, Rule::Pool { .. }));
        let is_plain = !root.skip_first
            && root.schedule.is_none()
            && root.min_healthy == [MinHealthy::Count(1); 2]
            && unknown.reaches.is_empty()
            && children.iter().all(|child| is_pool(*child));
        if !is_plain {
            return None;
        }
        let count = root.regions.last().map_or(0, |last| last.index() + 1);
        let (mut stands, mut decided) = (vec![Stand::Absent; count], vec![None; count]);
        for region in &root.regions {
            let mut trace = Trace::off();
            let mut walk = Walk { gates: Gates::watched(), ..Walk::new(inputs, lane, &mut trace) };
            let outcome = walk.group(root, children, *region, *answers, Regard::Health);
            if !walk.gates.are_unasked() {
                return None;
            }
            let ttl_s = plan.clamped_ttl_s(walk.ttl_bound_s);
            let (stand, own) = match outcome {
                Outcome::Failed => (Stand::Failed { ttl_s }, None),
                Outcome::Chosen(mix) => {
                    let mode = if walk.is_frozen(&mix) { Mode::Frozen } else { Mode::Normal };
                    let decision = Decision::Answer(mix);
                    let own = Decided { decision, ttl_bound_s: walk.ttl_bound_s, mode };
                    (Stand::Chosen { ttl_s }, Some(own))
                }
                Outcome::Held(_) | Outcome::Final(_) => return None,
            };
            if let (Some(place), Some(slot)) =
                (stands.get_mut(region.index()), decided.get_mut(region.index()))
            {
                (*place, *slot) = (stand, own);
            }
        }
        let lens = usize::from(*lens);
        debug_assert!(lens < map.spec().lenses.len());
        Some(ByRegion { lens, unknown: &unknown.regions, stands, decided })
    }
}
