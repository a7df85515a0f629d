//! The location files of a configuration: opened when a map has to be made from them, and for the row of one client.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::compile::locations::{Atlas, Database, Overrides};
use crate::compile::{Both, Locations};
use crate::config::{FileId, Geoip, Problems, Severity, SourceFile, Sources, Span};
use crate::geo::{ClientPrefix, LocationMap, MapSpec, Row};
use crate::limit::Limiter;
use crate::load;
use crate::view::Snapshot;

/// The location files of a configuration. They are not kept in memory once the maps are made; who asks
/// for one row has them opened again.
pub struct LocationFiles {
    files: Files,
    /// As they were when the maps were made.
    seen: Seen,
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
struct Seen(Vec<(PathBuf, Option<Identity>)>);

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
    earlier: &'r EarlierMaps,
    attributions: Vec<Box<str>>,
    has_opened: bool,
    problems: Problems,
}

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
        let named = database.iter().chain(asn).chain(overrides).map(|(path, _)| self.beside(path));
        Seen(named.map(|path| (path.clone(), Identity::of(&path))).collect())
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

    /// Opens everything. A file that cannot be used is an error at its place.
    fn atlas(&self, overrides: Overrides, problems: &mut Problems) -> Atlas {
        let mut databases = Vec::new();
        for (path, span) in &self.geoip.database {
            databases.extend(self.database(path, *span, problems));
        }
        let mut asn = Vec::new();
        if let Some((path, span)) = &self.geoip.asn {
            asn.extend(self.database(path, *span, problems));
        }
        Atlas::new(databases, asn, overrides)
    }

    fn database(&self, path: &Path, span: Span, problems: &mut Problems) -> Option<Database> {
        let bytes = self.bytes(path, span, problems)?;
        match Database::open(bytes, &path.display().to_string()) {
            Ok(database) => Some(database),
            Err(error) => {
                problems.error(span, format!("{} {}", error.file, error.problem), error.mend);
                None
            }
        }
    }
}

impl<'r> Reader<'r> {
    /// Begins to read: looks at the files and reads the overrides, which become one of the sources.
    pub(super) fn new(
        config: &Path,
        geoip: &Geoip,
        earlier: &'r EarlierMaps,
        sources: &mut Sources,
    ) -> Reader<'r> {
        let files = Files { config: config.to_owned(), geoip: geoip.clone() };
        let seen = files.look();
        let mut problems = Problems::default();
        let overrides = Some(files.overrides(sources, &mut problems));
        let same = earlier.files.as_ref().filter(|known| known.seen == seen);
        let attributions = same.map(|known| known.attributions.clone()).unwrap_or_default();
        Reader { files, seen, overrides, earlier, attributions, has_opened: false, problems }
    }

    /// What is wrong with the files. Those that nobody has looked into are opened for it.
    pub(super) fn problems(&mut self) -> Problems {
        if !self.has_opened && !self.are_known() {
            self.open(&mut |_, _| {});
        }
        std::mem::take(&mut self.problems)
    }

    /// Whether the files are as they were when maps were made from them.
    fn are_known(&self) -> bool {
        self.earlier.files.as_ref().is_some_and(|files| files.seen == self.seen)
    }

    /// The files, to be asked again.
    pub(super) fn into_files(self) -> LocationFiles {
        let Reader { files, seen, attributions, .. } = self;
        LocationFiles { files, seen, attributions, asked: Mutex::new(()) }
    }
}

impl Locations for Reader<'_> {
    fn made(&mut self, spec: &MapSpec) -> Option<Arc<LocationMap>> {
        let maps: &[_] = if self.are_known() { &self.earlier.maps } else { &[] };
        maps.iter().find(|map| map.spec() == spec).cloned()
    }

    fn open(&mut self, walk: &mut dyn FnMut(&Atlas, Both<'_>)) -> bool {
        let before = self.problems.has_errors();
        let atlas = self.files.atlas(self.overrides.take().unwrap_or_default(), &mut self.problems);
        self.has_opened = true;
        self.attributions = atlas.attributions().into_iter().map(Into::into).collect();
        if before || self.problems.has_errors() {
            return false;
        }
        walk(&atlas, &at_once);
        true
    }

    fn keep(&mut self, _: &Arc<LocationMap>) {}

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
        let atlas = self.files.atlas(overrides, &mut problems);
        if let Some(problem) = problems.0.iter().find(|problem| problem.severity == Severity::Error) {
            return Err(problem.message.clone());
        }
        if seen != self.seen {
            return Err("the location files have changed since they were read: reload".to_owned());
        }
        atlas.row(client).map_err(|error| error.to_string())
    }
}
