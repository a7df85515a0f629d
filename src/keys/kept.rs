//! The state of a ring as it stands on disk: `NAME.ring`, one line that tells whether it is whole, then JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dnssec::Algorithm;
use crate::dnssec::ring::{KeptKey, KeptParentPart, KeptRing, KeptZonePart, KeyId, Role, Times};

/// A ring, and the serial that its zone was served with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Whose it is: a state file that was copied to another name is noticed.
    pub origin: String,
    /// When it was written, for people.
    pub saved_at: String,
    /// Its keys.
    pub keys: Vec<Key>,
    /// What caches may go by, in seconds.
    pub times: Option<Waits>,
    /// The serial of the SOA as it was served last.
    pub serial: Option<Serial>,
}

/// The serial of a signed zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Serial {
    /// As it was served last.
    pub served: u32,
}

/// A key of the ring. Times are in seconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Key {
    tag: u16,
    algorithm: u8,
    role: WrittenRole,
    made_s: u64,
    shown_s: u64,
    zone: WrittenZonePart,
    parent: WrittenParentPart,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenRole {
    Ksk,
    Zsk,
    Csk,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenZonePart {
    Never,
    Waits,
    Signs { since_s: u64 },
    Retired { for_s: u64 },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenParentPart {
    Never,
    Waits,
    Announced,
    Seen { for_s: u64 },
    Known,
    Left,
}

/// What caches may go by, in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waits {
    dnskey_ttl_s: u64,
    zone_ttl_max_s: u64,
    propagation_s: u64,
    parent_ds_s: u64,
}

impl Kept {
    /// Of a ring.
    pub fn new(origin: &str, saved_at: String, ring: &KeptRing, serial: Option<Serial>) -> Kept {
        Kept {
            origin: origin.to_owned(),
            saved_at,
            keys: ring.keys.iter().map(written).collect(),
            times: ring.times.map(|times| Waits {
                dnskey_ttl_s: times.dnskey_ttl.as_secs(),
                zone_ttl_max_s: times.zone_ttl_max.as_secs(),
                propagation_s: times.propagation.as_secs(),
                parent_ds_s: times.parent_ds.as_secs(),
            }),
            serial,
        }
    }

    /// The ring. The error says what makes no sense.
    pub fn ring(&self) -> Result<KeptRing, String> {
        let times = self.times.map(|waits| Times {
            dnskey_ttl: s(waits.dnskey_ttl_s),
            zone_ttl_max: s(waits.zone_ttl_max_s),
            propagation: s(waits.propagation_s),
            parent_ds: s(waits.parent_ds_s),
        });
        Ok(KeptRing { keys: self.keys.iter().map(read).collect::<Result<_, _>>()?, times })
    }
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn written(key: &KeptKey) -> Key {
    Key {
        tag: key.id.tag,
        algorithm: key.id.algorithm.number(),
        role: match key.role {
            Role::Ksk => WrittenRole::Ksk,
            Role::Zsk => WrittenRole::Zsk,
            Role::Csk => WrittenRole::Csk,
        },
        made_s: key.made.as_secs(),
        shown_s: key.shown.as_secs(),
        zone: match key.zone {
            KeptZonePart::Never => WrittenZonePart::Never,
            KeptZonePart::Waits => WrittenZonePart::Waits,
            KeptZonePart::Signs(since) => WrittenZonePart::Signs { since_s: since.as_secs() },
            KeptZonePart::Retired(waited) => WrittenZonePart::Retired { for_s: waited.as_secs() },
        },
        parent: match key.parent {
            KeptParentPart::Never => WrittenParentPart::Never,
            KeptParentPart::Waits => WrittenParentPart::Waits,
            KeptParentPart::Announced => WrittenParentPart::Announced,
            KeptParentPart::Seen(waited) => WrittenParentPart::Seen { for_s: waited.as_secs() },
            KeptParentPart::Known => WrittenParentPart::Known,
            KeptParentPart::Left => WrittenParentPart::Left,
        },
    }
}

fn read(key: &Key) -> Result<KeptKey, String> {
    let algorithm = Algorithm::ALL.into_iter().find(|own| own.number() == key.algorithm);
    let algorithm = algorithm.ok_or_else(|| format!("there is no algorithm {}", key.algorithm))?;
    Ok(KeptKey {
        id: KeyId { algorithm, tag: key.tag },
        role: match key.role {
            WrittenRole::Ksk => Role::Ksk,
            WrittenRole::Zsk => Role::Zsk,
            WrittenRole::Csk => Role::Csk,
        },
        made: s(key.made_s),
        shown: s(key.shown_s),
        zone: match key.zone {
            WrittenZonePart::Never => KeptZonePart::Never,
            WrittenZonePart::Waits => KeptZonePart::Waits,
            WrittenZonePart::Signs { since_s } => KeptZonePart::Signs(s(since_s)),
            WrittenZonePart::Retired { for_s } => KeptZonePart::Retired(s(for_s)),
        },
        parent: match key.parent {
            WrittenParentPart::Never => KeptParentPart::Never,
            WrittenParentPart::Waits => KeptParentPart::Waits,
            WrittenParentPart::Announced => KeptParentPart::Announced,
            WrittenParentPart::Seen { for_s } => KeptParentPart::Seen(s(for_s)),
            WrittenParentPart::Known => KeptParentPart::Known,
            WrittenParentPart::Left => KeptParentPart::Left,
        },
    })
}
