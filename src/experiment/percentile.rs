//! Percentiles of what was measured.

use super::Cell;

/// The value that this share of them does not exceed; with fewer than ten above it, it is not known.
pub fn percentile(values: &[f64], share: f64) -> Cell {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let above = sorted.len() as f64 * (1.0 - share);
    let at = (sorted.len() as f64 * share) as usize;
    Cell::number((above >= 10.0 - 1e-9).then(|| sorted.get(at).copied()).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_needs_ten_above_it() {
        let values: Vec<f64> = (0..200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 0.95), Cell::Number { number: 190.0 });
        assert_eq!(percentile(&values[..199], 0.95), Cell::Unknown);
        assert_eq!(percentile(&values, 0.99), Cell::Unknown);
        assert_eq!(percentile(&[], 0.5), Cell::Unknown);
    }
}
