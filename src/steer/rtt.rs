//! Expected round trips from places to regions: the distance prior now, learned data later.

use crate::geo::Coordinates;
use crate::ids::{ClassId, RegionId};

/// Kilometres that a packet's way back and forth covers in a tenth of a millisecond: twice the great
/// circle at 100 km per ms, the average over measured paths between cities.
const KM_PER_TENTH: f64 = 5.0;

/// The distance prior in tenths of a millisecond: 0.1 ms for each 5 km of great circle.
pub fn prior_tenths(from: Coordinates, to: Coordinates) -> u16 {
    // The furthest two points are 20,016 km apart: 4,003 tenths; the cast cannot saturate.
    (from.distance_km(to) / KM_PER_TENTH).round() as u16
}

/// Expected round trips by class and region, in 0.1 ms.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RttTable {
    regions: usize,
    tenths: Box<[u16]>,
}

impl RttTable {
    /// From each class's place (`None`: unknown) and each region's (`None`: no coordinates, never
    /// reached by a latency policy).
    pub fn new(
        classes: impl Iterator<Item = Option<Coordinates>>,
        regions: &[Option<Coordinates>],
    ) -> RttTable {
        let mut tenths = Vec::new();
        for class in classes {
            for region in regions {
                tenths.push(match (class, region) {
                    (Some(class), Some(region)) => prior_tenths(class, *region),
                    _ => u16::MAX,
                });
            }
        }
        RttTable { regions: regions.len(), tenths: tenths.into() }
    }

    /// The expected round trip in 0.1 ms; `u16::MAX` where nothing is known.
    pub fn tenths(&self, class: ClassId, region: RegionId) -> u16 {
        let index = class.index().saturating_mul(self.regions) + region.index();
        self.tenths.get(index).copied().unwrap_or(u16::MAX)
    }
}
