//! meridian's own words, with all that costs something switched on: counters, a rate limit far above the load,
//! cookies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Site, WEIGHTS, path, words, write, zone};
use crate::Result;
use crate::packet::{ZONE, endpoint_address};
use crate::world::REGIONS;

/// What cookies are made with.
const SECRET: &str = "00112233445566778899aabbccddeeff";

/// What meridian probes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probes {
    /// Nothing: the endpoints of a served zone do not exist.
    Nothing,
    /// The endpoints of `shop`: where states are given and not measured.
    OfShop,
}

impl Site<'_> {
    pub(super) fn meridian(&self, program: &Path) -> Result<Vec<String>> {
        let file = write_configuration(
            &self.folder,
            Locations::Database(&self.world.database),
            self.port,
            self.workers,
            Probes::Nothing,
        )?;
        Ok(words(&[&path(program), "serve", "--config", &path(&file)]))
    }
}

/// Where places come from.
#[derive(Clone, Copy, Debug)]
pub enum Locations<'l> {
    /// A location database.
    Database(&'l Path),
    /// A table of prefixes, beside the configuration.
    Overrides(&'l str),
}

/// Writes the configuration and the zone; returns the configuration's file.
pub fn write_configuration(
    folder: &Path,
    locations: Locations,
    port: u16,
    workers: usize,
    probes: Probes,
) -> Result<PathBuf> {
    let locations = match locations {
        Locations::Database(file) => format!("database = {file:?}"),
        Locations::Overrides(file) => format!("overrides = {file:?}"),
    };
    let mut text = format!(
        "[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = {workers}\n\n[control]\nlisten = \"off\"\n\n\
         [rate_limit]\nrate = 1000000\nburst = 100000\n\n[cookies]\nsecret = \"{SECRET}\"\n\n\
         [geoip]\n{locations}\n\n",
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
    write_zone(folder, 0)?;
    let names = "[names]\n\"www\" = \"www\"\n\"shop\" = \"shop\"\n";
    write(&folder.join(format!("zones/{ZONE}.toml")), names)?;
    Ok(file)
}

pub(super) fn write_zone(folder: &Path, canary: u8) -> Result<()> {
    write(&folder.join(format!("zones/{ZONE}.zone")), &zone("", canary))
}
