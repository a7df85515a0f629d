//! Collects a zone's data. Judges nothing: whether it makes sense is `compile::zonefile`'s to say.

use super::lookup::{Attached, Entry, Node, NodeKind, Way, Zone};
use super::sought::name_hash;
use super::tree::{NameTree, ROOT};
use crate::ids::{RegionId, ServiceId};
use crate::wire::{Name, Rtype};

/// The owner is not at or below the origin, or the zone has outgrown its 32-bit offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfZone;

/// Where a name is in a zone in the making; they rise in the order in which names come first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place(u32);

/// A zone in the making.
pub struct ZoneBuilder {
    origin: Name,
    tree: NameTree,
    pending: Vec<(u32, Entry)>,
    rdata: Vec<u8>,
    steered: Vec<(u32, Attached)>,
    soa_times: Option<(u32, u32)>,
}

impl ZoneBuilder {
    /// A zone without data.
    pub fn new(origin: &Name) -> ZoneBuilder {
        ZoneBuilder {
            origin: *origin,
            tree: NameTree::new(name_hash(origin)),
            pending: Vec::new(),
            rdata: Vec::new(),
            steered: Vec::new(),
            soa_times: None,
        }
    }

    /// The place of a name, made if it is new: an empty non-terminal until something is put there.
    pub fn place(&mut self, owner: &Name) -> Result<Place, OutOfZone> {
        let depth = owner.depth_below(&self.origin).ok_or(OutOfZone)?;
        let mut at = self.tree.root();
        for index in (0..depth).rev() {
            at = self.tree.child_or_new(at, owner.label(index)).ok_or(OutOfZone)?;
        }
        Ok(Place(at.node))
    }

    /// Adds an RRset: RDATA in uncompressed wire form. An owner and a type come once.
    pub fn rrset<'r>(
        &mut self,
        owner: &Name,
        rtype: Rtype,
        ttl_s: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.rrset_at(place, rtype, ttl_s, rdata)
    }

    /// The same where the owner's place is known.
    pub fn rrset_at<'r>(
        &mut self,
        Place(node): Place,
        rtype: Rtype,
        ttl_s: u32,
        rdata: impl Iterator<Item = &'r [u8]>,
    ) -> Result<(), OutOfZone> {
        let start = u32::try_from(self.rdata.len()).map_err(|_| OutOfZone)?;
        for octets in rdata {
            let length = u16::try_from(octets.len()).map_err(|_| OutOfZone)?;
            self.rdata.extend_from_slice(&length.to_be_bytes());
            self.rdata.extend_from_slice(octets);
            if rtype == Rtype::SOA && node == ROOT {
                let minimum = octets.last_chunk::<4>().map_or(0, |last| u32::from_be_bytes(*last));
                self.soa_times = Some((ttl_s, minimum));
            }
        }
        let end = u32::try_from(self.rdata.len()).map_err(|_| OutOfZone)?;
        self.pending.push((node, Entry { rtype, ttl_s, start, end }));
        Ok(())
    }

    /// Gives a name to a service.
    pub fn steer(&mut self, owner: &Name, service: ServiceId) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.steer_at(place, service);
        Ok(())
    }

    /// The same where the name's place is known.
    pub fn steer_at(&mut self, Place(node): Place, service: ServiceId) {
        self.steered.push((node, Attached::Service(service)));
    }

    /// Gives a name to one region of a service (R11).
    pub fn steer_region(
        &mut self,
        owner: &Name,
        service: ServiceId,
        region: RegionId,
    ) -> Result<(), OutOfZone> {
        let place = self.place(owner)?;
        self.steer_region_at(place, service, region);
        Ok(())
    }

    /// The same where the name's place is known.
    pub fn steer_region_at(&mut self, Place(node): Place, service: ServiceId, region: RegionId) {
        self.steered.push((node, Attached::Region(service, region)));
    }

    /// The zone.
    pub fn build(mut self) -> Zone {
        self.pending.sort_by_key(|(node, entry)| (*node, entry.rtype));
        self.steered.sort_by_key(|(node, _)| *node);
        self.tree.shrink();
        self.rdata.shrink_to_fit();
        let mut nodes =
            vec![Node { first: 0, count: 0, kind: NodeKind::Plain, way: Way::Clear }; self.tree.len()];
        for (position, (number, entry)) in self.pending.iter().enumerate() {
            let Some(node) = nodes.get_mut(*number as usize) else { continue };
            if node.count == 0 {
                node.first = position as u32;
            }
            node.count += 1;
            node.kind = match entry.rtype {
                Rtype::NS if *number != ROOT => NodeKind::Cut,
                Rtype::DNAME => NodeKind::Redirect,
                Rtype::CNAME => NodeKind::Alias,
                _ => node.kind,
            };
        }
        for (position, (number, _)) in self.steered.iter().enumerate() {
            if let Some(node) = nodes.get_mut(*number as usize) {
                node.kind = NodeKind::Steered;
                if node.count == 0 {
                    node.first = position as u32;
                }
            }
        }
        for number in 0..nodes.len() {
            // Parents come before their children.
            let above = self.tree.place(number as u32).and_then(|(parent, _)| nodes.get(parent as usize));
            let way = above.map_or(Way::Clear, |above| above.way);
            if let Some(node) = nodes.get_mut(number) {
                node.way = match node.kind {
                    NodeKind::Cut | NodeKind::Redirect => Way::Leaves,
                    NodeKind::Plain | NodeKind::Alias | NodeKind::Steered => way,
                };
            }
        }
        Zone {
            origin: self.origin,
            tree: self.tree,
            nodes: nodes.into(),
            entries: self.pending.into_iter().map(|(_, entry)| entry).collect(),
            rdata: self.rdata.into(),
            steered: self.steered.into(),
            negative_ttl_s: self.soa_times.map_or(0, |(ttl_s, minimum_s)| ttl_s.min(minimum_s)),
        }
    }
}
