//! Datagrams by the batch, for the client. One of two files with `unsafe` here.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Room for one datagram.
const DATAGRAM_OCTETS_MAX: usize = 1232;

/// Room for batches both ways.
pub struct Datagrams {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    octets: Vec<u8>,
    received: usize,
}

impl Datagrams {
    /// Room for so many datagrams.
    pub fn new(most: usize) -> Datagrams {
        // SAFETY: integers and raw pointers, for which zeros are valid.
        let (header, vector) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        Datagrams {
            headers: vec![header; most],
            vectors: vec![vector; most],
            octets: vec![0; most * DATAGRAM_OCTETS_MAX],
            received: 0,
        }
    }

    /// Receives what is there, without waiting; returns how many.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        for (index, room) in self.octets.chunks_exact_mut(DATAGRAM_OCTETS_MAX).enumerate() {
            self.vectors[index].iov_base = room.as_mut_ptr().cast();
            self.vectors[index].iov_len = room.len();
            self.headers[index].msg_hdr.msg_iov = &raw mut self.vectors[index];
            self.headers[index].msg_hdr.msg_iovlen = 1;
        }
        let (headers, most) = (self.headers.as_mut_ptr(), self.headers.len() as libc::c_uint);
        let nothing = std::ptr::null_mut();
        // SAFETY: each header points at a vector and that at room of its own, all owned by this value.
        let received =
            unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, most, libc::MSG_DONTWAIT as _, nothing) };
        self.received = counted(received)?;
        Ok(self.received)
    }

    /// What was received last.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let lengths = self.headers.iter().take(self.received).map(|header| header.msg_len as usize);
        self.octets.chunks_exact(DATAGRAM_OCTETS_MAX).zip(lengths).map(|(octets, length)| &octets[..length])
    }

    /// Sends datagrams on a connected socket; returns how many the kernel took.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let mut count = 0;
        for (datagram, index) in datagrams.zip(0..self.headers.len()) {
            self.vectors[index].iov_base = datagram.as_ptr().cast_mut().cast();
            self.vectors[index].iov_len = datagram.len();
            self.headers[index].msg_hdr.msg_iov = &raw mut self.vectors[index];
            self.headers[index].msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        let headers = self.headers.as_mut_ptr();
        // SAFETY: the first `count` headers point at vectors and those at slices that outlive the call and are
        // only read.
        counted(unsafe { libc::sendmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT) })
    }
}

/// Waits until one of the sockets has something, at most so long.
pub fn wait_for_any(sockets: &[UdpSocket], milliseconds_max: i32) {
    let entry =
        |socket: &UdpSocket| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = sockets.iter().map(entry).collect();
    // SAFETY: the entries live through the call, their number is passed with them.
    unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, milliseconds_max) };
}

/// An empty queue and a port that nobody listens on yet are no datagrams, and no failure.
fn counted(outcome: i32) -> io::Result<usize> {
    usize::try_from(outcome).or_else(|_| match io::Error::last_os_error() {
        error if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused) => {
            Ok(0)
        }
        error => Err(error),
    })
}
