//! What goes by itself: another account of the governor's cap (H11).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use meridian::health::{Forced, Verdict};
use meridian::ids::{EndpointId, Family};
use meridian::view::View;

use crate::checks::{Checker, Violation};

/// The cap and the window that hold where nothing is configured.
const REMOVED_MAX_PERCENT: usize = 50;
const WINDOW: Duration = Duration::from_secs(600);

/// A removal is published a little after it is accepted: at the end of the window it may count as over.
const SLACK: Duration = Duration::from_secs(1);

/// Which endpoints of which service and family are out without an operator, and since when; `None`: they
/// fell while an operator kept them out, which takes nobody's place.
#[derive(Default)]
pub struct Removals(BTreeMap<(usize, Family, Box<str>), Option<Duration>>);

/// One endpoint in one lane.
struct Seat {
    name: Box<str>,
    region: u16,
    is_out: bool,
    kept_out: bool,
}

impl Removals {
    /// Takes in a view after a start or a reload, without judging it: who is new to a service and already
    /// down has taken nobody's place.
    pub fn take(&mut self, view: &View) {
        for service in 0..view.snapshot.plans.len() {
            for family in Family::ALL {
                self.update(service, family, &seats(view, service, family), None);
            }
        }
    }

    /// Takes in a view. What has newly gone must be within the cap: of the recent removals outside some
    /// one region at most half of what is there and not long gone.
    pub fn published(&mut self, previous: &View, view: &View, now: Duration) -> Result<(), Violation> {
        let asked = previous.health.endpoints.iter().zip(view.health.endpoints.iter());
        let words_changed = asked.clone().any(|(a, b)| a.forced != b.forced);
        for service in 0..view.snapshot.plans.len() {
            for family in Family::ALL {
                let seats = seats(view, service, family);
                if self.update(service, family, &seats, Some(now)) && !words_changed {
                    self.judge(service, family, &seats, now)?;
                }
            }
        }
        Ok(())
    }

    /// Whether anybody has newly gone.
    fn update(&mut self, service: usize, family: Family, seats: &[Seat], now: Option<Duration>) -> bool {
        let mut new = false;
        for seat in seats {
            let key = (service, family, seat.name.clone());
            if !seat.is_out {
                self.0.remove(&key);
                continue;
            }
            self.0.entry(key).or_insert_with(|| {
                new |= !seat.kept_out;
                now.filter(|_| !seat.kept_out)
            });
        }
        new
    }

    fn judge(&self, service: usize, family: Family, seats: &[Seat], now: Duration) -> Result<(), Violation> {
        let seats: Vec<&Seat> = seats.iter().filter(|seat| !seat.kept_out).collect();
        let since = |seat: &Seat| self.0.get(&(service, family, seat.name.clone())).copied();
        let is_recent = |seat: &&&Seat| since(seat).flatten().is_some_and(|at| now - at + SLACK < WINDOW);
        let regions: BTreeSet<u16> = seats.iter().map(|seat| seat.region).collect();
        let keeps = |region: &u16| {
            let others = || seats.iter().filter(|seat| seat.region != *region);
            let recent = others().filter(is_recent).count();
            let remaining = others().filter(|seat| since(seat).is_none() || is_recent(seat)).count();
            recent * 100 <= REMOVED_MAX_PERCENT * remaining
        };
        if regions.iter().any(keeps) {
            return Ok(());
        }
        let recent = seats.iter().filter(is_recent).count();
        let text = format!("s{service} {family:?}: {recent} of {} endpoints went by themselves", seats.len());
        Err(Violation::new(Checker::Governor, text))
    }
}

/// The endpoints of a service that have a family; what only a fallback has is no part of it.
fn seats(view: &View, service: usize, family: Family) -> Vec<Seat> {
    let Some(plan) = view.snapshot.plans.get(service) else { return Vec::new() };
    let Some(spec) = view.snapshot.board.services.get(service) else { return Vec::new() };
    let kept_out = |id: &EndpointId| matches!(view.health.forced(*id), Forced::Down | Forced::Drained);
    let members = spec.members.iter();
    members
        .filter_map(|id| {
            let endpoint = view.snapshot.fleet.endpoint(*id)?;
            let own = endpoint.addresses.iter().find(|own| Family::of(own.address) == family)?;
            let down = view.health.address(own.id).verdict == Verdict::Down;
            let forced_up = view.health.forced(*id) == Forced::Up;
            let is_out = down && !forced_up && !view.health.is_frozen(plan.service, own.id);
            let kept_out = kept_out(id);
            Some(Seat { name: endpoint.name.clone(), region: endpoint.region.0, is_out, kept_out })
        })
        .collect()
}
