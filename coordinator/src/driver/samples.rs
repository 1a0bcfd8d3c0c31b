//! The tasks of a job that are looked at one by one. They are kept in memory and not in the store: they are for whoever
//! watches an experiment, and no result depends on them.

use super::{Driver, Refusal};
use muster_core::id::{JobId, WorkerId};
use muster_core::sampling::Sampling;
use muster_proto::convert::{Submission, TaskSample};
use muster_proto::v1;
use std::collections::BTreeMap;

/// Samples of ended jobs that are kept in all; those of the oldest go first.
const ENDED_SAMPLES_MAX: usize = 1_000_000;

/// The samples of one job: those with the lowest lots, so that they are a random sample of all of its tasks.
#[derive(Debug, Default)]
pub struct Samples {
    wanted: usize,
    sampling: Option<Sampling>,
    by_lot: BTreeMap<u64, v1::TaskSample>,
}

impl Samples {
    /// None yet, of as many as a job wants.
    pub fn new(submission: &Submission) -> Self {
        let wanted = submission.task_samples;
        let sampling = Sampling::new(wanted, submission.spec.tasks, submission.seed);
        Self { wanted: wanted as usize, sampling, by_lot: BTreeMap::new() }
    }

    /// A worker tells of a run; the last one of a task counts.
    pub fn add(&mut self, worker: WorkerId, sample: TaskSample) {
        let Some(sampling) = self.sampling else { return };
        self.by_lot.insert(sampling.lot(sample.index), sample.to_wire(worker.0));
        if self.by_lot.len() > self.wanted {
            self.by_lot.pop_last();
        }
    }

    /// All of them, by index.
    fn list(&self) -> Vec<v1::TaskSample> {
        let mut samples: Vec<_> = self.by_lot.values().copied().collect();
        samples.sort_unstable_by_key(|sample| sample.index);
        samples
    }
}

impl Driver {
    /// What is known of single tasks of a job; 0 is the newest.
    pub(super) fn task_samples(&self, id: JobId) -> Result<v1::TaskSamplesReply, Refusal> {
        let id = self.resolve(id)?;
        let live = self.jobs.get(&id).map(|job| &job.samples);
        let samples = live.or_else(|| Some(&self.ended.get(&id)?.samples)).ok_or_else(|| self.no_job(id))?;
        Ok(v1::TaskSamplesReply { job: id.0, samples: samples.list() })
    }

    /// Forgets samples of ended jobs beyond the limit, oldest first.
    pub(super) fn forget_samples(&mut self) {
        let mut kept: usize = self.ended.values().map(|ended| ended.samples.by_lot.len()).sum();
        for ended in self.ended.values_mut() {
            if kept <= ENDED_SAMPLES_MAX {
                return;
            }
            kept -= ended.samples.by_lot.len();
            ended.samples.by_lot.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_lots_stay_and_the_last_run_of_a_task_counts() {
        let sampling = Sampling::new(3, 0, 7);
        let mut samples = Samples { wanted: 3, sampling, by_lot: BTreeMap::new() };
        let sample = |index, failed| TaskSample { index, failed, ..TaskSample::default() };
        (0..50).for_each(|index| samples.add(WorkerId(1), sample(index, true)));
        let mut lots: Vec<u64> = (0..50).collect();
        lots.sort_by_key(|&index| sampling.map(|sampling| sampling.lot(index)));
        let mut lowest = lots[..3].to_vec();
        lowest.sort_unstable();
        let indexes = |samples: &Samples| samples.list().iter().map(|it| it.index).collect::<Vec<_>>();
        assert_eq!(indexes(&samples), lowest);
        samples.add(WorkerId(2), sample(lowest[1], false));
        assert_eq!(indexes(&samples), lowest);
        assert_eq!((samples.list()[1].failed, samples.list()[1].worker), (false, 2));
        let mut unwanted = Samples::default();
        unwanted.add(WorkerId(1), sample(1, false));
        assert_eq!(unwanted.list(), []);
    }
}
