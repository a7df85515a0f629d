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
        let present = present(stands);
        let of_order = |order: &[RegionId]| {
            // Most orders begin with a region that is chosen: the others are passed over quickly.
            let skipped =
                order.iter().take_while(|region| present.is_some_and(|present| !is_in(present, **region)));
            first(stands, order.get(skipped.count()..)?)
        };
        let orders: Vec<Option<Nearest>> = self.classes.orders.regions.chunks(length).map(of_order).collect();
        let of = |row: &[u32]| match row.get(lens).copied().unwrap_or(UNKNOWN_VALUE).checked_sub(1) {
            Some(order) => orders.get(order as usize).copied().flatten(),
            None => Some(unknown),
        };
        self.classes.values.chunks(self.spec.lenses.len().max(1)).map(of).collect()
    }
}

/// The regions that are not absent, a bit for each; `None` for more than 64.
fn present(stands: &[Stand]) -> Option<u64> {
    let bit = |(number, stand): (u32, &Stand)| match stand {
        Stand::Absent => Some(0),
        Stand::Failed { .. } | Stand::Chosen { .. } => 1u64.checked_shl(number),
    };
    (0..).zip(stands).map(bit).try_fold(0, |all, bit| Some(all | bit?))
}

fn is_in(present: u64, region: RegionId) -> bool {
    present.checked_shr(u32::from(region.0)).is_some_and(|bits| bits & 1 == 1)
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
