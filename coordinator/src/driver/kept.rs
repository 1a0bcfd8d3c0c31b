//! Results of jobs, which are kept until somebody removes them: how many there are, and what goes when they are too
//! many.

use super::Driver;
use super::report::Subject;
use super::retention::Retention;
use muster_core::id::JobId;
use muster_core::scheduler::Input;
use std::collections::BTreeSet;

/// What a failure takes beside its words.
const FAILURE_BYTES: u64 = 64;

/// Bytes that are kept, and how many may be.
#[derive(Debug)]
pub struct Kept {
    max: u64,
    /// A job that has more by itself fails.
    fails_over: bool,
    bytes: u64,
    /// Jobs that added something when there was no room.
    over: BTreeSet<JobId>,
}

impl Kept {
    /// As much as is to be kept; a disk has a limit of its own.
    pub fn new(retention: &Retention) -> Self {
        let max = retention.bytes.unwrap_or(u64::MAX);
        Self { max, fails_over: retention.fails_over, bytes: 0, over: BTreeSet::new() }
    }

    /// A job that ended in an earlier life of the coordinator has so many bytes.
    pub fn found(&mut self, id: JobId, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.max {
            self.over.insert(id);
        }
    }

    /// Whether nobody waits for room.
    pub fn has_room(&self) -> bool {
        self.over.is_empty()
    }

    /// A job with so many bytes was forgotten.
    pub fn forget(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Driver {
    /// Counts results of a job that stay until the job is forgotten.
    pub(super) fn count_kept(&mut self, id: JobId, bytes: u64) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.kept_bytes = job.kept_bytes.saturating_add(bytes);
        self.kept.bytes = self.kept.bytes.saturating_add(bytes);
        if self.kept.bytes > self.kept.max {
            self.kept.over.insert(id);
        }
    }

    /// Counts what a failed task leaves.
    pub(super) fn count_kept_failure(&mut self, id: JobId, message: &str) {
        self.count_kept(id, message.len() as u64 + FAILURE_BYTES);
    }

    /// Forgets ended jobs, the oldest first, until there is room; a job for which even that is not enough fails.
    pub(super) fn make_room(&mut self) {
        for id in std::mem::take(&mut self.kept.over) {
            while self.kept.bytes > self.kept.max
                && let Some(oldest) = self.ended.iter().find(|(_, ended)| ended.kept_bytes > 0)
            {
                let (oldest, bytes) = (*oldest.0, oldest.1.kept_bytes);
                tracing::warn!(
                    job = oldest.0,
                    bytes,
                    "job forgotten: the results of jobs are more than are kept"
                );
                self.forget(oldest);
            }
            if self.kept.bytes <= self.kept.max || !self.kept.fails_over {
                continue;
            }
            if let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.over) {
                job.over_limit = Some(format!(
                    "its results are more than the {} bytes that a coordinator without --state keeps in memory; start the \
                     coordinator with --state DIR, or with more --results-memory",
                    self.kept.max
                ));
                self.tell(Input::Cancel { job: id }, Subject::Nothing);
            }
        }
    }
}
