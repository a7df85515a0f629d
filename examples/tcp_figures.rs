//! Figures of DNS over TCP: see docs/performance.md.
//!
//!     cargo build --release
//!     cargo run --release --example tcp_figures -- compare --meridian target/release/meridian
//!
//! The same zone in meridian, gdnsd, Knot DNS and NSD, one worker each on core 0, asked from core 1 over persistent
//! connections with several queries in flight. Every reply is checked. Servers that are not installed are left out.
//!
//!     cargo run --release --example tcp_figures -- hold --meridian target/release/meridian
//!
//! Opens many idle connections from many addresses of 127.0.0.0/8 and says what each costs the server.
//!
//!     cargo run --release --example tcp_figures -- attack --meridian target/release/meridian
//!
//! Does to it what is not kind, and says what becomes of the queries of well-behaved clients at other addresses, that ask as
//! much as 80 % of what it can answer.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program that measures")]

use std::collections::{HashMap, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NAMES: u32 = 1000;
const ZONE: &str = "bench.example";
/// Descriptors that we should like to have.
const DESCRIPTORS: u64 = 1 << 16;
/// How long anything may take that ends.
const PATIENCE: Duration = Duration::from_secs(20);
/// What the load generator asks of the kernel for each connection.
const READ_OCTETS: usize = 64 << 10;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Queries per second and CPU time per query, of all servers
    Compare(Compare),
    /// Idle connections, of meridian
    Hold(Hold),
    /// Hostile connections beside well-behaved ones, of meridian
    Attack(Attack),
    /// One kind of hostility, as `attack` starts it
    #[command(hide = true)]
    Hostile(Hostile),
    /// Asks a server that runs already
    Load(Load),
}

#[derive(Args)]
struct Compare {
    #[arg(long)]
    meridian: PathBuf,
    #[arg(long, default_value_t = 6)]
    rounds: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Only these servers
    #[arg(long)]
    only: Vec<String>,
    /// Connections and queries in flight on each, as 8x1
    #[arg(long, default_values_t = ["8x1".to_owned(), "32x1".into(), "32x4".into(), "32x16".into(), "64x4".into()])]
    shape: Vec<String>,
}

#[derive(Args)]
struct Hold {
    #[arg(long)]
    meridian: PathBuf,
    #[arg(long, default_value_t = 20_000)]
    connections: usize,
    /// Addresses they come from
    #[arg(long, default_value_t = 500)]
    sources: usize,
}

#[derive(Args)]
struct Attack {
    #[arg(long)]
    meridian: PathBuf,
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Of what the server can answer, what the well-behaved ask
    #[arg(long, default_value_t = 0.8)]
    part: f64,
}

#[derive(Args)]
struct Hostile {
    kind: String,
    server: SocketAddr,
    seconds: f64,
}

#[derive(Args)]
struct Load {
    server: SocketAddr,
    /// The server's process
    #[arg(long)]
    process: u32,
    #[arg(long, default_value = "32x4")]
    shape: String,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

fn main() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // More than the system gives is for root alone, who may take it.
    setrlimit(Resource::RLIMIT_NOFILE, most.max(DESCRIPTORS), most.max(DESCRIPTORS))
        .or_else(|_| setrlimit(Resource::RLIMIT_NOFILE, most, most))?;
    match Arguments::parse().what {
        What::Compare(arguments) => compare(&arguments),
        What::Hold(arguments) => hold(&arguments),
        What::Attack(arguments) => attack(&arguments),
        What::Hostile(arguments) => {
            let until = Instant::now() + Duration::from_secs_f64(arguments.seconds);
            println!("{}", hostility(&arguments.kind, arguments.server, until));
            Ok(())
        }
        What::Load(arguments) => {
            let before = cpu_time(arguments.process)?;
            let outcome = load(arguments.server, &shape(&arguments.shape)?, arguments.seconds)?;
            let used = cpu_time(arguments.process)? - before;
            println!("{}", outcome.line(used));
            Ok(())
        }
    }
}

/// Connections, and queries in flight on each.
struct Shape {
    connections: usize,
    in_flight: usize,
    /// The last two octets of the address of the first connection; the others follow.
    from: Option<u16>,
}

fn shape(text: &str) -> Result<Shape> {
    let (connections, in_flight) = text.split_once('x').ok_or("a shape is written as 8x1")?;
    Ok(Shape { connections: connections.parse()?, in_flight: in_flight.parse()?, from: None })
}

/// What came of a load.
#[derive(Default)]
struct Outcome {
    answered: u64,
    wrong: u64,
    broken: u64,
    elapsed: Duration,
    latencies_us: Vec<u32>,
}

impl Outcome {
    fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64()
    }

    fn line(&self, used: Duration) -> String {
        let mut sorted = self.latencies_us.clone();
        sorted.sort_unstable();
        let at = |part: f64| sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or(0);
        format!(
            "{:.0} queries/s, {:.3} CPU µs per query, {} wrong, {} broken, median {} µs, 99 % {} µs",
            self.per_second(),
            used.as_secs_f64() * 1e6 / self.answered.max(1) as f64,
            self.wrong,
            self.broken,
            at(0.5),
            at(0.99)
        )
    }
}

/// One connection of the generator.
struct Flow {
    stream: TcpStream,
    received: Vec<u8>,
    next: u16,
    asked: HashMap<u16, (u32, Instant)>,
    number: u32,
}

fn query(id: u16, number: u32, into: &mut Vec<u8>) {
    let label = format!("host-{number}");
    let start = into.len();
    into.extend_from_slice(&[0, 0]);
    into.extend_from_slice(&id.to_be_bytes());
    into.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in [label.as_str()].into_iter().chain(ZONE.split('.')) {
        into.push(label.len() as u8);
        into.extend_from_slice(label.as_bytes());
    }
    into.extend_from_slice(&[0, 0, 1, 0, 1]);
    let length = (into.len() - start - 2) as u16;
    into[start..start + 2].copy_from_slice(&length.to_be_bytes());
}

fn address(number: u32) -> [u8; 4] {
    [198, 18, (number >> 8) as u8, number as u8]
}

/// Whether a message is the answer for a name.
fn is_right(message: &[u8], number: u32) -> bool {
    let mut asked = Vec::new();
    query(0, number, &mut asked);
    let question = &asked[14..];
    let flags = message.get(2..4).is_some_and(|flags| flags[0] & 0x84 == 0x84 && flags[1] & 15 == 0);
    let counts = message.get(4..8) == Some(&[0, 1, 0, 1]);
    let end = 12 + question.len();
    let address_at = end + 12;
    flags
        && counts
        && message.get(12..end) == Some(question)
        && message.get(address_at..address_at + 4) == Some(&address(number))
}

impl Flow {
    fn open(server: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<Flow> {
        let stream = connect(server, from)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Flow { stream, received: Vec::new(), next: 0, asked: HashMap::new(), number: 0 })
    }

    fn ask(&mut self, count: usize, now: Instant) -> io::Result<()> {
        let mut queries = Vec::with_capacity(count * 48);
        for _ in 0..count {
            self.number = (self.number * 5 + 7919) % NAMES;
            query(self.next, self.number, &mut queries);
            self.asked.insert(self.next, (self.number, now));
            self.next = self.next.wrapping_add(1);
        }
        // Small enough for any socket's buffer.
        self.stream.write_all(&queries)
    }

    fn take(&mut self, buffer: &mut [u8], now: Instant, outcome: &mut Outcome) -> io::Result<usize> {
        let octets = self.stream.read(buffer)?;
        if octets == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.received.extend_from_slice(&buffer[..octets]);
        let (mut done, mut answered) = (0, 0);
        while let Some(length) = self.received.get(done..done + 2) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            let Some(message) = self.received.get(done + 2..done + 2 + length) else { break };
            let id = message.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
            match self.asked.remove(&id) {
                Some((number, asked)) if is_right(message, number) => {
                    outcome.answered += 1;
                    if outcome.answered.is_multiple_of(16) {
                        outcome.latencies_us.push((now - asked).as_micros() as u32);
                    }
                }
                Some(_) | None => outcome.wrong += 1,
            }
            answered += 1;
            done += 2 + length;
        }
        self.received.drain(..done);
        Ok(answered)
    }
}

fn connect(server: SocketAddr, from: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddrV4::new(from, 0).into())?;
    }
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

fn source(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// Keeps so many queries in flight for so long.
fn load(server: SocketAddr, shape: &Shape, seconds: f64) -> Result<Outcome> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut flows = Vec::new();
    for number in 0..shape.connections {
        let from = shape.from.map(|first| source(first + number as u16));
        let flow = Flow::open(server, from)?;
        epoll.add(&flow.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        flows.push(flow);
    }
    let mut outcome = Outcome::default();
    let mut buffer = vec![0; READ_OCTETS];
    let begun = Instant::now();
    let until = begun + Duration::from_secs_f64(seconds);
    for flow in &mut flows {
        flow.ask(shape.in_flight, begun)?;
    }
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let told = epoll.wait(&mut events, 100_u16)?;
        let now = Instant::now();
        if now >= until {
            break;
        }
        for event in &events[..told] {
            let flow = &mut flows[event.data() as usize];
            let taken = flow.take(&mut buffer, now, &mut outcome);
            let asked =
                taken.and_then(|answered| if answered > 0 { flow.ask(answered, now) } else { Ok(()) });
            if let Err(error) = asked {
                outcome.broken += 1;
                if error.kind() == io::ErrorKind::WouldBlock {
                    continue;
                }
                *flow = Flow::open(server, shape.from.map(|first| source(first + event.data() as u16)))?;
                epoll.add(&flow.stream, EpollEvent::new(EpollFlags::EPOLLIN, event.data()))?;
                flow.ask(shape.in_flight, now)?;
            }
        }
    }
    outcome.elapsed = begun.elapsed();
    Ok(outcome)
}

/// A running server; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str, program: &Path, folder: &Path, port: u16, settings: &str) -> Result<Server> {
        let command = write_configuration(name, program, folder, port, settings)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let child = Command::new("taskset")
            .args(["-c", "0"])
            .args(&command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let address: SocketAddr = format!("127.0.0.1:{port}").parse()?;
        let mut server = Server { child, address };
        let mut asked = Vec::new();
        query(1, 1, &mut asked);
        let begun = Instant::now();
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut reply = [0; 1232];
        loop {
            let answered = socket.send(&asked[2..]).and_then(|_| socket.recv(&mut reply));
            if matches!(answered, Ok(octets) if is_right(&reply[..octets], 1)) {
                return Ok(server);
            }
            if server.child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("{name} does not answer: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_configuration(
    name: &str,
    program: &Path,
    folder: &Path,
    port: u16,
    settings: &str,
) -> Result<Vec<String>> {
    std::fs::create_dir_all(folder.join("zones"))?;
    std::fs::create_dir_all(folder.join("run"))?;
    let mut zone = format!(
        "$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n"
    );
    for number in 0..NAMES {
        writeln!(zone, "host-{number} A {}", Ipv4Addr::from(address(number)))?;
    }
    let folder_text = folder.display();
    let (file, text, zone_file, arguments): (&str, String, String, Vec<&str>) = match name {
        "meridian" => (
            "meridian.toml",
            format!(
                "[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = 1\nstate = \"off\"\n{settings}\n[control]\nlisten = \"off\"\n"
            ),
            format!("zones/{ZONE}.zone"),
            vec!["serve", "--config", "FILE"],
        ),
        "gdnsd" => (
            "config",
            format!(
                "options => {{\n listen => {{ 127.0.0.1:{port} => {{ udp_threads => 1, tcp_threads => 1, \
                 tcp_clients_per_thread => 1000 }} }}\n run_dir => \"{folder_text}/run\"\n \
                 state_dir => \"{folder_text}/run\"\n}}\n"
            ),
            format!("zones/{ZONE}"),
            vec!["-c", "FOLDER", "start"],
        ),
        "knot" => (
            "knot.conf",
            format!(
                "server:\n    rundir: \"{folder_text}/run\"\n    listen: [ 127.0.0.1@{port} ]\n    udp-workers: 1\n    \
                 tcp-workers: 1\n    background-workers: 1\n    tcp-max-clients: 1000\n\
                 log:\n  - target: stderr\n    any: warning\n\
                 database:\n    storage: \"{folder_text}/run\"\n\
                 zone:\n  - domain: {ZONE}\n    storage: \"{folder_text}/zones\"\n    file: \"{ZONE}\"\n    \
                 zonefile-sync: -1\n    journal-content: none\n"
            ),
            format!("zones/{ZONE}"),
            vec!["-c", "FILE"],
        ),
        _ => (
            "nsd.conf",
            format!(
                "server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  tcp-count: 1000\n  username: \"\"\n  \
                 zonesdir: \"{folder_text}/zones\"\n  pidfile: \"\"\n  zonelistfile: \"{folder_text}/run/list\"\n  \
                 xfrdfile: \"{folder_text}/run/xfrd\"\n  xfrdir: \"{folder_text}/run\"\n  cookie-secret-file: \"\"\n\
                 remote-control:\n  control-enable: no\n\
                 zone:\n  name: {ZONE}\n  zonefile: {ZONE}\n"
            ),
            format!("zones/{ZONE}"),
            vec!["-d", "-c", "FILE"],
        ),
    };
    std::fs::write(folder.join(zone_file), zone)?;
    let file = folder.join(file);
    std::fs::write(&file, text)?;
    let mut command = vec![program.display().to_string()];
    for argument in arguments {
        command.push(match argument {
            "FILE" => file.display().to_string(),
            "FOLDER" => folder_text.to_string(),
            other => other.to_owned(),
        });
    }
    Ok(command)
}

/// CPU time of a process and its children that run, user and system.
fn cpu_time(process: u32) -> Result<Duration> {
    let mut total = own_cpu_time(process)?;
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    for child in children.split_whitespace() {
        total += cpu_time(child.parse()?)?;
    }
    Ok(total)
}

fn own_cpu_time(process: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // In nanoseconds, where /proc/PID/stat has ticks of ten milliseconds.
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        total += Duration::from_nanos(stat.split_whitespace().next().unwrap_or_default().parse()?);
    }
    Ok(total)
}

fn resident_kib(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).ok_or("no VmRSS")?.parse()?)
}

fn compare(arguments: &Compare) -> Result<()> {
    let servers = [
        ("meridian", arguments.meridian.clone()),
        ("gdnsd", "/usr/sbin/gdnsd".into()),
        ("knot", "/usr/sbin/knotd".into()),
        ("nsd", "/usr/sbin/nsd".into()),
    ];
    let servers = servers.into_iter().filter(|(name, program)| {
        program.exists() && (arguments.only.is_empty() || arguments.only.iter().any(|only| only == name))
    });
    let servers: Vec<_> = servers.collect();
    let folder = std::env::temp_dir().join(format!("tcp-figures-{}", std::process::id()));
    let shapes = arguments.shape.iter().map(|text| shape(text)).collect::<Result<Vec<_>>>()?;
    let mut seen: HashMap<(usize, usize), Vec<(f64, f64)>> = HashMap::new();
    let mut troubles: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut answered = 0;
    for round in 0..arguments.rounds {
        for turn in 0..servers.len() {
            let index = (turn + round) % servers.len();
            let (name, program) = &servers[index];
            let server = Server::start(
                name,
                program,
                &folder.join(name),
                20_553 + index as u16,
                "tcp_connections_per_client = 1000",
            )?;
            for (number, shape) in shapes.iter().enumerate() {
                load(server.address, shape, 0.1)?;
                let before = cpu_time(server.id())?;
                let outcome = load(server.address, shape, arguments.seconds)?;
                let used = cpu_time(server.id())? - before;
                let cost = used.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64;
                seen.entry((index, number)).or_default().push((outcome.per_second(), cost));
                let trouble = troubles.entry(name).or_default();
                *trouble = (trouble.0 + outcome.wrong, trouble.1 + outcome.broken);
                answered += outcome.answered;
            }
        }
    }
    println!(
        "| connections x in flight | server | queries/s | CPU µs per query | meridian's queries/s to its | meridian's CPU to its |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for (number, shape) in arguments.shape.iter().enumerate() {
        for (index, (name, _)) in servers.iter().enumerate() {
            let (rate, cost): (Vec<f64>, Vec<f64>) = seen[&(index, number)].iter().copied().unzip();
            let ratio = |pick: fn(&(f64, f64)) -> f64| {
                let pairs = seen[&(0, number)].iter().zip(&seen[&(index, number)]);
                median(pairs.map(|(own, other)| pick(own) / pick(other)).collect())
            };
            println!(
                "| {shape} | {name} | {:.0} | {:.3} | {:.2} | {:.2} |",
                median(rate),
                median(cost),
                ratio(|sample| sample.0),
                ratio(|sample| sample.1)
            );
        }
    }
    println!("\n{answered} answered; answered wrongly, connections broken: {troubles:?}");
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn hold(arguments: &Hold) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tcp-figures-{}", std::process::id()));
    let settings = format!(
        "tcp_connections = {}\ntcp_connections_per_client = 200\ntcp_idle_timeout = \"10m\"\n",
        arguments.connections * 3 / 2
    );
    let server = Server::start("meridian", &arguments.meridian, &folder, 20_553, &settings)?;
    let usual = Shape { connections: 16, in_flight: 4, from: Some(0xf000) };
    load(server.address, &usual, 0.5)?;
    let (alone, cost) = measured(&server, &usual)?;
    let before = resident_kib(server.id())?;
    println!("alone: {alone:.0} queries/s, {cost:.2} CPU µs per query, {before} KiB resident");
    let begun = Instant::now();
    let mut idle = Vec::new();
    let mut buffer = [0; 512];
    for number in 0..arguments.connections {
        let mut stream = connect(server.address, Some(source((number % arguments.sources) as u16)))?;
        let mut asked = Vec::new();
        query(1, 1, &mut asked);
        stream.write_all(&asked)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let octets = stream.read(&mut buffer)?;
        if !is_right(&buffer[2..octets.max(2)], 1) {
            return Err("a wrong answer".into());
        }
        idle.push(stream);
    }
    let after = resident_kib(server.id())?;
    println!(
        "{} connections that have asked once, opened in {:.1} s: {after} KiB resident, {} octets each",
        idle.len(),
        begun.elapsed().as_secs_f64(),
        (after - before) * 1024 / idle.len() as u64
    );
    let (beside, cost) = measured(&server, &usual)?;
    println!(
        "beside them: {beside:.0} queries/s ({:.2} of alone), {cost:.2} CPU µs per query",
        beside / alone
    );
    let used = cpu_time(server.id())?;
    std::thread::sleep(Duration::from_secs(5));
    let used = cpu_time(server.id())? - used;
    println!("doing nothing for 5 s costs {:.0} ms of CPU", used.as_secs_f64() * 1e3);
    let held = idle.iter_mut().filter(|stream| {
        let mut asked = Vec::new();
        query(2, 2, &mut asked);
        let mut stream = &**stream;
        stream.write_all(&asked).is_ok()
            && matches!(stream.read(&mut buffer), Ok(octets) if is_right(&buffer[2..octets.max(2)], 2))
    });
    println!("{} of them still answered", held.count());
    drop(idle);
    std::thread::sleep(Duration::from_secs(1));
    println!("all closed: {} KiB resident", resident_kib(server.id())?);
    drop(server);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Asks so many queries a second, whatever comes back; says which part was answered, with the latencies.
fn paced(server: SocketAddr, shape: &Shape, rate: f64, seconds: f64) -> Result<(f64, Outcome)> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut flows = Vec::new();
    for number in 0..shape.connections {
        let flow = Flow::open(server, shape.from.map(|first| source(first + number as u16)))?;
        epoll.add(&flow.stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
        flows.push(flow);
    }
    let (mut outcome, mut buffer) = (Outcome::default(), vec![0; READ_OCTETS]);
    let (mut due, mut turn) = (0_u64, 0);
    let begun = Instant::now();
    let mut events = [EpollEvent::empty(); 64];
    // What is asked last has its time too.
    while begun.elapsed().as_secs_f64() < seconds + 0.5 {
        let waiting = flows.iter().any(|flow| !flow.asked.is_empty());
        if begun.elapsed().as_secs_f64() > seconds && !waiting {
            break;
        }
        let now = Instant::now();
        let so_far = ((now - begun).as_secs_f64().min(seconds) * rate) as u64;
        while due < so_far {
            let count = (so_far - due).min(shape.in_flight as u64);
            due += count;
            turn = (turn + 1) % flows.len();
            let flow = &mut flows[turn];
            // Who has so many unanswered asks no more: these count as not answered.
            if flow.asked.len() < 1000 && flow.ask(count as usize, now).is_err() {
                outcome.broken += 1;
            }
        }
        let told = epoll.wait(&mut events, 1_u16)?;
        let now = Instant::now();
        for event in &events[..told] {
            let flow = &mut flows[event.data() as usize];
            if flow.take(&mut buffer, now, &mut outcome).is_err() {
                outcome.broken += 1;
                *flow = Flow::open(server, shape.from.map(|first| source(first + event.data() as u16)))?;
                epoll.add(&flow.stream, EpollEvent::new(EpollFlags::EPOLLIN, event.data()))?;
            }
        }
    }
    outcome.elapsed = Duration::from_secs_f64(seconds);
    Ok((outcome.answered as f64 / due.max(1) as f64, outcome))
}

/// Does something to a server until its time has come; says how often.
fn hostility(kind: &str, server: SocketAddr, until: Instant) -> u64 {
    match kind {
        "silent" => silent(server, until),
        "trickle" => trickle(server, until),
        "deaf" => deaf(server, until),
        "churn" => churn(server, until),
        "garbage" => garbage(server, until),
        _ => 0,
    }
}

fn attack(arguments: &Attack) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tcp-figures-{}", std::process::id()));
    let server = Server::start("meridian", &arguments.meridian, &folder, 20_553, "")?;
    let kind = Shape { connections: 32, in_flight: 4, from: Some(0xf000) };
    load(server.address, &kind, 0.5)?;
    let idle = resident_kib(server.id())?;
    println!("limits as by default: 10,000 connections, 50 of one address; {idle} KiB resident before");
    println!(
        "| hostile | so often | asked by others | answered | latency median, 99 % | connections broken | the server's core | resident at most, KiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let hostilities = [
        ("nothing", "nothing"),
        ("silent connections, 400 addresses", "silent"),
        ("5,000 connections that trickle, 250 addresses", "trickle"),
        ("400 connections that never read, 40 addresses", "deaf"),
        ("connections opened, asked on and closed", "churn"),
        ("garbage on 100 connections", "garbage"),
    ];
    for (name, hostility) in hostilities {
        let rate = load(server.address, &kind, 1.0)?.per_second() * arguments.part;
        // With what the well-behaved leave of the core: it is not the generator that is to be measured.
        let hostile = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe()?)
            .args(["hostile", hostility, &server.address.to_string()])
            .arg((arguments.seconds + 3.0).to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let (ended, before) = (AtomicBool::new(false), cpu_time(server.id())?);
        let begun = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let watching = scope.spawn(|| {
                let mut most = 0;
                while !ended.load(Ordering::Relaxed) {
                    most = most.max(resident_kib(server.id()).unwrap_or(0));
                    std::thread::sleep(Duration::from_millis(50));
                }
                most
            });
            // The attack is under way by then.
            std::thread::sleep(Duration::from_secs(2));
            let outcome = paced(server.address, &kind, rate, arguments.seconds);
            ended.store(true, Ordering::Relaxed);
            let used = (cpu_time(server.id())? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
            let times = String::from_utf8(hostile.wait_with_output()?.stdout)?;
            let most = watching.join().map_err(|_| "nobody watched")?;
            let (answered, outcome) = outcome?;
            let mut sorted = outcome.latencies_us.clone();
            sorted.sort_unstable();
            let at = |part: f64| sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or(0);
            println!(
                "| {name} | {} | {rate:.0} queries/s | {:.2} % | {} µs, {} µs | {} | {:.0} % | {most} |",
                times.trim(),
                answered * 100.0,
                at(0.5),
                at(0.99),
                outcome.broken,
                used * 100.0
            );
            Ok(())
        })?;
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("afterwards: {} KiB resident", resident_kib(server.id())?);
    drop(server);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// The addresses of attackers are others than those of the well-behaved.
fn hostile_source(number: usize, addresses: usize) -> Ipv4Addr {
    let [high, low] = ((number % addresses) as u16).to_be_bytes();
    Ipv4Addr::new(127, 2, high, low)
}

fn hostile(server: SocketAddr, number: usize, addresses: usize) -> Option<TcpStream> {
    let stream = connect(server, Some(hostile_source(number, addresses))).ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// Opens connections and says nothing; keeps as many as there are descriptors for.
fn silent(server: SocketAddr, until: Instant) -> u64 {
    let (mut kept, mut opened) = (VecDeque::new(), 0);
    while Instant::now() < until {
        kept.push_back(hostile(server, opened, 400));
        opened += 1;
        if kept.len() > 15_000 {
            kept.pop_front();
        }
    }
    opened as u64
}

/// Sends an octet of an endless message on each of many connections, again and again.
fn trickle(server: SocketAddr, until: Instant) -> u64 {
    let mut kept: Vec<_> = (0..5000).map(|number| hostile(server, number, 250)).collect();
    let mut sent = 0;
    while Instant::now() < until {
        for (number, stream) in kept.iter_mut().enumerate() {
            let alive = stream.as_mut().is_some_and(|stream| stream.write(&[0xff]).is_ok());
            if !alive {
                *stream = hostile(server, number, 250);
            }
            sent += 1;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    sent
}

/// Asks for as long as it is let, and takes nothing.
fn deaf(server: SocketAddr, until: Instant) -> u64 {
    let mut queries = Vec::new();
    (0..500).for_each(|number| query(number, u32::from(number), &mut queries));
    let mut kept: Vec<_> = (0..400).map(|number| hostile(server, number, 40)).collect();
    let mut opened = 400;
    while Instant::now() < until {
        for (number, stream) in kept.iter_mut().enumerate() {
            let written = stream.as_mut().map(|stream| stream.write(&queries));
            let alive = match written {
                Some(Ok(_)) => true,
                Some(Err(error)) => error.kind() == io::ErrorKind::WouldBlock,
                None => false,
            };
            if !alive {
                *stream = hostile(server, number, 40);
                opened += 1;
            }
        }
        std::thread::yield_now();
    }
    opened
}

/// Opens a connection, asks once, and closes it.
fn churn(server: SocketAddr, until: Instant) -> u64 {
    let (mut asked, mut opened, mut buffer) = (Vec::new(), 0, [0; 512]);
    query(1, 1, &mut asked);
    while Instant::now() < until {
        if let Ok(mut stream) = connect(server, Some(hostile_source(opened, 100))) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.write_all(&asked).and_then(|()| stream.read(&mut buffer));
        }
        opened += 1;
    }
    opened as u64
}

/// Sends what is no query, and takes what comes back.
fn garbage(server: SocketAddr, until: Instant) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kept: Vec<_> = (0..100).map(|number| hostile(server, number, 20)).collect();
    let (mut sent, mut buffer) = (0, vec![0; 1 << 16]);
    while Instant::now() < until {
        for (number, stream) in kept.iter_mut().enumerate() {
            let mut messages = Vec::new();
            for _ in 0..20 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let octets = 12 + (state >> 60) as usize * 4;
                messages.extend_from_slice(&(octets as u16).to_be_bytes());
                for _ in 0..octets {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    messages.push((state >> 56) as u8);
                }
            }
            let alive = stream.as_mut().is_some_and(|stream| {
                let _ = stream.read(&mut buffer);
                // What is cut off here makes the next message garbage of another kind.
                stream
                    .write(&messages)
                    .map_or_else(|error| error.kind() == io::ErrorKind::WouldBlock, |_| true)
            });
            if !alive {
                *stream = hostile(server, number, 20);
            }
            sent += 20;
        }
    }
    sent
}

fn measured(server: &Server, shape: &Shape) -> Result<(f64, f64)> {
    let before = cpu_time(server.id())?;
    let outcome = load(server.address, shape, 2.0)?;
    let used = cpu_time(server.id())? - before;
    if outcome.wrong + outcome.broken > 0 {
        return Err(format!("{} wrong, {} broken", outcome.wrong, outcome.broken).into());
    }
    Ok((outcome.per_second(), used.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64))
}
