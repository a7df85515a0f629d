#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;
use crate::geo::{
    ClientPrefix, Continent, Coordinates, CountryCode, Decided, GeoKey, Lens, Location, MapBuilder, MapSpec,
    ScopeFloor,
};
use crate::ids::{ClassId, Family};

/// A map with something in every table.
fn sample() -> LocationMap {
    let at = |latitude, longitude| Coordinates::new(latitude, longitude);
    let japan = CountryCode(*b"JP");
    let rules = [
        GeoKey::Cidr("203.0.0.0/8".parse().unwrap()),
        GeoKey::Cidr("2001:db8:1::/48".parse().unwrap()),
        GeoKey::Asn(64500),
        GeoKey::Subdivision(japan, "13".into()),
        GeoKey::Country(japan),
        GeoKey::Continent(Continent::Asia),
    ];
    let lenses = [
        Lens::Order { bias: [0, -20].into(), tie_permille: 0 },
        Lens::Order { bias: [].into(), tie_permille: 250 },
        Lens::Cell,
        Lens::Rules(rules.into()),
        Lens::Rules([GeoKey::Country(japan)].into()),
    ];
    let regions = [at(48.9, 2.4), None, at(35.7, 139.7)];
    let spec = MapSpec { regions: regions.into(), lenses: lenses.into(), floor: ScopeFloor::NONE };
    let locations: Vec<Location> = (0..40u32)
        .map(|number| Location {
            coordinates: at(f64::from(number), f64::from(number) * 4.0),
            country: (number % 3 == 0).then_some(japan),
            asn: (number % 5 == 0).then_some(64500),
            ..Location::default()
        })
        .collect();
    let mut builder = MapBuilder::new(spec);
    for number in 0..2000u128 {
        let first = (0x0800_0000 + number * 0x1234) << 96;
        let location = Some((number % 41) as u32).filter(|&location| location < 40);
        builder.push(&locations, Family::V4, first, first + (0xfff << 96), location, false).unwrap();
        let first = (0x2600 << 112) | (number << 70);
        builder.push(&locations, Family::V6, first, first | 0xffff, location, false).unwrap();
    }
    builder.finish().unwrap()
}

/// Uses everything of a map that a caller can reach.
fn exercise(map: &LocationMap) {
    let decided = |class: u32| Decided { decision: (class % 7) as u16, ttl_s: class % 5 };
    let fold = map.fold(&(0..map.class_count() as u32).map(decided).collect::<Vec<_>>());
    for number in 0..64u128 {
        for family in Family::ALL {
            let bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
            let located = map.locate(&fold, &ClientPrefix::from_bits(family, bits, 128));
            assert!(located.scope <= family.bits());
            let _ = map.class_of(ClientPrefix::from_bits(family, bits, 128));
        }
    }
    for class in 0..map.class_count() as u32 {
        let place = map.place(ClassId(class));
        for (number, lens) in map.spec().lenses.iter().enumerate() {
            assert!(place.order(number).iter().all(|region| region.index() < map.spec().regions.len()));
            assert!(place.ties(number).iter().all(|reach| usize::from(*reach) <= place.order(number).len()));
            if let Lens::Rules(keys) = lens {
                assert!(place.rules(number).iter().all(|&rule| usize::from(rule) < keys.len()));
            }
            let _ = (place.cell(number), place.is_known(number));
        }
    }
}

/// A payload under a header that fits it.
fn with_header(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(fixed_blocks().to_le_bytes());
    bytes.extend((payload.len() as u64).to_le_bytes());
    bytes.extend(payload);
    bytes
}

#[test]
fn a_map_survives_its_flat_form() {
    let map = sample();
    let read = LocationMap::from_bytes(&map.to_bytes()).unwrap();
    assert_eq!(read, map);
    exercise(&read);
    let empty = MapBuilder::new(MapSpec { regions: [].into(), lenses: [].into(), floor: ScopeFloor::NONE })
        .finish()
        .unwrap();
    assert_eq!(LocationMap::from_bytes(&empty.to_bytes()).unwrap(), empty);
    let spec = MapSpec {
        regions: [None].into(),
        lenses: [Lens::Order { bias: [].into(), tie_permille: 0 }].into(),
        floor: ScopeFloor::NONE,
    };
    let orderless = MapBuilder::new(spec).finish().unwrap();
    assert_eq!(LocationMap::from_bytes(&orderless.to_bytes()).unwrap(), orderless);
}

#[test]
fn other_forms_and_parts_are_refused() {
    let bytes = sample().to_bytes();
    for at in 0..HEADER_OCTETS {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        assert_eq!(LocationMap::from_bytes(&damaged), Err(MapError::NotAMap), "octet {at}");
    }
    for length in [0, 7, HEADER_OCTETS, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(LocationMap::from_bytes(&bytes[..length]), Err(MapError::NotAMap), "{length} octets");
    }
    assert_eq!(LocationMap::from_bytes(&[&bytes[..], b"x"].concat()), Err(MapError::NotAMap));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Whatever the octets are, look-ups stay in bounds.
    #[test]
    fn forged_maps_are_refused_or_harmless(
        changes in proptest::collection::vec(proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), 20),
    ) {
        let bytes = sample().to_bytes();
        for changes in changes {
            let mut payload = bytes[HEADER_OCTETS..].to_vec();
            for (at, value) in changes {
                let at = at.index(payload.len());
                payload[at] = value;
            }
            if let Ok(map) = LocationMap::from_bytes(&with_header(&payload)) {
                exercise(&map);
            }
        }
    }
}
