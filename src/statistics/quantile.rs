//! Quantiles of values.

/// With fewer values above it a quantile is a guess.
const ABOVE_MIN: f64 = 10.0;
/// 200 times 0.95 may be a little more than 190.
const ROUNDING: f64 = 1e-9;

/// The smallest value that at least this share of them does not exceed; `None`: fewer than ten are above it.
///
/// Source: Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50(4), 1996,
/// definition 1: the inverse of the empirical distribution function. Of a random sample of many values it is that of all
/// of them, more or less.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let count = values.len() as f64;
    if (1.0 - q) * count < ABOVE_MIN - ROUNDING {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (q * count - ROUNDING).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_has_ten_above_it() {
        let values = |count: u32| (1..=count).rev().map(f64::from).collect::<Vec<f64>>();
        assert_eq!(quantile(&values(200), 0.95), Some(190.0));
        assert_eq!(quantile(&values(199), 0.95), None);
        assert_eq!(quantile(&values(200), 0.99), None);
        assert_eq!(quantile(&values(1_000), 0.99), Some(990.0));
        assert_eq!(quantile(&values(20), 0.5), Some(10.0));
        assert_eq!(quantile(&values(21), 0.5), Some(11.0));
        assert_eq!(quantile(&values(10), 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    /// In floating point 0.07 times 100 is more than 7.
    #[test]
    fn a_whole_rank_is_not_rounded_up() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        for percent in 1..=90 {
            assert_eq!(quantile(&values, f64::from(percent) / 100.0), Some(f64::from(percent)));
        }
    }
}
