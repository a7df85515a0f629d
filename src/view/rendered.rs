//! Steered names for servers without policies: what secondaries are given in place of a service.
//!
//! It is what a client of unknown place gets while everything is well, and always the most likely answer of
//! those that are drawn. So it follows from the configuration alone: no change of health makes a new version
//! of a zone, and a secondary does not spread what was true for a minute.

use super::View;
use crate::health::{EndpointState, HealthTable, Standing, Verdict};
use crate::ids::{Family, ServiceId, ZoneId};
use crate::steer::{Decision, Inputs, Lane, Pick, decide};
use crate::wire::Rtype;
use crate::zone::NodeId;

/// One RRset in place of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rendered {
    /// The steered name.
    pub owner: NodeId,
    /// The type.
    pub rtype: Rtype,
    /// The service's greatest TTL.
    pub ttl_s: u32,
    /// RDATA in wire form, uncompressed.
    pub records: Box<[Box<[u8]>]>,
}

impl View {
    /// What stands for the steered names of a zone, by node and type. Testing names are left out, and so is
    /// what has no answer.
    pub fn rendered(&self, zone: ZoneId) -> Vec<Rendered> {
        let Some(zone) = self.snapshot.catalog.zone(zone) else { return Vec::new() };
        let well = self.all_well();
        let mut rendered: Vec<Rendered> = zone
            .steered()
            .filter(|(_, _, region)| region.is_none())
            .flat_map(|(owner, service, _)| self.rendered_service(owner, service, &well))
            .collect();
        rendered.sort_by_key(|own| (own.owner, own.rtype));
        rendered
    }

    /// The health that everybody wishes for: no operator says otherwise, all clients are let in.
    fn all_well(&self) -> HealthTable {
        HealthTable {
            addresses: vec![Standing::of(Verdict::Up); self.health.addresses.len()].into(),
            endpoints: vec![EndpointState::PLAIN; self.health.endpoints.len()].into(),
            hosts: self.health.hosts.clone(),
            ..HealthTable::unknown(0, 0)
        }
    }

    fn rendered_service(&self, owner: NodeId, service: ServiceId, well: &HealthTable) -> Vec<Rendered> {
        let Some(plan) = self.snapshot.plan(service) else { return Vec::new() };
        let calendar = &self.calendar;
        let rtt = self.snapshot.rtt_of(plan);
        let inputs =
            Inputs { fleet: &self.snapshot.fleet, plan, health: well, calendar, last_good: None, rtt };
        let map = self.snapshot.map_of(plan);
        let nowhere = map.map_or(crate::ids::ClassId(0), |map| map.unknown_class());
        let place = map.map(|map| map.place(nowhere));
        let mut rendered = Vec::new();
        for lane in &plan.lanes {
            let decision = decide(inputs, nowhere, place, *lane).decision;
            let Some(pick) = likeliest(&decision) else { continue };
            for rtype in types(*lane) {
                let records = self.records(service, *lane, *rtype, pick);
                if !records.is_empty() {
                    let ttl_s = *plan.ttl_s.end();
                    rendered.push(Rendered { owner, rtype: *rtype, ttl_s, records: records.into() });
                }
            }
        }
        rendered
    }

    fn records(&self, service: ServiceId, lane: Lane, rtype: Rtype, pick: &Pick) -> Vec<Box<[u8]>> {
        let of_family = |family: Family| pick.addresses.iter().filter(move |own| Family::of(**own) == family);
        match lane {
            Lane::Addresses(family) => of_family(family)
                .map(|address| match address {
                    std::net::IpAddr::V4(v4) => v4.octets().to_vec().into(),
                    std::net::IpAddr::V6(v6) => v6.octets().to_vec().into(),
                })
                .collect(),
            Lane::Alias => self.alias(pick.endpoints.first()).map(Into::into).into_iter().collect(),
            Lane::Service if pick.addresses.is_empty() => Vec::new(),
            Lane::Service => {
                let binding = self.binding(service, rtype);
                binding.map(|binding| binding.rdata(&pick.addresses).into()).into_iter().collect()
            }
        }
    }
}

const fn types(lane: Lane) -> &'static [Rtype] {
    match lane {
        Lane::Addresses(Family::V4) => &[Rtype::A],
        Lane::Addresses(Family::V6) => &[Rtype::AAAA],
        Lane::Alias => &[Rtype::CNAME],
        Lane::Service => &[Rtype::SVCB, Rtype::HTTPS],
    }
}

/// The answer that most clients get; the first of those that are equally likely.
fn likeliest(decision: &Decision) -> Option<&Pick> {
    let Decision::Answer(mix) = decision else { return None };
    let mut best: Option<(f64, &Pick)> = None;
    mix.visit(1.0, &mut |share, pick| {
        if best.is_none_or(|(most, _)| share > most) {
            best = Some((share, pick));
        }
    });
    best.map(|(_, pick)| pick)
}
