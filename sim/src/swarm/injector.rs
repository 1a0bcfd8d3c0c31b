//! Faults that strike by themselves, apart from those that tasks bring and those that happen to messages.

use super::fault::Fault;
use super::setting::SLOTS_MAX;
use super::world::{Event, World};
use muster_core::agent;
use muster_core::id::{ExecutorId, JobId, LeaseId, WorkerId};
use muster_core::range::IndexRange;
use muster_core::reduce::Block;
use muster_core::scheduler::{FailureClass, Input};
use muster_core::time::Span;

/// Machines that a run may have.
const MACHINES_MAX: usize = 12;

/// What can strike by itself.
const KINDS: [Fault; 16] = [
    Fault::Reset,
    Fault::CrashWorker,
    Fault::Pause,
    Fault::CutUp,
    Fault::CutDown,
    Fault::Partition,
    Fault::CrashExecutor,
    Fault::CrashUnseen,
    Fault::LosePage,
    Fault::ForgetClaim,
    Fault::CrashCoordinator,
    Fault::Drain,
    Fault::Join,
    Fault::Lie,
    Fault::MadeUp,
    // Lies are cheap: twice as many.
    Fault::Lie,
];

impl World {
    /// A fault strikes, and the next one is on its way.
    pub(super) fn strike(&mut self) {
        if self.healed {
            return;
        }
        let kinds: Vec<Fault> = KINDS.into_iter().filter(|&fault| self.may(fault)).collect();
        if kinds.is_empty() {
            return;
        }
        let fault = self.luck.pick(&kinds);
        let machine = self.luck.below(self.machines.len() as u64) as usize;
        if self.strike_at(fault, machine) {
            self.struck.count(fault);
            self.note(|| format!("fault: {} at machine {machine}", fault.name()));
        }
        let next = self.now + Span(self.luck.below(4 * self.setting.strike.0) + 1_000);
        self.queue.push(next, Event::Strike);
    }

    /// Strikes; `false`: there was nothing to harm.
    fn strike_at(&mut self, fault: Fault, machine: usize) -> bool {
        let lease = self.setting.config.lease;
        match fault {
            Fault::CrashCoordinator => {
                // Rarer than others, or nothing would ever get done, and mostly when there is something to lose.
                let times = if self.disk.waiting() > 0 { 2 } else { 12 };
                let strikes = self.up && self.luck.once_in(times);
                if strikes {
                    self.crash_coordinator();
                }
                return strikes;
            }
            Fault::Join => {
                let strikes = self.machines.len() < MACHINES_MAX;
                if strikes {
                    let slots = self.luck.between(1, SLOTS_MAX.into()) as u32;
                    self.add_machine(slots);
                }
                return strikes;
            }
            _ => {}
        }
        if !self.machines[machine].up {
            return false;
        }
        match fault {
            Fault::Reset => self.reset_machine(machine),
            Fault::CrashWorker => self.crash_worker(machine),
            Fault::Pause => {
                let until = self.now + Span(self.luck.below(2 * lease.0));
                let view = &mut self.machines[machine];
                view.paused_until = view.paused_until.max(until);
                true
            }
            Fault::CutUp | Fault::CutDown | Fault::Partition => {
                let until = self.now + Span(self.luck.below(2 * lease.0));
                let view = &mut self.machines[machine];
                if fault != Fault::CutDown {
                    view.cut_up = view.cut_up.max(until);
                }
                if fault != Fault::CutUp {
                    view.cut_down = view.cut_down.max(until);
                }
                true
            }
            _ if self.machines[machine].paused_until > self.now => false,
            Fault::CrashExecutor | Fault::CrashUnseen => {
                let Some(executor) = self.some_executor(machine) else { return false };
                self.crash(machine, executor, fault == Fault::CrashExecutor, None);
                self.wake(machine);
                true
            }
            Fault::LosePage => {
                let jobs: Vec<JobId> = self.machines[machine].pages.keys().copied().collect();
                if jobs.is_empty() {
                    return false;
                }
                let job = self.luck.pick(&jobs);
                self.hand(machine, agent::Input::PageLost { job });
                self.wake(machine);
                true
            }
            Fault::ForgetClaim => {
                let threads = &mut self.machines[machine].threads;
                let busy: Vec<usize> =
                    (0..threads.len()).filter(|&thread| threads[thread].claim.is_some()).collect();
                if busy.is_empty() {
                    return false;
                }
                threads[self.luck.pick(&busy)].claim = None;
                self.wake(machine);
                true
            }
            Fault::Drain => {
                // Some worker has to stay.
                let stays = self.machines.iter().filter(|view| view.up).count() > 1;
                let Some(worker) = self.session_of(machine).filter(|_| stays && self.up) else {
                    return false;
                };
                self.tell(Input::Drain { worker }, None);
                true
            }
            Fault::Lie => self.lie(machine),
            Fault::MadeUp => self.make_up(machine),
            Fault::CrashCoordinator
            | Fault::Join
            | Fault::Drop
            | Fault::Duplicate
            | Fault::Reorder
            | Fault::Poison
            | Fault::FailTask
            | Fault::Trouble => false,
        }
    }

    fn session_of(&self, machine: usize) -> Option<WorkerId> {
        let connection = &self.connections[self.machines[machine].connection?];
        connection.open.then_some(connection.session)
    }

    fn reset_machine(&mut self, machine: usize) -> bool {
        let connection = self.machines[machine].connection;
        if let Some(connection) = connection {
            self.reset(connection);
        }
        connection.is_some()
    }

    fn crash_worker(&mut self, machine: usize) -> bool {
        let connection = self.machines[machine].connection;
        self.stop_machine(machine);
        // Every second time the coordinator only notices by the silence.
        if let Some(connection) = connection
            && self.luck.once_in(2)
        {
            let at = self.now + self.setting.latency;
            self.queue.push(at, Event::Gone { connection });
        }
        if self.luck.once_in(2) {
            let wait = self.luck.micros(1_000, 1_000_000);
            self.queue.push(self.now + wait, Event::MachineUp { machine });
        }
        true
    }

    fn some_executor(&mut self, machine: usize) -> Option<ExecutorId> {
        let executors: Vec<ExecutorId> = self.machines[machine].executors.keys().copied().collect();
        (!executors.is_empty()).then(|| self.luck.pick(&executors))
    }

    /// A lease to lie about, and tasks in it or near.
    fn some_lease(&mut self) -> (WorkerId, LeaseId, Option<JobId>, IndexRange) {
        if self.recent.is_empty() || self.luck.once_in(6) {
            let lease = LeaseId(self.luck.below(50) << 32 | self.luck.below(7));
            let range = IndexRange::from_count(self.luck.below(300), self.luck.below(40));
            return (WorkerId(0), lease, None, range);
        }
        // The latest are most likely in force.
        let known = self.recent.len() as u64;
        let back = if self.luck.once_in(2) { known.min(8) } else { known };
        let at = (known - 1 - self.luck.below(back)) as usize;
        let (worker, lease, job, range) = self.recent[at];
        let range = match self.luck.below(4) {
            0 => range,
            1 => IndexRange::from_count(range.start + self.luck.below(range.len()), 1),
            2 => IndexRange::from_count(range.start, self.luck.below(range.len() + 1)),
            _ => IndexRange::from_count(range.start + self.luck.below(8), 1 << self.luck.below(40)),
        };
        (worker, lease, Some(job), range)
    }

    fn is_reduced(&self, job: JobId) -> bool {
        self.plan_of(job).is_some_and(|plan| self.setting.jobs[plan].spec.reduce)
    }

    /// A worker says what is not so: about leases of others, of the past, or its own. Of its own in a reduction it only
    /// says what cannot be: the rest would be an output that nobody computed.
    fn lie(&mut self, machine: usize) -> bool {
        let Some(connection) = self.machines[machine].connection else { return false };
        let (owner, lease, job, range) = self.some_lease();
        let own = self.connections[connection].session;
        let reduced = owner == own && job.is_some_and(|job| self.is_reduced(job));
        if reduced && Block::from_range(range).is_some() {
            return false;
        }
        let worker = if self.luck.once_in(8) { WorkerId(1_000_000 + self.luck.below(9)) } else { own };
        let busy = Span(if self.luck.once_in(16) { u64::MAX } else { self.luck.below(1_000_000_000) });
        let (index, bytes) = (range.start, self.luck.below(100));
        let class = self.luck.pick(&[
            FailureClass::Failed,
            FailureClass::Transient,
            FailureClass::Crashed,
            FailureClass::Cancelled,
        ]);
        let said = match self.luck.below(8) {
            0..4 => Input::Done { worker, lease, range, bytes, busy },
            _ if reduced => return false,
            4 => Input::Failed { worker, lease, index, class, busy },
            5 | 6 => Input::Returned { worker, lease, range },
            _ if self.luck.once_in(6) => {
                Input::Trouble { worker, job: job.unwrap_or(JobId(self.luck.below(9))) }
            }
            _ => Input::Heartbeat { worker },
        };
        self.note(|| format!("lie: {said:?}"));
        self.send_up(connection, (said, None));
        true
    }

    /// An executor hands in what it never had.
    fn make_up(&mut self, machine: usize) -> bool {
        let (_, lease, _, range) = self.some_lease();
        let in_force = self.machines[machine].agent.job_of(lease);
        if in_force.is_some_and(|job| self.is_reduced(job)) {
            return false;
        }
        let index = range.start;
        let input = match self.luck.below(3) {
            0 => agent::Input::Failed { lease, index, class: FailureClass::Transient },
            _ => agent::Input::Done { lease, range },
        };
        self.hand(machine, input);
        self.wake(machine);
        true
    }
}
