//! Everything that a zone holds, one after the other: for comparing whole zones, never for a query.

use super::lookup::{Attached, NodeId, NodeKind, Rrset, Zone};
use super::tree::ROOT;
use crate::ids::{RegionId, ServiceId};
use crate::wire::{NAME_OCTETS_MAX, Name, Rtype};

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
        self.entries.len()
    }

    /// What the zone takes in memory, in octets.
    pub fn memory_octets(&self) -> usize {
        size_of::<Zone>()
            + self.tree.octets()
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.entries)
            + size_of_val(&*self.rdata)
            + size_of_val(&*self.steered)
    }

    /// The standing of every node, by [`NodeId`].
    pub fn standings(&self) -> Vec<Standing> {
        let mut standings: Vec<Standing> = Vec::with_capacity(self.nodes.len());
        for (number, node) in (0u32..).zip(&self.nodes) {
            let parent = self.parent(NodeId(number)).map(|parent| parent.0 as usize);
            let above = parent.map(|parent| (self.nodes.get(parent), standings.get(parent)));
            standings.push(match above {
                Some((_, Some(Standing::Cut | Standing::Below))) => Standing::Below,
                Some((Some(above), _)) if above.kind == NodeKind::Redirect => Standing::Below,
                _ if node.kind == NodeKind::Cut => Standing::Cut,
                _ => Standing::Authoritative,
            });
        }
        standings
    }

    /// The node above another; `None` for the origin.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.tree.place(node.0).map(|(parent, _)| NodeId(parent))
    }

    /// The node of the label of `node` of `other` under `parent`: how the nodes of two generations of a
    /// zone are matched, from the origin down.
    pub fn counterpart(&self, parent: NodeId, other: &Zone, node: NodeId) -> Option<NodeId> {
        let (_, label) = other.tree.place(node.0)?;
        self.tree.child(self.tree.at(parent.0), label).map(|at| NodeId(at.node))
    }

    /// Whether anything is at a node, and not only below it.
    pub fn is_owner(&self, node: NodeId) -> bool {
        self.nodes.get(node.0 as usize).is_some_and(|own| own.count > 0 || own.kind == NodeKind::Steered)
    }

    /// The RRsets of a node, by type.
    pub fn rrsets(&self, node: NodeId) -> impl Iterator<Item = Rrset<'_>> {
        let node = self.nodes.get(node.0 as usize).copied();
        node.into_iter().flat_map(|node| self.numbered(node)).map(|(id, entry)| self.rrset(id, entry))
    }

    /// One RRset of a node.
    pub fn rrset_at(&self, node: NodeId, rtype: Rtype) -> Option<Rrset<'_>> {
        self.entry(node.0, rtype)
    }

    /// The node of a name; a wildcard's by its own name only.
    pub fn node_of(&self, name: &Name) -> Option<NodeId> {
        self.node(name).map(NodeId)
    }

    /// The names that services answer for: with the region where it is a testing name (R11).
    pub fn steered(&self) -> impl Iterator<Item = (NodeId, ServiceId, Option<RegionId>)> {
        self.steered.iter().map(|(node, attached)| match *attached {
            Attached::Service(service) => (NodeId(*node), service, None),
            Attached::Region(service, region) => (NodeId(*node), service, Some(region)),
        })
    }

    /// Calls `visit` with every owner (a wildcard as it is written) and each thing that it holds.
    pub fn walk(&self, visit: &mut dyn FnMut(&Name, Held)) {
        for number in 0..self.nodes.len() as u32 {
            let held = self.held(number);
            if held.is_empty() {
                continue;
            }
            let Some(name) = self.name_of(NodeId(number)) else { continue };
            for held in held {
                visit(&name, held);
            }
        }
    }

    fn held(&self, number: u32) -> Vec<Held> {
        let entries = self.nodes.get(number as usize).map_or(&[][..], |node| self.entries_of(*node));
        let rrsets = entries.iter().map(|entry| Held::Rrset(entry.rtype));
        rrsets.chain(self.service(number).map(Held::Steered)).collect()
    }

    /// The label of a node under its parent; empty for the origin.
    pub fn label(&self, node: NodeId) -> &[u8] {
        self.tree.place(node.0).map_or(&[], |(_, label)| label)
    }

    /// The name of a node. Allocates nothing.
    pub fn name_of(&self, node: NodeId) -> Option<Name> {
        let mut number = node.0;
        let (mut prefix, mut used) = ([0; NAME_OCTETS_MAX], 0);
        while number != ROOT {
            let (parent, label) = self.tree.place(number)?;
            *prefix.get_mut(used)? = u8::try_from(label.len()).ok()?;
            prefix.get_mut(used + 1..used + 1 + label.len())?.copy_from_slice(label);
            used += 1 + label.len();
            number = parent;
        }
        Name::joined(prefix.get(..used)?, self.origin.octets())
    }
}
