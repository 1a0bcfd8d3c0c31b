//! One task by itself: what is asked about it, and a job that runs it alone.

use super::{ConvertError, TASKS_MAX, at_most};
use crate::{INPUT_MAX_BYTES, v1};
use bytes::Bytes;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};

/// What a client asks about one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaseAsk {
    /// The job; 0: the newest.
    pub job: JobId,
    /// The task.
    pub index: u64,
}

/// The task of a job that runs; all others count as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlyTask {
    /// Which.
    pub index: u64,
    /// Its input, when the job has inputs.
    pub input: Option<Bytes>,
}

impl OnlyTask {
    /// The other tasks of a job.
    #[must_use]
    pub fn others(&self, tasks: u64) -> RangeSet {
        let mut others = RangeSet::from(IndexRange::new(0, tasks));
        others.remove(IndexRange::from_count(self.index, 1));
        others
    }
}

impl TryFrom<v1::CaseRequest> for CaseAsk {
    type Error = ConvertError;

    fn try_from(wire: v1::CaseRequest) -> Result<Self, ConvertError> {
        Ok(Self { job: JobId(wire.job), index: at_most("index", wire.index, TASKS_MAX - 1)? })
    }
}

/// The only task of a job, when it has such a one.
pub(super) fn only_task(spec: &v1::JobSpec) -> Result<Option<OnlyTask>, ConvertError> {
    let Some(v1::OnlyTask { index, input }) = &spec.only else { return Ok(None) };
    if spec.open {
        return Err(ConvertError::wrong("spec.only", index, "only a job with all of its tasks has one"));
    }
    if spec.reduce {
        return Err(ConvertError::wrong("spec.only", index, "one result is not combined with others"));
    }
    if *index >= spec.tasks {
        let limit = format!("the job has {} tasks", spec.tasks);
        return Err(ConvertError::wrong("spec.only.index", index, limit));
    }
    if !spec.has_inputs && !input.is_empty() {
        let limit = "this job was submitted without inputs";
        return Err(ConvertError::wrong("spec.only.input (bytes)", input.len(), limit));
    }
    at_most("spec.only.input (bytes)", input.len(), INPUT_MAX_BYTES)?;
    Ok(Some(OnlyTask { index: *index, input: spec.has_inputs.then(|| input.clone()) }))
}
