//! What a simulation found.

use crate::measure::Measures;
use muster_core::scheduler::Outcome;
use muster_core::time::{Span, Time};

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed that makes the same run again.
    pub seed: u64,
    /// From the first submission to the end of the last job, or to the end of the simulation when some did not end.
    pub makespan: Span,
    /// All jobs, in the order of the scenario.
    pub jobs: Vec<JobReport>,
    /// Events handled.
    pub events: u64,
    /// Inputs that the scheduler handled.
    pub scheduler_inputs: u64,
    /// Inputs that all agents handled.
    pub agent_inputs: u64,
    /// What was measured.
    pub measures: Measures,
    /// Slots of the workers at the start.
    pub slots: u64,
    /// Stands for everything that happened.
    pub digest: u64,
    /// The run was stopped from outside.
    pub stopped: bool,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobReport {
    /// Its name.
    pub name: String,
    /// Tasks it has.
    pub tasks: u64,
    /// Tasks with a result.
    pub committed: u64,
    /// Tasks that failed for good.
    pub failed: u64,
    /// When it was submitted.
    pub submitted: Option<Time>,
    /// When it ended, if it did.
    pub ended: Option<Time>,
    /// How it ended.
    pub outcome: Option<Outcome>,
}

impl JobReport {
    /// From its submission to its end, if it ended.
    #[must_use]
    pub fn time(&self) -> Option<Span> {
        Some(self.ended?.since(self.submitted?))
    }
}

impl Report {
    /// Tasks of all jobs.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.jobs.iter().map(|job| job.tasks).sum()
    }

    /// Tasks with a result.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.jobs.iter().map(|job| job.committed).sum()
    }

    /// Tasks that neither have a result nor failed for good.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.jobs.iter().map(|job| job.tasks - job.committed - job.failed).sum()
    }

    /// Attempts beyond one for each task that ended, or whose result was on its way.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        let once = self.tasks() - self.unfinished() + self.measures.on_the_way;
        (self.measures.attempts + self.measures.interrupted).saturating_sub(once)
    }

    /// The part of the slots' time that was spent on tasks, 0..1; of the slots there were at the start.
    #[must_use]
    pub fn utilisation(&self) -> f64 {
        self.measures.busy.as_secs_f64() / (self.makespan.as_secs_f64() * self.slots as f64).max(1e-9)
    }

    /// Tasks per second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        self.committed() as f64 / self.makespan.as_secs_f64().max(1e-9)
    }

    /// The part of the time in which the coordinator was busy with messages, 0..1.
    #[must_use]
    pub fn coordinator_load(&self) -> f64 {
        self.measures.coordinating.as_secs_f64() / self.makespan.as_secs_f64().max(1e-9)
    }

    /// Tasks per second at which the coordinator would have no time left; none: its messages cost nothing.
    #[must_use]
    pub fn saturates_at(&self) -> Option<f64> {
        let per_task = self.measures.coordinating.as_secs_f64() / self.committed().max(1) as f64;
        (per_task > 0.0).then(|| 1.0 / per_task)
    }
}
