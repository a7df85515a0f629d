//! Datagrams: one thread per core and listen address, each with a socket of its own.
//!
//! A thread waits in `recvmmsg` for its one socket. Polling several sockets in one thread would cost one
//! more system call per batch, and the kernel already shares the cores among threads that have work.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::answer::Answerer;
use super::batch::{Batch, Wait};
use super::clock::Clock;
use crate::now::Now;
use crate::publish::Cell;
use crate::telemetry::Event;
use crate::view::View;

/// A pause after an error of the socket itself, so that a persistent one does not spin a core.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// A worker's thread and the flag that stops it.
pub struct Worker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker that answers on `socket` from whatever view is in the cell.
    pub fn start(
        name: String,
        socket: UdpSocket,
        cell: Arc<Cell>,
        clock: Clock,
        answerer: Answerer,
    ) -> io::Result<Worker> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Builder::new().name(name).spawn(move || {
            run(&socket, &cell, clock, answerer, &stopped);
        })?;
        Ok(Worker { stop, thread })
    }

    /// Tells the worker to take nothing new, answer what has arrived, and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Waits for the worker's end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a UDP worker ended by a panic outside the responder");
        }
    }
}

fn run(socket: &UdpSocket, cell: &Cell, clock: Clock, mut answerer: Answerer, stop: &AtomicBool) {
    let mut batch = Batch::new();
    while !stop.load(Ordering::Acquire) {
        match batch.receive(socket.as_fd(), Wait::ForOne) {
            Ok(received) => serve(&mut batch, received, socket, cell, clock.now(), &mut answerer),
            Err(error) => pause_unless_idle(&error),
        }
    }
    close_entrance(socket);
    while let Ok(received @ 1..) = batch.receive(socket.as_fd(), Wait::Never) {
        serve(&mut batch, received, socket, cell, clock.now(), &mut answerer);
    }
}

/// Answers a batch: one view and one reading of the clock for all of it.
fn serve(
    batch: &mut Batch,
    received: usize,
    socket: &UdpSocket,
    cell: &Cell,
    now: Now,
    answerer: &mut Answerer,
) {
    let view = cell.load();
    let mut next = 0;
    while next < received {
        // One guard around the rest of the batch instead of one per datagram: a panic costs its own
        // datagram, the others go on behind it.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            while next < received {
                let index = next;
                next += 1;
                answer_one(batch, index, &view, now, answerer);
            }
        }));
        if caught.is_err() {
            fail_one(batch, next.saturating_sub(1), answerer);
        }
    }
    let sent = batch.send(socket.as_fd());
    if sent.failed > 0 {
        answerer.counters().happened(Event::SendFailed, sent.failed as u64);
    }
}

fn answer_one(batch: &mut Batch, index: usize, view: &View, now: Now, answerer: &mut Answerer) {
    let Some(datagram) = batch.datagram(index) else { return };
    // Nobody can have sent from port 0, and nothing can be sent there.
    if datagram.source.port() == 0 {
        answerer.counters().happened(Event::Unanswerable, 1);
        return;
    }
    if let Some(octets) = answerer.answer(view, now, datagram.source, datagram.query, datagram.reply) {
        batch.queue(index, octets);
    }
}

fn fail_one(batch: &mut Batch, index: usize, answerer: &mut Answerer) {
    let Some(datagram) = batch.datagram(index) else { return };
    if let Some(octets) = answerer.failed(datagram.query, datagram.reply) {
        batch.queue(index, octets);
    }
}

fn pause_unless_idle(error: &io::Error) {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
        // An ICMP error of an earlier reply, reported once.
        io::ErrorKind::ConnectionRefused => {}
        _ => {
            tracing::error!(%error, "cannot receive datagrams");
            std::thread::sleep(ERROR_PAUSE);
        }
    }
}

/// Lets no more datagrams in, while those in the socket's buffer stay readable: a connected socket takes
/// datagrams of its peer only, and this peer is the socket itself. Who asks now is told by ICMP to ask
/// elsewhere, and is not left waiting for an answer.
fn close_entrance(socket: &UdpSocket) {
    let Ok(local) = socket.local_addr() else { return };
    let own = match local.ip() {
        ip if !ip.is_unspecified() => ip,
        std::net::IpAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    // Where this fails the buffer is drained all the same, and only the last instant stays uncertain.
    let _ = socket.connect(SocketAddr::new(own, local.port()));
}
