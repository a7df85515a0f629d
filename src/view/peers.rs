//! Other name servers that this one deals with: who may take a zone, who is told that it has changed, and
//! whose word counts that a zone elsewhere has.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::ids::ZoneId;
use crate::tsig::{Key, Keys};
use crate::wire::Name;

/// All of it, for one generation.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// The keys that messages may be signed with (RFC 8945).
    pub keys: Keys,
    /// By [`ZoneId`]: what becomes of the zones that are served.
    pub zones: Box<[ZonePeers]>,
    /// Zones whose data come from elsewhere, and who may say by NOTIFY that they have changed.
    pub sources: Box<[(Name, Box<[Peer]>)]>,
}

/// The other servers of one zone.
#[derive(Clone, Debug, Default)]
pub struct ZonePeers {
    /// The class of clients that the zone is for, by name; empty: everybody's. With the origin it is the
    /// zone's identity in all generations.
    pub class: Box<str>,
    /// Who may take it. Empty: nobody.
    pub to: Box<[Peer]>,
    /// Who is told when it has changed.
    pub notify: Box<[Target]>,
}

/// Whom something is allowed: all that is said must hold.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it comes from; `None`: anywhere.
    pub network: Option<IpNet>,
    /// What its messages are signed with; `None`: with anything, or not at all.
    pub key: Option<Arc<Key>>,
}

/// Where messages are sent.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address.
    pub address: SocketAddr,
    /// What they are signed with.
    pub key: Option<Arc<Key>>,
}

impl Peers {
    /// The other servers of a zone.
    pub fn of(&self, zone: ZoneId) -> Option<&ZonePeers> {
        self.zones.get(zone.index())
    }

    /// The zone of that origin that comes from elsewhere, if this peer's word counts there.
    pub fn source(&self, origin: &Name, from: IpAddr, key: Option<&Key>) -> Option<&Name> {
        // Several classes of clients may have a zone of that origin.
        let mut own = self.sources.iter().filter(|(zone, _)| zone == origin);
        own.find(|(_, primaries)| allows(primaries, from, key)).map(|(zone, _)| zone)
    }
}

impl ZonePeers {
    /// Whether a client may take the zone.
    pub fn may_take(&self, from: IpAddr, key: Option<&Key>) -> bool {
        allows(&self.to, from, key)
    }
}

fn allows(peers: &[Peer], from: IpAddr, key: Option<&Key>) -> bool {
    let from = from.to_canonical();
    peers.iter().any(|peer| {
        let network = peer.network.is_none_or(|network| network.contains(&from));
        let proven = peer.key.as_ref().is_none_or(|own| key.is_some_and(|key| key.name() == own.name()));
        network && proven
    })
}
