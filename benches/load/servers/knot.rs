//! Knot's words. Its module has no distances: every country is given the region that most of its drawn
//! networks are nearest to.

use std::fmt::Write as _;

use super::{Site, TTL_S, path, words, write};
use crate::Result;
use crate::packet::{ZONE, endpoint_address};

impl Site<'_> {
    pub(super) fn knot(&self) -> Result<Vec<String>> {
        let text = format!(
            "server:\n    rundir: \"{run}\"\n    listen: [ 127.0.0.1@{port} ]\n    udp-workers: {workers}\n    \
             tcp-workers: {workers}\n    background-workers: 1\n    edns-client-subnet: on\n\
             log:\n  - target: stderr\n    any: warning\n\
             database:\n    storage: \"{run}\"\n\
             mod-geoip:\n  - id: world\n    config-file: \"{geo}\"\n    ttl: {TTL_S}\n    mode: geodb\n    \
             geodb-file: \"{database}\"\n    geodb-key: [ country/iso_code ]\n\
             zone:\n  - domain: {ZONE}\n    storage: \"{folder}\"\n    file: \"zone\"\n    \
             zonefile-sync: -1\n    journal-content: none\n    module: mod-geoip/world\n",
            run = self.folder.join("run").display(),
            port = self.port,
            workers = self.workers,
            geo = self.folder.join("geo.conf").display(),
            database = self.world.database.display(),
            folder = self.folder.display(),
        );
        let mut geo = format!("www.{ZONE}:\n");
        for (country, region) in &self.world.countries {
            writeln!(geo, "  - geo: \"{country}\"\n    A: {}", endpoint_address(*region, 0))?;
        }
        writeln!(geo, "  - geo: \"*\"\n    A: {}", endpoint_address(0, 0))?;
        std::fs::create_dir_all(self.folder.join("run"))?;
        let file = self.folder.join("knot.conf");
        write(&file, &text)?;
        write(&self.folder.join("geo.conf"), &geo)?;
        Ok(words(&["knotd", "-c", &path(&file)]))
    }
}
