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

use super::answer::{Answerer, Online};
use super::batch::{Batch, Datagram, Wait};
use super::clock::Clock;
use crate::now::Now;
use crate::publish::Cell;
use crate::respond::fetch;
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
        let local = socket.local_addr()?.ip();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Builder::new().name(name).spawn(move || {
            let mut serving = Serving { batch: Batch::new(local), answerer, online: Online::new() };
            serving.run(&socket, &cell, clock, &stopped);
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

/// What a worker's thread works with; nobody else touches it.
struct Serving {
    batch: Batch,
    answerer: Answerer,
    online: Online,
}

impl Serving {
    fn run(&mut self, socket: &UdpSocket, cell: &Cell, clock: Clock, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.batch.receive(socket.as_fd(), Wait::ForOne) {
                Ok(_) => self.serve(socket, &cell.load(), clock.now()),
                Err(error) => pause_unless_idle(&error),
            }
        }
        close_entrance(socket);
        while let Ok(1..) = self.batch.receive(socket.as_fd(), Wait::Never) {
            self.serve(socket, &cell.load(), clock.now());
        }
    }

    /// Answers a batch: one view and one reading of the clock for all of it.
    fn serve(&mut self, socket: &UdpSocket, view: &View, now: Now) {
        // Without what is read ahead the answers are the same.
        if catch_unwind(AssertUnwindSafe(|| fetch(view, self.batch.queries()))).is_err() {
            self.answerer.counters().panicked();
        }
        // One guard around the rest of the batch instead of one per datagram: a panic costs its own datagram,
        // the others go on behind it.
        while catch_unwind(AssertUnwindSafe(|| self.answer_all(view, now))).is_err() {
            if let Some(datagram) = self.batch.last()
                && let Some(octets) = self.answerer.failed(datagram.query, datagram.reply)
            {
                self.batch.reply(octets);
            }
        }
        self.online.count(self.answerer.counters());
        let sent = self.batch.send(socket.as_fd());
        if sent.failed > 0 {
            self.answerer.counters().happened(Event::SendFailed, sent.failed as u64);
        }
    }

    fn answer_all(&mut self, view: &View, now: Now) {
        let Serving { batch, answerer, online } = self;
        while let Some(Datagram { source, port, query, reply }) = batch.take() {
            // Nobody can have sent from port 0, and nothing can be sent there.
            if port == 0 {
                answerer.counters().happened(Event::Unanswerable, 1);
                continue;
            }
            if let Some(octets) = answerer.answer(view, &now, source, query, reply, online) {
                batch.reply(octets);
            }
        }
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
