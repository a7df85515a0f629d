//! A zone, and the algorithm of RFC 1034 section 4.3.2 as RFC 4592 and RFC 6672 have it.

use super::blocks::{Block, NodeKind, Way, Word};
use super::negative::NegativeSoa;
use super::slots::Slots;
use super::sought::{Sought, octets_hash};
use crate::ids::{RegionId, ServiceId};
use crate::wire::{NAME_OCTETS_MAX, Name, Rtype};

/// The number of the origin's node.
pub(super) const ROOT: u32 = 0;

/// A zone: immutable. What a query asks of it stands in the lines that it begins with.
#[repr(align(64))]
pub struct Zone {
    pub(super) origin: Name,
    /// Where the block of each name below the origin begins.
    pub(super) slots: Slots,
    /// Blocks, by number of their nodes.
    pub(super) words: Box<[Word]>,
    /// Where each of them begins.
    pub(super) starts: Box<[u32]>,
    /// How many RRsets there are.
    pub(super) entries: usize,
    /// The steered nodes, and for which region alone they are (R11).
    pub(super) steered: Box<[(u32, Option<RegionId>)]>,
    pub(super) negative_ttl_s: u32,
    pub(super) negative_soa: Option<NegativeSoa>,
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
    #[inline]
    pub(super) fn new(id: EntryId, rtype: Rtype, ttl_s: u32, octets: &'z [u8]) -> Rrset<'z> {
        Rrset { id, rtype, ttl_s, octets }
    }

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

impl Zone {
    /// The origin.
    pub fn origin(&self) -> &Name {
        &self.origin
    }

    /// The SOA: in every zone that was read without an error.
    pub fn soa(&self) -> Option<Rrset<'_>> {
        self.rrset_at(NodeId::ORIGIN, Rtype::SOA)
    }

    /// The TTL of the SOA in negative answers: min(its TTL, MINIMUM) (RFC 2308 section 5).
    pub fn negative_ttl_s(&self) -> u32 {
        self.negative_ttl_s
    }

    /// The SOA record of negative answers, composed ahead; `None` where it is unusual.
    #[inline]
    pub fn negative_soa(&self) -> Option<&NegativeSoa> {
        self.negative_soa.as_ref()
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
        let Some(mut block) = self.block(ROOT) else {
            return Located { lookup: Lookup::NxDomain, node: NodeId::ORIGIN, matched: Matched::Exact };
        };
        let mut index = name.labels().saturating_sub(self.origin.labels());
        let end = name.start(index);
        let (lookup, matched) = loop {
            match block.kind() {
                // The parent alone can answer for DS (RFC 4035 section 3.1.4.1).
                NodeKind::Cut if index > 0 || rtype != Rtype::DS => {
                    break (referral(block, index), Matched::Exact);
                }
                NodeKind::Redirect if index > 0 => break (redirect(block, index), Matched::Exact),
                _ => {}
            }
            if index == 0 {
                break (self.at(block, rtype), Matched::Exact);
            }
            match self.find(name.octets().get(name.start(index - 1)..end).unwrap_or(&[])) {
                Some(below) => (block, index) = (below, index - 1),
                None => {
                    let Some(wildcard) = self.wildcard(block) else {
                        break (Lookup::NxDomain, Matched::Nothing { encloser: index });
                    };
                    block = wildcard;
                    break (self.at(wildcard, rtype), Matched::Wildcard { encloser: index });
                }
            }
        };
        Located { lookup, node: NodeId(block.number()), matched }
    }

    /// What [`Zone::lookup`] says of a name at or below the origin, which begins at the octet `end` of it, and a type other
    /// than ANY and DS, in one probe where the name exists; [`Hit::Walk`] where that takes a walk.
    #[inline(always)]
    pub fn hit(&self, sought: &Sought, end: usize, rtype: Rtype) -> Hit<'_> {
        let own = if end == 0 { self.block(ROOT) } else { self.find_sought(sought, 0, end) };
        let Some(own) = own else { return self.miss(sought, end) };
        if own.way() == Way::Leaves {
            return Hit::Walk;
        }
        if let Some(rrset) = own.rrsets_behind(end).of(rtype) {
            return Hit::Answer(rrset);
        }
        match own.kind() {
            NodeKind::Plain => Hit::NoData,
            NodeKind::Steered => Hit::Steered(own.service()),
            NodeKind::Alias | NodeKind::Cut | NodeKind::Redirect | NodeKind::Testing => Hit::Walk,
        }
    }

    /// A name without a node of its own, the origin of which begins at `end`.
    fn miss(&self, sought: &Sought, end: usize) -> Hit<'_> {
        let above = (1..sought.labels()).map(|first| sought.start(first)).take_while(|start| *start < end);
        let found = above.filter_map(|start| self.find_sought(sought, start, end)).next();
        match found.or(self.block(ROOT)) {
            Some(encloser) if encloser.way() == Way::Clear && !encloser.has_wildcard() => Hit::NxDomain,
            _ => Hit::Walk,
        }
    }

    /// The block of the name that stands between two octets, of which there are some.
    #[inline(always)]
    fn find_sought(&self, sought: &Sought, start: usize, end: usize) -> Option<Block<'_>> {
        self.slots.find(sought.hash(start, end), |at| {
            let block = self.block_at(at)?;
            let is_it = block.name_octets() == end - start && sought.is(start, end, block.name_words());
            is_it.then_some(block)
        })
    }

    /// The block of a name: its labels up to the origin.
    pub(super) fn find(&self, name: &[u8]) -> Option<Block<'_>> {
        if name.is_empty() {
            return self.block(ROOT);
        }
        let is_it = |block: &Block<'_>| block.name() == name;
        self.slots.find(octets_hash(name), |at| self.block_at(at).filter(is_it))
    }

    /// The block of a label under another.
    pub(super) fn below(&self, above: Block<'_>, label: &[u8]) -> Option<Block<'_>> {
        let (mut room, above) = ([0; NAME_OCTETS_MAX], above.name());
        let (length, rest) = room.split_first_mut()?;
        *length = u8::try_from(label.len()).ok()?;
        let (own, rest) = rest.split_at_mut_checked(label.len())?;
        own.copy_from_slice(label);
        rest.get_mut(..above.len())?.copy_from_slice(above);
        self.find(room.get(..1 + label.len() + above.len())?)
    }

    /// The wildcard under a closest encloser (RFC 4592 section 3.3.1).
    fn wildcard(&self, encloser: Block<'_>) -> Option<Block<'_>> {
        if encloser.has_wildcard() { self.below(encloser, b"*") } else { None }
    }

    /// The block of a node.
    #[inline]
    pub(super) fn block(&self, number: u32) -> Option<Block<'_>> {
        self.block_at(*self.starts.get(number as usize)?)
    }

    #[inline]
    fn block_at(&self, start: u32) -> Option<Block<'_>> {
        Block::read(self.words.get(start as usize..)?)
    }

    /// The A and AAAA records of a name, glue or not: what stands beside NS.
    pub fn addresses(&self, name: &Name) -> [Option<Rrset<'_>>; 2] {
        let Some(block) = self.named(name) else { return [None; 2] };
        [block.rrset(Rtype::A), block.rrset(Rtype::AAAA)]
    }

    /// The number of nodes: names and empty non-terminals.
    pub fn nodes(&self) -> usize {
        self.starts.len()
    }

    /// The block of a whole name.
    pub(super) fn named(&self, name: &Name) -> Option<Block<'_>> {
        self.find(name.prefix(name.depth_below(&self.origin)?))
    }

    /// What stands at an existing name.
    fn at<'z>(&self, block: Block<'z>, rtype: Rtype) -> Lookup<'z> {
        let attached = || match block.kind() {
            NodeKind::Steered => Some(Lookup::Steered(block.service())),
            NodeKind::Testing => Some(Lookup::Testing(block.service(), self.region(block.number())?)),
            NodeKind::Plain | NodeKind::Alias | NodeKind::Cut | NodeKind::Redirect => None,
        };
        if rtype == Rtype::ANY {
            // One RRset (RFC 8482 section 4.1): the smallest.
            let smallest = block.rrsets().min_by_key(|rrset| rrset.octets.len());
            return smallest.map(Lookup::Answer).or_else(attached).unwrap_or(Lookup::NoData);
        }
        if let Some(rrset) = block.rrset(rtype) {
            return Lookup::Answer(rrset);
        }
        let alias = match block.kind() {
            NodeKind::Alias => block.rrset(Rtype::CNAME).map(Lookup::Alias),
            _ => None,
        };
        alias.or_else(attached).unwrap_or(Lookup::NoData)
    }

    /// For which region alone a testing name is.
    fn region(&self, number: u32) -> Option<RegionId> {
        let place = self.steered.binary_search_by_key(&number, |(node, _)| *node).ok()?;
        self.steered.get(place).and_then(|(_, region)| *region)
    }
}

fn referral(block: Block<'_>, owner: usize) -> Lookup<'_> {
    match block.rrset(Rtype::NS) {
        Some(servers) => Lookup::Referral { servers, owner },
        None => Lookup::NoData,
    }
}

fn redirect(block: Block<'_>, owner: usize) -> Lookup<'_> {
    match block.rrset(Rtype::DNAME) {
        Some(rrset) => Lookup::Redirect { rrset, owner },
        None => Lookup::NxDomain,
    }
}
