//! An explanation in the form that leaves the process: for the API, and for `meridian explain`, which
//! shows the same report whether it was made here or offline.

use std::collections::BTreeMap;
use std::net::IpAddr;

use domain::utils::base64;
use serde::{Deserialize, Serialize};

use super::question::{Question, assumption_text, subject};
use crate::geo::{ClientPrefix, Row, SaidBy};
use crate::ids::{Family, RegionId, ServiceId};
use crate::now::Now;
use crate::steer::{Answer, Client, Lane, Mode, utc_text};
use crate::view::{
    DecidedBy, ExplainedAnswer, Explanation, View, assume, explain, explain_region, lane_type,
};
use crate::wire::{Name, Rtype, ServiceBinding, SvcParamKey, name_text};
use crate::zone::{ClientClass, Lookup};

/// CNAMEs followed on the way to a steered name, as many as the responder follows.
const CHAIN_MAX: usize = 16;

/// The whole account of one answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The name that was asked for.
    pub name: String,
    /// `A`, `AAAA`, `HTTPS` or `SVCB`.
    pub rtype: String,
    /// By the wall clock, where another time than now was asked for.
    #[serde(default)]
    pub at: Option<String>,
    /// The generation that explains.
    pub generation: u64,
    /// The class of clients, unless it is everybody's (R16).
    #[serde(default)]
    pub class: Option<String>,
    /// What was taken to be otherwise than it is: `WHAT=down`, `WHAT=up` or `WHAT=drained`.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// Static steps before the steered name, or what is there instead of one.
    pub path: Vec<String>,
    /// The steered part; absent where no service answers.
    pub steered: Option<Steered>,
    /// What must be shown wherever locations are shown.
    pub attributions: Vec<String>,
}

/// The account of a service's answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Steered {
    /// The service.
    pub service: String,
    /// `A`, `AAAA`, `HTTPS`, `SVCB` or `CNAME`.
    pub answer_type: String,
    /// Whose address decided: `client subnet`, `resolver`, or why the resolver's in spite of a subnet.
    pub decided_by: String,
    /// The prefix that decided.
    pub client: String,
    /// What the location data say of it; absent where they cannot be asked.
    #[serde(default)]
    pub location: Option<Place>,
    /// Why they cannot be asked.
    #[serde(default)]
    pub location_missing: Option<String>,
    /// The regions by the client's preference, where a policy asks for that.
    pub preference: Vec<String>,
    /// The walk down the tree.
    pub steps: Vec<Step>,
    /// The candidates; their shares add up to 1.
    pub candidates: Vec<Candidate>,
    /// Whether nothing was healthy and a last resort decided.
    pub last_resort: bool,
    /// What decided: `normal`, `frozen` (the governor keeps what is down) or `all-down`.
    #[serde(default)]
    pub mode: String,
    /// What the answer holds for this draw.
    pub answer: Vec<String>,
    /// `NOERROR` or `REFUSED`.
    pub rcode: String,
    /// The TTL in seconds.
    pub ttl_s: u32,
    /// What bounds it.
    pub ttl_why: String,
    /// The scope of the client subnet option in the reply.
    pub scope: u8,
    /// Why it is that long.
    pub scope_why: String,
}

/// What the location data say of a client.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The network of which they say it.
    pub network: String,
    /// ISO 3166-1, two letters.
    pub country: Option<String>,
    /// As the key of a geo rule has it: `US-CA`.
    pub subdivision: Option<String>,
    /// Latitude and longitude in degrees.
    pub at: Option<(f64, f64)>,
    /// The autonomous system number.
    pub asn: Option<u32>,
    /// Who says so: `override FILE:LINE`, the name of a database, or `unknown` and why.
    pub source: String,
}

/// A line of the walk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// How deep in the tree.
    pub depth: u8,
    /// The node.
    pub node: String,
    /// What happened there.
    pub what: String,
}

/// A possible answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// `pool/endpoint`
    pub endpoints: Vec<String>,
    /// Their regions.
    pub regions: Vec<String>,
    /// What the answer would hold.
    pub addresses: Vec<IpAddr>,
    /// How often it is the answer: 0 to 1.
    pub share: f64,
}

/// Explains what a view answers.
///
/// # Errors
/// When an assumption names no region.
pub fn report(
    view: &View,
    question: &Question,
    now: Now,
    locate: &dyn Fn(ClientPrefix) -> Result<Row, String>,
) -> Result<Report, String> {
    let class = class(view, question)?;
    let now = Now { wall: question.at.unwrap_or(now.wall), ..now };
    let supposed = supposed(view, question, now)?;
    let view = supposed.as_ref().unwrap_or(view);
    let snapshot = &view.snapshot;
    let (path, found) = walk(view, question, class);
    let steered = found.and_then(|Found { service, region, negative_ttl_s }| {
        let client = Client { resolver: question.resolver, subnet: question.client };
        let lane = lane(view, service, question.rtype)?;
        let explanation = match region {
            Some(region) => explain_region(view, service, region, lane, &client, question.draw)?,
            None => explain(view, service, lane, &client, now, question.draw)?,
        };
        let binding = view.binding(service, question.rtype);
        let location = match region {
            Some(_) => Err("it plays no part".to_owned()),
            None => locate(explanation.client),
        };
        let steered = steered(explanation, question.rtype, binding, location);
        Some(as_sent(steered, negative_ttl_s))
    });
    let located = steered.as_ref().is_some_and(|steered: &Steered| steered.location.is_some());
    let needed = located || (steered.is_some() && !snapshot.maps.is_empty());
    Ok(Report {
        name: name_text(question.name.octets()),
        rtype: question.rtype.to_string(),
        at: question.at.map(utc_text),
        generation: snapshot.generation,
        class: snapshot.catalog.classes().name(class).map(str::to_owned),
        assumed: question.assumptions.iter().map(assumption_text).collect(),
        path,
        steered,
        attributions: snapshot.attributions.iter().filter(|_| needed).map(ToString::to_string).collect(),
    })
}

/// The class that is asked for, or else that of the resolver's address: who sends the query counts.
fn class(view: &View, question: &Question) -> Result<ClientClass, String> {
    let classes = view.snapshot.catalog.classes();
    match &question.class {
        None => Ok(classes.of(question.resolver, None)),
        Some(name) => classes.by_name(name).ok_or_else(|| format!("class: there is no class {name:?}")),
    }
}

/// The view as it would be; `None` where nothing is supposed to be otherwise.
fn supposed(view: &View, question: &Question, now: Now) -> Result<Option<View>, String> {
    if question.assumptions.is_empty() && question.at.is_none() {
        return Ok(None);
    }
    let mut assumptions = Vec::with_capacity(question.assumptions.len());
    for (name, state) in &question.assumptions {
        assumptions.push((subject(view, name)?, *state));
    }
    let calendar = match question.at {
        Some(_) => view.snapshot.calendar(now),
        None => view.calendar.clone(),
    };
    Ok(Some(assume(view, &assumptions, calendar)))
}

/// What is decided for a type; `None` where the service does not answer it.
fn lane(view: &View, service: ServiceId, rtype: Rtype) -> Option<Lane> {
    match rtype {
        _ if view.is_alias(service) => Some(Lane::Alias),
        Rtype::A => Some(Lane::Addresses(Family::V4)),
        Rtype::AAAA => Some(Lane::Addresses(Family::V6)),
        _ => view.binding(service, rtype).map(|_| Lane::Service),
    }
}

/// A service that answers.
struct Found {
    service: ServiceId,
    /// At the testing name of this region (R11).
    region: Option<RegionId>,
    /// The TTL of an empty answer there.
    negative_ttl_s: u32,
}

/// From the name asked for through static CNAMEs to a service, or to what is there instead.
fn walk(view: &View, question: &Question, class: ClientClass) -> (Vec<String>, Option<Found>) {
    let rtype = question.rtype;
    let catalog = &view.snapshot.catalog;
    let mut name = question.name;
    let mut path = Vec::new();
    for _ in 0..CHAIN_MAX {
        let text = name_text(name.octets());
        let Some((_, zone)) = catalog.find(class, &name) else {
            let what = match path.is_empty() {
                true => "is in none of our zones: REFUSED",
                false => "is in none of our zones: the answer ends with the CNAME",
            };
            return ended(path, format!("{text} {what}"));
        };
        let origin = name_text(zone.origin().octets());
        let target = match zone.lookup(&name, rtype) {
            Lookup::Steered(service) if lane(view, service, rtype).is_none() => {
                return ended(
                    path,
                    format!("{text} is steered (zone {origin}) and has no {rtype}: empty answer"),
                );
            }
            Lookup::Steered(service) => {
                path.push(format!("{text} is steered (zone {origin})"));
                let found = Found { service, region: None, negative_ttl_s: zone.negative_ttl_s() };
                return (path, Some(found));
            }
            Lookup::Testing(service, region) => {
                let plan = view.snapshot.plan(service).map_or("?", |plan| &plan.name);
                let answer = testing_answer(view, question, (service, region));
                path.push(format!(
                    "{text} is the testing name of region {} in service {plan} (zone {origin}), whatever its \
                     health and whoever asks: {answer}",
                    view.snapshot.fleet.region_name(region)
                ));
                let negative_ttl_s = zone.negative_ttl_s();
                return (path, Some(Found { service, region: Some(region), negative_ttl_s }));
            }
            Lookup::Alias(rrset) => rrset.rdata().next().and_then(Name::from_wire),
            Lookup::Answer(_) => return ended(path, format!("{text} has static records in zone {origin}")),
            Lookup::NoData => {
                return ended(path, format!("{text} exists without {}", rtype));
            }
            Lookup::NxDomain => {
                return ended(path, format!("{text} does not exist in zone {origin}: NXDOMAIN"));
            }
            Lookup::Referral { .. } => {
                return ended(path, format!("{text} is delegated away from zone {origin}"));
            }
            Lookup::Redirect { .. } => {
                return ended(path, format!("{text} is below a DNAME in zone {origin}"));
            }
        };
        let Some(target) = target else {
            return ended(path, format!("{text} has a CNAME that cannot be read"));
        };
        path.push(format!("{text} is a CNAME for {} (zone {origin})", name_text(target.octets())));
        name = target;
    }
    ended(path, "the chain of CNAMEs is too long".to_owned())
}

/// What a testing name answers, in words.
fn testing_answer(view: &View, question: &Question, (service, region): (ServiceId, RegionId)) -> String {
    let Some(lane) = lane(view, service, question.rtype) else { return "empty answer".to_owned() };
    match view.steer_region(service, region, lane, question.draw).answer {
        Answer::Addresses(addresses) => match view.binding(service, question.rtype) {
            Some(binding) if lane == Lane::Service => binding_text(binding, addresses),
            _ => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        },
        Answer::Alias(name) => name_text(name),
        Answer::NoData | Answer::Refused => "empty answer".to_owned(),
    }
}

fn ended(mut path: Vec<String>, what: String) -> (Vec<String>, Option<Found>) {
    path.push(what);
    (path, None)
}

/// TTL and scope as the reply has them where it is empty: then they are no matter of the service.
fn as_sent(mut steered: Steered, negative_ttl_s: u32) -> Steered {
    if steered.answer.is_empty() {
        let refused = steered.rcode == "REFUSED";
        (steered.ttl_s, steered.ttl_why) = match refused {
            true => (0, "nothing goes out that has one".to_owned()),
            false if steered.mode == Mode::AllDown.label() && steered.ttl_s < negative_ttl_s => {
                (steered.ttl_s, steered.ttl_why)
            }
            false => (negative_ttl_s, "the zone's for empty answers".to_owned()),
        };
        (steered.scope, steered.scope_why) =
            (0, "an answer without data is the same for everybody".to_owned());
    }
    steered
}

fn steered(
    explanation: Explanation,
    rtype: Rtype,
    binding: Option<&ServiceBinding>,
    location: Result<Row, String>,
) -> Steered {
    let (location, location_missing) = match location {
        Ok(row) => (Some(place(row)), None),
        Err(why) => (None, Some(why)),
    };
    let binding = binding.filter(|_| explanation.lane == Lane::Service);
    let answer_type = match binding {
        Some(_) => rtype.to_string(),
        None => lane_type(explanation.lane).to_owned(),
    };
    let (answer, rcode) = match explanation.answer {
        ExplainedAnswer::Addresses(addresses) if binding.is_some() => {
            (binding.map(|binding| binding_text(binding, &addresses)).into_iter().collect(), "NOERROR")
        }
        ExplainedAnswer::Addresses(addresses) => {
            (addresses.iter().map(ToString::to_string).collect(), "NOERROR")
        }
        ExplainedAnswer::Alias(name) => (vec![name], "NOERROR"),
        ExplainedAnswer::NoData => (Vec::new(), "NOERROR"),
        ExplainedAnswer::Refused => (Vec::new(), "REFUSED"),
    };
    Steered {
        service: explanation.service,
        answer_type,
        decided_by: match explanation.decided_by {
            DecidedBy::Subnet => "client subnet".to_owned(),
            DecidedBy::Nobody => "nobody, everybody gets the same".to_owned(),
            DecidedBy::Resolver => "resolver".to_owned(),
            DecidedBy::ResolverForSpecial(block) => {
                format!("resolver, because the client subnet is special-purpose: {block}")
            }
        },
        client: explanation.client.to_string(),
        location,
        location_missing,
        preference: explanation.preference,
        steps: explanation
            .steps
            .into_iter()
            .map(|step| Step { depth: step.depth, node: step.node, what: step.what })
            .collect(),
        candidates: explanation
            .candidates
            .into_iter()
            .map(|candidate| Candidate {
                endpoints: candidate.endpoints,
                regions: candidate.regions,
                addresses: candidate.addresses,
                share: candidate.share,
            })
            .collect(),
        last_resort: explanation.mode == Mode::AllDown,
        mode: explanation.mode.label().to_owned(),
        answer,
        rcode: rcode.to_owned(),
        ttl_s: explanation.ttl_s,
        ttl_why: explanation.ttl_why,
        scope: explanation.scope,
        scope_why: explanation.scope_why,
    }
}

fn place(row: Row) -> Place {
    let location = row.location.unwrap_or_default();
    let country = location.country.map(|code| String::from_utf8_lossy(&code.0).into_owned());
    Place {
        network: row.network.to_string(),
        subdivision: location.subdivision.map(|part| match &country {
            Some(country) => format!("{country}-{part}"),
            None => part.into_string(),
        }),
        country,
        at: location.coordinates.map(|at| (at.latitude(), at.longitude())),
        asn: location.asn,
        source: match row.said_by {
            SaidBy::Nobody => "unknown".to_owned(),
            SaidBy::Special(block) => format!("unknown (special-purpose: {block})"),
            SaidBy::Database(name) => name.into_string(),
            SaidBy::Override(file, line) => format!("override {file}:{line}"),
        },
    }
}

/// An SVCB or HTTPS record as master files write it, with its hints.
fn binding_text(binding: &ServiceBinding, addresses: &[IpAddr]) -> String {
    let hint = |ipv4: bool| {
        let own = addresses.iter().filter(|address| address.is_ipv4() == ipv4);
        own.map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let mut parts: BTreeMap<SvcParamKey, String> = BTreeMap::new();
    for (key, value) in binding.parameters() {
        parts.insert(key, parameter_text(key, value));
    }
    for (key, name, hint) in
        [(SvcParamKey::IPV4HINT, "ipv4hint", hint(true)), (SvcParamKey::IPV6HINT, "ipv6hint", hint(false))]
    {
        if !hint.is_empty() {
            parts.insert(key, format!("{name}={hint}"));
        }
    }
    let parts = parts.into_values().collect::<Vec<_>>().join(" ");
    format!("{} . {parts}", binding.priority()).trim_end().to_owned()
}

fn parameter_text(key: SvcParamKey, value: &[u8]) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match key {
        SvcParamKey::ALPN => {
            let (mut rest, mut all) = (value, Vec::new());
            while let Some((length, tail)) = rest.split_first() {
                let Some((protocol, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
                all.push(text(protocol));
                rest = tail;
            }
            format!("alpn={}", all.join(","))
        }
        SvcParamKey::NO_DEFAULT_ALPN => "no-default-alpn".to_owned(),
        SvcParamKey::PORT => {
            format!("port={}", u16::from_be_bytes(*value.first_chunk().unwrap_or(&[0; 2])))
        }
        SvcParamKey::ECH => format!("ech={}", base64::encode_string(value)),
        SvcParamKey::DOHPATH => format!("dohpath={}", text(value)),
        SvcParamKey(other) => format!("key{other}={}", text(value)),
    }
}
