//! Addresses of host names that stand in answers: what the last look-up with success has found.
//!
//! A look-up that fails changes nothing here: its target's verdict tells of it, and the last good addresses
//! go on being judged by the checks of the host.

use std::net::IpAddr;
use std::sync::Arc;

use crate::health::remembered::RememberedHost;
use crate::health::{BoardSpec, Hosts, News, TargetAddress};
use crate::ids::{AddressId, Family, TargetId};

/// Addresses of one family taken from one name: an answer with more helps nobody, and a resolver that is not
/// well must not fill our memory.
const ADDRESSES_PER_FAMILY_MAX: usize = 16;

/// The addresses of all host names that are looked up.
#[derive(Clone, Debug, Default)]
pub struct Resolved(Vec<(AddressId, Arc<[IpAddr]>)>);

impl Resolved {
    /// Takes in what a look-up has found, at least one address: what to tell where that is news.
    pub fn take(&mut self, spec: &BoardSpec, target: TargetId, found: &[IpAddr]) -> Option<News> {
        let addresses: Arc<[IpAddr]> = some_of_each(found).into();
        let mut changed = false;
        for (host, _) in spec.hosts.iter().filter(|(_, own)| *own == target) {
            changed |= self.put(*host, &addresses);
        }
        let host = spec.targets.get(target.index()).map(|target| target.address.clone());
        match host {
            Some(TargetAddress::Host(host)) if changed => {
                Some(News::Resolved { host, addresses: addresses.to_vec() })
            }
            _ => None,
        }
    }

    /// To be published.
    pub fn table(&self) -> Hosts {
        self.0.as_slice().into()
    }

    /// After a reload: a host name keeps its addresses, whoever uses it.
    pub fn succeed(self, before: &BoardSpec, spec: &BoardSpec) -> Resolved {
        let named = self.0.iter().filter_map(|(id, addresses)| Some((before.identity(*id)?.1, addresses)));
        let named: Vec<(&str, &Arc<[IpAddr]>)> = named.collect();
        let mut next = Resolved::default();
        for (id, _) in &spec.hosts {
            let name = spec.identity(*id).map(|(_, name)| name);
            let known = named.iter().find(|(own, _)| Some(*own) == name);
            known.into_iter().for_each(|(_, addresses)| {
                next.put(*id, addresses);
            });
        }
        next
    }

    /// What a later process is to know.
    pub fn remember(&self, spec: &BoardSpec) -> Vec<RememberedHost> {
        let mut all: Vec<RememberedHost> = Vec::new();
        for (id, addresses) in &self.0 {
            let Some((_, host)) = spec.identity(*id) else { continue };
            if all.iter().all(|own| own.host != host) {
                all.push(RememberedHost { host: host.to_owned(), addresses: addresses.to_vec() });
            }
        }
        all
    }

    /// What an earlier process has left.
    pub fn restore(spec: &BoardSpec, left: &[RememberedHost]) -> Resolved {
        let mut resolved = Resolved::default();
        for (id, _) in &spec.hosts {
            let Some((_, host)) = spec.identity(*id) else { continue };
            let known = left.iter().find(|own| own.host == host && !own.addresses.is_empty());
            known.into_iter().for_each(|own| {
                resolved.put(*id, &some_of_each(&own.addresses).into());
            });
        }
        resolved
    }

    /// Whether that is news.
    fn put(&mut self, host: AddressId, addresses: &Arc<[IpAddr]>) -> bool {
        match self.0.binary_search_by_key(&host, |(own, _)| *own) {
            Ok(at) => self.0.get_mut(at).is_some_and(|own| {
                let changed = own.1 != *addresses;
                own.1 = Arc::clone(addresses);
                changed
            }),
            Err(at) => {
                self.0.insert(at, (host, Arc::clone(addresses)));
                true
            }
        }
    }
}

/// The same for the same set, whatever order a resolver tells it in.
fn some_of_each(found: &[IpAddr]) -> Vec<IpAddr> {
    let mut all: Vec<IpAddr> = found.iter().map(|address| address.to_canonical()).collect();
    all.sort_unstable();
    all.dedup();
    let of = |family| {
        all.iter().copied().filter(move |own| Family::of(*own) == family).take(ADDRESSES_PER_FAMILY_MAX)
    };
    Family::ALL.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::health::board::fixture::fleet;
    use crate::health::{Cadence, Check, TargetSpec};
    use crate::ids::{MonitorId, RegionId};

    fn spec() -> BoardSpec {
        let mut spec = fleet("web/a1 a\nweb/b1 b");
        let address = TargetAddress::Host("lb.example.net".to_owned());
        let label = "look-up of lb.example.net".to_owned();
        let (monitor, region) = (MonitorId(u16::MAX), RegionId(u16::MAX));
        let cadence = Cadence::DEFAULT;
        let target = TargetId(spec.targets.len() as u32);
        let mut targets = std::mem::take(&mut spec.targets).into_vec();
        targets.push(TargetSpec { address, check: Check::Resolve, cadence, monitor, region, label });
        spec.targets = targets.into();
        for address in spec.addresses.iter_mut() {
            (address.address, address.family) = ("lb.example.net".into(), None);
        }
        spec.hosts = (0..2).map(|number| (AddressId(number), target)).collect();
        spec
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Order, repetition and mapped forms are no news; what is found is bounded; a restart keeps it.
    #[test]
    fn r14_addresses_of_a_host_name_are_news_once_and_outlive_the_process() {
        let spec = spec();
        let target = spec.hosts[0].1;
        let mut resolved = Resolved::default();
        let found = addresses(&["192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert!(resolved.take(&spec, target, &found).is_some());
        let again = addresses(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(resolved.take(&spec, target, &again), None);
        assert_eq!(*resolved.table()[1].1, *addresses(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]));
        let left = resolved.remember(&spec);
        assert_eq!(left.len(), 1, "one name, however many use it");
        assert_eq!(Resolved::restore(&spec, &left).table(), resolved.table());
        assert_eq!(resolved.clone().succeed(&spec, &spec).table(), resolved.table());
        let many: Vec<IpAddr> = (0..100).map(|last| IpAddr::from([192, 0, 2, last])).collect();
        assert!(resolved.take(&spec, target, &many).is_some());
        assert_eq!(resolved.table()[0].1.len(), ADDRESSES_PER_FAMILY_MAX);
    }
}
