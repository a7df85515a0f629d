//! compile

pub mod locations;
