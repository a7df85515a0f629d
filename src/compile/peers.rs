//! Who may take which zone, and who is told of its changes, as the query path and transfers see it.

use std::sync::Arc;

use super::secondary;
use crate::config::{self, Config};
use crate::tsig::{Key, Keys};
use crate::view::{Peer, Peers, Target, ZonePeers};
use crate::wire::{Name, parse_name};

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
        sources: secondary::places(config).filter_map(|place| sources(config, &place)).collect(),
    }
}

/// Whose word counts that a zone has changed elsewhere: its primaries', with their keys, and that of who is
/// named besides them.
fn sources(config: &Config, place: &secondary::Place<'_>) -> Option<(Name, Box<[Peer]>)> {
    let own = place.secondary.primaries.iter().map(|primary| {
        let key = primary.key.as_deref();
        let key = key.and_then(|name| config.tsig.iter().find(|key| key.name == name));
        Peer { network: Some(primary.address.ip().into()), key: key.map(|key| Arc::clone(&key.key)) }
    });
    let others = place.secondary.notify_from.iter();
    let others = others.map(|network| Peer { network: Some(*network), key: None });
    let origin = Name::from_wire(&parse_name(place.zone.origin.as_bytes(), &[0]).ok()?)?;
    Some((origin, own.chain(others).collect()))
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
