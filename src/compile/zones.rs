//! Every zone of a configuration, read: those whose texts are what they were are taken over, the others are
//! read on as many threads as there are to spare.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};

use super::secondary;
use super::zonefile::{self, SteeredOwner};
use crate::config::{self, Config, FileId, Problems, Sources, Span};
use crate::dnssec::{self, GivenFault, Separated, Signed};
use crate::ids::RegionId;
use crate::steer::{Fleet, Plan};
use crate::view::{Fingerprint, Snapshot};
use crate::zone::{Catalog, ClassSpec, ClientClasses, Validity, Zone};

/// Runs independent parts, each once, and returns when all are done: on as many threads as there are to spare.
pub type Spread = dyn Fn(usize, &(dyn Fn(usize) + Sync));

/// A [`Spread`] over nothing but the thread that asks.
pub fn in_order(parts: usize, part: &(dyn Fn(usize) + Sync)) {
    (0..parts).for_each(part);
}

/// How zones get into memory.
#[derive(Clone, Copy)]
pub struct ZoneReading<'i> {
    /// What was compiled before: its zones are taken over where they would be the same.
    pub earlier: Option<&'i Snapshot>,
    /// Where the others are read.
    pub spread: &'i Spread,
}

impl ZoneReading<'static> {
    /// All of them, one after the other.
    pub const ANEW: ZoneReading<'static> = ZoneReading { earlier: None, spread: &in_order };
}

/// The zones of a snapshot.
pub struct Zones {
    /// What is found by name.
    pub catalog: Catalog,
    /// By `ZoneId`: what lies over zones that came signed.
    pub signed: Box<[Option<Arc<Signed>>]>,
    /// By `ZoneId`: what each was read from.
    pub fingerprints: Arc<[Option<Fingerprint>]>,
}

/// A zone that was read, or why it was not.
struct Read {
    /// `None` where a problem is an error.
    separated: Option<Separated>,
    fingerprint: Option<Fingerprint>,
    problems: Problems,
}

/// What zones are read from.
struct Given<'g> {
    config: &'g Config,
    sources: &'g Sources,
    /// By service: the regions that have testing names, with their names (R11).
    testing: Vec<Vec<(RegionId, &'g str)>>,
    /// The zones that are in memory.
    known: HashMap<Fingerprint, (&'g Arc<Zone>, Option<&'g Arc<Signed>>)>,
}

/// Reads every zone; all of them, so that every problem is told.
pub fn zones(
    config: &Config,
    sources: &Sources,
    (plans, fleet): (&[Plan], &Fleet),
    reading: ZoneReading<'_>,
    problems: &mut Problems,
) -> Zones {
    let testing = plans.iter().map(|plan| super::testing(plan, fleet)).collect();
    let given = Given { config, sources, testing, known: reading.earlier.map_or_else(HashMap::new, known) };
    // In the order in which the catalog numbers them.
    let own = config.classes.iter().map(|class| class.zones.as_slice());
    let lists: Vec<&[config::Zone]> = std::iter::once(config.zones.as_slice()).chain(own).collect();
    let all: Vec<&config::Zone> = lists.iter().copied().flatten().collect();
    let places: Vec<OnceLock<Read>> = all.iter().map(|_| OnceLock::new()).collect();
    (reading.spread)(all.len(), &|number| {
        if let Some((zone, place)) = all.get(number).zip(places.get(number)) {
            place.get_or_init(|| given.read(zone));
        }
    });
    let mut places = places.into_iter().filter_map(OnceLock::into_inner);
    let (mut signed, mut fingerprints) = (Vec::with_capacity(all.len()), Vec::with_capacity(all.len()));
    let mut catalogued = lists.iter().map(|list| {
        let read = places.by_ref().take(list.len()).filter_map(|mut read| {
            problems.0.append(&mut read.problems.0);
            let separated = read.separated?;
            signed.push(separated.signed);
            fingerprints.push(read.fingerprint);
            Some(separated.zone)
        });
        read.collect::<Vec<_>>()
    });
    let everybody = catalogued.next().unwrap_or_default();
    let own = catalogued.collect();
    let specs: Vec<ClassSpec> = config
        .classes
        .iter()
        .map(|class| ClassSpec {
            name: class.name.as_str().into(),
            networks: class.networks.clone(),
            listen: class.listen.clone(),
        })
        .collect();
    let catalog = Catalog::of_shared(everybody, ClientClasses::new(&specs), own);
    let empty = secondary::places(config).map(|place| (place.id, Validity::Missing));
    Zones { catalog: catalog.with_validity(empty), signed: signed.into(), fingerprints: fingerprints.into() }
}

/// The zones of a snapshot by what they were read from.
fn known(snapshot: &Snapshot) -> HashMap<Fingerprint, (&Arc<Zone>, Option<&Arc<Signed>>)> {
    let zones = snapshot.catalog.zones().iter().zip(snapshot.fingerprints.iter()).enumerate();
    let known = zones.filter_map(|(index, (zone, fingerprint))| {
        let signed = snapshot.signed.get(index).and_then(Option::as_ref);
        fingerprint.map(|fingerprint| (fingerprint, (zone, signed)))
    });
    known.collect()
}

impl Given<'_> {
    /// Reads a zone, or takes it over.
    fn read(&self, written: &config::Zone) -> Read {
        let steered: Vec<SteeredOwner<'_>> = written
            .names
            .iter()
            .map(|name| SteeredOwner {
                name: &name.name,
                span: name.span,
                service: name.service,
                alias: self.config.services.get(name.service.index()).is_some_and(|service| service.alias),
                testing: self.testing.get(name.service.index()).map_or(&[], Vec::as_slice),
            })
            .collect();
        let (origin, file) = (&written.origin, written.file);
        let mut problems = Problems::default();
        if written.secondary.is_some() {
            // What stands there is soon another's data: never the same again.
            let zone = zonefile::read_zone(origin, file, secondary::STAND_IN, &steered, &mut problems);
            let separated = zone.and_then(|zone| separated(zone, written, &mut problems));
            return Read { separated, fingerprint: None, problems };
        }
        let fingerprint = fingerprint(origin, file, self.sources, &steered);
        if let Some((zone, signed)) = self.known.get(&fingerprint) {
            let separated = Some(Separated { zone: Arc::clone(zone), signed: signed.cloned() });
            return Read { separated, fingerprint: Some(fingerprint), problems };
        }
        let zone = zonefile::read_zone_of(origin, file, self.sources, &steered, &mut problems);
        let separated = zone.and_then(|zone| separated(zone, written, &mut problems));
        // What there is to say of a zone is said with each reading.
        let fingerprint = Some(fingerprint).filter(|_| problems.0.is_empty());
        Read { separated, fingerprint, problems }
    }
}

/// A digest of everything that a zone follows from. Numbers of services and regions mean something within one
/// generation only, but those are all that a zone knows of them: where they are the same, it is.
fn fingerprint(origin: &str, file: FileId, sources: &Sources, steered: &[SteeredOwner<'_>]) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    let mut part = |octets: &[u8]| {
        context.update(&(octets.len() as u64).to_le_bytes());
        context.update(octets);
    };
    part(origin.as_bytes());
    // Files by the order in which they are come upon, each once: they may include each other in circles.
    let mut files = vec![file];
    let mut next = 0;
    while let Some(file) = files.get(next).copied() {
        next += 1;
        part(sources.file(file).map_or(&[], |file| &file.bytes));
        let named = sources.included.range((file, String::new())..).take_while(|((by, _), _)| *by == file);
        for ((_, name), included) in named {
            let number = files.iter().position(|known| known == included).unwrap_or_else(|| {
                files.push(*included);
                files.len() - 1
            });
            part(name.as_bytes());
            part(&(number as u64).to_le_bytes());
        }
        part(b"");
    }
    for owner in steered {
        part(owner.name.as_bytes());
        part(&owner.service.0.to_le_bytes());
        part(&[u8::from(owner.alias)]);
        part(&(owner.testing.len() as u64).to_le_bytes());
        for (region, name) in owner.testing {
            part(&region.0.to_le_bytes());
            part(name.as_bytes());
        }
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    Fingerprint(digest)
}

/// A zone that came signed keeps its signatures, apart from its data.
fn separated(zone: Zone, written: &config::Zone, problems: &mut Problems) -> Option<Separated> {
    let fault = match dnssec::separate(&Arc::new(zone)) {
        Ok(separated) => return Some(separated),
        Err(fault) => fault,
    };
    let file = Span { file: written.file, start: 0, end: 0 };
    let (span, hint) = match fault {
        GivenFault::Steered => (
            written.names.first().map_or(file, |name| name.span),
            "let meridian sign the zone (remove DNSKEY and RRSIG from its file), or steer names in a zone of \
             their own",
        ),
        GivenFault::NoChain => (file, "sign the zone again, with NSEC or NSEC3"),
        GivenFault::Nsec3Parameters => (file, "sign the zone with NSEC3 parameters `1 0 0 -` (RFC 9276)"),
        GivenFault::TooLarge => (file, "split it by delegation"),
    };
    problems.error(span, format!("{} is {fault}", written.origin), hint);
    None
}
