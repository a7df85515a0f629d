//! All location maps of a snapshot: those made earlier, and the others from one walk over the location sources.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Config;
use crate::geo::{Coordinates, Lens, Location, LocationMap, MapBuilder, MapError, MapSpec};
use crate::ids::{ClassId, Family};
use crate::steer::RttTable;

use super::locations::{Atlas, LocationError};

/// A map with the expected round trips from its classes, where a service asks for them.
pub type MapWithRtt = (Arc<LocationMap>, Option<RttTable>);

/// Why maps could not be made.
#[derive(Debug)]
pub enum MapsError {
    /// A source could not be read.
    Location(LocationError),
    /// What it says could not be made into a map.
    Map(MapError),
}

impl std::fmt::Display for MapsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapsError::Location(error) => error.fmt(f),
            MapsError::Map(error) => write!(f, "the location database cannot be used: {error}"),
        }
    }
}

impl std::error::Error for MapsError {}

impl From<LocationError> for MapsError {
    fn from(error: LocationError) -> MapsError {
        MapsError::Location(error)
    }
}

impl From<MapError> for MapsError {
    fn from(error: MapError) -> MapsError {
        MapsError::Map(error)
    }
}

/// Where location maps come from.
pub trait Locations {
    /// A map that was made earlier from the same sources for the same question.
    fn made(&mut self, spec: &MapSpec) -> Option<Arc<LocationMap>>;

    /// Opens the sources for as long as `walk` runs, which is once. `false`: they cannot be opened, and why has been
    /// told.
    fn open(&mut self, walk: &mut dyn FnMut(&Atlas, Both<'_>)) -> bool;

    /// A map has been made.
    fn keep(&mut self, map: &Arc<LocationMap>);

    /// What must be shown where results are shown, each once.
    fn attributions(&self) -> Vec<Box<str>>;
}

/// Runs two halves of some work, at once or one after the other; the first one on the caller's thread.
pub type Both<'b> = &'b dyn Fn(&mut dyn FnMut(), &mut (dyn FnMut() + Send));

/// Sources that are open already, and maps made from them.
pub struct Given<'g> {
    /// The sources.
    pub atlas: &'g Atlas,
    /// The maps.
    pub maps: &'g [Arc<LocationMap>],
}

impl Locations for Given<'_> {
    fn made(&mut self, spec: &MapSpec) -> Option<Arc<LocationMap>> {
        self.maps.iter().find(|map| map.spec() == spec).cloned()
    }

    fn open(&mut self, walk: &mut dyn FnMut(&Atlas, Both<'_>)) -> bool {
        walk(self.atlas, &|first, second| {
            first();
            second();
        });
        true
    }

    fn keep(&mut self, _: &Arc<LocationMap>) {}

    fn attributions(&self) -> Vec<Box<str>> {
        self.atlas.attributions().into_iter().map(Into::into).collect()
    }
}

/// A map for each spec; `None`: the sources cannot be opened, and why has been told.
pub fn maps(
    specs: Vec<MapSpec>,
    config: &Config,
    locations: &mut dyn Locations,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Box<[MapWithRtt]>>, MapsError> {
    let mut maps: Vec<Option<Arc<LocationMap>>> = specs.iter().map(|spec| locations.made(spec)).collect();
    let missing = || specs.iter().zip(&maps).filter(|(_, map)| map.is_none()).map(|(spec, _)| spec);
    if missing().next().is_some() {
        let mut halves = Ok(None);
        let opened = locations.open(&mut |atlas, both| {
            halves = build(&missing().cloned().collect::<Vec<_>>(), atlas, both, progress).map(Some);
        });
        // The sources are out of memory before the halves are put together.
        let Some((builders, others)) = halves?.filter(|_| opened) else { return Ok(None) };
        let mut made = builders.into_iter().zip(others).map(|(mut builder, other)| {
            builder.absorb(Family::V6, other)?;
            builder.finish().map(Arc::new)
        });
        for slot in maps.iter_mut().filter(|map| map.is_none()) {
            *slot = made.next().transpose()?;
            slot.iter().for_each(|map| locations.keep(map));
        }
    }
    let regions: Vec<Option<Coordinates>> = config.regions.iter().map(|region| region.coordinates).collect();
    Ok(Some(maps.into_iter().flatten().map(|map| (Arc::clone(&map), rtt(&map, &regions))).collect()))
}

/// The builders of one family and of the other, by spec.
type Halves = (Vec<MapBuilder>, Vec<MapBuilder>);

/// Walks over both families, each with builders of its own.
fn build(
    specs: &[MapSpec],
    atlas: &Atlas,
    both: Both<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Halves, MapsError> {
    let total = Family::ALL.into_iter().map(|family| atlas.units(family)).sum();
    let of_v4 = AtomicU64::new(0);
    let (mut v4, mut v6) = (Ok(Vec::new()), Ok(Vec::new()));
    // The larger one here: it is the last to end, and tells of both.
    let mut here = || {
        v6 = half(specs, atlas, Family::V6, &mut |passed| {
            progress((passed + of_v4.load(Ordering::Relaxed)).min(total), total);
        });
    };
    let mut beside = || {
        v4 = half(specs, atlas, Family::V4, &mut |passed| of_v4.store(passed, Ordering::Relaxed));
    };
    both(&mut here, &mut beside);
    let halves = (v4?, v6?);
    progress(total, total);
    Ok(halves)
}

/// Builders that have been given all of one family.
fn half(
    specs: &[MapSpec],
    atlas: &Atlas,
    family: Family,
    passed: &mut dyn FnMut(u64),
) -> Result<Vec<MapBuilder>, MapsError> {
    let mut builders: Vec<MapBuilder> = specs.iter().cloned().map(MapBuilder::new).collect();
    atlas.stream(family, passed, &mut |said| {
        // One record, decoded once for all builders that do not know it.
        let mut location: Option<Option<Location>> = None;
        let mut failed: Option<LocationError> = None;
        let mut tell = || {
            if location.is_none() {
                location = Some((said.location)().unwrap_or_else(|error| {
                    failed = Some(error);
                    None
                }));
            }
            Ok(location.clone().flatten())
        };
        for builder in &mut builders {
            builder.push_told(family, said.first, said.last, said.number, said.is_override, &mut tell)?;
        }
        failed.map_or(Ok::<(), MapsError>(()), |error| Err(error.into()))
    })?;
    Ok(builders)
}

/// Expected round trips for a map that tells cells apart.
fn rtt(map: &LocationMap, regions: &[Option<Coordinates>]) -> Option<RttTable> {
    let lens = map.spec().lenses.iter().position(|lens| *lens == Lens::Cell)?;
    let classes = (0..map.class_count()).map(|class| map.place(ClassId(class as u32)).cell(lens));
    Some(RttTable::new(classes, regions))
}
