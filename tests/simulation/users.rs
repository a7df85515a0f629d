//! Users behind resolvers, some of which keep answers longer than they were told.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use meridian::geo::ClientPrefix;
use meridian::ids::Family;
use meridian::steer::Client;

use crate::design::Design;
use crate::dice::Dice;

/// Of a thousand resolvers so many stretch TTLs, as measured in the wild.
pub const STRETCHERS_PERMILLE: usize = 87;

/// What they stretch them to.
pub const STRETCHED: Duration = Duration::from_secs(300);

/// A client network that uses one service over one family.
#[derive(Clone, Debug)]
pub struct User {
    pub service: usize,
    pub family: Family,
    pub network: ClientPrefix,
    pub resolver: usize,
    pub every: Duration,
    /// Where it is sent now, and when its resolver will ask again.
    pub at: Option<IpAddr>,
}

/// A resolver with its cache.
#[derive(Clone, Debug)]
pub struct Resolver {
    pub address: IpAddr,
    pub tells_subnet: bool,
    pub stretches: bool,
    /// By service and family: networks with what was answered and until when.
    cache: HashMap<(usize, Family), Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// `None`: for everybody behind the resolver.
    network: Option<ClientPrefix>,
    until: Duration,
    answer: Option<IpAddr>,
}

/// All of them, and when each asks next.
pub struct Users {
    pub all: Vec<User>,
    pub resolvers: Vec<Resolver>,
    next: BinaryHeap<Reverse<(Duration, usize)>>,
}

impl Users {
    /// Draws users all over the networks of a world, a few of them from nowhere known.
    pub fn new(design: &Design, number: usize, dice: &mut Dice) -> Users {
        let mut resolvers = Vec::new();
        for _ in 0..2 + number / 6 {
            resolvers.push(Resolver {
                address: host(draw_network(design, dice), dice),
                tells_subnet: !dice.one_in(3),
                stretches: dice.below(1000) < STRETCHERS_PERMILLE,
                cache: HashMap::new(),
            });
        }
        let mut all = Vec::new();
        for _ in 0..number {
            let network = draw_network(design, dice);
            all.push(User {
                service: dice.below(design.services.len()),
                family: if dice.one_in(3) { Family::V6 } else { Family::V4 },
                network: ClientPrefix::new(
                    host(network, dice),
                    if network.family() == Family::V4 { 24 } else { 56 },
                ),
                resolver: dice.below(resolvers.len()),
                every: Duration::from_millis(8_000 + dice.below(60_000) as u64),
                at: None,
            });
        }
        let mut users = Users { all, resolvers, next: BinaryHeap::new() };
        users.start(|user| user.every, dice);
        users
    }

    /// Users as given; the first questions are spread over the time that the longest entries are kept.
    pub fn of(all: Vec<User>, resolvers: Vec<Resolver>, dice: &mut Dice) -> Users {
        let mut users = Users { all, resolvers, next: BinaryHeap::new() };
        users.start(|_| STRETCHED, dice);
        users
    }

    fn start(&mut self, within: impl Fn(&User) -> Duration, dice: &mut Dice) {
        for (number, user) in self.all.iter().enumerate() {
            let first = Duration::from_millis(dice.below(within(user).as_millis() as usize) as u64);
            self.next.push(Reverse((first, number)));
        }
    }

    /// When the next user asks.
    pub fn next_event(&self) -> Option<Duration> {
        self.next.peek().map(|Reverse((at, _))| *at)
    }

    /// The next user that asks by now.
    pub fn asks(&mut self, now: Duration) -> Option<usize> {
        let Reverse((at, number)) = *self.next.peek()?;
        if at > now {
            return None;
        }
        self.next.pop();
        self.next.push(Reverse((at + self.all[number].every, number)));
        Some(number)
    }

    /// As the server sees a user's resolver ask for it.
    pub fn client(&self, user: &User) -> Client {
        let resolver = &self.resolvers[user.resolver];
        Client { resolver: resolver.address, subnet: resolver.tells_subnet.then_some(user.network) }
    }

    /// What the resolver still has for a user.
    pub fn cached(&mut self, user: usize, now: Duration) -> Option<Option<IpAddr>> {
        let own = &self.all[user];
        let cache = &mut self.resolvers[own.resolver].cache;
        let entries = cache.get_mut(&(own.service, own.family))?;
        entries.retain(|entry| entry.until > now);
        let covers = |network: ClientPrefix| {
            network.family() == own.network.family() && own.network.widened(network.length()) == network
        };
        entries.iter().find(|entry| entry.network.is_none_or(covers)).map(|entry| entry.answer)
    }

    /// Keeps an answer as resolvers do: for the scope, but never beyond the network told (RFC 7871).
    pub fn keep(&mut self, user: usize, scope: u8, ttl_s: u32, answer: Option<IpAddr>, now: Duration) {
        let own = &self.all[user];
        let resolver = &mut self.resolvers[own.resolver];
        let told = resolver.tells_subnet.then_some(own.network);
        let network = told.filter(|_| scope > 0).map(|told| told.widened(scope));
        let ttl = Duration::from_secs(u64::from(ttl_s));
        let ttl = if resolver.stretches { ttl.max(STRETCHED) } else { ttl };
        let entries = resolver.cache.entry((own.service, own.family)).or_default();
        entries.push(Entry { network, until: now + ttl, answer });
    }
}

impl Resolver {
    /// One with an empty cache.
    pub fn new(address: IpAddr, tells_subnet: bool, stretches: bool) -> Resolver {
        Resolver { address, tells_subnet, stretches, cache: HashMap::new() }
    }
}

fn draw_network(design: &Design, dice: &mut Dice) -> ClientPrefix {
    match dice.below(12) {
        0 => ClientPrefix::new(IpAddr::from([200, 1, dice.below(256) as u8, 0]), 16),
        1 => ClientPrefix::new(IpAddr::from([10, 0, dice.below(256) as u8, 0]), 16),
        _ => {
            let (address, length, _) = *dice.pick(&design.networks);
            ClientPrefix::new(address, length)
        }
    }
}

/// Some address inside a network.
pub fn host(network: ClientPrefix, dice: &mut Dice) -> IpAddr {
    let random = u128::from(dice.roll()) << 64 | u128::from(dice.roll());
    let past = if network.length() == 0 { u128::MAX } else { (1 << (128 - network.length())) - 1 };
    let bits = network.bits() | random & past;
    match network.family() {
        Family::V4 => IpAddr::V4(Ipv4Addr::from((bits >> 96) as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}
