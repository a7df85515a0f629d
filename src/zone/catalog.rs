//! All zones of a snapshot, and which of them a name belongs to.

use std::sync::Arc;

use super::classes::ClientClasses;
use super::lookup::Zone;
use super::slots::Slots;
use super::sought::{Sought, octets_hash};
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
    /// The zones that each class sees, by origin.
    origins: Box<[Slots]>,
    classes: ClientClasses,
    /// A bit for each number of labels that an origin has.
    depths: u128,
    /// What all zones take in memory.
    octets: usize,
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
        let (mut all, mut depths): (Vec<Arc<Zone>>, u128) = (Vec::new(), 0);
        let mut origins: Vec<Slots> = Vec::new();
        let everybodys = 0..zones.len();
        for zones in std::iter::once(zones).chain(own) {
            let own = all.len()..all.len() + zones.len();
            depths |= zones.iter().fold(0, |depths, zone| depths | 1 << zone.origin().labels());
            all.extend(zones);
            // A class's own come before everybody's, and of equal origins the first stays.
            let others = if origins.is_empty() { 0..0 } else { everybodys.clone() };
            let mut slots = Slots::with_room(own.len() + others.len());
            for number in own.chain(others) {
                let Some(zone) = all.get(number) else { continue };
                if at(&slots, &all, zone.origin().octets()).is_none() {
                    slots.put(octets_hash(zone.origin().octets()), number as u32);
                }
            }
            origins.push(slots);
        }
        let validity = vec![Validity::Current; all.len()].into();
        let octets = octets_of(&all);
        Catalog { zones: all.into(), validity, origins: origins.into(), classes, depths, octets }
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
        catalog.octets = octets_of(&catalog.zones);
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
        let origins = self.origins_of(class)?;
        let depths = (0..=name.labels().checked_sub(first)?).rev();
        let depths = depths.filter(|depth| self.depths >> depth & 1 != 0);
        depths
            .map(|depth| name.suffix(name.labels() - depth))
            .find_map(|origin| at(origins, &self.zones, origin))
    }

    /// The same zone as [`Catalog::find`] finds, and the octet of the name at which its origin begins.
    #[inline(always)]
    pub fn find_sought(&self, class: ClientClass, sought: &Sought) -> Option<(ZoneId, &Zone, usize)> {
        let end = sought.octets();
        if let ([zone], [_]) = (&*self.zones, &*self.origins) {
            // Of one zone for everybody there is no need to ask a table.
            let depth = (self.depths as u32).checked_ilog2()? as usize;
            let start = sought.start(sought.labels().checked_sub(depth)?);
            let is_it = sought.is(start, end, zone.origin().room());
            return is_it.then_some((ZoneId(0), &**zone, start));
        }
        let origins = self.origins_of(class)?;
        for start in self.origins_above(sought) {
            let found = origins.find(sought.hash(start, end), |number| {
                let zone = self.zones.get(number as usize)?;
                // Both end with a root, so neither can be longer than the other.
                sought.is(start, end, zone.origin().room()).then_some((ZoneId(number), &**zone, start))
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The zone of everybody's that a name is probably in, by hashes alone, and the octet at which its origin begins.
    #[inline]
    pub(super) fn guess(&self, sought: &Sought) -> Option<(u32, usize)> {
        let origins = self.origins.first()?;
        self.origins_above(sought).find_map(|start| {
            let number = origins.find(sought.hash(start, sought.octets()), Some)?;
            Some((number, start))
        })
    }

    /// Where in a name the origins of its labels' numbers begin, the deepest first.
    #[inline]
    fn origins_above(&self, sought: &Sought) -> impl Iterator<Item = usize> {
        let labels = sought.labels();
        // Only at these are there origins; most catalogs have one depth or two.
        let mut depths = self.depths as u32 & ((2 << labels) - 1);
        std::iter::from_fn(move || {
            let depth = depths.checked_ilog2()? as usize;
            depths ^= 1 << depth;
            Some(sought.start(labels - depth))
        })
    }

    /// What all zones take in memory, in octets.
    #[inline]
    pub(super) fn octets(&self) -> usize {
        self.octets
    }

    #[inline]
    fn origins_of(&self, class: ClientClass) -> Option<&Slots> {
        self.origins.get(usize::from(class.0)).or(self.origins.first())
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

fn octets_of(zones: &[Arc<Zone>]) -> usize {
    zones.iter().map(|zone| zone.memory_octets()).sum()
}

/// The zone of an origin.
fn at<'z>(origins: &Slots, zones: &'z [Arc<Zone>], origin: &[u8]) -> Option<(ZoneId, &'z Zone)> {
    origins.find(octets_hash(origin), |number| {
        let zone = zones.get(number as usize)?;
        (zone.origin().octets() == origin).then_some((ZoneId(number), &**zone))
    })
}
