//! Reloads under load: how long until an answer shows the new data, and what is lost meanwhile.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::compare::{GENERATOR_CORE, Load, checked};
use crate::generator::{Between, Generator, Outcome};
use crate::packet::{self, Kind};
use crate::servers::{Change, Peer, Running, Setup};
use crate::socket;
use crate::statistics::median;

/// Queries sent in each second meanwhile: a fraction of what the slowest server can answer with half a core.
const QUERIES_PER_SECOND: f64 = 10_000.0;
/// A server that does not show the new data by then is not reloading.
const RELOAD_MAX: Duration = Duration::from_secs(60);
/// Between two reloads, and before the first.
const REST: Duration = Duration::from_millis(300);
/// How often the changed name is asked: the resolution of the times.
const ASK_AGAIN: Duration = Duration::from_millis(2);

/// What came of the reloads of one server.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// Who.
    pub peer: Peer,
    /// What had changed.
    pub change: Change,
    /// From the order until an answer showed the new data, in seconds.
    pub took_s: Vec<f64>,
    /// Of the load meanwhile.
    pub outcome: Outcome,
}

impl Reloads {
    /// A line about them.
    pub fn line(&self) -> String {
        format!(
            "reload {:<4} {:<9} {:>6.3} s (median of {}), {} of {} queries lost, {} wrong, slowest answer {:.1} ms",
            self.change.name(),
            self.peer.name(),
            median(&self.took_s),
            self.took_s.len(),
            self.outcome.lost,
            self.outcome.answered + self.outcome.lost + self.outcome.wrong,
            self.outcome.wrong,
            self.outcome.latency.max_us() / 1000.0,
        )
    }
}

/// Starts a server, puts an even load on it and has it reload so many times.
pub fn measure(setup: &Setup, peer: Peer, change: Change, times: usize) -> Result<Reloads> {
    let running = setup.start(peer)?;
    let kind = if peer.answers(Kind::Subnet) { Kind::Subnet } else { Kind::Static };
    let mut load = Load::new(setup.world, &[kind]);
    let address = running.server.address;
    let queries = load.of(kind)?;
    let is_over = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut load = || {
                socket::pin(GENERATOR_CORE)?;
                let mut generator = Generator::open_loop(address, queries, checked(peer))?;
                generator.run_at(QUERIES_PER_SECOND, Between::Sleep, || is_over.load(Ordering::Relaxed))
            };
            // An error of any kind cannot cross threads; its text can.
            load().map_err(|error: Box<dyn std::error::Error>| error.to_string())
        });
        let took = reload(setup, &running, change, times);
        is_over.store(true, Ordering::Relaxed);
        let outcome = loading.join().map_err(|_| "the load's thread ended")?;
        Ok::<_, Box<dyn std::error::Error>>((took?, outcome?))
    });
    let ended = running.end();
    let (took_s, outcome) = outcome?;
    ended?;
    Ok(Reloads { peer, change, took_s, outcome })
}

fn reload(setup: &Setup, running: &Running, change: Change, times: usize) -> Result<Vec<f64>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(running.server.address)?;
    socket.set_read_timeout(Some(ASK_AGAIN))?;
    let mut took = Vec::new();
    for canary in 1..=u8::try_from(times)? {
        std::thread::sleep(REST);
        running.change(setup, change, canary)?;
        let start = Instant::now();
        running.reload(change)?;
        while canary_shown(&socket)? != Some(packet::canary_address(canary)) {
            if start.elapsed() > RELOAD_MAX {
                return Err(format!("no new data within {} s", RELOAD_MAX.as_secs()).into());
            }
            std::thread::sleep(ASK_AGAIN);
        }
        took.push(start.elapsed().as_secs_f64());
    }
    std::thread::sleep(REST);
    Ok(took)
}

/// The address of the changing name, if there was an answer in time.
fn canary_shown(socket: &UdpSocket) -> Result<Option<Ipv4Addr>> {
    // Refused while nobody listens: as good as no answer.
    if socket.send(&packet::canary_question()).is_err() {
        return Ok(None);
    }
    let mut reply = [0; 1232];
    let octets = socket.recv(&mut reply).unwrap_or(0);
    Ok(packet::canary_in(&reply[..octets]))
}
