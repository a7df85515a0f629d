//! A socket of AF_XDP: frames between an interface's queue and this process, through four rings in shared memory.
//! One of two files with `unsafe` here; there is no crate for this that needs no C library and has a licence that the
//! project takes (README.md).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

/// Frames of the shared memory: half of them to receive into, half to send from.
const FRAMES: u32 = 4096;
const FRAME_OCTETS: u32 = 2048;
/// Places in each ring: a power of 2, and room for each frame that can be in it.
const RING_PLACES: u32 = FRAMES / 2;
/// Frames answered before the kernel is told to send: what it sends at one call.
const BATCH_FRAMES_MAX: u32 = 32;

/// Memory shared with the kernel.
struct Mapping {
    first: NonNull<u8>,
    octets: usize,
}

// SAFETY: the memory belongs to this value alone and is not bound to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(octets: usize, of: Option<(BorrowedFd<'_>, u64)>) -> io::Result<Mapping> {
        let (flags, fd, offset) = match of {
            None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0),
            Some((fd, offset)) => (libc::MAP_SHARED | libc::MAP_POPULATE, fd.as_raw_fd(), offset),
        };
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let first =
            unsafe { libc::mmap(std::ptr::null_mut(), octets, access, flags, fd, offset as libc::off_t) };
        match NonNull::new(first.cast::<u8>()) {
            Some(first) if first.as_ptr().cast::<libc::c_void>() != libc::MAP_FAILED => {
                Ok(Mapping { first, octets })
            }
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn at<T>(&self, offset: u64) -> *mut T {
        assert!(offset as usize + size_of::<T>() <= self.octets, "an offset within the mapping");
        // SAFETY: it is within the mapping.
        unsafe { self.first.as_ptr().add(offset as usize).cast() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new`, and nothing borrowed from it outlives it.
        unsafe { libc::munmap(self.first.as_ptr().cast(), self.octets) };
    }
}

/// One ring: either end moves one of two counters.
struct Ring {
    mapping: Mapping,
    offsets: libc::xdp_ring_offset,
}

impl Ring {
    fn new(
        socket: BorrowedFd<'_>,
        page: u64,
        offsets: libc::xdp_ring_offset,
        entry: usize,
    ) -> io::Result<Ring> {
        let octets = offsets.desc as usize + RING_PLACES as usize * entry;
        Ok(Ring { mapping: Mapping::new(octets, Some((socket, page)))?, offsets })
    }

    fn produced(&self) -> &AtomicU32 {
        // SAFETY: an aligned counter within the mapping, which both sides only touch atomically.
        unsafe { &*self.mapping.at(self.offsets.producer) }
    }

    fn consumed(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { &*self.mapping.at(self.offsets.consumer) }
    }

    /// The entry that a counter stands for.
    fn entry<T>(&self, counter: u32) -> *mut T {
        let place = u64::from(counter & (RING_PLACES - 1));
        self.mapping.at(self.offsets.desc + place * size_of::<T>() as u64)
    }

    /// Takes what the kernel has put in, at most so many.
    fn take<T: Copy>(&self, most: u32, mut each: impl FnMut(T)) -> u32 {
        let first = self.consumed().load(Ordering::Relaxed);
        let count = self.produced().load(Ordering::Acquire).wrapping_sub(first).min(most);
        for index in 0..count {
            // SAFETY: the kernel has produced this entry and leaves it alone until it is consumed.
            each(unsafe { self.entry::<T>(first.wrapping_add(index)).read() });
        }
        self.consumed().store(first.wrapping_add(count), Ordering::Release);
        count
    }

    /// Puts entries in. The ring has a place for every frame that there is, so it is never full.
    fn put<T: Copy>(&self, entries: &[T]) {
        let first = self.produced().load(Ordering::Relaxed);
        for (index, entry) in entries.iter().enumerate() {
            // SAFETY: the kernel does not read this entry before it is produced.
            unsafe { self.entry::<T>(first.wrapping_add(index as u32)).write(*entry) };
        }
        self.produced().store(first.wrapping_add(entries.len() as u32), Ordering::Release);
    }

    fn is_drained(&self) -> bool {
        self.consumed().load(Ordering::Acquire) == self.produced().load(Ordering::Relaxed)
    }
}

/// A bound socket with its memory and its rings.
pub struct Xsk {
    socket: OwnedFd,
    memory: Mapping,
    fill: Ring,
    completion: Ring,
    receive: Ring,
    send: Ring,
    free: Vec<u64>,
}

impl Xsk {
    /// Binds to a queue of an interface of the calling thread's network namespace. Frames are copied: a virtual
    /// interface has no memory of its own to share.
    pub fn open(interface: u32, queue: u32) -> io::Result<Xsk> {
        // SAFETY: makes a descriptor and touches nothing else.
        let socket =
            succeeded(unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let memory = Mapping::new((FRAMES * FRAME_OCTETS) as usize, None)?;
        // SAFETY: integers, for which zeros are valid.
        let mut registration: libc::xdp_umem_reg = unsafe { std::mem::zeroed() };
        registration.addr = memory.first.as_ptr() as u64;
        registration.len = u64::from(FRAMES * FRAME_OCTETS);
        registration.chunk_size = FRAME_OCTETS;
        set(socket.as_fd(), libc::XDP_UMEM_REG, &registration)?;
        for ring in
            [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING]
        {
            set(socket.as_fd(), ring, &RING_PLACES)?;
        }
        let offsets = offsets(socket.as_fd())?;
        let ring = |page: u64, offsets, entry| Ring::new(socket.as_fd(), page, offsets, entry);
        let (address, descriptor) = (size_of::<u64>(), size_of::<libc::xdp_desc>());
        let fill = ring(libc::XDP_UMEM_PGOFF_FILL_RING, offsets.fr, address)?;
        let completion = ring(libc::XDP_UMEM_PGOFF_COMPLETION_RING, offsets.cr, address)?;
        let receive = ring(libc::XDP_PGOFF_RX_RING as u64, offsets.rx, descriptor)?;
        let send = ring(libc::XDP_PGOFF_TX_RING as u64, offsets.tx, descriptor)?;
        // SAFETY: integers, for which zeros are valid.
        let mut address: libc::sockaddr_xdp = unsafe { std::mem::zeroed() };
        address.sxdp_family = libc::AF_XDP as u16;
        address.sxdp_flags = libc::XDP_COPY;
        address.sxdp_ifindex = interface;
        address.sxdp_queue_id = queue;
        let octets = size_of::<libc::sockaddr_xdp>() as libc::socklen_t;
        // SAFETY: the address lives through the call, its length is passed with it.
        succeeded(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), octets) })?;
        let addresses: Vec<u64> = (0..FRAMES).map(|frame| u64::from(frame * FRAME_OCTETS)).collect();
        let (to_fill, free) = addresses.split_at(RING_PLACES as usize);
        fill.put(to_fill);
        let free = free.to_vec();
        Ok(Xsk { socket, memory, fill, completion, receive, send, free })
    }

    /// Answers what has arrived, at most a batch: `answer` gets a frame and room for another, and says how long that
    /// is. Returns how many frames there were.
    pub fn serve(&mut self, mut answer: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) -> io::Result<u32> {
        let Xsk { memory, fill, completion, receive, send, free, .. } = self;
        completion.take(RING_PLACES, |frame: u64| free.push(frame));
        let mut used = [0u64; BATCH_FRAMES_MAX as usize];
        let mut replies = Vec::with_capacity(BATCH_FRAMES_MAX as usize);
        let mut count = 0;
        let taken = receive.take(BATCH_FRAMES_MAX, |received: libc::xdp_desc| {
            used[count] = received.addr - received.addr % u64::from(FRAME_OCTETS);
            count += 1;
            let Some(to) = free.pop() else { return };
            let (Some(asked), Some(room)) =
                (frame(memory, received.addr, received.len), frame(memory, to, FRAME_OCTETS))
            else {
                return free.push(to);
            };
            // SAFETY: both are within the memory, in different frames, and the kernel has handed both over: the
            // one by receiving into it, the other by completing it or never having had it.
            let (asked, room) = unsafe {
                (std::slice::from_raw_parts(asked, received.len as usize), {
                    std::slice::from_raw_parts_mut(room, FRAME_OCTETS as usize)
                })
            };
            match answer(asked, room) {
                Some(length) => replies.push(libc::xdp_desc { addr: to, len: length as u32, options: 0 }),
                None => free.push(to),
            }
        });
        fill.put(&used[..count]);
        send.put(&replies);
        if !replies.is_empty() {
            self.kick()?;
        }
        Ok(taken)
    }

    /// Waits until something arrives, at most so long.
    pub fn wait(&self, milliseconds_max: i32) {
        let mut entry = libc::pollfd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: the one entry lives through the call. What comes of it is found out by receiving.
        unsafe { libc::poll(&raw mut entry, 1, milliseconds_max) };
    }

    /// Has the kernel send what is in the ring: without a driver's own queue it does so within the call.
    fn kick(&self) -> io::Result<()> {
        while !self.send.is_drained() {
            let (nothing, nobody) = (std::ptr::null(), std::ptr::null());
            // SAFETY: a datagram of no octets to no address reads nothing.
            let sent =
                unsafe { libc::sendto(self.socket.as_raw_fd(), nothing, 0, libc::MSG_DONTWAIT, nobody, 0) };
            if sent < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR) => {}
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl AsRawFd for Xsk {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

/// Where octets of the memory are, if they are within it.
fn frame(memory: &Mapping, address: u64, octets: u32) -> Option<*mut u8> {
    (address + u64::from(octets) <= memory.octets as u64).then(|| memory.at(address))
}

fn set<T>(socket: BorrowedFd<'_>, option: i32, value: &T) -> io::Result<()> {
    let octets = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the value lives through the call, its length is passed with it.
    succeeded(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_XDP, option, value, octets) }).map(drop)
}

fn offsets(socket: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: integers, for which zeros are valid.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { std::mem::zeroed() };
    let mut octets = size_of::<libc::xdp_mmap_offsets>() as libc::socklen_t;
    let (fd, place) = (socket.as_raw_fd(), (&raw mut offsets).cast());
    // SAFETY: both places live through the call, and the second says how large the first is.
    succeeded(unsafe {
        libc::getsockopt(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, place, &raw mut octets)
    })?;
    Ok(offsets)
}

fn succeeded(outcome: i32) -> io::Result<i32> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}
