//! All location maps of a snapshot from one scan of the location sources.

use std::sync::Arc;

use crate::config::Config;
use crate::geo::{Coordinates, Lens, LocationMap, MapBuilder, MapError, MapSpec};
use crate::ids::ClassId;
use crate::steer::RttTable;

use super::locations::{Atlas, LocationError, Origin};

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

/// Makes a map for each spec; `ready` are maps made earlier from the same sources.
pub fn maps(
    specs: Vec<MapSpec>,
    config: &Config,
    atlas: &Atlas,
    ready: &[Arc<LocationMap>],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Box<[MapWithRtt]>, MapsError> {
    let mut maps: Vec<Option<Arc<LocationMap>>> =
        specs.iter().map(|spec| ready.iter().find(|map| map.spec() == spec).cloned()).collect();
    let mut missing: Vec<usize> = Vec::new();
    let mut builders: Vec<MapBuilder> = Vec::new();
    for (index, spec) in specs.into_iter().enumerate() {
        if maps.get(index).is_some_and(Option::is_none) {
            missing.push(index);
            builders.push(MapBuilder::new(spec));
        }
    }
    if !builders.is_empty() {
        let mut failed: Option<MapError> = None;
        let scanned = atlas.scan(progress, &mut |locations, stretch| {
            let overridden = stretch.origin == Origin::Override;
            for builder in &mut builders {
                let (first, last) = (stretch.first, stretch.last);
                if let Err(error) =
                    builder.push(locations, stretch.family, first, last, stretch.location, overridden)
                {
                    failed.get_or_insert(error);
                }
            }
        });
        scanned.map_err(MapsError::Location)?;
        failed.map_or(Ok(()), Err).map_err(MapsError::Map)?;
    }
    for (index, builder) in missing.into_iter().zip(builders) {
        if let Some(slot) = maps.get_mut(index) {
            *slot = Some(Arc::new(builder.finish().map_err(MapsError::Map)?));
        }
    }
    let regions: Vec<Option<Coordinates>> = config.regions.iter().map(|region| region.coordinates).collect();
    Ok(maps.into_iter().flatten().map(|map| (Arc::clone(&map), rtt(&map, &regions))).collect())
}

/// Expected round trips for a map that tells cells apart.
fn rtt(map: &LocationMap, regions: &[Option<Coordinates>]) -> Option<RttTable> {
    let lens = map.spec().lenses.iter().position(|lens| *lens == Lens::Cell)?;
    let classes = (0..map.class_count()).map(|class| map.place(ClassId(class as u32)).cell(lens));
    Some(RttTable::new(classes, regions))
}
