//! One location database for every server: DB-IP's city data in MaxMind's nested schema.
//!
//! DB-IP's files as ip-location-db publishes them have a flat schema of their own, one file a family;
//! gdnsd and Knot read neither. The trees are kept node for node, the IPv4 one is grafted to `::/96`
//! where MaxMind has it, and only the records at their ends are rewritten: no network is lost or merged.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use crate::Result;

/// What precedes the metadata at the end of a file.
const METADATA_MARK: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// Zeros between the tree and the data, counted by the numbers in the tree.
const SEPARATOR_OCTETS: usize = 16;
/// The depth of the IPv4 space in the IPv6 tree.
const GRAFT_BITS: usize = 96;
const TYPE_POINTER: u8 = 1;
const TYPE_STRING: u8 = 2;
const TYPE_DOUBLE: u8 = 3;
const TYPE_U16: u8 = 5;
const TYPE_U32: u8 = 6;
const TYPE_MAP: u8 = 7;
const TYPE_U64: u8 = 9;
const TYPE_ARRAY: u8 = 11;
const TYPE_FLOAT: u8 = 15;

/// What a record says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Location {
    /// ISO 3166-1.
    pub country: Option<String>,
    /// The first subdivision's name.
    pub subdivision: Option<String>,
    /// The city's name.
    pub city: Option<String>,
    /// Degrees north and east.
    pub coordinates: Option<(f64, f64)>,
}

/// A file in memory, of either schema.
pub struct Database {
    octets: Vec<u8>,
    nodes: usize,
    record_bits: usize,
    tree_octets: usize,
    ip_version: u64,
    epoch: u64,
}

/// Where a branch of the tree leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Branch {
    Node(usize),
    Nothing,
    /// An offset in the data section.
    Record(usize),
}

impl Database {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Database> {
        let octets = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mark = octets.windows(METADATA_MARK.len()).rposition(|window| window == METADATA_MARK);
        let start = mark.ok_or("no MaxMind database")? + METADATA_MARK.len();
        let metadata = Values { data: &octets[start..] }.read(0)?.0;
        let number = |key: &str| metadata.get(key).and_then(Value::number).ok_or("incomplete metadata");
        let (nodes, record_bits) = (number("node_count")? as usize, number("record_size")? as usize);
        let (ip_version, epoch) = (number("ip_version")?, number("build_epoch")?);
        let tree_octets = nodes * record_bits / 4;
        Ok(Database { octets, nodes, record_bits, tree_octets, ip_version, epoch })
    }

    /// The location of an address.
    pub fn locate(&self, address: IpAddr) -> Result<Option<Location>> {
        let (mut branch, mut bits) = match address {
            IpAddr::V4(address) => (self.ipv4_root(), u128::from(u32::from(address)) << 96),
            IpAddr::V6(address) => (Branch::Node(0), u128::from(address)),
        };
        while let Branch::Node(node) = branch {
            branch = self.branch(node, bits >> 127 == 1);
            bits <<= 1;
        }
        match branch {
            Branch::Record(offset) => Ok(Some(self.location(offset)?)),
            _ => Ok(None),
        }
    }

    fn ipv4_root(&self) -> Branch {
        let mut branch = Branch::Node(0);
        let depth = if self.ip_version == 6 { GRAFT_BITS } else { 0 };
        for _ in 0..depth {
            if let Branch::Node(node) = branch {
                branch = self.branch(node, false);
            }
        }
        branch
    }

    fn branch(&self, node: usize, right: bool) -> Branch {
        let octets = &self.octets[node * self.record_bits / 4..][..self.record_bits / 4];
        let big_endian = |octets: &[u8]| octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
        let number = match (self.record_bits, right) {
            (28, false) => usize::from(octets[3] >> 4) << 24 | big_endian(&octets[..3]),
            (28, true) => usize::from(octets[3] & 15) << 24 | big_endian(&octets[4..]),
            (_, false) => big_endian(&octets[..octets.len() / 2]),
            (_, true) => big_endian(&octets[octets.len() / 2..]),
        };
        match number.checked_sub(self.nodes) {
            None => Branch::Node(number),
            Some(0) => Branch::Nothing,
            Some(past) => Branch::Record(past - SEPARATOR_OCTETS),
        }
    }

    fn location(&self, offset: usize) -> Result<Location> {
        let data = &self.octets[self.tree_octets + SEPARATOR_OCTETS..];
        let value = Values { data }.read(offset)?.0;
        let text = |path: &[&str]| value.at(path).and_then(Value::text).filter(|text| !text.is_empty());
        let number = |path: &[&str]| value.at(path).and_then(Value::real);
        let coordinates = |latitude: &[&str], longitude: &[&str]| number(latitude).zip(number(longitude));
        Ok(Location {
            country: text(&["country_code"]).or(text(&["country", "iso_code"])),
            subdivision: text(&["state1"]),
            city: text(&["city"]).or(text(&["city", "names", "en"])),
            coordinates: coordinates(&["latitude"], &["longitude"])
                .or(coordinates(&["location", "latitude"], &["location", "longitude"])),
        })
    }
}

/// Writes the nested database of both families.
pub fn nest(v4: &Database, v6: &Database) -> Result<Vec<u8>> {
    let mut tree = Grafted::new(v4, v6)?;
    let mut data = Data::default();
    for (file, source) in [v6, v4].into_iter().enumerate() {
        let mut offsets = HashMap::new();
        for branch in tree.branches.iter_mut().flatten() {
            let Place::Record(of, offset) = *branch else { continue };
            if of != file {
                continue;
            }
            let written = match offsets.get(&offset) {
                Some(written) => *written,
                None => {
                    let written = data.location(&source.location(offset)?);
                    offsets.insert(offset, written);
                    written
                }
            };
            *branch = Place::Written(written);
        }
    }
    let mut out = Vec::with_capacity(tree.branches.len() * 8 + data.octets.len() + 1024);
    let nodes = tree.branches.len();
    for branch in tree.branches.iter().flatten() {
        let number = match *branch {
            Place::Node(node) => node,
            Place::Written(offset) => nodes + SEPARATOR_OCTETS + offset,
            Place::Nothing | Place::Record(..) => nodes,
        };
        out.extend(u32::try_from(number)?.to_be_bytes());
    }
    out.extend([0; SEPARATOR_OCTETS]);
    out.extend(&data.octets);
    out.extend(METADATA_MARK);
    out.extend(metadata(nodes, v4.epoch.max(v6.epoch)));
    Ok(out)
}

/// Where a branch of the new tree leads.
#[derive(Clone, Copy, Debug)]
enum Place {
    Node(usize),
    Nothing,
    /// A file and an offset in it.
    Record(usize, usize),
    /// An offset in the new data.
    Written(usize),
}

/// Both trees in one.
struct Grafted {
    branches: Vec<[Place; 2]>,
}

impl Grafted {
    fn new(v4: &Database, v6: &Database) -> Result<Grafted> {
        if (v4.ip_version, v6.ip_version) != (4, 6) {
            return Err("one database of each family is needed".into());
        }
        let mut tree = Grafted { branches: Vec::with_capacity(v4.nodes + v6.nodes + GRAFT_BITS) };
        for (file, source, first) in [(0, v6, 0), (1, v4, v6.nodes)] {
            for node in 0..source.nodes {
                let place = |right| match source.branch(node, right) {
                    Branch::Node(node) => Place::Node(first + node),
                    Branch::Nothing => Place::Nothing,
                    Branch::Record(offset) => Place::Record(file, offset),
                };
                tree.branches.push([place(false), place(true)]);
            }
        }
        tree.graft(v6.nodes);
        Ok(tree)
    }

    /// Hangs the node `root` at `::/96`, whatever was there.
    fn graft(&mut self, root: usize) {
        let mut node = 0;
        for _ in 1..GRAFT_BITS {
            node = match self.branches[node][0] {
                Place::Node(next) => next,
                end => {
                    self.branches.push([end, end]);
                    let next = self.branches.len() - 1;
                    self.branches[node][0] = Place::Node(next);
                    next
                }
            };
        }
        self.branches[node][0] = Place::Node(root);
    }
}

/// A data section in the making; every text is written once.
#[derive(Default)]
struct Data {
    octets: Vec<u8>,
    texts: HashMap<String, usize>,
    locations: HashMap<Vec<u8>, usize>,
}

impl Data {
    /// Writes a location as MaxMind's City schema has it; returns its offset.
    fn location(&mut self, location: &Location) -> usize {
        let mut record = Vec::new();
        let names = |data: &mut Data, record: &mut Vec<u8>, name: &str| {
            head(record, TYPE_MAP, 1);
            data.text(record, "names");
            head(record, TYPE_MAP, 1);
            data.text(record, "en");
            data.text(record, name);
        };
        let parts = [
            location.country.is_some(),
            location.subdivision.is_some(),
            location.city.is_some(),
            location.coordinates.is_some(),
        ];
        head(&mut record, TYPE_MAP, parts.iter().filter(|part| **part).count());
        if let Some(country) = &location.country {
            self.text(&mut record, "country");
            head(&mut record, TYPE_MAP, 1);
            self.text(&mut record, "iso_code");
            self.text(&mut record, country);
        }
        if let Some(subdivision) = &location.subdivision {
            self.text(&mut record, "subdivisions");
            head(&mut record, TYPE_ARRAY, 1);
            names(self, &mut record, subdivision);
        }
        if let Some(city) = &location.city {
            self.text(&mut record, "city");
            names(self, &mut record, city);
        }
        if let Some((latitude, longitude)) = location.coordinates {
            self.text(&mut record, "location");
            head(&mut record, TYPE_MAP, 2);
            for (key, value) in [("latitude", latitude), ("longitude", longitude)] {
                self.text(&mut record, key);
                head(&mut record, TYPE_DOUBLE, 8);
                record.extend(value.to_be_bytes());
            }
        }
        if let Some(offset) = self.locations.get(&record) {
            return *offset;
        }
        let offset = self.octets.len();
        self.octets.extend(&record);
        self.locations.insert(record, offset);
        offset
    }

    /// Appends a pointer to a text.
    fn text(&mut self, record: &mut Vec<u8>, text: &str) {
        let offset = match self.texts.get(text) {
            Some(offset) => *offset,
            None => {
                let offset = self.octets.len();
                write_text(&mut self.octets, text);
                self.texts.insert(text.to_owned(), offset);
                offset
            }
        };
        // The longest form of a pointer: 32 bits.
        record.push(TYPE_POINTER << 5 | 3 << 3);
        record.extend((offset as u32).to_be_bytes());
    }
}

/// The type and size before a value. Sizes here stay below 285.
fn head(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, rest) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
    match kind {
        0..=7 => out.push(kind << 5 | short),
        _ => out.extend([short, kind - 7]),
    }
    out.extend(rest);
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(284);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    head(out, TYPE_STRING, end);
    out.extend(&text.as_bytes()[..end]);
}

fn metadata(nodes: usize, epoch: u64) -> Vec<u8> {
    let mut out = Vec::new();
    head(&mut out, TYPE_MAP, 9);
    let number = |out: &mut Vec<u8>, key: &str, kind: u8, octets: &[u8]| {
        write_text(out, key);
        head(out, kind, octets.len());
        out.extend(octets);
    };
    number(&mut out, "binary_format_major_version", TYPE_U16, &[2]);
    number(&mut out, "binary_format_minor_version", TYPE_U16, &[]);
    number(&mut out, "build_epoch", TYPE_U64, &epoch.to_be_bytes());
    number(&mut out, "ip_version", TYPE_U16, &[6]);
    number(&mut out, "node_count", TYPE_U32, &(nodes as u32).to_be_bytes());
    number(&mut out, "record_size", TYPE_U16, &[32]);
    write_text(&mut out, "database_type");
    write_text(&mut out, "DBIP-City-Lite");
    write_text(&mut out, "description");
    head(&mut out, TYPE_MAP, 1);
    write_text(&mut out, "en");
    write_text(&mut out, "IP to City Lite by DB-IP.com, CC BY 4.0, nested for comparison");
    write_text(&mut out, "languages");
    head(&mut out, TYPE_ARRAY, 1);
    write_text(&mut out, "en");
    out
}

/// A decoded value.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(u64),
    Real(f64),
    Map(Vec<(String, Value)>),
    Array,
}

impl Value {
    fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(entries) = self else { return None };
        entries.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    fn number(&self) -> Option<u64> {
        if let Value::Number(number) = self { Some(*number) } else { None }
    }

    fn real(&self) -> Option<f64> {
        if let Value::Real(real) = self { Some(*real) } else { None }
    }

    fn text(&self) -> Option<String> {
        if let Value::Text(text) = self { Some(text.clone()) } else { None }
    }
}

/// A data section being read.
struct Values<'d> {
    data: &'d [u8],
}

impl Values<'_> {
    /// The value at an offset and where it ends.
    fn read(&self, at: usize) -> Result<(Value, usize)> {
        let control = self.octet(at)?;
        let mut at = at + 1;
        let mut kind = control >> 5;
        if kind == TYPE_POINTER {
            let (target, end) = self.pointer(control, at)?;
            return Ok((self.read(target)?.0, end));
        }
        if kind == 0 {
            kind = self.octet(at)? + 7;
            at += 1;
        }
        let mut size = usize::from(control & 31);
        if size >= 29 {
            let more = size - 28;
            let base = [29, 285, 65_821][more - 1];
            size = base + self.number(at, more)? as usize;
            at += more;
        }
        self.body(kind, size, at)
    }

    fn body(&self, kind: u8, size: usize, mut at: usize) -> Result<(Value, usize)> {
        let end = at + size;
        let value = match kind {
            TYPE_STRING => Value::Text(String::from_utf8_lossy(self.octets(at, size)?).into_owned()),
            TYPE_DOUBLE => Value::Real(f64::from_bits(self.number(at, 8)?)),
            TYPE_FLOAT => Value::Real(f64::from(f32::from_bits(self.number(at, 4)? as u32))),
            TYPE_U16 | TYPE_U32 | TYPE_U64 | 8 => Value::Number(self.number(at, size)?),
            TYPE_MAP => {
                let mut entries = Vec::with_capacity(size);
                for _ in 0..size {
                    let (key, value_at) = self.read(at)?;
                    let (value, end) = self.read(value_at)?;
                    entries.push((key.text().ok_or("a key that is no text")?, value));
                    at = end;
                }
                return Ok((Value::Map(entries), at));
            }
            TYPE_ARRAY => {
                for _ in 0..size {
                    at = self.read(at)?.1;
                }
                return Ok((Value::Array, at));
            }
            _ => return Err(format!("type {kind} is not expected here").into()),
        };
        Ok((value, end))
    }

    fn pointer(&self, control: u8, at: usize) -> Result<(usize, usize)> {
        let octets = usize::from(control >> 3 & 3) + 1;
        let high = if octets == 4 { 0 } else { usize::from(control & 7) << (8 * octets) };
        let base = [0, 2048, 526_336, 0][octets - 1];
        Ok((base + (high | self.number(at, octets)? as usize), at + octets))
    }

    fn octet(&self, at: usize) -> Result<u8> {
        Ok(self.octets(at, 1)?[0])
    }

    fn number(&self, at: usize, octets: usize) -> Result<u64> {
        Ok(self.octets(at, octets)?.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
    }

    fn octets(&self, at: usize, octets: usize) -> Result<&[u8]> {
        Ok(self.data.get(at..at + octets).ok_or("a value past the end")?)
    }
}
