//! Which tasks of a job are looked at one by one. Whether a task is one of them follows from its index, so that nobody has
//! to agree on it: each index has a lot, and the tasks with the lowest lots are the sample. It is a random one of all tasks,
//! whatever their order means, also for a job whose number of tasks is not known before its end ("bottom-k sampling":
//! Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007).

use crate::random::Stream;

/// The most tasks that a job may want to have looked at.
pub const SAMPLES_MAX: u32 = 10_000;
/// The lots are this stream of the job's seed.
const LOTS: u64 = 0x7361_6d70_6c65_7300;
/// More tasks than wanted are drawn, by this factor and this number: with them it is practically certain that there are
/// enough of them. Whoever gathers them keeps those with the lowest lots.
const SPARE_FACTOR: u64 = 2;
const SPARE: u64 = 32;
/// Asking an index for its lot takes longer than running an empty task. Where few are drawn, neighbours share a lot, which
/// belongs to one of them, and only the groups have to be asked: 2 to the power of this many tasks are the largest.
const GROUP_BITS_MAX: u32 = 12;
/// In each group of neighbours this stream says whose the lot is.
const PLACES: u64 = 0x706c_6163_6573_0000;

/// The tasks of one job that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling {
    lots: Stream,
    wanted: u32,
    /// Tasks of the job; 0: not known yet.
    tasks: u64,
    /// Neighbours that share a lot are 2 to this power.
    group_bits: u32,
}

impl Sampling {
    /// A sample of so many tasks, of a job of `tasks` (0: not known yet); `None`: nobody wants one.
    #[must_use]
    pub fn new(wanted: u32, tasks: u64, seed: u64) -> Option<Self> {
        let lots = Stream::new(seed).split(LOTS);
        // At most every second group is drawn, so that the sample is spread as a random one is.
        let group_bits = (tasks / (2 * drawn(wanted))).checked_ilog2().unwrap_or(0).min(GROUP_BITS_MAX);
        (wanted > 0).then_some(Self { lots, wanted, tasks, group_bits })
    }

    /// The task's lot: no two tasks of a job have the same, but those that are never in the sample.
    #[must_use]
    pub const fn lot(&self, index: u64) -> u64 {
        let group = index >> self.group_bits;
        if self.chosen(group) == index { self.lots.bits(group) } else { u64::MAX }
    }

    /// Whether a task may be in the sample.
    #[must_use]
    pub const fn has(&self, index: u64) -> bool {
        // Of a job that still grows a task must be among the lowest of those up to it.
        let among = if self.tasks == 0 { index.saturating_add(1) } else { self.tasks };
        let drawn = drawn(self.wanted);
        if among <= drawn {
            return true;
        }
        let group = index >> self.group_bits;
        let share = (u64::MAX / among).saturating_mul(drawn << self.group_bits);
        self.lots.bits(group) < share && self.chosen(group) == index
    }

    /// The first task from `start` and before `end` that may be in the sample.
    #[must_use]
    pub fn first_in(&self, start: u64, end: u64) -> Option<u64> {
        if self.group_bits == 0 {
            return (start..end).find(|&index| self.has(index));
        }
        let groups = start >> self.group_bits..(end + ((1 << self.group_bits) - 1)) >> self.group_bits;
        let share = (u64::MAX / self.tasks).saturating_mul(drawn(self.wanted) << self.group_bits);
        groups
            .filter(|&group| self.lots.bits(group) < share)
            .map(|group| self.chosen(group))
            .find(|index| (start..end).contains(index))
    }

    /// The one task of a group that its lot belongs to.
    const fn chosen(&self, group: u64) -> u64 {
        let first = group << self.group_bits;
        if self.group_bits == 0 {
            return first;
        }
        first | self.lots.split(PLACES).bits(group) >> (u64::BITS - self.group_bits)
    }
}

/// How many tasks are drawn for a sample of so many.
const fn drawn(wanted: u32) -> u64 {
    SPARE_FACTOR * wanted as u64 + SPARE
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn lowest(sampling: Sampling, drawn: &[u64], wanted: usize) -> Vec<u64> {
        let mut drawn = drawn.to_vec();
        drawn.sort_by_key(|&index| sampling.lot(index));
        drawn.truncate(wanted);
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn what_is_drawn_has_the_lowest_lots_of_all_in_it() {
        for (wanted, tasks, known) in [
            (1, 50_000, true),
            (100, 50_000, true),
            (100, 50_000, false),
            (10_000, 50_000, false),
            (7, 7, true),
        ] {
            let sampling = Sampling::new(wanted, if known { tasks } else { 0 }, 5).unwrap();
            let drawn: Vec<u64> = (0..tasks).filter(|&index| sampling.has(index)).collect();
            let all: Vec<u64> = (0..tasks).collect();
            let wanted = wanted as usize;
            assert_eq!(
                lowest(sampling, &drawn, wanted),
                lowest(sampling, &all, wanted),
                "{wanted} of {tasks}"
            );
            if known {
                assert!(drawn.len() <= 2 * (2 * wanted + 32), "{} drawn for {wanted}", drawn.len());
            }
        }
    }

    #[test]
    fn the_sample_is_spread_over_the_job() {
        let sampling = Sampling::new(1_000, 100_000, 1).unwrap();
        let drawn: Vec<u64> = (0..100_000).filter(|&index| sampling.has(index)).collect();
        let sample = lowest(sampling, &drawn, 1_000);
        let mean = sample.iter().sum::<u64>() as f64 / 1_000.0;
        // Even numbers have a standard deviation of a twelfth's root.
        assert!((mean - 50_000.0).abs() < 4.0 * 28_868.0 / libm::sqrt(1_000.0), "{mean}");
        assert_eq!(sampling.first_in(0, 100_000), drawn.first().copied());
        assert_eq!(sampling.first_in(3, 3), None);
    }

    #[test]
    fn whoever_looks_for_the_next_one_finds_all_of_them() {
        for (wanted, tasks) in [(1, 1_000_000), (10, 2_000), (100, 65_536), (300, 300_001)] {
            let sampling = Sampling::new(wanted, tasks, 9).unwrap();
            let drawn: Vec<u64> = (0..tasks).filter(|&index| sampling.has(index)).collect();
            assert!(drawn.len() >= wanted as usize, "{} of {wanted}", drawn.len());
            let (mut at, mut found) = (0, Vec::new());
            while let Some(index) = sampling.first_in(at, tasks) {
                found.push(index);
                at = index + 1;
            }
            assert_eq!(found, drawn, "{wanted} of {tasks}");
            for (start, end) in [(0, 100), (17, 4_000), (tasks - 5, tasks)] {
                let first = drawn.iter().copied().find(|index| (start..end).contains(index));
                assert_eq!(sampling.first_in(start, end), first, "{start}..{end}");
            }
        }
    }

    #[test]
    fn nobody_is_looked_at_unless_somebody_wants_it() {
        assert_eq!(Sampling::new(0, 10, 1), None);
    }
}
