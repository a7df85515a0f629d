//! The nearest region of every class at once, for policies that ask for nothing else.

use super::fold::Fold;
use super::{Decided, LocationMap};
use crate::geo::Lens;
use crate::ids::RegionId;

/// How a region stands with a service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stand {
    /// The service is not there.
    Absent,
    /// It is there and cannot be chosen. That bounds the TTL of whoever would have come here.
    Failed {
        /// The bound, in seconds.
        ttl_s: u32,
    },
    /// Whoever comes here stays.
    Chosen {
        /// The TTL that this allows, in seconds.
        ttl_s: u32,
    },
}

/// The region that is chosen for a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nearest {
    /// Which.
    pub region: RegionId,
    /// The least TTL of all regions that were asked, in seconds.
    pub ttl_s: u32,
}

/// The regions that are chosen for all classes of a map.
#[derive(Debug)]
pub struct NearestRegions {
    lens: usize,
    unknown: Nearest,
    /// Of the orders of the map from where the run before ends: what is chosen, and the first order after.
    runs: Vec<(Nearest, usize)>,
}

impl NearestRegions {
    /// For places that are not known.
    pub fn unknown(&self) -> Nearest {
        self.unknown
    }

    /// All that are chosen somewhere, each once.
    pub fn regions(&self) -> Vec<RegionId> {
        let (mut seen, mut regions) = (Vec::new(), Vec::new());
        for Nearest { region, .. } in self.runs.iter().map(|run| run.0).chain([self.unknown]) {
            if seen.len() <= region.index() {
                seen.resize(region.index() + 1, false);
            }
            if let Some(seen) = seen.get_mut(region.index()).filter(|seen| !**seen) {
                *seen = true;
                regions.push(region);
            }
        }
        regions
    }
}

impl LocationMap {
    /// For each class the first region in the order of an `Order` lens without a tie that can be chosen, and in
    /// `unknown` for places that are not known. `stands` are by [`RegionId`]; what is missing is absent. `None` where
    /// for some class there is no such region, and for any other lens.
    pub fn nearest(&self, lens: usize, stands: &[Stand], unknown: &[RegionId]) -> Option<NearestRegions> {
        let Some(Lens::Order { tie_permille: 0, .. }) = self.spec.lenses.get(lens) else { return None };
        let (unknown, _) = first(stands, unknown)?;
        let (orders, length) = (&self.classes.orders, self.classes.order_length.max(1));
        let mut runs = Vec::new();
        let mut next = 0;
        while let Some(order) = orders.regions.get(next * length..).filter(|rest| !rest.is_empty()) {
            let (nearest, asked) = first(stands, order.get(..length)?)?;
            // Orders that begin with the regions that were asked come to the same.
            let others = orders.alike.get(next + 1..)?;
            let alike = others.iter().take_while(|alike| usize::from(**alike) >= asked);
            next += 1 + alike.count();
            runs.push((nearest, next));
        }
        Some(NearestRegions { lens, unknown, runs })
    }

    /// As [`LocationMap::fold`], from what is decided for each region that is chosen.
    pub fn fold_nearest(&self, nearest: &NearestRegions, decided: impl Fn(Nearest) -> Decided) -> Fold {
        let runs = nearest.runs.iter().map(|(of, end)| (decided(*of), *end));
        Fold::by_order(self, nearest.lens, decided(nearest.unknown), runs)
    }
}

/// The first region of an order that can be chosen, and how many were asked until then.
fn first(stands: &[Stand], order: &[RegionId]) -> Option<(Nearest, usize)> {
    let mut least_s = u32::MAX;
    for (asked, region) in (1..).zip(order) {
        match stands.get(region.index()) {
            None | Some(Stand::Absent) => {}
            Some(Stand::Failed { ttl_s }) => least_s = least_s.min(*ttl_s),
            Some(Stand::Chosen { ttl_s }) => {
                return Some((Nearest { region: *region, ttl_s: least_s.min(*ttl_s) }, asked));
            }
        }
    }
    None
}
