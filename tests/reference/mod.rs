//! Fixed data whose results other programs gave: `statistics.py` beside this file prints them, with scipy 1.17.1 and
//! statsmodels 0.15.0.

use muster::statistics::{Interval, hodges_lehmann, holm, median_interval, p_value, ratio};

const DISTINCT: [f64; 10] = [0.75, -0.5, 1.25, 2.0, -0.25, 1.5, 3.0, 0.625, 2.5, -1.0];
const TIED: [f64; 12] = [0.5, 0.5, -0.5, 1.0, 1.0, 2.0, -1.0, 2.0, 0.25, 3.0, 3.0, -0.25];
const ZEROS: [f64; 10] = [0.0, 0.5, 1.0, 0.0, 1.5, -0.5, 2.0, 2.5, 0.0, 3.0];

fn long() -> Vec<f64> {
    (0..40).map(|i| (f64::from(i * 37 % 101) - 35.25) / 8.0).collect()
}

fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}

#[track_caller]
fn assert_close(found: Interval, estimate: f64, lo: f64, hi: f64) {
    let is_close = is_close(found.estimate, estimate) && is_close(found.lo, lo) && is_close(found.hi, hi);
    assert!(is_close, "{found:?} is not {estimate} in {lo}..{hi}");
}

/// `scipy.stats.wilcoxon(method="exact")`; with ties, `method=PermutationMethod()` over all signs.
#[test]
fn p_values_are_those_of_scipy() {
    assert!(is_close(p_value(&DISTINCT), 0.048828125));
    assert!(is_close(p_value(&long()), 0.008263762760179816));
    assert!(is_close(p_value(&TIED), 0.0380859375));
    assert!(is_close(p_value(&ZEROS), 0.046875));
}

/// Means of pairs by numpy 2.4.6, cut where `scipy.stats.wilcoxon(method="exact")` is above 0.05.
#[test]
fn intervals_of_differences_are_those_of_scipys_test() {
    assert_close(hodges_lehmann(&DISTINCT).unwrap(), 1.0, 0.0625, 2.0);
    assert_close(hodges_lehmann(&long()).unwrap(), 1.84375, 0.53125, 3.09375);
    let a = [1.31, 1.52, 1.18, 1.40, 1.77, 1.29, 1.63, 1.36];
    let b = [1.22, 1.41, 1.15, 1.28, 1.80, 1.17, 1.49, 1.25];
    let found = ratio(&a, &b).unwrap();
    assert_close(found, 1.0794370680496397, 1.0275574518925406, 1.0952578434276303);
    let other = ratio(&b, &a).unwrap();
    assert_close(other, 1.0 / found.estimate, 1.0 / found.hi, 1.0 / found.lo);
}

/// `statsmodels.stats.multitest.multipletests(method="holm")`.
#[test]
fn adjusted_p_values_are_those_of_statsmodels() {
    let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.5, 0.04]);
    let expected = [0.05, 0.12, 0.12, 0.03, 0.5, 0.12];
    assert!(found.iter().zip(expected).all(|(found, expected)| is_close(*found, expected)), "{found:?}");
}

/// `scipy.stats.mstats.median_cihs`; for five values, their range.
#[test]
fn intervals_of_medians_are_those_of_scipy() {
    let expected = [
        (5, 5.0, 1.0, 17.0),
        (6, 7.5, 1.3571428571428572, 22.785714285714285),
        (8, 13.5, 1.9356435643564356, 37.836633663366335),
        (10, 21.5, 3.972972972972973, 55.13513513513514),
        (15, 50.0, 12.61454261141517, 114.1563721657545),
        (20, 91.5, 28.587576374745417, 190.64867617107942),
        (40, 381.5, 181.09202210321934, 656.048402693919),
    ];
    for (n, estimate, lo, hi) in expected {
        let values: Vec<f64> = (0..n).map(|i| f64::from(i * 7 % n).powi(2) + 1.0).collect();
        assert_close(median_interval(&values).unwrap(), estimate, lo, hi);
    }
}
