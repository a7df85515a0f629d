//! Reading the packed form.

use std::io::Read;
use std::net::IpAddr;
use std::ops::Range;

use super::super::{LocationError, Run};
use super::code::{Count, NEW, Recent};
use super::head::Head;
use super::{
    CHECKSUM_OCTETS, FILE_OCTETS_MAX, HEAD_OCTETS_MAX, MAGIC, SECTIONS, VERSION, WINDOW_LOG_MAX, checksum,
};
use crate::geo::{ClientPrefix, Location};
use crate::ids::Family;

const MEND: &str = "get it again from the release, or make it again: `meridian geoip pack`";

/// An opened packed file. Its networks stay compressed.
pub(in super::super) struct Packed {
    name: String,
    octets: Vec<u8>,
    sections: [Range<usize>; SECTIONS],
    head: Head,
}

impl Packed {
    /// Opens a file: its checksum says that it is whole, its head is read.
    pub(in super::super) fn open(octets: Vec<u8>, name: &str) -> Result<Packed, LocationError> {
        let refused = |problem: &str| LocationError::new(name, problem, MEND);
        if octets.len() > FILE_OCTETS_MAX {
            return Err(refused("is larger than 128 MiB"));
        }
        let body = octets.split_last_chunk::<CHECKSUM_OCTETS>();
        let Some((body, sum)) = body.filter(|(body, _)| body.len() > MAGIC.len()) else {
            return Err(refused("is cut short"));
        };
        if octets.get(MAGIC.len()) != Some(&VERSION) {
            return Err(refused("is of a version that this meridian does not read"));
        }
        if checksum(body) != *sum {
            return Err(refused("is damaged: its checksum does not match"));
        }
        let sections = sections(body).ok_or_else(|| refused("is damaged: its sections do not fit"))?;
        let head = octets.get(sections[0].clone()).and_then(head);
        let head = head.ok_or_else(|| refused("is damaged: its head cannot be read"))?;
        Ok(Packed { name: name.to_owned(), octets, sections, head })
    }

    /// Who must be named.
    pub(in super::super) fn attribution(&self) -> &str {
        &self.head.attribution
    }

    /// When it was made, in seconds since 1970.
    pub(in super::super) fn built_s(&self) -> u64 {
        self.head.built_s
    }

    /// Whether it has networks of a family.
    pub(in super::super) fn has(&self, family: Family) -> bool {
        self.networks(family) > 0
    }

    /// How many runs a family has.
    pub(in super::super) fn networks(&self, family: Family) -> u64 {
        u64::from(self.head.families[family.index()].runs)
    }

    /// The place with a run's key.
    pub(in super::super) fn location(&self, key: u32) -> Option<Location> {
        self.head.places.get(key as usize).cloned()
    }

    /// The place of an address, and the widest network around it that is there: reads the file up to there.
    pub(in super::super) fn find(
        &self,
        address: IpAddr,
    ) -> Result<Option<(ClientPrefix, Location)>, LocationError> {
        let host = ClientPrefix::host(address);
        for run in self.runs(host.family()) {
            let run = run?;
            if run.last >= host.bits() {
                let location = (run.first <= host.bits()).then(|| self.location(run.key)).flatten();
                return Ok(location.map(|location| (run.around(host), location)));
            }
        }
        Ok(None)
    }

    /// The file as errors call it.
    pub(in super::super) fn name(&self) -> &str {
        &self.name
    }

    /// The runs that have a place.
    pub(in super::super) fn runs(&self, family: Family) -> Runs<'_> {
        let first = 1 + 4 * family.index();
        let column = |number: usize| {
            let range = self.sections.get(first + number).cloned().unwrap_or_default();
            Column::open(self.octets.get(range).unwrap_or_default())
        };
        let head = self.head.families[family.index()];
        Runs {
            packed: self,
            family,
            columns: [column(0), column(1), column(2), column(3)],
            recent: Recent::new(),
            left: head.runs,
            seen: 0,
            unit: 0,
            units: 1 << head.length,
            shift: 128 - u32::from(head.length),
        }
    }
}

/// The places of the frames in the file; `None`: they do not fill it exactly.
fn sections(body: &[u8]) -> Option<[Range<usize>; SECTIONS]> {
    let mut at = MAGIC.len() + 1;
    let mut sections = std::array::from_fn(|_| 0..0);
    for section in &mut sections {
        let (length, _) = body.get(at..)?.split_first_chunk()?;
        let start = at + 4;
        at = start.checked_add(u32::from_le_bytes(*length) as usize).filter(|end| *end <= body.len())?;
        *section = start..at;
    }
    (at == body.len()).then_some(sections)
}

fn head(frame: &[u8]) -> Option<Head> {
    let mut octets = Vec::new();
    let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).ok()?;
    decoder.window_log_max(WINDOW_LOG_MAX).ok()?;
    decoder.take(HEAD_OCTETS_MAX as u64 + 1).read_to_end(&mut octets).ok()?;
    if octets.len() > HEAD_OCTETS_MAX { None } else { Head::from_octets(&octets) }
}

/// The walk over one family's runs.
pub(in super::super) struct Runs<'a> {
    packed: &'a Packed,
    family: Family,
    /// Counts, long counts, ranks, new places.
    columns: [Column<'a>; 4],
    recent: Recent,
    left: u32,
    seen: u64,
    /// The next network.
    unit: u64,
    /// How many there are; 2^64 does not occur, IPv6 networks are at most 64 bits long and not alone.
    units: u128,
    shift: u32,
}

impl Runs<'_> {
    /// Runs passed so far.
    pub(in super::super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The next run with a place; `None`: a column says what cannot be.
    fn step(&mut self) -> Option<Option<Run>> {
        let [counts, long_counts, ranks, new_places] = &mut self.columns;
        while self.left > 0 {
            self.left -= 1;
            self.seen += 1;
            let count = match Count::decode(counts.octet()?)? {
                Count::Is(count) => count,
                Count::Long(octets) => long_counts.number(octets)?,
            };
            let place = match ranks.octet()? {
                NEW => {
                    let place = u32::try_from(new_places.number(4)?).ok()?;
                    self.recent.enter(place);
                    place
                }
                rank => self.recent.place(rank)?,
            };
            let first = u128::from(self.unit);
            let end = first + u128::from(count);
            // The last run ends with the last address, and only the last.
            if count == 0 || end > self.units || (end == self.units) != (self.left == 0) {
                return None;
            }
            self.unit = end as u64;
            if let Some(key) = place.checked_sub(1) {
                if key as usize >= self.packed.head.places.len() {
                    return None;
                }
                let last = ((end - 1) << self.shift) | ((1u128 << self.shift) - 1);
                return Some(Some(Run { family: self.family, first: first << self.shift, last, key }));
            }
        }
        Some(None)
    }
}

impl Iterator for Runs<'_> {
    type Item = Result<Run, LocationError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.step() {
            Some(run) => run.map(Ok),
            None => {
                self.left = 0;
                let problem = "is damaged: its networks do not add up";
                Some(Err(LocationError::new(&self.packed.name, problem, MEND)))
            }
        }
    }
}

/// Octets of a column taken at once.
const CHUNK_OCTETS: usize = 16 << 10;

/// A column, decompressed as it is read.
struct Column<'a> {
    /// `None`: the frame is broken.
    decoder: Option<zstd::stream::read::Decoder<'a, &'a [u8]>>,
    chunk: Box<[u8]>,
    at: usize,
    filled: usize,
}

impl<'a> Column<'a> {
    fn open(frame: &'a [u8]) -> Column<'a> {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(frame).ok();
        if let Some(open) = &mut decoder
            && open.window_log_max(WINDOW_LOG_MAX).is_err()
        {
            decoder = None;
        }
        Column { decoder, chunk: vec![0; CHUNK_OCTETS].into(), at: 0, filled: 0 }
    }

    fn octet(&mut self) -> Option<u8> {
        if self.at == self.filled {
            self.filled = self.decoder.as_mut()?.read(&mut self.chunk).ok()?;
            self.at = 0;
        }
        let octet = *self.chunk.get(self.at..self.filled)?.first()?;
        self.at += 1;
        Some(octet)
    }

    fn number(&mut self, octets: usize) -> Option<u64> {
        let mut number = 0;
        for place in 0..octets.min(8) {
            number |= u64::from(self.octet()?) << (8 * place);
        }
        Some(number)
    }
}
