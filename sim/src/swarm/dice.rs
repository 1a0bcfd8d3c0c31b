//! Random numbers for one purpose, one after the other.

use muster_core::random::Stream;
use muster_core::time::Span;

/// A stream that is read in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    stream: Stream,
    next: u64,
}

impl Dice {
    pub(super) const fn new(seed: u64, purpose: u64) -> Self {
        Self { stream: Stream::new(seed).split(purpose), next: 0 }
    }

    pub(super) const fn bits(&mut self) -> u64 {
        self.next += 1;
        self.stream.bits(self.next)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        ((self.bits() as u128 * end as u128) >> 64) as u64
    }

    /// A number of `from..=to`.
    pub(super) const fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// Whether something happens that happens once in `times`.
    pub(super) const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A span of `from..=to` microseconds.
    pub(super) const fn micros(&mut self, from: u64, to: u64) -> Span {
        Span::from_micros(self.between(from, to))
    }
}
