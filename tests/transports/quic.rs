//! DNS over QUIC and HTTP/3, and the stall of their listener that must be nobody else's.

use std::net::UdpSocket;
use std::time::Duration;

use hyper::Request;
use hyper::body::{Buf, Bytes};

use super::{LIMITS, PATIENCE, World, assert_www, query, www};

#[test]
fn rfc9250_4_2_a_query_a_stream() {
    let world = World::start(LIMITS);
    for answer in world.ask_quic(&vec![www(0); 20]) {
        assert_www(&answer, 0);
    }
    // Padded to a multiple of 468, as on every encrypted transport (RFC 8467).
    for name in ["www.example.com", "missing.example.com", "near.example.com", "large.example.com"] {
        let answer = &world.ask_quic(&[query(0, name, 1, Some(&[0, 12, 0, 0]))])[0];
        assert_eq!(answer.len() % 468, 0, "{name}: {}", answer.len());
    }
}

#[test]
fn rfc9114_4_1_a_message_a_request() {
    let world = World::start(LIMITS);
    world.runtime.block_on(async {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(world.quic_config(b"h3"), world.http3, "localhost").unwrap();
        let connection = h3_quinn::Connection::new(connecting.await.unwrap());
        let (mut driver, mut client) = h3::client::new(connection).await.unwrap();
        let driving = tokio::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        let request = Request::post("https://localhost/dns-query");
        let request = request.header("content-type", "application/dns-message").body(()).unwrap();
        let mut stream = client.send_request(request).await.unwrap();
        stream.send_data(Bytes::from(www(0))).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        let mut answer = Vec::new();
        while let Some(mut part) = stream.recv_data().await.unwrap() {
            answer.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        assert_www(&answer, 0);
        driving.abort();
    });
}

/// The first datagram of a client: the Initial of a handshake that its sender will never go on with.
fn initial(world: &World) -> Vec<u8> {
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    nobody.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = vec![0; 2048];
    world.runtime.block_on(async {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = nobody.local_addr().unwrap();
        let connecting = endpoint.connect_with(world.quic_config(b"doq"), address, "localhost").unwrap();
        let octets = tokio::task::block_in_place(|| nobody.recv(&mut buffer)).unwrap();
        buffer.truncate(octets);
        drop(connecting);
    });
    buffer
}

#[test]
fn the_stall_of_its_accepting_touches_no_other_transport() {
    let world = World::start(LIMITS);
    let replayed = initial(&world);
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    attacker.set_read_timeout(Some(PATIENCE)).unwrap();
    attacker.send_to(&replayed, world.quic).unwrap();
    // The server has begun the handshake, and now waits for five seconds.
    attacker.recv(&mut [0; 2048]).unwrap();
    let endpoint = world.runtime.block_on(async { quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()) });
    let endpoint = endpoint.unwrap();
    let entered = world.runtime.enter();
    let connecting = endpoint.connect_with(world.quic_config(b"doq"), world.quic, "localhost").unwrap();
    drop(entered);
    let mut asking = world.runtime.spawn(async move {
        let connection = connecting.await.unwrap();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&super::clients::framed(&www(0))).await.unwrap();
        send.finish().unwrap();
        receive.read_to_end(1000).await.unwrap()
    });
    let queries: Vec<_> = (0..200).map(www).collect();
    for answers in
        [world.ask_udp(&queries), world.ask_tcp(&queries), world.ask_tls(&queries), world.ask_https(&queries)]
    {
        assert_eq!(answers.len(), queries.len());
    }
    let still = world.runtime.block_on(async { tokio::time::timeout(Duration::ZERO, &mut asking).await });
    // Should a later hickory-server accept in parallel, then this, the manual and decision 0011 have to change.
    assert!(still.is_err(), "the listener of QUIC is said to stall");
    assert_www(&world.runtime.block_on(asking).unwrap()[2..], 0);
}
