//! Whether the numbers of a map that was read point where they must.

use crate::geo::Lens;
use crate::geo::map::LocationMap;
use crate::geo::map::barrier::BARRIER_COUNT;
use crate::geo::map::classes::{Classes, Orders};
use crate::geo::map::nodes::{Nodes, PLACE_MAX, Target};
use crate::geo::map::trie::{NUMBER_MAX, Trie};

/// How many one-degree cells there are.
const CELLS: u32 = 180 * 360;

/// Levels below the root of each family, by family index: two an octet.
const HEIGHTS_MAX: [u8; 2] = [8, HEIGHT_MAX];

/// The more of them.
const HEIGHT_MAX: u8 = 32;

/// Whether the classes of a map are whole: every number in bounds. Its trie is known to be: see [`trie`].
pub(super) fn holds(map: &LocationMap) -> bool {
    let Classes { count, values, orders, tied_orders, order_length, rule_ends, rules } = &map.classes;
    let lenses = &map.spec.lenses;
    let counted = *count > BARRIER_COUNT
        && *count <= NUMBER_MAX + 1
        && (*count as usize).checked_mul(lenses.len()) == Some(values.len());
    let orders_whole = |orders: &Orders| match *order_length {
        0 => orders.regions.is_empty(),
        length => orders.regions.len().is_multiple_of(length),
    };
    let regions_known =
        |orders: &Orders| orders.regions.iter().all(|region| region.index() < map.spec.regions.len());
    let orders_hold = [orders, tied_orders].iter().all(|own| orders_whole(own) && regions_known(own));
    let ties_hold = orders.reaches.is_empty()
        && tied_orders.reaches.len() == tied_orders.regions.len()
        && tied_orders.reaches.iter().all(|reach| usize::from(*reach) <= *order_length);
    let rules_whole = ends_hold(rule_ends, rules.len());
    if !(counted && orders_hold && ties_hold && rules_whole) {
        return false;
    }
    // Without regions there is one order, the empty one.
    let order_count = |orders: &Orders| orders.regions.len().checked_div(*order_length).unwrap_or(1);
    let [order_count, tied_count] = [orders, tied_orders].map(order_count);
    let keys_needed: Vec<usize> = rule_lists(rule_ends, rules).map(keys_needed).collect();
    let value_holds = |lens: &Lens, value: u32| match lens {
        Lens::Order { tie_permille: 0, .. } => value as usize <= order_count,
        Lens::Order { .. } => value as usize <= tied_count,
        Lens::Cell => value <= CELLS,
        Lens::Rules(keys) => keys_needed.get(value as usize / 2).is_some_and(|&needed| needed <= keys.len()),
    };
    if lenses.is_empty() {
        return true;
    }
    values
        .chunks(lenses.len())
        .all(|row| lenses.iter().zip(row).all(|(lens, &value)| value_holds(lens, value)))
}

/// How many keys a lens must have for a list of its rules.
fn keys_needed(list: &[u16]) -> usize {
    list.iter().max().map_or(0, |&rule| usize::from(rule) + 1)
}

fn rule_lists<'r>(ends: &'r [u32], rules: &'r [u16]) -> impl Iterator<Item = &'r [u16]> {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(|(start, &end)| rules.get(start as usize..end as usize).unwrap_or(&[]))
}

/// Whether the ends of lists ascend and come to `total`.
fn ends_hold(ends: &[u32], total: usize) -> bool {
    ends.is_sorted() && ends.last().map_or(0, |&last| last as usize) == total
}

/// The trie of a row of nodes, if these are whole and every descent is short enough to end.
pub(super) fn trie(roots: [u32; 2], sets: u32, row: Box<[u16]>, class_count: u32) -> Option<Trie> {
    // A set has a node at least: this bounds what a fold takes for them.
    if row.len() > PLACE_MAX as usize || sets as usize > row.len() {
        return None;
    }
    let all = Nodes::new(row.into());
    let mut heights = Heights::new(all.row().len());
    let (mut place, mut nodes, mut runs) = (0usize, 0, 0);
    while place < all.row().len() {
        let node = all.at(place as u32);
        let length = all.whole(place as u32)?;
        let mut below = (0..node.count()).map(|run| heights.below(node.target(run), class_count));
        let deepest = below.try_fold(0, |deepest: u8, height| height.map(|height| deepest.max(height)))?;
        if node.set() >= sets || deepest >= HEIGHT_MAX {
            return None;
        }
        heights.put(place as u32, deepest + 1);
        (place, nodes, runs) = (place + length, nodes + 1, runs + node.count() as usize);
    }
    let root_holds = |(root, height_max): (&u32, u8)| {
        heights.below(Target::from_link(*root), class_count).is_some_and(|height| height <= height_max)
    };
    let roots_hold = roots.iter().zip(HEIGHTS_MAX).all(root_holds);
    roots_hold.then(|| Trie::new(roots, all, [sets as usize, nodes, runs]))
}

/// The levels of nodes, the lowest counted as 1, by their places. No two of them begin within four words, so there is an
/// octet for each four: the levels, and in the upper two bits which of the four. 0: no node begins there.
struct Heights(Vec<u8>);

impl Heights {
    fn new(words: usize) -> Heights {
        Heights(vec![0; words.div_ceil(4)])
    }

    fn put(&mut self, place: u32, height: u8) {
        if let Some(octet) = self.0.get_mut(place as usize / 4) {
            *octet = height | (place as u8 & 3) << 6;
        }
    }

    /// The levels below a target that exists.
    fn below(&self, target: Target, class_count: u32) -> Option<u8> {
        match target {
            Target::Class(class) => (class < class_count).then_some(0),
            // Children come before their parents, so descents end.
            Target::Node(place) => {
                let octet = self.0.get(place as usize / 4).copied().unwrap_or(0);
                (octet & 63 > 0 && octet >> 6 == place as u8 & 3).then_some(octet & 63)
            }
        }
    }
}
