//! Opening the sockets: before privileges are dropped and before anything is answered.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::batch;

/// Asked of the kernel for each datagram socket; without privileges it grants what `net.core.rmem_max` allows. Some
/// 10,000 queries: what arrives while a worker is scheduled out is kept and not lost.
const BUFFER_OCTETS: usize = 4 << 20;
/// Connections that the kernel keeps until we accept them; it grants what `net.core.somaxconn` allows.
const BACKLOG_CONNECTIONS: i32 = 4096;
/// What the kernel takes of replies before a client has acknowledged those before them: who reads nothing makes it keep
/// this much, and not the megabytes of its largest buffer.
const UNSENT_OCTETS_MAX: u32 = 32 << 10;
/// A worker looks whether it shall stop at least this often.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_millis(200);
/// How often a free port is tried for both transports when any port will do.
const PORT_ATTEMPTS_MAX: u32 = 16;

/// The sockets of one listen address.
pub struct Bound {
    /// The address as it was asked for: what classes of clients call it (R16).
    pub written: SocketAddr,
    /// The address, with the port that was given if 0 was asked for.
    pub address: SocketAddr,
    /// One per worker, sharing the port.
    pub datagrams: Vec<UdpSocket>,
    /// For connections.
    pub connections: TcpListener,
}

/// The socket of one address that takes connections alone.
pub struct Listening {
    /// The address as it was asked for.
    pub written: SocketAddr,
    /// The address, with the port that was given if 0 was asked for.
    pub address: SocketAddr,
    /// For connections.
    pub connections: TcpListener,
}

/// The socket of one address that takes datagrams of QUIC.
pub struct Datagrams {
    /// The address as it was asked for.
    pub written: SocketAddr,
    /// The address, with the port that was given if 0 was asked for.
    pub address: SocketAddr,
    /// For datagrams.
    pub socket: UdpSocket,
}

/// Opens the socket of one address that takes datagrams of QUIC.
pub fn one_for_datagrams(address: SocketAddr) -> io::Result<Datagrams> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from(socket);
    Ok(Datagrams { written: address, address: socket.local_addr()?, socket })
}

/// Opens the socket of one address that takes connections alone.
pub fn listen(address: SocketAddr) -> io::Result<Listening> {
    let listener = connections(address)?;
    Ok(Listening { written: address, address: listener.local_addr()?, connections: listener })
}

/// Opens the sockets of one address for so many workers.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match bind_both(address, workers) {
            // A port that is free for datagrams can be taken for connections.
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && address.port() == 0
                    && attempt < PORT_ATTEMPTS_MAX => {}
            outcome => return outcome,
        }
    }
}

fn bind_both(address: SocketAddr, workers: usize) -> io::Result<Bound> {
    // SO_REUSEPORT would let a second server of the same user share the port unnoticed. The listener does
    // not set it, so it comes first where the port is known.
    let early = if address.port() == 0 { None } else { Some(connections(address)?) };
    let written = address;
    let first = datagrams(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    while sockets.len() < workers.max(1) {
        sockets.push(datagrams(address)?);
    }
    let connections = match early {
        Some(listener) => listener,
        None => connections(address)?,
    };
    Ok(Bound { written, address, datagrams: sockets, connections })
}

fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    batch::reserve(socket.as_fd(), BUFFER_OCTETS)?;
    socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
    // A device that takes nothing must not hold a worker for ever.
    socket.set_write_timeout(Some(RECEIVE_TIMEOUT))?;
    batch::prepare(socket.as_fd(), address.ip())?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn connections(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Connections of an earlier process in TIME_WAIT do not hold the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted connections have both from their listener. Replies are written whole; waiting for more would only
    // delay them.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_OCTETS_MAX)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG_CONNECTIONS)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn workers_and_listener_share_one_free_port() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_eq!(bound.datagrams.len(), 3);
        assert!(bound.datagrams.iter().all(|socket| socket.local_addr().unwrap() == bound.address));
        assert_eq!(bound.connections.local_addr().unwrap(), bound.address);
        assert_ne!(bound.address.port(), 0);
    }

    #[test]
    fn a_second_server_on_the_same_port_is_refused() {
        let bound = bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let second = bind(bound.address, 1).err().unwrap();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_wildcards_fit_side_by_side() {
        let v4 = bind("0.0.0.0:0".parse().unwrap(), 1).unwrap();
        let v6 = SocketAddr::new("::".parse().unwrap(), v4.address.port());
        // Machines without IPv6 say so.
        if let Err(error) = bind(v6, 1) {
            assert_ne!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }
}
