//! What executors say, checked and handed to the agent.

use super::act::Arrived;
use super::driver::Driver;
use super::event::{End, Event};
use super::executor::Seat;
use super::exit::{Circumstances, Ending, Refusal, explain, violation_text};
use super::inquest::{Inquest, evidence_of};
use super::job::{Held, JobState};
use super::report::ReportBuilder;
use super::stop::StopHow;
use crate::crash::{CrashFile, Role};
use crate::frame::{Batch, Block, Failure, FromExecutor, LogTask};
use crate::log::{TaskRef, Who};
use crate::metrics::Metrics;
use muster_core::agent::{ExitCause, Input};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::scheduler::FailureClass;
use muster_core::time::{Span, Time};
use muster_proto::convert::{Evidence, Phases, RanOn, TaskSample};
use muster_proto::packed::Items;
use std::sync::Arc;

/// What is said of a task that wrote into the job page.
const PAGE_OVERWRITTEN: &str = "a task overwrote memory that its process shares with muster (the job page); look for \
                                writes through wild pointers or past the end of an array";

/// After a crash results of its job do not wait for others for this long.
const CAREFUL_NS: u64 = 1_000_000_000;

impl Driver {
    pub fn on_event(&mut self, event: Event) {
        match event {
            Event::Frame { executor, frame } => self.on_frame(executor, frame),
            Event::Violation { executor, text } => self.on_violation(executor, text),
            Event::Ended { executor, end } => self.on_ended(executor, end),
            Event::Inquest(inquest) => self.on_inquest(*inquest),
            Event::Plugin { digest, result } => self.on_plugin(digest, result),
            // The loop takes them.
            Event::Greets(_) | Event::Connected(_) | Event::Refused(_) => {}
        }
    }

    fn on_frame(&mut self, id: ExecutorId, frame: FromExecutor) {
        let now = self.now();
        let Some(executor) = self.executors.get_mut(&id) else { return };
        let job = executor.seat.map(|seat| seat.job);
        match frame {
            FromExecutor::Loaded => {
                executor.is_loaded = true;
                self.metrics.plugin_loaded(true);
            }
            FromExecutor::LoadFailed { text, is_damage } => {
                self.metrics.plugin_loaded(false);
                executor.circumstances.refusal = Some(Refusal { text, is_damage });
                // The next job has the file looked at anew.
                self.plugins.remove(&executor.plugin.digest);
            }
            FromExecutor::OpenFailed { text, .. } => executor.circumstances.refusal = Some(Refusal::of(text)),
            FromExecutor::Opened { .. } => {
                let took = now.since(executor.started);
                let is_first = !std::mem::replace(&mut executor.has_opened, true);
                if let Some(job) = job.and_then(|id| self.jobs.get_mut(&id)).filter(|_| is_first) {
                    job.phases.start.record(took);
                }
                job.and_then(|id| self.jobs.get_mut(&id)).into_iter().for_each(JobState::begin_times);
                self.tell_memory_soon();
                self.count_executors();
                self.feed(Input::ExecutorReady { executor: id });
            }
            // It was looked at before this came.
            FromExecutor::Shelved => {}
            FromExecutor::Retired => executor.circumstances.retired = true,
            FromExecutor::Closed { .. } => {
                let seat = executor.seat.take();
                if let Some(stop) = seat.and_then(|seat| self.jobs.get_mut(&seat.job)?.stop.as_mut()) {
                    stop.ended(StopHow::Asked, 0);
                }
                self.count_executors();
                self.feed(Input::ExecutorIdle { executor: id });
            }
            // It runs nothing that counts any more; what it had runs again.
            FromExecutor::Batch(_) if executor.circumstances.violation.is_some() => {}
            FromExecutor::Batch(batch) if job == Some(JobId(batch.job)) => self.on_batch(id, batch),
            FromExecutor::Batch(batch) => {
                self.on_violation(
                    id,
                    format!("it sent results of job {}, which it does not have", batch.job),
                );
            }
            FromExecutor::Deaf { slot, tasks } => self.on_deaf(id, slot, tasks),
            FromExecutor::Readings(readings) => self.metrics.workload(&executor.plugin, id, readings),
            FromExecutor::Log { level, task, text } => {
                let plugin = executor.plugin.name.as_str().into();
                let who = Who { executor: id.0, job: job.map_or(0, |job| job.0), plugin };
                let first_slot = executor.seat.map_or(0, |seat| seat.first_slot);
                let of = task.map(|LogTask { slot, index, attempt }| {
                    (first_slot.saturating_add(slot), TaskRef { index, attempt })
                });
                self.log.call(who, of, level.min(5) as u8, text);
            }
        }
    }

    fn on_batch(&mut self, executor: ExecutorId, batch: Batch) {
        let id = JobId(batch.job);
        let is_told_to_stop = |failure: &Failure| failure.class == FailureClass::Cancelled;
        let look = if batch.failures.iter().any(is_told_to_stop) {
            JobState::is_all_intact
        } else {
            JobState::is_intact
        };
        if !self.has_intact_page(id, look) {
            return;
        }
        let seat = self.executors.get(&executor).and_then(|it| it.seat);
        if let Some(seat) = seat.filter(|seat| batch.thread >= seat.threads) {
            let text = format!("it named thread {} of {}, which count from 0", batch.thread, seat.threads);
            return self.on_violation(executor, text);
        }
        // Whoever sent this may have claimed the last of an entry since.
        self.note_drained(id);
        self.feed_backlog();
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.frame_arrived();
        job.phases.dispatch.merge(&batch.dispatch);
        job.phases.run.merge(&batch.run);
        job.phases.retried = job.phases.retried.saturating_add(batch.retried);
        job.phases.gil_wait.merge(&batch.gil_wait);
        job.phases.gil_handovers = job.phases.gil_handovers.saturating_add(batch.gil_handovers);
        job.phases.latency.merge(&batch.timings.latency);
        job.phases.start_lag.merge(&batch.timings.start_lag);
        let of_executor = |sample| TaskSample { executor: executor.0, ..sample };
        job.add_samples(batch.timings.samples.into_iter().map(of_executor));
        for failure in &batch.failures {
            job.phases.busy += Span(failure.busy_ns);
        }
        for block in &batch.blocks {
            job.phases.busy += Span(block.busy_ns);
        }
        // Failures first: a block may leave out tasks that failed.
        let ran_on = |ended_ns| RanOn { executor: executor.0, thread: batch.thread, ended: Time(ended_ns) };
        for failure in batch.failures {
            let ran_on = ran_on(failure.ended_ns);
            self.on_failure(executor, id, failure, ran_on);
        }
        for block in batch.blocks {
            let ran_on = ran_on(block.last_ns);
            if let Err(text) = self.on_block(id, block, ran_on) {
                return self.on_violation(executor, text);
            }
        }
        self.note_drained(id);
        self.feed_backlog();
    }

    fn on_failure(&mut self, id: ExecutorId, job: JobId, failure: Failure, ran_on: RanOn) {
        let Failure { place, index, class, text, busy_ns, ended_ns: _, places } = failure;
        let ran_on = Some(ran_on);
        let Some(lease) = self.lease_at(job, place) else { return self.metrics.results_refused(1) };
        let input = Input::Failed { lease, index, class };
        let plugin = self.executors.get(&id).map(|executor| Arc::clone(&executor.plugin));
        let Some(plugin) = plugin.filter(|_| !places.is_empty()) else {
            return self.feed_with(input, Arrived::Failure { text: &text, busy_ns, ran_on });
        };
        let (evidence, mut charges) = (self.evidence_of_panic(id, class), Vec::new());
        let may_wait = self.may_wait(job);
        self.feed_with(input, Arrived::Inquest { charges: &mut charges, busy_ns, ran_on });
        self.hold_inquest(Inquest { charges, exit: None, text, evidence, places, may_wait, plugin });
    }

    fn on_block(&mut self, id: JobId, block: Block, ran_on: RanOn) -> Result<(), String> {
        let Block { place, range, items, results, busy_ns, ended_ns, last_ns: _, skipped } = block;
        let Some(lease) = self.lease_at(id, place) else {
            self.metrics.results_refused(range.len());
            return Ok(());
        };
        let reduces = self.jobs.get(&id).is_some_and(JobState::reduces);
        let (whole, range) = match self.leases.get(&lease) {
            Some(state) if state.whole => (true, state.range),
            Some(_) | None => (false, range),
        };
        let expected = if whole || reduces { 1 } else { range.len() };
        if u64::from(items) != expected {
            return Err(format!("it sent {items} results for tasks {range}, expected {expected}"));
        }
        if !skipped.is_sorted() || skipped.iter().any(|&index| !range.contains(index)) {
            return Err(format!("it left out tasks that are not in {range}"));
        }
        let items = Items::try_new(results, expected).map_err(|error| format!("its results: {error}"))?;
        let arrived = Arrived::Results { range, items: &items, busy_ns, ended_ns, ran_on, skipped: &skipped };
        self.feed_with(Input::Done { lease, range }, arrived);
        Ok(())
    }

    fn lease_at(&self, job: JobId, place: crate::frame::EntryUse) -> Option<LeaseId> {
        self.jobs.get(&job)?.memory.as_ref()?.lease_at(place)
    }

    fn on_violation(&mut self, id: ExecutorId, text: String) {
        let Some(executor) = self.executors.get_mut(&id) else { return };
        tracing::error!(
            plugin = executor.plugin.name,
            executor = id.0,
            text,
            "an executor broke the rules; it is killed"
        );
        executor.circumstances.violation.get_or_insert(text);
        executor.kill();
    }

    /// Looks whether a plugin wrote into what a job's executors share with this process. If so, none of them can be
    /// trusted any more, and nobody knows which of them did: all end as if they had crashed.
    pub fn has_intact_page(&mut self, id: JobId, is_intact: fn(&JobState) -> bool) -> bool {
        if self.jobs.get(&id).is_none_or(is_intact) {
            return true;
        }
        for executor in self.executors.values_mut().filter(|it| it.seat.is_some_and(|seat| seat.job == id)) {
            executor.circumstances.violation.get_or_insert_with(|| PAGE_OVERWRITTEN.to_owned());
            executor.kill();
        }
        let text = violation_text(PAGE_OVERWRITTEN);
        self.feed_with(
            Input::PageLost { job: id },
            Arrived::Failure { text: &text, busy_ns: 0, ran_on: None },
        );
        false
    }

    pub fn on_ended(&mut self, id: ExecutorId, end: End) {
        let Some(end) = self.unless_renewed(id, end) else { return };
        // Before its end is told: that may have come of what was written there.
        if let Some(seat) = self.executors.get(&id).and_then(|executor| executor.seat) {
            self.has_intact_page(seat.job, JobState::is_all_intact);
        }
        let Some(mut executor) = self.executors.remove(&id) else { return };
        let End { pid, status, memory, last_lines, cut_off } = end;
        let crash = executor.crash.as_ref().and_then(CrashFile::read);
        executor.circumstances =
            Circumstances { pid, memory, last_lines, cut_off, crash, ..executor.circumstances };
        let circumstances = &executor.circumstances;
        let ending = explain(status, circumstances);
        let Ending { cause, text: detail, .. } = &ending;
        let (cause, lived_ns) = (*cause, self.lived_ns(executor.started));
        let (evidence, places) = evidence_of(id, status, &ending, circumstances, lived_ns);
        self.metrics.executor_ended(&executor.plugin.name, id, cause);
        self.count_executors();
        let plugin = &executor.plugin.name;
        let mut job = executor.seat.and_then(|seat| self.jobs.get_mut(&seat.job));
        if let Some(job) = job.as_mut().filter(|_| cause.is_crash()) {
            job.lost_executor();
        }
        if let Some(memory) = job.as_ref().and_then(|job| job.memory.as_ref()).filter(|_| cause.is_crash()) {
            memory.page.be_careful(CAREFUL_NS);
        }
        if cause.is_crash() && job.is_none_or(|job| job.crashes.tells(cause, detail)) {
            tracing::error!(plugin, executor = id.0, cause = cause.name(), detail, "an executor ended");
        } else {
            tracing::debug!(plugin, executor = id.0, cause = cause.name(), detail, "an executor ended");
        }
        let crashed = circumstances.record(status).filter(|record| record.sender.is_none()).map(|it| it.role);
        let culprit = executor.seat.zip(crashed).and_then(|(seat, role)| self.culprit(seat, role));
        let mut culprits = Vec::from_iter(culprit);
        let how = circumstances.stop_how(status);
        let Held { claims, mut running, .. } =
            executor.seat.map(|seat| self.clear_seat(id, seat, cause, how, detail)).unwrap_or_default();
        if circumstances.may_be_late(status) {
            // What runs now is not what did it.
            running.clear();
        }
        if cause == ExitCause::Timeout && !circumstances.suspended {
            culprits.clone_from(&running);
        }
        let (owed, mut charges) = (self.owed(&claims), Vec::new());
        let may_wait = executor.seat.is_none_or(|seat| self.may_wait(seat.job));
        let input = Input::ExecutorExited { executor: id, cause, held: claims, running, culprits };
        self.feed_with(input, Arrived::Inquest { charges: &mut charges, busy_ns: 0, ran_on: None });
        let lost_tasks = owed.saturating_sub(charges.len() as u64);
        self.hold_inquest(Inquest {
            charges,
            exit: executor
                .seat
                .filter(|_| !matches!(cause, ExitCause::Stopped | ExitCause::Retired))
                .map(|seat| (seat.job, cause)),
            text: ending.text,
            evidence: Evidence { lost_tasks, ..evidence },
            places,
            may_wait,
            plugin: executor.plugin,
        });
        if let Some(seat) = executor.seat {
            // It may have claimed the last of an entry and said nothing more.
            self.note_drained(seat.job);
            self.feed_backlog();
        }
        // A wake-up may have gone to a thread that is no more.
        if let Some(memory) = executor.seat.and_then(|seat| self.jobs.get(&seat.job)?.memory.as_ref()) {
            memory.page.wake(u32::MAX);
        }
    }

    /// The task of the thread that crashed, when it was one that runs tasks.
    fn culprit(&self, seat: Seat, role: Role) -> Option<(LeaseId, u64)> {
        let Role::Task { slot } = role else { return None };
        let is_own = slot.checked_sub(seat.first_slot).is_some_and(|ordinal| ordinal < seat.threads);
        let memory = self.jobs.get(&seat.job).filter(|_| is_own)?.memory.as_ref()?;
        memory.running_in(slot)
    }

    /// Reads from the page what an executor that is gone had, and clears it.
    fn clear_seat(
        &mut self,
        id: ExecutorId,
        seat: Seat,
        cause: ExitCause,
        how: StopHow,
        detail: &str,
    ) -> Held {
        let Some(job) = self.jobs.get_mut(&seat.job) else { return Held::default() };
        job.sample_cut_short(id, seat.first_slot, seat.threads);
        if cause.is_crash() || cause == ExitCause::LoadFailed {
            detail.clone_into(&mut job.trouble);
        }
        let Some(memory) = &job.memory else { return Held::default() };
        let mut held = memory.held(seat.first_slot, seat.threads);
        if let Some(stop) = &mut job.stop {
            stop.ended(how, memory.page.tasks_among(seat.first_slot, seat.threads));
        }
        if let Some(deadlines) = &mut job.deadlines {
            if cause == ExitCause::Timeout {
                let (first, count) = (seat.first_slot, seat.threads);
                let told: Vec<u64> = deadlines.told(first, count).collect();
                held.blame(&told, deadlines.deaf(first, count));
            }
            deadlines.clear(seat.first_slot, seat.threads);
        }
        memory.page.clear_slots(seat.first_slot, seat.threads);
        held
    }
}

/// Moves where the time of a job went into the report and the metrics.
pub(super) fn report_phases(job: &mut JobState, report: &mut ReportBuilder, metrics: &Metrics) {
    let phases = &mut job.phases;
    if phases.busy == Span::ZERO
        && phases.dispatch.count() == 0
        && phases.report.count() == 0
        && phases.start.count() == 0
        && phases.samples.is_empty()
    {
        return;
    }
    metrics.phases(&job.plugin.name, phases);
    report.phases(phases);
    *phases = Phases { job: phases.job, stand_ins: phases.stand_ins, ..Phases::default() };
}
