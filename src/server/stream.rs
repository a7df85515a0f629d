//! What a connection runs over: a TCP socket, or TLS on one.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Octets both ways, and a way to learn at a stop what has arrived.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// From now on reads ask the system first: the runtime may not have seen the last octets yet.
    fn look_directly(&mut self);
}

/// A TCP socket.
pub struct Socket {
    stream: TcpStream,
    /// Whether reads ask the system first.
    direct: bool,
}

impl Socket {
    /// Reads by the runtime, for now.
    pub fn new(stream: TcpStream) -> Socket {
        Socket { stream, direct: false }
    }
}

impl Stream for Socket {
    fn look_directly(&mut self) {
        self.direct = true;
    }
}

impl Stream for TlsStream<Socket> {
    fn look_directly(&mut self) {
        self.get_mut().0.look_directly();
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.direct
            && let Ok(octets @ 1..) = (&*SockRef::from(&self.stream)).read(buffer.initialize_unfilled())
        {
            buffer.advance(octets);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, octets)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
