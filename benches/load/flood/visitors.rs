//! Well-behaved clients of TCP and TLS, that ask now and then: each question over a connection of its own, or all of them
//! over one.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Result;
use crate::packet;

/// How often each asks.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// How long each waits for an answer, the connection and the handshake before it among that.
const PATIENCE: Duration = Duration::from_secs(2);

/// Clients that ask until they are told to stop.
pub struct Visitors {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Answers>>,
}

/// What came of a client's questions.
#[derive(Default)]
pub struct Answers {
    asked: u32,
    answered: u32,
    times_ms: Vec<f64>,
}

impl Visitors {
    /// Over TCP with connections of their own, over TLS likewise, and over one connection of TLS.
    pub fn start(dns: SocketAddr, tls: SocketAddr, config: Arc<ClientConfig>) -> Result<Visitors> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        let mut start = |mut ask: Box<dyn FnMut() -> Result<()> + Send>| {
            let stop = Arc::clone(&stop);
            threads.push(std::thread::spawn(move || ask_until(&stop, &mut ask)));
        };
        start(Box::new(move || asked(&mut connect(dns, 1)?)));
        let settings = Arc::clone(&config);
        start(Box::new(move || asked(&mut secured(tls, 2, &settings)?)));
        let mut kept = Some(secured(tls, 3, &config)?);
        start(Box::new(move || {
            let mut stream = match kept.take() {
                Some(stream) => stream,
                None => secured(tls, 3, &config)?,
            };
            asked(&mut stream)?;
            kept = Some(stream);
            Ok(())
        }));
        Ok(Visitors { stop, threads })
    }

    /// Ends them, and says what came of them, in the order of `start`.
    pub fn stop(self) -> [Answers; 3] {
        self.stop.store(true, Ordering::Relaxed);
        let mut answers = self.threads.into_iter().map(|thread| thread.join().unwrap_or_default());
        [(); 3].map(|()| answers.next().unwrap_or_default())
    }
}

fn ask_until(stop: &AtomicBool, ask: &mut dyn FnMut() -> Result<()>) -> Answers {
    let mut answers = Answers::default();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        answers.asked += 1;
        if ask().is_ok() && begun.elapsed() < PATIENCE {
            answers.answered += 1;
            answers.times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        std::thread::sleep(ASKED_EVERY.saturating_sub(begun.elapsed()));
    }
    answers
}

/// From an address of its own, where the server is on loopback.
fn connect(server: SocketAddr, client: u8) -> Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    if server.ip().is_loopback() {
        socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 200, client, 1), 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&server.into(), PATIENCE)?;
    Ok(socket.into())
}

type Secured = StreamOwned<ClientConnection, TcpStream>;

fn secured(server: SocketAddr, client: u8, config: &Arc<ClientConfig>) -> Result<Secured> {
    let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
    let mut stream = connect(server, client)?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(tls, stream))
}

/// Asks one question and waits for its answer.
fn asked(stream: &mut (impl Read + Write)) -> Result<()> {
    let question = packet::canary_question();
    stream.write_all(&[&(question.len() as u16).to_be_bytes(), &question[..]].concat())?;
    stream.flush()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply)?;
    Ok(packet::canary_in(&reply).map(|_| ()).ok_or("a wrong answer")?)
}

impl fmt::Display for Answers {
    /// As a cell of a table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut times = self.times_ms.clone();
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        let share = f64::from(self.answered) * 100.0 / f64::from(self.asked.max(1));
        write!(f, "{share:.0} % of {}, {median:.1} ms", self.asked)
    }
}
