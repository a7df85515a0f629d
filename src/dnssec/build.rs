//! Signs a zone: everything that can be known before it is asked for.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::answers::{AnswerTable, PossibleAnswer, SignedAnswer};
use super::job::{SigningJob, Spread, Validity};
use super::online::Lifetime;
use super::rrsig::{self, Pen, Subject, Times};
use super::signed::{Overlaid, PART, Signed};
use super::slices::{SlicesBuilder, push_rdata};
use super::{Denial, SigningFailed, Slices, ZoneKey};
use crate::wire::{Name, Rtype};
use crate::zone::{EntryId, NodeId, Rdata, Rrset, Standing, Zone};

/// Answers of earlier decisions are kept for when health comes back to them: so many times as many as the
/// present decisions can give, and some.
const KEPT_FACTOR: usize = 4;
const KEPT_MIN: usize = 1024;

impl Signed {
    /// Signs a zone. `spread` runs the parts of the work.
    ///
    /// # Errors
    /// When a key refuses, or there is none, or a zone with steered names is to have a chain.
    pub fn build(job: &SigningJob<'_>, spread: &Spread<'_>) -> Result<Signed, SigningFailed> {
        let signs_zone: Box<[ZoneKey]> =
            job.keys.iter().filter(|key| key.key_use.signs_zone()).cloned().collect();
        let is_steered = job.zone.steered().next().is_some();
        if signs_zone.is_empty() || (is_steered && job.denial != Denial::Compact) {
            return Err(SigningFailed);
        }
        let origin = *job.zone.origin();
        let mut building = Building {
            job,
            origin,
            signs_zone: &signs_zone,
            standings: job.zone.standings(),
            owners: owners(job.zone),
            before: Before::of(job),
            overlaid: Vec::new(),
        };
        let apex = building.apex()?;
        building.overlaid = apex.iter().map(|own| own.rtype).collect();
        let parts = job.zone.entries().div_ceil(PART);
        let statics: Result<Box<[_]>, _> =
            spread(parts, &|part| building.statics(part)).into_iter().collect();
        let answers = building.answers()?;
        let proofs = building.proofs(spread)?;
        Ok(Signed {
            statics: statics?,
            answers: AnswerTable::new(answers),
            negative_ttl_s: job.zone.negative_ttl_s(),
            apex: apex.into(),
            zone: Arc::clone(job.zone),
            denial: job.denial,
            proofs,
            lifetime: Lifetime { skew_s: job.validity.skew_s, lifetime_s: job.validity.lifetime_s },
            came: None,
            all_keys: job.keys.iter().map(|key| key.dnskey().into()).collect(),
            keys: signs_zone,
        })
    }
}

/// The node of every RRset.
fn owners(zone: &Zone) -> Vec<NodeId> {
    let nodes = (0..zone.nodes() as u32).map(NodeId);
    nodes.flat_map(|node| zone.rrsets(node).map(move |_| node)).collect()
}

/// What was signed before, and where its nodes are.
pub(super) struct Before<'j> {
    pub(super) signed: &'j Signed,
    /// By node of the new zone; `None`: the nodes are the same.
    nodes: Option<Vec<Option<NodeId>>>,
}

impl<'j> Before<'j> {
    fn of(job: &SigningJob<'j>) -> Option<Before<'j>> {
        let signed = job.previous?;
        let (old, new) = (&signed.zone, job.zone);
        if old.origin() != new.origin() {
            return None;
        }
        if Arc::ptr_eq(old, new) {
            return Some(Before { signed, nodes: None });
        }
        let mut nodes: Vec<Option<NodeId>> = Vec::with_capacity(new.nodes());
        for node in (0..new.nodes() as u32).map(NodeId) {
            nodes.push(match new.parent(node) {
                None => Some(NodeId::ORIGIN),
                Some(parent) => {
                    let above = nodes.get(parent.0 as usize).copied().flatten();
                    above.and_then(|above| old.counterpart(above, new, node))
                }
            });
        }
        Some(Before { signed, nodes: Some(nodes) })
    }

    pub(super) fn node(&self, node: NodeId) -> Option<NodeId> {
        match &self.nodes {
            None => Some(node),
            Some(nodes) => nodes.get(node.0 as usize).copied().flatten(),
        }
    }

    /// The signatures of the same data of the same owner.
    fn rrsigs(&self, node: NodeId, rrset: &Rrset<'_>) -> Option<Rdata<'j>> {
        let old = self.signed.zone.rrset_at(self.node(node)?, rrset.rtype)?;
        old.same_data(rrset).then(|| self.signed.rrsigs(old.id))
    }
}

pub(super) struct Building<'b, 'j> {
    pub(super) job: &'b SigningJob<'j>,
    pub(super) origin: Name,
    pub(super) signs_zone: &'b [ZoneKey],
    pub(super) standings: Vec<Standing>,
    owners: Vec<NodeId>,
    pub(super) before: Option<Before<'j>>,
    /// Types that the origin has from signing, and not from its file.
    pub(super) overlaid: Vec<Rtype>,
}

impl Building<'_, '_> {
    /// The signatures of some RRsets of the zone.
    fn statics(&self, part: usize) -> Result<Arc<Slices>, SigningFailed> {
        let zone = self.job.zone;
        let entries = part * PART..((part + 1) * PART).min(zone.entries());
        let times = times(&self.job.validity, part as u64);
        let mut pen = Pen::default();
        let mut slices = SlicesBuilder::new();
        let mut made = 0;
        let nodes = self.owners.get(entries.clone()).unwrap_or(&[]);
        for (entry, node) in entries.clone().zip(nodes) {
            let id = EntryId(entry as u32);
            let Some(rrset) = zone.rrsets(*node).find(|rrset| rrset.id == id) else { continue };
            if self.is_signed(*node, rrset.rtype) {
                let before = self.before.as_ref().and_then(|before| before.rrsigs(*node, &rrset));
                match before.filter(|rrsigs| self.hold(*rrsigs, self.signs_zone)) {
                    Some(rrsigs) => rrsigs.for_each(|rdata| slices.push(rdata)),
                    None => {
                        let owner = zone.name_of(*node).ok_or(SigningFailed)?;
                        let subject = Subject { owner: &owner, rtype: rrset.rtype, ttl_s: rrset.ttl_s };
                        for key in self.signs_zone {
                            slices.push(pen.sign(&subject, rrset.rdata(), (key, &self.origin), times)?);
                        }
                        made += 1;
                    }
                }
            }
            slices.next();
        }
        Ok(match self.before.as_ref().filter(|before| made == 0 && before.nodes.is_none()) {
            Some(before) => before.signed.statics.get(part).map_or_else(|| slices.build().into(), Arc::clone),
            None => slices.build().into(),
        })
    }

    /// Whether an RRset of the zone's file is signed (RFC 4035 section 2.2).
    pub(super) fn is_signed(&self, node: NodeId, rtype: Rtype) -> bool {
        match self.standings.get(node.0 as usize) {
            Some(Standing::Authoritative) => node != NodeId::ORIGIN || !self.overlaid.contains(&rtype),
            Some(Standing::Cut) => rtype == Rtype::DS,
            Some(Standing::Below) | None => false,
        }
    }

    /// Whether signatures are by exactly these keys and need not be made anew.
    pub(super) fn hold(&self, rrsigs: Rdata<'_>, keys: &[ZoneKey]) -> bool {
        let Some(before) = self.job.previous else { return false };
        let mut keys = keys.iter();
        let each = rrsigs.map(rrsig::read).all(|read| {
            let (Some(read), Some(key)) = (read, keys.next()) else { return false };
            let same_key = before.all_keys.iter().any(|dnskey| **dnskey == *key.dnskey());
            same_key
                && (read.tag, read.algorithm) == (key.tag(), key.algorithm().number())
                && self.job.validity.holds(read.times.inception_s, read.times.expiration_s)
        });
        each && keys.next().is_none()
    }

    /// What services can answer, signed; and what they could before, while that still holds.
    fn answers(&self) -> Result<Vec<Arc<SignedAnswer>>, SigningFailed> {
        let mut all = Vec::with_capacity(self.job.steered.answers.len());
        let mut pen = Pen::default();
        let mut ttls: HashMap<(NodeId, Rtype), u32> = HashMap::new();
        let mut names: HashMap<NodeId, Name> = HashMap::new();
        let mut taken: HashSet<*const SignedAnswer> = HashSet::new();
        for (number, answer) in self.job.steered.answers.iter().enumerate() {
            ttls.insert((answer.owner, answer.rtype), answer.ttl_s);
            if let Some(same) = self.answered_before(answer) {
                taken.insert(Arc::as_ptr(same));
                all.push(Arc::clone(same));
                continue;
            }
            let owner = match names.get(&answer.owner) {
                Some(name) => *name,
                None => {
                    let name = self.job.zone.name_of(answer.owner).ok_or(SigningFailed)?;
                    names.insert(answer.owner, name);
                    name
                }
            };
            let subject = Subject { owner: &owner, rtype: answer.rtype, ttl_s: answer.ttl_s };
            let rdata = answer.data.rdata();
            let times = times(&self.job.validity, (number / PART) as u64 | 1 << 40);
            let mut rrsigs = Vec::new();
            for key in self.signs_zone {
                let records = rdata.iter().map(Vec::as_slice);
                push_rdata(&mut rrsigs, pen.sign(&subject, records, (key, &self.origin), times)?);
            }
            all.push(Arc::new(SignedAnswer { answer: answer.clone(), rrsigs: rrsigs.into() }));
        }
        let most = all.len() * KEPT_FACTOR + KEPT_MIN;
        // Numbers of nodes mean the same only in the same zone.
        let same_zone = self.before.as_ref().filter(|before| before.nodes.is_none());
        for old in same_zone.map_or(&[][..], |before| before.signed.answers.all.as_slice()) {
            let PossibleAnswer { owner, rtype, ttl_s, .. } = &old.answer;
            if all.len() >= most {
                break;
            }
            if !taken.contains(&Arc::as_ptr(old))
                && ttls.get(&(*owner, *rtype)) == Some(ttl_s)
                && self.hold(old.rrsigs(), self.signs_zone)
            {
                all.push(Arc::clone(old));
            }
        }
        Ok(all)
    }

    fn answered_before(&self, answer: &PossibleAnswer) -> Option<&Arc<SignedAnswer>> {
        // Across generations nodes have other numbers, and answers are few: these are signed anew.
        let before = self.before.as_ref().filter(|before| before.nodes.is_none())?;
        let same = before.signed.answers.same(answer.owner, answer)?;
        self.hold(same.rrsigs(), self.signs_zone).then_some(same)
    }

    /// What the origin has from signing.
    fn apex(&self) -> Result<Vec<Overlaid>, SigningFailed> {
        let job = self.job;
        let mut all: Vec<(Rtype, u32, Vec<Vec<u8>>)> = Vec::new();
        let dnskeys = job.keys.iter().map(|key| key.dnskey().to_vec()).collect();
        all.push((Rtype::DNSKEY, job.key_ttl_s, dnskeys));
        all.push((Rtype::CDS, job.key_ttl_s, job.key_records.cds.clone()));
        all.push((Rtype::CDNSKEY, job.key_ttl_s, job.key_records.cdnskey.clone()));
        if job.denial == Denial::Nsec3 {
            all.push((Rtype::NSEC3PARAM, job.zone.negative_ttl_s(), vec![NSEC3PARAM.to_vec()]));
        }
        if let (Some(soa), Some(serial)) = (job.zone.soa(), job.serial) {
            let rdata = soa.rdata().next().and_then(|rdata| with_serial(rdata, serial));
            all.push((Rtype::SOA, soa.ttl_s, vec![rdata.ok_or(SigningFailed)?]));
        }
        all.retain(|(_, _, records)| !records.is_empty());
        all.sort_by_key(|(rtype, ..)| *rtype);
        all.into_iter().map(|(rtype, ttl_s, records)| self.overlaid(rtype, ttl_s, &records)).collect()
    }

    fn overlaid(&self, rtype: Rtype, ttl_s: u32, rdata: &[Vec<u8>]) -> Result<Overlaid, SigningFailed> {
        let mut records = Vec::new();
        rdata.iter().for_each(|rdata| push_rdata(&mut records, rdata));
        let is_key = matches!(rtype, Rtype::DNSKEY | Rtype::CDS | Rtype::CDNSKEY);
        let keys: Vec<ZoneKey> = self
            .job
            .keys
            .iter()
            .filter(|key| if is_key { key.key_use.signs_keys() } else { key.key_use.signs_zone() })
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(SigningFailed);
        }
        let before = self.job.previous.filter(|before| before.zone.origin() == &self.origin);
        let before = before.and_then(|before| before.apex.iter().find(|own| own.rtype == rtype));
        if let Some(before) = before
            && (before.ttl_s, &*before.records) == (ttl_s, records.as_slice())
            && self.hold(Rdata::new(&before.rrsigs), &keys)
        {
            return Ok(before.clone());
        }
        let subject = Subject { owner: &self.origin, rtype, ttl_s };
        let times = times(&self.job.validity, u64::MAX);
        let mut pen = Pen::default();
        let mut rrsigs = Vec::new();
        for key in &keys {
            let records = rdata.iter().map(Vec::as_slice);
            push_rdata(&mut rrsigs, pen.sign(&subject, records, (key, &self.origin), times)?);
        }
        Ok(Overlaid { rtype, ttl_s, records: records.into(), rrsigs: rrsigs.into() })
    }
}

/// SHA-1, no iterations, no salt (RFC 9276 section 3.1).
pub(super) const NSEC3PARAM: &[u8] = &[1, 0, 0, 0, 0];

/// SOA's RDATA with another serial.
fn with_serial(rdata: &[u8], serial: u32) -> Option<Vec<u8>> {
    let mut rdata = rdata.to_vec();
    let at = rdata.len().checked_sub(20)?;
    rdata.get_mut(at..at + 4)?.copy_from_slice(&serial.to_be_bytes());
    Some(rdata)
}

/// When signatures of a part hold that are made now.
pub(super) fn times(validity: &Validity, part: u64) -> Times {
    let mut mixed = (validity.seed ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let off_s = (u64::from(validity.jitter_s) * (mixed >> 32)) >> 32;
    Times {
        inception_s: validity.now_s.wrapping_sub(validity.skew_s),
        expiration_s: validity.now_s.wrapping_add(validity.lifetime_s).wrapping_sub(off_s as u32),
    }
}
