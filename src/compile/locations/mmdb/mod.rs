//! Users' databases: MaxMind's file format, in MaxMind's and in ip-location-db's schema.
//!
//! Addresses are looked up and records read by the maxminddb crate, which checks bounds and limits how much
//! one record may expand to. Walks over all networks are ours (`tree`): a hostile tree can share its nodes so
//! that walking it never ends, so a walk counts its networks, those without a record too.

mod record;
mod tree;

use std::net::IpAddr;
use std::sync::Arc;

use maxminddb::{MaxMindDbError, Reader};

use self::record::Record;
use self::tree::{Astray, Leaves, Tree};
use super::centroids::Centroids;
use super::{LocationError, Run};
use crate::geo::{ClientPrefix, Location};
use crate::ids::Family;

/// The largest file in octets: four times the largest commercial city database. Records are also
/// numbered by their place in the file, in 32 bits.
const FILE_OCTETS_MAX: usize = 2 << 30;

/// More leaves than this for each node, and a tree shares its nodes so much that it is not a database but
/// a trap. A plain tree has one leaf more than nodes; ours of IPv6 avoids the parts that are shared.
const LEAVES_PER_NODE_MAX: u64 = 8;

/// Leaves that any tree may have besides: a walk over IPv6 has about 150 starting points.
const LEAVES_FREE: u64 = 4096;

/// How many networks are looked at to learn whether a file holds places or system numbers at all.
const PROBED_NETWORKS_MAX: usize = 20_000;

/// How many distinct records likewise.
const PROBED_RECORDS_MAX: usize = 200;

/// The parts of the IPv6 tree that are no IPv6 networks of their own: the IPv4 tree and the places where
/// databases repeat it (mapped, Teredo, 6to4). Semantics: the IPv4 inside is looked up as such.
const IPV4_INSIDE: [(u128, u8); 4] =
    [(0, 96), (0xffff << 32, 96), (0x2001_0000 << 96, 32), (0x2002 << 112, 16)];

/// How deep the IPv4 tree is in one of IPv6.
const IPV4_DEPTH: u8 = 96;

const MEND: &str = "download it again, or use another database";

/// What the records of a file tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    /// Places.
    Locations,
    /// Autonomous system numbers only.
    SystemNumbers,
}

/// A file in memory, shared with the crate's reader.
#[derive(Clone)]
struct Octets(Arc<Vec<u8>>);

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// An opened MaxMind database.
pub(super) struct Mmdb {
    name: String,
    octets: Octets,
    reader: Reader<Octets>,
    centroids: &'static Centroids,
    content: Content,
    has: [bool; 2],
}

impl Mmdb {
    /// Opens a file: its structure is checked as far as its start and its end go, the rest when it is
    /// walked.
    pub(super) fn open(bytes: Vec<u8>, name: &str) -> Result<Mmdb, LocationError> {
        if bytes.len() > FILE_OCTETS_MAX {
            return Err(LocationError::new(name, "is larger than 2 GiB", "use a city or country database"));
        }
        let octets = Octets(Arc::new(bytes));
        let reader = Reader::from_source(octets.clone()).map_err(|error| refused(name, &error))?;
        let centroids = Centroids::embedded();
        let (name, content) = (name.to_owned(), Content::Locations);
        let mut mmdb = Mmdb { name, octets, reader, centroids, content, has: [false; 2] };
        mmdb.has = [mmdb.holds_any(Family::V4)?, mmdb.holds_any(Family::V6)?];
        mmdb.content = mmdb.probe_content()?;
        Ok(mmdb)
    }

    /// What the records tell.
    pub(super) fn content(&self) -> Content {
        self.content
    }

    /// Whether it knows any network of a family.
    pub(super) fn has(&self, family: Family) -> bool {
        self.has[family.index()]
    }

    /// Who must be named, by what the file says of its maker.
    pub(super) fn attribution(&self) -> Option<&'static str> {
        let metadata = self.reader.metadata();
        let said = metadata.description.values().chain([&metadata.database_type]);
        let said = said.map(|text| text.to_ascii_lowercase()).collect::<Vec<_>>();
        let says = |word: &str| said.iter().any(|text| text.contains(word));
        match () {
            () if says("geolite") => Some("GeoLite data created by MaxMind, https://www.maxmind.com"),
            () if says("db-ip") || says("dbip") => Some("IP Geolocation by DB-IP, https://db-ip.com"),
            () => None,
        }
    }

    /// When it was built, in seconds since 1970.
    pub(super) fn built_s(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    /// The number of leaves of the tree, for progress: a tree has one more than it has nodes.
    pub(super) fn leaves(&self) -> u64 {
        u64::from(self.reader.metadata().node_count) + 1
    }

    /// The networks of a family with their records' places, in order, disjoint.
    pub(super) fn runs(&self, family: Family) -> Runs<'_> {
        let blocks = match family {
            Family::V4 => vec![(0, 0)],
            Family::V6 if self.reader.metadata().ip_version == 6 => outside(&IPV4_INSIDE),
            Family::V6 => Vec::new(),
        };
        Runs {
            mmdb: self,
            family,
            blocks: blocks.into_iter(),
            current: None,
            seen: 0,
            seen_max: LEAVES_FREE + LEAVES_PER_NODE_MAX * self.leaves(),
            next: 0,
            ahead: None,
            failed: false,
        }
    }

    /// The place that a run's record tells; `None`: the record tells nothing.
    pub(super) fn location(&self, run: Run) -> Result<Option<Location>, LocationError> {
        let record = self.record(ClientPrefix::from_bits(run.family, run.first, 128).address())?;
        Ok(record.and_then(|record| record.location(self.centroids)))
    }

    /// The place of an address, and the network around it that has this record.
    pub(super) fn find(&self, address: IpAddr) -> Result<Option<(ClientPrefix, Location)>, LocationError> {
        if !self.has(Family::of(address)) {
            return Ok(None);
        }
        let Some(location) = self.record(address)?.and_then(|record| record.location(self.centroids)) else {
            return Ok(None);
        };
        let found = self.reader.lookup(address).and_then(|found| found.network());
        let network = found.map_err(|error| damaged(&self.name, &error))?;
        // The record may stand above the whole IPv4 tree.
        let length = if network.is_ipv4() == address.is_ipv4() { network.prefix() } else { 0 };
        Ok(Some((ClientPrefix::new(address, length), location)))
    }

    /// The file as errors call it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn record(&self, address: IpAddr) -> Result<Option<Record<'_>>, LocationError> {
        let found = self.reader.lookup(address).and_then(|found| found.decode::<Record<'_>>());
        found.map_err(|error| damaged(&self.name, &error))
    }

    fn holds_any(&self, family: Family) -> Result<bool, LocationError> {
        Ok(self.runs(family).next().transpose()?.is_some())
    }

    fn probe_content(&self) -> Result<Content, LocationError> {
        let mut numbers = false;
        let mut records = std::collections::HashSet::new();
        for run in Family::ALL
            .into_iter()
            .filter(|family| self.has(*family))
            .flat_map(|family| self.runs(family).take(PROBED_NETWORKS_MAX))
        {
            let run = run?;
            if records.len() >= PROBED_RECORDS_MAX || !records.insert(run.key) {
                continue;
            }
            match self.location(run)? {
                Some(Location {
                    coordinates: None, country: None, continent: None, asn: Some(_), ..
                }) => {
                    numbers = true;
                }
                Some(_) => return Ok(Content::Locations),
                None => {}
            }
        }
        if numbers {
            return Ok(Content::SystemNumbers);
        }
        let kind = self.reader.metadata().database_type.chars().take(60).collect::<String>();
        Err(LocationError::new(
            &self.name,
            format!(
                "has neither places nor autonomous system numbers (it is a \"{}\" database)",
                kind.escape_debug()
            ),
            "use a city, country or ASN database",
        ))
    }
}

/// The walk over one family's networks.
pub(super) struct Runs<'a> {
    mmdb: &'a Mmdb,
    family: Family,
    blocks: std::vec::IntoIter<(u128, u8)>,
    /// The leaves of a block, with its first and last address.
    current: Option<(Leaves<'a>, u128, u128)>,
    seen: u64,
    seen_max: u64,
    /// The first address that no run has had yet.
    next: u128,
    /// The run that still grows.
    ahead: Option<Run>,
    failed: bool,
}

impl Runs<'_> {
    /// Networks passed so far, with and without data.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next run: neighbours with one record together, which no network of the tree may be.
    fn step(&mut self) -> Result<Option<Run>, LocationError> {
        loop {
            let Some((leaves, first, last)) = &mut self.current else {
                let Some((bits, length)) = self.blocks.next() else { return Ok(self.ahead.take()) };
                self.current =
                    Some((self.mmdb.leaves_of(self.family, bits, length), bits, last_of(bits, length)));
                continue;
            };
            let (block_first, block_last) = (*first, *last);
            let Some(leaf) = leaves.step().map_err(|Astray| self.mmdb.endless())? else {
                self.current = None;
                continue;
            };
            self.seen += 1;
            if self.seen > self.seen_max {
                return Err(self.mmdb.endless());
            }
            let Some(key) = leaf.record else { continue };
            // A record above the block covers more than the block.
            let first = leaf.bits.max(block_first).max(self.next);
            let last = last_of(leaf.bits, leaf.depth).min(block_last);
            if first > last {
                continue;
            }
            let is_next = self.next == first;
            self.next = last.saturating_add(1);
            match &mut self.ahead {
                Some(ahead) if ahead.key == key && is_next => ahead.last = last,
                ahead => {
                    let run = Run { family: self.family, first, last, key };
                    if let Some(whole) = ahead.replace(run) {
                        return Ok(Some(whole));
                    }
                }
            }
        }
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, LocationError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

impl Mmdb {
    /// The leaves of a block of a family.
    fn leaves_of(&self, family: Family, bits: u128, length: u8) -> Leaves<'_> {
        let metadata = self.reader.metadata();
        let tree = Tree::new(self.octets.as_ref(), metadata.node_count, metadata.record_size);
        match (family, metadata.ip_version) {
            (Family::V4, 6) => tree.below_zeros(IPV4_DEPTH, 32),
            (Family::V4, _) => tree.below(bits, length, 32),
            (Family::V6, _) => tree.below(bits, length, 128),
        }
    }

    fn endless(&self) -> LocationError {
        LocationError::new(&self.name, "is damaged: its search tree does not end", MEND)
    }
}

/// The networks, in order, that together are all addresses outside `blocks`.
fn outside(blocks: &[(u128, u8)]) -> Vec<(u128, u8)> {
    let mut found = Vec::new();
    let mut pending = vec![(0u128, 0u8)];
    while let Some((bits, length)) = pending.pop() {
        let last = last_of(bits, length);
        let inside =
            |block: &&(u128, u8)| block.1 <= length && (block.0..=last_of(block.0, block.1)).contains(&bits);
        if blocks.iter().any(|block| inside(&block)) {
            continue;
        }
        if !blocks.iter().any(|block| (bits..=last).contains(&block.0)) {
            found.push((bits, length));
            continue;
        }
        let half = 1u128 << (127 - length);
        pending.push((bits | half, length + 1));
        pending.push((bits, length + 1));
    }
    found
}

fn last_of(bits: u128, length: u8) -> u128 {
    bits | u128::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

/// The file is not what it should be from the start.
fn refused(name: &str, error: &MaxMindDbError) -> LocationError {
    LocationError::new(name, format!("is not a usable MaxMind database: {}", told(error)), MEND)
}

/// The file begins well and turns out to be broken.
fn damaged(name: &str, error: &MaxMindDbError) -> LocationError {
    let kind = match error {
        MaxMindDbError::Decoding { .. } => "has a record that cannot be read",
        _ => "is damaged",
    };
    LocationError::new(name, format!("{kind}: {}", told(error)), MEND)
}

/// The crate's message on one line of bounded length: it can quote the file.
fn told(error: &MaxMindDbError) -> String {
    error.to_string().escape_debug().to_string().chars().take(200).collect()
}

#[cfg(test)]
mod tests;
