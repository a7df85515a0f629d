//! What steering makes of states that a scenario cannot set by hand: shares, their steps, load weights and
//! frozen verdicts, through the real reader, compiler and view.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../world/compile.rs"]
#[allow(dead_code)]
mod compile;
mod frozen;
mod loads;
#[allow(dead_code)]
mod setting;
mod shares;
mod time;
