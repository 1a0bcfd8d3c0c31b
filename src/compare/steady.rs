//! Whether this machine does the same work in the same time.

use std::hint::black_box;
use std::time::Instant;

/// How often the work is done.
const TIMES: usize = 40;
/// Additions, for some milliseconds.
const STEPS: u64 = 3_000_000;

/// The distance of the quartiles of the times that the same work takes, as a share of their median.
pub fn steadiness() -> f64 {
    let mut times: Vec<f64> = (0..TIMES).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    (times[TIMES * 3 / 4] - times[TIMES / 4]) / times[TIMES / 2]
}

/// Seconds of one.
fn once() -> f64 {
    let began = Instant::now();
    let mut sum = 0u64;
    for step in 0..STEPS {
        sum = black_box(sum.wrapping_add(step));
    }
    black_box(sum);
    began.elapsed().as_secs_f64()
}
