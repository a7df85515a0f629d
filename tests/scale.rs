//! Large worlds, scaled down: what they take in memory, that every name is found, that mistakes in them are told
//! with their line, and what a reload takes over. The figures of the whole ones are in docs/performance.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "the example asks more of it")]
#[path = "../examples/scale_figures/worlds.rs"]
mod worlds;

use std::collections::HashSet;
use std::sync::Arc;

use meridian::compile::locations::Atlas;
use meridian::compile::{Given, Inputs, Spread, ZoneReading, compile, in_order};
use meridian::config::{self, FileId, Problems, SourceFile, Sources};
use meridian::health::HealthTable;
use meridian::ids::CounterId;
use meridian::steer::Calendar;
use meridian::view::{Emptied, Snapshot, View};
use meridian::wire::{Name, Rtype, parse_name};
use meridian::zone::{ClientClass, Lookup, Zone};
use worlds::{PARENT, World};

/// The texts of a world, as `load` would find them.
fn sources(world: World) -> Sources {
    let mut sources = Sources::default();
    world.files(&mut |(path, text)| sources.files.push(SourceFile { path, bytes: text.into_bytes() }));
    index(&mut sources);
    sources
}

/// Finds the zones among the files.
fn index(sources: &mut Sources) {
    let mut zones: Vec<config::ZoneFiles> = Vec::new();
    for (number, file) in sources.files.iter().enumerate() {
        let Some(name) = file.path.strip_prefix("zones/") else { continue };
        let (origin, ending) = name.rsplit_once('.').unwrap();
        let place = zones.iter().position(|(known, _, _)| known == origin).unwrap_or_else(|| {
            zones.push((origin.to_owned(), None, None));
            zones.len() - 1
        });
        let id = Some(FileId(number as u32));
        match ending {
            "zone" => zones[place].1 = id,
            _ => zones[place].2 = id,
        }
    }
    sources.zones = zones;
}

fn file<'s>(sources: &'s mut Sources, path: &str) -> &'s mut Vec<u8> {
    &mut sources.files.iter_mut().find(|file| file.path == path).unwrap().bytes
}

fn read(sources: &Sources, zones: ZoneReading<'_>) -> (Option<Snapshot>, Problems) {
    let (config, mut problems) = config::read(sources, &|_| None);
    let Some(config) = config else { return (None, problems) };
    let inputs = Inputs {
        sources,
        locations: &mut Given { atlas: &Atlas::default(), maps: &[] },
        zones,
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, found) = compile(&config, inputs);
    problems.0.extend(found.0);
    (snapshot, problems)
}

#[track_caller]
fn snapshot(sources: &Sources, zones: ZoneReading<'_>) -> Snapshot {
    let (snapshot, problems) = read(sources, zones);
    snapshot.unwrap_or_else(|| panic!("{}", config::text(sources, &problems, config::Style::Plain)))
}

fn again<'s>(earlier: &'s Snapshot) -> ZoneReading<'s> {
    ZoneReading { earlier: Some(earlier), spread: &in_order }
}

fn view(snapshot: Snapshot) -> View {
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    View::new(Arc::new(snapshot), health, Calendar::default(), None)
}

fn name(text: &str) -> Name {
    Name::from_wire(&parse_name(text.as_bytes(), &[0]).unwrap()).unwrap()
}

fn find<'s>(snapshot: &'s Snapshot, name: &Name) -> (&'s Zone, Lookup<'s>) {
    let (_, zone) = snapshot.catalog.find(ClientClass::DEFAULT, name).unwrap();
    (zone, zone.lookup(name, Rtype::A))
}

/// Where the problems are: file, line and message.
fn told(sources: &Sources, problems: &Problems) -> Vec<String> {
    let json = config::json(sources, problems);
    let told = json["problems"].as_array().unwrap().iter();
    told.map(|told| {
        format!(
            "{}:{}: {}",
            told["file"].as_str().unwrap_or("-"),
            told["line"],
            told["message"].as_str().unwrap()
        )
    })
    .collect()
}

#[test]
fn labels_differ() {
    let labels: HashSet<String> = (0..200_000).map(worlds::label).collect();
    assert_eq!(labels.len(), 200_000);
}

#[test]
fn a_zone_of_many_records_takes_few_octets_for_each() {
    const RECORDS: u64 = 70_000;
    let world = World::Records(RECORDS);
    let snapshot = snapshot(&sources(world), ZoneReading::ANEW);
    for number in (0..world.names()).step_by(97) {
        let (_, Lookup::Answer(rrset)) = find(&snapshot, &name(&world.name(number))) else {
            panic!("{}", world.name(number));
        };
        let expected = (0x0a00_0000 | number as u32).to_be_bytes();
        assert_eq!(rrset.rdata().collect::<Vec<_>>(), [&expected[..]]);
    }
    let (zone, missing) = find(&snapshot, &name(&format!("not-there.{PARENT}")));
    assert_eq!(missing, Lookup::NxDomain);
    assert_eq!(zone.entries() as u64, RECORDS + 3);
    let each = zone.memory_octets() as f64 / RECORDS as f64;
    assert!((30.0..120.0).contains(&each), "{each} octets a record");
}

#[test]
fn steered_names_take_few_octets_each_and_lead_to_their_services() {
    const NAMES: u64 = 20_000;
    let world = World::Steered(NAMES, 50);
    let snapshot = snapshot(&sources(world), ZoneReading::ANEW);
    for number in 0..NAMES {
        let (_, Lookup::Steered(service)) = find(&snapshot, &name(&world.name(number))) else {
            panic!("{}", world.name(number));
        };
        assert_eq!(u64::from(service.0), number % 50);
    }
    let (zone, _) = find(&snapshot, &name(PARENT));
    let each = zone.memory_octets() as f64 / NAMES as f64;
    assert!((30.0..120.0).contains(&each), "{each} octets a name");
}

#[test]
fn many_zones_take_little_each_and_are_found() {
    const ZONES: u64 = 400;
    let world = World::Zones(ZONES, 4);
    let snapshot = snapshot(&sources(world), ZoneReading::ANEW);
    assert_eq!(snapshot.catalog.zones().len() as u64, ZONES + 1);
    for number in 0..world.names() {
        let name = name(&world.name(number));
        let (zone, found) = find(&snapshot, &name);
        assert!(matches!(found, Lookup::Answer(_)), "{name:?}");
        assert_eq!(zone.origin().octets(), name.suffix(1));
    }
    let octets: usize = snapshot.catalog.zones().iter().map(|zone| zone.memory_octets()).sum();
    let each = octets as f64 / ZONES as f64;
    assert!((300.0..3000.0).contains(&each), "{each} octets a zone");
}

#[test]
fn many_services_in_many_regions_are_compiled() {
    let world = World::Services(60, 24);
    let snapshot = snapshot(&sources(world), ZoneReading::ANEW);
    assert_eq!((snapshot.plans.len(), snapshot.fleet.endpoints.len()), (60, 60 * 24));
    assert_eq!(snapshot.maps.len(), 1, "all services ask the same of a place");
}

#[test]
fn a_mistake_deep_in_a_large_zone_is_told_with_its_line() {
    let mut sources = sources(World::Records(30_000));
    let zone = file(&mut sources, "zones/scale.test.zone");
    let text = String::from_utf8(zone.clone()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[20_000] = "broken A 192.0.2.256";
    lines[25_000] = "broken.example. A 192.0.2.1";
    *zone = lines.join("\n").into_bytes();
    let (snapshot, problems) = read(&sources, ZoneReading::ANEW);
    assert!(snapshot.is_none());
    let told = told(&sources, &problems);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].starts_with("zones/scale.test.zone:20001: this A record cannot be read"), "{}", told[0]);
    assert!(told[1].starts_with("zones/scale.test.zone:25001: `broken.example` is outside"), "{}", told[1]);
}

#[test]
fn a_mistake_among_many_steered_names_is_told_with_its_line() {
    let mut sources = sources(World::Steered(10_000, 10));
    let names = file(&mut sources, "zones/scale.test.toml");
    let text = String::from_utf8(names.clone()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[7000] = "lost = \"service-99\"";
    *names = lines.join("\n").into_bytes();
    let (_, problems) = read(&sources, ZoneReading::ANEW);
    assert_eq!(told(&sources, &problems), ["zones/scale.test.toml:7001: there is no service `service-99`"]);
}

#[test]
fn names_read_line_by_line_are_those_that_the_toml_reader_finds() {
    let plain = sources(World::Steered(500, 10));
    let mut unusual = plain.clone();
    // An escape among them, and the parser reads them all.
    let names = file(&mut unusual, "zones/scale.test.toml");
    let text = String::from_utf8(names.clone()).unwrap();
    let first = text.lines().nth(1).unwrap();
    let (key, value) = first.split_once(" = ").unwrap();
    *names =
        text.replace(first, &format!("\"\\u{:04x}{}\" = {value}", key.as_bytes()[0], &key[1..])).into_bytes();
    let of = |sources: &Sources| {
        let (config, problems) = config::read(sources, &|_| None);
        assert!(problems.0.is_empty(), "{problems:?}");
        let zone = config.unwrap().zones.remove(0);
        zone.names.into_iter().map(|own| (own.name, own.service)).collect::<Vec<_>>()
    };
    assert_eq!(of(&plain), of(&unusual));
}

#[test]
fn an_rrset_beyond_a_message_is_refused() {
    let mut sources = sources(World::Small);
    let zone = file(&mut sources, "zones/scale.test.zone");
    let start = zone.iter().filter(|octet| **octet == b'\n').count() + 1;
    for number in 0..70_000u32 {
        zone.extend(format!("many A {}\n", std::net::Ipv4Addr::from(number)).into_bytes());
    }
    let (_, problems) = read(&sources, ZoneReading::ANEW);
    let expected = format!("zones/scale.test.zone:{start}: this A RRset does not fit into a message");
    assert_eq!(told(&sources, &problems), [expected]);
}

#[test]
fn a_name_with_many_types_has_them_all() {
    let mut sources = sources(World::Small);
    let zone = file(&mut sources, "zones/scale.test.zone");
    for rtype in 1000..20_000 {
        zone.extend(format!("types TYPE{rtype} \\# 1 01\n").into_bytes());
    }
    let snapshot = snapshot(&sources, ZoneReading::ANEW);
    let (zone, _) = find(&snapshot, &name(PARENT));
    let types = name(&format!("types.{PARENT}"));
    assert!((1000..20_000).all(|rtype| matches!(zone.lookup(&types, Rtype(rtype)), Lookup::Answer(_))));
}

/// Backwards, and the first part last: what order can there be that nobody relies on.
fn backwards(parts: usize, part: &(dyn Fn(usize) + Sync)) {
    std::thread::scope(|scope| {
        for number in (0..parts).rev() {
            scope.spawn(move || part(number));
        }
    });
}

#[test]
fn zones_are_the_same_however_their_reading_is_spread() {
    let mut sources = sources(World::Zones(20, 4));
    for (place, record) in [(3, "x.x A 192.0.2.1\nx CNAME y\nx A 192.0.2.1\n"), (9, "a A nothing\n")] {
        let path = format!("zones/{}.{PARENT}.zone", worlds::label(place));
        file(&mut sources, &path).extend(record.bytes());
    }
    let spread: &Spread = &backwards;
    let (_, one) = read(&sources, ZoneReading { earlier: None, spread });
    let (_, other) = read(&sources, ZoneReading::ANEW);
    assert_eq!(told(&sources, &one), told(&sources, &other));
    assert_eq!(one.0.len(), 2);
}

#[test]
fn a_reload_takes_over_the_zones_whose_texts_are_the_same() {
    let mut sources = sources(World::Zones(5, 4));
    let path = |number| format!("zones/{}.{PARENT}.zone", worlds::label(number));
    file(&mut sources, &path(2)).extend(b"$INCLUDE common.inc\n");
    let by = FileId(sources.files.iter().position(|file| file.path == path(2)).unwrap() as u32);
    let included = FileId(sources.files.len() as u32);
    sources.files.push(SourceFile { path: "zones/common.inc".into(), bytes: b"inc A 192.0.2.7\n".to_vec() });
    sources.included.insert((by, "common.inc".into()), included);
    // This one has a warning.
    file(&mut sources, &path(3)).extend(b"same A 192.0.2.1\nsame A 192.0.2.1\n");

    let before = snapshot(&sources, ZoneReading::ANEW);
    let shared = |sources: &Sources| {
        let after = snapshot(sources, again(&before));
        let pairs = before.catalog.zones().iter().zip(after.catalog.zones());
        // The parent of all is the first.
        pairs.map(|(old, new)| Arc::ptr_eq(old, new)).collect::<Vec<_>>()
    };
    assert_eq!(shared(&sources), [true, true, true, true, false, true]);
    assert_eq!(read(&sources, again(&before)).1, read(&sources, ZoneReading::ANEW).1, "warned again");

    let mut changed = sources.clone();
    file(&mut changed, &path(0)).extend(b"new A 192.0.2.1\n");
    file(&mut changed, "zones/common.inc").extend(b"new A 192.0.2.1\n");
    assert_eq!(shared(&changed), [true, false, true, false, false, true]);

    let mut steered = sources.clone();
    file(&mut steered, "zones/scale.test.toml").extend(b"more = \"service-0\"\n");
    assert_eq!(shared(&steered), [false, true, true, true, false, true]);
    let mut renumbered = sources.clone();
    let main = file(&mut renumbered, "meridian.toml");
    let text = String::from_utf8(main.clone()).unwrap();
    let (head, service) = text.split_once("[services.service-0]").unwrap();
    *main = format!("{head}[services.first]{service}[services.service-0]{service}").into_bytes();
    file(&mut renumbered, &path(4)).extend(b"x A 192.0.2.1\n");
    assert_eq!(shared(&renumbered), [false, true, true, true, false, false]);
}

#[test]
fn what_a_reload_takes_away_is_counted_alike_for_zones_that_were_taken_over() {
    let sources = sources(World::Zones(5, 4));
    let old = snapshot(&sources, ZoneReading::ANEW);
    let mut with_child = sources.clone();
    let text = b"$TTL 60\n@ SOA ns hostmaster 1 3600 600 604800 60\n@ NS ns.example.\n".to_vec();
    let path = format!("zones/{}.{}.{PARENT}.zone", worlds::label(0), worlds::label(1));
    with_child.files.push(SourceFile { path, bytes: text });
    index(&mut with_child);
    for next in [&sources, &with_child] {
        let shared = view(snapshot(next, again(&old)));
        let anew = view(snapshot(next, ZoneReading::ANEW));
        let old = view(old.clone());
        let emptied = Emptied::between(&old, &shared);
        assert_eq!(emptied, Emptied::between(&old, &anew));
        assert!(emptied.plain.had > 5 * 10 && emptied.steered.had > 0, "{emptied:?}");
        assert_eq!(emptied.plain.lost > 0, std::ptr::eq(next, &with_child));
    }
}
