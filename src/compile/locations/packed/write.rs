//! Writing the packed form.

use super::super::{Coarsened, LocationError};
use super::code::{Count, NEW, Recent};
use super::head::{FamilyHead, Head};
use super::{MAGIC, RUNS_MAX, VERSION, WINDOW_LOG_MAX, checksum};

/// The strongest zstd has: it runs once, and reading is as fast as at any other level.
const LEVEL: i32 = 22;

/// The octets of a packed file. `name` is how errors call it.
pub fn write(
    coarsened: Coarsened,
    built_s: u64,
    attribution: &str,
    name: &str,
) -> Result<Vec<u8>, LocationError> {
    let failed =
        |problem: &str| LocationError::new(name, problem, "make it coarser, or from another database");
    let columns = coarsened.runs.map(|runs| Columns::of(&runs));
    let families = [0, 1].map(|family| FamilyHead {
        length: coarsened.lengths[family],
        runs: u32::try_from(columns[family].counts.len()).unwrap_or(u32::MAX),
    });
    if families.iter().any(|family| family.runs > RUNS_MAX) {
        return Err(failed("would have too many networks"));
    }
    let head = Head { built_s, attribution: attribution.to_owned(), families, places: coarsened.locations };
    let head = head.to_octets().ok_or_else(|| failed("would have too many places"))?;
    let mut octets = MAGIC.to_vec();
    octets.push(VERSION);
    let [v4, v6] = &columns;
    for section in [&head].into_iter().chain(v4.sections()).chain(v6.sections()) {
        let frame = compress(section).map_err(|_| failed("cannot be compressed"))?;
        let length = u32::try_from(frame.len()).map_err(|_| failed("would be too large"))?;
        octets.extend(length.to_le_bytes());
        octets.extend(frame);
    }
    octets.extend(checksum(&octets));
    Ok(octets)
}

fn compress(section: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    if section.len() > 1 << WINDOW_LOG_MAX {
        compressor.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW_LOG_MAX))?;
    }
    compressor.compress(section)
}

/// The columns of one family.
#[derive(Default)]
struct Columns {
    counts: Vec<u8>,
    long_counts: Vec<u8>,
    ranks: Vec<u8>,
    new_places: Vec<u8>,
}

impl Columns {
    fn of(runs: &[(u64, Option<u32>)]) -> Columns {
        let mut columns = Columns::default();
        if runs.iter().all(|(_, place)| place.is_none()) {
            return columns;
        }
        let mut recent = Recent::new();
        for (count, place) in runs {
            let (octet, long) = Count::encode(*count);
            columns.counts.push(octet);
            if let Some(octets) = long {
                columns.long_counts.extend(count.to_le_bytes().iter().take(octets));
            }
            let place = place.map_or(0, |place| place + 1);
            match recent.rank(place) {
                Some(rank) => columns.ranks.push(rank),
                None => {
                    columns.ranks.push(NEW);
                    columns.new_places.extend(place.to_le_bytes());
                }
            }
        }
        columns
    }

    fn sections(&self) -> [&Vec<u8>; 4] {
        [&self.counts, &self.long_counts, &self.ranks, &self.new_places]
    }
}
