//! Signing one zone, on as many threads as there are: the heavy part, with everything it needs in hand.

use std::hash::{Hash as _, Hasher as _};
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::{DenialKind, ZoneDnssec};
use crate::dnssec::{
    Denial, KeyRecords, Signed, SigningFailed, SigningJob, Slices, Steered, Validity, ZoneKey,
};
use crate::ids::ZoneId;
use crate::keys::{KeyProblem, Keyring, RingVersion};
use crate::now::Now;
use crate::view::View;
use crate::wire::{Name, parse_name};
use crate::zone::{NodeId, Zone};

use super::Fresh;

/// The TTL of DNSKEY, CDS and CDNSKEY: an hour keeps roll-overs short and resolvers quiet.
pub const KEY_TTL_S: u32 = 3600;
/// Clocks of resolvers may be so late.
const SKEW_S: u32 = 3600;
/// What would be renewed within this is renewed with what has to be: else a large zone renews a little all the
/// time.
const BATCH: Duration = Duration::from_secs(6 * 3600);
/// Threads for one zone; its parts are of a thousand RRsets.
const THREADS_MAX: usize = 16;

/// The zone's keys and how they sign.
#[derive(Clone)]
pub struct Material {
    keys: Vec<ZoneKey>,
    key_records: KeyRecords,
    denial: Denial,
    /// The ring that the keys are of.
    pub version: RingVersion,
    /// The serial that the zone is served with.
    pub serial: Option<u32>,
    seed: u64,
}

/// A zone that is to be signed.
pub struct Work {
    /// With what.
    pub material: Material,
    /// What was signed before.
    pub previous: Option<Based>,
    /// What the zone's file says of signing.
    pub written: ZoneDnssec,
}

/// A zone that is signed.
#[derive(Clone)]
pub struct Based {
    /// The signatures.
    pub signed: Arc<Signed>,
    /// What they were made with.
    pub material: Material,
    /// How many there are.
    pub signatures: usize,
    /// When the first of them ends, in seconds since 1970.
    pub expires_first_s: Option<u32>,
    /// What services could answer.
    steered: Arc<Steered>,
    written: ZoneDnssec,
    /// Whether the serial must rise before it is served.
    content: Changed,
}

/// Whether a transfer would show something new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Changed {
    No,
    Yes,
}

impl Material {
    /// What a keyring has at present.
    ///
    /// # Errors
    /// When a private key is missing.
    pub fn new(keyring: &Keyring, written: &ZoneDnssec) -> Result<Material, KeyProblem> {
        let origin = &keyring.settings().origin;
        let wire = parse_name(origin.as_bytes(), &[0]).ok();
        let owner = wire.as_deref().and_then(Name::from_wire);
        let mut hasher = siphasher::sip::SipHasher13::new();
        origin.hash(&mut hasher);
        Ok(Material {
            keys: keyring.zone_keys()?,
            key_records: owner.map_or_else(KeyRecords::default, |owner| keyring.key_records(&owner)),
            denial: match written.denial {
                DenialKind::Compact => Denial::Compact,
                DenialKind::Nsec => Denial::Nsec,
                DenialKind::Nsec3 => Denial::Nsec3,
            },
            version: keyring.version(),
            serial: keyring.serial(),
            seed: hasher.finish(),
        })
    }

    fn sign(
        &self,
        zone: &Arc<Zone>,
        steered: &Steered,
        validity: Validity,
        previous: Option<&Signed>,
    ) -> Result<Arc<Signed>, SigningFailed> {
        let job = SigningJob {
            zone,
            keys: &self.keys,
            key_ttl_s: KEY_TTL_S,
            key_records: &self.key_records,
            serial: self.serial,
            denial: self.denial,
            validity,
            steered,
            previous,
        };
        Signed::build(&job, &on_threads).map(Arc::new)
    }

    /// `refresh`: what is left of a signature that is made anew.
    fn validity(&self, written: &ZoneDnssec, refresh: Duration, now: Now) -> Validity {
        let spare = written.signature_validity.saturating_sub(written.refresh);
        Validity {
            now_s: now.wall.as_secs() as u32,
            skew_s: SKEW_S,
            lifetime_s: seconds(written.signature_validity),
            // Some of what lies between refresh and the end: renewals spread over days.
            jitter_s: seconds(spare / 4),
            refresh_s: seconds(refresh),
            seed: self.seed,
        }
    }
}

impl Work {
    /// Does it. Takes about 25 microseconds for each RRset, shared among threads. `None`: the zone cannot be
    /// signed now, because it has no data, or came signed.
    ///
    /// # Errors
    /// When a key refuses.
    pub fn run(self, view: &View, id: ZoneId, now: Now) -> Result<Option<Based>, SigningFailed> {
        let Some(zone) = super::signable(view, id) else { return Ok(None) };
        let steered = Arc::new(view.steered_in(id));
        let previous = self.previous.as_ref().map(|base| &*base.signed);
        let written = self.written;
        let validity = self.material.validity(&written, written.refresh + BATCH, now);
        let signed = self.material.sign(zone, &steered, validity, previous)?;
        let same = previous.is_some_and(|previous| previous.same_content(&signed));
        let content = if same { Changed::No } else { Changed::Yes };
        Ok(Some(Based::new(signed, self.material, steered, written, content, now)))
    }
}

impl Based {
    fn new(
        signed: Arc<Signed>,
        material: Material,
        steered: Arc<Steered>,
        written: ZoneDnssec,
        content: Changed,
        now: Now,
    ) -> Based {
        let (signatures, expires_first_s) =
            (signed.signatures(), signed.expires_first_s(now.wall.as_secs() as u32));
        Based { signed, material, signatures, expires_first_s, steered, written, content }
    }

    /// The serial of the zone's file, where that which is served must rise before this is.
    pub fn serial_to_raise(&self) -> Option<u32> {
        (self.content == Changed::Yes).then(|| self.signed.file_serial())
    }

    /// The same with another serial: one signature.
    ///
    /// # Errors
    /// When the key refuses.
    pub fn with_serial(self, serial: u32, now: Now) -> Result<Based, SigningFailed> {
        let Based { signed, mut material, steered, written, .. } = self;
        material.serial = Some(serial);
        let validity = material.validity(&written, written.refresh, now);
        let signed = material.sign(signed.zone(), &steered, validity, Some(&signed))?;
        Ok(Based::new(signed, material, steered, written, Changed::No, now))
    }

    /// With what services can answer in a view of the same zone: nothing else is made.
    ///
    /// # Errors
    /// When a key refuses.
    pub fn with_answers(&self, view: &View, id: ZoneId, now: Now) -> Result<(Based, Fresh), SigningFailed> {
        if self.steered.types.is_empty() {
            return Ok((self.clone(), Fresh::Answers));
        }
        let steered = view.steered_in(id);
        if steered == *self.steered {
            return Ok((self.clone(), Fresh::Answers));
        }
        let (steered, written) = (Arc::new(steered), self.written.clone());
        // Renewals are work for another thread: here everything is good that has not ended.
        let validity = self.material.validity(&written, Duration::ZERO, now);
        let signed = self.material.sign(self.signed.zone(), &steered, validity, Some(&self.signed))?;
        let content = if self.signed.same_content(&signed) { Changed::No } else { Changed::Yes };
        let based = Based::new(signed, self.material.clone(), steered, written, content, now);
        Ok((based, if content == Changed::No { Fresh::Answers } else { Fresh::Whole }))
    }

    /// Whether the first signature is near its end.
    pub fn is_due(&self, refresh: Duration, now: Now) -> bool {
        let Some(expires_s) = self.expires_first_s else { return false };
        let horizon = (now.wall.as_secs() as u32).wrapping_add(seconds(refresh));
        (expires_s.wrapping_sub(horizon) as i32) <= 0
    }
}

/// The largest TTL of anything in a zone besides its keys.
pub fn ttl_max(view: &View, zone: &Zone) -> Duration {
    let mut max_s = zone.negative_ttl_s();
    for node in (0..zone.nodes() as u32).map(NodeId) {
        max_s = zone.rrsets(node).fold(max_s, |max_s, rrset| max_s.max(rrset.ttl_s));
    }
    let plans = zone.steered().filter_map(|(_, service, _)| view.snapshot.plan(service));
    max_s = plans.fold(max_s, |max_s, plan| max_s.max(*plan.ttl_s.end()));
    Duration::from_secs(u64::from(max_s))
}

/// A [`crate::dnssec::Spread`] over all cores, as long as there is work for them.
fn on_threads(
    parts: usize,
    part: &(dyn Fn(usize) -> Result<Arc<Slices>, SigningFailed> + Sync),
) -> Vec<Result<Arc<Slices>, SigningFailed>> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = cores.min(parts).min(THREADS_MAX);
    if threads <= 1 {
        return (0..parts).map(part).collect();
    }
    let next = AtomicUsize::new(0);
    let mut made: Vec<(usize, Result<Arc<Slices>, SigningFailed>)> = std::thread::scope(|scope| {
        let one = || {
            let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
            numbers
                .take_while(|number| *number < parts)
                .map(|number| (number, part(number)))
                .collect::<Vec<_>>()
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    made.sort_by_key(|(number, _)| *number);
    // A thread that panicked has lost its parts.
    let whole = made.len() == parts;
    made.into_iter()
        .map(|(_, made)| made.and_then(|made| if whole { Ok(made) } else { Err(SigningFailed) }))
        .collect()
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
