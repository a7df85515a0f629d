//! `[services.*]`: a tree with its TTL and its trust in client subnets.

use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::directory::Directory;
use super::policies::Forest;
use super::reader::{Context, Name, Table, Value, shortened, wrong_type};
use super::scalar;
use super::tree::Facts;
use crate::config::shape::{Kind, SERVICE, TTL_BOUNDS};
use crate::config::{ClientSubnetUse, Service, Span};
use crate::ids::NodeId;

/// The bounds of a TTL where they are not written, in seconds (H7).
const TTL_S: RangeInclusive<u32> = 20..=60;
/// Networks of trusted resolvers in one service; each is compared at each query.
const TRUSTED_MAX: usize = 1000;

/// `[services.*]`, in the order written. `alias` is not known yet. `None`: without a tree.
pub fn services<'t>(
    cx: &mut Context,
    directory: &Directory<'t>,
    forest: &mut Forest<'t>,
    regions: &mut Directory<'t>,
) -> Vec<(Service, Option<NodeId>)> {
    let mut services = Vec::new();
    for (name, value) in &directory.entries {
        services.push(service(cx, *name, *value, forest, regions));
    }
    services
}

fn service<'t>(
    cx: &mut Context,
    name: Name<'t>,
    value: Value<'t>,
    forest: &mut Forest<'t>,
    regions: &mut Directory<'t>,
) -> (Service, Option<NodeId>) {
    let mut service = Service {
        name: name.text.to_owned(),
        span: name.span,
        policy: NodeId(0),
        ttl_s: TTL_S,
        client_subnet: ClientSubnetUse::Use,
        alias: false,
    };
    let Some(table) = Table::open(cx, value, &SERVICE, Some(name.span)) else { return (service, None) };
    service.ttl_s = ttl(cx, &table).unwrap_or(TTL_S);
    service.client_subnet = client_subnet(cx, &table).unwrap_or(ClientSubnetUse::Use);
    let place = format!("services.{}.policy", name.text);
    let root = table.get("policy").and_then(|value| forest.child(cx, regions, value, "policy", &place));
    service.policy = root.unwrap_or(NodeId(0));
    (service, root)
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
        (Some(host), Some(address)) => {
            cx.error(
                host,
                format!(
                    "service `{}` mixes an endpoint with a host name and endpoints with addresses",
                    service.name
                ),
                "a name answers CNAME or addresses, never both in turn: use one of the two throughout",
            );
            cx.also(address, "this endpoint has addresses");
            None
        }
        (host, _) => Some(host.is_some()),
    }
}
