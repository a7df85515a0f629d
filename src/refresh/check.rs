//! One primary asked: its serial, then what is newer, in differences or whole.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::connection::Connection;
use super::seal::Seal;
use super::store::Store;
use super::{Found, Fresh, Order, Way};
use crate::compile::secondary::Refusal;
use crate::secondary::serial::{Compared, compare};
use crate::secondary::{
    Bad, Differences, Incoming, Malformed, Message, Progress, Soa, Transferred, Wanted, ZoneData,
};
use crate::tsig::Unproven;
use crate::wire::{Class, Name, Rtype};

/// Why a primary was of no use.
#[derive(Debug)]
pub enum Failure {
    /// It cannot be reached.
    Connect(io::Error),
    /// Its certificate is not accepted, or it does not speak TLS.
    Tls(io::Error),
    /// The authorities that its certificate is judged by cannot be read.
    Authorities(io::Error),
    /// The connection broke.
    Broken(io::Error),
    /// Nothing came in time.
    Timeout(&'static str),
    /// The whole took too long.
    TooSlow,
    /// It does something else than is asked.
    Protocol(&'static str),
    /// It is configured with a key that is not there.
    NoKey(String),
    /// What it says is not proven.
    Unproven(Unproven),
    /// Its answer to the question for the SOA cannot be used.
    Serial(Bad),
    /// What it sent is broken.
    Bad(Bad),
    /// What it sent makes no zone.
    Refused(Refusal),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(error) => write!(f, "it cannot be reached: {error}"),
            Failure::Tls(error) => write!(f, "no TLS with it: {error}"),
            Failure::Authorities(error) => write!(f, "whom to trust cannot be read: {error}"),
            Failure::Broken(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("it closed the connection before the end")
            }
            Failure::Broken(error) => write!(f, "the connection broke: {error}"),
            Failure::Timeout(what) => write!(f, "it took too long: {what}"),
            Failure::TooSlow => f.write_str("the transfer took longer than `transfer_timeout`"),
            Failure::Protocol(what) => f.write_str(what),
            Failure::NoKey(key) => write!(f, "there is no key `{key}`"),
            Failure::Unproven(why) => write!(f, "its answer is not believed: {why}"),
            Failure::Serial(bad) => write!(f, "asked for the SOA: {bad}"),
            Failure::Bad(bad) => write!(f, "the transfer is broken off: {bad}"),
            Failure::Refused(refusal) => write!(f, "the zone is refused: {refusal}"),
        }
    }
}

/// What came of a conversation.
enum Came {
    Same,
    Behind(u32),
    Steps(Differences),
    Whole(Box<ZoneData>, Way),
}

/// Does what is ordered.
pub(super) async fn check(
    order: Order,
    store: Option<Store>,
    fetches: &Semaphore,
    begun: Instant,
) -> Result<Found, Failure> {
    if let (Some(name), None) = (&order.primary.key, &order.key) {
        return Err(Failure::NoKey(name.clone()));
    }
    let limit = order.recipe.secondary.limits.transfer_timeout;
    let came = timeout(limit, converse(&order, fetches)).await.unwrap_or(Err(Failure::TooSlow))?;
    let order = Arc::new(order);
    let why = match came {
        Came::Same => {
            let (own, store) = (order.clone(), store.zip(order.data.clone()));
            blocking(move || store.map(|(store, data)| store.confirm(&own.recipe.name, &data))).await?;
            return Ok(Found::Same);
        }
        Came::Behind(serial) => return Ok(Found::Behind(serial)),
        Came::Whole(data, way) => return finish(&order, store, *data, way, begun).await,
        Came::Steps(steps) => {
            let (own, many) = (order.clone(), steps.steps.len());
            let changed = blocking(move || {
                let limits = &own.recipe.secondary.limits;
                own.data.as_ref().map(|data| data.changed(&steps, limits))
            });
            match changed.await? {
                Some(Ok(data)) => {
                    let way = Way::Steps(many);
                    match finish(&order, store.clone(), data, way, begun).await {
                        Err(Failure::Refused(refusal)) => refusal.to_string(),
                        done => return done,
                    }
                }
                Some(Err(why)) => why.to_string(),
                None => String::new(),
            }
        }
    };
    let data = timeout(limit, whole(&order)).await.unwrap_or(Err(Failure::TooSlow))?;
    finish(&order, store, data, Way::WholeInstead(why), begun).await
}

/// Asks for the serial, and fetches what is newer.
async fn converse(order: &Order, fetches: &Semaphore) -> Result<Came, Failure> {
    let mut connection = Connection::open(&order.primary).await?;
    let serial = serial(&mut connection, order).await?;
    let have = order.data.as_ref().filter(|_| !order.force).map(|data| data.soa().serial);
    if have.is_some_and(|have| compare(serial, have) == Compared::Equal) {
        return Ok(Came::Same);
    }
    // Held until the zone is read.
    let _place = fetches.acquire().await;
    let Some(have) = have else {
        return Ok(Came::Whole(Box::new(transfer_whole(&mut connection, order).await?), Way::Whole));
    };
    match compare(serial, have) {
        Compared::Newer => {}
        Compared::Equal => return Ok(Came::Same),
        Compared::Older | Compared::Undefined => return Ok(Came::Behind(serial)),
    }
    let why = match transfer(&mut connection, order, Wanted::Since(have)).await {
        Ok(Transferred::Differences(steps)) => return Ok(Came::Steps(*steps)),
        Ok(Transferred::Whole(data)) => return Ok(Came::Whole(data, Way::Whole)),
        Ok(Transferred::NothingNew(serial)) => format!("by IXFR it has serial {serial} only"),
        // Who does not have the key, or the time, does not have it for the whole zone either.
        Err(Failure::Unproven(why)) => return Err(Failure::Unproven(why)),
        Err(why) => why.to_string(),
    };
    // The connection may be in the midst of something.
    drop(connection);
    Ok(Came::Whole(Box::new(whole(order).await?), Way::WholeInstead(why)))
}

/// The serial that the primary has.
async fn serial(connection: &mut Connection, order: &Order) -> Result<u32, Failure> {
    let id = order.draw as u16;
    let mut request = question(id, &order.recipe.origin, Rtype::SOA, None);
    let mut seal = Seal::request(order.key.as_ref(), &mut request)?;
    connection.send(&request).await?;
    let mut buffer = Vec::new();
    let octets = connection.receive(&mut buffer).await?;
    let message = Message::new(octets).map_err(|why| Failure::Serial(Bad::Malformed(why)))?;
    let head = message.head();
    if head.id != id || !head.is_response || head.opcode != 0 {
        return Err(Failure::Serial(Bad::OtherQuestion));
    }
    seal.accept(octets)?;
    seal.end()?;
    if head.rcode != 0 {
        return Err(Failure::Serial(Bad::Refused(head.rcode)));
    }
    if head.truncated {
        return Err(Failure::Serial(Bad::Truncated));
    }
    if !head.authoritative {
        return Err(Failure::Protocol(
            "it has no authority for the zone: it does not have it, or it has expired there",
        ));
    }
    let malformed = |why: Malformed| Failure::Serial(Bad::Malformed(why));
    for record in message.answers().map_err(malformed)? {
        let record = record.map_err(malformed)?;
        if record.owner == order.recipe.origin && record.rtype == Rtype::SOA && record.class == Class::IN {
            let soa = Soa::from_rdata(&record.rdata);
            return soa.map(|soa| soa.serial).ok_or(malformed(Malformed::Data));
        }
    }
    Err(Failure::Serial(Bad::NoSoa))
}

/// The whole zone, over a connection of its own.
async fn whole(order: &Order) -> Result<ZoneData, Failure> {
    let mut connection = Connection::open(&order.primary).await?;
    transfer_whole(&mut connection, order).await
}

async fn transfer_whole(connection: &mut Connection, order: &Order) -> Result<ZoneData, Failure> {
    match transfer(connection, order, Wanted::Whole).await? {
        Transferred::Whole(data) => Ok(*data),
        Transferred::Differences(_) | Transferred::NothingNew(_) => Err(Failure::Bad(Bad::OtherQuestion)),
    }
}

async fn transfer(
    connection: &mut Connection,
    order: &Order,
    wanted: Wanted,
) -> Result<Transferred, Failure> {
    let (rtype, since, turn) = match wanted {
        Wanted::Whole => (Rtype::AXFR, None, 32),
        Wanted::Since(serial) => (Rtype::IXFR, Some(serial), 16),
    };
    let id = (order.draw >> turn) as u16;
    let origin = &order.recipe.origin;
    let mut request = question(id, origin, rtype, since);
    let mut seal = Seal::request(order.key.as_ref(), &mut request)?;
    connection.send(&request).await?;
    let mut incoming = Incoming::new(origin, wanted, id, &order.recipe.secondary.limits);
    let mut buffer = Vec::new();
    loop {
        let message = connection.receive(&mut buffer).await?;
        seal.accept(message)?;
        if let Progress::Done(transferred) = incoming.accept(message).map_err(Failure::Bad)? {
            seal.end()?;
            return Ok(transferred);
        }
    }
}

/// Judges data, stores them, and makes the report.
async fn finish(
    order: &Arc<Order>,
    store: Option<Store>,
    data: ZoneData,
    way: Way,
    begun: Instant,
) -> Result<Found, Failure> {
    let (order, serial) = (order.clone(), data.soa().serial);
    let have = order.data.as_ref().filter(|_| !order.force).map(|data| data.soa().serial);
    if have.is_some_and(|have| compare(serial, have) != Compared::Newer) {
        return Ok(Found::Behind(serial));
    }
    blocking(move || {
        let laid = order.recipe.lay(&data).map_err(Failure::Refused)?;
        let stored = store.map_or(Ok(()), |store| store.keep(&order.recipe.name, &data));
        Ok(Found::Newer(Box::new(Fresh {
            data: Arc::new(data),
            laid,
            way,
            took: begun.elapsed(),
            not_stored: stored.err().map(|error| error.to_string()),
        })))
    })
    .await?
}

/// Work that takes a while, where it holds up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::Protocol("a defect: please report it"))
}

/// A question about a zone; for IXFR with the SOA that says from what serial on (RFC 1995 section 3).
fn question(id: u16, origin: &Name, rtype: Rtype, since: Option<u32>) -> Vec<u8> {
    let authority = u16::from(since.is_some());
    let counts = [[0, 1], [0, 0], authority.to_be_bytes(), [0, 0]].concat();
    let mut message = [&id.to_be_bytes()[..], &[0, 0], &counts].concat();
    message.extend_from_slice(origin.octets());
    message.extend_from_slice(&rtype.0.to_be_bytes());
    message.extend_from_slice(&Class::IN.0.to_be_bytes());
    if let Some(serial) = since {
        message.extend_from_slice(origin.octets());
        message.extend_from_slice(&Rtype::SOA.0.to_be_bytes());
        message.extend_from_slice(&Class::IN.0.to_be_bytes());
        // TTL 0, and data with two root names and nothing but the serial.
        message.extend_from_slice(&[0, 0, 0, 0, 0, 22, 0, 0]);
        message.extend_from_slice(&serial.to_be_bytes());
        message.extend_from_slice(&[0; 16]);
    }
    message
}
