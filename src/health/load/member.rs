//! One endpoint in the controller: what was read of it, what it keeps, what it weighs.

use std::time::Duration;

use super::law::{Course, Pace, Window};
use super::{LoadLimits, LoadMember};
use crate::health::feed::Amount;
use crate::health::{EndpointState, Share, ShareCause};

/// A reading older than this many intervals is held: the share stays as it is.
const HELD_INTERVALS: u32 = 3;

/// A reading older than this many intervals is lost: share and weight decay to neutral.
const LOST_INTERVALS: u32 = 12;

/// The part of a new reading in the smoothed one.
const SMOOTHING: f64 = 0.5;

/// A weight moves at most this far from what the target says, either way.
const FACTOR_MAX: f64 = 8.0;

/// One step of a weight, before damping, is at most this factor.
const RATIO_MAX: f64 = 2.0;

/// A utilisation this near to the others' is left as it is.
const RATIO_BAND: f64 = 0.1;

/// Added to utilisations that are compared: next to nothing against nothing is no great difference.
const IDLE: f64 = 0.05;

/// One endpoint.
#[derive(Clone, Debug)]
pub struct Member {
    /// As configured.
    pub spec: LoadMember,
    /// Whether clients are sent there at all.
    pub eligible: bool,
    /// The part of its clients that it keeps, 0 to 1.
    pub kept: f64,
    /// What its weight is multiplied with for its load.
    pub factor: f64,
    /// What it weighs.
    pub load_weight: u16,
    window: Window,
    course: Course,
    /// By feed: smoothed, and when.
    readings: Vec<Option<(f64, Duration)>>,
}

/// What is known of a load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Presence {
    /// Read just now.
    Fresh(f64),
    /// The feed is missing; as it was last.
    Held(f64),
    /// Nothing, or nothing any more.
    Lost,
}

impl Member {
    /// Of which nothing is known.
    pub fn new(spec: LoadMember) -> Member {
        let feeds = spec.metered.as_ref().map_or(0, |metered| metered.feeds.len());
        Member {
            spec,
            eligible: true,
            kept: 1.0,
            factor: 1.0,
            load_weight: EndpointState::LOAD_WEIGHT_NEUTRAL,
            window: Window::new(),
            course: Course::default(),
            readings: vec![None; feeds],
        }
    }

    /// Goes on where the same endpoint was before a reload.
    pub fn inherit(&mut self, old: &mut Member) {
        self.eligible = old.eligible;
        if self.spec.metered.is_none() {
            return;
        }
        (self.kept, self.factor, self.load_weight) = (old.kept, old.factor, old.load_weight);
        self.course = old.course;
        self.window = std::mem::replace(&mut old.window, Window::new());
        if self.readings.len() == old.readings.len() {
            self.readings = std::mem::take(&mut old.readings);
        }
    }

    /// Takes in a reading of one of its feeds.
    pub fn read(&mut self, place: usize, current: Amount, now: Duration) {
        let held = self.interval() * HELD_INTERVALS;
        let Some(reading) = self.readings.get_mut(place) else { return };
        let units = current.units();
        let smoothed = match *reading {
            Some((before, at)) if now.saturating_sub(at) <= held => before + SMOOTHING * (units - before),
            _ => units,
        };
        *reading = Some((smoothed, now));
    }

    /// The load as smoothed, of the feed that says most.
    pub fn current(&self) -> Option<f64> {
        let newest = self.read_at()?;
        let held = self.interval() * HELD_INTERVALS;
        let recent = self.readings.iter().flatten().filter(|(_, at)| newest.saturating_sub(*at) <= held);
        recent.map(|(load, _)| *load).reduce(f64::max)
    }

    /// When it was last read.
    pub fn read_at(&self) -> Option<Duration> {
        self.readings.iter().flatten().map(|(_, at)| *at).max()
    }

    /// What is known of its load.
    pub fn presence(&self, now: Duration) -> Presence {
        let (Some(load), Some(at)) = (self.current(), self.read_at()) else { return Presence::Lost };
        let age = now.saturating_sub(at);
        match () {
            () if age <= self.interval() * HELD_INTERVALS => Presence::Fresh(load),
            () if age <= self.interval() * LOST_INTERVALS => Presence::Held(load),
            () => Presence::Lost,
        }
    }

    /// Between what loads it sheds; `None`: it never does.
    pub fn limits(&self) -> Option<LoadLimits> {
        self.spec.metered.as_ref().map(|metered| metered.limits)
    }

    fn interval(&self) -> Duration {
        self.spec.metered.as_ref().map_or(Duration::ZERO, |metered| metered.interval)
    }

    /// What is published of its share.
    pub fn share(&self) -> Share {
        let permille = (self.kept * 1000.0).round() as u16;
        match permille {
            1000.. => Share::FULL,
            _ => Share { permille, why: ShareCause::Shed, step_at: None },
        }
    }

    /// Moves its share on.
    pub fn step(&mut self, raise: f64, pace: Pace, now: Duration) {
        let Some(limits) = self.limits() else { return };
        let bounds = self.window.bounds(self.kept, pace.settling(), now);
        let kept = match self.presence(now) {
            // Whoever gets no clients is to be found whole when they return.
            _ if !self.eligible => pace.rise(self.kept, 1.0),
            Presence::Fresh(load) => {
                let (target, max) = (limits.target.units() * raise, limits.max.units() * raise);
                let band = self.course.band(pace.settling(), now);
                pace.next(self.kept, load, bounds, band, target, max)
            }
            Presence::Held(_) => self.kept,
            Presence::Lost => pace.rise(self.kept, 1.0),
        };
        if kept != self.kept {
            self.course.moved(self.kept, kept, pace.settling(), now);
        }
        self.keep(kept, now);
    }

    /// Sets its share.
    pub fn keep(&mut self, kept: f64, now: Duration) {
        if kept != self.kept {
            self.window.push(self.kept, now);
            self.kept = kept;
        }
    }

    /// Moves its factor half way, in ratios, to where its utilisation would be the mean one.
    pub fn balance(&mut self, mean: f64, now: Duration) {
        let Some(limits) = self.limits() else { return };
        let ratio = match self.presence(now) {
            Presence::Fresh(load) if self.eligible => {
                let utilisation = load / self.kept / limits.target.units();
                (mean + IDLE) / (utilisation + IDLE)
            }
            Presence::Lost => self.factor.recip(),
            _ => 1.0,
        };
        if ratio.is_finite() && (ratio - 1.0).abs() > RATIO_BAND {
            self.factor *= ratio.clamp(RATIO_MAX.recip(), RATIO_MAX).sqrt();
        }
    }

    /// Scales its factor, and makes a weight of it and its target.
    pub fn weigh(&mut self, scale: f64, mean_target: f64) {
        let Some(limits) = self.limits() else { return };
        self.factor = (self.factor * scale).clamp(FACTOR_MAX.recip(), FACTOR_MAX);
        let neutral = f64::from(EndpointState::LOAD_WEIGHT_NEUTRAL);
        let weight = neutral * self.factor * limits.target.units() / mean_target;
        self.load_weight = weight.round().clamp(1.0, f64::from(u16::MAX)) as u16;
    }
}
