//! Signed zones in the daemon: whose keys are where, when what is signed anew, and what it came to.
//!
//! The heavy part, a whole zone, is signed beside the loop ([`Work`]); what health brings afterwards, a few
//! answers, is signed before the view that needs them is published. Where signing fails nothing is published:
//! what was signed before stays in force.

pub mod came;
mod report;
mod settings;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, ZoneDnssec};
use crate::dnssec::ring::{KeyId, Role, Times};
use crate::dnssec::{Signed, SigningFailed};
use crate::ids::ZoneId;
use crate::keys::{KeyProblem, Keyring, NotDone, RingVersion};
use crate::now::Now;
use crate::view::View;
use crate::wire::name_text;
use crate::zone::{Validity, Zone};

pub use report::{KeyStatus, SignedStatus, spell, to_do};
use settings::Place;
pub use settings::{places, settings as settings_of};
pub use work::{Based, Work};
use work::{KEY_TTL_S, Material};

/// Key files are looked at this often: what is wrong with them is told long before a restart needs them.
const FILES_INTERVAL: Duration = Duration::from_secs(60);
/// What has failed is tried again after this.
const RETRY_INTERVAL: Duration = Duration::from_secs(30);

/// The signed zones of a configuration.
#[derive(Default)]
pub struct Signing {
    /// By origin: zones of one origin that classes of clients see differently share their keys.
    rings: BTreeMap<String, Looked>,
    /// By [`ZoneId`] of the configuration; `None`: not signed here.
    zones: Vec<Option<SignedZone>>,
    /// Signatures that were wanted and not made since the start.
    failures: u64,
    files_checked: Duration,
}

/// A keyring, and what is wrong with it.
struct Looked {
    keyring: Keyring,
    /// What is wrong with its files: memory goes on.
    trouble: Option<String>,
}

struct SignedZone {
    /// The key of `rings`.
    origin: String,
    /// Whether clients of a class see it: the class's name.
    class: Option<String>,
    written: ZoneDnssec,
    base: Option<Based>,
    /// Since when work on it is under way.
    working: bool,
    /// When work that failed is tried again, and why it failed.
    failed: Option<(Duration, String)>,
    /// What caches may go by.
    times: Times,
    /// What `times` was computed from.
    measured: Option<Arc<Zone>>,
}

/// Keyrings of a configuration that is not yet in force.
#[derive(Default)]
pub struct Opened(BTreeMap<String, Keyring>);

impl Signing {
    /// Opens the keyrings that a configuration needs beyond those that are open, and makes the keys of zones that
    /// have none. Nothing that is in force changes.
    ///
    /// # Errors
    /// Every problem that keeps a zone from being signed.
    pub fn open(&self, config: &Config, path: &Path, now: Now) -> Result<Opened, Vec<KeyProblem>> {
        let mut opened = Opened::default();
        let mut problems = Vec::new();
        for Place { settings, .. } in settings::places(config, path) {
            let known = self.rings.get(&settings.origin).map(|looked| looked.keyring.settings());
            if opened.0.contains_key(&settings.origin)
                || known.is_some_and(|known| (&known.folder, known.care) == (&settings.folder, settings.care))
            {
                continue;
            }
            match found(settings, now) {
                Ok(keyring) => _ = opened.0.insert(keyring.settings().origin.clone(), keyring),
                Err(problem) => problems.push(problem),
            }
        }
        for Place { settings, .. } in settings::places(config, path) {
            let open = self.rings.get(&settings.origin).filter(|_| !opened.0.contains_key(&settings.origin));
            problems.extend(open.and_then(|looked| looked.keyring.fits(&settings).err()));
        }
        if problems.is_empty() { Ok(opened) } else { Err(problems) }
    }

    /// Goes by a configuration from now on; its zones have the bases that were made for them. What is wrong
    /// with key files comes back in lines, for whoever asked for the reload.
    pub fn take_over(
        &mut self,
        config: &Config,
        path: &Path,
        opened: Opened,
        bases: Vec<Option<Based>>,
        now: Now,
    ) -> Vec<String> {
        let mut bases = bases.into_iter();
        let mut rings = std::mem::take(&mut self.rings);
        for (origin, keyring) in opened.0 {
            rings.insert(origin, Looked { keyring, trouble: None });
        }
        self.zones = settings::all(config, path)
            .map(|place| {
                let base = bases.next().flatten();
                let Place { settings, class, written } = place?;
                let origin = settings.origin.clone();
                if let Some(mut looked) = rings.remove(&origin) {
                    if let Err(problem) = looked.keyring.resettle(settings) {
                        looked.trouble = Some(problem.to_string());
                    }
                    self.rings.insert(origin.clone(), looked);
                }
                Some(SignedZone {
                    origin,
                    class,
                    written,
                    base,
                    working: false,
                    failed: None,
                    times: NO_TIMES,
                    measured: None,
                })
            })
            .collect();
        // Those that are left are of zones that are signed no more: dropping them lets go of their files.
        drop(rings);
        // A reload is when people look: so do we.
        self.files_checked = Duration::ZERO;
        self.look_at_files(now);
        let troubled =
            self.rings.iter().filter_map(|(origin, looked)| Some((origin, looked.trouble.as_ref()?)));
        troubled.map(|(origin, trouble)| format!("the keys of {origin}: {trouble}")).collect()
    }

    /// Whether any zone is signed here.
    pub fn is_idle(&self) -> bool {
        self.zones.iter().all(Option::is_none)
    }

    /// The work of signing every zone of a configuration that is not yet in force, for another thread.
    pub fn first_work(
        &self,
        config: &Config,
        path: &Path,
        opened: &Opened,
    ) -> Result<Vec<(ZoneId, Work)>, KeyProblem> {
        let mut all = Vec::new();
        for (number, place) in settings::all(config, path).enumerate() {
            let Some(Place { settings, class, written }) = place else { continue };
            let open = opened.0.get(&settings.origin);
            let keyring = open.or(self.rings.get(&settings.origin).map(|looked| &looked.keyring));
            let Some(keyring) = keyring else { continue };
            let material = Material::new(keyring, &written)?;
            let same = |own: &&SignedZone| (&own.origin, &own.class) == (&settings.origin, &class);
            let previous = self.zones.iter().flatten().find(same).and_then(|own| own.base.clone());
            all.push((ZoneId(number as u32), Work { material, previous, written }));
        }
        Ok(all)
    }

    /// Lets time pass: rings go on, and what is due comes back as work for another thread.
    pub fn poll(&mut self, view: &View, now: Now) -> Vec<(ZoneId, Work)> {
        self.look_at_files(now);
        self.measure(view);
        for (origin, looked) in &mut self.rings {
            let times = self.zones.iter().flatten().filter(|own| own.origin == *origin).map(|own| own.times);
            let Some(times) = times.reduce(Times::max) else { continue };
            let before = looked.keyring.version();
            if let Err(problem) = looked.keyring.poll(times, now) {
                complain(&mut looked.trouble, origin, &problem);
            }
            if looked.keyring.version() != before {
                tell_keys(origin, &looked.keyring, times, now);
            }
        }
        let mut due = Vec::new();
        for (number, own) in self.zones.iter_mut().enumerate() {
            let Some(own) = own else { continue };
            let (id, looked) = (ZoneId(number as u32), self.rings.get(&own.origin));
            let (Some(looked), Some(zone)) = (looked, signable(view, id)) else { continue };
            if own.working || !own.is_due(&looked.keyring, zone, now) {
                continue;
            }
            match Material::new(&looked.keyring, &own.written) {
                Ok(material) => {
                    own.working = true;
                    let (previous, written) = (own.base.clone(), own.written.clone());
                    due.push((id, Work { material, previous, written }));
                }
                Err(problem) => own.fail(&problem.to_string(), &mut self.failures, now),
            }
        }
        due
    }

    /// Takes in what came of work on a zone. True: a view with it should be published.
    pub fn done(&mut self, id: ZoneId, based: Result<Based, SigningFailed>, now: Now) -> bool {
        let Some(own) = self.zones.get_mut(id.index()).and_then(Option::as_mut) else { return false };
        own.working = false;
        let based = match based {
            Ok(based) => based,
            Err(SigningFailed) => {
                own.fail("the private key refuses to sign", &mut self.failures, now);
                return false;
            }
        };
        let Some(looked) = self.rings.get_mut(&own.origin) else { return false };
        match settle(&mut looked.keyring, based, now) {
            Ok(based) => {
                own.failed = None;
                tell_signed(&own.origin, &based);
                own.base = Some(based);
                true
            }
            Err(why) => {
                own.fail(&why, &mut self.failures, now);
                false
            }
        }
    }

    /// What came of [`Signing::first_work`], with the serials of a configuration that is about to be in force.
    pub fn settle(
        &mut self,
        (config, path): (&Config, &Path),
        opened: &mut Opened,
        mut bases: Vec<Option<Based>>,
        now: Now,
    ) -> Result<Vec<Option<Based>>, String> {
        for (place, base) in settings::all(config, path).zip(&mut bases) {
            let (Some(place), Some(own)) = (place, base.take()) else { continue };
            let open = opened.0.get_mut(&place.settings.origin);
            let keyring =
                open.or(self.rings.get_mut(&place.settings.origin).map(|looked| &mut looked.keyring));
            let Some(keyring) = keyring else { continue };
            *base = Some(settle(keyring, own, now)?);
        }
        Ok(bases)
    }

    /// A view with what was settled for its zones, and with what health has brought.
    ///
    /// # Errors
    /// When a key refuses.
    pub fn sign_with(
        bases: Vec<Option<Based>>,
        view: View,
        now: Now,
    ) -> Result<(View, Vec<Option<Based>>), String> {
        let mut all = Vec::with_capacity(bases.len());
        for (number, base) in bases.into_iter().enumerate() {
            let id = ZoneId(number as u32);
            let base = base.map(|base| base.with_answers(&view, id, now).map(|(based, _)| based)).transpose();
            all.push(
                base.map_err(|SigningFailed| format!("the zone {} cannot be signed", origin_of(&view, id)))?,
            );
        }
        let signed: Vec<_> =
            all.iter().map(|base| base.as_ref().map(|base| Arc::clone(&base.signed))).collect();
        let view = if signed.is_empty() { view } else { view.with_signed(&signed) };
        Ok((view, all))
    }

    /// The view with all that it can answer signed. The zones' own data was signed before; what health has
    /// brought is signed here.
    ///
    /// # Errors
    /// When that fails: the view must not be published, or a signed zone would answer without signatures.
    pub fn sign(&mut self, view: View, now: Now) -> Result<View, String> {
        if self.is_idle() {
            return Ok(view);
        }
        let mut signed: Vec<Option<Arc<Signed>>> = Vec::with_capacity(self.zones.len());
        for (number, own) in self.zones.iter_mut().enumerate() {
            let id = ZoneId(number as u32);
            let (Some(own), Some(zone)) = (own, signable(&view, id)) else {
                signed.push(None);
                continue;
            };
            let Some(looked) = self.rings.get_mut(&own.origin) else { return Err(no_keys(&own.origin)) };
            let fresh = match &own.base {
                Some(base) if Arc::ptr_eq(base.signed.zone(), zone) => base.with_answers(&view, id, now),
                // Another zone has come in its place, from its primary.
                other => {
                    let material = Material::new(&looked.keyring, &own.written)
                        .map_err(|problem| problem.to_string())?;
                    let (previous, written) = (other.clone(), own.written.clone());
                    let work = Work { material, previous, written };
                    work.run(&view, id, now)
                        .and_then(|based| based.ok_or(SigningFailed))
                        .map(|based| (based, Fresh::Whole))
                }
            };
            let (based, fresh) = fresh.map_err(|SigningFailed| {
                own.fail("the private key refuses to sign", &mut self.failures, now);
                format!("{} cannot be signed: the private key refuses", own.origin)
            })?;
            let based = match fresh {
                Fresh::Answers => based,
                Fresh::Whole => settle(&mut looked.keyring, based, now)?,
            };
            signed.push(Some(Arc::clone(&based.signed)));
            own.base = Some(based);
        }
        Ok(view.with_signed(&signed))
    }

    /// A view that [`Signing::sign`] gave is in force.
    pub fn in_force(&mut self, view: &View, now: Now) {
        let mut versions: BTreeMap<&str, Vec<RingVersion>> = BTreeMap::new();
        for (number, own) in self.zones.iter().enumerate() {
            let (Some(own), Some(signed)) = (own, view.signed(ZoneId(number as u32))) else { continue };
            let Some(base) = &own.base else { continue };
            if Arc::ptr_eq(&base.signed, signed) {
                versions.entry(&own.origin).or_default().push(base.material.version);
            }
        }
        for (origin, versions) in versions {
            let signed = self.zones.iter().flatten().filter(|own| own.origin == origin).count();
            // All that share the keys, or it is not in force.
            let (Some(first), Some(looked)) = (versions.first().copied(), self.rings.get_mut(origin)) else {
                continue;
            };
            if versions.len() == signed && versions.iter().all(|version| *version == first) {
                looked.keyring.in_force(first, now);
            }
        }
    }

    /// Begins a roll-over.
    ///
    /// # Errors
    /// A line that says why not.
    pub fn roll(&mut self, origin: &str, role: Role, now: Now) -> Result<KeyId, NotAsked> {
        self.ring(origin)?.roll(role, now).map_err(NotAsked::NotDone)
    }

    /// The parent has the announced DS.
    ///
    /// # Errors
    /// A line that says why not.
    pub fn ds_seen(&mut self, origin: &str, now: Now) -> Result<KeyId, NotAsked> {
        self.ring(origin)?.ds_seen(now).map_err(NotAsked::NotDone)
    }

    fn ring(&mut self, origin: &str) -> Result<&mut Keyring, NotAsked> {
        let looked = self.rings.get_mut(origin).ok_or_else(|| NotAsked::NotSigned(origin.to_owned()))?;
        match looked.keyring.settings().care {
            crate::keys::Care::Ours => Ok(&mut looked.keyring),
            _ => Err(NotAsked::Elsewhere),
        }
    }

    fn look_at_files(&mut self, now: Now) {
        let due = self.files_checked == Duration::ZERO;
        if !due && now.monotonic < self.files_checked.saturating_add(FILES_INTERVAL) {
            return;
        }
        self.files_checked = now.monotonic.max(Duration::from_nanos(1));
        for (origin, looked) in &mut self.rings {
            let checked = looked.keyring.follow().and_then(|()| looked.keyring.check_files());
            match checked {
                Ok(()) if looked.trouble.take().is_some() => {
                    tracing::info!(zone = origin, "the key files are as they should be again");
                }
                Ok(()) => {}
                Err(problem) => complain(&mut looked.trouble, origin, &problem),
            }
        }
    }

    /// The TTLs that caches go by, where a zone is another one than before.
    fn measure(&mut self, view: &View) {
        for (number, own) in self.zones.iter_mut().enumerate() {
            let id = ZoneId(number as u32);
            let (Some(own), Some(zone)) = (own, signable(view, id)) else { continue };
            if own.measured.as_ref().is_some_and(|measured| Arc::ptr_eq(measured, zone)) {
                continue;
            }
            own.times = Times {
                dnskey_ttl: Duration::from_secs(u64::from(KEY_TTL_S)),
                zone_ttl_max: work::ttl_max(view, zone),
                propagation: own.written.propagation_delay,
                parent_ds: own.written.parent_ds_ttl,
            };
            own.measured = Some(Arc::clone(zone));
        }
    }
}

/// What of a zone was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fresh {
    /// Signatures of what services answer, at most.
    Answers,
    /// Everything that was not good any more.
    Whole,
}

/// Why keys were not touched.
#[derive(Debug)]
pub enum NotAsked {
    /// The zone is not signed here.
    NotSigned(String),
    /// Another node looks after them.
    Elsewhere,
    /// The ring, or a file, is against it.
    NotDone(NotDone),
}

impl std::fmt::Display for NotAsked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NotAsked::NotSigned(origin) => write!(f, "the zone {origin} is not signed here"),
            NotAsked::Elsewhere => {
                f.write_str("another node looks after the keys ([dnssec] managed = \"elsewhere\"): ask there")
            }
            NotAsked::NotDone(why) => write!(f, "{why}"),
        }
    }
}

impl SignedZone {
    /// Whether its signatures, or its keys, are no longer those that should be.
    fn is_due(&self, keyring: &Keyring, zone: &Arc<Zone>, now: Now) -> bool {
        if self.failed.as_ref().is_some_and(|(again, _)| now.monotonic < *again) {
            return false;
        }
        let Some(base) = &self.base else { return true };
        !Arc::ptr_eq(base.signed.zone(), zone)
            || base.material.version != keyring.version()
            || base.is_due(self.written.refresh, now)
    }

    fn fail(&mut self, why: &str, failures: &mut u64, now: Now) {
        *failures += 1;
        let until = self.base.as_ref().and_then(|base| base.expires_first_s);
        tracing::error!(
            zone = self.origin,
            signatures_end_s = until,
            "signing has failed, what was signed before stays in force: {why}"
        );
        self.failed = Some((now.monotonic.saturating_add(RETRY_INTERVAL), why.to_owned()));
    }
}

/// A keyring with keys: where there are none they are made.
fn found(settings: crate::keys::Settings, now: Now) -> Result<Keyring, KeyProblem> {
    let mut keyring = Keyring::open(settings, now)?;
    if !keyring.is_empty() {
        return Ok(keyring);
    }
    let (origin, folder) = (&keyring.settings().origin, keyring.settings().folder.clone());
    if keyring.settings().care != crate::keys::Care::Ours {
        let problem = format!("there are no keys of {origin}");
        return Err(KeyProblem::new(
            &folder,
            problem,
            "copy the key folder from the node that looks after it",
        ));
    }
    keyring.found(now)?;
    tracing::info!(
        zone = keyring.settings().origin,
        folder = %folder.display(),
        "keys were made: there were none. Keep a copy of the folder"
    );
    Ok(keyring)
}

/// The serial that goes with content that has changed, kept before it is served.
fn settle(keyring: &mut Keyring, based: Based, now: Now) -> Result<Based, String> {
    let Some(file) = based.serial_to_raise() else { return Ok(based) };
    let serial = keyring.raise_serial(file, now).map_err(|problem| problem.to_string())?;
    based.with_serial(serial, now).map_err(|SigningFailed| "the private key refuses to sign".to_owned())
}

/// A zone of the view that can be signed: it has data, and did not come signed.
fn signable(view: &View, id: ZoneId) -> Option<&Arc<Zone>> {
    let catalog = &view.snapshot.catalog;
    let zone = catalog.zones().get(id.index())?;
    (catalog.validity(id) != Validity::Missing && zone.soa().is_some()).then_some(zone)
}

/// A zone that is to be signed here and came with signatures.
pub fn signed_twice(prepared: &super::Prepared, path: &Path) -> Option<String> {
    let came = prepared.snapshot.signed.iter().map(Option::is_some);
    let twice =
        settings::all(&prepared.config, path).zip(came).find(|(place, came)| place.is_some() && *came);
    twice.and_then(|(place, _)| Some(place?.settings.origin))
}

/// What a zone of a view is called.
pub fn origin_of(view: &View, id: ZoneId) -> String {
    view.snapshot.catalog.zone(id).map_or_else(String::new, |zone| name_text(zone.origin().octets()))
}

fn no_keys(origin: &str) -> String {
    format!("the zone {origin} has no keys")
}

fn complain(trouble: &mut Option<String>, origin: &str, problem: &KeyProblem) {
    let said = problem.to_string();
    if trouble.as_ref() != Some(&said) {
        tracing::error!(zone = origin, "the keys in memory go on signing, and a restart would fail: {said}");
        *trouble = Some(said);
    }
}

/// One line for each key whose turn it is.
fn tell_keys(origin: &str, keyring: &Keyring, times: Times, now: Now) {
    for key in keyring.report(times, now) {
        tracing::info!(
            zone = origin,
            key = key.id.tag,
            role = key.role.word(),
            state = key.state.word(),
            "key"
        );
    }
}

fn tell_signed(origin: &str, based: &Based) {
    tracing::info!(
        zone = origin,
        signatures = based.signatures,
        serial = based.material.serial,
        expires_first_s = based.expires_first_s,
        "signed"
    );
}

const NO_TIMES: Times = Times {
    dnskey_ttl: Duration::ZERO,
    zone_ttl_max: Duration::ZERO,
    propagation: Duration::ZERO,
    parent_ds: Duration::ZERO,
};
