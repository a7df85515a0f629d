//! Look-ups against written examples and against an oracle that tries every address that matters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ties;

use std::collections::BTreeSet;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::geo::ScopeFloor;
use crate::geo::embedded::EMBEDDING_BLOCKS;
use crate::geo::special::SPECIAL_BLOCKS;
use crate::geo::{Continent, CountryCode, GeoKey, Location};

const FRANCE: CountryCode = CountryCode(*b"FR");
const JAPAN: CountryCode = CountryCode(*b"JP");

fn at(latitude: f64, longitude: f64) -> Option<Coordinates> {
    Some(Coordinates::new(latitude, longitude).unwrap())
}

fn prefix(text: &str) -> ClientPrefix {
    match text.split_once('/') {
        Some((address, length)) => ClientPrefix::new(address.parse().unwrap(), length.parse().unwrap()),
        None => ClientPrefix::host(text.parse().unwrap()),
    }
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn cidr(text: &str) -> GeoKey {
    GeoKey::Cidr(net(text))
}

fn last_of(prefix: ClientPrefix) -> u128 {
    prefix.bits() | u128::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0)
}

fn spec(lenses: Vec<Lens>) -> MapSpec {
    MapSpec {
        regions: [at(48.9, 2.4), at(35.7, 139.7), at(38.9, -77.4)].into(),
        lenses: lenses.into(),
        floor: ScopeFloor::NONE,
    }
}

fn paris() -> Location {
    Location {
        coordinates: at(48.85, 2.35),
        country: Some(FRANCE),
        continent: Some(Continent::Europe),
        ..Location::default()
    }
}

fn tokyo() -> Location {
    Location {
        coordinates: at(35.68, 139.69),
        country: Some(JAPAN),
        continent: Some(Continent::Asia),
        asn: Some(64500),
        ..Location::default()
    }
}

/// A map of (prefix, location) in ascending order; a prefix with a `!` is an override.
fn build(spec: MapSpec, database: &[(&str, usize)], locations: &[Location]) -> LocationMap {
    let mut builder = MapBuilder::new(spec);
    for (text, location) in database {
        let range = prefix(text.trim_start_matches('!'));
        let (first, last) = (range.bits(), last_of(range));
        builder
            .push(locations, range.family(), first, last, Some(*location as u32), text.starts_with('!'))
            .unwrap();
    }
    builder.finish().unwrap()
}

/// Decides with `decide` for each class, TTL 60.
fn fold(map: &LocationMap, decide: impl Fn(Place<'_>) -> u16) -> Fold {
    let decided = |class| Decided { decision: decide(map.place(ClassId(class))), ttl_s: 60 };
    map.fold(&(0..map.class_count() as u32).map(decided).collect::<Vec<_>>())
}

/// `WHAT/SCOPE` for a client, where WHAT is a decision or `special`.
fn locate(map: &LocationMap, fold: &Fold, client: &str) -> String {
    let located = map.locate(fold, &prefix(client));
    match located.what {
        What::Decision(decision) => format!("{decision}/{}", located.scope),
        What::Special => format!("special/{}", located.scope),
    }
}

/// The first matching rule + 1, 0 where none matches, 100 where the location is unknown as well.
fn first_rule(place: Place<'_>) -> u16 {
    let unmatched = if place.is_known(0) { 0 } else { 100 };
    place.rules(0).first().map_or(unmatched, |rule| rule + 1)
}

/// The nearest region, 100 for an unknown location.
fn nearest(place: Place<'_>) -> u16 {
    place.order(0).first().map_or(100, |region| region.0)
}

#[test]
fn nested_networks_deaggregate() {
    let map = build(spec(vec![Lens::Rules([cidr("203.0.0.0/8"), cidr("203.1.0.0/16")].into())]), &[], &[]);
    let fold = fold(&map, first_rule);
    for (client, expected) in [
        ("203.2.3.0/24", "1/15"),
        ("203.1.2.0/24", "2/16"),
        ("203.0.0.0/24", "1/16"),
        ("203.128.0.0/24", "1/9"),
        ("203.0.113.0/24", "1/16"),
        ("203.0.0.0/6", "100/7"),
        ("202.9.9.9", "100/8"),
        ("0.0.0.0/0", "special/8"),
        ("2600::/32", "100/6"),
    ] {
        assert_eq!(locate(&map, &fold, client), expected, "{client}");
    }
}

#[test]
fn special_purpose_blocks_stand_alone_unless_covered() {
    let rules = [cidr("10.1.0.0/16"), cidr("192.168.0.0/15"), cidr("fd00:1::/32")];
    let map = build(
        spec(vec![Lens::Rules(rules.into())]),
        &[("10.0.0.0/8", 0), ("11.0.0.0/8", 0), ("!172.16.5.0/24", 1)],
        &[tokyo(), paris()],
    );
    let fold = fold(&map, first_rule);
    for (client, expected) in [
        ("10.2.0.0/24", "special/15"),
        ("10.128.0.0/24", "special/9"),
        ("10.1.7.0/24", "1/16"),
        ("11.1.1.0/24", "0/8"),
        ("192.168.3.4", "2/15"),
        ("172.16.5.9", "0/24"),
        ("172.16.4.0/24", "special/24"),
        ("172.24.0.0/24", "special/13"),
        ("100.64.0.0/24", "special/10"),
        ("127.0.0.1", "special/8"),
        ("198.51.100.0/24", "special/24"),
        ("224.0.0.251", "special/4"),
        ("255.255.255.255", "special/4"),
        ("::1", "special/128"),
        ("fd00:1:2::/48", "3/32"),
        ("fd00:2::/48", "special/31"),
        ("fc00::/8", "special/8"),
        ("2001:db8::/32", "special/32"),
        ("2001:100::/24", "special/24"),
        ("2001:2::/48", "special/31"),
    ] {
        assert_eq!(locate(&map, &fold, client), expected, "{client}");
    }
}

#[test]
fn embedded_ipv4_is_looked_up() {
    let rules = [cidr("203.0.0.0/8"), cidr("203.1.0.0/16"), cidr("::/0"), cidr("2002:cb00::/24")];
    let map = build(spec(vec![Lens::Rules(rules.into())]), &[], &[]);
    let fold = fold(&map, first_rule);
    for (client, expected) in [
        ("::ffff:203.2.3.0/120", "1/111"),
        ("64:ff9b::203.2.3.0/120", "1/111"),
        ("2002:cb02:300::/40", "1/31"),
        ("2002:cb01:300::/64", "2/32"),
        ("2002:a00::/40", "special/24"),
        // Nothing of the address inside is known: an unknown location, with the rules around the block.
        ("2002::/16", "3/16"),
        ("2001::/32", "3/128"),
        ("2001:0:1:2::/64", "3/128"),
        ("::ffff:0:0/96", "3/96"),
        ("64:ff9b::/70", "3/96"),
        // 203.2.3.4 inverted.
        ("2001:0:1:2:3:4:34fd:fcfb", "1/128"),
        ("2001:0:1:2:3:4:f5ff:ffff", "special/128"),
        // No merging across a block: the neighbours of 2002::/16.
        ("2003::/32", "3/16"),
        ("2000::/32", "3/16"),
    ] {
        assert_eq!(locate(&map, &fold, client), expected, "{client}");
    }
    assert_eq!(map.class_of(prefix("::ffff:203.1.0.1")), map.class_of(prefix("203.1.0.1")));
}

#[test]
fn rules_match_most_specific_first() {
    let rules = [
        GeoKey::Continent(Continent::Asia),
        GeoKey::Country(JAPAN),
        GeoKey::Asn(64500),
        GeoKey::Subdivision(JAPAN, "13".into()),
        cidr("8.8.0.0/16"),
        cidr("8.8.8.0/24"),
    ];
    let place = Location { subdivision: Some("13".into()), ..tokyo() };
    let map = build(spec(vec![Lens::Rules(rules.into())]), &[("8.8.0.0/16", 0), ("9.0.0.0/8", 0)], &[place]);
    let rules_of = |client| match map.class_of(prefix(client)) {
        ClassOf::Class(class) => map.place(class).rules(0).to_vec(),
        ClassOf::Special { .. } => panic!("{client} is special"),
    };
    assert_eq!(rules_of("8.8.8.8"), [5, 4, 2, 3, 1, 0]);
    assert_eq!(rules_of("8.8.9.9"), [4, 2, 3, 1, 0]);
    assert_eq!(rules_of("9.9.9.9"), [2, 3, 1, 0]);
    assert!(rules_of("8.9.9.9").is_empty());
}

#[test]
fn orders_are_right_at_the_poles_and_across_the_antimeridian() {
    let regions =
        [at(-17.7, 178.0), at(-13.8, -171.8), at(78.2, 15.6), at(64.8, -147.7), None, at(-41.3, 174.8)];
    let check = |latitude, longitude, bias: &[i8], expected: &[u16]| {
        let spec = MapSpec {
            regions: regions.into(),
            lenses: [Lens::Order { bias: bias.into(), tie_permille: 0 }].into(),
            floor: ScopeFloor::NONE,
        };
        let place = Location { coordinates: at(latitude, longitude), ..Location::default() };
        let map = build(spec, &[("9.0.0.0/8", 0)], &[place]);
        let ClassOf::Class(class) = map.class_of(prefix("9.9.9.9")) else { panic!("special") };
        let order: Vec<u16> = map.place(class).order(0).iter().map(|region| region.0).collect();
        assert_eq!(order, expected, "{latitude},{longitude} {bias:?}");
    };
    check(-17.0, -179.9, &[], &[0, 1, 5, 3, 2]);
    check(-17.0, 179.9, &[], &[0, 1, 5, 3, 2]);
    check(-14.0, -176.0, &[], &[1, 0, 5, 3, 2]);
    check(90.0, 0.0, &[], &[2, 3, 1, 0, 5]);
    check(90.0, 180.0, &[], &[2, 3, 1, 0, 5]);
    check(-90.0, 77.0, &[], &[5, 0, 1, 3, 2]);
    check(90.0, 0.0, &[0, 0, -99, 0, 0, 99], &[5, 3, 1, 0, 2]);
}

#[test]
fn ties_go_to_the_lower_region_number() {
    let regions = [at(0.0, 10.0), at(0.0, -10.0), at(0.0, 10.0)];
    let spec = MapSpec {
        regions: regions.into(),
        lenses: [Lens::Order { bias: [0, 0].into(), tie_permille: 0 }].into(),
        floor: ScopeFloor::NONE,
    };
    let place = Location { coordinates: at(0.0, 0.0), ..Location::default() };
    let map = build(spec, &[("9.0.0.0/8", 0)], &[place]);
    let ClassOf::Class(class) = map.class_of(prefix("9.9.9.9")) else { panic!("special") };
    assert_eq!(map.place(class).order(0), [RegionId(0), RegionId(1), RegionId(2)]);
}

#[test]
fn cells_have_centres() {
    let check = |latitude, longitude, expected: (f64, f64)| {
        let place = Location { coordinates: at(latitude, longitude), ..Location::default() };
        let map = build(spec(vec![Lens::Cell]), &[("9.0.0.0/8", 0)], &[place]);
        let ClassOf::Class(class) = map.class_of(prefix("9.9.9.9")) else { panic!("special") };
        let centre = map.place(class).cell(0).unwrap();
        assert_eq!((centre.latitude(), centre.longitude()), expected, "{latitude},{longitude}");
    };
    check(48.85, 2.35, (48.5, 2.5));
    check(-0.1, -0.1, (-0.5, -0.5));
    check(90.0, 180.0, (89.5, -179.5));
    check(-90.0, -180.0, (-89.5, -179.5));
    let map = build(spec(vec![Lens::Cell]), &[], &[]);
    assert_eq!(map.place(map.unknown_class()).cell(0), None);
    assert!(!map.place(map.unknown_class()).is_known(0));
}

#[test]
fn the_ttl_is_the_least_inside_the_scope() {
    let locations = [paris(), tokyo()];
    let lens = Lens::Order { bias: [].into(), tie_permille: 0 };
    let map =
        build(spec(vec![lens]), &[("16.0.0.0/9", 0), ("16.128.0.0/9", 1), ("17.0.0.0/8", 0)], &locations);
    let ttl_of = |place: Place<'_>| if nearest(place) == 1 { 7 } else { 60 };
    let decided: Vec<Decided> = (0..map.class_count() as u32)
        .map(|class| Decided { decision: 0, ttl_s: ttl_of(map.place(ClassId(class))) })
        .collect();
    let fold = map.fold(&decided);
    // One decision everywhere: the scope is bounded by the special-purpose blocks only.
    let located = map.locate(&fold, &prefix("16.1.1.1"));
    assert_eq!((located.what, located.scope, located.ttl_s), (What::Decision(0), 4, 7));
    let located = map.locate(&fold, &prefix("128.1.1.1"));
    assert_eq!((located.what, located.scope, located.ttl_s), (What::Decision(0), 3, 60));
}

/// A node to which every octet above it leads is still one level below: 8.0.0.0/8 is halved in each of its
/// 256 networks of 16 bits, and the first of a family in each of its 65,536.
#[test]
fn levels_that_do_not_matter_are_levels_still() {
    let locations = [paris(), tokyo()];
    let mut builder = MapBuilder::new(spec(vec![Lens::Order { bias: [].into(), tie_permille: 0 }]));
    let halves = |first: u128, shift: u32, count: u128| {
        (0..2 * count)
            .map(move |half| (first + (half << shift), first + ((half + 1) << shift) - 1, (half % 2) as u32))
    };
    for (first, last, location) in halves(8 << 120, 111, 256) {
        builder.push(&locations, Family::V4, first, last, Some(location), false).unwrap();
    }
    for (first, last, location) in halves(0x2600 << 112, 95, 65_536) {
        builder.push(&locations, Family::V6, first, last, Some(location), false).unwrap();
    }
    let map = builder.finish().unwrap();
    let fold = fold(&map, nearest);
    for (client, expected) in [
        ("8.0.0.0", "0/17"),
        ("8.7.127.255", "0/17"),
        ("8.7.128.0", "1/17"),
        ("8.255.255.255", "1/17"),
        ("9.0.0.0", "100/8"),
        ("2600:0:7fff::", "0/33"),
        ("2600:ab12:8000::", "1/33"),
        ("2600:ffff:ffff::", "1/33"),
        ("2601::", "100/16"),
    ] {
        assert_eq!(locate(&map, &fold, client), expected, "{client}");
    }
    assert_eq!(LocationMap::from_bytes(&map.to_bytes()), Ok(map));
}

#[test]
fn a_stream_out_of_order_is_refused() {
    let locations = [paris()];
    let mut builder = MapBuilder::new(spec(vec![Lens::Cell]));
    let ranges =
        [("9.0.0.0/8", 0u32), ("8.0.0.0/8", 0), ("9.1.0.0/16", 0), ("10.0.0.0/8", 1), ("11.0.0.0/8", 0)];
    let outcomes = ranges.map(|(text, location)| {
        let range = prefix(text);
        builder
            .push(&locations, range.family(), range.bits(), last_of(range), Some(location), false)
            .map_err(|error| error.to_string())
    });
    let refused = |at: &str| Err(format!("the V4 range that starts at {at} is out of order"));
    let v4 = |octets: &str| refused(&format!("0x{octets}{}", "0".repeat(24)));
    assert_eq!(outcomes[0], Ok(()));
    assert_eq!(outcomes[1], v4("8000000"));
    assert_eq!(outcomes[2], v4("9010000"));
    assert_eq!(outcomes[3], Err("there is no location 1".to_string()));
    assert_eq!(outcomes[4], Ok(()));
    assert_eq!(
        builder.push(&[], Family::V6, 5, 4, None, false),
        Err(MapError::OutOfOrder { family: Family::V6, first: 5 })
    );
    builder.finish().unwrap();
}

/// A database, overlays and decisions, small enough to try everything.
#[derive(Clone, Debug)]
struct World {
    /// Where the location changes, and to what.
    cuts: Vec<(Family, u128, Option<usize>)>,
    overrides: Vec<(ClientPrefix, usize)>,
    rules: Vec<ClientPrefix>,
    /// Mixed into the decisions.
    salt: u64,
    /// How many different decisions there are.
    decisions: u64,
}

/// What the oracle finds at an address. Blocks compare by number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Truth {
    Special(usize),
    Embedding(usize, Decided),
    Place(Decided),
}

impl Truth {
    fn same_decision(self, other: Truth) -> bool {
        match (self, other) {
            (Truth::Place(a), Truth::Place(b)) => a.decision == b.decision,
            (Truth::Place(_), _) | (_, Truth::Place(_)) => false,
            (a, b) => a == b,
        }
    }

    fn ttl_s(self) -> u32 {
        match self {
            Truth::Special(_) => 0,
            Truth::Embedding(_, decided) | Truth::Place(decided) => decided.ttl_s,
        }
    }
}

fn places() -> Vec<Location> {
    let mut places = vec![paris(), tokyo(), Location::default()];
    places.push(Location { country: Some(FRANCE), ..Location::default() });
    places.push(Location { coordinates: at(40.0, -75.0), ..Location::default() });
    places
}

impl World {
    fn keys(&self) -> Vec<GeoKey> {
        let cidrs =
            self.rules.iter().map(|rule| GeoKey::Cidr(IpNet::new(rule.address(), rule.length()).unwrap()));
        cidrs.chain([GeoKey::Country(FRANCE), GeoKey::Asn(64500)]).collect()
    }

    fn spec(&self) -> MapSpec {
        spec(vec![
            Lens::Order { bias: [].into(), tie_permille: 0 },
            Lens::Rules(self.keys().into()),
            Lens::Cell,
        ])
    }

    fn map(&self) -> LocationMap {
        self.builder(self.spec(), &Family::ALL).finish().unwrap()
    }

    fn builder(&self, spec: MapSpec, families: &[Family]) -> MapBuilder {
        let places = places();
        let mut builder = MapBuilder::new(spec);
        for &family in families {
            let edges: Vec<u128> = self.edges(family).into_iter().collect();
            for (index, &first) in edges.iter().enumerate() {
                let last = edges.get(index + 1).map_or(u128::MAX, |next| next - 1);
                let (place, overridden) = self.place(family, first);
                builder
                    .push(&places, family, first, last, place.map(|number| number as u32), overridden)
                    .unwrap();
            }
        }
        builder
    }

    /// What the sources say of an address, and whether an override does.
    fn place(&self, family: Family, bits: u128) -> (Option<usize>, bool) {
        let inside = |prefix: &ClientPrefix| {
            prefix.family() == family && ClientPrefix::from_bits(family, bits, prefix.length()) == *prefix
        };
        let overrides = self.overrides.iter().filter(|(prefix, _)| inside(prefix));
        if let Some((_, place)) = overrides.max_by_key(|(prefix, _)| prefix.length()) {
            return (Some(*place), true);
        }
        let cut = self.cuts.iter().rev().find(|(of, first, _)| *of == family && *first <= bits);
        (cut.and_then(|(_, _, place)| *place), false)
    }

    /// The decision for what the lenses show: any function will do.
    fn decide(&self, order: &[u16], rules: &[u16], known: bool, cell: Option<(f64, f64)>) -> Decided {
        use std::hash::{Hash, Hasher};
        let mut hasher = siphasher::sip::SipHasher24::new_with_keys(self.salt, 0);
        (order, rules, known, cell.map(|(a, b)| (a.to_bits(), b.to_bits()))).hash(&mut hasher);
        let hash = hasher.finish();
        let ttl_s = if self.salt.is_multiple_of(2) { 60 } else { (hash >> 32) as u32 % 50 };
        Decided { decision: (hash % self.decisions) as u16, ttl_s }
    }

    fn fold(&self, map: &LocationMap) -> Fold {
        let decide = |class| {
            let place = map.place(ClassId(class));
            let order: Vec<u16> = place.order(0).iter().map(|region| region.0).collect();
            let cell = place.cell(2).map(|centre| (centre.latitude(), centre.longitude()));
            self.decide(&order, place.rules(1), place.is_known(1), cell)
        };
        map.fold(&(0..map.class_count() as u32).map(decide).collect::<Vec<_>>())
    }

    /// The truth at one address, by looking at everything.
    fn truth(&self, family: Family, bits: u128) -> Truth {
        let inside = |prefix: &ClientPrefix| {
            prefix.family() == family && ClientPrefix::from_bits(family, bits, prefix.length()) == *prefix
        };
        let block = EMBEDDING_BLOCKS
            .iter()
            .position(|block| inside(&ClientPrefix::from_bits(Family::V6, block.first, block.length)));
        if let Some(block) = block {
            let longest = EMBEDDING_BLOCKS[block].length;
            let rules = self.matching(family, bits, longest, &Location::default());
            return Truth::Embedding(block, self.decide(&[], &rules, false, None));
        }
        let (place, overridden) = self.place(family, bits);
        let covered = overridden || self.rules.iter().any(inside);
        let special = SPECIAL_BLOCKS
            .iter()
            .position(|block| inside(&ClientPrefix::from_bits(block.family, block.first, block.length)));
        if let (false, Some(special)) = (covered, special) {
            return Truth::Special(special);
        }
        let place = place.map_or_else(Location::default, |place| places()[place].clone());
        let rules = self.matching(family, bits, 128, &place);
        let mut order = Vec::new();
        let mut cell = None;
        if let Some(coordinates) = place.coordinates {
            let mut distances: Vec<(f64, u16)> = self
                .spec()
                .regions
                .iter()
                .zip(0..)
                .map(|(region, number)| (coordinates.distance_km(region.unwrap()), number))
                .collect();
            distances.sort_by(|a, b| a.partial_cmp(b).unwrap());
            order = distances.iter().map(|(_, number)| *number).collect();
            cell = Some((coordinates.latitude().floor() + 0.5, coordinates.longitude().floor() + 0.5));
        }
        let known = place.country.is_some() || place.asn.is_some() || place.continent.is_some();
        Truth::Place(self.decide(&order, &rules, known, cell))
    }

    fn matching(&self, family: Family, bits: u128, longest: u8, place: &Location) -> Vec<u16> {
        let mut cidrs: Vec<(u8, u16)> = (0..)
            .zip(&self.rules)
            .filter(|(_, rule)| rule.family() == family && rule.length() <= longest)
            .filter(|(_, rule)| ClientPrefix::from_bits(family, bits, rule.length()) == **rule)
            .map(|(number, rule)| (rule.length(), number))
            .collect();
        cidrs.sort_unstable_by(|a, b| b.cmp(a));
        let mut rules: Vec<u16> = cidrs.iter().map(|(_, number)| *number).collect();
        if place.asn.is_some() {
            rules.push(self.rules.len() as u16 + 1);
        }
        if place.country == Some(FRANCE) {
            rules.push(self.rules.len() as u16);
        }
        rules
    }

    /// The first addresses of all runs in which nothing can change.
    fn edges(&self, family: Family) -> BTreeSet<u128> {
        let mut edges = BTreeSet::from([0]);
        edges.extend(self.cuts.iter().filter(|cut| cut.0 == family).map(|cut| cut.1));
        let prefixes = self.overrides.iter().map(|(prefix, _)| *prefix).chain(self.rules.iter().copied());
        let special = SPECIAL_BLOCKS
            .iter()
            .map(|block| ClientPrefix::from_bits(block.family, block.first, block.length));
        let embedding = EMBEDDING_BLOCKS
            .iter()
            .map(|block| ClientPrefix::from_bits(Family::V6, block.first, block.length));
        for prefix in prefixes.chain(special).chain(embedding).filter(|prefix| prefix.family() == family) {
            edges.insert(prefix.bits());
            edges.extend(last_of(prefix).checked_add(1));
        }
        edges
    }

    /// The truths inside a prefix.
    fn truths(&self, prefix: ClientPrefix) -> Vec<Truth> {
        let (first, last) = (prefix.bits(), last_of(prefix));
        let edges = self.edges(prefix.family());
        let inside = edges.range(first..=last).copied();
        std::iter::once(first).chain(inside).map(|bits| self.truth(prefix.family(), bits)).collect()
    }
}

/// Addresses that crowd where blocks and edges are.
fn address_strategy() -> impl Strategy<Value = (Family, u128)> {
    let bases = ["8.0.0.0/5", "10.0.0.0/7", "203.0.0.0/14", "192.0.0.0/8", "0.0.0.0/0", "8.8.8.0/24"];
    let bases6 = [
        "2000::/6",
        "2001::/16",
        "2001:db8::/28",
        "64:ff9b::/40",
        "::/90",
        "2600:1:2:3::/60",
        "fc00::/5",
        "::/0",
    ];
    let base =
        prop_oneof![proptest::sample::select(bases.to_vec()), proptest::sample::select(bases6.to_vec())];
    (base, any::<u128>(), 0u8..=128, any::<bool>()).prop_map(|(base, noise, keep, ones)| {
        let base = prefix(base);
        let noise = noise.checked_shr(u32::from(base.length())).unwrap_or(0);
        let free = u128::MAX.checked_shr(u32::from(base.length().max(keep))).unwrap_or(0);
        let bits = if ones { base.bits() | noise | free } else { (base.bits() | noise) & !free };
        (base.family(), ClientPrefix::from_bits(base.family(), bits, 128).bits())
    })
}

fn prefix_strategy() -> impl Strategy<Value = ClientPrefix> {
    (address_strategy(), 0u8..=128).prop_map(|((family, bits), length)| {
        ClientPrefix::from_bits(family, bits, length % (family.bits() + 1))
    })
}

fn world_strategy() -> impl Strategy<Value = World> {
    let cuts = proptest::collection::vec((address_strategy(), proptest::option::of(0usize..5)), 0..24);
    let overrides = proptest::collection::vec((prefix_strategy(), 0usize..5), 0..6);
    let rules = proptest::collection::vec(prefix_strategy(), 0..6);
    (cuts, overrides, rules, any::<u64>(), 1u64..5).prop_map(
        |(cuts, mut overrides, mut rules, salt, decisions)| {
            let mut cuts: Vec<_> =
                cuts.into_iter().map(|((family, bits), location)| (family, bits, location)).collect();
            cuts.sort_unstable();
            cuts.dedup_by_key(|cut| (cut.0, cut.1));
            overrides.sort_unstable();
            overrides.dedup_by_key(|(prefix, _)| *prefix);
            rules.sort_unstable();
            rules.dedup();
            World { cuts, overrides, rules, salt, decisions }
        },
    )
}

/// Soundness, maximality and agreement of the look-up of one client with the oracle.
fn check_client(
    world: &World,
    map: &LocationMap,
    fold: &Fold,
    client: ClientPrefix,
) -> Result<(), TestCaseError> {
    let located = map.locate(fold, &client);
    // What was found is kept, and must be the same.
    prop_assert_eq!(map.locate(fold, &client), located);
    if let Some((number, ttl_s, scope)) = map.locate_quickly(fold, &client) {
        prop_assert_eq!(Located { what: What::Decision(number), scope, ttl_s }, located);
    }
    let family = client.family();
    if let LookUp::Nothing { block, scope } = look_up(client) {
        let Truth::Embedding(found, decided) = world.truth(family, client.bits()) else {
            panic!("not an embedding block")
        };
        prop_assert_eq!(found, block);
        prop_assert_eq!(
            (located.what, located.scope, located.ttl_s),
            (What::Decision(decided.decision), scope, decided.ttl_s)
        );
        return Ok(());
    }
    if let LookUp::Inner { prefix, scope } = look_up(client) {
        let inner = map.locate(fold, &prefix);
        prop_assert_eq!((located.what, located.ttl_s), (inner.what, inner.ttl_s));
        prop_assert_eq!(located.scope, scope.announce(inner.scope));
        return Ok(());
    }
    let truth = world.truth(family, client.bits());
    let what = match truth {
        Truth::Special(_) => What::Special,
        Truth::Embedding(_, decided) | Truth::Place(decided) => What::Decision(decided.decision),
    };
    prop_assert_eq!(located.what, what);
    let scope = ClientPrefix::from_bits(family, client.bits(), located.scope);
    let inside = world.truths(scope);
    prop_assert!(inside.iter().all(|other| other.same_decision(truth)), "{}: {} is too wide", client, scope);
    let ttl_s = inside.iter().map(|truth| truth.ttl_s()).min().unwrap();
    prop_assert_eq!(located.ttl_s, ttl_s);
    if let Some(length) = located.scope.checked_sub(1) {
        let wider = ClientPrefix::from_bits(family, client.bits(), length);
        let mut all = world.truths(wider).into_iter();
        prop_assert!(all.any(|other| !other.same_decision(truth)), "{}: {} would do", client, wider);
    }
    let middle = scope.bits() | ((last_of(scope) - scope.bits()) / 3);
    for second in [scope.bits(), middle, last_of(scope)] {
        let found = map.locate(fold, &ClientPrefix::from_bits(family, second, 128));
        prop_assert_eq!((found.what, found.scope, found.ttl_s), (located.what, located.scope, located.ttl_s));
    }
    if let What::Decision(_) = what {
        prop_assert!(matches!(map.class_of(client), ClassOf::Class(_)));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn halves_built_apart_make_the_same_map(world in world_strategy(), floor in 0u8..40) {
        let spec = || MapSpec { floor: ScopeFloor::new(Some(floor), Some(floor * 2)), ..world.spec() };
        let mut halves = world.builder(spec(), &[Family::V4]);
        halves.absorb(Family::V6, world.builder(spec(), &[Family::V6])).unwrap();
        let whole = world.builder(spec(), &Family::ALL).finish().unwrap();
        prop_assert_eq!(halves.finish().unwrap(), whole);
    }

    #[test]
    fn scopes_are_sound_and_maximal(world in world_strategy(), clients in proptest::collection::vec(prefix_strategy(), 8), salts in any::<[u64; 3]>()) {
        let map = world.map();
        for salt in salts {
            let world = World { salt, ..world.clone() };
            let fold = world.fold(&map);
            for &client in &clients {
                check_client(&world, &map, &fold, client)?;
            }
            // A fold of other decisions that has learned what this one was asked finds what is true of its own.
            let other = World { salt: salt.rotate_left(32), ..world.clone() };
            let (learned, places) = (other.fold(&map), map.places_of_sets());
            learned.learn(&map, &places, &fold);
            prop_assert_eq!(learned.learn(&map, &places, &fold), 0);
            for &client in &clients {
                check_client(&other, &map, &learned, client)?;
            }
            for family in Family::ALL {
                for edge in world.edges(family) {
                    check_client(&world, &map, &fold, ClientPrefix::from_bits(family, edge, 128))?;
                }
            }
        }
    }

    /// A fold from the nearest regions is that from all classes, through every lens that has orders.
    #[test]
    fn nearest_regions_fold_like_all_classes(
        world in world_strategy(),
        stands in proptest::collection::vec(
            prop_oneof![
                Just(Stand::Absent),
                (0u32..3).prop_map(|ttl_s| Stand::Failed { ttl_s }),
                (0u32..4).prop_map(|ttl_s| Stand::Chosen { ttl_s }),
            ],
            0..7,
        ),
        unknown in Just((0..6u16).map(RegionId).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let order = |bias: &[i8]| Lens::Order { bias: bias.into(), tie_permille: 0 };
        let lenses = [Lens::Rules(world.keys().into()), order(&[]), order(&[0, 60, -60, 0, 0, 20])];
        let regions = [(48.9, 2.4), (35.7, 139.7), (38.9, -77.4), (-33.9, 18.4), (1.4, 103.8), (40.0, -75.0)];
        let regions = regions.map(|(latitude, longitude)| at(latitude, longitude)).into();
        let spec = MapSpec { regions, lenses: lenses.into(), floor: ScopeFloor::NONE };
        let map = world.builder(spec, &Family::ALL).finish().unwrap();
        let first = |order: &[RegionId]| {
            let mut ttl_s = u32::MAX;
            order.iter().find_map(|region| match stands.get(region.index()) {
                None | Some(Stand::Absent) => None,
                Some(Stand::Failed { ttl_s: bound_s }) => { ttl_s = ttl_s.min(*bound_s); None }
                Some(Stand::Chosen { ttl_s: own_s }) => Some(Nearest { region: *region, ttl_s: ttl_s.min(*own_s) }),
            })
        };
        let decided = |Nearest { region, ttl_s }| Decided { decision: region.0 / 2, ttl_s };
        for lens in [1, 2] {
            let Some(nearest) = map.nearest(lens, &stands, &unknown) else {
                let any = stands.iter().any(|stand| matches!(stand, Stand::Chosen { .. }));
                prop_assert!(!any);
                continue;
            };
            let of_class = |class| {
                let place = map.place(ClassId(class));
                let known = if place.is_known(lens) { first(place.order(lens)) } else { first(&unknown) };
                decided(known.unwrap())
            };
            let by_class = map.fold(&(0..map.class_count() as u32).map(of_class).collect::<Vec<_>>());
            let by_order = map.fold_nearest(&nearest, decided);
            prop_assert_eq!(nearest.unknown(), first(&unknown).unwrap());
            for family in Family::ALL {
                for edge in world.edges(family) {
                    let client = ClientPrefix::from_bits(family, edge, 128);
                    prop_assert_eq!(map.locate(&by_order, &client), map.locate(&by_class, &client));
                }
            }
        }
    }
}
