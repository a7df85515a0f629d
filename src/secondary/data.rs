//! The data of a zone as a primary sent them, and as differences change them.

use std::collections::HashMap;
use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use super::limits::Limits;
use super::soa::Soa;
use crate::wire::{Name, Rtype, name_octets, name_text};

/// What the first line of a stored zone begins with: the form of what follows is its number.
const HEAD: &str = "meridian zone 1 ";
/// A first line is shorter.
const HEAD_OCTETS_MAX: usize = 128;
/// In a stored zone, in place of an owner: the same as before. No name begins with it.
const SAME_OWNER: u8 = 0xc0;

/// A record: owner and data are ranges of a common store, for zones can have millions.
#[derive(Clone, Copy, Debug)]
struct Place {
    owner: (u32, u8),
    rtype: Rtype,
    ttl_s: u32,
    rdata: (u32, u16),
}

/// A record of a zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held<'d> {
    /// Wire form, lower case.
    pub owner: &'d [u8],
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL.
    pub ttl_s: u32,
    /// Uncompressed.
    pub rdata: &'d [u8],
}

/// What makes a record this one: its TTL does not.
type Key<'d> = (&'d [u8], Rtype, &'d [u8]);

impl<'d> Held<'d> {
    fn key(&self) -> Key<'d> {
        (self.owner, self.rtype, self.rdata)
    }
}

impl std::fmt::Display for Held<'_> {
    /// Owner and type: enough to find it at the primary.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", name_text(self.owner), self.rtype)
    }
}

/// Records one after the other, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Store {
    places: Vec<Place>,
    octets: Vec<u8>,
}

/// A transfer is larger than its limits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TooLarge {
    /// It has more records.
    Records,
    /// It has more octets.
    Octets,
}

impl Store {
    /// Adds a record.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn push(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        ttl_s: u32,
        rdata: &[u8],
        limits: &Limits,
    ) -> Result<(), TooLarge> {
        if self.places.len() >= limits.records_max {
            return Err(TooLarge::Records);
        }
        let same = self.places.last().map(|last| last.owner);
        let owner = match same.filter(|same| self.range(same.0, u16::from(same.1)) == owner.octets()) {
            Some(same) => same,
            None => (self.add(owner.octets(), limits)?, owner.octets().len() as u8),
        };
        let length = u16::try_from(rdata.len()).map_err(|_| TooLarge::Octets)?;
        let rdata = (self.add(rdata, limits)?, length);
        self.places.push(Place { owner, rtype, ttl_s, rdata });
        Ok(())
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A record by its number.
    pub fn get(&self, number: usize) -> Option<Held<'_>> {
        self.places.get(number).map(|place| self.held(place))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Held<'_>> {
        self.places.iter().map(|place| self.held(place))
    }

    fn held(&self, place: &Place) -> Held<'_> {
        Held {
            owner: self.range(place.owner.0, u16::from(place.owner.1)),
            rtype: place.rtype,
            ttl_s: place.ttl_s,
            rdata: self.range(place.rdata.0, place.rdata.1),
        }
    }

    fn add(&mut self, octets: &[u8], limits: &Limits) -> Result<u32, TooLarge> {
        let start = u32::try_from(self.octets.len()).map_err(|_| TooLarge::Octets)?;
        if self.octets.len() as u64 + octets.len() as u64 > limits.octets_max {
            return Err(TooLarge::Octets);
        }
        self.octets.extend_from_slice(octets);
        Ok(start)
    }

    fn range(&self, start: u32, length: u16) -> &[u8] {
        let start = start as usize;
        self.octets.get(start..start + usize::from(length)).unwrap_or(&[])
    }

    /// By owner, type and data; of equal ones the first.
    fn sort(&mut self) {
        let mut places = std::mem::take(&mut self.places);
        places.sort_by(|a, b| self.held(a).key().cmp(&self.held(b).key()));
        places.dedup_by(|a, b| self.held(a).key() == self.held(b).key());
        self.places = places;
    }
}

/// The data of a zone, whole: every record once, sorted, with one SOA at the origin.
#[derive(Clone, Debug)]
pub struct ZoneData {
    origin: Name,
    soa: Soa,
    store: Store,
}

/// One step from a version of a zone to the next (RFC 1995 section 4).
#[derive(Clone, Debug)]
pub struct Difference {
    /// The version that it changes.
    pub from: u32,
    /// The version that it makes.
    pub to: u32,
    /// What goes, the old SOA among it.
    pub removed: std::ops::Range<usize>,
    /// What comes, the new SOA among it.
    pub added: std::ops::Range<usize>,
}

/// Steps that follow each other, and the records that they speak of.
#[derive(Clone, Debug, Default)]
pub struct Differences {
    /// In their order.
    pub steps: Vec<Difference>,
    /// Theirs.
    pub records: Store,
}

/// Why differences do not fit the data that they are for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Inconsistent {
    /// A step is not from the version that is there.
    Serial {
        /// The version that is there.
        have: u32,
        /// The version that is changed.
        from: u32,
    },
    /// What goes is not there.
    NotThere(String),
    /// What comes is there already.
    AlreadyThere(String),
    /// Afterwards there is no SOA, or more than one.
    Soa,
    /// The result is larger than allowed.
    TooLarge,
}

impl std::fmt::Display for Inconsistent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Inconsistent::Serial { have, from } => {
                write!(f, "a difference is from serial {from}, and serial {have} is here")
            }
            Inconsistent::NotThere(record) => write!(f, "{record} is removed and is not here"),
            Inconsistent::AlreadyThere(record) => write!(f, "{record} is added and is here already"),
            Inconsistent::Soa => f.write_str("the differences do not leave one SOA"),
            Inconsistent::TooLarge => f.write_str("the zone becomes larger than allowed"),
        }
    }
}

/// Why octets are no stored zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// They begin with something else.
    Foreign,
    /// They end too early or too late.
    Length,
    /// They have changed.
    Checksum,
    /// They are whole and make no sense.
    Content,
    /// They are another zone's.
    OtherZone,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Damage::Foreign => "it is no stored zone, or of another version",
            Damage::Length => "it is cut, or something was added",
            Damage::Checksum => "its content has changed since it was written",
            Damage::Content => "its content makes no sense",
            Damage::OtherZone => "it is of another zone",
        })
    }
}

impl ZoneData {
    /// Out of records; `None` where they have no SOA at the origin, or several.
    pub fn new(origin: &Name, mut store: Store) -> Option<ZoneData> {
        store.sort();
        let soa = soa_of(origin, &store)?;
        Some(ZoneData { origin: *origin, soa, store })
    }

    /// Its origin.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// Its SOA.
    pub fn soa(&self) -> &Soa {
        &self.soa
    }

    /// Its records by owner, type and data.
    pub fn records(&self) -> &Store {
        &self.store
    }

    /// What these differences make of it.
    ///
    /// # Errors
    /// When they do not fit: then the whole zone has to be transferred.
    pub fn changed(&self, differences: &Differences, limits: &Limits) -> Result<ZoneData, Inconsistent> {
        let net = self.net(differences)?;
        let mut store = Store { places: Vec::new(), octets: self.store.octets.clone() };
        store.places.reserve(self.store.places.len());
        let unchanged = |place: &&Place| !net.contains_key(&self.store.held(place).key());
        store.places.extend(self.store.places.iter().filter(unchanged));
        // Gone octets stay until they are as many as those in use.
        let mut used = Store::default();
        let all =
            Limits { records_max: limits.records_max, octets_max: u64::from(u32::MAX), ..limits.clone() };
        for ((owner, rtype, rdata), now) in net {
            if let Some(ttl_s) = now {
                let owner = Name::from_wire(owner).ok_or(Inconsistent::TooLarge)?;
                store.push(&owner, rtype, ttl_s, rdata, &all).map_err(|_| Inconsistent::TooLarge)?;
            }
        }
        let octets: u64 = store.iter().map(|held| (held.rdata.len() + held.owner.len()) as u64).sum();
        if octets > limits.octets_max.max(self.store.octets.len() as u64) {
            return Err(Inconsistent::TooLarge);
        }
        if store.octets.len() as u64 > octets.saturating_mul(2) {
            store.sort();
            for held in store.iter() {
                let owner = Name::from_wire(held.owner).ok_or(Inconsistent::TooLarge)?;
                let pushed = used.push(&owner, held.rtype, held.ttl_s, held.rdata, &all);
                pushed.map_err(|_| Inconsistent::TooLarge)?;
            }
            store = used;
        }
        ZoneData::new(&self.origin, store).ok_or(Inconsistent::Soa)
    }

    /// What becomes of every record that the differences speak of: its TTL, or nothing.
    fn net<'d>(&self, differences: &'d Differences) -> Result<HashMap<Key<'d>, Option<u32>>, Inconsistent> {
        let mut net: HashMap<Key<'d>, Option<u32>> = HashMap::new();
        let mut serial = self.soa.serial;
        for step in &differences.steps {
            if step.from != serial {
                return Err(Inconsistent::Serial { have: serial, from: step.from });
            }
            for held in step.removed.clone().filter_map(|number| differences.records.get(number)) {
                let is_there = net.get(&held.key()).map_or_else(|| self.has(&held), Option::is_some);
                if !is_there {
                    return Err(Inconsistent::NotThere(held.to_string()));
                }
                net.insert(held.key(), None);
            }
            for held in step.added.clone().filter_map(|number| differences.records.get(number)) {
                let is_there = net.get(&held.key()).map_or_else(|| self.has(&held), Option::is_some);
                if is_there {
                    return Err(Inconsistent::AlreadyThere(held.to_string()));
                }
                net.insert(held.key(), Some(held.ttl_s));
            }
            serial = step.to;
        }
        Ok(net)
    }

    fn has(&self, held: &Held<'_>) -> bool {
        let key = held.key();
        self.store.places.binary_search_by(|place| self.store.held(place).key().cmp(&key)).is_ok()
    }

    /// The form in which it is stored: a line that says what follows and how to tell that it is whole, the
    /// origin, then every record.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut body = self.origin.octets().to_vec();
        let mut last: &[u8] = &[];
        for held in self.store.iter() {
            if held.owner == last {
                body.push(SAME_OWNER);
            } else {
                body.extend_from_slice(held.owner);
            }
            last = held.owner;
            body.extend_from_slice(&held.rtype.0.to_be_bytes());
            body.extend_from_slice(&held.ttl_s.to_be_bytes());
            body.extend_from_slice(&(held.rdata.len() as u16).to_be_bytes());
            body.extend_from_slice(held.rdata);
        }
        let mut octets = head(&body).into_bytes();
        octets.extend(body);
        octets
    }

    /// Reads a stored zone.
    ///
    /// # Errors
    /// When it is not what was stored of this zone.
    pub fn from_octets(origin: &Name, octets: &[u8], limits: &Limits) -> Result<ZoneData, Damage> {
        let end = octets.iter().take(HEAD_OCTETS_MAX).position(|octet| *octet == b'\n');
        let (first, body) = end.and_then(|end| octets.split_at_checked(end + 1)).ok_or(Damage::Foreign)?;
        let text = std::str::from_utf8(first).map_err(|_| Damage::Foreign)?;
        let length = text.strip_prefix(HEAD).and_then(|rest| rest.split(' ').next());
        let length: usize = length.and_then(|length| length.parse().ok()).ok_or(Damage::Foreign)?;
        if length != body.len() {
            return Err(Damage::Length);
        }
        if text != head(body) {
            return Err(Damage::Checksum);
        }
        let stored = Name::from_wire(body).ok_or(Damage::Content)?;
        if stored != *origin {
            return Err(Damage::OtherZone);
        }
        let records = body.get(stored.octets().len()..).ok_or(Damage::Content)?;
        let store = stored_records(records, limits).ok_or(Damage::Content)?;
        ZoneData::new(origin, store).ok_or(Damage::Content)
    }
}

fn stored_records(mut rest: &[u8], limits: &Limits) -> Option<Store> {
    // What was stored under other limits is served nevertheless.
    let limits = Limits { records_max: usize::MAX, octets_max: u64::from(u32::MAX), ..limits.clone() };
    let mut store = Store::default();
    let mut owner: Option<Name> = None;
    while let Some(first) = rest.first() {
        if *first == SAME_OWNER {
            rest = rest.get(1..)?;
        } else {
            owner = Name::from_wire(rest);
            rest = rest.get(name_octets(rest)?..)?;
        }
        let (fixed, after) = rest.split_first_chunk::<8>()?;
        let [t1, t0, a, b, c, d, l1, l0] = *fixed;
        let (rdata, after) = after.split_at_checked(usize::from(u16::from_be_bytes([l1, l0])))?;
        let (rtype, ttl_s) = (Rtype(u16::from_be_bytes([t1, t0])), u32::from_be_bytes([a, b, c, d]));
        store.push(&owner?, rtype, ttl_s, rdata, &limits).ok()?;
        rest = after;
    }
    Some(store)
}

/// The first line: the length of the rest, and a SipHash-2-4 of it.
fn head(body: &[u8]) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(body);
    format!("{HEAD}{} {:032x}\n", body.len(), hasher.finish128().as_u128())
}

fn soa_of(origin: &Name, store: &Store) -> Option<Soa> {
    let mut all = store.iter().filter(|held| held.rtype == Rtype::SOA && held.owner == origin.octets());
    let soa = Soa::from_rdata(all.next()?.rdata)?;
    all.next().is_none().then_some(soa)
}
