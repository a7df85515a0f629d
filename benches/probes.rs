//! What probing costs: the real server with 10,000 endpoints over real HTTP on loopback.
//!
//! `make bench-probes`; docs/performance.md has the figures. The endpoints are addresses of 127.0.0.0/8,
//! answered by a small HTTP server in a process of its own, so that what is measured is the prober's.
// A program that measures reads clocks and files and opens sockets: it is all edge.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;

/// Errors are for whoever runs the benchmark, as text.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A pool has at most so many endpoints.
const POOL_ENDPOINTS: usize = 1000;

/// The first round must be through by then.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// The limits that the project has set itself.
const CORES_MAX: f64 = 1.0;
const MEMORY_OCTETS_MAX: u64 = 1 << 30;

/// Measures what probing costs.
#[derive(Parser)]
struct Arguments {
    /// What `cargo bench` passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// How many endpoints are probed
    #[arg(long, default_value_t = 10_000)]
    endpoints: usize,
    /// How often, in seconds
    #[arg(long, default_value_t = 5)]
    interval: u64,
    /// For how long it is measured, in seconds
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Be the HTTP server
    #[arg(long, hide = true)]
    serve: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (arguments.serve, arguments.bench) {
        (true, _) => serve().map(|()| true),
        (false, true) => measure(&arguments),
        (false, false) => {
            // So does a run of all tests call it.
            println!("Run make bench-probes; --help tells what this program does.");
            Ok(true)
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("probes: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A process that does not outlive this one.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts everything, waits, and prints the figures; whether they keep within the limits.
fn measure(arguments: &Arguments) -> Result<bool> {
    let (_endpoints, port) = start_endpoints()?;
    let folder = tempfile::tempdir()?;
    let control = free_port()?;
    write_configuration(folder.path(), arguments, port, control)?;
    let server = start_server(folder.path())?;
    let pid = server.0.id();
    let begun = Instant::now();
    wait_until_ready(control)?;
    let first_round = begun.elapsed();
    // The first round is at once; from the second on each endpoint has its own time.
    std::thread::sleep(2 * Duration::from_secs(arguments.interval));
    // The figures of the end are those of the end minus those of now.
    let counting = Instant::now();
    let before = metrics(control)?;
    let (cpu_before, started) = (cpu_time(pid)?, Instant::now());
    std::thread::sleep(Duration::from_secs(arguments.seconds));
    let (cpu, took) = (cpu_time(pid)?.saturating_sub(cpu_before), started.elapsed());
    // Asking for 10,000 endpoints costs memory too, and is none of the probes'.
    let memory = peak_memory(pid)?;
    let counted = counting.elapsed();
    let after = metrics(control)?;
    let cores = cpu.as_secs_f64() / took.as_secs_f64();
    Ok(report(arguments, first_round, cores, counted, memory, &before, &after))
}

fn report(
    arguments: &Arguments,
    first_round: Duration,
    cores: f64,
    counted: Duration,
    memory_octets: u64,
    before: &BTreeMap<String, f64>,
    after: &BTreeMap<String, f64>,
) -> bool {
    let count = |name: &str| {
        let of = |figures: &BTreeMap<String, f64>| figures.get(name).copied().unwrap_or(0.0);
        of(after) - of(before)
    };
    let well = count("meridian_probes_total{outcome=\"success\"}");
    let all: f64 =
        after.keys().filter(|name| name.starts_with("meridian_probes_total{")).map(|name| count(name)).sum();
    let (skipped, lost) = (count("meridian_probes_skipped_total"), count("meridian_probes_lost_total"));
    let expected = arguments.endpoints as f64 * counted.as_secs_f64() / arguments.interval as f64;
    let cost_us = 1e6 * cores * counted.as_secs_f64() / all;
    println!("endpoints            {}", arguments.endpoints);
    println!("interval             {} s", arguments.interval);
    println!("measured             {:.1} s", counted.as_secs_f64());
    println!("first round          {:.1} s", first_round.as_secs_f64());
    println!("probes               {all:.0} ({:.1} % of {expected:.0})", 100.0 * all / expected);
    println!("failed               {:.0}", all - well);
    println!("late by an interval  {skipped:.0}");
    println!("lost                 {lost:.0}");
    println!("CPU                  {cores:.3} cores, {cost_us:.0} us a probe");
    println!("memory at its peak   {:.0} MiB", memory_octets as f64 / f64::from(1 << 20));
    let within = cores <= CORES_MAX && memory_octets <= MEMORY_OCTETS_MAX;
    within && skipped == 0.0 && lost == 0.0 && all == well && all > 0.95 * expected
}

/// The HTTP server, in another process of this program; and its port.
fn start_endpoints() -> Result<(Running, u16)> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map(Running)?;
    let output = child.0.stdout.take().ok_or("the HTTP server has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok((child, line.trim().parse()?))
}

/// Answers 200 to every head that is whole, on every address of this machine, until standard input ends.
fn serve() -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
        let listener = socket.listen(4096)?;
        println!("{}", listener.local_addr()?.port());
        loop {
            // Out of descriptors for a moment: the next one will do.
            if let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection));
            }
        }
    })
}

async fn answer(mut connection: tokio::net::TcpStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let _ = connection.write_all(ANSWER).await;
}

fn start_server(folder: &Path) -> Result<Running> {
    let server = Command::new(env!("CARGO_BIN_EXE_meridian"))
        .arg("serve")
        .arg("--config")
        .arg(folder.join("meridian.toml"))
        .env("RUST_LOG", "warn")
        .spawn()?;
    Ok(Running(server))
}

fn write_configuration(folder: &Path, arguments: &Arguments, port: u16, control: u16) -> Result<()> {
    let mut main = format!(
        "[server]\nlisten = \"127.0.0.1:{}\"\nworkers = 1\nstart_timeout = \"60s\"\n\
         [control]\nlisten = \"127.0.0.1:{control}\"\n\
         [probes]\nallow_loopback = true\nconcurrency = 1024\n\
         [monitors.web]\nhttp = {{ port = {port}, path = \"/healthz\", body = \"ok\" }}\ninterval = \"{}s\"\n",
        free_port()?,
        arguments.interval
    );
    let mut names = String::from("[names]\n");
    for pool in 0..arguments.endpoints.div_ceil(POOL_ENDPOINTS) {
        writeln!(main, "[regions.r{pool}]")?;
        write!(
            main,
            "[services.s{pool}]\npolicy = \"p{pool}\"\n[pools.p{pool}]\nmonitor = \"web\"\nendpoints = [\n"
        )?;
        writeln!(names, "s{pool} = \"s{pool}\"")?;
        let first = pool * POOL_ENDPOINTS;
        for number in first..arguments.endpoints.min(first + POOL_ENDPOINTS) {
            // 127.1.0.0 and on.
            let address = Ipv4Addr::from_bits(0x7f01_0000 + u32::try_from(number)?);
            writeln!(main, "  {{ name = \"e{number}\", region = \"r{pool}\", address = \"{address}\" }},")?;
        }
        main.push_str("]\n");
    }
    let zones = folder.join("zones");
    std::fs::create_dir(&zones)?;
    std::fs::write(folder.join("meridian.toml"), main)?;
    std::fs::write(zones.join("example.com.toml"), names)?;
    std::fs::write(
        zones.join("example.com.zone"),
        "$ORIGIN example.com.\n$TTL 3600\n@ SOA ns hostmaster 1 7200 3600 1209600 60\n@ NS ns\nns A 192.0.2.53\n",
    )?;
    Ok(())
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn wait_until_ready(control: u16) -> Result<()> {
    let deadline = Instant::now() + READY_TIMEOUT;
    while !get(control, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
        if Instant::now() > deadline {
            return Err("the server is not ready in time".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The server's figures by name and labels.
fn metrics(control: u16) -> Result<BTreeMap<String, f64>> {
    let text = get(control, "/metrics")?;
    let samples = text.lines().filter(|line| line.starts_with("meridian_probes"));
    Ok(samples
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect())
}

fn get(control: u16, path: &str) -> Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", control))?;
    connection.set_read_timeout(Some(READY_TIMEOUT))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{control}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// User and system time of a process so far.
fn cpu_time(pid: u32) -> Result<Duration> {
    /// `sysconf(_SC_CLK_TCK)` on every Linux.
    const TICKS_A_SECOND: u64 = 100;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse().unwrap_or(0u64)).sum();
    Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

fn peak_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}
