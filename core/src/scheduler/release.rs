//! Letting a paused job go on, and trying tasks again that failed for good.

use super::Scheduler;
use super::io::Output;
use super::pause::Ends;
use crate::id::JobId;
use crate::range::RangeSet;

impl Scheduler {
    /// Takes failures of tasks back. A job that is combined keeps its failures: blocks around them were combined without
    /// them.
    pub(super) fn on_retry(&mut self, id: JobId, tasks: &RangeSet) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut released = RangeSet::new();
        if job.reduction.is_none() {
            for range in tasks.iter() {
                job.failed.overlap(range).for_each(|piece| released.insert(piece));
            }
        }
        if !job.paused && released.is_empty() {
            return;
        }
        job.paused = false;
        job.ends = Ends::default();
        let attempt = job.last_attempt + 1;
        for range in released.iter() {
            job.failed.remove(range);
            job.ready.insert(attempt, range);
        }
        let pos = self.log();
        self.outputs.push_back(Output::Released { job: id, tasks: released, pos });
        self.settle(id);
    }
}
