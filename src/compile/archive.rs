//! The flat, versioned form of a snapshot: the texts it was compiled from and the maps that took long.
//!
//! Reading one back and compiling its texts with its maps gives the same snapshot within milliseconds
//! and without any location database: what a last-known-good copy and a fast start need. Whatever the
//! input, reading gives an error or an archive; it never panics.
//!
//! Layout, integers little-endian: magic (8 octets), version (u32), checksum of the rest (u64,
//! SipHash-2-4 with key zero), then sections, each a tag (u8), a length (u64) and that many octets.
//! A newer writer may add tags; a reader passes over those that it does not know.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use crate::config::{FileId, SourceFile, Sources, ZoneFiles};
use crate::geo::{LocationMap, MapError};

const MAGIC: &[u8; 8] = b"meridian";
/// Goes up when an old reader would misread a new file.
const VERSION: u32 = 1;

/// A file: path length (u32), path, text.
const TAG_FILE: u8 = 1;
/// A zone: file numbers plus one (u32, u32; 0 for none), origin.
const TAG_ZONE: u8 = 2;
/// A location map in its own flat form.
const TAG_MAP: u8 = 3;
/// A zone of a class of clients: length of the class's name (u32), the name, then as [`TAG_ZONE`].
const TAG_CLASS_ZONE: u8 = 4;
/// What a zone file includes: numbers of the including and the included file (u32, u32), the name that
/// the first uses for the second.
const TAG_INCLUDED: u8 = 5;

/// What an archive holds.
pub struct Archive {
    /// The texts.
    pub sources: Sources,
    /// The maps.
    pub maps: Vec<Arc<LocationMap>>,
}

/// Why octets are no archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArchiveError {
    /// They begin with something else.
    NotAnArchive,
    /// They come from a newer release.
    Version(u32),
    /// They are cut short or damaged.
    Damaged,
    /// A map inside is no map.
    Map(MapError),
}

impl std::fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ArchiveError::NotAnArchive => f.write_str("not a meridian snapshot"),
            ArchiveError::Version(version) => {
                write!(f, "a snapshot of version {version}; this release reads version {VERSION}")
            }
            ArchiveError::Damaged => f.write_str("the snapshot is cut short or damaged"),
            ArchiveError::Map(error) => write!(f, "the snapshot's location map cannot be used: {error}"),
        }
    }
}

impl std::error::Error for ArchiveError {}

impl Archive {
    /// The flat form.
    pub fn to_bytes(sources: &Sources, maps: &[Arc<LocationMap>]) -> Vec<u8> {
        let mut body = Vec::new();
        for file in &sources.files {
            let mut section = (file.path.len() as u32).to_le_bytes().to_vec();
            section.extend_from_slice(file.path.as_bytes());
            section.extend_from_slice(&file.bytes);
            push(&mut body, TAG_FILE, &section);
        }
        for files in &sources.zones {
            push(&mut body, TAG_ZONE, &zone_section(files));
        }
        for (class, zones) in &sources.class_zones {
            for files in zones {
                let mut section = (class.len() as u32).to_le_bytes().to_vec();
                section.extend_from_slice(class.as_bytes());
                section.extend_from_slice(&zone_section(files));
                push(&mut body, TAG_CLASS_ZONE, &section);
            }
        }
        for ((by, name), file) in &sources.included {
            let mut section = by.0.to_le_bytes().to_vec();
            section.extend_from_slice(&file.0.to_le_bytes());
            section.extend_from_slice(name.as_bytes());
            push(&mut body, TAG_INCLUDED, &section);
        }
        for map in maps {
            push(&mut body, TAG_MAP, &map.to_bytes());
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&checksum(&body).to_le_bytes());
        bytes.append(&mut body);
        bytes
    }

    /// Reads [`Archive::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Archive, ArchiveError> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(ArchiveError::NotAnArchive)?;
        let version = u32::from_le_bytes(array(&mut rest)?);
        if version != VERSION {
            return Err(ArchiveError::Version(version));
        }
        if u64::from_le_bytes(array(&mut rest)?) != checksum(rest) {
            return Err(ArchiveError::Damaged);
        }
        let mut archive = Archive { sources: Sources::default(), maps: Vec::new() };
        while !rest.is_empty() {
            let [tag] = array(&mut rest)?;
            let length = usize::try_from(u64::from_le_bytes(array(&mut rest)?));
            let length = length.map_err(|_| ArchiveError::Damaged)?;
            let (section, after) = rest.split_at_checked(length).ok_or(ArchiveError::Damaged)?;
            rest = after;
            archive.section(tag, section)?;
        }
        Ok(archive)
    }

    fn section(&mut self, tag: u8, mut section: &[u8]) -> Result<(), ArchiveError> {
        match tag {
            TAG_FILE => {
                let length = u32::from_le_bytes(array(&mut section)?) as usize;
                let (path, text) = section.split_at_checked(length).ok_or(ArchiveError::Damaged)?;
                self.sources.files.push(SourceFile { path: utf8(path)?, bytes: text.to_vec() });
            }
            TAG_ZONE => self.sources.zones.push(zone_files(section)?),
            TAG_CLASS_ZONE => {
                let length = u32::from_le_bytes(array(&mut section)?) as usize;
                let (class, section) = section.split_at_checked(length).ok_or(ArchiveError::Damaged)?;
                let (class, files) = (utf8(class)?, zone_files(section)?);
                match self.sources.class_zones.last_mut() {
                    Some((last, zones)) if *last == class => zones.push(files),
                    _ => self.sources.class_zones.push((class, vec![files])),
                }
            }
            TAG_INCLUDED => {
                let by = FileId(u32::from_le_bytes(array(&mut section)?));
                let file = FileId(u32::from_le_bytes(array(&mut section)?));
                self.sources.included.insert((by, utf8(section)?), file);
            }
            TAG_MAP => {
                let map = LocationMap::from_bytes(section).map_err(ArchiveError::Map)?;
                self.maps.push(Arc::new(map));
            }
            _ => {}
        }
        Ok(())
    }
}

fn zone_section((origin, zone, names): &ZoneFiles) -> Vec<u8> {
    let number = |file: &Option<FileId>| file.map_or(0, |file| file.0 + 1).to_le_bytes();
    let mut section = number(zone).to_vec();
    section.extend_from_slice(&number(names));
    section.extend_from_slice(origin.as_bytes());
    section
}

fn zone_files(mut section: &[u8]) -> Result<ZoneFiles, ArchiveError> {
    let file = |number: [u8; 4]| u32::from_le_bytes(number).checked_sub(1).map(FileId);
    let (zone, names) = (file(array(&mut section)?), file(array(&mut section)?));
    Ok((utf8(section)?, zone, names))
}

fn push(body: &mut Vec<u8>, tag: u8, section: &[u8]) {
    body.push(tag);
    body.extend_from_slice(&(section.len() as u64).to_le_bytes());
    body.extend_from_slice(section);
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ArchiveError> {
    let (array, after) = rest.split_first_chunk::<N>().ok_or(ArchiveError::Damaged)?;
    *rest = after;
    Ok(*array)
}

fn utf8(bytes: &[u8]) -> Result<String, ArchiveError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| ArchiveError::Damaged)
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sources() -> Sources {
        Sources {
            files: vec![
                SourceFile { path: "meridian.toml".into(), bytes: b"[server]".to_vec() },
                SourceFile { path: "zones/a.zone".into(), bytes: vec![0xff, 0] },
            ],
            zones: vec![("a".into(), Some(FileId(1)), None)],
            class_zones: vec![(
                "inside".into(),
                vec![("a".into(), Some(FileId(1)), None), ("b".into(), None, None)],
            )],
            included: [((FileId(1), "common.inc".into()), FileId(0))].into(),
        }
    }

    #[test]
    fn comes_back_as_it_went() {
        let archive = Archive::from_bytes(&Archive::to_bytes(&sources(), &[])).unwrap();
        assert_eq!(archive.sources, sources());
        assert!(archive.maps.is_empty());
    }

    #[test]
    fn anything_else_is_an_error_and_never_a_panic() {
        let whole = Archive::to_bytes(&sources(), &[]);
        for length in 0..whole.len() {
            assert!(Archive::from_bytes(&whole[..length]).is_err(), "{length}");
        }
        for index in 0..whole.len() {
            let mut bent = whole.clone();
            bent[index] ^= 0x41;
            assert!(Archive::from_bytes(&bent).is_err(), "{index}");
        }
    }
}
