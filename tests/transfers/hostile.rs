//! Clients that mean harm: many transfers at once on one connection, and readers that do not read.

use socket2::{Domain, Socket, Type};

use super::*;

/// AXFR of example.test behind its length.
pub fn axfr(id: u16) -> Vec<u8> {
    let mut query = vec![0, 0];
    query.extend(id.to_be_bytes());
    query.extend([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    query.extend(b"\x07example\x04test\x00\x00\xfc\x00\x01");
    query[1] = (query.len() - 2) as u8;
    query
}

fn message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    message
}

#[test]
fn a_thousand_transfers_on_one_connection_are_answered_in_order() {
    let world = World::new(&zone(1, 0..10), "to = \"127.0.0.1\"");
    let server = world.start();
    let mut stream = TcpStream::connect(server.dns).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let all: Vec<u8> = (0..1000).flat_map(axfr).collect();
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || writing.write_all(&all).unwrap());
    for id in 0..1000u16 {
        let answer = message(&mut stream);
        assert_eq!(answer[..2], id.to_be_bytes());
        assert_eq!(usize::from(u16::from_be_bytes([answer[6], answer[7]])), HEAD + 10);
    }
    writer.join().unwrap();
    assert_eq!(server.count("meridian_transfers_total", "axfr"), 1000.0);
}

#[test]
fn who_does_not_read_is_closed_and_keeps_nobody_waiting() {
    let text: String = (0..60_000).map(|n| format!("text{n} TXT \"{}\"\n", "x".repeat(150))).collect();
    let world = World::new(&format!("{}{text}", zone(1, 0..10)), "to = \"127.0.0.1\"");
    let server = world.start();
    let silent: Vec<TcpStream> = (0..8)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.connect(&server.dns.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream.write_all(&axfr(7)).unwrap();
            stream
        })
        .collect();
    // Beside them another one takes the whole zone.
    let output = client("dig", &server.port(), &["axfr", "example.test"]);
    assert!(output.contains("XFR size: 60025 records"), "{}", &output[output.len() - 300..]);
    for _ in &silent {
        server.process.wait_for("a transfer ended before its end");
    }
    // What they have is no whole zone: it does not end with an SOA, and then the connection does.
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.len() < 9_000_000);
    }
}
