//! A small world that needs no download: networks with places, drawn alike on every machine. Instruction
//! counts over it are for comparing one commit with the next; the full database costs more cache, hardly
//! more instructions.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::chance::Chance;
use crate::packet::{Kind, Network, Queries};
use crate::servers::{Locations, Probes, write_configuration};
use crate::world::REGIONS;

/// Networks with a place.
const NETWORKS: usize = 4096;
/// The draw.
const SEED: u64 = 5;

/// Writes the configuration into a folder; returns its file and the networks to ask for.
pub fn write(folder: &Path) -> Result<(PathBuf, Vec<Network>)> {
    let mut chance = Chance::seeded(SEED);
    let mut places = String::new();
    let mut networks: Vec<(u32, u32)> = Vec::new();
    while networks.len() < NETWORKS {
        let bits = 12 + chance.below(13);
        let first = chance.next() as u32 & (u32::MAX << (32 - bits));
        // Each octet of the first half of the space, so that the short networks do not cover all of it.
        if first >> 24 == 0 || first >> 31 == 1 || networks.contains(&(first, bits)) {
            continue;
        }
        let north = f64::from(chance.below(12_000)) / 100.0 - 55.0;
        let east = f64::from(chance.below(36_000)) / 100.0 - 180.0;
        writeln!(places, "{}/{bits},,,,,{north:.2},{east:.2}", Ipv4Addr::from(first))?;
        networks.push((first, bits));
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("places.csv"), places)?;
    let asked = networks.iter().map(|(first, bits)| {
        let inside = chance.next() as u32 & !(u32::MAX << (32 - bits)) & 0xffff_ff00;
        Network { address: IpAddr::from(Ipv4Addr::from(first | inside)), bits: 24 }
    });
    let asked = asked.collect();
    let file = write_configuration(folder, Locations::Overrides("places.csv"), 5300, 1, Probes::OfShop)?;
    Ok((file, asked))
}

/// The queries of one kind over it.
pub fn queries(kind: Kind, networks: &[Network]) -> Result<Queries> {
    Ok(match kind {
        Kind::Static | Kind::Tcp => Queries::of_static_names(&mut Chance::seeded(SEED)),
        Kind::Subnet | Kind::Weighted => Queries::of_networks(kind, networks, REGIONS.len()),
        Kind::Cookie => Queries::of_static_names_with_cookie(&mut Chance::seeded(SEED)),
        Kind::Nxdomain => Queries::of_absent_names(),
        Kind::Subnet6 => return Err("the small world has no IPv6 networks".into()),
    })
}
