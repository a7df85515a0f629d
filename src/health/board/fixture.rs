//! For tests: a fleet in regions, its probes in virtual time, and what the board says of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{Board, BoardLimits};
use crate::health::{
    AddressSpec, BoardSpec, Cadence, Check, Command, Composition, EndpointSpec, EndpointState, Event,
    Failure, Observation, OverrideKind, Receipt, Refusal, ServiceSpec, Standing, TargetAddress, TargetSpec,
    TcpCheck, Timings, Transition, Which,
};
use crate::ids::{AddressId, EndpointId, Family, MonitorId, RegionId, ServiceId, TargetId};
use crate::now::Now;

pub const START: Now =
    Now { monotonic: Duration::from_secs(100_000), wall: Duration::from_secs(1_800_000_000) };
pub const INTERVAL: Duration = Duration::from_secs(5);

pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Four regions of two endpoints each.
pub const FOUR: &str = "web/a1 a
    web/a2 a
    web/b1 b
    web/b2 b
    web/c1 c
    web/c2 c
    web/d1 d
    web/d2 d";

/// A spec from lines `pool/endpoint REGION [46]` (families), with one service `www` over all of it.
pub fn fleet(lines: &str) -> BoardSpec {
    let mut spec = BoardSpec::default();
    let (mut targets, mut addresses, mut endpoints) = (Vec::new(), Vec::new(), Vec::new());
    let mut regions: Vec<Box<str>> = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let region = regions.iter().position(|name| **name == *words[1]).unwrap_or_else(|| {
            regions.push(words[1].into());
            regions.len() - 1
        });
        let region = RegionId(region as u16);
        let endpoint = EndpointId(endpoints.len() as u32);
        let mut own = EndpointSpec::plain(words[0], region);
        let mut ids = Vec::new();
        for family in words.get(2).unwrap_or(&"4").chars() {
            let number = targets.len() as u32;
            let (address, family) = match family {
                '4' => (IpAddr::V4(Ipv4Addr::from(0xC000_0200 + number)), Family::V4),
                _ => (IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number))), Family::V6),
            };
            targets.push(TargetSpec {
                address: TargetAddress::Address(address),
                check: Check::Tcp(TcpCheck::connect(80)),
                cadence: cadence(),
                monitor: MonitorId(0),
                region,
                label: format!("{} {address}", words[0]),
            });
            addresses.push(AddressSpec {
                endpoint,
                address: address.to_string().into(),
                family: Some(family),
                checks: Composition::single(TargetId(number)),
                watched: Box::new([]),
            });
            ids.push(AddressId(number));
        }
        own.addresses = ids.into();
        endpoints.push(own);
    }
    let members = (0..endpoints.len() as u32).map(EndpointId).collect();
    spec.services = Box::new([ServiceSpec::plain("www", members)]);
    (spec.targets, spec.addresses, spec.endpoints) = (targets.into(), addresses.into(), endpoints.into());
    spec.regions = regions.into();
    spec
}

pub fn cadence() -> Cadence {
    Cadence { interval: INTERVAL, timeout: s(2), fall: 3, rise: 2, ok: 10, relapse_window: s(600) }
}

/// A board, its time, and what it has said.
pub struct Theatre {
    pub board: Board,
    pub now: Now,
    /// Endpoints (`web/a`) or addresses (`web/a 192.0.2.0`) whose probes fail.
    pub failing: BTreeSet<String>,
    pub transitions: Vec<Transition>,
    /// `word: text`
    pub told: Vec<String>,
}

impl Theatre {
    /// A fleet whose first round is done.
    pub fn of(spec: BoardSpec) -> Theatre {
        let board = Board::new(Arc::new(spec), LIMITS, START, 7);
        let mut theatre = Theatre::with(board, START);
        theatre.pass(s(1));
        theatre.told.clear();
        theatre
    }

    pub fn new(lines: &str) -> Theatre {
        Theatre::of(fleet(lines))
    }

    pub fn with(board: Board, now: Now) -> Theatre {
        Theatre { board, now, failing: BTreeSet::new(), transitions: Vec::new(), told: Vec::new() }
    }

    pub fn fail(&mut self, endpoints: &str) {
        self.failing.extend(endpoints.split_whitespace().map(str::to_owned));
    }

    pub fn mend(&mut self, endpoints: &str) {
        endpoints.split_whitespace().for_each(|name| {
            self.failing.remove(name);
        });
    }

    /// Time passes; probes are answered at once.
    pub fn pass(&mut self, time: Duration) {
        let until = self.now.monotonic + time;
        loop {
            let wait = self.board.poll_timeout(self.now).unwrap_or(time);
            let next = self.now.monotonic.saturating_add(wait).min(until);
            self.now = self.now.after(next - self.now.monotonic);
            for order in self.board.poll_due(self.now) {
                let label = &self.board.targets()[order.target.index()].label;
                let endpoint = label.split(' ').next().unwrap();
                let fails = self.failing.contains(endpoint) || self.failing.contains(label);
                let time = Duration::from_millis(10);
                let well = Timings { connect: time, tls: None, first_byte: Some(time), total: time };
                let outcome = if fails { Err(Failure::ConnectRefused) } else { Ok(well) };
                self.board.observe(Observation::local(order, outcome), self.now);
            }
            self.listen();
            if self.now.monotonic >= until && wait > Duration::ZERO {
                return;
            }
        }
    }

    pub fn listen(&mut self) {
        while let Some(event) = self.board.poll_event() {
            match event {
                Event::Transition(transition) => self.transitions.push(transition),
                Event::Notice(notice) => self.told.push(format!("{}: {notice}", notice.word())),
            }
        }
    }

    pub fn command(&mut self, command: Command) -> Result<Receipt, Refusal> {
        let outcome = self.board.command(command, self.now);
        self.listen();
        outcome
    }

    /// `kind` for `selector`, without force, for good.
    pub fn set(&mut self, kind: OverrideKind, selector: &str) -> Result<Receipt, Refusal> {
        self.command(set(kind, selector, None, false))
    }

    pub fn drain(&mut self, selector: &str) -> Result<Receipt, Refusal> {
        self.set(OverrideKind::Drain { over: None }, selector)
    }

    pub fn remove(&mut self, selector: &str) -> Result<Receipt, Refusal> {
        let which = Which::Selector(selector.parse()?);
        self.command(Command::Remove { which, reason: "done".into(), actor: "ann".into(), force: false })
    }

    pub fn endpoint(&self, name: &str) -> EndpointState {
        let spec = self.board.spec();
        let id = spec.endpoints.iter().position(|own| *own.name == *name).unwrap();
        self.board.table().endpoint(EndpointId(id as u32))
    }

    /// Of an endpoint's first address.
    pub fn standing(&self, name: &str) -> Standing {
        self.board.table().address(self.address(name))
    }

    pub fn address(&self, name: &str) -> AddressId {
        let spec = self.board.spec();
        spec.endpoints.iter().find(|own| *own.name == *name).unwrap().addresses[0]
    }

    /// The endpoints that the governor holds for a service.
    pub fn frozen(&self, service: u32) -> Vec<String> {
        let spec = self.board.spec();
        let own = |address: AddressId| &spec.endpoints[spec.addresses[address.index()].endpoint.index()].name;
        let table = self.board.table();
        let held = table.frozen.iter().filter(|(id, _)| *id == ServiceId(service));
        held.map(|(_, address)| own(*address).to_string()).collect()
    }

    /// Whether something told contains this; what was told before is forgotten.
    pub fn heard(&mut self, text: &str) -> bool {
        let found = self.told.iter().any(|line| line.contains(text));
        self.told.clear();
        found
    }
}

pub const LIMITS: BoardLimits = BoardLimits { under_way_max: 256 };

pub fn set(kind: OverrideKind, selector: &str, expires_in: Option<Duration>, force: bool) -> Command {
    let (reason, actor) = ("works".to_owned(), "ann".to_owned());
    Command::Override { kind, selector: selector.parse().unwrap(), reason, actor, expires_in, force }
}
