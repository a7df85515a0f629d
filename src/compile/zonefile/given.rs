//! Records that come from elsewhere than a file: judged as those of a file are.

use super::SteeredOwner;
use super::judge::judge;
use super::rdata;
use super::records::Records;
use crate::config::{FileId, Problems, Span};
use crate::wire::{Name, Rtype};
use crate::zone::Zone;

/// The file that places are in where there is none.
const NO_FILE: FileId = FileId(u32::MAX);

/// A record as it was given.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// Its number; problems name it as the place where they begin.
    pub number: u32,
    /// Wire form, lower case.
    pub owner: &'g [u8],
    /// Its type.
    pub rtype: Rtype,
    /// Its TTL.
    pub ttl_s: u32,
    /// Uncompressed.
    pub rdata: &'g [u8],
}

/// Makes a zone of records, all of them at or below `origin`. `None` if any problem is an error.
pub fn zone_of<'g>(
    origin: &Name,
    given: impl Iterator<Item = Given<'g>>,
    steered: &[SteeredOwner<'_>],
    problems: &mut Problems,
) -> Option<Zone> {
    let mut records = Records::default();
    for Given { number, owner, rtype, ttl_s, rdata: octets } in given {
        let span = Span { file: NO_FILE, start: number, end: number };
        if let Err(why) = rdata::check_exact(rtype, octets) {
            problems.error(span, why, "");
        }
        if records.push(owner, rtype, ttl_s, octets, span).is_none() {
            problems.error(span, "the zone has more than 4 GiB of data", "");
            return None;
        }
    }
    judge(origin, NO_FILE, &records, steered, problems).filter(|_| !problems.has_errors())
}
