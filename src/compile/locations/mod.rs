//! Where networks are: location databases and overrides, read as one (pure).
//!
//! An [`Atlas`] puts together at most one location database for each family, an ASN database and
//! prefix overrides. One [`Atlas::scan`] feeds any number of location maps. Users' files come as
//! MaxMind databases, the shipped one in our own packed form; either is an opened [`Database`].

mod error;

pub use error::LocationError;

use std::net::IpAddr;

use crate::config::{FileId, Problems, SourceFile};
use crate::geo::Location;
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
pub struct Database {
    name: String,
}

impl Database {
    /// Opens a file of either form by its content. `name` is how errors call it.
    pub fn open(bytes: Vec<u8>, name: &str) -> Result<Database, LocationError> {
        let _ = bytes;
        Ok(Database { name: name.to_owned() })
    }

    /// What must be shown where results are shown; `None` where the file says nothing.
    pub fn attribution(&self) -> Option<&str> {
        let _ = &self.name;
        None
    }
}

/// Prefix overrides, read from a geofeed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Overrides {}

impl Overrides {
    /// Reads RFC 8805 text; every bad line is reported, good ones are kept.
    pub fn read(file: FileId, source: &SourceFile, problems: &mut Problems) -> Overrides {
        let _ = (file, source, problems);
        Overrides::default()
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
        let _ = (progress, visit, &self.databases, &self.asn, &self.overrides);
        Ok(())
    }

    /// What is known of one address, and who says so.
    pub fn locate(&self, address: IpAddr) -> Result<(Option<Location>, Origin), LocationError> {
        let _ = address;
        Ok((None, Origin::Nothing))
    }

    /// What must be shown where results are shown, each once.
    pub fn attributions(&self) -> Vec<&str> {
        self.databases.iter().chain(&self.asn).filter_map(Database::attribution).collect()
    }
}
