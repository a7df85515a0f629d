//! The program itself, run as operators run it: signals, exit codes, the control listener, privileges.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

mod encrypted;
mod kept;
mod maps;
mod operated;
mod secondary;
mod signed;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const ZONE: &str = "@ 3600 SOA ns.example.test. admin.example.test. 1 3600 600 86400 60
@ 3600 NS ns
ns 3600 A 127.0.0.1
static 300 A 192.0.2.77
";

/// A folder with a configuration, and a health endpoint per region.
struct World {
    folder: tempfile::TempDir,
    regions: [Region; 2],
}

/// A stand-in load balancer: answers its probes with the status that it is told to.
struct Region {
    address: SocketAddr,
    status: Arc<AtomicU16>,
}

/// A running server.
struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
    dns: SocketAddr,
    /// Of a second listen address, if there is one.
    second: Option<SocketAddr>,
    control: SocketAddr,
}

impl Region {
    fn start(last: u8) -> Region {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 77, last), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let told = status.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 2048];
                let _ = stream.read(&mut head);
                let status = told.load(Ordering::Relaxed);
                let _ =
                    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            }
        });
        Region { address, status }
    }
}

impl World {
    fn new() -> World {
        let world =
            World { folder: tempfile::tempdir().unwrap(), regions: [Region::start(1), Region::start(2)] };
        // A server that has dropped its privileges must be able to read it again.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(world.folder.path(), open).unwrap();
        std::fs::create_dir(world.folder.path().join("zones")).unwrap();
        world.write("zones/example.test.zone", ZONE);
        world.write("zones/example.test.toml", "[names]\n\"www\" = \"www\"\n");
        world.write("meridian.toml", &world.configuration(""));
        world
    }

    /// Two regions behind one failover service; `server` goes into the `[server]` section.
    fn configuration(&self, server: &str) -> String {
        let [a, b] = &self.regions;
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\ndrain_timeout = \"300ms\"\n{server}\n\
             [control]\nlisten = \"127.0.0.1:0\"\n[probes]\nallow_loopback = true\n\
             [regions.a]\nat = [50, 8]\n[regions.b]\nat = [40, -74]\n\
             [monitors.a]\nhttp = {{ port = {} }}\ninterval = \"100ms\"\ntimeout = \"100ms\"\n\
             [monitors.b]\nhttp = {{ port = {} }}\ninterval = \"100ms\"\ntimeout = \"100ms\"\n\
             [pools.a]\nmonitor = \"a\"\nendpoints = [{{ name = \"one\", region = \"a\", address = \"{}\" }}]\n\
             [pools.b]\nmonitor = \"b\"\nendpoints = [{{ name = \"two\", region = \"b\", address = \"{}\" }}]\n\
             [services.www]\npolicy = {{ failover = [\"a\", \"b\"] }}\nttl = {{ min = \"1s\", max = \"60s\" }}\n",
            a.address.port(),
            b.address.port(),
            a.address.ip(),
            b.address.ip(),
        )
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("meridian.toml")
    }

    fn start(&self) -> Server {
        Server::start(&self.config())
    }
}

fn meridian(arguments: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command
        .args(arguments)
        .arg("--config")
        .arg(config)
        .env_remove("RUST_LOG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("STATE_DIRECTORY");
    command
}

fn run(arguments: &[&str], config: &Path) -> Output {
    meridian(arguments, config).output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

impl Server {
    fn start(config: &Path) -> Server {
        Server::of(meridian(&["serve", "--log-format", "json"], config))
    }

    fn of(mut command: Command) -> Server {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
                // Nobody waits for lines any more: then nobody reads them either.
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { child, lines, log, dns: nowhere, second: None, control: nowhere };
        server.control =
            server.wait_for("control listener open")["address"].as_str().unwrap().parse().unwrap();
        let ready = server.wait_for("ready");
        let mut listen = ready["listen"].as_str().unwrap().split(' ').map(|address| address.parse().unwrap());
        (server.dns, server.second) = (listen.next().unwrap(), listen.next());
        server
    }

    /// The next log line with a message; everything before it is passed over.
    fn wait_for(&self, message: &str) -> serde_json::Value {
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"].as_str().unwrap_or_default().contains(message) {
                return line;
            }
        }
        panic!("no line says {message:?}:\n{}", self.log.lock().unwrap());
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.log.lock().unwrap());
            std::thread::yield_now();
        }
    }

    /// The last four octets of the answer to an A query: the address, if there is one.
    fn ask(&self, name: &str) -> [u8; 4] {
        self.ask_at(self.dns, name)
    }

    fn ask_at(&self, listener: SocketAddr, name: &str) -> [u8; 4] {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(&query(name), listener).unwrap();
        let mut buffer = [0; 512];
        let octets = client.recv(&mut buffer).unwrap();
        *buffer[..octets].last_chunk().unwrap()
    }

    fn wait_for_answer(&self, name: &str, address: [u8; 4]) {
        let begun = Instant::now();
        while self.ask(name) != address {
            assert!(begun.elapsed() < PATIENCE, "never {address:?}:\n{}", self.log.lock().unwrap());
            std::thread::yield_now();
        }
    }

    /// A request to the control listener: status and body.
    fn http(&self, method: &str, path: &str, fields: &str) -> (u16, String) {
        self.request(method, path, fields, "")
    }

    /// The same with a body.
    fn request(&self, method: &str, path: &str, fields: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let fields =
            if fields.contains("Host:") { fields.to_owned() } else { format!("Host: localhost\r\n{fields}") };
        let request = format!("{method} {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n{body}");
        // In one piece: a server that refuses a head early may not read the rest of many.
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    /// A request that the end of the server may cut off: what it says, if it says it whole.
    fn try_post(&self, path: &str, body: &str) -> Option<serde_json::Value> {
        let mut stream = TcpStream::connect(self.control).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n");
        write!(stream, "{head}Connection: close\r\n\r\n{body}").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    /// A verb of the command line, told where this server is.
    fn verb(&self, arguments: &[&str], config: &Path) -> Output {
        let control = self.control.to_string();
        run(&[arguments, &["--control", &control]].concat(), config)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).unwrap());
        query.extend_from_slice(label.as_bytes());
    }
    query.extend_from_slice(&[0, 0, 1, 0, 1]);
    query
}

const WWW: &str = "www.example.test";
const A: [u8; 4] = [127, 0, 77, 1];
const B: [u8; 4] = [127, 0, 77, 2];

#[test]
fn it_fails_over_and_back_and_says_so_once_each() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.ask(WWW), A);
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 77]);
    world.regions[0].status.store(503, Ordering::Relaxed);
    let line = server.wait_for("health changed");
    assert_eq!((&line["to"], &line["endpoint"]), (&"down".into(), &"a/one 127.0.77.1".into()));
    assert!(line["cause"].as_str().unwrap().contains("status 503"), "{line}");
    server.wait_for_answer(WWW, B);
    let explained = server.verb(&["explain", WWW, "--client", "198.51.100.0/24"], &world.config());
    let explained = text(&explained.stdout);
    assert!(explained.contains("health      live") && explained.contains("127.0.77.2"), "{explained}");
    world.regions[0].status.store(200, Ordering::Relaxed);
    assert_eq!(server.wait_for("health changed")["to"], "up");
    server.wait_for_answer(WWW, A);
    let table = text(&server.verb(&["status"], &world.config()).stdout);
    assert!(table.contains("a/one") && table.contains("status 503") && table.contains("serving"), "{table}");
}

#[test]
fn the_first_answer_waits_for_the_first_round_of_probes() {
    let world = World::new();
    world.regions[0].status.store(500, Ordering::Relaxed);
    // The first answer of all is the right one.
    assert_eq!(world.start().ask(WWW), B);
}

#[test]
fn a_reload_is_whole_or_not_at_all() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 77]);
    world.write("zones/example.test.zone", &ZONE.replace("192.0.2.77", "192.0.2.78"));
    let done = server.verb(&["reload"], &world.config());
    assert_eq!((done.status.code(), text(&done.stdout)), (Some(0), "generation 2 is in force\n".to_owned()));
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 78]);

    world.write("zones/example.test.zone", &ZONE.replace("192.0.2.77", "192.0.2.300"));
    world.write("zones/example.test.toml", "[names]\n\"www\" = \"wwww\"\n");
    let refused = server.verb(&["reload"], &world.config());
    let problems = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    // Every problem of the written form at once, with its place.
    assert!(problems.contains("example.test.toml") && problems.contains("wwww"), "{problems}");
    server.wait_for_log("the old generation stays");
    assert_eq!((server.ask("static.example.test"), server.ask(WWW)), ([192, 0, 2, 78], A));

    world.write("zones/example.test.zone", ZONE);
    world.write("zones/example.test.toml", "[names]\n\"www\" = \"www\"\n");
    server.signal(Signal::SIGHUP);
    assert_eq!(server.wait_for("reloaded")["generation"], 2);
    assert_eq!(server.wait_for("reloaded")["generation"], 3);
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 77]);
    // Counts go on: two answers for `www`, in two generations.
    assert_eq!(server.ask(WWW), A);
    let (_, metrics) = server.http("GET", "/metrics", "");
    let line = "meridian_answers_total{service=\"www\",region=\"a\",endpoint=\"a/one\"} 2";
    assert!(metrics.lines().any(|there| there == line), "{metrics}");
}

#[test]
fn a_changed_listen_address_asks_for_a_restart() {
    let world = World::new();
    let server = world.start();
    world.write(
        "meridian.toml",
        &world.configuration("").replace("127.0.0.1:0\"]", "127.0.0.1:0\", \"127.0.0.2:0\"]"),
    );
    let done = server.verb(&["reload"], &world.config());
    assert_eq!(done.status.code(), Some(0));
    assert!(text(&done.stderr).contains("server.listen has changed and takes effect only after a restart"));
    assert_eq!(server.ask(WWW), A);
}

/// The same by TCP.
fn ask_by_tcp(listener: SocketAddr, name: &str) -> [u8; 4] {
    let mut stream = TcpStream::connect(listener).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let query = query(name);
    stream.write_all(&[&(query.len() as u16).to_be_bytes()[..], &query].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    *reply.last_chunk().unwrap()
}

#[test]
fn r16_a_listener_has_zones_of_its_own() {
    let world = World::new();
    std::fs::create_dir(world.folder.path().join("inside")).unwrap();
    world.write("inside/example.test.zone", &ZONE.replace("192.0.2.77", "10.0.0.77"));
    world.write("inside/example.test.toml", "[names]\n\"www\" = \"inside\"\n");
    let both = world.configuration("").replace("127.0.0.1:0\"]", "127.0.0.1:0\", \"127.0.0.2:0\"]")
        + "[services.inside]\npolicy = \"b\"\n\
           [classes.inside]\nlisten = \"127.0.0.2:0\"\nzones = \"inside\"\n";
    world.write("meridian.toml", &both);
    let server = world.start();
    let second = server.second.unwrap();
    assert_eq!((server.ask(WWW), server.ask_at(second, WWW)), (A, B));
    assert_eq!((ask_by_tcp(server.dns, WWW), ask_by_tcp(second, WWW)), (A, B));
    assert_eq!(server.ask("static.example.test"), [192, 0, 2, 77]);
    assert_eq!(server.ask_at(second, "static.example.test"), [10, 0, 0, 77]);

    let explain = |class: &[&str]| {
        let arguments = [&["explain", WWW, "--client", "198.51.100.0/24"], class].concat();
        text(&server.verb(&arguments, &world.config()).stdout)
    };
    assert!(explain(&[]).contains("127.0.77.1"));
    let inside = explain(&["--class", "inside"]);
    assert!(inside.contains("class       inside") && inside.contains("127.0.77.2"), "{inside}");
    let checked = text(&run(&["check"], &world.config()).stdout);
    assert!(checked.contains("zones: 2 (some for 1 class of clients)"), "{checked}");
    let status = text(&server.verb(&["status", "--json"], &world.config()).stdout);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["classes"], serde_json::json!(["inside"]));

    // A reload turns the two around.
    world.write(
        "meridian.toml",
        &both.replace("listen = \"127.0.0.2:0\"\nzones", "listen = \"127.0.0.1:0\"\nzones"),
    );
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    assert_eq!((server.ask(WWW), server.ask_at(second, WWW)), (B, A));
}

#[test]
fn a_log_that_nobody_takes_stops_nothing() {
    let world = World::new();
    let mut server = world.start();
    server.lines = mpsc::channel().1;
    // The first line after that finds the reader leaving, the others find it gone.
    for _ in 0..3 {
        assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));
    }
    assert_eq!(server.ask(WWW), A);
    assert_eq!(server.http("GET", "/livez", "").0, 200);
}

#[test]
fn explain_says_what_goes_out_and_what_was_assumed() {
    let world = World::new();
    world.write("zones/example.test.zone", &format!("{ZONE}alias 60 CNAME www.elsewhere.example.\n"));
    let explain = |arguments: &[&str]| {
        let offline = ["explain", "--offline", "--json", "--client", "192.0.2.0/24"];
        let output = run(&[&offline, arguments].concat(), &world.config());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let empty = explain(&["--type", "AAAA", WWW]);
    assert_eq!((&empty["steered"]["scope"], &empty["steered"]["ttl_s"]), (&0.into(), &60.into()));
    let assumed = explain(&["--assume", "a=down", WWW]);
    assert_eq!(
        (&assumed["assumed"][0], &assumed["steered"]["answer"][0]),
        (&"a=down".into(), &"127.0.77.2".into())
    );
    let elsewhere = explain(&["alias.example.test"]);
    let end = "www.elsewhere.example is in none of our zones: the answer ends with the CNAME";
    assert_eq!(elsewhere["path"][1], end);
}

#[test]
fn exit_codes_survive_a_closed_standard_error() {
    let world = World::new();
    world.write("zones/example.test.zone", "nonsense\n");
    for verb in ["check", "serve"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = meridian(&[verb], &world.config()).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(2), "{verb}");
    }
}

#[test]
fn the_server_of_a_demo_does_not_outlive_it() {
    let world = World::new();
    let mut child = meridian(&["serve", "--until-stdin-closes"], &world.config())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("ready")));
    drop(child.stdin.take());
    assert!(lines.any(|line| line.contains("told again to stop") || line.contains("stopped")));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_drains_and_a_second_one_does_not_wait() {
    let world = World::new();
    let mut server = world.start();
    assert_eq!(server.http("GET", "/readyz", ""), (200, "serving\n".to_owned()));
    server.signal(Signal::SIGTERM);
    server.wait_for("stopping");
    // Readiness is off, and queries are answered.
    assert_eq!(server.http("GET", "/readyz", ""), (503, "draining\n".to_owned()));
    assert_eq!(server.ask(WWW), A);
    assert_eq!(server.wait(), Some(0));

    world.write("meridian.toml", &world.configuration("").replace("300ms", "10m"));
    let mut server = world.start();
    server.signal(Signal::SIGTERM);
    server.wait_for("stopping");
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn the_control_listener_answers_local_programs_only() {
    let world = World::new();
    let server = world.start();
    assert_eq!(server.http("GET", "/livez", ""), (200, "ok\n".to_owned()));
    assert_eq!(server.http("GET", "/livez", "Host: attacker.example\r\n").0, 403);
    assert_eq!(server.http("POST", "/v1/reload", "Origin: http://localhost\r\nContent-Length: 0\r\n").0, 403);
    assert_eq!(server.http("GET", "/v1/reload", "").0, 405, "no change by GET");
    assert_eq!(server.http("GET", "/v1/nothing", "").0, 404);
    assert_eq!(server.http("GET", "/v1/explain?name=www.example.test", "").0, 400, "for whom?");
    let (status, problem) =
        server.http("GET", "/v1/explain?name=www.example.test&client=10.0.0.0/8&assume=x=down", "");
    assert_eq!(status, 422);
    assert!(problem.contains("there is no region"), "{problem}");
    let long = format!("X: {}\r\n", "x".repeat(20_000));
    assert!((400..500).contains(&server.http("GET", "/livez", &long).0));
    let (_, verbose) = server.http("GET", "/readyz?verbose", "");
    assert!(verbose.contains("region b: 1 of 1 endpoints eligible"), "{verbose}");
    let (_, regions) = server.http("GET", "/v1/regions", "");
    let regions: serde_json::Value = serde_json::from_str(&regions).unwrap();
    assert_eq!((&regions[0]["name"], &regions[0]["eligible"]), (&"a".into(), &1.into()));
}

#[test]
fn metrics_pass_promtool() {
    let world = World::new();
    let server = world.start();
    server.ask(WWW);
    let (status, metrics) = server.http("GET", "/metrics", "");
    assert_eq!(status, 200);
    for family in
        ["meridian_replies_total", "meridian_endpoint_state", "meridian_generation", "meridian_probes_total"]
    {
        assert!(metrics.contains(family), "{family} is not in\n{metrics}");
    }
    promtool(&metrics);
}

/// Has Prometheus' own checker read an exposition.
fn promtool(metrics: &str) {
    let checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // `make test` installs promtool; without it the form is still held by the unit tests.
    let Ok(mut checker) = checker else { return };
    checker.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let checked = checker.wait_with_output().unwrap();
    assert!(checked.status.success(), "{}{}", text(&checked.stdout), text(&checked.stderr));
}

#[test]
fn exit_codes_say_what_happened() {
    let world = World::new();
    let config = world.config();
    assert_eq!(run(&["check"], &config).status.code(), Some(0));
    let offline = ["explain", WWW, "--client", "198.51.100.1", "--offline"];
    assert_eq!(run(&offline, &config).status.code(), Some(0));
    let down = run(&[&offline[..], &["--assume", "a=down", "--json"]].concat(), &config);
    let report: serde_json::Value = serde_json::from_slice(&down.stdout).unwrap();
    assert_eq!(report["steered"]["answer"][0], "127.0.77.2");
    let nothing = ["explain", "static.example.test", "--client", "198.51.100.1", "--offline"];
    assert_eq!(run(&nothing, &config).status.code(), Some(1), "no service answers");
    assert_eq!(run(&["explain", WWW, "--client", "nonsense"], &config).status.code(), Some(64));
    assert_eq!(run(&["frobnicate"], &config).status.code(), Some(64));
    let nobody = ["status", "--control", "127.0.0.1:1"];
    assert_eq!(run(&nobody, &config).status.code(), Some(1), "no server answers");

    world.write("meridian.toml", &world.configuration("lisen = 1"));
    let refused = run(&["check", "--json"], &config);
    assert_eq!(refused.status.code(), Some(2));
    let problems: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(problems["errors"], 1);
    assert_eq!(run(&["serve"], &config).status.code(), Some(2));

    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = format!("127.0.0.1:{}", taken.local_addr().unwrap().port());
    let listener = TcpListener::bind(&taken).unwrap();
    world.write("meridian.toml", &world.configuration("").replace("127.0.0.1:0\"]", &format!("{taken}\"]")));
    let failed = run(&["serve"], &config);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("cannot listen on"), "{}", text(&failed.stderr));
    drop(listener);
}

#[test]
fn root_becomes_the_configured_user() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let world = World::new();
    world.write("meridian.toml", &world.configuration("user = \"nobody\""));
    let server = world.start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let ids = |name: &str| line(name).split_whitespace().skip(1).map(str::to_owned).collect::<Vec<_>>();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!(ids("Uid:"), vec![nobody.uid.to_string(); 4]);
    assert_eq!(ids("Gid:"), vec![nobody.gid.to_string(); 4]);
    assert!(ids("Groups:").iter().all(|group| *group == nobody.gid.to_string()), "{}", line("Groups:"));
    assert_eq!((ids("CapEff:"), ids("NoNewPrivs:")), (vec!["0".repeat(16)], vec!["1".to_owned()]));
    // Every thread, not only the first.
    for task in std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}\t{0}\n", nobody.uid)), "{status}");
    }
    assert_eq!(server.verb(&["reload"], &world.config()).status.code(), Some(0));

    world.write("meridian.toml", &world.configuration("user = \"nobody-at-all\""));
    let failed = run(&["serve"], &world.config());
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("there is no user \"nobody-at-all\""), "{}", text(&failed.stderr));
}

#[test]
fn a_bad_line_of_the_overrides_is_shown_in_its_own_file() {
    let world = World::new();
    let main = world.configuration("") + "[geoip]\noverrides = \"overrides.csv\"\n";
    world.write("meridian.toml", &main);
    world.write("overrides.csv", "203.0.113.0/24,US,US-VA,Ashburn,\n203.0.113.0/33,US,,,\n");
    let output = run(&["check"], &world.config());
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("overrides.csv:2:1\n"), "{said}");
}

#[test]
fn a_health_check_asks_the_server_of_a_configuration_that_is_refused() {
    let world = World::new();
    let server = world.start();
    let control = format!("listen = \"{}\"", server.control);
    world.write("meridian.toml", &format!("[control]\n{control}\n[sever]\n"));
    assert_eq!(run(&["check"], &world.config()).status.code(), Some(2));
    let output = run(&["healthcheck"], &world.config());
    assert_eq!((output.status.code(), &*text(&output.stdout)), (Some(0), "serving\n"));
    let output = run(&["healthcheck", "--control", "127.0.0.1:9"], &world.config());
    assert_eq!(output.status.code(), Some(1));
}
