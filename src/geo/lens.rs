//! What policies ask of a place. A location map answers for all its lenses at once.

use std::hash::{Hash, Hasher};

use super::{Coordinates, GeoKey, ScopeFloor};
use crate::ids::RegionId;

/// One question that a policy asks of a place. The unknown location is an answer of its own.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Lens {
    /// The total order of the regions by [`biased_distance_km`], nearest first; ties by region number.
    Order {
        /// By [`RegionId`], -99..=99; missing entries are 0, so empty is no bias at all.
        bias: Box<[i8]>,
        /// R6: regions within this share of a region's distance, in thousandths, are tied with it. 0:
        /// none, and the ties tell no places apart.
        tie_permille: u16,
    },
    /// The one-degree cell of the place: all that a latency score may depend on.
    Cell,
    /// The numbers (indexes here) of the rules that match, most specific first: CIDR (longest
    /// first), ASN, subdivision, country, continent.
    Rules(Box<[GeoKey]>),
}

/// What a location map is made for. Services with equal specs share one map.
#[derive(Clone, Debug)]
pub struct MapSpec {
    /// Coordinates by [`RegionId`]; regions without are left out of the orders.
    pub regions: Box<[Option<Coordinates>]>,
    /// The questions; policies refer to them by index.
    pub lenses: Box<[Lens]>,
    /// How fine networks are told apart.
    pub floor: ScopeFloor,
}

impl MapSpec {
    /// The regions as comparable bits.
    fn region_bits(&self) -> impl Iterator<Item = Option<(u64, u64)>> + '_ {
        self.regions.iter().map(|region| region.map(|at| (at.latitude().to_bits(), at.longitude().to_bits())))
    }
}

impl PartialEq for MapSpec {
    fn eq(&self, other: &MapSpec) -> bool {
        self.lenses == other.lenses && self.floor == other.floor && self.region_bits().eq(other.region_bits())
    }
}

impl Eq for MapSpec {}

impl Hash for MapSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lenses.hash(state);
        self.floor.hash(state);
        self.regions.len().hash(state);
        self.region_bits().for_each(|bits| bits.hash(state));
    }
}

/// The distance from a place to a region as `nearest` sees it. A bias above 0 draws the region
/// nearer: distance x (1 - bias/100); one below 0 pushes it away: distance / (1 + bias/100).
pub fn biased_distance_km(from: Coordinates, region: Coordinates, bias: i8) -> f64 {
    let bias = f64::from(bias.clamp(-99, 99));
    let distance_km = from.distance_km(region);
    if bias >= 0.0 { distance_km * (1.0 - bias / 100.0) } else { distance_km / (1.0 + bias / 100.0) }
}

/// Regions by biased distance from one place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegionOrder {
    /// Nearest first; equal distances by number.
    pub regions: Box<[RegionId]>,
    /// By place in `regions`: how many of them, counted from the first, are not farther than the tie
    /// allows from the region there. Empty without a tie.
    pub reaches: Box<[u16]>,
}

impl RegionOrder {
    /// All regions with coordinates as one place sees them; `bias` and `tie_permille` as in [`Lens::Order`].
    pub fn new(
        from: Coordinates,
        regions: &[Option<Coordinates>],
        bias: &[i8],
        tie_permille: u16,
    ) -> RegionOrder {
        let mut order: Vec<(f64, RegionId)> = (0u16..)
            .zip(regions)
            .filter_map(|(number, region)| {
                let bias = bias.get(usize::from(number)).copied().unwrap_or(0);
                Some((biased_distance_km(from, (*region)?, bias), RegionId(number)))
            })
            .collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let share = 1.0 + f64::from(tie_permille) / 1000.0;
        let reach = |nearest_km: f64| order.partition_point(|(km, _)| *km <= nearest_km * share) as u16;
        let reaches: Box<[u16]> = match tie_permille {
            0 => [].into(),
            _ => order.iter().map(|(km, _)| reach(*km)).collect(),
        };
        RegionOrder { reaches, regions: order.into_iter().map(|(_, region)| region).collect() }
    }
}

/// The number of a one-degree cell: rows from the south pole, columns from the antimeridian.
pub(super) fn cell_number(at: Coordinates) -> u32 {
    let row = (at.latitude().floor() + 90.0).clamp(0.0, 179.0);
    // 180 degrees east is 180 degrees west: the first column.
    let column = (at.longitude().floor() + 180.0).rem_euclid(360.0);
    row as u32 * 360 + column as u32
}

/// The centre of a cell.
pub(super) fn cell_centre(number: u32) -> Option<Coordinates> {
    let (row, column) = (number / 360, number % 360);
    Coordinates::new(f64::from(row) - 89.5, f64::from(column) - 179.5)
}
