//! Records that deny and are made when they are asked for (RFC 9824, RFC 4470): each speaks of one name, or
//! of as few as can be.

use super::Signed;
use super::bitmap::{push_bitmap, push_without};
use super::names::{after_label, before_label, successor};
use crate::wire::{Name, Rtype};
use crate::zone::NodeId;

/// What every NSEC has: itself, and its signature.
const OWN: [Rtype; 2] = [Rtype::RRSIG, Rtype::NSEC];

impl Signed {
    /// The RDATA of an NSEC that says that a name does not exist (RFC 9824 section 3.1).
    pub fn push_absent(&self, name: &Name, rdata: &mut Vec<u8>) {
        self.push_present(name, &[Rtype::NXNAME], rdata);
    }

    /// The RDATA of an NSEC that says that a name has these types, which come sorted, and no others.
    pub fn push_present(&self, name: &Name, types: &[Rtype], rdata: &mut Vec<u8>) {
        rdata.extend_from_slice(successor(name, self.zone.origin()).octets());
        let (mut all, mut used) = ([Rtype(0); 4], 0);
        for rtype in types.iter().filter(|own| **own < Rtype::RRSIG) {
            push(&mut all, &mut used, *rtype);
        }
        OWN.iter().for_each(|rtype| push(&mut all, &mut used, *rtype));
        for rtype in types.iter().filter(|own| **own > Rtype::NSEC) {
            push(&mut all, &mut used, *rtype);
        }
        push_bitmap(all.get(..used).unwrap_or(&[]), rdata);
    }

    /// The RDATA of the NSEC of an existing name as if it did not have a type.
    pub fn push_without(&self, node: NodeId, name: &Name, rtype: Rtype, rdata: &mut Vec<u8>) {
        rdata.extend_from_slice(successor(name, self.zone.origin()).octets());
        if let Some(own) = self.nsec(node) {
            push_without(own.nsec_bitmap(), rtype, rdata);
        }
    }

    /// The owner and the RDATA of an NSEC whose span holds the name that `name` has from label `index` on,
    /// and everything below it. `parent` is the node above. `None` where there is no name on either side.
    pub fn push_covering(
        &self,
        name: &Name,
        index: usize,
        parent: NodeId,
        rdata: &mut Vec<u8>,
    ) -> Option<Name> {
        let next = after_label(name, index)?;
        rdata.extend_from_slice(next.octets());
        match before_label(name, index) {
            Some(owner) => {
                push_bitmap(&OWN, rdata);
                Some(owner)
            }
            None => {
                rdata.extend_from_slice(self.nsec(parent)?.nsec_bitmap());
                self.zone.name_of(parent)
            }
        }
    }
}

fn push(all: &mut [Rtype; 4], used: &mut usize, rtype: Rtype) {
    if let Some(place) = all.get_mut(*used) {
        *place = rtype;
        *used += 1;
    }
}
