//! What the query path asks of a service, and what it gets.

use std::net::IpAddr;

use crate::geo::ClientPrefix;
use crate::ids::CounterId;

use super::decision::Mode;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Client {
    /// The address that the query came from.
    pub resolver: IpAddr,
    /// A well-formed client subnet option with a source length above 0; `None` otherwise.
    pub subnet: Option<ClientPrefix>,
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
