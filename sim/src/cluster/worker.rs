//! The workers' side: messages to agents, and what agents say.

use super::Cluster;
use super::machine::NO_SESSION;
use super::message::{Down, Event, FromWorker, ToWorker, Up, short};
use super::network::{MESSAGE_BYTES, Way};
use super::page::Page;
use super::thread::State;
use crate::prefetch::prefetch;
use muster_core::agent::{CLOSE_GRACE, ExitCause, Grant, Input, Output};
use muster_core::id::{ExecutorId, JobId};
use muster_core::range::IndexRange;
use muster_core::time::{Span, Time};

impl Cluster {
    /// A message reaches a worker.
    pub(super) fn arrive_down(&mut self, message: u32) {
        let Down { worker, session, what, .. } = self.down.get(message);
        if self.is_held_up(Way::Down, worker, Event::Down { message }) {
            return;
        }
        self.down.take(message);
        let machine = self.machines.get(worker);
        if !machine.up || machine.session != session {
            return;
        }
        match what {
            ToWorker::Welcome => {
                // A session begins once.
                if std::mem::replace(&mut self.machines.get_mut(worker).greeted, session) != session {
                    self.tell_agent(worker, Input::Attached);
                }
            }
            ToWorker::Open { job, shape, leaf } => {
                self.leaves.insert((worker, job.0 as u32), leaf);
                self.plugins.arrived(worker, job.0 as u32);
                let plugin = self.plugins.key(job.0 as u32);
                let reduce = leaf.is_some();
                let grace = CLOSE_GRACE;
                self.tell_agent(worker, Input::Open { job, shape, plugin, reusable: true, reduce, grace });
            }
            ToWorker::Grant { lease, job, range, whole } => {
                self.tell_agent(worker, Input::Grant(Grant { lease, job, range, whole }));
            }
            ToWorker::Recall { lease, count } => self.tell_agent(worker, Input::Recall { lease, count }),
            ToWorker::Close { job, cancel } => self.tell_agent(worker, Input::Close { job, cancel }),
            ToWorker::Farewell => self.part(worker),
        }
    }

    /// Tells an agent something and does what it says.
    pub(super) fn tell_agent(&mut self, worker: u32, input: Input) {
        self.hear(worker, input, Span::ZERO);
    }

    /// As [`Cluster::tell_agent`], for results that took so much thread time.
    pub(super) fn hear(&mut self, worker: u32, input: Input, busy: Span) {
        let total = match &input {
            Input::Done { range, .. } => range.len(),
            _ => 1,
        };
        self.agent_inputs += 1;
        let task_bytes = self.task_bytes(worker, &input);
        self.machines.agent(worker).swap_outputs(&mut self.said);
        self.say_what_runs(worker);
        self.machines.agent(worker).handle(self.now, input);
        self.act_on_agent(worker, busy, total, task_bytes);
        while let Some(input) = self.backlog.pop_front() {
            self.agent_inputs += 1;
            self.say_what_runs(worker);
            self.machines.agent(worker).handle(self.now, input);
            self.act_on_agent(worker, Span::ZERO, 1, 0);
        }
        self.machines.agent(worker).swap_outputs(&mut self.said);
        self.note_agent_due(worker);
        if self.checked {
            self.machines.agent(worker).check_invariants();
        }
    }

    /// As a real worker does from its pages.
    fn say_what_runs(&mut self, worker: u32) {
        let machine = &self.machines.states[worker as usize];
        if machine.pages.len() > 1 {
            for &(job, page) in &machine.pages {
                let seats = self.pages.get(page).seats();
                let running = seats.filter(|&thread| self.threads.get(thread).is_busy()).count() as u32;
                self.machines.agents[worker as usize].set_running(JobId(u64::from(job)), running);
            }
        }
    }

    fn note_agent_due(&mut self, worker: u32) {
        if let Some((at, _)) = self.machines.agent(worker).poll_timeout()
            && at < self.machines.get(worker).agent_due
        {
            self.machines.get_mut(worker).agent_due = at;
            self.queue.push(at.max(self.now), Event::AgentDue { worker });
        }
    }

    pub(super) fn agent_due(&mut self, worker: u32) {
        let machine = self.machines.get_mut(worker);
        if machine.paused_until > self.now {
            let until = machine.paused_until;
            self.queue.push(until, Event::AgentDue { worker });
            return;
        }
        if self.now < machine.agent_due {
            return;
        }
        machine.agent_due = Time(u64::MAX);
        if machine.up {
            self.say_what_runs(worker);
            self.machines.agent(worker).handle_timeout(self.now);
            self.act_on_agent(worker, Span::ZERO, 1, 0);
            while let Some(input) = self.backlog.pop_front() {
                self.say_what_runs(worker);
                self.machines.agent(worker).handle(self.now, input);
                self.act_on_agent(worker, Span::ZERO, 1, 0);
            }
            self.note_agent_due(worker);
        }
    }

    /// The bytes of each result that an agent is told of. Asked before: the agent forgets a lease with its last result.
    fn task_bytes(&self, worker: u32, input: &Input) -> u64 {
        let Input::Done { lease, .. } = input else { return 0 };
        if !self.has_results {
            return 0;
        }
        let job = self.machines.agents[worker as usize].job_of(*lease);
        job.map_or(0, |job| self.scenario.jobs[job.0 as usize].result_bytes)
    }

    fn act_on_agent(&mut self, worker: u32, busy: Span, total: u64, task_bytes: u64) {
        let mut follows = false;
        while let Some(output) = self.machines.agent(worker).poll_output() {
            let mut results = 0;
            let said = match output {
                Output::Forward { lease, range } => {
                    let busy = busy.share(range.len(), total);
                    results = range.len().saturating_mul(task_bytes);
                    FromWorker::Done { lease, range, busy }
                }
                Output::ReportFailed { lease, index, class } => {
                    FromWorker::Failed { lease, index, class, busy }
                }
                Output::Return { lease, range } => FromWorker::Returned { lease, range },
                Output::ReportTrouble { job } => FromWorker::Trouble { job },
                other => {
                    self.obey(worker, other);
                    continue;
                }
            };
            self.say(worker, said, follows, results);
            follows = true;
        }
    }

    /// A worker says something to the coordinator, with so many bytes of results, when it has a connection.
    pub(super) fn say(&mut self, worker: u32, what: FromWorker, follows: bool, results: u64) {
        let session = self.machines.get(worker).session;
        if session == NO_SESSION {
            return;
        }
        let follows = follows || self.last_from == (worker, self.now);
        self.last_from = (worker, self.now);
        if let FromWorker::Done { lease, .. } = what {
            let (at_worker, at_lease) = self.coordinator.scheduler.memory_of(session, lease);
            at_worker.into_iter().for_each(prefetch);
            at_lease.into_iter().for_each(prefetch);
        }
        let bytes = results + if follows { 0 } else { MESSAGE_BYTES };
        self.send_up(Up { worker, session, follows, bytes, what });
    }

    fn obey(&mut self, worker: u32, output: Output) {
        match output {
            Output::MakePage { job, shape } => {
                let number = job.0 as u32;
                let leaf = self.leaves.remove(&(worker, number)).flatten();
                let count = shape.slots();
                let page = self.pages.insert(Page::new(worker, number, count, leaf));
                self.pages.get_mut(page).first_thread = self.threads.allocate(page, count);
                self.machines.get_mut(worker).pages.push((number, page));
            }
            Output::RenewPage { job } => {
                if let Some(page) = self.page(worker, job) {
                    self.pages.get_mut(page).empty();
                }
            }
            Output::Start { executor, job, threads, first_slot } => {
                let group = &self.scenario.workers[self.machines.get(worker).group as usize];
                let wait = group.executor_start + group.plugin_load;
                self.seat(worker, executor, job, first_slot..first_slot + threads, wait);
            }
            Output::Assign { executor, job, threads, first_slot } => {
                self.seat(worker, executor, job, first_slot..first_slot + threads, Span::ZERO);
            }
            Output::CloseJob { executor, job } => self.close_job(worker, executor, job),
            Output::Stop { executor, kill } => {
                self.unseat(worker, executor);
                let cause = if kill { ExitCause::Killed } else { ExitCause::Stopped };
                self.backlog.push_back(Input::ExecutorExited {
                    executor,
                    cause,
                    held: Vec::new(),
                    running: Vec::new(),
                    culprits: Vec::new(),
                });
            }
            Output::CancelTasks { job } => self.cancel_tasks(worker, job),
            Output::Publish { job, entry, lease, range, whole } => {
                if let Some(page) = self.page(worker, job) {
                    self.pages.get_mut(page).publish(entry, lease, range, whole);
                    self.wake(page);
                }
            }
            Output::Reclaim { job, entry, count } => {
                let called = self.page(worker, job).map(|page| self.pages.get(page).call_back(entry, count));
                let (range, drained) = called.unwrap_or((IndexRange::default(), false));
                self.backlog.push_back(Input::Reclaimed { job, entry, range });
                if drained {
                    self.backlog.push_back(Input::Drained { job, entry });
                }
            }
            Output::Allow { job, slots } => {
                if let Some(page) = self.page(worker, job) {
                    self.pages.get_mut(page).allowed = slots;
                    self.wake(page);
                }
            }
            // Executors stop at once here.
            Output::Terminate { .. } => {}
            Output::Refuse { range, .. } => self.measures.refused += range.len(),
            Output::ForgetLease { .. } => {}
            Output::ForgetJob { job } => self.forget_page(worker, job),
            Output::Forward { .. }
            | Output::ReportFailed { .. }
            | Output::Return { .. }
            | Output::ReportTrouble { .. } => {}
        }
    }

    pub(super) fn page(&self, worker: u32, job: JobId) -> Option<u32> {
        self.machines.page(worker, job.0 as u32)
    }

    fn forget_page(&mut self, worker: u32, job: JobId) {
        let Some(page) = self.page(worker, job) else { return };
        self.pages.get(page).seats().for_each(|thread| self.abort(thread));
        let removed = self.pages.remove(page);
        self.threads.release(removed.seats());
        self.machines.get_mut(worker).pages.retain(|(_, other)| *other != page);
    }

    /// An executor gets a job: its threads are there at once or after a while.
    fn seat(
        &mut self,
        worker: u32,
        executor: ExecutorId,
        job: JobId,
        slots: std::ops::Range<u32>,
        wait: Span,
    ) {
        let Some(page) = self.page(worker, job) else { return };
        let first = self.pages.get(page).first_thread;
        for slot in slots {
            self.threads.seat(first + slot, executor, State::Starting);
        }
        if wait == Span::ZERO {
            self.is_ready(page, executor);
        } else {
            let life = self.machines.get(worker).life;
            let executor = short(executor);
            self.queue.push(self.now + wait, Event::Ready { worker, life, executor });
        }
    }

    /// A starting executor is ready.
    pub(super) fn ready(&mut self, worker: u32, life: u32, executor: u32) {
        let machine = self.machines.get(worker);
        if machine.life != life {
            return;
        }
        if machine.paused_until > self.now {
            let until = machine.paused_until;
            self.queue.push(until, Event::Ready { worker, life, executor });
            return;
        }
        let executor = ExecutorId(u64::from(executor));
        let page = machine.pages.iter().map(|&(_, page)| page).find(|&page| {
            let mut seats = self.pages.get(page).seats();
            seats.any(|thread| {
                let thread = self.threads.get(thread);
                thread.executor == executor && thread.state == State::Starting
            })
        });
        if let Some(page) = page {
            self.is_ready(page, executor);
            self.drain_backlog(worker);
        }
    }

    fn is_ready(&mut self, page: u32, executor: ExecutorId) {
        self.backlog.push_back(Input::ExecutorReady { executor });
        let seats = self.pages.get(page).seats();
        for thread in seats {
            let thread = self.threads.get_mut(thread);
            if thread.executor == executor && thread.state == State::Starting {
                thread.state = State::Idle;
            }
        }
        self.wake(page);
    }

    pub(super) fn drain_backlog(&mut self, worker: u32) {
        if let Some(input) = self.backlog.pop_front() {
            self.tell_agent(worker, input);
        }
    }

    /// The executor's part of a job is over.
    fn close_job(&mut self, worker: u32, executor: ExecutorId, job: JobId) {
        self.unseat_from(worker, executor, job);
        self.backlog.push_back(Input::ExecutorIdle { executor });
    }

    fn cancel_tasks(&mut self, worker: u32, job: JobId) {
        let Some(page) = self.page(worker, job) else { return };
        let seats = self.pages.get(page).seats();
        self.pages.get_mut(page).empty();
        for thread in seats {
            self.abort(thread);
        }
    }

    fn unseat(&mut self, worker: u32, executor: ExecutorId) {
        let jobs: Vec<u32> = self.machines.get(worker).pages.iter().map(|&(job, _)| job).collect();
        for job in jobs {
            self.unseat_from(worker, executor, JobId(u64::from(job)));
        }
    }

    fn unseat_from(&mut self, worker: u32, executor: ExecutorId, job: JobId) {
        let Some(page) = self.page(worker, job) else { return };
        let seats = self.pages.get(page).seats();
        for thread in seats {
            if self.threads.get(thread).executor == executor {
                self.abort(thread);
                self.threads.seat(thread, ExecutorId(0), State::Absent);
            }
        }
    }
}
