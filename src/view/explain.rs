//! Why a service answers as it does (X1): the same walk and the same tables as the answer itself,
//! written down.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::geo::{ClassOf, ClientPrefix, Effective, LocationMap};
use crate::ids::{ClassId, Family, RegionId, ServiceId};
use crate::now::Now;
use crate::steer::{
    Answer, Client, Decided, Decision, Lane, Mix, Mode, Plan, Selection, Step, Trace, client_key,
    decide_region, hashed_length, retrace,
};
use crate::wire;

use super::{Snapshot, View, inputs};

/// The whole account of one answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// The service.
    pub service: String,
    /// What was asked of it.
    pub lane: Lane,
    /// Whose address decided.
    pub decided_by: DecidedBy,
    /// The prefix that decided.
    pub client: ClientPrefix,
    /// The regions in the order in which the client's place prefers them, where a policy asks.
    pub preference: Vec<String>,
    /// The walk down the tree.
    pub steps: Vec<Step>,
    /// The candidates with their shares, which add up to 1; empty for an empty answer.
    pub candidates: Vec<Candidate>,
    /// Whether health decided or a mode of R9.
    pub mode: Mode,
    /// What an answer holds for this draw.
    pub answer: ExplainedAnswer,
    /// The TTL in seconds, and what bounds it.
    pub ttl_s: u32,
    /// What bounds the TTL.
    pub ttl_why: String,
    /// The scope that goes out with a client subnet option.
    pub scope: u8,
    /// Why it is that long.
    pub scope_why: String,
}

/// Whose address decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DecidedBy {
    /// The client subnet option.
    Subnet,
    /// The resolver: no option, source length 0, or an option that the service does not believe.
    Resolver,
    /// Nobody: the answer is the same for everybody (R11).
    Nobody,
    /// The resolver, because the option holds a special-purpose block (R7).
    ResolverForSpecial(&'static str),
}

/// One possible answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Candidate {
    /// `pool/endpoint`, several for answers with several endpoints.
    pub endpoints: Vec<String>,
    /// Their regions.
    pub regions: Vec<String>,
    /// What the answer would hold.
    pub addresses: Vec<IpAddr>,
    /// The share of draws, or of clients for sticky choices.
    pub share: f64,
}

/// What the answer holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExplainedAnswer {
    /// A or AAAA.
    Addresses(Vec<IpAddr>),
    /// The target of a CNAME, as text.
    Alias(String),
    /// NOERROR without data.
    NoData,
    /// REFUSED.
    Refused,
}

/// Explains a service's answer to a client and a draw. The answer, the TTL and the scope are those of
/// [`View::steer`]; the walk is run again, recording.
pub fn explain(
    view: &View,
    service: ServiceId,
    lane: Lane,
    client: &Client,
    now: Now,
    draw: u64,
) -> Option<Explanation> {
    let plan = view.snapshot.plan(service)?;
    let map = view.snapshot.map_of(plan).map(|map| &**map);
    let subnet =
        client.subnet.filter(|_| view.table(service).is_some_and(|table| table.believes(&client.resolver)));
    let resolver = ClientPrefix::host(client.resolver);
    let prefix = subnet.unwrap_or(resolver);
    let (class, special) = class_of(map, prefix, resolver);
    let mut inputs = inputs(&view.snapshot, plan, &view.health, &view.calendar);
    inputs.last_good = view.table(service).and_then(|table| table.last_good(lane));
    let mut trace = Trace::recording();
    let place = map.map(|map| map.place(class));
    let decided = retrace(inputs, class, place, lane, client_key(prefix), &mut trace);
    tell_hosts(view, plan, &decided, &mut trace);
    let selection = view.steer(service, lane, client, now, draw);
    let table = view.table(service).and_then(|table| table.lane(lane));
    let located = table.map(|table| table.locate(&prefix, &client.resolver));
    let left_s = view.table(service).and_then(|table| table.left_s(&now));
    let decided_by = match (subnet, special) {
        (None, _) => DecidedBy::Resolver,
        (Some(_), Some(name)) => DecidedBy::ResolverForSpecial(name),
        (Some(_), None) => DecidedBy::Subnet,
    };
    Some(Explanation {
        service: plan.name.to_string(),
        lane,
        client: if special.is_some() { resolver } else { prefix },
        preference: preference(&view.snapshot, plan, map, class),
        steps: trace.steps,
        candidates: candidates(&view.snapshot, &decided),
        mode: decided.mode,
        answer: answer(&selection),
        ttl_s: selection.ttl_s,
        ttl_why: ttl_why(plan, &decided, &selection, left_s),
        scope: selection.scope,
        scope_why: scope_why(
            &decided_by,
            located.map_or(&decided.decision, |located| located.decision),
            prefix,
            &selection,
            map,
        ),
        decided_by,
    })
}

/// Explains what the testing name of a region answers (R11), as [`View::steer_region`] does.
pub fn explain_region(
    view: &View,
    service: ServiceId,
    region: RegionId,
    lane: Lane,
    client: &Client,
    draw: u64,
) -> Option<Explanation> {
    let plan = view.snapshot.plan(service)?;
    let mut trace = Trace::recording();
    let inputs = inputs(&view.snapshot, plan, &view.health, &view.calendar);
    let decision = decide_region(inputs, region, lane, &mut trace);
    let selection = view.steer_region(service, region, lane, draw);
    let decided = Decided { decision, ttl_bound_s: None, mode: selection.mode };
    Some(Explanation {
        service: plan.name.to_string(),
        lane,
        decided_by: DecidedBy::Nobody,
        client: client.subnet.unwrap_or(ClientPrefix::host(client.resolver)),
        preference: Vec::new(),
        steps: trace.steps,
        candidates: candidates(&view.snapshot, &decided),
        mode: selection.mode,
        answer: answer(&selection),
        ttl_s: selection.ttl_s,
        ttl_why: "the service's maximum: health does not change the answer".to_owned(),
        scope: selection.scope,
        scope_why: "everybody gets the same answer".to_owned(),
    })
}

/// R14: whose addresses an answer is flattened from.
fn tell_hosts(view: &View, plan: &Plan, decided: &Decided, trace: &mut Trace) {
    let (Some(interval_s), Decision::Answer(mix)) = (plan.flatten, &decided.decision) else { return };
    let mut named = BTreeSet::new();
    mix.visit(1.0, &mut |_, pick| named.extend(pick.endpoints.iter().copied()));
    for endpoint in named.into_iter().filter_map(|id| view.snapshot.fleet.endpoint(id)) {
        let Some((host, id)) = &endpoint.alias else { continue };
        trace.note(&endpoint.name, || {
            let addresses: Vec<String> = view.health.resolved(*id).iter().map(ToString::to_string).collect();
            let (host, addresses) = (name_text(host), addresses.join(" "));
            format!("flattened from {host}, which is {addresses}; looked up every {interval_s} s")
        });
    }
}

fn class_of(
    map: Option<&LocationMap>,
    prefix: ClientPrefix,
    resolver: ClientPrefix,
) -> (ClassId, Option<&'static str>) {
    let Some(map) = map else { return (ClassId(0), None) };
    match map.class_of(prefix) {
        ClassOf::Class(class) => (class, None),
        ClassOf::Special { name, .. } => match map.class_of(resolver) {
            ClassOf::Class(class) => (class, Some(name)),
            ClassOf::Special { .. } => (map.unknown_class(), Some(name)),
        },
    }
}

fn preference(snapshot: &Snapshot, plan: &Plan, map: Option<&LocationMap>, class: ClassId) -> Vec<String> {
    let Some(map) = map else { return Vec::new() };
    let place = map.place(class);
    let Some(lens) = plan.nodes.iter().find_map(|node| match node.rule {
        crate::steer::Rule::Nearest { lens, .. } => Some(usize::from(lens)),
        _ => None,
    }) else {
        return Vec::new();
    };
    place.order(lens).iter().map(|region| snapshot.fleet.region_name(*region).to_owned()).collect()
}

fn candidates(snapshot: &Snapshot, decided: &Decided) -> Vec<Candidate> {
    let Decision::Answer(mix) = &decided.decision else { return Vec::new() };
    let mut all = Vec::new();
    mix.visit(1.0, &mut |share, pick| {
        let endpoints = pick.endpoints.iter().filter_map(|id| snapshot.fleet.endpoint(*id));
        all.push(Candidate {
            endpoints: endpoints.clone().map(|endpoint| endpoint.name.to_string()).collect(),
            regions: endpoints.map(|own| snapshot.fleet.region_name(own.region).to_owned()).collect(),
            addresses: pick.addresses.to_vec(),
            share,
        });
    });
    all
}

fn answer(selection: &Selection<'_>) -> ExplainedAnswer {
    match selection.answer {
        Answer::Addresses(addresses) => ExplainedAnswer::Addresses(addresses.to_vec()),
        Answer::Alias(name) => ExplainedAnswer::Alias(name_text(name)),
        Answer::NoData => ExplainedAnswer::NoData,
        Answer::Refused => ExplainedAnswer::Refused,
    }
}

/// `left_s` are the seconds until something is going to change by itself.
fn ttl_why(plan: &Plan, decided: &Decided, selection: &Selection<'_>, left_s: Option<u32>) -> String {
    let (least, most) = (plan.ttl_s.start(), plan.ttl_s.end());
    if let Some(left_s) = left_s.filter(|left_s| decided.ttl_bound_s.is_none_or(|bound| *left_s < bound)) {
        if selection.ttl_s == left_s {
            return "the next step of a share, a schedule or an override comes then".to_owned();
        }
        if left_s < *least && selection.ttl_s == *least {
            return format!("a step comes within {left_s} s, but the service's minimum is {least} s");
        }
    }
    match decided.ttl_bound_s {
        None if selection.ttl_s == *most => {
            format!("the service's maximum; its bounds are {least}..{most} s")
        }
        Some(bound) if selection.ttl_s == bound => {
            "the earliest moment at which the health of something consulted can change".to_owned()
        }
        Some(bound) if bound < *least => {
            format!("health could change within {bound} s, but the service's minimum is {least} s")
        }
        _ => "the least over all clients inside the scope".to_owned(),
    }
}

fn scope_why(
    by: &DecidedBy,
    decision: &Decision,
    prefix: ClientPrefix,
    selection: &Selection<'_>,
    map: Option<&LocationMap>,
) -> String {
    match by {
        DecidedBy::Nobody => "everybody gets the same answer".to_owned(),
        DecidedBy::Resolver => "the resolver's own address decided".to_owned(),
        DecidedBy::ResolverForSpecial(name) => format!("the length of the special-purpose block \"{name}\""),
        DecidedBy::Subnet if map.is_none() && selection.scope == 0 => {
            "the place of the client plays no part".to_owned()
        }
        DecidedBy::Subnet => {
            let hashed = hashed_length(prefix);
            match decision {
                Decision::Answer(Mix::Gated { .. }) if selection.scope == hashed => {
                    format!("partial shares hash the first {hashed} bits of the client")
                }
                Decision::Answer(mix) if mix.is_hashed() && selection.scope == hashed => {
                    format!("a sticky choice hashes the first {hashed} bits of the client")
                }
                _ if map.is_some_and(|map| is_at_floor(map, prefix, selection.scope)) => {
                    let whole = prefix_of(prefix, selection.scope);
                    format!("scope_floor: {whole} is decided for as a whole")
                }
                _ => {
                    let widest = prefix_of(prefix, selection.scope);
                    format!("{widest} is the widest network around the client with this one decision")
                }
            }
        }
    }
}

/// Whether a scope is as long as the floor lets it be (E6).
fn is_at_floor(map: &LocationMap, prefix: ClientPrefix, scope: u8) -> bool {
    let effective = Effective::of(prefix);
    let family = effective.prefix.family();
    let floor = map.spec().floor.length(family);
    map.spec().floor.is_below(family, effective.prefix.length()) && effective.announce(floor) == scope
}

fn prefix_of(prefix: ClientPrefix, scope: u8) -> ClientPrefix {
    ClientPrefix::from_bits(prefix.family(), prefix.bits(), scope)
}

/// A wire name as text, with its final dot.
fn name_text(wire: &[u8]) -> String {
    match wire::name_text(wire).as_str() {
        "." => ".".to_owned(),
        text => format!("{text}."),
    }
}

/// How a lane is called: the record type.
pub fn lane_type(lane: Lane) -> &'static str {
    match lane {
        Lane::Addresses(Family::V4) => "A",
        Lane::Addresses(Family::V6) => "AAAA",
        Lane::Alias => "CNAME",
        Lane::Service => "SVCB",
    }
}
