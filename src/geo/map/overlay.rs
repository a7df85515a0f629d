//! What lies over the location sources: CIDR rules, special-purpose and embedding blocks.
//!
//! The prefixes of all sources are merged into one row of disjoint segments per family. Each
//! segment has a context: everything that the overlays say of its addresses.

use std::collections::HashMap;

use super::barrier;
use crate::geo::embedded::EMBEDDING_BLOCKS;
use crate::geo::special::SPECIAL_BLOCKS;
use crate::geo::{ClientPrefix, GeoKey, Lens, MapSpec};
use crate::ids::{ClassId, Family};

/// The overlays of one map.
pub(super) struct Overlay {
    /// By family index: disjoint, ascending, covering the whole family.
    pub(super) segments: [Vec<Segment>; 2],
    /// By the numbers in the segments; the first is the empty one.
    pub(super) contexts: Vec<Context>,
}

/// A run of addresses of which the overlays say the same.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    /// The last address, left-aligned.
    pub(super) last: u128,
    /// Which context.
    pub(super) context: u32,
}

/// What the overlays say of an address.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Context {
    /// The CIDR rules that match: (lens, rule), most specific first.
    pub(super) rules: Vec<(u16, u16)>,
    /// The class of the special-purpose or embedding block that the addresses belong to.
    pub(super) barrier: Option<ClassId>,
}

/// One prefix of a source. The order is that of the sweep: outer before inner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    first: u128,
    length: u8,
    source: Source,
}

/// Where a prefix comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Special(usize),
    Rule { lens: u16, rule: u16 },
    // Last: of equal prefixes, all others are seen to cover the block.
    Embedding(usize),
}

impl Overlay {
    /// Merges the CIDR rules of `spec` and the fixed tables.
    pub(super) fn new(spec: &MapSpec) -> Overlay {
        let mut entries = [Vec::new(), Vec::new()];
        let mut add = |prefix: ClientPrefix, source| {
            let entry = Entry { first: prefix.bits(), length: prefix.length(), source };
            if let Some(list) = entries.get_mut(prefix.family().index()) {
                list.push(entry);
            }
        };
        for (block, number) in SPECIAL_BLOCKS.iter().zip(0..) {
            add(ClientPrefix::from_bits(block.family, block.first, block.length), Source::Special(number));
        }
        for (block, number) in EMBEDDING_BLOCKS.iter().zip(0..) {
            add(ClientPrefix::from_bits(Family::V6, block.first, block.length), Source::Embedding(number));
        }
        for (lens, number) in spec.lenses.iter().zip(0..) {
            let Lens::Rules(keys) = lens else { continue };
            for (key, rule) in keys.iter().zip(0..) {
                if let GeoKey::Cidr(net) = key {
                    add(ClientPrefix::new(net.addr(), net.prefix_len()), Source::Rule { lens: number, rule });
                }
            }
        }
        let mut contexts = Contexts::new();
        let segments = entries.map(|mut entries| {
            entries.sort_unstable();
            Sweep::new(&mut contexts).run(&entries)
        });
        Overlay { segments, contexts: contexts.all }
    }
}

/// One pass over the sorted prefixes of a family.
struct Sweep<'c> {
    contexts: &'c mut Contexts,
    /// The prefixes around the current position, outermost first, each with its last address.
    open: Vec<(u128, Entry)>,
    /// The first address not covered by `segments`; `None` past the end of the family.
    next: Option<u128>,
    segments: Vec<Segment>,
}

impl Sweep<'_> {
    fn new(contexts: &mut Contexts) -> Sweep<'_> {
        Sweep { contexts, open: Vec::new(), next: Some(0), segments: Vec::new() }
    }

    fn run(mut self, entries: &[Entry]) -> Vec<Segment> {
        for &entry in entries {
            while let Some(&(last, _)) = self.open.last()
                && last < entry.first
            {
                self.cover(last);
                self.open.pop();
            }
            if let Some(before) = entry.first.checked_sub(1) {
                self.cover(before);
            }
            let host = u128::MAX.checked_shr(u32::from(entry.length)).unwrap_or(0);
            self.open.push((entry.first | host, entry));
        }
        while let Some(&(last, _)) = self.open.last() {
            self.cover(last);
            self.open.pop();
        }
        self.cover(u128::MAX);
        self.segments
    }

    /// Covers everything up to `last` with what is open.
    fn cover(&mut self, last: u128) {
        if self.next.is_some_and(|next| next <= last) {
            let context = self.contexts.number(context_of(&self.open));
            self.segments.push(Segment { last, context });
            self.next = last.checked_add(1);
        }
    }
}

/// What a stack of prefixes says, outermost first.
fn context_of(open: &[(u128, Entry)]) -> Context {
    let mut context = Context::default();
    let mut special = None;
    for (_, entry) in open {
        match entry.source {
            Source::Special(block) => special = special.or(Some(barrier::special(block))),
            Source::Rule { lens, rule } => context.rules.push((lens, rule)),
            Source::Embedding(block) => {
                // The IPv4 inside decides; whatever is written inside the block is never asked.
                context.barrier = Some(barrier::embedding(block));
                break;
            }
        }
    }
    context.rules.reverse();
    // A rule that covers a special-purpose address wins over the block.
    if context.barrier.is_none() && context.rules.is_empty() {
        context.barrier = special;
    }
    context
}

/// Interned contexts.
struct Contexts {
    all: Vec<Context>,
    numbers: HashMap<Context, u32, foldhash::fast::FixedState>,
}

impl Contexts {
    fn new() -> Contexts {
        let mut contexts = Contexts { all: Vec::new(), numbers: HashMap::default() };
        contexts.number(Context::default());
        contexts
    }

    fn number(&mut self, context: Context) -> u32 {
        let next = self.all.len() as u32;
        *self.numbers.entry(context).or_insert_with_key(|context| {
            self.all.push(context.clone());
            next
        })
    }
}
