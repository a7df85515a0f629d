//! The SOA record as a secondary reads it.

use std::time::Duration;

use crate::wire::name_octets;

/// What an SOA says of a zone and its times (RFC 1035 section 3.3.13).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Soa {
    /// The version of the zone.
    pub serial: u32,
    /// How often to look for a new one.
    pub refresh: Duration,
    /// How soon to look again when that failed.
    pub retry: Duration,
    /// When to stop answering because no primary could be reached.
    pub expire: Duration,
}

impl Soa {
    /// Out of uncompressed RDATA; `None` where it is none of an SOA.
    pub fn from_rdata(rdata: &[u8]) -> Option<Soa> {
        let numbers = rdata.get(name_octets(rdata)?..)?;
        let numbers = numbers.get(name_octets(numbers)?..)?;
        let (numbers, _) = numbers.as_chunks::<4>();
        let [serial, refresh, retry, expire, _minimum] = *numbers else { return None };
        let seconds = |octets| Duration::from_secs(u64::from(u32::from_be_bytes(octets)));
        Some(Soa {
            serial: u32::from_be_bytes(serial),
            refresh: seconds(refresh),
            retry: seconds(retry),
            expire: seconds(expire),
        })
    }
}
