//! The versions of all zones that may be taken, and the steps between them, within bounds.

use std::collections::HashMap;
use std::sync::Arc;

use super::difference::{Compared, Difference, compare};
use super::image::Image;
use crate::ids::ZoneId;
use crate::secondary::serial::{self, compare as stands};
use crate::view::{Target, View, ZonePeers};
use crate::wire::Name;

/// Steps kept of one zone. Who lacks more takes the whole zone.
const STEPS_MAX: usize = 100;
/// Octets kept of one zone's steps.
const STEPS_OCTETS_MAX: usize = 64 << 20;

/// A zone in all generations: its class of clients and its origin.
pub type Identity = (Box<str>, Box<[u8]>);

/// One zone that may be taken.
pub struct Holding {
    /// Its version in force.
    pub image: Arc<Image>,
    /// The steps to it, the oldest first, without a gap.
    pub steps: Vec<Arc<Difference>>,
}

/// All of them.
pub type Holdings = HashMap<Identity, Arc<Holding>>;

/// A zone has a new version.
pub struct News {
    /// Which zone.
    pub identity: Identity,
    /// Its origin.
    pub origin: Name,
    /// The serial before; `None`: it was not there.
    pub before: Option<u32>,
    /// The version.
    pub image: Arc<Image>,
    /// Who is to be told.
    pub targets: Box<[Target]>,
    /// Whether the serial says that it is new.
    pub serial: Serial,
}

/// What a serial says of a version whose content is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Serial {
    /// It rose: secondaries come and take it.
    Rose,
    /// It did not: secondaries that have the serial see no reason to come.
    Stayed,
}

/// The identity of a zone of a view, with what concerns others.
pub fn identity(view: &View, id: ZoneId) -> Option<(Identity, &ZonePeers)> {
    let peers = view.snapshot.responder.peers.of(id)?;
    let origin = view.snapshot.catalog.zone(id)?.origin();
    Some(((peers.class.clone(), origin.octets().into()), peers))
}

/// The holdings of a view, what follows from those before taken over, and what is new in them.
pub fn succeed(before: &Holdings, view: &View) -> (Holdings, Vec<News>) {
    let (mut holdings, mut news) = (Holdings::new(), Vec::new());
    for id in (0..view.snapshot.catalog.zones().len() as u32).map(ZoneId) {
        let Some((identity, peers)) = identity(view, id) else { continue };
        if peers.to.is_empty() && peers.notify.is_empty() {
            continue;
        }
        let Some(image) = Image::of(view, id).map(Arc::new) else { continue };
        let origin = *image.zone.origin();
        let earlier = before.get(&identity);
        let (holding, changed) = match earlier {
            None => (Arc::new(Holding { image: image.clone(), steps: Vec::new() }), Some(Serial::Rose)),
            Some(earlier) => next(earlier, &image),
        };
        holdings.insert(identity.clone(), holding);
        if let Some(serial) = changed {
            let (before, targets) = (earlier.map(|own| own.image.serial), peers.notify.clone());
            news.push(News { identity, origin, before, image, targets, serial });
        }
    }
    (holdings, news)
}

/// A zone's next version; whether anything in it is new.
fn next(earlier: &Arc<Holding>, image: &Arc<Image>) -> (Arc<Holding>, Option<Serial>) {
    let rose = stands(image.serial, earlier.image.serial) == serial::Compared::Newer;
    let fresh = || Arc::new(Holding { image: image.clone(), steps: Vec::new() });
    match (compare(&earlier.image, image), rose) {
        (Compared::Equal, _) => {
            (Arc::new(Holding { image: image.clone(), steps: earlier.steps.clone() }), None)
        }
        (Compared::Changed(step), true) => {
            let mut steps = earlier.steps.clone();
            steps.push(Arc::new(step));
            bound(&mut steps);
            (Arc::new(Holding { image: image.clone(), steps }), Some(Serial::Rose))
        }
        (Compared::TooMuch, true) => (fresh(), Some(Serial::Rose)),
        // Steps would lead to what that serial meant before: everybody takes the whole zone.
        (Compared::Changed(_) | Compared::TooMuch, false) => (fresh(), Some(Serial::Stayed)),
    }
}

fn bound(steps: &mut Vec<Arc<Difference>>) {
    let mut octets: usize = steps.iter().map(|step| step.octets()).sum();
    let mut gone = 0;
    while steps.len() - gone > STEPS_MAX || octets > STEPS_OCTETS_MAX {
        let Some(oldest) = steps.get(gone) else { break };
        octets -= oldest.octets();
        gone += 1;
    }
    steps.drain(..gone);
}

impl Holding {
    /// The steps from a serial to the version in force; `None` where they are not all there, or would be more
    /// than the zone itself.
    pub fn steps_from(&self, serial: u32) -> Option<&[Arc<Difference>]> {
        let first = self.steps.iter().position(|step| step.from == serial)?;
        let steps = self.steps.get(first..)?;
        let records: usize = steps.iter().map(|step| step.removed.count + step.added.count).sum();
        (records <= self.image.zone.entries().max(STEPS_MAX)).then_some(steps)
    }
}

impl News {
    /// What is wrong with a serial that did not rise.
    pub fn in_words(&self) -> String {
        let origin = crate::wire::name_text(self.origin.octets());
        let (serial, before) = (self.image.serial, self.before.unwrap_or(self.image.serial));
        if serial == before {
            format!(
                "the zone {origin} has changed and its serial is still {serial}: secondaries do not see it; \
                 raise the serial"
            )
        } else {
            format!(
                "the zone {origin} has changed and its serial fell from {before} to {serial}: secondaries do \
                 not see it; raise the serial above {before} (RFC 1982)"
            )
        }
    }
}
