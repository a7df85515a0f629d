//! Clients of DNS over TLS that say nothing, say it slowly, or speak something else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::slice::from_ref;
use std::time::{Duration, Instant};

use meridian::telemetry::Event;

use super::clients::{ask_pipelined, connect, framed, name, read_message, trusting};
use super::{LIMITS, Limits, PATIENCE, World, assert_www, query, www};

/// What a client of TLS says first.
fn client_hello(world: &World, protocol: &[u8]) -> Vec<u8> {
    let config = trusting(&world.identity.trusted, &[protocol]);
    let mut client = rustls::ClientConnection::new(config, name()).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    hello
}

/// Waits for the server to close; says after how long.
fn closed(stream: &mut TcpStream) -> Duration {
    let begun = Instant::now();
    let mut rest = Vec::new();
    // Closed in order, or reset because octets were left unread; an alert may come first.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < 100, "{rest:?}");
    begun.elapsed()
}

/// A connection from another address of this machine.
fn from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn rfc7858_3_messages_come_as_over_tcp() {
    let world = World::start(LIMITS);
    let mut stream = world.tls();
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"dot"[..]));
    let queries: Vec<_> = (0..500).map(www).collect();
    for (id, answer) in ask_pipelined(&mut stream, &queries).iter().enumerate() {
        assert_www(answer, id as u16);
    }
    for octet in framed(&www(7)) {
        stream.write_all(&[octet]).unwrap();
        stream.flush().unwrap();
    }
    assert_www(&read_message(&mut stream).unwrap(), 7);
    // Far more than one record of TLS and one segment of TCP.
    let large = query(9, "large.example.com", 16, Some(&[0, 12, 0, 0]));
    let answers = ask_pipelined(&mut stream, &[large.clone(), large]);
    assert!(
        answers.iter().all(|answer| answer.len() > 8000 && answer.len() % 468 == 0 && answer[2] & 2 == 0)
    );
}

#[test]
fn rfc7828_3_the_idle_timeout_is_the_real_one() {
    let connections =
        meridian::server::ConnectionLimits { idle_timeout: Duration::from_millis(400), ..LIMITS.connections };
    let world = World::start(Limits { connections, ..LIMITS });
    let asked = query(1, "www.example.com", 1, Some(&[0, 11, 0, 0]));
    let tail = [0, 11, 0, 2, 0, 4];
    for answer in [&world.ask_tls(from_ref(&asked))[0], &world.ask_tcp(from_ref(&asked))[0]] {
        assert!(answer.ends_with(&tail), "{answer:?}");
    }
    let mut stream = connect(world.dns);
    stream.write_all(&framed(&asked)).unwrap();
    read_message(&mut stream).unwrap();
    assert!(closed(&mut stream) >= Duration::from_millis(300));
}

#[test]
fn handshakes_that_do_not_end_are_ended() {
    let world = World::start(Limits { handshake: Duration::from_millis(300), ..LIMITS });
    for (address, protocol) in [(world.tls, &b"dot"[..]), (world.https, b"h2")] {
        let hello = client_hello(&world, protocol);
        let mut silent = connect(address);
        let mut dripping = connect(address);
        dripping.write_all(&hello[..hello.len() / 2]).unwrap();
        let mut waiting = connect(address);
        waiting.write_all(&hello).unwrap();
        // Its answer comes, and then nothing of it.
        waiting.read_exact(&mut [0; 5]).unwrap();
        assert!(closed(&mut silent) >= Duration::from_millis(200));
        closed(&mut dripping);
        let _ = waiting.read_to_end(&mut Vec::new());
    }
    world.wait_for(Event::HandshakeTimeout, 6);
    assert_www(&world.ask_tls(&[www(1)])[0], 1);
}

#[test]
fn what_is_no_tls_is_closed_at_once() {
    let world = World::start(LIMITS);
    for octets in [framed(&www(1)), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), vec![0xff; 300]] {
        for address in [world.tls, world.https] {
            let mut stream = connect(address);
            stream.write_all(&octets).unwrap();
            assert!(closed(&mut stream) < PATIENCE);
        }
    }
    world.wait_for(Event::HandshakeFailed, 6);
}

#[test]
fn rfc7301_3_2_a_protocol_that_is_not_spoken_is_refused() {
    let world = World::start(LIMITS);
    let error = world.try_tls(&[b"h2"]).err().unwrap();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    assert!(world.secured(world.https, trusting(&world.identity.trusted, &[b"dot"])).is_err());
    world.wait_for(Event::HandshakeFailed, 2);
    // RFC 7858 came before "dot": who names nothing is answered.
    let mut bare = world.try_tls(&[]).unwrap();
    assert_www(&ask_pipelined(&mut bare, &[www(3)])[0], 3);
}

#[test]
fn silent_handshakes_count_and_make_room_for_those_who_ask() {
    let connections = meridian::server::ConnectionLimits {
        connections_max: 8,
        connections_per_client_max: 4,
        ..LIMITS.connections
    };
    let world = World::start(Limits { connections, ..LIMITS });
    for (address, protocol) in [(world.dns, None), (world.tls, Some(b"dot")), (world.https, None)] {
        let mut steady = protocol.map(|_| world.tls());
        let before = world.telemetry.events(Event::ConnectionShed);
        let mut silent = Vec::new();
        for round in 0..20 {
            silent.push(from(3 + round % 3, address));
            if let Some(steady) = &mut steady {
                assert_www(&ask_pipelined(steady, &[www(u16::from(round))])[0], u16::from(round));
            }
        }
        // Of twenty from three addresses no more than eight have places.
        world.wait_for(Event::ConnectionShed, before + 12);
        closed(&mut silent[0]);
    }
    assert_www(&world.ask_tcp(&[www(1)])[0], 1);
    assert_www(&world.ask_tls(&[www(2)])[0], 2);
    assert_www(&world.ask_https(&[www(3)])[0], 3);
}

#[test]
fn one_address_cannot_take_all_places() {
    let connections = meridian::server::ConnectionLimits {
        connections_max: 100,
        connections_per_client_max: 2,
        ..LIMITS.connections
    };
    let world = World::start(Limits { connections, ..LIMITS });
    for address in [world.dns, world.tls, world.https] {
        let before = world.telemetry.events(Event::ConnectionShed);
        let mut other = from(9, address);
        let mut own: Vec<_> = (0..5).map(|_| from(3, address)).collect();
        world.wait_for(Event::ConnectionShed, before + 3);
        own[..3].iter_mut().for_each(|stream| {
            closed(stream);
        });
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[test]
fn a_stop_finishes_what_was_received() {
    let mut world = World::start(LIMITS);
    let mut streams: Vec<_> = (0..4).map(|_| world.tls()).collect();
    for (id, stream) in streams.iter_mut().enumerate() {
        stream.write_all(&framed(&www(id as u16))).unwrap();
        stream.flush().unwrap();
    }
    let mut proxied = connect(world.plain);
    write!(proxied, "GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\n\r\n")
        .unwrap();
    world.stop();
    for (id, stream) in streams.iter_mut().enumerate() {
        assert_www(&read_message(stream).unwrap(), id as u16);
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed in order");
    }
    let mut reply = Vec::new();
    proxied.read_to_end(&mut reply).unwrap();
    assert!(reply.starts_with(b"HTTP/1.1 200 OK\r\n") && reply.ends_with(&[192, 0, 2, 2]));
    assert!(TcpStream::connect(world.tls).is_err());
}

/// A header of the PROXY protocol: this client, over TCP and IPv4.
fn proxy_header(client: [u8; 4]) -> Vec<u8> {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&head[..], &client, &[192, 0, 2, 1, 0x80, 0, 0, 53]].concat()
}

/// A connection from a listed proxy.
fn from_proxy(to: SocketAddr, octets: &[u8]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 7, 7], 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(octets).unwrap();
    stream
}

#[test]
fn a_listed_proxy_says_who_the_client_is_and_nobody_else_can() {
    let connections = meridian::server::ConnectionLimits {
        connections_per_client_max: 2,
        message_timeout: Duration::from_millis(500),
        ..LIMITS.connections
    };
    let world = World::start(Limits { connections, ..LIMITS });
    let near = query(1, "near.example.com", 1, None);
    for (client, region) in [([203, 0, 113, 9], [198, 51, 100, 10]), ([198, 51, 3, 4], [192, 0, 2, 10])] {
        let mut stream = from_proxy(world.dns, &proxy_header(client));
        assert!(ask_pipelined(&mut stream, from_ref(&near))[0].ends_with(&region), "{client:?}");
    }
    // One client behind the proxy fills its own places and nobody else's.
    let mut other = from_proxy(world.dns, &proxy_header([203, 0, 113, 1]));
    assert_www(&ask_pipelined(&mut other, &[www(1)])[0], 1);
    let mut own: Vec<_> = (0..6)
        .map(|_| {
            let mut stream = from_proxy(world.dns, &proxy_header([203, 0, 113, 2]));
            assert_www(&ask_pipelined(&mut stream, &[www(2)])[0], 2);
            stream
        })
        .collect();
    own[..4].iter_mut().for_each(|stream| {
        closed(stream);
    });
    assert_www(&ask_pipelined(&mut other, &[www(3)])[0], 3);
    // Before the handshake of TLS, and before a request of HTTP.
    let mut plain = from_proxy(world.plain, &proxy_header([203, 0, 113, 3]));
    plain.write_all(b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    plain.read_to_end(&mut reply).unwrap();
    assert!(reply.starts_with(b"HTTP/1.1 404"));
    let socket = from_proxy(world.tls, &proxy_header([203, 0, 113, 9]));
    let config = trusting(&world.identity.trusted, &[b"dot"]);
    let client = rustls::ClientConnection::new(config, name()).unwrap();
    let mut stream = rustls::StreamOwned::new(client, socket);
    assert!(ask_pipelined(&mut stream, &[near])[0].ends_with(&[198, 51, 100, 10]));
    // Without a header, with half of one, with another version's.
    for octets in [
        &framed(&www(1)[..20])[..],
        &proxy_header([1; 4])[..20],
        b"PROXY TCP4 203.0.113.9 192.0.2.1 9 53\r\n",
    ] {
        closed(&mut from_proxy(world.dns, octets));
    }
    world.wait_for(Event::ProxyHeader, 3);
    // From anybody else it is a message of 3338 octets that never comes.
    let mut stranger = connect(world.dns);
    stranger.write_all(&proxy_header([203, 0, 113, 9])).unwrap();
    stranger.write_all(&framed(&www(1))).unwrap();
    closed(&mut stranger);
    assert_eq!(world.telemetry.events(Event::MessageTimeout), 1);
}
