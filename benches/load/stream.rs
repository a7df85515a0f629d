//! The load over TCP: a few persistent connections, several queries in flight on each, in a closed loop;
//! and its reflector.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::Result;
use crate::generator::{Checked, Outcome};
use crate::packet::Queries;
use crate::socket::wait_for_any;

/// Connections: as many as the datagrams have sockets.
const CONNECTIONS: usize = 8;
/// Queries in flight on each.
const WINDOW: usize = 16;
/// A connection on which nothing is answered for this long is given up, and another is opened.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// The longest sleep when nothing has arrived.
const WAIT_MS_MAX: i32 = 5;
/// The same where nobody needs to look at a clock.
const IDLE_MS: i32 = 1000;
/// Read at once.
const READ_OCTETS: usize = 64 * 1024;
/// A server that refuses connections for so many attempts in a row is not measured.
const REFUSED_MAX: u32 = 100;

/// A generator with its connections.
pub struct StreamGenerator<'q> {
    server: SocketAddr,
    connections: Vec<Connection>,
    queries: &'q mut Queries,
    next: usize,
    checked: Checked,
    read: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// Received, from the first octet of a message on.
    inbox: Vec<u8>,
    /// To be sent.
    outbox: Vec<u8>,
    /// By the number of a query: which it is and when it was asked.
    slots: Vec<Option<(usize, Instant)>>,
    free: VecDeque<u16>,
    heard: Instant,
}

impl Connection {
    fn open(server: SocketAddr) -> Result<Connection> {
        let mut refused = 0;
        let stream = loop {
            match TcpStream::connect(server) {
                Ok(stream) => break stream,
                Err(_) if refused < REFUSED_MAX => refused += 1,
                Err(error) => return Err(format!("no connection to {server}: {error}").into()),
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            slots: vec![None; WINDOW],
            free: (0..WINDOW as u16).collect(),
            heard: Instant::now(),
        })
    }
}

impl<'q> StreamGenerator<'q> {
    /// Connects.
    pub fn new(
        server: SocketAddr,
        queries: &'q mut Queries,
        checked: Checked,
    ) -> Result<StreamGenerator<'q>> {
        let connections = (0..CONNECTIONS).map(|_| Connection::open(server)).collect::<Result<_>>()?;
        Ok(StreamGenerator { server, connections, queries, next: 0, checked, read: vec![0; READ_OCTETS] })
    }

    /// Keeps the windows full for this long; what is in flight at the end goes on into the next call. What a
    /// server leaves unanswered as it closes a connection is lost.
    pub fn run(&mut self, duration: Duration) -> Result<Outcome> {
        let start = Instant::now();
        let mut outcome = Outcome::default();
        while start.elapsed() < duration {
            let mut moved = 0;
            for index in 0..self.connections.len() {
                let is_open = match self.receive(index, &mut outcome) {
                    Ok(octets) => {
                        moved += octets;
                        self.send(index).is_ok()
                    }
                    Err(_) => false,
                };
                let connection = &self.connections[index];
                if !is_open || connection.heard.elapsed() > LOST_AFTER {
                    outcome.lost += (WINDOW - connection.free.len()) as u64;
                    outcome.fault = Some("a closed or silent connection");
                    self.connections[index] = Connection::open(self.server)?;
                }
            }
            if moved == 0 {
                let streams: Vec<&TcpStream> =
                    self.connections.iter().map(|connection| &connection.stream).collect();
                wait_for_any(&streams, WAIT_MS_MAX);
            }
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    }

    /// Takes in what has arrived; returns how many octets.
    fn receive(&mut self, index: usize, outcome: &mut Outcome) -> std::io::Result<usize> {
        let connection = &mut self.connections[index];
        let octets = match connection.stream.read(&mut self.read) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(octets) => octets,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let now = Instant::now();
        connection.heard = now;
        connection.inbox.extend_from_slice(&self.read[..octets]);
        let mut first = 0;
        while let Some(length) =
            connection.inbox[first..].first_chunk().map(|octets| u16::from_be_bytes(*octets))
        {
            let end = first + 2 + usize::from(length);
            let Some(reply) = connection.inbox.get(first + 2..end) else { break };
            first = end;
            let id = reply.first_chunk().map_or(u16::MAX, |id| u16::from_be_bytes(*id));
            let Some((query, asked)) = connection.slots.get_mut(usize::from(id)).and_then(Option::take)
            else {
                outcome.wrong += 1;
                outcome.fault = Some("an unknown number");
                continue;
            };
            connection.free.push_back(id);
            outcome.latency.record(now.saturating_duration_since(asked));
            match (self.checked, self.queries.check(query, reply)) {
                (Checked::Answer, Err(fault)) => {
                    outcome.wrong += 1;
                    outcome.fault = Some(fault);
                }
                (Checked::Answer, Ok(_)) | (Checked::Echo, _) => outcome.answered += 1,
            }
        }
        connection.inbox.drain(..first);
        Ok(octets)
    }

    /// Fills the window and sends what the kernel takes.
    fn send(&mut self, index: usize) -> std::io::Result<()> {
        let connection = &mut self.connections[index];
        let now = Instant::now();
        while let Some(id) = connection.free.pop_front() {
            self.queries.number(self.next, id);
            let query = self.queries.octets(self.next);
            connection.outbox.extend((query.len() as u16).to_be_bytes());
            connection.outbox.extend(query);
            connection.slots[usize::from(id)] = Some((self.next, now));
            self.next = (self.next + 1) % self.queries.len();
        }
        write_all_that_goes(&mut connection.stream, &mut connection.outbox)
    }
}

/// Writes from the front of a buffer until it is empty or the kernel has no room.
fn write_all_that_goes(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<()> {
    while !buffer.is_empty() {
        match stream.write(buffer) {
            Ok(octets) => drop(buffer.drain(..octets)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends every octet back, on as many connections as come, in one thread; until it is killed.
pub fn reflect(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let mut streams: Vec<(TcpStream, Vec<u8>)> = Vec::new();
    let mut room = vec![0; READ_OCTETS];
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            streams.push((stream, Vec::new()));
        }
        let mut moved = 0;
        streams.retain_mut(|(stream, waiting)| match stream.read(&mut room) {
            Ok(0) => false,
            Ok(octets) => {
                moved += octets;
                waiting.extend_from_slice(&room[..octets]);
                write_all_that_goes(stream, waiting).is_ok()
            }
            Err(error) => {
                error.kind() == ErrorKind::WouldBlock && write_all_that_goes(stream, waiting).is_ok()
            }
        });
        if moved == 0 {
            let streams = streams.iter().map(|(stream, _)| stream.as_fd());
            wait_for_any(&streams.chain([listener.as_fd()]).collect::<Vec<_>>(), IDLE_MS);
        }
    }
}
