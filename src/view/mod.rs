//! The frozen whole that the query path reads (pure): a snapshot, its health table, and the decisions
//! that follow from both.

mod assume;
mod carry;
mod emptied;
mod explain;
mod peers;
mod possible;
mod rendered;
mod snapshot;

use std::net::IpAddr;
use std::sync::Arc;

use crate::dnssec::Signed;
use crate::geo::ClientPrefix;
use crate::health::{EndpointState, HealthTable};
use crate::ids::{Family, RegionId, ServiceId, ZoneId};
use crate::now::Now;
use crate::steer::{
    Answer, Calendar, Client, Decision, Folds, Inputs, Lane, Mode, Pick, Places, PlainSelection, Plan,
    Selection, ServiceTable, client_key,
};

use crate::wire::{Rtype, ServiceBinding};

pub use assume::{Assumed, Subject, assume};
pub use emptied::{Emptied, Loss};
pub use explain::{Candidate, DecidedBy, ExplainedAnswer, Explanation, explain, explain_region, lane_type};
pub use peers::{Peer, Peers, Target, ZonePeers};
pub use rendered::Rendered;
pub use snapshot::{Additional, Bindings, Chaos, Fingerprint, Protection, ResponderSettings, Snapshot};

/// {snapshot, health table, decisions}: the only thing that the query path reads. Immutable.
pub struct View {
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// The states that the decisions of this view follow from.
    pub health: HealthTable,
    /// What the schedules say.
    pub calendar: Calendar,
    /// By [`ServiceId`].
    tables: Box<[Arc<ServiceTable>]>,
    /// By [`ZoneId`].
    signed: Box<[Option<Arc<Signed>>]>,
}

impl View {
    /// Decides everything that can be asked. What `previous` decided from the same inputs is taken over.
    pub fn new(
        snapshot: Arc<Snapshot>,
        health: HealthTable,
        calendar: Calendar,
        previous: Option<&View>,
    ) -> View {
        let same = previous.filter(|previous| previous.snapshot.decides_like(&snapshot));
        let carried = match (previous, same) {
            (Some(previous), None) => carry::remembered(previous, &snapshot, &health),
            _ => Vec::new(),
        };
        let mut folds = Folds::default();
        let tables = snapshot.plans.iter().enumerate().map(|(index, plan)| {
            let before = same.and_then(|view| Some((view, view.tables.get(index)?)));
            if let Some((view, table)) = before
                && same_inputs(plan, &view.health, &health)
                && same_times(plan, &view.calendar, &calendar)
            {
                return Arc::clone(table);
            }
            let remembered = before.map(|(_, table)| &table.last_good).or(carried.get(index));
            let inputs = inputs(&snapshot, plan, &health, &calendar);
            let remembered = remembered.map_or(&[][..], |remembered| remembered);
            Arc::new(ServiceTable::new(inputs, snapshot.map_of(plan), remembered, &mut folds))
        });
        let tables = tables.collect();
        // Signatures of answers are found by what these say: those of the view before are as good.
        let signed = same.map_or_else(Box::default, |view| view.signed.clone());
        let view = View {
            tables,
            snapshot: Arc::clone(&snapshot),
            health: health.clone(),
            calendar,
            signed: Box::default(),
        };
        view.with_signed(&signed)
    }

    /// Finds out ahead what the view in force before was asked of services that have been decided anew since, so that
    /// queries need not. It may take a while: it is for a thread that nobody waits for, and ends when `goes_on` says no.
    pub fn learn(&self, before: &View, goes_on: &mut dyn FnMut() -> bool) {
        if !before.snapshot.decides_like(&self.snapshot) {
            return;
        }
        let mut places = Places::default();
        for (own, before) in self.tables.iter().zip(&before.tables).filter(|(a, b)| !Arc::ptr_eq(a, b)) {
            if !goes_on() {
                return;
            }
            own.learn(before, &mut places);
        }
    }

    /// The same view with other signatures, by [`ZoneId`]: those of zones that are not signed here stay. What
    /// was made for another zone's data is left out.
    pub fn with_signed(mut self, signed: &[Option<Arc<Signed>>]) -> View {
        let zones = self.snapshot.catalog.zones().iter().enumerate();
        let chosen = zones.map(|(index, zone)| {
            let new = signed.get(index).and_then(Option::as_ref).filter(|new| Arc::ptr_eq(new.zone(), zone));
            new.or_else(|| self.snapshot.signed.get(index)?.as_ref()).map(Arc::clone)
        });
        self.signed = chosen.collect();
        self
    }

    /// A zone's signatures; `None` where it is not signed.
    pub fn signed(&self, zone: ZoneId) -> Option<&Arc<Signed>> {
        self.signed.get(zone.index())?.as_ref()
    }

    /// A service's answer to a client: a look-up in tables made when the view was. `now` says how long it
    /// holds, `draw` is uniform over u64. Allocates nothing.
    pub fn steer(
        &self,
        service: ServiceId,
        lane: Lane,
        client: &Client,
        now: Now,
        draw: u64,
    ) -> Selection<'_> {
        let Some(whole) = self.tables.get(service.index()) else { return Selection::nothing() };
        let Some(table) = whole.lane(lane) else { return Selection::nothing() };
        let resolver = ClientPrefix::host(client.resolver);
        let (prefix, is_subnet) = match client.subnet {
            Some(subnet) if whole.believes(&client.resolver) => (subnet, true),
            _ => (resolver, false),
        };
        let located = table.locate(&prefix, &client.resolver);
        let (answer, counters) = match located.decision {
            Decision::Answer(mix) => {
                let pick = mix.choose(draw, || client_key(prefix));
                (self.answer(lane, pick), &*pick.counters)
            }
            Decision::NoData => (Answer::NoData, &[][..]),
            Decision::Refused => (Answer::Refused, &[][..]),
        };
        let ttl_s = whole.bounded_ttl_s(located.ttl_s, &now);
        let scope = if is_subnet { located.scope } else { 0 };
        Selection { answer, ttl_s, scope, counters, mode: located.mode }
    }

    /// [`View::steer`] for addresses, where health decided and no hash of the client takes part. `prefix` is what the
    /// client states of its network, or else the address of the `resolver`, as it is where the service does not
    /// believe the one; the scope is then 0, and where there is no client subnet it is not to be told.
    #[inline(never)]
    pub fn steer_plainly(
        &self,
        service: ServiceId,
        family: Family,
        prefix: &ClientPrefix,
        draw: u64,
        resolver: &IpAddr,
        now: &Now,
    ) -> PlainSelection<'_> {
        // All that is usual, and nothing to remember for what is not: that begins anew.
        if let Some(whole) = self.tables.get(service.index())
            && let Some(table) = whole.lane(Lane::Addresses(family))
            && let Some((choice, ttl_s, scope)) = table.look_up_quickly(prefix)
            && let Some(pick) = choice.plain(draw)
        {
            return PlainSelection::of(pick, ttl_s, scope);
        }
        self.steer_plainly_at_length(service, family, prefix, draw, resolver, now)
    }

    #[inline(never)]
    fn steer_plainly_at_length(
        &self,
        service: ServiceId,
        family: Family,
        prefix: &ClientPrefix,
        draw: u64,
        resolver: &IpAddr,
        now: &Now,
    ) -> PlainSelection<'_> {
        let Some(whole) = self.tables.get(service.index()) else { return PlainSelection::NOT_PLAIN };
        let table = whole.lane(Lane::Addresses(family)).filter(|_| !whole.is_alias());
        let Some(table) = table else { return PlainSelection::NOT_PLAIN };
        let is_believed = whole.believes(resolver);
        let host = ClientPrefix::host(*resolver);
        let (choice, ttl_s, scope) = table.look_up(if is_believed { prefix } else { &host }, resolver);
        match choice.plain(draw) {
            Some(pick) => {
                let ttl_s = whole.bounded_ttl_s(ttl_s, now);
                PlainSelection::of(pick, ttl_s, if is_believed { scope } else { 0 })
            }
            None if choice.is_no_data() => PlainSelection::NO_DATA,
            None => PlainSelection::NOT_PLAIN,
        }
    }

    /// What the testing name of a region answers: the same to everybody, whatever the region's health (R11).
    /// Allocates nothing.
    pub fn steer_region(&self, service: ServiceId, region: RegionId, lane: Lane, draw: u64) -> Selection<'_> {
        let plan = self.snapshot.plan(service);
        let decision = self.table(service).and_then(|table| table.testing(region, lane));
        let answer = match decision {
            Some(Decision::Answer(mix)) => self.answer(lane, mix.choose(draw, || 0)),
            _ => Answer::NoData,
        };
        let ttl_s = plan.map_or(0, |plan| *plan.ttl_s.end());
        Selection { answer, ttl_s, scope: 0, counters: &[], mode: Mode::Normal }
    }

    #[inline(always)]
    fn answer<'p>(&'p self, lane: Lane, pick: &'p Pick) -> Answer<'p> {
        match lane {
            Lane::Addresses(_) | Lane::Service if pick.addresses.is_empty() => Answer::NoData,
            Lane::Addresses(_) | Lane::Service => Answer::Addresses(&pick.addresses),
            Lane::Alias => self.alias(pick.endpoints.first()).map_or(Answer::NoData, Answer::Alias),
        }
    }

    /// Whether a service answers CNAME for every type (R14).
    #[inline(always)]
    pub fn is_alias(&self, service: ServiceId) -> bool {
        self.tables.get(service.index()).is_some_and(|table| table.is_alias())
    }

    /// How a service's SVCB or HTTPS record looks; `None` where it has none of that type.
    pub fn binding(&self, service: ServiceId, rtype: Rtype) -> Option<&ServiceBinding> {
        let bindings = self.snapshot.bindings.get(service.index())?;
        match rtype {
            Rtype::HTTPS => bindings.https.as_ref(),
            Rtype::SVCB => bindings.svcb.as_ref(),
            _ => None,
        }
    }

    /// A service's decisions.
    pub fn table(&self, service: ServiceId) -> Option<&ServiceTable> {
        self.tables.get(service.index()).map(|table| &**table)
    }

    fn alias(&self, endpoint: Option<&crate::ids::EndpointId>) -> Option<&[u8]> {
        let endpoint = self.snapshot.fleet.endpoint(*endpoint?)?;
        endpoint.alias.as_ref().map(|(name, _)| &**name)
    }
}

fn inputs<'a>(
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    health: &'a HealthTable,
    calendar: &'a Calendar,
) -> Inputs<'a> {
    Inputs { fleet: &snapshot.fleet, plan, health, calendar, last_good: None, rtt: snapshot.rtt_of(plan) }
}

/// Whether two tables say the same of everything that a plan's decisions depend on.
fn same_inputs(plan: &Plan, a: &HealthTable, b: &HealthTable) -> bool {
    plan.addresses.iter().all(|address| {
        a.address(*address) == b.address(*address)
            && a.resolved(*address) == b.resolved(*address)
            && a.is_frozen(plan.service, *address) == b.is_frozen(plan.service, *address)
    }) && plan
        .members
        .iter()
        .all(|endpoint| same_endpoint(plan, a.endpoint(*endpoint), b.endpoint(*endpoint)))
        && (!plan.uses_service_times() || a.service_times == b.service_times)
}

/// Whether a plan's schedules say the same, and for as long.
fn same_times(plan: &Plan, a: &Calendar, b: &Calendar) -> bool {
    plan.schedules.iter().all(|schedule| a.state(*schedule) == b.state(*schedule))
        && a.changes_at(&plan.schedules) == b.changes_at(&plan.schedules)
}

/// Load weights are an input of few services, and change all the time.
fn same_endpoint(plan: &Plan, a: EndpointState, b: EndpointState) -> bool {
    a == EndpointState { load_weight: if plan.uses_load() { b.load_weight } else { a.load_weight }, ..b }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("generation", &self.snapshot.generation).finish_non_exhaustive()
    }
}
