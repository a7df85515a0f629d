//! The certificates of the encrypted transports: read with the configuration, watched, put in each other's place.
//!
//! A certificate that cannot be used never takes the place of one that can: at a start it is an error, later it
//! is a loud line in the log and nothing changes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::{CertificateFiles, Config, Problem, Problems, Severity};
use crate::load;
use crate::respond::Transport;
use crate::server::{Certificate, Credentials, Part};
use crate::state::rfc3339;
use crate::telemetry::Telemetry;

/// The files: a chain of certificates has some kilobytes.
const PEM_OCTETS_MAX: u64 = 1 << 20;
/// How often the files are looked at. What has changed is read once it is the same twice: those who renew
/// certificates write one file after the other.
const WATCH_INTERVAL: Duration = Duration::from_secs(5);
/// Who renews in time is done long before: even six-day certificates are renewed after three.
const ENDS_SOON: Duration = Duration::from_secs(2 * 86_400);
/// Others than the owner and the group may read it.
const READABLE_FOR_ALL: u32 = 0o004;

/// Two files.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

/// What tells that a file has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    device: u64,
    inode: u64,
    octets: u64,
    modified: Option<SystemTime>,
}

/// What tells that one of two files has changed; `None` for one that is not there.
type Marks = [Option<Mark>; 2];

/// What a pair of files held when it was read.
struct Read {
    pair: Pair,
    marks: Marks,
    credentials: Option<Credentials>,
}

/// The certificates that a configuration names, as they were when it was read.
#[derive(Default)]
pub struct Readings {
    reads: Vec<Read>,
    /// Which transports show which.
    shown: Vec<(Transport, Pair)>,
}

impl Pair {
    fn of(main: &Path, files: &CertificateFiles) -> Pair {
        Pair { certificate: load::beside(main, &files.certificate.0), key: load::beside(main, &files.key.0) }
    }

    fn marks(&self) -> Marks {
        [&self.certificate, &self.key].map(|path| {
            let about = std::fs::metadata(path).ok()?;
            Some(Mark {
                device: about.dev(),
                inode: about.ino(),
                octets: about.len(),
                modified: about.modified().ok(),
            })
        })
    }

    /// Reads both files. What is wrong with them comes out as problems, at the places where they are named.
    fn read(&self, files: Option<&CertificateFiles>, problems: &mut Problems) -> Read {
        let marks = self.marks();
        let at = |part| match part {
            Part::Certificate => (&self.certificate, files.map(|files| files.certificate.1)),
            Part::Key => (&self.key, files.map(|files| files.key.1)),
        };
        let mut bytes = |part| {
            let (path, span) = at(part);
            let hint =
                "paths are relative to the configuration file; the server's user must be able to read them";
            let read = load::read_bytes(path, PEM_OCTETS_MAX);
            read.map_err(|why| {
                problems.error(span, format!("{} cannot be read: {why}", path.display()), hint)
            })
        };
        let (certificate, key) = (bytes(Part::Certificate), bytes(Part::Key));
        let (Ok(certificate), Ok(key)) = (certificate, key) else {
            return Read { pair: self.clone(), marks, credentials: None };
        };
        let credentials = Credentials::from_pem(&certificate, &key).map_err(|unusable| {
            let (path, span) = at(unusable.part);
            problems.error(span, format!("{} {}", path.display(), unusable.problem), unusable.mend);
        });
        let credentials = credentials.ok();
        if let Some(credentials) = &credentials {
            let (path, span) = at(Part::Certificate);
            if let Some(message) = ending(credentials.ends, now()) {
                let hint = "renew it; the files are looked at every few seconds, and a new certificate is taken over";
                problems.warning(span, format!("{} {message}", path.display()), hint);
            }
            let (path, span) = at(Part::Key);
            if std::fs::metadata(path).is_ok_and(|about| about.mode() & READABLE_FOR_ALL != 0) {
                let message = format!("{} may be read by every user of this machine", path.display());
                problems.warning(span, message, "chmod 640, and let its group be that of the server");
            }
        }
        Read { pair: self.clone(), marks, credentials }
    }
}

/// What there is to say about a certificate's end.
fn ending(ends: Option<Duration>, now: Duration) -> Option<String> {
    let ends = ends?;
    match ends.checked_sub(now) {
        None => Some(format!("has ended at {}: clients refuse it", rfc3339(ends))),
        Some(left) if left < ENDS_SOON => {
            Some(format!("ends at {}, in {} hours", rfc3339(ends), left.as_secs() / 3600))
        }
        Some(_) => None,
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Reads every certificate that a configuration names, each once.
pub fn read(main: &Path, config: &Config, problems: &mut Problems) -> Readings {
    let tls = config.tls.as_ref().map(|tls| (Transport::Tls, &tls.files));
    let https = config.https.as_ref().and_then(|https| Some((Transport::Https, https.files.as_ref()?)));
    let quic = config.quic.as_ref().map(|quic| (Transport::Quic, &quic.files));
    let mut readings = Readings::default();
    for (transport, files) in [tls, https, quic].into_iter().flatten() {
        let pair = Pair::of(main, files);
        if !readings.reads.iter().any(|read| read.pair == pair) {
            readings.reads.push(pair.read(Some(files), problems));
        }
        readings.shown.push((transport, pair));
    }
    readings
}

/// One transport's certificate in force.
struct Slot {
    transport: Transport,
    pair: Pair,
    certificate: Arc<Certificate>,
    /// The files as they were when they were last read, whatever came of it.
    tried: Marks,
    /// The files as they were when they were last looked at.
    seen: Marks,
}

/// The certificates in force.
#[derive(Clone)]
pub struct Certificates {
    slots: Arc<Mutex<Vec<Slot>>>,
    telemetry: Arc<Telemetry>,
}

impl Certificates {
    /// Those of a first reading; what could not be read has no place.
    pub fn new(readings: &Readings, telemetry: Arc<Telemetry>) -> Certificates {
        let mut slots = Vec::new();
        for (transport, pair) in &readings.shown {
            let read = readings.reads.iter().find(|read| read.pair == *pair);
            if let Some(Read { marks, credentials: Some(credentials), .. }) = read {
                telemetry.certificate(*transport, credentials.ends);
                slots.push(Slot {
                    transport: *transport,
                    pair: pair.clone(),
                    certificate: Arc::new(Certificate::new(credentials)),
                    tried: *marks,
                    seen: *marks,
                });
            }
        }
        Certificates { slots: Arc::new(Mutex::new(slots)), telemetry }
    }

    /// What a transport shows.
    pub fn of(&self, transport: Transport) -> Option<Arc<Certificate>> {
        self.slots().iter().find(|slot| slot.transport == transport).map(|slot| slot.certificate.clone())
    }

    /// Takes over what a reload has read; the files may be others than before.
    pub fn take_over(&self, readings: &Readings) {
        for slot in self.slots().iter_mut() {
            let shown = readings.shown.iter().find(|(transport, _)| *transport == slot.transport);
            let read = shown.and_then(|(_, pair)| readings.reads.iter().find(|read| read.pair == *pair));
            if let Some(read) = read {
                slot.pair = read.pair.clone();
                self.put(slot, read);
            }
        }
    }

    /// Looks at the files again and again, for as long as the runtime runs.
    pub async fn watch(self) {
        if self.slots().is_empty() {
            return;
        }
        let mut ticks = tokio::time::interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let own = self.clone();
            // A file system that hangs must not hold up the runtime.
            if tokio::task::spawn_blocking(move || own.look()).await.is_err() {
                tracing::error!("looking at the certificates panicked");
            }
        }
    }

    /// Looks at the files once: what has changed since it was last read, and not since the last look, is read.
    fn look(&self) {
        let mut reads: Vec<Read> = Vec::new();
        for slot in self.slots().iter_mut() {
            let marks = slot.pair.marks();
            let settled = std::mem::replace(&mut slot.seen, marks) == marks;
            if marks == slot.tried || !settled {
                continue;
            }
            if !reads.iter().any(|read| read.pair == slot.pair) {
                let mut problems = Problems::default();
                reads.push(slot.pair.read(None, &mut problems));
                problems.0.iter().for_each(tell);
            }
            if let Some(read) = reads.iter().find(|read| read.pair == slot.pair) {
                self.put(slot, read);
            }
        }
    }

    /// Shows what was read, if it can be shown and is not what is shown already.
    fn put(&self, slot: &mut Slot, read: &Read) {
        let changed = std::mem::replace(&mut slot.tried, read.marks) != read.marks;
        let (transport, file) = (slot.transport.label(), slot.pair.certificate.display());
        match &read.credentials {
            Some(credentials) => {
                slot.certificate.replace(credentials);
                self.telemetry.certificate(slot.transport, credentials.ends);
                if changed {
                    let ends = credentials.ends.map(rfc3339);
                    tracing::info!(transport, %file, ends, "a new certificate is in force");
                }
            }
            None => {
                self.telemetry.certificate_refused();
                tracing::error!(transport, %file, "the new certificate cannot be used: the old one stays");
            }
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says which files the user that the process has become cannot read: those it could not renew.
    pub fn tell_unreadable(&self) {
        let slots = self.slots();
        // Transports may share them.
        let files: BTreeSet<_> =
            slots.iter().flat_map(|slot| [&slot.pair.certificate, &slot.pair.key]).collect();
        for path in files {
            if let Err(error) = std::fs::File::open(path) {
                tracing::warn!(
                    %error,
                    file = %path.display(),
                    "this user cannot read it: a renewed certificate will be refused"
                );
            }
        }
    }
}

fn tell(problem: &Problem) {
    let hint = problem.hint.as_deref().unwrap_or_default();
    match problem.severity {
        Severity::Error => tracing::error!(hint, "{}", problem.message),
        Severity::Warning => tracing::warn!(hint, "{}", problem.message),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    /// Two files in a folder, and certificates of TLS and QUIC made from them.
    struct World {
        _folder: tempfile::TempDir,
        pair: Pair,
        certificates: Certificates,
    }

    fn write(pair: &Pair) -> String {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["a.test".to_owned()]).unwrap();
        // Renamed into place: the clock of a file system may stand still between two writes.
        for (path, text) in [(&pair.certificate, cert.pem()), (&pair.key, signing_key.serialize_pem())] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, path).unwrap();
        }
        signing_key.serialize_pem()
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let pair = Pair { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
        write(&pair);
        let mut problems = Problems::default();
        let reads = vec![pair.read(None, &mut problems)];
        assert!(!problems.has_errors());
        let shown = vec![(Transport::Tls, pair.clone()), (Transport::Quic, pair.clone())];
        let certificates = Certificates::new(&Readings { reads, shown }, Arc::default());
        World { _folder: folder, pair, certificates }
    }

    #[test]
    fn changed_files_are_read_once_they_have_settled() {
        let World { _folder, pair, certificates } = world();
        let shown = |transport| certificates.of(transport).unwrap().fingerprint();
        let first = shown(Transport::Tls);
        assert_eq!(first, shown(Transport::Quic));
        assert!(certificates.of(Transport::Https).is_none());
        certificates.look();
        assert_eq!(shown(Transport::Tls), first);
        write(&pair);
        certificates.look();
        assert_eq!(shown(Transport::Tls), first, "it may still be written");
        certificates.look();
        assert_ne!(shown(Transport::Tls), first);
        assert_eq!(shown(Transport::Tls), shown(Transport::Quic));
    }

    #[test]
    fn a_bad_certificate_never_takes_the_place_of_a_good_one() {
        let World { _folder, pair, certificates } = world();
        let first = certificates.of(Transport::Tls).unwrap().fingerprint();
        let key = write(&pair);
        for (certificate, key) in
            [(Some("not a certificate"), Some(key.as_str())), (None, Some("x")), (None, None)]
        {
            match certificate {
                Some(text) => std::fs::write(&pair.certificate, text).unwrap(),
                None => drop(std::fs::remove_file(&pair.certificate)),
            }
            match key {
                Some(text) => std::fs::write(&pair.key, text).unwrap(),
                None => drop(std::fs::remove_file(&pair.key)),
            }
            certificates.look();
            certificates.look();
            assert_eq!(certificates.of(Transport::Tls).unwrap().fingerprint(), first);
        }
        write(&pair);
        certificates.look();
        certificates.look();
        assert_ne!(certificates.of(Transport::Tls).unwrap().fingerprint(), first);
    }

    #[test]
    fn the_end_is_told_in_time() {
        let day = Duration::from_secs(86_400);
        assert_eq!(ending(None, day), None);
        assert_eq!(ending(Some(10 * day), day), None);
        assert_eq!(ending(Some(2 * day), day).unwrap(), "ends at 1970-01-03T00:00:00.000Z, in 24 hours");
        assert!(ending(Some(day), 2 * day).unwrap().starts_with("has ended at 1970-01-02"));
    }
}
