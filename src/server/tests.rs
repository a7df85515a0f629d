//! The running server over loopback: both transports, limits, and a stop that loses nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Clock, ConnectionLimits, Entrances, Server, bind};
use crate::health::HealthTable;
use crate::publish::Cell;
use crate::steer::Calendar;
use crate::telemetry::{Event, Telemetry};
use crate::transfer::Desk;
use crate::view::{Additional, Chaos, Peers, ResponderSettings, Snapshot, View};
use crate::wire::{Name, Rcode, Rtype, parse_name};
use crate::zone::{Catalog, Zone, ZoneBuilder};

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

const LIMITS: ConnectionLimits = ConnectionLimits {
    connections_max: 8,
    connections_per_client_max: 4,
    idle_timeout: Duration::from_secs(30),
    message_timeout: Duration::from_secs(30),
};

struct Running {
    address: SocketAddr,
    telemetry: Arc<Telemetry>,
    cell: Arc<Cell>,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(listen: &str, workers: usize, limits: ConnectionLimits) -> Running {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sockets = bind(&[listen.parse().unwrap()], workers).unwrap();
        let address = sockets[0].address;
        let cell = Arc::new(Cell::new(view(1)));
        let telemetry = Arc::new(Telemetry::default());
        let entrances =
            Entrances { dns: sockets, limits, proxies: Vec::new(), tls: None, https: None, quic: None };
        let server = runtime.block_on(async {
            Server::start(entrances, &cell, Clock::start(), &telemetry, &Desk::new(telemetry.clone()).0)
        });
        Running { address, telemetry, cell, server: Some(server.unwrap()), runtime }
    }

    fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits until the server has counted something.
    fn wait_for(&self, event: Event, times: u64) {
        let begun = Instant::now();
        while self.telemetry.events(event) < times {
            assert!(begun.elapsed() < PATIENCE, "{event:?} happened {} times", self.telemetry.events(event));
            std::thread::yield_now();
        }
    }
}

fn name(text: &str) -> Name {
    Name::from_wire(&parse_name(text.as_bytes(), &[0]).unwrap()).unwrap()
}

/// A view of one static zone whose `www` has this as its last octet.
pub fn view(last: u8) -> Arc<View> {
    let origin = name("example.test.");
    let mut zone = ZoneBuilder::new(&origin);
    let mut add = |owner: &str, rtype, rdata: &[&[u8]]| {
        zone.rrset(&name(owner), rtype, 60, rdata.iter().copied()).unwrap();
    };
    let ns = name("ns.example.test.");
    let soa = [ns.octets(), ns.octets(), &[0; 16], &[0, 0, 0, 60]].concat();
    add("example.test.", Rtype::SOA, &[&soa]);
    add("example.test.", Rtype::NS, &[ns.octets()]);
    add("www.example.test.", Rtype::A, &[&[192, 0, 2, last]]);
    let text = [&[255][..], &[b'x'; 255]].concat();
    add("large.example.test.", Rtype::TXT, &[&text, &[&text[..], &text[..]].concat()]);
    Arc::new(view_of(zone.build()))
}

fn view_of(zone: Zone) -> View {
    let snapshot = Snapshot {
        generation: 1,
        catalog: Catalog::new(vec![zone]),
        signed: Box::default(),
        fingerprints: Arc::default(),
        fleet: Arc::default(),
        regions: Arc::default(),
        plans: Arc::default(),
        bindings: Arc::default(),
        schedules: Arc::default(),
        maps: Arc::default(),
        board: Arc::default(),
        monitors: Arc::default(),
        attributions: Arc::default(),
        responder: ResponderSettings {
            udp_payload_max: 1232,
            nsid: None,
            why: Box::default(),
            peers: Peers::default(),
            chaos: Chaos::default(),
            additional: Additional::Given,
            protection: crate::view::Protection::OFF,
        },
    };
    View::new(Arc::new(snapshot), HealthTable::unknown(0, 0), Calendar::default(), None)
}

pub fn query(id: u16, owner: &str, rtype: Rtype) -> Vec<u8> {
    let header = [id.to_be_bytes(), [0, 0], [0, 1], [0, 0], [0, 0], [0, 0]].concat();
    [&header[..], name(owner).octets(), &rtype.0.to_be_bytes(), &[0, 1]].concat()
}

pub fn www(id: u16) -> Vec<u8> {
    query(id, "www.example.test.", Rtype::A)
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn id(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

/// Asserts that a message answers `www`'s query.
fn assert_answer(message: &[u8], expected_id: u16, last: u8) {
    assert_eq!((id(message), message[3] & 0xf, message[7]), (expected_id, 0, 1));
    assert_eq!(message[message.len() - 4..], [192, 0, 2, last]);
}

fn assert_closed(stream: &mut TcpStream) {
    // Closed in order, or reset because octets were left unread.
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn rfc2181_4_datagrams_are_answered_from_the_address_asked_and_from_the_view_in_force() {
    let mut running = Running::start("0.0.0.0:0", 2, LIMITS);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for round in 1..=3_u8 {
        running.cell.publish(view(round));
        let asked = SocketAddr::from(([127, 9, 8, round], running.address.port()));
        client.send_to(&www(u16::from(round)), asked).unwrap();
        let mut buffer = [0; 512];
        let (octets, source) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(source, asked);
        assert_answer(&buffer[..octets], u16::from(round), round);
    }
    running.stop();
    assert_eq!(running.telemetry.replied(Rcode::NoError), 3);
}

#[test]
fn a_stop_answers_every_datagram_that_was_received() {
    let mut running = Running::start("127.0.0.1:0", 2, LIMITS);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(running.address).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // The client must not lose answers in a full buffer of its own.
    socket2::SockRef::from(&client).set_recv_buffer_size(4 << 20).unwrap();
    let (sent, received) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0_u16;
            // ECONNREFUSED says that the port is closed: such a query was not accepted.
            while !stop.load(std::sync::atomic::Ordering::Relaxed) && sent < 5_000 {
                if client.send(&www(sent)).is_err() {
                    break;
                }
                sent += 1;
                if sent.is_multiple_of(64) {
                    std::thread::yield_now();
                }
            }
            sent
        });
        let receiver = scope.spawn(|| {
            let mut seen = std::collections::HashSet::new();
            let mut buffer = [0; 512];
            loop {
                match client.recv(&mut buffer) {
                    Ok(octets) => {
                        seen.insert(id(&buffer[..octets]));
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                    // The time is up: nothing more comes.
                    Err(_) => break,
                }
            }
            seen
        });
        while running.telemetry.replies() < 500 {
            std::thread::yield_now();
        }
        running.stop();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (usize::from(sender.join().unwrap()), receiver.join().unwrap().len())
    });
    let answered = running.telemetry.replies() as usize;
    assert!(received <= answered && answered <= sent);
    // Queries sent after the entrance was closed were refused, none was swallowed: what the kernel took
    // in for us has been answered, and no answer was lost on the way.
    assert_eq!(running.telemetry.events(Event::SendFailed), 0);
    assert_eq!(received, answered, "of {sent} sent");
}

#[test]
fn large_answers_are_truncated_in_datagrams_and_whole_in_streams() {
    let mut running = Running::start("127.0.0.1:0", 1, LIMITS);
    let large = query(5, "large.example.test.", Rtype::TXT);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&large, running.address).unwrap();
    let mut buffer = [0; 2048];
    let octets = client.recv(&mut buffer).unwrap();
    assert!(octets <= 512 && buffer[2] & 2 != 0, "TC");
    let mut stream = running.connect();
    stream.write_all(&framed(&large)).unwrap();
    let whole = read_message(&mut stream).unwrap();
    assert!(whole.len() > 768 && whole[2] & 2 == 0);
    running.stop();
    let mut exposition = crate::telemetry::Exposition::default();
    running.telemetry.expose(&mut exposition);
    assert!(exposition.finish().contains("meridian_truncated_replies_total{transport=\"udp\"} 1"));
}

#[test]
fn rfc7766_6_2_1_messages_come_several_at_once_and_in_pieces() {
    let mut running = Running::start("127.0.0.1:0", 1, LIMITS);
    let mut stream = running.connect();
    let pipelined = (0..500).flat_map(|number| framed(&www(number))).collect::<Vec<_>>();
    stream.write_all(&pipelined).unwrap();
    for number in 0..500 {
        assert_answer(&read_message(&mut stream).unwrap(), number, 1);
    }
    stream.set_nodelay(true).unwrap();
    for octet in framed(&www(777)) {
        stream.write_all(&[octet]).unwrap();
    }
    assert_answer(&read_message(&mut stream).unwrap(), 777, 1);
    // One and a half, then the rest.
    let two = [framed(&www(1)), framed(&www(2))].concat();
    stream.write_all(&two[..two.len() - 9]).unwrap();
    assert_answer(&read_message(&mut stream).unwrap(), 1, 1);
    stream.write_all(&two[two.len() - 9..]).unwrap();
    assert_answer(&read_message(&mut stream).unwrap(), 2, 1);
    running.stop();
}

#[test]
fn responses_and_scraps_get_silence_and_the_connection_goes_on() {
    let mut running = Running::start("127.0.0.1:0", 1, LIMITS);
    let mut stream = running.connect();
    let mut response = www(1);
    response[2] |= 0x80;
    let scraps = [framed(&response), framed(&[]), framed(&[1, 2, 3]), framed(&www(9))].concat();
    stream.write_all(&scraps).unwrap();
    assert_answer(&read_message(&mut stream).unwrap(), 9, 1);
    running.stop();
    assert_eq!(running.telemetry.events(Event::NotAQuery), 3);
}

#[test]
fn rfc9210_4_2_silent_and_dripping_clients_are_closed_in_time() {
    let limits = ConnectionLimits {
        idle_timeout: Duration::from_millis(300),
        message_timeout: Duration::from_millis(100),
        ..LIMITS
    };
    let mut running = Running::start("127.0.0.1:0", 1, limits);
    let mut silent = running.connect();
    let mut dripping = running.connect();
    let begun = Instant::now();
    dripping.write_all(&framed(&www(1))[..5]).unwrap();
    assert_closed(&mut dripping);
    assert!(begun.elapsed() >= Duration::from_millis(100));
    assert_closed(&mut silent);
    assert!(begun.elapsed() >= Duration::from_millis(250));
    running.wait_for(Event::ConnectionIdle, 1);
    running.wait_for(Event::MessageTimeout, 1);
    running.stop();
}

#[test]
fn rfc7766_6_2_3_the_longest_idle_connection_makes_room_and_nobody_starves() {
    let mut running = Running::start("0.0.0.0:0", 1, LIMITS);
    let from = |last: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], running.address.port())).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let ask = |stream: &mut TcpStream| {
        stream.write_all(&framed(&www(3))).unwrap();
        read_message(stream).is_ok()
    };
    let mut steady = from(2);
    assert!(ask(&mut steady));
    // Two clients that open connections and say nothing, far more than there are places.
    let mut silent = Vec::new();
    for round in 0..20 {
        silent.push(from(3 + round % 2));
        assert!(ask(&mut steady), "round {round}");
    }
    running.wait_for(Event::ConnectionShed, 12);
    assert_closed(&mut silent[0]);
    running.stop();
}

#[test]
fn rfc9210_4_2_octets_that_trickle_do_not_extend_a_message() {
    let limits = ConnectionLimits { message_timeout: Duration::from_millis(200), ..LIMITS };
    let mut running = Running::start("127.0.0.1:0", 1, limits);
    let mut steady = running.connect();
    let mut dripping = running.connect();
    dripping.set_nodelay(true).unwrap();
    // The wait between two octets, and the look whether there is still somebody.
    dripping.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let begun = Instant::now();
    let endless = std::iter::repeat_n(0xff, 65_537);
    let sent = endless.take_while(|octet| {
        let open = dripping.write_all(&[*octet]).is_ok();
        open && matches!(dripping.read(&mut [0; 1]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(sent.count() > 2);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    running.wait_for(Event::MessageTimeout, 1);
    steady.write_all(&framed(&www(1))).unwrap();
    assert_answer(&read_message(&mut steady).unwrap(), 1, 1);
    running.stop();
}

#[test]
fn rfc7766_6_2_3_who_takes_no_replies_is_closed_and_holds_nobody_up() {
    let limits = ConnectionLimits { message_timeout: Duration::from_millis(200), ..LIMITS };
    let mut running = Running::start("127.0.0.1:0", 1, limits);
    let mut deaf = running.connect();
    let mut steady = running.connect();
    let many = (0..200).flat_map(|number| framed(&query(number, "large.example.test.", Rtype::TXT)));
    let many = many.collect::<Vec<_>>();
    // Until the connection is closed: what the server does not read fills the buffers between us.
    deaf.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut number = 0;
    while deaf.write_all(&many).is_ok() {
        steady.write_all(&framed(&www(number))).unwrap();
        assert_answer(&read_message(&mut steady).unwrap(), number, 1);
        number = number.wrapping_add(1);
    }
    running.wait_for(Event::MessageTimeout, 1);
    steady.write_all(&framed(&www(7))).unwrap();
    assert_answer(&read_message(&mut steady).unwrap(), 7, 1);
    running.stop();
}

#[test]
fn replies_that_are_taken_late_come_whole_and_in_order() {
    let mut running = Running::start("127.0.0.1:0", 1, LIMITS);
    let mut stream = running.connect();
    let mut asking = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..6000 {
                asking.write_all(&framed(&query(number, "large.example.test.", Rtype::TXT))).unwrap();
            }
        });
        // Some megabytes: more than the buffers between us hold.
        for number in 0..6000 {
            let message = read_message(&mut stream).unwrap();
            assert!(id(&message) == number && message.len() > 768);
        }
    });
    running.stop();
}

#[test]
fn parts_of_messages_hold_no_more_than_a_bound_and_the_oldest_go_first() {
    let limits = ConnectionLimits { connections_max: 1000, connections_per_client_max: 1000, ..LIMITS };
    let mut running = Running::start("127.0.0.1:0", 1, limits);
    let mut steady = running.connect();
    let part = [&[0xff; 2][..], &[0; 60_000]].concat();
    let mut hoarding = Vec::new();
    while running.telemetry.events(Event::BuffersFull) == 0 {
        assert!(hoarding.len() < 500, "20 MiB are held");
        let mut stream = running.connect();
        stream.write_all(&part).unwrap();
        hoarding.push(stream);
        steady.write_all(&framed(&www(1))).unwrap();
        assert_answer(&read_message(&mut steady).unwrap(), 1, 1);
    }
    assert_closed(&mut hoarding[0]);
    running.stop();
}

#[test]
fn rfc7828_3_4_clients_are_told_the_idle_timeout_that_holds_now() {
    let limits = ConnectionLimits { connections_max: 4, connections_per_client_max: 4, ..LIMITS };
    let mut running = Running::start("127.0.0.1:0", 1, limits);
    let mut asking = www(1);
    asking[11] = 1;
    asking.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
    let told = |stream: &mut TcpStream| {
        stream.write_all(&framed(&asking)).unwrap();
        let message = read_message(stream).unwrap();
        let place = message.windows(4).position(|octets| octets == [0, 11, 0, 2]).unwrap();
        Duration::from_millis(100) * u32::from(u16::from_be_bytes([message[place + 4], message[place + 5]]))
    };
    let mut first = running.connect();
    assert_eq!(told(&mut first), Duration::from_secs(30));
    let mut others = [running.connect(), running.connect(), running.connect()];
    assert_eq!(told(&mut others[2]), Duration::from_secs(3));
    assert_eq!(told(&mut first), Duration::from_secs(3));
    drop(others);
    let begun = Instant::now();
    while told(&mut first) < Duration::from_secs(30) {
        assert!(begun.elapsed() < PATIENCE);
    }
    running.stop();
}

#[test]
fn connections_are_shared_among_workers_and_all_of_them_counted() {
    let limits = ConnectionLimits { connections_max: 1000, connections_per_client_max: 1000, ..LIMITS };
    let mut running = Running::start("127.0.0.1:0", 3, limits);
    let mut streams = (0..120).map(|_| running.connect()).collect::<Vec<_>>();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&framed(&www(number as u16))).unwrap();
    }
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_answer(&read_message(stream).unwrap(), number as u16, 1);
    }
    let open = || {
        let mut exposition = crate::telemetry::Exposition::default();
        running.telemetry.expose(&mut exposition);
        let text = exposition.finish();
        let line = text.lines().find(|line| line.starts_with("meridian_connections{transport=\"tcp\"}"));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(open(), "120");
    drop(streams);
    let begun = Instant::now();
    while open() != "0" {
        assert!(begun.elapsed() < PATIENCE);
    }
    running.stop();
}

#[test]
fn a_flood_of_connections_leaves_others_their_own() {
    let limits = ConnectionLimits { connections_max: 40, connections_per_client_max: 10, ..LIMITS };
    let mut running = Running::start("0.0.0.0:0", 2, limits);
    let from = |last: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], running.address.port())).into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let mut honest = (2..7).map(from).collect::<Vec<_>>();
    for stream in &mut honest {
        stream.write_all(&framed(&www(1))).unwrap();
        assert_answer(&read_message(stream).unwrap(), 1, 1);
    }
    // Four addresses that open ten times what there is room for, ask on each and keep it.
    let mut flood = Vec::new();
    for number in 0..400 {
        let mut stream = from(20 + (number % 4) as u8);
        stream.write_all(&framed(&www(2))).unwrap();
        flood.push(stream);
    }
    // Who was there first and has been idle for longest is still there.
    for stream in &mut honest {
        stream.write_all(&framed(&www(3))).unwrap();
        assert_answer(&read_message(stream).unwrap(), 3, 1);
    }
    running.stop();
}

#[test]
fn a_stop_finishes_what_streams_have_received() {
    let mut running = Running::start("127.0.0.1:0", 1, LIMITS);
    let mut streams = (0..4).map(|_| running.connect()).collect::<Vec<_>>();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&framed(&www(number as u16))).unwrap();
    }
    running.stop();
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_answer(&read_message(stream).unwrap(), number as u16, 1);
        assert_closed(stream);
    }
    assert!(TcpStream::connect(running.address).is_err());
}
