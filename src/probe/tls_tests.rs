//! HTTPS probes against certificates of every kind, and HTTP/2.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::HandshakeKind;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::tests::{http_check, loopback, observation, probe, probes, read_head, spec, tls_check};
use crate::health::{BodyMatch, Check, Failure, Http2, NotRun, TargetSpec, TlsCheck, TlsFailure};

const NAME: &str = "www.example.com";
const PATIENT: Duration = Duration::from_secs(20);

/// An issuer, and its certificate in a file.
struct Issuer {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Issuer {
    fn new(name: &str) -> Issuer {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Issuer { issuer, file }
    }

    /// Settings of a server with a certificate for `name` that is valid in these years.
    fn server(&self, name: &str, years: (i32, i32), protocols: &[&str]) -> rustls::ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        server(certificate.der().clone(), &key, protocols)
    }

    /// A check that trusts this issuer.
    fn trusted(&self) -> Option<TlsCheck> {
        Some(tls_check(true, Some(self.file.path().to_owned())))
    }
}

fn server(certificate: CertificateDer<'static>, key: &KeyPair, protocols: &[&str]) -> rustls::ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}

/// What a server has seen: name asked for, handshake, HTTP request.
#[derive(Clone, Debug, Default)]
struct Seen {
    name: Option<String>,
    handshake: Option<HandshakeKind>,
    request: String,
}

type AllSeen = Arc<Mutex<Vec<Seen>>>;

/// Starts a server that answers 200 to whoever gets through the handshake.
async fn start(config: rustls::ServerConfig) -> (u16, AllSeen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let seen = AllSeen::default();
    let log = seen.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A handshake that fails is the point of many tests.
            if let Ok(connection) = acceptor.accept(connection).await {
                tokio::spawn(serve(connection, log.clone()));
            }
        }
    });
    (port, seen)
}

async fn serve(mut connection: TlsStream<TcpStream>, log: AllSeen) {
    let (_, session) = connection.get_ref();
    let mut seen = Seen {
        name: session.server_name().map(str::to_owned),
        handshake: session.handshake_kind(),
        request: String::new(),
    };
    if session.alpn_protocol() == Some(b"h2") {
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let request = format!("{:?} {}", request.version(), request.uri());
            log.lock().unwrap().push(Seen { request, ..seen.clone() });
            async { Ok::<_, Infallible>(hyper::Response::new("all is well".to_owned())) }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // The prober leaves once it has its answer.
        let _ = server.serve_connection(TokioIo::new(connection), service).await;
    } else {
        seen.request = read_head(&mut connection).await;
        log.lock().unwrap().push(seen);
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nall is well").await.unwrap();
        let _ = connection.shutdown().await;
    }
}

fn https(port: u16, host: Option<&str>, tls: Option<TlsCheck>) -> TargetSpec {
    let mut check = http_check(port);
    check.tls = tls;
    check.host = host.map(str::to_owned);
    check.http2 = Http2::IfOffered;
    check.body = vec![BodyMatch::Text("all is well".to_owned())];
    spec(loopback(), Check::Http(check), PATIENT)
}

async fn check(config: rustls::ServerConfig, tls: Option<TlsCheck>, expected: Result<(), TlsFailure>) {
    let (port, _) = start(config).await;
    let outcome = probe(https(port, Some(NAME), tls)).await.map(drop);
    assert_eq!(outcome, expected.map_err(Failure::Tls));
}

#[tokio::test]
async fn h3_chain_name_and_expiry_are_verified() {
    let (issuer, other) = (Issuer::new("ours"), Issuer::new("theirs"));
    let years = (2020, 2090);
    let config = |name, years| issuer.server(name, years, &["http/1.1"]);
    check(config(NAME, years), issuer.trusted(), Ok(())).await;
    check(config(NAME, (2020, 2021)), issuer.trusted(), Err(TlsFailure::Expired)).await;
    check(config(NAME, (2090, 2091)), issuer.trusted(), Err(TlsFailure::NotYetValid)).await;
    check(config("www.example.org", years), issuer.trusted(), Err(TlsFailure::NameMismatch)).await;
    check(config(NAME, years), other.trusted(), Err(TlsFailure::UnknownIssuer)).await;
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    check(server(own.der().clone(), &key, &[]), issuer.trusted(), Err(TlsFailure::UnknownIssuer)).await;
}

#[tokio::test]
async fn h3_the_public_issuers_do_not_vouch_for_anybody() {
    let (port, _) = start(Issuer::new("ours").server(NAME, (2020, 2090), &[])).await;
    let outcome = probe(https(port, Some(NAME), Some(tls_check(true, None)))).await;
    // On a machine without any public issuer it cannot even be asked.
    let expected = [Failure::Tls(TlsFailure::UnknownIssuer), Failure::NotRun(NotRun::NoTrust)];
    assert!(expected.contains(&outcome.unwrap_err()));
}

#[tokio::test]
async fn h3_verify_false_takes_any_certificate() {
    let any = || Some(tls_check(false, None));
    let issuer = Issuer::new("ours");
    check(issuer.server("www.example.org", (2020, 2021), &[]), any(), Ok(())).await;
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new([NAME.to_owned()]).unwrap().self_signed(&key).unwrap();
    check(server(own.der().clone(), &key, &[]), any(), Ok(())).await;
}

#[tokio::test]
async fn h3_tls_asks_for_the_host_and_connects_to_the_address() {
    let issuer = Issuer::new("ours");
    let (port, seen) = start(issuer.server(NAME, (2020, 2090), &["http/1.1"])).await;
    probe(https(port, Some(NAME), issuer.trusted())).await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0].name.as_deref(), Some(NAME));
    let host = format!("host: {NAME}\r\n");
    assert!(seen[0].request.to_ascii_lowercase().contains(&host), "{seen:?}");
    // Without a host it is the address that the certificate must be for.
    let (port, seen) = start(issuer.server("127.0.0.1", (2020, 2090), &[])).await;
    probe(https(port, None, issuer.trusted())).await.unwrap();
    assert_eq!(seen.lock().unwrap()[0].name, None);
}

#[tokio::test]
async fn h3_every_probe_does_the_full_handshake() {
    let issuer = Issuer::new("ours");
    let (port, seen) = start(issuer.server(NAME, (2020, 2090), &[])).await;
    let outcomes = probes(https(port, Some(NAME), issuer.trusted()), 3, true).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let handshakes: Vec<_> = seen.lock().unwrap().iter().map(|seen| seen.handshake.unwrap()).collect();
    assert_eq!(handshakes.len(), 3);
    assert!(!handshakes.contains(&HandshakeKind::Resumed), "{handshakes:?}");
}

#[tokio::test]
async fn h3_http2_where_offered() {
    let issuer = Issuer::new("ours");
    let (port, seen) = start(issuer.server(NAME, (2020, 2090), &["h2", "http/1.1"])).await;
    let timings = probe(https(port, Some(NAME), issuer.trusted())).await.unwrap();
    let expected = format!("HTTP/2.0 https://{NAME}/healthz?full=1");
    assert_eq!(seen.lock().unwrap()[0].request, expected);
    assert!(timings.first_byte.is_some());
}

#[tokio::test]
async fn h3_http2_can_be_required_or_forbidden() {
    let issuer = Issuer::new("ours");
    let outcome = async |http2: Http2, offered: &[&str]| {
        let (port, seen) = start(issuer.server(NAME, (2020, 2090), offered)).await;
        let mut spec = https(port, Some(NAME), issuer.trusted());
        let Check::Http(check) = &mut spec.check else { panic!() };
        check.http2 = http2;
        let outcome = probe(spec).await.map(drop);
        let seen = seen.lock().unwrap().first().map(|seen| seen.request.starts_with("HTTP/2.0"));
        (outcome, seen)
    };
    let both = ["h2", "http/1.1"];
    assert_eq!(outcome(Http2::Required, &both).await, (Ok(()), Some(true)));
    assert_eq!(outcome(Http2::Never, &both).await, (Ok(()), Some(false)));
    assert_eq!(outcome(Http2::IfOffered, &["http/1.1"]).await, (Ok(()), Some(false)));
    // A server without ALPN says nothing, one with it refuses.
    for offered in [&[][..], &["http/1.1"]] {
        assert_eq!(outcome(Http2::Required, offered).await.0, Err(Failure::Tls(TlsFailure::NoHttp2)));
    }
}

#[tokio::test]
async fn h3_the_end_of_the_certificate_is_told_whatever_the_answer() {
    let issuer = Issuer::new("ours");
    let (port, _) = start(issuer.server(NAME, (2020, 2090), &[])).await;
    let until = Duration::from_secs(date_time_ymd(2090, 1, 1).unix_timestamp() as u64);
    let mut spec = https(port, Some(NAME), issuer.trusted());
    let Check::Http(check) = &mut spec.check else { panic!() };
    check.expect = vec![204..=204];
    let seen = observation(spec).await;
    assert_eq!((seen.outcome, seen.certificate_until), (Err(Failure::Status(200)), Some(until)));
}

#[tokio::test]
async fn http2_that_streams_or_never_ends_is_left() {
    let issuer = Issuer::new("ours");
    for (endless, timeout, expected) in
        [(true, PATIENT, Failure::BodyLacksText), (false, Duration::from_millis(700), Failure::BodyTimeout)]
    {
        let config = issuer.server(NAME, (2020, 2090), &["h2"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (connection, _) = listener.accept().await.unwrap();
            let connection = TlsAcceptor::from(Arc::new(config)).accept(connection).await.unwrap();
            let mut connection = h2::server::handshake(connection).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let mut stream = respond.send_response(hyper::Response::new(()), false).unwrap();
                tokio::spawn(async move {
                    loop {
                        if !endless {
                            // Neither more nor an end.
                            return std::future::pending::<()>().await;
                        }
                        stream.reserve_capacity(4096);
                        if std::future::poll_fn(|context| stream.poll_capacity(context)).await.is_none() {
                            break;
                        }
                        let _ = stream.send_data(vec![b'.'; 4096].into(), false);
                    }
                });
            }
        });
        let mut spec = https(port, Some(NAME), issuer.trusted());
        spec.cadence.timeout = timeout;
        assert_eq!(probe(spec).await.map(drop), Err(expected));
    }
}

#[tokio::test]
async fn h3_tls_is_timed_apart_from_connect_and_first_byte() {
    let delay = Duration::from_millis(100);
    let issuer = Issuer::new("ours");
    let config = issuer.server(NAME, (2020, 2090), &["http/1.1"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (connection, _) = listener.accept().await.unwrap();
        // The handshake has begun once there is something to read.
        connection.peek(&mut [0]).await.unwrap();
        tokio::time::sleep(delay).await;
        let connection = TlsAcceptor::from(Arc::new(config)).accept(connection).await.unwrap();
        serve(connection, AllSeen::default()).await;
    });
    let timings = probe(https(port, Some(NAME), issuer.trusted())).await.unwrap();
    assert!(timings.tls.unwrap() >= delay, "{timings:?}");
    let rest = timings.total - timings.connect - timings.first_byte.unwrap();
    assert!(rest >= delay, "{timings:?}");
    assert!(timings.connect > Duration::ZERO, "{timings:?}");
}
