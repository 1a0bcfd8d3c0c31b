//! Cancelled jobs: which workers still run tasks of them, and how the tasks came to a stop.

use muster_core::id::{JobId, WorkerId};
use muster_proto::convert::Stopped;
use muster_proto::v1::{JobStatus, JobStopped};
use std::collections::{BTreeMap, BTreeSet};

/// Jobs that workers were told to stop, as long as the jobs are remembered.
#[derive(Debug, Default)]
pub struct Stopping {
    jobs: BTreeMap<JobId, Stop>,
}

#[derive(Debug, Default)]
struct Stop {
    /// They have not said that nothing of it runs any more.
    workers: BTreeSet<WorkerId>,
    sum: Stopped,
}

impl Stopping {
    /// A worker is told to stop a job.
    pub fn asked(&mut self, job: JobId, worker: WorkerId) {
        self.jobs.entry(job).or_default().workers.insert(worker);
    }

    /// Nothing of a job runs any more at a worker; what was not asked for changes nothing.
    pub fn stopped(&mut self, worker: WorkerId, said: Stopped) {
        let Some(stop) = self.jobs.get_mut(&said.job) else { return };
        if stop.workers.remove(&worker) {
            let sum = &mut stop.sum;
            sum.asked = sum.asked.saturating_add(said.asked);
            sum.terminated = sum.terminated.saturating_add(said.terminated);
            sum.killed = sum.killed.saturating_add(said.killed);
            sum.longest = sum.longest.max(said.longest);
        }
    }

    /// A worker is gone, and its executors with it.
    pub fn lost(&mut self, worker: WorkerId) {
        for stop in self.jobs.values_mut() {
            stop.workers.remove(&worker);
        }
    }

    /// The job is not remembered any more.
    pub fn forget(&mut self, job: JobId) {
        self.jobs.remove(&job);
    }

    /// Adds what is known to a job's status.
    pub fn tell(&self, job: JobId, status: &mut JobStatus) {
        let Some(stop) = self.jobs.get(&job) else { return };
        status.stopping = stop.workers.len() as u32;
        let Stopped { job: _, asked, terminated, killed, longest } = stop.sum;
        status.stopped = Some(JobStopped { job: job.0, asked, terminated, killed, longest_ns: longest.0 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_core::time::Span;

    #[test]
    fn each_worker_counts_once_and_a_lost_one_has_stopped() {
        let mut stopping = Stopping::default();
        let said = |asked, killed, longest| Stopped {
            job: JobId(1),
            asked,
            terminated: 0,
            killed,
            longest: Span(longest),
        };
        let status = |stopping: &Stopping| {
            let mut status = JobStatus::default();
            stopping.tell(JobId(1), &mut status);
            (status.stopping, status.stopped.map(|it| (it.asked, it.killed, it.longest_ns)))
        };
        stopping.stopped(WorkerId(1), said(9, 9, 9));
        assert_eq!(status(&stopping), (0, None), "nobody was asked");
        (1..=3).for_each(|worker| stopping.asked(JobId(1), WorkerId(worker)));
        stopping.stopped(WorkerId(1), said(2, 1, 70));
        stopping.stopped(WorkerId(1), said(2, 1, 70));
        assert_eq!(status(&stopping), (2, Some((2, 1, 70))));
        stopping.lost(WorkerId(2));
        stopping.stopped(WorkerId(3), said(1, 0, 50));
        assert_eq!(status(&stopping), (0, Some((3, 1, 70))));
        stopping.forget(JobId(1));
        assert_eq!(status(&stopping), (0, None));
    }
}
