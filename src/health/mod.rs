//! Who is well (pure): observations in, transitions and tables out.

mod board;
mod check;
mod composition;
mod failure;
pub mod feed;
pub mod load;
mod observation;
pub mod passive;
mod spec;
mod table;

pub use board::{Board, BoardLimits, Counters, Latency, TargetStatus};
pub use check::{
    BodyMatch, Cadence, Check, DnsCheck, DnsData, DnsTransport, ExecCheck, GrpcCheck, Http2, HttpCheck,
    TargetAddress, TargetSpec, TcpCheck, TlsCheck,
};
pub use composition::{Composition, Vote};
pub use failure::{Failure, NotRun, ServingStatus, TlsFailure};
pub use observation::{Event, Observation, ProbeOrder, Ticket, Timings, Transition, Vantage};
pub use spec::{AddressSpec, BoardSpec, EndpointSpec, ServiceSpec};
pub use table::{
    EndpointState, Forced, HealthTable, ServiceTime, Share, ShareCause, Standing, TargetHealth, Verdict,
};
