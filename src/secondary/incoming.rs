//! A transfer as it comes in, message by message (RFC 5936, RFC 1995).

use super::data::{Difference, Differences, Store, TooLarge, ZoneData};
use super::limits::Limits;
use super::message::{Malformed, Message, Record};
use super::serial::{self, Compared};
use super::soa::Soa;
use crate::wire::{Class, Name, Rtype, name_text};

/// Steps in one incremental transfer: whoever has missed more takes the whole zone.
const STEPS_MAX: usize = 100_000;

/// What was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Everything.
    Whole,
    /// What has changed since this serial.
    Since(u32),
}

/// Why a transfer is broken off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Bad {
    /// A message cannot be read.
    Malformed(Malformed),
    /// A message is no answer to what was asked.
    OtherQuestion,
    /// A message is cut short.
    Truncated,
    /// The primary does not give it.
    Refused(u8),
    /// It does not begin with the zone's SOA.
    NoSoa,
    /// A record that is not the zone's: its owner and type.
    OutOfZone(String),
    /// A record of a class other than IN, or of a type that no zone has.
    NoData(String),
    /// The differences do not follow each other: the serial that there is, and what came instead.
    Chain(u32, u32),
    /// The last SOA is not the first.
    OtherEnd(u32, u32),
    /// Something follows the end.
    AfterTheEnd,
    /// It has more records or octets than allowed.
    TooLarge(TooLarge),
    /// It has more steps than are of use.
    TooManySteps,
    /// A message without any record.
    Empty,
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bad::Malformed(why) => write!(f, "{why}"),
            Bad::OtherQuestion => f.write_str("a message answers another question"),
            Bad::Truncated => f.write_str("a message is cut short (TC)"),
            Bad::Refused(rcode) => match rcode_text(*rcode) {
                Some(text) => write!(f, "the primary answers {text}"),
                None => write!(f, "the primary answers with response code {rcode}"),
            },
            Bad::NoSoa => f.write_str("it does not begin with the zone's SOA"),
            Bad::OutOfZone(record) => write!(f, "{record} is outside the zone"),
            Bad::NoData(record) => write!(f, "{record} cannot be in a zone"),
            Bad::Chain(have, came) => {
                write!(f, "the differences do not follow each other: after serial {have} comes {came}")
            }
            Bad::OtherEnd(first, last) => {
                write!(f, "it begins with serial {first} and ends with serial {last}")
            }
            Bad::AfterTheEnd => f.write_str("records follow its end"),
            Bad::TooLarge(TooLarge::Records) => f.write_str("it has more records than `records_max`"),
            Bad::TooLarge(TooLarge::Octets) => f.write_str("it has more octets than `octets_max`"),
            Bad::TooManySteps => write!(f, "it has more than {STEPS_MAX} steps"),
            Bad::Empty => f.write_str("a message has no record"),
        }
    }
}

fn rcode_text(rcode: u8) -> Option<&'static str> {
    Some(match rcode {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        9 => "NOTAUTH",
        _ => return None,
    })
}

/// What a transfer has brought.
#[derive(Clone, Debug)]
pub enum Transferred {
    /// The primary has nothing newer: its serial.
    NothingNew(u32),
    /// The zone.
    Whole(Box<ZoneData>),
    /// What changes it.
    Differences(Box<Differences>),
}

/// How far a transfer is.
#[derive(Debug)]
pub enum Progress {
    /// More has to come.
    More,
    /// That was all.
    Done(Transferred),
}

/// A transfer under way.
#[derive(Debug)]
pub struct Incoming<'l> {
    origin: Name,
    wanted: Wanted,
    id: u16,
    limits: &'l Limits,
    /// Octets of messages so far.
    octets: u64,
    messages: u64,
    state: State,
}

/// What has come so far.
#[derive(Debug)]
enum State {
    /// Nothing.
    Start,
    /// The first SOA, which does not yet tell in what form the rest comes.
    Begun(First),
    /// The zone up to here.
    Whole(First, Store),
    /// Differences up to here.
    Steps(First, Walking),
    /// All of it.
    End,
}

/// The first SOA, which the last must equal.
#[derive(Clone, Debug)]
struct First {
    soa: Soa,
    ttl_s: u32,
    rdata: Vec<u8>,
}

#[derive(Debug)]
struct Walking {
    differences: Differences,
    /// The serial that the last whole step has led to.
    reached: u32,
    step: Step,
}

/// Where in a step.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Among what goes, since this record.
    Removing { from: u32, since: usize },
    /// Among what comes.
    Adding { from: u32, to: u32, removed: (usize, usize), since: usize },
}

impl<'l> Incoming<'l> {
    /// The answer to a request with this number.
    pub fn new(origin: &Name, wanted: Wanted, id: u16, limits: &'l Limits) -> Incoming<'l> {
        Incoming { origin: *origin, wanted, id, limits, octets: 0, messages: 0, state: State::Start }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// When the transfer is of no use; it must not be gone on with.
    pub fn accept(&mut self, octets: &[u8]) -> Result<Progress, Bad> {
        self.octets = self.octets.saturating_add(octets.len() as u64);
        if self.octets > self.limits.octets_max {
            return Err(Bad::TooLarge(TooLarge::Octets));
        }
        let message = Message::new(octets).map_err(Bad::Malformed)?;
        self.check(&message)?;
        self.messages += 1;
        let mut done = None;
        let mut empty = true;
        for record in message.answers().map_err(Bad::Malformed)? {
            let record = record.map_err(Bad::Malformed)?;
            empty = false;
            if done.is_some() {
                return Err(Bad::AfterTheEnd);
            }
            done = self.record(record)?;
        }
        if empty {
            // A stream of these would never reach a limit.
            return Err(Bad::Empty);
        }
        if done.is_none() {
            done = self.nothing_new();
        }
        Ok(done.map_or(Progress::More, Progress::Done))
    }

    fn check(&self, message: &Message<'_>) -> Result<(), Bad> {
        let head = message.head();
        if head.id != self.id || !head.is_response || head.opcode != 0 {
            return Err(Bad::OtherQuestion);
        }
        if head.rcode != 0 {
            return Err(Bad::Refused(head.rcode));
        }
        if head.truncated {
            return Err(Bad::Truncated);
        }
        let rtype = match self.wanted {
            Wanted::Whole => Rtype::AXFR,
            Wanted::Since(_) => Rtype::IXFR,
        };
        match message.question().map_err(Bad::Malformed)? {
            Some((name, asked)) if name == self.origin && asked == rtype => Ok(()),
            // RFC 5936 section 2.2.1: the question is in the first message, and may be in others.
            None if self.messages > 0 => Ok(()),
            _ => Err(Bad::OtherQuestion),
        }
    }

    /// A first SOA that is not newer than what is here stands alone.
    fn nothing_new(&mut self) -> Option<Transferred> {
        let (State::Begun(first), Wanted::Since(have)) = (&self.state, self.wanted) else { return None };
        if serial::compare(first.soa.serial, have) == Compared::Newer {
            return None;
        }
        let serial = first.soa.serial;
        self.state = State::End;
        Some(Transferred::NothingNew(serial))
    }

    fn record(&mut self, record: Record) -> Result<Option<Transferred>, Bad> {
        let text = || format!("{} {}", name_text(record.owner.octets()), record.rtype);
        if !record.owner.is_at_or_below(&self.origin) {
            return Err(Bad::OutOfZone(text()));
        }
        if record.class != Class::IN || record.rtype.is_meta() {
            return Err(Bad::NoData(text()));
        }
        let soa = match record.rtype == Rtype::SOA && record.owner == self.origin {
            true => Some(Soa::from_rdata(&record.rdata).ok_or(Bad::Malformed(Malformed::Data))?),
            false => None,
        };
        let state = std::mem::replace(&mut self.state, State::End);
        match state {
            State::Start => {
                let soa = soa.ok_or(Bad::NoSoa)?;
                self.state = State::Begun(First { soa, ttl_s: record.ttl_s, rdata: record.rdata });
                Ok(None)
            }
            State::Begun(first) => self.second(first, soa, record),
            State::Whole(first, store) => self.whole(first, store, soa, record),
            State::Steps(first, walking) => self.step(first, walking, soa, record),
            State::End => Err(Bad::AfterTheEnd),
        }
    }

    /// The second record tells in what form the rest comes (RFC 1995 section 4).
    fn second(&mut self, first: First, soa: Option<Soa>, record: Record) -> Result<Option<Transferred>, Bad> {
        match (self.wanted, soa) {
            (Wanted::Since(have), Some(soa)) if soa.serial == have && soa.serial != first.soa.serial => {
                let mut differences = Differences::default();
                self.push(&mut differences.records, &record)?;
                let step = Step::Removing { from: have, since: 0 };
                self.state = State::Steps(first, Walking { differences, reached: have, step });
                Ok(None)
            }
            // A zone of nothing but its SOA ends here; one that tells of other versions is not ours.
            (Wanted::Since(have), Some(soa)) if soa.serial != first.soa.serial => {
                Err(Bad::Chain(have, soa.serial))
            }
            _ => {
                let mut store = Store::default();
                store
                    .push(&self.origin, Rtype::SOA, first.ttl_s, &first.rdata, self.limits)
                    .map_err(Bad::TooLarge)?;
                self.whole(first, store, soa, record)
            }
        }
    }

    fn whole(
        &mut self,
        first: First,
        mut store: Store,
        soa: Option<Soa>,
        record: Record,
    ) -> Result<Option<Transferred>, Bad> {
        match soa {
            Some(soa) if record.rdata != first.rdata => Err(Bad::OtherEnd(first.soa.serial, soa.serial)),
            Some(_) => {
                let data = ZoneData::new(&self.origin, store).ok_or(Bad::NoSoa)?;
                Ok(Some(Transferred::Whole(Box::new(data))))
            }
            None => {
                self.push(&mut store, &record)?;
                self.state = State::Whole(first, store);
                Ok(None)
            }
        }
    }

    fn step(
        &mut self,
        first: First,
        mut walking: Walking,
        soa: Option<Soa>,
        record: Record,
    ) -> Result<Option<Transferred>, Bad> {
        let at = walking.differences.records.len();
        match (soa, walking.step) {
            (None, _) => {}
            (Some(soa), Step::Removing { from, since }) => {
                if serial::compare(soa.serial, from) != Compared::Newer {
                    return Err(Bad::Chain(from, soa.serial));
                }
                walking.step = Step::Adding { from, to: soa.serial, removed: (since, at), since: at };
            }
            (Some(soa), Step::Adding { from, to, removed, since }) => {
                let steps = &mut walking.differences.steps;
                if steps.len() >= STEPS_MAX {
                    return Err(Bad::TooManySteps);
                }
                steps.push(Difference { from, to, removed: removed.0..removed.1, added: since..at });
                walking.reached = to;
                if soa.serial != to {
                    return Err(Bad::Chain(to, soa.serial));
                }
                if to == first.soa.serial {
                    if record.rdata != first.rdata {
                        return Err(Bad::OtherEnd(first.soa.serial, soa.serial));
                    }
                    return Ok(Some(Transferred::Differences(Box::new(walking.differences))));
                }
                walking.step = Step::Removing { from: to, since: at };
            }
        }
        self.push(&mut walking.differences.records, &record)?;
        self.state = State::Steps(first, walking);
        Ok(None)
    }

    fn push(&self, store: &mut Store, record: &Record) -> Result<(), Bad> {
        store
            .push(&record.owner, record.rtype, record.ttl_s, &record.rdata, self.limits)
            .map_err(Bad::TooLarge)
    }
}
