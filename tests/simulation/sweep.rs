//! What must be true from one view to the next: who may move, and who may not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian::health::{Forced, Verdict};
use meridian::ids::{AddressId, Family, ServiceId};
use meridian::now::Now;
use meridian::steer::{Answer, Mode, Plan};
use meridian::view::View;

use crate::checks::{Checker, Given, Violation};
use crate::design::Design;
use crate::users::Users;

/// Draws that are tried for each user, far apart.
const DRAWS: [u64; 3] = [0, 0x5555_5555_5555_5555, 0xeeee_eeee_eeee_eeee];

/// Regions as bits.
type Regions = u32;

/// An address as one service sees it.
#[derive(Clone, Copy, PartialEq)]
struct Usable {
    region: u16,
    family: Family,
    /// The share of clients that may get it, in thousandths.
    permille: u16,
    standing: (Verdict, Option<u32>, Forced, bool),
    step_at: Option<Duration>,
}

/// Looks at all users of all services whose decisions have changed.
pub fn published(
    design: &Design,
    users: &Users,
    now: Now,
    previous: &Arc<View>,
    next: &Arc<View>,
) -> Result<u64, Violation> {
    let mut moves = 0;
    for service in 0..next.snapshot.plans.len() {
        let id = ServiceId(service as u32);
        let same = match (previous.table(id), next.table(id)) {
            (Some(a), Some(b)) => std::ptr::eq(a, b),
            _ => false,
        };
        let Some(plan) = next.snapshot.plan(id).filter(|_| !same) else { continue };
        let tree = &design.services[service].tree;
        let latency = tree.has_latency() && previous.health.service_times != next.health.service_times;
        let (before, after) = (usables(previous, plan), usables(next, plan));
        for family in Family::ALL {
            if !latency && !touched(&before, &after, family) {
                unmoved(users, (service, family, now), previous, next, Checker::Families)?;
            }
            // A threshold counts everybody: where it is missed only because of partial shares, they are
            // ignored, for those too whose own region is well.
            let shares = |all: &[Usable]| all.iter().any(|own| own.step_at.is_some());
            let threshold = tree.has_threshold() && (shares(&before) || shares(&after));
            if tree.is_exact(design) && !latency && !threshold {
                moves += movement(users, (service, family, now), (previous, &before), (next, &after))?;
            }
        }
    }
    Ok(moves)
}

/// Every user of a lane gets the same as before, to the last bit.
pub fn unmoved(
    users: &Users,
    (service, family, now): (usize, Family, Now),
    previous: &View,
    next: &View,
    checker: Checker,
) -> Result<(), Violation> {
    for user in users.all.iter().filter(|user| user.service == service) {
        let client = users.client(user);
        let given = Given { service, family, client: &client, now, draw: DRAWS[1] };
        let (before, after) = (given.of(previous), given.of(next));
        if (before.answer, before.ttl_s, before.scope) != (after.answer, after.ttl_s, after.scope) {
            let text = format!("s{service} {family:?}: {} had {before:?}, has {after:?}", user.network);
            return Err(Violation::new(checker, text));
        }
    }
    Ok(())
}

/// Of the users of a lane only those move whose region lost something, or who go where something is
/// back. How many moved.
fn movement(
    users: &Users,
    (service, family, now): (usize, Family, Now),
    (previous, before): (&View, &[Usable]),
    (next, after): (&View, &[Usable]),
) -> Result<u64, Violation> {
    let (lost, gained) = changed(before, after, family);
    let mut moves = 0;
    for user in users.all.iter().filter(|user| user.service == service && user.family == family) {
        let client = users.client(user);
        let given = |draw| Given { service, family, client: &client, now, draw };
        let normal = |view: &View| DRAWS.iter().all(|draw| given(*draw).mode(view) == Mode::Normal);
        let (was, is) = (regions(previous, given), regions(next, given));
        let moved = was != is;
        moves += u64::from(moved);
        let wrong = |what: &str| {
            let text = format!(
                "s{service} {family:?}: {} {what}: regions {was:b} -> {is:b}, lost {lost:b}, gained {gained:b}",
                user.network
            );
            Err(Violation::new(Checker::Moved, text))
        };
        if moved && lost & was == 0 && gained & is == 0 && normal(previous) && normal(next) {
            return wrong("moved without a reason");
        }
        if is.count_ones() > 1 && normal(next) {
            return wrong("goes where the draw says");
        }
    }
    Ok(moves)
}

/// The regions that a client is sent to, over all draws tried.
pub fn regions<'g>(view: &View, given: impl Fn(u64) -> Given<'g>) -> Regions {
    let mut regions = 0;
    for draw in DRAWS {
        if let Answer::Addresses(addresses) = given(draw).of(view).answer {
            for address in addresses {
                regions |= region_of(view, *address).map_or(0, |region| 1 << region);
            }
        }
    }
    regions
}

/// The region of an address; those of one address are all in one.
fn region_of(view: &View, address: IpAddr) -> Option<u16> {
    let mut endpoints = view.snapshot.fleet.endpoints.iter();
    let own = endpoints.find(|own| own.addresses.iter().any(|own| own.address == address))?;
    Some(own.region.0)
}

/// Everything that a plan's decisions follow from, address by address.
fn usables(view: &View, plan: &Plan) -> Vec<Usable> {
    let fleet = &view.snapshot.fleet;
    let members = plan.members.iter().filter_map(|id| Some((*id, fleet.endpoint(*id)?)));
    members
        .flat_map(|(id, endpoint)| {
            let state = view.health.endpoint(id);
            endpoint.addresses.iter().map(move |own| {
                let standing = view.health.address(own.id);
                let frozen = is_frozen(view, plan, own.id);
                let well = match state.forced {
                    Forced::Up => true,
                    Forced::Down | Forced::Drained => false,
                    Forced::Not => standing.verdict != Verdict::Down || frozen,
                };
                let share = state.share.least(standing.share);
                Usable {
                    region: endpoint.region.0,
                    family: Family::of(own.address),
                    permille: if well { share.permille } else { 0 },
                    step_at: share.step_at,
                    standing: (standing.verdict, standing.ttl_bound_s, state.forced, frozen),
                }
            })
        })
        .collect()
}

fn is_frozen(view: &View, plan: &Plan, address: AddressId) -> bool {
    view.health.is_frozen(plan.service, address)
}

/// Whether anything of a family is not what it was, or when the service changes by itself: the next step
/// bounds the TTLs of all its answers.
fn touched(before: &[Usable], after: &[Usable], family: Family) -> bool {
    let differs = |(a, b): (&Usable, &Usable)| a.step_at != b.step_at || a.family == family && a != b;
    before.len() != after.len() || before.iter().zip(after).any(differs)
}

/// The regions that lost something of a family, and those that gained something.
fn changed(before: &[Usable], after: &[Usable], family: Family) -> (Regions, Regions) {
    let (mut lost, mut gained) = (0, 0);
    for (was, is) in before.iter().zip(after).filter(|(was, _)| was.family == family) {
        if is.permille < was.permille {
            lost |= 1 << was.region;
        }
        if is.permille > was.permille {
            gained |= 1 << is.region;
        }
    }
    (lost, gained)
}

/// Everybody has what they have when all is well.
pub fn converged(users: &Users, now: Now, view: &View, healed: &View) -> Result<(), Violation> {
    for user in &users.all {
        let client = users.client(user);
        for draw in DRAWS {
            let given = Given { service: user.service, family: user.family, client: &client, now, draw };
            let (is, should) = (given.of(view), given.of(healed));
            if (is.answer, is.ttl_s, is.scope) != (should.answer, should.ttl_s, should.scope) {
                let text = format!(
                    "s{} {:?}: {} gets {is:?}, and when all is well {should:?}",
                    user.service, user.family, user.network
                );
                return Err(Violation::new(Checker::Converged, text));
            }
        }
    }
    Ok(())
}
