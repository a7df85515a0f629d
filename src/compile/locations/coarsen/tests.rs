//! What becomes of places and networks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::super::Origin;
use super::*;

fn stretch(family: Family, first: u128, last: u128, location: Option<u32>) -> Stretch {
    Stretch { family, first, last, location, origin: Origin::Database }
}

/// Stretches of IPv4 addresses within two /24s, by the number of addresses, and the runs of /24s.
fn check(sizes: &[(u128, Option<u32>)], expected: &[(u64, Option<u32>)]) {
    let mut units = Units::new(24);
    let mut next = 0;
    for (size, group) in sizes {
        units.add(stretch(Family::V4, next << 96, ((next + size) << 96) - 1, *group), *group);
        next += size;
    }
    assert_eq!(units.finish(&(0..10).collect::<Vec<_>>()), expected, "{sizes:?}");
}

#[test]
fn short_networks_are_decided_by_most_addresses() {
    let (a, b, c, no) = (Some(1), Some(2), Some(3), None);
    check(&[(512, a)], &[(2, a)]);
    check(&[(256, a), (256, b)], &[(1, a), (1, b)]);
    check(&[(128, a), (64, b), (64, b), (256, c)], &[(1, a), (1, c)]);
    check(&[(64, a), (128, b), (64, a), (256, a)], &[(2, a)]);
    check(&[(100, a), (156, b), (256, b)], &[(2, b)]);
    check(&[(128, a), (128, b), (256, c)], &[(1, a), (1, c)]);
    check(&[(200, no), (56, a), (256, a)], &[(1, no), (1, a)]);
    check(&[(255, a), (256, b), (1, c)], &[(1, a), (1, b)]);
    check(&[(1, a), (1023, b)], &[(4, b)]);
    check(&[(1, a), (1022, b), (1, c)], &[(4, b)]);
}

#[test]
fn cells_keep_countries_and_subdivisions_apart() {
    let place = |latitude, longitude, country: &[u8; 2], subdivision: Option<&str>| Location {
        coordinates: Coordinates::new(latitude, longitude),
        country: Some(CountryCode(*country)),
        subdivision: subdivision.map(Into::into),
        city: Some("a city".into()),
        ..Location::default()
    };
    let locations = [
        place(51.2, 4.2, b"NL", None),
        place(51.2, 4.4, b"BE", None),
        place(51.4, 4.4, b"NL", None),
        place(51.4, 4.4, b"NL", Some("NB")),
        place(52.4, 4.4, b"NL", None),
        Location { city: Some("only a name".into()), ..Location::default() },
    ];
    let mut places = Places { cell_degrees: 1.0, ..Places::default() };
    let mut groups = Vec::new();
    for number in 0..locations.len() as u32 {
        // The third counts three times as much as the first.
        let size = if number == 2 { 3 << 104 } else { 1 << 104 };
        groups.push(places.group(&locations, stretch(Family::V4, 0, size - 1, Some(number))));
    }
    assert_eq!(groups, [Some(0), Some(1), Some(0), Some(2), Some(3), None]);
    let (coarse, renumbered) = places.finish();
    assert_eq!(renumbered, [1, 0, 3, 2]);
    assert_eq!(coarse[1].coordinates, Coordinates::new(51.35, 4.35));
    assert!(coarse.iter().all(|location| location.city.is_none()));
}

#[test]
fn cells_are_about_as_wide_as_high() {
    let cell = |latitude, longitude| square(Coordinates::new(latitude, longitude).unwrap(), 1.0);
    assert_eq!(cell(0.5, 10.4), (0, 10));
    assert_eq!(cell(-0.5, -0.4), (-1, -1));
    assert_eq!(cell(60.5, 10.4).1, 5);
    assert_eq!(cell(90.0, 180.0).0, 90);
    assert_eq!(cell(-90.0, -180.0).0, -90);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However the address space is cut, the networks add up to it and neighbours differ.
    #[test]
    fn networks_cover_the_family(cuts in prop::collection::btree_set(0u32.., 0..40), length in 1u8..=32) {
        let mut units = Units::new(length);
        let mut first = 0u128;
        for (number, cut) in cuts.iter().chain([&u32::MAX]).enumerate() {
            let last = u128::from(*cut) << 96 | (u128::MAX >> 32);
            if first <= last {
                let group = Some(number as u32 % 3).filter(|group| *group > 0);
                units.add(stretch(Family::V4, first, last, group), group);
                first = last.wrapping_add(1);
            }
        }
        let runs = units.finish(&[0, 1, 2]);
        prop_assert_eq!(runs.iter().map(|(count, _)| count).sum::<u64>(), 1 << length);
        prop_assert!(runs.windows(2).all(|pair| pair[0].1 != pair[1].1));
    }
}
