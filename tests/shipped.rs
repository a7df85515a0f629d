//! The shipped configuration on the shipped location data: users of each continent reach the region that a
//! person would expect, with scopes that are neither whole nor single networks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use meridian::compile::locations::{Atlas, Database, Overrides};
use meridian::config::{SourceFile, Sources};
use meridian::geo::ClientPrefix;
use meridian::health::HealthTable;
use meridian::ids::{CounterId, Family, RegionId, ServiceId};
use meridian::now::Now;
use meridian::steer::{Answer, Calendar, Client, Lane};
use meridian::view::{Assumed, Subject, View, assume};

const NOW: Now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };

fn view() -> View {
    let (sources, problems) = meridian::load::sources(Path::new("meridian.toml"));
    assert!(problems.0.is_empty(), "{problems:#?}");
    view_of(sources)
}

/// The view of a configuration file without zones.
fn compiled(text: &str) -> View {
    let file = SourceFile { path: "meridian.toml".into(), bytes: text.as_bytes().to_vec() };
    view_of(Sources { files: vec![file], ..Sources::default() })
}

fn view_of(sources: Sources) -> View {
    let (config, problems) = meridian::config::read(&sources, &|_| None);
    assert!(!problems.has_errors(), "{problems:#?}");
    let config = config.unwrap();
    let path = &config.geoip.database[0].0;
    let database = Database::open(meridian::load::read_bytes(path, 1 << 30).unwrap(), "world.mgeo").unwrap();
    let atlas = Atlas::new(vec![database], vec![], Overrides::default());
    let inputs = meridian::compile::Inputs {
        sources: &sources,
        locations: &mut meridian::compile::Given { atlas: &atlas, maps: &[] },
        zones: meridian::compile::ZoneReading::ANEW,
        generation: 1,
        counter: &mut |_, _| CounterId(0),
        progress: &mut |_, _| {},
    };
    let (snapshot, problems) = meridian::compile::compile(&config, inputs);
    assert!(!problems.has_errors(), "{problems:#?}");
    let snapshot = Arc::new(snapshot.unwrap());
    let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
    View::new(snapshot, health, Calendar::default(), None)
}

/// (address, scope) of the service `www` for a client network.
fn ask(view: &View, service: &str, network: &str) -> (String, u8) {
    let (address, length) = network.split_once('/').unwrap();
    let subnet = ClientPrefix::new(address.parse().unwrap(), length.parse().unwrap());
    let client = Client { resolver: "9.9.9.9".parse::<IpAddr>().unwrap(), subnet: Some(subnet) };
    let service = view.snapshot.plans.iter().position(|plan| &*plan.name == service).unwrap();
    let selection = view.steer(ServiceId(service as u32), Lane::Addresses(Family::V4), &client, NOW, 0);
    let Answer::Addresses(addresses) = selection.answer else { panic!("{selection:?}") };
    (addresses[0].to_string(), selection.scope)
}

#[test]
fn users_reach_the_region_that_a_person_would_expect() {
    let view = view();
    let expected = [
        ("193.0.0.0/24", "127.0.10.3", "Amsterdam -> eu-west"),
        ("133.11.0.0/24", "127.0.10.4", "Tokyo -> ap-northeast"),
        ("18.7.0.0/24", "127.0.10.1", "Boston -> us-east"),
        ("200.160.0.0/24", "127.0.10.2", "Sao Paulo -> sa-east"),
        ("41.0.0.0/24", "127.0.10.2", "South Africa -> sa-east, by distance"),
        ("2001:67c:2e8::/48", "127.0.10.3", "Amsterdam by IPv6 -> eu-west"),
    ];
    for (network, address, who) in expected {
        let (found, scope) = ask(&view, "www", network);
        println!("{network} -> {found} /{scope}");
        assert_eq!(found, address, "{who}");
        assert!((4..=48).contains(&scope), "{network}: scope {scope}");
    }
}

#[test]
fn losing_a_region_moves_its_users_and_nobody_else() {
    let view = view();
    let without = assume(&view, &[(Subject::Region(RegionId(2)), Assumed::Down)], Calendar::default());
    let (mut moved, mut stayed) = (0, 0);
    for index in 0..4000u32 {
        let address = std::net::Ipv4Addr::from(index.wrapping_mul(0x9e37_79b9));
        let network = format!("{address}/24");
        for service in ["www", "api", "shop"] {
            let (before, after) = (ask(&view, service, &network).0, ask(&without, service, &network).0);
            if before == "127.0.10.3" {
                moved += u32::from(after != before);
            } else {
                assert_eq!(before, after, "{service} {network}");
                stayed += 1;
            }
        }
    }
    assert!(moved > 500 && stayed > 5000, "{moved} {stayed}");
    // The fence: Europeans stay in Europe although it is down.
    assert_eq!(ask(&without, "shop", "193.0.0.0/24").0, "127.0.10.3");
    assert_eq!(ask(&without, "www", "193.0.0.0/24").0, "127.0.10.1");
}

/// How long a change of health keeps the server from publishing: `cargo test --release --test shipped --
/// --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::disallowed_methods)]
fn publishing_a_change_of_health_takes_so_long() {
    let regions = [
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
        "ca-central-1",
        "sa-east-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "eu-central-1",
        "eu-north-1",
        "eu-south-1",
        "me-south-1",
        "me-central-1",
        "af-south-1",
        "ap-south-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-east-1",
        "il-central-1",
    ];
    let mut text =
        String::from("[server]\nlisten = [\"127.0.0.1:0\"]\n[geoip]\ndatabase = \"geoip/world.mgeo\"\n");
    let mut endpoints = String::new();
    for (number, region) in (1..).zip(regions) {
        text += &format!("[regions.{region}]\nat = \"aws:{region}\"\n");
        for machine in 1..=2 {
            endpoints += &format!(
                "{{ name = \"{region}-{machine}\", region = \"{region}\", address = [\"192.0.2.{n}\", \"2001:db8::{n:x}\"] }},\n",
                n = number * 2 + machine
            );
        }
    }
    text += &format!(
        "[monitors.web]\nhttp = {{ path = \"/\" }}\n[pools.web]\nmonitor = \"web\"\nendpoints = [\n{endpoints}]\n"
    );
    text += "[services.near]\npolicy = { nearest = [\"web\"] }\n[services.fast]\npolicy = { latency = [\"web\"] }\n";
    let view = compiled(&text);
    for (index, plan) in view.snapshot.plans.iter().enumerate() {
        let figures = view.snapshot.map_of(plan).unwrap().figures();
        println!("service {} {}: {figures:?}", index, plan.name);
    }
    let mut times = Vec::new();
    for round in 0..6u32 {
        let mut addresses = view.health.addresses.to_vec();
        addresses[round as usize].verdict = meridian::health::Verdict::Down;
        let health = HealthTable { addresses: addresses.into(), ..view.health.clone() };
        let begin = std::time::Instant::now();
        let next = View::new(Arc::clone(&view.snapshot), health, Calendar::default(), Some(&view));
        times.push(begin.elapsed());
        assert_eq!(next.snapshot.generation, 1);
    }
    println!("a view of both services, each time: {times:?}");
}
