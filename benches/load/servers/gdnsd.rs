//! gdnsd's words: `auto_dc_coords` is its `nearest`.

use std::fmt::Write as _;
use std::path::Path;

use super::{Site, TTL_S, WEIGHTS, path, words, write, zone};
use crate::Result;
use crate::packet::{ZONE, endpoint_address};
use crate::world::REGIONS;

impl Site<'_> {
    pub(super) fn gdnsd(&self) -> Result<Vec<String>> {
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
            "options => {{\n  listen => {{ 127.0.0.1:{port} => {{ udp_threads => {workers}, tcp_threads => \
             {workers} }} }}\n  run_dir => \"{run}\"\n  state_dir => \"{state}\"\n}}\n\
             plugins => {{\n  weighted => {{\n    multi => false\n    service_types => up\n{weighted}  }}\n  \
             geoip => {{\n    maps => {{ world => {{\n    geoip2_db => \"{database}\"\n    \
             datacenters => [ {names} ]\n    auto_dc_coords => {{\n{coordinates}    }}\n    }} }}\n    \
             resources => {{\n    www => {{ map => world, service_types => up, dcmap => {{\n{addresses}    }} }}\n    \
             shop => {{ map => world, service_types => up, dcmap => {{\n{shares}    }} }}\n    }}\n  }}\n}}\n",
            port = self.port,
            workers = self.workers,
            run = self.folder.join("run").display(),
            state = self.folder.join("state").display(),
            database = self.world.database.display(),
            names = names.join(", "),
        );
        write(&self.folder.join("config"), &text)?;
        Ok(words(&["gdnsd", "-c", &path(&self.folder), "start"]))
    }
}

pub(super) fn write_zone(folder: &Path, canary: u8) -> Result<()> {
    let steered = format!("www {TTL_S} DYNA geoip!www\nshop {TTL_S} DYNA geoip!shop\n");
    write(&folder.join("zones").join(ZONE), &zone(&steered, canary))
}
