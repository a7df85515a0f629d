//! The real program as a scenario's server: real sockets, real time, and a small HTTP server on
//! loopback in place of each endpoint.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use meridian::health::{Check, Failure, Forced, TargetAddress, TargetSpec, Verdict};
use meridian::ids::CounterId;
use meridian::view::Snapshot;

use crate::files::{Files, LOCATIONS};
use crate::names;
use crate::play::{Change, Server};
use crate::question::Question;
use crate::reply::{self, Reply};
use crate::script::{Sight, Whose};
use crate::world::Probes;

/// What a busy machine may take for anything that is to happen, on top of what a scenario allows.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the program listens: on ports that are free.
const HEAD: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\n[control]\nlisten = \"127.0.0.1:0\"\n";

/// A running program.
pub struct Real {
    child: Child,
    log: mpsc::Receiver<serde_json::Value>,
    /// What the log says that nobody has waited for yet: changes of health, in order.
    changes: Vec<Change>,
    folder: tempfile::TempDir,
    files: Files,
    dns: SocketAddr,
    control: SocketAddr,
    client: UdpSocket,
    /// The same files compiled here: who is who.
    snapshot: Snapshot,
    stand_ins: HashMap<IpAddr, StandIn>,
    probes: Probes,
    warnings: Vec<String>,
}

impl Server for Real {
    const PATIENCE: Duration = PATIENCE;

    fn start(files: &Files, probes: Probes) -> Result<Real, Vec<String>> {
        let files = files.with(free_port(), HEAD);
        let snapshot = compiled(&files)?;
        let mut stand_ins = HashMap::new();
        set_up(&snapshot, &probes, files.port, &mut stand_ins);
        let folder = tempfile::tempdir().expect("a folder");
        write(&files, folder.path()).map_err(|problem| vec![problem])?;
        let (child, log) = launch(folder.path());
        let mut real = Real {
            child,
            log,
            changes: Vec::new(),
            folder,
            files,
            dns: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            client: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket"),
            snapshot,
            stand_ins,
            probes,
            warnings: Vec::new(),
        };
        let address = |line: serde_json::Value, key: &str| {
            line[key]
                .as_str()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| vec![format!("no {key} in {line}")])
        };
        real.control = address(real.wait_for_line("control listener open")?, "address")?;
        real.dns = address(real.wait_for_line("ready")?, "listen")?;
        real.client.connect(real.dns).expect("connected");
        real.client.set_read_timeout(Some(PATIENCE)).expect("set");
        real.changes.clear();
        Ok(real)
    }

    fn reload(&mut self, files: &Files) -> Result<(), Vec<String>> {
        let files = files.with(self.files.port, HEAD);
        write(&files, self.folder.path()).map_err(|problem| vec![problem])?;
        let config = self.folder.path().join("meridian.toml");
        let control = self.control.to_string();
        let output = meridian(&["reload", "--control", &control], &config).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
        if !output.status.success() {
            return Err(said);
        }
        self.snapshot = compiled(&files)?;
        set_up(&self.snapshot, &self.probes, files.port, &mut self.stand_ins);
        (self.files, self.warnings) = (files, said);
        Ok(())
    }

    fn warnings(&self) -> &[String] {
        &self.warnings
    }

    fn probe(&mut self, whose: Whose, sights: Vec<Sight>) -> Result<(), String> {
        names::known(&self.snapshot, &whose)?;
        if sights.len() != 1 {
            return Err("sights in turn cannot be played in real time".to_owned());
        }
        self.probes.set(whose, sights);
        set_up(&self.snapshot, &self.probes, self.files.port, &mut self.stand_ins);
        Ok(())
    }

    fn load(&mut self, _: Whose, _: Option<crate::script::Load>) -> Result<(), String> {
        Err("loads are for the scenario's own time".to_owned())
    }

    fn resolve(&mut self, _: &str, _: &[IpAddr]) -> Result<(), String> {
        Err("look-ups are for the scenario's own time".to_owned())
    }

    fn pass(&mut self, _: Duration) -> Result<(), String> {
        Err("a test does not sleep: write `await` where the real program plays".to_owned())
    }

    fn at(&mut self, time: Duration) -> Result<(), String> {
        self.pass(time)
    }

    fn wait(&mut self, whose: &Whose, verdict: Verdict, within: Duration) -> Result<(), String> {
        names::known(&self.snapshot, whose)?;
        let own = names::targets(&self.snapshot, whose);
        let own = own.into_iter().filter_map(|target| self.snapshot.board.targets.get(target.index()));
        let addresses: Vec<String> = own.filter_map(address).map(|own| own.to_string()).collect();
        let begun = Instant::now();
        loop {
            let status = self.status()?;
            let states: Vec<&str> = status["endpoints"]
                .as_array()
                .into_iter()
                .flatten()
                .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
                .filter(|own| addresses.iter().any(|address| own["address"] == address.as_str()))
                .filter_map(|own| own["state"].as_str())
                .collect();
            if !states.is_empty() && states.iter().all(|state| self::verdict(state) == Some(verdict)) {
                return Ok(());
            }
            if begun.elapsed() > within + PATIENCE {
                return Err(format!("expected {verdict:?} within {within:?}\n    found    {states:?}"));
            }
            std::thread::yield_now();
        }
    }

    fn force(&mut self, _: &Whose, _: Forced) -> Result<(), String> {
        Err("the program has no such command yet".to_owned())
    }

    fn command(&mut self, _: &meridian::health::Command) -> Result<(), String> {
        Err("commands are not for the real program".to_owned())
    }

    fn told(&mut self) -> Result<Vec<String>, String> {
        Err("what is told is not for the real program".to_owned())
    }

    fn set_wall(&mut self, _: bool, _: Duration) -> Result<(), String> {
        Err("setting the clock is not for the real program".to_owned())
    }

    fn clock(&mut self, _: Duration) -> Result<(), String> {
        Err("the machine's clock is not ours to set".to_owned())
    }

    fn explain(&self, _: &[(String, String)]) -> Result<String, String> {
        Err("accounts are looked at in the scenario's own time only".to_owned())
    }

    fn transition(&mut self) -> Result<Option<Change>, String> {
        if self.changes.is_empty() {
            self.wait_for_line("health changed").map_err(|problems| problems.join("\n"))?;
        }
        Ok((!self.changes.is_empty()).then(|| self.changes.remove(0)))
    }

    fn concerns(&self, change: &Change, whose: &Whose) -> bool {
        names::concerns(&self.snapshot, &change.label, whose)
    }

    fn ask(&self, question: &Question, draw: u64) -> Result<Option<Reply>, String> {
        let query = question.octets(draw as u16);
        let octets = if question.tcp { self.ask_stream(&query) } else { self.ask_datagram(&query) };
        let octets = octets.map_err(|error| format!("no reply: {error}"))?;
        reply::read(question, &query, &octets).map(Some)
    }
}

impl Real {
    fn ask_datagram(&self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        self.client.send(query)?;
        let mut buffer = [0; 4096];
        let length = self.client.recv(&mut buffer)?;
        Ok(buffer[..length].to_vec())
    }

    fn ask_stream(&self, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.dns)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply)?;
        Ok(reply)
    }

    fn status(&self) -> Result<serde_json::Value, String> {
        let mut stream = TcpStream::connect(self.control).map_err(|error| error.to_string())?;
        let request = "GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        serde_json::from_str(body).map_err(|error| format!("{error} in {answer}"))
    }

    /// The next log line with this message. Changes of health on the way are kept.
    fn wait_for_line(&mut self, message: &str) -> Result<serde_json::Value, Vec<String>> {
        let begun = Instant::now();
        let mut passed = Vec::new();
        loop {
            let rest = PATIENCE.saturating_sub(begun.elapsed());
            let Ok(line) = self.log.recv_timeout(rest) else {
                passed.push(format!("no line says {message:?}"));
                return Err(passed);
            };
            let text = line["message"].as_str().unwrap_or_default().to_owned();
            self.changes.extend((text == "health changed").then(|| change(&line)).flatten());
            if text.contains(message) {
                return Ok(line);
            }
            passed.push(line.to_string());
        }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn meridian(arguments: &[&str], config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    command.args(arguments).arg("--config").arg(config).env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    command
}

fn launch(folder: &Path) -> (Child, mpsc::Receiver<serde_json::Value>) {
    let mut child = meridian(&["serve", "--log-format", "json"], &folder.join("meridian.toml"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stderr = child.stderr.take().expect("its standard error");
    let (sender, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let line = serde_json::from_str(&line).unwrap_or_else(|_| serde_json::json!({ "message": line }));
            let _ = sender.send(line);
        }
    });
    (child, log)
}

fn compiled(files: &Files) -> Result<Snapshot, Vec<String>> {
    let mut number = 0;
    let mut counter = |_: &str, _: &str| {
        number += 1;
        CounterId(number)
    };
    files.compile(1, &mut counter).map(|(compiled, _)| compiled.snapshot)
}

fn write(files: &Files, folder: &Path) -> Result<(), String> {
    let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
    std::fs::create_dir_all(folder.join("zones")).expect("a folder");
    put("meridian.toml", &files.main());
    put(LOCATIONS, &files.geofeed()?);
    for (origin, zone, names) in files.zones() {
        put(&format!("zones/{origin}.zone"), &zone);
        if let Some(names) = names {
            put(&format!("zones/{origin}.toml"), names);
        }
    }
    Ok(())
}

fn change(line: &serde_json::Value) -> Option<Change> {
    Some(Change {
        label: line["endpoint"].as_str()?.to_owned(),
        from: verdict(line["from"].as_str()?)?,
        to: verdict(line["to"].as_str()?)?,
        cause: line["cause"].as_str()?.to_owned(),
    })
}

fn verdict(text: &str) -> Option<Verdict> {
    match text {
        "up" => Some(Verdict::Up),
        "down" => Some(Verdict::Down),
        "unknown" => Some(Verdict::Unknown),
        _ => None,
    }
}

fn address(spec: &TargetSpec) -> Option<IpAddr> {
    match (&spec.address, &spec.check) {
        (TargetAddress::Address(address), Check::Http(_)) => Some(*address),
        _ => None,
    }
}

/// A port that is free on the loopback network as a whole, as far as one can know.
fn free_port() -> u16 {
    let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    everywhere.local_addr().expect("its number").port()
}

/// Lets every endpoint do what probes are to see.
fn set_up(snapshot: &Snapshot, probes: &Probes, port: u16, stand_ins: &mut HashMap<IpAddr, StandIn>) {
    for (number, spec) in snapshot.board.targets.iter().enumerate() {
        let Some(address) = address(spec) else { continue };
        let sight = probes.standing(snapshot, meridian::ids::TargetId(number as u32));
        stand_ins.entry(address).or_insert_with(|| StandIn::new((address, port).into())).play(sight);
    }
}

/// An HTTP server in place of an endpoint.
struct StandIn {
    address: SocketAddr,
    sight: Arc<Mutex<Sight>>,
    listening: Option<JoinHandle<()>>,
}

impl StandIn {
    fn new(address: SocketAddr) -> StandIn {
        StandIn {
            address,
            sight: Arc::new(Mutex::new(Sight::Down(Failure::ConnectRefused))),
            listening: None,
        }
    }

    fn play(&mut self, sight: Sight) {
        *self.sight.lock().expect("not poisoned") = sight;
        let refuses = sight == Sight::Down(Failure::ConnectRefused);
        if refuses && let Some(thread) = self.listening.take() {
            // It wakes, sees that it is to refuse, and closes its socket.
            let _ = TcpStream::connect(self.address);
            thread.join().expect("the stand-in ends");
        }
        if !refuses && self.listening.is_none() {
            let listener = TcpListener::bind(self.address).expect("the stand-in's address is free");
            let sight = self.sight.clone();
            self.listening = Some(std::thread::spawn(move || serve(&listener, &sight)));
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.play(Sight::Down(Failure::ConnectRefused));
    }
}

fn serve(listener: &TcpListener, sight: &Mutex<Sight>) {
    // Connections that are held open without an answer.
    let mut held = Vec::new();
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        let status = match *sight.lock().expect("not poisoned") {
            Sight::Down(Failure::ConnectRefused) => return,
            Sight::Up { .. } => 200,
            Sight::Down(Failure::Status(status)) => status,
            Sight::Down(Failure::Closed) => continue,
            Sight::Down(_) | Sight::Silent => {
                held.push(stream);
                continue;
            }
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let mut head = [0; 2048];
        let _ = stream.read(&mut head);
        let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
}
