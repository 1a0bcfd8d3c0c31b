//! Slices of one track must not overlap: what does is put side by side.

/// The lane of each interval (begin, end), which are in the order of their begins: the lowest that is free then.
pub fn lanes(intervals: impl IntoIterator<Item = (u64, u64)>) -> Vec<usize> {
    let mut ends: Vec<u64> = Vec::new();
    let mut place = |(begin, end): (u64, u64)| {
        let free = ends.iter().position(|&busy_until| busy_until <= begin);
        let lane = free.unwrap_or(ends.len());
        if lane == ends.len() {
            ends.push(end);
        }
        ends[lane] = end.max(begin);
        lane
    };
    intervals.into_iter().map(&mut place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_has_lanes_of_its_own_and_what_follows_has_not() {
        assert_eq!(lanes([(0, 10), (10, 20), (20, 30)]), [0, 0, 0]);
        assert_eq!(lanes([(0, 10), (5, 8), (7, 9), (8, 12), (10, 11)]), [0, 1, 2, 1, 0]);
        assert_eq!(lanes([]), Vec::<usize>::new());
    }
}
