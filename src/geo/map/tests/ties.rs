use super::*;

#[test]
fn ties_reach_as_far_as_their_share_of_each_distance() {
    let regions = [at(0.0, 10.0), at(0.0, 11.0), None, at(0.0, 12.0), at(0.0, 13.2)];
    let order = |tie_permille| Lens::Order { bias: [].into(), tie_permille };
    let spec = MapSpec {
        regions: regions.into(),
        lenses: [order(0), order(100), order(1000)].into(),
        floor: ScopeFloor::NONE,
    };
    let place = Location { coordinates: at(0.0, 0.0), ..Location::default() };
    let map = build(spec, &[("9.0.0.0/8", 0)], &[place]);
    let ClassOf::Class(class) = map.class_of(prefix("9.9.9.9")) else { panic!("special") };
    let place = map.place(class);
    for lens in 0..3 {
        assert_eq!(place.order(lens), [RegionId(0), RegionId(1), RegionId(3), RegionId(4)]);
    }
    assert!(place.ties(0).is_empty());
    assert_eq!(place.ties(1), [2, 3, 4, 4]);
    assert_eq!(place.ties(2), [4, 4, 4, 4]);
    let unknown = map.place(map.unknown_class());
    assert!(unknown.ties(1).is_empty() && unknown.order(1).is_empty());
}

#[test]
fn a_tie_of_nothing_tells_no_places_apart() {
    let places: Vec<Location> = (0..90)
        .map(|east| Location { coordinates: at(10.0, f64::from(east)), ..Location::default() })
        .collect();
    let networks: Vec<(String, usize)> =
        (0..90).map(|number| (format!("9.{number}.0.0/16"), number)).collect();
    let networks: Vec<(&str, usize)> = networks.iter().map(|own| (&*own.0, own.1)).collect();
    let classes = |lenses: Vec<Lens>| build(spec(lenses), &networks, &places).class_count();
    let order = |tie_permille| Lens::Order { bias: [].into(), tie_permille };
    let unknown_only = build(spec(vec![order(0)]), &[], &[]).class_count();
    assert!(classes(vec![order(0)]) - unknown_only <= 6, "at most the orders of three regions");
    assert!(classes(vec![order(100)]) > classes(vec![order(0)]));
}
