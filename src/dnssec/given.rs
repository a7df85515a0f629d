//! Zones that come signed: their signatures and denials, taken out of their data and laid over it.

use std::collections::HashMap;
use std::sync::Arc;

use super::answers::AnswerTable;
use super::online::Lifetime;
use super::proofs::{HASH_OCTETS, Hash, Nsec3Chain, Proofs, canonical_order, unlabel};
use super::rrsig;
use super::signed::{Came, PART, Signed};
use super::slices::SlicesBuilder;
use super::{Denial, Slices};
use crate::wire::Rtype;
use crate::zone::{NodeId, Rrset, Zone, ZoneBuilder};

/// Each costs a hash of every name that is denied; resolvers take no more of them (RFC 9276 section 3.2).
const ITERATIONS_MAX: u16 = 100;

/// Why a zone that has signatures cannot be served as a signed one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GivenFault {
    /// There are neither NSEC nor NSEC3.
    NoChain,
    /// NSEC3 by a hash that is not SHA-1, or with more iterations than resolvers take.
    Nsec3Parameters,
    /// It has names that services answer for, and nobody here can sign their answers.
    Steered,
    /// It is too large for what signing adds.
    TooLarge,
}

impl std::fmt::Display for GivenFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            GivenFault::NoChain => "a signed zone without NSEC and NSEC3",
            GivenFault::Nsec3Parameters => {
                "a signed zone whose NSEC3 are not SHA-1 with at most 100 iterations"
            }
            GivenFault::Steered => "a zone that comes signed and has steered names",
            GivenFault::TooLarge => "a signed zone that is too large",
        })
    }
}

/// A zone's data and what lies over it.
pub struct Separated {
    /// The data, without RRSIG, NSEC and NSEC3.
    pub zone: Arc<Zone>,
    /// `None` where the zone is not signed.
    pub signed: Option<Arc<Signed>>,
}

/// Takes the signatures out of a zone's data. A zone without DNSKEY or without signed SOA is not signed: what
/// there is of signatures is left out.
///
/// # Errors
/// Where a signed zone cannot be served as it is.
pub fn separate(zone: &Arc<Zone>) -> Result<Separated, GivenFault> {
    let is_apart = |rrset: Rrset<'_>| is_of_signing(rrset.rtype);
    let nodes = || (0..zone.nodes() as u32).map(NodeId);
    if !nodes().any(|node| zone.rrsets(node).any(is_apart)) {
        return Ok(Separated { zone: Arc::clone(zone), signed: None });
    }
    let is_signed = zone.rrset_at(NodeId::ORIGIN, Rtype::DNSKEY).is_some()
        && covering(zone, NodeId::ORIGIN, Rtype::SOA).next().is_some();
    if is_signed && zone.steered().next().is_some() {
        return Err(GivenFault::Steered);
    }
    let data = Arc::new(data_of(zone)?);
    if !is_signed {
        return Ok(Separated { zone: data, signed: None });
    }
    let mut signed = Signed {
        apex: Box::default(),
        statics: statics(zone, &data),
        answers: AnswerTable::default(),
        negative_ttl_s: denial_ttl_s(zone).unwrap_or(data.negative_ttl_s()),
        proofs: proofs(zone, &data)?,
        denial: if zone.rrset_at(NodeId::ORIGIN, Rtype::NSEC).is_some() {
            Denial::Nsec
        } else {
            Denial::Nsec3
        },
        all_keys: Box::default(),
        keys: Box::default(),
        lifetime: Lifetime { skew_s: 0, lifetime_s: 0 },
        zone: Arc::clone(&data),
        came: None,
    };
    // There is no clock here. Times are apart by less than serial arithmetic can tell, whichever it starts from.
    let of_soa = covering(zone, NodeId::ORIGIN, Rtype::SOA).find_map(rrsig::read);
    let ends_first_s = of_soa.and_then(|of_soa| signed.expires_first_s(of_soa.times.inception_s));
    signed.came = Some(Came { signatures: signed.signatures(), ends_first_s });
    Ok(Separated { zone: data, signed: Some(Arc::new(signed)) })
}

fn is_of_signing(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3)
}

/// The signatures of a type at a node.
fn covering(zone: &Zone, node: NodeId, rtype: Rtype) -> impl Iterator<Item = &[u8]> {
    let all = zone.rrset_at(node, Rtype::RRSIG).into_iter().flat_map(|rrset| rrset.rdata());
    all.filter(move |rdata| rrsig::read(rdata).is_some_and(|read| read.covered == rtype))
}

fn data_of(zone: &Zone) -> Result<Zone, GivenFault> {
    let mut builder = ZoneBuilder::new(zone.origin());
    for node in (0..zone.nodes() as u32).map(NodeId) {
        let Some(name) = zone.name_of(node) else { continue };
        for rrset in zone.rrsets(node).filter(|rrset| !is_of_signing(rrset.rtype)) {
            let added = builder.rrset(&name, rrset.rtype, rrset.ttl_s, rrset.rdata());
            added.map_err(|_| GivenFault::TooLarge)?;
        }
    }
    for (node, service, region) in zone.steered() {
        let Some(name) = zone.name_of(node) else { continue };
        let added = match region {
            None => builder.steer(&name, service),
            Some(region) => builder.steer_region(&name, service, region),
        };
        added.map_err(|_| GivenFault::TooLarge)?;
    }
    Ok(builder.build())
}

fn statics(given: &Zone, data: &Zone) -> Box<[Arc<Slices>]> {
    let mut parts = Vec::new();
    let mut slices = SlicesBuilder::new();
    let mut count = 0;
    for node in (0..data.nodes() as u32).map(NodeId) {
        let from = data.name_of(node).and_then(|name| given.node_of(&name));
        for rrset in data.rrsets(node) {
            if let Some(from) = from {
                covering(given, from, rrset.rtype).for_each(|rdata| slices.push(rdata));
            }
            slices.next();
            count += 1;
            if count % PART == 0 {
                parts.push(Arc::new(std::mem::replace(&mut slices, SlicesBuilder::new()).build()));
            }
        }
    }
    parts.push(Arc::new(slices.build()));
    parts.into()
}

fn denial_ttl_s(given: &Zone) -> Option<u32> {
    let nsec = given.rrset_at(NodeId::ORIGIN, Rtype::NSEC).map(|rrset| rrset.ttl_s);
    nsec.or_else(|| hashed(given).next().map(|(_, _, rrset)| rrset.ttl_s))
}

/// The NSEC3 of a zone, with their hashes and nodes.
fn hashed(given: &Zone) -> impl Iterator<Item = (Hash, NodeId, Rrset<'_>)> {
    let nodes = (0..given.nodes() as u32).map(NodeId);
    nodes.filter(|node| given.parent(*node) == Some(NodeId::ORIGIN)).filter_map(|node| {
        let rrset = given.rrset_at(node, Rtype::NSEC3)?;
        Some((unlabel(given.label(node))?, node, rrset))
    })
}

fn proofs(given: &Zone, data: &Zone) -> Result<Proofs, GivenFault> {
    if given.rrset_at(NodeId::ORIGIN, Rtype::NSEC).is_some() {
        let from: HashMap<NodeId, NodeId> = (0..data.nodes() as u32)
            .map(NodeId)
            .filter_map(|node| Some((node, given.node_of(&data.name_of(node)?)?)))
            .filter(|(_, from)| given.rrset_at(*from, Rtype::NSEC).is_some())
            .collect();
        let all = (0..data.nodes() as u32).map(|node| from.get(&NodeId(node)).copied());
        let records = records(given, Rtype::NSEC, all);
        let mut order = canonical_order(data);
        order.retain(|node| from.contains_key(node));
        return Ok(Proofs::Nsec(records, order.into()));
    }
    let mut all: Vec<(Hash, NodeId)> = hashed(given).map(|(hash, node, _)| (hash, node)).collect();
    all.sort_unstable();
    let first = all.first().and_then(|(_, node)| given.rrset_at(*node, Rtype::NSEC3)?.rdata().next());
    let first = first.ok_or(GivenFault::NoChain)?;
    let (iterations, salt) = parameters(first).ok_or(GivenFault::Nsec3Parameters)?;
    let records = records(given, Rtype::NSEC3, all.iter().map(|(_, node)| Some(*node)));
    let hashes = all.iter().map(|(hash, _)| *hash).collect();
    Ok(Proofs::Nsec3(Nsec3Chain { iterations, salt: salt.into(), hashes, records }))
}

/// Iterations and salt of an NSEC3 (RFC 5155 section 3.2).
fn parameters(rdata: &[u8]) -> Option<(u16, &[u8])> {
    let ([algorithm, _, i1, i0, salt], rest) = rdata.split_first_chunk::<5>()?;
    let (salt, rest) = rest.split_at_checked(usize::from(*salt))?;
    let iterations = u16::from_be_bytes([*i1, *i0]);
    let is_sha1 = *algorithm == 1 && rest.first().is_some_and(|length| usize::from(*length) == HASH_OCTETS);
    (is_sha1 && iterations <= ITERATIONS_MAX).then_some((iterations, salt))
}

/// Of each node the one record that denies, and its signatures.
fn records(given: &Zone, rtype: Rtype, nodes: impl Iterator<Item = Option<NodeId>>) -> Box<[Arc<Slices>]> {
    let mut parts = Vec::new();
    let mut slices = SlicesBuilder::new();
    for (index, node) in nodes.enumerate() {
        if index > 0 && index % PART == 0 {
            parts.push(Arc::new(std::mem::replace(&mut slices, SlicesBuilder::new()).build()));
        }
        if let Some(node) = node
            && let Some(rdata) = given.rrset_at(node, rtype).and_then(|rrset| rrset.rdata().next())
        {
            slices.push(rdata);
            covering(given, node, rtype).for_each(|rrsig| slices.push(rrsig));
        }
        slices.next();
    }
    parts.push(Arc::new(slices.build()));
    parts.into()
}
