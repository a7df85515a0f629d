//! One scan over all sources: the elementary stretches of databases and overrides together.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use super::{Atlas, Cursor, LocationError, Origin, Run, Stretch};
use crate::geo::Location;
use crate::ids::Family;

/// More distinct locations than this would not be numbers of a compact table: a hundred times what the
/// largest city database has.
const LOCATIONS_MAX: usize = 64 << 20;

/// How often a scan reports its progress.
const PROGRESS_REPORTS: u64 = 100;

/// What the sources say of one stretch, before it is a location.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Sayings {
    family: Family,
    place: Option<u32>,
    asn: Option<u32>,
    entry: Option<u32>,
}

/// The scan behind [`Atlas::scan`].
pub(super) fn scan(
    atlas: &Atlas,
    progress: &mut dyn FnMut(u64, u64),
    visit: &mut dyn FnMut(&[Location], Stretch),
) -> Result<(), LocationError> {
    let total = Family::ALL.into_iter().map(|family| units(atlas, family)).sum();
    let mut meter = Meter { progress, done: 0, total, shown: 0 };
    let mut names = Interner::default();
    for family in Family::ALL {
        scan_family(atlas, family, &mut meter, &mut names, visit)?;
    }
    (meter.progress)(total, total);
    Ok(())
}

fn scan_family(
    atlas: &Atlas,
    family: Family,
    meter: &mut Meter<'_>,
    names: &mut Interner,
    visit: &mut dyn FnMut(&[Location], Stretch),
) -> Result<(), LocationError> {
    let mut place = Lane::new(atlas.places(family).map(|database| database.runs(family)))?;
    let mut asn = Lane::new(atlas.system_numbers(family).map(|database| database.runs(family)))?;
    let mut entry = Lane::new(Some(atlas.overrides.runs(family)))?;
    let before = meter.done;
    let mut first = 0u128;
    let mut pending: Option<Stretch> = None;
    let mut previous: Option<(Sayings, Option<u32>)> = None;
    loop {
        let (a, b, c) = (place.at(first)?, asn.at(first)?, entry.at(first)?);
        meter.at(before + place.seen());
        let last = a.until.min(b.until).min(c.until);
        let said = Sayings {
            family,
            place: a.run.map(|r| r.key),
            asn: b.run.map(|r| r.key),
            entry: c.run.map(|r| r.key),
        };
        let location = match previous {
            Some((same, location)) if same == said => location,
            _ => names.number(atlas, said, a.run, b.run)?,
        };
        previous = Some((said, location));
        let origin = match (said.entry, location) {
            (Some(_), _) => Origin::Override,
            (None, Some(_)) => Origin::Database,
            (None, None) => Origin::Nothing,
        };
        pending = Some(match pending {
            Some(open) if open.location == location && open.origin == origin => Stretch { last, ..open },
            closed => {
                if let Some(closed) = closed {
                    visit(&names.locations, closed);
                }
                Stretch { family, first, last, location, origin }
            }
        });
        let Some(next) = last.checked_add(1) else { break };
        first = next;
    }
    if let Some(closed) = pending {
        visit(&names.locations, closed);
    }
    meter.at(before + units(atlas, family));
    Ok(())
}

fn units(atlas: &Atlas, family: Family) -> u64 {
    atlas.places(family).map_or(0, |database| database.units(family))
}

/// One source's runs, one at a time.
struct Lane<'a> {
    cursor: Option<Cursor<'a>>,
    run: Option<Run>,
}

/// What a lane says at an address, and up to which it says that.
struct Said {
    run: Option<Run>,
    until: u128,
}

impl<'a> Lane<'a> {
    fn new(cursor: Option<Cursor<'a>>) -> Result<Lane<'a>, LocationError> {
        let mut lane = Lane { cursor, run: None };
        lane.advance()?;
        Ok(lane)
    }

    fn advance(&mut self) -> Result<(), LocationError> {
        self.run = match &mut self.cursor {
            Some(cursor) => cursor.next().transpose()?,
            None => None,
        };
        Ok(())
    }

    /// Addresses are asked for in rising order.
    fn at(&mut self, address: u128) -> Result<Said, LocationError> {
        while self.run.is_some_and(|run| run.last < address) {
            self.advance()?;
        }
        Ok(match self.run {
            None => Said { run: None, until: u128::MAX },
            Some(run) if run.first <= address => Said { run: Some(run), until: run.last },
            Some(run) => Said { run: None, until: run.first - 1 },
        })
    }

    fn seen(&self) -> u64 {
        self.cursor.as_ref().map_or(0, Cursor::seen)
    }
}

/// The list of locations, each once.
#[derive(Default)]
struct Interner {
    locations: Vec<Location>,
    by_sayings: HashMap<Sayings, Option<u32>, foldhash::fast::FixedState>,
    by_value: HashMap<u64, Vec<u32>, foldhash::fast::FixedState>,
}

impl Interner {
    fn number(
        &mut self,
        atlas: &Atlas,
        said: Sayings,
        place: Option<Run>,
        asn: Option<Run>,
    ) -> Result<Option<u32>, LocationError> {
        if let Some(number) = self.by_sayings.get(&said) {
            return Ok(*number);
        }
        let number = match atlas.together(said.family, place, asn, said.entry)? {
            Some(location) => Some(self.intern(location)?),
            None => None,
        };
        self.by_sayings.insert(said, number);
        Ok(number)
    }

    fn intern(&mut self, location: Location) -> Result<u32, LocationError> {
        let same = self.by_value.entry(fingerprint(&location)).or_default();
        let known = same.iter().copied().find(|n| self.locations.get(*n as usize) == Some(&location));
        if let Some(number) = known {
            return Ok(number);
        }
        if self.locations.len() >= LOCATIONS_MAX {
            return Err(LocationError::new(
                "geoip",
                "has too many distinct locations",
                "use another database",
            ));
        }
        let number = self.locations.len() as u32;
        same.push(number);
        self.locations.push(location);
        Ok(number)
    }
}

fn fingerprint(location: &Location) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    if let Some(place) = location.coordinates {
        (place.latitude().to_bits(), place.longitude().to_bits()).hash(&mut hasher);
    }
    (location.country, &location.subdivision, &location.city, location.asn).hash(&mut hasher);
    hasher.finish()
}

/// Reports progress about a hundred times.
struct Meter<'a> {
    progress: &'a mut dyn FnMut(u64, u64),
    done: u64,
    total: u64,
    shown: u64,
}

impl Meter<'_> {
    fn at(&mut self, done: u64) {
        self.done = done.min(self.total);
        if self.done >= self.shown + self.total.div_ceil(PROGRESS_REPORTS).max(1) {
            self.shown = self.done;
            (self.progress)(self.done, self.total);
        }
    }
}
