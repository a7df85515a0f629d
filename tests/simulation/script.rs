//! What happens in a world, drawn beforehand.

use std::net::IpAddr;
use std::time::Duration;

use meridian::health::OverrideKind;

use crate::design::Design;
use crate::dice::Dice;
use crate::truth::{Fault, Kind};

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Act {
    /// A fault begins.
    Begin(usize),
    /// A fault ends.
    End(usize),
    /// An operator's word on all endpoints of a region, with or without `--force`.
    Override { region: usize, kind: OverrideKind, force: bool },
    /// It is taken back.
    Remove { region: usize },
    /// The files change and are read again.
    Reload(Change),
    /// Nobody polls the board for so long.
    Pause(Duration),
    /// The process starts anew, with the state that it left or without.
    Restart { restores: bool },
    /// The wall clock jumps.
    Jump { seconds: i64 },
    /// Outcomes get lost, come late or twice: from now on, or no longer.
    Loss(bool),
}

/// What changes in the files.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Change {
    /// Nothing.
    Nothing,
    /// A mistake goes in, and out again afterwards: the reload must be refused.
    Mistake,
    /// Weights of endpoints.
    Weights,
    /// Bounds of TTLs.
    Ttl,
    /// A region with all its endpoints leaves the files.
    Remove(usize),
    /// It is back.
    Add(usize),
}

/// Acts by time, and the faults that they speak of.
pub struct Script {
    pub acts: Vec<(Duration, Act)>,
    pub faults: Vec<Fault>,
    /// When the last of it is over, and everything is well.
    pub end: Duration,
}

impl Script {
    /// Draws one.
    pub fn new(design: &Design, dice: &mut Dice) -> Script {
        let length = 600 + dice.below(900) as u64;
        let mut script = Script { acts: Vec::new(), faults: Vec::new(), end: Duration::from_secs(length) };
        for _ in 0..2 + dice.below(6) {
            script.draw_fault(design, dice);
        }
        for _ in 0..dice.below(4) {
            script.draw_operator(design, dice);
        }
        for _ in 0..dice.below(3) {
            script.draw_reload(design, dice);
        }
        script.draw_rest(dice);
        script.acts.sort_by_key(|(at, _)| *at);
        script
    }

    /// A moment, early enough for something to last after it.
    fn moment(&self, dice: &mut Dice) -> Duration {
        Duration::from_millis(dice.below(self.end.as_millis() as usize * 4 / 5) as u64)
    }

    fn lasting(&mut self, dice: &mut Dice, fault: Fault) {
        let begin = self.moment(dice);
        let seconds = *dice.pick(&[20, 60, 120, 300, 600, 900]) + dice.below(60);
        self.between(begin, begin + Duration::from_secs(seconds as u64), fault);
    }

    fn between(&mut self, begin: Duration, end: Duration, fault: Fault) {
        if begin >= self.end {
            return;
        }
        let number = self.faults.len();
        self.faults.push(fault);
        self.acts.push((begin, Act::Begin(number)));
        self.acts.push((end.min(self.end), Act::End(number)));
    }

    fn draw_fault(&mut self, design: &Design, dice: &mut Dice) {
        let region = dice.below(design.regions.len());
        let everything = design.addresses_of(region, true, true);
        let some = |dice: &mut Dice| -> Vec<IpAddr> { vec![*dice.pick(&everything)] };
        let dead = *dice.pick(&[Kind::Refuses, Kind::Hangs]);
        let fault = |addresses: Vec<IpAddr>, kind| Fault { addresses, kind, since: None };
        let blinks = Kind::Blinks {
            dead: Duration::from_secs(5 + dice.below(90) as u64),
            well: Duration::from_secs(5 + dice.below(120) as u64),
        };
        match dice.below(12) {
            0..=2 => self.lasting(dice, fault(everything, dead)),
            3 => self.lasting(dice, fault(design.addresses_of(region, false, true), dead)),
            4 => self.lasting(dice, fault(design.addresses_of(region, true, false), dead)),
            5 => {
                let own = some(dice);
                self.lasting(dice, fault(own, dead));
            }
            6 => self.lasting(dice, fault(everything, blinks)),
            7 => self.lasting(dice, fault(everything, Kind::OneInThree)),
            8 => self.lasting(dice, fault(everything, Kind::Slow { by: Duration::from_millis(200) })),
            9 => {
                // Back half: one address stays away, or half of all probes fail for a while.
                let begin = self.moment(dice);
                let end = begin + Duration::from_secs(60 + dice.below(300) as u64);
                let late = end + Duration::from_secs(60 + dice.below(300) as u64);
                self.between(begin, end, fault(everything.clone(), dead));
                let half = match dice.one_in(2) {
                    true => fault(some(dice), dead),
                    false => fault(everything, Kind::Half),
                };
                self.between(end, late, half);
            }
            10 => {
                // A second region dies while the first is away.
                let other = design.addresses_of(dice.below(design.regions.len()), true, true);
                let begin = self.moment(dice);
                let end = begin + Duration::from_secs(120 + dice.below(400) as u64);
                self.between(begin, end, fault(everything, dead));
                self.between(begin + Duration::from_secs(30), end, fault(other, Kind::Refuses));
            }
            _ => {
                let begin = self.moment(dice);
                let end = begin + Duration::from_secs(5 + dice.below(90) as u64);
                let mut all: Vec<IpAddr> =
                    (0..design.regions.len()).flat_map(|own| design.addresses_of(own, true, true)).collect();
                all.sort_unstable();
                all.dedup();
                self.between(begin, end, fault(all, Kind::NoNetwork));
            }
        }
    }

    fn draw_operator(&mut self, design: &Design, dice: &mut Dice) {
        let region = dice.below(design.regions.len());
        let begin = self.moment(dice);
        let end = begin + Duration::from_secs(30 + dice.below(900) as u64);
        let kind = match dice.below(6) {
            0 | 1 => OverrideKind::Drain { over: None },
            2 | 3 => OverrideKind::Drain { over: Some(Duration::from_secs(30 + dice.below(600) as u64)) },
            4 => OverrideKind::ForceDown,
            _ => OverrideKind::ForceUp,
        };
        self.acts.push((begin, Act::Override { region, kind, force: !dice.one_in(3) }));
        self.acts.push((end.min(self.end), Act::Remove { region }));
    }

    fn draw_reload(&mut self, design: &Design, dice: &mut Dice) {
        let at = self.moment(dice);
        let region = dice.below(design.regions.len());
        let change = match dice.below(8) {
            0 => Change::Mistake,
            1 | 2 => Change::Weights,
            3 => Change::Ttl,
            4 | 5 => {
                let back = at + Duration::from_secs(60 + dice.below(600) as u64);
                self.acts.push((back.min(self.end), Act::Reload(Change::Add(region))));
                Change::Remove(region)
            }
            _ => Change::Nothing,
        };
        self.acts.push((at, Act::Reload(change)));
    }

    fn draw_rest(&mut self, dice: &mut Dice) {
        if dice.one_in(3) {
            let at = self.moment(dice);
            self.acts.push((at, Act::Pause(Duration::from_secs(1 + dice.below(90) as u64))));
        }
        if dice.one_in(3) {
            let at = self.moment(dice);
            self.acts.push((at, Act::Restart { restores: !dice.one_in(3) }));
        }
        for _ in 0..dice.below(3) {
            let at = self.moment(dice);
            let seconds = *dice.pick(&[3600, -3600, 7200, -1800]);
            self.acts.push((at, Act::Jump { seconds }));
        }
        if dice.one_in(3) {
            let at = self.moment(dice);
            self.acts.push((at, Act::Loss(true)));
            self.acts.push((self.end, Act::Loss(false)));
        }
    }
}
