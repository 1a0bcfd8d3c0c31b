//! What was measured.

use muster_proto::v1;

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Seconds from the first submission to the end of the last job, as the client saw both.
    pub makespan_s: f64,
    /// Tasks with a committed result.
    pub committed: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// Attempts whose outcome counted, with those that had to be repeated.
    pub attempts: u64,
    /// Results that came again, or too late, and were dropped.
    pub duplicates: u64,
    /// Workers that were lost.
    pub lost_workers: u64,
    /// Committed tasks of each worker, over all its lives, in the order of the experiment.
    pub by_worker: Vec<u64>,
    /// The largest time by which something of the schedule happened late, in seconds.
    pub late_s: f64,
    /// The jobs, in the order of the experiment.
    pub jobs: Vec<JobRun>,
}

/// One job of a run.
#[derive(Clone, Debug)]
pub struct JobRun {
    /// Seconds from sending it to its end, as the client saw both.
    pub makespan_s: f64,
    /// Seconds from sending it to the coordinator's answer.
    pub submit_s: f64,
    /// All that the coordinator says of it.
    pub status: v1::JobStatus,
    /// The combined output, if it has one.
    pub reduced: Option<Vec<u8>>,
}

/// All runs of an experiment.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// In their order, at least one.
    pub runs: Vec<Run>,
}

/// How far apart repeated measurements are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The smallest.
    pub min: f64,
    /// Half of them are smaller.
    pub median: f64,
    /// The largest.
    pub max: f64,
}

impl Repeated {
    /// The spread of the makespans, in seconds.
    #[must_use]
    pub fn makespan(&self) -> Spread {
        Spread::of(self.runs.iter().map(|run| run.makespan_s).collect())
    }
}

impl Spread {
    /// The spread of some numbers; zeros when there are none.
    pub(crate) fn of(mut numbers: Vec<f64>) -> Self {
        numbers.sort_unstable_by(f64::total_cmp);
        let at = |place: usize| numbers.get(place).copied().unwrap_or(0.0);
        let (half, last) = (numbers.len() / 2, numbers.len().saturating_sub(1));
        let median =
            if numbers.len() % 2 == 1 { at(half) } else { (at(half.saturating_sub(1)) + at(half)) / 2.0 };
        Self { min: at(0), median, max: at(last) }
    }

    /// The distance between the smallest and the largest, as a part of the median.
    #[must_use]
    pub fn relative(&self) -> f64 {
        if self.median > 0.0 { (self.max - self.min) / self.median } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_runs_is_their_ends_and_their_middle() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        let even = Spread::of(vec![4.0, 1.0, 2.0, 3.0]);
        assert_eq!((even.median, even.relative()), (2.5, 1.2));
        assert_eq!(Spread::of(vec![]).relative(), 0.0);
    }
}
