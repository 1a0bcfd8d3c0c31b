//! A job that has not ended: what the driver keeps for it beside the scheduler.

use super::command::{Reply, ResultsAsk};
use super::feeding::Feeding;
use super::inputs::Inputs;
use super::logs::Hosts;
use super::numbers::Numbers;
use super::postmortem::PostMortems;
use super::progress::Progress;
use super::samples::Samples;
use super::{Page, Refusal};
use crate::config::FEED_WAIT;
use crate::quantity::in_words;
use bytes::Bytes;
use muster_core::id::JobId;
use muster_core::range::{IndexRange, RangeSet};
use muster_core::reduce::Block;
use muster_core::scheduler::{FailureClass, Grant, JobView};
use muster_core::shape::Shape;
use muster_core::time::Time;
use muster_proto::convert::{Feed, Outputs, Submission, failure_class, job_spec_to_show, sketch_to_wire};
use muster_proto::v1::{self, JobState};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Notices that a status shows.
const NOTICES_MAX: usize = 20;
/// Failures that a status shows.
const FIRST_FAILURES_MAX: usize = 10;

/// A job that has not ended.
#[derive(Debug)]
pub struct Job {
    /// What was asked for.
    pub submission: Submission,
    /// `plugin@version`'s name in metrics.
    pub plugin_name: Arc<str>,
    /// When it was submitted.
    pub submitted_unix_ns: u64,
    /// Whether its submit is durable, and who waits to hear so.
    pub accepted: Accepted,
    /// Its tasks so far.
    pub tasks: u64,
    /// No more tasks come.
    pub sealed: bool,
    /// It has ended; that is not durable yet.
    pub over: bool,
    /// When tasks came in that were not leased yet: up to which index, and when.
    pub arrivals: VecDeque<(u64, Time)>,
    /// Inputs of tasks that have not ended.
    pub inputs: Inputs,
    /// Tasks for which there was no room.
    pub parked_feeds: VecDeque<(Feed, Reply<u64>)>,
    /// Tasks that ended and are durable.
    pub settled: RangeSet,
    /// Tasks that were leased at least once.
    leased_once: RangeSet,
    /// Tasks that failed for good.
    pub failed: RangeSet,
    /// Those of them that used up their attempts by ending executors or by panics.
    pub quarantined: RangeSet,
    /// The highest attempt that was given.
    pub last_attempt: u32,
    /// Why it is paused, in words.
    pub paused: Option<String>,
    /// What the last attempt that ended an executor said.
    pub last_crash: String,
    /// Partial results of a reduction.
    pub partials: BTreeMap<Block, Bytes>,
    /// What its status says.
    pub numbers: Numbers,
    /// How its tasks failed.
    pub post_mortems: PostMortems,
    /// The workers that have its log.
    pub hosts: Hosts,
    /// Its tasks that are looked at one by one.
    pub samples: Samples,
    /// How far its running tasks are.
    pub progress: Progress,
    /// Why it cannot run, as a worker said last.
    pub trouble: Option<String>,
    /// Who sends its tasks.
    pub feeding: Feeding,
    /// Why nobody sends more, in words: it is being cancelled.
    pub unfed: Option<String>,
    /// The limit that it went over, in words: it is being ended.
    pub over_limit: Option<String>,
    /// Bytes of results and failures that stay until it is forgotten.
    pub kept_bytes: u64,
    /// Who takes its results.
    pub results: ResultsQueue,
    /// Its state, for whoever watches.
    pub state: watch::Sender<JobState>,
}

/// Whether a submit is durable.
#[derive(Debug)]
pub enum Accepted {
    /// Who waits to hear.
    Waiting(Vec<Reply<JobId>>),
    /// It is.
    Durable,
}

/// Who takes results, and how far they are.
#[derive(Debug, Default)]
pub struct ResultsQueue {
    /// Streams that wait for more.
    pub waiting: Vec<(ResultsAsk, Reply<Page>)>,
    /// Results below this index were acknowledged (streamed outputs only).
    pub taken: u64,
    /// The stream that takes them.
    pub taker: Option<u64>,
    /// Bytes that were committed and not acknowledged.
    pub undelivered_bytes: u64,
    /// What the taker was sent and has not acknowledged: up to which index, how many bytes.
    sent: VecDeque<(u64, u64)>,
    /// The scheduler was told to hold the job.
    pub held: bool,
}

impl ResultsQueue {
    /// A reader asks for more, after it was sent what stands below.
    pub fn read_on(&mut self, ask: ResultsAsk) {
        if self.taker.replace(ask.reader) != Some(ask.reader) {
            // What another reader was sent is sent again.
            self.sent.clear();
        }
        if ask.sent_bytes > 0 {
            self.sent.push_back((ask.from, ask.sent_bytes));
        }
    }

    /// The reader has everything below an index.
    pub fn acknowledge(&mut self, below: u64) {
        while let Some(&(to, bytes)) = self.sent.front()
            && to <= below
        {
            self.sent.pop_front();
            self.undelivered_bytes = self.undelivered_bytes.saturating_sub(bytes);
        }
    }

    /// Bytes that the reader was sent and did not acknowledge.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.iter().map(|&(_, bytes)| bytes).sum()
    }
}

impl Job {
    /// A job that was just submitted, or just recovered.
    pub fn new(submission: Submission, submitted_unix_ns: u64, now: Time, accepted: Accepted) -> Self {
        let (tasks, sealed) = (submission.spec.tasks, !submission.spec.open);
        Self {
            plugin_name: submission.plugin.name.as_str().into(),
            samples: Samples::new(&submission, submitted_unix_ns),
            submission,
            submitted_unix_ns,
            accepted,
            tasks,
            sealed,
            over: false,
            arrivals: if tasks > 0 { VecDeque::from([(tasks, now)]) } else { VecDeque::new() },
            inputs: Inputs::default(),
            parked_feeds: VecDeque::new(),
            settled: RangeSet::new(),
            leased_once: RangeSet::new(),
            failed: RangeSet::new(),
            quarantined: RangeSet::new(),
            last_attempt: 0,
            paused: None,
            last_crash: String::new(),
            partials: BTreeMap::new(),
            numbers: Numbers::default(),
            post_mortems: PostMortems::default(),
            hosts: Hosts::default(),
            progress: Progress::default(),
            trouble: None,
            feeding: Feeding::default(),
            unfed: None,
            over_limit: None,
            kept_bytes: 0,
            results: ResultsQueue::default(),
            state: watch::channel(JobState::Waiting).0,
        }
    }

    /// Its submit is durable: tells whoever waits for that.
    pub fn accept(&mut self, id: JobId) {
        if let Accepted::Waiting(replies) = std::mem::replace(&mut self.accepted, Accepted::Durable) {
            for reply in replies {
                let _ = reply.send(Ok(id));
            }
        }
    }

    /// Results are combined to one.
    pub const fn reduces(&self) -> bool {
        self.submission.spec.reduce
    }

    /// Results are dropped once a client took them.
    pub fn streams(&self) -> bool {
        self.submission.outputs == Outputs::Stream && !self.reduces()
    }

    /// Results of single tasks are written to the store.
    pub fn keeps_results(&self) -> bool {
        self.submission.outputs != Outputs::Checksum && !self.reduces()
    }

    /// All tasks below this index have ended, durably.
    pub fn frontier(&self) -> u64 {
        self.settled.first().filter(|first| first.start == 0).map_or(0, |first| first.end)
    }

    /// Counts a lease, and how long its tasks waited when it is their first.
    pub fn count_leased(&mut self, grant: &Grant, now: Time) {
        let range = grant.range;
        self.last_attempt = self.last_attempt.max(grant.attempt);
        let numbers = &mut self.numbers;
        numbers.leases += 1;
        numbers.lease_tasks_max = numbers.lease_tasks_max.max(range.len());
        numbers.lease_tasks_min = match numbers.lease_tasks_min {
            0 => range.len(),
            shortest => shortest.min(range.len()),
        };
        numbers.first_grant.get_or_insert(now);
        if grant.attempt > 1 {
            // A second lease is no other try: the first goes on.
            numbers.retried += if grant.speculative { 0 } else { range.len() };
            return;
        }
        let mut at = range.start;
        for &(end, arrived) in &self.arrivals {
            if at >= range.end {
                break;
            }
            if end > at {
                let part = IndexRange::new(at, end.min(range.end));
                // What came back from a worker unstarted is leased a second time.
                let again: u64 = self.leased_once.overlap(part).map(IndexRange::len).sum();
                numbers.queue.record_many(now.since(arrived), part.len() - again);
                at = end;
            }
        }
        self.leased_once.insert(range);
        // Leases mostly take the lowest tasks; what lies below the first is done with.
        while self.arrivals.len() > 1 && self.arrivals.front().is_some_and(|&(end, _)| end <= range.start) {
            self.arrivals.pop_front();
        }
    }

    /// Since when the task that came first of those that were never leased has waited.
    pub fn oldest_wait(&self) -> Option<Time> {
        let first = match self.leased_once.first() {
            Some(range) if range.start == 0 => range.end,
            _ => 0,
        };
        self.arrivals.iter().find(|&&(end, _)| end > first).map(|&(_, arrived)| arrived)
    }

    /// Remembers that a task failed for good.
    pub fn count_failed(&mut self, failure: v1::TaskFailure) {
        let task = IndexRange::from_count(failure.index, 1);
        self.failed.insert(task);
        if failure_class(failure.class).is_ok_and(FailureClass::quarantines) {
            self.quarantined.insert(task);
        }
        let first = &mut self.numbers.first_failures;
        let place = first.partition_point(|known| known.index < failure.index);
        if place < FIRST_FAILURES_MAX {
            first.insert(place, failure);
            first.truncate(FIRST_FAILURES_MAX);
        }
    }

    /// Failures of these tasks count no more.
    pub fn take_failures_back(&mut self, tasks: &RangeSet) {
        for range in tasks.iter() {
            self.failed.remove(range);
            self.quarantined.remove(range);
        }
        self.post_mortems.take_back(tasks);
        self.numbers.first_failures.retain(|failure| !tasks.contains(failure.index));
    }

    /// Remembers what its user should know; workers that say the same are one.
    pub fn take_notice(&mut self, text: String) {
        let notices = &mut self.numbers.notices;
        if notices.len() < NOTICES_MAX && !notices.contains(&text) {
            notices.push(text);
        }
    }

    /// Changes its state, for whoever watches.
    pub fn set_state(&self, state: JobState) {
        self.state.send_if_modified(|held| std::mem::replace(held, state) != state);
    }

    /// Its status, with what the scheduler knows of it, and why nobody runs it when nobody can.
    pub fn status(&self, id: JobId, view: Option<JobView>, why_nobody: String, now: Time) -> v1::JobStatus {
        let numbers = &self.numbers;
        let until = numbers.last_commit.filter(|_| view.is_none()).unwrap_or(now);
        // Workers may be of different sizes: the widest shape is told, and how many slots there are in all.
        let widest = numbers.workers.values().copied().max_by_key(|shape| shape.slots());
        let shape = widest.unwrap_or(Shape::new(0, 0));
        let slots = numbers.workers.values().fold(0u32, |sum, shape| sum.saturating_add(shape.slots()));
        v1::JobStatus {
            job: id.0,
            spec: Some(job_spec_to_show(&self.submission)),
            state: (*self.state.borrow()).into(),
            reason: view.map_or_else(String::new, |view| self.waits_for(id, view, why_nobody)),
            attempts: numbers.attempts + numbers.retried_there + numbers.lost_tasks,
            quarantined: self.quarantined.len(),
            exits: numbers.exits(),
            lost_tasks: numbers.lost_tasks,
            tasks: self.tasks,
            ok: numbers.ok,
            failed: self.failed.len(),
            retried: numbers.retried,
            duplicates: numbers.duplicates,
            leased: view.map_or(0, |view| view.leased),
            workers: numbers.workers.len() as u32,
            processes: shape.processes,
            threads: shape.threads,
            wall_s: numbers.wall(until).as_secs_f64(),
            submitted_s: self.submitted_unix_ns as f64 / 1e9,
            queue: sketch_to_wire(&numbers.queue),
            dispatch: sketch_to_wire(&numbers.dispatch),
            run: sketch_to_wire(&numbers.run),
            report: sketch_to_wire(&numbers.report),
            busy_ns: numbers.busy.0,
            slot_ns: numbers.slot.0,
            peak_pss_bytes: numbers.peak_pss_bytes,
            checksum: numbers.checksum,
            output_bytes: numbers.output_bytes,
            lost_workers: numbers.lost_workers,
            first_failures: numbers.first_failures.clone(),
            lease_tasks_min: numbers.lease_tasks_min,
            lease_tasks_max: numbers.lease_tasks_max,
            leases: numbers.leases,
            results_from: self.results.taken,
            executor_exits: numbers.executor_exits,
            notices: numbers.notices.clone(),
            over_limit: false,
            slots,
            in_progress: view.map_or(0.0, |view| self.progress.tasks(view.leased)),
            gil_wait: sketch_to_wire(&numbers.gil_wait),
            gil_handovers: numbers.gil_handovers,
            stand_ins: numbers.stand_ins,
            start: sketch_to_wire(&numbers.start),
            latency: sketch_to_wire(&numbers.latency),
            start_lag: sketch_to_wire(&numbers.start_lag),
            ..v1::JobStatus::default()
        }
    }

    /// Why nothing of it runs, when nothing does, or why it will not end by itself.
    fn waits_for(&self, id: JobId, view: JobView, why_nobody: String) -> String {
        if *self.state.borrow() == JobState::Paused {
            return self.paused.clone().unwrap_or_default();
        }
        let why = if !self.sealed && self.feeding.broke_off() {
            return format!(
                "its inputs broke off: `muster job cancel {}` ends it and keeps its results, as happens by itself \
                 after {} without inputs and work",
                id.0,
                in_words(FEED_WAIT)
            );
        } else if view.leased > 0 {
            ""
        } else if view.held {
            "its results are not being fetched"
        } else if view.waiting > 0 && view.waiting == view.ready {
            "what is left of it waits before it is tried again"
        } else if view.fitting == 0 {
            return why_nobody;
        } else if view.ready > 0 {
            "the workers are busy with other jobs"
        } else if !self.sealed {
            "it waits for tasks"
        } else {
            ""
        };
        why.to_owned()
    }

    /// Tells everybody who still waits for something that the job takes nothing more.
    pub fn refuse_waiting(&mut self, why: impl Fn() -> Refusal) {
        for (_, reply) in self.parked_feeds.drain(..) {
            let _ = reply.send(Err(why()));
        }
    }
}
