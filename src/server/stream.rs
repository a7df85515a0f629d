//! What a session runs over: a TCP socket, or TLS on one. Nothing here waits.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};
use rustls::ServerConnection;

/// Asked of a socket at a time: dozens of queries, so that a call costs each little, and no more, so that a client that
/// always has more gets no larger share of the thread than others.
const READ_OCTETS_MAX: usize = 4 << 10;
/// Messages of TLS that one call looks at: what holds no octets for us must not keep the thread.
const READS_MAX: usize = 8;

/// Octets both ways.
pub enum Stream {
    /// A socket.
    Plain(Socket),
    /// TLS on one.
    Secured(Box<Secured>),
}

/// A socket that is never waited for, whatever its mode: that saves a system call a connection.
pub struct Socket(TcpStream);

/// TLS on a socket.
pub struct Secured {
    socket: Socket,
    tls: ServerConnection,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Octets {
    /// So many.
    Some(usize),
    /// None now.
    None,
    /// None any more.
    End,
}

impl Stream {
    /// Over a socket.
    pub fn plain(stream: TcpStream) -> Stream {
        Stream::Plain(Socket(stream))
    }

    /// Over TLS on a socket, from the handshake on.
    pub fn secured(self, tls: ServerConnection) -> Stream {
        match self {
            Stream::Plain(socket) => Stream::Secured(Box::new(Secured { socket, tls })),
            secured @ Stream::Secured(_) => secured,
        }
    }

    /// Takes what is there.
    ///
    /// # Errors
    /// When the connection is broken, or what came is no TLS.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<Octets> {
        match self {
            Stream::Plain(socket) => octets(socket.read(into)),
            Stream::Secured(secured) => secured.read(into),
        }
    }

    /// Gives what is taken now, and says how much that was.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let written = match self {
            Stream::Plain(socket) => socket.write(from),
            Stream::Secured(secured) => secured.write(from),
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Whether all that was written has been taken; tries once more.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Stream::Plain(_) => Ok(true),
            Stream::Secured(secured) => secured.flush(),
        }
    }

    /// Whether a handshake is under way.
    pub fn is_shaking(&self) -> bool {
        matches!(self, Stream::Secured(secured) if secured.tls.is_handshaking())
    }

    /// Octets that wait below us to be taken, at most about so many.
    pub fn held_octets(&self) -> usize {
        match self {
            Stream::Secured(secured) if secured.tls.wants_write() => super::session::REPLIES_OCTETS_MAX,
            Stream::Plain(_) | Stream::Secured(_) => 0,
        }
    }

    /// Says that nothing more comes, as far as that can be said without waiting. Within TLS the client is told, so that
    /// it knows this end from one that somebody on the way made.
    pub fn close(&mut self) {
        let socket = match self {
            Stream::Plain(socket) => socket,
            Stream::Secured(secured) => {
                secured.tls.send_close_notify();
                let _ = secured.flush();
                &mut secured.socket
            }
        };
        let _ = socket.0.shutdown(Shutdown::Write);
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Plain(socket) => socket.0.as_fd(),
            Stream::Secured(secured) => secured.socket.0.as_fd(),
        }
    }
}

impl Secured {
    /// Takes what is there; always all that has been decrypted, so that none of it waits where the system does not
    /// know of it.
    fn read(&mut self, into: &mut [u8]) -> io::Result<Octets> {
        for _ in 0..READS_MAX {
            match octets(self.tls.reader().read(into))? {
                Octets::None => {}
                some_or_end => return Ok(some_or_end),
            }
            match octets(self.tls.read_tls(&mut self.socket))? {
                Octets::Some(_) => {}
                none_or_end => return Ok(none_or_end),
            }
            if let Err(error) = self.tls.process_new_packets() {
                // What is wrong is told the client.
                let _ = self.flush();
                return Err(io::Error::other(error));
            }
            if self.tls.wants_write() {
                self.flush()?;
            }
        }
        octets(self.tls.reader().read(into))
    }

    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        if !self.flush()? {
            return Ok(0);
        }
        let written = self.tls.writer().write(from)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = READ_OCTETS_MAX.min(into.len());
        let into = into.get_mut(..most).unwrap_or_default();
        again(|| recv(self.0.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT))
    }
}

impl Write for Socket {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        again(|| send(self.0.as_raw_fd(), from, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn again(mut call: impl FnMut() -> nix::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            outcome => return outcome.map_err(io::Error::from),
        }
    }
}

fn octets(read: io::Result<usize>) -> io::Result<Octets> {
    match read {
        Ok(0) => Ok(Octets::End),
        Ok(some) => Ok(Octets::Some(some)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Octets::None),
        Err(error) => Err(error),
    }
}
