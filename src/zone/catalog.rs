//! All zones of a snapshot, and which of them a name belongs to.

use std::sync::Arc;

use super::classes::ClientClasses;
use super::lookup::Zone;
use super::sought::{ROOT_HASH, Sought};
use super::tree::NameTree;
use crate::ids::ZoneId;
use crate::wire::Name;

/// A class of clients that sees the same zones (R16).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientClass(pub u16);

impl ClientClass {
    /// Everybody who is in no other class.
    pub const DEFAULT: ClientClass = ClientClass(0);
}

/// Whether a zone's data may be answered with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Validity {
    /// Yes.
    Current,
    /// A secondary zone that no primary has confirmed for longer than its SOA allows (RFC 1034 section
    /// 4.3.5): its steered names alone are answered.
    Expired,
    /// A secondary zone of which nothing was ever transferred: nothing is answered.
    Missing,
}

/// A zone to be put in the place of another.
pub struct Replacement {
    /// Which place.
    pub id: ZoneId,
    /// The zone, of the same origin.
    pub zone: Arc<Zone>,
    /// Whether its data may be answered with.
    pub validity: Validity,
}

/// All zones of a snapshot.
#[derive(Clone)]
pub struct Catalog {
    /// Shared, so that one zone can be replaced without touching the others.
    zones: Box<[Arc<Zone>]>,
    /// Of each of them.
    validity: Box<[Validity]>,
    tree: NameTree,
    /// By class, then by node of the tree.
    zone_at: Box<[Box<[Option<ZoneId>]>]>,
    classes: ClientClasses,
    /// A bit for each number of labels that an origin has.
    depths: u128,
}

impl Catalog {
    /// The zones that everybody sees, numbered as they come. Of two with the same origin the first is
    /// found.
    pub fn new(zones: Vec<Zone>) -> Catalog {
        Catalog::with_classes(zones, ClientClasses::default(), Vec::new())
    }

    /// The same with classes of clients. `own` has the zones of each class; where a class has none of an
    /// origin its clients see everybody's.
    pub fn with_classes(zones: Vec<Zone>, classes: ClientClasses, own: Vec<Vec<Zone>>) -> Catalog {
        let shared = |zones: Vec<Zone>| zones.into_iter().map(Arc::new).collect();
        Catalog::of_shared(shared(zones), classes, own.into_iter().map(shared).collect())
    }

    /// The same of zones that are shared already.
    pub fn of_shared(zones: Vec<Arc<Zone>>, classes: ClientClasses, own: Vec<Vec<Arc<Zone>>>) -> Catalog {
        let mut tree = NameTree::new(ROOT_HASH);
        let mut all = Vec::new();
        let mut depths = 0;
        let mut places: Vec<Vec<(u32, ZoneId)>> = Vec::new();
        for zones in std::iter::once(zones).chain(own) {
            let mut placed = Vec::new();
            for zone in zones {
                depths |= 1 << zone.origin().labels();
                placed.extend(node_of(&mut tree, &zone).map(|node| (node, ZoneId(all.len() as u32))));
                all.push(zone);
            }
            places.push(placed);
        }
        let mut everybody: Vec<Option<ZoneId>> = vec![None; tree.len()];
        let mut zone_at = Vec::with_capacity(places.len());
        for (class, placed) in places.into_iter().enumerate() {
            let mut seen = everybody.clone();
            // The first of equal origins stays.
            for (node, zone) in placed.into_iter().rev() {
                if let Some(slot) = seen.get_mut(node as usize) {
                    *slot = Some(zone);
                }
            }
            if class == 0 {
                everybody.clone_from(&seen);
            }
            zone_at.push(seen.into_boxed_slice());
        }
        tree.shrink();
        let validity = vec![Validity::Current; all.len()].into();
        Catalog { zones: all.into(), validity, tree, zone_at: zone_at.into(), classes, depths }
    }

    /// The same with some zones replaced; all others are shared. A replacement of another origin, or for
    /// a place that does not exist, is passed over.
    pub fn with_zones(&self, replacements: &[Replacement]) -> Catalog {
        let mut catalog = self.clone();
        for Replacement { id, zone, validity } in replacements {
            let place = catalog.zones.get_mut(id.index()).zip(catalog.validity.get_mut(id.index()));
            if let Some((old, was)) = place
                && old.origin() == zone.origin()
            {
                *old = Arc::clone(zone);
                *was = *validity;
            }
        }
        catalog
    }

    /// The same with the validity of some zones set.
    pub fn with_validity(mut self, of: impl Iterator<Item = (ZoneId, Validity)>) -> Catalog {
        for (id, validity) in of {
            if let Some(was) = self.validity.get_mut(id.index()) {
                *was = validity;
            }
        }
        self
    }

    /// Whether a zone's data may be answered with.
    pub fn validity(&self, id: ZoneId) -> Validity {
        self.validity.get(id.index()).copied().unwrap_or(Validity::Missing)
    }

    /// Who is in which class.
    pub fn classes(&self) -> &ClientClasses {
        &self.classes
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
        let zone_at = self.zone_at.get(usize::from(class.0)).or(self.zone_at.first())?;
        if first > name.labels() {
            return None;
        }
        let mut found = zone_at.first().copied().flatten();
        let mut at = self.tree.root();
        for index in (first..name.labels()).rev() {
            let Some(child) = self.tree.child(at, name.label(index)) else { break };
            at = child;
            found = zone_at.get(at.node as usize).copied().flatten().or(found);
        }
        let id = found?;
        Some((id, self.zone(id)?))
    }

    /// The same zone as [`Catalog::find`] finds, from the longest origin down.
    #[inline]
    pub fn find_sought(&self, class: ClientClass, sought: &Sought) -> Option<(ZoneId, &Zone)> {
        let zone_at = self.zone_at.get(usize::from(class.0)).or(self.zone_at.first())?;
        let labels = sought.labels();
        // Only at these are there origins; most catalogs have one depth or two.
        let mut depths = self.depths as u32 & ((2 << labels) - 1);
        while depths != 0 {
            let depth = depths.ilog2() as usize;
            depths ^= 1 << depth;
            let at = match depth {
                0 => Some(self.tree.root()),
                _ => self.tree.suffix(sought, labels - depth, labels),
            };
            if let Some(id) = at.and_then(|at| zone_at.get(at.node as usize).copied().flatten()) {
                return Some((id, self.zone(id)?));
            }
        }
        None
    }

    /// A zone by its number.
    pub fn zone(&self, id: ZoneId) -> Option<&Zone> {
        self.zones.get(id.index()).map(|zone| &**zone)
    }

    /// All zones, by [`ZoneId`].
    pub fn zones(&self) -> &[Arc<Zone>] {
        &self.zones
    }
}

/// The node of a zone's origin, made if it is new.
fn node_of(tree: &mut NameTree, zone: &Zone) -> Option<u32> {
    let origin = zone.origin();
    let mut at = Some(tree.root());
    for index in (0..origin.labels()).rev() {
        at = at.and_then(|at| tree.child_or_new(at, origin.label(index)));
    }
    at.map(|at| at.node)
}
