//! Prefix overrides: RFC 8805 geofeeds, with coordinates as our extension.
//!
//! `prefix,country,region,city,postal[,latitude,longitude]`. An entry wins over the databases; of two
//! nested entries the longer prefix wins. An empty country means that the network has no place
//! (RFC 8805, section 2.1.1). `#` begins a comment line.

use std::collections::HashMap;

use ipnet::IpNet;

use super::centroids::{Centroids, country_of_code};
use super::{Cursor, Run};
use crate::config::{FileId, Problems, SourceFile, Span};
use crate::geo::{ClientPrefix, Coordinates, CountryCode, Location};
use crate::ids::Family;

/// Entries in one file: several times the largest published feeds.
const ENTRIES_MAX: usize = 1_000_000;

/// Problems reported one by one: who uses the wrong file wants to know it, not every line of it.
const PROBLEMS_MAX: usize = 50;

/// Names longer than this are not names.
const NAME_OCTETS_MAX: usize = 120;

const COLUMNS: &str = "the columns are prefix,country,region,city,postal and optionally latitude,longitude";

/// Prefix overrides, read from a geofeed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Overrides {
    /// The file as it is called.
    file: Box<str>,
    /// By number.
    entries: Vec<Entry>,
    /// By family: disjoint runs in order, nested entries cut out of what they are in.
    runs: [Vec<Run>; 2],
}

/// One line of the file.
#[derive(Clone, PartialEq, Debug)]
struct Entry {
    prefix: ClientPrefix,
    /// `None`: no place.
    location: Option<Location>,
    line: usize,
}

/// The runs of one family.
pub(super) type Runs<'a> = std::iter::Copied<std::slice::Iter<'a, Run>>;

impl Overrides {
    /// Reads RFC 8805 text; every bad line is reported, good ones are kept.
    pub fn read(file: FileId, source: &SourceFile, problems: &mut Problems) -> Overrides {
        let mut reader = Reader {
            file,
            centroids: Centroids::embedded(),
            entries: Vec::new(),
            lines: HashMap::new(),
            faults: 0,
            problems,
        };
        let mut start = 0;
        for (number, line) in source.bytes.split(|byte| *byte == b'\n').enumerate() {
            reader.line(number + 1, start, line);
            start += line.len() + 1;
        }
        if reader.faults > PROBLEMS_MAX {
            let more = reader.faults - PROBLEMS_MAX;
            let span = Span { file, start: 0, end: 0 };
            reader.problems.error(span, format!("{more} more bad lines in {}", source.path), COLUMNS);
        }
        Overrides::new(&source.path, reader.entries)
    }

    fn new(file: &str, entries: Vec<Entry>) -> Overrides {
        let numbered = entries.iter().enumerate();
        let prefixes: Vec<_> = numbered.map(|(number, entry)| (entry.prefix, number as u32)).collect();
        let mut overrides = Overrides { file: file.into(), entries, ..Overrides::default() };
        for family in Family::ALL {
            let mut own =
                prefixes.iter().copied().filter(|(prefix, _)| prefix.family() == family).collect::<Vec<_>>();
            own.sort_by_key(|(prefix, _)| (prefix.bits(), prefix.length()));
            overrides.runs[family.index()] = disjoint(family, &own);
        }
        overrides
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn runs(&self, family: Family) -> Cursor<'_> {
        Cursor::Overrides(self.runs[family.index()].iter().copied())
    }

    pub(super) fn location(&self, entry: u32) -> Option<Location> {
        self.entries.get(entry as usize).and_then(|entry| entry.location.clone())
    }

    /// The network of an entry, the file and the line.
    pub(super) fn place(&self, entry: u32) -> Option<(ClientPrefix, &str, usize)> {
        self.entries.get(entry as usize).map(|entry| (entry.prefix, &*self.file, entry.line))
    }

    /// The entry that covers an address.
    pub(super) fn find(&self, host: ClientPrefix) -> Option<u32> {
        let runs = &self.runs[host.family().index()];
        let after = runs.partition_point(|run| run.first <= host.bits());
        let run = runs.get(after.checked_sub(1)?)?;
        (host.bits() <= run.last).then_some(run.key)
    }
}

/// Nested prefixes, sorted, to runs: the longest prefix wins.
fn disjoint(family: Family, prefixes: &[(ClientPrefix, u32)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // The open prefixes around the current place, outermost first: (last address, entry).
    let mut open: Vec<(u128, u32)> = Vec::new();
    let mut next = 0u128;
    let mut put = |first: u128, last: u128, key: u32| {
        if first <= last {
            runs.push(Run { family, first, last, key });
        }
    };
    let ends = prefixes.iter().map(Some).chain([None]);
    for entry in ends {
        let start = entry.map(|(prefix, _)| prefix.bits());
        while let Some((last, key)) = open.last().copied() {
            if start.is_some_and(|start| start <= last) {
                break;
            }
            open.pop();
            if next <= last {
                put(next, last, key);
                let Some(after) = last.checked_add(1) else { return runs };
                next = after;
            }
        }
        let Some((prefix, number)) = entry else { break };
        let first = prefix.bits();
        if let Some((_, around)) = open.last()
            && let Some(before) = first.checked_sub(1)
        {
            put(next, before, *around);
        }
        next = first;
        open.push((last_address(*prefix), *number));
    }
    runs
}

fn last_address(prefix: ClientPrefix) -> u128 {
    prefix.bits() | u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0)
}

/// The reading of one file.
struct Reader<'a> {
    file: FileId,
    centroids: &'static Centroids,
    entries: Vec<Entry>,
    /// The line that each prefix was first on.
    lines: HashMap<ClientPrefix, usize>,
    faults: usize,
    problems: &'a mut Problems,
}

/// What is wrong with a line: the column's place in it, the message and the hint.
struct Fault {
    at: (usize, usize),
    message: String,
    hint: String,
}

impl Fault {
    fn new(at: (usize, usize), message: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault { at, message: message.into(), hint: hint.into() }
    }
}

impl Reader<'_> {
    fn line(&mut self, number: usize, start: usize, line: &[u8]) {
        match self.entry(number, line) {
            Ok(Some(entry)) => self.entries.push(entry),
            Ok(None) => {}
            Err(fault) => {
                self.faults += 1;
                if self.faults <= PROBLEMS_MAX {
                    let place = |at: usize| u32::try_from(start + at).unwrap_or(u32::MAX);
                    let span = Span { file: self.file, start: place(fault.at.0), end: place(fault.at.1) };
                    self.problems.error(span, fault.message, fault.hint);
                }
            }
        }
    }

    fn entry(&mut self, number: usize, line: &[u8]) -> Result<Option<Entry>, Fault> {
        let whole = (0, line.len());
        let text = std::str::from_utf8(line)
            .map_err(|_| Fault::new(whole, "this line is not UTF-8 text", "save the file as UTF-8"))?;
        let text = if number == 1 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        let skipped = line.len() - text.len();
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            return Ok(None);
        }
        let fields = split(text, skipped);
        let field = |n: usize| fields.get(n).map_or(("", (line.len(), line.len())), |field| *field);
        if let Some((_, at)) = fields.get(7) {
            return Err(Fault::new((at.0, line.len()), "too many columns", COLUMNS));
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(Fault::new(whole, "more than 1000000 prefixes", "use a location database instead"));
        }
        let prefix = prefix(field(0))?;
        if let Some(first) = self.lines.insert(prefix, number) {
            self.lines.insert(prefix, first);
            let message = format!("{prefix} is here a second time");
            return Err(Fault::new(field(0).1, message, format!("it is on line {first} already: keep one")));
        }
        let country = country(field(1))?;
        let location = Location {
            coordinates: coordinates(field(5), field(6))?,
            continent: None,
            country,
            subdivision: self.subdivision(field(2), country)?,
            city: name(field(3))?,
            asn: None,
        };
        let location = self.centroids.completed(location);
        let location = (location != Location::default()).then_some(location);
        Ok(Some(Entry { prefix, location, line: number }))
    }

    fn subdivision(
        &self,
        (text, at): (&str, (usize, usize)),
        country: Option<CountryCode>,
    ) -> Result<Option<Box<str>>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let hint = "write the ISO 3166-2 code, as US-CA";
        let Some(country) = country else {
            return Err(Fault::new(at, format!("the region \"{}\" without a country", shown(text)), hint));
        };
        let Some((before, code)) = text.split_once('-') else {
            return Err(Fault::new(at, format!("\"{}\" is not a region", shown(text)), hint));
        };
        let good = (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !good || country_of_code(before).is_none() {
            return Err(Fault::new(at, format!("\"{}\" is not a region", shown(text)), hint));
        }
        if country_of_code(before) != Some(country) {
            let message = format!("the region \"{}\" is in another country", shown(text));
            return Err(Fault::new(at, message, "country and region must agree"));
        }
        Ok(Some(code.to_ascii_uppercase().into()))
    }
}

/// A line's columns without the blanks around them, with their places. Quotes (RFC 4180) may hold commas.
fn split(text: &str, skipped: usize) -> Vec<(&str, (usize, usize))> {
    let mut fields = Vec::new();
    let mut start = 0;
    let mut quoted = false;
    for (at, byte) in text.bytes().chain([b',']).enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b',' if !quoted || at == text.len() => {
                let raw = text.get(start..at).unwrap_or("");
                let field = raw.trim();
                let begin = skipped + start + (raw.len() - raw.trim_start().len());
                let bare = field.strip_prefix('"').and_then(|field| field.strip_suffix('"')).unwrap_or(field);
                fields.push((bare.trim(), (begin, begin + field.len())));
                start = at + 1;
            }
            _ => {}
        }
    }
    fields
}

fn prefix((text, at): (&str, (usize, usize))) -> Result<ClientPrefix, Fault> {
    let hint = "write a network, as 203.0.113.0/24 or 2001:db8::/32, or a single address";
    let bad = || Fault::new(at, format!("\"{}\" is not a network", shown(text)), hint);
    let network = match text.parse::<IpNet>() {
        Ok(network) => network,
        Err(_) => IpNet::from(text.parse::<std::net::IpAddr>().map_err(|_| bad())?),
    };
    if network.addr() != network.network() {
        let message = format!("{network} has bits set behind its prefix length");
        return Err(Fault::new(at, message, format!("write {}", network.trunc())));
    }
    Ok(ClientPrefix::new(network.addr(), network.prefix_len()))
}

fn country((text, at): (&str, (usize, usize))) -> Result<Option<CountryCode>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let hint = "write the two letters of ISO 3166-1, as DE";
    country_of_code(text)
        .map(Some)
        .ok_or_else(|| Fault::new(at, format!("\"{}\" is not a country", shown(text)), hint))
}

fn name((text, at): (&str, (usize, usize))) -> Result<Option<Box<str>>, Fault> {
    match text.len() {
        0 => Ok(None),
        1..=NAME_OCTETS_MAX => Ok(Some(text.into())),
        _ => Err(Fault::new(at, "this city's name is longer than 120 octets", COLUMNS)),
    }
}

fn coordinates(
    (latitude, at): (&str, (usize, usize)),
    (longitude, end): (&str, (usize, usize)),
) -> Result<Option<Coordinates>, Fault> {
    let both = (at.0, end.1);
    match (latitude.is_empty(), longitude.is_empty()) {
        (true, true) => return Ok(None),
        (false, false) => {}
        _ => return Err(Fault::new(both, "latitude and longitude come together", COLUMNS)),
    }
    let parsed = latitude.parse().ok().zip(longitude.parse().ok());
    match parsed.and_then(|(latitude, longitude)| Coordinates::new(latitude, longitude)) {
        Some(place) => Ok(Some(place)),
        None => Err(Fault::new(
            both,
            format!("\"{},{}\" is not a place", shown(latitude), shown(longitude)),
            "write degrees: latitude -90 to 90, longitude -180 to 180",
        )),
    }
}

/// What a message quotes of a column.
fn shown(text: &str) -> String {
    text.chars().take(40).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests;
