//! Where networks are: location databases and overrides, read as one (pure).
//!
//! An [`Atlas`] puts together at most one location database for each family, an ASN database and
//! prefix overrides. One [`Atlas::scan`] feeds any number of location maps. Users' files come as
//! MaxMind databases, the shipped one in our own packed form; either is an opened [`Database`].

mod centroids;
mod coarsen;
mod error;
mod geofeed;
mod mmdb;
mod packed;
mod row;
mod scan;

pub use coarsen::{Coarsened, Coarsening, coarsen};
pub use error::LocationError;
pub use geofeed::Overrides;
pub use packed::write as pack;

use std::net::IpAddr;

use self::mmdb::{Content, Mmdb};
use self::packed::Packed;
use crate::geo::{ClientPrefix, Location};
use crate::ids::Family;

/// A run of addresses of which the sources say the same. A scan's stretches cover each family
/// without gaps, in address order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The family.
    pub family: Family,
    /// The first address, left-aligned: bit 127 is the first bit of either family.
    pub first: u128,
    /// The last address likewise, its unused low bits set: `last + 1` is the next one's `first`.
    pub last: u128,
    /// The number of the location in the scan's list; `None`: nothing is known.
    pub location: Option<u32>,
    /// Who says so.
    pub origin: Origin,
}

/// Addresses of one family of which the sources say the same, as [`Atlas::stream`] gives them.
pub struct Streamed<'s> {
    /// The first address, left-aligned.
    pub first: u128,
    /// The last address likewise, its unused low bits set.
    pub last: u128,
    /// The number of what is said: equal numbers of one stream are equal locations. `None`: nothing is known.
    pub number: Option<u32>,
    /// Whether an override says so.
    pub is_override: bool,
    /// Reads the location of the number: where it is asked once for each number, each record is decoded once.
    pub location: &'s mut dyn FnMut() -> Result<Option<Location>, LocationError>,
}

/// Who says where a stretch is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody.
    Nothing,
    /// A database.
    Database,
    /// An override: it also wins over the special-purpose blocks (R7).
    Override,
}

/// An opened location or ASN database.
pub struct Database(Form);

enum Form {
    Mmdb(Box<Mmdb>),
    Packed(Box<Packed>),
}

impl Database {
    /// Opens a file of either form by its content. `name` is how errors call it.
    pub fn open(bytes: Vec<u8>, name: &str) -> Result<Database, LocationError> {
        if bytes.starts_with(packed::MAGIC) {
            return Ok(Database(Form::Packed(Box::new(Packed::open(bytes, name)?))));
        }
        if let Some(error) = error::foreign(&bytes, name) {
            return Err(error);
        }
        Ok(Database(Form::Mmdb(Box::new(Mmdb::open(bytes, name)?))))
    }

    /// What must be shown where results are shown; `None` where the file says nothing.
    pub fn attribution(&self) -> Option<&str> {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.attribution(),
            Form::Packed(packed) => Some(packed.attribution()),
        }
    }

    /// When it was built, in seconds since 1970.
    pub fn built_s(&self) -> u64 {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.built_s(),
            Form::Packed(packed) => packed.built_s(),
        }
    }

    /// Whether it tells autonomous system numbers and nothing else.
    pub fn is_system_numbers(&self) -> bool {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.content() == Content::SystemNumbers,
            Form::Packed(_) => false,
        }
    }

    /// Whether it knows any network of a family.
    pub fn has(&self, family: Family) -> bool {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.has(family),
            Form::Packed(packed) => packed.has(family),
        }
    }

    /// How many units of progress a walk over a family takes, at most.
    fn units(&self, family: Family) -> u64 {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.leaves(),
            Form::Packed(packed) => packed.networks(family),
        }
    }

    fn runs(&self, family: Family) -> Cursor<'_> {
        match &self.0 {
            Form::Mmdb(mmdb) => Cursor::Mmdb(Box::new(mmdb.runs(family))),
            Form::Packed(packed) => Cursor::Packed(Box::new(packed.runs(family))),
        }
    }

    fn location(&self, run: Run) -> Result<Option<Location>, LocationError> {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.location(run),
            Form::Packed(packed) => Ok(packed.location(run.key)),
        }
    }

    fn locate(&self, address: IpAddr) -> Result<Option<Location>, LocationError> {
        Ok(self.find(address)?.map(|(_, location)| location))
    }

    /// The place of an address, and the network around it of which that is said.
    fn find(&self, address: IpAddr) -> Result<Option<(ClientPrefix, Location)>, LocationError> {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.find(address),
            Form::Packed(packed) => packed.find(address),
        }
    }

    /// How errors call it.
    fn name(&self) -> &str {
        match &self.0 {
            Form::Mmdb(mmdb) => mmdb.name(),
            Form::Packed(packed) => packed.name(),
        }
    }
}

/// Addresses with one record of a source. A source's runs come in order and do not overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    family: Family,
    first: u128,
    last: u128,
    /// The record: what it means, its source knows.
    key: u32,
}

impl Run {
    /// The widest network around one of its addresses that lies in it.
    fn around(&self, host: ClientPrefix) -> ClientPrefix {
        let fits = |length: &u8| {
            let network = host.widened(*length);
            let last = network.bits() | u128::MAX.checked_shr(u32::from(*length)).unwrap_or(0);
            self.first <= network.bits() && last <= self.last
        };
        host.widened((0..host.length()).find(fits).unwrap_or(host.length()))
    }
}

/// A walk over the runs of one family of a source.
enum Cursor<'a> {
    Mmdb(Box<mmdb::Runs<'a>>),
    Packed(Box<packed::Runs<'a>>),
    Overrides(geofeed::Runs<'a>),
}

impl Cursor<'_> {
    /// Units of progress so far.
    fn seen(&self) -> u64 {
        match self {
            Cursor::Mmdb(runs) => runs.seen(),
            Cursor::Packed(runs) => runs.seen(),
            Cursor::Overrides(_) => 0,
        }
    }
}

impl Iterator for Cursor<'_> {
    type Item = Result<Run, LocationError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Cursor::Mmdb(runs) => runs.next(),
            Cursor::Packed(runs) => runs.next(),
            Cursor::Overrides(runs) => runs.next().map(Ok),
        }
    }
}

/// Everything that is known of the places of networks.
#[derive(Default)]
pub struct Atlas {
    databases: Vec<Database>,
    asn: Vec<Database>,
    overrides: Overrides,
}

impl Atlas {
    /// Puts sources together. Each family is taken from the first database that has it, so a pair of
    /// files with one family each works like one file with both.
    pub fn new(databases: Vec<Database>, asn: Vec<Database>, overrides: Overrides) -> Atlas {
        Atlas { databases, asn, overrides }
    }

    /// Visits every stretch of both families in order, IPv4 first. `visit` also gets the list of the
    /// locations numbered so far, which only ever grows: a visitor that derives something from each
    /// location extends its own table when the list has become longer. `progress` gets (done, total)
    /// in units of its own, about a hundred times.
    pub fn scan(
        &self,
        progress: &mut dyn FnMut(u64, u64),
        visit: &mut dyn FnMut(&[Location], Stretch),
    ) -> Result<(), LocationError> {
        scan::scan(self, progress, visit)
    }

    /// Visits all addresses of one family in order, as [`Atlas::scan`] does, but keeps no list of locations: who
    /// visits reads one when it needs it. Neighbours may be alike. `passed` gets how much of
    /// [`Atlas::units`] is done, about a hundred times.
    ///
    /// # Errors
    /// When a database is damaged, and those of `visit`.
    pub fn stream<E: From<LocationError>>(
        &self,
        family: Family,
        passed: &mut dyn FnMut(u64),
        visit: &mut dyn FnMut(Streamed<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        scan::stream(self, family, passed, visit)
    }

    /// How much a stream of a family has to pass.
    pub fn units(&self, family: Family) -> u64 {
        self.places(family).map_or(0, |database| database.units(family))
    }

    /// What is known of one address, and who says so.
    pub fn locate(&self, address: IpAddr) -> Result<(Option<Location>, Origin), LocationError> {
        let family = Family::of(address);
        let ask =
            |database: Option<&Database>| database.map_or(Ok(None), |database| database.locate(address));
        let place = ask(self.places(family))?;
        let asn = ask(self.system_numbers(family))?;
        let entry = self.overrides.find(ClientPrefix::host(address));
        let location = joined(entry.map_or(place, |entry| self.overrides.location(entry)), asn);
        let origin = match (entry, &location) {
            (Some(_), _) => Origin::Override,
            (None, Some(_)) => Origin::Database,
            (None, None) => Origin::Nothing,
        };
        Ok((location, origin))
    }

    /// What must be shown where results are shown, each once.
    pub fn attributions(&self) -> Vec<&str> {
        let mut all = Vec::new();
        for text in self.databases.iter().chain(&self.asn).filter_map(Database::attribution) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all
    }

    fn places(&self, family: Family) -> Option<&Database> {
        self.databases.iter().find(|database| database.has(family))
    }

    fn system_numbers(&self, family: Family) -> Option<&Database> {
        self.asn.iter().find(|database| database.has(family))
    }

    /// The location of a stretch, from what each source says of it.
    fn together(
        &self,
        family: Family,
        place: Option<Run>,
        asn: Option<Run>,
        entry: Option<u32>,
    ) -> Result<Option<Location>, LocationError> {
        let ask = |database: Option<&Database>, run: Option<Run>| match (database, run) {
            (Some(database), Some(run)) => database.location(run),
            _ => Ok(None),
        };
        let place = match entry {
            Some(entry) => self.overrides.location(entry),
            None => ask(self.places(family), place)?,
        };
        Ok(joined(place, ask(self.system_numbers(family), asn)?))
    }
}

/// A place with the system number that another source tells.
fn joined(place: Option<Location>, asn: Option<Location>) -> Option<Location> {
    match (place, asn.and_then(|location| location.asn)) {
        (Some(place), Some(asn)) => Some(Location { asn: Some(asn), ..place }),
        (None, Some(asn)) => Some(Location { asn: Some(asn), ..Location::default() }),
        (place, None) => place,
    }
}

#[cfg(test)]
mod tests;
