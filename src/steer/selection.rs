//! What the query path asks of a service, and what it gets.

use std::net::IpAddr;

use crate::geo::ClientPrefix;
use crate::ids::CounterId;

use super::decision::{Mode, Pick};

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// The address that the query came from.
    pub resolver: IpAddr,
    /// A well-formed client subnet option with a source length above 0; `None` otherwise.
    pub subnet: Option<ClientPrefix>,
}

impl Client {
    /// The network that it states, or else its address.
    #[inline(always)]
    pub fn prefix(&self) -> ClientPrefix {
        match self.subnet {
            Some(subnet) => subnet,
            None => ClientPrefix::host(self.resolver),
        }
    }
}

/// A service's answer to one client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Selection<'v> {
    /// The answer.
    pub answer: Answer<'v>,
    /// Its TTL in seconds (H7).
    pub ttl_s: u32,
    /// The scope for the reply's client subnet option: 0 where the option was not used.
    pub scope: u8,
    /// One per endpoint named in the answer.
    pub counters: &'v [CounterId],
    /// How the decision came about.
    pub mode: Mode,
}

impl Selection<'_> {
    /// What a service says of data that it does not have.
    #[cold]
    pub fn nothing<'v>() -> Selection<'v> {
        Selection { answer: Answer::NoData, ttl_s: 0, scope: 0, counters: &[], mode: Mode::Normal }
    }
}

/// A [`Selection`] of addresses that health decided, or of none: two words, which come back in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlainSelection<'v> {
    /// What is answered.
    pub pick: Option<&'v Pick>,
    /// The TTL, above it eight bits of scope, above these [`NO_DATA`].
    rest: u64,
}

/// Set where the name has no data of the type.
const NO_DATA: u64 = 1 << 40;

impl<'v> PlainSelection<'v> {
    /// Nothing that is plain.
    pub const NOT_PLAIN: PlainSelection<'static> = PlainSelection { pick: None, rest: 0 };
    /// No data.
    pub const NO_DATA: PlainSelection<'static> = PlainSelection { pick: None, rest: NO_DATA };

    /// Of addresses; see [`Selection`].
    #[inline(always)]
    pub fn of(pick: &'v Pick, ttl_s: u32, scope: u8) -> PlainSelection<'v> {
        PlainSelection { pick: Some(pick), rest: u64::from(ttl_s) | u64::from(scope) << 32 }
    }

    /// Whether there is no data.
    pub fn is_no_data(self) -> bool {
        self.rest & NO_DATA != 0
    }

    /// The TTL in seconds.
    #[inline(always)]
    pub fn ttl_s(self) -> u32 {
        self.rest as u32
    }

    /// The scope for the reply's client subnet option.
    #[inline(always)]
    pub fn scope(self) -> u8 {
        (self.rest >> 32) as u8
    }
}

/// The data of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<'v> {
    /// At least one address, all of the family asked.
    Addresses(&'v [IpAddr]),
    /// The target of a CNAME: an uncompressed wire name, lower case.
    Alias(&'v [u8]),
    /// The name exists, the type does not (or R9 `nodata`).
    NoData,
    /// R9 `refuse`.
    Refused,
}
