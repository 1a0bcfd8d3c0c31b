//! An estimate between two bounds, and the interval of a median.

/// Intervals need at least so many values. Of four, even the smallest and the largest hold the median between them
/// in only 87.5 % of experiments.
pub const BLOCKS_MIN: usize = 5;

/// The part of experiments whose interval holds the true value.
pub(super) const CONFIDENCE: f64 = 0.95;

/// An estimate with its 95 % interval, in the unit of the values: seconds, or 1 for ratios.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The most plausible value.
    pub estimate: f64,
    /// The lower bound.
    pub lo: f64,
    /// The upper bound.
    pub hi: f64,
}

impl Interval {
    /// Half of the width as a part of the estimate: 0.03 is "plus or minus 3 %".
    #[must_use]
    pub fn relative_half_width(&self) -> f64 {
        (self.hi - self.lo) / (2.0 * self.estimate)
    }

    /// Each of the three numbers put through an increasing function.
    pub(super) fn map(self, function: impl Fn(f64) -> f64) -> Self {
        Self { estimate: function(self.estimate), lo: function(self.lo), hi: function(self.hi) }
    }
}

/// The middle value, or the mean of both; `None` for no values. The values are finite.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    median_of_sorted(&sorted(values))
}

/// The sample median with its 95 % interval: between two order statistics, interpolated so that the coverage is close
/// to 95 % instead of whatever the next whole order statistic gives. Assumes no shape of the distribution. The values
/// are finite.
///
/// `None` for fewer than [`BLOCKS_MIN`] values. For five values it is the smallest to the largest, which covers the
/// median in 93.75 % of experiments.
///
/// Source: Hettmansperger and Sheather, "Confidence intervals based on interpolated order statistics", Statistics &
/// Probability Letters 4, 1986.
#[must_use]
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    let n = values.len();
    if n < BLOCKS_MIN {
        return None;
    }
    let sorted = sorted(values);
    let estimate = median_of_sorted(&sorted)?;
    let below = binomial_cumulative(n);
    // How often the median is between the depth-th smallest and the depth-th largest value.
    let coverage = |depth: usize| 1.0 - 2.0 * below[depth - 1];
    let Some(depth) = (1..=n / 2).rev().find(|depth| coverage(*depth) >= CONFIDENCE) else {
        return Some(Interval { estimate, lo: sorted[0], hi: sorted[n - 1] });
    };
    let (outer, inner) = (coverage(depth), coverage(depth + 1));
    let part = (outer - CONFIDENCE) / (outer - inner);
    let weight = (n - depth) as f64 * part / (depth as f64 + (n as f64 - 2.0 * depth as f64) * part);
    let between = |from: f64, to: f64| from + weight * (to - from);
    Some(Interval {
        estimate,
        lo: between(sorted[depth - 1], sorted[depth]),
        hi: between(sorted[n - depth], sorted[n - depth - 1]),
    })
}

/// At place k: how often at most k of n fair coins show heads. Weights are counted from the middle, so that they stay
/// in range for every n.
fn binomial_cumulative(n: usize) -> Vec<f64> {
    let middle = n / 2;
    let mut weights = vec![1.0; n + 1];
    for k in (0..middle).rev() {
        weights[k] = weights[k + 1] * (k + 1) as f64 / (n - k) as f64;
    }
    for k in middle..n {
        weights[k + 1] = weights[k] * (n - k) as f64 / (k + 1) as f64;
    }
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    for weight in &mut weights {
        sum += *weight;
        *weight = sum / total;
    }
    weights
}

/// The values from small to large.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// The middle of values that are in order.
pub(super) fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let n = sorted.len();
    let upper = *sorted.get(n / 2)?;
    Some(if n % 2 == 1 { upper } else { f64::midpoint(sorted[n / 2 - 1], upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_values_have_no_interval_and_five_their_range() {
        assert_eq!(median_interval(&[4.0, 1.0, 3.0, 2.0]), None);
        let five = median_interval(&[4.0, 1.0, 3.0, 9.0, 2.0]).unwrap();
        assert_eq!(five, Interval { estimate: 3.0, lo: 1.0, hi: 9.0 });
    }

    #[test]
    fn equal_values_have_an_interval_without_width() {
        let same = median_interval(&[2.5; 12]).unwrap();
        assert_eq!(same, Interval { estimate: 2.5, lo: 2.5, hi: 2.5 });
        assert_eq!(same.relative_half_width(), 0.0);
    }

    #[test]
    fn large_samples_stay_in_range() {
        let values: Vec<f64> = (0..5_000).map(f64::from).collect();
        let interval = median_interval(&values).unwrap();
        assert_eq!(interval.estimate, 2_499.5);
        // The normal approximation says 1.96 * sqrt(5000) / 2 = 69.3 on each side.
        assert!((interval.hi - 2_499.5 - 69.3).abs() < 1.0, "{interval:?}");
        assert!((interval.lo + interval.hi - 4_999.0).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn the_median_of_nothing_is_none() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0]), Some(2.0));
    }
}
