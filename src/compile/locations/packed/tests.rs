//! The packed form: what goes in comes out, and nothing else is read.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use proptest::prelude::*;

use super::super::{Atlas, Coarsened, Database, Overrides};
use super::code::{Count, NEW, Recent};
use super::head::{FamilyHead, Head};
use super::*;
use crate::geo::{Continent, Coordinates, CountryCode, Location};
use crate::ids::Family;

const ATTRIBUTION: &str = "somebody, https://example.org";

fn places(count: usize) -> Vec<Location> {
    let place = |number: usize| Location {
        coordinates: (number % 5 != 4)
            .then(|| Coordinates::new(number as f64 % 90.0 - 12.25, -(number as f64) % 180.0).unwrap()),
        continent: (!number.is_multiple_of(3)).then_some(Continent::Asia),
        country: (!number.is_multiple_of(7)).then_some(CountryCode(*b"JP")),
        subdivision: (number % 2 == 1).then(|| format!("{number}").into()),
        ..Location::default()
    };
    (0..count).map(place).collect()
}

fn file(runs: [Vec<(u64, Option<u32>)>; 2], count: usize) -> Vec<u8> {
    write(Coarsened { locations: places(count), runs, lengths: [24, 48] }, 7, ATTRIBUTION, "out").unwrap()
}

fn small() -> Vec<u8> {
    let v4 = vec![(1, None), (3, Some(0)), (200, Some(1)), (1, Some(0)), ((1 << 24) - 205, Some(299))];
    let v6 = vec![((1 << 48) - 1000, Some(2)), (1000, Some(298))];
    file([v4, v6], 300)
}

fn refusal(octets: Vec<u8>) -> String {
    Database::open(octets, "w.mgeo").err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_goes_in_comes_out() {
    let database = Database::open(small(), "w").unwrap();
    assert_eq!(database.attribution(), Some(ATTRIBUTION));
    assert_eq!((database.built_s(), database.is_system_numbers()), (7, false));
    let list = places(300);
    for (address, expected) in [
        ("0.0.0.255", None),
        ("0.0.1.0", Some(0)),
        ("0.0.3.255", Some(0)),
        ("0.0.4.0", Some(1)),
        ("0.0.203.255", Some(1)),
        ("0.0.204.1", Some(0)),
        ("0.0.205.0", Some(299)),
        ("255.255.255.255", Some(299)),
        ("::", Some(2)),
        ("ffff:ffff:fc17:ffff::", Some(2)),
        ("ffff:ffff:fc18::", Some(298)),
        ("ffff:ffff:ffff:ffff::", Some(298)),
    ] {
        let found = database.locate(address.parse().unwrap()).unwrap();
        assert_eq!(found, expected.map(|number: usize| list[number].clone()), "{address}");
    }
}

#[test]
fn a_family_without_places_is_not_there() {
    let database = Database::open(file([vec![(1 << 24, Some(0))], vec![(1 << 48, None)]], 1), "w").unwrap();
    assert_eq!(Family::ALL.map(|family| database.has(family)), [true, false]);
    assert_eq!(database.locate("::1".parse().unwrap()).unwrap(), None);
}

#[test]
fn counts_have_their_octets() {
    for count in (1..5000).chain([1 << 20, (1 << 24) - 1, 1 << 47, (1 << 48) - 1, 1 << 63, u64::MAX]) {
        let (octet, long) = Count::encode(count);
        match Count::decode(octet) {
            Some(Count::Is(decoded)) => assert_eq!((decoded, long), (count, None)),
            Some(Count::Long(octets)) => {
                assert_eq!(Some(octets), long);
                assert!(octets == 8 || count < 1 << (8 * octets));
            }
            None => panic!("{count}"),
        }
    }
}

#[test]
fn ranks_and_places_mirror_each_other() {
    let (mut there, mut back) = (Recent::new(), Recent::new());
    for place in (0..2000u32).map(|n| n * n % 400) {
        match there.rank(place) {
            Some(rank) => {
                assert!(rank < NEW);
                assert_eq!(back.place(rank), Some(place));
            }
            None => back.enter(place),
        }
    }
    assert_eq!(back.place(NEW), None);
}

#[test]
fn damaged_files_are_refused_with_the_mend() {
    let mend = "(get it again from the release, or make it again: `meridian geoip pack`)";
    let good = small();
    let mut newer = good.clone();
    newer[8] = 2;
    assert_eq!(refusal(newer), format!("w.mgeo is of a version that this meridian does not read {mend}"));
    assert_eq!(refusal(good[..8].to_vec()), format!("w.mgeo is cut short {mend}"));
    let checksum = format!("w.mgeo is damaged: its checksum does not match {mend}");
    for length in 18..good.len() {
        assert_eq!(refusal(good[..length].to_vec()), checksum, "{length}");
    }
    for at in 9..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x10;
        assert_eq!(refusal(changed), checksum, "{at}");
    }
}

/// A file with a right checksum and these sections.
fn sealed(sections: &[&[u8]]) -> Vec<u8> {
    let mut octets = MAGIC.to_vec();
    octets.push(VERSION);
    for section in sections {
        let frame = zstd::bulk::compress(section, 1).unwrap();
        octets.extend((frame.len() as u32).to_le_bytes());
        octets.extend(frame);
    }
    octets.extend(checksum(&octets));
    octets
}

fn scan(octets: Vec<u8>) -> Result<usize, String> {
    let database = Database::open(octets, "w").map_err(|error| error.problem)?;
    let mut stretches = 0;
    let atlas = Atlas::new(vec![database], Vec::new(), Overrides::default());
    atlas.scan(&mut |_, _| {}, &mut |_, _| stretches += 1).map_err(|error| error.problem)?;
    Ok(stretches)
}

#[test]
fn files_that_lie_with_a_right_checksum_are_refused() {
    let head = |runs: u32| {
        let family = |length, runs| FamilyHead { length, runs };
        let families = [family(24, runs), family(48, 0)];
        Head { built_s: 1, attribution: String::new(), families, places: places(3) }.to_octets().unwrap()
    };
    let columns = |runs: u32, counts: &[u8], long: &[u8], ranks: &[u8], new: &[u8]| {
        scan(sealed(&[&head(runs), counts, long, ranks, new, &[], &[], &[], &[]]))
    };
    let sums = Err("is damaged: its networks do not add up".to_owned());
    // All of IPv4 in one run at place 1: two families' stretches.
    assert_eq!(columns(1, &[24], &[], &[1], &[]), Ok(2));
    for (case, found) in [
        ("too few networks", columns(1, &[23], &[], &[1], &[])),
        ("too many networks", columns(1, &[25], &[], &[1], &[])),
        ("more by far", columns(1, &[63], &[], &[1], &[])),
        ("too many in several runs", columns(2, &[24, 0], &[], &[1, 2], &[])),
        ("fewer runs than said", columns(2, &[24], &[], &[1], &[])),
        ("no rank", columns(1, &[24], &[], &[], &[])),
        ("a rank that is none", columns(1, &[24], &[], &[252], &[])),
        ("a rank of a place that is none", columns(1, &[24], &[], &[9], &[])),
        ("a new place that is none", columns(1, &[24], &[], &[NEW], &9u32.to_le_bytes())),
        ("the largest new place", columns(1, &[24], &[], &[NEW], &[0xff; 4])),
        ("half a new place", columns(1, &[24], &[], &[NEW], &[1, 0])),
        ("an octet that is no count", columns(1, &[64], &[], &[1], &[])),
        ("a long count of nothing", columns(1, &[248], &[0], &[1], &[])),
        ("a long count that is not there", columns(1, &[255], &[1, 2], &[1], &[])),
        ("a long count as large as can be", columns(2, &[0, 255], &[0xff; 8], &[1, 2], &[])),
    ] {
        assert_eq!(found, sums, "{case}");
    }
    let unreadable = Err("is damaged: its head cannot be read".to_owned());
    let mut longer = head(1);
    longer.push(0);
    let mut many = head(1);
    let at = 8 + 2 + 5 + 5;
    many[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let bomb = vec![0; HEAD_OCTETS_MAX + 1];
    for bad in [&[][..], &longer, &many, &head(1)[..30], &bomb] {
        assert_eq!(scan(sealed(&[bad, &[], &[], &[], &[], &[], &[], &[], &[]])), unreadable);
    }
    let misfit = Err("is damaged: its sections do not fit".to_owned());
    assert_eq!(scan(sealed(&[&head(1)])), misfit);
    assert_eq!(scan(sealed(&[&[][..]; 10])), misfit);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Mutated, then sealed with a right checksum, so that all checks behind it are met.
    #[test]
    fn every_sealed_mutation_is_an_error_or_an_answer(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut octets = small();
        octets.truncate(octets.len() - CHECKSUM_OCTETS);
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.extend(checksum(&octets));
        let _ = scan(octets);
    }

}

proptest! {
    // Compressing at the strongest level takes its time, however little there is.
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_runs_come_back(cuts in prop::collection::btree_map(1u64..1 << 48, 0u32..600, 0..300)) {
        let mut runs = Vec::new();
        let mut before = 0;
        for (cut, place) in cuts.into_iter().chain([(1 << 48, 599)]) {
            runs.push((cut - before, Some(place).filter(|place| place % 10 != 0)));
            before = cut;
        }
        let packed = Packed::open(file([vec![(1 << 24, None)], runs.clone()], 600), "w").unwrap();
        let mut unit = 0u128;
        let mut expected = Vec::new();
        for (count, place) in runs {
            let first = unit << 80;
            unit += u128::from(count);
            expected.extend(place.map(|place| (first, ((unit - 1) << 80) | (u128::MAX >> 48), place)));
        }
        let found = packed.runs(Family::V6).map(|run| run.map(|run| (run.first, run.last, run.key)));
        prop_assert_eq!(found.collect::<Result<Vec<_>, _>>().unwrap(), expected);
    }
}
