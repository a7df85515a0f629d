//! Attacks a server of its own over loopback, and counts what well-behaved clients get meanwhile: see
//! docs/protection.md and docs/performance.md. Bounded: some seconds for each attack, nothing leaves the machine.
//!
//!     cargo build --release
//!     cargo run --release --example attack -- target/release/meridian
//!
//! Sources are spoofed as far as loopback allows: every datagram leaves from an address of its own of 127.0.0.0/9 (the
//! machine has all of 127.0.0.0/8). Well-behaved clients sit in 127.128.0.0/9, each in a /18 of its own.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program that measures")]

use std::error::Error;
use std::io::{IoSlice, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{MsgHdr, SockAddr, SockRef};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long each attack lasts.
const ATTACK: Duration = Duration::from_secs(8);
/// How long the capacity is measured.
const CAPACITY: Duration = Duration::from_secs(4);
/// Well-behaved clients, and how often each asks.
const CLIENTS: u32 = 50;
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// A client waits so long for its answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// The share of the capacity at which is attacked.
const SHARE: f64 = 0.8;

fn main() -> Result<()> {
    let meridian = std::env::args().nth(1).unwrap_or_else(|| "target/release/meridian".to_owned());
    let corpus = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus"))?;
    let server = Server::start(&meridian)?;
    let (idle, ports) = (server.resident_kib()?, server.dns.port());
    println!("resident when idle: {idle} KiB, port {ports}, {} packets of the corpora", corpus.len());

    let before = server.replies()?;
    let begun = Instant::now();
    let sent = flood(server.dns, CAPACITY, None, &|chance| ordinary(chance))?;
    let taken = server.replies()? - before;
    let capacity = taken / begun.elapsed().as_secs_f64();
    println!("capacity: {capacity:.0} answers/s ({:.0} sent/s)\n", sent as f64 / CAPACITY.as_secs_f64());

    println!(
        "| attack | sent/s | well-behaved clients answered | resident, of idle | replies/s | refused/s |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let one = Source::One(Ipv4Addr::new(127, 1, 2, 3));
    type Attack<'a> = &'a (dyn Fn(&mut Chance) -> Shot + Sync);
    let attacks: [(&str, f64, Attack<'_>); 6] = [
        ("none", 0.0, &|chance| ordinary(chance)),
        ("ordinary queries, spoofed sources", SHARE, &|chance| ordinary(chance)),
        ("random subdomains, spoofed sources", SHARE, &|chance| subdomain(chance, Source::Any)),
        ("random subdomains, one source", SHARE, &move |chance| subdomain(chance, one)),
        ("corpora, spoofed sources", SHARE, &|chance| malformed(chance, &corpus)),
        ("corpora, as fast as it can", f64::INFINITY, &|chance| malformed(chance, &corpus)),
    ];
    for (name, share, shot) in attacks {
        let (replies, refused) = (server.replies()?, server.refused()?);
        let clients = Clients::start(server.dns)?;
        let begun = Instant::now();
        let sent = match share {
            0.0 => {
                thread::sleep(ATTACK);
                0
            }
            share if share.is_finite() => flood(server.dns, ATTACK, Some(capacity * share), shot)?,
            _ => flood(server.dns, ATTACK, None, shot)?,
        };
        let seconds = begun.elapsed().as_secs_f64();
        let (replies, refused) = (server.replies()? - replies, server.refused()? - refused);
        let (asked, answered) = clients.stop()?;
        let resident = server.resident_kib()?;
        println!(
            "| {name} | {:.0} | {:.2} % of {asked} | {:.1} % | {:.0} | {:.0} |",
            sent as f64 / seconds,
            answered as f64 * 100.0 / asked.max(1) as f64,
            resident as f64 * 100.0 / idle as f64,
            replies / seconds,
            refused / seconds,
        );
    }
    Ok(())
}

/// Whom a datagram says it is from.
#[derive(Clone, Copy)]
enum Source {
    Any,
    One(Ipv4Addr),
}

/// One datagram.
struct Shot {
    source: Source,
    packet: Vec<u8>,
}

struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn query(id: u16, name: &[&[u8]]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut packet = vec![high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label);
    }
    packet.extend([0, 0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    packet
}

fn ordinary(chance: &mut Chance) -> Shot {
    Shot { source: Source::Any, packet: query(chance.draw() as u16, &[b"www", b"example", b"com"]) }
}

fn subdomain(chance: &mut Chance, source: Source) -> Shot {
    let label = format!("{:016x}", chance.draw());
    Shot { source, packet: query(chance.draw() as u16, &[label.as_bytes(), b"example", b"com"]) }
}

fn malformed(chance: &mut Chance, corpus: &[Vec<u8>]) -> Shot {
    let packet = corpus.get(chance.draw() as usize % corpus.len().max(1)).cloned().unwrap_or_default();
    Shot { source: Source::Any, packet }
}

/// The packets of the fuzz corpora: those of `respond` have an octet in front that says how they come.
fn corpus(folder: &Path) -> Result<Vec<Vec<u8>>> {
    let mut packets = Vec::new();
    for (target, skipped) in [("query", 0), ("respond", 1)] {
        for file in std::fs::read_dir(folder.join(target))? {
            let octets = std::fs::read(file?.path())?;
            packets.extend(octets.get(skipped..).filter(|packet| packet.len() <= 4096).map(<[u8]>::to_vec));
        }
    }
    Ok(packets)
}

/// Sends for so long, at most so many a second; how many were sent.
fn flood(
    server: SocketAddrV4,
    time: Duration,
    per_second: Option<f64>,
    shot: &(dyn Fn(&mut Chance) -> Shot + Sync),
) -> Result<u64> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let to = SockAddr::from(server);
    let (mut chance, begun, mut sent) = (Chance(server.port().into()), Instant::now(), 0_u64);
    let mut scratch = [0; 2048];
    socket.set_nonblocking(true)?;
    while begun.elapsed() < time {
        let due = per_second.map_or(sent + 64, |rate| (begun.elapsed().as_secs_f64() * rate) as u64);
        if due <= sent {
            thread::sleep(Duration::from_micros(200));
        }
        let upto = due.min(sent + 256);
        while sent < upto {
            let shot = shot(&mut chance);
            let source = match shot.source {
                Source::Any => Ipv4Addr::from(0x7f00_0000 | chance.draw() as u32 & 0x007f_ffff),
                Source::One(source) => source,
            };
            let buffers = [IoSlice::new(&shot.packet)];
            let control = leaving_from(source);
            let message = MsgHdr::new().with_addr(&to).with_buffers(&buffers).with_control(&control);
            // A full buffer is the attacker's own loss.
            let _ = SockRef::from(&socket).sendmsg(&message, 0);
            sent += 1;
        }
        while socket.recv(&mut scratch).is_ok() {}
    }
    Ok(sent)
}

/// A control message that has a datagram leave from this address: `cmsghdr` and behind it `in_pktinfo` (ip(7)).
fn leaving_from(source: Ipv4Addr) -> Vec<u8> {
    const IP_PKTINFO: i32 = 8;
    let head = size_of::<usize>() + 2 * size_of::<i32>();
    let mut control = (head + 12).to_ne_bytes().to_vec();
    control.extend(0_i32.to_ne_bytes());
    control.extend(IP_PKTINFO.to_ne_bytes());
    control.extend(0_i32.to_ne_bytes());
    control.extend(source.octets());
    control.extend([0; 4]);
    control.resize(control.len().next_multiple_of(size_of::<usize>()), 0);
    control
}

/// Clients that ask now and then, and wait for their answers.
struct Clients {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Clients {
    fn start(server: SocketAddrV4) -> Result<Clients> {
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, answered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for client in 0..CLIENTS {
            let own = Ipv4Addr::from(0x7f80_0001 | client << 14);
            let socket = UdpSocket::bind((own, 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let (stop, asked, answered) = (stop.clone(), asked.clone(), answered.clone());
            threads.push(thread::spawn(move || {
                let mut id = client as u16;
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    id = id.wrapping_add(CLIENTS as u16);
                    asked.fetch_add(1, Ordering::Relaxed);
                    answered.fetch_add(u64::from(is_answered(&socket, id)), Ordering::Relaxed);
                    thread::sleep(ASKED_EVERY.saturating_sub(begun.elapsed()));
                }
            }));
        }
        Ok(Clients { stop, asked, answered, threads })
    }

    fn stop(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "a client panicked")?;
        }
        Ok((self.asked.load(Ordering::Relaxed), self.answered.load(Ordering::Relaxed)))
    }
}

/// Whether a whole answer comes in time: one with an address.
fn is_answered(socket: &UdpSocket, id: u16) -> bool {
    let mut reply = [0; 2048];
    if socket.send(&query(id, &[b"www", b"example", b"com"])).is_err() {
        return false;
    }
    loop {
        let Ok(length) = socket.recv(&mut reply) else { return false };
        match reply.get(..length) {
            Some([high, low, flags, _, _, _, _, 1, ..]) if [*high, *low] == id.to_be_bytes() => {
                return flags & 2 == 0;
            }
            Some([high, low, ..]) if [*high, *low] == id.to_be_bytes() => return false,
            // A late answer to an earlier query.
            _ => {}
        }
    }
}

/// The server that is attacked.
struct Server {
    child: Child,
    dns: SocketAddrV4,
    control: SocketAddr,
    folder: std::path::PathBuf,
}

impl Server {
    fn start(meridian: &str) -> Result<Server> {
        // Closed again at once: the server opens them.
        let port = || Ok::<u16, std::io::Error>(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port());
        let (dns, control) = (port()?, port()?);
        let folder = std::env::temp_dir().join(format!("meridian-attack-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("zones"))?;
        std::fs::write(
            folder.join("meridian.toml"),
            format!(
                "[server]\nlisten = [\"127.0.0.1:{dns}\"]\nworkers = 1\nstate = \"off\"\n\
                 [control]\nlisten = \"127.0.0.1:{control}\"\n[rate_limit]\n"
            ),
        )?;
        let zone = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n";
        std::fs::write(folder.join("zones/example.com.zone"), zone)?;
        let config = folder.join("meridian.toml");
        let child = Command::new(meridian)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Server {
            child,
            dns: SocketAddrV4::new(Ipv4Addr::LOCALHOST, dns),
            control: SocketAddr::from((Ipv4Addr::LOCALHOST, control)),
            folder,
        };
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(server.dns)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let begun = Instant::now();
        while !is_answered(&socket, 1) {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err("the server does not answer".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    fn resident_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    /// The sum of the metrics whose line begins so.
    fn metric(&self, begin: &str) -> Result<f64> {
        let mut stream = TcpStream::connect(self.control)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.control)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let values = text.lines().filter(|line| line.starts_with(begin));
        Ok(values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    fn replies(&self) -> Result<f64> {
        self.metric("meridian_replies_total{transport=\"udp\"")
    }

    fn refused(&self) -> Result<f64> {
        self.metric("meridian_rate_limited_total{")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
