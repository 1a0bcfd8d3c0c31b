//! A segmented sieve of Eratosthenes over odd numbers (Bays and Hudson 1977): a piece of the numbers at a time, as
//! long as the processor's nearest cache, is a set of bits from which multiples are crossed off.

use crate::base::odd_primes;
use crate::stamp::{STAMPED, Stamp};
use std::ops::Range;

/// Words of a segment that stays in the nearest cache: 32 KiB, half a million numbers.
const SEGMENT_WORDS: usize = 4 << 10;
/// Words of a segment when there are so many base primes that visiting each for a short segment costs more than
/// leaving the nearest cache: 256 KiB.
const LONG_SEGMENT_WORDS: usize = 32 << 10;
/// Numbers beyond the square of this one make segments long.
const LONG_SEGMENT_ROOT: u64 = 1_000_000;
/// Base primes placed between two calls of `pause`.
const PRIMES_PER_PAUSE: usize = 1 << 16;

/// Counts primes up to a limit.
pub struct Sieve {
    /// The odd primes up to the root of the limit, without the stamped ones.
    base: Vec<u32>,
    stamp: Stamp,
}

impl Sieve {
    /// A sieve for numbers up to `limit`.
    pub fn new(limit: u64) -> Self {
        let mut base = odd_primes(limit.isqrt() as u32);
        base.drain(..STAMPED.len().min(base.len()));
        Self { base, stamp: Stamp::new() }
    }

    /// Counts the primes in `numbers`, which must not go beyond the limit. `pause` is called every few
    /// milliseconds at most and may end it early with an error.
    pub fn count<E>(&self, numbers: Range<u64>, mut pause: impl FnMut() -> Result<(), E>) -> Result<u64, E> {
        let mut total = u64::from(numbers.contains(&2));
        // Place i stands for the odd number 2 i + 1; 1 is no prime.
        let places = (numbers.start / 2).max(1)..numbers.end / 2;
        if places.is_empty() {
            return Ok(total);
        }
        let mut window = Window::new(self, &places);
        while window.at < places.end {
            while window.place_more() {
                pause()?;
            }
            window.cross_off();
            total += window.unset_within(&places);
            window.advance();
            pause()?;
        }
        Ok(total)
    }
}

/// The segment that is being sieved.
struct Window<'a> {
    sieve: &'a Sieve,
    /// The place of its first bit, a multiple of 64.
    at: u64,
    /// A set bit is a composite.
    segment: Vec<u64>,
    /// Per base prime that matters so far: the next odd multiple to cross off, as a place behind `at`.
    next: Vec<u32>,
}

impl<'a> Window<'a> {
    fn new(sieve: &'a Sieve, places: &Range<u64>) -> Self {
        let at = places.start & !63;
        let is_far = places.end > LONG_SEGMENT_ROOT * LONG_SEGMENT_ROOT / 2;
        let longest = if is_far { LONG_SEGMENT_WORDS } else { SEGMENT_WORDS };
        let words = (places.end - at).div_ceil(64).min(longest as u64) as usize;
        Self { sieve, at, segment: vec![0; words], next: Vec::new() }
    }

    fn len(&self) -> u64 {
        self.segment.len() as u64 * 64
    }

    /// Finds the first multiple of base primes whose square is before the end of the segment: smaller multiples
    /// have smaller factors. True when there may be more such primes.
    fn place_more(&mut self) -> bool {
        let (at, end) = (self.at, self.at + self.len());
        let waiting = &self.sieve.base[self.next.len()..];
        let ready = waiting.iter().take(PRIMES_PER_PAUSE).map(|&prime| u64::from(prime));
        let ready = ready.take_while(|prime| prime * prime / 2 < end);
        let before = self.next.len();
        self.next.extend(ready.map(|prime| {
            let square = prime * prime / 2;
            let next = prime - 1 - (at + prime / 2) % prime;
            square.checked_sub(at).unwrap_or(next) as u32
        }));
        self.next.len() - before == PRIMES_PER_PAUSE
    }

    fn cross_off(&mut self) {
        self.sieve.stamp.fill(&mut self.segment, self.at);
        let end = self.segment.len() * 64;
        for (&prime, next) in self.sieve.base.iter().zip(&mut self.next) {
            let mut place = *next as usize;
            while place < end {
                self.segment[place / 64] |= 1 << (place % 64);
                place += prime as usize;
            }
            *next = (place - end) as u32;
        }
    }

    /// How many places of the segment that lie in `places` are primes.
    fn unset_within(&mut self, places: &Range<u64>) -> u64 {
        let skipped = places.start.saturating_sub(self.at);
        if skipped > 0 {
            self.segment[0] |= (1 << skipped) - 1;
        }
        let count = (places.end - self.at).min(self.len()) as usize;
        let whole: u32 = self.segment[..count / 64].iter().map(|word| word.count_zeros()).sum();
        let rest =
            self.segment.get(count / 64).map_or(0, |word| (!word & ((1 << (count % 64)) - 1)).count_ones());
        u64::from(whole) + u64::from(rest)
    }

    fn advance(&mut self) {
        self.at += self.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::share;

    fn count(sieve: &Sieve, numbers: Range<u64>) -> u64 {
        sieve.count(numbers, || Ok::<(), ()>(())).unwrap()
    }

    fn is_prime(number: u64) -> bool {
        number > 1
            && (2..)
                .take_while(|factor| factor * factor <= number)
                .all(|factor| !number.is_multiple_of(factor))
    }

    #[test]
    fn known_values_of_pi() {
        for (limit, expected) in
            [(0, 0), (1, 0), (2, 1), (3, 2), (100, 25), (200_000, 17_984), (10_000_000, 664_579)]
        {
            assert_eq!(count(&Sieve::new(limit), 0..limit + 1), expected, "pi({limit})");
        }
    }

    #[test]
    fn shares_add_up() {
        let limit = 1_000_000;
        let sieve = Sieve::new(limit);
        for tasks in [1, 2, 7, 64, 1_000, 99_991] {
            let total: u64 = (0..tasks).map(|index| count(&sieve, share(limit, index, tasks))).sum();
            assert_eq!(total, 78_498, "{tasks} tasks");
        }
    }

    #[test]
    fn any_edges_agree_with_division() {
        let sieve = Sieve::new(400);
        for from in 0..200 {
            for to in from..=201 {
                let expected = (from..to).filter(|&number| is_prime(number)).count() as u64;
                assert_eq!(count(&sieve, from..to), expected, "{from}..{to}");
            }
        }
    }

    #[test]
    fn far_numbers_agree_with_division() {
        for from in [1_000_003_u64 * 1_000_003 - 50, 3_000_017_u64 * 3_000_017 - 50] {
            let to = from + 100;
            let expected = (from..to).filter(|&number| is_prime(number)).count() as u64;
            assert_eq!(count(&Sieve::new(to), from..to), expected, "{from}");
        }
    }

    #[test]
    fn base_primes_join_as_segments_reach_their_squares() {
        let (from, to) = (1_000_000, 20_000_000);
        let sieve = Sieve::new(to);
        let parts = share(to - from, 0, 3).end;
        let edges = [from, from + parts, from + 2 * parts, to];
        let sum: u64 = edges.windows(2).map(|edge| count(&sieve, edge[0]..edge[1])).sum();
        assert_eq!(count(&sieve, from..to), sum);
        assert_eq!(count(&sieve, 0..from) + sum, count(&sieve, 0..to));
    }

    #[test]
    fn an_error_of_the_pause_ends_the_count() {
        let sieve = Sieve::new(1 << 40);
        let mut pauses = 0;
        let result = sieve.count(0..1 << 40, || {
            pauses += 1;
            if pauses == 3 { Err("stop") } else { Ok(()) }
        });
        assert_eq!((result, pauses), (Err("stop"), 3));
    }
}
