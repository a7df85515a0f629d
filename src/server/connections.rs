//! Who is connected, and who has to go when there are too many.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ConnectionLimits;
use super::mailbox::{Address, Mailbox, Note};

/// What limits per client are counted by: an IPv4 address, or the /64 that an IPv6 host has to itself.
type Client = IpAddr;

/// Where in an order a connection stands: when its last message came, and its number.
type Standing = (u64, u64);

/// Connections in the order of how long they have been idle, as far as is known: who has had a message since stands
/// too far in front, and is put where it belongs when it comes to the front.
type Order = BTreeMap<Standing, Arc<Connection>>;

/// While so many of four places are taken, everybody has the whole idle timeout.
const UNHURRIED_QUARTERS: usize = 3;
/// When all places are taken the idle timeout is this part of what it is otherwise.
const HURRIED_PART: u32 = 10;

/// All open connections.
pub struct Connections {
    /// The limits they are held to.
    pub limits: ConnectionLimits,
    table: Mutex<Table>,
    open: AtomicUsize,
}

#[derive(Default)]
struct Table {
    all: Order,
    clients: HashMap<Client, Order>,
    /// Clients with several connections, by how many.
    several: BTreeSet<(usize, Client)>,
    admitted: u64,
}

/// One open connection, as the others see it.
pub struct Connection {
    /// Its number: connections accepted later have larger ones.
    number: u64,
    client: Client,
    /// When the last whole message came, or the connection; in microseconds of the monotonic clock.
    last_message_us: AtomicU64,
    /// The same as it was when the connection was put where it stands, among all and among its client's. They change
    /// under the table's lock alone.
    among_all_us: AtomicU64,
    among_own_us: AtomicU64,
    exit: Exit,
}

/// How a connection learns that it has to go.
pub enum Exit {
    /// It is a task, which this wakes.
    Task(Notify),
    /// It is kept there by a worker.
    Worker(Arc<Mailbox>, usize),
}

/// A connection's place; gives it back when dropped.
pub struct Place {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

/// What admitting a connection led to.
pub struct Admission {
    /// The place of the new one.
    pub place: Place,
    /// How many older ones were told to close.
    pub shed: u64,
}

impl Connections {
    /// Nobody yet.
    pub fn new(limits: ConnectionLimits) -> Connections {
        Connections { limits, table: Mutex::default(), open: AtomicUsize::new(0) }
    }

    /// Gives a connection its place. Where the client has too many, its own longest idle one goes. Where there are
    /// too many in all, it is the longest idle one of the client that has most, if that is more than its share, or else
    /// the longest idle of all: so silent and dripping clients wait for nobody but themselves. A message in parts does not count
    /// as activity until it is whole.
    pub fn admit(self: &Arc<Connections>, address: IpAddr, monotonic: Duration, exit: Exit) -> Admission {
        let client = client_of(address);
        let mut shed = 0;
        let mut table = self.table();
        while table.own(client) >= self.limits.connections_per_client_max.max(1)
            && let Some(connection) = table.longest_idle_of(client)
        {
            shed += self.shed(&mut table, &connection);
        }
        while table.all.len() >= self.limits.connections_max.max(1)
            && let Some(connection) = table.first_to_go()
        {
            shed += self.shed(&mut table, &connection);
        }
        let connection = table.add(client, micros(monotonic), exit);
        self.count(&table);
        Admission { place: Place { connections: self.clone(), connection }, shed }
    }

    /// Sheds one connection, as when the system has no more descriptors; says how many went.
    pub fn shed_one(&self) -> u64 {
        let mut table = self.table();
        table.first_to_go().map_or(0, |connection| self.shed(&mut table, &connection))
    }

    /// How long a connection may be idle now: the fewer places are left, the shorter (RFC 7766 section 6.2.3).
    pub fn idle_timeout(&self) -> Duration {
        patience(self.limits.idle_timeout, self.open(), self.limits.connections_max)
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn shed(&self, table: &mut Table, connection: &Connection) -> u64 {
        match &connection.exit {
            Exit::Task(task) => task.notify_one(),
            Exit::Worker(worker, slot) => {
                worker.post(Note::Shed(Address { slot: *slot, number: connection.number }));
            }
        }
        let removed = table.remove(connection);
        self.count(table);
        u64::from(removed)
    }

    fn remove(&self, connection: &Connection) {
        let mut table = self.table();
        table.remove(connection);
        self.count(&table);
    }

    fn count(&self, table: &Table) {
        self.open.store(table.all.len(), Ordering::Relaxed);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn own(&self, client: Client) -> usize {
        self.clients.get(&client).map_or(0, Order::len)
    }

    fn add(&mut self, client: Client, now_us: u64, exit: Exit) -> Arc<Connection> {
        let number = self.admitted;
        self.admitted += 1;
        let connection = Arc::new(Connection {
            number,
            client,
            last_message_us: AtomicU64::new(now_us),
            among_all_us: AtomicU64::new(now_us),
            among_own_us: AtomicU64::new(now_us),
            exit,
        });
        self.all.insert((now_us, number), connection.clone());
        let own = self.clients.entry(client).or_default();
        own.insert((now_us, number), connection.clone());
        let several = own.len();
        self.several.remove(&(several - 1, client));
        if several > 1 {
            self.several.insert((several, client));
        }
        connection
    }

    /// Frees a place; says whether it was still taken.
    fn remove(&mut self, connection: &Connection) -> bool {
        let standing = |among: &AtomicU64| (among.load(Ordering::Relaxed), connection.number);
        if self.all.remove(&standing(&connection.among_all_us)).is_none() {
            return false;
        }
        let client = connection.client;
        if let Some(own) = self.clients.get_mut(&client) {
            let before = own.len();
            own.remove(&standing(&connection.among_own_us));
            let left = own.len();
            self.several.remove(&(before, client));
            match left {
                0 => drop(self.clients.remove(&client)),
                1 => {}
                _ => drop(self.several.insert((left, client))),
            }
        }
        if self.all.is_empty() {
            // What a flood has made of it is not kept.
            (self.clients, self.several) = (HashMap::new(), BTreeSet::new());
        }
        true
    }

    /// Who makes room where there are too many in all.
    fn first_to_go(&mut self) -> Option<Arc<Connection>> {
        // Whoever makes room makes it for one more.
        let share = self.all.len().div_ceil(self.clients.len() + 1);
        match self.several.last() {
            Some(&(several, client)) if several > share => self.longest_idle_of(client),
            _ => longest_idle(&mut self.all, |connection| &connection.among_all_us),
        }
    }

    fn longest_idle_of(&mut self, client: Client) -> Option<Arc<Connection>> {
        let own = self.clients.get_mut(&client)?;
        longest_idle(own, |connection| &connection.among_own_us)
    }
}

/// The first of an order, once everybody before it stands where it belongs. For each step there has been a message.
fn longest_idle(order: &mut Order, among: fn(&Connection) -> &AtomicU64) -> Option<Arc<Connection>> {
    loop {
        let first = order.first_entry()?;
        let last_message_us = first.get().last_message_us.load(Ordering::Relaxed);
        if last_message_us <= first.key().0 {
            return Some(first.get().clone());
        }
        let connection = first.remove();
        among(&connection).store(last_message_us, Ordering::Relaxed);
        order.insert((last_message_us, connection.number), connection);
    }
}

/// The idle timeout where so many of so many places are taken: all of it up to three quarters, and from there on less
/// and less, down to a tenth.
fn patience(idle_timeout: Duration, open: usize, places: usize) -> Duration {
    let unhurried = places / 4 * UNHURRIED_QUARTERS + places % 4 * UNHURRIED_QUARTERS / 4;
    let hurry = open.saturating_sub(unhurried).min(places - unhurried);
    let least = idle_timeout / HURRIED_PART;
    if hurry == 0 || places == unhurried {
        return idle_timeout;
    }
    let left = (places - unhurried - hurry) as f64 / (places - unhurried) as f64;
    least + (idle_timeout - least).mul_f64(left)
}

impl Place {
    /// The number of its connection.
    pub fn number(&self) -> u64 {
        self.connection.number
    }

    /// A whole message has come.
    pub fn message(&self, monotonic: Duration) {
        self.connection.last_message_us.store(micros(monotonic), Ordering::Relaxed);
    }

    /// When the last whole message came, or the connection.
    pub fn last_message(&self) -> Duration {
        Duration::from_micros(self.connection.last_message_us.load(Ordering::Relaxed))
    }

    /// Returns when the connection has to go. For tasks: workers get a note.
    pub async fn shed(&self) {
        match &self.connection.exit {
            Exit::Task(task) => task.notified().await,
            Exit::Worker(..) => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.remove(&self.connection);
    }
}

impl Exit {
    /// For a task.
    pub fn task() -> Exit {
        Exit::Task(Notify::new())
    }
}

fn client_of(address: IpAddr) -> Client {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).into(),
    }
}

fn micros(monotonic: Duration) -> u64 {
    u64::try_from(monotonic.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    fn connections(total: usize, per_client: usize) -> Arc<Connections> {
        Arc::new(Connections::new(ConnectionLimits {
            connections_max: total,
            connections_per_client_max: per_client,
            idle_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(5),
        }))
    }

    fn at(connections: &Arc<Connections>, client: &str, seconds: u64) -> Admission {
        connections.admit(client.parse().unwrap(), Duration::from_secs(seconds), Exit::task())
    }

    fn is_shed(place: &Place) -> bool {
        let mut notified = std::pin::pin!(place.shed());
        let waker = std::task::Waker::noop();
        notified.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_ready()
    }

    #[test]
    fn the_longest_idle_of_all_goes_first() {
        let connections = connections(3, 3);
        let first = at(&connections, "192.0.2.1", 1).place;
        let second = at(&connections, "192.0.2.2", 2).place;
        let third = at(&connections, "192.0.2.3", 3).place;
        first.message(Duration::from_secs(4));
        let fourth = at(&connections, "192.0.2.4", 5);
        assert_eq!(fourth.shed, 1);
        assert_eq!([is_shed(&first), is_shed(&second), is_shed(&third)], [false, true, false]);
        assert_eq!(connections.open(), 3);
        drop(second);
        assert_eq!(connections.open(), 3, "a shed connection gives its place back once");
        drop((first, third, fourth));
        assert_eq!(connections.open(), 0);
        let table = connections.table();
        assert!(table.all.is_empty() && table.clients.is_empty() && table.several.is_empty());
    }

    #[test]
    fn a_client_with_too_many_makes_room_among_its_own() {
        let connections = connections(10, 2);
        let other = at(&connections, "198.51.100.1", 0).place;
        let mut own = Vec::new();
        for second in 1..=5 {
            own.push(at(&connections, "2001:db8::1:0:0:1", second).place);
        }
        let neighbour = at(&connections, "2001:db8::2:0:0:1", 9);
        assert_eq!(neighbour.shed, 1, "the same /64");
        assert!(!is_shed(&other));
        assert_eq!(own.iter().map(is_shed).collect::<Vec<_>>(), [true, true, true, true, false]);
        assert_eq!(connections.open(), 3);
    }

    #[test]
    fn who_has_most_and_more_than_its_share_is_the_first_to_go() {
        let connections = connections(12, 10);
        let honest = (1..=2).map(|last| at(&connections, &format!("192.0.2.{last}"), last).place);
        let honest = honest.collect::<Vec<_>>();
        let greedy = (1..=10).map(|second| at(&connections, "198.51.100.1", 10 + second).place);
        let greedy = greedy.collect::<Vec<_>>();
        // Nobody of the greedy client's is idle for as long as the honest ones.
        let late = (1..=8).map(|last| at(&connections, &format!("203.0.113.{last}"), 30 + last).place);
        let late = late.collect::<Vec<_>>();
        let shed = greedy.iter().map(is_shed).collect::<Vec<_>>();
        assert_eq!(shed, [true, true, true, true, true, true, true, true, false, false]);
        assert!(honest.iter().chain(&late).all(|place| !is_shed(place)));
        let ninth = at(&connections, "203.0.113.9", 50).place;
        assert!(is_shed(&greedy[8]));
        // Among equals it is who has been idle for longest.
        let tenth = at(&connections, "203.0.113.10", 51).place;
        assert!(is_shed(&honest[0]));
        assert!([&ninth, &tenth, &greedy[9], &honest[1]].iter().all(|place| !is_shed(place)));
        assert_eq!(connections.open(), 12);
    }

    #[test]
    fn orders_are_mended_when_somebody_comes_to_the_front() {
        let connections = connections(100, 100);
        let places = (0..100).map(|second| at(&connections, "192.0.2.1", second).place).collect::<Vec<_>>();
        for (second, place) in places.iter().enumerate().filter(|(number, _)| number % 10 != 7) {
            place.message(Duration::from_secs(200 + second as u64));
        }
        let mut later = Vec::new();
        for number in 0..10 {
            later.push(at(&connections, "192.0.2.1", 400).place);
            assert!(is_shed(&places[number * 10 + 7]), "{number}");
        }
        later.push(at(&connections, "192.0.2.1", 400).place);
        assert!(is_shed(&places[0]));
        assert_eq!(connections.open(), 100);
        drop((places, later));
        assert_eq!(connections.open(), 0);
    }

    #[test]
    fn rfc7766_6_2_3_idle_timeouts_shrink_when_places_run_out() {
        let check = |open, places, expected| {
            let given = patience(Duration::from_secs(10), open, places);
            assert_eq!(given, Duration::from_secs_f64(expected), "{open} of {places}");
        };
        check(0, 1000, 10.0);
        check(750, 1000, 10.0);
        check(875, 1000, 5.5);
        check(1000, 1000, 1.0);
        check(2000, 1000, 1.0);
        check(1, 1, 1.0);
        check(0, 1, 10.0);
        check(0, 0, 10.0);
        check(5, usize::MAX, 10.0);
    }
}
