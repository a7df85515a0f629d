//! Whether the numbers of a map that was read point where they must.

use crate::geo::Lens;
use crate::geo::map::LocationMap;
use crate::geo::map::barrier::BARRIER_COUNT;
use crate::geo::map::classes::{Classes, Orders};
use crate::geo::map::fold::ClassSets;
use crate::geo::map::trie::{Entry, NUMBER_MAX, Node, first_octet};
use crate::ids::ClassId;

/// How many one-degree cells there are.
const CELLS: u32 = 180 * 360;

/// Levels below the root of each family, by family index: one an octet.
const HEIGHTS_MAX: [u8; 2] = [4, 16];

/// Whether a map is whole: every number in bounds, every descent short enough to end.
pub(super) fn holds(map: &LocationMap) -> bool {
    classes_hold(map) && sets_hold(&map.sets, map.classes.count) && trie_holds(map).is_some()
}

fn classes_hold(map: &LocationMap) -> bool {
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

fn sets_hold(sets: &ClassSets, class_count: u32) -> bool {
    let member_known = |set: &[u32]| set.last().is_some_and(|&last| last < class_count);
    let ascends = |set: &[u32]| set.is_sorted_by(|a, b| a < b);
    ends_hold(&sets.ends, sets.members.len()) && sets.iter().all(|set| member_known(set) && ascends(set))
}

fn trie_holds(map: &LocationMap) -> Option<()> {
    if map.trie.nodes.len() > NUMBER_MAX as usize + 1 {
        return None;
    }
    let mut heights: Vec<u8> = Vec::with_capacity(map.trie.nodes.len());
    for &node in &map.trie.nodes {
        heights.push(height(map, node, &heights)?);
    }
    let root_holds = |(root, height_max): (&u32, u8)| {
        entry_height(Entry::from_bits(*root), map.classes.count, &heights)
            .is_some_and(|height| height <= height_max)
    };
    let roots_hold = map.trie.roots.iter().zip(HEIGHTS_MAX).all(root_holds);
    roots_hold.then_some(())
}

/// The levels of a node, if its runs are whole; `below` are the heights of the nodes before it.
fn height(map: &LocationMap, node: Node, below: &[u8]) -> Option<u8> {
    let runs = map.trie.runs(node);
    let ascends = runs.is_sorted_by(|a, b| first_octet(*a) < first_octet(*b));
    let starts = runs.first().is_some_and(|&run| first_octet(run) == 0);
    if !ascends || !starts || runs.len() < 2 {
        return None;
    }
    let mut heights = runs.iter().map(|&run| entry_height(Entry::from_bits(run), map.classes.count, below));
    let deepest = heights.try_fold(0, |deepest: u8, height| height.map(|height| deepest.max(height)))?;
    deepest.checked_add(1)
}

fn entry_height(entry: Entry, class_count: u32, below: &[u8]) -> Option<u8> {
    match entry {
        Entry::Class(ClassId(class)) => (class < class_count).then_some(0),
        // Children come before their parents, so descents end.
        Entry::Child(node) => below.get(node as usize).copied(),
    }
}
