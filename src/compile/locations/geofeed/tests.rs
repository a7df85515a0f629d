//! Geofeeds: what is read, and what every kind of bad line is told.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::*;

fn read(text: &[u8]) -> (Overrides, Vec<(String, String, String)>) {
    let source = SourceFile { path: "overrides.csv".to_owned(), bytes: text.to_vec() };
    let mut problems = Problems::default();
    let overrides = Overrides::read(FileId(7), &source, &mut problems);
    let told = problems.0.into_iter().map(|problem| {
        let span = problem.span.unwrap();
        assert_eq!(span.file, FileId(7));
        let marked = String::from_utf8_lossy(&text[span.start as usize..span.end as usize]).into_owned();
        (problem.message, marked, problem.hint.unwrap())
    });
    let told = told.collect();
    (overrides, told)
}

/// The place of an address: `country-subdivision (latitude longitude) city`.
fn place(overrides: &Overrides, address: &str) -> String {
    let Some(entry) = overrides.find(ClientPrefix::host(address.parse().unwrap())) else {
        return "no entry".to_owned();
    };
    let Some(location) = overrides.location(entry) else { return "no place".to_owned() };
    let mut parts = Vec::new();
    if let Some(CountryCode(code)) = location.country {
        let code = String::from_utf8_lossy(&code).into_owned();
        parts.push(location.subdivision.map_or(code.clone(), |subdivision| format!("{code}-{subdivision}")));
    }
    parts.extend(location.coordinates.map(|c| format!("({} {})", c.latitude(), c.longitude())));
    parts.extend(location.city.map(String::from));
    parts.join(" ")
}

#[test]
fn a_geofeed_is_read() {
    let text = "\u{feff}# our networks\r\n\
        192.0.2.0/24,NL,NL-NH,Amsterdam,,52.37,4.89\r\n\
        \r\n\
        192.0.2.128/25,de,,\"Frankfurt, Main\",\n\
        192.0.2.200,AU,AU-NSW,,,\n\
        198.51.100.0/24,,,,\n\
        2001:db8::/32 , JP ,JP-13, Tokyo\n\
        203.0.113.0/24,,,,,1.5,2.5";
    let (overrides, problems) = read(text.as_bytes());
    assert_eq!(problems, []);
    assert_eq!(overrides.len(), 6);
    for (address, expected) in [
        ("192.0.2.1", "NL-NH (52.37 4.89) Amsterdam"),
        ("192.0.2.127", "NL-NH (52.37 4.89) Amsterdam"),
        ("192.0.2.128", "DE (51.05 9.79) Frankfurt, Main"),
        ("192.0.2.200", "AU-NSW (-33.61 151.09)"),
        ("192.0.2.255", "DE (51.05 9.79) Frankfurt, Main"),
        ("192.0.3.0", "no entry"),
        ("192.0.1.255", "no entry"),
        ("198.51.100.9", "no place"),
        ("203.0.113.9", "(1.5 2.5)"),
    ] {
        assert_eq!(place(&overrides, address), expected, "{address}");
    }
    assert!(place(&overrides, "2001:db8:1::").starts_with("JP-13 "));
}

#[test]
fn every_bad_line_is_told() {
    let columns = "the columns are prefix,country,region,city,postal and optionally latitude,longitude";
    let network = "write a network, as 203.0.113.0/24 or 2001:db8::/32, or a single address";
    let region = "write the ISO 3166-2 code, as US-CA";
    let degrees = "write degrees: latitude -90 to 90, longitude -180 to 180";
    let cases: [(&[u8], &str, &str, &str); 15] = [
        (b"10.0.0.0/33,NL", "\"10.0.0.0/33\" is not a network", "10.0.0.0/33", network),
        (b"hello", "\"hello\" is not a network", "hello", network),
        (b",NL", "\"\" is not a network", "", network),
        (
            b"10.0.0.1/24,NL",
            "10.0.0.1/24 has bits set behind its prefix length",
            "10.0.0.1/24",
            "write 10.0.0.0/24",
        ),
        (b"10.0.0.0/8,NLD", "\"NLD\" is not a country", "NLD", "write the two letters of ISO 3166-1, as DE"),
        (b"10.0.0.0/8,NL, NH ", "\"NH\" is not a region", "NH", region),
        (b"10.0.0.0/8,NL,NL-ABCD", "\"NL-ABCD\" is not a region", "NL-ABCD", region),
        (b"10.0.0.0/8,,NL-NH", "the region \"NL-NH\" without a country", "NL-NH", region),
        (
            b"10.0.0.0/8,NL,DE-BE",
            "the region \"DE-BE\" is in another country",
            "DE-BE",
            "country and region must agree",
        ),
        (b"10.0.0.0/8,NL,,,,91,0", "\"91,0\" is not a place", "91,0", degrees),
        (b"10.0.0.0/8,NL,,,,nan,0", "\"nan,0\" is not a place", "nan,0", degrees),
        (b"10.0.0.0/8,NL,,,,,5", "latitude and longitude come together", ",5", columns),
        (b"10.0.0.0/8,NL,,,,1,2,more", "too many columns", "more", columns),
        (b"10.0.0.0/8,\xff", "this line is not UTF-8 text", "10.0.0.0/8,\u{fffd}", "save the file as UTF-8"),
        (
            b"10.1.0.0/16,BE\n10.1.0.0/16,BE",
            "10.1.0.0/16 is here a second time",
            "10.1.0.0/16",
            "it is on line 1 already: keep one",
        ),
    ];
    let all = |told: (&str, &str, &str)| (told.0.to_owned(), told.1.to_owned(), told.2.to_owned());
    for (text, message, marked, hint) in cases {
        assert_eq!(read(text).1, [all((message, marked, hint))]);
    }
    // Good lines around a bad one are kept.
    let (overrides, problems) = read(b"10.0.0.0/8,NL\nbad\n11.0.0.0/8,BE\nworse,\n");
    assert_eq!((overrides.len(), problems.len()), (2, 2));
    assert_eq!(problems[1].1, "worse");
}

#[test]
fn a_wrong_file_is_not_told_line_by_line() {
    let (_, problems) = read("nonsense\n".repeat(1000).as_bytes());
    assert_eq!(problems.len(), PROBLEMS_MAX + 1);
    assert_eq!(problems[PROBLEMS_MAX].0, "950 more bad lines in overrides.csv");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Nested, neighbouring and equal prefixes at both ends of the address space.
    #[test]
    fn the_longest_prefix_wins(
        prefixes in prop::collection::btree_set((0u8..4, 0u8..=6), 0..12),
        family in prop::sample::select(&Family::ALL),
    ) {
        // Short prefixes out of few bits, so that they nest and touch.
        let entries = prefixes.iter().map(|(bits, length)| {
            let bits = u128::from(*bits) << 126 | u128::from(*bits) << 122;
            let prefix = ClientPrefix::from_bits(family, bits, *length);
            Entry { prefix, location: Some(Location::default()), line: 1 }
        });
        let mut entries = entries.collect::<Vec<_>>();
        entries.sort_by_key(|entry| (entry.prefix.bits(), entry.prefix.length()));
        entries.dedup_by_key(|entry| entry.prefix);
        let overrides = Overrides::new("o.csv", entries.clone());
        let mut before = None;
        for run in &overrides.runs[family.index()] {
            prop_assert!(before < Some(run.first) && run.first <= run.last);
            before = Some(run.last);
        }
        for top in 0..=255u128 {
            for low in [0, u128::MAX >> 8] {
                let host = ClientPrefix::from_bits(family, top << 120 | low, 128);
                let expected = entries.iter().enumerate().filter(|(_, entry)| {
                    host.widened(entry.prefix.length()) == entry.prefix
                });
                let expected = expected.max_by_key(|(_, entry)| entry.prefix.length());
                prop_assert_eq!(overrides.find(host), expected.map(|(number, _)| number as u32));
            }
        }
    }

    #[test]
    fn any_octets_are_read_without_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&text);
    }

    #[test]
    fn any_line_of_the_right_letters_is_read_without_a_panic(text in "([0-9a-fNL.:/,\"# -]{0,30}\n?){0,6}") {
        let _ = read(text.as_bytes());
    }
}
