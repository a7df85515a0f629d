//! How a worker of connections is spoken to by other threads.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::transfer::Outgoing;

/// What a worker is told.
pub enum Note {
    /// A connection has to go: another one needs its place.
    Shed(Address),
    /// A connection that another worker has accepted for this one: who, and at which listener.
    Visitor(TcpStream, SocketAddr, usize),
    /// The transfer that a connection waits for may begin.
    Turn(Address, Box<Outgoing>),
}

/// One connection of a worker: where it is kept, and its number, because another may be kept there by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// Where among the worker's connections.
    pub slot: usize,
    /// The number of its place.
    pub number: u64,
}

/// One worker's notes, and the bell that wakes it.
pub struct Mailbox {
    bell: EventFd,
    /// The worker looks at its notes before it waits: no need to ring.
    awake: AtomicBool,
    notes: Mutex<Vec<Note>>,
    stopped: AtomicBool,
    /// Connections that the worker has.
    pub load: AtomicUsize,
}

impl Mailbox {
    /// Without notes.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    pub fn new() -> nix::Result<Mailbox> {
        Ok(Mailbox {
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            awake: AtomicBool::new(true),
            notes: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            load: AtomicUsize::new(0),
        })
    }

    /// Leaves a note.
    pub fn post(&self, note: Note) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(note);
        self.ring();
    }

    /// Tells the worker to take nothing new, answer what has been received, and end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Whether it was told so.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Says that the worker is about to wait, unless there is something to do first.
    pub fn may_wait(&self) -> bool {
        self.awake.store(false, Ordering::SeqCst);
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The worker is awake again; what has been left for it.
    pub fn collect(&self, into: &mut Vec<Note>) {
        self.awake.store(true, Ordering::SeqCst);
        into.append(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets the bell be rung again.
    pub fn silence(&self) {
        // Nothing to read: it has not been rung.
        let _ = self.bell.read();
    }

    fn ring(&self) {
        if !self.awake.load(Ordering::SeqCst) {
            // It fails when it has been rung 2^64 times, and is then ringing.
            let _ = self.bell.write(1);
        }
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
