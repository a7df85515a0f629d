//! The zones that come from primaries: their timers, what is here of each, and what is known of it.
//!
//! It decides what is to be asked and what is to be put in force; the supervisor does both.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::command::{Refreshed, SecondaryStatus};
use crate::compile::secondary::{Laid, Recipe};
use crate::ids::ZoneId;
use crate::now::Now;
use crate::refresh::{Found, Fresh, Loaded, Order, Report, Store, Way};
use crate::secondary::{Heard, Outcome, Step, Timers, ZoneData};
use crate::server::Draws;
use crate::wire::Name;
use crate::zone::{Catalog, Replacement, Validity};

/// A zone's data as they were found at a start or a reload, and what was made of them.
pub struct Carried {
    /// The zone and how it is made.
    pub recipe: Arc<Recipe>,
    /// What there is of it.
    pub data: Option<Arc<ZoneData>>,
    /// How long ago a primary had confirmed that.
    pub age: Duration,
    /// What of the configuration and the data exclude each other.
    pub conflicts: Vec<String>,
    /// What is wrong with what there is.
    pub trouble: Option<String>,
}

impl Carried {
    /// The data of all of them, as they were laid.
    pub fn in_memory(all: &[Carried]) -> InMemory {
        let held = |own: &Carried| Some((own.recipe.name.clone(), (own.data.clone()?, Validity::Current)));
        all.iter().filter_map(held).collect()
    }

    /// Whether no primary has confirmed it for too long already.
    pub fn has_expired(&self) -> bool {
        let limits = &self.recipe.secondary.limits;
        self.data.as_ref().is_some_and(|data| data.soa().expires_after(limits) <= self.age)
    }
}

/// Data that are in memory already, by the zone's name.
pub type InMemory = HashMap<Box<str>, (Arc<ZoneData>, Validity)>;

/// Finds the data of every zone, in memory or on disk, and lays the steered names over them. Takes as long as
/// reading that many zone files.
pub fn carry(
    recipes: Vec<Recipe>,
    memory: &InMemory,
    store: Option<&Store>,
) -> (Vec<Carried>, Vec<Replacement>) {
    let mut replacements = Vec::new();
    let one = |recipe: Recipe| {
        let recipe = Arc::new(recipe);
        let mut carried =
            Carried { recipe, data: None, age: Duration::ZERO, conflicts: Vec::new(), trouble: None };
        let mut validity = Validity::Current;
        match (memory.get(&carried.recipe.name), store) {
            (Some((data, was)), _) => {
                (carried.data, validity) = (Some(data.clone()), *was);
            }
            (None, Some(store)) => load(&mut carried, store),
            (None, None) => {}
        }
        if let Some(data) = carried.data.clone() {
            match carried.recipe.lay(&data) {
                Ok(Laid { zone, conflicts }) => {
                    replacements.push(Replacement { id: carried.recipe.id, zone, validity });
                    carried.conflicts = conflicts;
                }
                Err(refusal) => {
                    let zone = &carried.recipe.name;
                    tracing::error!(%zone, %refusal, "what is here of this zone makes no zone under this configuration");
                    (carried.data, carried.trouble) = (None, Some(refusal.to_string()));
                }
            }
        }
        carried
    };
    let carried = recipes.into_iter().map(one).collect();
    (carried, replacements)
}

fn load(carried: &mut Carried, store: &Store) {
    let zone = &*carried.recipe.name;
    match store.load(&carried.recipe) {
        Loaded::Nothing => {
            tracing::info!(zone, "nothing is stored of this zone: it is answered from the first transfer on")
        }
        Loaded::Kept(data, age) => {
            let serial = data.soa().serial;
            tracing::info!(zone, serial, confirmed_s = age.as_secs(), "stored zone read");
            (carried.data, carried.age) = (Some(Arc::from(data)), age);
        }
        Loaded::SetAside(damage, aside) => {
            let aside =
                aside.map_or("left where it is".to_owned(), |aside| format!("now {}", aside.display()));
            tracing::error!(zone, %damage, "the stored zone cannot be used and is {aside}: it is fetched again");
            carried.trouble = Some(format!("the stored zone could not be used: {damage}"));
        }
        Loaded::Unreadable(error) => {
            tracing::error!(zone, %error, "the stored zone cannot be read: it is fetched again");
            carried.trouble = Some(format!("the stored zone could not be read: {error}"));
        }
    }
}

/// All of them.
pub struct Secondaries {
    zones: Vec<Own>,
    by_name: HashMap<Box<str>, usize>,
    /// When each has something to do: by time, then by zone.
    due: BTreeSet<(Duration, usize)>,
    draws: Draws,
    orders: u64,
}

/// One of them.
struct Own {
    recipe: Arc<Recipe>,
    timers: Timers,
    data: Option<Arc<ZoneData>>,
    due: Duration,
    /// The order that is under way.
    order: Option<u64>,
    /// Whether a round of orders is.
    in_round: bool,
    /// Fetch everything with the next order, whatever the serial.
    force: bool,
    /// Whether the orders of the round that is under way do.
    forcing: bool,
    /// Who waits for the round that is under way, or is due.
    waiting: Vec<oneshot::Sender<Refreshed>>,
    /// Who asked during it: for the next one.
    waiting_next: Vec<oneshot::Sender<Refreshed>>,
    conflicts: Vec<String>,
    trouble: Option<String>,
    transfers: u64,
    failures: u64,
}

/// Something that has to be done.
pub enum Todo {
    /// Ask a primary.
    Ask(Order),
    /// A zone must not be answered with any more.
    Expire(ZoneId, Arc<Recipe>),
}

/// What came of a report, in one line, and how bad it is.
pub struct News {
    /// The zone.
    pub zone: Box<str>,
    /// What.
    pub text: String,
    /// How it is told.
    pub weight: Weight,
}

/// How something is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weight {
    /// For who looks for it.
    Silent,
    /// In the log, as a warning.
    Warning,
    /// In the log and the journal.
    Journal,
}

/// What is to be put in the catalog.
pub enum Change {
    /// Nothing.
    None,
    /// The zone that is there is confirmed: it may be answered with.
    Confirm(ZoneId),
    /// This one.
    Replace(Replacement),
}

impl Secondaries {
    /// Those of the first configuration.
    pub fn start(carried: Vec<Carried>, now: Now) -> Secondaries {
        let mut all = Secondaries {
            zones: Vec::new(),
            by_name: HashMap::new(),
            due: BTreeSet::new(),
            draws: Draws::seeded(),
            orders: 0,
        };
        all.succeed(carried, now);
        all
    }

    /// Those of the next configuration: what is known of a zone goes on under its name.
    pub fn succeed(&mut self, carried: Vec<Carried>, now: Now) {
        let mut before: HashMap<Box<str>, Own> =
            std::mem::take(&mut self.zones).into_iter().map(|own| (own.recipe.name.clone(), own)).collect();
        self.zones = carried
            .into_iter()
            .map(|carried| match before.remove(&carried.recipe.name) {
                Some(own) => own.under(carried, now),
                None => Own::new(carried, now, self.draws.draw()),
            })
            .collect();
        self.by_name = self.zones.iter().enumerate().map(|(at, own)| (own.recipe.name.clone(), at)).collect();
        self.due = self.zones.iter().enumerate().map(|(at, own)| (own.due, at)).collect();
    }

    /// The data in memory, for the next configuration.
    pub fn in_memory(&self) -> InMemory {
        let held = |own: &Own| Some((own.recipe.name.clone(), (own.data.clone()?, own.validity())));
        self.zones.iter().filter_map(held).collect()
    }

    /// What a catalog has otherwise than it should: zones that came, expired or were confirmed while a
    /// configuration was being compiled.
    pub fn overdue(&self, catalog: &Catalog, laid: &InMemory) -> Vec<Replacement> {
        let differs = |own: &&Own| {
            let compiled = laid.get(&own.recipe.name).map(|(data, _)| Arc::as_ptr(data));
            own.data.as_ref().map(Arc::as_ptr) != compiled
                || catalog.validity(own.recipe.id) != own.validity()
        };
        let again = |own: &Own| {
            let laid = own.recipe.lay(own.data.as_ref()?).ok()?;
            Some(Replacement { id: own.recipe.id, zone: laid.zone, validity: own.validity() })
        };
        self.zones.iter().filter(differs).filter_map(again).collect()
    }

    /// How long until something has to be done.
    pub fn due(&self) -> Option<Duration> {
        self.due.first().map(|(due, _)| *due)
    }

    /// What has to be done now.
    pub fn poll(&mut self, now: Now) -> Vec<Todo> {
        let mut todo = Vec::new();
        while let Some((_, at)) = self.due.first().copied().filter(|(due, _)| *due <= now.monotonic) {
            let draw = self.draws.draw();
            let Some(own) = self.zones.get_mut(at) else { break };
            while let Some(step) = own.timers.poll(now, draw) {
                match step {
                    Step::Expire => todo.push(Todo::Expire(own.recipe.id, own.recipe.clone())),
                    Step::Ask(primary) => {
                        self.orders += 1;
                        own.order = Some(self.orders);
                        if !own.in_round {
                            (own.forcing, own.force, own.in_round) = (own.force, false, true);
                        }
                        todo.extend(own.ask(primary, self.orders, self.draws.draw()).map(Todo::Ask));
                    }
                }
            }
            self.reschedule(at, now);
        }
        todo
    }

    fn reschedule(&mut self, at: usize, now: Now) {
        let Some(own) = self.zones.get_mut(at) else { return };
        self.due.remove(&(own.due, at));
        // What is due already was polled: not in this turn again.
        own.due = own.timers.due().max(now.monotonic + Duration::from_millis(1));
        self.due.insert((own.due, at));
    }

    /// What came of an order: what is to be put in force, and what is to be told.
    pub fn finished(&mut self, report: Report, now: Now) -> (Change, Option<News>) {
        let at = self.by_name.get(&report.recipe.name).copied();
        let Some((at, own)) = at.and_then(|at| Some((at, self.zones.get_mut(at)?))) else {
            return (Change::None, None);
        };
        if own.order != Some(report.number) {
            // Given up for lost, and asked again since.
            return (Change::None, None);
        }
        own.order = None;
        let (change, news) = own.finished(report, now, self.draws.draw());
        self.reschedule(at, now);
        (change, Some(news))
    }

    /// A primary tells of a change. A zone of several classes of clients is checked for all of them.
    pub fn notified(&mut self, zone: &Name, serial: Option<u32>, from: std::net::IpAddr, now: Now) {
        let own = self.zones.iter().enumerate().filter(|(_, own)| own.recipe.origin == *zone);
        for at in own.map(|(at, _)| at).collect::<Vec<_>>() {
            let Some(own) = self.zones.get_mut(at) else { continue };
            let primaries = &own.recipe.secondary.primaries;
            let primary = primaries.iter().position(|primary| primary.address.ip() == from.to_canonical());
            let heard = own.timers.notified(primary, serial, now);
            let zone = &own.recipe.name;
            match heard {
                Heard::Check => tracing::info!(%zone, %from, serial, "a primary tells of a change"),
                Heard::NothingNew => tracing::debug!(%zone, %from, serial, "a primary tells of what is here"),
            }
            self.reschedule(at, now);
        }
    }

    /// An operator wants a zone checked, and all of it fetched with `force`. The outcome goes to `reply`.
    pub fn asked(&mut self, name: &str, force: bool, reply: oneshot::Sender<Refreshed>, now: Now) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let name = if name.is_empty() { "." } else { &*name };
        let Some(at) = self.by_name.get(name).copied() else {
            let known = self.by_name.keys().map(|name| &**name);
            let hint = crate::config::near(name, &known.collect::<Vec<_>>());
            let hint = hint.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let why = format!("no zone `{name}` comes from primaries here{hint}");
            // Who asked may have left.
            let _ = reply.send(Refreshed::Unknown { why });
            return;
        };
        if let Some(own) = self.zones.get_mut(at) {
            own.force |= force;
            match own.order {
                Some(_) => own.waiting_next.push(reply),
                None => own.waiting.push(reply),
            }
            own.timers.asked(now);
        }
        self.reschedule(at, now);
    }

    /// The account of each, with the number of its zone.
    pub fn status(&self, now: Now) -> HashMap<ZoneId, SecondaryStatus> {
        self.zones.iter().map(|own| (own.recipe.id, own.status(now))).collect()
    }
}

impl Own {
    fn new(carried: Carried, now: Now, draw: u64) -> Own {
        let Carried { recipe, data, age, conflicts, trouble } = carried;
        tell_conflicts(&recipe.name, &conflicts, &[]);
        let stored = data.as_ref().map(|data| (*data.soa(), age));
        let (limits, primaries) = (&recipe.secondary.limits, recipe.secondary.primaries.len());
        let timers = Timers::start(limits, primaries, stored, now, draw);
        if timers.is_expired() {
            let zone = &*recipe.name;
            tracing::error!(
                zone,
                confirmed_s = age.as_secs(),
                "the zone has expired before this start: SERVFAIL is answered, but for steered names"
            );
        }
        let due = timers.due();
        Own {
            recipe,
            timers,
            data,
            due,
            order: None,
            force: false,
            forcing: false,
            in_round: false,
            waiting: Vec::new(),
            waiting_next: Vec::new(),
            conflicts,
            trouble,
            transfers: 0,
            failures: 0,
        }
    }

    /// The same zone under another configuration.
    fn under(mut self, carried: Carried, now: Now) -> Own {
        let (limits, primaries) =
            (&carried.recipe.secondary.limits, carried.recipe.secondary.primaries.len());
        self.timers.reconfigured(limits, primaries, now);
        if carried.recipe.secondary.primaries != self.recipe.secondary.primaries {
            self.timers.asked(now);
        }
        tell_conflicts(&carried.recipe.name, &carried.conflicts, &self.conflicts);
        self.conflicts = carried.conflicts;
        self.recipe = carried.recipe;
        self.due = self.timers.due();
        self
    }

    fn validity(&self) -> Validity {
        match (&self.data, self.timers.is_expired()) {
            (None, _) => Validity::Missing,
            (Some(_), true) => Validity::Expired,
            (Some(_), false) => Validity::Current,
        }
    }

    fn ask(&self, primary: usize, number: u64, draw: u64) -> Option<Order> {
        let recipe = self.recipe.clone();
        let primary = recipe.secondary.primaries.get(primary)?.clone();
        let key = recipe.key(&primary);
        Some(Order { number, key, recipe, primary, data: self.data.clone(), force: self.forcing, draw })
    }

    fn finished(&mut self, report: Report, now: Now, draw: u64) -> (Change, News) {
        let was_expired = self.timers.is_expired();
        let at = report.primary.address;
        let news = |text, weight| News { zone: self.recipe.name.clone(), text, weight };
        let (change, news, outcome) = match report.found {
            Ok(Found::Same) => {
                let change = if was_expired { Change::Confirm(self.recipe.id) } else { Change::None };
                let weight = if was_expired { Weight::Journal } else { Weight::Silent };
                (change, news(format!("{at} has confirmed it"), weight), Outcome::Same)
            }
            Ok(Found::Behind(serial)) => {
                let have = self.timers.soa().map_or(0, |soa| soa.serial);
                let text = format!("the primary {at} has serial {serial}, older than {have} here");
                (Change::None, news(text, Weight::Warning), Outcome::Behind)
            }
            Ok(Found::Newer(fresh)) => {
                let (change, text, soa) = self.take(*fresh, &report.recipe, at);
                let news = News { zone: self.recipe.name.clone(), text, weight: Weight::Journal };
                (change, news, Outcome::Newer(soa))
            }
            Err(failure) => {
                self.failures += 1;
                let text = format!("the primary {at}: {failure}");
                (Change::None, news(text, Weight::Warning), Outcome::Failed)
            }
        };
        self.timers.finished(outcome, now, draw);
        match outcome {
            Outcome::Same | Outcome::Newer(_) => self.trouble = None,
            Outcome::Behind | Outcome::Failed => self.trouble = Some(news.text.clone()),
        }
        if self.timers.next_check().is_some() {
            self.end_round(&outcome, &news.text);
        }
        (change, news)
    }

    /// Takes over what came; it is put in force as the configuration has it now.
    fn take(
        &mut self,
        fresh: Fresh,
        made_by: &Arc<Recipe>,
        at: std::net::SocketAddr,
    ) -> (Change, String, crate::secondary::Soa) {
        let Fresh { data, laid, way, took, not_stored } = fresh;
        let soa = *data.soa();
        let before = self.timers.soa().map_or_else(|| "nothing".to_owned(), |soa| soa.serial.to_string());
        let laid = if Arc::ptr_eq(made_by, &self.recipe) { Ok(laid) } else { self.recipe.lay(&data) };
        let how = match &way {
            Way::Whole => "whole".to_owned(),
            Way::Steps(steps) => format!("in {steps} step{}", if *steps == 1 { "" } else { "s" }),
            Way::WholeInstead(why) => format!("whole, as differences were of no use ({why})"),
        };
        let text = format!(
            "from {before} to serial {} by {at}, {how}, {} records, {:.1} s",
            soa.serial,
            data.records().len(),
            took.as_secs_f64()
        );
        if let Some(error) = not_stored {
            tracing::warn!(zone = %self.recipe.name, error, "the zone could not be stored: a restart would not find it");
        }
        self.transfers += 1;
        self.data = Some(data);
        let change = match laid {
            Ok(Laid { zone, conflicts }) => {
                tell_conflicts(&self.recipe.name, &conflicts, &self.conflicts);
                self.conflicts = conflicts;
                Change::Replace(Replacement { id: self.recipe.id, zone, validity: Validity::Current })
            }
            Err(refusal) => {
                tracing::error!(zone = %self.recipe.name, %refusal, "what came makes no zone under this configuration");
                Change::None
            }
        };
        (change, text, soa)
    }

    /// A round is over: who waited for it is told.
    fn end_round(&mut self, outcome: &Outcome, text: &str) {
        let serial = self.timers.soa().map(|soa| soa.serial);
        let told = match outcome {
            Outcome::Same => Refreshed::Same { serial },
            Outcome::Newer(_) => Refreshed::Newer { serial, text: text.to_owned() },
            Outcome::Behind | Outcome::Failed => Refreshed::Failed { why: text.to_owned() },
        };
        (self.in_round, self.forcing) = (false, false);
        for waiting in self.waiting.drain(..) {
            // Who asked may have left.
            let _ = waiting.send(told.clone());
        }
        self.waiting = std::mem::take(&mut self.waiting_next);
    }

    fn status(&self, now: Now) -> SecondaryStatus {
        let until = |at: Duration| at.as_secs_f64() - now.monotonic.as_secs_f64();
        SecondaryStatus {
            primaries: self.recipe.secondary.primaries.iter().map(|own| own.address.to_string()).collect(),
            refresh_in_s: self.timers.next_check().map(|at| until(at).max(0.0)),
            expires_in_s: self.timers.expires_at().map(until),
            confirmed_s: self.timers.age(now).map(|age| age.as_secs_f64()),
            transfers: self.transfers,
            failures: self.failures,
            last_error: self.trouble.clone(),
            conflicts: self.conflicts.clone(),
        }
    }
}

fn tell_conflicts(zone: &str, conflicts: &[String], before: &[String]) {
    for conflict in conflicts.iter().filter(|conflict| !before.contains(conflict)) {
        tracing::warn!(zone, "{conflict}");
    }
}
