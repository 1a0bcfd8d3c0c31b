//! What the statistics of a comparison promise, held against a machine of which the truth is known: false alarms,
//! what is found, and how often intervals cover. Everything goes the whole way, with the rule that stops.
//!
//! ```text
//! cargo test --test statistics -- --nocapture
//! ```

#![allow(clippy::unwrap_used, missing_docs)]

mod reference;
mod synthetic;

use muster::statistics::{Analysis, Blocks, Claim, Enough, Interval, median_interval, ratio};
use synthetic::{Drift, Machine, compare};

const SEED: u64 = 20_260_101;
const TRIALS: u64 = 1_000;

/// Promised of comparisons of equal configurations: no more of them have any claim of `Slower`.
const FALSE_ALARMS_MAX: f64 = 0.065;
/// Promised where one of them takes 10 % longer.
const FOUND_MIN: f64 = 0.9;
/// Promised of intervals that are called 95 %.
const COVERAGE: std::ops::RangeInclusive<f64> = 0.93..=0.99;

/// How many of how many.
#[derive(Default)]
struct Part {
    hits: u64,
    of: u64,
}

impl Part {
    fn count(&mut self, is_hit: bool) {
        self.hits += u64::from(is_hit);
        self.of += 1;
    }

    fn part(&self) -> f64 {
        self.hits as f64 / self.of as f64
    }

    fn percent(&self) -> String {
        format!("{:.1} %", 100.0 * self.part())
    }
}

fn covers(interval: Option<Interval>, truth: f64) -> bool {
    interval.is_some_and(|interval| interval.lo <= truth && truth <= interval.hi)
}

/// What many comparisons came to.
#[derive(Default)]
struct Tally {
    false_alarms: Part,
    found: Part,
    pairs: Part,
    to_best: Part,
    blocks: Part,
}

impl Tally {
    fn of(seed: u64, truth: &[f64], drift: Drift) -> Self {
        let mut tally = Self::default();
        for trial in 0..TRIALS {
            let (blocks, analysis) = compare(seed, trial, truth, drift);
            tally.add(truth, &blocks, &analysis);
        }
        tally.print(seed, truth, drift);
        tally
    }

    fn add(&mut self, truth: &[f64], blocks: &Blocks, analysis: &Analysis) {
        assert_eq!(analysis.enough, Enough::Yes);
        let best = analysis.best.unwrap();
        let is_slow = |configuration: usize| truth[configuration] > 1.0;
        let claimed = |is_meant: &dyn Fn(usize) -> bool| {
            let mut meant = analysis.standings.iter().filter(|standing| is_meant(standing.configuration));
            meant.any(|standing| standing.claim == Claim::Slower)
        };
        self.false_alarms.count(claimed(&|configuration| !is_slow(configuration)));
        self.found.count(claimed(&is_slow));
        for pair in &analysis.pairs {
            self.pairs.count(covers(pair.ratio, truth[pair.second] / truth[pair.first]));
        }
        for standing in analysis.standings.iter().filter(|standing| standing.configuration != best) {
            self.to_best.count(covers(standing.ratio_to_best, truth[standing.configuration] / truth[best]));
        }
        self.blocks.hits += blocks.len() as u64;
        self.blocks.of += 1;
    }

    fn print(&self, seed: u64, truth: &[f64], drift: Drift) {
        eprintln!(
            "seed {seed} {truth:?} {drift:?}: {:.1} blocks, false alarms {}, found {}, covered: pairs {}, to the best {}",
            self.blocks.part(),
            self.false_alarms.percent(),
            self.found.percent(),
            self.pairs.percent(),
            self.to_best.percent()
        );
    }

    fn assert_few_false_alarms(&self) {
        assert!(self.false_alarms.part() <= FALSE_ALARMS_MAX, "{}", self.false_alarms.percent());
    }

    fn assert_covers(&self) {
        for part in [&self.pairs, &self.to_best] {
            assert!(COVERAGE.contains(&part.part()), "{}", part.percent());
        }
    }
}

#[test]
fn equal_configurations_are_seldom_called_slower() {
    use Drift::{Independent, Walk};
    for (configurations, drift) in [(2, Walk), (4, Independent), (4, Walk), (6, Independent), (6, Walk)] {
        let tally = Tally::of(SEED, &vec![1.0; configurations], drift);
        tally.assert_few_false_alarms();
        tally.assert_covers();
    }
}

#[test]
fn a_configuration_that_is_ten_percent_slower_is_found() {
    // In the first, the slow one is the baseline, and the twin is as slow.
    let slow = [
        (&[1.1, 1.0, 1.0, 1.0][..], Drift::Independent),
        (&[1.0, 1.0, 1.0, 1.1], Drift::Walk),
        (&[1.0, 1.0, 1.0, 1.0, 1.1, 1.0], Drift::Walk),
    ];
    for (truth, drift) in slow {
        let tally = Tally::of(SEED + 1, truth, drift);
        assert!(tally.found.part() >= FOUND_MIN, "{}", tally.found.percent());
        tally.assert_few_false_alarms();
        tally.assert_covers();
    }
}

#[test]
fn intervals_of_so_many_blocks_cover() {
    let truth = [1.0, 1.05, 0.8, 1.0];
    for count in [5, 6, 8, 10, 15, 20, 40] {
        let (mut ratios, mut medians) = (Part::default(), Part::default());
        for trial in 0..TRIALS {
            let mut machine = Machine::new(SEED + 2, trial, &truth, Drift::Independent);
            let mut blocks = machine.blocks();
            for _ in 0..count {
                machine.run(&mut blocks);
            }
            for (a, b) in [(0, 1), (1, 2), (3, 0)] {
                let found = ratio(blocks.values(a), blocks.values(b));
                ratios.count(covers(found, truth[a] / truth[b]));
            }
            // The others share the machine's speed, and would be wrong in the same trials.
            medians.count(covers(median_interval(blocks.values(2)), truth[2]));
        }
        eprintln!(
            "seed {} {count} blocks: covered: ratios {}, medians {}",
            SEED + 2,
            ratios.percent(),
            medians.percent()
        );
        for part in [ratios, medians] {
            assert!(COVERAGE.contains(&part.part()), "{}", part.percent());
        }
    }
}
