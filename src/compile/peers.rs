//! Who may take which zone, and who is told of its changes, as the query path and transfers see it.

use std::sync::Arc;

use crate::config::{self, Config};
use crate::tsig::{Key, Keys};
use crate::view::{Peer, Peers, Target, ZonePeers};

/// By the zones' numbers: everybody's first, then those of each class, as in the catalog.
pub fn peers(config: &Config) -> Peers {
    let everybody = config.zones.iter().map(|zone| zone_peers(config, "", zone));
    let own = config
        .classes
        .iter()
        .flat_map(|class| class.zones.iter().map(|zone| zone_peers(config, &class.name, zone)));
    Peers {
        keys: Keys::new(config.tsig.iter().map(|key| Arc::clone(&key.key)).collect()),
        zones: everybody.chain(own).collect(),
        sources: Box::default(),
    }
}

fn zone_peers(config: &Config, class: &str, zone: &config::Zone) -> ZonePeers {
    let key = |number: Option<usize>| -> Option<Arc<Key>> {
        config.tsig.get(number?).map(|key| Arc::clone(&key.key))
    };
    let to = zone.transfer.to.iter().map(|peer| Peer { network: peer.network, key: key(peer.key) });
    let targets = zone.transfer.notify.iter();
    let notify = targets.map(|target| Target { address: target.address, key: key(target.key) });
    ZonePeers { class: class.into(), to: to.collect(), notify: notify.collect() }
}
