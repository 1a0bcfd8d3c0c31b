//! Acting on what the scheduler says.

use super::effect::Effect;
use super::job::Job;
use super::report::Subject;
use super::worker::{NotReading, Worker};
use super::{Driver, ended};
use crate::checksum;
use crate::items;
use crate::store::{EndedAs, Record};
use bytes::Bytes;
use muster_core::id::{JobId, WorkerId};
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_core::scheduler::{DropReason, FailureClass, Grant, GrantKind, Input, Loss, Outcome, Output};
use muster_core::shape::Shape;
use muster_core::time::Span;
use muster_proto::convert::{JobOpen, failure_class_to_wire, grant_to_wire, job_open_to_wire};
use muster_proto::packed::{Items, Packed};
use muster_proto::{INPUT_MAX_BYTES, v1};
use prost::Message;
use tonic::Status;

/// Inputs of one lease must fit into a message together with what surrounds them.
const GRANT_BYTES_MAX: usize = INPUT_MAX_BYTES + (8 << 20);

impl Driver {
    /// Hands an input to the scheduler and does what comes of it. `subject` is what the input carried.
    pub(super) fn tell(&mut self, input: Input, subject: Subject) {
        let now = self.clock.now();
        self.scheduler.handle(now, input);
        self.act_on_outputs(&subject);
    }

    pub(super) fn act_on_outputs(&mut self, subject: &Subject) {
        while let Some(output) = self.scheduler.poll_output() {
            self.act(output, subject);
        }
    }

    fn act(&mut self, output: Output, subject: &Subject) {
        match output {
            // What these stand for is written by whoever told the scheduler.
            Output::Accepted { .. } | Output::Extended { .. } | Output::Sealed { .. } => {}
            Output::Open { worker, job, shape, leaf } => self.open(worker, job, shape, leaf),
            Output::Grant { worker, grant } => self.grant(worker, &grant),
            Output::Adopted { worker, claim, job, shape, lease, attempt, tasks } => {
                let tasks = tasks.len();
                self.adopted(worker, (job, shape), v1::AdoptedTasks { claim, lease: lease.0, count: tasks });
                if let Some(job) = self.jobs.get_mut(&job) {
                    job.last_attempt = job.last_attempt.max(attempt);
                }
            }
            Output::Recall { worker, lease, count } => {
                self.totals.leases_recalled += 1;
                if let Some(worker) = self.changed_worker(worker) {
                    worker.recall(v1::Recall { lease: lease.0, count });
                }
            }
            Output::Close { worker, job, cancel } => {
                if let Some(view) = self.jobs.get_mut(&job) {
                    view.progress.hear(worker, 0.0);
                }
                let is_told = |view: &&mut Worker| view.jobs.contains(&job);
                if let Some(view) = self.changed_worker(worker).filter(is_told) {
                    view.close(v1::JobClose { job: job.0, cancel });
                    if cancel {
                        self.stopping.asked(job, worker);
                    }
                }
            }
            Output::Commit { job, range, pos: _ } => self.commit(job, range, subject),
            Output::Combined { job, block, finished, pos: _ } => self.combined(job, block, finished, subject),
            Output::Fail { job, index, class, charged, pos: _ } => {
                self.keep_attempt(job, index, (charged, class, true), subject);
                self.fail(job, index, class, subject);
            }
            Output::Retry { job, index, class, charged, not_before: _, pos: _ } => {
                self.keep_attempt(job, index, (charged, class, false), subject);
                self.count_failure(job, class, subject);
                let class = failure_class_to_wire(class).into();
                self.write(Record::Charged { job, index, class, charged });
            }
            Output::Paused { job, crashed, good, pos: _ } => self.pause(job, crashed, good),
            Output::Released { job, tasks, pos: _ } => self.released(job, tasks),
            Output::Dropped { worker: _, job, range, reason } => self.dropped(job, range, reason),
            Output::Lost { worker } => {
                let status = Status::aborted("nothing was heard of this worker for a lease's length");
                self.dismiss(worker, Loss::Silent, Some(status));
            }
            Output::Drained { worker } => {
                if let Some(view) = self.changed_worker(worker)
                    && (view.flush().is_err()
                        || view.send(v1::to_worker::Kind::Drain(v1::Drain::default())).is_err())
                {
                    self.not_reading.push(worker);
                }
            }
            Output::Ended { job, outcome, pos: _ } => self.end(job, outcome, subject),
        }
    }

    fn open(&mut self, worker_id: WorkerId, id: JobId, shape: Shape, leaf: Option<u64>) {
        self.introduce(worker_id, id, shape);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let submission = &job.submission;
        let open = job_open_to_wire(&JobOpen {
            job: id,
            plugin: submission.plugin.clone(),
            params: submission.params.clone(),
            seed: submission.seed,
            tasks: submission.spec.tasks,
            shape,
            gil: job.submission.gil,
            reduce_leaf: leaf,
            result_max_bytes: submission.result_max_bytes,
            weight: submission.spec.weight,
            has_inputs: submission.has_inputs,
            // What an executor repeats at once are transient failures.
            max_attempts: submission.spec.attempts(FailureClass::Transient),
            limits: submission.limits,
            arrivals: submission.arrivals,
            task_samples: submission.task_samples,
            sandbox: submission.sandbox,
        });
        let sent = self.changed_worker(worker_id).map(|worker| worker.open(open));
        self.expect_reading(worker_id, sent);
    }

    /// A worker knows a job.
    fn introduce(&mut self, worker_id: WorkerId, id: JobId, shape: Shape) {
        let (Some(job), Some(worker)) = (self.jobs.get_mut(&id), self.workers.get_mut(&worker_id)) else {
            return;
        };
        worker.jobs.insert(id);
        job.numbers.workers.insert(worker_id, shape);
        job.hosts.add(worker.hello.incarnation, &worker.hello.name);
    }

    /// A worker that came back keeps tasks of a job.
    fn adopted(&mut self, worker_id: WorkerId, (id, shape): (JobId, Shape), adopted: v1::AdoptedTasks) {
        tracing::debug!(
            worker = worker_id.0,
            job = id.0,
            tasks = adopted.count,
            "the worker keeps what it had"
        );
        self.totals.adopted_tasks += adopted.count;
        self.introduce(worker_id, id, shape);
        let now = self.clock.now();
        if let Some(job) = self.jobs.get_mut(&id) {
            job.numbers.first_grant.get_or_insert(now);
            if job.paused.is_none() {
                job.set_state(v1::JobState::Running);
            }
        }
        if let Some(worker) = self.changed_worker(worker_id) {
            worker.adopted(adopted);
        }
    }

    fn grant(&mut self, worker_id: WorkerId, grant: &Grant) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(&grant.job) else { return };
        let (wire, rest) = match &grant.kind {
            GrantKind::Run => {
                job.count_leased(grant, now);
                if grant.speculative {
                    self.totals.speculative_tasks += grant.range.len();
                }
                self.totals.lease_tasks.record(Span(grant.range.len()));
                run_grant(job, grant)
            }
            GrantKind::Combine { blocks, .. } => {
                let partials =
                    blocks.iter().map(|block| job.partials.get(block).cloned().unwrap_or_default());
                (grant_to_wire(grant, Some(Items::of(partials).into_packed())), IndexRange::default())
            }
        };
        if job.paused.is_none() {
            job.set_state(v1::JobState::Running);
        }
        let sent = self.changed_worker(worker_id).map(|worker| worker.grant(wire));
        self.expect_reading(worker_id, sent);
        if !rest.is_empty() {
            self.unsent.push((worker_id, grant.lease, rest));
        }
    }

    fn commit(&mut self, id: JobId, range: IndexRange, subject: &Subject) {
        let Subject::Results(worker, reported, items) = subject else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.numbers.last_commit = Some(self.clock.now());
        job.progress.ended(*worker, range.len());
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.committed += range.len();
        }
        if job.reduces() {
            self.commit_partial(id, range, items);
            return;
        }
        let (from, to) = ((range.start - reported.start) as usize, (range.end - reported.start) as usize);
        let outputs = items.slice(from..to);
        let (bytes, sum) = (outputs.data.len() as u64, checksum::of_items(range, &outputs));
        let numbers = &mut job.numbers;
        numbers.attempts += range.len();
        numbers.ok += range.len();
        numbers.checksum = numbers.checksum.wrapping_add(sum);
        numbers.output_bytes += bytes;
        if job.streams() {
            job.results.undelivered_bytes += bytes;
        }
        let outputs = job.keeps_results().then_some(outputs);
        // What is streamed goes when it was taken.
        let stays = outputs.as_ref().filter(|_| !job.streams()).map_or(0, items::weight);
        self.totals.plugin(&job.plugin_name).ok += range.len();
        self.count_kept(id, stays as u64);
        self.write(Record::Committed { job: id, range, outputs, checksum: sum, bytes });
        self.settled(id, range);
    }

    /// The range is one block of the tree; tasks of it that failed are not part of its partial result.
    fn commit_partial(&mut self, id: JobId, range: IndexRange, items: &Items) {
        let (Some(job), Some(block)) = (self.jobs.get_mut(&id), Block::from_range(range)) else { return };
        let data = Bytes::copy_from_slice(items.item(0));
        job.partials.insert(block, data.clone());
        let mut good = RangeSet::from(range);
        let failed: Vec<IndexRange> = job.failed.overlap(range).collect();
        failed.into_iter().for_each(|failed| {
            good.remove(failed);
        });
        job.numbers.attempts += good.len();
        job.numbers.ok += good.len();
        self.totals.plugin(&job.plugin_name).ok += good.len();
        for range in good.iter() {
            self.write(Record::Committed { job: id, range, outputs: None, checksum: 0, bytes: 0 });
            self.settled(id, range);
        }
        self.write(Record::Partial { job: id, block, data });
    }

    fn combined(&mut self, id: JobId, block: Block, finished: bool, subject: &Subject) {
        let Subject::Results(_, _, items) = subject else { return };
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let data = Bytes::copy_from_slice(items.item(0));
        let inside = block.range();
        job.partials.retain(|old, _| old.range().intersect(inside) != old.range());
        job.numbers.last_commit = Some(self.clock.now());
        if finished {
            job.numbers.checksum = checksum::of_task(0, &data);
            job.numbers.output_bytes = data.len() as u64;
            self.count_kept(id, data.len() as u64);
            self.write(Record::Reduced { job: id, data });
        } else {
            job.partials.insert(block, data.clone());
            self.write(Record::Partial { job: id, block, data });
        }
    }

    fn fail(&mut self, id: JobId, index: u64, class: FailureClass, subject: &Subject) {
        self.count_failure(id, class, subject);
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let message = cause(subject).to_owned();
        let quarantines = class.quarantines();
        let class = i32::from(failure_class_to_wire(class));
        job.numbers.last_commit = Some(self.clock.now());
        job.count_failed(v1::TaskFailure { index, class, message: message.clone(), ..Default::default() });
        let totals = self.totals.plugin(&job.plugin_name);
        totals.failed += 1;
        totals.quarantined += u64::from(quarantines);
        self.count_kept_failure(id, &message);
        self.write(Record::TaskFailed { job: id, index, class, message });
        self.settled(id, IndexRange::from_count(index, 1));
    }

    /// An attempt failed, whatever becomes of its task.
    fn count_failure(&mut self, id: JobId, class: FailureClass, subject: &Subject) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.numbers.attempts += 1;
        if class.ends_executor() {
            cause(subject).clone_into(&mut job.last_crash);
        }
    }

    /// Tasks have ended: their inputs go now, their results may be shown once they are durable.
    fn settled(&mut self, id: JobId, range: IndexRange) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let mut gone = Vec::new();
        job.inputs.done(range, |block| gone.push(block));
        for range in gone {
            self.write(Record::InputsDone { job: id, range });
        }
        self.when_durable(Effect::Settled(id, range));
        self.changed_jobs.insert(id);
    }

    fn dropped(&mut self, job: Option<JobId>, range: IndexRange, reason: DropReason) {
        *self.totals.dropped.entry(reason.name()).or_default() += 1;
        self.totals.duplicates += range.len();
        tracing::debug!(job = job.map(|job| job.0), %range, reason = reason.name(), "dropped what a worker sent");
        if let Some(job) = job.and_then(|job| self.jobs.get_mut(&job)) {
            job.numbers.duplicates += range.len();
        }
    }

    fn end(&mut self, id: JobId, outcome: Outcome, subject: &Subject) {
        let now = self.clock.now();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let over_limit = job.over_limit.take();
        let unfed = job.unfed.take();
        let is_over_limit = over_limit.is_some();
        let (how, reason) = match outcome {
            Outcome::Cancelled if is_over_limit => (EndedAs::Failed, over_limit.unwrap_or_default()),
            Outcome::Done => (EndedAs::Done, String::new()),
            Outcome::Cancelled => (EndedAs::Cancelled, unfed.unwrap_or_default()),
            Outcome::Unrunnable => {
                let trouble = job.trouble.take();
                (EndedAs::Failed, trouble.unwrap_or_else(|| "no worker can run it".into()))
            }
            Outcome::Uncombined { finish } => (EndedAs::Failed, uncombined(finish, subject)),
        };
        job.over = true;
        self.held_jobs.remove(&id);
        *self.totals.jobs_ended.entry(how.name()).or_default() += 1;
        match how {
            EndedAs::Done => job.numbers.last_commit.get_or_insert(now),
            // Its workers were busy until now, whatever came of it.
            EndedAs::Cancelled | EndedAs::Failed => job.numbers.last_commit.insert(now),
        };
        let mut status = job.status(id, None, String::new(), now);
        status.state = ended::state(how).into();
        status.ended_s = self.clock.unix_ns(now) as f64 / 1e9;
        status.reason.clone_from(&reason);
        status.over_limit = is_over_limit && how == EndedAs::Failed;
        self.write(Record::Ended { job: id, how, reason, status: status.encode_to_vec().into() });
        self.when_durable(Effect::Ended(id, Box::new(status)));
        tracing::info!(job = id.0, ?how, "job ended");
    }

    /// A worker that a message will be sent to.
    fn changed_worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        let worker = self.workers.get_mut(&id)?;
        self.changed_workers.insert(id);
        Some(worker)
    }

    fn expect_reading(&mut self, id: WorkerId, sent: Option<Result<(), NotReading>>) {
        if let Some(Err(NotReading)) = sent {
            self.not_reading.push(id);
        }
    }
}

/// What the worker said of the failure being handled.
fn cause(subject: &Subject) -> &str {
    match subject {
        Subject::Failure { message, .. } => message,
        Subject::Nothing | Subject::Results(..) => "",
    }
}

fn uncombined(finish: bool, subject: &Subject) -> String {
    let what = if finish { "combined to an output" } else { "combined" };
    match cause(subject) {
        "" => format!("its results could not be {what}"),
        cause => format!("its results could not be {what}: {cause}"),
    }
}

/// A lease with its inputs. What does not fit into a message is cut off and comes back as the second part.
fn run_grant(job: &Job, grant: &Grant) -> (v1::Grant, IndexRange) {
    if !job.submission.has_inputs {
        return (grant_to_wire(grant, None), IndexRange::default());
    }
    let fitting = job.inputs.fitting(grant.range, GRANT_BYTES_MAX).max(1);
    let sent = IndexRange::from_count(grant.range.start, fitting.min(grant.range.len()));
    let inputs: Packed = job.inputs.slice(sent).unwrap_or_default();
    let rest = IndexRange::new(sent.end, grant.range.end);
    (grant_to_wire(&Grant { range: sent, ..grant.clone() }, Some(inputs)), rest)
}
