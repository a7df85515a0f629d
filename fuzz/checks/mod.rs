//! What must hold of any input: one `check` for each fuzz target, which panics where it does not.
//!
//! The fuzz targets call these with what the fuzzer makes up, `tests/corpus.rs` with the committed corpora.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod config;
pub mod doh;
pub mod framing;
pub mod mmdb;
pub mod query;
pub mod respond;
pub mod subnet;
pub mod world;
pub mod zone;
