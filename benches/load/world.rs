//! The world that all servers serve: eight regions, a zone of static names, steered names over the same
//! location database; written down in each server's own words.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::chance::Chance;
use crate::database::{Database, Location, nest};
use crate::packet::{STATIC_NAMES, ZONE, endpoint_address, networks, static_address};

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
/// The shares of a region's two endpoints under `shop`.
const WEIGHTS: [u32; 2] = [70, 30];
/// The TTL of everything that is asked, in seconds.
const TTL_S: u32 = 60;
/// Networks drawn: the same in every run.
const SEED: u64 = 20_261_121;

/// What meridian probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probes {
    /// Nothing: the endpoints of a served zone do not exist.
    Nothing,
    /// The endpoints of `shop`: where states are given and not measured.
    OfShop,
}

/// What the configurations are made of.
pub struct World {
    /// The nested database that gdnsd and Knot read, and meridian too.
    pub database: PathBuf,
    /// The /24 networks that are asked for, all of them located.
    pub networks: Vec<Ipv4Addr>,
    /// Countries with the region that most of the drawn networks in them are nearest to.
    countries: Vec<(String, usize)>,
}

impl World {
    /// Nests the database into `folder` unless it is there, and draws the networks.
    pub fn make(folder: &Path, v4: &Path, v6: &Path) -> Result<World> {
        let database = folder.join("city.mmdb");
        let v4 = Database::open(v4)?;
        if !database.exists() {
            let nested = nest(&v4, &Database::open(v6)?)?;
            std::fs::create_dir_all(folder)?;
            let partial = folder.join("city.mmdb.partial");
            std::fs::write(&partial, nested)?;
            std::fs::rename(&partial, &database)?;
        }
        let locate = |network| v4.locate(network).ok().flatten();
        let mut chance = Chance::seeded(SEED);
        let networks = networks(&mut chance, |network| {
            locate(network).is_some_and(|location| location.coordinates.is_some())
        });
        let countries = countries(networks.iter().filter_map(|network| locate(*network)));
        Ok(World { database, networks, countries })
    }

    /// Writes meridian's configuration; returns the file.
    pub fn write_meridian(&self, folder: &Path, port: u16, probes: Probes) -> Result<PathBuf> {
        let mut text = format!(
            "[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = 1\n\n[control]\nlisten = \"off\"\n\n\
             [geoip]\ndatabase = {:?}\n\n",
            self.database
        );
        for (name, north, east) in REGIONS {
            writeln!(text, "[regions.{name}]\nat = [{north:?}, {east:?}]")?;
        }
        for (pool, places) in [("www", 1), ("shop", 2)] {
            writeln!(text, "\n[pools.{pool}]")?;
            if probes == Probes::OfShop && pool == "shop" {
                writeln!(text, "monitor = \"shop\"")?;
            }
            writeln!(text, "endpoints = [")?;
            for (region, (name, _, _)) in REGIONS.iter().enumerate() {
                for (place, weight) in WEIGHTS.iter().enumerate().take(places) {
                    let address = endpoint_address(region, place);
                    writeln!(
                        text,
                        "  {{ name = \"{name}-{place}\", region = \"{name}\", address = [\"{address}\"], \
                         weight = {weight} }},"
                    )?;
                }
            }
            writeln!(text, "]\n[services.{pool}]\npolicy = {{ nearest = [\"{pool}\"] }}")?;
        }
        if probes == Probes::OfShop {
            text += "\n[monitors.shop]\nhttp = { path = \"/\" }\n";
        }
        let file = folder.join("meridian.toml");
        write(&file, &text)?;
        write(&folder.join(format!("zones/{ZONE}.zone")), &zone("", ""))?;
        let names = "[names]\n\"www\" = \"www\"\n\"shop\" = \"shop\"\n";
        write(&folder.join(format!("zones/{ZONE}.toml")), names)?;
        Ok(file)
    }

    /// Writes gdnsd's configuration: `auto_dc_coords` is its `nearest`.
    pub fn write_gdnsd(&self, folder: &Path, port: u16) -> Result<()> {
        let names: Vec<&str> = REGIONS.iter().map(|(name, _, _)| *name).collect();
        let mut coordinates = String::new();
        let mut addresses = String::new();
        let mut shares = String::new();
        let mut weighted = String::new();
        for (region, (name, north, east)) in REGIONS.iter().enumerate() {
            writeln!(coordinates, "      {name} => [ {north:?}, {east:?} ]")?;
            writeln!(addresses, "      {name} => {}", endpoint_address(region, 0))?;
            writeln!(shares, "      {name} => %weighted!{name}")?;
            writeln!(weighted, "    {name} => {{")?;
            for (place, weight) in WEIGHTS.iter().enumerate() {
                writeln!(weighted, "      e{place} => [ {}, {weight} ]", endpoint_address(region, place))?;
            }
            writeln!(weighted, "    }}")?;
        }
        let text = format!(
            "options => {{\n  listen => {{ 127.0.0.1:{port} => {{ udp_threads => 1, tcp_threads => 1 }} }}\n  \
             run_dir => \"{run}\"\n  state_dir => \"{state}\"\n}}\n\
             plugins => {{\n  weighted => {{\n    multi => false\n    service_types => up\n{weighted}  }}\n  \
             geoip => {{\n    maps => {{ world => {{\n    geoip2_db => \"{database}\"\n    \
             datacenters => [ {names} ]\n    auto_dc_coords => {{\n{coordinates}    }}\n    }} }}\n    \
             resources => {{\n    www => {{ map => world, service_types => up, dcmap => {{\n{addresses}    }} }}\n    \
             shop => {{ map => world, service_types => up, dcmap => {{\n{shares}    }} }}\n    }}\n  }}\n}}\n",
            run = folder.join("run").display(),
            state = folder.join("state").display(),
            database = self.database.display(),
            names = names.join(", "),
        );
        write(&folder.join("config"), &text)?;
        let steered = |name: &str| format!("{name} {TTL_S} DYNA geoip!{name}\n");
        write(&folder.join("zones").join(ZONE), &zone(&steered("www"), &steered("shop")))
    }

    /// Writes Knot's configuration. Its module has no distances: every country is given the region that
    /// most of its drawn networks are nearest to.
    pub fn write_knot(&self, folder: &Path, port: u16) -> Result<PathBuf> {
        let text = format!(
            "server:\n    rundir: \"{run}\"\n    listen: [ 127.0.0.1@{port} ]\n    udp-workers: 1\n    \
             tcp-workers: 1\n    background-workers: 1\n    edns-client-subnet: on\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: \"{run}\"\n\
             mod-geoip:\n  - id: world\n    config-file: \"{geo}\"\n    ttl: {TTL_S}\n    mode: geodb\n    \
             geodb-file: \"{database}\"\n    geodb-key: [ country/iso_code ]\n\
             zone:\n  - domain: {ZONE}\n    storage: \"{folder}\"\n    file: \"zone\"\n    \
             zonefile-sync: -1\n    journal-content: none\n    module: mod-geoip/world\n",
            run = folder.join("run").display(),
            geo = folder.join("geo.conf").display(),
            database = self.database.display(),
            folder = folder.display(),
        );
        let mut geo = format!("www.{ZONE}:\n");
        for (country, region) in &self.countries {
            writeln!(geo, "  - geo: \"{country}\"\n    A: {}", endpoint_address(*region, 0))?;
        }
        writeln!(geo, "  - geo: \"*\"\n    A: {}", endpoint_address(0, 0))?;
        std::fs::create_dir_all(folder.join("run"))?;
        let file = folder.join("knot.conf");
        write(&file, &text)?;
        write(&folder.join("geo.conf"), &geo)?;
        // The module answers in place of what the zone says at that name.
        let www = format!("www {TTL_S} A {}\n", endpoint_address(0, 0));
        write(&folder.join("zone"), &zone(&www, ""))?;
        Ok(file)
    }
}

/// The zone's master file with the lines of steered names, where they stand in it.
fn zone(www: &str, shop: &str) -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL {TTL_S}\n@ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\n\
         ns1 A 127.0.0.1\n{www}{shop}"
    );
    for number in 0..STATIC_NAMES {
        text += &format!("host-{number} A {}\n", static_address(number));
    }
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(path, text)?)
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
