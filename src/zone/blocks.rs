//! What a zone has of each of its names, in one piece: who has found it needs no other memory.
//!
//! Everything is in words of eight octets, numbers with their lowest octet first. A block begins with its node: a word with
//! the length of the name (8 bits), flags (8), the number of RRsets (16) and of the node (32), and one with the
//! number of the first RRset (32) and of the service (32). Then come the labels up to the origin in wire form, with
//! zeros up to a whole word, and the RRsets by type, each a word with type (16), octets (16) and TTL (32) before its
//! RDATA, which has zeros up to a whole word too.

use super::lookup::{EntryId, Rrset};
use super::sought::padded;
use crate::ids::ServiceId;
use crate::wire::Rtype;

/// What is hashed, compared and counted in.
pub(super) const WORD_OCTETS: usize = 8;

/// Eight octets.
pub(super) type Word = [u8; WORD_OCTETS];

/// The words of a node.
pub(super) const NODE_WORDS: usize = 2;

/// Stands for the length of an RRset that has more octets than 16 bits can say: a word with their number follows.
const LONG: u16 = u16::MAX;

const KIND_FLAGS: u8 = 0b0111;
const LEAVES_FLAG: u8 = 0b1000;
const WILDCARD_FLAG: u8 = 0b1_0000;

/// What a node has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Node {
    /// Octets of its labels up to the origin.
    pub(super) name_octets: u8,
    pub(super) kind: NodeKind,
    pub(super) way: Way,
    /// Whether it has a wildcard below it.
    pub(super) has_wildcard: bool,
    /// How many RRsets there are: 0 is an empty non-terminal, unless it is steered.
    pub(super) count: u16,
    pub(super) number: u32,
    /// Its first RRset's.
    pub(super) first: u32,
    /// That of a steered one.
    pub(super) service: ServiceId,
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
    /// A service answers for one region (R11).
    Testing,
}

/// A node's words and what follows them.
#[derive(Clone, Copy)]
pub(super) struct Block<'z> {
    node: u64,
    numbers: u64,
    /// From the name on.
    rest: &'z [Word],
}

impl<'z> Block<'z> {
    /// The block that `words` begins with.
    #[inline]
    pub(super) fn read(words: &'z [Word]) -> Option<Block<'z>> {
        let ([node, numbers], rest) = words.split_first_chunk::<NODE_WORDS>()?;
        Some(Block { node: u64::from_le_bytes(*node), numbers: u64::from_le_bytes(*numbers), rest })
    }

    #[inline]
    pub(super) fn name_octets(self) -> usize {
        usize::from(self.node as u8)
    }

    #[inline]
    fn flags(self) -> u8 {
        (self.node >> 8) as u8
    }

    #[inline]
    pub(super) fn kind(self) -> NodeKind {
        match self.flags() & KIND_FLAGS {
            0 => NodeKind::Plain,
            1 => NodeKind::Alias,
            2 => NodeKind::Cut,
            3 => NodeKind::Redirect,
            4 => NodeKind::Steered,
            _ => NodeKind::Testing,
        }
    }

    #[inline]
    pub(super) fn way(self) -> Way {
        if self.flags() & LEAVES_FLAG == 0 { Way::Clear } else { Way::Leaves }
    }

    #[inline]
    pub(super) fn has_wildcard(self) -> bool {
        self.flags() & WILDCARD_FLAG != 0
    }

    #[inline]
    pub(super) fn count(self) -> u16 {
        (self.node >> 16) as u16
    }

    #[inline]
    pub(super) fn number(self) -> u32 {
        (self.node >> 32) as u32
    }

    #[inline]
    pub(super) fn service(self) -> ServiceId {
        ServiceId((self.numbers >> 32) as u32)
    }

    /// The labels up to the origin.
    #[inline]
    pub(super) fn name(self) -> &'z [u8] {
        self.rest.as_flattened().get(..self.name_octets()).unwrap_or(&[])
    }

    /// What begins with the words of the name.
    #[inline]
    pub(super) fn name_words(self) -> &'z [Word] {
        self.rest
    }

    /// The RRsets, by type.
    #[inline]
    pub(super) fn rrsets(self) -> Rrsets<'z> {
        self.rrsets_behind(self.name_octets())
    }

    /// The same where it is known how long the name is: they can be read before it has come from memory.
    #[inline]
    pub(super) fn rrsets_behind(self, name_octets: usize) -> Rrsets<'z> {
        let rest = self.rest.get(words_of(name_octets)..).unwrap_or(&[]);
        Rrsets { next: self.numbers as u32, left: self.count(), rest }
    }

    /// The RRset of a type.
    #[inline]
    pub(super) fn rrset(self, rtype: Rtype) -> Option<Rrset<'z>> {
        self.rrsets().of(rtype)
    }
}

/// The RRsets of a node, one after the other.
#[derive(Clone)]
pub(super) struct Rrsets<'z> {
    next: u32,
    left: u16,
    rest: &'z [Word],
}

/// What stands before the RDATA of an RRset.
struct Head {
    rtype: Rtype,
    ttl_s: u32,
    octets: usize,
}

impl<'z> Rrsets<'z> {
    /// The one of a type.
    #[inline]
    pub(super) fn of(mut self, rtype: Rtype) -> Option<Rrset<'z>> {
        loop {
            let (head, id) = self.head()?;
            if head.rtype == rtype {
                return self.rrset(id, &head);
            }
            self.pass(&head);
        }
    }

    /// The next one's; what is left begins with its RDATA then.
    #[inline]
    fn head(&mut self) -> Option<(Head, EntryId)> {
        self.left = self.left.checked_sub(1)?;
        let (head, rest) = self.rest.split_first()?;
        self.rest = rest;
        let [t0, t1, o0, o1, ttl @ ..] = *head;
        let octets = match u16::from_le_bytes([o0, o1]) {
            LONG => self.long()?,
            octets => usize::from(octets),
        };
        let id = EntryId(self.next);
        self.next = self.next.wrapping_add(1);
        Some((
            Head { rtype: Rtype(u16::from_le_bytes([t0, t1])), ttl_s: u32::from_le_bytes(ttl), octets },
            id,
        ))
    }

    #[cold]
    fn long(&mut self) -> Option<usize> {
        let (octets, rest) = self.rest.split_first()?;
        self.rest = rest;
        usize::try_from(u64::from_le_bytes(*octets)).ok()
    }

    #[inline]
    fn rrset(&self, id: EntryId, head: &Head) -> Option<Rrset<'z>> {
        Some(Rrset::new(id, head.rtype, head.ttl_s, self.rest.as_flattened().get(..head.octets)?))
    }

    #[inline]
    fn pass(&mut self, head: &Head) {
        self.rest = self.rest.get(words_of(head.octets)..).unwrap_or(&[]);
    }
}

impl<'z> Iterator for Rrsets<'z> {
    type Item = Rrset<'z>;

    fn next(&mut self) -> Option<Rrset<'z>> {
        let (head, id) = self.head()?;
        let rrset = self.rrset(id, &head);
        self.pass(&head);
        rrset
    }
}

/// How many words so many octets take up.
#[inline]
#[allow(
    clippy::manual_div_ceil,
    reason = "that takes a remainder too, and no octets are near the end of numbers"
)]
pub(super) fn words_of(octets: usize) -> usize {
    (octets + WORD_OCTETS - 1) / WORD_OCTETS
}

/// The words of an RRset. `rdata` is what stands in them: each record's with two octets of length before it.
pub(super) fn push_rrset(words: &mut Vec<Word>, rtype: Rtype, ttl_s: u32, rdata: &[u8]) {
    let ([t0, t1], [l0, l1, l2, l3]) = (rtype.0.to_le_bytes(), ttl_s.to_le_bytes());
    let octets = u16::try_from(rdata.len()).unwrap_or(LONG);
    let [o0, o1] = octets.to_le_bytes();
    words.push([t0, t1, o0, o1, l0, l1, l2, l3]);
    if octets == LONG {
        words.push((rdata.len() as u64).to_le_bytes());
    }
    push_octets(words, rdata);
}

/// How many words the RRset has that `words` begins with.
pub(super) fn rrset_words(words: &[Word]) -> usize {
    let mut rrsets = Rrsets { next: 0, left: 1, rest: words };
    rrsets.next();
    words.len() - rrsets.rest.len()
}

/// A node's words and its name's.
pub(super) fn push_node(words: &mut Vec<Word>, node: Node, name: &[u8]) {
    let kind = match node.kind {
        NodeKind::Plain => 0,
        NodeKind::Alias => 1,
        NodeKind::Cut => 2,
        NodeKind::Redirect => 3,
        NodeKind::Steered => 4,
        NodeKind::Testing => 5,
    };
    let leaves = if node.way == Way::Leaves { LEAVES_FLAG } else { 0 };
    let wildcard = if node.has_wildcard { WILDCARD_FLAG } else { 0 };
    let ([c0, c1], [n0, n1, n2, n3]) = (node.count.to_le_bytes(), node.number.to_le_bytes());
    words.push([node.name_octets, kind | leaves | wildcard, c0, c1, n0, n1, n2, n3]);
    words.push((u64::from(node.first) | u64::from(node.service.0) << 32).to_le_bytes());
    push_octets(words, name);
}

/// Says of the block that `words` begins with that its node has a wildcard below it.
pub(super) fn mark_wildcard(words: &mut [Word]) {
    if let Some([_, flags, ..]) = words.first_mut() {
        *flags |= WILDCARD_FLAG;
    }
}

fn push_octets(words: &mut Vec<Word>, octets: &[u8]) {
    let (whole, rest) = octets.as_chunks::<WORD_OCTETS>();
    words.extend_from_slice(whole);
    if !rest.is_empty() {
        words.push(padded(rest));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let kinds = [
            NodeKind::Plain,
            NodeKind::Alias,
            NodeKind::Cut,
            NodeKind::Redirect,
            NodeKind::Steered,
            NodeKind::Testing,
        ];
        let names = [&b""[..], b"\x01a", b"\x06eleven", b"\x07seventy", b"\x03one\x06twelve\x0212"];
        let rdata = [0, 1, 7, 8, 9, 65_534, 65_535, 65_536, 100_000].map(|octets| vec![7u8; octets]);
        for (kind, name) in kinds.into_iter().flat_map(|kind| names.map(|name| (kind, name))) {
            let mut words = Vec::new();
            let (way, count) = (Way::Leaves, rdata.len() as u16);
            let (number, first, service) = (0x0102_0304, 0xfefe_fdfc, ServiceId(0x0506_0708));
            let name_octets = name.len() as u8;
            let node = Node { name_octets, kind, way, has_wildcard: false, count, number, first, service };
            push_node(&mut words, node, name);
            let is_marked = name.len() % 2 == 0;
            if is_marked {
                mark_wildcard(&mut words);
            }
            for (rtype, rdata) in (1..).zip(&rdata) {
                let before = words.len();
                push_rrset(&mut words, Rtype(rtype), 0x8000_0000 | u32::from(rtype), rdata);
                assert_eq!(rrset_words(&words[before..]), words.len() - before);
            }
            words.push([0xff; WORD_OCTETS]);
            let block = Block::read(&words).unwrap();
            assert_eq!((block.name(), block.kind(), block.way()), (name, kind, way));
            assert_eq!((block.number(), block.service()), (number, service));
            assert_eq!((block.has_wildcard(), block.count()), (is_marked, count));
            let mut seen = 0;
            for (rrset, (place, rdata)) in block.rrsets().zip((0..).zip(&rdata)) {
                let rtype = Rtype(place as u16 + 1);
                let id = EntryId(first + place);
                assert_eq!(rrset, Rrset::new(id, rtype, 0x8000_0000 | u32::from(rtype.0), rdata));
                assert_eq!(block.rrset(rtype), Some(rrset));
                seen += 1;
            }
            assert_eq!(seen, rdata.len());
            assert_eq!(block.rrset(Rtype(99)), None);
        }
        assert!(Block::read(&[[0; WORD_OCTETS]]).is_none());
    }
}
