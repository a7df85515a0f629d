//! Who is well (pure): observations in, transitions and tables out.

mod board;
mod check;
mod failure;
mod observation;
mod table;

pub use board::{Board, BoardLimits, Counters, Latency, TargetStatus};
pub use check::{Cadence, Check, HttpCheck, TargetAddress, TargetSpec, TlsCheck};
pub use failure::{Failure, NotRun, TlsFailure};
pub use observation::{Observation, ProbeOrder, Ticket, Timings, Transition, Vantage};
pub use table::{Forced, HealthTable, ServiceTime, TargetHealth, Verdict};
