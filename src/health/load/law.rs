//! The control law: from a load to the share of clients that would hold it, and how fast to go there.

use std::collections::VecDeque;
use std::time::Duration;

/// Less is never kept: below it a load says nothing of the demand any more.
pub const KEPT_MIN: f64 = 0.05;

/// A share is left as it is while what is wanted is no further off: noise is not followed, and nobody sheds
/// for a load that is a few percent above target.
const BAND: f64 = 0.05;

/// Whoever sheds takes back all only when the demand is below this part of the target: near the target it
/// is not worth a change.
const RETURN: f64 = 0.9;

/// A share that turns back again soon has its band widened each time, up to so many times over: loads that
/// come in lumps (one resolver with many clients) can be split no finer.
const TURNS_MAX: u8 = 3;

/// A share that has not turned for this many settling times has its band back.
const CALM_SETTLINGS: u32 = 10;

/// Of the way to what is wanted so much is gone at once: a second reading confirms the first.
const GAIN: f64 = 0.5;

/// The share that suits a demand: what is shed of the load that remains grows in proportion from nothing at
/// `target` to everything at `max`. That is `kept = 1 - (kept * demand - target) / (max - target)`, solved
/// for `kept`.
pub fn wanted(demand: f64, target: f64, max: f64) -> f64 {
    let kept = if demand > target { max / (max - target + demand) } else { 1.0 };
    // Neither a limit of nothing nor a load beyond all bounds makes a number of it.
    if kept.is_finite() { kept.clamp(KEPT_MIN, 1.0) } else { 1.0 }
}

/// How far a share may move at one time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Pace {
    up_max: f64,
    down_max: f64,
    settling: Duration,
}

impl Pace {
    /// All the way up takes a settling time at least, all the way down a quarter of it.
    pub fn new(elapsed: Duration, settling: Duration) -> Pace {
        let part = elapsed.as_secs_f64() / settling.as_secs_f64().max(1e-3);
        Pace { up_max: part.min(1.0), down_max: (4.0 * part).min(1.0), settling }
    }

    /// How long a share takes to show in full.
    pub fn settling(self) -> Duration {
        self.settling
    }

    /// The next share, where clients of caches that hold something between `lowest` and `highest` make a
    /// load. The demand behind it is then between load / highest and load / lowest; the share moves only if
    /// no demand between these would have it stay.
    pub fn next(
        self,
        kept: f64,
        load: f64,
        (lowest, highest): (f64, f64),
        band: f64,
        target: f64,
        max: f64,
    ) -> f64 {
        let demand_max = load / lowest.max(KEPT_MIN);
        let least = wanted(demand_max, target, max);
        let most = wanted(load / highest.max(KEPT_MIN), target, max);
        if kept > most + band {
            kept - ((kept - most) * GAIN).min(self.down_max)
        } else if kept < least - band || (kept < 1.0 && demand_max <= RETURN * target) {
            self.rise(kept, least)
        } else {
            kept
        }
    }

    /// Towards more.
    pub fn rise(self, kept: f64, wanted: f64) -> f64 {
        // The last bit at once: half of it again and again never ends.
        let step = if wanted - kept <= BAND { wanted - kept } else { (wanted - kept) * GAIN };
        (kept + step.min(self.up_max)).min(1.0)
    }
}

/// Which way a share went last, and how often it turned of late.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Course {
    falling: bool,
    turns: u8,
    turned_at: Option<Duration>,
}

impl Course {
    /// How far off what is wanted must be for the share to move.
    pub fn band(&self, settling: Duration, now: Duration) -> f64 {
        BAND * f64::from(1 + self.turns_of_late(settling, now))
    }

    /// The share moves.
    pub fn moved(&mut self, from: f64, to: f64, settling: Duration, now: Duration) {
        let falling = to < from;
        if falling == self.falling {
            return;
        }
        // Out and home again is the way of all pressure: only turning out once more counts.
        let again = falling && self.is_of_late(settling, now);
        self.turns = self.turns_of_late(settling, now) + u8::from(again);
        self.turns = self.turns.min(TURNS_MAX);
        (self.falling, self.turned_at) = (falling, Some(now));
    }

    fn turns_of_late(&self, settling: Duration, now: Duration) -> u8 {
        if self.is_of_late(settling, now) { self.turns } else { 0 }
    }

    fn is_of_late(&self, settling: Duration, now: Duration) -> bool {
        self.turned_at.is_some_and(|at| now.saturating_sub(at) <= settling * CALM_SETTLINGS)
    }
}

/// The shares of the last while: what caches may still hold.
#[derive(Clone, PartialEq, Debug)]
pub struct Window(VecDeque<Span>);

#[derive(Clone, Copy, PartialEq, Debug)]
struct Span {
    /// Until when it was in force.
    until: Duration,
    lowest: f64,
    highest: f64,
}

/// Spans remembered: beyond, neighbours are taken together, which only makes the window more careful.
const SPANS_MAX: usize = 64;

impl Window {
    /// Nothing but the present.
    pub fn new() -> Window {
        Window(VecDeque::new())
    }

    /// A share is in force no more.
    pub fn push(&mut self, kept: f64, until: Duration) {
        if self.0.len() >= SPANS_MAX
            && let (Some(first), Some(second)) = (self.0.pop_front(), self.0.front_mut())
        {
            second.lowest = second.lowest.min(first.lowest);
            second.highest = second.highest.max(first.highest);
        }
        self.0.push_back(Span { until, lowest: kept, highest: kept });
    }

    /// The least and the greatest that caches may hold, the present one among them.
    pub fn bounds(&mut self, kept: f64, settling: Duration, now: Duration) -> (f64, f64) {
        while self.0.front().is_some_and(|span| span.until + settling < now) {
            self.0.pop_front();
        }
        let all = self.0.iter();
        all.fold((kept, kept), |(low, high), span| (low.min(span.lowest), high.max(span.highest)))
    }
}
