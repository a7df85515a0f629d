//! Building a location map from a stream of address ranges.

use std::sync::Arc;

use super::LocationMap;
use super::barrier::UNKNOWN;
use super::classes::{Classifier, Stretch, Tell};
use super::floor::{Floor, Kept, Run};
use super::overlay::{Overlay, Segment};
use super::trie::TrieBuilder;
use crate::geo::{Location, MapSpec, ScopeFloor};
use crate::ids::{ClassId, Family};

/// Builds one [`LocationMap`] from a location database.
///
/// CIDR rules, special-purpose blocks and embedded IPv4 are laid over the stream here: whoever
/// feeds it knows nothing of them.
pub struct MapBuilder {
    classifier: Classifier,
    lanes: [Lane; 2],
    out: Out,
}

/// What becomes of finished runs.
struct Out {
    trie: TrieBuilder,
    /// With a floor: which classes are left.
    kept: Option<Kept>,
}

/// How far the stream of one family has come.
struct Lane {
    family: Family,
    segments: Vec<Segment>,
    /// The segment that `next` is in.
    segment: usize,
    /// The first address not yet classified; `None` past the end of the family.
    next: Option<u128>,
    /// The run that is still growing: neighbours of one class reach the trie as one.
    pending: Option<Run>,
    floor: Floor,
    /// Likewise, of what the floor leaves.
    coarse: Option<Run>,
}

/// Why a map could not be built or read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MapError {
    /// A range that ends before it starts, or starts before the end of the one before it.
    OutOfOrder {
        /// Of which family.
        family: Family,
        /// Its first address, left-aligned.
        first: u128,
    },
    /// A range names a location that does not exist.
    NoSuchLocation(u32),
    /// More different nodes or classes than the map's numbers can tell apart (2^23).
    TooLarge,
    /// Bytes that are no location map of this version, or not whole.
    NotAMap,
}

impl std::fmt::Display for MapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MapError::OutOfOrder { family, first } => {
                write!(f, "the {family:?} range that starts at {first:#x} is out of order")
            }
            MapError::NoSuchLocation(number) => write!(f, "there is no location {number}"),
            MapError::TooLarge => f.write_str("too many different networks for one location map"),
            MapError::NotAMap => f.write_str("not a location map of this version, or damaged"),
        }
    }
}

impl std::error::Error for MapError {}

/// The bits below an IPv4 address in the left-aligned form.
const BELOW_V4: u128 = u128::MAX >> 32;

/// What is said of a gap.
const NOTHING: Stretch = Stretch { location: None, overridden: false };

/// Tells the location of a gap.
fn nothing() -> Result<Option<Location>, MapError> {
    Ok(None)
}

impl MapBuilder {
    /// A builder for `spec`.
    pub fn new(spec: MapSpec) -> MapBuilder {
        let overlay = Overlay::new(&spec);
        let [v4, v6] = overlay.segments;
        let floor = spec.floor;
        let lane = |family, segments| Lane::new(family, segments, floor);
        MapBuilder {
            classifier: Classifier::new(spec, overlay.contexts),
            lanes: [lane(Family::V4, v4), lane(Family::V6, v6)],
            out: Out { trie: TrieBuilder::new(), kept: (floor != ScopeFloor::NONE).then(Kept::new) },
        }
    }

    /// The next range of a family, `first` and `last` included. Ranges of one family ascend and do
    /// not overlap; the families may come one after the other or mixed. Gaps are unknown locations,
    /// as is `None`. `overridden`: the location is an operator's word, so it wins over the
    /// special-purpose blocks (R7).
    ///
    /// Addresses are left-aligned as in `ClientPrefix`: IPv4 in the top 32 bits; the low 96 bits of
    /// an IPv4 address are ignored. `location` is an index of `locations`, which may grow from call
    /// to call but never change. Neighbouring ranges of one location need not be merged.
    pub fn push(
        &mut self,
        locations: &[Location],
        family: Family,
        first: u128,
        last: u128,
        location: Option<u32>,
        overridden: bool,
    ) -> Result<(), MapError> {
        let mut tell = || match location {
            Some(number) => {
                locations.get(number as usize).cloned().map(Some).ok_or(MapError::NoSuchLocation(number))
            }
            None => Ok(None),
        };
        if location.is_some_and(|number| number as usize >= locations.len()) {
            return tell().map(|_| ());
        }
        self.push_told(family, first, last, location, overridden, &mut tell)
    }

    /// As [`MapBuilder::push`], where there is no list of locations: `tell` is asked for that of the range where its
    /// number is new here, or new under other rules. Numbers are given out from 0 up; `None`, at once or as told:
    /// an unknown location.
    pub fn push_told(
        &mut self,
        family: Family,
        first: u128,
        last: u128,
        location: Option<u32>,
        overridden: bool,
        tell: Tell<'_>,
    ) -> Result<(), MapError> {
        let (first, last) = match family {
            Family::V4 => (first & !BELOW_V4, last | BELOW_V4),
            Family::V6 => (first, last),
        };
        let Some(lane) = self.lanes.get_mut(family.index()) else { return Ok(()) };
        let next = lane.next.filter(|&next| next <= first && first <= last);
        let Some(next) = next else { return Err(MapError::OutOfOrder { family, first }) };
        if next < first {
            lane.fill(first - 1, NOTHING, &mut self.classifier, &mut self.out, &mut nothing)?;
        }
        lane.fill(last, Stretch { location, overridden }, &mut self.classifier, &mut self.out, tell)?;
        // A family ends with its last address, whatever comes of the other one.
        if lane.next.is_none() { lane.finish(&mut self.out) } else { Ok(()) }
    }

    /// Takes over what another builder of the same spec has been given of a family, and this one has not. The map is the
    /// same as if the ranges had come here, so two threads can build one map.
    ///
    /// # Errors
    /// As for [`MapBuilder::push`].
    pub fn absorb(&mut self, family: Family, mut other: MapBuilder) -> Result<(), MapError> {
        for lane in &mut self.lanes {
            match lane.next {
                Some(0) if lane.family == family => {}
                _ if lane.family == family => return Err(MapError::OutOfOrder { family, first: 0 }),
                _ => lane.complete(&mut self.classifier, &mut self.out)?,
            }
        }
        let Some(mut lane) = other.lanes.into_iter().nth(family.index()) else { return Ok(()) };
        lane.complete(&mut other.classifier, &mut other.out)?;
        let mut classes = self.classifier.absorb(other.classifier)?;
        if let (Some(kept), Some(of_other)) = (&mut self.out.kept, other.out.kept) {
            let here = |old: &ClassId| classes.get(old.index()).copied().unwrap_or(UNKNOWN);
            classes = of_other.into_old().iter().map(|old| kept.number(here(old))).collect();
        }
        self.out.trie.absorb(family, other.out.trie, &classes)?;
        if let Some(own) = self.lanes.get_mut(family.index()) {
            *own = lane;
        }
        Ok(())
    }

    /// The map.
    pub fn finish(mut self) -> Result<LocationMap, MapError> {
        for lane in &mut self.lanes {
            lane.complete(&mut self.classifier, &mut self.out)?;
        }
        let (spec, classes) = self.classifier.finish(self.out.kept.map(Kept::into_old));
        let trie = self.out.trie.finish().ok_or(MapError::TooLarge)?;
        Ok(LocationMap { spec, classes, trie, firsts: Arc::default() })
    }
}

impl Lane {
    fn new(family: Family, segments: Vec<Segment>, floor: ScopeFloor) -> Lane {
        let floor = Floor::new(family, floor.length(family));
        Lane { family, segments, segment: 0, next: Some(0), pending: None, floor, coarse: None }
    }

    /// Classifies everything up to `last`, segment by segment.
    fn fill(
        &mut self,
        last: u128,
        stretch: Stretch,
        classifier: &mut Classifier,
        out: &mut Out,
        tell: Tell<'_>,
    ) -> Result<(), MapError> {
        while let Some(first) = self.next.filter(|&next| next <= last) {
            let Some(segment) = self.segments.get(self.segment).copied() else { return Ok(()) };
            let end = segment.last.min(last);
            let class = classifier.class(stretch, segment.context, tell)?;
            match &mut self.pending {
                Some((_, until, of)) if *of == class => *until = end,
                _ => {
                    self.flush(out)?;
                    self.pending = Some((first, end, class));
                }
            }
            self.next = end.checked_add(1);
            if end == segment.last {
                self.segment += 1;
            }
        }
        Ok(())
    }

    /// Hands the pending run on to the floor, and what the floor leaves of it to the trie.
    fn flush(&mut self, out: &mut Out) -> Result<(), MapError> {
        let Some(run) = self.pending.take() else { return Ok(()) };
        let (family, coarse) = (self.family, &mut self.coarse);
        self.floor.add(run, &mut |(first, last, class)| match coarse {
            Some((_, until, of)) if *of == class => {
                *until = last;
                Ok(())
            }
            _ => match coarse.replace((first, last, class)) {
                Some(before) => out.add(family, before),
                None => Ok(()),
            },
        })
    }

    /// Fills what has not come, and hands on all. What is complete already stays so.
    fn complete(&mut self, classifier: &mut Classifier, out: &mut Out) -> Result<(), MapError> {
        if self.next.is_some() {
            self.fill(u128::MAX, NOTHING, classifier, out, &mut nothing)?;
        }
        self.finish(out)
    }

    /// Hands on whatever is pending: the family is complete.
    fn finish(&mut self, out: &mut Out) -> Result<(), MapError> {
        self.flush(out)?;
        match self.coarse.take() {
            Some(run) => out.add(self.family, run),
            None => Ok(()),
        }
    }
}

impl Out {
    fn add(&mut self, family: Family, (first, last, class): Run) -> Result<(), MapError> {
        let class = self.kept.as_mut().map_or(class, |kept| kept.number(class));
        self.trie.add(family, first, last, class)
    }
}
