//! Which endpoints' loads count, and which endpoints can take over each other's clients (H12).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;
use crate::health::BoardSpec;
use crate::health::load::{LoadMember, Metered};
use crate::ids::EndpointId;

/// The members of every group in which a load is known. Endpoints below one service can take over each
/// other's clients, and so can those of services that share an endpoint.
pub fn loads(config: &Config, board: &BoardSpec) -> Box<[LoadMember]> {
    let mut groups = Groups((0..board.endpoints.len() as u32).collect());
    let mut caches: BTreeMap<EndpointId, Duration> = BTreeMap::new();
    for service in &board.services {
        let ttl = Duration::from_secs(u64::from(service.ttl_max_s));
        let first = service.members.first();
        for member in &service.members {
            groups.join(first.map_or(member.0, |first| first.0), member.0);
            let longest = caches.entry(*member).or_default();
            *longest = ttl.max(*longest);
        }
    }
    let limits = config.pools.iter().flat_map(|pool| {
        let feed = pool.feed.and_then(|feed| config.monitors.get(feed.index()));
        pool.endpoints.iter().map(move |endpoint| Some((endpoint.load?, feed?.cadence.interval)))
    });
    let mut members = Vec::with_capacity(board.endpoints.len());
    for ((index, endpoint), limits) in board.endpoints.iter().enumerate().zip(limits) {
        let id = EndpointId(index as u32);
        // A draw of no service never leads there: nobody is sent, nobody is shed.
        let Some(caches) = caches.get(&id) else { continue };
        let metered = limits.map(|(limits, interval)| Metered {
            feeds: endpoint.addresses.iter().filter_map(|address| board.feed_of(*address)).collect(),
            interval,
            caches: *caches,
            limits,
        });
        members.push(LoadMember { endpoint: id, group: groups.of(id.0), metered });
    }
    let metered: Vec<u32> =
        members.iter().filter(|member| member.metered.is_some()).map(|member| member.group).collect();
    members.retain(|member| metered.contains(&member.group));
    members.into()
}

/// Endpoints by number, each with a lower one of its group or itself.
struct Groups(Vec<u32>);

impl Groups {
    /// The lowest number of an endpoint's group.
    fn of(&self, endpoint: u32) -> u32 {
        let mut at = endpoint;
        while let Some(lower) = self.0.get(at as usize).copied().filter(|lower| *lower < at) {
            at = lower;
        }
        at
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.of(one), self.of(other));
        if let Some(slot) = self.0.get_mut(one.max(other) as usize) {
            *slot = one.min(other);
        }
    }
}
