//! How much of a service may go by itself (H11).
//!
//! The rule, for each service and each of its lanes (IPv4, IPv6, CNAME) apart. What operators keep out
//! or force up is no part of it. A fall that comes within `window` of its acceptance is recent, later it is settled.
//! A fall is accepted if, with it, the recent falls outside one region are at most `max_removed` of the
//! capacity outside that region that is not settled. The region is the one that was lost as a whole
//! first, as long as one is lost as a whole; otherwise any region that makes it true. What is not
//! accepted is held: the verdict counts as up for that service until it turns, until the window has
//! passed for others, or until an operator accepts it.

mod distrust;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

pub use distrust::{Cause, Distrust, Ending, Fallen, Turn};
pub use lane::{Figures, Lane, Seat, SeatState};

use super::{BoardSpec, Part};
use crate::ids::{AddressId, ServiceId};

/// `[governor]`, or a service's own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GovernorSpec {
    /// Of what remains beyond the first region, in percent: 0..=100.
    pub max_removed_percent: u8,
    /// Within which time.
    pub window: Duration,
}

impl GovernorSpec {
    /// What is not configured.
    pub const USUAL: GovernorSpec =
        GovernorSpec { max_removed_percent: 50, window: Duration::from_secs(600) };
}

/// The lanes of all services.
#[derive(Clone, Debug, Default)]
pub struct Governor {
    lanes: Vec<Lane>,
    /// By address: the lanes that it has a seat in.
    lanes_of: Vec<Vec<u32>>,
    /// Falls so far: their order.
    falls: u64,
}

/// What has become of a lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneNews {
    /// Whose.
    pub service: ServiceId,
    /// Which.
    pub part: Part,
    /// What there is to say.
    pub figures: Figures,
}

/// How an address stands with the governor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stand {
    /// It is not down, or forced up.
    Well,
    /// The monitors say that it is down.
    Fallen,
    /// An operator keeps it out; it is not down.
    Out,
    /// An operator keeps it out, and it is down.
    OutFallen,
}

impl Governor {
    /// Everybody well.
    pub fn new(spec: &BoardSpec) -> Governor {
        let mut lanes: Vec<Lane> = Vec::new();
        let mut lanes_of = vec![Vec::new(); spec.addresses.len()];
        for (index, service) in spec.services.iter().enumerate() {
            let mut own: BTreeMap<_, Vec<Seat>> = BTreeMap::new();
            for member in &service.members {
                let Some(endpoint) = spec.endpoints.get(member.index()) else { continue };
                let family = |address: &AddressId| Some(spec.addresses.get(address.index())?.family);
                for address in &endpoint.addresses {
                    let Some(family) = family(address) else { continue };
                    let same = endpoint.addresses.iter().filter(|other| self::same(spec, other, address));
                    let seat = Seat::new(*address, endpoint.region, endpoint.capacity, same.count());
                    own.entry(family).or_default().push(seat);
                }
            }
            for (family, mut seats) in own {
                seats.sort_by_key(|seat| seat.address);
                for seat in &seats {
                    if let Some(of) = lanes_of.get_mut(seat.address.index()) {
                        of.push(lanes.len() as u32);
                    }
                }
                lanes.push(Lane::new(ServiceId(index as u32), family, service.governor, seats));
            }
        }
        Governor { lanes, lanes_of, falls: 0 }
    }

    /// Takes in how an address stands now. Lanes whose state of being frozen has changed are told by
    /// [`Governor::poll`].
    pub fn turn(&mut self, address: AddressId, stand: Stand, now: Duration) {
        self.falls += u64::from(matches!(stand, Stand::Fallen | Stand::OutFallen));
        let falls = self.falls;
        let own = self.lanes_of.get(address.index()).into_iter().flatten();
        for lane in own {
            if let Some(lane) = self.lanes.get_mut(*lane as usize) {
                lane.turn(address, stand, falls, now);
            }
        }
    }

    /// The order of the next fall: what falls from now on has this or a later one.
    pub fn next_fall(&self) -> u64 {
        self.falls + 1
    }

    /// Judges anew what is held where time may have made room.
    pub fn tick(&mut self, now: Duration) {
        self.lanes.iter_mut().filter(|lane| lane.holds()).for_each(|lane| lane.judge(now));
    }

    /// Distrust begins: what has fallen since the fall `from` is not believed, except in the first region
    /// of each lane if `spare`.
    pub fn distrust(&mut self, from: u64, spare: bool, now: Duration) {
        self.lanes.iter_mut().for_each(|lane| lane.distrust(from, spare, now));
    }

    /// Distrust is over.
    pub fn trust(&mut self, now: Duration) {
        self.lanes.iter_mut().for_each(|lane| lane.trust(now));
    }

    /// Accepts what is held for a service, or for all; how many addresses.
    pub fn release(&mut self, service: Option<ServiceId>, now: Duration) -> usize {
        let own = |lane: &&mut Lane| service.is_none_or(|service| lane.service == service);
        self.lanes.iter_mut().filter(own).map(|lane| lane.release(now)).sum()
    }

    /// Lanes that have begun or ceased to hold something since the last time.
    pub fn poll(&mut self, now: Duration) -> Vec<LaneNews> {
        let told = |lane: &mut Lane| {
            let figures = lane.poll(now)?;
            Some(LaneNews { service: lane.service, part: Part::Lane(lane.family), figures })
        };
        self.lanes.iter_mut().filter_map(told).collect()
    }

    /// When time alone may make room.
    pub fn next_change(&self, now: Duration) -> Option<Duration> {
        self.lanes.iter().filter(|lane| lane.holds()).filter_map(|lane| lane.next_settled(now)).min()
    }

    /// What is held, sorted.
    pub fn frozen(&self) -> Vec<(ServiceId, AddressId)> {
        let holding = self.lanes.iter().filter(|lane| lane.holds());
        let mut frozen: Vec<_> =
            holding.flat_map(|lane| lane.held().map(|address| (lane.service, address))).collect();
        frozen.sort_unstable();
        frozen
    }

    /// The lanes.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// Puts a seat where it was in an earlier life, or before a reload.
    pub fn put(&mut self, service: ServiceId, address: AddressId, state: SeatState) {
        let own = self.lanes_of.get(address.index()).into_iter().flatten();
        for lane in own {
            if let Some(lane) = self.lanes.get_mut(*lane as usize).filter(|lane| lane.service == service) {
                lane.put(address, state);
            }
        }
        if let SeatState::Removed { order, .. } | SeatState::Held { order } = state {
            self.falls = self.falls.max(order);
        }
    }
}

fn same(spec: &BoardSpec, a: &AddressId, b: &AddressId) -> bool {
    let family = |address: &AddressId| spec.addresses.get(address.index()).map(|own| own.family);
    family(a) == family(b)
}
