//! The files that zone files include: only what lies in the zones folder.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::{Reading, ZONE_OCTETS_MAX, pair, read_bytes, spell};
use crate::compile::zonefile::{Include, includes};
use crate::config::{FileId, SourceFile};

/// Included files of a folder: one for each zone that a folder can hold would be too many to keep open in
/// anybody's head.
const INCLUDED_MAX: usize = 10_000;

const HINT: &str = "names are relative to the zones folder, and what they name lies in it";

impl Reading {
    /// Reads what the zones of a folder include, and what that includes: each file once.
    pub(super) fn included(&mut self, folder: &Path, zones: Vec<FileId>) {
        let Ok(root) = folder.canonicalize() else { return };
        let mut known: HashMap<PathBuf, FileId> = HashMap::new();
        let mut octets = 0;
        let mut open = zones;
        while let Some(by) = open.pop() {
            let bytes = self.sources.file(by).map_or(&[][..], |file| file.bytes.as_slice());
            for include in includes(by, bytes) {
                if self.sources.included.contains_key(&(by, include.name.clone())) {
                    continue;
                }
                let Some(path) = self.confined(folder, &root, &include) else { continue };
                let file = match known.get(&path) {
                    Some(file) => Some(*file),
                    None if known.len() >= INCLUDED_MAX => {
                        let message = format!("the zones include more than {INCLUDED_MAX} files");
                        return self.problems.error(include.span, message, "put their records together");
                    }
                    None => self.include(folder, &path, &include, &mut octets).inspect(|file| {
                        known.insert(path, *file);
                        open.push(*file);
                    }),
                };
                if let Some(file) = file {
                    self.sources.included.insert((by, include.name), file);
                }
            }
        }
    }

    /// The true path of an included file; `None`, reported, where it is none or lies elsewhere.
    fn confined(&mut self, folder: &Path, root: &Path, include: &Include) -> Option<PathBuf> {
        let name = Path::new(&include.name);
        let is_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
        if include.name.is_empty() || !is_inside {
            let message = format!("`{}` leads out of the zones folder", include.name);
            self.problems.error(include.span, message, HINT);
            return None;
        }
        let is_zone = pair(vec![include.name.clone()]).first().is_some_and(|zone| zone.zone);
        if is_zone && name.components().count() == 1 {
            let message = format!("`{}` is a zone of its own", include.name);
            self.problems.error(include.span, message, "let the name end otherwise, such as `common.inc`");
            return None;
        }
        match folder.join(name).canonicalize() {
            Ok(path) if path.starts_with(root) => Some(path),
            Ok(_) => {
                let message = format!("`{}` leads out of the zones folder by a symbolic link", include.name);
                self.problems.error(include.span, message, HINT);
                None
            }
            Err(error) => {
                let message = format!("`{}` cannot be read: {}", include.name, spell(&error));
                self.problems.error(include.span, message, HINT);
                None
            }
        }
    }

    fn include(&mut self, folder: &Path, path: &Path, include: &Include, octets: &mut u64) -> Option<FileId> {
        let read = read_bytes(path, ZONE_OCTETS_MAX.saturating_sub(*octets));
        match read {
            Ok(bytes) => {
                *octets += bytes.len() as u64;
                let id = FileId(u32::try_from(self.sources.files.len()).ok()?);
                let path = folder.join(&include.name).display().to_string();
                self.sources.files.push(SourceFile { path, bytes });
                Some(id)
            }
            Err(why) => {
                let message = format!("`{}` cannot be read: {why}", include.name);
                self.problems.error(include.span, message, HINT);
                None
            }
        }
    }
}
