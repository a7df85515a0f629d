//! Probes against real servers on loopback: well, ill, and hostile.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use flate2::write::GzEncoder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::health::{
    Board, BoardLimits, BoardSpec, BodyMatch, Cadence, Event, Http2, HttpCheck, TcpCheck, Ticket, Timings,
    TlsCheck, TlsFailure,
};
use crate::ids::{MonitorId, RegionId};
use crate::now::Now;

/// Long enough for anything that is going to happen at all on a busy machine.
const PATIENT: Duration = Duration::from_secs(20);

/// For what never happens; what comes before it in a probe must fit in.
const SHORT: Duration = Duration::from_millis(500);

pub(super) fn http_check(port: u16) -> HttpCheck {
    HttpCheck {
        tls: None,
        http2: Http2::Never,
        port,
        method: "GET".to_owned(),
        path: "/healthz?full=1".to_owned(),
        host: None,
        headers: vec![],
        expect: vec![200..=299],
        body: vec![],
    }
}

pub(super) fn tls_check(verify: bool, ca: Option<std::path::PathBuf>) -> TlsCheck {
    TlsCheck { verify, ca, expires_in_days: 7 }
}

pub(super) fn spec(address: TargetAddress, check: Check, timeout: Duration) -> TargetSpec {
    let cadence = Cadence {
        interval: Duration::from_secs(30),
        timeout,
        fall: 3,
        rise: 2,
        ok: 10,
        relapse_window: Duration::from_secs(600),
    };
    let label = "pool/endpoint".to_owned();
    TargetSpec { address, check, cadence, monitor: MonitorId(0), region: RegionId(0), label }
}

/// One probe by a prober that may ask loopback.
pub(super) async fn probe(spec: TargetSpec) -> Result<Timings, Failure> {
    probes(spec, 1, true).await.remove(0)
}

/// All that one probe sees.
pub(super) async fn observation(spec: TargetSpec) -> Observation {
    let (sender, mut observations) = mpsc::channel(1);
    let mut prober = Prober::new(ProbeLimits { concurrency_max: 1, allow_loopback: true }, None, sender);
    prober.retarget(&[spec]);
    prober.start(ProbeOrder { target: TargetId(0), ticket: Ticket(0) });
    observations.recv().await.unwrap()
}

/// Several probes of one target, one after the other.
pub(super) async fn probes(
    spec: TargetSpec,
    number: u64,
    allow_loopback: bool,
) -> Vec<Result<Timings, Failure>> {
    let (sender, mut observations) = mpsc::channel(1);
    let mut prober = Prober::new(ProbeLimits { concurrency_max: 1, allow_loopback }, None, sender);
    prober.retarget(&[spec]);
    let mut outcomes = Vec::new();
    for ticket in (0..number).map(Ticket) {
        prober.start(ProbeOrder { target: TargetId(0), ticket });
        let observation = observations.recv().await.unwrap();
        assert_eq!(observation.ticket, ticket);
        outcomes.push(observation.outcome);
    }
    outcomes
}

/// What a server does with a connection once the request's head has been read.
#[derive(Clone)]
enum Script {
    /// Sends this and closes.
    Answer(Vec<u8>),
    /// Sends this and holds the connection open.
    Hold(Vec<u8>),
    /// Sends the first, then the second for ever.
    Stream(Vec<u8>, Vec<u8>),
    /// Sends this, an octet every few milliseconds, and begins again.
    Drip(Vec<u8>),
}

fn answer(head: &str, body: &[u8]) -> Script {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    Script::Answer([head.as_bytes(), body].concat())
}

/// A server's port and the request heads it has read.
struct Server {
    port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    /// What it does with the next connection.
    script: Arc<Mutex<Script>>,
}

impl Server {
    async fn start(script: Script) -> Server {
        Server::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    fn start_on(listener: TcpListener, script: Script) -> Server {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script));
        let port = listener.local_addr().unwrap().port();
        let server = Server { port, requests: requests.clone(), script: script.clone() };
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let script = script.lock().unwrap().clone();
                tokio::spawn(serve(connection, script, requests.clone()));
            }
        });
        server
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

pub(super) async fn read_head(connection: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(octet) => head.push(octet),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

async fn serve(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    script: Script,
    requests: Arc<Mutex<Vec<String>>>,
) {
    let head = read_head(&mut connection).await;
    requests.lock().unwrap().push(head);
    // The prober may leave at any time; a server does not mind.
    let _ = play(&mut connection, script).await;
}

async fn play(connection: &mut (impl AsyncRead + AsyncWrite + Unpin), script: Script) -> std::io::Result<()> {
    match script {
        Script::Answer(octets) => {
            connection.write_all(&octets).await?;
            connection.shutdown().await
        }
        Script::Hold(octets) => {
            connection.write_all(&octets).await?;
            // Until the prober leaves.
            connection.read_to_end(&mut Vec::new()).await.map(drop)
        }
        Script::Stream(first, again) => {
            connection.write_all(&first).await?;
            loop {
                connection.write_all(&again).await?;
            }
        }
        Script::Drip(octets) => {
            let mut clock = tokio::time::interval(Duration::from_millis(5));
            for octet in octets.iter().cycle() {
                clock.tick().await;
                connection.write_all(&[*octet]).await?;
            }
            Ok(())
        }
    }
}

/// The outcome of one probe of a server with this script; `change` adapts the check.
async fn outcome_of(
    script: Script,
    timeout: Duration,
    change: impl FnOnce(&mut HttpCheck),
) -> Result<(), Failure> {
    let server = Server::start(script).await;
    let mut check = http_check(server.port);
    change(&mut check);
    probe(spec(loopback(), Check::Http(check), timeout)).await.map(drop)
}

pub(super) fn loopback() -> TargetAddress {
    TargetAddress::Address(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

async fn check(script: Script, expected: Result<(), Failure>) {
    assert_eq!(outcome_of(script, PATIENT, |_| ()).await, expected);
}

async fn check_hanging(script: Script, expected: Failure) {
    assert_eq!(outcome_of(script, SHORT, |check| check.body = text("well")).await, Err(expected));
}

async fn check_body(script: Script, expected: Result<(), Failure>) {
    assert_eq!(outcome_of(script, PATIENT, |check| check.body = text("all is well")).await, expected);
}

fn text(text: &str) -> Vec<BodyMatch> {
    vec![BodyMatch::Text(text.to_owned())]
}

#[tokio::test]
async fn h3_the_status_decides() {
    check(answer("200 OK", b""), Ok(())).await;
    check(answer("204 No Content", b""), Ok(())).await;
    check(answer("503 Service Unavailable", b"sorry"), Err(Failure::Status(503))).await;
    check(answer("404 Not Found", b""), Err(Failure::Status(404))).await;
    let expect_503 = |check: &mut HttpCheck| check.expect = vec![200..=200, 500..=503];
    assert_eq!(outcome_of(answer("503 No", b""), PATIENT, expect_503).await, Ok(()));
    assert_eq!(outcome_of(answer("204 No", b""), PATIENT, expect_503).await, Err(Failure::Status(204)));
}

#[tokio::test]
async fn h3_redirects_are_not_followed() {
    let server = Server::start(answer("302 Found\r\nLocation: /healthz", b"")).await;
    let check = Check::Http(http_check(server.port));
    assert_eq!(probe(spec(loopback(), check, PATIENT)).await, Err(Failure::Status(302)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn h3_the_request_is_the_one_configured() {
    let server = Server::start(answer("200 OK", b"")).await;
    let mut check = http_check(server.port);
    check.method = "HEAD".to_owned();
    check.host = Some("www.example.com".to_owned());
    check.headers = vec![("X-Probe".to_owned(), "a, b".to_owned())];
    probe(spec(loopback(), Check::Http(check), PATIENT)).await.unwrap();
    let requests = server.requests();
    let head = requests[0].to_ascii_lowercase();
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines[0], "head /healthz?full=1 http/1.1");
    assert!(lines.contains(&"host: www.example.com"), "{lines:?}");
    assert!(lines.contains(&"x-probe: a, b"), "{lines:?}");
    assert!(lines.contains(&"connection: close"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("host:")).count(), 1, "{lines:?}");
}

#[tokio::test]
async fn h3_every_probe_is_a_fresh_connection() {
    // A server that would gladly keep the connection.
    let server = Server::start(Script::Hold(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec())).await;
    let check = Check::Http(http_check(server.port));
    let outcomes = probes(spec(loopback(), check, PATIENT), 3, true).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn h3_the_body_is_searched_within_its_first_64_kib() {
    let pad = |octets: usize| [vec![b'.'; octets], b"all is well".to_vec()].concat();
    check_body(answer("200 OK", b"today all is well here"), Ok(())).await;
    check_body(answer("200 OK", b"all is not well"), Err(Failure::BodyLacksText)).await;
    check_body(answer("200 OK", b""), Err(Failure::BodyLacksText)).await;
    check_body(answer("503 No", b"all is well"), Err(Failure::Status(503))).await;
    check_body(answer("200 OK", &pad(64 * 1024 - 11)), Ok(())).await;
    check_body(answer("200 OK", &pad(64 * 1024 - 10)), Err(Failure::BodyLacksText)).await;
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n";
    check_body(Script::Answer(chunked.into()), Ok(())).await;
}

#[tokio::test]
async fn h3_a_gzip_body_is_decoded_and_a_bomb_costs_no_more_than_a_page() {
    let gzip = |body: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body).unwrap();
        answer("200 OK\r\nContent-Encoding: gzip", &encoder.finish().unwrap())
    };
    check_body(gzip(b"today all is well here"), Ok(())).await;
    let bomb = [vec![0; 64 << 20], b"all is well".to_vec()].concat();
    check_body(gzip(&bomb), Err(Failure::BodyLacksText)).await;
    let broken = answer("200 OK\r\nContent-Encoding: gzip", b"this is no gzip at all");
    check_body(broken, Err(Failure::BodyBroken)).await;
}

#[tokio::test]
async fn h3_regular_expressions_and_json_pointers() {
    async fn check(body: &str, matches: &[BodyMatch], expected: Result<(), Failure>) {
        let set = |check: &mut HttpCheck| check.body = matches.to_vec();
        assert_eq!(outcome_of(answer("200 OK", body.as_bytes()), PATIENT, set).await, expected, "{body}");
    }
    let regex = |pattern: &str| BodyMatch::Regex(pattern.to_owned());
    let json = |pointer: &str, values: &[serde_json::Value]| BodyMatch::Json {
        pointer: pointer.to_owned(),
        values: values.to_vec(),
    };
    check("status: ok (v2.17)", &[regex(r"^status: ok \(v2\.\d+\)$")], Ok(())).await;
    check("status: ok (v3)", &[regex(r"^status: ok \(v2")], Err(Failure::BodyLacksMatch)).await;
    check("\u{fffd}ok", &[regex("ok$")], Ok(())).await;
    let body = r#"{"status": "ok", "a/b": {"n": [1, 2.0, true]}}"#;
    check(body, &[json("/status", &["ok".into()])], Ok(())).await;
    check(body, &[json("/status", &["well".into(), "ok".into()]), json("/a~1b/n/0", &[1.into()])], Ok(()))
        .await;
    check(body, &[json("/a~1b/n/1", &[2.into()]), json("/a~1b/n/2", &[true.into()])], Ok(())).await;
    check(body, &[json("/status", &["OK".into()])], Err(Failure::BodyLacksValue)).await;
    check(body, &[json("/state", &["ok".into()])], Err(Failure::BodyLacksValue)).await;
    check(body, &[json("/a~1b/n", &[1.into()])], Err(Failure::BodyLacksValue)).await;
    check("ok", &[json("/status", &["ok".into()])], Err(Failure::BodyNotJson)).await;
    check("\"ok\"", &[json("", &["ok".into()])], Ok(())).await;
    check(&"[".repeat(60_000), &[json("/status", &["ok".into()])], Err(Failure::BodyNotJson)).await;
    // Cut at 64 KiB it is none.
    let long = format!(r#"{{"status": "ok", "rest": "{}"}}"#, "x".repeat(70_000));
    check(&long, &[json("/status", &["ok".into()])], Err(Failure::BodyNotJson)).await;
    // All that is written must hold.
    let all = [text("ok").remove(0), regex("status"), json("/status", &["ok".into()])];
    check(body, &all, Ok(())).await;
    check(body, &[text("ill").remove(0), regex("status")], Err(Failure::BodyLacksText)).await;
}

#[tokio::test]
async fn an_endless_preface_of_informational_answers_is_left() {
    let begin = b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec();
    check_hanging(Script::Stream(vec![], begin.repeat(100)), Failure::AnswerTimeout).await;
}

#[tokio::test]
async fn redirects_in_circles_cost_one_request() {
    let server = Server::start(answer("301 Moved\r\nLocation: /healthz?full=1", b"")).await;
    let mut circle = http_check(server.port);
    circle.expect = vec![301..=301];
    assert!(probe(spec(loopback(), Check::Http(circle), PATIENT)).await.is_ok());
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn gzip_that_decompresses_to_nothing_is_left() {
    // Empty stored blocks, five octets each, none of them the last.
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    let begin = [head, vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]].concat();
    let empty = [0, 0, 0, 0xff, 0xff].repeat(1000);
    check_body(Script::Stream(begin, empty), Err(Failure::BodyLacksText)).await;
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n".to_vec();
    check_body(Script::Answer(head), Err(Failure::BodyLacksText)).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_or_streams_for_ever_is_a_failure() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nall is".to_vec();
    check_body(Script::Answer(head), Err(Failure::BodyBroken)).await;
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    check_body(Script::Stream(head.clone(), vec![b'.'; 4096]), Err(Failure::BodyLacksText)).await;
    // Without a text to look for nobody reads it.
    check(Script::Stream(head, vec![b'.'; 4096]), Ok(())).await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_left_in_every_phase() {
    check_hanging(Script::Hold(vec![]), Failure::AnswerTimeout).await;
    check_hanging(Script::Hold(b"HTTP/1.1 200 OK\r\nX: ".to_vec()), Failure::AnswerTimeout).await;
    check_hanging(Script::Drip(b"HTTP/1.1 200 OK\r\nX-Slow: y".to_vec()), Failure::AnswerTimeout).await;
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwe".to_vec();
    check_hanging(Script::Hold(head), Failure::BodyTimeout).await;
}

#[tokio::test]
async fn an_endpoint_that_closes_or_talks_nonsense_fails() {
    check(Script::Answer(vec![]), Err(Failure::Closed)).await;
    check(Script::Answer(b"HTTP/1.1 200 OK\r\nX: y".to_vec()), Err(Failure::Closed)).await;
    check(Script::Answer(b"SSH-2.0-OpenSSH_9.9\r\n\r\n".to_vec()), Err(Failure::NotHttp)).await;
    check(Script::Stream(vec![], vec![0xff; 4096]), Err(Failure::NotHttp)).await;
}

#[tokio::test]
async fn a_head_of_any_size_costs_no_more_than_its_bound() {
    let begin = b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec();
    check(Script::Stream(begin, vec![b'x'; 4096]), Err(Failure::HeadTooLarge)).await;
    let begin = b"HTTP/1.1 200 OK\r\n".to_vec();
    check(Script::Stream(begin, b"X-Many: x\r\n".repeat(100)), Err(Failure::HeadTooLarge)).await;
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: x\r\n".repeat(101));
    check(Script::Answer(many.into()), Err(Failure::HeadTooLarge)).await;
}

/// A port that nobody listens on: bound, so that nobody else gets it, and not listening.
fn closed_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn a_refused_connection_is_called_so() {
    let (_socket, port) = closed_port();
    for check in [Check::Http(http_check(port)), Check::Tcp(TcpCheck::connect(port))] {
        let outcome = probe(spec(loopback(), check, PATIENT)).await;
        assert_eq!(outcome, Err(Failure::ConnectRefused));
    }
}

#[tokio::test]
async fn a_connection_that_is_never_answered_times_out_as_such() {
    // A full backlog drops further handshakes.
    let (socket, port) = closed_port();
    socket.listen(0).unwrap();
    let mut held = Vec::new();
    while let Ok(connected) = tokio::time::timeout(SHORT, TcpStream::connect(("127.0.0.1", port))).await {
        held.push(connected.unwrap());
    }
    for check in [Check::Http(http_check(port)), Check::Tcp(TcpCheck::connect(port))] {
        assert_eq!(probe(spec(loopback(), check, SHORT)).await, Err(Failure::ConnectTimeout));
    }
}

#[tokio::test]
async fn h4_tcp_needs_a_connection_only() {
    let server = Server::start(Script::Hold(vec![])).await;
    let timings = probe(spec(loopback(), Check::Tcp(TcpCheck::connect(server.port)), PATIENT)).await.unwrap();
    assert_eq!(timings.first_byte, None);
    assert!(timings.connect > Duration::ZERO && timings.connect <= timings.total);
}

#[tokio::test]
async fn h3_first_byte_is_timed_from_the_request_and_connect_apart() {
    let delay = Duration::from_millis(100);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let check = Check::Http(http_check(listener.local_addr().unwrap().port()));
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        read_head(&mut connection).await;
        tokio::time::sleep(delay).await;
        play(&mut connection, answer("200 OK", b"")).await.unwrap();
    });
    let timings = probe(spec(loopback(), check, PATIENT)).await.unwrap();
    let first_byte = timings.first_byte.unwrap();
    assert!(first_byte >= delay, "{timings:?}");
    assert!(timings.connect > Duration::ZERO, "{timings:?}");
    assert!(timings.connect + first_byte <= timings.total, "{timings:?}");
}

#[tokio::test]
async fn ipv6_addresses_are_probed_like_others() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        return; // No IPv6 on this machine: there is nothing to ask.
    };
    let server = Server::start_on(listener, answer("200 OK", b""));
    let address = TargetAddress::Address("::1".parse().unwrap());
    for check in [Check::Http(http_check(server.port)), Check::Tcp(TcpCheck::connect(server.port))] {
        probe(spec(address.clone(), check, PATIENT)).await.unwrap();
    }
    assert!(server.requests()[0].contains(&format!("[::1]:{}", server.port)));
}

#[tokio::test]
async fn host_names_are_resolved_and_judged_by_what_they_resolve_to() {
    let server = Server::start(answer("200 OK", b"")).await;
    let localhost = TargetAddress::Host("localhost".to_owned());
    for check in [Check::Http(http_check(server.port)), Check::Tcp(TcpCheck::connect(server.port))] {
        let spec = spec(localhost.clone(), check, PATIENT);
        assert!(probe(spec.clone()).await.is_ok());
        let refused = Err(Failure::NotRun(NotRun::AddressRefused));
        assert_eq!(probes(spec, 1, false).await, [refused]);
    }
    // A label of 64 octets is no name, and needs no name server to say so.
    let nowhere = TargetAddress::Host(format!("{}.invalid", "x".repeat(64)));
    let check = Check::Tcp(TcpCheck::connect(1));
    assert_eq!(probe(spec(nowhere.clone(), check, PATIENT)).await, Err(Failure::NameNotFound));
}

#[tokio::test]
async fn what_cannot_be_probed_is_told_and_is_no_evidence() {
    let (sender, mut observations) = mpsc::channel(9);
    let mut prober = Prober::new(ProbeLimits { concurrency_max: 9, allow_loopback: false }, None, sender);
    let link_local = TargetAddress::Address("169.254.169.254".parse().unwrap());
    let good = TargetAddress::Address("192.0.2.1".parse().unwrap());
    let tcp = || Check::Tcp(TcpCheck::connect(80));
    let with = |change: fn(&mut HttpCheck)| {
        let mut check = http_check(80);
        change(&mut check);
        Check::Http(check)
    };
    let specs = [
        spec(good.clone(), tcp(), PATIENT),
        spec(link_local, tcp(), PATIENT),
        spec(loopback(), with(|_| ()), PATIENT),
        spec(good.clone(), with(|check| check.method = "GE T".to_owned()), PATIENT),
        spec(good.clone(), with(|check| check.host = Some("a\nb".to_owned())), PATIENT),
        spec(good.clone(), Check::Push { ttl: PATIENT }, PATIENT),
        spec(
            good,
            with(|check| {
                let ca = Some("/nonexistent/ca.pem".into());
                check.tls = Some(tls_check(true, ca));
            }),
            PATIENT,
        ),
    ];
    let reasons: Vec<(u32, NotRun)> =
        prober.retarget(&specs).iter().map(|unprobed| (unprobed.target.0, unprobed.reason)).collect();
    let expected = [
        (1, NotRun::AddressRefused),
        (2, NotRun::AddressRefused),
        (3, NotRun::BadRequest),
        (4, NotRun::BadRequest),
        (6, NotRun::NoTrust),
    ];
    assert_eq!(reasons, expected);
    for (target, reason) in expected.into_iter().chain([(5, NotRun::Posted), (99, NotRun::NoTarget)]) {
        let order = ProbeOrder { target: TargetId(target), ticket: Ticket(u64::from(target)) };
        prober.start(order);
        let expected = Observation::local(order, Err(Failure::NotRun(reason)));
        assert_eq!(observations.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn tls_that_never_comes_or_is_none_is_told_apart() {
    let hanging = Server::start(Script::Hold(vec![])).await;
    let mut check = http_check(hanging.port);
    check.tls = Some(tls_check(false, None));
    let outcome = probe(spec(loopback(), Check::Http(check.clone()), SHORT)).await;
    assert_eq!(outcome, Err(Failure::Tls(TlsFailure::Timeout)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    check.port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        connection.read_to_end(&mut Vec::new()).await.map(drop)
    });
    let outcome = probe(spec(loopback(), Check::Http(check), PATIENT)).await;
    assert_eq!(outcome, Err(Failure::Tls(TlsFailure::Failed)));
}

#[tokio::test]
async fn board_and_prober_together_see_an_endpoint_die() {
    let server = Server::start(answer("200 OK", b"")).await;
    let mut spec = spec(loopback(), Check::Http(http_check(server.port)), PATIENT);
    spec.cadence.interval = Duration::from_millis(20);
    let (sender, mut observations) = mpsc::channel(4);
    let mut prober = Prober::new(ProbeLimits { concurrency_max: 4, allow_loopback: true }, None, sender);
    prober.retarget(std::slice::from_ref(&spec));
    let begin = std::time::Instant::now();
    let now = || Now { monotonic: begin.elapsed(), wall: Duration::ZERO };
    let mut board = Board::new(
        std::sync::Arc::new(BoardSpec { targets: Box::new([spec]), ..BoardSpec::default() }),
        BoardLimits { under_way_max: 4 },
        now(),
        1,
    );
    let mut causes = Vec::new();
    while causes.len() < 2 {
        board.poll_due(now()).into_iter().for_each(|order| prober.start(order));
        let sleep = board.poll_timeout(now()).unwrap_or(PATIENT);
        if let Ok(observation) = tokio::time::timeout(sleep, observations.recv()).await {
            board.observe(observation.unwrap(), now());
        }
        while let Some(Event::Transition(transition)) = board.poll_event() {
            causes.push(transition.cause);
            *server.script.lock().unwrap() = answer("503 Service Unavailable", b"");
        }
    }
    assert_eq!(causes, ["first result: well", "3 failures counted: status 503"]);
    assert_eq!(board.status(TargetId(0), now()).unwrap().health.verdict, crate::health::Verdict::Down);
}
