//! A random small world with an oracle: regions, networks with places, a policy tree, states of health;
//! and what each client should get, worked out by brute force from the written form alone.
//!
//! The oracle shares no code with the product: it scans lists, knows no trie, no classes and no lenses.

mod dice;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

pub use dice::Dice;

/// Countries with a continent and a rough middle.
const COUNTRIES: [(&str, &str, f64, f64); 10] = [
    ("DE", "EU", 51.0, 10.0),
    ("FR", "EU", 47.0, 2.0),
    ("US", "NA", 39.0, -98.0),
    ("CA", "NA", 56.0, -106.0),
    ("BR", "SA", -10.0, -55.0),
    ("JP", "AS", 36.0, 138.0),
    ("IN", "AS", 22.0, 79.0),
    ("AU", "OC", -25.0, 134.0),
    ("ZA", "AF", -29.0, 24.0),
    ("FJ", "OC", -17.8, 178.0),
];

pub struct Network {
    pub first: u32,
    pub length: u8,
    pub country: usize,
    pub at: (f64, f64),
}

pub struct Endpoint {
    pub pool: usize,
    pub name: String,
    pub region: usize,
    pub weight: u16,
    pub v4: Ipv4Addr,
    pub v6: Option<std::net::Ipv6Addr>,
}

pub enum Rule {
    Pool(usize),
    Failover(Vec<usize>),
    /// With the tie in thousandths.
    Nearest(Vec<usize>, u16),
    Latency(Vec<usize>),
    Weighted(Vec<(usize, u16)>),
    Geo(Vec<(GeoKey, usize)>, usize),
    Multivalue(Vec<usize>, usize),
}

#[derive(Clone, PartialEq)]
pub enum GeoKey {
    Cidr(u32, u8),
    Country(usize),
    Continent(&'static str),
    Unknown,
}

pub struct World {
    pub regions: Vec<(f64, f64)>,
    pub networks: Vec<Network>,
    pub pools: usize,
    pub endpoints: Vec<Endpoint>,
    /// Nodes; children have smaller numbers; the last is the root.
    pub nodes: Vec<Rule>,
}

/// What is well: by endpoint, for IPv4 and IPv6.
pub type Health = Vec<[bool; 2]>;

/// Shares by sets of endpoints that are answered together.
pub type Decision = BTreeMap<Vec<usize>, i64>;

impl World {
    pub fn new(dice: &mut Dice) -> World {
        let policies = 1 + dice.below(4);
        World::with(dice, policies)
    }

    /// One with so many policies, each of which may stand above those before it.
    pub fn with(dice: &mut Dice, policies: usize) -> World {
        let regions: Vec<(f64, f64)> = (0..2 + dice.below(6))
            .map(|_| {
                let country = COUNTRIES[dice.below(COUNTRIES.len())];
                (country.2 + dice.below(900) as f64 / 100.0, country.3 + dice.below(900) as f64 / 100.0)
            })
            .map(|(lat, lon)| (lat.clamp(-89.0, 89.0), if lon > 180.0 { lon - 360.0 } else { lon }))
            .collect();
        let mut networks: Vec<Network> = Vec::new();
        for _ in 0..8 + dice.below(25) {
            let length = 9 + dice.below(16) as u8;
            // Crowded into a few /8s, so that neighbours and nesting are common.
            let first =
                u32::from(*dice.pick(&[11u8, 12, 13, 80, 81])) << 24 | (dice.roll() as u32 & 0xff_ffff);
            let first = first & (u32::MAX << (32 - length));
            if networks.iter().any(|own| own.first == first && own.length == length) {
                continue;
            }
            let country = dice.below(COUNTRIES.len());
            let at = (
                COUNTRIES[country].2 + dice.below(1000) as f64 / 100.0 - 5.0,
                (COUNTRIES[country].3 + dice.below(1000) as f64 / 100.0 - 5.0).clamp(-180.0, 180.0),
            );
            networks.push(Network { first, length, country, at });
        }
        let pools = 1 + dice.below(4);
        let mut endpoints = Vec::new();
        for pool in 0..pools {
            for number in 0..1 + dice.below(5) {
                let serial = endpoints.len() as u32;
                let v6 = (!dice.one_in(3))
                    .then(|| std::net::Ipv6Addr::from((0x2001_0db8u128 << 96) + u128::from(serial)));
                endpoints.push(Endpoint {
                    pool,
                    name: format!("e{number}"),
                    region: dice.below(regions.len()),
                    weight: *dice.pick(&[0, 1, 1, 50, 100]),
                    v4: Ipv4Addr::from(0xc633_6400 + serial),
                    v6,
                });
            }
        }
        let mut nodes: Vec<Rule> = (0..pools).map(Rule::Pool).collect();
        for _ in 0..policies {
            let node = World::rule(dice, &nodes, &endpoints, regions.len(), &networks);
            nodes.push(node);
        }
        World { regions, networks, pools, endpoints, nodes }
    }

    fn rule(
        dice: &mut Dice,
        nodes: &[Rule],
        endpoints: &[Endpoint],
        regions: usize,
        networks: &[Network],
    ) -> Rule {
        let pools: Vec<usize> = (0..nodes.len()).filter(|n| matches!(nodes[*n], Rule::Pool(_))).collect();
        let some = |dice: &mut Dice, from: &[usize]| {
            let mut all: Vec<usize> = (0..1 + dice.below(3)).map(|_| *dice.pick(from)).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        let any: Vec<usize> = (0..nodes.len()).collect();
        let _ = (endpoints, regions);
        match dice.below(7) {
            0 => Rule::Failover(some(dice, &any)),
            // Under nearest and latency only pools: what a composite child means there is its own test.
            1 | 2 => Rule::Nearest(some(dice, &pools), *dice.pick(&[0, 0, 100, 500])),
            3 => Rule::Latency(some(dice, &pools)),
            4 => {
                let children = some(dice, &any);
                Rule::Weighted(
                    children.into_iter().map(|child| (child, *dice.pick(&[0, 1, 10, 30, 100]))).collect(),
                )
            }
            5 => Rule::Multivalue(some(dice, &pools), 1 + dice.below(4)),
            _ => {
                let mut rules: Vec<(GeoKey, usize)> = Vec::new();
                for _ in 0..1 + dice.below(4) {
                    let key = match dice.below(4) {
                        0 => {
                            let network = dice.pick(networks);
                            let length = (network.length + dice.below(5) as u8).clamp(8, 26) - 2;
                            GeoKey::Cidr(network.first & (u32::MAX << (32 - length)), length)
                        }
                        1 => GeoKey::Country(dice.below(COUNTRIES.len())),
                        2 => GeoKey::Continent(COUNTRIES[dice.below(COUNTRIES.len())].1),
                        _ => GeoKey::Unknown,
                    };
                    if !rules.iter().any(|(own, _)| *own == key) {
                        rules.push((key, *dice.pick(&any)));
                    }
                }
                Rule::Geo(rules, *dice.pick(&any))
            }
        }
    }

    fn node_name(&self, node: usize) -> String {
        match self.nodes[node] {
            Rule::Pool(pool) => format!("pool{pool}"),
            _ => format!("node{node}"),
        }
    }

    /// The configuration as an operator would write it.
    pub fn toml(&self) -> String {
        let mut text =
            String::from("[server]\nlisten = [\"127.0.0.1:5300\"]\n[geoip]\noverrides = \"world.csv\"\n");
        for (number, (lat, lon)) in self.regions.iter().enumerate() {
            writeln!(text, "[regions.r{number}]\nat = [{lat:.2}, {lon:.2}]").unwrap();
        }
        writeln!(text, "[monitors.m]\ntcp = {{ port = 80 }}").unwrap();
        for pool in 0..self.pools {
            writeln!(text, "[pools.pool{pool}]\nmonitor = \"m\"\nendpoints = [").unwrap();
            for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.pool == pool) {
                let v6 = endpoint.v6.map_or(String::new(), |v6| format!(", \"{v6}\""));
                writeln!(
                    text,
                    "  {{ name = \"{}\", region = \"r{}\", address = [\"{}\"{v6}], weight = {} }},",
                    endpoint.name, endpoint.region, endpoint.v4, endpoint.weight
                )
                .unwrap();
            }
            writeln!(text, "]").unwrap();
        }
        let list = |children: &[usize]| {
            children
                .iter()
                .map(|child| format!("\"{}\"", self.node_name(*child)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        for (number, rule) in self.nodes.iter().enumerate() {
            let name = self.node_name(number);
            match rule {
                Rule::Pool(_) => {}
                Rule::Failover(children) => {
                    writeln!(text, "[policies.{name}]\nfailover = [{}]", list(children)).unwrap();
                }
                Rule::Nearest(children, tie) => {
                    let unknown = self.first_region(children);
                    let tie = match tie {
                        0 => String::new(),
                        tie => format!("tie = {}\n", f64::from(*tie) / 1000.0),
                    };
                    writeln!(
                        text,
                        "[policies.{name}]\nnearest = [{}]\n{tie}unknown = \"r{unknown}\"",
                        list(children)
                    )
                    .unwrap();
                }
                Rule::Latency(children) => {
                    let unknown = self.first_region(children);
                    writeln!(
                        text,
                        "[policies.{name}]\nlatency = [{}]\nunknown = \"r{unknown}\"",
                        list(children)
                    )
                    .unwrap();
                }
                Rule::Multivalue(children, answers) => {
                    writeln!(
                        text,
                        "[policies.{name}]\nmultivalue = [{}]\nanswers = {answers}",
                        list(children)
                    )
                    .unwrap();
                }
                Rule::Weighted(children) => {
                    let parts = children.iter().map(|(child, weight)| {
                        format!("{{ use = \"{}\", weight = {weight} }}", self.node_name(*child))
                    });
                    writeln!(
                        text,
                        "[policies.{name}]\nweighted = [{}]",
                        parts.collect::<Vec<_>>().join(", ")
                    )
                    .unwrap();
                }
                Rule::Geo(rules, default) => {
                    writeln!(text, "[policies.{name}.geo]").unwrap();
                    for (key, child) in rules {
                        let key = match key {
                            GeoKey::Cidr(first, length) => format!("{}/{length}", Ipv4Addr::from(*first)),
                            GeoKey::Country(country) => format!("country:{}", COUNTRIES[*country].0),
                            GeoKey::Continent(continent) => format!("continent:{continent}"),
                            GeoKey::Unknown => "unknown".to_owned(),
                        };
                        writeln!(text, "\"{key}\" = \"{}\"", self.node_name(*child)).unwrap();
                    }
                    writeln!(text, "default = \"{}\"", self.node_name(*default)).unwrap();
                }
            }
        }
        writeln!(text, "[services.s]\npolicy = \"{}\"", self.node_name(self.nodes.len() - 1)).unwrap();
        text
    }

    /// The places of the networks as a geofeed with coordinates.
    pub fn geofeed(&self) -> String {
        let mut text = String::new();
        for network in &self.networks {
            let (lat, lon) = network.at;
            let country = COUNTRIES[network.country].0;
            writeln!(
                text,
                "{}/{},{country},,,,{lat:.2},{lon:.2}",
                Ipv4Addr::from(network.first),
                network.length
            )
            .unwrap();
        }
        text
    }

    fn first_region(&self, children: &[usize]) -> usize {
        self.members(children).first().map_or(0, |endpoint| self.endpoints[*endpoint].region)
    }

    /// The endpoints of pools, by number.
    fn members(&self, children: &[usize]) -> Vec<usize> {
        let below = |child: &usize| match &self.nodes[*child] {
            Rule::Pool(pool) => {
                let pool = *pool;
                (0..self.endpoints.len()).filter(move |e| self.endpoints[*e].pool == pool).collect::<Vec<_>>()
            }
            Rule::Failover(own) | Rule::Nearest(own, _) | Rule::Latency(own) | Rule::Multivalue(own, _) => {
                self.members(own)
            }
            Rule::Weighted(own) => self.members(&own.iter().map(|(child, _)| *child).collect::<Vec<_>>()),
            Rule::Geo(rules, default) => {
                let all: Vec<usize> = rules.iter().map(|(_, child)| *child).chain([*default]).collect();
                self.members(&all)
            }
        };
        let mut all: Vec<usize> = children.iter().flat_map(below).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The most specific network around an address.
    fn network(&self, address: u32) -> Option<&Network> {
        let inside = |own: &&Network| (address ^ own.first) & (u32::MAX << (32 - own.length)) == 0;
        self.networks.iter().filter(inside).max_by_key(|own| own.length)
    }

    /// What a client gets; special-purpose addresses are not for this oracle.
    pub fn decide(&self, address: u32, lane: usize, health: &Health) -> Option<Decision> {
        self.decide_for(address, lane, health, &|_| true)
    }

    /// What a client gets whom only some endpoints let in (R12): as if the others were not healthy, and
    /// where that leaves nobody, as if they were.
    pub fn decide_for(
        &self,
        address: u32,
        lane: usize,
        health: &Health,
        lets_in: &dyn Fn(usize) -> bool,
    ) -> Option<Decision> {
        let root = self.nodes.len() - 1;
        let usable = |e: usize| lane == 0 || self.endpoints[e].v6.is_some();
        if !self.members(&[root]).into_iter().any(usable) {
            return None;
        }
        let well = |e: usize| usable(e) && health[e][lane];
        let let_in = |e: usize| well(e) && lets_in(e);
        let decision = self.eval(root, address, &let_in).or_else(|| self.eval(root, address, &well));
        decision.or_else(|| self.eval(root, address, &usable)).or_else(|| {
            // The policy has nobody for this place and family: whoever is well, or exists.
            let all = |of: &dyn Fn(usize) -> bool| {
                self.members(&[root]).into_iter().filter(|e| of(*e)).collect::<Vec<_>>()
            };
            let found = [all(&let_in), all(&well), all(&usable)].into_iter().find(|all| !all.is_empty());
            Some(self.draw(&found.unwrap_or_default(), 1))
        })
    }

    fn eval(&self, node: usize, address: u32, well: &dyn Fn(usize) -> bool) -> Option<Decision> {
        let healthy = |of: &[usize]| self.members(of).into_iter().filter(|e| well(*e)).collect::<Vec<_>>();
        match &self.nodes[node] {
            Rule::Pool(_) => Some(healthy(&[node])).filter(|h| !h.is_empty()).map(|h| self.draw(&h, 1)),
            Rule::Failover(children) => children.iter().find_map(|child| self.eval(*child, address, well)),
            Rule::Nearest(children, _) | Rule::Latency(children) => {
                let cells = matches!(self.nodes[node], Rule::Latency(..));
                let from = self.network(address).map_or(self.regions[self.first_region(children)], |own| {
                    let (lat, lon) = (round2(own.at.0), round2(own.at.1));
                    if cells {
                        let lon = if lon == 180.0 { -180.0 } else { lon };
                        (lat.floor() + 0.5, lon.floor() + 0.5)
                    } else {
                        (lat, lon)
                    }
                });
                let mut order: Vec<(i64, usize)> = (0..self.regions.len())
                    .map(|region| {
                        let km = distance_km(from, self.regions[region]);
                        // Latency compares tenths of a millisecond: 5 km each.
                        (if cells { (km / 5.0).round() as i64 } else { (km * 1e6) as i64 }, region)
                    })
                    .collect();
                order.sort_unstable();
                let all = healthy(children);
                let group = |region: usize| {
                    all.iter()
                        .copied()
                        .filter(|e| self.endpoints[*e].region == region)
                        .collect::<Vec<usize>>()
                };
                let (nearest, _) = order.iter().find(|(_, region)| !group(*region).is_empty())?;
                let reach = match self.nodes[node] {
                    Rule::Nearest(_, tie) if tie > 0 => *nearest as f64 * (1.0 + f64::from(tie) / 1000.0),
                    _ => -1.0,
                };
                // Without a tie: the first region alone, even where another is as far.
                let first = order.iter().find(|(_, region)| !group(*region).is_empty())?.1;
                let tied = order.iter().filter(|(far, region)| *region == first || *far as f64 <= reach);
                let together: Vec<usize> = tied.flat_map(|(_, region)| group(*region)).collect();
                Some(self.draw(&together, 1))
            }
            Rule::Weighted(children) => [false, true].into_iter().find_map(|standby| {
                let parts: Vec<(f64, Decision)> = children
                    .iter()
                    .filter(|(_, weight)| (*weight == 0) == standby)
                    .filter_map(|(child, weight)| {
                        Some((f64::from((*weight).max(1)), self.eval(*child, address, well)?))
                    })
                    .collect();
                let total: f64 = parts.iter().map(|part| part.0).sum();
                let mut all: BTreeMap<Vec<usize>, f64> = BTreeMap::new();
                for (weight, decision) in &parts {
                    for (pick, share) in decision {
                        *all.entry(pick.clone()).or_default() += *share as f64 * weight / total;
                    }
                }
                (!parts.is_empty())
                    .then(|| all.into_iter().map(|(pick, share)| (pick, share.round() as i64)).collect())
            }),
            Rule::Geo(rules, default) => {
                let network = self.network(address);
                let mut matching: Vec<(u32, usize)> = Vec::new();
                for (key, child) in rules {
                    let rank = match key {
                        GeoKey::Cidr(first, length) => ((address ^ first) & (u32::MAX << (32 - length)) == 0)
                            .then_some(100 + u32::from(*length)),
                        GeoKey::Country(country) => network.filter(|own| own.country == *country).map(|_| 50),
                        GeoKey::Continent(continent) => {
                            network.filter(|own| COUNTRIES[own.country].1 == *continent).map(|_| 40)
                        }
                        GeoKey::Unknown => network.is_none().then_some(30),
                    };
                    matching.extend(rank.map(|rank| (rank, *child)));
                }
                matching.sort_by_key(|own| std::cmp::Reverse(own.0));
                let branches = matching.into_iter().map(|own| own.1).chain([*default]);
                branches.into_iter().find_map(|child| self.eval(child, address, well))
            }
            Rule::Multivalue(children, answers) => {
                let mut all = Vec::new();
                for child in children {
                    // A child contributes what it could answer: the standby tier stays out.
                    let healthy = self.eval(*child, address, well);
                    all.extend(healthy.into_iter().flatten().flat_map(|(pick, _)| pick));
                }
                all.sort_unstable();
                all.dedup();
                Some(all).filter(|all| !all.is_empty()).map(|all| self.draw(&all, *answers))
            }
        }
    }

    /// Equal or weighted shares of a group, in millionths; with several answers only the set of
    /// everything that can appear is told, because the hashed order is the product's own business.
    fn draw(&self, group: &[usize], answers: usize) -> Decision {
        let weighted: Vec<usize> = group.iter().copied().filter(|e| self.endpoints[*e].weight > 0).collect();
        let group = if weighted.is_empty() { group.to_vec() } else { weighted };
        if answers > 1 {
            return BTreeMap::from([(group, 1_000_000)]);
        }
        let weight = |e: &usize| f64::from(self.endpoints[*e].weight.max(1));
        let total: f64 = group.iter().map(weight).sum();
        group.iter().map(|e| (vec![*e], (weight(e) / total * 1e6).round() as i64)).collect()
    }

    /// The length of the longest CIDR rule.
    pub fn longest_rule(&self) -> u8 {
        let rules = self.nodes.iter().filter_map(|rule| match rule {
            Rule::Geo(rules, _) => Some(rules),
            _ => None,
        });
        let lengths = rules.flatten().filter_map(|(key, _)| match key {
            GeoKey::Cidr(_, length) => Some(*length),
            _ => None,
        });
        lengths.max().unwrap_or(0)
    }

    /// Every address at which anything can change: the first address of each network and rule, and the
    /// one after its last.
    pub fn borders(&self) -> Vec<u32> {
        let rules = self.nodes.iter().filter_map(|rule| match rule {
            Rule::Geo(rules, _) => Some(rules),
            _ => None,
        });
        let cidrs = rules.flatten().filter_map(|(key, _)| match key {
            GeoKey::Cidr(first, length) => Some((*first, *length)),
            _ => None,
        });
        let networks = self.networks.iter().map(|own| (own.first, own.length));
        let mut all: Vec<u32> = networks
            .chain(cidrs)
            .flat_map(|(first, length)| {
                [first, first.wrapping_add(1u32.checked_shl(32 - u32::from(length)).unwrap_or(0))]
            })
            .collect();
        all.push(0);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A state of health: all well, a region dead, or anything.
    pub fn health(&self, dice: &mut Dice) -> Health {
        let dead = dice.below(self.regions.len());
        let kind = dice.below(4);
        self.endpoints
            .iter()
            .map(|endpoint| match kind {
                0 => [true; 2],
                1 => [endpoint.region != dead; 2],
                2 => [dice.one_in(2), dice.one_in(2)],
                _ => [endpoint.region != dead || dice.one_in(2), endpoint.region != dead],
            })
            .collect()
    }

    pub fn endpoint_by_address(&self, address: IpAddr) -> usize {
        let is = |e: &Endpoint| match address {
            IpAddr::V4(v4) => e.v4 == v4,
            IpAddr::V6(v6) => e.v6 == Some(v6),
        };
        self.endpoints.iter().position(is).unwrap()
    }
}

fn round2(x: f64) -> f64 {
    format!("{x:.2}").parse().unwrap()
}

/// The great circle by the spherical law of cosines in vector form: another formula than the product's.
fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let unit = |(lat, lon): (f64, f64)| {
        let (lat, lon) = (lat.to_radians(), lon.to_radians());
        [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
    };
    let (a, b) = (unit((round2(a.0), round2(a.1))), unit((round2(b.0), round2(b.1))));
    let cross = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let sine = cross.iter().map(|x| x * x).sum::<f64>().sqrt();
    let cosine: f64 = a.iter().zip(b).map(|(x, y)| x * y).sum();
    6371.0088 * sine.atan2(cosine)
}
