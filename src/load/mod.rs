//! Reading files: the configuration and its zones into [`Sources`], databases into bytes.
//!
//! An edge: the only place where the configuration's files are touched. What is in them is judged by
//! `config`; here a file is there or not, readable or not, and not too large.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::config::{self, Config, FileId, Problem, Problems, Severity, SourceFile, Sources};

mod digest;
mod included;

#[cfg(test)]
mod tests;

pub use digest::{Digest, digest_of_file, digest_of_octets};

/// The main file: a thousand times what people write.
pub const CONFIG_OCTETS_MAX: u64 = 16 << 20;
/// A file of steered names: several millions of them.
pub const NAMES_OCTETS_MAX: u64 = 256 << 20;
/// A zone file: about ten million records.
pub const ZONE_OCTETS_MAX: u64 = 1 << 30;
/// A location database: the largest on sale are below a quarter of this.
pub const DATABASE_OCTETS_MAX: u64 = 4 << 30;
/// Zones in the folder.
pub const ZONES_MAX: usize = 100_000;

/// A configuration as far as it could be read.
pub struct Loaded {
    /// The text, to show problems with.
    pub sources: Sources,
    /// The configuration; `None` where a problem is an error.
    pub config: Option<Config>,
    /// Everything found, of files and of what is in them.
    pub problems: Problems,
}

/// Reads a configuration with its zones, and the variables of its secrets from the environment.
pub fn configuration(main: &Path) -> Loaded {
    let (sources, mut problems) = sources(main);
    let (config, found) = config::read(&sources, &|name| std::env::var(name).ok());
    if !sources.files.is_empty() {
        problems.0.extend(found.0);
    }
    let config = config.filter(|_| !problems.has_errors());
    Loaded { sources, config, problems }
}

/// Reads the main file and the zones folder that it names. What cannot be read is a problem, and the
/// rest is read nevertheless.
pub fn sources(main: &Path) -> (Sources, Problems) {
    let mut reading = Reading::default();
    let Some(file) = reading.file(main, CONFIG_OCTETS_MAX, "write one, or name another with --config") else {
        return (reading.sources, reading.problems);
    };
    let bytes = reading.sources.file(file).map(|file| file.bytes.as_slice()).unwrap_or_default();
    let folder = beside(main, &config::zones_folder(bytes));
    let class_folders = config::class_folders(bytes);
    reading.sources.zones = reading.zones(&folder);
    for (class, folder) in class_folders {
        let zones = reading.zones(&beside(main, &folder));
        reading.sources.class_zones.push((class, zones));
    }
    (reading.sources, reading.problems)
}

/// A path of the configuration, relative ones beside the configuration file.
pub fn beside(main: &Path, path: &Path) -> PathBuf {
    main.parent().unwrap_or(Path::new("")).join(path)
}

/// A whole file in memory (never mapped: one cut short in place must not end the process). The error
/// says what is wrong with it, in one line without its name.
pub fn read_bytes(path: &Path, octets_max: u64) -> Result<Vec<u8>, String> {
    let reason = |error: std::io::Error| spell(&error);
    // Before it is opened: opening a pipe waits for its writer.
    let metadata = std::fs::metadata(path).map_err(reason)?;
    if let Some(what) = not_a_file(&metadata) {
        return Err(format!("it is {what}, not a file"));
    }
    let too_large = || format!("it is larger than the {} possible", spell_octets(octets_max));
    if metadata.len() > octets_max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    let file = File::open(path).map_err(reason)?;
    // One octet more than allowed shows a file that grew meanwhile.
    let read = file.take(octets_max.saturating_add(1)).read_to_end(&mut bytes).map_err(reason)?;
    match read as u64 > octets_max {
        true => Err(too_large()),
        false => Ok(bytes),
    }
}

/// Pipes and devices could hold up the start for ever.
fn not_a_file(metadata: &Metadata) -> Option<&'static str> {
    if metadata.is_dir() {
        Some("a folder")
    } else if !metadata.is_file() {
        Some("a pipe or a device")
    } else {
        None
    }
}

/// The system's words without its number.
fn spell(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it is not there".to_owned(),
        ErrorKind::PermissionDenied => "it may not be read by this user".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a folder".to_owned(),
        _ => {
            let words = error.to_string();
            words.split_once(" (os error").map_or(words.clone(), |(words, _)| words.to_owned())
        }
    }
}

fn spell_octets(octets: u64) -> String {
    match octets >= 1 << 30 {
        true => format!("{} GiB", octets >> 30),
        false => format!("{} MiB", octets >> 20),
    }
}

/// Files read so far.
#[derive(Default)]
struct Reading {
    sources: Sources,
    problems: Problems,
}

impl Reading {
    fn error(&mut self, message: String, hint: &str) {
        self.problems.error(None, message, hint);
    }

    fn file(&mut self, path: &Path, octets_max: u64, hint: &str) -> Option<FileId> {
        match read_bytes(path, octets_max) {
            Ok(bytes) => {
                let id = FileId(u32::try_from(self.sources.files.len()).ok()?);
                self.sources.files.push(SourceFile { path: path.display().to_string(), bytes });
                Some(id)
            }
            Err(why) => {
                self.error(format!("{} cannot be read: {why}", path.display()), hint);
                None
            }
        }
    }

    /// Every `NAME.zone` and `NAME.toml` of the folder, by name.
    fn zones(&mut self, folder: &Path) -> Vec<config::ZoneFiles> {
        let mut zones = Vec::new();
        let Some(mut names) = self.folder(folder) else { return zones };
        if names.is_empty() {
            self.error(
                format!("there is no zone to serve: {} holds no file NAME.zone", folder.display()),
                "put a master file there, such as example.com.zone",
            );
        }
        if names.len() > ZONES_MAX {
            self.error(
                format!(
                    "{} holds {} zones, more than the {ZONES_MAX} possible",
                    folder.display(),
                    names.len()
                ),
                "split them over several servers",
            );
            names.truncate(ZONES_MAX);
        }
        let mut own = Vec::new();
        for ZoneFiles { origin, zone, names } in names {
            let mut read = |present: bool, ending: &str, octets_max| {
                let path = folder.join(format!("{origin}.{ending}"));
                present
                    .then(|| self.file(&path, octets_max, "put a file there that this user may read"))
                    .flatten()
            };
            let zone_id = read(zone, "zone", ZONE_OCTETS_MAX);
            let names_id = read(names, "toml", NAMES_OCTETS_MAX);
            own.extend(zone_id);
            // A zone whose file is there but not readable has been reported; without it nothing more
            // can be said of its names.
            if zone_id.is_some() || !zone {
                zones.push((origin, zone_id, names_id));
            }
        }
        self.included(folder, own);
        zones
    }

    /// Which zones a folder has files of; `None`, reported, where it cannot be listed.
    fn folder(&mut self, folder: &Path) -> Option<Vec<ZoneFiles>> {
        let hint = "make it, or name another: [server] zones = \"...\"";
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                let why = spell(&error);
                self.error(format!("the zones folder {} cannot be read: {why}", folder.display()), hint);
                return None;
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => match entry.file_name().into_string() {
                    Ok(name) => names.push(name),
                    Err(name) => {
                        let name = Path::new(&name).display().to_string();
                        self.problems.0.push(Problem {
                            severity: Severity::Warning,
                            message: format!(
                                "{} is passed over: its name is not UTF-8",
                                folder.join(name).display()
                            ),
                            span: None,
                            also: None,
                            hint: Some(
                                "zones are called by ASCII names, such as example.com.zone".to_owned(),
                            ),
                        });
                    }
                },
                Err(error) => {
                    let why = spell(&error);
                    self.error(format!("the zones folder {} cannot be read: {why}", folder.display()), hint);
                }
            }
        }
        Some(pair(names))
    }
}

/// The files of one zone.
#[derive(Debug, PartialEq)]
struct ZoneFiles {
    /// The origin as the files' names spell it.
    origin: String,
    /// Whether `ORIGIN.zone` is there.
    zone: bool,
    /// Whether `ORIGIN.toml` is there.
    names: bool,
}

/// The zones among the names of files, sorted. Hidden files and what editors leave behind
/// (`.x.swp`, `x~`, `#x#`, `x.bak`) are no zones; `..zone` is the root's.
fn pair(mut names: Vec<String>) -> Vec<ZoneFiles> {
    names.sort_unstable();
    let mut zones: std::collections::BTreeMap<String, (bool, bool)> = Default::default();
    for name in names {
        let Some((stem, ending)) = name.rsplit_once('.') else { continue };
        let hidden = name.starts_with('.') && stem != ".";
        if hidden || stem.is_empty() || name.starts_with('#') {
            continue;
        }
        match ending {
            "zone" => zones.entry(stem.to_owned()).or_default().0 = true,
            "toml" => zones.entry(stem.to_owned()).or_default().1 = true,
            _ => {}
        }
    }
    zones.into_iter().map(|(origin, (zone, names))| ZoneFiles { origin, zone, names }).collect()
}
