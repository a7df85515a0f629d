//! `[services.*]`: a tree with its TTL and its trust in client subnets.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::binding;
use super::directory::Directory;
use super::policies::Forest;
use super::reader::{Context, Name, Table, Value, shortened, wrong_type};
use super::tree::Facts;
use super::{protection, scalar};
use crate::config::shape::{Kind, SCOPE_FLOOR, SERVICE, TTL_BOUNDS};
use crate::config::{ClientSubnetUse, Service, Span};
use crate::geo::ScopeFloor;
use crate::health::GovernorSpec;
use crate::ids::{Family, NodeId};
use crate::steer::{Aaaa, Families};

/// The bounds of a TTL where they are not written, in seconds (H7).
const TTL_S: RangeInclusive<u32> = 20..=60;
/// Networks of trusted resolvers in one service; each is compared at each query.
const TRUSTED_MAX: usize = 1000;

/// The shortest floors by family index: coarser than a registry's block it would tell nobody apart.
const FLOOR_MIN: [u8; 2] = [8, 16];

/// `[services.*]`, in the order written. `alias` is not known yet. `None`: without a tree.
pub fn services<'t>(
    cx: &mut Context,
    directory: &Directory<'t>,
    forest: &mut Forest<'t>,
    regions: &mut Directory<'t>,
    governor: GovernorSpec,
) -> Vec<(Service, Option<NodeId>)> {
    let mut services = Vec::new();
    for (name, value) in &directory.entries {
        services.push(service(cx, *name, *value, forest, regions, governor));
    }
    services
}

fn service<'t>(
    cx: &mut Context,
    name: Name<'t>,
    value: Value<'t>,
    forest: &mut Forest<'t>,
    regions: &mut Directory<'t>,
    governor: GovernorSpec,
) -> (Service, Option<NodeId>) {
    let mut service = Service {
        name: name.text.to_owned(),
        span: name.span,
        policy: NodeId(0),
        ttl_s: TTL_S,
        min_capacity: None,
        governor,
        client_subnet: ClientSubnetUse::Use,
        scope_floor: ScopeFloor::NONE,
        alias: false,
        flatten: false,
        testing_names: false,
        https: None,
        svcb: None,
        families: Families::Independent,
        aaaa: Aaaa::NextRegion,
    };
    let Some(table) = Table::open(cx, value, &SERVICE, Some(name.span)) else { return (service, None) };
    service.ttl_s = ttl(cx, &table).unwrap_or(TTL_S);
    service.flatten = table.flag(cx, "flatten").unwrap_or(false);
    service.testing_names = table.flag(cx, "testing_names").unwrap_or(false);
    service.https = table.get("https").and_then(|value| binding::binding(cx, value));
    service.svcb = table.get("svcb").and_then(|value| binding::binding(cx, value));
    service.min_capacity = protection::min_capacity(cx, &table);
    service.governor = protection::governor(cx, &table, governor);
    service.client_subnet = client_subnet(cx, &table).unwrap_or(ClientSubnetUse::Use);
    service.scope_floor = scope_floor(cx, &table).unwrap_or(ScopeFloor::NONE);
    if let Some("together") = table.word(cx, "families").map(|at| at.value) {
        service.families = Families::Together;
    }
    service.aaaa = aaaa(cx, &table, &service.client_subnet);
    let place = format!("services.{}.policy", name.text);
    let root = table.get("policy").and_then(|value| forest.child(cx, regions, value, "policy", &place));
    service.policy = root.unwrap_or(NodeId(0));
    (service, root)
}

/// R10: an empty answer must not depend on the client while client subnet is in use.
fn aaaa(cx: &mut Context, table: &Table, subnet: &ClientSubnetUse) -> Aaaa {
    let Some(word) = table.word(cx, "aaaa").filter(|word| word.value == "own-region") else {
        return Aaaa::NextRegion;
    };
    if *subnet != ClientSubnetUse::Ignore {
        cx.error(
            word.span,
            "with `aaaa = \"own-region\"` an empty answer would depend on where the client is, but resolvers keep it for everybody",
            "set client_subnet = \"ignore\" in this service, or leave `aaaa` at \"next-region\"",
        );
    }
    Aaaa::OwnRegion
}

fn ttl(cx: &mut Context, table: &Table) -> Option<RangeInclusive<u32>> {
    let value = table.get("ttl")?;
    if value.toml.is_table() {
        let bounds = Table::open(cx, value, &TTL_BOUNDS, None)?;
        let min = seconds(cx, bounds.get("min"), "min");
        let max = seconds(cx, bounds.get("max"), "max");
        let (min, max) = (min.unwrap_or(*TTL_S.start()), max.unwrap_or(*TTL_S.end()));
        if min > max {
            cx.error(
                value.span,
                format!("the least TTL of {min}s is above the greatest of {max}s"),
                "raise `max` or lower `min`; left out they are 20s and 60s",
            );
        }
        return Some(min..=max);
    }
    let seconds = seconds(cx, Some(value), "ttl")?;
    Some(seconds..=seconds)
}

fn seconds(cx: &mut Context, value: Option<Value>, key: &str) -> Option<u32> {
    let Some(Kind::Span(min, max)) = TTL_BOUNDS.key("max").map(|key| &key.kind) else { return None };
    let length = value?.duration(cx, key, *min, *max)?;
    if length.value.subsec_nanos() != 0 {
        cx.error(
            length.span,
            format!("`{key}` is no whole number of seconds"),
            "DNS counts a TTL in seconds",
        );
        return None;
    }
    u32::try_from(length.value.as_secs()).ok()
}

fn scope_floor(cx: &mut Context, table: &Table) -> Option<ScopeFloor> {
    let value = table.get("scope_floor")?;
    if !value.toml.is_table() {
        return Some(ScopeFloor::new(floor_length(cx, value, Family::V4), None));
    }
    let floors = Table::open(cx, value, &SCOPE_FLOOR, None)?;
    let mut length = |key, family| floors.get(key).and_then(|value| floor_length(cx, value, family));
    Some(ScopeFloor::new(length("ipv4", Family::V4), length("ipv6", Family::V6)))
}

/// A length as `/20`.
fn floor_length(cx: &mut Context, value: Value, family: Family) -> Option<u8> {
    let text = value.text(cx, "scope_floor")?;
    let length = text.value.strip_prefix('/').and_then(|digits| digits.parse::<u8>().ok());
    let least = FLOOR_MIN.get(family.index()).copied().unwrap_or(0);
    let length = length.filter(|length| (least..=family.bits()).contains(length));
    if length.is_none() {
        let hint = match family {
            Family::V4 => "write a length from \"/8\" to \"/32\", or { ipv4 = \"/20\", ipv6 = \"/40\" }",
            Family::V6 => "write a length from \"/16\" to \"/128\"",
        };
        cx.error(text.span, format!("`scope_floor` cannot be `{}`", shortened(text.value)), hint);
    }
    length
}

fn client_subnet(cx: &mut Context, table: &Table) -> Option<ClientSubnetUse> {
    let value = table.get("client_subnet")?;
    if let Some(elements) = value.elements() {
        return Some(ClientSubnetUse::Trusted(trusted(cx, value, elements)));
    }
    if value.toml.as_str().is_none() {
        wrong_type(
            cx,
            "client_subnet",
            value,
            "text or an array is needed",
            "write \"use\", \"ignore\" or networks of trusted resolvers: [\"192.0.2.0/24\"]",
        );
        return None;
    }
    match value.word(cx, "client_subnet", &["use", "ignore"])?.value {
        "use" => Some(ClientSubnetUse::Use),
        _ => Some(ClientSubnetUse::Ignore),
    }
}

fn trusted(cx: &mut Context, value: Value, elements: Vec<Value>) -> Vec<IpNet> {
    if elements.is_empty() {
        cx.error(
            value.span,
            "`client_subnet` trusts nobody",
            "write client_subnet = \"ignore\" if that is meant",
        );
    }
    if elements.len() > TRUSTED_MAX {
        cx.error(
            value.span,
            format!("`client_subnet` has {} networks", elements.len()),
            format!("at most {TRUSTED_MAX}"),
        );
    }
    let mut networks: Vec<(IpNet, Span)> = Vec::new();
    for element in elements.into_iter().take(TRUSTED_MAX) {
        let Some(text) = element.text(cx, "client_subnet") else { continue };
        match scalar::network(text.value) {
            Err((why, hint)) => {
                cx.error(
                    text.span,
                    format!("`client_subnet` cannot hold `{}`: {why}", shortened(text.value)),
                    hint,
                );
            }
            Ok(network) => match networks.iter().find(|(other, _)| *other == network) {
                Some((_, first)) => {
                    let first = *first;
                    cx.error(text.span, format!("{network} is listed twice"), "remove one of them");
                    cx.also(first, "first listed here");
                }
                None => networks.push((network, text.span)),
            },
        }
    }
    networks.into_iter().map(|(network, _)| network).collect()
}

/// R14: a service answers addresses or a CNAME, never now this and now that. `None` where it is mixed.
pub fn alias(cx: &mut Context, service: &Service, facts: &Facts) -> Option<bool> {
    match (facts.host, facts.address) {
        (Some(_), _) if service.flatten => Some(false),
        (Some(host), Some(address)) => {
            cx.error(
                host,
                format!(
                    "service `{}` mixes an endpoint with a host name and endpoints with addresses",
                    service.name
                ),
                "a name answers CNAME or addresses, never both in turn: use one of the two throughout, or set flatten = true",
            );
            cx.also(address, "this endpoint has addresses");
            None
        }
        (Some(host), None) => {
            if service.https.is_some() || service.svcb.is_some() {
                let record = if service.https.is_some() { "HTTPS" } else { "SVCB" };
                cx.error(
                    service.span,
                    format!(
                        "service `{}` answers CNAME for every type, so it can have no {record} record",
                        service.name
                    ),
                    "leave it out, because the record is looked for at the host name, or set flatten = true",
                );
                cx.also(host, "this endpoint has a host name");
            }
            Some(true)
        }
        (None, _) => {
            if service.flatten {
                let what = format!("service `{}` has nothing to flatten", service.name);
                cx.problems.warning(
                    service.span,
                    what,
                    "no endpoint of it has a host name: leave `flatten` out",
                );
            }
            Some(false)
        }
    }
}
