//! One task by itself: what it takes to run it again elsewhere, and jobs that run only one.

use super::job::Job;
use super::report::Subject;
use super::{Driver, Refusal};
use bytes::Bytes;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::scheduler::RecoveredJob;
use muster_proto::convert::{CaseAsk, OnlyTask};
use muster_proto::packed::Items;
use muster_proto::v1;
use std::collections::BTreeMap;

/// One task of a job.
#[derive(Debug)]
pub struct Case {
    /// The job, which may have been asked for as the newest.
    pub job: JobId,
    /// What was submitted.
    pub spec: v1::JobSpec,
    /// The tasks that the job has so far.
    pub tasks: u64,
    /// The task's input, as long as the task has not ended.
    pub input: Option<Bytes>,
}

impl Driver {
    /// What is known of one task.
    pub(super) fn case(&self, ask: CaseAsk) -> Result<Case, Refusal> {
        let job = self.resolve(ask.job)?;
        let status = self.snapshot(job)?.status;
        let tasks = status.tasks;
        if ask.index >= tasks {
            return Err(Refusal::NoTask { job, index: ask.index, tasks });
        }
        let input = self.jobs.get(&job).and_then(|job| job.input(ask.index));
        Ok(Case { job, spec: status.spec.unwrap_or_default(), tasks, input })
    }

    /// Begins a job of which only one task runs; `false`: it is another kind of job.
    pub(super) fn begin_only_task(&mut self, id: JobId) -> bool {
        let Some(job) = self.jobs.get_mut(&id) else { return false };
        let Some(only) = &job.submission.only else { return false };
        let others = only.others(job.tasks);
        job.settled = others.clone();
        job.add_input_of_only_task();
        let recovered = RecoveredJob {
            job: id,
            spec: job.submission.spec.clone(),
            tasks: job.tasks,
            bytes: job.inputs.bytes(),
            sealed: true,
            committed: others,
            failed: RangeSet::new(),
            charged: BTreeMap::new(),
            last_attempt: 0,
            paused: false,
            blocks: Vec::new(),
        };
        self.scheduler.recover(recovered);
        self.act_on_outputs(&Subject::Nothing);
        true
    }
}

impl Job {
    /// The input of a task that has not ended, apart from the inputs around it.
    pub(super) fn input(&self, index: u64) -> Option<Bytes> {
        let task = IndexRange::from_count(index, 1);
        if !self.submission.has_inputs || self.settled.covers(task) {
            return None;
        }
        let items = Items::try_new(self.inputs.slice(task)?, 1).ok()?;
        Some(Bytes::copy_from_slice(items.item(0)))
    }

    /// Of a job whose only task has an input: takes it from what was submitted, unless the task has ended.
    pub(super) fn add_input_of_only_task(&mut self) {
        if let Some(OnlyTask { index, input: Some(input) }) = &self.submission.only {
            self.inputs.add(*index, Items::of([input]), &self.settled);
        }
    }
}
