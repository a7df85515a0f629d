//! meridian: a DNS-based global load balancer.
//!
//! Bytes in, bytes out, decided by a frozen view; everything slow happened earlier, somewhere else.
//! The map of the house, from the pure core to the edges, is in `ARCHITECTURE.md`, whose layer table
//! a test enforces.

// DECIDE: pure. No I/O, clock, dice, log, async or lock; no allocation on the query path.
pub mod certificate;
pub mod cookie;
pub mod dnssec;
pub mod geo;
pub mod health;
pub mod ids;
pub mod limit;
pub mod now;
pub mod respond;
pub mod secondary;
pub mod steer;
pub mod tsig;
pub mod view;
pub mod wire;
pub mod zone;

// PREPARE: pure, may fail, reports every problem.
pub mod compile;
pub mod config;

// ACT: the edges. They alone may read clocks, touch files and sockets, and share by locks.
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod cli;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod control;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod daemon;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod keys;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod load;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod probe;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod publish;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod refresh;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod server;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod state;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod telemetry;
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
pub mod transfer;
