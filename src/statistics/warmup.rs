//! Values that look unlike the others. They are reported, never dropped.

use super::blocks::Blocks;
use super::interval::{BLOCKS_MIN, median};

/// A warm-up is looked for in no more than so many first blocks.
const WARM_UP_BLOCKS_MAX: usize = 3;
/// So many robust standard deviations above the median of the rest, a first block is slower.
const WARM_UP_SIGMAS: f64 = 3.0;
/// So many from the median, a value is an outlier.
const OUTLIER_SIGMAS: f64 = 5.0;
/// The standard deviation of a normal distribution in median absolute deviations.
const MAD_SIGMA: f64 = 1.4826;
/// The same in mean absolute deviations.
const MEAN_SIGMA: f64 = 1.2533;
/// The deviation of n values is made larger by this over n: that of few is often too small by chance. Without it, 7 %
/// of steady configurations with 6 blocks would seem to warm up, with it 2.5 % (simulated with normal values).
const FEW_VALUES: f64 = 5.0;

/// How many first blocks, 1 to 3, a configuration was still warming up; `None` when it does not look so. That is: in
/// each of them it was slower, relative to its block, than the median of all later blocks by more than three robust
/// standard deviations of these, and in none slower than in the one before. At least 5 later blocks are needed.
///
/// # Panics
/// When there is no such column.
#[must_use]
pub fn warm_up(blocks: &Blocks, column: usize) -> Option<usize> {
    let logs = logs(&blocks.relative(column));
    let is_warm_up = |first: &usize| {
        let (early, rest) = logs.split_at(*first);
        let Some((centre, sigma)) = robust(rest) else { return false };
        early.is_sorted_by(|before, after| before >= after)
            && early.iter().all(|value| value - centre > WARM_UP_SIGMAS * sigma)
    };
    (1..=WARM_UP_BLOCKS_MAX).rev().filter(|first| logs.len() >= first + BLOCKS_MIN).find(is_warm_up)
}

/// The places of values whose logarithm is more than five robust standard deviations from the median: 1.4826 times the
/// median absolute deviation, or 1.2533 times the mean one where more than half of the values are equal; of n values,
/// 5/n more. The values are positive, and best those of [`Blocks::relative`]: seconds follow the machine. Empty for
/// fewer than 5 values.
///
/// Source: Iglewicz and Hoaglin, "How to detect and handle outliers", 1993.
#[must_use]
pub fn outliers(values: &[f64]) -> Vec<usize> {
    let logs = logs(values);
    let Some((centre, sigma)) = robust(&logs) else { return Vec::new() };
    let is_outlier = |place: &usize| (logs[*place] - centre).abs() > OUTLIER_SIGMAS * sigma;
    (0..logs.len()).filter(is_outlier).collect()
}

fn logs(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.ln()).collect()
}

/// The median and the robust standard deviation of at least 5 values.
fn robust(values: &[f64]) -> Option<(f64, f64)> {
    let centre = median(values).filter(|_| values.len() >= BLOCKS_MIN)?;
    let distances: Vec<f64> = values.iter().map(|value| (value - centre).abs()).collect();
    let sigma = MAD_SIGMA * median(&distances)?;
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    let sigma = if sigma > 0.0 { sigma } else { MEAN_SIGMA * mean };
    Some((centre, sigma * (1.0 + FEW_VALUES / values.len() as f64)))
}

#[cfg(test)]
mod tests {
    use super::super::blocks::beside;
    use super::*;

    const STEADY: [f64; 7] = [1.0, 1.02, 0.99, 1.01, 0.98, 1.0, 1.01];

    #[test]
    fn slow_first_blocks_are_a_warm_up() {
        let after = |first: &[f64]| warm_up(&beside(&[first, &STEADY].concat()), 1);
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[1.5]), Some(1));
        assert_eq!(after(&[2.0, 1.5, 1.3]), Some(3));
        // A block that is slower than the one before is no more of it, and a fast one is none.
        assert_eq!(after(&[1.3, 1.5]), Some(1));
        assert_eq!(after(&[0.5]), None);
        assert_eq!(warm_up(&beside(&[2.0, 1.0, 1.0, 1.0, 1.0]), 1), None);
    }

    #[test]
    fn who_is_warm_does_not_seem_to_warm_up_beside_others() {
        assert_eq!(warm_up(&beside(&[&[1.5][..], &STEADY].concat()), 0), None);
    }

    #[test]
    fn outliers_are_found_on_both_sides() {
        assert_eq!(outliers(&STEADY), Vec::<usize>::new());
        assert_eq!(outliers(&[&[3.0][..], &STEADY, &[0.2]].concat()), [0, 8]);
        assert_eq!(outliers(&[1.0, 1.0, 1.0, 9.0]), Vec::<usize>::new());
    }

    #[test]
    fn equal_values_have_no_outliers_and_one_other_value_among_many_is_one() {
        assert_eq!(outliers(&[2.0; 9]), Vec::<usize>::new());
        assert_eq!(outliers(&[&[2.0; 12][..], &[4.0]].concat()), [12]);
    }
}
