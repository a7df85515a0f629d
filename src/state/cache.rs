//! Things that can be made anew, kept so that they need not be: one file for each key, whole or not at all.
//!
//! Nothing in it is trusted. A file says its key, its length and a SHA-256 over all of it; what does not fit is
//! told and counts as not there, and what is read out goes through its reader's own checks. Layout, integers
//! little-endian: magic (8 octets), version (u32), key (32), length of the payload (u64), SHA-256 of the
//! rest with what is before it (32), payload.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{Context, SHA256};

use super::directory::{DIRECTORY_MODE, FILE_MODE};

const MAGIC: &[u8; 8] = b"MERICACH";
/// Goes up with every change of the layout.
const VERSION: u32 = 1;
const KEY_OCTETS: usize = 32;
const SUM_OCTETS: usize = 32;
/// What the checksum does not cover of the head is itself.
const SUM_AT: usize = 8 + 4 + KEY_OCTETS + 8;
const HEAD_OCTETS: usize = SUM_AT + SUM_OCTETS;

/// The largest file that is read or written: ten times the map of the largest city database.
pub const CACHE_OCTETS_MAX: u64 = 512 << 20;
/// Files that are kept besides those in use: the configuration before, and one or two tried meanwhile.
pub const CACHE_SPARE_MAX: usize = 3;
/// What a writer that was ended has left is removed after this time: no write takes as long.
const LEFTOVER_AGE: Duration = Duration::from_secs(3600);
/// What is being written at once, or was left, at most; the oldest go first. A process that is ended over and over while it
/// writes fills no disk.
const PARTIAL_MAX: usize = 8;

/// What a thing was made from and how, as one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Key(pub [u8; KEY_OCTETS]);

/// A folder of files by key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// What is there under a key.
#[derive(PartialEq, Eq, Debug)]
pub enum Cached<T> {
    /// Nothing.
    Nothing,
    /// What was written, checked.
    Payload(T),
    /// A file that cannot be used: why, in one line.
    Unusable(String),
}

impl Cache {
    /// The cache in a state folder. It is made when something is written.
    pub fn within(state: &Path) -> Cache {
        Cache { folder: state.join("maps") }
    }

    /// The file of a key.
    pub fn file(&self, key: &Key) -> PathBuf {
        // Half of the key tells files apart; the whole is inside.
        let name: String = key.0.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
        self.folder.join(name + ".map")
    }

    /// Whether nothing is there under any key.
    pub fn is_empty(&self) -> bool {
        self.oldest_first("map").is_empty()
    }

    /// What is there under a key. Never fails: what cannot be read is not there, and says why. `decode` reads the payload
    /// while its checksum is still being looked at, so it has to bear whatever is there; where the checksum does not
    /// match, what it has found is dropped.
    pub fn read<T>(&self, key: &Key, decode: impl FnOnce(&[u8]) -> Option<T>) -> Cached<T> {
        match self.look().and_then(|()| read(&self.file(key))) {
            Ok(octets) => match check(&octets, key, decode) {
                Ok(decoded) => Cached::Payload(decoded),
                Err(why) => Cached::Unusable(why.to_owned()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Cached::Nothing,
            Err(error) => Cached::Unusable(error.to_string()),
        }
    }

    /// Writes a file under a key, beside what is there and then in its place.
    ///
    /// # Errors
    /// Those of the system. What was there before then is there still.
    pub fn write(&self, key: &Key, payload: &[u8]) -> io::Result<PathBuf> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        if payload.len() as u64 > CACHE_OCTETS_MAX - HEAD_OCTETS as u64 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 512 MiB"));
        }
        match self.look() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match DirBuilder::new().mode(DIRECTORY_MODE).create(&self.folder) {
                    // Another writer was quicker.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.look()?,
                    made => made?,
                }
            }
            looked => looked?,
        }
        self.clear_partial(PARTIAL_MAX - 1);
        let file = self.file(key);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let partial = file.with_extension(format!("{}-{number}.partial", std::process::id()));
        let mut head = MAGIC.to_vec();
        head.extend(VERSION.to_le_bytes());
        head.extend(key.0);
        head.extend((payload.len() as u64).to_le_bytes());
        let sum = sum(&head, payload);
        head.extend(sum);
        let written = self.put(&partial, &file, &[&head, payload]);
        if written.is_err() {
            // Not there, or not ours to remove: either way the error is that of the write.
            let _ = std::fs::remove_file(&partial);
        }
        written.map(|()| file)
    }

    /// Whether the folder is one: a link in its place is not followed, or what is removed here would be elsewhere.
    fn look(&self) -> io::Result<()> {
        match self.folder.symlink_metadata()?.is_dir() {
            true => Ok(()),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    /// Writes octets to a file of their own, and puts it in its place once they are on the disk.
    fn put(&self, partial: &Path, file: &Path, octets: &[&[u8]]) -> io::Result<()> {
        let mut how = OpenOptions::new();
        let mut open = how.write(true).create_new(true).mode(FILE_MODE).open(partial)?;
        octets.iter().try_for_each(|octets| open.write_all(octets))?;
        open.sync_all()?;
        std::fs::rename(partial, file)?;
        File::open(&self.folder)?.sync_all()
    }

    /// A file has been of use: of the others, the one that was so last is removed last.
    pub fn used(&self, key: &Key) {
        let mut how = OpenOptions::new();
        let how = how.append(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        if let Ok(file) = self.look().and_then(|()| how.open(self.file(key))) {
            // Only the order of removal depends on it.
            let _ = file.set_modified(SystemTime::now());
        }
    }

    /// Removes what is too much: all but the files in use and a few that were used last.
    pub fn prune(&self, in_use: &[Key]) {
        let in_use: Vec<PathBuf> = in_use.iter().map(|key| self.file(key)).collect();
        let mut spare = self.oldest_first("map");
        spare.retain(|(_, path)| !in_use.contains(path));
        let too_many = spare.len().saturating_sub(CACHE_SPARE_MAX);
        spare.iter().take(too_many).for_each(|(_, path)| remove(path));
        self.clear_partial(PARTIAL_MAX);
    }

    /// Removes what writers have left: all that is old, and what is more than so many.
    fn clear_partial(&self, count_max: usize) {
        let partial = self.oldest_first("partial");
        let too_many = partial.len().saturating_sub(count_max);
        for (number, (modified, path)) in partial.iter().enumerate() {
            if number < too_many || modified.elapsed().is_ok_and(|age| age > LEFTOVER_AGE) {
                remove(path);
            }
        }
    }

    /// The files with an extension, by the time of their last use.
    fn oldest_first(&self, extension: &str) -> Vec<(SystemTime, PathBuf)> {
        let Ok(entries) = self.look().and_then(|()| std::fs::read_dir(&self.folder)) else {
            return Vec::new();
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let paths = paths.filter(|path| path.extension().is_some_and(|own| own == extension));
        let mut files: Vec<_> = paths
            .map(|path| {
                let modified = path.symlink_metadata().and_then(|about| about.modified());
                (modified.unwrap_or(SystemTime::UNIX_EPOCH), path)
            })
            .collect();
        files.sort_unstable();
        files
    }
}

/// Removes a file; one that cannot be removed is tried again next time.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut how = OpenOptions::new();
    // No link leads elsewhere, and no pipe holds up a start.
    let file = how.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() || about.len() > CACHE_OCTETS_MAX {
        return Err(io::Error::other("it is not a file, or a very large one"));
    }
    let mut octets = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
    file.take(CACHE_OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

fn check<T>(octets: &[u8], key: &Key, decode: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, &'static str> {
    let rest = octets.strip_prefix(MAGIC).ok_or("it is something else")?;
    let (version, rest) = rest.split_first_chunk().ok_or("it is cut short")?;
    if u32::from_le_bytes(*version) != VERSION {
        return Err("it is of another version");
    }
    let (own_key, rest) = rest.split_first_chunk::<KEY_OCTETS>().ok_or("it is cut short")?;
    let (length, rest) = rest.split_first_chunk().ok_or("it is cut short")?;
    let (own_sum, payload) = rest.split_first_chunk::<SUM_OCTETS>().ok_or("it is cut short")?;
    if u64::from_le_bytes(*length) != payload.len() as u64 {
        return Err("it is cut short, or its length is damaged");
    }
    let matches = || sum(octets.get(..SUM_AT).unwrap_or(&[]), payload) == *own_sum;
    let is_own = *own_key == key.0;
    let (matches, decoded) = std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().name("map cache".to_owned()).spawn_scoped(scope, matches);
        let decoded = is_own.then(|| decode(payload)).flatten();
        // Without a thread it is done here; one that panics has found nothing.
        (beside.map_or_else(|_| matches(), |beside| beside.join().unwrap_or(false)), decoded)
    });
    if !matches {
        return Err("it is damaged: its checksum does not match");
    }
    if !is_own {
        return Err("it was made from something else");
    }
    decoded.ok_or("what is in it cannot be used")
}

fn sum(head: &[u8], payload: &[u8]) -> [u8; SUM_OCTETS] {
    let mut context = Context::new(&SHA256);
    context.update(head);
    context.update(payload);
    // SHA-256 has 32 octets.
    context.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const KEY: Key = Key([7; 32]);

    fn read_all(cache: &Cache, key: &Key) -> Cached<Vec<u8>> {
        cache.read(key, |payload| Some(payload.to_vec()))
    }

    fn payload() -> Vec<u8> {
        (0..4000u32).flat_map(u32::to_le_bytes).collect()
    }

    /// A cache with one file in it.
    fn filled() -> (tempfile::TempDir, Cache, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::within(folder.path());
        assert!(matches!(read_all(&cache, &KEY), Cached::Nothing) && cache.is_empty());
        let file = cache.write(&KEY, &payload()).unwrap();
        (folder, cache, file)
    }

    fn unusable(cache: &Cache, key: &Key) -> String {
        match read_all(cache, key) {
            Cached::Unusable(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read_and_only_by_its_owner() {
        let (_folder, cache, file) = filled();
        let Cached::Payload(read) = read_all(&cache, &KEY) else { panic!() };
        assert_eq!(*read, payload()[..]);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.parent().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn every_cut_is_noticed() {
        let (_folder, cache, file) = filled();
        let whole = std::fs::read(&file).unwrap();
        for length in (0..HEAD_OCTETS + 3).chain([whole.len() / 2, whole.len() - 1]) {
            std::fs::write(&file, &whole[..length]).unwrap();
            unusable(&cache, &KEY);
        }
        std::fs::write(&file, [&whole[..], &[0]].concat()).unwrap();
        unusable(&cache, &KEY);
    }

    #[test]
    fn what_lies_under_another_key_is_noticed() {
        let (_folder, cache, file) = filled();
        let other = Key([8; 32]);
        std::fs::copy(&file, cache.file(&other)).unwrap();
        assert_eq!(unusable(&cache, &other), "it was made from something else");
        // The same name, and a key that differs where the name does not show it.
        let mut close = KEY;
        close.0[31] ^= 1;
        assert_eq!(unusable(&cache, &close), "it was made from something else");
    }

    #[test]
    fn links_and_folders_are_not_followed() {
        let (_folder, cache, file) = filled();
        let aside = file.with_extension("aside");
        std::fs::rename(&file, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &file).unwrap();
        unusable(&cache, &KEY);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        unusable(&cache, &KEY);
        assert!(cache.write(&KEY, b"new").is_err());
    }

    #[test]
    fn a_link_in_place_of_the_folder_is_not_followed() {
        let (folder, cache, file) = filled();
        let aside = folder.path().join("aside");
        std::fs::rename(file.parent().unwrap(), &aside).unwrap();
        std::os::unix::fs::symlink(&aside, file.parent().unwrap()).unwrap();
        for number in 0..10 {
            std::fs::write(aside.join(format!("{number}.map")), b"not ours").unwrap();
        }
        unusable(&cache, &KEY);
        assert!(cache.write(&KEY, b"new").is_err());
        cache.used(&KEY);
        cache.prune(&[]);
        assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 11);
    }

    #[test]
    fn where_nothing_can_be_written_that_is_an_error_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        assert!(Cache::within(&state).write(&KEY, b"x").is_err(), "there is no state folder");
        std::fs::write(&state, b"a file").unwrap();
        assert!(Cache::within(&state).write(&KEY, b"x").is_err());
        assert!(matches!(read_all(&Cache::within(&state), &KEY), Cached::Unusable(_)));
        Cache::within(&state).prune(&[]);
        Cache::within(&state).used(&KEY);
    }

    #[test]
    fn writers_at_once_leave_one_whole_file() {
        let (_folder, cache, file) = filled();
        std::thread::scope(|scope| {
            for writer in 0..4u8 {
                let cache = &cache;
                scope.spawn(move || {
                    for _ in 0..10 {
                        cache.write(&KEY, &vec![writer; 50_000]).unwrap();
                        let Cached::Payload(read) = read_all(cache, &KEY) else { panic!() };
                        assert!(read.len() == 50_000 && read.iter().all(|octet| *octet == read[0]));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn few_files_are_kept_and_those_in_use_always() {
        let (_folder, cache, file) = filled();
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(86_400 * days);
        let keys: Vec<Key> = (20..30).map(|number| Key([number; 32])).collect();
        for (key, days) in keys.iter().zip(100..) {
            cache.write(key, b"x").unwrap();
            File::options().append(true).open(cache.file(key)).unwrap().set_modified(day(days)).unwrap();
        }
        File::options().append(true).open(&file).unwrap().set_modified(day(1)).unwrap();
        let left = file.with_extension("1-1.partial");
        std::fs::write(&left, b"x").unwrap();
        File::options().append(true).open(&left).unwrap().set_modified(day(1)).unwrap();
        std::fs::write(file.with_extension("1-2.partial"), b"of a writer at work").unwrap();
        cache.used(&keys[0]);
        cache.prune(&[KEY]);
        let is_there = |key: &Key| matches!(read_all(&cache, key), Cached::Payload(_));
        let kept: Vec<bool> = keys.iter().map(is_there).collect();
        assert_eq!(kept, [true, false, false, false, false, false, false, false, true, true]);
        assert!(is_there(&KEY) && !left.exists() && file.with_extension("1-2.partial").exists());
    }

    #[test]
    fn what_ended_writers_leave_is_bounded() {
        let (_folder, cache, file) = filled();
        for number in 0..100 {
            std::fs::write(file.with_extension(format!("1-{number}.partial")), b"x").unwrap();
        }
        cache.write(&KEY, b"x").unwrap();
        assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), PARTIAL_MAX);
    }

    proptest! {
        #[test]
        fn every_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (_folder, cache, file) = filled();
            let mut octets = std::fs::read(&file).unwrap();
            let at = at.index(octets.len());
            octets[at] ^= 1 << bit;
            std::fs::write(&file, octets).unwrap();
            prop_assert!(matches!(read_all(&cache, &KEY), Cached::Unusable(_)));
        }

        #[test]
        fn whatever_is_there_is_no_panic(octets in prop::collection::vec(any::<u8>(), 0..300), begins in any::<bool>()) {
            let (_folder, cache, file) = filled();
            let octets = if begins { [&MAGIC[..], &VERSION.to_le_bytes(), &octets].concat() } else { octets };
            std::fs::write(&file, octets).unwrap();
            prop_assert!(matches!(read_all(&cache, &KEY), Cached::Unusable(_)));
        }
    }
}
