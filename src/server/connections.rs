//! Who is connected, and who has to go when there are too many.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;

use super::ConnectionLimits;

/// What limits per client are counted by: an IPv4 address, or the /64 that an IPv6 host has to itself.
type Client = IpAddr;

/// All open connections.
pub struct Connections {
    /// The limits they are held to.
    pub limits: ConnectionLimits,
    clients: DashMap<Client, Vec<Arc<Connection>>>,
    open: AtomicUsize,
    admitted: AtomicU64,
}

/// One open connection, as the others see it.
pub struct Connection {
    /// Its number: connections accepted later have larger ones.
    number: u64,
    client: Client,
    /// When the last whole message came, or the connection; in microseconds of the monotonic clock.
    last_message_us: AtomicU64,
    /// Wakes the connection's task to close it.
    shed: Notify,
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
        Connections {
            limits,
            clients: DashMap::new(),
            open: AtomicUsize::new(0),
            admitted: AtomicU64::new(0),
        }
    }

    /// Gives a connection its place. Where the client has too many, its own longest idle one goes; where there
    /// are too many in all, the longest idle of all: so silent and dripping clients wait for nobody but
    /// themselves. A message in parts does not count as activity until it is whole.
    pub fn admit(self: &Arc<Connections>, address: IpAddr, monotonic: Duration) -> Admission {
        let client = client_of(address);
        let mut shed = 0;
        while self.clients.get(&client).map_or(0, |own| own.len())
            >= self.limits.connections_per_client_max.max(1)
        {
            let oldest = self.clients.get(&client).and_then(|own| longest_idle(own.iter()));
            let Some(oldest) = oldest else { break };
            shed += self.shed(&oldest);
        }
        while self.open.load(Ordering::Relaxed) >= self.limits.connections_max.max(1) {
            // A walk over all of them, at most `connections_max`, and only while the table is full.
            let oldest = self
                .clients
                .iter()
                .filter_map(|entry| longest_idle(entry.value().iter()))
                .min_by_key(|connection| connection.idle_since());
            let Some(oldest) = oldest else { break };
            shed += self.shed(&oldest);
        }
        let connection = Arc::new(Connection {
            number: self.admitted.fetch_add(1, Ordering::Relaxed),
            client,
            last_message_us: AtomicU64::new(micros(monotonic)),
            shed: Notify::new(),
        });
        self.clients.entry(client).or_default().push(connection.clone());
        self.open.fetch_add(1, Ordering::Relaxed);
        Admission { place: Place { connections: self.clone(), connection }, shed }
    }

    /// Sheds the longest idle connection, as when the system has no more descriptors; says how many went.
    pub fn shed_one(&self) -> u64 {
        let oldest = self
            .clients
            .iter()
            .filter_map(|entry| longest_idle(entry.value().iter()))
            .min_by_key(|connection| connection.idle_since());
        oldest.map_or(0, |oldest| self.shed(&oldest))
    }

    /// How many are open.
    #[cfg(test)]
    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn shed(&self, connection: &Connection) -> u64 {
        connection.shed.notify_one();
        u64::from(self.remove(connection))
    }

    /// Frees a place; says whether it was still taken.
    fn remove(&self, connection: &Connection) -> bool {
        let Some(mut own) = self.clients.get_mut(&connection.client) else { return false };
        let before = own.len();
        own.retain(|other| other.number != connection.number);
        let removed = own.len() < before;
        drop(own);
        self.clients.remove_if(&connection.client, |_, own| own.is_empty());
        if removed {
            self.open.fetch_sub(1, Ordering::Relaxed);
        }
        removed
    }
}

impl Place {
    /// A whole message has come.
    pub fn message(&self, monotonic: Duration) {
        self.connection.last_message_us.store(micros(monotonic), Ordering::Relaxed);
    }

    /// Returns when the connection has to go.
    pub async fn shed(&self) {
        self.connection.shed.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.remove(&self.connection);
    }
}

impl Connection {
    fn idle_since(&self) -> (u64, u64) {
        (self.last_message_us.load(Ordering::Relaxed), self.number)
    }
}

fn longest_idle<'c>(connections: impl Iterator<Item = &'c Arc<Connection>>) -> Option<Arc<Connection>> {
    connections.min_by_key(|connection| connection.idle_since()).cloned()
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
    #![allow(clippy::unwrap_used)]

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
        connections.admit(client.parse().unwrap(), Duration::from_secs(seconds))
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
        assert!(connections.clients.is_empty());
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
}
