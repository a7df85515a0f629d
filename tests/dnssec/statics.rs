//! Zones of every shape: empty non-terminals, wildcards at several depths, delegations, aliases.

use std::collections::BTreeMap;
use std::sync::Arc;

use meridian::dnssec::{Denial, KeyUse, Signed};
use meridian::respond::Transport;
use meridian::wire::{Name as WireName, Rtype};
use meridian::zone::{Zone, ZoneBuilder};
use proptest::prelude::*;

use crate::validator::{Name, Proven};
use crate::world::{VALIDITY, Wish, World, ecdsa, ed25519, sign, sign_at, view_of};

type Labels = Vec<&'static str>;

fn name(labels: &[&str]) -> Name {
    Name::text(&[labels, &["example"]].concat().join("."))
}

fn wire(name: &Name) -> WireName {
    WireName::from_wire(&name.wire()).unwrap()
}

/// What a file may hold: aliases alone, nothing below a DNAME, DS at delegations only, no NS or DNAME at
/// wildcards.
fn sound(written: Vec<(Labels, u16, Labels)>) -> BTreeMap<Labels, BTreeMap<u16, Labels>> {
    let mut all: BTreeMap<Labels, BTreeMap<u16, Labels>> = BTreeMap::new();
    for (owner, rtype, target) in written {
        let wildcard = owner.first() == Some(&"*");
        let own = all.entry(owner.clone()).or_default();
        let fits = match rtype {
            5 => own.is_empty() && !owner.is_empty(),
            39 => !wildcard && own.keys().all(|other| matches!(other, 1 | 16)) && !owner.is_empty(),
            2 => !wildcard && !owner.is_empty() && own.keys().all(|other| matches!(other, 1 | 43)),
            43 => own.contains_key(&2),
            _ => !own.contains_key(&5) && (rtype == 1 || !own.contains_key(&2)),
        };
        if fits {
            own.insert(rtype, target);
        }
    }
    let redirects: Vec<Labels> =
        all.iter().filter(|(_, own)| own.contains_key(&39)).map(|(owner, _)| owner.clone()).collect();
    all.retain(|owner, own| {
        let below = |above: &Labels| owner.len() > above.len() && owner.ends_with(above);
        !own.is_empty() && !redirects.iter().any(below)
    });
    all
}

fn zone(all: &BTreeMap<Labels, BTreeMap<u16, Labels>>) -> Zone {
    let mut builder = ZoneBuilder::new(&wire(&name(&[])));
    let soa = [name(&["ns"]).wire(), name(&["h"]).wire(), vec![0; 16], 60u32.to_be_bytes().to_vec()].concat();
    builder.rrset(&wire(&name(&[])), Rtype::SOA, 300, std::iter::once(&soa[..])).unwrap();
    let ns = name(&["ns"]).wire();
    builder.rrset(&wire(&name(&[])), Rtype::NS, 300, std::iter::once(&ns[..])).unwrap();
    for (owner, own) in all {
        for (rtype, target) in own {
            let rdata: Vec<Vec<u8>> = match rtype {
                1 => vec![vec![192, 0, 2, 2], vec![192, 0, 2, 1]],
                16 => vec![b"\x05Hello".to_vec()],
                // Written in upper case, signed in lower case.
                2 | 5 | 39 => vec![name(target).wire().to_ascii_uppercase()],
                _ => vec![[&[0, 1, 13, 2][..], &[7; 32]].concat()],
            };
            let rdata = rdata.iter().map(Vec::as_slice);
            builder.rrset(&wire(&name(owner)), Rtype(*rtype), 120, rdata).unwrap();
        }
    }
    builder.build()
}

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*", "a"]), 0..5)
}

fn record() -> impl Strategy<Value = (Labels, u16, Labels)> {
    let rtype = prop::sample::select(vec![1u16, 1, 16, 16, 5, 2, 43, 2, 39]);
    (labels(), rtype, labels())
}

const TYPES: [u16; 12] = [1, 2, 5, 6, 16, 28, 39, 43, 48, 59, 255, 65_400];

fn signed_world(zone: Zone, denial: Denial) -> World {
    let keys = [ed25519(1, KeyUse::SignsKeys), ed25519(2, KeyUse::SignsZone)];
    let view = view_of(zone);
    let signed = sign(&view, &keys, denial, None);
    World::new(view.with_signed(&[Some(signed)]), &keys, "example")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc4035_5_every_answer_of_a_static_zone_is_believed(
        written in prop::collection::vec(record(), 0..16),
        asked in prop::collection::vec(labels(), 20),
        kind in 0..3usize,
    ) {
        let denial = [Denial::Compact, Denial::Nsec, Denial::Nsec3][kind];
        let all = sound(written);
        let mut world = signed_world(zone(&all), denial);
        for labels in asked.iter().chain(all.keys()).chain(&[vec![]]) {
            for rtype in TYPES {
                world.check(&name(labels), rtype);
            }
        }
    }
}

/// One of each: names, and what their answers prove.
fn example() -> Zone {
    let all = [
        (vec!["www"], 1, vec![]),
        (vec!["alias"], 5, vec!["www"]),
        (vec!["x", "ent"], 1, vec![]),
        (vec!["*", "wild"], 1, vec![]),
        (vec!["deep", "wild"], 16, vec![]),
        (vec!["*", "walias"], 5, vec!["any", "wild"]),
        (vec!["unsigned"], 2, vec!["ns", "unsigned"]),
        (vec!["signed"], 2, vec!["www"]),
        (vec!["signed"], 43, vec![]),
        (vec!["old"], 39, vec!["wild"]),
        (vec!["ns"], 1, vec![]),
    ];
    zone(&sound(all.to_vec()))
}

#[test]
fn rfc4035_3_1_each_kind_of_answer_by_each_kind_of_denial() {
    for denial in [Denial::Compact, Denial::Nsec, Denial::Nsec3] {
        let mut world = signed_world(example(), denial);
        let mut check = |labels: &[&str], rtype: u16, expected: Proven| {
            assert_eq!(world.check(&name(labels), rtype), expected, "{labels:?} {rtype} by {denial:?}");
        };
        check(&["www"], 1, Proven::Answer);
        check(&["www"], 28, Proven::NoData);
        check(&["alias"], 28, Proven::NoData);
        check(&["ent"], 1, Proven::NoData);
        check(&["none"], 1, Proven::NxDomain);
        check(&["y", "ent"], 1, Proven::NxDomain);
        check(&["any", "wild"], 1, Proven::Answer);
        check(&["q", "any", "wild"], 1, Proven::Answer);
        check(&["any", "wild"], 28, Proven::NoData);
        check(&["deep", "wild"], 1, Proven::NoData);
        check(&["y", "deep", "wild"], 1, Proven::NxDomain);
        check(&["y", "walias"], 1, Proven::Answer);
        check(&["y", "walias"], 28, Proven::NoData);
        check(&["unsigned"], 1, Proven::Referral { signed: false });
        check(&["x", "unsigned"], 43, Proven::Referral { signed: false });
        check(&["unsigned"], 43, Proven::NoData);
        check(&["x", "signed"], 1, Proven::Referral { signed: true });
        check(&["signed"], 43, Proven::Answer);
        check(&["x", "old"], 1, Proven::Answer);
        check(&["x", "old"], 28, Proven::NoData);
        check(&["deep", "old"], 1, Proven::NoData);
        check(&[], 48, Proven::Answer);
        check(&[], 59, Proven::Answer);
        check(&[], 60, Proven::Answer);
        check(&[], 6, Proven::Answer);
        check(&[], 1, Proven::NoData);
        check(&[], 51, if denial == Denial::Nsec3 { Proven::Answer } else { Proven::NoData });
        if denial != Denial::Nsec3 {
            check(&["www"], 47, Proven::Answer);
            check(&["any", "wild"], 47, Proven::Answer);
        }
    }
}

#[test]
fn rfc9824_3_names_that_do_not_exist_are_said_to_have_nothing() {
    let mut world = signed_world(example(), Denial::Compact);
    let none = name(&["none"]);
    let signed = world.ask(&none, 1, Wish::Signed, Transport::Udp);
    assert_eq!((signed.rcode, signed.compact_ok), (0, false));
    let knows = world.ask(&none, 1, Wish::Compact, Transport::Udp);
    assert_eq!((knows.rcode, knows.compact_ok), (3, true));
    assert_eq!(world.ask(&none, 1, Wish::Plain, Transport::Udp).rcode, 3);
    let nsec = signed.sections[1].iter().find(|own| own.rtype == 47).unwrap();
    assert_eq!(nsec.owner, none);
    let next = [b"\x01\x00".to_vec(), none.wire()].concat();
    // RRSIG, NSEC, NXNAME
    let bitmap = [&[0, 17][..], &[0; 5], &[0b11], &[0; 10], &[0x80]].concat();
    assert_eq!(nsec.rdata, [next, bitmap].concat());
    // RFC 9824 section 3.5
    let asked = world.ask(&none, 128, Wish::Signed, Transport::Udp);
    assert_eq!((asked.rcode, asked.error), (1, Some(30)));
    // The second time costs no signature.
    let before = world.online.counts;
    world.ask(&none, 28, Wish::Signed, Transport::Udp);
    assert_eq!(world.online.counts.made, before.made);
}

#[test]
fn without_tokens_datagrams_are_truncated_and_streams_told_to_wait() {
    let mut world = signed_world(example(), Denial::Compact);
    let mut made = 0;
    for number in 0..10_000 {
        let name = Name::text(&format!("n{number}.example"));
        let reply = world.ask(&name, 1, Wish::Signed, Transport::Udp);
        if reply.truncated {
            assert!(reply.sections.iter().all(Vec::is_empty));
            assert_eq!(reply.rcode, 0);
            break;
        }
        made += 1;
    }
    assert_eq!(made, 4_000);
    let stream = world.ask(&name(&["another"]), 1, Wish::Signed, Transport::Tcp);
    assert_eq!((stream.rcode, stream.error), (2, Some(14)));
    assert!(stream.sections.iter().all(Vec::is_empty));
    // What is signed ahead, or was signed lately, needs no token.
    for (labels, rtype) in [(vec!["www"], 1), (vec!["www"], 28), (vec!["ent"], 1), (vec!["unsigned"], 1)] {
        world.check(&name(&labels), rtype);
    }
    world.check(&Name::text("n3999.example"), 1);
    world.now.monotonic += std::time::Duration::from_millis(1);
    world.check(&name(&["another"]), 1);
}

#[test]
fn rfc4035_3_1_signatures_are_whole_or_the_answer_is_truncated() {
    let mut builder = ZoneBuilder::new(&wire(&name(&[])));
    let soa = [name(&["ns"]).wire(), name(&["h"]).wire(), vec![0; 20]].concat();
    builder.rrset(&wire(&name(&[])), Rtype::SOA, 300, std::iter::once(&soa[..])).unwrap();
    let text = [&[250][..], &[b'x'; 250]].concat().repeat(4);
    builder
        .rrset(&wire(&name(&["big"])), Rtype::TXT, 300, [&text[..], &text[..900]].into_iter().take(1))
        .unwrap();
    let more = [&text[..], &[100], &[b'y'; 100]].concat();
    builder.rrset(&wire(&name(&["bigger"])), Rtype::TXT, 300, std::iter::once(&more[..])).unwrap();
    let mut world = signed_world(builder.build(), Denial::Nsec);
    let fits = world.ask(&name(&["big"]), 16, Wish::Signed, Transport::Udp);
    assert!(!fits.truncated && fits.sections[0].len() == 2);
    let cut = world.ask(&name(&["bigger"]), 16, Wish::Signed, Transport::Udp);
    assert!(cut.truncated);
    world.check(&name(&["bigger"]), 16);
}

/// Two algorithms, and a key that signs nothing: each algorithm signs everything (RFC 4035 section 2.2).
#[test]
fn rfc4035_2_2_every_algorithm_signs_everything() {
    let keys = [ecdsa(KeyUse::SignsAll), ed25519(3, KeyUse::SignsAll), ed25519(4, KeyUse::Published)];
    for denial in [Denial::Compact, Denial::Nsec, Denial::Nsec3] {
        let view = view_of(example());
        let signed = sign(&view, &keys, denial, None);
        let view = view.with_signed(&[Some(signed)]);
        for only in [0, 1] {
            let mut world = World::new(view_of_same(&view), &keys[only..=only], "example");
            for (labels, rtype) in
                [(vec!["www"], 1), (vec!["none"], 1), (vec![], 48), (vec!["x", "wild"], 28)]
            {
                world.check(&name(&labels), rtype);
            }
        }
    }
}

/// The next view of the same snapshot.
fn view_of_same(view: &meridian::view::View) -> meridian::view::View {
    let next = meridian::view::View::new(
        Arc::clone(&view.snapshot),
        view.health.clone(),
        meridian::steer::Calendar::default(),
        Some(view),
    );
    assert!(next.signed(meridian::ids::ZoneId(0)).is_some(), "signatures stay with the zone");
    next
}

/// What holds is taken over; what is due, or new, is signed.
#[test]
fn signing_again_signs_what_is_due() {
    let keys = [ed25519(1, KeyUse::SignsAll)];
    let view = view_of(example());
    for denial in [Denial::Compact, Denial::Nsec, Denial::Nsec3] {
        let first = sign(&view, &keys, denial, None);
        let rrsigs = |signed: &Signed| -> Vec<Vec<u8>> {
            let entries = 0..signed.zone().entries() as u32;
            entries
                .flat_map(|entry| signed.rrsigs(meridian::zone::EntryId(entry)).map(<[u8]>::to_vec))
                .collect()
        };
        let later =
            |days: u32| meridian::dnssec::Validity { now_s: VALIDITY.now_s + days * 86_400, ..VALIDITY };
        let same = sign_at(&view, &keys, denial, Some(&first), later(5));
        assert_eq!(rrsigs(&first), rrsigs(&same));
        assert_eq!(first.expires_first_s(VALIDITY.now_s), same.expires_first_s(VALIDITY.now_s));
        let renewed = sign_at(&view, &keys, denial, Some(&first), later(11));
        assert!(rrsigs(&first).iter().zip(rrsigs(&renewed)).all(|(old, new)| *old != new));
        // Another generation of the zone, with one name more: Ed25519 is deterministic, so times tell.
        let mut written: Vec<(Labels, u16, Labels)> = vec![(vec!["aaa"], 1, vec![])];
        written.push((vec!["www"], 1, vec![]));
        let other = view_of(zone(&sound(written)));
        let moved = sign_at(&other, &keys, denial, Some(&first), later(5));
        let at = |signed: &Signed, owner: &str| {
            let zone = signed.zone();
            let node = zone.node_of(&wire(&name(&[owner]))).unwrap();
            let entry = zone.rrset_at(node, Rtype::A).unwrap().id;
            signed.rrsigs(entry).next().unwrap().to_vec()
        };
        assert_eq!(at(&first, "www"), at(&moved, "www"));
        assert_ne!(at(&moved, "aaa")[12..16], at(&moved, "www")[12..16]);
        let other = other.with_signed(&[Some(moved)]);
        let mut world = World::new(other, &keys, "example");
        world.now.wall += std::time::Duration::from_secs(5 * 86_400);
        world.check(&name(&["aaa"]), 1);
        world.check(&name(&["none"]), 1);
        // With another key nothing holds.
        let rolled = [ed25519(9, KeyUse::SignsAll)];
        let anew = sign(&view, &rolled, denial, Some(&first));
        assert!(rrsigs(&first).iter().zip(rrsigs(&anew)).all(|(old, new)| *old != new));
        let mut world = World::new(view_of(example()), &rolled, "example");
        let anew = sign(&world.view, &rolled, denial, Some(&first));
        world.view = view_of_signed(&world.view, anew);
        world.check(&name(&["www"]), 1);
        world.check(&name(&["none"]), 1);
    }
}

fn view_of_signed(view: &meridian::view::View, signed: Arc<Signed>) -> meridian::view::View {
    let (health, calendar) = (view.health.clone(), meridian::steer::Calendar::default());
    meridian::view::View::new(Arc::clone(&view.snapshot), health, calendar, None).with_signed(&[Some(signed)])
}
