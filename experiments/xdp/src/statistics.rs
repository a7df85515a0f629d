//! What rounds on a drifting machine allow one to say.

use crate::world::Chance;

const RESAMPLES: usize = 10_000;

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

/// The median with the 95 % interval of a percentile bootstrap: median, low, high.
pub fn estimate(values: &[f64]) -> [f64; 3] {
    if values.is_empty() {
        return [f64::NAN; 3];
    }
    let mut chance = Chance(1);
    let mut drawn = || values[(chance.next() % values.len() as u64) as usize];
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| median(&std::iter::repeat_with(&mut drawn).take(values.len()).collect::<Vec<_>>()))
        .collect();
    medians.sort_by(f64::total_cmp);
    let at = |share: f64| medians[((RESAMPLES - 1) as f64 * share) as usize];
    [median(values), at(0.025), at(0.975)]
}
