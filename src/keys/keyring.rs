//! The keys of one zone with their private halves, and what is kept of them on disk.
//!
//! What changes is written before it takes effect: a process that is killed at any moment finds, when it
//! starts again, at most something that was never published.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::bind::{self, KeyTimes};
use super::folder::{self, Folder, Hold, PRIVATE_MODE, PUBLIC_MODE};
use super::kept::{Kept, Serial};
use super::pair::KeyPair;
use super::problem::KeyProblem;
use crate::dnssec::ring::{KeptRing, KeyId, KeyReport, Plan, Refusal, Ring, Role, Scheme, Times};
use crate::dnssec::{Algorithm, KeyRecords, KeyUse, Signer, ZoneKey};
use crate::now::Now;
use crate::state::{decode, encode, rfc3339};
use crate::wire::Name;

/// What was waited for is written again after so long: a process that is killed waits at most so much longer.
const SAVE_INTERVAL: Duration = Duration::from_secs(600);
/// Two keys of one tag are rare (1 in 65,536); so many in a row are a broken generator.
const GENERATE_TRIES_MAX: usize = 16;

/// What a keyring goes by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The zone, in lower case without the final dot; `.` for the root.
    pub origin: String,
    /// Where its keys are.
    pub folder: PathBuf,
    /// The algorithm of new keys, and of all others.
    pub algorithm: Algorithm,
    /// Which keys there should be.
    pub scheme: Scheme,
    /// The age at which a ZSK is replaced.
    pub zsk_lifetime: Option<Duration>,
    /// What is published for the parent.
    pub announcement: Announce,
    /// Who looks after them.
    pub care: Care,
}

/// What CDS and CDNSKEY say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Announce {
    /// Which DS the parent should have.
    Wanted,
    /// Nothing.
    Nothing,
    /// That the parent should have none (RFC 8078 section 4).
    Removal,
}

/// Who looks after the keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Care {
    /// This process: it holds them against others.
    Ours,
    /// Another node: the folder is a copy, and is not written to.
    Others,
    /// Nobody: they are looked at.
    None,
}

/// The keys of one zone.
pub struct Keyring {
    settings: Settings,
    folder: Folder,
    ring: Ring,
    pairs: BTreeMap<KeyId, Held>,
    serial: Option<Serial>,
    /// When the state was written last, by the monotonic clock.
    saved: Duration,
    /// What was written then of what caches go by.
    saved_times: Option<Times>,
    /// Goes up whenever another ring was read: versions of rings do not compare.
    read: u64,
    _hold: Option<Hold>,
}

#[derive(Clone)]
struct Held {
    public: Vec<u8>,
    /// `None` where keys are only looked at.
    pair: Option<Arc<KeyPair>>,
}

/// What should be in the zone; equal where nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingVersion {
    read: u64,
    version: u64,
}

impl Keyring {
    /// Opens what there is. A zone without keys and without state has an empty ring.
    ///
    /// # Errors
    /// When the state is damaged, when it or a private key that it names is missing, or open to others, or
    /// when another process holds it. New keys never take the place of what cannot be read.
    pub fn open(settings: Settings, now: Now) -> Result<Keyring, KeyProblem> {
        let mut keyring = Keyring::held(settings, now)?;
        keyring.load()?;
        Ok(keyring)
    }

    /// A keyring that takes in keys from elsewhere.
    ///
    /// # Errors
    /// When the zone has a state already, or when another process holds it.
    pub fn vacant(settings: Settings, now: Now) -> Result<Keyring, KeyProblem> {
        let keyring = Keyring::held(settings, now)?;
        let path = keyring.state_file();
        match exists(&path)? {
            true => Err(KeyProblem::new(
                &path,
                "the zone has keys already",
                "move this file and its keys away first",
            )),
            false => Ok(keyring),
        }
    }

    /// Held against others, nothing read.
    fn held(settings: Settings, now: Now) -> Result<Keyring, KeyProblem> {
        let folder = Folder::at(&settings.folder);
        let hold = match settings.care {
            Care::Ours => Some(folder.hold(&format!("{}.lock", stem(&settings.origin)))?),
            Care::Others | Care::None => None,
        };
        let (ring, pairs) = (Ring::empty(), BTreeMap::new());
        let saved = now.monotonic;
        Ok(Keyring {
            settings,
            folder,
            ring,
            pairs,
            serial: None,
            saved,
            saved_times: None,
            read: 0,
            _hold: hold,
        })
    }

    /// The file with the state.
    pub fn state_file(&self) -> PathBuf {
        self.folder.file(&format!("{}.ring", stem(&self.settings.origin)))
    }

    /// What it goes by.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Goes by other settings from now on; the zone and its folder stay.
    ///
    /// # Errors
    /// When they do not fit the keys; nothing has changed then.
    pub fn resettle(&mut self, settings: Settings) -> Result<(), KeyProblem> {
        self.fits(&settings)?;
        self.settings = settings;
        Ok(())
    }

    /// Whether there are no keys yet.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Which version of the ring the next signatures would be made from.
    pub fn version(&self) -> RingVersion {
        RingVersion { read: self.read, version: self.ring.version() }
    }

    /// Zones made from a version are in force.
    pub fn in_force(&mut self, version: RingVersion, now: Now) {
        if version.read == self.read {
            self.ring.in_force(version.version, now);
        }
    }

    /// The keys as `Signed::build` wants them.
    ///
    /// # Errors
    /// When a private half is not there: the keyring was opened to be looked at.
    pub fn zone_keys(&self) -> Result<Vec<ZoneKey>, KeyProblem> {
        let keys = self.ring.uses().map(|(id, role, key_use)| {
            let held = self.pairs.get(&id);
            let pair = held.and_then(|held| held.pair.clone()).ok_or_else(|| self.missing(id))?;
            let signer: Arc<dyn Signer> = pair.clone();
            Ok(ZoneKey::new(id.algorithm, &pair.public(), role.sep(), key_use, signer))
        });
        keys.collect()
    }

    /// CDS and CDNSKEY of the zone.
    pub fn key_records(&self, owner: &Name) -> KeyRecords {
        match self.settings.announcement {
            Announce::Nothing => KeyRecords::default(),
            // RFC 8078 section 4.
            Announce::Removal => {
                KeyRecords { cds: vec![vec![0, 0, 0, 0, 0]], cdnskey: vec![vec![0, 0, 3, 0, 0]] }
            }
            Announce::Wanted => self.ring.announced().map_or_else(KeyRecords::default, |id| {
                let key = self.public_key(id);
                key.map_or_else(KeyRecords::default, |key| KeyRecords {
                    cds: vec![key.ds(owner)],
                    cdnskey: vec![key.dnskey().to_vec()],
                })
            }),
        }
    }

    /// The key whose DS the parent should have; where it is too early to say, the one that will be.
    pub fn for_parent(&self) -> Option<(ZoneKey, TooEarly)> {
        if let Some(id) = self.ring.announced() {
            return Some((self.public_key(id)?, TooEarly::No));
        }
        let next = self.ring.uses().find(|(_, role, _)| role.sep());
        next.and_then(|(id, ..)| Some((self.public_key(id)?, TooEarly::Yes)))
    }

    /// What is known of each key.
    pub fn report(&self, times: Times, now: Now) -> Vec<KeyReport> {
        self.ring.report(&self.plan(times), now)
    }

    /// Lets time pass, makes the keys that are wanted, and keeps what has changed.
    ///
    /// # Errors
    /// When a key or the state cannot be written: everything stays as it was.
    pub fn poll(&mut self, times: Times, now: Now) -> Result<(), KeyProblem> {
        if self.settings.care != Care::Ours {
            return Ok(());
        }
        let plan = self.plan(times);
        let mut next = self.ring.clone();
        let mut pairs = self.pairs.clone();
        let mut changed = next.poll(&plan, now);
        for role in next.wanted(&plan, now) {
            self.generate(&mut next, &mut pairs, role, now)?;
            changed = true;
        }
        let overdue = next.counts_time() && now.monotonic >= self.saved.saturating_add(SAVE_INTERVAL);
        // What caches go by must not be forgotten by a restart that lowers TTLs.
        let kept = next.keep(now);
        if !changed && !overdue && (kept.keys.is_empty() || kept.times == self.saved_times) {
            // What was remembered of times and clocks concerns this process alone.
            self.ring = next;
            return Ok(());
        }
        self.commit(next, pairs, now)
    }

    /// Begins a roll-over.
    ///
    /// # Errors
    /// When the ring refuses, or a key cannot be written.
    pub fn roll(&mut self, role: Role, now: Now) -> Result<KeyId, NotDone> {
        let plan = self.plan(NO_TIMES);
        self.ring.may_roll(role, &plan).map_err(NotDone::Refused)?;
        let (mut next, mut pairs) = (self.ring.clone(), self.pairs.clone());
        let id = self.generate(&mut next, &mut pairs, role, now).map_err(NotDone::Problem)?;
        self.commit(next, pairs, now).map_err(NotDone::Problem)?;
        Ok(id)
    }

    /// The operator says that the parent has the announced DS.
    ///
    /// # Errors
    /// When none was announced, or the state cannot be written.
    pub fn ds_seen(&mut self, now: Now) -> Result<KeyId, NotDone> {
        let mut next = self.ring.clone();
        let id = next.ds_seen(now).map_err(NotDone::Refused)?;
        self.commit(next, self.pairs.clone(), now).map_err(NotDone::Problem)?;
        Ok(id)
    }

    /// Makes the keys of a zone that has none.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn found(&mut self, now: Now) -> Result<(), KeyProblem> {
        let (mut next, mut pairs) = (self.ring.clone(), self.pairs.clone());
        for role in self.settings.scheme.roles() {
            self.generate(&mut next, &mut pairs, *role, now)?;
        }
        self.commit(next, pairs, now)
    }

    /// Takes in keys that were made elsewhere, into an empty ring.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn adopt(
        &mut self,
        adopted: Vec<(KeyPair, KeyTimes)>,
        kept: &KeptRing,
        now: Now,
    ) -> Result<(), KeyProblem> {
        let mut pairs = BTreeMap::new();
        for ((pair, times), key) in adopted.into_iter().zip(&kept.keys) {
            self.write_key(&pair, key.id, key.role, &times)?;
            pairs.insert(key.id, Held { public: pair.public(), pair: Some(Arc::new(pair)) });
        }
        self.commit(Ring::restore(kept), pairs, now)
    }

    /// The serial that the zone was served with last.
    pub fn serial(&self) -> Option<u32> {
        self.serial.map(|serial| serial.served)
    }

    /// The serial for content that differs from what was served last, given that of the zone's file. It is kept
    /// before it is served.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn raise_serial(&mut self, file: u32, now: Now) -> Result<u32, KeyProblem> {
        let served = next_serial(self.serial(), file);
        let before = self.serial.replace(Serial { served });
        if self.settings.care == Care::Ours
            && let Err(problem) = self.save(&self.ring.keep(now), now)
        {
            self.serial = before;
            return Err(problem);
        }
        Ok(served)
    }

    /// Reads a ring that another node looks after once more. What cannot be read changes nothing.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn follow(&mut self) -> Result<(), KeyProblem> {
        if self.settings.care == Care::Others { self.load() } else { Ok(()) }
    }

    /// Whether the files are as they should be: what is in memory goes on without them, and a restart does not.
    ///
    /// # Errors
    /// When one is missing, damaged, or open to others.
    pub fn check_files(&self) -> Result<(), KeyProblem> {
        let (_, kept) = self.read_state()?.ok_or_else(|| self.no_state())?;
        kept.keys.iter().try_for_each(|key| self.read_key(key.id).map(|_| ()))
    }

    fn plan(&self, times: Times) -> Plan {
        Plan { scheme: self.settings.scheme, zsk_lifetime: self.settings.zsk_lifetime, times }
    }

    /// The key without its private half.
    fn public_key(&self, id: KeyId) -> Option<ZoneKey> {
        let role = self.ring.uses().find(|(own, ..)| *own == id).map(|(_, role, _)| role)?;
        let public = &self.pairs.get(&id)?.public;
        Some(ZoneKey::new(id.algorithm, public, role.sep(), KeyUse::Published, Arc::new(NoSigner)))
    }

    /// Reads state and keys; where that fails nothing has changed.
    fn load(&mut self) -> Result<(), KeyProblem> {
        let Some((kept, ring)) = self.read_state()? else {
            return match self.stray_keys()? {
                _ if !self.pairs.is_empty() => Err(self.no_state()),
                stray if stray.is_empty() => Ok(()),
                _ if self.settings.care == Care::None => Ok(()),
                stray => Err(KeyProblem::new(
                    &self.state_file(),
                    format!(
                        "there are keys of the zone ({}), and not this file, which says what each is for",
                        stray.join(", ")
                    ),
                    format!(
                        "put it back from a backup, or take the keys in as they are: meridian keys import {} {}",
                        self.settings.origin,
                        self.folder.path().display()
                    ),
                )),
            };
        };
        let mut pairs = BTreeMap::new();
        for key in &ring.keys {
            // Only keys of that very state are good: a file may have been replaced.
            pairs.insert(key.id, self.read_key(key.id)?);
        }
        let same = self.read > 0 && Ring::restore(&ring).uses().eq(self.ring.uses());
        self.saved_times = ring.times;
        (self.pairs, self.serial) = (pairs, kept.serial.or(self.serial));
        if !same {
            self.ring = Ring::restore(&ring);
            self.read += 1;
        }
        self.fits(&self.settings)
    }

    /// Whether settings fit the keys that there are.
    ///
    /// # Errors
    /// When they are of another algorithm.
    pub fn fits(&self, settings: &Settings) -> Result<(), KeyProblem> {
        let other = self.ring.uses().find(|(id, ..)| id.algorithm != settings.algorithm);
        let Some((id, ..)) = other else { return Ok(()) };
        let word = id.algorithm.mnemonic().to_ascii_lowercase();
        Err(KeyProblem::new(
            &self.state_file(),
            format!(
                "the zone's keys are of {}, and its [dnssec] wants another algorithm",
                id.algorithm.mnemonic()
            ),
            format!("write algorithm = \"{word}\"; docs/dnssec.md says how an algorithm is changed"),
        ))
    }

    fn read_state(&self) -> Result<Option<(Kept, KeptRing)>, KeyProblem> {
        let path = self.state_file();
        if !exists(&path)? {
            return Ok(None);
        }
        let mend = "put it back from a backup; the server makes no new keys in its place";
        let damaged =
            |why: String| KeyProblem::new(&path, format!("the state of the keys is damaged: {why}"), mend);
        let kept: Kept = decode(&folder::read(&path)?).map_err(|damage| damaged(damage.to_string()))?;
        if kept.origin != self.settings.origin {
            return Err(damaged(format!("it is of the zone {}", kept.origin)));
        }
        let ring = kept.ring().map_err(damaged)?;
        Ok(Some((kept, ring)))
    }

    fn read_key(&self, id: KeyId) -> Result<Held, KeyProblem> {
        let stem = bind::file_stem(&self.settings.origin, id.algorithm, id.tag);
        let (private, public) =
            (self.folder.file(&format!("{stem}.private")), self.folder.file(&format!("{stem}.key")));
        if self.settings.care == Care::None {
            let file = bind::read_public(&folder::read_text(&public)?)
                .map_err(|why| KeyProblem::new(&public, why, "put it back from a backup"))?;
            return Ok(Held { public: file.public, pair: None });
        }
        let (pair, _) = bind::read_private(&folder::read_secret(&private)?)
            .map_err(|why| KeyProblem::new(&private, why, "put it back from a backup"))?;
        let own =
            |sep| ZoneKey::new(id.algorithm, &pair.public(), sep, KeyUse::Published, Arc::new(NoSigner));
        if pair.algorithm() != id.algorithm || ![true, false].map(|sep| own(sep).tag()).contains(&id.tag) {
            let why = "the private key in it is not the one that its name says";
            return Err(KeyProblem::new(&private, why, "put it back from a backup"));
        }
        Ok(Held { public: pair.public(), pair: Some(Arc::new(pair)) })
    }

    /// Key files of the zone that no state speaks of, deleted ones left out.
    fn stray_keys(&self) -> Result<Vec<String>, KeyProblem> {
        let origin = self.settings.origin.trim_end_matches('.').to_ascii_lowercase();
        let prefix = format!("K{origin}.+");
        let names = self.folder.names()?.into_iter();
        let own = names.filter(|name| name.starts_with(&prefix) && name.ends_with(".private"));
        let deleted = |name: &String| {
            let text = folder::read_text(&self.folder.file(name)).unwrap_or_default();
            bind::read_private(&text).is_ok_and(|(_, times)| times.delete.is_some())
        };
        Ok(own.filter(|name| !deleted(name)).collect())
    }

    fn missing(&self, id: KeyId) -> KeyProblem {
        let stem = bind::file_stem(&self.settings.origin, id.algorithm, id.tag);
        let file = self.folder.file(&format!("{stem}.private"));
        KeyProblem::new(&file, "this private key was not read", "put it back from a backup")
    }

    fn no_state(&self) -> KeyProblem {
        let mend = "put it back from a backup; a restart without it is refused";
        KeyProblem::new(&self.state_file(), "the state of the keys is gone", mend)
    }

    fn generate(
        &self,
        ring: &mut Ring,
        pairs: &mut BTreeMap<KeyId, Held>,
        role: Role,
        now: Now,
    ) -> Result<KeyId, KeyProblem> {
        let algorithm = self.settings.algorithm;
        let broken = |why: &str| {
            KeyProblem::new(self.folder.path(), format!("no key can be made: {why}"), "try again")
        };
        for _ in 0..GENERATE_TRIES_MAX {
            let pair =
                KeyPair::generate(algorithm).map_err(|_| broken("the system gives no random octets"))?;
            let key =
                ZoneKey::new(algorithm, &pair.public(), role.sep(), KeyUse::Published, Arc::new(NoSigner));
            let id = KeyId { algorithm, tag: key.tag() };
            let stem = bind::file_stem(&self.settings.origin, algorithm, id.tag);
            // Files of keys that are long gone stay, and are not written over.
            if exists(&self.folder.file(&format!("{stem}.private")))? {
                continue;
            }
            match ring.add(id, role, now) {
                Ok(()) => {}
                Err(Refusal::SameTag(_)) => continue,
                Err(refusal) => return Err(broken(&refusal.to_string())),
            }
            let signs = ring.uses().any(|(own, _, key_use)| own == id && key_use != KeyUse::Published);
            let at = Some(now.wall);
            let times =
                KeyTimes { created: at, publish: at, activate: at.filter(|_| signs), ..KeyTimes::default() };
            self.write_key(&pair, id, role, &times)?;
            pairs.insert(id, Held { public: pair.public(), pair: Some(Arc::new(pair)) });
            return Ok(id);
        }
        Err(broken("all have tags that are taken"))
    }

    /// The private half first: a public one alone is no key.
    fn write_key(&self, pair: &KeyPair, id: KeyId, role: Role, times: &KeyTimes) -> Result<(), KeyProblem> {
        let stem = bind::file_stem(&self.settings.origin, id.algorithm, id.tag);
        let private = bind::private_text(pair, times).map_err(|_| self.missing(id))?;
        self.folder.write(&format!("{stem}.private"), private.as_bytes(), PRIVATE_MODE)?;
        let public = bind::public_text(&self.settings.origin, role.sep(), pair, id.tag, times);
        self.folder.write(&format!("{stem}.key"), public.as_bytes(), PUBLIC_MODE)
    }

    /// Writes a ring, and only then goes by it.
    fn commit(&mut self, next: Ring, mut pairs: BTreeMap<KeyId, Held>, now: Now) -> Result<(), KeyProblem> {
        self.save(&next.keep(now), now)?;
        let before = std::mem::replace(&mut self.ring, next);
        self.date_files(&before, &pairs, now);
        let there: Vec<KeyId> = self.ring.uses().map(|(id, ..)| id).collect();
        pairs.retain(|id, _| there.contains(id));
        self.pairs = pairs;
        self.read = self.read.max(1);
        Ok(())
    }

    fn save(&mut self, ring: &KeptRing, now: Now) -> Result<(), KeyProblem> {
        let path = self.state_file();
        let kept = Kept::new(&self.settings.origin, rfc3339(now.wall), ring, self.serial);
        let octets = encode(&kept).map_err(|error| KeyProblem::system(&path, &error))?;
        self.folder.write(&format!("{}.ring", stem(&self.settings.origin)), &octets, PRIVATE_MODE)?;
        (self.saved, self.saved_times) = (now.monotonic, ring.times);
        Ok(())
    }

    /// Writes into the files of keys what has become of them, as BIND's tools do. The state alone is what the
    /// server goes by: a file that cannot be written is a warning.
    fn date_files(&self, before: &Ring, pairs: &BTreeMap<KeyId, Held>, now: Now) {
        for (id, role, was) in before.uses() {
            let is = self.ring.uses().find(|(own, ..)| *own == id).map(|(_, _, key_use)| key_use);
            if is == Some(was) {
                continue;
            }
            let Some(pair) = pairs.get(&id).and_then(|held| held.pair.as_ref()) else { continue };
            let stem = bind::file_stem(&self.settings.origin, id.algorithm, id.tag);
            let file = self.folder.file(&format!("{stem}.private"));
            let read = folder::read_text(&file).ok().and_then(|text| bind::read_private(&text).ok());
            let mut times = read.map_or_else(KeyTimes::default, |(_, times)| times);
            match is {
                None => times.delete = Some(now.wall),
                Some(KeyUse::Published) => times.inactive = Some(now.wall),
                Some(_) => _ = times.activate.get_or_insert(now.wall),
            }
            if let Err(problem) = self.write_key(pair, id, role, &times) {
                tracing::warn!(%problem, "the times in a key file are not up to date");
            }
        }
    }
}

/// Whether a DS can already be given to the parent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TooEarly {
    /// It should be there.
    No,
    /// Caches may hold the zone without signatures, or without this key.
    Yes,
}

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotDone {
    /// The ring does not do that now.
    Refused(Refusal),
    /// A file is in the way.
    Problem(KeyProblem),
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotDone::Refused(refusal) => write!(f, "{refusal}"),
            NotDone::Problem(problem) => write!(f, "{problem}"),
        }
    }
}

/// Where no time is waited for.
const NO_TIMES: Times = Times {
    dnskey_ttl: Duration::ZERO,
    zone_ttl_max: Duration::ZERO,
    propagation: Duration::ZERO,
    parent_ds: Duration::ZERO,
};

/// Signs nothing: of a key that is only looked at.
struct NoSigner;

impl Signer for NoSigner {
    fn sign(&self, _: &[u8]) -> Result<crate::dnssec::Signature, crate::dnssec::SigningFailed> {
        Err(crate::dnssec::SigningFailed)
    }
}

/// What the files of a zone are called; no zone has an `@` in its name.
fn stem(origin: &str) -> String {
    if origin == "." { "@".to_owned() } else { origin.to_ascii_lowercase() }
}

fn exists(path: &Path) -> Result<bool, KeyProblem> {
    path.try_exists().map_err(|error| KeyProblem::system(path, &error))
}

/// Above what was served, by serial arithmetic (RFC 1982), and the file's own where that is above it.
fn next_serial(served: Option<u32>, file: u32) -> u32 {
    let least = served.unwrap_or(file).wrapping_add(1);
    let ahead = (file.wrapping_sub(least) as i32) > 0;
    if ahead { file } else { least }
}

#[cfg(test)]
mod tests;
