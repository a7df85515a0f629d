//! The server in virtual time: the real board and views behind a queue of what is under way. What
//! decides when is the run's; what the daemon does with the board is here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use meridian::compile::locations::Atlas;
use meridian::config::{Config, FileId, Problems, SourceFile, Sources};
use meridian::health::{
    Board, BoardLimits, EndpointState, Event, HealthTable, Observation, ProbeOrder, Remembered, Standing,
    Verdict,
};
use meridian::ids::CounterId;
use meridian::now::Now;
use meridian::steer::Calendar;
use meridian::view::{Snapshot, View};

use crate::compile;
use crate::design::Design;

/// Views follow each other no faster than this, as in the daemon.
pub const PUBLISH_INTERVAL: Duration = Duration::from_millis(100);

/// The zone that all names are in.
pub const ZONE: &str = "$ORIGIN example.com.\n$TTL 3600\n@ SOA ns hostmaster 1 7200 900 1209600 300\n\
                        @ NS ns\nns A 192.0.2.53\n";

/// A running server.
pub struct Node {
    pub now: Now,
    pub board: Board,
    pub view: Arc<View>,
    pub config: Config,
    /// The board's generation that the view was made from.
    published_generation: u64,
    published: Duration,
    /// What is on the way to the board, by arrival.
    in_flight: BTreeMap<(Duration, u64), Observation>,
    flown: u64,
    counters: Counters,
    started: Duration,
    /// No answers before the first round is done (H1), or `start_timeout` has passed.
    pub serves_from: Option<Duration>,
}

type Counters = HashMap<(String, String), CounterId>;

/// What a reload came to.
pub enum Reloaded {
    /// A new generation.
    Done,
    /// The old one stays; every problem.
    Refused(Vec<String>),
}

impl Node {
    /// Starts a server; it knows nothing yet.
    pub fn start(design: &Design, now: Now, seed: u64) -> Result<Node, String> {
        let mut counters = Counters::new();
        let (config, snapshot) = read(design, 1, &mut counters)?.map_err(|all| all.join("\n"))?;
        let snapshot = Arc::new(snapshot);
        let board = Board::new(Arc::clone(&snapshot.board), limits(&config), now, seed);
        let calendar = snapshot.calendar(now);
        Ok(Node {
            now,
            published_generation: board.generation(),
            published: now.monotonic,
            view: Arc::new(View::new(snapshot, board.table(), calendar, None)),
            started: now.monotonic,
            serves_from: None,
            board,
            config,
            in_flight: BTreeMap::new(),
            flown: 0,
            counters,
        })
    }

    /// Takes up what an earlier process has left.
    pub fn restore(&mut self, left: &Remembered) {
        self.board.restore(left, self.now);
        let snapshot = Arc::clone(&self.view.snapshot);
        let calendar = snapshot.calendar(self.now);
        self.view = Arc::new(View::new(snapshot, self.board.table(), calendar, None));
        self.published_generation = self.board.generation();
    }

    /// When something happens by itself.
    pub fn next_event(&self) -> Option<Duration> {
        let arrival = self.in_flight.keys().next().map(|(at, _)| *at);
        let now = self.now.monotonic;
        let due = self.board.poll_timeout(self.now).map(|wait| now.saturating_add(wait));
        let publish = self.is_stale().then(|| (self.published + PUBLISH_INTERVAL).max(now));
        [arrival, due, publish].into_iter().flatten().min()
    }

    fn is_stale(&self) -> bool {
        self.board.generation() != self.published_generation || self.view.calendar.has_run_out(self.now)
    }

    /// The next outcome that has arrived.
    pub fn arrived(&mut self) -> Option<Observation> {
        let entry = self.in_flight.first_entry()?;
        (entry.key().0 <= self.now.monotonic).then(|| entry.remove())
    }

    /// Sends an outcome on its way.
    pub fn fly(&mut self, after: Duration, observation: Observation) {
        self.flown += 1;
        self.in_flight.insert((self.now.monotonic + after, self.flown), observation);
    }

    /// What is under way, probes and outcomes.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The orders to carry out now.
    pub fn due(&mut self) -> Vec<ProbeOrder> {
        self.board.poll_due(self.now)
    }

    /// What the board has to tell.
    pub fn told(&mut self) -> Option<Event> {
        self.board.poll_event()
    }

    /// A new view, when there is something new and the last is old enough; gives the one before.
    pub fn publish_if_due(&mut self) -> Option<Arc<View>> {
        if !self.is_stale() || self.now.monotonic < self.published + PUBLISH_INTERVAL {
            return None;
        }
        self.published_generation = self.board.generation();
        self.published = self.now.monotonic;
        let snapshot = Arc::clone(&self.view.snapshot);
        let calendar = snapshot.calendar(self.now);
        let next = View::new(snapshot, self.board.table(), calendar, Some(&self.view));
        Some(std::mem::replace(&mut self.view, Arc::new(next)))
    }

    /// Whether queries are answered.
    pub fn serves(&mut self) -> bool {
        if self.serves_from.is_none() {
            let late = self.now.monotonic >= self.started + self.config.server.start_timeout;
            self.serves_from = (self.board.first_round_done() || late).then_some(self.now.monotonic);
        }
        self.serves_from.is_some()
    }

    /// Reads the files again.
    pub fn reload(&mut self, design: &Design) -> Result<Reloaded, String> {
        let generation = self.view.snapshot.generation + 1;
        let (config, snapshot) = match read(design, generation, &mut self.counters)? {
            Ok(read) => read,
            Err(problems) => return Ok(Reloaded::Refused(problems)),
        };
        let limits = limits(&config);
        let snapshot = Arc::new(snapshot);
        let nobody = Board::new(Arc::default(), limits, self.now, 0);
        let board = std::mem::replace(&mut self.board, nobody);
        self.board = board.succeed(Arc::clone(&snapshot.board), limits, self.now);
        self.config = config;
        let calendar = snapshot.calendar(self.now);
        self.view = Arc::new(View::new(snapshot, self.board.table(), calendar, Some(&self.view)));
        self.published_generation = self.board.generation();
        self.published = self.now.monotonic;
        Ok(Reloaded::Done)
    }
}

/// The view of the same snapshot with everything well; service times stay, they are no matter of health.
pub fn healed(view: &View) -> View {
    let spec = &view.snapshot.board;
    let health = HealthTable {
        addresses: vec![Standing::of(Verdict::Up); spec.addresses.len()].into(),
        endpoints: vec![EndpointState::PLAIN; spec.endpoints.len()].into(),
        service_times: Arc::clone(&view.health.service_times),
        frozen: Arc::new([]),
        hosts: Arc::clone(&view.health.hosts),
    };
    View::new(Arc::clone(&view.snapshot), health, Calendar::default(), None)
}

fn limits(config: &Config) -> BoardLimits {
    BoardLimits { under_way_max: config.probes.concurrency_max }
}

/// A configuration that was accepted, or all problems.
type Read = Result<(Config, Snapshot), Vec<String>>;

fn read(design: &Design, generation: u64, counters: &mut Counters) -> Result<Read, String> {
    let file = |path: &str, text: String| SourceFile { path: path.into(), bytes: text.into_bytes() };
    let files = vec![
        file("meridian.toml", design.toml()),
        file("zones/example.com.zone", ZONE.to_owned()),
        file("zones/example.com.toml", design.names()),
    ];
    let zones = vec![("example.com".to_owned(), Some(FileId(1)), Some(FileId(2)))];
    let sources = Sources { files, zones, ..Sources::default() };
    let mut counter = |service: &str, endpoint: &str| {
        let next = CounterId(counters.len() as u32);
        *counters.entry((service.to_owned(), endpoint.to_owned())).or_insert(next)
    };
    let atlas = |problems: &mut Problems| {
        let overrides = compile::overrides("places.csv", design.geofeed(), problems)?;
        Ok(Atlas::new(Vec::new(), Vec::new(), overrides))
    };
    let (compiled, problems) = compile::compile(&sources, atlas, generation, &mut counter)?;
    Ok(compiled.ok_or_else(|| problems.0.iter().map(|problem| problem.message.clone()).collect()))
}
