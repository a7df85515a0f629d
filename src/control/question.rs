//! What is to be explained: the parameters of the command line and of the API.

use std::net::IpAddr;
use std::time::Duration;

use crate::geo::ClientPrefix;
use crate::ids::{AddressId, EndpointId, Family, RegionId};
use crate::steer::parse_utc;
use crate::view::{Assumed, Subject, View};
use crate::wire::{Name, Rtype, parse_name};

/// The types that services answer.
const TYPES: [Rtype; 4] = [Rtype::A, Rtype::AAAA, Rtype::HTTPS, Rtype::SVCB];

/// What is to be explained.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    pub(super) name: Name,
    pub(super) rtype: Rtype,
    /// By the wall clock; `None`: now.
    pub(super) at: Option<Duration>,
    pub(super) client: Option<ClientPrefix>,
    pub(super) resolver: IpAddr,
    /// The class of clients by name; `None`: that of the resolver's address.
    pub(super) class: Option<String>,
    pub(super) draw: u64,
    pub(super) assumptions: Vec<(String, Assumed)>,
}

impl Question {
    /// From `name`, `type`, `client`, `resolver`, `class`, `draw` and any number of `assume`.
    ///
    /// # Errors
    /// One line that says which of them is wrong and what it should be.
    pub fn from_parameters(parameters: &[(String, String)]) -> Result<Question, String> {
        let mut name = None;
        let mut rtype = Rtype::A;
        let (mut client, mut resolver, mut class, mut draw, mut at) = (None, None, None, 0, None);
        let mut assumptions = Vec::new();
        for (key, value) in parameters {
            match key.as_str() {
                "name" => name = Some(parse_question_name(value)?),
                "type" => rtype = parse_type(value)?,
                "client" => client = Some(parse_prefix(value)?),
                "resolver" => {
                    let wrong = |_| format!("resolver: {value:?} is not an IP address");
                    resolver = Some(value.parse().map_err(wrong)?);
                }
                "class" => class = Some(value.clone()),
                "draw" => {
                    let wrong = |_| format!("draw: {value:?} is not a number of 64 bits");
                    draw = value.parse().map_err(wrong)?;
                }
                "at" => {
                    let wrong = || format!("at: {value:?} is no moment such as 2026-12-24T12:00:00Z");
                    at = Some(parse_utc(value).ok_or_else(wrong)?);
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
            rtype,
            at,
            client: client.filter(|client| client.length() > 0),
            resolver,
            class,
            draw,
            assumptions,
        })
    }
}

fn parse_question_name(text: &str) -> Result<Name, String> {
    let wire = parse_name(text.as_bytes(), &[0]).ok();
    wire.and_then(|wire| Name::from_wire(&wire)).ok_or_else(|| format!("name: {text:?} is not a domain name"))
}

fn parse_type(text: &str) -> Result<Rtype, String> {
    let wanted = text.to_ascii_uppercase();
    let found = TYPES.iter().find(|rtype| rtype.to_string() == wanted);
    found.copied().ok_or_else(|| format!("type: {text:?} is not A, AAAA, HTTPS or SVCB"))
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
    let (what, state) = text.split_once('=').unwrap_or((text, ""));
    let state = match state {
        "down" => Assumed::Down,
        "up" => Assumed::Up,
        "drained" => Assumed::Drained,
        _ => {
            return Err(format!(
                "assume: {text:?} is not WHAT=down, WHAT=up or WHAT=drained, where WHAT is a region, pool/endpoint, \
                 an address, ipv4 or ipv6"
            ));
        }
    };
    Ok((what.to_owned(), state))
}

/// What an assumption is about, by its name.
///
/// # Errors
/// When nothing has that name.
pub(super) fn subject(view: &View, name: &str) -> Result<Subject, String> {
    let snapshot = &view.snapshot;
    let regions = &snapshot.fleet.regions;
    if let Some(index) = regions.iter().position(|region| **region == *name) {
        return Ok(Subject::Region(RegionId(index as u16)));
    }
    if let Some(index) = snapshot.fleet.endpoints.iter().position(|endpoint| *endpoint.name == *name) {
        return Ok(Subject::Endpoint(EndpointId(index as u32)));
    }
    match name {
        "ipv4" => return Ok(Subject::Family(Family::V4)),
        "ipv6" => return Ok(Subject::Family(Family::V6)),
        _ => {}
    }
    if let Some(index) = snapshot.board.addresses.iter().position(|own| *own.address == *name) {
        return Ok(Subject::Address(AddressId(index as u32)));
    }
    let known = regions.iter().map(|region| &**region).collect::<Vec<_>>().join(", ");
    Err(format!("assume: there is no region, pool/endpoint or address {name:?}; the regions are {known}"))
}

/// An assumption as it is written.
pub(super) fn assumption_text((what, state): &(String, Assumed)) -> String {
    let state = match state {
        Assumed::Down => "down",
        Assumed::Up => "up",
        Assumed::Drained => "drained",
    };
    format!("{what}={state}")
}
