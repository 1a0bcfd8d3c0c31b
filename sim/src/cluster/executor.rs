//! What the threads of executors do: claim, run, hold results, hand them in.

use super::message::Event;
use super::page::{Page, Taken};
use super::thread::{Claimed, Results, State};
use super::{Cluster, scaled};
use crate::time_model::sample;
use muster_core::agent::{ExitCause, Input};
use muster_core::claim::{hold_ns, whole_leaves};
use muster_core::id::{ExecutorId, JobId, LeaseId};
use muster_core::range::IndexRange;
use muster_core::time::{Span, Time};

impl Cluster {
    /// Idle threads of a page that may claim do so, in order.
    pub(super) fn wake(&mut self, page: u32) {
        let Page { first_thread, threads, allowed, worker, .. } = *self.pages.get(page);
        if self.machines.get(worker).paused_until > self.now {
            return;
        }
        for thread in first_thread..first_thread + threads.min(allowed) {
            if self.threads.get(thread).state == State::Idle && !self.claim(thread) {
                break;
            }
        }
    }

    /// A thread takes tasks and runs them; `false`: there are none.
    fn claim(&mut self, number: u32) -> bool {
        let thread = self.threads.get(number);
        let page = self.pages.get(thread.page);
        let total = page.unclaimed();
        if total == 0 {
            return false;
        }
        let slots = page.allowed.clamp(1, page.threads);
        let wanted = thread.pace.tasks(total, slots);
        let leaf = page.leaf.unwrap_or(0);
        let taken = page.claim(thread.cursor, |start, unclaimed| {
            let wanted = wanted.min(unclaimed);
            if leaf == 0 { wanted } else { whole_leaves(start, wanted, leaf) }
        });
        let Some(taken) = taken else { return false };
        let Taken { entry, lease, range, whole, drained } = taken;
        let (worker, job) = (page.worker, page.job);
        let left = total.saturating_sub(if whole { 1 } else { range.len() });
        let ahead_ns = thread.pace.time_of(left, slots);
        if drained {
            self.backlog.push_back(Input::Drained { job: JobId(u64::from(job)), entry: entry as usize });
        }
        let poisoned = self.first_poisoned(job, range, self.now);
        let run = poisoned.map_or(range, |index| IndexRange::new(range.start, index));
        let busy = if whole { Span::ZERO } else { self.time_of(worker, job, run) };
        let waited = self.now.since(self.submitted(job));
        self.measures.queue_wait.record_many(waited, range.len());
        self.measures.series.busy(self.now, 1);
        let now = self.now;
        let thread = self.threads.get_mut(number);
        thread.version = thread.version.wrapping_add(1);
        thread.cursor = entry;
        thread.ahead_ns = ahead_ns;
        thread.state = State::Running;
        thread.running = Claimed { lease, range, busy };
        thread.began = now;
        thread.stood = Span::ZERO;
        thread.ends = now + busy;
        let (version, ends) = (thread.version, thread.ends);
        let overdue = (!thread.held.is_empty()).then_some(thread.held_since + self.scenario.scheduling.hold);
        if self.shares_cores(worker, job) {
            let io = self.scenario.jobs[job as usize].io;
            let waiting = scaled(busy, io);
            let thread = self.threads.get_mut(number);
            thread.computing = Span(busy.0 - waiting.0);
            if waiting == Span::ZERO {
                self.compute(number);
            } else {
                self.queue.push(now + waiting, Event::Waited { thread: number, version });
            }
            return true;
        }
        match poisoned {
            Some(_) => self.queue.push(ends, Event::Crash { thread: number, version }),
            None => self.queue.push(ends, Event::Ran { worker, thread: number, version }),
        }
        if let Some(overdue) = overdue.filter(|&overdue| overdue < ends) {
            self.queue.push(overdue.max(now), Event::Overdue { thread: number, version });
        }
        true
    }

    /// A thread that shares cores has waited for what its tasks wait for.
    pub(super) fn waited(&mut self, number: u32, version: u32) {
        let thread = self.threads.get(number);
        if thread.version != version || thread.state != State::Running {
            return;
        }
        let paused = self.machines.get(self.pages.get(thread.page).worker).paused_until;
        if paused > self.now {
            self.queue.push(paused, Event::Waited { thread: number, version });
        } else {
            self.compute(number);
        }
    }

    /// The thread time of tasks on a worker.
    pub(super) fn time_of(&self, worker: u32, job: u32, range: IndexRange) -> Span {
        let slowness = self.machines.get(worker).slowness;
        let stream = self.streams[job as usize];
        let spec = &self.scenario.jobs[job as usize];
        let total = (range.start..range.end).map(|index| sample(&spec.time, stream, index).0).sum();
        if slowness == 1.0 {
            return Span(total);
        }
        scaled(Span(total), spec.io + (1.0 - spec.io) * slowness)
    }

    /// A thread has run what it claimed.
    pub(super) fn ran(&mut self, number: u32, version: u32) {
        let thread = self.threads.get_mut(number);
        if thread.version != version || thread.state != State::Running {
            return;
        }
        let worker = self.pages.get(thread.page).worker;
        let paused = self.machines.get(worker).paused_until;
        if paused > self.now {
            self.queue.push(paused, Event::Ran { worker, thread: number, version });
            return;
        }
        let Claimed { lease, range, busy } = thread.running;
        let tasks = range.len();
        thread.state = State::Idle;
        self.go_on(number);
        let thread = self.threads.get_mut(number);
        thread.pace.record(u32::try_from(tasks).unwrap_or(u32::MAX), busy.0);
        let hold = hold_ns(thread.ahead_ns, self.scenario.scheduling.hold);
        let at_once = thread.held.is_empty() && busy.0 >= hold;
        if !at_once {
            if thread.held.is_empty() {
                thread.held_since = self.now;
            }
            thread.hold(Results { lease, range, busy });
        }
        let waited = self.now.since(thread.held_since).0;
        self.measures.attempts += tasks;
        self.measures.busy += busy;
        self.measures.run.record_many(Span(busy.0 / tasks.max(1)), tasks);
        self.measures.series.busy(self.now, -1);
        if self.measures.columns.is_some() {
            self.note_tasks(number);
        }
        if at_once {
            self.hear(worker, Input::Done { lease, range }, busy);
        } else if busy.0 >= hold || waited >= hold {
            self.flush(number, worker);
        }
        let thread = self.threads.get(number);
        let page = self.pages.get(thread.page);
        let may = number - page.first_thread < page.allowed && thread.state == State::Idle;
        if !(may && self.claim(number)) {
            self.flush(number, worker);
        }
        self.drain_backlog(worker);
    }

    /// Writes down the tasks of a claim that was run. Shared cores stretch each of them alike.
    fn note_tasks(&mut self, number: u32) {
        let thread = self.threads.get(number);
        let (Claimed { range, busy, .. }, mut at) = (thread.running, thread.began);
        let (worker, job) = (self.pages.get(thread.page).worker, self.pages.get(thread.page).job);
        let alone = self.time_of(worker, job, range);
        for index in range.start..range.end {
            let time = self.time_of(worker, job, IndexRange::from_count(index, 1));
            let ran = if alone == busy { time } else { scaled(time, busy.0 as f64 / alone.0.max(1) as f64) };
            if let Some(columns) = &mut self.measures.columns {
                columns.push(job, index, worker, at, ran);
            }
            at = at + ran;
        }
    }

    /// A thread has held results for long enough.
    pub(super) fn overdue(&mut self, number: u32, version: u32) {
        let thread = self.threads.get(number);
        if thread.version == version && !thread.held.is_empty() {
            let worker = self.pages.get(thread.page).worker;
            let paused = self.machines.get(worker).paused_until;
            if paused > self.now {
                self.queue.push(paused, Event::Overdue { thread: number, version });
            } else {
                self.flush(number, worker);
            }
        }
    }

    /// Hands in what a thread holds.
    fn flush(&mut self, number: u32, worker: u32) {
        if self.threads.get(number).held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.threads.get_mut(number).held);
        for &Results { lease, range, busy } in &held {
            self.hear(worker, Input::Done { lease, range }, busy);
        }
        // The memory is used again, unless handing in has ended the thread.
        let thread = self.threads.get_mut(number);
        if thread.held.is_empty() {
            thread.held = held;
            thread.held.clear();
        }
    }

    /// What a thread runs and holds is lost.
    pub(super) fn abort(&mut self, number: u32) {
        self.go_on(number);
        let thread = self.threads.get(number);
        let begun = if thread.is_busy() { self.task_at(number) + 1 - thread.running.range.start } else { 0 };
        let elapsed = self.elapsed(number);
        let thread = self.threads.get_mut(number);
        let held: u64 = thread.held.iter().map(|results| results.range.len()).sum();
        let held_busy = thread.held.iter().fold(Span::ZERO, |sum, results| sum + results.busy);
        self.measures.lost += held;
        self.measures.wasted += held_busy;
        thread.held.clear();
        thread.version = thread.version.wrapping_add(1);
        if thread.is_busy() {
            let was_computing = thread.state == State::Computing;
            thread.state = State::Idle;
            let page = thread.page;
            if was_computing {
                self.stop_computing(self.pages.get(page).worker);
            }
            self.measures.lost += begun;
            self.measures.interrupted += begun;
            self.measures.wasted += elapsed;
            self.measures.busy += elapsed;
            self.measures.series.busy(self.now, -1);
        }
    }

    /// A busy thread stands still for so long, from now on or on top of what it does so already.
    pub(super) fn stand(&mut self, number: u32, longer: Span) {
        let thread = self.threads.get_mut(number);
        thread.stood += longer;
        if !std::mem::replace(&mut thread.stands, true) {
            self.measures.series.busy(self.now, -1);
        }
    }

    /// A thread that stood still does so no more.
    pub(super) fn go_on(&mut self, number: u32) {
        if std::mem::take(&mut self.threads.get_mut(number).stands) {
            self.measures.series.busy(self.now, 1);
        }
    }

    /// For how long a thread has run what it runs.
    fn elapsed(&self, number: u32) -> Span {
        let thread = self.threads.get(number);
        let paused = self.machines.get(self.pages.get(thread.page).worker).paused_until;
        let stood = thread.stood.0.saturating_sub(paused.since(self.now).0);
        Span(self.now.since(thread.began).0.saturating_sub(stood))
    }

    /// The executor of a thread dies while the thread runs the task at `index`. `recorded`: by the thread's own doing,
    /// which it leaves a record of.
    pub(super) fn crash_executor(
        &mut self,
        worker: u32,
        executor: ExecutorId,
        (culprit, index): (u32, u64),
        recorded: bool,
    ) {
        let page = self.threads.get(culprit).page;
        let seats = self.pages.get(page).seats();
        let mut held: Vec<(LeaseId, IndexRange)> = Vec::new();
        let (mut running, mut blamed): (Vec<(LeaseId, u64)>, _) = (Vec::new(), None);
        for number in seats {
            let thread = self.threads.get(number);
            if thread.executor != executor {
                continue;
            }
            held.extend(thread.held.iter().map(|results| (results.lease, results.range)));
            if thread.is_busy() {
                let Claimed { lease, range, .. } = thread.running;
                held.push((lease, range));
                let at = if number == culprit { index } else { self.task_at(number) };
                running.push((lease, at));
                if recorded && number == culprit {
                    blamed = Some((lease, at));
                }
            }
            self.abort(number);
            self.threads.seat(number, ExecutorId(0), State::Absent);
        }
        let cause = ExitCause::Signal;
        let culprits = blamed.into_iter().collect();
        self.tell_agent(worker, Input::ExecutorExited { executor, cause, held, running, culprits });
    }

    /// The task that a thread is running.
    pub(super) fn task_at(&self, number: u32) -> u64 {
        let thread = self.threads.get(number);
        let Claimed { range, busy, .. } = thread.running;
        if busy == Span::ZERO {
            return range.start;
        }
        let page = self.pages.get(thread.page);
        let (mut at, elapsed) = (Span::ZERO, self.elapsed(number));
        for index in range.start..range.end {
            at += self.time_of(page.worker, page.job, IndexRange::from_count(index, 1));
            if at > elapsed {
                return index;
            }
        }
        range.end - 1
    }

    pub(super) fn submitted(&self, job: u32) -> Time {
        self.coordinator.jobs()[job as usize].submitted.unwrap_or(self.now)
    }
}
