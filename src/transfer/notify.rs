//! NOTIFY out (RFC 1996): each secondary is told of a new version, again and again until it answers, a bounded
//! number of times.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::journal::News;
use crate::telemetry::{Telemetry, TransferEvent};
use crate::tsig::sign_request;
use crate::view::Target;
use crate::wire::{Class, HEADER_OCTETS, MESSAGE_OCTETS_MAX, Opcode, Rtype, name_text};

/// How often a target is told that does not answer (RFC 1996 section 3.6 suggests 5).
const ATTEMPTS_MAX: u32 = 5;
/// The wait for the first answer; each further wait is twice as long: a minute in all. A secondary that is away
/// for longer comes by its own timers.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// AA and the opcode NOTIFY.
const FLAGS: u8 = Opcode::NOTIFY.0 << 3 | 0x04;

/// How a secondary took it.
enum Outcome {
    Answered,
    /// It answered with an RCODE that is no success.
    Refused(u8),
    /// It did not answer, or not believably.
    Silent,
    /// The message could not be sent at all.
    Unsent(std::io::Error),
}

/// Tells every target of a version, all at the same time.
pub async fn tell(news: News, notifies: Arc<Semaphore>, telemetry: Arc<Telemetry>) {
    let news = Arc::new(news);
    let mut tasks = JoinSet::new();
    for target in &news.targets {
        let (news, target) = (news.clone(), target.clone());
        let (notifies, telemetry) = (notifies.clone(), telemetry.clone());
        tasks.spawn(async move {
            let Ok(_turn) = notifies.acquire().await else { return };
            let outcome = told(&news, &target).await;
            report(&news, &target, &outcome, &telemetry);
        });
    }
    while tasks.join_next().await.is_some() {}
}

fn report(news: &News, target: &Target, outcome: &Outcome, telemetry: &Telemetry) {
    let (zone, serial, to) = (name_text(news.origin.octets()), news.image.serial, target.address);
    let event = match outcome {
        Outcome::Answered => {
            tracing::info!(zone, serial, %to, "a secondary knows of the new version");
            TransferEvent::Notified
        }
        Outcome::Refused(rcode) => {
            tracing::warn!(zone, serial, %to, rcode, "a secondary does not take our NOTIFY");
            TransferEvent::NotifyFailed
        }
        Outcome::Silent => {
            tracing::warn!(zone, serial, %to, "a secondary does not answer our NOTIFY");
            TransferEvent::NotifyFailed
        }
        Outcome::Unsent(error) => {
            tracing::warn!(zone, serial, %to, %error, "NOTIFY cannot be sent");
            TransferEvent::NotifyFailed
        }
    };
    telemetry.transfers.happened(event);
}

async fn told(news: &News, target: &Target) -> Outcome {
    // The kernel chooses the port, anew for each target; answers of others do not get in.
    let any: SocketAddr = match target.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = match UdpSocket::bind(any).await {
        Ok(socket) => socket,
        Err(error) => return Outcome::Unsent(error),
    };
    if let Err(error) = socket.connect(target.address).await {
        return Outcome::Unsent(error);
    }
    let mut wait = FIRST_WAIT;
    for _ in 0..ATTEMPTS_MAX {
        if let Some(outcome) = attempt(news, target, &socket, Instant::now() + wait).await {
            return outcome;
        }
        wait *= 2;
    }
    Outcome::Silent
}

/// Sends once and waits for the answer until the deadline; `None`: there was none.
async fn attempt(news: &News, target: &Target, socket: &UdpSocket, deadline: Instant) -> Option<Outcome> {
    let id = RandomState::new().hash_one(news.image.serial) as u16;
    let mut message = message(news, id);
    let mut verifier =
        target.key.as_ref().and_then(|key| sign_request(key, &mut message, seconds_since_1970()));
    let sent = socket.send(&message).await;
    let mut buffer = vec![0; MESSAGE_OCTETS_MAX];
    loop {
        let received = match (&sent, timeout_at(deadline, socket.recv(&mut buffer)).await) {
            (_, Err(_)) => return None,
            // An ICMP error: the port may open before the next attempt.
            (_, Ok(Err(_))) => {
                tokio::time::sleep_until(deadline).await;
                return None;
            }
            (_, Ok(Ok(octets))) => buffer.get(..octets).unwrap_or_default(),
        };
        let [id1, id0, flags, low, ..] = *received.get(..HEADER_OCTETS).unwrap_or_default() else { continue };
        let is_answer = u16::from_be_bytes([id1, id0]) == id && flags & 0xf8 == 0x80 | Opcode::NOTIFY.0 << 3;
        let proven = verifier.as_mut().is_none_or(|own| own.accept(received, seconds_since_1970()).is_ok());
        match low & 0x0f {
            _ if !is_answer => {}
            // Who refuses our key cannot sign it.
            rcode @ 1.. => return Some(Outcome::Refused(rcode)),
            0 if proven => return Some(Outcome::Answered),
            0 => return None,
        }
    }
}

/// NOTIFY with the new SOA as its answer section (RFC 1996 section 3.7).
fn message(news: &News, id: u16) -> Vec<u8> {
    let (origin, (ttl_s, soa)) = (news.origin.octets(), &news.image.soa);
    let mut message = id.to_be_bytes().to_vec();
    message.extend([FLAGS, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    message.extend(origin);
    message.extend(Rtype::SOA.0.to_be_bytes());
    message.extend(Class::IN.0.to_be_bytes());
    message.extend([0xc0, HEADER_OCTETS as u8]);
    message.extend(Rtype::SOA.0.to_be_bytes());
    message.extend(Class::IN.0.to_be_bytes());
    message.extend(ttl_s.to_be_bytes());
    message.extend((soa.len() as u16).to_be_bytes());
    message.extend(soa);
    message
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
