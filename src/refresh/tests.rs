//! Primaries as they should be and as they must not be, on sockets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::check::check;
use super::{Failure, Found, Loaded, Order, Store, Way};
use crate::compile::secondary::tests::{data, recipe};
use crate::config::Primary;
use crate::secondary::ZoneData;
use crate::wire::Rtype;

/// What a stand-in primary does with one query after the other.
#[derive(Clone)]
enum Does {
    /// Answers with these records of `example`, in a message each.
    Answer(Vec<Vec<u8>>),
    /// The same, and then nothing more: the connection ends.
    Cut(Vec<Vec<u8>>),
    /// The first record, and then this one for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Response code.
    Refuse(u8),
    /// These octets.
    Octets(Vec<u8>),
    /// Closes.
    Close,
}

fn record(owner: &[u8], rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [owner, b"\x07example\x00", &rtype.0.to_be_bytes(), &[0, 1, 0, 0, 0, 60], &length, rdata].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    let times = [serial, 3600, 600, 604_800, 60].map(u32::to_be_bytes).concat();
    record(b"", Rtype::SOA, &[&[0, 0][..], &times].concat())
}

fn ns() -> Vec<u8> {
    record(b"", Rtype::NS, b"\x02ns\x03net\x00")
}

fn a(last: u8) -> Vec<u8> {
    record(b"\x01x", Rtype::A, &[192, 0, 2, last])
}

fn whole(serial: u32) -> Vec<Vec<u8>> {
    vec![soa(serial), ns(), a(1), soa(serial)]
}

async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = stream.read_u16().await.ok()?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// An answer to a query with one record, or none.
fn message(query: &[u8], rcode: u8, record: Option<&[u8]>) -> Vec<u8> {
    let question = query[12..].split(|octet| *octet == 0).next().unwrap().len() + 1 + 4;
    let counts = [[0, 1], u16::from(record.is_some()).to_be_bytes(), [0, 0], [0, 0]].concat();
    let message =
        [&query[..2], &[0x84, rcode], &counts, &query[12..12 + question], record.unwrap_or(&[])].concat();
    [&(message.len() as u16).to_be_bytes()[..], &message].concat()
}

async fn act(stream: &mut TcpStream, does: &Does, query: &[u8]) -> std::io::Result<bool> {
    match does {
        Does::Answer(records) | Does::Cut(records) => {
            for record in records {
                stream.write_all(&message(query, 0, Some(record))).await?;
            }
            Ok(matches!(does, Does::Answer(_)))
        }
        Does::Endless(first, again) => {
            stream.write_all(&message(query, 0, Some(first))).await?;
            loop {
                stream.write_all(&message(query, 0, Some(again))).await?;
            }
        }
        Does::Refuse(rcode) => stream.write_all(&message(query, *rcode, None)).await.map(|()| true),
        Does::Octets(octets) => stream.write_all(octets).await.map(|()| true),
        Does::Close => Ok(false),
    }
}

/// A primary that does these things, whoever asks for what.
async fn primary(script: Vec<Does>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut script = script.into_iter();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            while let Some(query) = read(&mut stream).await {
                let Some(does) = script.next() else { return };
                // Who breaks off has had enough.
                if !act(&mut stream, &does, &query).await.unwrap_or(false) {
                    break;
                }
            }
        }
    });
    address
}

/// Asks such a primary, with this data here, and limits.
async fn ask(script: Vec<Does>, have: Option<ZoneData>, limits: &str) -> Result<Found, Failure> {
    let address = primary(script).await;
    let recipe = recipe(&format!("[secondary]\nprimaries = \"{address}\"\n{limits}"));
    let order = Order {
        number: 1,
        recipe: Arc::new(recipe),
        primary: Primary { address, key: None, tls: None },
        key: None,
        data: have.map(Arc::new),
        force: false,
        draw: 0x1234_5678_9abc_def0,
    };
    check(order, None, &tokio::sync::Semaphore::new(1), Instant::now()).await
}

async fn fails(script: Vec<Does>, have: Option<u32>, expected: &str) {
    let limits = "records_max = 100\ntransfer_timeout = \"20s\"";
    let have = have.map(|serial| data(serial, &[]));
    let found = ask(script, have, limits).await;
    let failure = found.err().unwrap_or_else(|| panic!("not {expected}")).to_string();
    assert!(failure.contains(expected), "{failure}");
}

fn serial(serial: u32) -> Does {
    Does::Answer(vec![soa(serial)])
}

#[tokio::test]
async fn a_zone_is_fetched_whole_the_first_time() {
    let found = ask(vec![serial(5), Does::Answer(whole(5))], None, "").await;
    let Ok(Found::Newer(fresh)) = found else { panic!() };
    assert_eq!((fresh.data.soa().serial, fresh.way), (5, Way::Whole));
}

#[tokio::test]
async fn what_is_here_already_is_not_fetched() {
    assert!(matches!(ask(vec![serial(5)], Some(data(5, &[])), "").await, Ok(Found::Same)));
    // A serial that goes backwards, or just opposite on the circle, replaces nothing.
    for old in [4, 5 + (1 << 31)] {
        let found = ask(vec![serial(old)], Some(data(5, &[])), "").await;
        assert!(matches!(found, Ok(Found::Behind(serial)) if serial == old));
    }
    // Nor does one that the SOA query did not show.
    let script = vec![serial(6), Does::Answer(whole(4)), Does::Answer(whole(4))];
    assert!(matches!(ask(script, Some(data(5, &[])), "").await, Ok(Found::Behind(4))));
}

#[tokio::test]
async fn differences_are_applied_and_the_whole_is_fetched_where_they_do_not_fit() {
    let steps = |removed: Vec<u8>| Does::Answer(vec![soa(6), soa(5), removed, soa(6), a(2), soa(6)]);
    let have = || Some(data(5, &[("x", Rtype::A, &[192, 0, 2, 1])]));
    let Ok(Found::Newer(fresh)) = ask(vec![serial(6), steps(a(1))], have(), "").await else { panic!() };
    assert_eq!((fresh.data.soa().serial, fresh.way), (6, Way::Steps(1)));
    let instead = |found: Result<Found, Failure>, expected: &str| {
        let Ok(Found::Newer(fresh)) = found else { panic!("{expected}") };
        let Way::WholeInstead(why) = &fresh.way else { panic!("{expected}: {:?}", fresh.way) };
        assert!(why.contains(expected), "{why}");
        assert_eq!(fresh.data.soa().serial, 6);
    };
    let after = |does: Does| vec![serial(6), does, Does::Answer(whole(6))];
    instead(ask(after(steps(a(9))), have(), "").await, "x.example A is removed and is not here");
    instead(ask(after(Does::Refuse(4)), have(), "").await, "NOTIMP");
    instead(ask(after(Does::Refuse(1)), have(), "").await, "FORMERR");
    instead(ask(after(Does::Cut(vec![soa(6), soa(5)])), have(), "").await, "closed the connection");
    let chain = Does::Answer(vec![soa(6), soa(3)]);
    instead(ask(after(chain), have(), "").await, "after serial 5 comes 3");
    let nothing = Does::Answer(vec![soa(5)]);
    instead(ask(after(nothing), have(), "").await, "by IXFR it has serial 5 only");
    // What makes no zone is no difference, either.
    let beside = vec![soa(6), soa(5), soa(6), record(b"\x01x", Rtype::CNAME, b"\x01y\x00"), soa(6)];
    instead(ask(after(Does::Answer(beside)), have(), "").await, "x.example has a CNAME beside other data");
}

#[tokio::test]
async fn bad_primaries_do_no_harm() {
    for have in [None, Some(1)] {
        fails(vec![Does::Close], have, "closed the connection").await;
        fails(vec![Does::Refuse(5)], have, "asked for the SOA: the primary answers REFUSED").await;
        fails(vec![Does::Octets(vec![0, 3, 1, 2, 3])], have, "ends too early").await;
        fails(vec![Does::Octets(vec![0, 0])], have, "ends too early").await;
        fails(vec![Does::Answer(vec![a(1)])], have, "does not begin with the zone's SOA").await;
    }
    let fails = |does: Does, expected: &'static str| fails(vec![serial(5), does], None, expected);
    fails(Does::Endless(soa(5), a(1)), "more records than `records_max`").await;
    fails(Does::Cut(vec![soa(5), ns()]), "closed the connection before the end").await;
    fails(Does::Answer(vec![soa(5), ns(), soa(6)]), "begins with serial 5 and ends with serial 6").await;
    fails(Does::Answer(vec![ns()]), "does not begin with the zone's SOA").await;
    let elsewhere = [&b"\x01x\x03net\x00"[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 1, 2, 3, 4]].concat();
    fails(Does::Answer(vec![soa(5), elsewhere]), "x.net A is outside the zone").await;
    fails(Does::Answer(vec![soa(5), soa(5)]), "the zone is refused: the zone example has no NS").await;
    let mx = record(b"\x01x", Rtype::MX, &[0, 1]);
    fails(Does::Answer(vec![soa(5), mx]), "data do not fit its type").await;
    let nobody = ask(vec![], None, "").await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn a_primary_that_drips_is_given_up() {
    let limits = "records_max = 100000000\noctets_max = 4294967295\ntransfer_timeout = \"1s\"";
    let begun = Instant::now();
    let found = ask(vec![serial(5), Does::Endless(soa(5), a(1))], None, limits).await;
    assert!(matches!(found, Err(Failure::TooSlow)));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn what_is_stored_is_found_again_and_what_was_half_written_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::within(folder.path());
    let recipe = recipe("[secondary]\nprimaries = \"192.0.2.1\"\n");
    assert!(matches!(store.load(&recipe), Loaded::Nothing));
    store.keep(&recipe.name, &data(1, &[])).unwrap();
    store.keep(&recipe.name, &data(2, &[])).unwrap();
    // A process that was killed while it wrote leaves this.
    let octets = data(3, &[]).to_octets();
    std::fs::write(folder.path().join("secondary/example.new.1"), &octets[..octets.len() / 2]).unwrap();
    let Loaded::Kept(kept, age) = store.load(&recipe) else { panic!() };
    assert_eq!(kept.soa().serial, 2);
    assert!(age < Duration::from_secs(60));
    // Cut in the midst of it, at any octet, it is set aside.
    let path = folder.path().join("secondary/example.copy");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let Loaded::SetAside(_, Some(aside)) = store.load(&recipe) else { panic!("{length}") };
        assert!(aside.exists() && !path.exists());
    }
}
