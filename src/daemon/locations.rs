//! The location files of a configuration: opened when a map has to be made from them, and for the row of one client.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::maps::{self, Unkept};
use crate::compile::locations::{Atlas, Database, Overrides};
use crate::compile::{Both, Locations};
use crate::config::{FileId, Geoip, Problems, Severity, SourceFile, Sources, Span};
use crate::geo::{ClientPrefix, LocationMap, MapSpec, Row};
use crate::limit::Limiter;
use crate::load::{self, Digest};
use crate::state::{Cache, Key};
use crate::view::Snapshot;

/// The location files of a configuration. They are not kept in memory once the maps are made; who asks
/// for one row has them opened again.
pub struct LocationFiles {
    files: Files,
    /// As they were when the maps were made.
    seen: Seen,
    /// What was in them.
    digest: Option<Digest>,
    /// What must be shown with what they say.
    attributions: Vec<Box<str>>,
    /// One at a time: a database may take a gigabyte.
    asked: Mutex<()>,
}

/// Maps made earlier, and what from; the zones of that snapshot; and what else goes on over a reload.
#[derive(Clone, Default)]
pub struct EarlierMaps {
    /// What they were made from.
    pub(super) files: Option<Arc<LocationFiles>>,
    /// The maps.
    pub(super) maps: Vec<Arc<LocationMap>>,
    /// What sources have had of late.
    pub(super) limiter: Option<Arc<Limiter>>,
    /// What has the zones.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// The files as a configuration names them.
#[derive(Clone)]
struct Files {
    /// The configuration file: names are relative to it.
    config: PathBuf,
    geoip: Geoip,
}

/// What maps are made from: while these files stay as they are, maps can be taken over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Seen(Vec<(Role, PathBuf, Option<Identity>)>);

/// What a file is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Database,
    Asn,
    Overrides,
}

/// A file's state: a file that is written to, replaced or touched gets another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    device: u64,
    inode: u64,
    octets: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Likewise: nobody but the system sets it.
    changed: (i64, i64),
}

/// The location files during one reading of a configuration.
pub(super) struct Reader<'r> {
    files: Files,
    seen: Seen,
    /// Read at the beginning: problems in them are told with their lines.
    overrides: Option<Overrides>,
    overrides_digest: Option<Digest>,
    earlier: &'r EarlierMaps,
    cache: Option<Cache>,
    /// What is in the files; the outer `None`: nobody has asked yet.
    digest: Option<Option<Digest>>,
    /// Whether the digest is of the octets that maps were made from.
    is_of_octets: bool,
    unkept: Unkept,
    /// Whether a map for what is in the files was found in the cache.
    has_found: bool,
    attributions: Vec<Box<str>>,
    has_opened: bool,
    problems: Problems,
}

/// Files with their digests.
type Digested<T> = (T, Option<Digest>);

impl Identity {
    fn of(path: &Path) -> Option<Identity> {
        let about = std::fs::metadata(path).ok()?;
        Some(Identity {
            device: about.dev(),
            inode: about.ino(),
            octets: about.len(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        })
    }
}

impl Files {
    fn beside(&self, path: &Path) -> PathBuf {
        load::beside(&self.config, path)
    }

    /// Looks at the files without opening them. Call it before they are read: what changes meanwhile then counts as
    /// changed.
    fn look(&self) -> Seen {
        let Geoip { database, asn, overrides, .. } = &self.geoip;
        let databases = database.iter().map(|named| (Role::Database, named));
        let others = asn.iter().map(|named| (Role::Asn, named));
        let others = others.chain(overrides.iter().map(|named| (Role::Overrides, named)));
        let paths = databases.chain(others).map(|(role, (path, _))| (role, self.beside(path)));
        Seen(paths.map(|(role, path)| (role, path.clone(), Identity::of(&path))).collect())
    }

    fn bytes(&self, path: &Path, span: Span, problems: &mut Problems) -> Option<Vec<u8>> {
        let beside = self.beside(path);
        match load::read_bytes(&beside, load::DATABASE_OCTETS_MAX) {
            Ok(bytes) => Some(bytes),
            Err(why) => {
                let hint = "paths are relative to the configuration file";
                problems.error(span, format!("{} cannot be read: {why}", beside.display()), hint);
                None
            }
        }
    }

    /// Reads the overrides; they become one of the sources, so that problems show their own lines.
    fn overrides(&self, sources: &mut Sources, problems: &mut Problems) -> Overrides {
        let Some((path, span)) = &self.geoip.overrides else { return Overrides::default() };
        let Some(bytes) = self.bytes(path, *span, problems) else { return Overrides::default() };
        let source = SourceFile { path: self.beside(path).display().to_string(), bytes };
        let overrides = Overrides::read(FileId(sources.files.len() as u32), &source, problems);
        sources.files.push(source);
        overrides
    }

    /// Opens everything, with the digests of databases if asked. A file that cannot be used is an error at its place.
    fn atlas(
        &self,
        overrides: Overrides,
        is_digested: bool,
        problems: &mut Problems,
    ) -> (Atlas, Vec<Digest>) {
        let mut digests = Vec::new();
        let mut open = |(path, span): &(PathBuf, Span)| {
            let (database, digest) = self.database(path, *span, is_digested, problems)?;
            digests.extend(digest);
            Some(database)
        };
        let databases = self.geoip.database.iter().filter_map(&mut open).collect();
        let asn = self.geoip.asn.iter().filter_map(&mut open).collect();
        (Atlas::new(databases, asn, overrides), digests)
    }

    fn database(
        &self,
        path: &Path,
        span: Span,
        is_digested: bool,
        problems: &mut Problems,
    ) -> Option<Digested<Database>> {
        let bytes = self.bytes(path, span, problems)?;
        let digest = is_digested.then(|| load::digest_of_octets(&bytes));
        match Database::open(bytes, &path.display().to_string()) {
            Ok(database) => Some((database, digest)),
            Err(error) => {
                problems.error(span, format!("{} {}", error.file, error.problem), error.mend);
                None
            }
        }
    }

    /// The digests of the databases as they lie there; `None`: one cannot be read, which opening it will tell.
    fn digests(&self) -> Option<Vec<Digest>> {
        let files = self.geoip.database.iter().chain(&self.geoip.asn);
        files.map(|(path, _)| load::digest_of_file(&self.beside(path)).ok()).collect()
    }

    /// One digest of all: which files there are in which place, and what is in them.
    fn together(&self, databases: &[Digest], overrides: Option<Digest>) -> Digest {
        let mut octets = (self.geoip.database.len() as u64).to_le_bytes().to_vec();
        octets.extend([u8::from(self.geoip.asn.is_some()), u8::from(overrides.is_some())]);
        databases.iter().chain(&overrides).for_each(|digest| octets.extend(digest));
        load::digest_of_octets(&octets)
    }
}

impl<'r> Reader<'r> {
    /// Begins to read: looks at the files and reads the overrides, which become one of the sources.
    pub(super) fn new(
        config: &Path,
        geoip: &Geoip,
        earlier: &'r EarlierMaps,
        cache: Option<Cache>,
        sources: &mut Sources,
    ) -> Reader<'r> {
        let files = Files { config: config.to_owned(), geoip: geoip.clone() };
        let seen = files.look();
        let mut problems = Problems::default();
        let before = sources.files.len();
        let overrides = Some(files.overrides(sources, &mut problems));
        let overrides_digest = sources.files.get(before).map(|file| load::digest_of_octets(&file.bytes));
        // Maps of overrides alone take no time.
        let cache = cache.filter(|_| !geoip.database.is_empty() || geoip.asn.is_some());
        let same = earlier.files.as_ref().filter(|known| known.seen == seen);
        let attributions = same.map(|known| known.attributions.clone()).unwrap_or_default();
        Reader {
            digest: same.map(|known| known.digest).filter(Option::is_some),
            unkept: Unkept::new(cache.clone()),
            files,
            seen,
            overrides,
            overrides_digest,
            earlier,
            cache,
            is_of_octets: false,
            has_found: false,
            attributions,
            has_opened: false,
            problems,
        }
    }

    /// What is wrong with the files. Those that nobody has looked into are opened for it.
    pub(super) fn problems(&mut self) -> Problems {
        if !self.has_opened && !self.has_found && !self.are_known() {
            self.open(&mut |_, _| {});
        }
        std::mem::take(&mut self.problems)
    }

    /// Whether the files are as they were when maps were made from them.
    fn are_known(&self) -> bool {
        self.earlier.files.as_ref().is_some_and(|files| files.seen == self.seen)
    }

    /// The files, to be asked again, and the maps that are to be kept.
    pub(super) fn into_files(self) -> (LocationFiles, Unkept) {
        let Reader { files, seen, digest, attributions, unkept, .. } = self;
        let digest = digest.flatten();
        (LocationFiles { files, seen, digest, attributions, asked: Mutex::new(()) }, unkept)
    }

    /// The key of a map of these files.
    fn key(&mut self, spec: &MapSpec) -> Option<Key> {
        let (files, overrides) = (&self.files, self.overrides_digest);
        let of_files = || Some(files.together(&files.digests()?, overrides));
        let digest = *self.digest.get_or_insert_with(of_files);
        digest.map(|digest| maps::key(&digest, spec))
    }
}

impl Locations for Reader<'_> {
    fn made(&mut self, spec: &MapSpec) -> Option<Arc<LocationMap>> {
        let known: &[_] = if self.are_known() { &self.earlier.maps } else { &[] };
        if let Some(map) = known.iter().find(|map| map.spec() == spec) {
            if let (Some(_), Some(Some(digest))) = (&self.cache, &self.digest) {
                self.unkept.in_use(maps::key(digest, spec));
            }
            return Some(Arc::clone(map));
        }
        // Where there is nothing to find, nobody needs to know what to look for.
        let cache = self.cache.clone().filter(|cache| !cache.is_empty())?;
        let key = self.key(spec)?;
        let found = maps::find(&cache, &key, spec)?;
        self.has_found = true;
        self.attributions = found.attributions;
        self.unkept.in_use(key);
        Some(found.map)
    }

    fn open(&mut self, walk: &mut dyn FnMut(&Atlas, Both<'_>)) -> bool {
        let before = self.problems.has_errors();
        let overrides = self.overrides.take().unwrap_or_default();
        let (atlas, digests) = self.files.atlas(overrides, self.cache.is_some(), &mut self.problems);
        self.has_opened = true;
        self.attributions = atlas.attributions().into_iter().map(Into::into).collect();
        if before || self.problems.has_errors() {
            return false;
        }
        if self.cache.is_some() {
            // Of what is in memory: a file may have been replaced since it was looked at.
            self.digest = Some(Some(self.files.together(&digests, self.overrides_digest)));
            self.is_of_octets = true;
        }
        walk(&atlas, &at_once);
        true
    }

    fn keep(&mut self, map: &Arc<LocationMap>) {
        if self.is_of_octets
            && let Some(key) = self.key(map.spec())
        {
            let (map, attributions) = (Arc::clone(map), self.attributions.clone());
            self.unkept.made(key, maps::Kept { map, attributions });
        }
    }

    fn attributions(&self) -> Vec<Box<str>> {
        self.attributions.clone()
    }
}

/// Runs both halves at once.
fn at_once(here: &mut dyn FnMut(), beside: &mut (dyn FnMut() + Send)) {
    let is_beside = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("locations".to_owned());
        let started = thread.spawn_scoped(scope, &mut *beside).is_ok();
        here();
        started
    });
    if !is_beside {
        beside();
    }
}

impl LocationFiles {
    /// What they say of a client. Reads whole files: not for a thread that others wait for.
    ///
    /// # Errors
    /// One line that says why they cannot be asked.
    pub fn row(&self, client: ClientPrefix) -> Result<Row, String> {
        let Geoip { database, asn, overrides, .. } = &self.files.geoip;
        if database.is_empty() && asn.is_none() && overrides.is_none() {
            return Err("no location file is configured".to_owned());
        }
        let _alone = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.files.look();
        let mut problems = Problems::default();
        let overrides = self.files.overrides(&mut Sources::default(), &mut problems);
        let (atlas, _) = self.files.atlas(overrides, false, &mut problems);
        if let Some(problem) = problems.0.iter().find(|problem| problem.severity == Severity::Error) {
            return Err(problem.message.clone());
        }
        if seen != self.seen {
            return Err("the location files have changed since they were read: reload".to_owned());
        }
        atlas.row(client).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that serves as something else is not what maps were made from, unchanged as it may be.
    #[test]
    fn what_a_file_is_there_for_counts() {
        let span = Span { file: FileId(0), start: 0, end: 0 };
        let [first, second] = ["a.mmdb", "b.mmdb"].map(|name| (PathBuf::from(name), span));
        let look = |database: &[_], asn: Option<_>, overrides: Option<_>| {
            let geoip = Geoip { database: database.to_vec(), asn, overrides, is_cached: true };
            Files { config: PathBuf::from("/meridian.toml"), geoip }.look()
        };
        let both = look(&[first.clone(), second.clone()], None, None);
        let asn = look(std::slice::from_ref(&first), Some(second.clone()), None);
        let overrides = look(std::slice::from_ref(&first), None, Some(second.clone()));
        assert!(both != asn && both != overrides && asn != overrides);
        assert!(both != look(&[second, first], None, None));
    }
}
