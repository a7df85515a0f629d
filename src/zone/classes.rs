//! R16: which class a client is in, by where its queries come from and where they come in.
//!
//! It goes by the address that sent the packet and never by a client subnet: anybody can claim one.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::ClientClass;
use crate::ids::Family;

/// The classes of a snapshot. Without any, everybody is in [`ClientClass::DEFAULT`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientClasses {
    names: Box<[Box<str>]>,
    /// By family index: the networks of each length, longest first.
    networks: [Box<[SameLength]>; 2],
    /// Listen addresses as written in the configuration.
    listeners: Box<[(SocketAddr, ClientClass)]>,
}

/// Networks of one length.
#[derive(Clone, PartialEq, Eq, Debug)]
struct SameLength {
    mask: u128,
    /// Sorted by the first address, left-aligned.
    networks: Box<[(u128, ClientClass)]>,
}

/// A class of clients as it is put together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClassSpec {
    /// The name.
    pub name: Box<str>,
    /// Where its clients are; no network is in two classes.
    pub networks: Vec<IpNet>,
    /// Where its clients' queries come in; no address is in two classes.
    pub listen: Vec<SocketAddr>,
}

impl ClientClasses {
    /// The classes in order: the first is number 1.
    pub fn new(specs: &[ClassSpec]) -> ClientClasses {
        let numbered = || (1u16..).map(ClientClass).zip(specs);
        let all: Vec<(IpNet, ClientClass)> = numbered()
            .flat_map(|(class, spec)| spec.networks.iter().map(move |network| (*network, class)))
            .collect();
        ClientClasses {
            names: specs.iter().map(|spec| spec.name.clone()).collect(),
            networks: Family::ALL.map(|family| by_length(&all, family)),
            listeners: numbered()
                .flat_map(|(class, spec)| spec.listen.iter().map(move |listen| (*listen, class)))
                .collect(),
        }
    }

    /// The class of whoever sent a packet: the longest network around the address decides, then the
    /// listener that it came in on. An IPv4 address inside ::ffff:0:0/96 counts as IPv4.
    pub fn of(&self, source: IpAddr, listener: Option<SocketAddr>) -> ClientClass {
        self.by_network(source).or_else(|| self.by_listener(listener?)).unwrap_or(ClientClass::DEFAULT)
    }

    /// Whether there are none: everybody is in [`ClientClass::DEFAULT`].
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of all but the default one.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// A class by its name.
    pub fn by_name(&self, name: &str) -> Option<ClientClass> {
        (1u16..).zip(&self.names).find(|(_, own)| &***own == name).map(|(number, _)| ClientClass(number))
    }

    /// A class's name; `None` for the default one.
    pub fn name(&self, class: ClientClass) -> Option<&str> {
        usize::from(class.0).checked_sub(1).and_then(|index| self.names.get(index)).map(|name| &**name)
    }

    fn by_network(&self, source: IpAddr) -> Option<ClientClass> {
        let source = source.to_canonical();
        let bits = left_aligned(source);
        self.networks.get(Family::of(source).index())?.iter().find_map(|same| {
            let first = bits & same.mask;
            let found = same.networks.binary_search_by_key(&first, |(network, _)| *network).ok()?;
            same.networks.get(found).map(|(_, class)| *class)
        })
    }

    fn by_listener(&self, listener: SocketAddr) -> Option<ClientClass> {
        self.listeners.iter().find(|(address, _)| *address == listener).map(|(_, class)| *class)
    }
}

fn by_length(all: &[(IpNet, ClientClass)], family: Family) -> Box<[SameLength]> {
    let of_family = || all.iter().filter(|(network, _)| Family::of(network.addr()) == family);
    let mut lengths: Vec<u8> = of_family().map(|(network, _)| network.prefix_len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let same = |length: u8| {
        let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let networks = of_family().filter(|(network, _)| network.prefix_len() == length);
        let mut networks: Vec<_> =
            networks.map(|(network, class)| (left_aligned(network.addr()) & mask, *class)).collect();
        networks.sort_unstable();
        SameLength { mask, networks: networks.into() }
    };
    lengths.into_iter().rev().map(same).collect()
}

fn left_aligned(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => v6.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn r16_the_longest_network_decides_then_the_listener() {
        let spec = |name: &str, networks: &[&str], listen: &[&str]| ClassSpec {
            name: name.into(),
            networks: networks.iter().map(|network| network.parse().unwrap()).collect(),
            listen: listen.iter().map(|listen| listen.parse().unwrap()).collect(),
        };
        let classes = ClientClasses::new(&[
            spec("office", &["10.0.0.0/8", "2001:db8::/32"], &["192.0.2.1:53"]),
            spec("lab", &["10.7.0.0/16", "10.7.9.9/32", "::/0"], &["192.0.2.2:53"]),
            spec("desk", &["10.7.9.0/24"], &[]),
        ]);
        let check = |source: &str, listener: Option<&str>, expected: Option<&str>| {
            let class = classes.of(source.parse().unwrap(), listener.map(|own| own.parse().unwrap()));
            assert_eq!(classes.name(class), expected, "{source} {listener:?}");
            assert_eq!(class, expected.map_or(ClientClass::DEFAULT, |name| classes.by_name(name).unwrap()));
        };
        check("10.1.2.3", None, Some("office"));
        check("::ffff:10.1.2.3", None, Some("office"));
        check("10.7.2.3", None, Some("lab"));
        check("10.7.9.3", None, Some("desk"));
        check("10.7.9.9", None, Some("lab"));
        check("11.0.0.1", None, None);
        check("11.0.0.1", Some("192.0.2.1:53"), Some("office"));
        check("11.0.0.1", Some("192.0.2.1:54"), None);
        check("10.1.2.3", Some("192.0.2.2:53"), Some("office"));
        check("2001:db8::1", None, Some("office"));
        check("2001:db9::1", Some("192.0.2.1:53"), Some("lab"));
        assert_eq!(ClientClasses::default().of("10.1.2.3".parse().unwrap(), None), ClientClass::DEFAULT);
    }
}
