//! Everything that a zone holds, one after the other: for comparing whole zones, never for a query.

use super::blocks::{Block, NodeKind};
use super::lookup::{NodeId, Rrset, Zone};
use super::negative::NegativeSoa;
use crate::ids::{RegionId, ServiceId};
use crate::wire::{Name, Rtype};

/// One thing that a zone holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Held {
    /// An RRset.
    Rrset(Rtype),
    /// A service answers.
    Steered(ServiceId),
}

/// Where a node stands with regard to the zone's own authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// The zone speaks for it.
    Authoritative,
    /// A delegation begins here: only NS and DS are the zone's, and NS is not signed.
    Cut,
    /// It is below a delegation or a DNAME: glue, or nothing at all.
    Below,
}

impl Zone {
    /// The number of RRsets.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// What the zone takes in memory, in octets.
    pub fn memory_octets(&self) -> usize {
        size_of::<Zone>()
            + self.slots.octets()
            + size_of_val(&*self.words)
            + size_of_val(&*self.starts)
            + size_of_val(&*self.steered)
            + self.negative_soa.as_ref().map_or(0, NegativeSoa::octets)
    }

    /// Every node, by number.
    fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        (0..self.starts.len() as u32).filter_map(|number| self.block(number))
    }

    /// The standing of every node, by [`NodeId`].
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings: Vec<Standing> = Vec::with_capacity(self.starts.len());
        for block in self.blocks() {
            let above = self.above(block);
            let above = above.map(|above| (above.kind(), standings.get(above.number() as usize)));
            standings.push(match above {
                Some((_, Some(Standing::Cut | Standing::Below))) => Standing::Below,
                Some((NodeKind::Redirect, _)) => Standing::Below,
                _ if block.kind() == NodeKind::Cut => Standing::Cut,
                _ => Standing::Authoritative,
            });
        }
        standings
    }

    /// The node above another; `None` for the origin.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.above(self.block(node.0)?).map(|above| NodeId(above.number()))
    }

    fn above(&self, block: Block<'_>) -> Option<Block<'_>> {
        let (length, after) = block.name().split_first()?;
        self.find(after.get(usize::from(*length)..)?)
    }

    /// The node of the label of `node` of `other` under `parent`: how the nodes of two generations of a
    /// zone are matched, from the origin down.
    pub fn counterpart(&self, parent: NodeId, other: &Zone, node: NodeId) -> Option<NodeId> {
        let label = other.label(node);
        if label.is_empty() {
            return None;
        }
        self.below(self.block(parent.0)?, label).map(|block| NodeId(block.number()))
    }

    /// Whether anything is at a node, and not only below it.
    pub fn is_owner(&self, node: NodeId) -> bool {
        self.block(node.0).is_some_and(|block| {
            block.count() > 0 || matches!(block.kind(), NodeKind::Steered | NodeKind::Testing)
        })
    }

    /// The RRsets of a node, by type.
    pub fn rrsets(&self, node: NodeId) -> impl Iterator<Item = Rrset<'_>> {
        self.block(node.0).into_iter().flat_map(Block::rrsets)
    }

    /// One RRset of a node.
    pub fn rrset_at(&self, node: NodeId, rtype: Rtype) -> Option<Rrset<'_>> {
        self.block(node.0)?.rrset(rtype)
    }

    /// The node of a name; a wildcard's by its own name only.
    pub fn node_of(&self, name: &Name) -> Option<NodeId> {
        self.named(name).map(|block| NodeId(block.number()))
    }

    /// The names that services answer for: with the region where it is a testing name (R11).
    pub fn steered(&self) -> impl Iterator<Item = (NodeId, ServiceId, Option<RegionId>)> {
        self.steered.iter().filter_map(|(node, region)| {
            let service = self.block(*node)?.service();
            Some((NodeId(*node), service, *region))
        })
    }

    /// Calls `visit` with every owner (a wildcard as it is written) and each thing that it holds.
    pub fn walk(&self, visit: &mut dyn FnMut(&Name, Held)) {
        for block in self.blocks() {
            let steered = (block.kind() == NodeKind::Steered).then(|| Held::Steered(block.service()));
            if block.count() == 0 && steered.is_none() {
                continue;
            }
            let Some(name) = Name::joined(block.name(), self.origin.octets()) else { continue };
            for rrset in block.rrsets() {
                visit(&name, Held::Rrset(rrset.rtype));
            }
            if let Some(steered) = steered {
                visit(&name, steered);
            }
        }
    }

    /// The label of a node under its parent; empty for the origin.
    pub fn label(&self, node: NodeId) -> &[u8] {
        let name = self.block(node.0).map_or(&[][..], Block::name);
        let label = name.split_first().and_then(|(length, after)| after.get(..usize::from(*length)));
        label.unwrap_or(&[])
    }

    /// The name of a node. Allocates nothing.
    pub fn name_of(&self, node: NodeId) -> Option<Name> {
        Name::joined(self.block(node.0)?.name(), self.origin.octets())
    }
}
