//! A drawn world on paper: regions, monitors, pools, policies and places, and the files that say so.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use meridian::ids::Family;

use crate::dice::Dice;
use crate::tree::Tree;

/// Cities that regions and clients are in: name, country, continent, latitude, longitude.
pub const CITIES: [(&str, &str, &str, f64, f64); 14] = [
    ("iad", "US", "NA", 39.0, -77.5),
    ("pdx", "US", "NA", 45.6, -122.6),
    ("gru", "BR", "SA", -23.4, -46.5),
    ("dub", "IE", "EU", 53.4, -6.3),
    ("fra", "DE", "EU", 50.1, 8.7),
    ("jnb", "ZA", "AF", -26.1, 28.2),
    ("bom", "IN", "AS", 19.1, 72.9),
    ("sin", "SG", "AS", 1.4, 104.0),
    ("nrt", "JP", "AS", 35.8, 140.4),
    ("syd", "AU", "OC", -33.9, 151.2),
    ("yul", "CA", "NA", 45.5, -73.7),
    ("arn", "SE", "EU", 59.7, 17.9),
    ("fij", "FJ", "OC", -17.8, 177.4),
    ("anc", "US", "NA", 61.2, -150.0),
];

/// Continents that geo rules name.
const CONTINENTS: [&str; 4] = ["continent:EU", "continent:NA", "continent:AS", "country:US"];

/// The pool that has endpoints in every region.
pub const EVERYWHERE: usize = 0;

/// A world as configured.
#[derive(Clone, Debug)]
pub struct Design {
    /// In the file's order.
    pub regions: Vec<Region>,
    /// By number.
    pub monitors: Vec<Monitor>,
    /// By number; the first has endpoints in every region.
    pub pools: Vec<Pool>,
    /// Members of all pools.
    pub endpoints: Vec<Endpoint>,
    /// By number.
    pub services: Vec<Service>,
    /// Prefixes with their city.
    pub networks: Vec<(IpAddr, u8, usize)>,
    /// Whether the file has a mistake in it, for reloads that must be refused.
    pub mistake: bool,
}

/// A region.
#[derive(Clone, Debug)]
pub struct Region {
    pub name: &'static str,
    pub at: (f64, f64),
    /// Whether it is in the file just now.
    pub present: bool,
}

/// A monitor; no two have the same port, so no two checks are equal.
#[derive(Clone, Debug)]
pub struct Monitor {
    pub http: bool,
    pub port: u16,
    pub interval: Duration,
    pub timeout: Duration,
    pub fall: u8,
    pub rise: u8,
    pub ok: u8,
}

/// A pool.
#[derive(Clone, Debug)]
pub struct Pool {
    pub name: String,
    pub monitor: Option<usize>,
}

/// A member of a pool.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub pool: usize,
    pub name: String,
    pub region: usize,
    pub weight: u16,
    pub v4: Ipv4Addr,
    pub v6: Option<Ipv6Addr>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    pub tree: Tree,
    pub ttl_s: (u32, u32),
    pub ignores_subnet: bool,
    /// What is written for `all_down` at the root.
    pub all_down: Option<&'static str>,
}

impl Service {
    /// Whether nothing healthy may mean no answer.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.all_down, Some("\"nodata\"" | "\"refuse\""))
    }
}

impl Design {
    /// Draws one.
    pub fn new(dice: &mut Dice) -> Design {
        let mut design = Design {
            regions: regions(dice),
            monitors: vec![monitor(dice, 8000), monitor(dice, 8001)],
            pools: vec![Pool { name: "everywhere".into(), monitor: Some(0) }],
            endpoints: Vec::new(),
            services: Vec::new(),
            networks: networks(dice),
            mistake: false,
        };
        design.draw_endpoints(dice);
        for _ in 0..2 + dice.below(2) {
            let service = design.draw_service(dice);
            design.services.push(service);
        }
        design
    }

    fn draw_endpoints(&mut self, dice: &mut Dice) {
        for region in 0..self.regions.len() {
            let dual = !dice.one_in(4);
            for number in 0..1 + dice.below(2) {
                let serial = (region * 4 + number + 1) as u8;
                let v6 = dual.then(|| Ipv6Addr::from((0x2001_0db8u128 << 96) + u128::from(serial)));
                let weight = *dice.pick(&[100, 100, 50, 1]);
                let own = Endpoint {
                    pool: EVERYWHERE,
                    name: format!("{}-{}", self.regions[region].name, number + 1),
                    region,
                    weight,
                    v4: Ipv4Addr::new(192, 0, 2, serial),
                    v6,
                };
                self.endpoints.push(own);
            }
            // The first endpoint alone, as a pool of its own: the same address and the same check.
            let own = self.endpoints.iter().find(|own| own.region == region).cloned();
            let pool = self.pools.len();
            self.endpoints.extend(own.map(|own| Endpoint { pool, ..own }));
            let name = format!("only-{}", self.regions[region].name);
            self.pools.push(Pool { name, monitor: Some(0) });
        }
        let region = dice.below(self.regions.len());
        let monitor = if dice.one_in(4) { None } else { Some(1) };
        let pool = self.pools.len();
        self.endpoints.push(Endpoint {
            pool,
            name: "standby".into(),
            region,
            weight: 100,
            v4: Ipv4Addr::new(192, 0, 2, 200),
            v6: Some(Ipv6Addr::from((0x2001_0db8u128 << 96) + 200)),
        });
        self.pools.push(Pool { name: "standby".into(), monitor });
    }

    /// The pools with one region each.
    fn only(&self, dice: &mut Dice) -> Vec<usize> {
        let mut all: Vec<usize> = (1..=self.regions.len()).collect();
        for at in (1..all.len()).rev() {
            all.swap(at, dice.below(at + 1));
        }
        all
    }

    fn standby(&self) -> usize {
        self.pools.len() - 1
    }

    fn draw_service(&self, dice: &mut Dice) -> Service {
        let tree = self.draw_tree(dice, 0);
        let ignores_subnet = dice.one_in(5);
        let all_down = match dice.below(8) {
            0 if ignores_subnet => Some("\"nodata\""),
            1 if ignores_subnet => Some("\"refuse\""),
            2 => Some("\"last-good\""),
            3 => Some("{ fallback = \"standby\" }"),
            _ => None,
        };
        let ttl_s = *dice.pick(&[(20, 60), (20, 60), (30, 60), (20, 20), (60, 60), (25, 45)]);
        Service { tree, ttl_s, ignores_subnet, all_down }
    }

    fn draw_tree(&self, dice: &mut Dice, depth: usize) -> Tree {
        let only = self.only(dice);
        let weights = [1u16, 10, 30, 50, 100, 0];
        let kind = if depth < 2 { dice.below(10) } else { dice.below(3) };
        match kind {
            0 | 1 => self.draw_nearest(dice, depth),
            2 => Tree::Pool(*dice.pick(&only)),
            3 => Tree::Latency(EVERYWHERE),
            4 => {
                let mut children: Vec<Tree> = only.iter().take(1).map(|pool| Tree::Pool(*pool)).collect();
                children.push(self.draw_tree(dice, depth + 1));
                children.push(Tree::Pool(self.standby()));
                Tree::Failover(Tree::without_twins(children))
            }
            5 | 6 => {
                let number = 2 + dice.below(only.len() - 1);
                let mut children: Vec<(Tree, u16)> =
                    only.iter().take(number).map(|pool| (Tree::Pool(*pool), *dice.pick(&weights))).collect();
                children[0].1 = 50;
                if dice.one_in(4) {
                    let child = self.draw_tree(dice, depth + 1);
                    if !matches!(child, Tree::Pool(pool) if only.contains(&pool)) {
                        children.push((child, 20));
                    }
                }
                Tree::Weighted { children, sticky: !dice.one_in(3) }
            }
            7 => {
                let mut rules: Vec<(&'static str, Tree, bool)> = Vec::new();
                for key in CONTINENTS.iter().filter(|_| dice.one_in(2)).collect::<Vec<_>>() {
                    let fence = dice.one_in(3);
                    let child = match fence {
                        // A fence needs every family, so it is drawn around all regions or one that has both.
                        true => self.fenced(dice),
                        false => self.draw_tree(dice, depth + 1),
                    };
                    rules.push((key, child, fence));
                }
                Tree::Geo { rules, default: Box::new(self.draw_nearest(dice, depth + 1)) }
            }
            8 => Tree::Multivalue { pool: EVERYWHERE, answers: 2 + dice.below(3) as u8 },
            _ => Tree::Pool(EVERYWHERE),
        }
    }

    fn draw_nearest(&self, dice: &mut Dice, depth: usize) -> Tree {
        let bias = match dice.one_in(3) {
            true => vec![(dice.below(self.regions.len()), *dice.pick(&[-50, -20, 25, 60]))],
            false => Vec::new(),
        };
        let min_healthy = if depth == 0 && dice.one_in(4) { Some("\"50%\"") } else { None };
        let answers = if dice.one_in(4) { 2 } else { 1 };
        Tree::Nearest { pool: EVERYWHERE, bias, min_healthy, answers }
    }

    fn fenced(&self, dice: &mut Dice) -> Tree {
        let dual: Vec<usize> = (1..=self.regions.len())
            .filter(|pool| self.endpoints_of(*pool).all(|endpoint| endpoint.v6.is_some()))
            .collect();
        match dual.is_empty() || dice.one_in(2) {
            true => Tree::Nearest { pool: EVERYWHERE, bias: vec![], min_healthy: None, answers: 1 },
            false => Tree::Pool(*dice.pick(&dual)),
        }
    }

    /// The members of a pool whose regions are there.
    pub fn endpoints_of(&self, pool: usize) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |own| own.pool == pool && self.regions[own.region].present)
    }

    /// Whether a tree, as it is written now, has anybody of a family.
    pub fn has_family(&self, tree: &Tree, family: Family) -> bool {
        let written = tree.toml(self).unwrap_or_else(|| "\"everywhere\"".into());
        let named = |pool: &usize| written.contains(&format!("\"{}\"", self.pools[*pool].name));
        let mut own = (0..self.pools.len()).filter(named).flat_map(|pool| self.endpoints_of(pool));
        own.any(|own| family == Family::V4 || own.v6.is_some())
    }

    /// The region that an address is in.
    pub fn region_of(&self, address: IpAddr) -> Option<usize> {
        let mut endpoints = self.endpoints.iter();
        let is = |own: &&Endpoint| match address {
            IpAddr::V4(v4) => own.v4 == v4,
            IpAddr::V6(v6) => own.v6 == Some(v6),
        };
        endpoints.find(is).map(|own| own.region)
    }

    /// The addresses of a region, by the families wanted.
    pub fn addresses_of(&self, region: usize, v4: bool, v6: bool) -> Vec<IpAddr> {
        let own = self.endpoints.iter().filter(|endpoint| endpoint.region == region);
        let mut all: Vec<IpAddr> = own
            .flat_map(|own| {
                let four = v4.then_some(IpAddr::V4(own.v4));
                four.into_iter().chain(own.v6.filter(|_| v6).map(IpAddr::V6))
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The main file.
    pub fn toml(&self) -> String {
        let mut text = String::from("[server]\nlisten = [\"127.0.0.1:5300\"]\n");
        text.push_str("[geoip]\noverrides = \"places.csv\"\n");
        for region in self.regions.iter().filter(|region| region.present) {
            let (lat, lon) = region.at;
            writeln!(text, "[regions.{}]\nat = [{lat:.2}, {lon:.2}]", region.name).unwrap();
        }
        for (number, own) in self.monitors.iter().enumerate() {
            let check = if own.http { "http" } else { "tcp" };
            let (interval, timeout) = (own.interval.as_millis(), own.timeout.as_millis());
            writeln!(
                text,
                "[monitors.m{number}]\n{check} = {{ port = {} }}\ninterval = \"{interval}ms\"\n\
                 timeout = \"{timeout}ms\"\nfall = {}\nrise = {}\nok = {}",
                own.port, own.fall, own.rise, own.ok
            )
            .unwrap();
        }
        for (number, pool) in self.pools.iter().enumerate() {
            self.write_pool(&mut text, number, pool);
        }
        for (number, service) in self.services.iter().enumerate() {
            let policy = service.tree.toml(self).unwrap_or_else(|| "\"everywhere\"".into());
            writeln!(text, "[policies.root{number}]").unwrap();
            // A tree is a pool's name or a table: the root's own keys stand beside those of the table.
            match policy.strip_prefix('{').and_then(|policy| policy.strip_suffix('}')) {
                Some(table) => text.push_str(&top_level(table)),
                None => writeln!(text, "failover = [{policy}]").unwrap(),
            }
            let gone = self.endpoints_of(self.standby()).next().is_none();
            if let Some(mode) = service.all_down.filter(|mode| !(gone && mode.contains("standby"))) {
                writeln!(text, "all_down = {mode}").unwrap();
            }
            let (min, max) = service.ttl_s;
            let subnet = if service.ignores_subnet { "ignore" } else { "use" };
            writeln!(
                text,
                "[services.s{number}]\npolicy = \"root{number}\"\n\
                 ttl = {{ min = \"{min}s\", max = \"{max}s\" }}\nclient_subnet = \"{subnet}\""
            )
            .unwrap();
        }
        if self.mistake {
            text.push_str("[services.wrong]\npolicy = \"nobody\"\n");
        }
        text
    }

    fn write_pool(&self, text: &mut String, number: usize, pool: &Pool) {
        if self.endpoints_of(number).next().is_none() {
            return;
        }
        writeln!(text, "[pools.{}]", pool.name).unwrap();
        if let Some(monitor) = pool.monitor {
            writeln!(text, "monitor = \"m{monitor}\"").unwrap();
        }
        writeln!(text, "endpoints = [").unwrap();
        for own in self.endpoints_of(number) {
            let v6 = own.v6.map_or(String::new(), |v6| format!(", \"{v6}\""));
            writeln!(
                text,
                "  {{ name = \"{}\", region = \"{}\", address = [\"{}\"{v6}], weight = {} }},",
                own.name, self.regions[own.region].name, own.v4, own.weight
            )
            .unwrap();
        }
        writeln!(text, "]").unwrap();
    }

    /// The places of clients in the form of RFC 8805.
    pub fn geofeed(&self) -> String {
        let mut text = String::new();
        for (address, length, city) in &self.networks {
            let (_, country, _, lat, lon) = CITIES[*city];
            writeln!(text, "{address}/{length},{country},,,,{lat:.2},{lon:.2}").unwrap();
        }
        text
    }

    /// The steered names of the zone.
    pub fn names(&self) -> String {
        let names = (0..self.services.len()).map(|number| format!("s{number} = \"s{number}\"\n"));
        format!("[names]\n{}", names.collect::<String>())
    }
}

/// The keys of an inline table as lines; commas inside brackets are not between keys.
fn top_level(table: &str) -> String {
    let (mut depth, mut text) = (0, String::new());
    for letter in table.trim().chars() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                text.push('\n');
                continue;
            }
            _ => {}
        }
        text.push(letter);
    }
    text.push('\n');
    text
}

fn regions(dice: &mut Dice) -> Vec<Region> {
    let mut cities: Vec<usize> = (0..CITIES.len()).collect();
    for at in (1..cities.len()).rev() {
        cities.swap(at, dice.below(at + 1));
    }
    let number = 3 + dice.below(6);
    let region = |city: usize| {
        let (name, _, _, lat, lon) = CITIES[city];
        Region { name, at: (lat, lon), present: true }
    };
    cities.into_iter().take(number).map(region).collect()
}

fn monitor(dice: &mut Dice, port: u16) -> Monitor {
    let interval = *dice.pick(&[5, 5, 8, 10, 15]);
    let timeout = *dice.pick(&[1000u64, 2000, 2000, 4000]);
    Monitor {
        http: !dice.one_in(4),
        port,
        interval: Duration::from_secs(interval),
        timeout: Duration::from_millis(timeout),
        fall: 1 + dice.below(4) as u8,
        rise: 1 + dice.below(4) as u8,
        ok: *dice.pick(&[10, 10, 5, 3]),
    }
}

/// Networks of clients: crowded into few /8s, so that neighbours in other cities are common.
fn networks(dice: &mut Dice) -> Vec<(IpAddr, u8, usize)> {
    let mut all: Vec<(IpAddr, u8, usize)> = Vec::new();
    for _ in 0..8 + dice.below(8) {
        let length = 12 + dice.below(11) as u8;
        let first = u32::from(*dice.pick(&[11u8, 12, 80, 81])) << 24 | (dice.roll() as u32 & 0xff_ffff);
        let v4 = Ipv4Addr::from(first & (u32::MAX << (32 - length)));
        all.push((IpAddr::V4(v4), length, dice.below(CITIES.len())));
        if dice.one_in(3) {
            let length = 28 + dice.below(20) as u8;
            let first = (0x2a00u128 + dice.below(4) as u128) << 112 | u128::from(dice.roll()) << 48;
            let v6 = Ipv6Addr::from(first & (u128::MAX << (128 - length)));
            all.push((IpAddr::V6(v6), length, dice.below(CITIES.len())));
        }
    }
    all.sort_unstable();
    all.dedup_by_key(|own| (own.0, own.1));
    all
}
