//! How the endpoints of a world really are, whatever the server believes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use meridian::health::{Cadence, Failure, Timings};

use crate::dice::Dice;

/// Something that is wrong with some addresses for a while.
#[derive(Clone, Debug)]
pub struct Fault {
    pub addresses: Vec<IpAddr>,
    pub kind: Kind,
    /// Since when; `None`: not now.
    pub since: Option<Duration>,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    /// Nobody listens.
    Refuses,
    /// Connections hang.
    Hangs,
    /// Dead for a while, well for a while.
    Blinks { dead: Duration, well: Duration },
    /// Every third probe fails.
    OneInThree,
    /// Half of all probes fail.
    Half,
    /// Answers take so much longer.
    Slow { by: Duration },
    /// Our own node reaches nobody; the endpoints are well.
    NoNetwork,
}

impl Kind {
    /// Whether nobody is served at `now`, and since when.
    fn dead_since(self, since: Duration, now: Duration) -> Option<Duration> {
        match self {
            Kind::Refuses | Kind::Hangs => Some(since),
            Kind::Blinks { dead, well } => {
                let period = (dead + well).as_nanos().max(1);
                let into = Duration::from_nanos(((now - since).as_nanos() % period) as u64);
                (into < dead).then(|| now - into)
            }
            Kind::OneInThree | Kind::Half | Kind::Slow { .. } | Kind::NoNetwork => None,
        }
    }
}

/// The state of everything.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub faults: Vec<Fault>,
    /// How often each address was probed under a pattern.
    turns: BTreeMap<IpAddr, u64>,
}

/// What a probe came to: after how long, and what it says.
pub type Sight = (Duration, Result<Timings, Failure>);

impl Truth {
    /// The faults given, none of them yet at work.
    pub fn new(faults: Vec<Fault>) -> Truth {
        Truth { faults, turns: BTreeMap::new() }
    }

    fn active(&self, address: IpAddr) -> impl Iterator<Item = (Kind, Duration)> + '_ {
        let here = move |fault: &&Fault| fault.addresses.binary_search(&address).is_ok();
        self.faults.iter().filter(here).filter_map(|fault| Some((fault.kind, fault.since?)))
    }

    /// Since when an address has served nobody; `None`: it serves.
    pub fn dead_since(&self, address: IpAddr, now: Duration) -> Option<Duration> {
        self.active(address).filter_map(|(kind, since)| kind.dead_since(since, now)).min()
    }

    /// What a probe that starts now sees.
    pub fn probe(
        &mut self,
        address: IpAddr,
        cadence: &Cadence,
        asks: bool,
        now: Duration,
        dice: &mut Dice,
    ) -> Sight {
        let hang = (cadence.timeout, Err(Failure::ConnectTimeout));
        let refuse = (Duration::from_millis(1), Err(Failure::ConnectRefused));
        let mut slower = Duration::ZERO;
        let (mut failed, mut patterned) = (None, false);
        let turn = self.turns.get(&address).copied().unwrap_or_default();
        for (kind, since) in self.active(address) {
            match kind {
                Kind::Refuses => failed = Some(refuse),
                Kind::Hangs => failed = Some(hang),
                Kind::Blinks { .. } if kind.dead_since(since, now).is_some() => failed = Some(refuse),
                Kind::Blinks { .. } => {}
                Kind::NoNetwork => failed = Some((Duration::ZERO, Err(Failure::Unreachable))),
                Kind::OneInThree => {
                    patterned = true;
                    if turn % 3 == 2 {
                        failed = Some((Duration::from_millis(5), Err(Failure::Status(503))));
                    }
                }
                Kind::Half => {
                    if dice.one_in(2) {
                        failed = Some((Duration::from_millis(5), Err(Failure::Closed)));
                    }
                }
                Kind::Slow { by } => slower += by,
            }
        }
        if patterned {
            self.turns.insert(address, turn + 1);
        }
        if let Some(failed) = failed {
            return failed;
        }
        let connect = Duration::from_millis(10 + address_milliseconds(address));
        let first_byte = connect + slower;
        let total = if asks { connect + first_byte } else { connect };
        if total >= cadence.timeout {
            return (cadence.timeout, Err(Failure::AnswerTimeout));
        }
        (total, Ok(Timings { connect, tls: None, first_byte: asks.then_some(first_byte), total }))
    }
}

/// Addresses are not all equally far away.
fn address_milliseconds(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(v4) => u64::from(v4.octets()[3]) % 40,
        IpAddr::V6(v6) => u64::from(v6.octets()[15]) % 40,
    }
}
