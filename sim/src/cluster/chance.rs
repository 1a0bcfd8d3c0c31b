//! When a fault strikes and whom it hits: numbers that follow from the seed alone, so that a simulated cluster and an
//! emulated one suffer the same.

use super::Purpose;
use muster_core::random::Stream;
use muster_core::time::Span;

/// The random numbers of one fault.
#[derive(Clone, Copy, Debug)]
pub struct Chance(Stream);

impl Chance {
    /// Those of the fault at this place of a scenario.
    #[must_use]
    pub fn of(seed: u64, fault: usize) -> Self {
        Self(Stream::new(seed).split(1 << 32 | Purpose::Faults as u64).split(fault as u64 + 1))
    }

    /// How long it takes until a fault that has struck `struck` times strikes again, when it hits each of `workers`
    /// at gaps of this mean. One of many workers is hit that much more often.
    #[must_use]
    pub fn gap(self, struck: u64, mean: Span, workers: usize) -> Span {
        let gap = -libm::log(1.0 - self.0.unit(2 * struck)) * mean.0 as f64 / workers.max(1) as f64;
        Span((gap as u64).max(1))
    }

    /// Which of `candidates` it hits: so many of them, all different.
    #[must_use]
    pub fn choose(self, struck: u64, mut candidates: Vec<u32>, count: usize) -> Vec<u32> {
        let stream = self.0.split(1 + struck);
        let count = count.min(candidates.len());
        // The first places of a Fisher-Yates shuffle.
        for place in 0..count {
            let left = candidates.len() - place;
            let step = (stream.unit(place as u64) * left as f64) as usize;
            candidates.swap(place, place + step.min(left - 1));
        }
        candidates.truncate(count);
        candidates
    }
}
