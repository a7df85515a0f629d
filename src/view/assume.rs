//! Views of what is not so: "what if this region were down, at that time?" (X1).

use std::sync::Arc;

use crate::health::{EndpointState, Forced, HealthTable, Standing, Verdict};
use crate::ids::{AddressId, EndpointId, Family, RegionId};
use crate::steer::Calendar;

use super::View;

/// What is taken to be otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// All endpoints of a region.
    Region(RegionId),
    /// One endpoint.
    Endpoint(EndpointId),
    /// One address.
    Address(AddressId),
    /// All addresses of a family.
    Family(Family),
}

/// How it is taken to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assumed {
    /// Its checks fail, and no operator says otherwise.
    Down,
    /// Its checks succeed, all clients may get it, and no operator says otherwise.
    Up,
    /// An operator has drained it; of addresses the whole endpoint.
    Drained,
}

/// The view as it would be with these assumptions, later ones above earlier ones, and these schedules.
pub fn assume(view: &View, assumptions: &[(Subject, Assumed)], calendar: Calendar) -> View {
    let mut addresses = view.health.addresses.to_vec();
    let mut endpoints = view.health.endpoints.to_vec();
    let mut frozen = view.health.frozen.to_vec();
    for (subject, assumed) in assumptions {
        for address in (0..addresses.len() as u32).map(AddressId) {
            let Some(endpoint) =
                endpoint_of(view, address).filter(|own| concerns(view, *subject, address, *own))
            else {
                continue;
            };
            let (standing, state) = (addresses.get_mut(address.index()), endpoints.get_mut(endpoint.index()));
            let (Some(standing), Some(state)) = (standing, state) else { continue };
            match assumed {
                Assumed::Down | Assumed::Up => {
                    let verdict = if *assumed == Assumed::Up { Verdict::Up } else { Verdict::Down };
                    *standing = Standing::of(verdict);
                    *state = EndpointState { load_weight: state.load_weight, ..EndpointState::PLAIN };
                    frozen.retain(|(_, own)| *own != address);
                }
                Assumed::Drained => state.forced = Forced::Drained,
            }
        }
    }
    let health = HealthTable {
        addresses: addresses.into(),
        endpoints: endpoints.into(),
        frozen: frozen.into(),
        ..view.health.clone()
    };
    View::new(Arc::clone(&view.snapshot), health, calendar, Some(view))
}

fn endpoint_of(view: &View, address: AddressId) -> Option<EndpointId> {
    view.snapshot.board.addresses.get(address.index()).map(|own| own.endpoint)
}

fn concerns(view: &View, subject: Subject, address: AddressId, endpoint: EndpointId) -> bool {
    match subject {
        Subject::Region(region) => view.snapshot.board.region_of(address) == Some(region),
        Subject::Endpoint(own) => own == endpoint,
        Subject::Address(own) => own == address,
        Subject::Family(family) => {
            view.snapshot.board.addresses.get(address.index()).is_some_and(|own| own.family == Some(family))
        }
    }
}
