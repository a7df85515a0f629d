//! `[pools.*]`: endpoints and how they are probed.

use std::collections::HashMap;
use std::net::IpAddr;

use super::composition;
use super::directory::{Directory, check_name};
use super::feeds;
use super::reader::{At, Context, Name, Table, Value, shortened, wrong_type};
use super::{protection, scalar};
use crate::config::shape::{ENDPOINT, MIN_HEALTHY_FAMILIES, POOL};
use crate::config::{Endpoint, EndpointTarget, MinHealthy, Pool, Probes, Span};
use crate::health::FailbackSpec;
use crate::health::load::LoadLimits;
use crate::ids::{MonitorId, RegionId};

/// What `weight` is when it is not written.
const WEIGHT: u16 = 100;
/// Endpoints of one pool. A draw looks at each, and a list this long is a list made by mistake.
const ENDPOINTS_MAX: usize = 1000;

/// A pool and what the node that stands for it in policy trees needs.
pub struct PoolRead {
    /// The pool.
    pub pool: Pool,
    /// `answers`, and where it is written.
    pub answers: Option<At<u8>>,
    /// `min_healthy`, and where it is written.
    pub min_healthy: Option<At<[MinHealthy; 2]>>,
}

/// What endpoints refer to.
pub struct Known<'d, 't> {
    /// `[regions.*]`
    pub regions: &'d mut Directory<'t>,
    /// `[monitors.*]`
    pub monitors: &'d mut Directory<'t>,
    /// `[feeds.*]`
    pub feeds: &'d mut Directory<'t>,
    /// `[probes]`
    pub probes: &'d Probes,
}

/// `[pools.*]`, in the order written.
pub fn pools(cx: &mut Context, directory: &Directory, mut known: Known) -> Vec<PoolRead> {
    directory.entries.iter().map(|(name, value)| pool(cx, *name, *value, &mut known)).collect()
}

fn pool(cx: &mut Context, name: Name, value: Value, known: &mut Known) -> PoolRead {
    let empty = Pool {
        name: name.text.to_owned(),
        span: name.span,
        monitor: None,
        watch: Vec::new(),
        feed: None,
        failback: FailbackSpec::NONE,
        endpoints: Vec::new(),
    };
    let Some(table) = Table::open(cx, value, &POOL, Some(name.span)) else {
        return PoolRead { pool: empty, answers: None, min_healthy: None };
    };
    let monitor = table.get("monitor").and_then(|value| composition::monitor(cx, value, known.monitors));
    let watch = composition::watch(cx, &table, monitor.as_ref(), known.monitors);
    // Feeds are numbered behind the monitors.
    let feed = table.text(cx, "feed").and_then(|text| known.feeds.refer(cx, text));
    let feed = feed.map(|number| MonitorId((known.monitors.entries.len() + number) as u16));
    let given = Given {
        probed: monitor.is_some() || !watch.is_empty() || feed.is_some(),
        fed: table.get("feed").is_some(),
        load: feeds::limits(cx, &table, table.get("feed").is_some()),
    };
    let endpoints = endpoints(cx, &table, known, given);
    let failback = protection::failback(cx, &table);
    let min_healthy = min_healthy(cx, &table);
    lint_min_healthy(cx, name, min_healthy, endpoints.len());
    PoolRead {
        pool: Pool { monitor, watch, feed, failback, endpoints, ..empty },
        answers: table.integer(cx, "answers").map(|at| at.map(|answers| answers as u8)),
        min_healthy,
    }
}

/// `min_healthy = 2`, `"50%"`, or one of these for each family.
pub fn min_healthy(cx: &mut Context, table: &Table) -> Option<At<[MinHealthy; 2]>> {
    let value = table.get("min_healthy")?;
    let span = value.span;
    if value.toml.is_table() {
        let families = Table::open(cx, value, &MIN_HEALTHY_FAMILIES, None)?;
        let one = |cx: &mut Context, family| families.get(family).map(|value| threshold(cx, value));
        let [ipv4, ipv6] =
            [one(cx, "ipv4"), one(cx, "ipv6")].map(|own| own.unwrap_or(Some(MinHealthy::Count(1))));
        return Some(At { value: [ipv4?, ipv6?], span });
    }
    threshold(cx, value).map(|both| At { value: [both; 2], span })
}

fn threshold(cx: &mut Context, value: Value) -> Option<MinHealthy> {
    let span = value.span;
    if value.toml.as_integer().is_some() {
        return table_count(cx, value).map(MinHealthy::Count);
    }
    let text = match value.toml.as_str() {
        Some(_) => value.text(cx, "min_healthy")?,
        None => {
            wrong_type(cx, "min_healthy", value, "a count or a share is needed", "write 2 or \"50%\"");
            return None;
        }
    };
    let share = scalar::percent(text.value);
    if share.is_none() {
        cx.error(
            span,
            format!("`min_healthy` cannot be `{}`", shortened(text.value)),
            "write a count without quotes, or a share from \"1%\" to \"100%\"",
        );
    }
    share.map(MinHealthy::Percent)
}

fn table_count(cx: &mut Context, value: Value) -> Option<u32> {
    value.integer(cx, "min_healthy", 1, 1_000_000).and_then(|at| u32::try_from(at.value).ok())
}

fn lint_min_healthy(cx: &mut Context, name: Name, min: Option<At<[MinHealthy; 2]>>, members: usize) {
    let counts = |min: MinHealthy| match min {
        MinHealthy::Count(count) => count,
        MinHealthy::Percent(_) => 0,
    };
    if let Some(At { value: [ipv4, ipv6], span }) = min
        && let count = counts(ipv4).max(counts(ipv6))
        && count as usize > members
    {
        cx.lint(
            span,
            format!(
                "pool `{}` has always failed: {count} endpoints must be healthy, and it has {members}",
                name.text
            ),
            "lower `min_healthy`, or write a share such as \"50%\"",
        );
    }
}

/// What a pool gives its endpoints.
#[derive(Clone, Copy)]
struct Given {
    /// Something connects to them.
    probed: bool,
    /// Their load is read.
    fed: bool,
    /// What limits those without their own have.
    load: Option<LoadLimits>,
}

fn endpoints(cx: &mut Context, pool: &Table, known: &mut Known, given: Given) -> Vec<Endpoint> {
    let Some(value) = pool.get("endpoints") else { return Vec::new() };
    let Some(elements) = value.elements() else {
        wrong_type(
            cx,
            "endpoints",
            value,
            "an array of tables is needed",
            "write endpoints = [{ name = ... }]",
        );
        return Vec::new();
    };
    if elements.is_empty() {
        cx.error(value.span, "this pool has no endpoints", "add one, or remove the pool");
    }
    if elements.len() > ENDPOINTS_MAX {
        cx.error(
            value.span,
            format!("this pool has {} endpoints", elements.len()),
            format!("at most {ENDPOINTS_MAX}"),
        );
    }
    let mut seen: HashMap<String, Span> = HashMap::new();
    let mut endpoints = Vec::new();
    for element in elements.into_iter().take(ENDPOINTS_MAX) {
        let Some(table) = Table::open(cx, element, &ENDPOINT, None) else { continue };
        let name = table.text(cx, "name");
        if let Some(name) = name {
            check_name(cx, "endpoint", name);
            if let Some(first) = seen.insert(name.value.to_owned(), name.span) {
                cx.error(
                    name.span,
                    format!("this pool has two endpoints `{}`", shortened(name.value)),
                    "rename one of them: counters and overrides go by the name",
                );
                cx.also(first, "the first one");
            }
        }
        endpoints.extend(endpoint(cx, &table, name, known, given));
    }
    endpoints
}

fn endpoint(
    cx: &mut Context,
    table: &Table,
    name: Option<At<&str>>,
    known: &mut Known,
    given: Given,
) -> Option<Endpoint> {
    let region = table.text(cx, "region").and_then(|text| known.regions.refer(cx, text));
    let target = match table.get("host") {
        Some(host) => host_target(cx, host),
        None => addresses(cx, table, known.probes, given.probed),
    };
    let weight = table.integer(cx, "weight").map_or(WEIGHT, |at| at.value as u16);
    let capacity = table.integer(cx, "capacity").and_then(|at| u32::try_from(at.value).ok());
    let load = feeds::limits(cx, table, given.fed).or(given.load);
    let name = name?;
    Some(Endpoint {
        name: name.value.to_owned(),
        span: name.span,
        region: RegionId(region? as u16),
        target: target?,
        weight,
        capacity,
        load,
    })
}

fn host_target(cx: &mut Context, host: Value) -> Option<EndpointTarget> {
    let text = host.text(cx, "host")?;
    match scalar::host_name(text.value) {
        Ok(name) => Some(EndpointTarget::Host(name)),
        Err(why) => {
            let hint = match text.value.parse::<IpAddr>() {
                Ok(address) => format!("for an address write address = \"{address}\""),
                Err(_) => "write the name alone: host = \"lb.example.net\"".to_owned(),
            };
            cx.error(text.span, format!("`host` cannot be `{}`: {why}", shortened(text.value)), hint);
            None
        }
    }
}

fn addresses(cx: &mut Context, table: &Table, probes: &Probes, probed: bool) -> Option<EndpointTarget> {
    let (values, span) = table.one_or_many("address")?;
    if values.is_empty() {
        cx.error(span, "`address` is empty", "name at least one address");
        return None;
    }
    let mut addresses: Vec<(IpAddr, Span)> = Vec::new();
    for value in values {
        let Some(address) = address(cx, value, probes, probed) else { continue };
        match addresses.iter().find(|(other, _)| *other == address) {
            Some((_, first)) => {
                let first = *first;
                cx.error(value.span, format!("{address} is listed twice"), "remove one of them");
                cx.also(first, "first listed here");
            }
            None => addresses.push((address, value.span)),
        }
    }
    let addresses: Vec<_> = addresses.into_iter().map(|(address, _)| address).collect();
    (!addresses.is_empty()).then_some(EndpointTarget::Addresses(addresses))
}

fn address(cx: &mut Context, value: Value, probes: &Probes, probed: bool) -> Option<IpAddr> {
    let text = value.text(cx, "address")?;
    let address = match scalar::endpoint_address(text.value) {
        Ok(address) => address,
        Err((why, hint)) => {
            cx.error(value.span, format!("`address` cannot be `{}`: {why}", shortened(text.value)), hint);
            return None;
        }
    };
    if probed && address.is_loopback() && !probes.allow_loopback {
        cx.error(
            value.span,
            format!("{address} is a loopback address, and those are not probed"),
            "write [probes] allow_loopback = true, for tests and demonstrations",
        );
    }
    Some(address)
}
