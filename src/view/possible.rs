//! What the services of a zone can answer, as records: what is signed before a view is published.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::View;
use crate::dnssec::{AnswerData, PossibleAnswer, Steered};
use crate::ids::{Family, RegionId, ServiceId, ZoneId};
use crate::steer::{Decision, Lane, Pick};
use crate::wire::Rtype;

/// What one service, or its testing names in one region, can answer.
struct Said {
    types: Arc<[Rtype]>,
    answers: Vec<(Rtype, Arc<AnswerData>)>,
}

impl View {
    /// What services can answer in a zone: the types of each steered name, and every answer that the
    /// decisions of this view can lead to.
    pub fn steered_in(&self, zone: ZoneId) -> Steered {
        let mut steered = Steered::default();
        let Some(zone) = self.snapshot.catalog.zone(zone) else { return steered };
        let mut said: HashMap<(ServiceId, Option<RegionId>), Said> = HashMap::new();
        for (node, service, region) in zone.steered() {
            let Some(plan) = self.snapshot.plan(service) else { continue };
            let said = said.entry((service, region)).or_insert_with(|| self.said(service, region));
            steered.types.push((node, Arc::clone(&said.types)));
            let ttl_s = *plan.ttl_s.end();
            let answers = said.answers.iter().map(|(rtype, data)| PossibleAnswer {
                owner: node,
                rtype: *rtype,
                ttl_s,
                data: Arc::clone(data),
            });
            steered.answers.extend(answers);
        }
        steered
    }

    fn said(&self, service: ServiceId, region: Option<RegionId>) -> Said {
        let lanes = self.snapshot.plan(service).map_or(&[][..], |plan| &plan.lanes);
        let mut types = BTreeSet::new();
        let mut answers = BTreeSet::new();
        for lane in lanes {
            let rtypes: &[Rtype] = match lane {
                Lane::Addresses(Family::V4) => &[Rtype::A],
                Lane::Addresses(Family::V6) => &[Rtype::AAAA],
                Lane::Alias => &[Rtype::CNAME],
                Lane::Service => &[Rtype::SVCB, Rtype::HTTPS],
            };
            let has = |rtype: &&Rtype| *lane != Lane::Service || self.binding(service, **rtype).is_some();
            let rtypes: Vec<Rtype> = rtypes.iter().filter(has).copied().collect();
            types.extend(rtypes.iter().copied());
            self.picks(service, region, *lane, &mut |pick| {
                answers.extend(
                    rtypes
                        .iter()
                        .filter_map(|rtype| Some((*rtype, self.data(service, *lane, *rtype, pick)?))),
                );
            });
        }
        // A proof that says CNAME would be no proof of anything else (RFC 6840 section 4.3).
        types.remove(&Rtype::CNAME);
        Said {
            types: types.into_iter().collect(),
            answers: answers.into_iter().map(|(rtype, data)| (rtype, Arc::new(data))).collect(),
        }
    }

    /// Every choice of every decision of a lane.
    fn picks(&self, service: ServiceId, region: Option<RegionId>, lane: Lane, visit: &mut dyn FnMut(&Pick)) {
        let Some(table) = self.table(service) else { return };
        let (all, testing) = match region {
            None => (table.lane(lane), None),
            Some(region) => (None, table.testing(region, lane)),
        };
        for decision in all.into_iter().flat_map(|all| all.decisions()).chain(testing) {
            if let Decision::Answer(mix) = decision {
                mix.visit(1.0, &mut |_, pick| visit(pick));
            }
        }
    }

    fn data(&self, service: ServiceId, lane: Lane, rtype: Rtype, pick: &Pick) -> Option<AnswerData> {
        match lane {
            Lane::Addresses(_) if pick.addresses.is_empty() => None,
            Lane::Addresses(_) => Some(AnswerData::addresses(&pick.addresses)),
            Lane::Alias => Some(AnswerData::Alias(self.alias(pick.endpoints.first())?.into())),
            Lane::Service if pick.addresses.is_empty() => None,
            Lane::Service => Some(AnswerData::Binding {
                addresses: (*pick.addresses).into(),
                rdata: self.binding(service, rtype)?.rdata(&pick.addresses).into(),
            }),
        }
    }
}
