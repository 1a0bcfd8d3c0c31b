//! What is compared: the times of runs, or, where tasks arrive at a rate that fixes those, their latency.

use super::sample::Sample;
use super::verdict::with_interval;
use super::{Spread, tasks};
use crate::exit::{Exit, Failure, Outcome};
use crate::summary::seconds;
use muster_proto::v1;
use serde::{Deserialize, Serialize};

/// A run with arrivals lasts so long, unless somebody gives a number of tasks.
const OPEN_RUN_S: f64 = 2.0;

/// The quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// From submitting a job to its end.
    #[default]
    Time,
    /// The 95th percentile of the time from when tasks were meant to start to their end.
    LatencyP95,
}

impl Measure {
    /// Of tasks with these arrivals, or without any.
    pub const fn of(arrivals: Option<v1::Arrivals>) -> Self {
        if arrivals.is_some() { Self::LatencyP95 } else { Self::Time }
    }

    /// What a run came to, in seconds.
    pub fn value(self, name: &str, sample: &Sample) -> Outcome<f64> {
        match self {
            Self::Time => Ok(sample.time.as_secs_f64()),
            Self::LatencyP95 => sample.latency_p95_s.ok_or_else(|| {
                let (tasks, least) = (sample.tasks, tasks::P95_TASKS_MIN);
                Failure::new(
                    Exit::Job,
                    format_args!("{name}: of {tasks} tasks there is no 95th percentile of latency"),
                )
                .hint(format_args!("with --rate a run needs {least} tasks: ten of them are above it then"))
            }),
        }
    }

    /// As in sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::LatencyP95 => "p95 latency",
        }
    }

    /// The head of the column with it.
    pub const fn head(self) -> &'static str {
        match self {
            Self::Time => "TIME (95 %)",
            Self::LatencyP95 => "P95 LATENCY (95 %)",
        }
    }

    /// What may be said of a row that has more of it than the best.
    pub const fn more(self) -> &'static str {
        match self {
            Self::Time => "slower",
            Self::LatencyP95 => "higher",
        }
    }

    /// The same of less.
    pub const fn less(self) -> &'static str {
        match self {
            Self::Time => "faster",
            Self::LatencyP95 => "lower",
        }
    }

    /// `takes 1.40 (1.31-1.52) times as long`.
    pub fn times_as_much(self, ratio: &Spread) -> String {
        let ratio = with_interval(ratio);
        match self {
            Self::Time => format!("takes {ratio} times as long"),
            Self::LatencyP95 => format!("has {ratio} times the p95 latency"),
        }
    }

    /// `took 310 ms`.
    pub fn took(self, value_s: f64) -> String {
        match self {
            Self::Time => format!("took {}", seconds(value_s)),
            Self::LatencyP95 => format!("had a p95 latency of {}", seconds(value_s)),
        }
    }
}

/// Tasks of a run with arrivals, where nobody says how many: those of two seconds, and enough for a percentile.
pub fn open_tasks(arrivals: v1::Arrivals) -> u64 {
    ((arrivals.rate_per_s * OPEN_RUN_S).ceil() as u64).max(tasks::P95_TASKS_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_with_arrivals_has_tasks_for_two_seconds_and_for_a_percentile() {
        let tasks = |rate_per_s| open_tasks(v1::Arrivals { rate_per_s, pattern: 1 });
        assert_eq!((tasks(200.0), tasks(200.2), tasks(5.0), tasks(1e6)), (400, 401, 200, 2_000_000));
    }
}
