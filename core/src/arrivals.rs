//! When the tasks of an open-loop job are meant to start: task `i` at `a(i)` after the job's zero, whatever became of those
//! before it. Latency that is counted from there has the time in the queue in it; counted from when a slot was free it has
//! not, and a system that stalls looks fast ("coordinated omission": Schroeder, Wierman and Harchol-Balter, "Open versus
//! closed: a cautionary tale", NSDI 2006; Tene, "How not to measure latency", 2013).

use crate::random::Stream;
use crate::time::Span;
use alloc::vec::Vec;

/// The highest rate, in tasks a second: a microsecond apart, which is about what it costs a thread to go to sleep.
pub const RATE_MAX_PER_S: f64 = 1e6;
/// The gaps are this stream of the job's seed, so that they are not the numbers that its tasks draw.
const GAPS: u64 = 0x6172_7269_7661_6c73;
/// Every so many tasks the sum of the gaps is kept.
const MARK_TASKS: u64 = 1_024;

/// How the gaps between arrivals are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pattern {
    /// All the same: task `i` arrives at `i / rate`.
    #[default]
    Constant,
    /// Exponential and independent, as when very many clients come now and then: a Poisson process.
    Poisson,
}

/// How fast tasks arrive, and how evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrivals {
    rate_per_s: f64,
    pattern: Pattern,
}

/// The rate is a number: [`Arrivals::try_new`] lets nothing else in.
impl Eq for Arrivals {}

impl Arrivals {
    /// Arrivals at so many tasks a second; `None`: the rate is not above 0 or above [`RATE_MAX_PER_S`].
    #[must_use]
    pub fn try_new(rate_per_s: f64, pattern: Pattern) -> Option<Self> {
        (rate_per_s > 0.0 && rate_per_s <= RATE_MAX_PER_S).then_some(Self { rate_per_s, pattern })
    }

    /// Tasks a second.
    #[must_use]
    pub const fn rate_per_s(&self) -> f64 {
        self.rate_per_s
    }

    /// How the gaps are spread.
    #[must_use]
    pub const fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// Nanoseconds between two arrivals, on average.
    #[must_use]
    pub fn gap_ns(&self) -> f64 {
        1e9 / self.rate_per_s
    }
}

/// The arrivals of one job, task by task. The same seed gives the same times, whoever asks, in whatever order.
#[derive(Clone, Debug)]
pub struct Timetable {
    arrivals: Arrivals,
    gaps: Stream,
    /// The sum of the gaps before task `at`, which was asked for last.
    at: u64,
    sum_ns: f64,
    /// The same before tasks 0, `MARK_TASKS`, and so on, as far as anybody asked.
    marks: Vec<f64>,
}

impl Timetable {
    /// The arrivals of a job with this seed.
    #[must_use]
    pub const fn new(arrivals: Arrivals, seed: u64) -> Self {
        let gaps = Stream::new(seed).split(GAPS);
        Self { arrivals, gaps, at: 0, sum_ns: 0.0, marks: Vec::new() }
    }

    /// When task `index` is meant to start, after the job's zero. Poisson arrivals are added up from the last task that was
    /// asked for, or from a mark before it: a step costs some ten nanoseconds.
    #[must_use]
    pub fn due(&mut self, index: u64) -> Span {
        let ns = match self.arrivals.pattern {
            Pattern::Constant => index as f64 * self.arrivals.gap_ns(),
            Pattern::Poisson => {
                self.go_to(index);
                self.sum_ns + self.gap_ns(index)
            }
        };
        // A float that is too large becomes the largest time there is.
        Span(ns as u64)
    }

    /// Has `sum_ns` be the sum of the gaps before `index`.
    fn go_to(&mut self, index: u64) {
        if index < self.at {
            let mark = index / MARK_TASKS;
            self.at = mark * MARK_TASKS;
            self.sum_ns =
                usize::try_from(mark).ok().and_then(|mark| self.marks.get(mark)).map_or(0.0, |sum| *sum);
        }
        while self.at < index {
            self.mark();
            self.sum_ns += self.gap_ns(self.at);
            self.at += 1;
        }
        self.mark();
    }

    fn mark(&mut self) {
        if self.at.is_multiple_of(MARK_TASKS) && self.at / MARK_TASKS == self.marks.len() as u64 {
            self.marks.push(self.sum_ns);
        }
    }

    /// The gap before task `index`: exponential, by inversion.
    fn gap_ns(&self, index: u64) -> f64 {
        -libm::log1p(-self.gaps.unit(index)) * self.arrivals.gap_ns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timetable(rate_per_s: f64, pattern: Pattern, seed: u64) -> Timetable {
        Timetable::new(Arrivals::try_new(rate_per_s, pattern).unwrap(), seed)
    }

    #[test]
    fn rates_that_are_none_are_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.1e6] {
            assert_eq!(Arrivals::try_new(rate, Pattern::Constant), None, "{rate}");
        }
        assert!(Arrivals::try_new(RATE_MAX_PER_S, Pattern::Poisson).is_some());
    }

    #[test]
    fn constant_arrivals_are_evenly_apart_and_never_overflow() {
        let mut times = timetable(200.0, Pattern::Constant, 1);
        assert_eq!([0, 1, 7, 200].map(|index| times.due(index).0), [0, 5_000_000, 35_000_000, 1_000_000_000]);
        assert_eq!(timetable(1e-9, Pattern::Constant, 1).due(u64::MAX).0, u64::MAX);
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        const TASKS: u64 = 20_000;
        let mut times = timetable(1_000.0, Pattern::Poisson, 7);
        let mut gaps: Vec<f64> = (0..TASKS)
            .map(|index| {
                let before = if index == 0 { 0 } else { times.due(index - 1).0 };
                (times.due(index).0 - before) as f64 / 1e6
            })
            .collect();
        let mean = gaps.iter().sum::<f64>() / TASKS as f64;
        assert!((mean - 1.0).abs() < 3.0 / libm::sqrt(TASKS as f64), "{mean}");
        // Kolmogorov and Smirnov's distance from 1 - exp(-x), at a level of 0.1 %.
        gaps.sort_by(f64::total_cmp);
        let distance = (0..).zip(&gaps).map(|(rank, gap)| {
            let expected = 1.0 - libm::exp(-gap);
            let (below, above) = (f64::from(rank) / TASKS as f64, f64::from(rank + 1) / TASKS as f64);
            (expected - below).abs().max((above - expected).abs())
        });
        let distance = distance.fold(0.0, f64::max);
        assert!(distance < 1.95 / libm::sqrt(TASKS as f64), "{distance}");
    }

    #[test]
    fn neighbouring_gaps_have_nothing_to_do_with_each_other() {
        const TASKS: u64 = 20_000;
        let mut times = timetable(1.0, Pattern::Poisson, 3);
        let due: Vec<f64> = (0..TASKS).map(|index| times.due(index).0 as f64 / 1e9).collect();
        let gaps: Vec<f64> = due.windows(2).map(|pair| pair[1] - pair[0] - 1.0).collect();
        let correlation = gaps.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / TASKS as f64;
        assert!(correlation.abs() < 4.0 / libm::sqrt(TASKS as f64), "{correlation}");
    }

    #[test]
    fn times_follow_from_seed_and_index_alone() {
        let mut forward = timetable(50.0, Pattern::Poisson, 11);
        let all: Vec<Span> = (0..5_000).map(|index| forward.due(index)).collect();
        assert!(all.is_sorted());
        let mut jumping = timetable(50.0, Pattern::Poisson, 11);
        for index in [4_999, 0, 1_024, 1_023, 3_000, 2_047, 2_048, 4_095, 1] {
            assert_eq!(jumping.due(index), all[index as usize], "{index}");
        }
        assert_ne!(timetable(50.0, Pattern::Poisson, 12).due(100), all[100]);
    }
}
