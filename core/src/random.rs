//! Random numbers that are counted instead of kept: the number for a purpose, a job and an index is always the
//! same, whoever asks and in which order, so that policies are compared on equal draws.
//!
//! Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).

/// The odd constant of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers, each found by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream(u64);

impl Stream {
    /// The stream that a seed stands for.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Another stream for each `number`; number 0 is this stream itself.
    #[must_use]
    pub const fn split(self, number: u64) -> Self {
        if number == 0 { self } else { Self(finalise(self.0 ^ finalise(number.wrapping_mul(GOLDEN)))) }
    }

    /// The 64 random bits at place `index`.
    #[must_use]
    pub const fn bits(self, index: u64) -> u64 {
        finalise(self.0.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// A number in 0..1 at place `index`: 53 random bits.
    #[must_use]
    pub const fn unit(self, index: u64) -> f64 {
        unit(self.bits(index))
    }

    /// Two numbers in 0..1 at place `index`; the first is what [`Stream::unit`] gives.
    #[must_use]
    pub const fn units(self, index: u64) -> (f64, f64) {
        let bits = self.bits(index);
        (unit(bits), unit(finalise(bits.wrapping_add(GOLDEN))))
    }
}

const fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

const fn finalise(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the generator with seed 1234567, as published with the reference implementation.
    #[test]
    fn agrees_with_the_published_sequence() {
        let stream = Stream::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|index| stream.bits(index)), expected);
    }

    #[test]
    fn streams_differ_and_numbers_are_even() {
        let stream = Stream::new(42);
        assert_eq!(stream.split(0), stream);
        assert_ne!(stream.split(1).bits(0), stream.split(2).bits(0));
        let mean = (0..100_000).map(|index| stream.units(index).1).sum::<f64>() / 1e5;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((0..1_000).all(|index| (0.0..1.0).contains(&stream.unit(index))));
    }
}
