//! Datagrams by the batch and the pinning of a thread: the system calls of the generator and of the
//! reflector, and the only file of the benchmark with `unsafe`.
//!
//! Deliberately not the server's own batch module: what is measured should not do the measuring.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Datagrams moved by one system call: the server's figure, so that both sides batch alike.
pub const BATCH_DATAGRAMS_MAX: usize = 32;
/// Room for one datagram. No query and no honest answer here is longer.
pub const DATAGRAM_OCTETS_MAX: usize = 1232;

/// Thousands of answers.
const RECEIVE_BUFFER_OCTETS: libc::c_int = 8 << 20;

/// Room for a batch of received datagrams with their sources.
pub struct Inbox {
    headers: Vec<libc::mmsghdr>,
    // The headers point into these three; they never grow, so their elements never move.
    vectors: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_storage>,
    octets: Vec<u8>,
    received: usize,
}

impl Inbox {
    /// Allocates the room.
    pub fn new() -> Inbox {
        // SAFETY: header, vector and name are integers and raw pointers, for which zeros are valid.
        let (header, vector, name) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Inbox {
            headers: vec![header; BATCH_DATAGRAMS_MAX],
            vectors: vec![vector; BATCH_DATAGRAMS_MAX],
            names: vec![name; BATCH_DATAGRAMS_MAX],
            octets: vec![0; BATCH_DATAGRAMS_MAX * DATAGRAM_OCTETS_MAX],
            received: 0,
        }
    }

    /// Receives up to `most` datagrams without waiting, or waiting for the first; returns how many.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize, wait: Wait) -> io::Result<usize> {
        let most = most.min(BATCH_DATAGRAMS_MAX);
        self.arm(most);
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: the first `most` headers were armed with pointers into vectors that this value owns,
        // with their lengths; nothing else touches them during the call.
        let received = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::recvmmsg(socket.as_raw_fd(), headers, most as libc::c_uint, flags as _, ptr::null_mut())
        };
        self.received = match usize::try_from(received) {
            Ok(received) => received,
            Err(_) => nothing_is_zero(io::Error::last_os_error())?,
        };
        Ok(self.received)
    }

    /// The octets of the datagrams of the last `receive`.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let lengths = self.headers.iter().take(self.received).map(|header| header.msg_len as usize);
        self.octets.chunks(DATAGRAM_OCTETS_MAX).zip(lengths).map(|(octets, length)| &octets[..length])
    }

    /// Sends the received datagrams back to where they came from, with QR set.
    pub fn reflect(&mut self, socket: &UdpSocket) -> io::Result<()> {
        for index in 0..self.received {
            // The third octet of a DNS header holds QR in its highest bit.
            self.octets[index * DATAGRAM_OCTETS_MAX + 2] |= 0x80;
            self.vectors[index].iov_len = self.headers[index].msg_len as usize;
        }
        let mut sent = 0;
        while sent < self.received {
            // SAFETY: headers `sent..received` were armed and filled by `receive`; the kernel reads the
            // names and the octets that they point to, both owned by this value.
            let now = unsafe {
                let headers = self.headers.as_mut_ptr().add(sent);
                libc::sendmmsg(socket.as_raw_fd(), headers, (self.received - sent) as libc::c_uint, 0)
            };
            sent += match usize::try_from(now) {
                Ok(now) => now,
                Err(_) => nothing_is_zero(io::Error::last_os_error())?.max(1),
            };
        }
        Ok(())
    }

    /// Points the first headers at their room: the kernel overwrote the lengths.
    fn arm(&mut self, most: usize) {
        for index in 0..most {
            let first = index * DATAGRAM_OCTETS_MAX;
            self.vectors[index].iov_base =
                self.octets[first..first + DATAGRAM_OCTETS_MAX].as_mut_ptr().cast();
            self.vectors[index].iov_len = DATAGRAM_OCTETS_MAX;
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
        }
    }
}

/// How long a receive may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// For one datagram or the socket's timeout.
    ForOne,
    /// Not at all.
    Never,
}

/// A batch of datagrams to send on a connected socket.
pub struct Outbox {
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

impl Outbox {
    /// Allocates the headers.
    pub fn new() -> Outbox {
        // SAFETY: header and vector are integers and raw pointers, for which zeros are valid.
        let (header, vector) = unsafe { (zeroed(), zeroed()) };
        Outbox { headers: vec![header; BATCH_DATAGRAMS_MAX], vectors: vec![vector; BATCH_DATAGRAMS_MAX] }
    }

    /// Sends up to a batch of slices; returns how many the kernel took. 0: its queue is full.
    pub fn send<'a>(
        &mut self,
        socket: &UdpSocket,
        datagrams: impl Iterator<Item = &'a [u8]>,
    ) -> io::Result<usize> {
        let mut queued = 0;
        for (datagram, index) in datagrams.zip(0..BATCH_DATAGRAMS_MAX) {
            self.vectors[index].iov_base = datagram.as_ptr().cast_mut().cast();
            self.vectors[index].iov_len = datagram.len();
            let header = &mut self.headers[index].msg_hdr;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            queued = index + 1;
        }
        // SAFETY: the first `queued` headers point at vectors that point at slices borrowed for 'a, which
        // outlives this call; the kernel only reads them.
        let sent = unsafe {
            let headers = self.headers.as_mut_ptr();
            libc::sendmmsg(socket.as_raw_fd(), headers, queued as libc::c_uint, libc::MSG_DONTWAIT)
        };
        usize::try_from(sent).or_else(|_| nothing_is_zero(io::Error::last_os_error()))
    }
}

/// Keeps the calling thread, and what it starts, on one core.
pub fn pin(core: usize) -> io::Result<()> {
    // SAFETY: a zeroed set is a valid empty one; the core's number is checked against its size by the
    // macro's own bounds; the kernel reads the set during the call only.
    let outcome = unsafe {
        let mut set: libc::cpu_set_t = zeroed();
        libc::CPU_SET(core, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Room for the answers of a server that was held up and then sends them all: the kernel's default is too
/// small, and an answer that does not fit would count as lost by the server.
pub fn room_for_bursts(socket: &UdpSocket) {
    for option in [libc::SO_RCVBUF, libc::SO_RCVBUFFORCE] {
        let octets: libc::c_int = RECEIVE_BUFFER_OCTETS;
        // SAFETY: the kernel reads an integer of the length given, which lives through the call. Who may
        // not go beyond the machine's limit gets the limit, which is no failure.
        unsafe {
            let value = (&raw const octets).cast();
            let length = size_of_val(&octets) as libc::socklen_t;
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, length)
        };
    }
}

/// Waits until one of the sockets has something, at most this long.
pub fn wait_for_any<S: AsFd>(sockets: &[S], milliseconds_max: i32) {
    let entry =
        |socket: &S| libc::pollfd { fd: socket.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = sockets.iter().map(entry).collect();
    // SAFETY: the entries live through the call and their number is passed with them. What comes of it
    // is found out by receiving.
    unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, milliseconds_max) };
}

/// SAFETY: only for types made of integers and raw pointers.
unsafe fn zeroed<T>() -> T {
    // SAFETY: the caller's promise.
    unsafe { std::mem::zeroed() }
}

/// An empty queue, a signal and an old ICMP error are no datagrams, and no failure.
fn nothing_is_zero(error: io::Error) -> io::Result<usize> {
    match error.kind() {
        io::ErrorKind::WouldBlock
        | io::ErrorKind::TimedOut
        | io::ErrorKind::Interrupted
        | io::ErrorKind::ConnectionRefused => Ok(0),
        _ => Err(error),
    }
}
