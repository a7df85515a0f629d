//! What attackers do.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

use super::client;
use crate::Result;
use crate::chance::Chance;

/// Addresses that attackers connect from, each an IPv4 address of its own in 127.2.0.0/16.
const ADDRESSES: usize = 400;
/// Connections that wait for the server's part of a handshake before another is opened.
const HELLOS_WAITING: usize = 128;
/// Connections left half-way through their handshake.
const HALVES: usize = 5000;
/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many packets are sent between two looks at the clock.
const PACKETS_BETWEEN: usize = 64;
/// The network that half-open connections say they are from: nobody is there.
const SPOOFED: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 0);
/// For raw packets that bring their own IP header.
const PROTOCOL_RAW: i32 = 255;

/// What is done to a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Hostility {
    /// Nothing, for comparison
    Nothing,
    /// The first packet of connections that are never completed, each from an address of its own
    Syn,
    /// The first message of a handshake; the connection is closed once the server has answered it, which is the
    /// dear part, and another opened
    Hello,
    /// The same on connections that are kept open until the server closes them
    Half,
    /// Whole handshakes, each of a connection of its own
    Handshake,
}

impl Hostility {
    /// Its name in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Hostility::Nothing => "nothing",
            Hostility::Syn => "syn",
            Hostility::Hello => "hello",
            Hostility::Half => "half",
            Hostility::Handshake => "handshake",
        }
    }
}

/// Does it for so long; returns how often a second.
pub fn be_hostile(
    hostility: Hostility,
    server: SocketAddr,
    time: Duration,
    certificate: &Path,
) -> Result<f64> {
    let begun = Instant::now();
    let until = begun + time;
    let times = match hostility {
        Hostility::Nothing => 0,
        Hostility::Syn => half_open(server, until)?,
        Hostility::Hello => hellos(server, until, &hello(certificate)?, HELLOS_WAITING, Then::Close)?,
        Hostility::Half => hellos(server, until, &hello(certificate)?, HALVES, Then::Keep)?,
        Hostility::Handshake => handshakes(server, until, certificate)?,
    };
    Ok(times as f64 / begun.elapsed().as_secs_f64())
}

fn connect(server: SocketAddr, number: usize) -> Result<TcpStream> {
    let [high, low] = ((number % ADDRESSES) as u16).to_be_bytes();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 2, high, low), 0).into())?;
    // Gone when closed, and no port waits: the next connection is to find one.
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

/// The first message of a handshake, made once and sent again and again: it costs the attacker nothing.
fn hello(certificate: &Path) -> Result<Vec<u8>> {
    let mut hello = Vec::new();
    let name = ServerName::try_from("localhost")?;
    ClientConnection::new(client(certificate)?, name)?.write_tls(&mut hello)?;
    Ok(hello)
}

/// What becomes of a connection on which the server has answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    Close,
    Keep,
}

fn hellos(server: SocketAddr, until: Instant, hello: &[u8], most: usize, then: Then) -> Result<usize> {
    let (mut waiting, mut sent, mut octets) = (VecDeque::new(), 0, [0; 8192]);
    while Instant::now() < until {
        // Refused is as good as begun: the next one.
        if let Ok(mut stream) = connect(server, sent)
            && stream.write_all(hello).is_ok()
        {
            waiting.push_back(stream);
            sent += 1;
        }
        if waiting.len() > most
            && let Some(mut first) = waiting.pop_front()
            && then == Then::Close
        {
            let _ = first.read(&mut octets);
        }
    }
    Ok(sent)
}

fn handshakes(server: SocketAddr, until: Instant, certificate: &Path) -> Result<usize> {
    let (config, name, mut done) = (client(certificate)?, ServerName::try_from("localhost")?, 0);
    // Several at once: while one waits for the server, another goes on.
    std::thread::scope(|scope| {
        let threads = (0..8).map(|thread| {
            let (config, name) = (Arc::clone(&config), name.clone());
            scope.spawn(move || {
                let mut done = 0;
                while Instant::now() < until {
                    let shaken = connect(server, thread + 8 * done).ok().and_then(|mut stream| {
                        let mut tls = ClientConnection::new(config.clone(), name.clone()).ok()?;
                        while tls.is_handshaking() {
                            tls.complete_io(&mut stream).ok()?;
                        }
                        Some(())
                    });
                    done += usize::from(shaken.is_some());
                }
                done
            })
        });
        for thread in threads.collect::<Vec<_>>() {
            done += thread.join().unwrap_or(0);
        }
    });
    Ok(done)
}

/// Sends packets that ask for a connection, from random addresses of a network where nobody answers.
fn half_open(server: SocketAddr, until: Instant) -> Result<usize> {
    let SocketAddr::V4(server) = server else {
        return Err("half-open connections are tried over IPv4".into());
    };
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL_RAW)))?;
    socket.set_header_included_v4(true)?;
    let (mut chance, mut sent) = (Chance::seeded(13), 0);
    while Instant::now() < until {
        for _ in 0..PACKETS_BETWEEN {
            let drawn = chance.next();
            let source = Ipv4Addr::from(u32::from(SPOOFED) | drawn as u32 & 0xffff);
            let packet =
                syn(SocketAddrV4::new(source, 1024 | (drawn >> 16) as u16), server, (drawn >> 32) as u32);
            // What the system does not take was not sent.
            sent += usize::from(socket.send_to(&packet, &server.into()).is_ok());
        }
    }
    Ok(sent)
}

/// A TCP header with SYN behind an IPv4 header (RFC 9293 section 3.1, RFC 791 section 3.1); the system fills in
/// the latter's length and checksum (raw(7)).
fn syn(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> Vec<u8> {
    const SEGMENT_SIZE: [u8; 4] = [2, 4, 0x05, 0xb4];
    const HEADER_OCTETS: u16 = 24;
    let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0];
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let mut segment = Vec::with_capacity(usize::from(HEADER_OCTETS));
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend([((HEADER_OCTETS / 4) << 4) as u8, 0x02, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(SEGMENT_SIZE);
    // The pseudo-header: both addresses, the protocol, the length.
    let pseudo = [&packet[12..20], &[0, 6], &HEADER_OCTETS.to_be_bytes()].concat();
    let words = pseudo.chunks_exact(2).chain(segment.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    segment[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet.extend(segment);
    packet
}
