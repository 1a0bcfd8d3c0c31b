//! Taking up what an earlier life of the coordinator left in the store.

use super::Driver;
use super::ended::{self, Ended};
use super::job::{Accepted, Job};
use super::logs::Hosts;
use super::report::Subject;
use crate::store::{EndedAs, Record, StoreError};
use bytes::Bytes;
use muster_core::id::{Incarnation, JobId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_core::scheduler::{Charges, FailureClass, JobSpec, RecoveredJob};
use muster_core::time::Span;
use muster_proto::convert::{Outputs, Submission, TASKS_MAX, failure_class};
use muster_proto::packed::{Items, Packed};
use muster_proto::v1;
use prost::Message;
use std::collections::BTreeMap;

/// Unfinished jobs wait for so long after a start, while workers that were there before it are not back: they come with
/// the tasks that they have. A worker tries to connect once a second at the least.
const RECOVERY_WINDOW: Span = Span::from_millis(2_000);

/// What must be kept of the results of a job.
#[derive(Debug)]
pub struct Expected {
    /// The tasks that have results, and what these add up to; `None`: they need not be there.
    pub results: Option<(RangeSet, u64)>,
    /// The checksum of the one output.
    pub reduced: Option<u64>,
}

/// The records of one job.
#[derive(Debug, Default)]
struct Left {
    request_id: String,
    at_unix_ns: u64,
    spec: Bytes,
    tasks: u64,
    inputs: Vec<(IndexRange, Packed)>,
    sealed: bool,
    committed: RangeSet,
    checksum: u64,
    bytes: u64,
    charged: BTreeMap<u64, Charges>,
    paused: Option<String>,
    failed: BTreeMap<u64, (i32, String)>,
    partials: BTreeMap<Block, Bytes>,
    post_mortems: BTreeMap<u64, Bytes>,
    ended: Option<(EndedAs, Bytes)>,
    /// Results below this index were taken.
    taken: u64,
}

impl Driver {
    /// Takes up what the store holds. To be called before the first command.
    ///
    /// # Errors
    /// Records that make no sense.
    pub fn recover(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let mut jobs: BTreeMap<JobId, Left> = BTreeMap::new();
        for record in records {
            match record {
                Record::PluginAdded(plugin) => self.plugins.insert(plugin),
                // The last one that is there no more: its number is not given again.
                Record::Removed { job } => self.next_job = self.next_job.max(JobId(job.0 + 1)),
                Record::WorkerCame { incarnation } => _ = self.known.insert(incarnation),
                other => {
                    if let Some(job) = other.job() {
                        jobs.entry(job).or_default().add(other);
                    }
                }
            }
        }
        for (id, left) in jobs {
            self.next_job = self.next_job.max(JobId(id.0 + 1));
            self.requests.insert(left.request_id.clone(), id);
            self.take_up(id, left)?;
        }
        if !self.known.is_empty() {
            let window = RECOVERY_WINDOW.min(self.settings.scheduler.lease);
            self.scheduler.await_workers(self.clock.now() + window);
        }
        self.act_on_outputs(&Subject::Nothing);
        Ok(())
    }

    /// Takes up the records of one job, and says what must be kept of its results.
    ///
    /// # Errors
    /// Records that make no sense.
    pub fn examine(&mut self, id: JobId, records: Vec<Record>) -> Result<Expected, StoreError> {
        let mut left = Left::default();
        records.into_iter().for_each(|record| left.add(record));
        let (committed, sum, taken) = (left.committed.clone(), left.checksum, left.taken);
        let is_done = matches!(left.ended, Some((EndedAs::Done, _)));
        self.take_up(id, left)?;
        let (outputs, reduces, told) = match (self.jobs.get(&id), self.ended.get(&id)) {
            (Some(job), _) => (job.submission.outputs, job.reduces(), None),
            (None, Some(ended)) => (ended.outputs, ended.reduces(), is_done.then_some(ended.status.checksum)),
            (None, None) => return Ok(Expected { results: None, reduced: None }),
        };
        let keeps = outputs == Outputs::Keep && !reduces && taken == 0;
        Ok(Expected { results: keeps.then_some((committed, sum)), reduced: told.filter(|_| reduces) })
    }

    /// A worker attached. When it is the last one that an earlier life knew, nobody is waited for any more.
    pub(super) fn is_here(&mut self, incarnation: Incarnation) {
        self.write(Record::WorkerCame { incarnation });
        if self.known.remove(&incarnation) && self.known.is_empty() {
            self.scheduler.await_no_workers();
            self.act_on_outputs(&Subject::Nothing);
        }
    }

    /// Workers of an earlier life that did not come back in time count as gone.
    pub(super) fn give_up_absent(&mut self) {
        if self.known.is_empty() || self.scheduler.awaits_workers() {
            return;
        }
        let absent = std::mem::take(&mut self.known);
        tracing::warn!(workers = absent.len(), "workers that were there before the start did not come back");
        absent.into_iter().for_each(|incarnation| self.write(Record::WorkerWent { incarnation }));
    }

    fn take_up(&mut self, id: JobId, left: Left) -> Result<(), StoreError> {
        let damaged = |what| StoreError::Damaged { what, job: id.0 };
        let spec = v1::JobSpec::decode(left.spec.clone()).map_err(|_| damaged("the description"))?;
        let request = v1::SubmitRequest { request_id: left.request_id.clone(), spec: Some(spec) };
        let submission = Submission::try_from(request).map_err(|_| damaged("the description"))?;
        left.check(&submission.spec).map_err(damaged)?;
        left.check_tasks(&submission).map_err(damaged)?;
        if let Some((how, status)) = left.ended {
            let mut status = v1::JobStatus::decode(status).map_err(|_| damaged("the status"))?;
            status.state = ended::state(how).into();
            let reduces = submission.spec.reduce;
            let kept_bytes = if submission.outputs == Outputs::Checksum { 0 } else { status.output_bytes };
            let mut ended = Ended::new(submission.outputs, reduces, status, left.taken);
            for (&index, &(class, _)) in &left.failed {
                let task = IndexRange::from_count(index, 1);
                ended.failed.insert(task);
                if failure_class(class).is_ok_and(FailureClass::quarantines) {
                    ended.quarantined.insert(task);
                }
            }
            ended.kept_bytes = kept_bytes;
            self.kept.found(id, kept_bytes);
            self.ended.insert(id, ended);
            return Ok(());
        }
        let spec = submission.spec.clone();
        let mut job = Job::new(submission, left.at_unix_ns, self.clock.now(), Accepted::Durable);
        job.tasks = job.tasks.max(left.tasks);
        job.sealed |= left.sealed;
        // Whoever fed it lost the connection.
        job.feeding.begun = true;
        job.arrivals = [(job.tasks, self.clock.now())].into();
        let mut committed = left.committed.clone();
        if let Some(only) = &job.submission.only {
            only.others(job.tasks).iter().for_each(|range| committed.insert(range));
        }
        job.settled = committed.clone();
        job.numbers.ok = left.committed.len();
        // What was charged and tried again is not known by now.
        job.numbers.attempts = left.committed.len() + left.failed.len() as u64;
        job.numbers.checksum = left.checksum;
        job.numbers.output_bytes = left.bytes;
        job.partials = left.partials;
        job.hosts = Hosts::forgotten();
        for data in left.post_mortems.into_values() {
            job.post_mortems.restore(v1::PostMortem::decode(data).map_err(|_| damaged("a post-mortem"))?);
        }
        for (index, (class, message)) in left.failed {
            job.settled.insert(IndexRange::from_count(index, 1));
            job.count_failed(v1::TaskFailure { index, class, message, ..Default::default() });
        }
        if job.numbers.attempts > 0 {
            // When it began nobody wrote down.
            let now = self.clock.now();
            job.numbers.before = Span(self.clock.unix_ns(now).saturating_sub(job.submitted_unix_ns));
            job.numbers.first_grant = Some(now);
        }
        if let Some(reason) = left.paused {
            job.paused = Some(reason);
            job.set_state(v1::JobState::Paused);
        }
        let mut bytes = 0;
        for (range, packed) in left.inputs {
            let items = Items::try_new(packed, range.len()).map_err(|_| damaged("an input"))?;
            bytes += items.data().len() as u64;
            job.inputs.add(range.start, items, &job.settled);
        }
        job.add_input_of_only_task();
        if job.streams() {
            job.results.taken = left.taken;
            // How much of it was taken is not known by bytes: what is taken up again counts from here.
            job.results.undelivered_bytes = 0;
        }
        let recovered = RecoveredJob {
            job: id,
            spec,
            tasks: job.tasks,
            bytes,
            sealed: job.sealed,
            committed,
            failed: job.failed.clone(),
            charged: left.charged,
            last_attempt: 0,
            paused: job.paused.is_some(),
            blocks: job.partials.iter().map(|(&block, data)| (block, data.len() as u64)).collect(),
        };
        tracing::info!(job = id.0, tasks = job.tasks, done = job.settled.len(), "job taken up again");
        self.jobs.insert(id, job);
        self.scheduler.recover(recovered);
        Ok(())
    }
}

impl Left {
    /// Whether all of it can be true of one job; what cannot.
    fn check(&self, spec: &JobSpec) -> Result<(), &'static str> {
        let tasks = spec.tasks.max(self.tasks);
        if tasks > TASKS_MAX || (!spec.open && self.tasks > spec.tasks) {
            return Err("the number of tasks");
        }
        if self.committed.last().is_some_and(|range| range.end > tasks) || self.taken > tasks {
            return Err("a commit");
        }
        if self.failed.keys().any(|&index| index >= tasks || self.committed.contains(index)) {
            return Err("a failure");
        }
        let is_used_up = |charges: &Charges| charges.total() >= spec.attempts_max();
        if self.charged.iter().any(|(&index, charges)| index >= tasks || is_used_up(charges)) {
            return Err("the attempts");
        }
        let mut end = 0;
        for block in self.partials.keys() {
            if Block::from_range(block.range()) != Some(*block) || block.start < end || block.start >= tasks {
                return Err("a partial result");
            }
            end = block.range().end;
        }
        Ok(())
    }

    /// Whether the tasks are those that may run, and have their inputs.
    fn check_tasks(&self, submission: &Submission) -> Result<(), &'static str> {
        let tasks = submission.spec.tasks.max(self.tasks);
        let mut settled = self.committed.clone();
        self.failed.keys().for_each(|&index| settled.insert(IndexRange::from_count(index, 1)));
        if let Some(only) = &submission.only {
            let others = only.others(tasks);
            return match settled.iter().any(|range| others.overlap(range).next().is_some()) {
                true => Err("what became of its only task"),
                false => Ok(()),
            };
        }
        if !submission.has_inputs || self.ended.is_some() {
            return Ok(());
        }
        let (mut inputs, mut count) = (RangeSet::new(), 0);
        for (range, _) in &self.inputs {
            inputs.insert(*range);
            count += range.len();
        }
        let is_beyond = inputs.last().is_some_and(|range| range.end > tasks);
        // Inputs go with the last task of those that they came with.
        inputs.iter().for_each(|range| settled.insert(range));
        if count != inputs.len() || is_beyond || settled.len() != tasks {
            return Err("an input");
        }
        Ok(())
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::Submitted { job: _, request_id, at_unix_ns, spec } => {
                (self.request_id, self.at_unix_ns, self.spec) = (request_id, at_unix_ns, spec);
            }
            Record::Extended { job: _, range, inputs } => {
                self.tasks = self.tasks.max(range.end);
                self.inputs.extend(inputs.map(|inputs| (range, inputs)));
            }
            Record::Sealed { job: _ } => self.sealed = true,
            Record::Committed { job: _, range, outputs: _, checksum, bytes } => {
                self.committed.insert(range);
                self.checksum = self.checksum.wrapping_add(checksum);
                self.bytes += bytes;
            }
            Record::Charged { job: _, index, class, charged } => {
                if let Ok(class) = failure_class(class) {
                    self.charged.entry(index).or_default().set(class, charged);
                }
            }
            Record::Paused { job: _, reason } => self.paused = Some(reason),
            // The store has taken it in already; this is for one that would not.
            Record::Released { job: _, tasks } => {
                (self.paused, self.ended) = (None, None);
                self.failed.retain(|&index, _| !tasks.contains(index));
                self.charged.retain(|&index, _| !tasks.contains(index));
                self.post_mortems.retain(|&index, _| !tasks.contains(index));
            }
            Record::TaskFailed { job: _, index, class, message } => {
                self.charged.remove(&index);
                self.failed.insert(index, (class, message));
            }
            Record::Partial { job: _, block, data } => {
                self.partials.insert(block, data);
            }
            Record::PostMortem { job: _, index, data: Some(data) } => {
                self.post_mortems.insert(index, data);
            }
            Record::PostMortem { job: _, index, data: None } => {
                self.post_mortems.remove(&index);
            }
            Record::Ended { job: _, how, reason: _, status } => self.ended = Some((how, status)),
            Record::Taken { job: _, below } => self.taken = self.taken.max(below),
            Record::Reduced { .. }
            | Record::InputsDone { .. }
            | Record::Removed { .. }
            | Record::PluginAdded(_)
            | Record::PluginRemoved { .. }
            | Record::WorkerCame { .. }
            | Record::WorkerWent { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobId = JobId(1);

    fn failed(index: u64) -> Record {
        Record::TaskFailed { job: JOB, index, class: 1, message: String::new() }
    }

    fn committed(start: u64, count: u64) -> Record {
        let range = IndexRange::from_count(start, count);
        Record::Committed { job: JOB, range, outputs: None, checksum: 0, bytes: 0 }
    }

    fn partial(start: u64, size: u64) -> Record {
        Record::Partial { job: JOB, block: Block { start, size }, data: Bytes::new() }
    }

    fn extended(end: u64) -> Record {
        Record::Extended { job: JOB, range: IndexRange::new(0, end), inputs: None }
    }

    #[test]
    fn records_that_contradict_each_other_are_damaged() {
        let check = |open: bool, records: Vec<Record>| {
            let mut left = Left::default();
            records.into_iter().for_each(|record| left.add(record));
            left.check(&JobSpec { tasks: if open { 0 } else { 10 }, open, ..JobSpec::default() })
        };
        assert_eq!(check(false, vec![committed(0, 4), failed(4), partial(0, 4), partial(8, 4)]), Ok(()));
        assert_eq!(check(true, vec![extended(20), committed(12, 8)]), Ok(()));
        let charged = |index, charged| Record::Charged { job: JOB, index, class: 2, charged };
        assert_eq!(check(false, vec![charged(9, 2)]), Ok(()));
        for (what, records) in [
            ("the number of tasks", vec![extended(11)]),
            ("a commit", vec![committed(8, 3)]),
            ("a commit", vec![Record::Taken { job: JOB, below: 11 }]),
            ("a failure", vec![failed(10)]),
            ("a failure", vec![committed(0, 4), failed(3)]),
            ("the attempts", vec![charged(10, 1)]),
            ("the attempts", vec![charged(9, 3)]),
            ("a partial result", vec![partial(1, 2)]),
            ("a partial result", vec![partial(0, 3)]),
            ("a partial result", vec![partial(0, 4), partial(2, 2)]),
            ("a partial result", vec![partial(16, 4)]),
        ] {
            assert_eq!(check(false, records.clone()), Err(what), "{records:?}");
        }
        assert_eq!(check(true, vec![extended(TASKS_MAX + 1)]), Err("the number of tasks"));
    }

    #[test]
    fn tasks_that_are_not_done_have_their_inputs_once() {
        let submission = |change: fn(&mut v1::JobSpec)| {
            let plugin = v1::PluginRef { name: "p".into(), digest: vec![1; 32].into(), ..Default::default() };
            let mut spec = v1::JobSpec { plugin: Some(plugin), tasks: 10, ..Default::default() };
            change(&mut spec);
            let request = v1::SubmitRequest { request_id: "r".into(), spec: Some(spec) };
            Submission::try_from(request).unwrap()
        };
        let check = |submission: &Submission, records: Vec<Record>| {
            let mut left = Left::default();
            records.into_iter().for_each(|record| left.add(record));
            left.check_tasks(submission)
        };
        let inputs = |start, end| {
            let inputs = Some(Packed::default());
            Record::Extended { job: JOB, range: IndexRange::new(start, end), inputs }
        };
        let fed = submission(|spec| (spec.open, spec.has_inputs, spec.tasks) = (true, true, 0));
        let ended =
            Record::Ended { job: JOB, how: EndedAs::Done, reason: String::new(), status: Bytes::new() };
        for good in [
            vec![],
            vec![inputs(0, 4), inputs(4, 9)],
            vec![extended(9), committed(0, 3), failed(3), inputs(4, 9)],
            vec![extended(9), committed(2, 1), inputs(0, 4), inputs(4, 9)],
            vec![extended(9), ended],
        ] {
            assert_eq!(check(&fed, good.clone()), Ok(()), "{good:?}");
        }
        for bad in [
            vec![extended(9), inputs(0, 8)],
            vec![extended(9), inputs(0, 4), inputs(5, 9)],
            vec![extended(9), inputs(0, 4), inputs(3, 9)],
            vec![extended(9), committed(0, 3), inputs(4, 9)],
        ] {
            assert_eq!(check(&fed, bad.clone()), Err("an input"), "{bad:?}");
        }
        let only = submission(|spec| spec.only = Some(v1::OnlyTask { index: 3, ..Default::default() }));
        assert_eq!(check(&only, vec![committed(3, 1)]), Ok(()));
        assert_eq!(check(&only, vec![failed(3)]), Ok(()));
        assert_eq!(check(&only, vec![failed(4)]), Err("what became of its only task"));
        assert_eq!(check(&only, vec![committed(2, 2)]), Err("what became of its only task"));
    }
}
