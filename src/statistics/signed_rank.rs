//! The signed-rank test of paired values, and what the same idea says about how far apart they are.
//!
//! Sources: Wilcoxon, "Individual comparisons by ranking methods", Biometrics 1, 1945; Hodges and Lehmann, "Estimates
//! of location based on rank tests", Annals of Mathematical Statistics 34, 1963; ties as in Pratt and Gibbons,
//! "Concepts of Nonparametric Theory", 1981.

use super::interval::{BLOCKS_MIN, CONFIDENCE, Interval, median_of_sorted};

/// How often the true value is beyond each bound.
const EACH_SIDE: f64 = (1.0 - CONFIDENCE) / 2.0;

/// The two-sided p-value of the exact signed-rank test: how often so uneven differences come up when either sign is as
/// likely as the other. The differences are finite.
///
/// Differences of zero are dropped; equal ones share their mean rank, and the distribution is that of the ranks as they
/// are, so the result is exact also with ties. 1 when nothing is left.
#[must_use]
pub fn p_value(differences: &[f64]) -> f64 {
    let ranks = doubled_ranks(differences);
    let sum = |is_counted: fn(f64) -> bool| -> usize {
        ranks.iter().filter(|(difference, _)| is_counted(*difference)).map(|(_, rank)| rank).sum()
    };
    let smaller = sum(|difference| difference > 0.0).min(sum(|difference| difference < 0.0));
    let below = null_distribution(ranks.iter().map(|(_, rank)| *rank), smaller);
    (2.0 * below.iter().sum::<f64>()).min(1.0)
}

/// The smallest p-value that so many blocks can give: 2 / 2^n, both ends of the distribution.
#[must_use]
pub fn least_p(blocks: usize) -> f64 {
    2.0 * 0.5_f64.powi(blocks.clamp(1, 1_000) as i32)
}

/// The median of the means of all pairs of values, each value also with itself, and the interval of values that the
/// exact signed-rank test does not reject at 5 %. Assumes that values are spread symmetrically, as differences of two
/// alike quantities are; with ties, the interval is a little too wide. The values are finite.
///
/// `None` for fewer than [`BLOCKS_MIN`] values. For five values the interval goes from the smallest to the largest,
/// which covers in 93.75 % of experiments.
#[must_use]
pub fn hodges_lehmann(values: &[f64]) -> Option<Interval> {
    inverted(values, EACH_SIDE, EACH_SIDE)
}

/// How many times as large `a` is as `b`, block by block: [`hodges_lehmann`] of the differences of logarithms. Above 1,
/// `a` is slower. Values are positive, and those at the same place are of the same block; without a partner, they are
/// ignored.
///
/// `None` for fewer than [`BLOCKS_MIN`] blocks.
#[must_use]
pub fn ratio(a: &[f64], b: &[f64]) -> Option<Interval> {
    hodges_lehmann(&log_ratios(a, b)).map(|interval| interval.map(f64::exp))
}

/// [`ratio`] to a `best` that was chosen among `others` because it looked the fastest.
///
/// The choice makes ratios too large, so the lower bound alone is moved away: its 2.5 % are divided by the number that
/// the best was chosen from (Bonferroni). The upper bound stays, because a ratio that is chosen for being large is
/// seldom too small. Of 6 equal configurations, the plain interval of a ratio to the best covers in 89 to 90 % of
/// experiments, this one in 97 to 98 % (simulated, with [`super::Stopping`]).
pub(super) fn ratio_to_best(a: &[f64], best: &[f64], others: usize) -> Option<Interval> {
    let lower = EACH_SIDE / others.max(1) as f64;
    inverted(&log_ratios(a, best), lower, EACH_SIDE).map(|interval| interval.map(f64::exp))
}

/// The estimate between the bounds that the test rejects at one level for each side.
fn inverted(values: &[f64], lower: f64, upper: f64) -> Option<Interval> {
    if values.len() < BLOCKS_MIN {
        return None;
    }
    let means = walsh_averages(values);
    let sums = null_distribution(1..=values.len(), means.len() / 2);
    Some(Interval {
        estimate: median_of_sorted(&means)?,
        lo: means[rejected(&sums, lower)],
        hi: means[means.len() - 1 - rejected(&sums, upper)],
    })
}

/// The logarithms of the ratios by block. Exchanging `a` and `b` changes the sign and nothing else.
pub(super) fn log_ratios(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a.ln() - b.ln()).collect()
}

/// Means of all pairs from small to large.
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (place, first) in values.iter().enumerate() {
        means.extend(values[place..].iter().map(|second| f64::midpoint(*first, *second)));
    }
    means.sort_unstable_by(f64::total_cmp);
    means
}

/// How many pairs' means are outside of the interval at one end: the largest sum of ranks that the test rejects at this
/// level. 0 also where there are too few values for the level. `sums` are the chances of the smaller half of all sums.
fn rejected(sums: &[f64], level: f64) -> usize {
    let mut below = 0.0;
    let within = sums.iter().take_while(|chance| {
        below += **chance;
        below <= level
    });
    within.count().saturating_sub(1)
}

/// The differences that are not zero, each with twice its rank by size: equal sizes share the mean of their ranks.
fn doubled_ranks(differences: &[f64]) -> Vec<(f64, usize)> {
    let mut kept: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    kept.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let mut ranks = Vec::with_capacity(kept.len());
    for tied in kept.chunk_by(|a, b| a.abs() == b.abs()) {
        let before = ranks.len();
        ranks.extend(tied.iter().map(|difference| (*difference, 2 * before + tied.len() + 1)));
    }
    ranks
}

/// The chances of the sums `0..=largest` when each rank is counted or not with the same chance.
fn null_distribution(ranks: impl Iterator<Item = usize>, largest: usize) -> Vec<f64> {
    let mut chances = vec![0.0; largest + 1];
    chances[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached = (reached + rank).min(largest);
        let mut sum = reached;
        while sum >= rank {
            chances[sum] = f64::midpoint(chances[sum], chances[sum - rank]);
            sum -= 1;
        }
        chances.iter_mut().take(rank.min(largest + 1)).for_each(|chance| *chance *= 0.5);
    }
    chances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_differences_the_test_says_nothing() {
        assert_eq!(p_value(&[]), 1.0);
        assert_eq!(p_value(&[0.0, -0.0, 0.0]), 1.0);
        assert_eq!(p_value(&[0.0, 2.0]), 1.0);
    }

    #[test]
    fn the_least_p_is_that_of_equal_signs() {
        for n in 1_usize..=12 {
            let differences: Vec<f64> = (0..n).map(|place| 1.0 + place as f64).collect();
            assert_eq!(p_value(&differences), least_p(n));
        }
        assert_eq!(p_value(&[1.0; 8]), least_p(8));
        assert_eq!(least_p(0), 1.0);
    }

    #[test]
    fn ties_share_their_mean_rank() {
        let ranks = doubled_ranks(&[3.0, -1.0, 0.0, 1.0, 1.0, -3.0]);
        let doubled: Vec<usize> = ranks.iter().map(|(_, rank)| *rank).collect();
        assert_eq!(doubled, [4, 4, 4, 9, 9]);
    }

    /// Every assignment of signs, counted one by one.
    #[test]
    fn the_distribution_is_that_of_all_signs() {
        let sizes = [1.0, 2.0, 2.0, 5.0, 5.0, 5.0, 7.0, 11.0];
        let signed = |signs: u32| -> Vec<f64> {
            let negative = |place: usize| signs >> place & 1 == 1;
            sizes
                .iter()
                .enumerate()
                .map(|(place, size)| if negative(place) { -size } else { *size })
                .collect()
        };
        let smaller = |differences: &[f64]| -> usize {
            let ranks = doubled_ranks(differences);
            let positive: usize = ranks.iter().filter(|(d, _)| *d > 0.0).map(|(_, rank)| rank).sum();
            positive.min(ranks.iter().map(|(_, rank)| rank).sum::<usize>() - positive)
        };
        for signs in 0..256 {
            let differences = signed(signs);
            let as_uneven =
                (0..256).filter(|other| smaller(&signed(*other)) <= smaller(&differences)).count();
            assert!((p_value(&differences) - as_uneven as f64 / 256.0).abs() < 1e-12, "{differences:?}");
        }
    }

    /// The interval holds 0 when, and only when, the test does not reject it.
    #[test]
    fn the_interval_is_the_test_turned_round() {
        let stream = muster_core::random::Stream::new(3);
        for trial in 0..2_000_u64 {
            let n = 6 + trial % 20;
            let values: Vec<f64> = (0..n).map(|i| stream.split(trial + 1).unit(i) - 0.25).collect();
            let interval = hodges_lehmann(&values).unwrap();
            let is_rejected = interval.lo > 0.0 || interval.hi < 0.0;
            assert_eq!(is_rejected, p_value(&values) <= 0.05, "{values:?} {interval:?}");
        }
    }

    #[test]
    fn five_values_have_their_range_and_four_nothing() {
        assert_eq!(hodges_lehmann(&[1.0, 2.0, 3.0, 4.0]), None);
        let five = hodges_lehmann(&[1.0, 2.0, 3.0, 4.0, 10.0]).unwrap();
        assert_eq!((five.lo, five.hi), (1.0, 10.0));
        let same = ratio(&[3.0; 7], &[2.0; 7]).unwrap();
        assert!((same.estimate - 1.5).abs() < 1e-12 && same.lo == same.hi, "{same:?}");
    }
}
