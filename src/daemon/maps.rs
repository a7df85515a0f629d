//! Location maps kept over a restart: found by what they were made from, written when a view is in force.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{Context, SHA256};

use crate::geo::{LocationMap, MapSpec};
use crate::load::Digest;
use crate::state::{Cache, Cached, Key};

/// Goes up whenever the same files and the same question give another map: with every change of how records are read,
/// or of what classes mean. `a_map_means_what_its_number_says` reminds of it.
const MEANING: u32 = 2;

/// A map with what must be shown where its results are shown.
pub(super) struct Kept {
    pub(super) map: Arc<LocationMap>,
    pub(super) attributions: Vec<Box<str>>,
}

/// Maps to be written, once nobody waits for them.
#[derive(Default)]
pub struct Unkept {
    cache: Option<Cache>,
    maps: Vec<(Key, Kept)>,
    /// Those that are in use and not to be written.
    in_use: Vec<Key>,
}

/// The key of a map: what it is made from, and the question that it answers.
pub(super) fn key(sources: &Digest, spec: &MapSpec) -> Key {
    let mut hasher = Sha(Context::new(&SHA256));
    hasher.write(env!("CARGO_PKG_VERSION").as_bytes());
    hasher.write(&MEANING.to_le_bytes());
    hasher.write(sources);
    spec.hash(&mut hasher);
    // SHA-256 has 32 octets.
    Key(hasher.0.finish().as_ref().try_into().unwrap_or_default())
}

/// Feeds what is hashed to SHA-256. Another compiler may feed it otherwise: then maps are made anew.
struct Sha(Context);

impl Hasher for Sha {
    fn write(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// The map of a key. What cannot be used is told in one line, and made anew.
pub(super) fn find(cache: &Cache, key: &Key, spec: &MapSpec) -> Option<Kept> {
    let begun = Instant::now();
    let unusable = |why: &str| {
        let file = cache.file(key);
        tracing::warn!(file = %file.display(), "the cached location map cannot be used and is made anew: {why}");
        None
    };
    match cache.read(key, |payload| decode(payload).filter(|kept| kept.map.spec() == spec)) {
        Cached::Nothing => None,
        Cached::Unusable(why) => unusable(&why),
        Cached::Payload(kept) => {
            let (file, ms) = (cache.file(key), begun.elapsed().as_millis() as u64);
            tracing::info!(file = %file.display(), ms, "location map taken from the cache");
            Some(kept)
        }
    }
}

impl Unkept {
    /// For a cache; `None`: nothing is written.
    pub(super) fn new(cache: Option<Cache>) -> Unkept {
        Unkept { cache, ..Unkept::default() }
    }

    /// A map is in use that need not be written: it came from the cache, or from the configuration before.
    pub(super) fn in_use(&mut self, key: Key) {
        self.in_use.push(key);
    }

    /// A map was made.
    pub(super) fn made(&mut self, key: Key, kept: Kept) {
        self.maps.push((key, kept));
    }

    /// Writes what is to be written on a thread of its own, with little claim to a processor, and removes what is too
    /// much. Nothing depends on it.
    pub fn keep_beside(self) {
        if self.cache.is_none() || (self.maps.is_empty() && self.in_use.is_empty()) {
            return;
        }
        let started = std::thread::Builder::new().name("map cache".to_owned()).spawn(move || {
            crate::server::give_way();
            self.keep();
        });
        if let Err(error) = started {
            tracing::warn!(%error, "the location map is not cached");
        }
    }

    fn keep(mut self) {
        let Some(cache) = &self.cache else { return };
        self.in_use.iter().for_each(|key| cache.used(key));
        for (key, kept) in &self.maps {
            let payload = encode(kept);
            match cache.write(key, &payload) {
                Ok(file) => {
                    tracing::info!(file = %file.display(), octets = payload.len(), "location map cached");
                    self.in_use.push(*key);
                }
                Err(error) => {
                    let file: PathBuf = cache.file(key);
                    tracing::warn!(file = %file.display(), %error, "the location map is not cached: the next start makes it anew");
                }
            }
        }
        cache.prune(&self.in_use);
    }
}

/// The cache of a state folder.
pub(super) fn cache(state: Option<&Path>, is_on: bool) -> Option<Cache> {
    state.filter(|_| is_on).map(Cache::within)
}

/// The count of attributions (u32), each with its length (u32) before it, then the map's flat form.
fn encode(kept: &Kept) -> Vec<u8> {
    let map = kept.map.to_bytes();
    let texts: usize = kept.attributions.iter().map(|text| text.len() + 4).sum();
    let mut payload = Vec::with_capacity(4 + texts + map.len());
    payload.extend((kept.attributions.len() as u32).to_le_bytes());
    for text in &kept.attributions {
        payload.extend((text.len() as u32).to_le_bytes());
        payload.extend(text.bytes());
    }
    payload.extend(map);
    payload
}

fn decode(payload: &[u8]) -> Option<Kept> {
    let mut rest = payload;
    let number = |rest: &mut &[u8]| {
        let (number, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(u32::from_le_bytes(*number) as usize)
    };
    let count = number(&mut rest)?;
    let mut attributions = Vec::new();
    for _ in 0..count {
        let length = number(&mut rest)?;
        let (text, after) = rest.split_at_checked(length)?;
        attributions.push(std::str::from_utf8(text).ok()?.into());
        rest = after;
    }
    Some(Kept { map: Arc::new(LocationMap::from_bytes(rest).ok()?), attributions })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;
    use crate::compile::locations::{Atlas, Database, LocationError, Overrides, Streamed};
    use crate::compile::{Given, Locations};
    use crate::geo::{ClassOf, ClientPrefix, Coordinates, Lens, MapBuilder, ScopeFloor};
    use crate::ids::Family;
    use crate::load;

    const CITY: &[u8] = include_bytes!("../../tests/data/mmdb/nested-city.mmdb");

    fn spec(latitude: f64) -> MapSpec {
        let places = [(latitude, 2.4), (51.5, -0.1), (35.7, 139.7)];
        let regions = places.into_iter().map(|(north, east)| Coordinates::new(north, east)).collect();
        let lenses = [Lens::Order { bias: [].into(), tie_permille: 0 }, Lens::Cell].into();
        MapSpec { regions, lenses, floor: ScopeFloor::NONE }
    }

    fn kept() -> Kept {
        let atlas = Atlas::new(
            vec![Database::open(CITY.to_vec(), "city").unwrap()],
            Vec::new(),
            Overrides::default(),
        );
        let mut builder = MapBuilder::new(spec(48.9));
        let mut visit = |said: Streamed<'_>| {
            let mut tell = || Ok((said.location)().unwrap());
            let (first, last) = (said.first, said.last);
            builder.push_told(Family::V4, first, last, said.number, said.is_override, &mut tell).unwrap();
            Ok::<(), LocationError>(())
        };
        atlas.stream(Family::V4, &mut |_| {}, &mut visit).unwrap();
        let attributions = Given { atlas: &atlas, maps: &[] }.attributions();
        Kept { map: Arc::new(builder.finish().unwrap()), attributions }
    }

    #[test]
    fn a_map_comes_back_as_it_went_and_only_for_its_question() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::within(folder.path());
        let own = key(&[1; 32], &spec(48.9));
        assert!(find(&cache, &own, &spec(48.9)).is_none());
        let mut unkept = Unkept::new(Some(cache.clone()));
        unkept.made(own, kept());
        unkept.keep();
        let found = find(&cache, &own, &spec(48.9)).unwrap();
        assert_eq!((found.map, found.attributions), (kept().map, kept().attributions));
        // The key of one question, and the map of another.
        assert!(find(&cache, &own, &spec(48.8)).is_none());
        let keys = [own, key(&[2; 32], &spec(48.9)), key(&[1; 32], &spec(48.8))];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    }

    #[test]
    fn a_payload_that_is_none_is_made_anew() {
        let whole = encode(&kept());
        assert!(decode(&whole).is_some());
        for length in (0..60).chain([whole.len() - 1]) {
            assert!(decode(&whole[..length]).is_none(), "{length}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x81;
            // Whatever comes of it is no panic. What the checksum before it lets through was written so.
            let _ = decode(&bent);
        }
    }

    /// When this fails, what maps mean has changed: raise `MEANING`, and write down what it is now.
    #[test]
    fn a_map_means_what_its_number_says() {
        let map = kept().map;
        let order = |client: &str| {
            let client = ClientPrefix::host(client.parse().unwrap());
            let ClassOf::Class(class) = map.class_of(client) else { return vec![] };
            map.place(class).order(0).iter().map(|region| region.0).collect::<Vec<u16>>()
        };
        let octets: String = load::digest_of_octets(&map.to_bytes())
            .iter()
            .take(8)
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!((MEANING, &*octets), (2, "05a2c5c770577515"));
        assert_eq!(order("81.2.69.160"), [1, 0, 2]);
        assert_eq!(order("81.2.70.1"), [0, 1, 2]);
        assert!(order("8.8.8.8").is_empty());
    }
}
