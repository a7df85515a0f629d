//! Who is well (pure): observations in, transitions and tables out.

mod board;
mod certificate;
mod check;
mod command;
mod composition;
mod failback;
mod failure;
pub mod feed;
mod governor;
pub mod load;
mod notice;
mod observation;
mod overrides;
pub mod passive;
pub mod remembered;
mod spec;
mod steps;
mod table;

pub use board::{Board, BoardLimits, Counters, Latency, TargetStatus};
pub use certificate::ExpiringCertificate;
pub use check::{
    BodyMatch, Cadence, Check, DnsCheck, DnsData, DnsTransport, ExecCheck, GrpcCheck, Http2, HttpCheck,
    LoadCheck, TargetAddress, TargetSpec, TcpCheck, TlsCheck,
};
pub use command::{Command, OverrideKind, Part, Receipt, Refusal, Shortfall, Which};
pub use composition::{Composition, Vote};
pub use failback::{FailbackMode, FailbackSpec, Stage};
pub use failure::{Failure, NotRun, ServingStatus, TlsFailure};
pub use governor::{Cause, Ending, Figures, GovernorSpec};
pub use notice::{Level, News, Notice, OverrideEnd};
pub use observation::{Event, Observation, ProbeOrder, Ticket, Timings, Transition, Vantage};
pub use overrides::{Override, OverrideId, Overrides, Scope, Selector, SelectorError, Word};
pub use remembered::Remembered;
pub use spec::{AddressSpec, BoardSpec, EndpointSpec, MinCapacity, ServiceSpec};
pub use table::{
    EndpointState, Forced, HealthTable, Hosts, ServiceTime, Share, ShareCause, Standing, TargetHealth,
    Verdict,
};
