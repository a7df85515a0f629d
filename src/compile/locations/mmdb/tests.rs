//! Both schemas, both levels; and files that are not what they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::super::{Atlas, Database, Overrides};
use super::*;
use crate::geo::{Continent, CountryCode};

const FILES: [(&str, &[u8]); 6] = [
    ("nested-city", include_bytes!("../../../../tests/data/mmdb/nested-city.mmdb")),
    ("nested-country", include_bytes!("../../../../tests/data/mmdb/nested-country.mmdb")),
    ("flat-city", include_bytes!("../../../../tests/data/mmdb/flat-city.mmdb")),
    ("flat-country", include_bytes!("../../../../tests/data/mmdb/flat-country.mmdb")),
    ("asn", include_bytes!("../../../../tests/data/mmdb/asn.mmdb")),
    ("neither", include_bytes!("../../../../tests/data/mmdb/neither.mmdb")),
];

fn bytes(name: &str) -> Vec<u8> {
    FILES.iter().find(|(file, _)| *file == name).unwrap().1.to_vec()
}

/// `country-subdivision continent (latitude longitude) city ASn`, what is missing left out.
fn shown(location: Option<Location>) -> String {
    let Some(location) = location else { return "nothing".to_owned() };
    let mut parts = Vec::new();
    if let Some(CountryCode(code)) = location.country {
        let subdivision = location.subdivision.map(|code| format!("-{code}")).unwrap_or_default();
        parts.push(format!("{}{subdivision}", String::from_utf8_lossy(&code)));
    }
    parts.extend(location.continent.map(|continent| format!("{continent:?}")));
    parts.extend(location.coordinates.map(|c| format!("({} {})", c.latitude(), c.longitude())));
    parts.extend(location.city.map(String::from));
    parts.extend(location.asn.map(|number| format!("AS{number}")));
    parts.join(" ")
}

fn check(name: &str, cases: &[(&str, &str)]) {
    let database = Database::open(bytes(name), name).unwrap();
    for (address, expected) in cases {
        let found = database.locate(address.parse().unwrap()).unwrap();
        assert_eq!(shown(found), *expected, "{name} {address}");
    }
}

#[test]
fn maxminds_schema_with_cities() {
    check(
        "nested-city",
        &[
            ("81.2.69.7", "GB-ENG Europe (51.5142 -0.0931) London"),
            ("81.2.71.255", "FR-IDF Europe (48.8566 2.3522) Paris"),
            ("203.0.113.127", "nothing"),
            ("203.0.113.128", "JP-13 Asia (35.6895 139.6917) Tokyo"),
            ("2001:218::1", "JP-13 Asia (35.6895 139.6917) Tokyo"),
            ("2001:219::1", "nothing"),
            ("::1", "nothing"),
        ],
    );
}

#[test]
fn maxminds_schema_with_countries_takes_centroids() {
    check(
        "nested-country",
        &[
            ("81.2.69.7", "GB Europe (52.58 -1.42)"),
            ("203.0.113.9", "AU Oceania (-33.58 144.8)"),
            ("2001:218::1", "nothing"),
        ],
    );
}

#[test]
fn the_flat_schema_with_cities_finds_codes_for_names() {
    check(
        "flat-city",
        &[
            ("81.2.69.7", "GB-ENG Europe (51.5142 -0.0931) London"),
            ("81.2.70.7", "FR-IDF Europe (48.8566 2.3522) Paris"),
            ("203.0.113.7", "AU-NSW Oceania (-33.8688 151.209) Sydney"),
            // Names that no table has stay; 0,0 is nowhere, so the country's centroid counts.
            ("203.0.113.200", "AU-Nowhere In Particular Oceania (-33.58 144.8)"),
        ],
    );
}

#[test]
fn the_flat_schema_with_countries() {
    check("flat-country", &[("2001:218::1", "JP Asia (35.6 137.21)"), ("81.2.69.7", "nothing")]);
}

#[test]
fn system_numbers() {
    check("asn", &[("81.2.69.200", "AS64500"), ("81.2.69.7", "nothing"), ("2001:218:ffff::1", "AS64500")]);
    assert!(Database::open(bytes("asn"), "asn").unwrap().is_system_numbers());
    assert!(!Database::open(bytes("nested-city"), "c").unwrap().is_system_numbers());
}

#[test]
fn families_and_attributions_are_known() {
    let told = |name: &str| {
        let database = Database::open(bytes(name), name).unwrap();
        (Family::ALL.map(|family| database.has(family)), database.attribution().map(str::to_owned))
    };
    let maxmind = Some("GeoLite data created by MaxMind, https://www.maxmind.com".to_owned());
    assert_eq!(told("nested-city"), ([true, true], maxmind.clone()));
    assert_eq!(told("nested-country"), ([true, false], maxmind));
    assert_eq!(told("flat-city"), ([true, false], None));
    assert_eq!(told("flat-country"), ([false, true], None));
}

#[test]
fn runs_are_in_order_and_agree_with_look_ups() {
    for (name, _) in FILES.iter().filter(|(name, _)| *name != "neither") {
        let mmdb = Mmdb::open(bytes(name), name).unwrap();
        for family in Family::ALL {
            let mut before = None;
            for run in mmdb.runs(family) {
                let run = run.unwrap();
                assert!(before < Some(run.first) && run.first <= run.last, "{name} {run:?}");
                before = Some(run.last);
                let address = |bits| ClientPrefix::from_bits(family, bits, 128).address();
                assert_eq!(
                    mmdb.location(run).unwrap(),
                    mmdb.find(address(run.last)).unwrap().map(|found| found.1),
                    "{name}"
                );
                assert!(mmdb.location(run).unwrap().is_some());
            }
        }
    }
}

#[test]
fn what_is_outside_blocks_is_everything_else() {
    let found = outside(&IPV4_INSIDE);
    let mut next = 0u128;
    let mut left_out = Vec::new();
    for (bits, length) in found {
        if bits != next {
            left_out.push((Ipv6Addr::from(next).to_string(), Ipv6Addr::from(bits - 1).to_string()));
        }
        next = last_of(bits, length).wrapping_add(1);
    }
    assert_eq!(next, 0);
    let blocks = [
        ("::", "::ffff:ffff"),
        ("::ffff:0.0.0.0", "::ffff:255.255.255.255"),
        ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ];
    let left_out = left_out.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>();
    let expected = blocks.map(|(a, b)| (a.to_owned(), b.to_owned()));
    let parse = |text: &str| text.parse::<Ipv6Addr>().unwrap();
    for ((a, b), (c, d)) in left_out.iter().zip(&expected) {
        assert_eq!((parse(a), parse(b)), (parse(c), parse(d)));
    }
    assert_eq!(left_out.len(), expected.len());
}

#[test]
fn other_files_are_refused_with_the_mend() {
    let cases: [(&[u8], &str); 10] = [
        (b"", "x.mmdb is empty (download it again)"),
        (b"\x1f\x8b\x08\0", "x.mmdb is compressed with gzip (unpack it: gunzip, or tar -xzf for a .tar.gz)"),
        (b"PK\x03\x04..", "x.mmdb is a ZIP archive (unpack it and name the .mmdb file inside)"),
        (
            b"<!DOCTYPE html><html>",
            "x.mmdb is a web page, not a database (the download failed: look into the file, then download again)",
        ),
        (
            b"\n <HTML>",
            "x.mmdb is a web page, not a database (the download failed: look into the file, then download again)",
        ),
        (
            b"network,geoname_id\n",
            "x.mmdb is a CSV file, not a database (use the same database in MMDB format)",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "x.mmdb is a Git LFS pointer, not the file itself (fetch it: git lfs pull)",
        ),
        (
            b"\x8fMGEO\n\n",
            "x.mmdb is a packed location file that was changed on its way (copy it again in binary mode)",
        ),
        (
            b"hello",
            "x.mmdb is not a usable MaxMind database: invalid database: could not find MaxMind DB metadata \
             in file (download it again, or use another database)",
        ),
        (
            FILES[5].1,
            "x.mmdb has neither places nor autonomous system numbers (it is a \"GeoIP2-Anonymous-IP\" \
             database) (use a city, country or ASN database)",
        ),
    ];
    for (bytes, expected) in cases {
        let error = Database::open(bytes.to_vec(), "x.mmdb").err().expect(expected);
        assert_eq!(error.to_string(), expected);
    }
}

/// A tree of which every node's two sides are the next node: 2^depth leaves from a few octets.
fn endless(depth: u32, ip_version: u16, leaf: u32) -> Vec<u8> {
    let mut file = Vec::new();
    for node in 0..depth {
        let next = if node + 1 == depth { leaf } else { node + 1 };
        for _ in 0..2 {
            file.extend_from_slice(&next.to_be_bytes()[1..]);
        }
    }
    file.extend([0; 16]);
    let text = |file: &mut Vec<u8>, text: &str| {
        file.push(0x40 | text.len() as u8);
        file.extend(text.bytes());
    };
    let number = |file: &mut Vec<u8>, number: u32| {
        file.push(0xc4);
        file.extend(number.to_be_bytes());
    };
    file.push(0xe1);
    text(&mut file, "country_code");
    text(&mut file, "NL");
    file.extend(b"\xab\xcd\xefMaxMind.com");
    file.push(0xe9);
    for (key, value) in [
        ("node_count", depth),
        ("ip_version", u32::from(ip_version)),
        ("record_size", 24),
        ("binary_format_major_version", 2),
        ("binary_format_minor_version", 0),
    ] {
        text(&mut file, key);
        match key {
            "node_count" => number(&mut file, value),
            _ => file.extend([0xa1, value as u8]),
        }
    }
    text(&mut file, "build_epoch");
    file.extend([0x01, 0x02, 1]);
    text(&mut file, "database_type");
    text(&mut file, "trap");
    text(&mut file, "languages");
    file.extend([0x00, 0x04]);
    text(&mut file, "description");
    file.push(0xe0);
    file
}

#[test]
fn a_tree_without_end_is_refused_soon() {
    for (depth, ip_version) in [(32, 4), (96, 6), (97, 6), (128, 6), (200, 6), (40, 4)] {
        // The leaf: nothing, a record, and a place outside the file.
        for leaf in [depth, depth + 16, depth + 5000] {
            let name = format!("trap {depth} {ip_version} {leaf}");
            let outcome = Database::open(endless(depth, ip_version, leaf), &name).and_then(|database| {
                let atlas = Atlas::new(vec![database], Vec::new(), Overrides::default());
                atlas.scan(&mut |_, _| {}, &mut |_, _| {})
            });
            assert!(outcome.is_err(), "{name}");
        }
    }
    // The same file, small enough to end, is good.
    assert!(Database::open(endless(4, 4, 20), "small").is_ok());
}

/// Whatever the octets: an answer or an error, soon.
fn survive(octets: Vec<u8>) {
    if let Ok(database) = Database::open(octets, "mutated") {
        let asn = Database::open(bytes("asn"), "asn").unwrap();
        let atlas = Atlas::new(vec![database], vec![asn], Overrides::default());
        let mut next = [Some(0u128); 2];
        let scanned = atlas.scan(&mut |_, _| {}, &mut |locations, stretch| {
            let expected = &mut next[stretch.family.index()];
            assert_eq!(*expected, Some(stretch.first));
            assert!(stretch.location.is_none_or(|number| (number as usize) < locations.len()));
            *expected = stretch.last.checked_add(1);
        });
        if scanned.is_ok() {
            assert_eq!(next, [None, None]);
        }
        for family in Family::ALL {
            let mut next = Some(0u128);
            let visited = atlas.stream(family, &mut |_| {}, &mut |said| {
                assert_eq!(next, Some(said.first));
                // A record that cannot be read ends the walk, the last one too.
                (said.location)()?;
                next = said.last.checked_add(1);
                Ok::<(), LocationError>(())
            });
            assert_eq!(visited.is_ok(), next.is_none());
        }
        for address in ["81.2.69.7", "2001:218::1", "::ffff:1.2.3.4", "255.255.255.255"] {
            let _ = atlas.locate(address.parse().unwrap());
        }
    }
}

#[test]
fn every_truncation_is_an_error_or_an_answer() {
    for (_, whole) in FILES {
        for length in 0..whole.len() {
            survive(whole[..length].to_vec());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_mutation_is_an_error_or_an_answer(
        file in 0..FILES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut octets = FILES[file].1.to_vec();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        if let Some(cut) = cut {
            let start = cut.index(octets.len());
            octets.drain(start..octets.len().min(start + 7));
        }
        survive(octets);
    }
}

#[test]
fn continents_have_their_letters() {
    use super::super::centroids::{code_of_continent, continent_of_code};
    let all = [
        Continent::Africa,
        Continent::Antarctica,
        Continent::Asia,
        Continent::Europe,
        Continent::NorthAmerica,
        Continent::Oceania,
        Continent::SouthAmerica,
    ];
    for continent in all {
        let code = code_of_continent(continent);
        assert_eq!(continent_of_code(std::str::from_utf8(&code).unwrap()), Some(continent));
    }
}
