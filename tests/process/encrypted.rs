//! Encrypted transports as operators meet them: switched on by a table, renewed by a reload, checked beforehand.

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::*;

const TABLES: &str = "[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = \"chain.pem\"\nkey = \"key.pem\"\n\
    [https]\nlisten = \"127.0.0.1:0\"\n";

impl World {
    /// Writes a certificate with its key; returns what its clients trust.
    fn certificate(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.write("chain.pem", &made.cert.pem());
        self.write("key.pem", &made.signing_key.serialize_pem());
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(self.folder.path().join("key.pem"), closed).unwrap();
        made.cert.der().clone()
    }

    fn encrypted() -> (World, CertificateDer<'static>) {
        let world = World::new();
        let certificate = world.certificate();
        world.write("meridian.toml", &format!("{}{TABLES}", world.configuration("")));
        (world, certificate)
    }
}

impl Server {
    /// Where a protocol was said to be open.
    fn open(&self, protocol: &str) -> SocketAddr {
        let log = self.log.lock().unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let line = lines.into_iter().find(|line| line["protocol"] == protocol).unwrap();
        line["listen"].as_str().unwrap().parse().unwrap()
    }

    /// Asks over DNS over TLS, trusting this certificate alone.
    fn ask_tls(&self, trusted: &CertificateDer<'static>) -> std::io::Result<[u8; 4]> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(self.open("dns-over-tls"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
        let query = query("static.example.test");
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), &query[..]].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut message)?;
        Ok(*message.last_chunk().unwrap())
    }
}

#[test]
fn a_renewed_certificate_is_taken_over_by_a_reload_and_a_bad_one_is_not() {
    let (world, first) = World::encrypted();
    let server = world.start();
    assert_eq!(server.ask_tls(&first).unwrap(), [192, 0, 2, 77]);
    assert_ne!(server.open("dns-over-https").port(), 0);
    let second = world.certificate();
    server.signal(Signal::SIGHUP);
    server.wait_for("a new certificate is in force");
    server.wait_for("reloaded");
    assert_eq!(server.ask_tls(&second).unwrap(), [192, 0, 2, 77]);
    assert!(server.ask_tls(&first).is_err());
    // Half of a renewal: the reload goes through, the old certificate stays, and everybody is told.
    world.write("chain.pem", "half");
    let reload = server.http("POST", "/v1/reload", "");
    assert_eq!(reload.0, 200, "{}", reload.1);
    assert!(reload.1.contains("holds no certificate"), "{}", reload.1);
    server.wait_for("the new certificate cannot be used: the old one stays");
    assert_eq!(server.ask_tls(&second).unwrap(), [192, 0, 2, 77]);
    let metrics = server.http("GET", "/metrics", "").1;
    let has = |line: &str| assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    has("meridian_certificate_end_timestamp_seconds{transport=\"https\"}");
    has("meridian_replies_total{transport=\"tls\",rcode=\"NOERROR\"} 3");
    has("meridian_dropped_total{transport=\"tls\",reason=\"handshake_failed\"} 1");
    assert!(!metrics.contains("meridian_certificates_refused_total 0"));
}

/// The niceness of the threads whose names begin so (proc(5): the nineteenth field of `stat`).
fn niceness(server: &Server, name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    let own = stats.filter_map(|stat| {
        let (head, fields) = stat.rsplit_once(") ")?;
        let field = fields.split(' ').nth(16)?.parse().ok()?;
        head.split_once('(')?.1.starts_with(name).then_some(field)
    });
    own.collect()
}

#[test]
fn threads_that_do_handshakes_give_way_to_those_that_answer_datagrams() {
    let (world, trusted) = World::encrypted();
    let server = world.start();
    assert_eq!(server.ask_tls(&trusted).unwrap(), [192, 0, 2, 77]);
    let usual = niceness(&server, "udp-")[0];
    // One of them has answered, and is what it is to be.
    assert!(niceness(&server, "tls-").contains(&(usual + 10).min(19)));
    assert!(niceness(&server, "https").contains(&(usual + 10).min(19)));
    assert!(
        niceness(&server, "tcp-").into_iter().chain(niceness(&server, "runtime")).all(|own| own == usual)
    );
}

#[test]
fn a_start_and_a_check_refuse_a_certificate_that_cannot_be_used() {
    let (world, _) = World::encrypted();
    let check = run(&["check"], &world.config());
    assert_eq!((check.status.code(), text(&check.stderr)), (Some(0), String::new()));
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(world.folder.path().join("key.pem"), open).unwrap();
    let check = run(&["check"], &world.config());
    assert_eq!(check.status.code(), Some(0));
    assert!(text(&check.stderr).contains("may be read by every user of this machine"));
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    world.write("key.pem", &other.signing_key.serialize_pem());
    for command in ["check", "serve"] {
        let output = run(&[command], &world.config());
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains("key.pem is not the key of the first certificate"), "{said}");
        assert!(said.contains("meridian.toml:"), "{said}");
    }
    std::fs::remove_file(world.folder.path().join("chain.pem")).unwrap();
    let said = text(&run(&["check"], &world.config()).stderr);
    assert!(said.contains("chain.pem cannot be read: it is not there"), "{said}");
}
