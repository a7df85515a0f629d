//! An explanation in the form that leaves the process: for the API, and for `meridian explain`, which
//! shows the same report whether it was made here or offline.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::geo::ClientPrefix;
use crate::ids::{Family, RegionId, ServiceId};
use crate::now::Now;
use crate::steer::{Client, Lane, Mode};
use crate::view::{DecidedBy, ExplainedAnswer, Explanation, View, assume, explain, lane_type};
use crate::wire::{Name, Rtype, name_text, parse_name};
use crate::zone::{ClientClass, Lookup};

/// CNAMEs followed on the way to a steered name, as many as the responder follows.
const CHAIN_MAX: usize = 16;

/// What is to be explained.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    name: Name,
    family: Family,
    client: Option<ClientPrefix>,
    resolver: IpAddr,
    draw: u64,
    assumptions: Vec<(String, Assumed)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Assumed {
    Down,
    Up,
}

impl fmt::Display for Assumed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Assumed::Down => "down",
            Assumed::Up => "up",
        })
    }
}

/// The whole account of one answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The name that was asked for.
    pub name: String,
    /// `A` or `AAAA`.
    pub rtype: String,
    /// The generation that explains.
    pub generation: u64,
    /// What was taken to be otherwise than it is: `REGION=down` or `REGION=up`.
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
    /// `A`, `AAAA` or `CNAME`.
    pub answer_type: String,
    /// Whose address decided: `client subnet`, `resolver`, or why the resolver's in spite of a subnet.
    pub decided_by: String,
    /// The prefix that decided.
    pub client: String,
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

impl Question {
    /// From `name`, `type`, `client`, `resolver`, `draw` and any number of `assume`.
    ///
    /// # Errors
    /// One line that says which of them is wrong and what it should be.
    pub fn from_parameters(parameters: &[(String, String)]) -> Result<Question, String> {
        let mut name = None;
        let mut family = Family::V4;
        let (mut client, mut resolver, mut draw) = (None, None, 0);
        let mut assumptions = Vec::new();
        for (key, value) in parameters {
            match key.as_str() {
                "name" => name = Some(parse_question_name(value)?),
                "type" => family = parse_type(value)?,
                "client" => client = Some(parse_prefix(value)?),
                "resolver" => {
                    let wrong = |_| format!("resolver: {value:?} is not an IP address");
                    resolver = Some(value.parse().map_err(wrong)?);
                }
                "draw" => {
                    let wrong = |_| format!("draw: {value:?} is not a number of 64 bits");
                    draw = value.parse().map_err(wrong)?;
                }
                "assume" => assumptions.push(parse_assumption(value)?),
                other => return Err(format!("there is no parameter {other:?}")),
            }
        }
        let name = name.ok_or("name: say which name to explain")?;
        let resolver = match (resolver, client) {
            (Some(resolver), _) => resolver,
            // A resolver near its clients.
            (None, Some(client)) => client.address(),
            (None, None) => return Err("client: say for whom, as 192.0.2.0/24 or 192.0.2.1".to_owned()),
        };
        Ok(Question {
            name,
            family,
            client: client.filter(|client| client.length() > 0),
            resolver,
            draw,
            assumptions,
        })
    }
}

fn parse_question_name(text: &str) -> Result<Name, String> {
    let wire = parse_name(text.as_bytes(), &[0]).ok();
    wire.and_then(|wire| Name::from_wire(&wire)).ok_or_else(|| format!("name: {text:?} is not a domain name"))
}

fn parse_type(text: &str) -> Result<Family, String> {
    match text.to_ascii_uppercase().as_str() {
        "A" => Ok(Family::V4),
        "AAAA" => Ok(Family::V6),
        _ => Err(format!("type: {text:?} is not A or AAAA")),
    }
}

fn parse_prefix(text: &str) -> Result<ClientPrefix, String> {
    let wrong = || format!("client: {text:?} is not a network such as 192.0.2.0/24, nor an IP address");
    if let Ok(address) = text.parse() {
        return Ok(ClientPrefix::host(address));
    }
    let network: ipnet::IpNet = text.parse().map_err(|_| wrong())?;
    Ok(ClientPrefix::new(network.network(), network.prefix_len()))
}

fn parse_assumption(text: &str) -> Result<(String, Assumed), String> {
    match text.split_once('=') {
        Some((region, "down")) => Ok((region.to_owned(), Assumed::Down)),
        Some((region, "up")) => Ok((region.to_owned(), Assumed::Up)),
        _ => Err(format!("assume: {text:?} is not REGION=down or REGION=up")),
    }
}

/// Explains what a view answers.
///
/// # Errors
/// When an assumption names no region.
pub fn report(view: &View, question: &Question, now: Now) -> Result<Report, String> {
    let assumed = assumed(view, question)?;
    let view = assumed.as_ref().unwrap_or(view);
    let snapshot = &view.snapshot;
    let (path, service) = walk(view, question);
    let steered = service.and_then(|(service, negative_ttl_s)| {
        let wanted = if view.is_alias(service) { Lane::Alias } else { Lane::Addresses(question.family) };
        let client = Client { resolver: question.resolver, subnet: question.client };
        let explanation = explain(view, service, wanted, &client, now, question.draw)?;
        Some(as_sent(steered(explanation), negative_ttl_s))
    });
    let needed = steered.is_some() && !snapshot.maps.is_empty();
    Ok(Report {
        name: name_text(question.name.octets()),
        rtype: rtype_label(question.family).to_owned(),
        generation: snapshot.generation,
        assumed: question.assumptions.iter().map(|(region, state)| format!("{region}={state}")).collect(),
        path,
        steered,
        attributions: snapshot.attributions.iter().filter(|_| needed).map(ToString::to_string).collect(),
    })
}

fn assumed(view: &View, question: &Question) -> Result<Option<View>, String> {
    let (mut down, mut up) = (Vec::new(), Vec::new());
    let regions = &view.snapshot.fleet.regions;
    for (name, state) in &question.assumptions {
        let Some(index) = regions.iter().position(|region| **region == **name) else {
            let known = regions.iter().map(|region| &**region).collect::<Vec<_>>().join(", ");
            return Err(format!("assume: there is no region {name:?}; there are {known}"));
        };
        let region = RegionId(index as u16);
        match state {
            Assumed::Down => down.push(region),
            Assumed::Up => up.push(region),
        }
    }
    let none = down.is_empty() && up.is_empty();
    Ok((!none).then(|| assume(view, &down, &up)))
}

/// From the name asked for through static CNAMEs to a service, or to what is there instead.
/// With the service, the TTL of an empty answer there.
fn walk(view: &View, question: &Question) -> (Vec<String>, Option<(ServiceId, u32)>) {
    let rtype = match question.family {
        Family::V4 => Rtype::A,
        Family::V6 => Rtype::AAAA,
    };
    let catalog = &view.snapshot.catalog;
    let mut name = question.name;
    let mut path = Vec::new();
    for _ in 0..CHAIN_MAX {
        let text = name_text(name.octets());
        let Some((_, zone)) = catalog.find(ClientClass::DEFAULT, &name) else {
            let what = match path.is_empty() {
                true => "is in none of our zones: REFUSED",
                false => "is in none of our zones: the answer ends with the CNAME",
            };
            return ended(path, format!("{text} {what}"));
        };
        let origin = name_text(zone.origin().octets());
        let target = match zone.lookup(&name, rtype) {
            Lookup::Steered(service) => {
                path.push(format!("{text} is steered (zone {origin})"));
                return (path, Some((service, zone.negative_ttl_s())));
            }
            Lookup::Alias(rrset) => rrset.rdata().next().and_then(Name::from_wire),
            Lookup::Answer(_) => return ended(path, format!("{text} has static records in zone {origin}")),
            Lookup::NoData => {
                return ended(path, format!("{text} exists without {}", rtype_label(question.family)));
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

fn ended(mut path: Vec<String>, what: String) -> (Vec<String>, Option<(ServiceId, u32)>) {
    path.push(what);
    (path, None)
}

/// TTL and scope as the reply has them where it is empty: then they are no matter of the service.
fn as_sent(mut steered: Steered, negative_ttl_s: u32) -> Steered {
    if steered.answer.is_empty() {
        let refused = steered.rcode == "REFUSED";
        (steered.ttl_s, steered.ttl_why) = match refused {
            true => (0, "nothing goes out that has one".to_owned()),
            false => (negative_ttl_s, "the zone's for empty answers".to_owned()),
        };
        (steered.scope, steered.scope_why) =
            (0, "an answer without data is the same for everybody".to_owned());
    }
    steered
}

fn steered(explanation: Explanation) -> Steered {
    let (answer, rcode) = match explanation.answer {
        ExplainedAnswer::Addresses(addresses) => {
            (addresses.iter().map(ToString::to_string).collect(), "NOERROR")
        }
        ExplainedAnswer::Alias(name) => (vec![name], "NOERROR"),
        ExplainedAnswer::NoData => (Vec::new(), "NOERROR"),
        ExplainedAnswer::Refused => (Vec::new(), "REFUSED"),
    };
    Steered {
        service: explanation.service,
        answer_type: lane_type(explanation.lane).to_owned(),
        decided_by: match explanation.decided_by {
            DecidedBy::Subnet => "client subnet".to_owned(),
            DecidedBy::Resolver => "resolver".to_owned(),
            DecidedBy::ResolverForSpecial(block) => {
                format!("resolver, because the client subnet is special-purpose: {block}")
            }
        },
        client: explanation.client.to_string(),
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

const fn rtype_label(family: Family) -> &'static str {
    match family {
        Family::V4 => "A",
        Family::V6 => "AAAA",
    }
}
