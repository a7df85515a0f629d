//! The baseline: a server that does nothing but send everything back.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Result;
use crate::socket::{BATCH_DATAGRAMS_MAX, Inbox, Wait};
use crate::stream;

/// Reflects until it is killed: datagrams by so many threads, each with a socket of its own that shares the port.
pub fn reflect(listen: SocketAddr, workers: usize) -> Result<()> {
    let sockets = (0..workers.max(1)).map(|_| open(listen, workers)).collect::<Result<Vec<_>>>()?;
    // Ends with the process, whose end is to be killed.
    std::thread::spawn(move || stream::reflect(listen).map_err(|error| eprintln!("{error}")));
    let workers = sockets.into_iter().map(|socket| std::thread::spawn(move || reflect_on(&socket)));
    for worker in workers.collect::<Vec<_>>() {
        worker.join().map_err(|_| "a reflector's thread panicked")??;
    }
    Ok(())
}

fn open(listen: SocketAddr, workers: usize) -> Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(workers > 1)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.bind(&listen.into())?;
    Ok(socket.into())
}

fn reflect_on(socket: &UdpSocket) -> std::io::Result<()> {
    let mut inbox = Inbox::new();
    loop {
        if inbox.receive(socket, BATCH_DATAGRAMS_MAX, Wait::ForOne)? > 0 {
            inbox.reflect(socket)?;
        }
    }
}
