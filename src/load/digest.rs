//! What is in a file, as one number: SHA-256 over parts, which several threads take.

use std::fs::OpenOptions;
use std::num::NonZero;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::spell;

/// The digest of a file or of octets in memory: equal for equal octets.
pub type Digest = [u8; 32];

/// What one thread takes at once.
const PART_OCTETS: u64 = 2 << 20;
/// What is read at once, so that a digest needs no memory to speak of.
const READ_OCTETS: usize = 256 << 10;
/// More threads do not read faster.
const THREADS_MAX: usize = 4;

/// The digest of a file. It is read, never mapped, and never whole.
///
/// # Errors
/// One line without the file's name: it cannot be read, or it was cut short meanwhile.
pub fn digest_of_file(path: &Path) -> Result<Digest, String> {
    // A pipe would hold up who opens it.
    let mut how = OpenOptions::new();
    let file = how.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(|error| spell(&error))?;
    let about = file.metadata().map_err(|error| spell(&error))?;
    if !about.is_file() {
        return Err("it is not a file".to_owned());
    }
    digest(about.len(), &|start, octets| {
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; READ_OCTETS];
        let mut left = octets;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(READ_OCTETS).min(READ_OCTETS);
            let Some(chunk) = buffer.get_mut(..wanted) else { break };
            file.read_exact_at(chunk, start + (octets - left)).map_err(|error| spell(&error))?;
            context.update(chunk);
            left -= wanted as u64;
        }
        Ok(finish(context))
    })
}

/// The digest of octets in memory: that of a file that holds them.
pub fn digest_of_octets(octets: &[u8]) -> Digest {
    let part = |start: u64, length: u64| -> Result<Digest, String> {
        let part = octets.get(start as usize..(start + length) as usize).unwrap_or(&[]);
        let mut context = Context::new(&SHA256);
        context.update(part);
        Ok(finish(context))
    };
    // No part of octets in memory fails.
    digest(octets.len() as u64, &part).unwrap_or_default()
}

/// Puts the digests of all parts together.
fn digest(octets: u64, part: &(dyn Fn(u64, u64) -> Result<Digest, String> + Sync)) -> Result<Digest, String> {
    let count = octets.div_ceil(PART_OCTETS);
    let next = AtomicU64::new(0);
    let done = Mutex::new(vec![Ok(Digest::default()); usize::try_from(count).unwrap_or_default()]);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let start = number * PART_OCTETS;
            let digested = part(start, PART_OCTETS.min(octets - start));
            if let Some(slot) = done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number as usize) {
                *slot = digested;
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count as usize) {
            // One thread less is only slower.
            let _ = std::thread::Builder::new().name("digest".to_owned()).spawn_scoped(scope, work);
        }
        work();
    });
    let mut context = Context::new(&SHA256);
    context.update(&octets.to_le_bytes());
    for part in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        context.update(&part?);
    }
    Ok(finish(context))
}

fn finish(context: Context) -> Digest {
    // SHA-256 has 32 octets.
    context.finish().as_ref().try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_and_memory_agree_and_every_octet_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut seen = std::collections::HashSet::new();
        for length in [0, 1, PART_OCTETS as usize - 1, PART_OCTETS as usize, 2 * PART_OCTETS as usize + 77] {
            let mut octets: Vec<u8> = (0..length).map(|number| (number % 251) as u8).collect();
            std::fs::write(&path, &octets).unwrap();
            assert_eq!(digest_of_file(&path).unwrap(), digest_of_octets(&octets));
            assert!(seen.insert(digest_of_octets(&octets)));
            for (bit, at) in [0, length / 2, length.saturating_sub(1)].into_iter().enumerate() {
                if let Some(octet) = octets.get_mut(at) {
                    *octet ^= 1 << bit;
                    assert!(seen.insert(digest_of_octets(&octets)), "{length} {at}");
                }
            }
        }
        assert!(digest_of_file(folder.path()).is_err());
        assert!(digest_of_file(&folder.path().join("none")).is_err());
    }
}
