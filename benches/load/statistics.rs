//! What many rounds on a drifting machine allow one to say.

use crate::chance::Chance;

/// Resamples behind an interval: its ends then move in the fourth digit only.
const RESAMPLES: usize = 10_000;

/// A median with its 95 % interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// The median of the rounds.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The median; NaN of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => f64::NAN,
        (length, middle) if length % 2 == 0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (_, middle) => sorted[middle],
    }
}

/// The median of values, one per round, with the percentile bootstrap's interval.
pub fn estimate(values: &[f64]) -> Estimate {
    if values.is_empty() {
        return Estimate { median: f64::NAN, low: f64::NAN, high: f64::NAN };
    }
    let mut chance = Chance::seeded(1);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let draw = |_| values[chance.below(values.len() as u32) as usize];
            median(&(0..values.len()).map(draw).collect::<Vec<_>>())
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share) as usize];
    Estimate { median: median(values), low: at(0.025), high: at(0.975) }
}
