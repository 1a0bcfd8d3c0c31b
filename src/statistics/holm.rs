//! Many tests at once.

/// Adjusts the p-values of tests that were made together: a test whose adjusted p is below 5 % may be believed, and the
/// chance that any of these is wrong is below 5 %, whatever the tests have to do with each other. In the order given.
///
/// Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut by_size: Vec<usize> = (0..p_values.len()).collect();
    by_size.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, index) in by_size.into_iter().enumerate() {
        let remaining = (p_values.len() - rank) as f64;
        largest = largest.max(p_values[index] * remaining).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusted_values_never_fall_and_never_exceed_one() {
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.25]), [0.25]);
        assert_eq!(holm(&[0.5, 0.25, 0.75]), [1.0, 0.75, 1.0]);
        assert_eq!(holm(&[0.02, 0.015, 0.02]), [0.045, 0.045, 0.045]);
    }
}
