//! Large configurations, the same in every run: for figures, and scaled down for tests.

use std::fmt::Write as _;

/// The zone of worlds that have one, and the parent of the zones of those that have many.
pub const PARENT: &str = "scale.test";
/// Names in the zone that all others are compared with.
pub const SMALL_NAMES: u64 = 1000;
/// Data centres and where they are, in an order in which any first few are spread over the world.
const SITES: [(&str, f32, f32); 24] = [
    ("iad", 38.9, -77.4),
    ("fra", 50.1, 8.7),
    ("nrt", 35.7, 139.7),
    ("gru", -23.5, -46.6),
    ("sin", 1.4, 103.8),
    ("pdx", 45.8, -119.7),
    ("syd", -33.9, 151.2),
    ("dub", 53.3, -6.3),
    ("bom", 19.1, 72.9),
    ("cpt", -33.9, 18.4),
    ("sjc", 37.4, -122.0),
    ("cdg", 48.9, 2.4),
    ("dxb", 25.2, 55.3),
    ("icn", 37.6, 127.0),
    ("cmh", 40.0, -83.0),
    ("arn", 59.3, 18.1),
    ("hkg", 22.3, 114.2),
    ("yul", 45.5, -73.6),
    ("lhr", 51.5, -0.1),
    ("kix", 34.7, 135.5),
    ("bah", 26.1, 50.6),
    ("mxp", 45.5, 9.2),
    ("cgk", -6.2, 106.9),
    ("mad", 40.4, -3.7),
];

/// A configuration to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum World {
    /// One zone with a thousand names, and ten steered ones.
    Small,
    /// One zone with so many records.
    Records(u64),
    /// So many zones with so many names each.
    Zones(u64, u64),
    /// One zone with so many steered names, over so many services.
    Steered(u64, u64),
    /// So many services in so many regions, each endpoint with a check.
    Services(u64, usize),
}

/// A file: where it lies in the folder, and what is in it.
pub type Text = (String, String);

impl World {
    /// By its name and figures: `records 5000000`.
    pub fn from_words(words: &[String]) -> Option<World> {
        let number = |index: usize| words.get(index).and_then(|word| word.parse::<u64>().ok());
        Some(match words.first()?.as_str() {
            "small" => World::Small,
            "records" => World::Records(number(1)?),
            "zones" => World::Zones(number(1)?, number(2)?),
            "steered" => World::Steered(number(1)?, number(2)?),
            "services" => World::Services(number(1)?, usize::try_from(number(2)?).ok()?),
            _ => return None,
        })
    }

    /// How many names it has that are asked for.
    pub fn names(self) -> u64 {
        match self {
            World::Small => SMALL_NAMES,
            World::Records(records) => names_of(records),
            World::Zones(zones, names) => zones * names,
            World::Steered(names, _) => names,
            World::Services(services, _) => services,
        }
    }

    /// Name `number`, without its final dot.
    pub fn name(self, number: u64) -> String {
        match self {
            World::Zones(zones, _) => {
                format!("{}.{}.{PARENT}", label(number / zones), label(number % zones))
            }
            _ => format!("{}.{PARENT}", label(number)),
        }
    }

    /// Every file, the main one first, one after the other: a world need not be in memory at once.
    pub fn files(self, give: &mut dyn FnMut(Text)) {
        let (services, regions) = match self {
            World::Small => (10, 4),
            World::Records(_) | World::Zones(..) => (1, 4),
            World::Steered(_, services) => (services, 4),
            World::Services(services, regions) => (services, regions),
        };
        give(("meridian.toml".to_owned(), main_file(services, regions, matches!(self, World::Services(..)))));
        give(("overrides.csv".to_owned(), "10.0.0.0/9,US,,Ashburn\n10.128.0.0/9,DE,,Frankfurt\n".to_owned()));
        match self {
            World::Small => {
                give((zone_file(PARENT), zone(SMALL_NAMES * 7 / 4)));
                give((names_file(PARENT), names(10, 10, &|number| format!("steered-{number}"))));
            }
            World::Records(records) => {
                give((zone_file(PARENT), zone(records)));
                give((names_file(PARENT), names(1, 1, &|_| "steered".to_owned())));
            }
            World::Zones(zones, in_each) => {
                give((zone_file(PARENT), zone(0)));
                give((names_file(PARENT), names(1, 1, &|_| "steered".to_owned())));
                for number in 0..zones {
                    give((zone_file(&format!("{}.{PARENT}", label(number))), zone(records_of(in_each))));
                }
            }
            World::Steered(count, services) => {
                give((zone_file(PARENT), zone(0)));
                give((names_file(PARENT), names(count, services, &label)));
            }
            World::Services(services, _) => {
                give((zone_file(PARENT), zone(0)));
                give((names_file(PARENT), names(services, services, &label)));
            }
        }
    }
}

/// A label for a number: six letters or digits that no other number has, and up to eight more.
pub fn label(number: u64) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let digit = |value: u64| char::from(DIGITS[(value & 31) as usize]);
    // An odd factor and a shift are undone by others: below 2^30 every number has its own.
    let mixed = number.wrapping_mul(0x9e37_79b9) & 0x3fff_ffff;
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0x2545_f491) & 0x3fff_ffff;
    let more = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let letters = (0..6).map(|place| digit(mixed >> (place * 5)));
    letters.chain((0..more % 9).map(|place| digit(more >> (4 + place * 5)))).collect()
}

/// The records of so many names: each has an A, every second an AAAA, every fourth a TXT.
pub fn records_of(names: u64) -> u64 {
    names + names.div_ceil(2) + names.div_ceil(4)
}

/// The names that so many records belong to.
fn names_of(records: u64) -> u64 {
    let mut names = records * 4 / 7;
    while records_of(names) < records {
        names += 1;
    }
    names
}

fn zone_file(origin: &str) -> String {
    format!("zones/{origin}.zone")
}

fn names_file(origin: &str) -> String {
    format!("zones/{origin}.toml")
}

/// A master file with so many records besides those of its top.
fn zone(records: u64) -> String {
    let mut text = String::with_capacity(160 + records as usize * 40);
    text.push_str("$TTL 3600\n@ SOA ns1 hostmaster 1 3600 600 604800 60\n@ NS ns1\nns1 A 192.0.2.53\n");
    let (mut number, mut left) = (0, records);
    while left > 0 {
        let label = label(number);
        let low = number as u32;
        let mut line = |type_and_data: std::fmt::Arguments<'_>| {
            if left > 0 {
                // Text takes whatever is written to it.
                let _ = writeln!(text, "{label} {type_and_data}");
                left -= 1;
            }
        };
        line(format_args!("A {}", std::net::Ipv4Addr::from(0x0a00_0000 | low & 0xff_ffff)));
        if number % 2 == 0 {
            line(format_args!("AAAA 2001:db8::{:x}:{:x}", low >> 16, low & 0xffff));
        }
        if number % 4 == 0 {
            line(format_args!("TXT \"v=one; number {number}\""));
        }
        number += 1;
    }
    text
}

/// A file of steered names.
fn names(count: u64, services: u64, name: &dyn Fn(u64) -> String) -> String {
    let mut text = "[names]\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "{} = \"service-{}\"", name(number), number % services);
    }
    text
}

fn main_file(services: u64, regions: usize, checked: bool) -> String {
    let mut text = "[server]\nlisten = [\"127.0.0.1:5300\"]\nworkers = 1\nstate = \"off\"\n\n[control]\nlisten = \"off\"\n\n\
                    [geoip]\noverrides = \"overrides.csv\"\n\n[probes]\nallow_loopback = true\n\n"
        .to_owned();
    for (site, latitude, longitude) in SITES.iter().take(regions) {
        let _ = writeln!(text, "[regions.{site}]\nat = [{latitude}, {longitude}]");
    }
    if checked {
        text.push_str("\n[monitors.web]\ntcp = { port = 18080 }\ninterval = \"60s\"\n");
    }
    for service in 0..services {
        let monitor = if checked { "monitor = \"web\"\n" } else { "" };
        let _ = write!(text, "\n[pools.pool-{service}]\n{monitor}endpoints = [\n");
        for (region, (site, _, _)) in SITES.iter().take(regions).enumerate() {
            let (high, low) = (service / 250, service % 250 + 1);
            let address = format!("127.{}.{high}.{low}", region + 1);
            let _ =
                writeln!(text, "  {{ name = \"{site}\", region = \"{site}\", address = \"{address}\" }},");
        }
        let _ =
            write!(text, "]\n[services.service-{service}]\npolicy = {{ nearest = [\"pool-{service}\"] }}\n");
    }
    text
}
