//! The short account of a decision at `_why.NAME` (X2): for whoever the operator lets ask.
//!
//! Not the query path of answers: it allocates, and only where such a name is asked for.

use crate::ids::{Family, ServiceId};
use crate::now::Now;
use crate::steer::{Client, Lane};
use crate::view::{Candidate, DecidedBy, ExplainedAnswer, Explanation, View, explain};

/// The label before a steered name.
pub(super) const LABEL: &[u8] = b"_why";

/// One string of TXT (RFC 1035 section 3.3).
const STRING_OCTETS_MAX: usize = 255;

/// All strings: with the longest name, NSID and client subnet a reply stays below 1232 octets.
const ACCOUNT_OCTETS_MAX: usize = 700;

/// The RDATA of one TXT record with the account.
pub(super) fn account(
    view: &View,
    service: ServiceId,
    client: &Client,
    (now, draw): (Now, u64),
) -> Option<Vec<u8>> {
    let plan = view.snapshot.plan(service)?;
    let lanes = plan.lanes.iter().filter(|lane| **lane != Lane::Service);
    let all: Vec<Explanation> =
        lanes.filter_map(|lane| explain(view, service, *lane, client, now, draw)).collect();
    Some(rdata(&lines(client, all.as_slice())))
}

fn lines(client: &Client, all: &[Explanation]) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(first) = all.first() else { return lines };
    let prefix = client.prefix();
    let by = match first.decided_by {
        DecidedBy::Subnet => "client subnet",
        DecidedBy::Nobody => "nobody",
        DecidedBy::Resolver => "resolver",
        DecidedBy::ResolverForSpecial(_) => "resolver, the subnet is special-purpose",
    };
    lines.push(format!("service {} for {}, by the {by}", first.service, prefix.address()));
    for one in all {
        lines.push(format!(
            "{} {}; ttl {}: {}; scope /{}",
            lane_label(one.lane),
            answer(one),
            one.ttl_s,
            one.ttl_why,
            one.scope
        ));
    }
    if !first.preference.is_empty() {
        lines.push(format!("prefers {}", first.preference.join(", ")));
    }
    let steps = first.steps.iter();
    lines.extend(steps.map(|step| format!("{}: {}", step.node, step.what)));
    lines
}

fn answer(one: &Explanation) -> String {
    match &one.answer {
        ExplainedAnswer::Addresses(addresses) => {
            let named = one.candidates.iter().find(|candidate| candidate.addresses == *addresses);
            let text = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            named.map_or(text.clone(), |candidate| format!("{text} ({})", place(candidate)))
        }
        ExplainedAnswer::Alias(name) => name.clone(),
        ExplainedAnswer::NoData => "empty".to_owned(),
        ExplainedAnswer::Refused => "REFUSED".to_owned(),
    }
}

fn place(candidate: &Candidate) -> String {
    format!("{} in {}", candidate.endpoints.join(" "), candidate.regions.join(" "))
}

fn lane_label(lane: Lane) -> &'static str {
    match lane {
        Lane::Addresses(Family::V4) => "A",
        Lane::Addresses(Family::V6) => "AAAA",
        Lane::Alias => "CNAME",
        Lane::Service => "HTTPS",
    }
}

/// Each line one string, cut where it is too long; what does not fit is left out, and said to be.
fn rdata(lines: &[String]) -> Vec<u8> {
    const MORE: &str = "... more: meridian explain";
    let mut rdata = Vec::new();
    let mut put = |line: &str| {
        let octets: Vec<u8> = line.bytes().filter(|octet| (0x20..0x7f).contains(octet)).collect();
        let octets = octets.get(..STRING_OCTETS_MAX).unwrap_or(&octets);
        if rdata.len() + 1 + octets.len() + 1 + MORE.len() > ACCOUNT_OCTETS_MAX {
            return false;
        }
        rdata.push(octets.len() as u8);
        rdata.extend_from_slice(octets);
        true
    };
    if !lines.iter().all(|line| put(line)) {
        rdata.push(MORE.len() as u8);
        rdata.extend_from_slice(MORE.as_bytes());
    }
    if rdata.is_empty() { vec![0] } else { rdata }
}
