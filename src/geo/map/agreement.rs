//! By set of classes: with how many regions all their orders begin alike. If the nearest region that can be chosen is
//! among these, the set is of one decision, and nobody has to go through all that is below a node to see it.

use super::barrier::BARRIER_COUNT;
use super::classes::{Classes, UNKNOWN_VALUE};
use super::nodes::Target;
use super::trie::Trie;
use crate::geo::Lens;
use crate::ids::{ClassId, RegionId};

/// How far the orders of the first `Order` lens without a tie agree below nodes.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Agreement {
    /// By set: the regions that all orders begin with; 0 where a class has none. Empty without such a lens.
    pub(super) by_set: Box<[u8]>,
}

/// The least and the greatest value of the classes of a set; orders are numbered as they sort.
type Span = (u32, u32);

/// Of sets that no node has had yet.
const NONE: Span = (u32::MAX, 0);

impl Agreement {
    /// Looks through all nodes.
    pub(super) fn new(lenses: &[Lens], classes: &Classes, trie: &Trie) -> Agreement {
        let Some(lens) = Agreement::lens(lenses) else { return Agreement::default() };
        let value = |class: u32| match class < BARRIER_COUNT {
            true => UNKNOWN_VALUE,
            false => classes.value(ClassId(class), lens, lenses.len()),
        };
        let mut spans = vec![NONE; trie.sets];
        let mut place = 0;
        // Children stand before their parents.
        while let Some(length) = trie.nodes.whole(place) {
            let node = trie.node(place);
            place += length as u32;
            if spans.get(node.set() as usize).is_none_or(|span| *span != NONE) {
                continue;
            }
            let of_target = |target| match target {
                Target::Class(class) => (value(class), value(class)),
                Target::Node(child) => spans
                    .get(trie.node(child).set() as usize)
                    .copied()
                    .unwrap_or((UNKNOWN_VALUE, UNKNOWN_VALUE)),
            };
            let all = node.targets().map(of_target);
            let span = all.fold(NONE, |(least, most), own| (least.min(own.0), most.max(own.1)));
            if let Some(known) = spans.get_mut(node.set() as usize) {
                *known = span;
            }
        }
        let alike = |(least, most): Span| {
            let (a, b) = (classes.order(0, least), classes.order(0, most));
            u8::try_from(a.iter().zip(b).take_while(|(a, b)| a == b).count()).unwrap_or(u8::MAX)
        };
        Agreement { by_set: spans.into_iter().map(alike).collect() }
    }

    /// The lens that it is for.
    pub(super) fn lens(lenses: &[Lens]) -> Option<usize> {
        lenses.iter().position(|lens| matches!(lens, Lens::Order { tie_permille: 0, .. }))
    }

    /// With how many regions the orders of a set begin alike.
    pub(super) fn of(&self, set: u32) -> usize {
        self.by_set.get(set as usize).copied().map_or(0, usize::from)
    }
}

/// The regions that can be chosen, of a fold by order.
#[derive(Debug)]
pub(super) struct Chosen {
    /// One bit for each region by number.
    regions: u128,
}

impl Chosen {
    /// `None` where their numbers are too great: then folds do without.
    pub(super) fn new(regions: impl Iterator<Item = RegionId>) -> Option<Chosen> {
        let mut chosen = Chosen { regions: 0 };
        for region in regions {
            chosen.regions |= 1u128.checked_shl(u32::from(region.0))?;
        }
        Some(chosen)
    }

    /// Whether one of these can be.
    pub(super) fn is_among(&self, regions: &[RegionId]) -> bool {
        let bit = |region: &RegionId| self.regions.checked_shr(u32::from(region.0)).unwrap_or(0) & 1;
        regions.iter().any(|region| bit(region) == 1)
    }
}
