//! Zones that came signed: nobody here can sign them anew, so all there is to do is to warn in time.

use std::time::Duration;

use super::report::{SignedStatus, spell, word};
use crate::config::{self, Config, Problems, Span};
use crate::dnssec::{Came, Signed};
use crate::now::Now;
use crate::view::Snapshot;

/// Less than this left of a signature is worth a warning: signers renew long before, and caches and secondaries
/// keep what they have for a while.
const LEFT_MIN_S: i32 = 3 * 86_400;

const HINT: &str = "sign the zone's file again: nobody here has its key";

/// Warns of zones whose signatures have ended or soon will.
pub fn warn(config: &Config, snapshot: &Snapshot, now_s: u32, problems: &mut Problems) {
    for (_, zone, _, came) in all(config, snapshot) {
        if let Some(trouble) = trouble(came, now_s) {
            let file = Span { file: zone.file, start: 0, end: 0 };
            problems.warning(file, format!("{}: {trouble}", zone.origin), HINT);
        }
    }
}

/// These zones as the status shows them.
pub fn report(config: &Config, snapshot: &Snapshot, now: Now) -> Vec<SignedStatus> {
    let now_s = now.wall.as_secs() as u32;
    let zones = all(config, snapshot);
    zones
        .map(|(class, zone, signed, came)| SignedStatus {
            zone: zone.origin.to_ascii_lowercase(),
            class: class.map(str::to_owned),
            denial: word(signed.denial()).to_owned(),
            serial: Some(signed.file_serial()),
            signatures: came.signatures,
            octets: signed.octets(),
            expires_in_s: came.ends_first_s.map(|ends_s| f64::from(left_s(ends_s, now_s))),
            keys: Vec::new(),
            trouble: trouble(came, now_s),
            to_do: None,
            failures: 0,
        })
        .collect()
}

/// With the class whose clients see them, in the order of `ZoneId`.
fn all<'s>(
    config: &'s Config,
    snapshot: &'s Snapshot,
) -> impl Iterator<Item = (Option<&'s str>, &'s config::Zone, &'s Signed, Came)> {
    let everybody = config.zones.iter().map(|zone| (None, zone));
    let own = config
        .classes
        .iter()
        .flat_map(|class| class.zones.iter().map(|zone| (Some(class.name.as_str()), zone)));
    everybody.chain(own).zip(&snapshot.signed).filter_map(|((class, zone), signed)| {
        let signed = signed.as_deref().filter(|_| zone.dnssec.is_none())?;
        Some((class, zone, signed, signed.came()?))
    })
}

fn left_s(ends_s: u32, now_s: u32) -> i32 {
    ends_s.wrapping_sub(now_s) as i32
}

fn trouble(came: Came, now_s: u32) -> Option<String> {
    let left_s = left_s(came.ends_first_s?, now_s);
    if left_s >= LEFT_MIN_S {
        return None;
    }
    Some(match u64::try_from(left_s) {
        Ok(left_s) => format!("the first of its signatures ends in {}", spell(Duration::from_secs(left_s))),
        Err(_) => "signatures of it have ended: to resolvers that validate it is bogus".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_three_days_are_told_and_so_is_the_end_across_the_wrap_of_time() {
        let told = |ends_s: u32, now_s| trouble(Came { signatures: 1, ends_first_s: Some(ends_s) }, now_s);
        assert_eq!(told(1_000_000, 1_000_000 - 3 * 86_400), None);
        let soon = "the first of its signatures ends in 2d 23h";
        assert_eq!(told(1_000_000, 1_003_600 - 3 * 86_400).as_deref(), Some(soon));
        assert!(told(1_000_000, 1_000_001).unwrap().contains("have ended"));
        assert_eq!(told(4 * 86_400, u32::MAX), None);
        assert!(told(u32::MAX, 5).unwrap().contains("have ended"));
        assert_eq!(trouble(Came { signatures: 0, ends_first_s: None }, 5), None);
    }
}
