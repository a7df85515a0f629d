//! What a new view no longer answers that an old one did (T1).

use crate::ids::{Family, ServiceId};
use crate::steer::{Decision, Lane};
use crate::wire::{Name, Rtype, name_text};
use crate::zone::{ClientClass, Held, Lookup};

use super::View;

/// Examples that are kept for people.
const EXAMPLES_MAX: usize = 5;

/// Names and types that had an answer, and how many of them have lost it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Emptied {
    /// Of steered names.
    pub steered: Loss,
    /// Of static records.
    pub plain: Loss,
}

/// So many of so many.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loss {
    /// Had an answer.
    pub had: u64,
    /// And has it no longer, or no longer everywhere.
    pub lost: u64,
    /// Some of those that are lost: `www.example.com A`.
    pub examples: Vec<String>,
}

/// For how many clients there is an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Reach {
    Nobody,
    Some,
    All,
}

impl Emptied {
    /// Compares everything that the old view holds with what the new one says of it.
    pub fn between(old: &View, new: &View) -> Emptied {
        let mut emptied = Emptied::default();
        for zone in old.snapshot.catalog.zones() {
            zone.walk(&mut |name, held| match held {
                Held::Rrset(rtype) => emptied.plain.count(old, new, name, rtype),
                Held::Steered(service) => {
                    for &rtype in types(old, service) {
                        emptied.steered.count(old, new, name, rtype);
                    }
                }
            });
        }
        emptied
    }
}

impl Loss {
    /// Whether more than so many percent are lost.
    pub fn exceeds(&self, percent: u8) -> bool {
        u128::from(self.lost) * 100 > u128::from(self.had) * u128::from(percent)
    }

    fn count(&mut self, old: &View, new: &View, name: &Name, rtype: Rtype) {
        let (before, after) = (reach(old, name, rtype), reach(new, name, rtype));
        if before == Reach::Nobody {
            return;
        }
        self.had += 1;
        if after < before {
            self.lost += 1;
            if self.examples.len() < EXAMPLES_MAX {
                self.examples.push(format!("{} {rtype}", name_text(name.octets())));
            }
        }
    }
}

/// The types that a service can answer.
fn types(view: &View, service: ServiceId) -> &'static [Rtype] {
    if view.is_alias(service) { &[Rtype::CNAME] } else { &[Rtype::A, Rtype::AAAA] }
}

fn reach(view: &View, name: &Name, rtype: Rtype) -> Reach {
    let Some((_, zone)) = view.snapshot.catalog.find(ClientClass::DEFAULT, name) else {
        return Reach::Nobody;
    };
    match zone.lookup(name, rtype) {
        Lookup::Answer(_) | Lookup::Alias(_) | Lookup::Redirect { .. } | Lookup::Referral { .. } => {
            Reach::All
        }
        Lookup::Steered(service) if view.is_alias(service) => steered(view, service, Lane::Alias),
        Lookup::Steered(service) => match rtype {
            Rtype::A => steered(view, service, Lane::Addresses(Family::V4)),
            Rtype::AAAA => steered(view, service, Lane::Addresses(Family::V6)),
            _ => Reach::Nobody,
        },
        Lookup::Testing(..) | Lookup::NoData | Lookup::NxDomain => Reach::Nobody,
    }
}

fn steered(view: &View, service: ServiceId, lane: Lane) -> Reach {
    let Some(table) = view.table(service).and_then(|table| table.lane(lane)) else { return Reach::Nobody };
    let full = table.decisions.iter().filter(|decision| has_data(decision, lane)).count();
    match full {
        0 => Reach::Nobody,
        _ if full == table.decisions.len() => Reach::All,
        _ => Reach::Some,
    }
}

fn has_data(decision: &Decision, lane: Lane) -> bool {
    let Decision::Answer(mix) = decision else { return false };
    let mut data = false;
    mix.visit(1.0, &mut |_, pick| data |= lane == Lane::Alias || !pick.addresses.is_empty());
    data
}
