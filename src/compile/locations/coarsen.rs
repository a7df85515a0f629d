//! A smaller atlas: fewer places, wider networks. What the shipped file is made by.
//!
//! Places of one country and subdivision within one cell of about a degree become one, at the mean of
//! their coordinates weighted by addresses; borders stay sharp. Networks longer than a limit are
//! decided by the place that has most of their addresses. City names are dropped.

use std::collections::HashMap;

use super::{Atlas, LocationError, Stretch};
use crate::geo::{Continent, Coordinates, CountryCode, Location};
use crate::ids::Family;

/// How coarse.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Coarsening {
    /// The longest IPv4 prefix that keeps a place of its own.
    pub length_v4: u8,
    /// The longest IPv6 prefix likewise; at most 64.
    pub length_v6: u8,
    /// The size of a cell in degrees of latitude; its longitudes are as wide on the ground.
    pub cell_degrees: f64,
}

impl Coarsening {
    /// As shipped.
    pub const SHIPPED: Coarsening = Coarsening { length_v4: 24, length_v6: 48, cell_degrees: 1.0 };

    fn length(self, family: Family) -> u8 {
        match family {
            Family::V4 => self.length_v4.clamp(1, 32),
            Family::V6 => self.length_v6.clamp(1, 64),
        }
    }
}

/// A coarsened atlas.
pub struct Coarsened {
    /// The places, in the order of country, subdivision and coordinates.
    pub locations: Vec<Location>,
    /// By family: how many networks of the family's length in a row have which place; from the first
    /// address to the last.
    pub runs: [Vec<(u64, Option<u32>)>; 2],
    /// By family: the length of a network.
    pub lengths: [u8; 2],
}

/// Makes a smaller atlas.
pub fn coarsen(
    atlas: &Atlas,
    coarsening: Coarsening,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Coarsened, LocationError> {
    let mut places = Places { cell_degrees: coarsening.cell_degrees, ..Places::default() };
    let mut units = Family::ALL.map(|family| Units::new(coarsening.length(family)));
    atlas.scan(progress, &mut |locations, stretch| {
        let group = places.group(locations, stretch);
        units[stretch.family.index()].add(stretch, group);
    })?;
    let (locations, renumbered) = places.finish();
    let finish = |units: &mut Units| units.finish(&renumbered);
    let [v4, v6] = &mut units;
    let lengths = Family::ALL.map(|family| coarsening.length(family));
    Ok(Coarsened { locations, runs: [finish(v4), finish(v6)], lengths })
}

/// What keeps two places apart.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Cell {
    country: Option<CountryCode>,
    subdivision: Option<Box<str>>,
    continent: Option<Continent>,
    asn: Option<u32>,
    square: Option<(i32, i32)>,
}

/// The sums behind a mean place.
#[derive(Clone, Copy, Default)]
struct Sum {
    weight: f64,
    latitude: f64,
    longitude: f64,
}

/// The groups of places found so far.
#[derive(Default)]
struct Places {
    cell_degrees: f64,
    /// The group of each location of the scan, by its number.
    groups: Vec<Option<u32>>,
    by_cell: HashMap<Cell, u32>,
    cells: Vec<Cell>,
    sums: Vec<Sum>,
}

impl Places {
    fn group(&mut self, locations: &[Location], stretch: Stretch) -> Option<u32> {
        while let Some(location) = locations.get(self.groups.len()) {
            let group = self.enter(location);
            self.groups.push(group);
        }
        let number = stretch.location? as usize;
        let group = self.groups.get(number).copied().flatten()?;
        if let (Some(place), Some(sum)) = (
            locations.get(number).and_then(|location| location.coordinates),
            self.sums.get_mut(group as usize),
        ) {
            let weight = weight(stretch);
            sum.weight += weight;
            sum.latitude += weight * place.latitude();
            sum.longitude += weight * place.longitude();
        }
        Some(group)
    }

    fn enter(&mut self, location: &Location) -> Option<u32> {
        let cell = Cell {
            country: location.country,
            subdivision: location.subdivision.clone(),
            continent: location.continent,
            asn: location.asn,
            square: location.coordinates.map(|place| square(place, self.cell_degrees)),
        };
        let empty = Cell { country: None, subdivision: None, continent: None, asn: None, square: None };
        if cell == empty {
            return None;
        }
        let next = self.cells.len() as u32;
        let group = *self.by_cell.entry(cell.clone()).or_insert(next);
        if group == next {
            self.cells.push(cell);
            self.sums.push(Sum::default());
        }
        Some(group)
    }

    /// The places in order, and the new number of each group.
    fn finish(self) -> (Vec<Location>, Vec<u32>) {
        let mut order = (0..self.cells.len()).collect::<Vec<_>>();
        order.sort_by_key(|group| self.cells.get(*group));
        let mut renumbered = vec![0; order.len()];
        let mut locations = Vec::with_capacity(order.len());
        for (number, group) in order.into_iter().enumerate() {
            if let (Some(cell), Some(sum)) = (self.cells.get(group), self.sums.get(group)) {
                renumbered[group] = number as u32;
                locations.push(Location {
                    coordinates: mean(*sum),
                    continent: cell.continent,
                    country: cell.country,
                    subdivision: cell.subdivision.clone(),
                    city: None,
                    asn: cell.asn,
                });
            }
        }
        (locations, renumbered)
    }
}

/// IPv4 counts by addresses, in /24s. The sizes of IPv6 networks say nothing of how many live there:
/// each counts as one.
fn weight(stretch: Stretch) -> f64 {
    match stretch.family {
        Family::V4 => (((stretch.last - stretch.first) >> 96) + 1) as f64 / 256.0,
        Family::V6 => 1.0,
    }
}

fn mean(sum: Sum) -> Option<Coordinates> {
    let hundredth = |degrees: f64| (degrees * 100.0).round() / 100.0;
    (sum.weight > 0.0)
        .then(|| (hundredth(sum.latitude / sum.weight), hundredth(sum.longitude / sum.weight)))
        .and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude))
}

/// The cell of a place: bands of latitude, each cut so that its cells are about as wide as high.
fn square(place: Coordinates, degrees: f64) -> (i32, i32) {
    let band = (place.latitude() / degrees).floor();
    let middle = ((band + 0.5) * degrees).clamp(-89.5, 89.5).to_radians();
    let width = 360.0 / (360.0 / degrees * middle.cos()).round().max(1.0);
    (band as i32, (place.longitude() / width).floor() as i32)
}

/// One family's networks of one length, from stretches in order.
struct Units {
    /// How many address bits are within one.
    shift: u32,
    runs: Vec<(u64, Option<u32>)>,
    /// The network that is being decided, and what its parts say.
    open: Option<u128>,
    votes: Vec<(Option<u32>, u128)>,
}

impl Units {
    fn new(length: u8) -> Units {
        Units { shift: 128 - u32::from(length), runs: Vec::new(), open: None, votes: Vec::new() }
    }

    fn add(&mut self, stretch: Stretch, group: Option<u32>) {
        let low = (1u128 << self.shift) - 1;
        let (mut first, last) = (stretch.first, stretch.last);
        if first & low != 0 {
            let end = last.min(first | low);
            self.vote(first >> self.shift, end - first + 1, group);
            match end.checked_add(1) {
                Some(next) if end < last => first = next,
                _ => return,
            }
        }
        let whole = ((last - first) >> self.shift) as u64 + u64::from((last - first) & low == low);
        if whole > 0 {
            self.settle();
            self.push(whole, group);
        }
        if last & low != low {
            self.vote(last >> self.shift, (last & low) + 1, group);
        }
    }

    fn vote(&mut self, unit: u128, addresses: u128, group: Option<u32>) {
        if self.open != Some(unit) {
            self.settle();
            self.open = Some(unit);
        }
        match self.votes.iter_mut().find(|(voted, _)| *voted == group) {
            Some((_, sum)) => *sum += addresses,
            None => self.votes.push((group, addresses)),
        }
    }

    /// Decides the open network: most addresses, of equal ones the first.
    fn settle(&mut self) {
        if self.open.take().is_some() {
            let most = self.votes.iter().rev().max_by_key(|(_, addresses)| *addresses);
            let group = most.and_then(|(group, _)| *group);
            self.votes.clear();
            self.push(1, group);
        }
    }

    fn push(&mut self, count: u64, group: Option<u32>) {
        match self.runs.last_mut() {
            Some((sum, same)) if *same == group => *sum += count,
            _ => self.runs.push((count, group)),
        }
    }

    fn finish(&mut self, renumbered: &[u32]) -> Vec<(u64, Option<u32>)> {
        self.settle();
        let runs = std::mem::take(&mut self.runs).into_iter();
        runs.map(|(count, group)| (count, group.and_then(|group| renumbered.get(group as usize).copied())))
            .collect()
    }
}

#[cfg(test)]
mod tests;
