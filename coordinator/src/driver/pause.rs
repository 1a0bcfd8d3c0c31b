//! Jobs that are paused because most of their tasks end their executors.

use super::Driver;
use super::effect::Effect;
use crate::store::Record;
use muster_core::id::JobId;
use muster_core::range::RangeSet;
use muster_proto::v1::JobState;

impl Driver {
    /// The scheduler paused a job. Its clients hear of it when that is durable.
    pub(super) fn pause(&mut self, id: JobId, crashed: u64, good: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let reason = reason(id, crashed, good, &job.last_crash);
        tracing::warn!(job = id.0, reason, "job paused");
        job.paused = Some(reason.clone());
        self.write(Record::Paused { job: id, reason });
        self.when_durable(Effect::Paused(id));
    }

    /// A pause is durable; the job may go on already.
    pub(super) fn show_pause(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get(&id).filter(|job| job.paused.is_some()) {
            job.set_state(JobState::Paused);
        }
    }

    /// The scheduler lets a job go on, and tries tasks of it again.
    pub(super) fn released(&mut self, id: JobId, tasks: RangeSet) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.paused = None;
        job.take_failures_back(&tasks);
        let runs = job.numbers.first_grant.is_some();
        job.set_state(if runs { JobState::Running } else { JobState::Waiting });
        tracing::info!(job = id.0, tasks = tasks.len(), "job released");
        self.write(Record::Released { job: id, tasks: tasks.clone() });
        self.when_durable(Effect::Released(id, tasks));
    }

    /// Tasks that had ended, which may have become known just now, have not.
    pub(super) fn show_release(&mut self, id: JobId, tasks: &RangeSet) {
        if let Some(job) = self.jobs.get_mut(&id) {
            tasks.iter().for_each(|range| _ = job.settled.remove(range));
        }
    }
}

/// Why a job is paused and what can be done, in words.
fn reason(id: JobId, crashed: u64, good: u64, last: &str) -> String {
    let last = if last.is_empty() { String::new() } else { format!("; the last crash: {last}") };
    let id = id.0;
    format!(
        "{crashed} of its tasks ended their executor and {good} ended otherwise{last} - `muster job why {id}` tells more, \
         `muster job retry {id}` lets it go on, `muster job cancel {id}` ends it"
    )
}
