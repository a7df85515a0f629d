//! Sources put together; and the shipped file.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::config::{FileId, Problems, SourceFile};
use crate::geo::{CountryCode, Effective, SaidBy};

const CITY: &[u8] = include_bytes!("../../../tests/data/mmdb/nested-city.mmdb");
const FLAT_V4: &[u8] = include_bytes!("../../../tests/data/mmdb/flat-city.mmdb");
const FLAT_V6: &[u8] = include_bytes!("../../../tests/data/mmdb/flat-country.mmdb");
const ASN: &[u8] = include_bytes!("../../../tests/data/mmdb/asn.mmdb");
const WORLD: &[u8] = include_bytes!("../../../geoip/world.mgeo");

fn open(bytes: &[u8]) -> Database {
    Database::open(bytes.to_vec(), "test").unwrap()
}

fn overrides(text: &str) -> Overrides {
    let mut problems = Problems::default();
    let source = SourceFile { path: "o.csv".to_owned(), bytes: text.as_bytes().to_vec() };
    let overrides = Overrides::read(FileId(0), &source, &mut problems);
    assert_eq!(problems, Problems::default());
    overrides
}

fn short(location: Option<&Location>) -> String {
    let Some(location) = location else { return "-".to_owned() };
    let country = location
        .country
        .map_or_else(|| "?".to_owned(), |CountryCode(code)| String::from_utf8_lossy(&code).into_owned());
    match location.asn {
        Some(asn) => format!("{country} AS{asn}"),
        None => country,
    }
}

/// What a stream says, neighbours that are alike joined, is what a scan says.
fn check_streams(atlas: &Atlas) {
    for family in Family::ALL {
        let mut scanned = Vec::new();
        atlas
            .scan(&mut |_, _| {}, &mut |locations, stretch| {
                let location = stretch.location.map(|number| locations[number as usize].clone());
                if stretch.family == family {
                    scanned.push((stretch.first, stretch.last, location, stretch.origin == Origin::Override));
                }
            })
            .unwrap();
        let mut by_number = Vec::new();
        let mut streamed: Vec<(u128, u128, Option<Location>, bool)> = Vec::new();
        let mut visit = |said: Streamed<'_>| {
            let location = (said.location)()?;
            if let Some(number) = said.number {
                assert!(number as usize <= by_number.len());
                by_number.resize(by_number.len().max(number as usize + 1), location.clone());
                assert_eq!(by_number[number as usize], location);
            }
            match streamed.last_mut() {
                Some((_, last, same, by_override))
                    if *same == location && *by_override == said.is_override =>
                {
                    *last = said.last;
                }
                _ => streamed.push((said.first, said.last, location, said.is_override)),
            }
            Ok::<(), LocationError>(())
        };
        let mut passed = 0;
        atlas.stream(family, &mut |units| passed = units, &mut visit).unwrap();
        assert_eq!((streamed, passed), (scanned, atlas.units(family)), "{family:?}");
    }
}

/// Every stretch of IPv4, and that `locate` agrees at both ends of all stretches.
fn scanned(atlas: &Atlas) -> Vec<String> {
    let mut lines = Vec::new();
    let mut all = Vec::new();
    let mut list = Vec::new();
    let mut reports = Vec::new();
    let mut progress = |done, total| reports.push((done, total));
    atlas
        .scan(&mut progress, &mut |locations, stretch| {
            list = locations.to_vec();
            all.push(stretch);
        })
        .unwrap();
    for stretch in &all {
        let location = stretch.location.map(|number| list[number as usize].clone());
        for bits in [stretch.first, stretch.last] {
            let address = ClientPrefix::from_bits(stretch.family, bits, 128).address();
            assert_eq!(atlas.locate(address).unwrap(), (location.clone(), stretch.origin), "{address}");
        }
        if stretch.family == Family::V4 {
            let first = ClientPrefix::from_bits(Family::V4, stretch.first, 32).address();
            lines.push(format!("{first} {} {:?}", short(location.as_ref()), stretch.origin));
        }
    }
    check_streams(atlas);
    assert!(reports.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 == pair[1].1), "{reports:?}");
    assert!(reports.last().is_some_and(|(done, total)| done == total));
    lines
}

#[test]
fn nothing_is_known_without_sources() {
    assert_eq!(scanned(&Atlas::default()), ["0.0.0.0 - Nothing"]);
}

#[test]
fn databases_system_numbers_and_overrides_are_laid_together() {
    let entries = overrides("81.2.71.0/24,ES\n198.51.100.128/25,PT\n81.2.69.0/25,,,,\n255.255.255.255,NZ\n");
    let atlas = Atlas::new(vec![open(CITY)], vec![open(ASN)], entries);
    assert_eq!(
        scanned(&atlas),
        [
            "0.0.0.0 - Nothing",
            "81.2.69.0 - Override",
            "81.2.69.128 GB AS64500 Database",
            "81.2.70.0 FR Database",
            "81.2.71.0 ES Override",
            "81.2.72.0 - Nothing",
            "198.51.100.0 ? AS64501 Database",
            "198.51.100.128 PT AS64501 Override",
            "198.51.101.0 - Nothing",
            "203.0.113.128 JP Database",
            "203.0.114.0 - Nothing",
            "255.255.255.255 NZ Override",
        ]
    );
    assert_eq!(atlas.attributions(), ["GeoLite data created by MaxMind, https://www.maxmind.com"]);
}

#[test]
fn each_family_comes_from_the_first_database_that_has_it() {
    let atlas = Atlas::new(vec![open(FLAT_V6), open(FLAT_V4), open(CITY)], Vec::new(), Overrides::default());
    assert_eq!(
        scanned(&atlas),
        [
            "0.0.0.0 - Nothing",
            "81.2.69.0 GB Database",
            "81.2.70.0 FR Database",
            "81.2.72.0 - Nothing",
            "203.0.113.0 AU Database",
            // The same country, but another subdivision.
            "203.0.113.128 AU Database",
            "203.0.114.0 - Nothing",
        ]
    );
    let (found, _) = atlas.locate("2001:218::1".parse().unwrap()).unwrap();
    assert_eq!(found.unwrap().city, None);
}

#[test]
fn coarsened_and_packed_an_atlas_still_knows_its_places() {
    let fine = Atlas::new(vec![open(CITY)], Vec::new(), Overrides::default());
    let coarse = coarsen(&fine, Coarsening::SHIPPED, &mut |_, _| {}).unwrap();
    let packed = pack(coarse, 5, "text", "out").unwrap();
    let coarse = Atlas::new(vec![open(&packed)], Vec::new(), Overrides::default());
    assert_eq!(
        scanned(&coarse),
        [
            "0.0.0.0 - Nothing",
            "81.2.69.0 GB Database",
            "81.2.70.0 FR Database",
            "81.2.72.0 - Nothing",
            // Of 203.0.113.0/24 the first half has no place, and of equal halves the first counts.
        ]
    );
    let (found, _) = coarse.locate("2001:218::1".parse().unwrap()).unwrap();
    assert_eq!(found.unwrap().country, Some(CountryCode(*b"JP")));
}

#[test]
fn the_shipped_file_knows_the_world() {
    let world = open(WORLD);
    assert!(world.attribution().unwrap().contains("DB-IP"));
    let atlas = Atlas::new(vec![world], Vec::new(), Overrides::default());
    // Networks that have been where they are for decades: operators, universities, registries.
    for (address, country, subdivision) in [
        ("8.8.8.8", "US", Some("CA")),
        ("193.0.6.139", "NL", Some("NH")),
        ("2001:67c:2e8::1", "NL", Some("NH")),
        ("18.7.22.69", "US", Some("MA")),
        ("129.132.1.1", "CH", None),
        ("133.11.1.1", "JP", Some("13")),
        ("200.160.2.3", "BR", Some("SP")),
        ("202.12.29.1", "AU", None),
    ] {
        let (found, origin) = atlas.locate(address.parse().unwrap()).unwrap();
        let found = found.unwrap();
        assert_eq!(String::from_utf8_lossy(&found.country.unwrap().0), country, "{address}");
        if subdivision.is_some() {
            assert_eq!(found.subdivision.as_deref(), subdivision, "{address}");
        }
        assert!(found.coordinates.is_some() && found.continent.is_some() && origin == Origin::Database);
    }
}

#[test]
fn x1_a_row_says_what_is_known_and_who_says_it() {
    let entries = overrides("# ours\n10.7.0.0/16,GB\n18.7.22.0/24,NZ,,,,-41,174\n20.1.2.0/24,,,,\n");
    let atlas = Atlas::new(vec![open(WORLD)], vec![open(ASN)], entries);
    let row = |client: &str| {
        let (address, length) = client.split_once('/').unwrap_or((client, "128"));
        let client = ClientPrefix::new(address.parse().unwrap(), length.parse().unwrap());
        let row = atlas.row(client).unwrap();
        let client = Effective::of(client).prefix.address();
        let (located, origin) = atlas.locate(client).unwrap();
        match row.said_by {
            SaidBy::Special(_) => assert_eq!(row.location, None),
            SaidBy::Nobody => assert_eq!((&row.location, located, origin), (&None, None, Origin::Nothing)),
            SaidBy::Database(_) => assert_eq!((&row.location, origin), (&located, Origin::Database)),
            SaidBy::Override(..) => assert_eq!((&row.location, origin), (&located, Origin::Override)),
        }
        let country = row.location.as_ref().and_then(|location| location.country);
        let country = country.map_or("-".to_owned(), |code| String::from_utf8_lossy(&code.0).into_owned());
        (row.network.to_string(), country, row.location.and_then(|location| location.asn), row.said_by)
    };
    let database = || SaidBy::Database("test".into());
    let own = |line| SaidBy::Override("o.csv".into(), line);
    for (client, country, said_by) in [
        ("193.0.0.0/24", "NL", database()),
        ("18.7.0.0/24", "US", database()),
        ("::ffff:18.7.0.1", "US", database()),
        ("2001:67c:2e8::1", "NL", database()),
        ("18.7.22.69", "NZ", own(3)),
        ("64:ff9b::18.7.22.69", "NZ", own(3)),
        ("20.1.2.3", "-", own(4)),
        ("10.7.1.0/24", "GB", own(2)),
        ("10.8.1.0/24", "-", SaidBy::Special("Private-Use")),
        ("2001:db8::/32", "-", SaidBy::Special("Documentation")),
        ("2002::/16", "-", SaidBy::Special("6to4")),
        ("4000::1", "-", SaidBy::Nobody),
    ] {
        let found = row(client);
        assert_eq!((found.1.as_str(), &found.3), (country, &said_by), "{client}");
    }
    assert_eq!(row("18.7.22.69").0, "18.7.22.0/24");
    // The network is as wide as what the source says of all of it.
    let (network, ..) = row("18.7.0.0/24");
    let length: u8 = network.split_once('/').unwrap().1.parse().unwrap();
    assert!((8..=24).contains(&length), "{network}");
    // The system number comes from its own source, be the place known or not.
    assert_eq!(row("81.2.69.160").2, Some(64500));
    assert_eq!(
        Atlas::new(vec![], vec![open(ASN)], Overrides::default())
            .row(ClientPrefix::host("81.2.69.160".parse().unwrap()))
            .unwrap()
            .location
            .unwrap()
            .asn,
        Some(64500)
    );
}
