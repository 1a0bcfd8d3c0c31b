//! How far two sets of values are apart that have no partners in each other: those of two comparisons.
//!
//! Sources: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
//! other", Annals of Mathematical Statistics 18, 1947; Hodges and Lehmann, "Estimates of location based on rank tests",
//! Annals of Mathematical Statistics 34, 1963.

use super::interval::{BLOCKS_MIN, CONFIDENCE, Interval, median_of_sorted};

/// With more values on either side the normal approximation is used.
const EXACT_MAX: usize = 50;
/// The normal distribution has 2.5 % beyond this.
const NORMAL: f64 = 1.959_963_985;

/// How many times as large values of `a` are as values of `b`, with the interval of 95 % that the exact rank-sum test
/// does not reject (its normal approximation with more than 50 values on a side). Values are positive.
///
/// It knows how values are spread within each set. What was different between the times at which the sets were measured
/// is not in the interval. `None` for fewer than [`BLOCKS_MIN`] values on a side.
#[must_use]
pub fn unpaired_ratio(a: &[f64], b: &[f64]) -> Option<Interval> {
    if a.len().min(b.len()) < BLOCKS_MIN {
        return None;
    }
    let mut distances: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| a.ln() - b.ln())).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let outside = outside(a.len(), b.len());
    let interval = Interval {
        estimate: median_of_sorted(&distances)?,
        lo: distances[outside],
        hi: distances[distances.len() - 1 - outside],
    };
    Some(interval.map(f64::exp))
}

/// How many distances are outside of the interval at each end.
fn outside(n: usize, m: usize) -> usize {
    let each_side = (1.0 - CONFIDENCE) / 2.0;
    if n.max(m) > EXACT_MAX {
        let (n, m) = (n as f64, m as f64);
        let deviation = (n * m * (n + m + 1.0) / 12.0).sqrt();
        return (n * m / 2.0 - NORMAL * deviation).round().max(1.0) as usize - 1;
    }
    let mut below = 0.0;
    let within = null_distribution(n, m).into_iter().take_while(|chance| {
        below += chance;
        below <= each_side
    });
    within.count().saturating_sub(1)
}

/// The chances of each count of pairs in which the one of the first set is larger, when the sets are alike.
fn null_distribution(n: usize, m: usize) -> Vec<f64> {
    // By how many values of the second set there are; of the first there are none yet.
    let mut by_second: Vec<Vec<f64>> = vec![vec![1.0]; m + 1];
    for first in 1..=n {
        for second in 1..=m {
            // The largest of all is of the first set, and larger than all of the second, or it is of the second.
            let (of_first, of_second) = (first as f64, second as f64);
            let all = of_first + of_second;
            let mut chances = vec![0.0; first * second + 1];
            for (pairs, chance) in by_second[second].iter().enumerate() {
                chances[pairs + second] += chance * of_first / all;
            }
            for (pairs, chance) in by_second[second - 1].iter().enumerate() {
                chances[pairs] += chance * of_second / all;
            }
            by_second[second] = chances;
        }
    }
    by_second.swap_remove(m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_is_that_of_all_orders() {
        // Of the 10 orders of 2 and 3 values.
        let expected = [1.0, 1.0, 2.0, 2.0, 2.0, 1.0, 1.0].map(|count| count / 10.0);
        let found = null_distribution(2, 3);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// By hand: with 5 and 5 values, 1 + 1 + 2 of 252 orders have at most 2 such pairs, which is 1.6 %, and 7 at most 3,
    /// which is 2.8 %.
    #[test]
    fn the_interval_leaves_out_what_the_test_rejects() {
        assert_eq!(outside(5, 5), 2);
        let a = [1.0, 2.0, 3.0, 4.0, 5.0].map(f64::exp);
        let b = [0.0, 0.1, 0.2, 0.3, 0.4].map(f64::exp);
        let found = unpaired_ratio(&a, &b).unwrap();
        assert!((found.estimate.ln() - 2.8).abs() < 1e-9, "{found:?}");
        assert!((found.lo.ln() - 0.8).abs() < 1e-9 && (found.hi.ln() - 4.8).abs() < 1e-9, "{found:?}");
        assert_eq!(unpaired_ratio(&a[..4], &b), None);
    }

    #[test]
    fn the_approximation_goes_on_where_the_exact_one_ends() {
        let exact = outside(50, 50) as f64;
        let (n, deviation) = (2_500.0, (2_500.0_f64 * 101.0 / 12.0).sqrt());
        let near = n / 2.0 - NORMAL * deviation;
        assert!((exact - near).abs() < 2.0, "{exact} {near}");
        assert!(outside(51, 50) > outside(50, 50));
    }
}
