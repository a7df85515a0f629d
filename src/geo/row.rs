//! What location sources say of one client: what an explanation shows (X1).

use super::{ClientPrefix, Location};

/// What is known of a client's place.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The network of which it is said; the client's own address where nothing is.
    pub network: ClientPrefix,
    /// `None`: nothing is known.
    pub location: Option<Location>,
    /// Who says so.
    pub said_by: SaidBy,
}

/// Who says where a client is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SaidBy {
    /// Nobody.
    Nobody,
    /// Nobody is asked: it is in a special-purpose block of this name (R7).
    Special(&'static str),
    /// The database of this name.
    Database(Box<str>),
    /// This line of this file of overrides.
    Override(Box<str>, usize),
}
