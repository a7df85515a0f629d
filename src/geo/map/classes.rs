//! Classes of places: what all lenses of a map say of a location, interned.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::ops::Range;

use super::MapError;
use super::barrier::{BARRIER_COUNT, ClassKind, UNKNOWN, kind};
use super::overlay::Context;
use super::slices::SliceTable;
use super::trie::NUMBER_MAX;
use crate::geo::lens::cell_number;
use crate::geo::order::OrderFinder;
use crate::geo::{Continent, Coordinates, CountryCode, GeoKey, Lens, Location, MapSpec};
use crate::ids::{ClassId, RegionId};

/// The value of every lens for the unknown location.
pub(super) const UNKNOWN_VALUE: u32 = 0;

/// The finished tables: what each class looks like through each lens.
///
/// Values by lens: `Order`, 1 + the number of an order; `Cell`, 1 + the number of a cell; `Rules`,
/// 2 x the number of a rule list, + 1 where the location is known.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Classes {
    /// How many classes there are.
    pub(super) count: u32,
    /// One value per lens, class by class.
    pub(super) values: Box<[u32]>,
    /// The orders of `Order` lenses without a tie.
    pub(super) orders: Orders,
    /// Those with one, numbered apart.
    pub(super) tied_orders: Orders,
    /// How many regions each order has.
    pub(super) order_length: usize,
    /// Where each rule list ends in `rules`.
    pub(super) rule_ends: Box<[u32]>,
    /// All rule lists in a row.
    pub(super) rules: Box<[u16]>,
}

/// Orders of regions, each of the same length.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Orders {
    /// All of them in a row; those without a tie sorted, so that orders that begin alike are neighbours.
    pub(super) regions: Box<[RegionId]>,
    /// By order: how many regions it begins with that the one before begins with too. Empty with ties.
    pub(super) alike: Box<[u16]>,
    /// Likewise: how far the ties of each region reach. Empty without ties.
    pub(super) reaches: Box<[u16]>,
}

impl Classes {
    /// What a class looks like through a lens.
    pub(super) fn value(&self, class: ClassId, lens: usize, lenses: usize) -> u32 {
        let at = class.index().saturating_mul(lenses).saturating_add(lens);
        self.values.get(at).copied().unwrap_or(UNKNOWN_VALUE)
    }

    /// The order behind a value of an `Order` lens.
    pub(super) fn order(&self, tie_permille: u16, value: u32) -> &[RegionId] {
        let orders = if tie_permille == 0 { &self.orders } else { &self.tied_orders };
        self.order_range(value).and_then(|range| orders.regions.get(range)).unwrap_or(&[])
    }

    /// How far the ties of each region of that order reach; empty without ties.
    pub(super) fn reaches(&self, tie_permille: u16, value: u32) -> &[u16] {
        let orders = if tie_permille == 0 { &self.orders } else { &self.tied_orders };
        self.order_range(value).and_then(|range| orders.reaches.get(range)).unwrap_or(&[])
    }

    fn order_range(&self, value: u32) -> Option<Range<usize>> {
        let start = (value as usize).checked_sub(1)?.checked_mul(self.order_length)?;
        Some(start..start.checked_add(self.order_length)?)
    }

    /// The rule list behind a value of a `Rules` lens.
    pub(super) fn rules(&self, value: u32) -> &[u16] {
        let number = (value / 2) as usize;
        let end_of = |list: usize| self.rule_ends.get(list).map(|&end| end as usize);
        let start = number.checked_sub(1).map_or(Some(0), end_of);
        start.zip(end_of(number)).and_then(|(start, end)| self.rules.get(start..end)).unwrap_or(&[])
    }
}

/// Finds the class of a location in a context, making it if it is new.
pub(super) struct Classifier {
    spec: MapSpec,
    contexts: Vec<Context>,
    matchers: Vec<Option<RuleMatcher>>,
    /// Classes as rows of values. The barriers' rows are apart: they may be equal.
    rows: SliceTable,
    barrier_rows: Vec<u32>,
    orders: OrderTables,
    rule_lists: SliceTable,
    /// The class by location where the context is empty; [`NO_CLASS`] if not yet made.
    plain: Vec<u32>,
    /// The class by (location, context) elsewhere.
    overlaid: HashMap<(u32, u32), ClassId, foldhash::fast::FixedState>,
    /// The values of `Order` and `Cell` lenses by coordinates; many locations share a spot.
    spots: Spots,
    row: Vec<u32>,
}

/// What the sources say of some addresses.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    /// The location's number; `None`: unknown.
    pub(super) location: Option<u32>,
    /// Whether an override says so.
    pub(super) overridden: bool,
}

/// Tells the location of the stretch that is being classified; asked only for what is not classified yet.
/// `None`: nothing is known of it.
pub(super) type Tell<'t> = &'t mut dyn FnMut() -> Result<Option<Location>, MapError>;

const NO_CLASS: u32 = u32::MAX;

/// The location number that stands for the unknown location.
const NOWHERE: u32 = u32::MAX;

impl Classifier {
    /// A classifier with the barrier classes and the unknown class made.
    pub(super) fn new(spec: MapSpec, contexts: Vec<Context>) -> Classifier {
        let matchers = spec.lenses.iter().map(RuleMatcher::for_lens).collect();
        let mut rule_lists = SliceTable::new();
        rule_lists.intern(&[]);
        let mut classifier = Classifier {
            barrier_rows: vec![UNKNOWN_VALUE; BARRIER_COUNT as usize * spec.lenses.len()],
            plain: Vec::new(),
            spots: Spots::new(spec.lenses.len()),
            orders: OrderTables::new(&spec),
            spec,
            matchers,
            rows: SliceTable::new(),
            rule_lists,
            overlaid: HashMap::default(),
            row: Vec::new(),
            contexts: Vec::new(),
        };
        classifier.rows.intern(&vec![UNKNOWN_VALUE; classifier.spec.lenses.len()]);
        for context in &contexts {
            classifier.set_barrier_row(context);
        }
        classifier.contexts = contexts;
        classifier
    }

    /// The class of a stretch in a context.
    pub(super) fn class(
        &mut self,
        stretch: Stretch,
        context: u32,
        tell: Tell<'_>,
    ) -> Result<ClassId, MapError> {
        if context == 0 {
            return self.plain_class(stretch, tell);
        }
        let contexts = std::mem::take(&mut self.contexts);
        let class = match contexts.get(context as usize) {
            Some(Context { barrier: Some(barrier), .. }) => match kind(*barrier) {
                // An override wins over a special-purpose block; there are no rules in such a context.
                ClassKind::Special(_) if stretch.overridden => self.plain_class(stretch, tell),
                _ => Ok(*barrier),
            },
            Some(known) => self.overlaid_class(stretch, context, known, tell),
            None => Ok(UNKNOWN),
        };
        self.contexts = contexts;
        class
    }

    fn plain_class(&mut self, stretch: Stretch, tell: Tell<'_>) -> Result<ClassId, MapError> {
        let Some(number) = stretch.location else { return Ok(UNKNOWN) };
        let index = number as usize;
        match self.plain.get(index) {
            Some(&class) if class != NO_CLASS => return Ok(ClassId(class)),
            Some(_) => {}
            None => self.plain.resize(index + 1, NO_CLASS),
        }
        let class = match tell()? {
            Some(location) => self.make(Some(&location), &Context::default())?,
            None => UNKNOWN,
        };
        if let Some(known) = self.plain.get_mut(index) {
            *known = class.0;
        }
        Ok(class)
    }

    fn overlaid_class(
        &mut self,
        stretch: Stretch,
        number: u32,
        context: &Context,
        tell: Tell<'_>,
    ) -> Result<ClassId, MapError> {
        let key = (stretch.location.unwrap_or(NOWHERE), number);
        if let Some(&class) = self.overlaid.get(&key) {
            return Ok(class);
        }
        let location = match stretch.location {
            Some(_) => tell()?,
            None => None,
        };
        let class = self.make(location.as_ref(), context)?;
        self.overlaid.insert(key, class);
        Ok(class)
    }

    /// Takes over the classes of another classifier of the same spec: what each of its classes is here. Numbers go on
    /// as if its stretches had come here, after those that have.
    pub(super) fn absorb(&mut self, other: Classifier) -> Result<Vec<ClassId>, MapError> {
        let orders = self.orders.absorb(other.orders);
        let rule_lists: Vec<u32> = (0..other.rule_lists.len() as u32)
            .map(|list| self.rule_lists.intern(other.rule_lists.get(list)).number())
            .collect();
        let here = |numbers: &[u32], number: u32| numbers.get(number as usize).copied().unwrap_or(number);
        let mut classes: Vec<ClassId> = (0..BARRIER_COUNT).map(ClassId).collect();
        for number in 0..other.rows.len() as u32 {
            self.row.clear();
            self.row.extend_from_slice(other.rows.get(number));
            for (lens, value) in self.spec.lenses.iter().zip(&mut self.row) {
                match lens {
                    Lens::Order { .. } if *value == UNKNOWN_VALUE => {}
                    Lens::Order { tie_permille: 0, .. } => *value = 1 + here(&orders.plain, *value - 1),
                    Lens::Order { .. } => *value = 1 + here(&orders.tied, *value - 1),
                    Lens::Cell => {}
                    Lens::Rules(_) => *value = here(&rule_lists, *value / 2) * 2 + *value % 2,
                }
            }
            classes.push(self.class_of_row()?);
        }
        Ok(classes)
    }

    /// The finished tables. `kept` are the classes that are left, by their new numbers; `None`: all.
    pub(super) fn finish(self, kept: Option<Vec<ClassId>>) -> (MapSpec, Classes) {
        let mut values = self.barrier_rows;
        let mut count = BARRIER_COUNT + self.rows.len() as u32;
        values.extend(self.rows.into_parts().0);
        if let Some(kept) = kept {
            let lenses = self.spec.lenses.len();
            let row = |class: &ClassId| {
                let start = class.index().saturating_mul(lenses);
                values.get(start..start.saturating_add(lenses)).unwrap_or(&[]).to_vec()
            };
            let left: Vec<u32> = kept.iter().flat_map(row).collect();
            (count, values) = (kept.len() as u32, left);
        }
        let order_length = self.spec.regions.iter().flatten().count();
        let (rules, rule_ends) = self.rule_lists.into_parts();
        let (orders, numbers) = Orders::plain(&self.orders.plain, order_length);
        for row in values.chunks_mut(self.spec.lenses.len().max(1)) {
            for (lens, value) in self.spec.lenses.iter().zip(row) {
                if let (Lens::Order { tie_permille: 0, .. }, Some(order)) = (lens, value.checked_sub(1)) {
                    *value = 1 + numbers.get(order as usize).copied().unwrap_or(order);
                }
            }
        }
        let classes = Classes {
            count,
            values: values.into(),
            orders,
            tied_orders: Orders::tied(self.orders.tied, order_length),
            order_length,
            rule_ends: rule_ends.into(),
            rules: rules.into_iter().map(|rule| rule as u16).collect(),
        };
        (self.spec, classes)
    }

    /// An embedding block is an unknown location, with the rules that cover the whole block.
    fn set_barrier_row(&mut self, context: &Context) {
        let Some(barrier) = context.barrier else { return };
        self.fill_row(None, context);
        let lenses = self.spec.lenses.len();
        let start = barrier.index() * lenses;
        if let Some(row) = self.barrier_rows.get_mut(start..start + lenses) {
            row.copy_from_slice(&self.row);
        }
    }

    fn make(&mut self, location: Option<&Location>, context: &Context) -> Result<ClassId, MapError> {
        self.fill_row(location, context);
        self.class_of_row()
    }

    fn class_of_row(&mut self) -> Result<ClassId, MapError> {
        let number = self.rows.intern(&self.row).number();
        let class = BARRIER_COUNT.saturating_add(number);
        if class > NUMBER_MAX { Err(MapError::TooLarge) } else { Ok(ClassId(class)) }
    }

    /// Puts the values of all lenses into `self.row`.
    fn fill_row(&mut self, location: Option<&Location>, context: &Context) {
        self.row.clear();
        let spot = location.and_then(|location| location.coordinates);
        match spot {
            Some(at) => {
                let (spec, orders) = (&self.spec, &mut self.orders);
                let values = self.spots.values(at, |lens| spot_value(spec, lens, at, orders));
                self.row.extend_from_slice(values);
            }
            None => self.row.resize(self.spec.lenses.len(), UNKNOWN_VALUE),
        }
        for (lens, (matcher, value)) in self.matchers.iter().zip(&mut self.row).enumerate() {
            let Some(matcher) = matcher else { continue };
            let cidrs =
                context.rules.iter().filter(|(of, _)| usize::from(*of) == lens).map(|(_, rule)| *rule);
            let mut list: Vec<u32> = cidrs.map(u32::from).collect();
            let known = location.is_some_and(|location| matcher.append_matches(location, &mut list));
            *value = self.rule_lists.intern(&list).number() * 2 + u32::from(known);
        }
    }
}

/// The values of the lenses that look at coordinates only, of spots seen lately. A place for each spot, which the
/// next one with the same hash takes: places come back soon, and memory stays what it is.
struct Spots {
    keys: Box<[(u64, u64)]>,
    /// One value a lens, spot by spot.
    values: Box<[u32]>,
    lenses: usize,
    hasher: foldhash::fast::FixedState,
}

/// How many spots are remembered: a power of two.
const SPOTS: usize = 1 << 12;

impl Spots {
    fn new(lenses: usize) -> Spots {
        Spots {
            // The bits of no coordinates at all.
            keys: vec![(u64::MAX, u64::MAX); SPOTS].into(),
            values: vec![UNKNOWN_VALUE; SPOTS * lenses].into(),
            lenses,
            hasher: foldhash::fast::FixedState::default(),
        }
    }

    /// The values of a spot, by lens; `find` is asked where it is not remembered.
    fn values(&mut self, at: Coordinates, mut find: impl FnMut(usize) -> u32) -> &[u32] {
        let key = (at.latitude().to_bits(), at.longitude().to_bits());
        let slot = self.hasher.hash_one(key) as usize & (SPOTS - 1);
        let start = slot * self.lenses;
        let (Some(known), Some(values)) =
            (self.keys.get_mut(slot), self.values.get_mut(start..start + self.lenses))
        else {
            return &[];
        };
        if *known != key {
            *known = key;
            values.iter_mut().enumerate().for_each(|(lens, value)| *value = find(lens));
        }
        values
    }
}

/// Interned orders. One with ties is the regions and then the reaches.
struct OrderTables {
    plain: SliceTable,
    tied: SliceTable,
    finders: Vec<Option<OrderFinder>>,
    list: Vec<u32>,
}

/// What the orders of absorbed tables are here.
struct AbsorbedOrders {
    plain: Vec<u32>,
    tied: Vec<u32>,
}

impl OrderTables {
    fn new(spec: &MapSpec) -> OrderTables {
        let finder = |lens: &Lens| match lens {
            Lens::Order { bias, tie_permille } => Some(OrderFinder::new(&spec.regions, bias, *tie_permille)),
            Lens::Cell | Lens::Rules(_) => None,
        };
        let finders = spec.lenses.iter().map(finder).collect();
        OrderTables { plain: SliceTable::new(), tied: SliceTable::new(), finders, list: Vec::new() }
    }

    /// The number of the order that an `Order` lens sees from a place.
    fn number(&mut self, lens: usize, at: Coordinates) -> u32 {
        let Some(Some(finder)) = self.finders.get_mut(lens) else { return 0 };
        let (regions, reaches) = finder.find(at);
        self.list.clear();
        self.list.extend(regions.iter().map(|region| u32::from(region.0)));
        if reaches.is_empty() {
            return self.plain.intern(&self.list).number();
        }
        self.list.extend(reaches.iter().copied().map(u32::from));
        self.tied.intern(&self.list).number()
    }

    fn absorb(&mut self, other: OrderTables) -> AbsorbedOrders {
        let absorb = |own: &mut SliceTable, other: SliceTable| {
            (0..other.len() as u32).map(|list| own.intern(other.get(list)).number()).collect()
        };
        AbsorbedOrders {
            plain: absorb(&mut self.plain, other.plain),
            tied: absorb(&mut self.tied, other.tied),
        }
    }
}

impl Orders {
    /// Orders of this length without ties, which are sorted already.
    pub(super) fn sorted(regions: Box<[RegionId]>, length: usize) -> Orders {
        let mut before: &[RegionId] = &[];
        let alike = regions.chunks(length.max(1)).map(|order| {
            let alike = order.iter().zip(before).take_while(|(own, other)| own == other).count();
            before = order;
            u16::try_from(alike).unwrap_or(u16::MAX)
        });
        Orders { alike: alike.collect(), reaches: [].into(), regions }
    }

    /// Those of a table, and by their numbers there the numbers that they have here.
    fn plain(table: &SliceTable, length: usize) -> (Orders, Vec<u32>) {
        let mut old: Vec<u32> = (0..table.len() as u32).collect();
        old.sort_unstable_by_key(|number| table.get(*number));
        let mut new = vec![0; old.len()];
        for (number, old) in (0..).zip(&old) {
            if let Some(place) = new.get_mut(*old as usize) {
                *place = number;
            }
        }
        let regions = old.iter().flat_map(|number| table.get(*number)).map(|region| RegionId(*region as u16));
        (Orders::sorted(regions.collect(), length), new)
    }

    fn tied(table: SliceTable, length: usize) -> Orders {
        let values = table.into_parts().0;
        let (mut regions, mut reaches) = (Vec::new(), Vec::new());
        for order in values.chunks(2 * length.max(1)) {
            let (own, ties) = order.split_at_checked(length).unwrap_or((order, &[]));
            regions.extend(own.iter().map(|region| RegionId(*region as u16)));
            reaches.extend(ties.iter().map(|reach| *reach as u16));
        }
        Orders { regions: regions.into(), alike: [].into(), reaches: reaches.into() }
    }
}

/// The value of a lens that looks at coordinates only; the others are left unknown.
fn spot_value(spec: &MapSpec, lens: usize, at: Coordinates, orders: &mut OrderTables) -> u32 {
    match spec.lenses.get(lens) {
        Some(Lens::Order { .. }) => 1 + orders.number(lens, at),
        Some(Lens::Cell) => 1 + cell_number(at),
        Some(Lens::Rules(_)) | None => UNKNOWN_VALUE,
    }
}

/// The rules of one lens by what they match; CIDR rules are in the overlay.
#[derive(Default)]
struct RuleMatcher {
    asns: HashMap<u32, Vec<u16>, foldhash::fast::FixedState>,
    subdivisions: Vec<(CountryCode, Box<str>, u16)>,
    countries: HashMap<CountryCode, Vec<u16>, foldhash::fast::FixedState>,
    continents: Vec<(Continent, u16)>,
}

impl RuleMatcher {
    fn for_lens(lens: &Lens) -> Option<RuleMatcher> {
        let Lens::Rules(keys) = lens else { return None };
        let mut matcher = RuleMatcher::default();
        for (rule, key) in (0u16..).zip(keys) {
            match key {
                GeoKey::Cidr(_) => {}
                GeoKey::Asn(asn) => matcher.asns.entry(*asn).or_default().push(rule),
                GeoKey::Subdivision(country, name) => {
                    matcher.subdivisions.push((*country, name.clone(), rule))
                }
                GeoKey::Country(country) => matcher.countries.entry(*country).or_default().push(rule),
                GeoKey::Continent(continent) => matcher.continents.push((*continent, rule)),
            }
        }
        Some(matcher)
    }

    /// Appends the rules that match a location, most specific first. Whether the location says
    /// anything that a rule could match.
    fn append_matches(&self, location: &Location, list: &mut Vec<u32>) -> bool {
        if let Some(rules) = location.asn.and_then(|asn| self.asns.get(&asn)) {
            list.extend(rules.iter().map(|rule| u32::from(*rule)));
        }
        if let (Some(country), Some(name)) = (location.country, &location.subdivision) {
            let matches = |(of, wanted, _): &&(CountryCode, Box<str>, u16)| {
                *of == country && wanted.eq_ignore_ascii_case(name)
            };
            list.extend(self.subdivisions.iter().filter(matches).map(|(_, _, rule)| u32::from(*rule)));
        }
        if let Some(rules) = location.country.and_then(|country| self.countries.get(&country)) {
            list.extend(rules.iter().map(|rule| u32::from(*rule)));
        }
        if let Some(continent) = location.continent {
            let matches = self.continents.iter().filter(|(of, _)| *of == continent);
            list.extend(matches.map(|(_, rule)| u32::from(*rule)));
        }
        let Location { asn, country, continent, .. } = location;
        asn.is_some() || country.is_some() || continent.is_some()
    }
}
