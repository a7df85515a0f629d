//! DNS over HTTPS: what is asked for in which way, and what clients of HTTP can do to others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hyper::Request;
use hyper::body::Bytes;
use meridian::server::ConnectionLimits;
use meridian::telemetry::Event;

use super::clients::{connect, post};
use super::{LIMITS, Limits, World, assert_www, query, www};

/// `www.example.com A` with ID 0 in base64url.
const GET: &str = "GET /dns-query?dns=AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB HTTP/1.1\r\n";
const POST: &str = "POST /dns-query HTTP/1.1\r\ncontent-type: application/dns-message\r\n";

/// Sends octets without TLS and reads until the server closes: head and body.
fn exchange(world: &World, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = connect(world.plain);
    stream.write_all(request).unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    let end = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(reply.len());
    let head = String::from_utf8_lossy(&reply[..end]).to_lowercase();
    (head, reply.get(end + 4..).unwrap_or_default().to_vec())
}

#[track_caller]
fn check(world: &World, request: &str, body: &[u8], status: &str, field: &str) -> Vec<u8> {
    let request = [format!("{request}connection: close\r\n\r\n").as_bytes(), body].concat();
    let (head, body) = exchange(world, &request);
    assert!(head.starts_with(&format!("http/1.1 {status}")), "{head}");
    assert!(head.contains(field), "{head}");
    body
}

#[test]
fn rfc8484_4_1_get_head_and_post_are_answered() {
    let world = World::start(LIMITS);
    assert_www(&check(&world, GET, b"", "200", "content-type: application/dns-message"), 0);
    assert_eq!(check(&world, &GET.replace("GET", "HEAD"), b"", "200", "content-length: 49"), b"");
    let body = www(0x1234);
    let length = format!("content-length: {}\r\n", body.len());
    assert_www(&check(&world, &format!("{POST}{length}"), &body, "200", "content-length: 49"), 0x1234);
    let chunked = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    assert_www(&check(&world, &format!("{POST}transfer-encoding: chunked\r\n"), &chunked, "200", ""), 0x1234);
    assert_eq!(world.telemetry.events(Event::HttpRefused), 0);
}

#[test]
fn rfc8484_5_1_answers_are_fresh_for_as_long_as_their_records() {
    let world = World::start(LIMITS);
    for (name, rtype, age) in [
        ("www.example.com", 1, 60),
        ("link.example.com", 1, 60),
        ("ns1.example.com", 1, 300),
        ("missing.example.com", 1, 60),
        ("www.example.com", 28, 60),
        ("near.example.com", 1, 60),
        ("elsewhere.test", 1, 0),
    ] {
        let body = query(0, name, rtype, None);
        let request = format!("{POST}content-length: {}\r\n", body.len());
        check(&world, &request, &body, "200", &format!("cache-control: max-age={age}\r\n"));
    }
}

#[test]
fn requests_that_hold_no_query_get_the_status_that_says_so() {
    let world = World::start(LIMITS);
    let length = |octets: usize| format!("{POST}content-length: {octets}\r\n");
    check(&world, "GET / HTTP/1.1\r\n", b"", "404", "text/plain");
    check(&world, "GET /dns-query HTTP/1.1\r\n", b"", "400", "no-store");
    check(&world, "GET /dns-query?dns=@@ HTTP/1.1\r\n", b"", "400", "");
    check(&world, "GET /dns-query?dns=AAAA HTTP/1.1\r\n", b"", "400", "");
    check(&world, "PUT /dns-query HTTP/1.1\r\n", b"", "405", "allow: get, head, post");
    check(&world, "DELETE /dns-query HTTP/1.1\r\n", b"", "405", "");
    check(&world, "POST /dns-query HTTP/1.1\r\ncontent-type: text/plain\r\n", b"", "415", "");
    check(&world, "POST /dns-query HTTP/1.1\r\n", b"", "415", "");
    check(&world, &length(65_536), &[7; 65_536], "413", "");
    check(&world, &length(100_000_000), b"", "413", "");
    check(&world, &length(0), b"", "400", "");
    let mut response = www(1);
    response[2] |= 0x80;
    check(&world, &length(response.len()), &response, "400", "");
    let endless = [&b"20000\r\n"[..], &[7; 0x2_0000], b"\r\n0\r\n\r\n"].concat();
    check(&world, &format!("{POST}transfer-encoding: chunked\r\n"), &endless, "413", "");
    check(&world, &format!("GET /{} HTTP/1.1\r\n", "x".repeat(40_000)), b"", "4", "");
    check(&world, &"x: y\r\n".repeat(100).replacen("x: y", GET.trim_end(), 1), b"", "431", "");
    assert!(world.telemetry.events(Event::HttpRefused) >= 12);
    assert_www(&check(&world, GET, b"", "200", ""), 0);
}

#[test]
fn large_bodies_of_http2_are_refused_and_the_connection_goes_on() {
    let world = World::start(LIMITS);
    world.runtime.block_on(async {
        let mut client = world.http2().await;
        for octets in [65_536, 200 << 10, 0] {
            let (status, body) = post(&mut client, &vec![0; octets]).await;
            assert_eq!(status, if octets == 0 { 400 } else { 413 });
            assert!(body.is_ascii() && !body.is_empty());
            client = client.ready().await.unwrap();
            assert_www(&post(&mut client, &www(5)).await.1, 5);
        }
    });
}

#[test]
fn slow_clients_are_told_or_closed() {
    let connections = ConnectionLimits {
        idle_timeout: Duration::from_millis(500),
        message_timeout: Duration::from_millis(200),
        ..LIMITS.connections
    };
    let world = World::start(Limits { connections, ..LIMITS });
    // A body that stops halfway, a head that stops halfway, and nothing at all.
    let (head, _) = exchange(&world, format!("{POST}content-length: 33\r\n\r\nabc").as_bytes());
    assert!(head.starts_with("http/1.1 408"), "{head}");
    world.wait_for(Event::MessageTimeout, 1);
    assert_eq!(exchange(&world, &GET.as_bytes()[..20]).1, b"");
    assert_eq!(exchange(&world, b"").1, b"");
    // The same within TLS, over HTTP/2: GOAWAY, and the end.
    world.runtime.block_on(async {
        let mut client = world.http2().await;
        assert_eq!(post(&mut client, &www(1)).await.0, 200);
        let request = Request::post("https://localhost/dns-query");
        let request = request.header("content-type", "application/dns-message").body(()).unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"abc"), false).unwrap();
        assert_eq!(response.await.unwrap().status(), 408);
        while client.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    world.wait_for(Event::ConnectionIdle, 1);
}

#[test]
fn streams_that_are_reset_at_once_cost_nobody_else_anything() {
    let world = World::start(LIMITS);
    world.runtime.block_on(async {
        let mut honest = world.http2().await;
        for _ in 0..4 {
            let mut rapid = world.http2().await;
            for round in 0..500 {
                let request = Request::get("https://localhost/dns-query").body(()).unwrap();
                let Ok(ready) = rapid.ready().await else { break };
                rapid = ready;
                let Ok((_, mut stream)) = rapid.send_request(request, false) else { break };
                stream.send_reset(h2::Reason::CANCEL);
                if round % 100 == 0 {
                    honest = honest.ready().await.unwrap();
                    assert_www(&post(&mut honest, &www(round)).await.1, round);
                }
            }
        }
        assert_www(&post(&mut honest.ready().await.unwrap(), &www(1)).await.1, 1);
    });
}

#[test]
fn answers_that_are_not_taken_are_few() {
    let connections = ConnectionLimits { message_timeout: Duration::from_millis(500), ..LIMITS.connections };
    let world = World::start(Limits { connections, ..LIMITS });
    world.runtime.block_on(async {
        // Windows that never open: a hundred large answers are asked for, and none is read.
        let stream = tokio::net::TcpStream::connect(world.https).await.unwrap();
        let config = super::clients::trusting(&world.identity.trusted, &[b"h2"]);
        let connector = tokio_rustls::TlsConnector::from(config);
        let stream = connector.connect(super::clients::name(), stream).await.unwrap();
        let builder = h2::client::Builder::new().initial_window_size(1).handshake::<_, Bytes>(stream).await;
        let (client, connection) = builder.unwrap();
        tokio::spawn(connection);
        let mut client = client.ready().await.unwrap();
        let mut held = Vec::new();
        for _ in 0..100 {
            let Ok(ready) = client.ready().await else { panic!("the connection is gone") };
            client = ready;
            let request = Request::post("https://localhost/dns-query");
            let request = request.header("content-type", "application/dns-message").body(()).unwrap();
            let (response, mut body) = client.send_request(request, false).unwrap();
            let large = query(0, "large.example.com", 16, None);
            body.send_data(Bytes::from(large), true).unwrap();
            held.push(response);
        }
        let (mut answered, mut refused) = (Vec::new(), 0);
        for response in held {
            match response.await.unwrap() {
                response if response.status() == 200 => answered.push(response),
                _ => refused += 1,
            }
        }
        // 128 KiB hold so many of 8.6 KiB that the room for one more of the longest is left.
        assert!((2..20).contains(&answered.len()) && refused > 80, "{} {refused}", answered.len());
    });
    world.wait_for(Event::MessageTimeout, 80);
    assert_www(&world.ask_https(&[www(1)])[0], 1);
}

#[test]
fn pipelined_requests_of_http1_are_answered_in_order() {
    let world = World::start(LIMITS);
    let mut stream: TcpStream = connect(world.plain);
    stream.write_all(format!("{GET}\r\n").repeat(50).as_bytes()).unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while seen.windows(4).filter(|four| *four == [192, 0, 2, 2]).count() < 50 {
        let octets = stream.read(&mut buffer).unwrap();
        assert!(octets > 0);
        seen.extend_from_slice(&buffer[..octets]);
    }
}
