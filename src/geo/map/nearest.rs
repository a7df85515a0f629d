//! The nearest region of every class at once, for policies that ask for nothing else.

use super::LocationMap;
use super::classes::UNKNOWN_VALUE;
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

impl LocationMap {
    /// By class: the first region in the order of an `Order` lens without a tie that can be chosen, and in `unknown` for
    /// places that are not known. `stands` are by [`RegionId`]; what is missing is absent. `None` where some
    /// class has no such region, and for any other lens.
    pub fn nearest(&self, lens: usize, stands: &[Stand], unknown: &[RegionId]) -> Option<Vec<Nearest>> {
        let Some(Lens::Order { tie_permille: 0, .. }) = self.spec.lenses.get(lens) else { return None };
        let unknown = first(stands, unknown)?;
        let length = self.classes.order_length.max(1);
        let orders: Vec<Option<Nearest>> =
            self.classes.orders.regions.chunks(length).map(|order| first(stands, order)).collect();
        let of = |row: &[u32]| match row.get(lens).copied().unwrap_or(UNKNOWN_VALUE).checked_sub(1) {
            Some(order) => orders.get(order as usize).copied().flatten(),
            None => Some(unknown),
        };
        self.classes.values.chunks(self.spec.lenses.len().max(1)).map(of).collect()
    }
}

/// The first region of an order that can be chosen.
fn first(stands: &[Stand], order: &[RegionId]) -> Option<Nearest> {
    let mut least_s = u32::MAX;
    for region in order {
        match stands.get(region.index()) {
            None | Some(Stand::Absent) => {}
            Some(Stand::Failed { ttl_s }) => least_s = least_s.min(*ttl_s),
            Some(Stand::Chosen { ttl_s }) => {
                return Some(Nearest { region: *region, ttl_s: least_s.min(*ttl_s) });
            }
        }
    }
    None
}
