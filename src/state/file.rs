//! The state file: one line that says what follows and how to tell that it is whole, then JSON.
//!
//! It is written beside, made durable, and renamed over: whoever reads finds the old one or the new
//! one. What is neither is set aside for people to look at.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use siphasher::sip128::{Hasher128, SipHasher24};

use super::directory::{Directory, FILE_MODE};

/// The file's name.
const NAME: &str = "state";
/// Where the next one is written.
const NAME_NEW: &str = "state.new";
/// Where one that cannot be used is put, with the time.
const NAME_ASIDE: &str = "state.damaged";
/// The form of what follows the first line; a file with another one is foreign.
const FORM: u32 = 1;
/// Larger files are not ours: 100,000 targets come to a fifth of it.
const OCTETS_MAX: u64 = 256 << 20;
/// A first line is shorter.
const HEAD_OCTETS_MAX: usize = 128;

/// Why a state file cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// It does not begin like one of ours.
    Foreign,
    /// It is of another form: written by a later version, or an earlier one.
    OtherForm(u32),
    /// It ends too early or too late.
    Length,
    /// Its octets have changed.
    Checksum,
    /// It is whole and does not say what it should.
    Content(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Foreign => f.write_str("it is not a state file"),
            Damage::OtherForm(form) => {
                write!(f, "it is of form {form}, and this version reads form {FORM}")
            }
            Damage::Length => f.write_str("it is cut, or something was added"),
            Damage::Checksum => f.write_str("its content has changed since it was written"),
            Damage::Content(why) => write!(f, "its content makes no sense: {why}"),
        }
    }
}

/// What was found at the start.
#[derive(Debug)]
pub enum Read<T> {
    /// Nothing: a first start.
    Nothing,
    /// What an earlier process has kept.
    Kept(T),
    /// Something else, now under another name, or still there when `None`.
    SetAside(Damage, Option<PathBuf>),
    /// The system does not let us read it.
    Unreadable(io::Error),
}

/// Reads the state. A file that cannot be used is set aside if the directory is ours.
pub fn read<T: DeserializeOwned>(directory: &Directory, ours: bool, at_s: u64) -> Read<T> {
    let octets = match read_octets(directory) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Read::Nothing,
        Err(error) => return Read::Unreadable(error),
    };
    match decode(&octets) {
        Ok(kept) => Read::Kept(kept),
        Err(damage) => {
            let aside = directory.file(&format!("{NAME_ASIDE}.{at_s}"));
            let moved = ours && fs::rename(directory.file(NAME), &aside).is_ok();
            Read::SetAside(damage, moved.then_some(aside))
        }
    }
}

fn read_octets(directory: &Directory) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(directory.file(NAME))?.take(OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Writes the state: after this returns it is durable, whatever happens next.
///
/// # Errors
/// Those of the system; the file that was there stays.
pub fn write<T: Serialize>(directory: &Directory, kept: &T) -> io::Result<()> {
    let octets = encode(kept)?;
    let new = directory.file(NAME_NEW);
    let written = write_new(&new, &octets).and_then(|()| fs::rename(&new, directory.file(NAME)));
    if written.is_err() {
        // What was begun takes room on a disk that may be full.
        let _ = fs::remove_file(&new);
    }
    written?;
    directory.sync()
}

fn write_new(path: &std::path::Path, octets: &[u8]) -> io::Result<()> {
    let mut how = OpenOptions::new();
    let mut file = how.write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

/// A value with a first line that tells whether it is whole.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn encode<T: Serialize>(kept: &T) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(kept)?;
    let mut octets = head(&body).into_bytes();
    octets.extend(body);
    Ok(octets)
}

/// What [`encode`] has made.
///
/// # Errors
/// When it is anything else.
pub fn decode<T: DeserializeOwned>(octets: &[u8]) -> Result<T, Damage> {
    let end = octets.iter().take(HEAD_OCTETS_MAX).position(|octet| *octet == b'\n').ok_or(Damage::Foreign)?;
    let (first, body) = octets.split_at_checked(end + 1).ok_or(Damage::Foreign)?;
    let text = std::str::from_utf8(first).map_err(|_| Damage::Foreign)?;
    let mut words = text.strip_prefix("meridian state ").ok_or(Damage::Foreign)?.split_whitespace();
    let form = words.next().and_then(|word| word.parse().ok()).ok_or(Damage::Foreign)?;
    if form != FORM {
        return Err(Damage::OtherForm(form));
    }
    let length: usize = words.next().and_then(|word| word.parse().ok()).ok_or(Damage::Foreign)?;
    if length != body.len() {
        return Err(Damage::Length);
    }
    if text != head(body) {
        return Err(Damage::Checksum);
    }
    serde_json::from_slice(body).map_err(|error| Damage::Content(error.to_string()))
}

/// The first line: form, length of the rest, and a SipHash-2-4 of it.
fn head(body: &[u8]) -> String {
    let mut hasher = SipHasher24::new();
    hasher.write(body);
    format!("meridian state {FORM} {} {:032x}\n", body.len(), hasher.finish128().as_u128())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use std::collections::BTreeMap;

    type Kept = BTreeMap<String, Vec<u32>>;

    fn sample() -> Kept {
        (0..40).map(|number| (format!("web/{number} 192.0.2.{number}"), vec![number; 3])).collect()
    }

    /// What comes of a directory whose state file has these octets: never more than a message.
    fn found(octets: &[u8]) -> (tempfile::TempDir, Read<Kept>) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        fs::write(directory.file(NAME), octets).unwrap();
        let found = read(&directory, true, 7);
        (folder, found)
    }

    #[test]
    fn t2_what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        assert!(matches!(read::<Kept>(&directory, true, 0), Read::Nothing));
        write(&directory, &Kept::new()).unwrap();
        write(&directory, &sample()).unwrap();
        assert!(matches!(read::<Kept>(&directory, true, 0), Read::Kept(kept) if kept == sample()));
        assert!(!directory.file(NAME_NEW).exists());
    }

    #[test]
    fn t2_a_cut_file_is_set_aside_wherever_it_is_cut() {
        let whole = encode(&sample()).unwrap();
        for length in 0..whole.len() {
            assert!(decode::<Kept>(&whole[..length]).is_err(), "cut at {length}");
        }
        for length in (0..whole.len()).step_by(29) {
            let (folder, found) = found(&whole[..length]);
            assert!(
                matches!(&found, Read::SetAside(_, Some(aside)) if aside.exists()),
                "{length}: {found:?}"
            );
            assert!(!folder.path().join(NAME).exists());
        }
    }

    #[test]
    fn t2_damage_of_any_octet_is_found() {
        let whole = encode(&sample()).unwrap();
        for at in 0..whole.len() {
            for flipped in [1u8, 0x20, 0x80] {
                let mut damaged = whole.clone();
                damaged[at] ^= flipped;
                assert!(decode::<Kept>(&damaged).is_err(), "octet {at} ^ {flipped:#x}");
            }
        }
        let mut longer = whole;
        longer.push(b' ');
        assert_eq!(decode::<Kept>(&longer), Err(Damage::Length));
    }

    #[test]
    fn t2_foreign_files_are_named_for_what_they_are() {
        let check = |octets: &[u8], expected: &str| {
            let (_folder, found) = found(octets);
            let Read::SetAside(damage, Some(_)) = found else { panic!("{expected}: {found:?}") };
            assert!(damage.to_string().contains(expected), "{damage}");
        };
        check(b"", "not a state file");
        check(b"\n\n\n", "not a state file");
        check(&[0xff; 5000], "not a state file");
        check(b"meridian state 2 0 00\n", "form 2");
        check(b"meridian state 4294967296 0 00\n", "not a state file");
        check(b"meridian state 1 99999999999999999999 00\n", "not a state file");
        check(b"meridian state 1 5 00\n[1,2]", "content has changed");
        let body = b"[1,2]";
        let foreign = [head(body).as_bytes(), body].concat();
        check(&foreign, "makes no sense");
        let deep = "[".repeat(100_000);
        check(format!("{}{deep}", head(deep.as_bytes())).as_bytes(), "makes no sense");
    }

    #[test]
    fn t2_what_is_not_ours_is_left_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::at(folder.path().to_owned());
        fs::write(directory.file(NAME), "x").unwrap();
        assert!(matches!(read::<Kept>(&directory, false, 7), Read::SetAside(_, None)));
        assert!(directory.file(NAME).exists());
        fs::remove_file(directory.file(NAME)).unwrap();
        fs::create_dir(directory.file(NAME)).unwrap();
        assert!(matches!(read::<Kept>(&directory, true, 7), Read::Unreadable(_)));
    }
}
