//! The sum of the squares of consecutive numbers, modulo 2^64.

use std::hint::black_box;

/// Additions between two calls of `pause`: about half a millisecond.
const NUMBERS_PER_PAUSE: u64 = 1 << 19;

/// The sum from `first` on over `count` numbers. `pause` may end it early with an error.
pub fn sum<E>(first: u64, count: u64, mut pause: impl FnMut() -> Result<(), E>) -> Result<u64, E> {
    let mut total = 0_u64;
    let mut done = 0;
    while done < count {
        let end = count.min(done + NUMBERS_PER_PAUSE);
        for offset in done..end {
            // Hidden from the compiler, which would otherwise put a formula in place of the loop.
            let number = black_box(first.wrapping_add(offset));
            total = total.wrapping_add(number.wrapping_mul(number));
        }
        done = end;
        pause()?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(first: u64, count: u64) -> u64 {
        sum(first, count, || Ok::<(), ()>(())).unwrap()
    }

    #[test]
    fn sums_are_those_of_the_formula() {
        assert_eq!(summed(0, 1_000_000), 333_332_833_333_500_000);
        assert_eq!(summed(1_000_000, 1_000_000), 2_333_331_833_333_500_000);
        assert_eq!((summed(5, 0), summed(0, 1), summed(3, 2)), (0, 0, 25));
    }

    #[test]
    fn sums_wrap() {
        assert_eq!(summed(1 << 32, 1), 0);
        assert_eq!(summed(u64::MAX, 3), 2, "1 + 0 + 1");
    }

    #[test]
    fn an_error_of_the_pause_ends_the_sum() {
        assert_eq!(sum(0, u64::MAX, || Err("stop")), Err("stop"));
    }
}
