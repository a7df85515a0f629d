//! The baseline: a server that does nothing but send everything back.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::Result;
use crate::socket::{BATCH_DATAGRAMS_MAX, Inbox, Wait};
use crate::stream;

/// Reflects until it is killed.
pub fn reflect(listen: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(listen)?;
    // Ends with the process, whose end is to be killed.
    std::thread::spawn(move || stream::reflect(listen).map_err(|error| eprintln!("{error}")));
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut inbox = Inbox::new();
    loop {
        if inbox.receive(&socket, BATCH_DATAGRAMS_MAX, Wait::ForOne)? > 0 {
            inbox.reflect(&socket)?;
        }
    }
}
