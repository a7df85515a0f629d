//! A master file (RFC 1035 section 5) to a [`Zone`], with every problem in it.
//!
//! Three steps: `entries` splits the text into entries and tokens with their places, `records` reads
//! each entry (its RDATA by the `domain` crate), `judge` looks at the zone as a whole. An entry that
//! cannot be read costs only itself: reading goes on with the next.

mod binding;
mod coordinates;
mod entries;
mod fields;
mod generate;
mod given;
mod includes;
mod judge;
mod plain;
mod prefixes;
mod rdata;
mod records;

#[cfg(test)]
mod tests;

use crate::config::{FileId, Problem, Problems, Sources, Span};
use crate::ids::{RegionId, ServiceId};
use crate::wire::{Name, parse_name};
use crate::zone::Zone;

/// Spans have 32 bits.
const FILE_OCTETS_MAX: usize = u32::MAX as usize - 1;

/// A zone with all that it includes: about ten million records.
const ZONE_OCTETS_MAX: usize = 1 << 30;

/// Problems reported of one file: what is no master file at all would have one a line.
const PROBLEMS_MAX: usize = 100;

pub use given::{Given, zone_of};
pub use includes::{Include, includes};

/// A name of the zone that a service answers for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SteeredOwner<'t> {
    /// As written, relative to the origin: `www`, `*.apps`, `@`.
    pub name: &'t str,
    /// Where it is written.
    pub span: Span,
    /// The service.
    pub service: ServiceId,
    /// Whether the service answers CNAME for every type (R14).
    pub alias: bool,
    /// The regions that have testing names below it (R11), with their names.
    pub testing: &'t [(RegionId, &'t str)],
}

/// The texts that a zone is read from.
trait Texts {
    /// A file's text.
    fn text(&self, file: FileId) -> Option<&[u8]>;
    /// The file that a $INCLUDE means, its word as it is written.
    fn included(&self, by: FileId, word: &[u8]) -> Option<FileId>;
    /// How a file is called before people.
    fn path(&self, file: FileId) -> String;
}

impl Texts for Sources {
    fn text(&self, file: FileId) -> Option<&[u8]> {
        self.file(file).map(|file| file.bytes.as_slice())
    }

    fn included(&self, by: FileId, word: &[u8]) -> Option<FileId> {
        self.included.get(&(by, includes::name(word)?)).copied()
    }

    fn path(&self, file: FileId) -> String {
        self.file(file).map_or_else(String::new, |file| file.path.clone())
    }
}

/// One text, which can include nothing.
struct Alone<'t>(FileId, &'t [u8]);

impl Texts for Alone<'_> {
    fn text(&self, file: FileId) -> Option<&[u8]> {
        (file == self.0).then_some(self.1)
    }

    fn included(&self, _: FileId, _: &[u8]) -> Option<FileId> {
        None
    }

    fn path(&self, _: FileId) -> String {
        String::new()
    }
}

/// Reads a zone from one text. `origin` is spelt without or with its final dot (`.` for the root). `None` if any
/// problem is an error; warnings may come with a zone.
pub fn read_zone(
    origin: &str,
    file: FileId,
    text: &[u8],
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    read_from(origin, file, &Alone(file, text), steered, problems)
}

/// The same with the files that it includes: `file` and they are in `sources`.
pub fn read_zone_of(
    origin: &str,
    file: FileId,
    sources: &Sources,
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    read_from(origin, file, sources, steered, problems)
}

fn read_from(
    origin: &str,
    file: FileId,
    texts: &dyn Texts,
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    let mut found = Problems::default();
    let zone = read(origin, file, texts, steered, &mut found);
    let zone = zone.filter(|_| !found.has_errors());
    found.0.sort_by_key(|problem| problem.span.map(|span| (span.file != file, span.file, span.start)));
    shorten(&mut found.0, file);
    problems.0.append(&mut found.0);
    zone
}

fn read(
    origin: &str,
    file: FileId,
    texts: &dyn Texts,
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    let start = Span { file, start: 0, end: 0 };
    let parsed = parse_name(origin.as_bytes(), &[0]).map(|wire| Name::from_wire(&wire));
    let Ok(Some(origin)) = parsed else {
        problems.error(start, format!("`{origin}` is no domain name"), "name the file after the zone");
        return None;
    };
    if !texts.text(file).is_some_and(|text| is_text(file, text, problems)) {
        return None;
    }
    let records = records::read_records(&origin, file, texts, problems);
    judge::judge(&origin, file, &records, steered, problems)
}

/// Whether a file can be read at all.
fn is_text(file: FileId, text: &[u8], problems: &mut Problems) -> bool {
    let start = Span { file, start: 0, end: 0 };
    if text.len() > FILE_OCTETS_MAX {
        problems.error(start, "the zone file is larger than 4 GiB", "split the zone by delegation");
        return false;
    }
    // Looking whether there is one is many times faster than looking where.
    if text.contains(&0)
        && let Some(place) = text.iter().position(|octet| *octet == 0)
    {
        let span = Span { file, start: place as u32, end: place as u32 + 1 };
        let hint = "a zone file is plain text in ASCII or UTF-8";
        problems.error(span, "this is no text file: it has an octet 0", hint);
        return false;
    }
    true
}

/// Keeps the list readable when the whole file is wrong.
fn shorten(found: &mut Vec<Problem>, file: FileId) {
    if found.len() <= PROBLEMS_MAX {
        return;
    }
    // Errors first to be kept: a warning must not push out what refuses the file.
    found.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
    let more = found.len() - PROBLEMS_MAX;
    found.truncate(PROBLEMS_MAX);
    found.sort_by_key(|problem| problem.span.map(|span| (span.file != file, span.file, span.start)));
    let last = found.last().and_then(|problem| problem.span);
    let mut rest = Problems::default();
    rest.warning(last, format!("{more} more problems in this zone are not shown"), "");
    found.append(&mut rest.0);
}
