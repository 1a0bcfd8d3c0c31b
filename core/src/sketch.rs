//! A log-linear histogram of times: sixteen buckets per power of two, so a quantile is at most 6.3 % off and
//! as a rule far less, with exact count, sum and maximum. The same numbers travel on the wire and feed summaries and metrics.

use crate::time::Span;
use alloc::vec::Vec;

/// Buckets per power of two.
const STEPS: u64 = 16;
const STEP_BITS: u32 = 4;

/// How many buckets there are at the most.
pub const BUCKETS_MAX: usize = ((64 - STEP_BITS as usize) + 1) * STEPS as usize;

/// A histogram of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch {
    counts: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// The bucket that `ns` falls into.
#[must_use]
pub const fn bucket_of(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let exponent = 63 - ns.leading_zeros();
    let shift = exponent - STEP_BITS;
    let step = (ns >> shift) - STEPS;
    ((shift as u64 + 1) * STEPS + step) as usize
}

/// The lowest time that falls into `bucket`, in nanoseconds.
#[must_use]
pub const fn bucket_floor(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    (STEPS + bucket % STEPS) << shift
}

impl Sketch {
    /// A histogram without times.
    #[must_use]
    pub const fn new() -> Self {
        Self { counts: Vec::new(), count: 0, sum: 0, max: 0 }
    }

    /// Adds one time.
    pub fn record(&mut self, time: Span) {
        self.record_many(time, 1);
    }

    /// Adds the same time `count` times.
    pub fn record_many(&mut self, time: Span, count: u64) {
        if count == 0 {
            return;
        }
        self.add_bucket(bucket_of(time.0), count);
        self.sum = self.sum.saturating_add(time.0.saturating_mul(count));
        self.max = self.max.max(time.0);
    }

    /// Adds `count` times to a bucket without touching sum and maximum; buckets beyond the last are refused.
    pub fn add_bucket(&mut self, bucket: usize, count: u64) -> bool {
        if bucket >= BUCKETS_MAX {
            return false;
        }
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
        self.count = self.count.saturating_add(count);
        true
    }

    /// Adds to the exact sum and raises the exact maximum, for times whose buckets came by `add_bucket`.
    pub fn add_exact(&mut self, sum: Span, max: Span) {
        self.sum = self.sum.saturating_add(sum.0);
        self.max = self.max.max(max.0);
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, &count) in other.counts.iter().enumerate() {
            if count > 0 {
                self.add_bucket(bucket, count);
            }
        }
        self.add_exact(Span(other.sum), Span(other.max));
    }

    /// Empties it but keeps its memory.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        (self.count, self.sum, self.max) = (0, 0, 0);
    }

    /// How many times it holds.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The sum of all times.
    #[must_use]
    pub const fn sum(&self) -> Span {
        Span(self.sum)
    }

    /// The longest time.
    #[must_use]
    pub const fn max(&self) -> Span {
        Span(self.max)
    }

    /// The mean time.
    #[must_use]
    pub fn mean(&self) -> Option<Span> {
        (self.count > 0).then(|| Span(self.sum / self.count))
    }

    /// The time below which the share `q` (0 to 1) of the times lies, as if those of a bucket lay at even distances
    /// in it: a single one in its middle. At most the maximum.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Span> {
        if self.count == 0 {
            return None;
        }
        let rank = (libm_ceil(q.clamp(0.0, 1.0) * self.count as f64) as u64).clamp(1, self.count);
        let mut before = 0u64;
        for (bucket, &count) in self.counts.iter().enumerate() {
            let seen = before.saturating_add(count);
            if seen >= rank {
                let floor = bucket_floor(bucket);
                let width = bucket_floor(bucket + 1).saturating_sub(floor);
                let share = ((rank - before) as f64 - 0.5) / count as f64;
                return Some(Span((floor + (width as f64 * share) as u64).min(self.max)));
            }
            before = seen;
        }
        Some(Span(self.max))
    }

    /// The quantile, when at least ten times lie above it; otherwise it would be a guess.
    #[must_use]
    pub fn supported_quantile(&self, q: f64) -> Option<Span> {
        ((1.0 - q) * self.count as f64 >= 10.0 - 1e-9).then(|| self.quantile(q)).flatten()
    }

    /// The buckets that hold something, with their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }
}

/// `f64::ceil` is in std only.
fn libm_ceil(value: f64) -> f64 {
    let whole = value as u64 as f64;
    if whole < value { whole + 1.0 } else { whole }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts come from peers, who may say anything.
    #[test]
    fn counts_never_overflow() {
        let mut sketch = Sketch::new();
        sketch.add_bucket(3, u64::MAX);
        sketch.add_bucket(9, u64::MAX);
        sketch.record_many(Span(u64::MAX), u64::MAX);
        assert_eq!((sketch.count(), sketch.sum()), (u64::MAX, Span(u64::MAX)));
        assert!(sketch.quantile(0.5).is_some() && sketch.quantile(1.0).is_some());
    }

    #[test]
    fn buckets_meet_without_gap_or_overlap() {
        for bucket in 0..BUCKETS_MAX - 1 {
            let floor = bucket_floor(bucket);
            assert_eq!(bucket_of(floor), bucket);
            assert_eq!(bucket_of(bucket_floor(bucket + 1) - 1), bucket);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS_MAX - 1);
    }

    /// One bucket holds 6 % of a time: percentiles within it differ nevertheless.
    #[test]
    fn quantiles_in_one_bucket_are_apart() {
        let mut sketch = Sketch::new();
        let (floor, end) = (bucket_floor(400), bucket_floor(401));
        let at = |share: f64| floor + ((end - floor) as f64 * share) as u64;
        (0..1_000u32).for_each(|number| sketch.record(Span(at(f64::from(number) / 1e3))));
        for q in [0.05, 0.5, 0.95, 0.99] {
            let found = sketch.quantile(q).unwrap().0 as f64;
            assert!((found - at(q) as f64).abs() <= (end - floor) as f64 * 0.002, "{q}: {found}");
        }
        // At most what there was.
        assert!(sketch.quantile(1.0).unwrap() <= sketch.max());
        // Alone in its bucket: the middle.
        sketch.clear();
        sketch.record(Span(floor));
        sketch.record(Span(end));
        assert_eq!(sketch.quantile(0.5), Some(Span(at(0.5))));
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_bucket(mut times in proptest::collection::vec(0..u64::MAX / 2, 1..200), q in 0.0..1.0f64) {
            let mut sketch = Sketch::new();
            for &time in &times {
                sketch.record(Span(time));
            }
            times.sort_unstable();
            let rank = ((q * times.len() as f64).ceil() as usize).clamp(1, times.len());
            let exact = times[rank - 1] as f64;
            let found = sketch.quantile(q).unwrap().0 as f64;
            prop_assert!((found - exact).abs() <= exact * 0.0626 + 1.0, "{found} is not {exact}");
            prop_assert_eq!(sketch.max().0, *times.last().unwrap());
        }

        #[test]
        fn merging_is_recording_both(a in proptest::collection::vec(0..1u64 << 50, 0..50), b in proptest::collection::vec(0..1u64 << 50, 0..50)) {
            let of = |times: &[u64]| {
                let mut sketch = Sketch::new();
                times.iter().for_each(|&time| sketch.record(Span(time)));
                sketch
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }
    }

    #[test]
    fn a_percentile_needs_ten_times_above_it() {
        let mut sketch = Sketch::new();
        sketch.record_many(Span(5), 199);
        assert_eq!(sketch.supported_quantile(0.95), None);
        sketch.record(Span(5));
        assert_eq!(sketch.supported_quantile(0.95), Some(Span(5)));
        assert_eq!(sketch.supported_quantile(0.99), None);
    }
}
