//! Who is well (pure): observations in, transitions and tables out.

mod check;
mod table;

pub use check::{Cadence, Check, HttpCheck, TargetAddress, TargetSpec, TlsCheck};
pub use table::{Forced, HealthTable, ServiceTime, TargetHealth, Verdict};
