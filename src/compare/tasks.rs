//! Single tasks of the runs of a comparison: how many are looked at, and what a percentile needs.

use super::group::Group;
use crate::cluster::clients;
use crate::exit::{Failure, Outcome};
use crate::summary::secs;
use muster_core::sampling::SAMPLES_MAX;
use muster_core::time::Span;
use muster_proto::link::Link;
use muster_proto::v1;

/// Of fewer tasks not ten are above the 95th percentile.
pub const P95_TASKS_MIN: u64 = 200;
/// Lines of all runs together, so that the file stays small.
pub const LINES_MAX: usize = 20_000;
/// Lines of one run.
const RUN_LINES_MAX: usize = 100;
/// As many blocks as there are before a target is reached, as a rule; of more the file has the first.
const BLOCKS_USUAL: usize = 40;
/// What looking at tasks may add to the time of a run.
const COST_SHARE_MAX: f64 = 0.01;
/// What it does add, at the most: each task that is looked at runs in a call of its own,
const COST_RUN_S: f64 = 200e-6;
/// and each of all tasks is asked whether it is one of them. Measured on 2 slots: 0.1 ms, and 6 ns a task.
const COST_TASK_S: f64 = 10e-9;

/// One task of a run, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TaskRun {
    pub index: u64,
    /// From when the first executor was ready.
    pub start_s: f64,
    pub run_s: f64,
    /// From its intended start to its end, where it had one.
    pub latency_s: Option<f64>,
    /// Where it ran: the numbers of its worker, of the executor there, and of the thread in that.
    pub worker: u64,
    pub executor: u64,
    pub thread: u32,
    pub attempt: u32,
    /// How long it lay on the worker before.
    pub queued_s: f64,
    /// For the lock of its executor.
    pub lock_wait_s: f64,
}

impl From<v1::TaskSample> for TaskRun {
    fn from(sample: v1::TaskSample) -> Self {
        Self {
            index: sample.index,
            start_s: secs(Span(sample.start_ns)),
            run_s: secs(Span(sample.run_ns)),
            latency_s: sample.latency_ns.map(Span).map(secs),
            worker: sample.worker,
            executor: sample.executor,
            thread: sample.thread,
            attempt: sample.attempt,
            queued_s: secs(Span(sample.queued_ns)),
            lock_wait_s: secs(Span(sample.lock_wait_ns)),
        }
    }
}

/// How many tasks a run has lines of, so that all runs together have not too many.
pub fn lines(groups: &[Group], blocks: Option<usize>) -> usize {
    // Each group's baseline runs twice.
    let runs: usize = groups.iter().map(|group| group.cases.len() + 1).sum();
    let blocks = blocks.unwrap_or(BLOCKS_USUAL).max(1);
    (LINES_MAX / (runs * blocks).max(1)).min(RUN_LINES_MAX)
}

/// Whether that would be seen in the time of a run of so many tasks.
pub fn is_seen(run_s: f64, tasks: u64) -> bool {
    COST_RUN_S + COST_TASK_S * tasks as f64 > COST_SHARE_MAX * run_s
}

/// What the coordinator knows of single tasks of a job.
pub async fn fetch(link: &Link, job: u64) -> Outcome<Vec<TaskRun>> {
    let request = v1::TaskSamplesRequest { job };
    let reply = clients::jobs(link).task_samples(request).await;
    let failed = |status: tonic::Status| Failure::about_job("asking for single tasks", &status);
    let mut samples = reply.map_err(failed)?.into_inner().samples;
    // Of a task that ran more than once the last run counts: the runs of a task follow one another.
    samples.reverse();
    samples.dedup_by_key(|sample| sample.index);
    samples.reverse();
    // What failed is not compared.
    Ok(samples.into_iter().filter(|sample| !sample.failed).map(TaskRun::from).collect())
}

/// So many of them, as far apart as can be.
pub fn thinned(tasks: &[TaskRun], wanted: usize) -> Vec<TaskRun> {
    let wanted = wanted.min(tasks.len());
    (0..wanted).map(|at| tasks[at * tasks.len() / wanted]).collect()
}

/// As many as there can be, for what is found in them.
pub const ALL: u32 = SAMPLES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_short_runs_and_of_runs_of_very_many_are_not_looked_at() {
        assert!(!is_seen(0.2, 100_000) && is_seen(0.2, 1_000_000));
        assert!(is_seen(0.005, 16) && !is_seen(0.030, 16));
    }

    #[test]
    fn lines_are_few_and_spread_over_the_run() {
        let task = |index| TaskRun { index, ..TaskRun::default() };
        let all: Vec<TaskRun> = (0..10).map(task).collect();
        let of = |wanted| thinned(&all, wanted).iter().map(|task| task.index).collect::<Vec<u64>>();
        assert_eq!((of(3), of(0), of(20)), (vec![0, 3, 6], vec![], (0..10).collect()));
    }
}
