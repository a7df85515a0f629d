//! Transfers as primaries send them, and as they must not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::wire::{Name, Rtype, parse_name};

const ID: u16 = 7;

fn name(text: &str) -> Name {
    Name::from_wire(&parse_name(text.as_bytes(), b"\x07example\x00").unwrap()).unwrap()
}

fn origin() -> Name {
    name("@")
}

/// A record in wire form.
fn record(owner: &str, rtype: Rtype, rdata: &[u8]) -> Vec<u8> {
    let length = (rdata.len() as u16).to_be_bytes();
    [name(owner).octets(), &rtype.0.to_be_bytes(), &[0, 1], &[0, 0, 0, 60], &length, rdata].concat()
}

fn soa(serial: u32) -> Vec<u8> {
    let times = [serial, 3600, 600, 604_800, 60].map(u32::to_be_bytes).concat();
    record("@", Rtype::SOA, &[name("ns").octets(), name("root").octets(), &times].concat())
}

fn a(owner: &str, last: u8) -> Vec<u8> {
    record(owner, Rtype::A, &[192, 0, 2, last])
}

fn ns() -> Vec<u8> {
    record("@", Rtype::NS, name("ns").octets())
}

/// A message of a stream with these records.
fn message(rtype: Rtype, records: &[Vec<u8>]) -> Vec<u8> {
    let count = (records.len() as u16).to_be_bytes();
    let header = [ID.to_be_bytes(), [0x84, 0], [0, 1], count, [0, 0], [0, 0]].concat();
    let question = [origin().octets(), &rtype.0.to_be_bytes(), &[0, 1]].concat();
    [header, question, records.concat()].concat()
}

/// Feeds messages until the end.
fn transfer(wanted: Wanted, messages: &[Vec<u8>], limits: &Limits) -> Result<Option<Transferred>, Bad> {
    let mut incoming = Incoming::new(&origin(), wanted, ID, limits);
    for message in messages {
        if let Progress::Done(transferred) = incoming.accept(message)? {
            return Ok(Some(transferred));
        }
    }
    Ok(None)
}

fn axfr(records: &[Vec<u8>]) -> Result<Option<Transferred>, Bad> {
    transfer(Wanted::Whole, &[message(Rtype::AXFR, records)], &Limits::USUAL)
}

/// However it is cut into messages, it is the same.
fn ixfr(have: u32, records: &[Vec<u8>]) -> Result<Option<Transferred>, Bad> {
    let whole = transfer(Wanted::Since(have), &[message(Rtype::IXFR, records)], &Limits::USUAL);
    let cut: Vec<_> = records.iter().map(|own| message(Rtype::IXFR, std::slice::from_ref(own))).collect();
    let cut = transfer(Wanted::Since(have), &cut, &Limits::USUAL);
    assert_eq!(format!("{whole:?}"), format!("{cut:?}"));
    whole
}

fn whole(records: &[Vec<u8>]) -> ZoneData {
    match axfr(records) {
        Ok(Some(Transferred::Whole(data))) => *data,
        other => panic!("{other:?}"),
    }
}

fn differences(have: u32, records: &[Vec<u8>]) -> Differences {
    match ixfr(have, records) {
        Ok(Some(Transferred::Differences(differences))) => *differences,
        other => panic!("{other:?}"),
    }
}

/// What a zone holds, to be compared.
fn held(data: &ZoneData) -> BTreeSet<String> {
    data.records().iter().map(|held| format!("{held} {} {:?}", held.ttl_s, held.rdata)).collect()
}

#[test]
fn rfc5936_2_2_a_zone_comes_between_two_equal_soas() {
    let data = whole(&[soa(5), ns(), a("www", 1), a("WWW", 1), a("www", 2), soa(5)]);
    assert_eq!((data.soa().serial, data.records().len()), (5, 4));
    let many: Vec<Vec<u8>> = std::iter::once(soa(5))
        .chain((0..200).map(|last| a("many", last)))
        .chain([soa(5)])
        .map(|record| message(Rtype::AXFR, &[record]))
        .collect();
    let Ok(Some(Transferred::Whole(data))) = transfer(Wanted::Whole, &many, &Limits::USUAL) else { panic!() };
    assert_eq!(data.records().len(), 201);
    // The end is missing.
    assert!(transfer(Wanted::Whole, &many[..150], &Limits::USUAL).unwrap().is_none());
}

#[test]
fn transfers_that_make_no_sense_are_broken_off() {
    let check = |records: &[Vec<u8>], expected: &str| {
        let bad = axfr(records).unwrap_err();
        assert!(bad.to_string().contains(expected), "{bad}");
    };
    check(&[a("www", 1)], "does not begin with the zone's SOA");
    check(&[soa(1), record("example.net.", Rtype::A, &[1; 4]), soa(1)], "example.net A is outside the zone");
    check(&[soa(1), record("www", Rtype(250), &[1; 4])], "cannot be in a zone");
    check(&[soa(1), ns(), soa(2)], "begins with serial 1 and ends with serial 2");
    check(&[soa(1), ns(), soa(1), ns()], "records follow its end");
    check(&[soa(1), record("www", Rtype::NS, b"\x03www"), soa(1)], "do not fit its type");
    check(&[], "no record");
    let with = |at: usize, octet: u8| {
        let mut octets = message(Rtype::AXFR, &[soa(1), ns(), soa(1)]);
        octets[at] = octet;
        transfer(Wanted::Whole, &[octets], &Limits::USUAL).unwrap_err().to_string()
    };
    assert!(with(1, 8).contains("another question"));
    assert!(with(2, 0x04).contains("another question"));
    assert!(with(2, 0x86).contains("cut short"));
    assert!(with(3, 5).contains("REFUSED"));
    assert!(with(3, 9).contains("NOTAUTH"));
    assert!(with(13, b'x').contains("another question"));
}

#[test]
fn endless_transfers_end_at_a_limit() {
    let limits = Limits { records_max: 100, ..Limits::USUAL };
    let mut incoming = Incoming::new(&origin(), Wanted::Whole, ID, &limits);
    incoming.accept(&message(Rtype::AXFR, &[soa(1)])).unwrap();
    let bad = (0..=255).find_map(|last| incoming.accept(&message(Rtype::AXFR, &[a("x", last)])).err());
    assert_eq!(bad, Some(Bad::TooLarge(TooLarge::Records)));
    // The same record again and again counts, too.
    let limits = Limits { octets_max: 10_000, ..Limits::USUAL };
    let mut incoming = Incoming::new(&origin(), Wanted::Whole, ID, &limits);
    incoming.accept(&message(Rtype::AXFR, &[soa(1)])).unwrap();
    let bad = (0..10_000).find_map(|_| incoming.accept(&message(Rtype::AXFR, &[a("x", 1)])).err());
    assert_eq!(bad, Some(Bad::TooLarge(TooLarge::Octets)));
    let mut incoming = Incoming::new(&origin(), Wanted::Whole, ID, &limits);
    incoming.accept(&message(Rtype::AXFR, &[soa(1)])).unwrap();
    assert_eq!(incoming.accept(&message(Rtype::AXFR, &[])).unwrap_err(), Bad::Empty);
}

#[test]
fn rfc1995_4_differences_are_applied_in_their_order() {
    let old = whole(&[soa(1), ns(), a("www", 1), a("old", 1), soa(1)]);
    let first = [soa(3), soa(1), a("old", 1), soa(2), a("new", 1)];
    let second = [soa(2), a("new", 1), soa(3), a("newer", 1), a("old", 1), soa(3)];
    let steps = differences(1, &[&first[..], &second].concat());
    let new = old.changed(&steps, &Limits::USUAL).unwrap();
    assert_eq!(held(&new), held(&whole(&[soa(3), ns(), a("www", 1), a("newer", 1), a("old", 1), soa(3)])));
    assert_eq!(new.soa().serial, 3);
}

#[test]
fn rfc1995_4_an_answer_may_be_the_whole_zone_or_nothing() {
    let Ok(Some(Transferred::Whole(data))) = ixfr(1, &[soa(9), ns(), a("www", 1), soa(9)]) else { panic!() };
    assert_eq!(data.soa().serial, 9);
    assert!(matches!(ixfr(9, &[soa(9)]), Ok(Some(Transferred::NothingNew(9)))));
    assert!(matches!(ixfr(9, &[soa(8)]), Ok(Some(Transferred::NothingNew(8)))));
    // A newer one may have its rest in the next message.
    assert!(matches!(ixfr(9, &[soa(10)]), Ok(None)));
}

#[test]
fn rfc1995_4_differences_that_do_not_fit_are_refused() {
    let old = whole(&[soa(1), ns(), a("www", 1), soa(1)]);
    let check = |records: &[Vec<u8>], expected: &str| {
        let why = match ixfr(1, records) {
            Err(bad) => bad.to_string(),
            Ok(Some(Transferred::Differences(steps))) => {
                old.changed(&steps, &Limits::USUAL).unwrap_err().to_string()
            }
            other => panic!("{other:?}"),
        };
        assert!(why.contains(expected), "{why}");
    };
    check(&[soa(2), soa(1), a("gone", 1), soa(2), soa(2)], "gone.example A is removed and is not here");
    check(&[soa(2), soa(1), soa(2), a("www", 1), soa(2)], "www.example A is added and is here already");
    check(&[soa(3), soa(2), soa(3), soa(3)], "after serial 1 comes 2");
    check(&[soa(3), soa(1), soa(2), soa(4)], "after serial 2 comes 4");
    check(&[soa(3), soa(1), soa(1)], "after serial 1 comes 1");
    let odd = [name("x").octets(), name("y").octets(), &[0, 0, 0, 1], &[0; 16]].concat();
    let odd = record("@", Rtype::SOA, &odd);
    check(&[soa(2), odd, soa(2), soa(2)], "example SOA is removed and is not here");
}

#[test]
fn what_is_stored_is_read_and_what_is_damaged_is_not() {
    let data = whole(&[soa(5), ns(), a("www", 1), a("www", 2), record("t", Rtype(65_280), &[]), soa(5)]);
    let octets = data.to_octets();
    let read = ZoneData::from_octets(&origin(), &octets, &Limits::USUAL).unwrap();
    assert_eq!(held(&read), held(&data));
    for length in 0..octets.len() {
        assert!(ZoneData::from_octets(&origin(), &octets[..length], &Limits::USUAL).is_err());
    }
    for at in 0..octets.len() {
        let mut damaged = octets.clone();
        damaged[at] ^= 0x20;
        assert!(ZoneData::from_octets(&origin(), &damaged, &Limits::USUAL).is_err(), "{at}");
    }
    let other = ZoneData::from_octets(&name("www"), &octets, &Limits::USUAL);
    assert_eq!(other.unwrap_err(), Damage::OtherZone);
}

proptest! {
    /// Differences between any two zones lead from the one to the other, also through others.
    #[test]
    fn rfc1995_4_differences_lead_from_any_zone_to_any_other(
        versions in proptest::collection::vec(proptest::collection::btree_set(("[a-d]", 0..6u8), 0..12), 2..5)
    ) {
        let records = |version: &BTreeSet<(String, u8)>| -> Vec<Vec<u8>> {
            version.iter().map(|(owner, last)| a(owner, *last)).collect()
        };
        let zone = |number: usize| {
            let soa = soa(number as u32 + 1);
            whole(&[vec![soa.clone(), ns()], records(&versions[number]), vec![soa]].concat())
        };
        let last = versions.len() - 1;
        let mut stream = vec![soa(last as u32 + 1)];
        for (number, pair) in versions.windows(2).enumerate() {
            stream.push(soa(number as u32 + 1));
            stream.extend(pair[0].difference(&pair[1]).map(|(owner, last)| a(owner, *last)));
            stream.push(soa(number as u32 + 2));
            stream.extend(pair[1].difference(&pair[0]).map(|(owner, last)| a(owner, *last)));
        }
        stream.push(soa(last as u32 + 1));
        let new = zone(0).changed(&differences(1, &stream), &Limits::USUAL).unwrap();
        prop_assert_eq!(held(&new), held(&zone(last)));
        let again = ZoneData::from_octets(&origin(), &new.to_octets(), &Limits::USUAL).unwrap();
        prop_assert_eq!(held(&again), held(&new));
    }

    /// Whatever comes: it ends with an error, with a zone, or wants more.
    #[test]
    fn hostile_streams_do_no_harm(
        pieces in proptest::collection::vec((0..8usize, any::<u32>(), any::<u8>()), 0..30),
        have in proptest::option::of(0..4u32),
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let piece = |(kind, serial, octet): &(usize, u32, u8)| match kind {
            0..=2 => soa(serial % 4),
            3 => ns(),
            4 => a("www", *octet),
            5 => record("sub.www", Rtype(u16::from(*octet)), &serial.to_be_bytes()),
            6 => record("@", Rtype::CNAME, &[*octet]),
            _ => record("elsewhere.", Rtype::A, &[1; 4]),
        };
        let records: Vec<Vec<u8>> = pieces.iter().map(piece).collect();
        let since = |have| (Wanted::Since(have), Rtype::IXFR);
        let (wanted, rtype) = have.map_or((Wanted::Whole, Rtype::AXFR), since);
        let mut octets = message(rtype, &records);
        if let Some((at, octet)) = damage {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        let old = whole(&[soa(1), ns(), a("www", 1), soa(1)]);
        if let Ok(Some(Transferred::Differences(steps))) = transfer(wanted, &[octets], &Limits::USUAL) {
            let _ = old.changed(&steps, &Limits::USUAL);
        }
    }
}
