//! Jobs that have ended: what is still told about them.

use super::command::ResultsAsk;
use super::logs::Hosts;
use super::samples::Samples;
use super::{Page, Refusal};
use crate::store::EndedAs;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_proto::convert::Outputs;
use muster_proto::v1::{JobState, JobStatus};

/// A job that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its last status.
    pub status: JobStatus,
    /// Bytes of results and failures that go when it is forgotten.
    pub kept_bytes: u64,
    /// Tasks that failed for good.
    pub failed: RangeSet,
    /// Those of them that are in quarantine.
    pub quarantined: RangeSet,
    /// The highest attempt of its tasks that this life of the coordinator gave.
    pub last_attempt: u32,
    /// The workers that have its log.
    pub hosts: Hosts,
    /// Its tasks that were looked at one by one.
    pub samples: Samples,
    pub(super) outputs: Outputs,
    reduces: bool,
}

/// The state of a job that ended in this way.
#[must_use]
pub const fn state(how: EndedAs) -> JobState {
    match how {
        EndedAs::Done => JobState::Done,
        EndedAs::Cancelled => JobState::Cancelled,
        EndedAs::Failed => JobState::Failed,
    }
}

impl Ended {
    /// A job that ended with this status; its results below `taken` were taken.
    pub fn new(outputs: Outputs, reduces: bool, mut status: JobStatus, taken: u64) -> Self {
        status.results_from = taken;
        Self {
            status,
            kept_bytes: 0,
            failed: RangeSet::new(),
            quarantined: RangeSet::new(),
            last_attempt: 0,
            hosts: Hosts::forgotten(),
            samples: Samples::default(),
            outputs,
            reduces,
        }
    }

    /// Results are dropped once a client took them.
    pub fn streams(&self) -> bool {
        self.outputs == Outputs::Stream && !self.reduces
    }

    /// Results are combined to one.
    pub const fn reduces(&self) -> bool {
        self.reduces
    }

    /// What of its results can be read.
    pub fn page(&self, ask: ResultsAsk) -> Result<Page, Refusal> {
        if self.reduces {
            return Ok(Page { range: IndexRange::default(), last: true, reduced: true });
        }
        check_kept(ask.job, self.outputs)?;
        let taken = self.status.results_from;
        if ask.from < taken {
            return Err(Refusal::Taken { job: ask.job, from: ask.from, taken });
        }
        let range = IndexRange::new(ask.from.min(self.status.tasks), self.status.tasks);
        Ok(Page { range, last: true, reduced: false })
    }
}

/// Refuses to read results that were never kept.
pub fn check_kept(job: JobId, outputs: Outputs) -> Result<(), Refusal> {
    match outputs {
        Outputs::Keep | Outputs::Stream => Ok(()),
        Outputs::Checksum => Err(Refusal::NotKept(job)),
    }
}
