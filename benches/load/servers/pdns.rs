//! PowerDNS's words. As with Knot, every country is given a region: its geoip backend has no distances.

use std::fmt::Write as _;
use std::path::Path;

use super::{Site, TTL_S, words, write};
use crate::Result;
use crate::packet::{self, STATIC_NAMES, ZONE, endpoint_address, static_address};
use crate::world::{REGIONS, World};

impl Site<'_> {
    pub(super) fn pdns(&self) -> Result<Vec<String>> {
        let text = format!(
            "local-address=127.0.0.1\nlocal-port={port}\nlaunch=geoip\n\
             geoip-database-files=mmdb:{database}\ngeoip-zones-file={folder}/zones.yaml\n\
             edns-subnet-processing=yes\nreceiver-threads={workers}\ndistributor-threads={workers}\n\
             reuseport={reuseport}\nsocket-dir={folder}\nwrite-pid=no\ndaemon=no\nguardian=no\n\
             disable-syslog=yes\nloglevel=3\nsecurity-poll-suffix=\n",
            port = self.port,
            workers = self.workers,
            reuseport = if self.workers > 1 { "yes" } else { "no" },
            database = self.world.database.display(),
            folder = self.folder.display(),
        );
        write(&self.folder.join("pdns.conf"), &text)?;
        Ok(words(&["pdns_server", &format!("--config-dir={}", self.folder.display())]))
    }
}

pub(super) fn write_zone(folder: &Path, world: &World, canary: u8) -> Result<()> {
    let mut text =
        format!("mapping_lookup_formats: ['%cc', 'default']\ncustom_mapping:\n  default: {}\n", REGIONS[0].0);
    for (country, region) in &world.countries {
        writeln!(text, "  '{}': {}", country.to_lowercase(), REGIONS[*region].0)?;
    }
    write!(
        text,
        "domains:\n- domain: {ZONE}\n  ttl: {TTL_S}\n  records:\n    {ZONE}:\n      \
         - soa: ns1.{ZONE} hostmaster.{ZONE} {serial} 3600 900 604800 60\n      - ns: ns1.{ZONE}\n    \
         ns1.{ZONE}:\n      - a: 127.0.0.1\n    canary.{ZONE}:\n      - a: {canary}\n",
        serial = 1 + u32::from(canary),
        canary = packet::canary_address(canary),
    )?;
    for (region, (name, _, _)) in REGIONS.iter().enumerate() {
        writeln!(text, "    {name}.{ZONE}:\n      - a: {}", endpoint_address(region, 0))?;
    }
    for number in 0..STATIC_NAMES {
        writeln!(text, "    host-{number}.{ZONE}:\n      - a: {}", static_address(number))?;
    }
    write!(text, "  services:\n    www.{ZONE}: [ '%mp.{ZONE}' ]\n")?;
    write(&folder.join("zones.yaml"), &text)
}
