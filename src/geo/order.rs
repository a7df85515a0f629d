//! The orders of regions as many places see them: what [`RegionOrder`] says of each, in a tenth of the time.

use super::{Coordinates, RegionOrder};
use crate::ids::RegionId;

/// Cosines of angles from a place that differ by more than this are distances of which [`RegionOrder`] says the same.
/// Both are right to about 1e-15 of the sphere's radius.
const COSINES_APART: f64 = 1e-9;

/// Finds the orders of one `Order` lens.
///
/// The nearer of two regions is the one with the greater cosine of its angle from the place: a product of vectors, where
/// a distance takes four trigonometric functions. Where two cosines are close, or distances are biased or tied, the
/// distances decide.
pub(super) struct OrderFinder {
    regions: Box<[Option<Coordinates>]>,
    bias: Box<[i8]>,
    tie_permille: u16,
    /// The regions with coordinates, in the order that was found last: the next one is often much the same.
    seen: Vec<Seen>,
    order: RegionOrder,
}

/// A region as the place sees it.
#[derive(Clone, Copy)]
struct Seen {
    region: RegionId,
    at: Coordinates,
    vector: [f64; 3],
    cosine: f64,
}

impl Seen {
    /// Whether it comes before another one, by cosines alone.
    fn is_before(&self, other: &Seen) -> bool {
        self.cosine > other.cosine || (self.cosine == other.cosine && self.region < other.region)
    }

    /// Whether there is no doubt of that.
    fn is_surely_before(&self, other: &Seen) -> bool {
        self.cosine - other.cosine > COSINES_APART || (self.at == other.at && self.region < other.region)
    }
}

impl OrderFinder {
    /// A finder for a lens; `bias` and `tie_permille` as in [`super::Lens::Order`].
    pub(super) fn new(regions: &[Option<Coordinates>], bias: &[i8], tie_permille: u16) -> OrderFinder {
        let seen = (0u16..).zip(regions).filter_map(|(number, region)| {
            let (region, at) = (RegionId(number), (*region)?);
            Some(Seen { region, at, vector: vector(at), cosine: 0.0 })
        });
        OrderFinder {
            seen: seen.collect(),
            regions: regions.into(),
            bias: bias.into(),
            tie_permille,
            order: RegionOrder::default(),
        }
    }

    /// The regions, nearest first, and how far the ties of each reach: as [`RegionOrder::new`] has them.
    pub(super) fn find(&mut self, from: Coordinates) -> (&[RegionId], &[u16]) {
        let by_distance = self.tie_permille > 0 || self.bias.iter().any(|bias| *bias != 0);
        if by_distance || !self.sort(from) {
            self.order = RegionOrder::new(from, &self.regions, &self.bias, self.tie_permille);
            return (&self.order.regions, &self.order.reaches);
        }
        if self.order.regions.len() != self.seen.len() {
            self.order.regions = vec![RegionId(0); self.seen.len()].into();
        }
        for (region, seen) in self.order.regions.iter_mut().zip(&self.seen) {
            *region = seen.region;
        }
        (&self.order.regions, &[])
    }

    /// Sorts by cosines, from the order before. Whether all are far enough apart.
    fn sort(&mut self, from: Coordinates) -> bool {
        let [x, y, z] = vector(from);
        for number in 0..self.seen.len() {
            let Some((next, sorted)) = self.seen.get_mut(..=number).and_then(<[Seen]>::split_last_mut) else {
                return false;
            };
            next.cosine = next.vector[0] * x + next.vector[1] * y + next.vector[2] * z;
            let place = sorted.iter().rposition(|seen| seen.is_before(next)).map_or(0, |before| before + 1);
            if let Some(shifted) = self.seen.get_mut(place..=number) {
                shifted.rotate_right(1);
            }
        }
        self.seen.windows(2).all(|pair| matches!(pair, [a, b] if a.is_surely_before(b)))
    }
}

/// The point of the unit sphere.
fn vector(at: Coordinates) -> [f64; 3] {
    let (sin_latitude, cos_latitude) = at.latitude().to_radians().sin_cos();
    let (sin_longitude, cos_longitude) = at.longitude().to_radians().sin_cos();
    [cos_latitude * cos_longitude, cos_latitude * sin_longitude, sin_latitude]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn check(regions: &[Option<Coordinates>], bias: &[i8], tie_permille: u16, places: &[Coordinates]) {
        let mut finder = OrderFinder::new(regions, bias, tie_permille);
        for &place in places {
            let expected = RegionOrder::new(place, regions, bias, tie_permille);
            let (order, reaches) = finder.find(place);
            assert_eq!((order, reaches), (&*expected.regions, &*expected.reaches), "{place:?} {regions:?}");
        }
    }

    /// Coordinates on a coarse grid, so that equal and opposite ones come together, or off it by little or much.
    fn coordinates() -> impl Strategy<Value = Coordinates> {
        let off = prop_oneof![Just(0.0), Just(1e-13), Just(-1e-9), Just(3e-8), -5.0..5.0f64];
        (-6..=6i32, -6..=6i32, off.clone(), off).prop_map(|(north, east, up, right)| {
            let latitude = (f64::from(north) * 15.0 + up).clamp(-90.0, 90.0);
            Coordinates::new(latitude, (f64::from(east) * 30.0 + right).clamp(-180.0, 180.0)).unwrap()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_finds_what_distances_say(
            regions in prop::collection::vec(prop::option::weighted(0.9, coordinates()), 0..30),
            bias in prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(-99..=99i8, 0..30)],
            tie_permille in prop_oneof![4 => Just(0u16), 1 => 1..500u16],
            places in prop::collection::vec(coordinates(), 1..20),
        ) {
            check(&regions, &bias, tie_permille, &places);
        }
    }
}
