//! cli

pub mod geoip;
