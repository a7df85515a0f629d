//! The log: to standard error, where service managers collect it.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicU32, Ordering};

use tracing_subscriber::EnvFilter;

use super::LogFormat;

/// Panics logged in full. A packet that provokes one can come a million times a second; the counter in the
/// metrics goes on.
const PANICS_LOGGED_MAX: u32 = 100;

/// What is logged unless `RUST_LOG` says otherwise. The libraries below the encrypted transports tell of queries
/// and of connections that break as often as clients like, in words that they choose.
const USUAL: &str = "info,rustls=off,h2=off,hickory_server=off,hickory_net=off,hickory_proto=off,quinn=off,quinn_proto=off,quinn_udp=error,h3=off";

/// Sets up the log for the rest of the process, and lets panics go there too.
pub(super) fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
    let lines =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A line that cannot be written (full disk, reader gone) is lost. To complain of it, on standard error
    // again, would be a panic.
    let lines = lines.log_internal_errors(false);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    static LOGGED: AtomicU32 = AtomicU32::new(0);
    std::panic::set_hook(Box::new(|panic| {
        if LOGGED.fetch_add(1, Ordering::Relaxed) < PANICS_LOGGED_MAX {
            tracing::error!(%panic, "a defect: please report this");
        }
    }));
}
