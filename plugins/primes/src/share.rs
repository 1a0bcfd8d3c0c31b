//! Which numbers belong to which task.

use std::ops::Range;

/// The share of task `index` of `tasks` in the numbers from 0 to `limit`. The shares follow each other without
/// gaps and differ in length by at most one; a task that is not among `tasks` has none.
pub fn share(limit: u64, index: u64, tasks: u64) -> Range<u64> {
    let numbers = u128::from(limit) + 1;
    let edge = |index: u64| (numbers * u128::from(index.min(tasks)) / u128::from(tasks.max(1))) as u64;
    edge(index)..edge(index.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_all_numbers_once() {
        for (limit, tasks) in [(0, 1), (0, 5), (10, 3), (99, 100), (1_000_003, 64), (1 << 49, 7)] {
            let shares: Vec<_> = (0..tasks).map(|index| share(limit, index, tasks)).collect();
            assert_eq!((shares[0].start, shares[shares.len() - 1].end), (0, limit + 1));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths = shares.iter().map(|share| share.end - share.start);
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
        }
    }

    #[test]
    fn tasks_beyond_the_last_have_none() {
        assert!(share(100, 7, 7).is_empty() && share(100, u64::MAX, 7).is_empty());
    }
}
