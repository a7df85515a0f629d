//! Floods of half-open connections and of TLS handshakes: what becomes of those who ask over UDP, TCP and TLS
//! meanwhile, and of the server's memory.
//!
//! The server has core 0. The generator of well-behaved queries and whoever attacks share the other one, the attacker with what is
//! left of it (nice 19): it is not the generator that is to be measured.

mod hostile;
mod visitors;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};

pub use hostile::{Hostility, be_hostile};

use crate::Result;
use crate::chance::Chance;
use crate::compare::{GENERATOR_CORE, trouble};
use crate::generator::{Between, Checked, Generator};
use crate::packet::{self, Queries, ZONE};
use crate::process::{Cores, Server, free_port};
use crate::servers;
use crate::socket;
use visitors::Visitors;

/// The sequence of the names that are asked.
const SEED: u64 = 7;
/// How long the capacity is measured, and how long before an attack counts.
const CAPACITY: Duration = Duration::from_secs(1);
const UNDER_WAY: Duration = Duration::from_millis(1500);
/// How often the server's memory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// After an attack, before the next: what it has left behind has had its time (`handshake_timeout`).
const REST: Duration = Duration::from_secs(6);
/// Nobody waits longer for a page of metrics.
const PAGE_MAX: Duration = Duration::from_secs(5);

/// What is run.
pub struct Plan<'p> {
    /// The build of meridian.
    pub meridian: &'p Path,
    /// For configurations and logs.
    pub folder: &'p Path,
    /// What is done to it.
    pub hostilities: &'p [Hostility],
    /// How long each lasts.
    pub time: Duration,
    /// How much well-behaved clients ask over UDP: this part of what the server can answer.
    pub part: f64,
    /// Where it listens besides loopback: the address of an interface that attackers are behind.
    pub address: Option<Ipv4Addr>,
    /// The network namespace of attackers.
    pub namespace: Option<&'p str>,
}

/// Where the server answers.
struct Site {
    server: Server,
    /// DNS over TCP, where half-open connections come in.
    dns: SocketAddr,
    tls: SocketAddr,
    control: SocketAddr,
    /// What is shown over TLS.
    certificate: PathBuf,
}

/// Starts a server, does to it what is asked for, and prints a table.
pub fn run(plan: &Plan<'_>) -> Result<()> {
    socket::pin(GENERATOR_CORE)?;
    let site = Site::start(plan)?;
    let mut queries = Queries::of_static_names(&mut Chance::seeded(SEED));
    let capacity = capacity(&site, &mut queries)?;
    let idle = site.server.memory_kib()?.0;
    println!("capacity: {capacity:.0} queries/s over UDP; resident when idle: {:.1} MiB\n", mib(idle));
    println!(
        "| attack | so often a second | UDP answered | median, 99 % | TCP, each anew | TLS, each anew | TLS, one connection | the server's core | resident at most, of idle |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for hostility in plan.hostilities {
        suffer(plan, &site, *hostility, capacity * plan.part, &mut queries, idle)?;
        std::thread::sleep(REST);
    }
    println!("\nresident afterwards: {:.1} MiB", mib(site.server.memory_kib()?.0));
    for reason in ["connection_shed", "handshake_timeout", "handshake_failed"] {
        println!("{reason}: {:.0}", site.metric(&format!("reason=\"{reason}\""))?);
    }
    site.server.stop()
}

/// One attack, beside everybody else.
fn suffer(
    plan: &Plan<'_>,
    site: &Site,
    hostility: Hostility,
    rate: f64,
    queries: &mut Queries,
    idle: u64,
) -> Result<()> {
    let attacker = site.attacker(plan, hostility)?;
    std::thread::sleep(UNDER_WAY);
    let ended = AtomicBool::new(false);
    let visitors = Visitors::start(site.dns, site.tls, client(&site.certificate)?)?;
    let (before, begun) = (site.server.cpu_time()?, Instant::now());
    let (most, outcome) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                most = most.max(site.server.memory_kib().map_or(0, |(resident, _)| resident));
                std::thread::sleep(LOOK_INTERVAL);
            }
            most
        });
        let mut load = || {
            let mut generator = Generator::open_loop(site.server.address, queries, Checked::Answer)?;
            generator.run_at(rate, Between::Sleep, || begun.elapsed() > plan.time)
        };
        let outcome = load();
        ended.store(true, Ordering::Relaxed);
        (watching.join().unwrap_or(0), outcome)
    });
    let used = (site.server.cpu_time()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    let [tcp, anew, kept] = visitors.stop();
    let (times, outcome) = (ended_by_itself(attacker)?, outcome?);
    let asked = outcome.answered + outcome.lost + outcome.wrong;
    println!(
        "| {} | {} | {:.2} % of {asked}{} | {:.2} ms, {:.1} ms | {tcp} | {anew} | {kept} | {:.0} % | {:.1} MiB, {:.1} % |",
        hostility.name(),
        times.map_or(String::new(), |times| format!("{times:.0}")),
        outcome.answered as f64 * 100.0 / asked.max(1) as f64,
        trouble(&outcome),
        outcome.latency.quantile_us(0.5) / 1e3,
        outcome.latency.quantile_us(0.99) / 1e3,
        used * 100.0,
        mib(most),
        most as f64 * 100.0 / idle as f64,
    );
    Ok(())
}

/// What the server answers at most over UDP, in queries a second.
fn capacity(site: &Site, queries: &mut Queries) -> Result<f64> {
    let mut generator = Generator::new(site.server.address, queries, Checked::Answer)?;
    generator.run(UNDER_WAY)?;
    let outcome = generator.run(CAPACITY)?;
    Ok(outcome.answered as f64 / outcome.elapsed.as_secs_f64())
}

/// Waits for an attacker, that says how often a second it has done what it does.
fn ended_by_itself(attacker: Option<Child>) -> Result<Option<f64>> {
    let Some(attacker) = attacker else { return Ok(None) };
    let output = attacker.wait_with_output()?;
    Ok(Some(String::from_utf8(output.stdout)?.trim().parse().map_err(|_| "the attacker failed")?))
}

impl Site {
    fn start(plan: &Plan<'_>) -> Result<Site> {
        // Free now, and given out to nobody else: see `free_port`.
        let dns = free_port()?;
        let (tls, control) = (dns + 1, dns + 2);
        let folder = plan.folder;
        std::fs::create_dir_all(folder)?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let beside = plan.address.map_or(String::new(), |address| format!(", \"{address}:{dns}\""));
        let text = format!(
            "[server]\nlisten = [\"127.0.0.1:{dns}\"{beside}]\nworkers = 1\nstate = \"off\"\n\n\
             [control]\nlisten = \"127.0.0.1:{control}\"\n\n\
             [tls]\nlisten = [\"127.0.0.1:{tls}\"]\ncertificate = {certificate:?}\nkey = {key:?}\n\n\
             [rate_limit]\nrate = 1000000\nburst = 100000\n\n[cookies]\nsecret = \"00112233445566778899aabbccddeeff\"\n"
        );
        let config = folder.join("meridian.toml");
        std::fs::write(&config, text)?;
        servers::write_plain_zone(&folder.join(format!("zones/{ZONE}.zone")))?;
        let command = [plan.meridian.as_os_str(), "serve".as_ref(), "--config".as_ref(), config.as_os_str()];
        let command = command.map(|word| word.to_string_lossy().into_owned());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, dns));
        let question = packet::canary_question();
        let server = Server::start(&command, Cores::First, address, &folder.join("log"), &question)?;
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let dns = plan.address.map_or(address, |address| SocketAddrV4::new(address, dns).into());
        Ok(Site { server, dns, tls: local(tls), control: local(control), certificate })
    }

    /// Starts a process that attacks for long enough.
    fn attacker(&self, plan: &Plan<'_>, hostility: Hostility) -> Result<Option<Child>> {
        let server = match hostility {
            Hostility::Nothing => return Ok(None),
            Hostility::Syn => self.dns,
            Hostility::Hello | Hostility::Half | Hostility::Handshake => self.tls,
        };
        let mut words = vec!["nice".to_owned(), "-n".to_owned(), "19".to_owned()];
        if let Some(namespace) = plan.namespace.filter(|_| hostility == Hostility::Syn) {
            words = ["ip", "netns", "exec", namespace].map(str::to_owned).into_iter().chain(words).collect();
        }
        let seconds = (plan.time + UNDER_WAY * 2).as_secs_f64();
        let attacker = Command::new(&words[0])
            .args(&words[1..])
            .arg(std::env::current_exe()?)
            .args(["be-hostile", hostility.name(), &server.to_string(), &seconds.to_string()])
            .arg(&self.certificate)
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Some(attacker))
    }

    /// The sum of the metrics whose line holds this.
    fn metric(&self, part: &str) -> Result<f64> {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(self.control)?;
        stream.set_read_timeout(Some(PAGE_MAX))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.control)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let lines = text.lines().filter(|line| !line.starts_with('#') && line.contains(part));
        Ok(lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }
}

/// The settings of clients that trust the server's certificate and nothing else.
fn client(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Every handshake is a whole one.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
