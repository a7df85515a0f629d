//! What a new view no longer answers that an old one did (T1).

use std::collections::HashSet;

use crate::ids::{Family, ServiceId, ZoneId};
use crate::steer::{Decision, Lane};
use crate::wire::{Name, Rtype, name_text};
use crate::zone::{ClientClass, Held, Lookup, Zone};

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

/// A view with what its services answer, as one class of clients sees it.
struct Side<'v> {
    view: &'v View,
    class: ClientClass,
    /// By service: A, AAAA, CNAME, HTTPS and SVCB.
    services: &'v [[Reach; 4]],
}

impl Emptied {
    /// Compares everything that the old view holds, for every class of clients, with what the new one says
    /// of it.
    pub fn between(old: &View, new: &View) -> Emptied {
        let mut emptied = Emptied::default();
        let (before, after) = (services(old), services(new));
        let parents = parents([old, new]);
        let (old_classes, new_classes) = (old.snapshot.catalog.classes(), new.snapshot.catalog.classes());
        let named = (1u16..).map(ClientClass).zip(old_classes.names()).map(|(class, name)| {
            // Whose class is gone sees what everybody sees.
            (class, new_classes.by_name(name).unwrap_or(ClientClass::DEFAULT))
        });
        for (class, next) in std::iter::once((ClientClass::DEFAULT, ClientClass::DEFAULT)).chain(named) {
            let old = Side { view: old, class, services: &before };
            let new = Side { view: new, class: next, services: &after };
            emptied.compare(&old, &new, &parents);
        }
        emptied
    }

    fn compare(&mut self, old: &Side<'_>, new: &Side<'_>, parents: &HashSet<&[u8]>) {
        let catalog = &old.view.snapshot.catalog;
        for (number, zone) in (0u32..).map(ZoneId).zip(catalog.zones()) {
            let seen_by = |class| catalog.find(class, zone.origin()).map(|(id, _)| id);
            // What everybody sees is compared once.
            let again = old.class != ClientClass::DEFAULT && seen_by(ClientClass::DEFAULT) == Some(number);
            if again || seen_by(old.class) != Some(number) {
                continue;
            }
            let next = new.view.snapshot.catalog.find(new.class, zone.origin());
            let is_same = next.is_some_and(|(_, next)| std::ptr::eq(next, &**zone));
            if is_same && !parents.contains(zone.origin().octets()) {
                self.compare_services(zone, old, new);
                continue;
            }
            zone.walk(&mut |name, held| match held {
                Held::Rrset(rtype) => self.plain.count(old, new, name, rtype),
                Held::Steered(service) => {
                    for rtype in types(old.view, service) {
                        self.steered.count(old, new, name, rtype);
                    }
                }
            });
        }
    }

    /// The same of a zone that was taken over, none of whose names is another zone's: all that it holds is
    /// answered as before, but for what services say.
    fn compare_services(&mut self, zone: &Zone, old: &Side<'_>, new: &Side<'_>) {
        self.plain.had += zone.entries() as u64;
        for (node, service, _) in zone.steered().filter(|(_, _, region)| region.is_none()) {
            for rtype in types(old.view, service) {
                let (before, after) = (old.steered(service, rtype), new.steered(service, rtype));
                self.steered.note(before, after, || (zone.name_of(node), rtype));
            }
        }
    }
}

/// The names that zones' origins are below, in wire form.
fn parents(views: [&View; 2]) -> HashSet<&[u8]> {
    let zones = views.into_iter().flat_map(|view| view.snapshot.catalog.zones());
    let origins = zones.map(|zone| zone.origin());
    origins.flat_map(|origin| (1..=origin.labels()).map(|index| origin.suffix(index))).collect()
}

impl Loss {
    /// Whether more than so many percent are lost.
    pub fn exceeds(&self, percent: u8) -> bool {
        u128::from(self.lost) * 100 > u128::from(self.had) * u128::from(percent)
    }

    fn count(&mut self, old: &Side<'_>, new: &Side<'_>, name: &Name, rtype: Rtype) {
        self.note(old.reach(name, rtype), new.reach(name, rtype), || (Some(*name), rtype));
    }

    fn note(&mut self, before: Reach, after: Reach, what: impl FnOnce() -> (Option<Name>, Rtype)) {
        if before == Reach::Nobody {
            return;
        }
        self.had += 1;
        if after < before {
            self.lost += 1;
            if self.examples.len() < EXAMPLES_MAX
                && let (Some(name), rtype) = what()
            {
                self.examples.push(format!("{} {rtype}", name_text(name.octets())));
            }
        }
    }
}

/// The types that a service can answer.
fn types(view: &View, service: ServiceId) -> impl Iterator<Item = Rtype> {
    let alias = view.is_alias(service);
    let all = [Rtype::CNAME, Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::SVCB].into_iter();
    all.filter(move |rtype| match *rtype {
        Rtype::CNAME => alias,
        Rtype::A | Rtype::AAAA => !alias,
        bound => !alias && view.binding(service, bound).is_some(),
    })
}

impl Side<'_> {
    fn reach(&self, name: &Name, rtype: Rtype) -> Reach {
        let Some((_, zone)) = self.view.snapshot.catalog.find(self.class, name) else {
            return Reach::Nobody;
        };
        match zone.lookup(name, rtype) {
            Lookup::Answer(_) | Lookup::Alias(_) | Lookup::Redirect { .. } | Lookup::Referral { .. } => {
                Reach::All
            }
            Lookup::Steered(service) => self.steered(service, rtype),
            Lookup::Testing(..) | Lookup::NoData | Lookup::NxDomain => Reach::Nobody,
        }
    }

    fn steered(&self, service: ServiceId, rtype: Rtype) -> Reach {
        let Some([v4, v6, alias, bound]) = self.services.get(service.index()) else { return Reach::Nobody };
        match rtype {
            _ if self.view.is_alias(service) => *alias,
            Rtype::A => *v4,
            Rtype::AAAA => *v6,
            _ if self.view.binding(service, rtype).is_some() => *bound,
            _ => Reach::Nobody,
        }
    }
}

/// For whom each service has an answer: worked out once, however many names it has.
fn services(view: &View) -> Vec<[Reach; 4]> {
    let lanes = [Lane::Addresses(Family::V4), Lane::Addresses(Family::V6), Lane::Alias, Lane::Service];
    let all = (0..view.snapshot.plans.len() as u32).map(ServiceId);
    all.map(|service| lanes.map(|lane| reach(view, service, lane))).collect()
}

fn reach(view: &View, service: ServiceId, lane: Lane) -> Reach {
    let Some(table) = view.table(service).and_then(|table| table.lane(lane)) else { return Reach::Nobody };
    let full = table.decisions().filter(|decision| has_data(decision, lane)).count();
    match full {
        0 => Reach::Nobody,
        _ if full == table.decisions().len() => Reach::All,
        _ => Reach::Some,
    }
}

fn has_data(decision: &Decision, lane: Lane) -> bool {
    let Decision::Answer(mix) = decision else { return false };
    let mut data = false;
    mix.visit(1.0, &mut |_, pick| data |= lane == Lane::Alias || !pick.addresses.is_empty());
    data
}
