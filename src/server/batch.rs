//! Datagrams by the batch: `recvmmsg` and `sendmmsg` over buffers that are allocated once.
//!
//! The only module with `unsafe`. What it hands out is safe: a datagram's source and octets, room for
//! the reply, and replies that leave from the address that was asked.
#![allow(unsafe_code)]
// What is one type in one C library has two in another.
#![allow(clippy::unnecessary_cast)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};
use std::slice;

/// Datagrams moved by one system call. Savings flatten at 8; 32 also absorbs bursts.
pub const BATCH_DATAGRAMS_MAX: usize = 32;
/// Room for one query. A longer datagram arrives cut off, which the parser refuses as malformed.
pub const QUERY_OCTETS_MAX: usize = 4096;
/// Room for one reply: the largest `udp_payload_max` that the configuration accepts.
pub const REPLY_OCTETS_MAX: usize = 4096;
/// Room for one control message with a packet's destination: 32 octets for IPv4, 40 for IPv6.
const CONTROL_WORDS: usize = 8;
/// What a processor moves between memory and its caches at a time.
const CACHE_LINE_OCTETS: usize = 64;

/// How long a receive may wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Until one datagram is there or the socket's receive timeout has passed.
    ForOne,
    /// Not at all.
    Never,
}

/// One received datagram and the room for its reply.
pub struct Datagram<'b> {
    /// The address it came from.
    pub source: IpAddr,
    /// The port it came from.
    pub port: u16,
    /// What was sent.
    pub query: &'b [u8],
    /// Where to write the reply, [`REPLY_OCTETS_MAX`] long.
    pub reply: &'b mut [u8],
}

/// What became of a batch of replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// Replies that the kernel took.
    pub sent: usize,
    /// Replies that it refused (no route, a filter, a full device queue): the client asks again.
    pub failed: usize,
}

/// Room for one query. Its length is an odd number of cache lines: the first lines of a batch's queries, which
/// are all that most queries have, are then spread over a cache's sets. At a power of two they would all
/// be in one.
#[repr(C, align(64))]
struct Room {
    octets: [u8; QUERY_OCTETS_MAX],
    spread: [u8; CACHE_LINE_OCTETS],
}

/// Room for an address of either family. Two share a cache line, and the next is a shift away.
#[repr(C, align(32))]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Everything that the two system calls point at. Never moves once allocated.
#[repr(C, align(64))]
struct Slots {
    receive: [libc::mmsghdr; BATCH_DATAGRAMS_MAX],
    send: [libc::mmsghdr; BATCH_DATAGRAMS_MAX],
    receive_vectors: [libc::iovec; BATCH_DATAGRAMS_MAX],
    send_vectors: [libc::iovec; BATCH_DATAGRAMS_MAX],
    names: [Name; BATCH_DATAGRAMS_MAX],
    controls: [[u64; CONTROL_WORDS]; BATCH_DATAGRAMS_MAX],
    queries: [Room; BATCH_DATAGRAMS_MAX],
    /// One behind the other, each from the start of a cache line: short as they mostly are, a batch's replies
    /// fill one or two pages. One more than datagrams: there is always room behind what is queued.
    replies: [u8; (BATCH_DATAGRAMS_MAX + 1) * REPLY_OCTETS_MAX],
}

/// A worker's buffers. A turn: [`Batch::receive`]; [`Batch::take`] until there is none, and
/// [`Batch::reply`] for those that are answered; [`Batch::send`].
pub struct Batch {
    /// Points to a leaked box that only this value owns. The headers inside hold pointers derived from
    /// it, so every access goes through it too and none through a reference to the whole.
    slots: NonNull<Slots>,
    /// What the kernel says it has received: at most BATCH_DATAGRAMS_MAX.
    received: usize,
    /// Datagrams handed out: at most `received`.
    taken: usize,
    /// Replies queued: at most `taken`.
    queued: usize,
    /// Where the next reply begins: at most `queued * REPLY_OCTETS_MAX`.
    reply_at: usize,
    /// The length of an address of the socket's family.
    name_octets: libc::socklen_t,
    is_v6: bool,
    /// The socket tells where each datagram was sent to: see [`prepare`].
    is_told_destinations: bool,
}

impl Batch {
    /// Allocates the buffers and points the headers at them, for a socket that is bound to this address.
    pub fn new(local: IpAddr) -> Batch {
        let mut slots = Box::<Slots>::new_uninit();
        // SAFETY: the box is writable for one `Slots`, and every field of it is made of integers, raw pointers
        // and arrays and unions of them, for which all zeros is a valid value.
        let slots = unsafe {
            slots.as_mut_ptr().write_bytes(0, 1);
            slots.assume_init()
        };
        let name_octets = match local {
            IpAddr::V4(_) => size_of::<libc::sockaddr_in>(),
            IpAddr::V6(_) => size_of::<libc::sockaddr_in6>(),
        };
        let batch = Batch {
            slots: NonNull::from(Box::leak(slots)),
            received: 0,
            taken: 0,
            queued: 0,
            reply_at: 0,
            name_octets: name_octets as libc::socklen_t,
            is_v6: local.is_ipv6(),
            is_told_destinations: local.is_unspecified(),
        };
        for index in 0..BATCH_DATAGRAMS_MAX {
            batch.point(index);
            batch.arm(index);
        }
        batch
    }

    /// Receives up to a batch of datagrams and forgets the one before; returns how many there are.
    /// `WouldBlock` and `Interrupted` mean that there was nothing.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> io::Result<usize> {
        self.forget();
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::Never => libc::MSG_DONTWAIT,
        };
        // SAFETY: `receive` holds BATCH_DATAGRAMS_MAX headers whose pointers lead into the live `Slots`
        // with the lengths set by `point` and `arm`; no reference into `Slots` exists while the kernel
        // writes, because handing one out borrows `self`.
        let received = unsafe {
            let headers = &raw mut (*self.slots.as_ptr()).receive;
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.cast(),
                BATCH_DATAGRAMS_MAX as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        self.received = received.min(BATCH_DATAGRAMS_MAX);
        Ok(self.received)
    }

    /// What was sent in each datagram of the batch.
    #[inline]
    pub fn queries(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        (0..self.received).map(|index| {
            let slots = self.slots.as_ptr();
            // SAFETY: `index` is below BATCH_DATAGRAMS_MAX; the kernel has written at most QUERY_OCTETS_MAX octets, and
            // nobody writes to the queries while `self` is borrowed.
            unsafe {
                let header = (&raw const (*slots).receive).cast::<libc::mmsghdr>().add(index);
                let octets = ((*header).msg_len as usize).min(QUERY_OCTETS_MAX);
                let query = (&raw const (*slots).queries).cast::<Room>().add(index).cast::<u8>();
                slice::from_raw_parts(query, octets)
            }
        })
    }

    /// The next datagram of the batch; `None` at its end.
    #[inline]
    pub fn take(&mut self) -> Option<Datagram<'_>> {
        if self.taken >= self.received {
            return None;
        }
        self.taken += 1;
        self.last()
    }

    /// The datagram that was handed out last, once more.
    #[inline]
    pub fn last(&mut self) -> Option<Datagram<'_>> {
        let index = self.taken.checked_sub(1)?;
        let (source, port) = self.source(index);
        let slots = self.slots.as_ptr();
        // SAFETY: `index` is below BATCH_DATAGRAMS_MAX, and `replies` has room for a reply behind those that are
        // queued. The query and the reply are in different fields, so the two slices do not overlap, and
        // both live as long as the borrow of `self` that guards them.
        let (query, reply) = unsafe {
            let header = (&raw const (*slots).receive).cast::<libc::mmsghdr>().add(index);
            let octets = ((*header).msg_len as usize).min(QUERY_OCTETS_MAX);
            let query = (&raw const (*slots).queries).cast::<Room>().add(index).cast::<u8>();
            let reply = (&raw mut (*slots).replies).cast::<u8>().add(self.reply_at);
            (slice::from_raw_parts(query, octets), slice::from_raw_parts_mut(reply, REPLY_OCTETS_MAX))
        };
        Some(Datagram { source, port, query, reply })
    }

    /// Queues the first `octets` of the reply buffer of the datagram that was handed out last, to its source,
    /// from the address it was sent to.
    #[inline]
    pub fn reply(&mut self, octets: usize) {
        // There is room for no more.
        if self.queued >= self.taken {
            return;
        }
        let octets = octets.min(REPLY_OCTETS_MAX);
        let (slots, index) = (self.slots.as_ptr(), self.taken - 1);
        // SAFETY: `queued` and `index` are below BATCH_DATAGRAMS_MAX, and `octets` from `reply_at` on are in
        // `replies`; the pointers stored lead into the live `Slots`, whose lengths are not exceeded.
        unsafe {
            let vector = (&raw mut (*slots).send_vectors).cast::<libc::iovec>().add(self.queued);
            (*vector).iov_base = (&raw mut (*slots).replies).cast::<u8>().add(self.reply_at).cast();
            (*vector).iov_len = octets;
            let header = (&raw mut (*slots).send).cast::<libc::mmsghdr>().add(self.queued);
            (*header).msg_hdr.msg_name = (&raw mut (*slots).names).cast::<Name>().add(index).cast();
        }
        if self.is_told_destinations {
            self.leave_from_destination(index);
        }
        self.queued += 1;
        self.reply_at += (octets + CACHE_LINE_OCTETS - 1) & !(CACHE_LINE_OCTETS - 1);
    }

    /// Sends what is queued. A reply that the kernel refuses is skipped and the rest goes on.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> Sent {
        let mut result = Sent { sent: 0, failed: 0 };
        let mut retried = false;
        while result.sent + result.failed < self.queued {
            let first = result.sent + result.failed;
            // SAFETY: headers `first..queued` were filled by `point` and `reply` and point into the live `Slots`;
            // the kernel only reads through them and writes `msg_len` in the headers themselves.
            let sent = unsafe {
                let headers = (&raw mut (*self.slots.as_ptr()).send).cast::<libc::mmsghdr>();
                let left = (self.queued - first) as libc::c_uint;
                libc::sendmmsg(socket.as_raw_fd(), headers.add(first), left, 0)
            };
            if let Ok(sent @ 1..) = usize::try_from(sent) {
                result.sent += sent;
                retried = false;
                continue;
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                // An old ICMP error of another datagram: reported once, then the socket is clean again.
                io::ErrorKind::ConnectionRefused if !retried => retried = true,
                _ if is_too_long(&error) && self.send_in_fragments(socket, first) => {
                    result.sent += 1;
                    retried = false;
                }
                _ => {
                    result.failed += 1;
                    retried = false;
                }
            }
        }
        self.forget();
        result
    }

    /// Sends a queued reply that is longer than the interface's MTU: only where `udp_payload_max` says that clients
    /// shall have such. Returns whether the kernel took it.
    fn send_in_fragments(&self, socket: BorrowedFd<'_>, index: usize) -> bool {
        if self.is_v6 || set_fragmentation(socket, Fragmentation::Anywhere).is_err() {
            return false;
        }
        // SAFETY: header `index` was filled by `point` and `reply` and points into the live `Slots`; the kernel only
        // reads through it.
        let sent = unsafe {
            let header = (&raw const (*self.slots.as_ptr()).send).cast::<libc::mmsghdr>().add(index);
            libc::sendmsg(socket.as_raw_fd(), &raw const (*header).msg_hdr, 0)
        };
        set_fragmentation(socket, Fragmentation::Never).is_ok() && sent >= 0
    }

    /// Ends a turn: the kernel overwrote the lengths.
    fn forget(&mut self) {
        for index in 0..self.received {
            self.arm(index);
        }
        (self.received, self.taken, self.queued, self.reply_at) = (0, 0, 0, 0);
    }

    /// Points a slot's headers at what they never point away from.
    fn point(&self, index: usize) {
        let slots = self.slots.as_ptr();
        // SAFETY: `index` is below BATCH_DATAGRAMS_MAX; all pointers lead into the live `Slots`.
        unsafe {
            let vector = &mut (*slots).receive_vectors[index];
            vector.iov_base = (&raw mut (*slots).queries[index].octets).cast();
            vector.iov_len = QUERY_OCTETS_MAX;
            let header = &mut (*slots).receive[index].msg_hdr;
            header.msg_name = (&raw mut (*slots).names[index]).cast();
            header.msg_iov = &raw mut (*slots).receive_vectors[index];
            header.msg_iovlen = 1;
            if self.is_told_destinations {
                header.msg_control = (&raw mut (*slots).controls[index]).cast();
            }
            let header = &mut (*slots).send[index].msg_hdr;
            header.msg_namelen = self.name_octets;
            header.msg_iov = &raw mut (*slots).send_vectors[index];
            header.msg_iovlen = 1;
        }
    }

    /// Makes a slot ready to receive.
    #[inline]
    fn arm(&self, index: usize) {
        let slots = self.slots.as_ptr();
        // SAFETY: `index` is below BATCH_DATAGRAMS_MAX; the lengths are those of the slot's name and, where there
        // is a pointer to it, of its control buffer.
        unsafe {
            let header = (&raw mut (*slots).receive).cast::<libc::mmsghdr>().add(index);
            (*header).msg_hdr.msg_namelen = self.name_octets;
            if self.is_told_destinations {
                (*header).msg_hdr.msg_controllen = size_of::<[u64; CONTROL_WORDS]>() as _;
            }
        }
    }

    /// The source of a received datagram.
    #[inline]
    fn source(&self, index: usize) -> (IpAddr, u16) {
        // SAFETY: `index` is below BATCH_DATAGRAMS_MAX; both variants are made of integers, for which the zeros
        // that were there first and whatever the kernel has written are valid values.
        unsafe {
            let name = (&raw const (*self.slots.as_ptr()).names).cast::<Name>().add(index);
            if self.is_v6 {
                let v6 = &raw const (*name).v6;
                (Ipv6Addr::from((*v6).sin6_addr.s6_addr).into(), u16::from_be((*v6).sin6_port))
            } else {
                let v4 = &raw const (*name).v4;
                let address = Ipv4Addr::from(u32::from_be((*v4).sin_addr.s_addr));
                (address.into(), u16::from_be((*v4).sin_port))
            }
        }
    }

    /// Lets the reply that is queued next leave from where the datagram was sent to.
    fn leave_from_destination(&mut self, index: usize) {
        let octets = self.reply_control(index);
        let slots = self.slots.as_ptr();
        // SAFETY: `queued` and `index` are below BATCH_DATAGRAMS_MAX; `reply_control` has looked at the length.
        unsafe {
            let header = &mut (*slots).send[self.queued].msg_hdr;
            header.msg_control = match octets {
                0 => ptr::null_mut(),
                _ => (&raw mut (*slots).controls[index]).cast(),
            };
            header.msg_controllen = octets as _;
        }
    }

    /// Turns the control message of a received datagram (where it was sent to) into that of its reply
    /// (where to send it from); returns its length, 0 for none.
    fn reply_control(&self, index: usize) -> usize {
        let slots = self.slots.as_ptr();
        // SAFETY: `index` is below the number received: the kernel has set the header's control length and
        // flags and filled the control buffer. `CMSG_FIRSTHDR` returns null if no whole message header fits,
        // and the length is checked before the data is touched; the buffer is aligned for `cmsghdr`.
        unsafe {
            let header = &raw const (*slots).receive[index].msg_hdr;
            if (*header).msg_flags & libc::MSG_CTRUNC != 0 {
                return 0;
            }
            let message = libc::CMSG_FIRSTHDR(header);
            if message.is_null() {
                return 0;
            }
            let octets = (*message).cmsg_len as usize;
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO)
                    if octets >= libc::CMSG_LEN(size_of::<libc::in_pktinfo>() as u32) as usize =>
                {
                    // The reply's way out is the routing table's to choose, not the query's way in.
                    (*libc::CMSG_DATA(message).cast::<libc::in_pktinfo>()).ipi_ifindex = 0;
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO)
                    if octets >= libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as u32) as usize =>
                {
                    let info = &mut *libc::CMSG_DATA(message).cast::<libc::in6_pktinfo>();
                    // A link-local address means something only on its interface.
                    if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                        info.ipi6_ifindex = 0;
                    }
                }
                _ => return 0,
            }
            (*header).msg_controllen as usize
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Box::leak` in `new`, is owned by this value alone, and nothing
        // borrowed from it can outlive the value.
        drop(unsafe { Box::from_raw(self.slots.as_ptr()) });
    }
}

/// Asks the kernel for each datagram's destination where replies must be told to leave from there, and to
/// ignore path MTU reports for what this socket sends: forged ones would fragment answers.
///
/// IPv4 replies have DF set (RFC 9715 section 3.1): what is never a fragment cannot have a forged one mixed in,
/// and the kernel need not number it, which for unconnected sockets is a hash and an addition shared by
/// all cores. IPv6 routers do not fragment.
pub fn prepare(socket: BorrowedFd<'_>, local: IpAddr) -> io::Result<()> {
    match local {
        IpAddr::V4(address) => {
            if address.is_unspecified() {
                set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
            }
            set_fragmentation(socket, Fragmentation::Never)
        }
        IpAddr::V6(address) => {
            if address.is_unspecified() {
                set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
            }
            set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT)
        }
    }
}

/// Asks for so many octets of room for datagrams that wait, in both directions. With the privilege to (CAP_NET_ADMIN: at
/// the start, as root) more than `net.core.rmem_max` and `wmem_max` allow, otherwise as much as they do.
pub fn reserve(socket: BorrowedFd<'_>, octets: usize) -> io::Result<()> {
    let octets = libc::c_int::try_from(octets).unwrap_or(libc::c_int::MAX);
    for (forced, asked) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        set_option(socket, libc::SOL_SOCKET, forced, octets)
            .or_else(|_| set_option(socket, libc::SOL_SOCKET, asked, octets))?;
    }
    Ok(())
}

/// Where IPv4 datagrams may be fragmented. Reports of path MTUs are ignored either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fragmentation {
    /// Nowhere: DF is set, and what is longer than the interface's MTU is refused.
    Never,
    /// Here and on the way.
    Anywhere,
}

fn set_fragmentation(socket: BorrowedFd<'_>, fragmentation: Fragmentation) -> io::Result<()> {
    let value = match fragmentation {
        Fragmentation::Never => libc::IP_PMTUDISC_PROBE,
        Fragmentation::Anywhere => libc::IP_PMTUDISC_OMIT,
    };
    set_option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, value)
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

fn set_option(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the option's value is a live integer of the length given; the descriptor is borrowed.
    let outcome = unsafe {
        let octets = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), octets)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;
    use std::time::Duration;

    /// Echoes what has arrived until there is nothing more; returns how many.
    fn echo(batch: &mut Batch, socket: &UdpSocket) -> usize {
        let mut echoed = 0;
        while let Ok(received) = batch.receive(socket.as_fd(), Wait::Never) {
            while let Some(datagram) = batch.take() {
                let octets = datagram.query.len();
                datagram.reply[..octets].copy_from_slice(datagram.query);
                batch.reply(octets);
            }
            let sent = batch.send(socket.as_fd());
            assert_eq!(sent, Sent { sent: received, failed: 0 });
            echoed += received;
        }
        echoed
    }

    fn client(address: &str) -> UdpSocket {
        let client = UdpSocket::bind(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client
    }

    #[test]
    fn more_than_a_batch_comes_back_whole_and_in_order() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        prepare(server.as_fd(), server.local_addr().unwrap().ip()).unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        for round in 0..3_u8 {
            for number in 0..70_u8 {
                let octets = vec![number ^ round; usize::from(number) * 7];
                client.send_to(&octets, server.local_addr().unwrap()).unwrap();
            }
            assert_eq!(echo(&mut batch, &server), 70);
            let mut buffer = [0; 2000];
            for number in 0..70_u8 {
                let octets = client.recv(&mut buffer).unwrap();
                assert_eq!(&buffer[..octets], vec![number ^ round; usize::from(number) * 7]);
            }
        }
    }

    #[test]
    fn replies_leave_from_the_address_that_was_asked() {
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        prepare(server.as_fd(), server.local_addr().unwrap().ip()).unwrap();
        let port = server.local_addr().unwrap().port();
        let client = client("127.0.0.1:0");
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        for last in [1, 2, 77, 254] {
            let asked = SocketAddr::from(([127, 0, 3, last], port));
            client.send_to(b"query", asked).unwrap();
            assert_eq!(echo(&mut batch, &server), 1);
            assert_eq!(client.recv_from(&mut [0; 16]).unwrap().1, asked);
        }
    }

    #[test]
    fn replies_over_ipv6_leave_from_the_address_that_was_asked() {
        // Machines without IPv6 have no such address to bind.
        let Ok(client) = UdpSocket::bind("[::1]:0") else { return };
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        for bound in ["[::]:0", "[::1]:0"] {
            let server = UdpSocket::bind(bound).unwrap();
            let local = server.local_addr().unwrap();
            prepare(server.as_fd(), local.ip()).unwrap();
            let asked = SocketAddr::from((Ipv6Addr::LOCALHOST, local.port()));
            let mut batch = Batch::new(local.ip());
            for round in 1..=3 {
                for _ in 0..round {
                    client.send_to(b"query", asked).unwrap();
                }
                assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), round);
                while let Some(datagram) = batch.take() {
                    let source = SocketAddr::new(datagram.source, datagram.port);
                    assert_eq!(source, client.local_addr().unwrap());
                    datagram.reply[..5].copy_from_slice(datagram.query);
                    batch.reply(5);
                }
                assert_eq!(batch.send(server.as_fd()), Sent { sent: round, failed: 0 });
                for _ in 0..round {
                    assert_eq!(client.recv_from(&mut [0; 16]).unwrap(), (5, asked));
                }
            }
        }
    }

    #[test]
    fn who_is_not_answered_leaves_no_gap_and_the_longest_replies_fit() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let clients = [client("127.0.0.1:0"), client("127.0.0.1:0")];
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        for number in 0..BATCH_DATAGRAMS_MAX {
            clients[number % 2].send_to(&[number as u8], server.local_addr().unwrap()).unwrap();
        }
        assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), BATCH_DATAGRAMS_MAX);
        while let Some(Datagram { source, port, query, reply }) = batch.take() {
            let number = query[0];
            let client = &clients[usize::from(number % 2)];
            assert_eq!(SocketAddr::new(source, port), client.local_addr().unwrap());
            let octets = if number % 3 == 0 { REPLY_OCTETS_MAX } else { usize::from(number) };
            reply.fill(number);
            if number % 5 != 0 {
                batch.reply(octets);
            }
        }
        let expected = (0..BATCH_DATAGRAMS_MAX as u8).filter(|number| number % 5 != 0);
        assert_eq!(batch.send(server.as_fd()), Sent { sent: expected.clone().count(), failed: 0 });
        let mut buffer = [0; REPLY_OCTETS_MAX];
        for number in expected {
            let octets = clients[usize::from(number % 2)].recv(&mut buffer).unwrap();
            assert_eq!(octets, if number % 3 == 0 { REPLY_OCTETS_MAX } else { usize::from(number) });
            assert!(buffer[..octets].iter().all(|octet| *octet == number));
        }
    }

    #[test]
    fn a_whole_batch_of_the_longest_replies_fits_and_there_is_room_behind_it() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        for _ in 0..BATCH_DATAGRAMS_MAX {
            client.send_to(b"query", server.local_addr().unwrap()).unwrap();
        }
        assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), BATCH_DATAGRAMS_MAX);
        while let Some(datagram) = batch.take() {
            datagram.reply.fill(1);
            batch.reply(usize::MAX);
        }
        batch.last().unwrap().reply.fill(2);
        batch.reply(1);
        assert_eq!(batch.queued, BATCH_DATAGRAMS_MAX);
        // The kernel's room for a client's datagrams may be smaller than all of them: sent they are.
        assert_eq!(batch.send(server.as_fd()), Sent { sent: BATCH_DATAGRAMS_MAX, failed: 0 });
        let mut buffer = [0; REPLY_OCTETS_MAX + 1];
        assert_eq!(client.recv(&mut buffer).unwrap(), REPLY_OCTETS_MAX);
        assert!(buffer[..REPLY_OCTETS_MAX].iter().all(|octet| *octet == 1));
    }

    #[test]
    fn a_reply_that_the_kernel_refuses_does_not_hold_the_others() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = client("127.0.0.1:0");
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        for octets in [b"a", b"b", b"c"] {
            client.send_to(octets, server.local_addr().unwrap()).unwrap();
        }
        assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), 3);
        for letter in b"ABC" {
            batch.take().unwrap().reply[0] = *letter;
            batch.reply(1);
        }
        // Port 0 cannot be sent to.
        // SAFETY: no reference into the slots exists; the name holds an IPv4 address.
        unsafe {
            (*batch.slots.as_ptr()).names[1].v4.sin_port = 0;
        }
        assert_eq!(batch.send(server.as_fd()), Sent { sent: 2, failed: 1 });
        let mut buffer = [0; 1];
        client.recv(&mut buffer).unwrap();
        assert_eq!(buffer, *b"A");
        client.recv(&mut buffer).unwrap();
        assert_eq!(buffer, *b"C");
    }

    #[test]
    fn a_reply_longer_than_the_mtu_goes_in_fragments_and_the_next_does_not() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = server.local_addr().unwrap();
        prepare(server.as_fd(), local.ip()).unwrap();
        let client = client("127.0.0.1:0");
        client.send_to(b"query", local).unwrap();
        let mut batch = Batch::new(local.ip());
        assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), 1);
        batch.take().unwrap().reply.fill(5);
        batch.reply(REPLY_OCTETS_MAX);
        // The loopback's MTU takes any reply: what a shorter one leads to is done by hand.
        let discovery = || {
            let (mut value, mut octets) = (0, size_of::<libc::c_int>() as libc::socklen_t);
            let into: *mut libc::c_int = &raw mut value;
            let (level, name) = (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
            // SAFETY: there is room for an integer, as its length says.
            unsafe { libc::getsockopt(server.as_raw_fd(), level, name, into.cast(), &raw mut octets) };
            value
        };
        assert_eq!(discovery(), libc::IP_PMTUDISC_PROBE);
        assert!(batch.send_in_fragments(server.as_fd(), 0));
        assert_eq!(client.recv(&mut [0; REPLY_OCTETS_MAX + 1]).unwrap(), REPLY_OCTETS_MAX);
        assert_eq!(discovery(), libc::IP_PMTUDISC_PROBE);
    }

    #[test]
    fn room_is_reserved_with_and_without_the_privilege() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        reserve(server.as_fd(), 300_000).unwrap();
        // Unprivileged processes get what net.core.rmem_max allows, 212,992 where nobody has set it; the kernel
        // doubles it for its own needs.
        assert!(socket2::SockRef::from(&server).recv_buffer_size().unwrap() >= 212_992);
    }

    #[test]
    fn a_datagram_past_the_room_is_cut_and_empty_ones_are_empty() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = client("127.0.0.1:0");
        client.send_to(&[7; 9000], server.local_addr().unwrap()).unwrap();
        client.send_to(&[], server.local_addr().unwrap()).unwrap();
        let mut batch = Batch::new(server.local_addr().unwrap().ip());
        assert_eq!(batch.receive(server.as_fd(), Wait::ForOne).unwrap(), 2);
        assert!(batch.last().is_none());
        assert_eq!(batch.take().unwrap().query, [7; QUERY_OCTETS_MAX]);
        assert!(batch.take().unwrap().query.is_empty());
        assert!(batch.take().is_none());
        assert_eq!(batch.send(server.as_fd()), Sent { sent: 0, failed: 0 });
        assert!(batch.last().is_none() && batch.take().is_none());
        batch.reply(1);
        assert_eq!(batch.send(server.as_fd()), Sent { sent: 0, failed: 0 });
    }
}
