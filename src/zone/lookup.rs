//! A zone, and the algorithm of RFC 1034 section 4.3.2 as RFC 4592 and RFC 6672 have it.

use super::sought::Sought;
use super::tree::{NameTree, ROOT};
use crate::ids::{RegionId, ServiceId};
use crate::wire::{Name, Rtype};

/// A zone: immutable.
pub struct Zone {
    pub(super) origin: Name,
    /// From the origin down.
    pub(super) tree: NameTree,
    /// By node of the tree.
    pub(super) nodes: Box<[Node]>,
    /// Each node's in a row, by type.
    pub(super) entries: Box<[Entry]>,
    /// Length and octets, one RRset after the other.
    pub(super) rdata: Box<[u8]>,
    /// Sorted by node.
    pub(super) steered: Box<[(u32, Attached)]>,
    pub(super) negative_ttl_s: u32,
}

/// Who answers for a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attached {
    /// A service.
    Service(ServiceId),
    /// A service for one region (R11).
    Region(ServiceId, RegionId),
}

/// What a node has.
#[derive(Clone, Copy)]
pub(super) struct Node {
    /// Where its entries begin; where it is steered and has none, its place among what is steered.
    pub(super) first: u32,
    /// How many there are: 0 is an empty non-terminal, unless it is steered.
    pub(super) count: u16,
    pub(super) kind: NodeKind,
    pub(super) way: Way,
}

/// Whether a walk from the origin to a node and on below it stays in the zone's own data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// It does.
    Clear,
    /// The node or one above it is a delegation or has a DNAME.
    Leaves,
}

/// What a node does to a walk that comes to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NodeKind {
    /// Nothing.
    Plain,
    /// It has a CNAME.
    Alias,
    /// A delegation begins here: the walk ends.
    Cut,
    /// It has a DNAME: what is below leads elsewhere.
    Redirect,
    /// A service answers for it.
    Steered,
}

/// One RRset.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) rtype: Rtype,
    pub(super) ttl_s: u32,
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The number of an RRset in its zone: dense, in the order of nodes. Signatures are found by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryId(pub u32);

/// The number of a name or an empty non-terminal in its zone: dense, parents before their children, the
/// origin first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u32);

impl NodeId {
    /// The origin's.
    pub const ORIGIN: NodeId = NodeId(ROOT);
}

/// The records of one owner and type. The owner is not in it: a wildcard's RRset is its asker's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rrset<'z> {
    /// Which of the zone's it is.
    pub id: EntryId,
    /// Their type.
    pub rtype: Rtype,
    /// Their TTL: one for all (RFC 2181 section 5.2).
    pub ttl_s: u32,
    octets: &'z [u8],
}

impl<'z> Rrset<'z> {
    /// Whether both have the same records in the same order with the same TTL.
    pub fn same_data(&self, other: &Rrset<'_>) -> bool {
        (self.rtype, self.ttl_s, self.octets) == (other.rtype, other.ttl_s, other.octets)
    }

    /// The RDATA of each record, uncompressed.
    pub fn rdata(&self) -> Rdata<'z> {
        Rdata { rest: self.octets }
    }
}

/// The RDATA of an RRset's records, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rdata<'z> {
    rest: &'z [u8],
}

impl<'z> Rdata<'z> {
    /// The RDATA that stand in `octets`, each with two octets of length before it.
    pub fn new(octets: &'z [u8]) -> Rdata<'z> {
        Rdata { rest: octets }
    }
}

impl<'z> Iterator for Rdata<'z> {
    type Item = &'z [u8];

    fn next(&mut self) -> Option<&'z [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.rest = rest;
        Some(rdata)
    }
}

/// What a zone says of a name and a type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lookup<'z> {
    /// These records, owned by the name asked for.
    Answer(Rrset<'z>),
    /// A CNAME, to be followed.
    Alias(Rrset<'z>),
    /// A DNAME above the name.
    Redirect {
        /// The DNAME.
        rrset: Rrset<'z>,
        /// Its owner is the name asked for from this label on.
        owner: usize,
    },
    /// The name belongs to another zone's servers.
    Referral {
        /// The NS records of the cut.
        servers: Rrset<'z>,
        /// Their owner is the name asked for from this label on.
        owner: usize,
    },
    /// A service answers.
    Steered(ServiceId),
    /// A service answers for one region, whoever asks (R11).
    Testing(ServiceId, RegionId),
    /// The name exists, the type does not.
    NoData,
    /// Neither the name exists nor anything below it.
    NxDomain,
}

/// What a zone says of a name at the first look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hit<'z> {
    /// These records, owned by the name asked for.
    Answer(Rrset<'z>),
    /// A service answers.
    Steered(ServiceId),
    /// The name exists, the type does not.
    NoData,
    /// Neither the name exists nor anything below it, nor a wildcard for it.
    NxDomain,
    /// Something else: [`Zone::locate`] says what.
    Walk,
}

/// What a zone says of a name and a type, and on what grounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Located<'z> {
    /// What it says.
    pub lookup: Lookup<'z>,
    /// The node that decided: the name's own, a wildcard, the node where the name's servers or its DNAME
    /// stand, or the closest encloser of a name that does not exist.
    pub node: NodeId,
    /// How the name was matched.
    pub matched: Matched,
}

impl Located<'_> {
    /// Whether the name is another zone's, or another name.
    pub fn leads_elsewhere(&self) -> bool {
        matches!(self.lookup, Lookup::Referral { .. } | Lookup::Redirect { .. })
    }
}

/// How a name was matched in its zone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Matched {
    /// By a node of its own, or by one above it that leads elsewhere.
    Exact,
    /// By a wildcard. The closest encloser is the name from this label on.
    Wildcard {
        /// At least 1.
        encloser: usize,
    },
    /// By nothing. The closest encloser is the name from this label on.
    Nothing {
        /// At least 1.
        encloser: usize,
    },
}

impl Attached {
    fn lookup<'z>(self) -> Lookup<'z> {
        match self {
            Attached::Service(service) => Lookup::Steered(service),
            Attached::Region(service, region) => Lookup::Testing(service, region),
        }
    }
}

impl Zone {
    /// The origin.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// The SOA: in every zone that was read without an error.
    pub fn soa(&self) -> Option<Rrset<'_>> {
        self.entry(ROOT, Rtype::SOA)
    }

    /// The TTL of the SOA in negative answers: min(its TTL, MINIMUM) (RFC 2308 section 5).
    pub fn negative_ttl_s(&self) -> u32 {
        self.negative_ttl_s
    }

    /// Whether a name is at or below the origin.
    pub fn contains(&self, name: &Name) -> bool {
        name.is_at_or_below(&self.origin)
    }

    /// Looks up a name at or below the origin.
    pub fn lookup(&self, name: &Name, rtype: Rtype) -> Lookup<'_> {
        self.locate(name, rtype).lookup
    }

    /// Looks up a name at or below the origin, and says on what grounds.
    pub fn locate(&self, name: &Name, rtype: Rtype) -> Located<'_> {
        let mut at = self.tree.root();
        let mut index = name.labels().saturating_sub(self.origin.labels());
        let (lookup, matched) = loop {
            let number = at.node;
            let Some(node) = self.nodes.get(number as usize) else {
                break (Lookup::NxDomain, Matched::Exact);
            };
            match node.kind {
                // The parent alone can answer for DS (RFC 4035 section 3.1.4.1).
                NodeKind::Cut if index > 0 || rtype != Rtype::DS => {
                    break (self.referral(number, index), Matched::Exact);
                }
                NodeKind::Redirect if index > 0 => break (self.redirect(number, index), Matched::Exact),
                _ => {}
            }
            if index == 0 {
                break (self.at(number, *node, rtype), Matched::Exact);
            }
            match self.tree.child(at, name.label(index - 1)) {
                Some(child) => (at, index) = (child, index - 1),
                None => {
                    let Some(wildcard) = self.tree.child(at, b"*") else {
                        break (Lookup::NxDomain, Matched::Nothing { encloser: index });
                    };
                    at = wildcard;
                    break (self.wildcard(wildcard.node, rtype), Matched::Wildcard { encloser: index });
                }
            }
        };
        Located { lookup, node: NodeId(at.node), matched }
    }

    /// What [`Zone::lookup`] says of a name at or below the origin and a type other than ANY and DS, in one probe
    /// where the name exists; [`Hit::Walk`] where that takes a walk.
    #[inline]
    pub fn hit(&self, sought: &Sought, rtype: Rtype) -> Hit<'_> {
        let origin = sought.labels().saturating_sub(self.origin.labels());
        let own = match origin {
            0 => Some(self.tree.root()),
            _ => self.tree.suffix(sought, 0, origin),
        };
        let Some(own) = own else { return self.miss(sought, origin) };
        let Some(node) = self.nodes.get(own.node as usize) else { return Hit::Walk };
        if node.way == Way::Leaves {
            return Hit::Walk;
        }
        if let Some((id, entry)) = self.numbered(*node).find(|(_, entry)| entry.rtype == rtype) {
            return Hit::Answer(self.rrset(id, entry));
        }
        match node.kind {
            NodeKind::Plain => Hit::NoData,
            NodeKind::Steered => match self.attached(own.node) {
                Some(Attached::Service(service)) => Hit::Steered(service),
                Some(Attached::Region(..)) | None => Hit::Walk,
            },
            NodeKind::Alias | NodeKind::Cut | NodeKind::Redirect => Hit::Walk,
        }
    }

    /// A name without a node of its own.
    fn miss(&self, sought: &Sought, origin: usize) -> Hit<'_> {
        let above = (1..origin).find_map(|first| self.tree.suffix(sought, first, origin));
        let encloser = above.unwrap_or(self.tree.root());
        let is_clear = self.nodes.get(encloser.node as usize).is_some_and(|node| node.way == Way::Clear);
        if is_clear && self.tree.child(encloser, b"*").is_none() { Hit::NxDomain } else { Hit::Walk }
    }

    /// The A and AAAA records of a name, glue or not: what stands beside NS.
    pub fn addresses(&self, name: &Name) -> [Option<Rrset<'_>>; 2] {
        let Some(node) = self.node(name) else { return [None; 2] };
        [self.entry(node, Rtype::A), self.entry(node, Rtype::AAAA)]
    }

    /// The number of nodes: names and empty non-terminals.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn node(&self, name: &Name) -> Option<u32> {
        let depth = name.depth_below(&self.origin)?;
        let mut labels = (0..depth).rev();
        labels
            .try_fold(self.tree.root(), |at, index| self.tree.child(at, name.label(index)))
            .map(|at| at.node)
    }

    /// What stands at an existing name.
    fn at(&self, number: u32, node: Node, rtype: Rtype) -> Lookup<'_> {
        if rtype == Rtype::ANY {
            return self.any(number, node);
        }
        if let Some(rrset) = self.entry(number, rtype) {
            return Lookup::Answer(rrset);
        }
        match node.kind {
            NodeKind::Alias => self.entry(number, Rtype::CNAME).map_or(Lookup::NoData, Lookup::Alias),
            NodeKind::Steered => self.attached(number).map_or(Lookup::NoData, Attached::lookup),
            NodeKind::Plain | NodeKind::Cut | NodeKind::Redirect => Lookup::NoData,
        }
    }

    /// One RRset for ANY (RFC 8482 section 4.1): the smallest.
    fn any(&self, number: u32, node: Node) -> Lookup<'_> {
        let smallest = self.numbered(node).min_by_key(|(_, entry)| entry.end - entry.start);
        match (smallest, self.attached(number)) {
            (Some((id, entry)), _) => Lookup::Answer(self.rrset(id, entry)),
            (None, Some(attached)) => attached.lookup(),
            (None, None) => Lookup::NoData,
        }
    }

    /// What the wildcard under the closest encloser says (RFC 4592 section 3.3.1).
    fn wildcard(&self, number: u32, rtype: Rtype) -> Lookup<'_> {
        match self.nodes.get(number as usize) {
            Some(node) => self.at(number, *node, rtype),
            None => Lookup::NxDomain,
        }
    }

    fn referral(&self, number: u32, owner: usize) -> Lookup<'_> {
        match self.entry(number, Rtype::NS) {
            Some(servers) => Lookup::Referral { servers, owner },
            None => Lookup::NoData,
        }
    }

    fn redirect(&self, number: u32, owner: usize) -> Lookup<'_> {
        match self.entry(number, Rtype::DNAME) {
            Some(rrset) => Lookup::Redirect { rrset, owner },
            None => Lookup::NxDomain,
        }
    }

    /// The service that steers a node; testing names are no names of their own.
    pub(super) fn service(&self, number: u32) -> Option<ServiceId> {
        match self.attached(number)? {
            Attached::Service(service) => Some(service),
            Attached::Region(..) => None,
        }
    }

    fn attached(&self, number: u32) -> Option<Attached> {
        let node = self.nodes.get(number as usize)?;
        if node.count == 0 && node.kind == NodeKind::Steered {
            return self.steered.get(node.first as usize).map(|(_, attached)| *attached);
        }
        let position = self.steered.binary_search_by_key(&number, |(node, _)| *node).ok()?;
        self.steered.get(position).map(|(_, attached)| *attached)
    }

    pub(super) fn entry(&self, number: u32, rtype: Rtype) -> Option<Rrset<'_>> {
        let node = self.nodes.get(number as usize)?;
        self.numbered(*node).find(|(_, entry)| entry.rtype == rtype).map(|(id, entry)| self.rrset(id, entry))
    }

    pub(super) fn entries_of(&self, node: Node) -> &[Entry] {
        let first = node.first as usize;
        self.entries.get(first..first + usize::from(node.count)).unwrap_or(&[])
    }

    pub(super) fn numbered(&self, node: Node) -> impl Iterator<Item = (EntryId, &Entry)> {
        (node.first..).map(EntryId).zip(self.entries_of(node))
    }

    pub(super) fn rrset(&self, id: EntryId, entry: &Entry) -> Rrset<'_> {
        let octets = self.rdata.get(entry.start as usize..entry.end as usize).unwrap_or(&[]);
        Rrset { id, rtype: entry.rtype, ttl_s: entry.ttl_s, octets }
    }
}
