//! One scan over all sources: the elementary stretches of databases and overrides together.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use super::{Atlas, Cursor, LocationError, Origin, Run, Streamed, Stretch};
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
    let total = Family::ALL.into_iter().map(|family| atlas.units(family)).sum();
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
    let before = meter.done;
    let mut pending: Option<Stretch> = None;
    let mut previous: Option<(Sayings, Option<u32>)> = None;
    walk(atlas, family, |piece| {
        meter.at(before + piece.passed);
        let said = piece.said;
        let location = match previous {
            Some((same, location)) if same == said => location,
            _ => names.number(atlas, (family, said), piece.place, piece.asn)?,
        };
        previous = Some((said, location));
        let origin = match (said.entry, location) {
            (Some(_), _) => Origin::Override,
            (None, Some(_)) => Origin::Database,
            (None, None) => Origin::Nothing,
        };
        pending = Some(match pending {
            Some(open) if open.location == location && open.origin == origin => {
                Stretch { last: piece.last, ..open }
            }
            closed => {
                if let Some(closed) = closed {
                    visit(&names.locations, closed);
                }
                Stretch { family, first: piece.first, last: piece.last, location, origin }
            }
        });
        Ok(())
    })?;
    if let Some(closed) = pending {
        visit(&names.locations, closed);
    }
    meter.at(before + atlas.units(family));
    Ok(())
}

/// Addresses of which each source says one thing.
struct Piece {
    first: u128,
    last: u128,
    said: Sayings,
    place: Option<Run>,
    asn: Option<Run>,
    /// Units of progress so far.
    passed: u64,
}

/// Visits all pieces of a family in order.
fn walk<E: From<LocationError>>(
    atlas: &Atlas,
    family: Family,
    mut visit: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    if let (Some(places), None) = (atlas.places(family), atlas.system_numbers(family))
        && atlas.overrides.runs(family).next().is_none()
    {
        return walk_places(places.runs(family), visit);
    }
    let mut place = Lane::new(atlas.places(family).map(|database| database.runs(family)))?;
    let mut asn = Lane::new(atlas.system_numbers(family).map(|database| database.runs(family)))?;
    let mut entry = Lane::new(Some(atlas.overrides.runs(family)))?;
    let mut first = 0u128;
    loop {
        let (a, b, c) = (place.at(first)?, asn.at(first)?, entry.at(first)?);
        let last = a.until.min(b.until).min(c.until);
        let said = Sayings {
            place: a.run.map(|run| run.key),
            asn: b.run.map(|run| run.key),
            entry: c.run.map(|run| run.key),
        };
        visit(Piece { first, last, said, place: a.run, asn: b.run, passed: place.seen() })?;
        let Some(next) = last.checked_add(1) else { return Ok(()) };
        first = next;
    }
}

/// The same where nothing else has a say, which is nearly always.
fn walk_places<E: From<LocationError>>(
    mut runs: Cursor<'_>,
    mut visit: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let piece = |first, last, place: Option<Run>, passed| {
        let said = Sayings { place: place.map(|run| run.key), asn: None, entry: None };
        Piece { first, last, said, place, asn: None, passed }
    };
    let mut first = 0u128;
    while let Some(run) = runs.next().transpose()? {
        let passed = runs.seen();
        if first < run.first {
            visit(piece(first, run.first - 1, None, passed))?;
        }
        visit(piece(run.first, run.last, Some(run), passed))?;
        match run.last.checked_add(1) {
            Some(next) => first = next,
            None => return Ok(()),
        }
    }
    visit(piece(first, u128::MAX, None, runs.seen()))
}

/// The walk behind [`Atlas::stream`].
pub(super) fn stream<E: From<LocationError>>(
    atlas: &Atlas,
    family: Family,
    passed: &mut dyn FnMut(u64),
    visit: &mut dyn FnMut(Streamed<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut numbers = Numbers::default();
    let mut shown = 0;
    let interval = atlas.units(family).div_ceil(PROGRESS_REPORTS).max(1);
    walk(atlas, family, |piece| {
        if piece.passed >= shown + interval {
            shown = piece.passed;
            passed(shown);
        }
        let Piece { first, last, said, place, asn, .. } = piece;
        let number = numbers.number(said).ok_or_else(too_many)?;
        let mut location = || atlas.together(family, place, asn, said.entry);
        visit(Streamed { first, last, number, is_override: said.entry.is_some(), location: &mut location })
    })?;
    passed(atlas.units(family));
    Ok(())
}

/// Numbers for what the sources say, from 0 up; one for each different sum of sayings.
#[derive(Default)]
struct Numbers {
    /// Where only a database of places has a say, which is nearly everywhere.
    by_place: KeyTable,
    others: HashMap<Sayings, u32, foldhash::fast::FixedState>,
    count: u32,
}

impl Numbers {
    /// The number of these sayings; [`None`] in it: nothing is said. `None`: there are too many.
    fn number(&mut self, said: Sayings) -> Option<Option<u32>> {
        let next = self.count;
        let number = match said {
            Sayings { place: None, asn: None, entry: None } => return Some(None),
            Sayings { place: Some(key), asn: None, entry: None } => self.by_place.number(key, next),
            _ => *self.others.entry(said).or_insert(next),
        };
        if number == next {
            self.count += 1;
        }
        (self.count as usize <= LOCATIONS_MAX).then_some(Some(number))
    }
}

/// Numbers by key, open addressing: eight octets a key and a quarter of them free.
struct KeyTable {
    /// Keys and numbers; [`FREE`] where there is none. Their count is a power of two.
    slots: Vec<(u32, u32)>,
    used: usize,
}

const FREE: (u32, u32) = (u32::MAX, u32::MAX);

impl Default for KeyTable {
    fn default() -> KeyTable {
        KeyTable { slots: vec![FREE; 1 << 10], used: 0 }
    }
}

impl KeyTable {
    /// The number of a key, which is `next` if it is new.
    fn number(&mut self, key: u32, next: u32) -> u32 {
        let at = self.find(key);
        match self.slots.get_mut(at) {
            Some(slot) if *slot == FREE => *slot = (key, next),
            Some(&mut (_, number)) => return number,
            None => return next,
        }
        self.used += 1;
        if self.used * 4 > self.slots.len() * 3 {
            self.grow();
        }
        next
    }

    /// The place of a key, or the free one where it belongs.
    #[inline]
    fn find(&self, key: u32) -> usize {
        let mask = self.slots.len() - 1;
        // Records follow each other in a file, so the odd multiplier spreads what is close.
        let mut at = (u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        while self.slots.get(at).is_some_and(|slot| slot.0 != key && *slot != FREE) {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let larger = vec![FREE; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot != FREE {
                let at = self.find(slot.0);
                if let Some(place) = self.slots.get_mut(at) {
                    *place = slot;
                }
            }
        }
    }
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
    by_sayings: HashMap<(Family, Sayings), Option<u32>, foldhash::fast::FixedState>,
    by_value: HashMap<u64, Vec<u32>, foldhash::fast::FixedState>,
}

impl Interner {
    fn number(
        &mut self,
        atlas: &Atlas,
        said: (Family, Sayings),
        place: Option<Run>,
        asn: Option<Run>,
    ) -> Result<Option<u32>, LocationError> {
        if let Some(number) = self.by_sayings.get(&said) {
            return Ok(*number);
        }
        let number = match atlas.together(said.0, place, asn, said.1.entry)? {
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
            return Err(too_many());
        }
        let number = self.locations.len() as u32;
        same.push(number);
        self.locations.push(location);
        Ok(number)
    }
}

fn too_many() -> LocationError {
    LocationError::new("geoip", "has too many distinct locations", "use another database")
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
