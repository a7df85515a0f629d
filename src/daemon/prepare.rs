//! From files to something that can be put in force: the one path that a start, a reload and a check
//! take.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use super::certificates::{self, Readings};
use super::locations::{EarlierMaps, LocationFiles, Reader};
use super::maps::{self, Unkept};
use super::progress::Progress;
use super::remember;
use super::secondaries::{Carried, InMemory, carry};
use super::shield;
use super::signing::came;
use crate::compile::floors::{self, FloorShare};
use crate::compile::secondary::recipes;
use crate::compile::{Inputs, ZoneReading, compile};
use crate::config::{self, Config, Https, Problems, Quic, Sources, Style};
use crate::health::BoardLimits;
use crate::ids::CounterId;
use crate::load;
use crate::probe::ProbeLimits;
use crate::refresh::Store;
use crate::view::Snapshot;
use crate::zone::Validity;

/// Where configurations come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// The main file.
    pub path: PathBuf,
}

/// A configuration that can be put in force.
pub struct Prepared {
    /// What was written.
    pub config: Config,
    /// What it was compiled to.
    pub snapshot: Arc<Snapshot>,
    /// Warnings as text; empty when there are none.
    pub warnings: String,
    /// The zones from primaries, with what there is of them.
    pub carried: Vec<Carried>,
    /// What the location maps were made from.
    files: Arc<LocationFiles>,
    /// The maps that a next start need not make.
    unkept: Unkept,
    /// The certificates of the encrypted transports.
    pub certificates: Readings,
    /// What is wrong with them, where that does not keep the rest from being put in force.
    pub certificate_problems: String,
}

/// A reading of the configuration: every problem, and what came of it where none of them forbids.
pub struct Reading {
    /// The texts that were read.
    pub sources: Sources,
    /// What is wrong with them.
    pub problems: Problems,
    /// `None` exactly where a problem is an error.
    pub prepared: Option<Prepared>,
    /// What is wrong with certificates: an error among these keeps nothing but the certificate from being put in
    /// force, unless the reading is taken strictly.
    pub certificate_problems: Problems,
}

/// A configuration that was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Every problem, as text.
    pub problems: String,
}

/// Threads that zones are read on: each holds what one zone takes while it is read.
const THREADS_MAX: usize = 16;

impl Source {
    /// Reads, checks and compiles everything. `counter` gives out counters by service and endpoint.
    pub fn read(
        &self,
        generation: u64,
        earlier: &EarlierMaps,
        counter: &mut dyn FnMut(&str, &str) -> CounterId,
    ) -> Reading {
        let loaded = load::configuration(&self.path);
        let (mut sources, mut problems) = (loaded.sources, loaded.problems);
        let mut certificate_problems = Problems::default();
        let certificates = loaded.config.as_ref().map_or_else(Readings::default, |config| {
            certificates::read(&self.path, config, &mut certificate_problems)
        });
        let prepared = loaded.config.and_then(|config| {
            self.compile(config, &mut sources, generation, earlier, counter, &mut problems)
        });
        let prepared = prepared.map(|prepared| Prepared { certificates, ..prepared });
        Reading { sources, problems, prepared, certificate_problems }
    }

    fn compile(
        &self,
        mut config: Config,
        sources: &mut Sources,
        generation: u64,
        earlier: &EarlierMaps,
        counter: &mut dyn FnMut(&str, &str) -> CounterId,
        problems: &mut Problems,
    ) -> Option<Prepared> {
        let state = remember::place(&config.server.state, &self.path);
        let cache = maps::cache(state.as_deref(), config.geoip.is_cached);
        let mut locations = Reader::new(&self.path, &config.geoip, earlier, cache, sources);
        let mut progress = Progress::new("compiling the location map");
        let inputs = Inputs {
            sources,
            locations: &mut locations,
            zones: ZoneReading { earlier: earlier.snapshot.as_deref(), spread: &on_threads },
            generation,
            counter,
            progress: &mut |done, total| progress.at(done, total),
        };
        let (snapshot, found) = compile(&config, inputs);
        problems.0.extend(locations.problems().0);
        problems.0.extend(found.0);
        let mut snapshot = snapshot.filter(|_| !problems.has_errors())?;
        snapshot.responder.protection = shield::protection(&config, earlier.limiter.as_ref());
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        came::warn(&config, &snapshot, since.as_secs() as u32, problems);
        let warnings = config::text(sources, problems, Style::Plain);
        let (files, unkept) = locations.into_files();
        let files = Arc::new(files);
        config.forget_names();
        let (certificates, certificate_problems) = (Readings::default(), String::new());
        let snapshot = Arc::new(snapshot);
        Some(Prepared {
            carried: Vec::new(),
            config,
            snapshot,
            warnings,
            files,
            unkept,
            certificates,
            certificate_problems,
        })
    }

    /// What the scope floors of a reading cost (E6); compiles it once more, without them.
    pub fn floor_shares(&self, reading: &Reading) -> Vec<FloorShare> {
        let Some(prepared) = &reading.prepared else { return Vec::new() };
        let plain = floors::without(&prepared.config);
        if plain.services == prepared.config.services {
            return Vec::new();
        }
        let (mut sources, mut problems) = (reading.sources.clone(), Problems::default());
        let snapshot = Some(Arc::clone(&prepared.snapshot));
        let earlier = EarlierMaps { snapshot, ..EarlierMaps::default() };
        let plain = self.compile(plain, &mut sources, 1, &earlier, &mut |_, _| CounterId(0), &mut problems);
        plain.map_or_else(Vec::new, |plain| floors::shares(&prepared.snapshot, &plain.snapshot))
    }
}

/// Runs parts on as many threads as there are cores.
fn on_threads(parts: usize, part: &(dyn Fn(usize) + Sync)) {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(THREADS_MAX).min(parts);
    let next = AtomicUsize::new(0);
    let work = || {
        let next = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < parts);
        std::iter::from_fn(next).for_each(part);
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}

impl Prepared {
    /// What a board for it is held to.
    pub fn board_limits(&self) -> BoardLimits {
        BoardLimits { under_way_max: self.config.probes.concurrency_max }
    }

    /// What a prober for it is held to.
    pub fn probe_limits(&self) -> ProbeLimits {
        ProbeLimits {
            concurrency_max: self.config.probes.concurrency_max,
            allow_loopback: self.config.probes.allow_loopback,
        }
    }

    /// Finds the data of zones that come from primaries, and puts what is made of them into the snapshot.
    pub fn carry_zones(&mut self, memory: &InMemory, store: Option<&Store>) {
        let recipes = recipes(&self.config, &self.snapshot);
        let (carried, mut replacements) = carry(recipes, memory, store);
        for replacement in &mut replacements {
            let of_zone = carried.iter().find(|carried| carried.recipe.id == replacement.id);
            if of_zone.is_some_and(|carried| carried.has_expired()) {
                replacement.validity = Validity::Expired;
            }
        }
        if !replacements.is_empty() {
            self.snapshot = Arc::new(self.snapshot.with_zones(&replacements));
        }
        self.carried = carried;
    }

    /// Its maps, for the next reading.
    pub fn maps(&self) -> EarlierMaps {
        let maps = self.snapshot.maps.iter().map(|(map, _)| map.clone()).collect();
        EarlierMaps {
            files: Some(Arc::clone(&self.files)),
            maps,
            limiter: self.snapshot.responder.protection.limiter.clone(),
            snapshot: Some(Arc::clone(&self.snapshot)),
        }
    }

    /// Has the maps kept for a next start: call it when answers no longer wait.
    pub fn keep_maps(&mut self) {
        std::mem::take(&mut self.unkept).keep_beside();
    }

    /// What its maps were made from, to be asked again.
    pub fn location_files(&self) -> Arc<LocationFiles> {
        Arc::clone(&self.files)
    }
}

impl Reading {
    /// The same, refused where a certificate cannot be used: for a start, which has no other to show.
    pub fn strict(mut self) -> Reading {
        self.problems.0.append(&mut self.certificate_problems.0);
        self.prepared = self.prepared.filter(|_| !self.problems.has_errors());
        if let Some(prepared) = &mut self.prepared {
            prepared.warnings = config::text(&self.sources, &self.problems, Style::Plain);
        }
        self
    }

    /// What can be put in force, or every problem as text.
    ///
    /// # Errors
    /// When a problem is an error.
    pub fn outcome(self) -> Result<Prepared, Refused> {
        let text = |problems| config::text(&self.sources, problems, Style::Plain);
        match self.prepared {
            Some(prepared) => {
                Ok(Prepared { certificate_problems: text(&self.certificate_problems), ..prepared })
            }
            None => Err(Refused { problems: text(&self.problems) }),
        }
    }
}

/// The settings that have changed and that a running process keeps until it is restarted.
pub fn needs_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (was, is) = (&old.server, &new.server);
    let settings = [
        ("server.listen", was.listen != is.listen),
        ("server.proxies", was.proxies != is.proxies),
        ("server.workers", was.workers != is.workers),
        ("server.user", was.user != is.user),
        ("server.group", was.group != is.group),
        ("server.state", was.state != is.state),
        ("server.tcp_connections", was.tcp_connections_max != is.tcp_connections_max),
        (
            "server.tcp_connections_per_client",
            was.tcp_connections_per_client_max != is.tcp_connections_per_client_max,
        ),
        ("server.tcp_idle_timeout", was.tcp_idle_timeout != is.tcp_idle_timeout),
        ("server.tcp_message_timeout", was.tcp_message_timeout != is.tcp_message_timeout),
        ("tls", differs(&old.tls, &new.tls, |tls| (tls.listen.clone(), tls.limits))),
        ("https", differs(&old.https, &new.https, https_in_force)),
        ("quic", differs(&old.quic, &new.quic, quic_in_force)),
        ("the first monitor with exec", !old.runs_commands() && new.runs_commands()),
        ("control.listen", old.control.listen != new.control.listen),
    ];
    settings.into_iter().filter(|(_, changed)| *changed).map(|(name, _)| name).collect()
}

/// Whether a transport has been switched on or off, or what it is held to has changed. Other files of a
/// certificate are taken over at once.
fn differs<T, U: PartialEq>(old: &Option<T>, new: &Option<T>, in_force: impl Fn(&T) -> U) -> bool {
    old.as_ref().map(&in_force) != new.as_ref().map(&in_force)
}

fn https_in_force(https: &Https) -> impl PartialEq + use<> {
    Https { files: None, ..https.clone() }
}

fn quic_in_force(quic: &Quic) -> impl PartialEq + use<> {
    (quic.listen.clone(), quic.http3_listen.clone(), quic.idle_timeout)
}
