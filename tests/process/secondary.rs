//! Zones from hidden primaries, with NSD and Knot for primaries and TSIG between.

use std::time::SystemTime;

use super::kept::{journal, whats};
use super::*;

const SECRET: &str = "2oHQyVpYgFvJfjHqKm0pXjJwz3bE0m3dLqcq5O6cYxQ=";
const HOST: &str = "host.example.net";
const STEERED: &str = "www.example.net";

/// A primary and its zone file.
struct Primary {
    folder: tempfile::TempDir,
    program: &'static str,
    port: u16,
    child: Option<Child>,
    written: SystemTime,
}

/// A port that was free a moment ago, over both protocols.
fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn zone(serial: u32, host: u8) -> String {
    format!(
        "$ORIGIN example.net.\n@ 3600 SOA ns hostmaster {serial} 3600 600 604800 60\n@ 3600 NS ns\n\
         ns 3600 A 192.0.2.53\nhost 60 A 192.0.2.{host}\nwww 60 A 192.0.2.200\nwww 60 TXT \"static\"\n\
         alias 60 CNAME host\n"
    )
}

impl Primary {
    /// NSD, or Knot; `notify` is where meridian listens.
    fn new(program: &'static str, notify: SocketAddr) -> Primary {
        let (folder, written) = (tempfile::tempdir().unwrap(), SystemTime::now());
        let primary = Primary { folder, program, port: free_port(), child: None, written };
        let (folder, port) = (primary.folder.path().display().to_string(), primary.port);
        let (host, notify_port) = (notify.ip(), notify.port());
        let config = match program {
            "nsd" => format!(
                "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{folder}\"\n  \
                 database: \"\"\n  pidfile: \"{folder}/pid\"\n  xfrdfile: \"{folder}/xfrd\"\n  \
                 zonelistfile: \"{folder}/list\"\n  xfrdir: \"{folder}\"\n  server-count: 1\n\
                 remote-control:\n  control-enable: no\n\
                 key:\n  name: \"k\"\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n\
                 zone:\n  name: example.net\n  zonefile: example.net.zone\n  provide-xfr: 127.0.0.1 k\n  \
                 notify: {host}@{notify_port} k\n  store-ixfr: yes\n  create-ixfr: yes\n"
            ),
            _ => format!(
                "server:\n  listen: 127.0.0.1@{port}\n  rundir: \"{folder}\"\n  pidfile: \"{folder}/pid\"\n\
                 database:\n  storage: \"{folder}/db\"\n\
                 key:\n  - id: k\n    algorithm: hmac-sha256\n    secret: {SECRET}\n\
                 remote:\n  - id: m\n    address: {host}@{notify_port}\n    key: k\n\
                 acl:\n  - id: out\n    key: k\n    action: transfer\n\
                 zone:\n  - domain: example.net\n    storage: \"{folder}\"\n    file: example.net.zone\n    \
                 notify: m\n    acl: out\n    zonefile-load: difference\n    journal-content: changes\n"
            ),
        };
        // Knot makes its databases, and not the folder for them.
        std::fs::create_dir(primary.folder.path().join("db")).unwrap();
        std::fs::write(primary.folder.path().join("conf"), config).unwrap();
        primary
    }

    /// The next version of the zone file. A primary looks at times of whole seconds to see that it is another.
    fn write(&mut self, text: &str) {
        let path = self.folder.path().join("example.net.zone");
        std::fs::write(&path, text).unwrap();
        self.written += Duration::from_secs(10);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(self.written).unwrap();
    }

    fn start(&mut self) {
        let conf = self.folder.path().join("conf");
        let mut command = Command::new(format!("/usr/sbin/{}", self.program));
        if self.program == "nsd" {
            command.arg("-d");
        }
        command.arg("-c").arg(conf).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "{} does not start", self.program);
            std::thread::yield_now();
        }
    }

    fn reload(&self) {
        let child = self.child.as_ref().unwrap();
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGHUP).unwrap();
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A world with a zone from a primary.
fn world(dns: SocketAddr, primary: &str) -> World {
    let world = World::keeping("");
    let config = world.configuration("state = \"state\"\n").replace("127.0.0.1:0\"]", &format!("{dns}\"]"));
    world.write(
        "meridian.toml",
        &format!("{config}\n[tsig.k]\nalgorithm = \"hmac-sha256\"\nsecret = \"{SECRET}\"\n"),
    );
    let secondary =
        format!("[secondary]\nprimaries = [{primary}]\nretry_min = \"1s\"\n[names]\n\"www\" = \"www\"\n");
    world.write("zones/example.net.toml", &secondary);
    world
}

/// The response code, and the last four octets.
fn ask(server: &Server, name: &str) -> (u8, [u8; 4]) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&query(name), server.dns).unwrap();
    let mut buffer = [0; 512];
    let octets = client.recv(&mut buffer).unwrap();
    (buffer[3] & 0xf, *buffer[..octets].last_chunk().unwrap())
}

const SERVFAIL: u8 = 2;

fn hidden_primary(program: &'static str) {
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut primary = Primary::new(program, dns);
    primary.write(&zone(1, 1));
    let world = world(dns, &format!("{{ address = \"127.0.0.1:{}\", key = \"k\" }}", primary.port));

    // Before the first transfer this zone fails, and nothing else does.
    let server = world.start();
    assert_eq!((ask(&server, HOST).0, ask(&server, STEERED).0), (SERVFAIL, SERVFAIL));
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 77]);
    let failed = server.verb(&["refresh", "example.net"], &world.config());
    assert!(text(&failed.stderr).contains("cannot be reached"), "{failed:?}");

    primary.start();
    let fetched = text(&server.verb(&["refresh", "example.net"], &world.config()).stdout);
    assert!(fetched.contains("serial 1"), "{fetched}");
    server.wait_for("zone transferred: from nothing to serial 1");
    server.wait_for_answer(HOST, [192, 0, 2, 1]);
    // What is steered wins over the primary's addresses, and leaves what it does not answer.
    assert_eq!(server.ask(STEERED), A);
    assert_eq!(server.ask("alias.example.net"), [192, 0, 2, 1]);

    // A change comes in differences, because the primary tells of it.
    primary.write(&zone(2, 2));
    primary.reload();
    let line = server.wait_for("zone transferred: from 1 to serial 2");
    assert!(line["message"].as_str().unwrap().contains("in 1 step"), "{line}");
    server.wait_for_answer(HOST, [192, 0, 2, 2]);
    let zones = text(&server.verb(&["zones"], &world.config()).stdout);
    assert!(zones.contains("secondary  current  2 "), "{zones}");
    let metrics = server.http("GET", "/metrics", "").1;
    assert!(metrics.contains("meridian_secondary_serial{zone=\"example.net\"} 2\n"), "{metrics}");
    assert!(whats(&journal(&server, &world)).contains(&"transfer"));

    // The zone goes on without its primary, over a reload and over a crash.
    primary.stop();
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    assert_eq!((server.ask(HOST), server.ask(STEERED)), ([192, 0, 2, 2], A));
    server.signal(Signal::SIGKILL);
    drop(server);
    let server = world.start();
    assert_eq!((server.ask(HOST), server.ask(STEERED)), ([192, 0, 2, 2], A));
    drop(server);

    // A damaged copy is set aside and fetched again.
    let copy = world.folder.path().join("state/secondary/example.net.copy");
    let mut octets = std::fs::read(&copy).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&copy, octets).unwrap();
    let server = world.start();
    assert!(server.log.lock().unwrap().contains("its content has changed since it was written"));
    assert_eq!(ask(&server, HOST).0, SERVFAIL);
    primary.start();
    assert!(server.verb(&["refresh", "example.net"], &world.config()).status.success());
    server.wait_for_answer(HOST, [192, 0, 2, 2]);
    drop(server);

    // What nobody has confirmed for longer than the SOA allows is not answered, but for steered names.
    primary.stop();
    let old = SystemTime::now() - Duration::from_secs(604_801);
    std::fs::File::options().write(true).open(&copy).unwrap().set_modified(old).unwrap();
    let server = world.start();
    assert_eq!((ask(&server, HOST).0, server.ask(STEERED)), (SERVFAIL, A));
    let zones = text(&server.verb(&["zones"], &world.config()).stdout);
    assert!(zones.contains("secondary  expired"), "{zones}");
    primary.start();
    assert!(server.verb(&["refresh", "example.net"], &world.config()).status.success());
    server.wait_for_answer(HOST, [192, 0, 2, 2]);
}

#[test]
fn a_zone_from_nsd() {
    hidden_primary("nsd");
}

#[test]
fn a_zone_from_knot() {
    hidden_primary("knotd");
}

#[test]
fn a_wrong_key_is_told_and_nothing_is_taken() {
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut primary = Primary::new("nsd", dns);
    primary.write(&zone(1, 1));
    primary.start();
    let world = world(dns, &format!("{{ address = \"127.0.0.1:{}\", key = \"k\" }}", primary.port));
    let config = std::fs::read_to_string(world.config()).unwrap();
    world.write("meridian.toml", &config.replace("2oHQ", "2oHR"));
    let server = world.start();
    let failed = text(&server.verb(&["refresh", "example.net"], &world.config()).stderr);
    assert!(failed.contains("BADSIG") || failed.contains("signature"), "{failed}");
    assert_eq!(ask(&server, HOST).0, SERVFAIL);
}

#[test]
fn rfc9103_a_zone_comes_over_tls_from_who_has_the_name() {
    let dns = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut primary = Primary::new("nsd", dns);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["ns0.example.net".to_owned()]).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let (folder, tls_port) = (primary.folder.path().to_owned(), free_port());
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), &certificate).unwrap();
    let conf = std::fs::read_to_string(folder.join("conf")).unwrap();
    let folder = folder.display();
    let tls = format!(
        "  ip-address: 127.0.0.1@{tls_port}\n  tls-port: {tls_port}\n  tls-service-key: \"{folder}/key.pem\"\n  \
         tls-service-pem: \"{folder}/cert.pem\"\nremote-control:"
    );
    std::fs::write(primary.folder.path().join("conf"), conf.replacen("remote-control:", &tls, 1)).unwrap();
    primary.write(&zone(7, 7));
    primary.start();
    let at = |name: &str| {
        format!("{{ address = \"127.0.0.1:{tls_port}\", key = \"k\", tls = \"{name}\", ca = \"ca.pem\" }}")
    };
    let world = world(dns, &at("ns0.example.net"));
    world.write("ca.pem", &certificate);
    let server = world.start();
    let fetched = server.verb(&["refresh", "example.net"], &world.config());
    assert!(fetched.status.success(), "{fetched:?}\n{}", server.log.lock().unwrap());
    server.wait_for_answer(HOST, [192, 0, 2, 7]);
    // Another name is another server.
    let toml = std::fs::read_to_string(world.folder.path().join("zones/example.net.toml")).unwrap();
    world.write("zones/example.net.toml", &toml.replace("ns0.example.net", "ns1.example.net"));
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    let refused = text(&server.verb(&["refresh", "example.net"], &world.config()).stderr);
    assert!(refused.contains("no TLS with it") && refused.contains("certificate"), "{refused}");
    assert_eq!(server.ask(HOST), [192, 0, 2, 7]);
}
