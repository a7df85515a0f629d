//! compile

pub mod locations;
pub mod zonefile;
