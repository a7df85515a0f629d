//! Zones taken from the real program by others' programs: dig, kdig, NSD and Knot, with TSIG and NOTIFY, and by
//! clients that mean harm.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

mod hostile;
mod secondaries;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Long enough for anything that is to happen on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A key that everybody has.
const SECRET: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// As dig and kdig take it.
const KEY: &str = "hmac-sha256:xfr.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A folder with a configuration and one zone.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// The zone `example.test` with this text and these lines of `[transfer]`; `www` is steered.
    fn new(zone: &str, transfer: &str) -> World {
        let world = World { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.folder.path().join("zones")).unwrap();
        world.write("zones/example.test.zone", zone);
        let names = format!("[names]\n\"www\" = \"www\"\n[transfer]\n{transfer}\n");
        world.write("zones/example.test.toml", &names);
        world.write(
            "meridian.toml",
            &format!(
                "[server]\nlisten = [\"127.0.0.1:0\"]\ndrain_timeout = \"0s\"\ntcp_message_timeout = \"1s\"\n\
                 [control]\nlisten = \"127.0.0.1:0\"\n\
                 [tsig.\"xfr.example\"]\nsecret = \"{SECRET}\"\n\
                 [tsig.\"long.example\"]\nalgorithm = \"hmac-sha512\"\nsecret = \"{SECRET}\"\n\
                 [regions.a]\nat = [50, 8]\n[regions.b]\nat = [40, -74]\n\
                 [pools.a]\nendpoints = [{{ name = \"one\", region = \"a\", address = [\"192.0.2.1\", \"2001:db8::1\"] }}]\n\
                 [pools.b]\nendpoints = [{{ name = \"two\", region = \"b\", address = \"192.0.2.2\" }}]\n\
                 [services.www]\npolicy = {{ nearest = [\"a\", \"b\"], unknown = \"b\" }}\ntesting_names = true\n"
            ),
        );
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn start(&self) -> Server {
        Server::start(self)
    }
}

/// The records of a transfer besides the hosts: what the zone begins with, www in two families but no testing
/// name, and the SOA again.
const HEAD: usize = 12 + 2 + 1;

/// A zone of so many hosts.
fn zone(serial: u32, hosts: impl Iterator<Item = u32>) -> String {
    let mut text = format!(
        "$TTL 3600\n@ SOA ns admin {serial} 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n@ MX 10 mail\nmail A 192.0.2.25\n\
         *.wild TXT \"any\" \"thing\"\nsub NS ns.sub\nns.sub A 192.0.2.53\n@ CAA 0 issue \"example.net\"\n\
         unknown TYPE65400 \\# 3 00ff10\ndeep.er.and.deep.er TXT {serial}\nalias CNAME www\n"
    );
    for host in hosts {
        text.push_str(&format!("host{host} A 10.{}.{}.{}\n", host >> 16, host >> 8 & 255, host & 255));
    }
    text
}

/// A running program whose log is read.
struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn start(command: &mut Command) -> Process {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, kept) = (child.stderr.take().unwrap(), log.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
                let _ = sender.send(line);
            }
        });
        Process { child, lines, log }
    }

    /// The next line that holds a text.
    fn wait_for(&self, text: &str) -> String {
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line says {text:?}:\n{}", self.log.lock().unwrap());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// meridian.
struct Server {
    process: Process,
    dns: SocketAddr,
    control: SocketAddr,
    config: std::path::PathBuf,
}

impl Server {
    fn start(world: &World) -> Server {
        let config = world.folder.path().join("meridian.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
        command.args(["serve", "--log-format", "json", "--config"]).arg(&config);
        for variable in ["RUST_LOG", "NOTIFY_SOCKET", "STATE_DIRECTORY"] {
            command.env_remove(variable);
        }
        let process = Process::start(&mut command);
        let field = |line: &str, field: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line[field].as_str().unwrap().parse().unwrap()
        };
        let control = field(&process.wait_for("control listener open"), "address");
        let dns = field(&process.wait_for("\"ready\""), "listen");
        Server { process, dns, control, config }
    }

    /// What a reload says.
    fn reload(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_meridian"))
            .args(["reload", "--control", &self.control.to_string(), "--config"])
            .arg(&self.config)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// A counter by its name and outcome.
    fn count(&self, family: &str, outcome: &str) -> f64 {
        let mut stream = TcpStream::connect(self.control).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let start = format!("{family}{{outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or_else(|| panic!("no {start} in\n{text}")).parse().unwrap()
    }

    fn wait_for_count(&self, family: &str, outcome: &str, least: f64) {
        let begun = Instant::now();
        while self.count(family, outcome) < least {
            assert!(begun.elapsed() < PATIENCE, "never {least} {outcome} of {family}");
            std::thread::yield_now();
        }
    }

    fn port(&self) -> String {
        self.dns.port().to_string()
    }
}

/// What a client of the command line says.
fn client(program: &str, port: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(["@127.0.0.1", "-p", port]).args(arguments).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// The records of a transfer, in order of their text; the program checks TSIG itself.
fn records(output: &str) -> Vec<String> {
    let lines = output.lines().filter(|line| !line.starts_with(';') && !line.trim().is_empty());
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let mut records: Vec<String> = lines.map(words).filter(|line| !line.contains(" tsig ")).collect();
    records.sort();
    records
}

/// A port that was free a moment ago, for datagrams and connections.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[test]
fn rfc5936_2_2_dig_and_kdig_take_the_same_zone_with_either_algorithm() {
    let world = World::new(&zone(1, 0..3000), "to = [{ key = \"xfr.example\" }, { key = \"long.example\" }]");
    let server = world.start();
    let with = |program, key: &str| client(program, &server.port(), &["axfr", "example.test", "-y", key]);
    let long = KEY.replace("sha256", "sha512").replace("xfr.", "long.");
    let dig = with("dig", KEY);
    assert!(!dig.contains("WARNING") && !dig.contains("failed"), "{dig}");
    let all = records(&dig);
    assert_eq!(all.len(), HEAD + 3000, "{:?}", &all[..20]);
    for record in [
        "www.example.test. 60 in a 192.0.2.2",
        "host2999.example.test. 3600 in a 10.0.11.183",
        "unknown.example.test. 3600 in type65400 \\# 3 00ff10",
        "ns.sub.example.test. 3600 in a 192.0.2.53",
    ] {
        assert!(all.iter().any(|own| own == record), "{record}");
    }
    assert!(!dig.contains("_region"));
    let kdig = with("kdig", &long);
    assert!(!kdig.contains("WARNING"), "{kdig}");
    assert_eq!(records(&kdig), all);
    assert_eq!(records(&with("dig", &long)), all);
}

#[test]
fn rfc5936_5_who_is_not_named_gets_nothing() {
    let transfer = "to = [{ address = \"127.0.0.9\", key = \"xfr.example\" }, \"127.0.0.8\"]";
    let world = World::new(&zone(1, 0..10), transfer);
    let server = world.start();
    let ask = |arguments: &[&str]| {
        client("dig", &server.port(), &[&["axfr", "example.test", "+comments"], arguments].concat())
    };
    for arguments in [&[][..], &["-b", "127.0.0.9"], &["-y", KEY]] {
        assert!(ask(arguments).contains("Transfer failed"), "{arguments:?}");
    }
    assert!(ask(&["-y", &KEY.replace("MDEy", "MDEz")]).contains("BADSIG"));
    assert!(ask(&["-y", &KEY.replace("xfr.", "other.")]).contains("BADKEY"));
    assert_eq!(records(&ask(&["-b", "127.0.0.9", "-y", KEY])).len(), HEAD + 10);
    assert_eq!(records(&ask(&["-b", "127.0.0.8"])).len(), HEAD + 10);
    for zone in ["example.net", "sub.example.test", "test"] {
        let output = client("dig", &server.port(), &["axfr", zone, "-b", "127.0.0.8"]);
        assert!(output.contains("Transfer failed"), "{output}");
    }
    // In datagrams there is none, whoever asks.
    let client = UdpSocket::bind("127.0.0.8:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&hostile::axfr(7)[2..], server.dns).unwrap();
    let mut buffer = [0; 1232];
    assert_eq!(client.recv(&mut buffer).unwrap(), 12 + 18);
    assert_eq!(buffer[3] & 0x0f, 5);
}

#[test]
fn rfc1995_4_differences_follow_reloads_and_a_serial_that_stays_is_told() {
    let world = World::new(&zone(1, 0..100), "to = \"127.0.0.1\"");
    let server = world.start();
    let since = |serial: u32| {
        let output = client("dig", &server.port(), &[&format!("ixfr={serial}"), "example.test"]);
        output.lines().filter(|line| !line.starts_with(';') && !line.is_empty()).count()
    };
    assert_eq!((since(1), since(9)), (1, 1), "up to date, or ahead");
    assert_eq!(since(0), HEAD + 100, "never heard of: the whole zone");
    world.write("zones/example.test.zone", &zone(2, 10..105));
    assert!(!server.reload().contains("has changed"));
    // SOA; old SOA, 10 hosts and a TXT gone; new SOA, 5 hosts and a TXT; SOA.
    assert_eq!(since(1), 1 + 1 + 11 + 1 + 6 + 1);
    world.write("zones/example.test.zone", &zone(3, 10..105));
    server.reload();
    assert_eq!(since(2), 1 + 1 + 1 + 1 + 1 + 1);
    assert_eq!(since(1), 1 + (1 + 11 + 1 + 6) + (1 + 1 + 1 + 1) + 1, "step after step");
    // Over UDP the serial alone.
    let udp = client("dig", &server.port(), &["+notcp", "ixfr=1", "example.test"]);
    assert_eq!(records(&udp).len(), 1, "{udp}");
    // The content changes, the serial does not.
    world.write("zones/example.test.zone", &zone(3, 10..106));
    let remarks = server.reload();
    assert!(remarks.contains("example.test has changed and its serial is still 3"), "{remarks}");
    assert_eq!(since(2), HEAD + 96, "steps would lead elsewhere");
    world.write("zones/example.test.zone", &zone(2, 10..107));
    assert!(server.reload().contains("fell from 3 to 2"));
}
