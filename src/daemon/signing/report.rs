//! Signed zones as the status shows them: what is waited for, and whose turn it is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Signing;
use crate::dnssec::ring::{KeyReport, KeyState, Role};
use crate::dnssec::{Denial, KeyUse};
use crate::now::Now;
use crate::state::rfc3339;

/// A signed zone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SignedStatus {
    /// Its origin.
    pub zone: String,
    /// The class of clients that see it, if not everybody does.
    pub class: Option<String>,
    /// `compact`, `nsec` or `nsec3`.
    pub denial: String,
    /// The serial that it is served with.
    pub serial: Option<u32>,
    /// How many signatures are made ahead.
    pub signatures: usize,
    /// The memory that they take, in octets.
    pub octets: usize,
    /// Seconds until the first of them ends.
    pub expires_in_s: Option<f64>,
    /// Its keys.
    pub keys: Vec<KeyStatus>,
    /// What is wrong, if anything is.
    pub trouble: Option<String>,
    /// What the operator is to do, if it is the operator's turn.
    pub to_do: Option<String>,
    /// Signatures that were wanted and not made since the start, over all zones.
    pub failures: u64,
}

/// A key of a signed zone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct KeyStatus {
    /// Its tag.
    pub tag: u16,
    /// Its algorithm's mnemonic.
    pub algorithm: String,
    /// `ksk`, `zsk` or `csk`.
    pub role: String,
    /// `shown`, `active`, `awaits-ds`, `awaits-caches` or `retired`.
    pub state: String,
    /// `nothing`, `keys`, `zone` or `all`.
    pub signs: String,
    /// When it was made, in RFC 3339.
    pub made: String,
    /// Seconds that have to pass before its state changes by itself.
    pub left_s: Option<u64>,
    /// What is waited for, in words.
    pub waits: Option<String>,
}

impl KeyStatus {
    /// Of a report.
    pub fn new(key: &KeyReport) -> KeyStatus {
        KeyStatus {
            tag: key.id.tag,
            algorithm: key.id.algorithm.mnemonic().to_owned(),
            role: key.role.word().to_owned(),
            state: key.state.word().to_owned(),
            signs: match key.key_use {
                KeyUse::Published => "nothing",
                KeyUse::SignsKeys => "keys",
                KeyUse::SignsZone => "zone",
                KeyUse::SignsAll => "all",
            }
            .to_owned(),
            made: rfc3339(key.made),
            left_s: key.left.map(|left| left.as_secs()),
            waits: waits(key).map(str::to_owned),
        }
    }
}

fn waits(key: &KeyReport) -> Option<&'static str> {
    match (key.state, key.role) {
        (KeyState::Active, _) => None,
        (KeyState::Shown, Role::Zsk) => Some("until every cache can have the key; then it signs"),
        (KeyState::Shown, _) => {
            Some("until every cache can have the key; then its DS may be given to the parent")
        }
        (KeyState::AwaitsDs, _) => Some("for its DS at the parent"),
        (KeyState::AwaitsCaches, _) => Some("until no cache has the old DS; then the old key goes"),
        (KeyState::Retired, Role::Zsk) => Some("until no cache has its signatures; then it goes"),
        (KeyState::Retired, _) => Some("until its successor's DS is everywhere; then it goes"),
    }
}

/// What an operator is to do about these keys.
pub fn to_do(zone: &str, keys: &[KeyReport]) -> Option<String> {
    let waiting = keys.iter().rev().find(|key| key.state == KeyState::AwaitsDs)?;
    let others = keys.iter().any(|key| key.role.sep() && key.id != waiting.id);
    let only = if others { ", in place of the old one" } else { "" };
    Some(format!(
        "give the parent the DS of key {} (meridian keys ds {zone}){only}; when it is there: meridian keys ds-seen {zone}",
        waiting.id.tag
    ))
}

impl Signing {
    /// The signed zones.
    pub fn report(&self, now: Now) -> Vec<SignedStatus> {
        let zones = self.zones.iter().flatten();
        zones
            .map(|own| {
                let looked = self.rings.get(&own.origin);
                let keys = looked.map_or_else(Vec::new, |looked| looked.keyring.report(own.times, now));
                let failed = own.failed.as_ref().map(|(_, why)| format!("signing fails: {why}"));
                let base = own.base.as_ref();
                let left =
                    |expires_s: u32| f64::from(expires_s.wrapping_sub(now.wall.as_secs() as u32) as i32);
                SignedStatus {
                    zone: own.origin.clone(),
                    class: own.class.clone(),
                    denial: base.map_or("", |base| word(base.signed.denial())).to_owned(),
                    serial: base.and_then(|base| base.material.serial),
                    signatures: base.map_or(0, |base| base.signatures),
                    octets: base.map_or(0, |base| base.signed.octets()),
                    expires_in_s: base.and_then(|base| base.expires_first_s).map(left),
                    to_do: to_do(&own.origin, &keys),
                    keys: keys.iter().map(KeyStatus::new).collect(),
                    trouble: failed.or_else(|| looked.and_then(|looked| looked.trouble.clone())),
                    failures: self.failures,
                }
            })
            .collect()
    }
}

pub(super) fn word(denial: Denial) -> &'static str {
    match denial {
        Denial::Compact => "compact",
        Denial::Nsec => "nsec",
        Denial::Nsec3 => "nsec3",
    }
}

/// What is left, for people: `3d 4h`, `50m`.
pub fn spell(left: Duration) -> String {
    let minutes = left.as_secs().div_ceil(60);
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}
