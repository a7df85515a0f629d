//! One service's answers of one kind: who has been removed, who is held, and what is still allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{GovernorSpec, Stand};
use crate::ids::{AddressId, Family, RegionId, ServiceId};

/// An endpoint's unit of capacity is this many parts, so that it can be shared by its addresses.
const PARTS: u64 = 1_000_000;

/// The addresses of a service in one lane.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Whose.
    pub service: ServiceId,
    /// Which; `None` for host names.
    pub family: Option<Family>,
    spec: GovernorSpec,
    /// Sorted by address.
    seats: Vec<Seat>,
    /// Under distrust: what may still go.
    distrusted: Option<Spared>,
    /// How many are held.
    held: usize,
    /// Whether it has been told that some are.
    told: bool,
}

/// What may go under distrust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Spared {
    /// Nobody.
    Nobody,
    /// The region that goes first.
    First,
    /// This region.
    Region(RegionId),
}

/// An address with its part of its endpoint's capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seat {
    /// Which.
    pub address: AddressId,
    /// Where.
    pub region: RegionId,
    /// Capacity in parts.
    pub amount: u64,
    /// Whether an operator keeps it out.
    pub out: bool,
    /// What has become of it.
    pub state: SeatState,
}

/// What has become of a seat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SeatState {
    /// It is not down.
    Well,
    /// It is down, and that is accepted.
    Removed {
        /// The how manieth fall it was.
        order: u64,
        /// When it is settled.
        settles_at: Duration,
    },
    /// It is down, and counts as up.
    Held {
        /// The how manieth fall it was.
        order: u64,
    },
}

/// How a lane stands, in thousandths of the unit of capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Figures {
    /// Addresses held.
    pub held: usize,
    /// Their capacity.
    pub held_milli: u64,
    /// The capacity that is accepted as removed and not settled.
    pub removed_milli: u64,
    /// The capacity that operators have left and that is not settled.
    pub remaining_milli: u64,
    /// What may go of it beyond the first region, in percent.
    pub max_removed_percent: u8,
    /// Whether this node distrusts what it sees.
    pub distrusted: bool,
}

/// Sums of one region.
#[derive(Clone, Copy, Default)]
struct Sums {
    /// What operators have left.
    all: u64,
    settled: u64,
    recent: u64,
    /// Seats that operators have left, and those of them that are removed.
    seats: usize,
    removed: usize,
    /// The last fall among them.
    last: u64,
}

impl Sums {
    /// Whether the region is lost as a whole.
    fn is_lost(self) -> bool {
        self.seats > 0 && self.removed == self.seats
    }
}

impl Seat {
    /// A well one that shares its endpoint's capacity with others.
    pub fn new(address: AddressId, region: RegionId, capacity: u32, sharers: usize) -> Seat {
        let amount = u64::from(capacity) * PARTS / (sharers.max(1) as u64);
        Seat { address, region, amount, out: false, state: SeatState::Well }
    }
}

impl Lane {
    /// Everybody well.
    pub fn new(service: ServiceId, family: Option<Family>, spec: GovernorSpec, seats: Vec<Seat>) -> Lane {
        Lane { service, family, spec, seats, distrusted: None, held: 0, told: false }
    }

    /// Takes in how an address stands.
    pub fn turn(&mut self, address: AddressId, stand: Stand, order: u64, now: Duration) {
        let Some(seat) = self.seat(address) else { return };
        let before = (seat.out, seat.state);
        seat.out = matches!(stand, Stand::Out | Stand::OutFallen);
        seat.state = match (stand, seat.state) {
            (Stand::Well | Stand::Out, _) => SeatState::Well,
            (Stand::Fallen, SeatState::Well) => SeatState::Held { order },
            // What falls while an operator keeps it out takes nobody's place.
            (Stand::OutFallen, SeatState::Well | SeatState::Held { .. }) => {
                SeatState::Removed { order, settles_at: now }
            }
            (Stand::Fallen | Stand::OutFallen, before) => before,
        };
        let changed = before != (seat.out, seat.state);
        if changed && (self.held > 0 || stand == Stand::Fallen) {
            self.judge(now);
        }
    }

    fn seat(&mut self, address: AddressId) -> Option<&mut Seat> {
        let at = self.seats.binary_search_by_key(&address, |seat| seat.address).ok()?;
        self.seats.get_mut(at)
    }

    /// Accepts what is held as far as the rule allows, in the order of falls.
    pub fn judge(&mut self, now: Duration) {
        let mut held: Vec<(u64, usize)> = self
            .seats
            .iter()
            .enumerate()
            .filter_map(|(at, seat)| match seat.state {
                SeatState::Held { order } => Some((order, at)),
                SeatState::Well | SeatState::Removed { .. } => None,
            })
            .collect();
        self.held = held.len();
        held.sort_unstable();
        for (order, at) in held {
            let Some(seat) = self.seats.get(at).copied() else { continue };
            if !self.accepts(seat, now) {
                continue;
            }
            if self.distrusted == Some(Spared::First) {
                self.distrusted = Some(Spared::Region(seat.region));
            }
            self.held -= 1;
            if let Some(seat) = self.seats.get_mut(at) {
                seat.state = SeatState::Removed { order, settles_at: now + self.spec.window };
            }
        }
    }

    /// Whether one more may go.
    fn accepts(&self, seat: Seat, now: Duration) -> bool {
        if seat.out {
            return true;
        }
        let spared = match self.distrusted {
            None | Some(Spared::First) => true,
            Some(Spared::Nobody) => false,
            Some(Spared::Region(region)) => region == seat.region,
        };
        if !spared {
            return false;
        }
        let mut sums = self.sums(now);
        let lost = first_lost(&sums);
        sums.entry(seat.region).or_default().recent += seat.amount;
        match lost {
            Some(region) => self.keeps(&sums, region),
            None => sums.keys().any(|region| self.keeps(&sums, *region)),
        }
    }

    /// Whether the recent falls outside a region are few enough.
    fn keeps(&self, sums: &BTreeMap<RegionId, Sums>, exempt: RegionId) -> bool {
        let others = sums.iter().filter(|(region, _)| **region != exempt);
        let (recent, remaining) = others.fold((0u128, 0u128), |(recent, remaining), (_, own)| {
            (recent + u128::from(own.recent), remaining + u128::from(own.all - own.settled.min(own.all)))
        });
        recent * 100 <= u128::from(self.spec.max_removed_percent) * remaining
    }

    fn sums(&self, now: Duration) -> BTreeMap<RegionId, Sums> {
        let mut sums: BTreeMap<RegionId, Sums> = BTreeMap::new();
        for seat in self.seats.iter().filter(|seat| !seat.out) {
            let own = sums.entry(seat.region).or_default();
            own.all += seat.amount;
            own.seats += 1;
            if let SeatState::Removed { order, settles_at } = seat.state {
                own.removed += 1;
                own.last = own.last.max(order);
                let sum = if settles_at <= now { &mut own.settled } else { &mut own.recent };
                *sum += seat.amount;
            }
        }
        sums
    }

    /// From now on only one region may go, or none; what fell since `from` is taken back accordingly.
    pub fn distrust(&mut self, from: u64, spare: bool, now: Duration) {
        let fell = |seat: &Seat| match seat.state {
            SeatState::Removed { order, .. } | SeatState::Held { order } => Some((order, seat.region)),
            SeatState::Well => None,
        };
        // The region that was lost first; where none is, the one in which it began.
        let begun = self.seats.iter().filter(|seat| !seat.out).filter_map(fell);
        let begun = begun.filter(|(order, _)| *order >= from).min().map(|(_, region)| region);
        let region = first_lost(&self.sums(now)).or(begun);
        let spared = match (spare, region) {
            (false, _) => Spared::Nobody,
            (true, Some(region)) => Spared::Region(region),
            (true, None) => Spared::First,
        };
        self.distrusted = Some(spared);
        for seat in self.seats.iter_mut().filter(|seat| !seat.out) {
            let SeatState::Removed { order, .. } = seat.state else { continue };
            if order >= from && spared != Spared::Region(seat.region) {
                seat.state = SeatState::Held { order };
            }
        }
        self.judge(now);
    }

    /// The usual rule again.
    pub fn trust(&mut self, now: Duration) {
        self.distrusted = None;
        self.judge(now);
    }

    /// Accepts everything that is held, as of old; how many.
    pub fn release(&mut self, now: Duration) -> usize {
        for seat in &mut self.seats {
            if let SeatState::Held { order } = seat.state {
                seat.state = SeatState::Removed { order, settles_at: now };
            }
        }
        std::mem::take(&mut self.held)
    }

    /// Whether anything is held.
    pub fn holds(&self) -> bool {
        self.held > 0
    }

    /// What is held.
    pub fn held(&self) -> impl Iterator<Item = AddressId> + '_ {
        let held = |seat: &&Seat| matches!(seat.state, SeatState::Held { .. });
        self.seats.iter().filter(held).map(|seat| seat.address)
    }

    /// All seats, by address.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// When the next removal is settled.
    pub fn next_settled(&self, now: Duration) -> Option<Duration> {
        let settles = self.seats.iter().filter_map(|seat| match seat.state {
            SeatState::Removed { settles_at, .. } => Some(settles_at),
            SeatState::Well | SeatState::Held { .. } => None,
        });
        settles.filter(|at| *at > now).min()
    }

    /// The figures, if it has begun or ceased to hold something since the last time.
    pub fn poll(&mut self, now: Duration) -> Option<Figures> {
        let holds = self.holds();
        let changed = std::mem::replace(&mut self.told, holds) != holds;
        changed.then(|| self.figures(now))
    }

    fn figures(&self, now: Duration) -> Figures {
        let sums = self.sums(now);
        let held = self.seats.iter().filter(|seat| matches!(seat.state, SeatState::Held { .. }));
        let milli = |parts: u64| parts / (PARTS / 1000);
        Figures {
            held: self.held,
            held_milli: milli(held.map(|seat| seat.amount).sum()),
            removed_milli: milli(sums.values().map(|own| own.recent).sum()),
            remaining_milli: milli(sums.values().map(|own| own.all - own.settled.min(own.all)).sum()),
            max_removed_percent: self.spec.max_removed_percent,
            distrusted: self.distrusted.is_some(),
        }
    }

    /// Puts a seat where it was.
    pub fn put(&mut self, address: AddressId, state: SeatState) {
        if let Some(seat) = self.seat(address) {
            seat.state = state;
        }
        self.held = self.seats.iter().filter(|seat| matches!(seat.state, SeatState::Held { .. })).count();
    }
}

/// Of the regions that are lost as a whole the one that was so first.
fn first_lost(sums: &BTreeMap<RegionId, Sums>) -> Option<RegionId> {
    let lost = sums.iter().filter(|(_, own)| own.is_lost());
    lost.min_by_key(|(region, own)| (own.last, **region)).map(|(region, _)| *region)
}
