//! What a command would take from services: it is refused where that is too much (H8).

use std::collections::BTreeSet;

use super::Word;
use crate::health::{BoardSpec, Forced, Part, ServiceSpec, Shortfall};
use crate::ids::{AddressId, EndpointId, Family, ServiceId};

/// What is looked at: the endpoints, and the share of clients that the monitors' word lets an address
/// of a service have; 0: it is down.
pub struct Harm<'a> {
    /// Everything there is.
    pub spec: &'a BoardSpec,
    /// In thousandths.
    pub well: &'a dyn Fn(ServiceId, AddressId) -> u16,
}

/// What services fall short of when operators' words go from `before` to `after`.
pub fn harm(of: &Harm<'_>, before: &[Word], after: &[Word]) -> Vec<Shortfall> {
    let changed = |endpoint: &EndpointId| {
        before.get(endpoint.index()).map(|word| (word.forced, word.share.permille))
            != after.get(endpoint.index()).map(|word| (word.forced, word.share.permille))
    };
    let services = of.spec.services.iter().enumerate();
    let concerned = services.filter(|(_, service)| service.members.iter().any(changed));
    concerned
        .flat_map(|(index, service)| {
            let id = ServiceId(index as u32);
            let short = |part| of.shortfall(id, service, part, before, after);
            // What is missing altogether need not be said again of each family.
            match short(Part::Whole) {
                Some(whole) => vec![whole],
                None => of.lanes(service).into_iter().map(Part::Lane).filter_map(short).collect(),
            }
        })
        .collect()
}

/// Capacity in thousandths of the pool's unit.
#[derive(Clone, Copy, Default)]
struct Capacity {
    /// Declared.
    all: u64,
    /// In service.
    well: u64,
    /// Not forced down: what a last resort can still choose from.
    left: u64,
}

impl Harm<'_> {
    fn shortfall(
        &self,
        id: ServiceId,
        service: &ServiceSpec,
        part: Part,
        before: &[Word],
        after: &[Word],
    ) -> Option<Shortfall> {
        let was = self.capacity(id, service, part, before);
        let is = self.capacity(id, service, part, after);
        let short = |before_milli, after_milli, needed_milli| {
            Some(Shortfall { service: service.name.clone(), part, before_milli, after_milli, needed_milli })
        };
        let needed = service.min_capacity.map_or(0, |least| least.milli_of(was.all));
        match () {
            () if was.well > 0 && is.well == 0 => short(was.well, 0, 0),
            () if was.left > 0 && is.left == 0 => short(was.left, 0, 0),
            () if is.well < was.well && is.well < needed => short(was.well, is.well, needed),
            () => None,
        }
    }

    fn capacity(&self, id: ServiceId, service: &ServiceSpec, part: Part, words: &[Word]) -> Capacity {
        let mut sum = Capacity::default();
        for member in &service.members {
            let Some(endpoint) = self.spec.endpoints.get(member.index()) else { continue };
            let own = || endpoint.addresses.iter().filter(|address| self.is_in(**address, part));
            if own().next().is_none() {
                continue;
            }
            let word = words.get(member.index()).copied().unwrap_or(Word::NONE);
            let declared = u64::from(endpoint.capacity) * 1000;
            let monitors = own().map(|address| (self.well)(id, *address)).max().unwrap_or(0);
            let share = match word.forced {
                Forced::Down | Forced::Drained => 0,
                Forced::Up => word.share.permille,
                Forced::Not => word.share.permille.min(monitors),
            };
            sum.all += declared;
            sum.well += declared / 1000 * u64::from(share);
            sum.left += if word.forced == Forced::Down { 0 } else { declared };
        }
        sum
    }

    fn lanes(&self, service: &ServiceSpec) -> BTreeSet<Option<Family>> {
        let endpoints = service.members.iter().filter_map(|member| self.spec.endpoints.get(member.index()));
        endpoints.flat_map(|own| own.addresses.iter().filter_map(|address| self.lane(*address))).collect()
    }

    fn lane(&self, address: AddressId) -> Option<Option<Family>> {
        Some(self.spec.addresses.get(address.index())?.family)
    }

    fn is_in(&self, address: AddressId, part: Part) -> bool {
        match part {
            Part::Whole => true,
            Part::Lane(lane) => self.lane(address) == Some(lane),
        }
    }
}
