//! The sum of `i * n` for every `i` below a bound, modulo 2^64.

use std::hint::black_box;
use std::ops::Range;

/// Additions between two calls of `pause`: about a millisecond.
const ITERS_PER_PAUSE: u64 = 1 << 20;

/// The sum by as many additions. `pause` may end it early with an error.
pub fn by_adding<E>(iters: u64, factor: u64, mut pause: impl FnMut() -> Result<(), E>) -> Result<u64, E> {
    let mut total = 0_u64;
    let mut next = 0;
    while next < iters {
        let end = iters.min(next + ITERS_PER_PAUSE);
        total = add_part(total, next..end, factor);
        next = end;
        pause()?;
    }
    Ok(total)
}

/// The same machine code for all sizes: tasks are compared, and copies of such a loop can differ by half of its time.
#[inline(never)]
fn add_part(mut total: u64, part: Range<u64>, factor: u64) -> u64 {
    for i in part {
        // Hidden from the compiler, which would otherwise put the formula in place of the loop.
        total = total.wrapping_add(black_box(i).wrapping_mul(factor));
    }
    total
}

/// The same sum as `n * k * (k - 1) / 2` for k iterations.
pub fn by_formula(iters: u64, factor: u64) -> u64 {
    let pairs = u128::from(iters) * u128::from(iters.saturating_sub(1)) / 2;
    (pairs as u64).wrapping_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(iters: u64, factor: u64) -> u64 {
        by_adding(iters, factor, || Ok::<(), ()>(())).unwrap()
    }

    #[test]
    fn additions_agree_with_the_formula() {
        for iters in [0, 1, 2, 3, 1_000, ITERS_PER_PAUSE - 1, ITERS_PER_PAUSE, ITERS_PER_PAUSE + 1, 2_500_000]
        {
            for factor in [0, 1, 7, 1 << 40, u64::MAX] {
                assert_eq!(added(iters, factor), by_formula(iters, factor), "iters {iters}, factor {factor}");
            }
        }
        assert_eq!(added(1_000_000, 3), 3 * 999_999 * 500_000);
    }

    #[test]
    fn the_formula_wraps_and_does_not_overflow() {
        let half = (1_u128 << 64) - 1;
        let pairs = half * (half - 1) / 2;
        assert_eq!(by_formula(u64::MAX, 5), (pairs as u64).wrapping_mul(5));
    }

    #[test]
    fn an_error_of_the_pause_ends_the_sum() {
        let mut pauses = 0;
        let result = by_adding(u64::MAX, 1, || {
            pauses += 1;
            if pauses == 3 { Err("stop") } else { Ok(()) }
        });
        assert_eq!((result, pauses), (Err("stop"), 3));
    }
}
