//! The real program in front of real regional load balancers, HAProxy and nginx, asked by dig: start, fail
//! over, fail back, and a stop under load that loses no query.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with its test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Process {
        let name = format!("{:?}", command.get_program());
        Process(command.spawn().unwrap_or_else(|error| panic!("{name}: {error}; `make tools` installs it")))
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The same free port on three loopback addresses.
fn free_port() -> u16 {
    (0..100)
        .find_map(|_| {
            let first = TcpListener::bind("127.0.78.1:0").unwrap();
            let port = first.local_addr().unwrap().port();
            let others = [2, 3].map(|last| TcpListener::bind(format!("127.0.78.{last}:{port}")));
            others.iter().all(Result::is_ok).then_some(port)
        })
        .unwrap()
}

fn haproxy(folder: &Path, address: &str) -> Process {
    let file = folder.join(format!("haproxy-{address}.cfg").replace(':', "-"));
    let text = format!(
        "global\n  maxconn 64\ndefaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n\
         frontend region\n  bind {address}\n  http-request return status 200 content-type text/plain string \"well\" if {{ path /healthz }}\n\
           http-request return status 404\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("haproxy");
    command.args(["-db", "-q", "-f"]).arg(&file).env("PATH", path()).stderr(Stdio::inherit());
    await_listening(Process::start(&mut command), address)
}

fn nginx(folder: &Path, address: &str) -> Process {
    let name = format!("nginx-{address}").replace(':', "-");
    let at = folder.display();
    let text = format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {at}/{name}.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {at}/{name}-b; proxy_temp_path {at}/{name}-p;\n\
           fastcgi_temp_path {at}/{name}-f; uwsgi_temp_path {at}/{name}-u; scgi_temp_path {at}/{name}-s;\n\
           server {{ listen {address}; location = /healthz {{ return 200 well; }} location / {{ return 404; }} }} }}\n"
    );
    let file = folder.join(format!("{name}.conf"));
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&file).env("PATH", path());
    await_listening(Process::start(&mut command), address)
}

/// Debian keeps servers where ordinary users do not look.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

fn await_listening(process: Process, address: &str) -> Process {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "nobody listens on {address}");
        std::thread::yield_now();
    }
    process
}

struct Server {
    process: Process,
    dns: SocketAddr,
}

/// Three regions, their users by prefix overrides, and a weighted name.
fn start(folder: &Path, port: u16) -> Server {
    std::fs::create_dir(folder.join("zones")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write(
        "places.csv",
        "11.0.0.0/8,US,,,,40.7,-74.0\n81.0.0.0/8,DE,,,,50.1,8.7\n126.0.0.0/8,JP,,,,35.7,139.7\n",
    );
    write(
        "zones/gslb.test.zone",
        "$TTL 300\n@ SOA ns1 hostmaster 1 3600 600 86400 60\n@ NS ns1\nns1 A 127.0.0.1\nalias CNAME www\n",
    );
    write("zones/gslb.test.toml", "[names]\n\"www\" = \"www\"\n\"split\" = \"split\"\n");
    write(
        "meridian.toml",
        &format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\ndrain_timeout = \"500ms\"\n[control]\nlisten = \"127.0.0.1:0\"\n\
             [probes]\nallow_loopback = true\n[geoip]\noverrides = \"places.csv\"\n\
             [regions.us]\nat = \"aws:us-east-1\"\n[regions.eu]\nat = \"aws:eu-central-1\"\n[regions.ap]\nat = \"aws:ap-northeast-1\"\n\
             [monitors.web]\nhttp = {{ path = \"/healthz\", port = {port}, host = \"www.gslb.test\" }}\ninterval = \"200ms\"\ntimeout = \"200ms\"\n\
             [pools.web]\nmonitor = \"web\"\nendpoints = [\n\
               {{ name = \"us\", region = \"us\", address = \"127.0.78.1\", weight = 50 }},\n\
               {{ name = \"eu\", region = \"eu\", address = \"127.0.78.2\", weight = 30 }},\n\
               {{ name = \"ap\", region = \"ap\", address = \"127.0.78.3\", weight = 20 }},\n]\n\
             [services.www]\npolicy = {{ nearest = [\"web\"] }}\nttl = {{ min = \"1s\", max = \"60s\" }}\n\
             [services.split]\npolicy = \"web\"\n"
        ),
    );
    let mut child = Process::start(
        Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(["serve", "--log-format", "json", "--config"])
            .arg(folder.join("meridian.toml"))
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped()),
    );
    let (sender, lines) = mpsc::channel();
    let stderr = child.0.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let mut log = Vec::new();
    loop {
        let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("not ready:\n{}", log.join("\n")));
        let told: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        log.push(line);
        if told["message"] == "ready" {
            // The rest of the log is read to the end, so that the pipe never fills.
            std::thread::spawn(move || lines.into_iter().for_each(drop));
            return Server { process: child, dns: told["listen"].as_str().unwrap().parse().unwrap() };
        }
    }
}

impl Server {
    /// What dig says for a client subnet: the answer's address, and the option as echoed.
    fn dig(&self, name: &str, subnet: &str) -> (String, String) {
        let (address, echoed, _) = self.dig_in_full(name, subnet);
        (address, echoed)
    }

    /// The same and all that dig said.
    fn dig_in_full(&self, name: &str, subnet: &str) -> (String, String, String) {
        let output = Command::new("dig")
            .arg(format!("@{}", self.dns.ip()))
            .args(["-p", &self.dns.port().to_string(), name, "A", &format!("+subnet={subnet}"), "+tries=1"])
            .output()
            .unwrap_or_else(|error| panic!("dig: {error}; `make tools` installs it"));
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let answer = text.lines().find(|line| line.contains("\tA\t") && !line.starts_with(';'));
        let address = answer.and_then(|line| line.split_whitespace().last()).unwrap_or("none").to_owned();
        let echoed = text.lines().find_map(|line| line.split("CLIENT-SUBNET: ").nth(1)).unwrap_or("none");
        (address, echoed.to_owned(), text)
    }

    fn wait_for(&self, subnet: &str, address: &str) {
        let begun = Instant::now();
        while self.dig("www.gslb.test", subnet).0 != address {
            assert!(begun.elapsed() < PATIENCE, "{subnet} never gets {address}");
        }
    }
}

const US: &str = "11.2.3.0/24";
const EU: &str = "81.2.3.0/24";
const AP: &str = "126.2.3.0/24";

#[test]
fn regions_behind_haproxy_and_nginx_fail_over_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let at = |last: u8| format!("127.0.78.{last}:{port}");
    let us = haproxy(folder.path(), &at(1));
    let eu = nginx(folder.path(), &at(2));
    let _ap = nginx(folder.path(), &at(3));
    let server = start(folder.path(), port);
    let all = |server: &Server| [US, EU, AP].map(|subnet| server.dig("www.gslb.test", subnet).0);
    assert_eq!(all(&server), ["127.0.78.1", "127.0.78.2", "127.0.78.3"]);
    // 81/8 lies between unknown networks, which count as being in the first region: the scope is its own.
    assert_eq!(server.dig("www.gslb.test", EU).1, "81.2.3.0/24/8");
    // R15: with a client subnet in the query, a chain stops before a tailored answer.
    assert_eq!(server.dig("alias.gslb.test", EU), ("none".to_owned(), "81.2.3.0/24/0".to_owned()));

    // A region that ends: its users go to the next nearest, the others stay.
    drop(eu);
    server.wait_for(EU, "127.0.78.1");
    assert_eq!(all(&server), ["127.0.78.1", "127.0.78.1", "127.0.78.3"]);
    let eu = nginx(folder.path(), &at(2));
    server.wait_for(EU, "127.0.78.2");

    // A region that hangs: connections are taken, nothing is said.
    us.signal(Signal::SIGSTOP);
    server.wait_for(US, "127.0.78.2");
    assert_eq!(all(&server)[2], "127.0.78.3");
    us.signal(Signal::SIGCONT);
    server.wait_for(US, "127.0.78.1");

    // All down: nothing is emptied.
    drop((us, eu, _ap));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let (address, _, text) = server.dig_in_full("www.gslb.test", EU);
        assert_ne!(address, "none", "{text}");
    }
}

#[test]
fn a_stop_under_load_loses_no_query() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _regions: Vec<Process> =
        (1..=3).map(|last| haproxy(folder.path(), &format!("127.0.78.{last}:{port}"))).collect();
    let mut server = start(folder.path(), port);
    let (asked, lost) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let hits: Arc<[AtomicU64; 3]> = Arc::default();
    let ended = Arc::new(AtomicBool::new(false));
    let dns = server.dns;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (asked, lost, ended, hits) = (asked.clone(), lost.clone(), ended.clone(), hits.clone());
            std::thread::spawn(move || load(dns, &asked, &lost, &hits, &ended))
        })
        .collect();
    while asked.load(Ordering::Relaxed) < 20_000 {
        std::thread::yield_now();
    }
    server.process.signal(Signal::SIGTERM);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = server.process.0.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::yield_now();
    };
    ended.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(status.code(), Some(0));
    assert_eq!(lost.load(Ordering::Relaxed), 0, "of {}", asked.load(Ordering::Relaxed));
    // Weights 50/30/20 by the way.
    let hits: Vec<f64> = hits.iter().map(|hit| hit.load(Ordering::Relaxed) as f64).collect();
    let total: f64 = hits.iter().sum();
    for (hit, weight) in hits.iter().zip([0.5, 0.3, 0.2]) {
        assert!((hit / total - weight).abs() < 0.03, "{hits:?}");
    }
}

/// Asks, one query at a time, until nobody listens any more. A query is lost if it was taken (no error
/// came back) and not answered.
fn load(dns: SocketAddr, asked: &AtomicU64, lost: &AtomicU64, hits: &[AtomicU64; 3], ended: &AtomicBool) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(dns).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    query.extend_from_slice(b"\x05split\x04gslb\x04test\x00\x00\x01\x00\x01");
    let mut buffer = [0u8; 512];
    loop {
        if socket.send(&query).is_err() {
            return;
        }
        let sent = Instant::now();
        loop {
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    let last = usize::from(buffer[length - 1]);
                    hits[last - 1].fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // Nobody listens: the query was never taken.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
                // A query that arrives while the last socket closes leaves without an error.
                Err(_) if ended.load(Ordering::Relaxed) => return,
                Err(_) if sent.elapsed() < PATIENCE => {}
                Err(_) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
    }
}
