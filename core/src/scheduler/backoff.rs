//! Tasks that wait before they are tried again. They hold nobody up: until their time comes they are not ready.

use super::Scheduler;
use crate::id::JobId;
use crate::mutation::Mutation;
use crate::range::IndexRange;
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};

/// The waiting tasks of all jobs, by when they may be tried again.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeSet<(Time, JobId, u64)>);

/// The waiting tasks of one job: when each may be tried again, as which attempt.
pub(super) type Later = BTreeMap<u64, (Time, u32)>;

impl Waiting {
    /// When the first task has waited long enough.
    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|&(due, ..)| due)
    }

    /// The job is no more.
    pub(super) fn forget(&mut self, job: JobId, later: &Later) {
        for (&index, &(due, _)) in later {
            self.0.remove(&(due, job, index));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, due: Time, job: JobId, index: u64) -> bool {
        self.0.contains(&(due, job, index))
    }
}

impl Scheduler {
    /// A task that nobody has is tried again, but not before `due`.
    pub(super) fn try_again(&mut self, id: JobId, index: u64, attempt: u32, due: Time) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if due <= self.now || self.broken.strikes(Mutation::BackoffIgnored) {
            job.ready.insert(attempt, IndexRange::from_count(index, 1));
            return;
        }
        job.later.insert(index, (due, attempt));
        self.waiting.0.insert((due, id, index));
    }

    /// Tasks that have waited long enough are ready.
    pub(super) fn end_backoffs(&mut self) {
        while let Some(&(due, id, index)) = self.waiting.0.first().filter(|(due, ..)| *due <= self.now) {
            self.waiting.0.remove(&(due, id, index));
            if let Some(job) = self.jobs.get_mut(&id)
                && let Some((_, attempt)) = job.later.remove(&index)
            {
                job.ready.insert(attempt, IndexRange::from_count(index, 1));
            }
            self.settle(id);
        }
    }
}
