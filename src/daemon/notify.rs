//! Telling systemd how we are (`sd_notify`), where it asks for that.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What can be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Queries are answered.
    Ready,
    /// Queries are still answered, but not for long.
    Stopping,
}

/// Sends the state to the service manager named by `NOTIFY_SOCKET`; without one nothing happens.
pub fn notify(state: State) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let text: &[u8] = match state {
        State::Ready => b"READY=1",
        State::Stopping => b"STOPPING=1",
    };
    let outcome =
        address(path.as_bytes()).and_then(|address| UnixDatagram::unbound()?.send_to_addr(text, &address));
    if let Err(error) = outcome {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

fn address(path: &[u8]) -> std::io::Result<SocketAddr> {
    match path.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path)),
    }
}
