//! All zones of a snapshot, and which of them a name belongs to.

use super::lookup::Zone;
use super::tree::{NameTree, ROOT};
use crate::ids::ZoneId;
use crate::wire::Name;

/// A class of clients that sees the same zones (R16).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientClass(pub u16);

impl ClientClass {
    /// Everybody who is in no other class.
    pub const DEFAULT: ClientClass = ClientClass(0);
}

/// All zones of a snapshot.
pub struct Catalog {
    zones: Box<[Zone]>,
    tree: NameTree,
    /// By node of the tree.
    zone_at: Box<[Option<ZoneId>]>,
}

impl Catalog {
    /// The zones, numbered as they come. Of two with the same origin the first is found.
    pub fn new(zones: Vec<Zone>) -> Catalog {
        let mut tree = NameTree::new();
        let mut zone_at = vec![None];
        for (number, zone) in zones.iter().enumerate() {
            let origin = zone.origin();
            let mut node = Some(ROOT);
            for index in (0..origin.labels()).rev() {
                node = node.and_then(|node| tree.child_or_new(node, origin.label(index)));
            }
            zone_at.resize(tree.len(), None);
            if let Some(place) = node.and_then(|node| zone_at.get_mut(node as usize)) {
                place.get_or_insert(ZoneId(number as u32));
            }
        }
        tree.shrink();
        Catalog { zones: zones.into(), tree, zone_at: zone_at.into() }
    }

    /// The zone with the longest origin that `name` is at or below.
    pub fn find(&self, class: ClientClass, name: &Name) -> Option<(ZoneId, &Zone)> {
        self.deepest(class, name, 0)
    }

    /// The zone with the longest origin that `name` is truly below: the one that can answer for DS
    /// where `name` is itself an origin (RFC 4035 section 3.1.4.1).
    pub fn find_above(&self, class: ClientClass, name: &Name) -> Option<(ZoneId, &Zone)> {
        self.deepest(class, name, 1)
    }

    /// Among the origins that `name` has from label `first` on.
    fn deepest(&self, class: ClientClass, name: &Name, first: usize) -> Option<(ZoneId, &Zone)> {
        // The one class that exists sees every zone.
        let ClientClass(_) = class;
        if first > name.labels() {
            return None;
        }
        let mut found = self.zone_at.first().copied().flatten();
        let mut node = ROOT;
        for index in (first..name.labels()).rev() {
            let Some(child) = self.tree.child(node, name.label(index)) else { break };
            node = child;
            found = self.zone_at.get(node as usize).copied().flatten().or(found);
        }
        let id = found?;
        Some((id, self.zone(id)?))
    }

    /// A zone by its number.
    pub fn zone(&self, id: ZoneId) -> Option<&Zone> {
        self.zones.get(id.index())
    }

    /// All zones, by [`ZoneId`].
    pub fn zones(&self) -> &[Zone] {
        &self.zones
    }
}
