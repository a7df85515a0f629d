//! The baseline: a server that does nothing but send every datagram back.

use std::net::UdpSocket;
use std::time::Duration;

use crate::Result;
use crate::socket::{BATCH_DATAGRAMS_MAX, Inbox, Wait};

/// Reflects until it is killed.
pub fn reflect(listen: &str) -> Result<()> {
    let socket = UdpSocket::bind(listen)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut inbox = Inbox::new();
    loop {
        if inbox.receive(&socket, BATCH_DATAGRAMS_MAX, Wait::ForOne)? > 0 {
            inbox.reflect(&socket)?;
        }
    }
}
