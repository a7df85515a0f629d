//! Look-ups against a model that searches lists, over random small zones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::ids::ServiceId;
use crate::wire::{Name, Rtype};

/// Labels from the name's left, relative to the origin.
type Labels = Vec<&'static str>;

/// What the model says of a name and a type: RRsets by the number they were given.
#[derive(PartialEq, Eq, Debug)]
enum Said {
    Answer(u8),
    Alias(u8),
    Redirect(u8, usize),
    Referral(u8, usize),
    Steered(u32),
    NoData,
    NxDomain,
}

/// A zone as a list.
struct Model {
    rrsets: BTreeMap<(Labels, Rtype), u8>,
    steered: BTreeMap<Labels, u32>,
}

impl Model {
    fn owners(&self) -> impl Iterator<Item = &Labels> {
        self.rrsets.keys().map(|(owner, _)| owner).chain(self.steered.keys())
    }

    fn exists(&self, name: &[&'static str]) -> bool {
        name.is_empty() || self.owners().any(|owner| owner.ends_with(name))
    }

    fn get(&self, name: &[&'static str], rtype: Rtype) -> Option<u8> {
        self.rrsets.get(&(name.to_vec(), rtype)).copied()
    }

    fn lookup(&self, name: &[&'static str], rtype: Rtype) -> Said {
        // From the top: what leads elsewhere.
        for depth in 0..=name.len() {
            let index = name.len() - depth;
            let node = &name[index..];
            if let Some(number) = self.get(node, Rtype::NS)
                && depth > 0
                && (index > 0 || rtype != Rtype::DS)
            {
                return Said::Referral(number, index);
            }
            if let Some(number) = self.get(node, Rtype::DNAME)
                && index > 0
            {
                return Said::Redirect(number, index);
            }
        }
        if self.exists(name) {
            return self.at(name, rtype);
        }
        let encloser = (1..=name.len()).map(|index| &name[index..]).find(|node| self.exists(node)).unwrap();
        let wildcard = [&["*"], encloser].concat();
        if self.exists(&wildcard) { self.at(&wildcard, rtype) } else { Said::NxDomain }
    }

    fn at(&self, name: &[&'static str], rtype: Rtype) -> Said {
        let found = self.get(name, rtype).map(Said::Answer);
        let alias = || self.get(name, Rtype::CNAME).map(Said::Alias);
        let steered = || self.steered.get(name).map(|service| Said::Steered(*service));
        found.or_else(alias).or_else(steered).unwrap_or(Said::NoData)
    }
}

fn wire(labels: &[&str]) -> Name {
    let mut octets = Vec::new();
    for label in labels.iter().chain(&["example"]) {
        octets.push(label.len() as u8);
        octets.extend(label.as_bytes());
    }
    octets.push(0);
    Name::from_wire(&octets).unwrap()
}

fn sought(name: &Name) -> Sought {
    let mut sought = Sought::EMPTY;
    sought.read(name.octets()).unwrap();
    sought
}

fn build(model: &Model) -> Zone {
    let mut builder = ZoneBuilder::new(&wire(&[]));
    for ((owner, rtype), number) in &model.rrsets {
        builder.rrset(&wire(owner), *rtype, 60, std::iter::once(&[*number][..])).unwrap();
    }
    for (owner, service) in &model.steered {
        builder.steer(&wire(owner), ServiceId(*service)).unwrap();
    }
    builder.build()
}

fn said(lookup: Lookup<'_>) -> Said {
    let number = |rrset: Rrset<'_>| rrset.rdata().next().unwrap()[0];
    match lookup {
        Lookup::Answer(rrset) => Said::Answer(number(rrset)),
        Lookup::Alias(rrset) => Said::Alias(number(rrset)),
        Lookup::Redirect { rrset, owner } => Said::Redirect(number(rrset), owner),
        Lookup::Referral { servers, owner } => Said::Referral(number(servers), owner),
        Lookup::Steered(service) | Lookup::Testing(service, _) => Said::Steered(service.0),
        Lookup::NoData => Said::NoData,
        Lookup::NxDomain => Said::NxDomain,
    }
}

/// What the reader of zone files lets pass: no DNAME or NS at a wildcard, nothing beside a CNAME, a
/// service alone with TXT.
fn sound(rrsets: Vec<(Labels, Rtype)>, steered: Vec<Labels>) -> Model {
    let mut model = Model { rrsets: BTreeMap::new(), steered: BTreeMap::new() };
    for (number, (owner, rtype)) in rrsets.into_iter().enumerate() {
        let wildcard = owner.first() == Some(&"*");
        let types: Vec<_> = model.rrsets.keys().filter(|key| key.0 == owner).map(|key| key.1).collect();
        let single = |rtype| rtype == Rtype::CNAME || rtype == Rtype::DNAME || rtype == Rtype::NS;
        let clash = !types.is_empty() && (single(rtype) || types.iter().any(|rtype| single(*rtype)));
        if clash || (wildcard && matches!(rtype, Rtype::NS | Rtype::DNAME)) {
            continue;
        }
        model.rrsets.entry((owner, rtype)).or_insert(number as u8);
    }
    for (number, owner) in steered.into_iter().enumerate() {
        if !model.rrsets.keys().any(|key| key.0 == owner && key.1 != Rtype::TXT) {
            model.steered.entry(owner).or_insert(number as u32);
        }
    }
    model
}

fn labels() -> impl Strategy<Value = Labels> {
    proptest::collection::vec(proptest::sample::select(vec!["a", "b", "c", "*"]), 0..5)
}

fn rtype() -> impl Strategy<Value = Rtype> {
    proptest::sample::select(vec![
        Rtype::A,
        Rtype::TXT,
        Rtype::A,
        Rtype::TXT,
        Rtype::CNAME,
        Rtype::NS,
        Rtype::DNAME,
        Rtype::DS,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rfc1034_4_3_2_look_ups_agree_with_a_model(
        rrsets in proptest::collection::vec((labels(), rtype()), 0..12),
        steered in proptest::collection::vec(labels(), 0..3),
        questions in proptest::collection::vec((labels(), rtype()), 60),
    ) {
        let model = sound(rrsets, steered);
        let zone = build(&model);
        for (name, rtype) in questions {
            let expected = model.lookup(&name, rtype);
            prop_assert_eq!(said(zone.lookup(&wire(&name), rtype)), expected, "{:?} {}", name, rtype);
            if rtype == Rtype::DS {
                continue;
            }
            let sought = sought(&wire(&name));
            let expected = match zone.hit(&sought, sought.octets() - zone.origin().octets().len(), rtype) {
                // Only what leads elsewhere, and what stands for another name, takes a walk.
                Hit::Walk => {
                    let walks = |rtype| model.rrsets.keys().any(|key| key.1 == rtype);
                    let stars = model.rrsets.keys().map(|key| &key.0).chain(model.steered.keys());
                    let stars = stars.filter(|owner| owner.contains(&"*")).count();
                    let walks = [Rtype::CNAME, Rtype::NS, Rtype::DNAME].into_iter().any(walks);
                    prop_assert!(walks || stars > 0, "{:?} {}", name, rtype);
                    continue;
                }
                Hit::Answer(rrset) => Said::Answer(rrset.rdata().next().unwrap()[0]),
                Hit::Steered(service) => Said::Steered(service.0),
                Hit::NoData => Said::NoData,
                Hit::NxDomain => Said::NxDomain,
            };
            prop_assert_eq!(model.lookup(&name, rtype), expected, "{:?} {}", name, rtype);
        }
    }
}

#[test]
fn the_catalog_finds_the_longest_origin() {
    let zone = |origin: &[&str]| ZoneBuilder::new(&wire(origin)).build();
    let catalog = Catalog::new(vec![zone(&[]), zone(&["b", "a"]), zone(&["x", "c", "b", "a"])]);
    let find = |labels: &[&str]| catalog.find(ClientClass::DEFAULT, &wire(labels)).map(|(id, _)| id.0);
    let above = |labels: &[&str]| catalog.find_above(ClientClass::DEFAULT, &wire(labels)).map(|(id, _)| id.0);
    assert_eq!(find(&[]), Some(0));
    assert_eq!(find(&["a"]), Some(0));
    assert_eq!(find(&["b", "a"]), Some(1));
    assert_eq!(find(&["c", "b", "a"]), Some(1));
    assert_eq!(find(&["z", "x", "c", "b", "a"]), Some(2));
    assert_eq!(above(&["x", "c", "b", "a"]), Some(1));
    assert_eq!(above(&["b", "a"]), Some(0));
    assert_eq!(above(&[]), None);
    assert!(catalog.find(ClientClass::DEFAULT, &Name::from_wire(b"\x05other\x00").unwrap()).is_none());
    assert!(catalog.find(ClientClass::DEFAULT, &Name::from_wire(b"\x00").unwrap()).is_none());
    let root = Catalog::new(vec![ZoneBuilder::new(&Name::from_wire(b"\x00").unwrap()).build()]);
    assert!(root.find(ClientClass::DEFAULT, &wire(&["a"])).is_some());
    for labels in [&[][..], &["a"], &["b", "a"], &["c", "b", "a"], &["z", "x", "c", "b", "a"], &["x"]] {
        let sought = sought(&wire(labels));
        let found = |(id, zone, start): (crate::ids::ZoneId, &Zone, usize)| {
            assert_eq!(start, sought.octets() - zone.origin().octets().len());
            id.0
        };
        assert_eq!(catalog.find_sought(ClientClass::DEFAULT, &sought).map(found), find(labels));
        assert_eq!(root.find_sought(ClientClass::DEFAULT, &sought).map(found), Some(0));
    }
    assert!(Catalog::new(Vec::new()).find(ClientClass::DEFAULT, &wire(&["a"])).is_none());
}

#[test]
fn owners_outside_the_zone_are_refused() {
    let mut builder = ZoneBuilder::new(&wire(&["a"]));
    let add = |builder: &mut ZoneBuilder, name: &Name| builder.rrset(name, Rtype::A, 1, std::iter::empty());
    assert_eq!(add(&mut builder, &wire(&["b"])), Err(OutOfZone));
    assert_eq!(add(&mut builder, &wire(&[])), Err(OutOfZone));
    assert_eq!(add(&mut builder, &wire(&["b", "a"])), Ok(()));
    assert_eq!(builder.steer(&wire(&["b"]), ServiceId(0)), Err(OutOfZone));
}
