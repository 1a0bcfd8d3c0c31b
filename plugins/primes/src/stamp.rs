//! The multiples of the smallest odd primes, which are a quarter of the work: a pattern that repeats, copied
//! instead of crossed off.

/// The primes whose multiples the pattern holds.
pub const STAMPED: [usize; 5] = [3, 5, 7, 11, 13];
/// Words after which the pattern repeats: the product of the primes.
const WORDS: usize = 3 * 5 * 7 * 11 * 13;

/// A set bit is a multiple; place i stands for the odd number 2 i + 1.
pub struct Stamp(Vec<u64>);

impl Stamp {
    /// Makes the pattern.
    pub fn new() -> Self {
        let mut words = vec![0; WORDS];
        for prime in STAMPED {
            for place in (prime / 2..WORDS * 64).step_by(prime) {
                words[place / 64] |= 1 << (place % 64);
            }
        }
        Self(words)
    }

    /// Fills `segment`, whose first bit is place `at`, a multiple of 64. The primes themselves stay unset.
    pub fn fill(&self, segment: &mut [u64], at: u64) {
        let mut from = (at / 64 % WORDS as u64) as usize;
        let mut filled = 0;
        while filled < segment.len() {
            let words = (segment.len() - filled).min(WORDS - from);
            segment[filled..filled + words].copy_from_slice(&self.0[from..from + words]);
            (filled, from) = (filled + words, 0);
        }
        if at == 0 {
            for prime in STAMPED {
                segment[0] &= !(1 << (prime / 2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_goes_on_behind_its_end() {
        let stamp = Stamp::new();
        for at in [0, 64, WORDS as u64 * 64 - 64, 1 << 40] {
            let mut segment = vec![0; 3];
            stamp.fill(&mut segment, at);
            for place in 0..segment.len() as u64 * 64 {
                let number = 2 * (at + place) + 1;
                let multiple = STAMPED
                    .iter()
                    .any(|&prime| number.is_multiple_of(prime as u64) && number != prime as u64);
                let bit = segment[place as usize / 64] >> (place % 64) & 1;
                assert_eq!(bit == 1, multiple, "{number}");
            }
        }
    }
}
