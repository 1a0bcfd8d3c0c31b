//! A number that stands for everything a simulation did: two runs with the same digest went the same way.

/// A running hash of numbers in order. Not for secrets: it tells apart runs that differ by accident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    /// Takes in one more number.
    #[inline]
    pub const fn add(&mut self, number: u64) {
        // Multiply and fold, as in Wang Yi's wyhash: every bit of the past meets every bit of the number.
        let product = ((self.0 ^ 0xA076_1D64_78BD_642F) as u128) * ((number ^ 0xE703_7ED1_A0B4_28DB) as u128);
        self.0 = (product as u64) ^ ((product >> 64) as u64) ^ self.0.rotate_left(23);
    }

    /// The number so far.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_count() {
        let of = |numbers: &[u64]| {
            let mut digest = Digest::default();
            numbers.iter().for_each(|&number| digest.add(number));
            digest.value()
        };
        assert_ne!(of(&[1, 2]), of(&[2, 1]));
        assert_ne!(of(&[0]), of(&[0, 0]));
        assert_eq!(of(&[3, 4, 5]), of(&[3, 4, 5]));
    }
}
