//! Makes the records that deny.

use std::sync::Arc;

use super::bitmap::push_bitmap;
use super::build::{Building, times};
use super::job::Spread;
use super::names::successor;
use super::proofs::{Hash, Nsec3Chain, Proof, Proofs, canonical_order, hash, label};
use super::rrsig::{Pen, Subject};
use super::signed::PART;
use super::slices::SlicesBuilder;
use super::{Denial, Signed, SigningFailed, Slices};
use crate::wire::{Name, Rtype};
use crate::zone::{NodeId, Standing};

/// Parts of denials take their jitter from other numbers than parts of RRsets.
const PARTS_FROM: u64 = 1 << 32;

impl Building<'_, '_> {
    /// All records that deny.
    pub(super) fn proofs(&self, spread: &Spread<'_>) -> Result<Proofs, SigningFailed> {
        match self.job.denial {
            Denial::Compact => self.nsec(None, spread).map(Proofs::Compact),
            Denial::Nsec => {
                let mut order = canonical_order(self.job.zone);
                order.retain(|node| self.job.zone.is_owner(*node) && self.standing(*node) != Standing::Below);
                let mut next = vec![NodeId::ORIGIN; self.job.zone.nodes()];
                for pair in order.windows(2) {
                    if let [from, to] = pair
                        && let Some(place) = next.get_mut(from.0 as usize)
                    {
                        *place = *to;
                    }
                }
                Ok(Proofs::Nsec(self.nsec(Some(&next), spread)?, order.into()))
            }
            Denial::Nsec3 => self.nsec3(spread).map(Proofs::Nsec3),
        }
    }

    /// NSEC by node: of the nodes of a chain where it is given what is next of each, else of all.
    fn nsec(
        &self,
        next: Option<&[NodeId]>,
        spread: &Spread<'_>,
    ) -> Result<Box<[Arc<Slices>]>, SigningFailed> {
        let nodes = self.job.zone.nodes();
        let each = |node: usize, slices: &mut Made<'_>| {
            let id = NodeId(node as u32);
            let is_owner = next.is_none() || self.job.zone.is_owner(id);
            if !is_owner || self.standing(id) == Standing::Below {
                return Ok(());
            }
            let owner = self.job.zone.name_of(id).ok_or(SigningFailed)?;
            let next = match next {
                Some(next) => next.get(node).and_then(|next| self.job.zone.name_of(*next)),
                None => Some(successor(&owner, &self.origin)),
            };
            let mut rdata = next.ok_or(SigningFailed)?.octets().to_vec();
            push_bitmap(&self.types(id, &[Rtype::RRSIG, Rtype::NSEC]), &mut rdata);
            let before = self.before.as_ref().and_then(|before| before.signed.nsec(before.node(id)?));
            slices.push(&owner, Rtype::NSEC, &rdata, before)
        };
        self.records(nodes, &each, spread)
    }

    /// NSEC3 by place, of all nodes but those that are not the zone's to speak of.
    fn nsec3(&self, spread: &Spread<'_>) -> Result<Nsec3Chain, SigningFailed> {
        let zone = self.job.zone;
        let all = (0..zone.nodes() as u32).map(NodeId);
        let authoritative = all.filter(|node| self.standing(*node) != Standing::Below);
        let mut hashed: Vec<(Hash, NodeId)> = authoritative
            .filter_map(|node| Some((hash(zone.name_of(node)?.octets(), 0, &[]), node)))
            .collect();
        hashed.sort_unstable();
        let before = self.before.as_ref().and_then(|before| match &before.signed.proofs {
            Proofs::Nsec3(chain) if chain.iterations == 0 && chain.salt.is_empty() => Some(chain),
            _ => None,
        });
        let each = |place: usize, slices: &mut Made<'_>| {
            let (own, node) = hashed.get(place).ok_or(SigningFailed)?;
            let (next, _) = hashed.get(place + 1).or(hashed.first()).ok_or(SigningFailed)?;
            let owner = Name::joined(&label(own), self.origin.octets()).ok_or(SigningFailed)?;
            // SHA-1, no flags, no iterations, no salt; the length of the next hash.
            let mut rdata = vec![1, 0, 0, 0, 0, next.len() as u8];
            rdata.extend_from_slice(next);
            let is_signed = self.is_signed_at_all(*node);
            push_bitmap(&self.types(*node, if is_signed { &[Rtype::RRSIG] } else { &[] }), &mut rdata);
            slices.push(&owner, Rtype::NSEC3, &rdata, before.and_then(|chain| chain.proof(own)))
        };
        let records = self.records(hashed.len(), &each, spread)?;
        let hashes = hashed.iter().map(|(hash, _)| *hash).collect();
        Ok(Nsec3Chain { iterations: 0, salt: Box::default(), hashes, records })
    }

    fn records(
        &self,
        count: usize,
        each: &(dyn Fn(usize, &mut Made<'_>) -> Result<(), SigningFailed> + Sync),
        spread: &Spread<'_>,
    ) -> Result<Box<[Arc<Slices>]>, SigningFailed> {
        let part = |part: usize| {
            let mut made =
                Made { building: self, slices: SlicesBuilder::new(), pen: Pen::default(), part, signed: 0 };
            for index in part * PART..((part + 1) * PART).min(count) {
                each(index, &mut made)?;
                made.slices.next();
            }
            Ok(made.finish())
        };
        spread(count.div_ceil(PART), &part).into_iter().collect()
    }

    fn standing(&self, node: NodeId) -> Standing {
        self.standings.get(node.0 as usize).copied().unwrap_or(Standing::Below)
    }

    /// Whether there is a signature at a name, but for that of what denies.
    fn is_signed_at_all(&self, node: NodeId) -> bool {
        let zone = self.job.zone;
        node == NodeId::ORIGIN || zone.rrsets(node).any(|rrset| self.is_signed(node, rrset.rtype))
    }

    /// The types at a name, sorted: with those that services can answer in some state.
    fn types(&self, node: NodeId, own: &[Rtype]) -> Vec<Rtype> {
        let standing = self.standing(node);
        let is_spoken_of =
            |rtype: &Rtype| standing != Standing::Cut || matches!(*rtype, Rtype::NS | Rtype::DS);
        let zone = self.job.zone.rrsets(node).map(|rrset| rrset.rtype).filter(is_spoken_of);
        let mut types: Vec<Rtype> = zone.chain(own.iter().copied()).collect();
        if node == NodeId::ORIGIN {
            types.extend(&self.overlaid);
        }
        let steered = &self.job.steered.types;
        if let Ok(index) = steered.binary_search_by_key(&node, |(node, _)| *node) {
            types.extend(steered.get(index).map_or(&[][..], |(_, types)| types));
        }
        types.sort_unstable();
        types.dedup();
        types
    }
}

/// The records of one part in the making.
struct Made<'m> {
    building: &'m Building<'m, 'm>,
    slices: SlicesBuilder,
    pen: Pen,
    part: usize,
    /// Records that had to be signed.
    signed: usize,
}

impl Made<'_> {
    /// Adds a record, with the signatures that it had before where these still hold.
    fn push(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        rdata: &[u8],
        before: Option<Proof<'_>>,
    ) -> Result<(), SigningFailed> {
        let Building { job, origin, signs_zone, .. } = self.building;
        let ttl_s = job.zone.negative_ttl_s();
        self.slices.push(rdata);
        let same_ttl = job.previous.is_some_and(|previous| previous.negative_ttl_s == ttl_s);
        let holds =
            |before: &Proof<'_>| before.rdata == rdata && self.building.hold(before.rrsigs, signs_zone);
        if let Some(before) = before.filter(|before| same_ttl && holds(before)) {
            before.rrsigs.for_each(|rrsig| self.slices.push(rrsig));
            return Ok(());
        }
        self.signed += 1;
        let times = times(&job.validity, PARTS_FROM + self.part as u64);
        let subject = Subject { owner, rtype, ttl_s };
        for key in *signs_zone {
            let rrsig = self.pen.sign(&subject, std::iter::once(rdata), (key, origin), times)?;
            self.slices.push(rrsig);
        }
        Ok(())
    }

    /// The part; that of before where nothing in it is new.
    fn finish(self) -> Arc<Slices> {
        let slices = self.slices.build();
        let before = self.building.job.previous.filter(|_| self.signed == 0);
        let same = before.and_then(|before: &Signed| before.proofs.parts().get(self.part));
        match same.filter(|same| ***same == slices) {
            Some(same) => Arc::clone(same),
            None => Arc::new(slices),
        }
    }
}
