//! `least-loaded`: regions by the load that they can take.

use std::net::IpAddr;

use meridian::ids::Family;

use crate::setting::{Setting, client};

const CLIENTS: u32 = 4000;
const POOL: &str = "[pools.web]\nendpoints = [\n\
    { name = \"u1\", region = \"us\", address = \"192.0.2.1\" },\n\
    { name = \"u2\", region = \"us\", address = \"192.0.2.2\" },\n\
    { name = \"e1\", region = \"eu\", address = \"198.51.100.1\" },\n\
    { name = \"a1\", region = \"ap\", address = \"203.0.113.1\" }]\n\
    [services.s]\npolicy = { least-loaded = [\"web\"], min_healthy = 1 }\n";

/// The region of each client, by the first octet of its answer.
fn regions(setting: &Setting) -> Vec<u8> {
    let view = setting.view();
    let octet = |address| match address {
        IpAddr::V4(address) => address.octets()[0],
        IpAddr::V6(_) => panic!(),
    };
    (0..CLIENTS).map(|number| octet(setting.address(&view, &client(number)))).collect()
}

fn part(found: &[u8], region: u8) -> f64 {
    found.iter().filter(|own| **own == region).count() as f64 / found.len() as f64 * 100.0
}

#[test]
fn h12_regions_get_clients_in_proportion_to_what_they_take() {
    let mut setting = Setting::new(POOL);
    for (weights, expected) in [
        ([1000, 1000, 1000, 1000], [50.0, 25.0, 25.0]),
        ([500, 500, 1000, 3000], [20.0, 20.0, 60.0]),
        ([0, 0, 1000, 1000], [0.0, 50.0, 50.0]),
        ([0, 0, 0, 0], [100.0 / 3.0; 3]),
    ] {
        for (name, weight) in ["web/u1", "web/u2", "web/e1", "web/a1"].into_iter().zip(weights) {
            setting.load(name, weight);
        }
        let found = regions(&setting);
        for (region, expected) in [192, 198, 203].into_iter().zip(expected) {
            let own = part(&found, region);
            assert!((own - expected).abs() < 3.0, "{weights:?}: {region} has {own} of {expected}");
        }
    }
}

#[test]
fn h12_a_small_change_of_load_moves_few() {
    let mut setting = Setting::new(POOL);
    let before = regions(&setting);
    setting.load("web/e1", 900);
    let after = regions(&setting);
    let moved: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).collect();
    assert!(moved.iter().all(|(from, _)| **from == 198), "only out of the region that takes less");
    assert!(moved.len() as u32 * 100 < CLIENTS * 4, "{} moved", moved.len());
}

/// Inside a region the draw goes by weight and by what each endpoint takes.
#[test]
fn h12_endpoints_of_a_region_share_by_load() {
    let mut setting = Setting::new(POOL);
    setting.load("web/u2", 3000);
    setting.down("web/e1");
    setting.down("web/a1");
    let view = setting.view();
    let draws = 1000u64;
    let second = (0..draws)
        .filter(|draw| {
            let answer = setting.ask(&view, Family::V4, &client(1), (u64::MAX / draws) * draw).answer;
            answer == meridian::steer::Answer::Addresses(&["192.0.2.2".parse().unwrap()])
        })
        .count();
    assert!((740..=760).contains(&second), "{second}");
}

/// Shares and back-out go for it as for every node.
#[test]
fn r12_shares_and_health_come_first() {
    let mut setting = Setting::new(POOL);
    setting.share("web/e1", 0, meridian::health::ShareCause::Hold);
    setting.down("web/a1");
    assert!(regions(&setting).iter().all(|region| *region == 192));
    setting.down("web/u1");
    setting.down("web/u2");
    assert!(regions(&setting).iter().all(|region| *region == 198), "held, but nobody else is well");
}
