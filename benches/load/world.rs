//! The world that all servers serve: eight regions, and the networks that ask, located by one database.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::chance::Chance;
use crate::database::{Database, Location, nest};
use crate::packet::{Network, networks, networks6};

/// Regions: a name, degrees north, degrees east.
pub const REGIONS: [(&str, f64, f64); 8] = [
    ("us-east", 39.0, -77.5),
    ("us-west", 45.8, -119.7),
    ("sa-east", -23.5, -46.6),
    ("eu-west", 53.3, -6.3),
    ("eu-central", 50.1, 8.7),
    ("ap-south", 19.1, 72.9),
    ("ap-northeast", 35.7, 139.7),
    ("ap-southeast", -33.9, 151.2),
];
/// Networks drawn: the same in every run.
const SEED: u64 = 20_261_121;

/// What the configurations are made of.
pub struct World {
    /// The nested database that gdnsd and Knot read, and meridian too.
    pub database: PathBuf,
    /// The IPv4 networks that are asked for, all of them located.
    pub networks: Vec<Network>,
    /// The same of IPv6.
    pub networks6: Vec<Network>,
    /// Countries with the region that most of the drawn networks in them are nearest to.
    pub countries: Vec<(String, usize)>,
}

impl World {
    /// Nests the database into `folder` unless it is there, and draws the networks.
    pub fn make(folder: &Path, v4: &Path, v6: &Path) -> Result<World> {
        let database = folder.join("city.mmdb");
        let (v4, v6) = (Database::open(v4)?, Database::open(v6)?);
        if !database.exists() {
            let nested = nest(&v4, &v6)?;
            std::fs::create_dir_all(folder)?;
            let partial = folder.join("city.mmdb.partial");
            std::fs::write(&partial, nested)?;
            std::fs::rename(&partial, &database)?;
        }
        let locate = |address: IpAddr| {
            let database = if address.is_ipv4() { &v4 } else { &v6 };
            database.locate(address).ok().flatten()
        };
        let is_located = |address| locate(address).is_some_and(|location| location.coordinates.is_some());
        let mut chance = Chance::seeded(SEED);
        let networks = networks(&mut chance, is_located);
        let networks6 = networks6(&mut chance, is_located);
        let countries = countries(networks.iter().filter_map(|network| locate(network.address)));
        Ok(World { database, networks, networks6, countries })
    }
}

/// Each country's most frequent nearest region.
fn countries(locations: impl Iterator<Item = Location>) -> Vec<(String, usize)> {
    let mut votes: HashMap<String, [u32; REGIONS.len()]> = HashMap::new();
    for location in locations {
        if let (Some(region), Some(country)) = (nearest(&location), location.country) {
            votes.entry(country).or_default()[region] += 1;
        }
    }
    let winner = |votes: &[u32; REGIONS.len()]| {
        (0..REGIONS.len()).max_by_key(|region| votes[*region]).unwrap_or_default()
    };
    let mut countries: Vec<_> = votes.into_iter().map(|(country, votes)| (country, winner(&votes))).collect();
    countries.sort();
    countries
}

/// The region at the least great-circle distance, by the haversine.
fn nearest(location: &Location) -> Option<usize> {
    let (north, east) = location.coordinates?;
    let haversine = |(_, to_north, to_east): &(&str, f64, f64)| {
        let half_sine = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
        half_sine(north, *to_north)
            + north.to_radians().cos() * to_north.to_radians().cos() * half_sine(east, *to_east)
    };
    (0..REGIONS.len()).min_by(|a, b| haversine(&REGIONS[*a]).total_cmp(&haversine(&REGIONS[*b])))
}
