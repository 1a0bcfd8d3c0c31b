//! Results that are kept in memory, because there is no state folder: how many there are, and what goes when they
//! are too many.

use super::Driver;
use super::report::Subject;
use muster_core::id::JobId;
use muster_core::scheduler::Input;
use std::collections::BTreeSet;

/// What a failure takes beside its words.
const FAILURE_BYTES: u64 = 64;

/// Bytes that are kept, and how many may be.
#[derive(Debug)]
pub struct Kept {
    max: u64,
    bytes: u64,
    /// Jobs that added something when there was no room.
    over: BTreeSet<JobId>,
}

impl Kept {
    /// At most `max` bytes; `None`: a disk has its own limit.
    pub fn new(max: Option<u64>) -> Self {
        Self { max: max.unwrap_or(u64::MAX), bytes: 0, over: BTreeSet::new() }
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
                    "job forgotten with its results: memory is full without --state"
                );
                self.forget(oldest);
            }
            if self.kept.bytes <= self.kept.max {
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
