//! What a scope floor costs (E6): the share of the known addresses whose region changes by it.

use std::collections::{BTreeMap, HashMap};

use crate::geo::{ClientPrefix, Decided, Fold, LocationMap, ScopeFloor, What};
use crate::health::HealthTable;
use crate::ids::{ClassId, Family, RegionId};
use crate::steer::{Calendar, Decision, Inputs, Plan, decide};
use crate::view::Snapshot;

/// What the floor of a service does to the addresses of a family.
#[derive(Clone, PartialEq, Debug)]
pub struct FloorShare {
    /// The service.
    pub service: Box<str>,
    /// The family.
    pub family: Family,
    /// The floor's length in bits.
    pub length: u8,
    /// The share of the known addresses that get another region or other shares of regions while all is
    /// well: 0 to 1.
    pub moved: f64,
}

/// The same configuration without floors.
pub fn without(config: &crate::config::Config) -> crate::config::Config {
    let mut plain = config.clone();
    plain.services.iter_mut().for_each(|service| service.scope_floor = ScopeFloor::NONE);
    plain
}

/// Compares a snapshot with the same one compiled [`without`] floors.
pub fn shares(floored: &Snapshot, plain: &Snapshot) -> Vec<FloorShare> {
    let mut shares = Vec::new();
    for (plan, before) in floored.plans.iter().zip(plain.plans.iter()) {
        let (Some(map), Some(wide)) = (floored.map_of(plan), plain.map_of(before)) else { continue };
        let mut kinds = Kinds::default();
        let (after, before) = (kinds.fold(floored, plan, map), kinds.fold(plain, before, wide));
        for family in Family::ALL {
            let length = map.spec().floor.length(family);
            if length == family.bits() {
                continue;
            }
            let moved = moved(family, (map, &after), (wide, &before));
            shares.push(FloorShare { service: plan.name.clone(), family, length, moved });
        }
    }
    shares
}

/// What decisions come to: numbers of shares by region.
#[derive(Default)]
struct Kinds(HashMap<Vec<(RegionId, u64)>, u16>);

/// Stands for the unknown location.
const UNKNOWN: u16 = 0;

impl Kinds {
    /// The map folded by the regions of its healthy decisions; unknown places are apart.
    fn fold(&mut self, snapshot: &Snapshot, plan: &Plan, map: &LocationMap) -> Fold {
        let health = HealthTable::unknown(snapshot.board.addresses.len(), snapshot.fleet.endpoints.len());
        let calendar = Calendar::default();
        let inputs = Inputs {
            fleet: &snapshot.fleet,
            plan,
            health: &health,
            calendar: &calendar,
            last_good: None,
            rtt: snapshot.rtt_of(plan),
        };
        let Some(lane) = plan.lanes.first().copied() else { return map.fold(&[]) };
        let decided: Vec<Decided> = (0..map.class_count() as u32)
            .map(ClassId)
            .map(|class| {
                let decision = match class == map.unknown_class() {
                    true => UNKNOWN,
                    false => {
                        self.number(snapshot, &decide(inputs, class, Some(map.place(class)), lane).decision)
                    }
                };
                Decided { decision, ttl_s: 0 }
            })
            .collect();
        map.fold(&decided)
    }

    fn number(&mut self, snapshot: &Snapshot, decision: &Decision) -> u16 {
        let mut regions: BTreeMap<RegionId, f64> = BTreeMap::new();
        if let Decision::Answer(mix) = decision {
            mix.visit(1.0, &mut |share, pick| {
                let endpoints = pick.endpoints.iter().filter_map(|id| snapshot.fleet.endpoint(*id));
                endpoints.for_each(|endpoint| *regions.entry(endpoint.region).or_default() += share);
            });
        }
        // Millionths: what rounding makes of equal shares is equal.
        let rounded = regions.into_iter().map(|(region, share)| (region, (share * 1e6).round() as u64));
        // More kinds than numbers are not told apart.
        let next = (1 + self.0.len()).min(usize::from(Fold::DECISIONS_MAX) - 1) as u16;
        *self.0.entry(rounded.collect()).or_insert(next)
    }
}

/// The first of the globally routed IPv6 addresses, 2000::/3; nothing else is known in any database.
const UNICAST_FIRST: u128 = 0x2000 << 112;

/// Where the next address with a place of its own is, from `first` on: IPv4 addresses inside IPv6 ones
/// (Teredo, 6to4) count as IPv4 and not twice.
fn next_placed(family: Family, first: u128) -> Option<u128> {
    match (family, first >> 96, first >> 112, first >> 125) {
        (Family::V4, ..) => Some(first),
        (Family::V6, 0x2001_0000, ..) => Some(0x2001_0001 << 96),
        (Family::V6, _, 0x2002, _) => Some(0x2003 << 112),
        (Family::V6, _, _, 0) => Some(UNICAST_FIRST),
        (Family::V6, _, _, 1) => Some(first),
        (Family::V6, ..) => None,
    }
}

/// Walks a family by the wider steps that both maps allow.
fn moved(
    family: Family,
    (floored, after): (&LocationMap, &Fold),
    (plain, before): (&LocationMap, &Fold),
) -> f64 {
    let (mut known, mut moved) = (0f64, 0f64);
    let mut next = Some(0u128);
    while let Some(first) = next.and_then(|first| next_placed(family, first)) {
        let client = ClientPrefix::from_bits(family, first, family.bits());
        let (then, now) = (plain.locate(before, &client), floored.locate(after, &client));
        let length = then.scope.max(now.scope);
        let size = 2f64.powi(i32::from(family.bits() - length.min(family.bits())));
        if then.what != What::Special && then.what != What::Decision(UNKNOWN) {
            known += size;
            moved += if then.what == now.what { 0.0 } else { size };
        }
        let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
        next = (first | host).checked_add(1);
    }
    if known > 0.0 { moved / known } else { 0.0 }
}
