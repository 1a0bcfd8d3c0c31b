//! Runs the tasks of a claim, through the loader, and gathers what comes of them.

use super::combine::combine;
use super::flush::{FRAME_BYTES, Held};
use super::job::{Run, Shared};
use super::tree::Tree;
use crate::arena::{ArenaReader, RunInputs};
use crate::crash::places_of;
use crate::emulation::Slowness;
use crate::frame::{EntryUse, Failure};
use crate::os::monotonic_ns;
use crate::page::KIND_RUN;
use muster_core::claim::CLAIM_TASKS_MAX;
use muster_core::page::{Claim, SlotRecord};
use muster_core::range::IndexRange;
use muster_core::scheduler::FailureClass;
use muster_core::time::Span;
use muster_plugin_host::{
    ErrorKind, Inputs, NOTHING_DONE, OutBuffer, RangeInput, RangeOutcome, Slot, SlotWords, TaskError,
};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// A range call stops early when it has made this many bytes of results.
const RESULTS_BYTES_SOFT_MAX: usize = FRAME_BYTES;

/// A task that says that it was stopped before its time is run again so often: the flag may have been meant for the one
/// before it.
const REPEATS_MAX: u32 = 3;

/// Runs the tasks of a claim and gathers what comes of them.
pub(super) struct Runner<'a> {
    pub shared: &'a Shared,
    ordinal: usize,
    pub slot: Slot<'a>,
    arena: ArenaReader,
    out: OutBuffer,
    slowness: Slowness,
    /// The time limit of an attempt, 0 for none. With one, tasks are run one by one: each has its own start.
    timeout_ns: u64,
    /// How often the running task was run again because it was told to stop before its time.
    repeats: u32,
    /// When the task of the claim was due, where tasks arrive.
    pub due_ns: Option<u64>,
}

/// What a piece of a claim came to.
enum Step {
    /// These many tasks are done.
    Done(u64),
    /// So many are done, and the one behind them failed.
    Failed(u64, TaskError),
    /// The job was cancelled: nothing of the rest will be run.
    Cancelled,
    /// The one task was told to stop when the one before it was meant: it runs again.
    Again,
}

impl<'a> Runner<'a> {
    /// Nothing run yet.
    pub fn new(shared: &'a Shared, ordinal: u32, record: &'a SlotRecord) -> Self {
        let words =
            SlotWords { cancel: &record.cancel, current: &record.current, progress: &record.progress };
        let mut slot = Slot::new(ordinal, words);
        slot.set_result_limit(shared.result_bytes_max());
        let out = OutBuffer { soft_max: RESULTS_BYTES_SOFT_MAX, ..OutBuffer::new() };
        let arena = ArenaReader::new(Arc::clone(&shared.arena));
        let slowness = Slowness::new(shared.open.extra_millionths);
        let timeout_ns = shared.open.timeout_ns;
        Self {
            shared,
            ordinal: ordinal as usize,
            slot,
            arena,
            out,
            slowness,
            timeout_ns,
            repeats: 0,
            due_ns: None,
        }
    }

    /// Runs a claim that began at `begun_ns`; says how long the plugin took.
    pub fn run(&mut self, place: EntryUse, claim: &Claim, begun_ns: u64) -> u64 {
        if claim.facts.kind != KIND_RUN {
            return self.run_combine(place, claim, begun_ns);
        }
        if self.shared.open.reduce_leaf != 0 {
            return self.run_reduced(place, claim, begun_ns);
        }
        let (mut at, mut from_ns) = (claim.range.start, begun_ns);
        while at < claim.range.end {
            // The first task alone: its time is a sample.
            let sample = at == claim.range.start;
            if !sample && self.shared.page.is_cancelled() {
                break;
            }
            let is_alone = sample || self.shared.gil.is_some() || self.timeout_ns != 0;
            let end = if is_alone { at + 1 } else { self.end_of_step(at, claim.range.end) };
            let step = self.step(claim, IndexRange::new(at, end), 0, from_ns);
            let now = self.slowed(from_ns);
            let mut held = self.shared.holdings.lock(self.ordinal);
            let done = match &step {
                Step::Done(done) | Step::Failed(done, _) => *done,
                Step::Again => continue,
                Step::Cancelled => break,
            };
            let (range, busy) = (IndexRange::from_count(at, done), now - from_ns);
            if done > 0 {
                held.gather.add_results(place, range, &self.out.lens, &self.out.data, busy, now);
            }
            if sample {
                held.gather.run.record(Span(busy));
            }
            self.add_lock_times(&mut held, 1);
            at = range.end;
            self.repeats = 0;
            let failed = matches!(step, Step::Failed(..));
            if done + u64::from(failed) == 1 {
                let run = self.ran(place, claim, 0, (from_ns, now), failed);
                held.note_run(self.shared, range.start, &run);
            }
            if let Step::Failed(_, error) = step {
                let busy_ns = if done > 0 { 0 } else { busy };
                let places = places_of(&self.slot.take_stack());
                held.gather.add_failure(Failure { places, ..failure(place, at, &error, busy_ns) });
                at += 1;
            }
            if held.is_full() {
                self.shared.holdings.send(&mut held, &self.shared.outbox);
            } else if at < claim.range.end {
                // The next task may take long, or for ever.
                self.shared.holdings.hold(&mut held, busy, &self.shared.outbox);
            }
            from_ns = now;
        }
        monotonic_ns().saturating_sub(begun_ns)
    }

    /// One run of a task of a claim, which was tried `before` times here.
    fn ran(&self, place: EntryUse, claim: &Claim, before: u32, times: (u64, u64), failed: bool) -> Run {
        let (begun_ns, ended_ns) = times;
        Run {
            begun_ns,
            ended_ns,
            due_ns: self.due_ns,
            failed,
            entry: place.entry,
            thread: self.ordinal as u32,
            attempt: claim.facts.attempt.saturating_add(before),
            waits: self.shared.take_waits(self.ordinal),
        }
    }

    /// Where a call that begins with task `at` ends: tasks that are looked at run alone.
    fn end_of_step(&self, at: u64, end: u64) -> u64 {
        let Some(sampling) = &self.shared.sampling else { return end };
        let next = sampling.first_in(at, end);
        next.map_or(end, |next| if next == at { at + 1 } else { next })
    }

    /// The time after work that began at `from_ns`, once a slow worker would have done it.
    fn slowed(&mut self, from_ns: u64) -> u64 {
        let page = &self.shared.page;
        self.slowness.stretch(from_ns, || page.is_cancelled())
    }

    /// Calls the plugin once for a part of a claim, the first task of which was tried `before` times here.
    /// Results are in `out`.
    fn step(&mut self, claim: &Claim, range: IndexRange, before: u32, begun_ns: u64) -> Step {
        self.out.clear();
        // What combining waited for is not this task's.
        drop(self.shared.take_waits(self.ordinal));
        if self.timeout_ns != 0 {
            self.begin_time(begun_ns);
        } else if range.len() == 1
            && self.shared.sampling.is_some()
            && let Some(record) = self.record()
        {
            // Should it end its executor, this is when it began.
            record.started_ns.store(begun_ns, Relaxed);
        }
        match self.call(claim, range, before) {
            RangeOutcome { done, failure: None } if done > 0 => Step::Done(done),
            RangeOutcome { failure: None, .. } => Step::Failed(0, nothing_done()),
            RangeOutcome { failure: Some(error), .. }
                if error.kind == ErrorKind::Cancelled && self.shared.page.is_cancelled() =>
            {
                Step::Cancelled
            }
            RangeOutcome { done: 0, failure: Some(error) } if self.is_told(&error) => {
                let is_over = monotonic_ns().saturating_sub(begun_ns) >= self.timeout_ns;
                if is_over {
                    Step::Failed(0, over_time(self.timeout_ns))
                } else if error.kind == ErrorKind::Cancelled && self.repeats < REPEATS_MAX {
                    self.repeats += 1;
                    Step::Again
                } else {
                    Step::Failed(0, error)
                }
            }
            RangeOutcome { done, failure: Some(error) } => Step::Failed(done, error),
        }
    }

    fn call(&mut self, claim: &Claim, range: IndexRange, before: u32) -> RangeOutcome {
        self.slot_current(range.start);
        let facts = &claim.facts;
        let refuse = |message| RangeOutcome { done: 0, failure: Some(transient(message)) };
        let inputs = if facts.inputs_len == 0 {
            None
        } else {
            let bytes = match self.arena.bytes(facts.inputs_at, facts.inputs_len) {
                Ok(bytes) => bytes,
                Err(error) => return refuse(format!("inputs cannot be read: {error}")),
            };
            let from = range.start.wrapping_sub(facts.inputs_base) as usize;
            let inputs = RunInputs::parse(bytes)
                .and_then(|inputs| inputs.slice(from, range.len() as usize))
                .and_then(|inputs| Inputs::new(inputs.data, inputs.offsets));
            if inputs.is_none() {
                return refuse(format!("the arena does not hold the inputs of {range}"));
            }
            inputs
        };
        let attempt = facts.attempt.saturating_add(before);
        let input = RangeInput { start: range.start, count: range.len(), attempt, inputs };
        let _turn = self.shared.turn(self.ordinal);
        self.shared.plugin.run_range(&mut self.slot, input, &mut self.out)
    }

    /// The time of one task begins. A flag that is set was meant for the one before it, unless the job is cancelled.
    fn begin_time(&mut self, begun_ns: u64) {
        let page = &self.shared.page;
        if let Some(record) = page.slot(self.shared.open.first_slot + self.ordinal as u32) {
            // Before the task stands in the page, so that nobody sees it with the start of another.
            record.started_ns.store(begun_ns, SeqCst);
            record.cancel.store(0, SeqCst);
            if page.is_cancelled() {
                record.cancel.store(1, SeqCst);
            }
        }
        self.slot.set_deadline_ns(Some(begun_ns.saturating_add(self.timeout_ns)));
    }

    /// Whether a task failed because it was told to stop at its time limit, or saw by itself that it was over.
    fn is_told(&self, error: &TaskError) -> bool {
        let number = self.shared.open.first_slot + self.ordinal as u32;
        let is_flagged =
            || self.shared.page.slot(number).is_some_and(|record| record.cancel.load(SeqCst) != 0);
        let may_follow = match error.kind {
            ErrorKind::Cancelled => true,
            // What it waited for may have failed because of that.
            ErrorKind::Failed | ErrorKind::Transient => is_flagged(),
            _ => false,
        };
        self.timeout_ns != 0 && may_follow
    }

    /// Counts what the thread had to do with its lock since the last time, for so many tasks.
    fn add_lock_times(&self, held: &mut Held, tasks: u64) {
        let Some(gil) = &self.shared.gil else { return };
        let waited = gil.take_waited_ns(self.ordinal as u32);
        held.gather.gil_wait.record_many(Span(waited / tasks.max(1)), tasks);
        held.gather.gil_handovers += gil.take_handovers(self.ordinal as u32);
        if let Some(record) = self.record() {
            record.lock_wait_ns.fetch_add(waited, Relaxed);
        }
    }

    fn record(&self) -> Option<&'a SlotRecord> {
        self.shared.page.slot(self.shared.open.first_slot + self.ordinal as u32)
    }

    fn slot_current(&self, index: u64) {
        if let Some(record) = self.record() {
            // An earlier attempt of the same task may have said something.
            if record.progress.load(Relaxed) != NOTHING_DONE {
                record.progress.store(NOTHING_DONE, Relaxed);
            }
            record.current.store(index, SeqCst);
        }
    }

    /// Runs a claim of a job whose results are combined: sends partial results of aligned blocks.
    fn run_reduced(&mut self, place: EntryUse, claim: &Claim, begun_ns: u64) -> u64 {
        let open = &self.shared.open;
        let mut tree = Tree::new(claim.range, open.reduce_leaf, open.max_attempts);
        let (mut at, mut from_ns, mut first) = (claim.range.start, begun_ns, true);
        while at < claim.range.end {
            // A task that is tried again has an attempt number of its own.
            let (alone, before) = (first || tree.attempts() > 0, tree.attempts());
            let end = if alone || self.timeout_ns != 0 {
                at + 1
            } else {
                self.end_of_step(at, claim.range.end.min(at + u64::from(CLAIM_TASKS_MAX)))
            };
            if self.shared.page.is_cancelled() {
                return monotonic_ns().saturating_sub(begun_ns);
            }
            let step = self.step(claim, IndexRange::new(at, end), before, from_ns);
            let done = match &step {
                Step::Done(done) | Step::Failed(done, _) => *done,
                Step::Again => continue,
                Step::Cancelled => return monotonic_ns().saturating_sub(begun_ns),
            };
            let (lens, data) = (std::mem::take(&mut self.out.lens), std::mem::take(&mut self.out.data));
            let turn = self.shared.turn(self.ordinal);
            tree.add(self, at, &lens, &data);
            drop(turn);
            (self.out.lens, self.out.data) = (lens, data);
            let (begun, failed) = (at, matches!(step, Step::Failed(..)));
            at += done;
            self.repeats = 0;
            if let Step::Failed(_, error) = step {
                if tree.fail(self, at, &error) {
                    at += 1;
                } else {
                    self.shared.holdings.lock(self.ordinal).gather.retried += 1;
                }
            }
            let now = self.slowed(from_ns);
            let mut held = self.shared.holdings.lock(self.ordinal);
            if first {
                held.gather.run.record(Span(now - from_ns));
            }
            if done + u64::from(failed) == 1 {
                let run = self.ran(place, claim, before, (from_ns, now), failed);
                held.note_run(self.shared, begun, &run);
            }
            drop(held);
            (from_ns, first) = (now, false);
        }
        let turn = self.shared.turn(self.ordinal);
        let (partials, failures) = tree.finish(self);
        drop(turn);
        let ended_ns = self.slowed(from_ns);
        let busy = ended_ns.saturating_sub(begun_ns);
        let tasks = claim.range.len().max(1);
        let mut held = self.shared.holdings.lock(self.ordinal);
        self.add_lock_times(&mut held, claim.range.len());
        // The time of tasks that failed is in the partial results, unless there is none.
        let mut failed_ns = if partials.is_empty() { busy } else { 0 };
        for (index, error) in failures {
            held.gather.add_failure(failure(place, index, &error, std::mem::take(&mut failed_ns)));
        }
        for partial in partials {
            let range = partial.block.range();
            let share = Span(busy).share(range.len(), tasks);
            held.gather.add_combined(place, range, &partial.bytes, partial.skipped, share.0, ended_ns);
        }
        busy
    }

    /// Combines the partial results of a combine lease.
    fn run_combine(&mut self, place: EntryUse, claim: &Claim, begun_ns: u64) -> u64 {
        if self.timeout_ns != 0
            && let Some(record) = self.shared.page.slot(self.shared.open.first_slot + self.ordinal as u32)
        {
            // Combining has no time limit: it never began as far as those are concerned.
            record.started_ns.store(u64::MAX, SeqCst);
        }
        self.slot_current(claim.range.start);
        let facts = &claim.facts;
        let mut arena = ArenaReader::new(Arc::clone(&self.shared.arena));
        let result = match arena.bytes(facts.inputs_at, facts.inputs_len) {
            Ok(bytes) => {
                let _turn = self.shared.turn(self.ordinal);
                combine(self, bytes, facts.kind)
            }
            Err(error) => Err(transient(format!("partial results cannot be read: {error}"))),
        };
        let ended_ns = self.slowed(begun_ns);
        let busy = ended_ns.saturating_sub(begun_ns);
        let mut held = self.shared.holdings.lock(self.ordinal);
        match result {
            Ok(bytes) => {
                held.gather.add_combined(place, claim.range, &bytes, Vec::new(), busy, ended_ns);
            }
            Err(error) => held.gather.add_failure(failure(place, claim.range.start, &error, busy)),
        }
        busy
    }
}

/// The failure of a task that was stopped at its time limit.
pub(super) fn over_time(timeout_ns: u64) -> TaskError {
    let message = format!("stopped after its time limit of {}", Span(timeout_ns));
    TaskError { kind: ErrorKind::Timeout, code: 0, message }
}

/// A failure of muster's own that may not come again.
pub(super) fn transient(message: String) -> TaskError {
    TaskError { kind: ErrorKind::Transient, code: 0, message }
}

fn nothing_done() -> TaskError {
    let message = "the plugin returned without having done a task".to_owned();
    TaskError { kind: ErrorKind::Abi, code: 0, message }
}

pub(super) fn failure(place: EntryUse, index: u64, error: &TaskError, busy_ns: u64) -> Failure {
    Failure {
        place,
        index,
        class: class_of(error.kind),
        text: error.to_string(),
        busy_ns,
        ended_ns: monotonic_ns(),
        places: Vec::new(),
    }
}

/// What a kind of error means for the task.
pub(super) fn class_of(kind: ErrorKind) -> FailureClass {
    match kind {
        ErrorKind::Failed | ErrorKind::Params | ErrorKind::Unsupported | ErrorKind::Abi => {
            FailureClass::Failed
        }
        ErrorKind::Transient | ErrorKind::NoMemory => FailureClass::Transient,
        ErrorKind::Cancelled => FailureClass::Cancelled,
        ErrorKind::Panic => FailureClass::Panicked,
        ErrorKind::Limit => FailureClass::Limit,
        ErrorKind::Timeout => FailureClass::Timeout,
    }
}
