//! What signing a zone needs to know.

use std::sync::Arc;

use super::rrsig::is_before;
use super::{Signed, SigningFailed, Slices, Steered, ZoneKey};
use crate::zone::Zone;

/// How a zone denies existence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Denial {
    /// Compact answers, signed when they are asked for (RFC 9824): the only way for zones with steered names.
    Compact,
    /// A chain of NSEC, signed ahead (RFC 4035 section 3.1.3).
    Nsec,
    /// A chain of NSEC3, signed ahead: SHA-1 without iterations, salt or opt-out (RFC 9276).
    Nsec3,
}

/// What the parent is told to publish (RFC 7344); empty lists publish nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyRecords {
    /// The RDATA of CDS.
    pub cds: Vec<Vec<u8>>,
    /// The RDATA of CDNSKEY.
    pub cdnskey: Vec<Vec<u8>>,
}

/// When signatures begin and end to hold. Moments are seconds since 1970 in 32 bits, compared in serial
/// arithmetic (RFC 4034 section 3.1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// The moment of signing.
    pub now_s: u32,
    /// So much earlier do signatures begin to hold: clocks of resolvers are late.
    pub skew_s: u32,
    /// So much later they end.
    pub lifetime_s: u32,
    /// Up to so much of the lifetime is taken off, so that not all ends at once.
    pub jitter_s: u32,
    /// What is left of a signature's time when it is made anew.
    pub refresh_s: u32,
    /// Decides about the jitter, the same for the same part of a zone.
    pub seed: u64,
}

impl Validity {
    /// Whether a signature need not be made anew.
    pub(super) fn holds(&self, inception_s: u32, expiration_s: u32) -> bool {
        is_before(self.now_s.wrapping_add(self.refresh_s), expiration_s)
            && !is_before(self.now_s, inception_s)
    }
}

/// Everything that the signatures of a zone follow from.
pub struct SigningJob<'j> {
    /// What is signed.
    pub zone: &'j Arc<Zone>,
    /// All keys of the DNSKEY RRset. At least one signs keys and one signs the zone.
    pub keys: &'j [ZoneKey],
    /// The TTL of DNSKEY, CDS and CDNSKEY.
    pub key_ttl_s: u32,
    /// CDS and CDNSKEY.
    pub key_records: &'j KeyRecords,
    /// The serial of the SOA as it is served; `None`: the zone's own.
    pub serial: Option<u32>,
    /// How existence is denied.
    pub denial: Denial,
    /// When signatures hold.
    pub validity: Validity,
    /// What services can answer in this zone: from [`crate::view::View::steered_in`].
    pub steered: &'j Steered,
    /// What was signed before: what still holds is taken over, whatever generation of the zone it is of.
    pub previous: Option<&'j Signed>,
}

/// Runs a number of independent parts and returns what each made, in their order: on as many threads as
/// there are to spare.
pub type Spread<'s> = dyn Fn(
        usize,
        &(dyn Fn(usize) -> Result<Arc<Slices>, SigningFailed> + Sync),
    ) -> Vec<Result<Arc<Slices>, SigningFailed>>
    + 's;

/// A [`Spread`] over nothing but the thread that asks.
pub fn in_order(
    parts: usize,
    part: &(dyn Fn(usize) -> Result<Arc<Slices>, SigningFailed> + Sync),
) -> Vec<Result<Arc<Slices>, SigningFailed>> {
    (0..parts).map(part).collect()
}
