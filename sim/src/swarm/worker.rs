//! The workers' side: messages to agents, and what agents say.

use super::checker::Fact;
use super::connection::Down;
use super::fault::Fault;
use super::machine::{Executor, Page, Published, Thread};
use super::world::{Event, World};
use muster_core::agent::{CLOSE_GRACE, ExitCause, Grant, Input, Output, PluginKey};
use muster_core::id::{ExecutorId, JobId};
use muster_core::page::LeaseFacts;
use muster_core::range::IndexRange;
use muster_core::scheduler::{self, GrantKind};
use muster_core::time::{Span, Time};

use super::partial::bytes_of;

/// One in so many executors does not find its plugin, where that may be.
const TROUBLE: u64 = 12;
/// One in so many executors does not end at SIGTERM.
const DEAF: u64 = 3;
/// One in so many executors takes longer to close or to stop than it may.
const SLOW: u64 = 40;

impl World {
    /// A message reaches a worker.
    pub(super) fn receive(&mut self, machine: usize, what: Down) {
        let view = &mut self.machines[machine];
        let input = match what {
            Down::Welcome => {
                view.attached = true;
                view.executors.values_mut().for_each(|executor| executor.outdated = true);
                view.parts.clear();
                Input::Attached
            }
            Down::Say(scheduler::Output::Open { job, shape, leaf, .. }, _) => {
                view.leaves.insert(job, leaf);
                Input::Open {
                    job,
                    shape,
                    plugin: PluginKey(1),
                    reusable: true,
                    reduce: leaf.is_some(),
                    grace: CLOSE_GRACE,
                }
            }
            Down::Say(scheduler::Output::Grant { grant, .. }, parts) => {
                let whole = matches!(grant.kind, GrantKind::Combine { .. });
                if let GrantKind::Combine { finish, .. } = grant.kind {
                    view.parts.insert(grant.lease, (parts, finish));
                }
                Input::Grant(Grant { lease: grant.lease, job: grant.job, range: grant.range, whole })
            }
            Down::Say(scheduler::Output::Recall { lease, count, .. }, _) => Input::Recall { lease, count },
            Down::Say(scheduler::Output::Close { job, cancel, .. }, _) => Input::Close { job, cancel },
            Down::Say(..) => return,
        };
        if !self.machines[machine].attached {
            return;
        }
        self.hand(machine, input);
        self.wake(machine);
    }

    /// Tells an agent something and does what it says.
    pub(super) fn hand(&mut self, machine: usize, input: Input) {
        self.hand_only(machine, input);
        while let Some(output) = self.machines[machine].agent.poll_output() {
            self.check(&Fact::Answered { machine, output: &output });
            self.note(|| format!("  agent {machine} -> {output:?}"));
            if self.has_violation() {
                return;
            }
            self.obey(machine, output);
        }
        self.machines[machine].handed = None;
        self.check_agent(machine);
        self.note_agent_due(machine);
    }

    fn hand_only(&mut self, machine: usize, input: Input) {
        self.inputs += 1;
        self.check(&Fact::Handed { machine, input: &input });
        self.note(|| format!("  agent {machine} <- {input:?}"));
        self.say_what_runs(machine);
        self.machines[machine].agent.handle(self.now, input);
    }

    fn say_what_runs(&mut self, machine: usize) {
        let view = &mut self.machines[machine];
        for &job in view.pages.keys() {
            let runs = |thread: &&Thread| thread.job == job && thread.claim.is_some();
            view.agent.set_running(job, view.threads.iter().filter(runs).count() as u32);
        }
    }

    fn note_agent_due(&mut self, machine: usize) {
        let view = &mut self.machines[machine];
        if let Some((at, _)) = view.agent.poll_timeout()
            && at < view.agent_due
        {
            view.agent_due = at;
            let life = view.life;
            self.queue.push(at.max(self.now), Event::AgentDue { machine, life });
        }
    }

    pub(super) fn agent_due(&mut self, machine: usize, life: u32) {
        if !self.is_awake(machine, life, Event::AgentDue { machine, life })
            || self.now < self.machines[machine].agent_due
        {
            return;
        }
        self.machines[machine].agent_due = Time(u64::MAX);
        self.say_what_runs(machine);
        self.machines[machine].agent.handle_timeout(self.now);
        while let Some(output) = self.machines[machine].agent.poll_output() {
            self.check(&Fact::Answered { machine, output: &output });
            self.obey(machine, output);
        }
        self.check_agent(machine);
        self.note_agent_due(machine);
    }

    /// Sends what an agent says to the coordinator, when it is connected.
    fn report_up(
        &mut self,
        machine: usize,
        input: impl FnOnce(muster_core::id::WorkerId) -> scheduler::Input,
    ) {
        let partial = self.machines[machine].handed.take();
        let view = &self.machines[machine];
        if let (Some(connection), true) = (view.connection, view.attached) {
            let worker = self.connections[connection].session;
            self.send_up(connection, (input(worker), partial));
        }
    }

    fn obey(&mut self, machine: usize, output: Output) {
        match output {
            Output::MakePage { job, .. } => {
                let view = &mut self.machines[machine];
                let leaf = view.leaves.get(&job).copied().flatten();
                view.pages.insert(job, Page::new(leaf));
            }
            Output::RenewPage { job } => {
                if let Some(page) = self.machines[machine].pages.get_mut(&job) {
                    page.renew();
                }
            }
            Output::Start { executor, job, threads, first_slot } => {
                let wait = self.setting.executor_start;
                let wait = wait + Span(self.work.below(wait.0 + 1));
                self.seat(machine, executor, job, first_slot..first_slot + threads, wait);
            }
            Output::Assign { executor, job, threads, first_slot } => {
                let wait = self.work.micros(0, 1_000);
                self.seat(machine, executor, job, first_slot..first_slot + threads, wait);
            }
            Output::CloseJob { executor, .. } => {
                let life = self.machines[machine].life;
                if let Some(view) = self.machines[machine].executors.get_mut(&executor) {
                    view.stopping = true;
                }
                let at = self.now + self.leave_taking();
                self.queue.push(at, Event::Idle { machine, life, executor });
            }
            Output::Stop { executor, kill } => self.stop(machine, executor, kill),
            Output::Terminate { executor } => self.terminate(machine, executor),
            Output::Publish { job, entry, lease, range, whole } => {
                if let Some(page) = self.machines[machine].pages.get_mut(&job) {
                    let tasks = if whole { IndexRange::from_count(range.start, 1) } else { range };
                    let in_use = page.entries[entry].word().unclaimed() > 0;
                    page.entries[entry].publish(tasks, LeaseFacts::default());
                    page.published.insert(entry, Published { lease, range, whole });
                    if in_use {
                        let what = format!("entry {entry} of {job} is published while it holds tasks");
                        self.violate(super::checker::INVARIANTS, what);
                    }
                }
            }
            Output::Reclaim { job, entry, count } => self.reclaim(machine, job, entry, count),
            Output::Allow { job, slots } => {
                if let Some(page) = self.machines[machine].pages.get_mut(&job) {
                    page.allowed = slots;
                }
            }
            Output::Forward { lease, range } => {
                let busy = Span(range.len() * 500_000);
                let bytes = bytes_of(range);
                self.report_up(machine, |worker| scheduler::Input::Done {
                    worker,
                    lease,
                    range,
                    bytes,
                    busy,
                });
            }
            Output::ReportFailed { lease, index, class } => {
                let busy = Span(500_000);
                self.report_up(machine, |worker| scheduler::Input::Failed {
                    worker,
                    lease,
                    index,
                    class,
                    busy,
                });
            }
            Output::Return { lease, range } => {
                self.report_up(machine, |worker| scheduler::Input::Returned { worker, lease, range });
            }
            Output::ReportTrouble { job } => {
                self.report_up(machine, |worker| scheduler::Input::Trouble { worker, job });
            }
            Output::ForgetLease { lease } => {
                self.machines[machine].parts.remove(&lease);
            }
            Output::ForgetJob { job } => {
                self.machines[machine].pages.remove(&job);
            }
            Output::CancelTasks { .. } | Output::Refuse { .. } => {}
        }
    }

    fn reclaim(&mut self, machine: usize, job: JobId, entry: usize, count: u64) {
        let page = self.machines[machine].pages.get(&job);
        let (range, drained) = page.map_or((IndexRange::default(), false), |page| {
            let entry = &page.entries[entry];
            let range = entry.call_back(entry.word().generation, count);
            (range, entry.word().unclaimed() == 0)
        });
        self.hand_only(machine, Input::Reclaimed { job, entry, range });
        if drained {
            self.hand_only(machine, Input::Drained { job, entry });
        }
    }

    /// How long an executor takes to close its job or to stop when it may end its tasks first.
    fn leave_taking(&mut self) -> Span {
        if self.work.once_in(SLOW) { Span::from_millis(2_500) } else { self.work.micros(0, 30_000) }
    }

    fn seat(
        &mut self,
        machine: usize,
        executor: ExecutorId,
        job: JobId,
        slots: std::ops::Range<u32>,
        wait: Span,
    ) {
        let view = &mut self.machines[machine];
        view.executors.insert(executor, Executor { ready: false, stopping: false, outdated: false });
        for slot in slots {
            self.turns += 1;
            view.threads.push(Thread { executor, job, slot, turn: self.turns, claim: None });
        }
        let life = view.life;
        self.queue.push(self.now + wait, Event::Ready { machine, life, executor });
    }

    pub(super) fn ready(&mut self, machine: usize, life: u32, executor: ExecutorId) {
        if !self.is_awake(machine, life, Event::Ready { machine, life, executor }) {
            return;
        }
        let trouble = self.may(Fault::Trouble) && self.luck.once_in(TROUBLE);
        let Some(view) = self.machines[machine].executors.get_mut(&executor) else { return };
        if view.stopping || view.ready {
            return;
        }
        if trouble {
            self.struck.count(Fault::Trouble);
            self.die(machine, executor, ExitCause::LoadFailed, vec![], (vec![], None));
        } else {
            view.ready = true;
            self.hand(machine, Input::ExecutorReady { executor });
        }
        self.wake(machine);
    }

    fn stop(&mut self, machine: usize, executor: ExecutorId, kill: bool) {
        let life = self.machines[machine].life;
        let view = &mut self.machines[machine];
        if let Some(other) = view.executors.get_mut(&executor) {
            other.stopping = true;
        }
        let wait = if kill {
            // Nothing that it had arrives any more.
            view.threads.retain(|thread| thread.executor != executor);
            self.work.micros(50, 3_000)
        } else {
            self.leave_taking()
        };
        self.queue.push(self.now + wait, Event::Exit { machine, life, executor, killed: kill });
    }

    /// Most executors end at SIGTERM; some plugins take no notice of it.
    fn terminate(&mut self, machine: usize, executor: ExecutorId) {
        if self.work.once_in(DEAF) {
            return;
        }
        let life = self.machines[machine].life;
        let at = self.now + self.work.micros(50, 3_000);
        self.queue.push(at, Event::Exit { machine, life, executor, killed: true });
    }

    pub(super) fn idle(&mut self, machine: usize, life: u32, executor: ExecutorId) {
        if !self.is_awake(machine, life, Event::Idle { machine, life, executor }) {
            return;
        }
        let view = &mut self.machines[machine];
        if view.executors.get(&executor).is_some_and(|executor| executor.stopping) {
            view.threads.retain(|thread| thread.executor != executor);
            self.hand(machine, Input::ExecutorIdle { executor });
            self.wake(machine);
        }
    }

    pub(super) fn exit(&mut self, machine: usize, life: u32, executor: ExecutorId, killed: bool) {
        if !self.is_awake(machine, life, Event::Exit { machine, life, executor, killed }) {
            return;
        }
        if self.machines[machine].executors.contains_key(&executor) {
            let held = self.machines[machine].held(executor);
            let cause = if killed { ExitCause::Killed } else { ExitCause::Stopped };
            self.die(machine, executor, cause, held, (vec![], None));
            self.wake(machine);
        }
    }
}
