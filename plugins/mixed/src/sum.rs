//! Sums of numbers, one addition after the other.

use muster_sdk::Error;
use std::hint::black_box;
use std::ops::Range;

/// Additions between two calls of `pause`: about a quarter of a millisecond.
pub const PART: u64 = 1 << 18;

/// The range in parts of so many numbers.
pub fn parts(range: Range<u64>, part: u64) -> impl Iterator<Item = Range<u64>> {
    let end = range.end;
    range.step_by(part as usize).map(move |start| start..end.min(start.saturating_add(part)))
}

/// Adds the numbers to `total`, modulo 2^64. `pause` may end it early with an error.
pub fn add(
    mut total: u64,
    range: Range<u64>,
    mut pause: impl FnMut() -> Result<(), Error>,
) -> Result<u64, Error> {
    for part in parts(range, PART) {
        total = add_part(total, part);
        pause()?;
    }
    Ok(total)
}

/// The same machine code whoever adds: models are compared, and copies of such a loop can differ by half of its time.
#[inline(never)]
fn add_part(mut total: u64, part: Range<u64>) -> u64 {
    for number in part {
        // Hidden from the compiler, which would otherwise put a formula in place of the loop.
        total = total.wrapping_add(black_box(number));
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_right_and_pause() {
        let mut pauses = 0;
        let counted = || {
            pauses += 1;
            Ok(())
        };
        let n = 3 * PART + 1;
        assert_eq!(add(5, 0..n, counted).unwrap(), 5 + n * (n - 1) / 2);
        assert_eq!(pauses, 4);
        assert_eq!(add(7, 9..9, || Err(Error::cancelled())).unwrap(), 7, "nothing to add, nothing to ask");
        assert!(add(0, 0..1, || Err(Error::cancelled())).unwrap_err().is_cancelled());
    }
}
