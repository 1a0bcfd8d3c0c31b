//! Workers that come back with tasks: from before their link was lost, or from an earlier life of the coordinator. What
//! nobody else has stays with them, under a new lease; whatever they report under an old one counts for nothing.

use super::Scheduler;
use super::chunk;
use super::io::{Held, Output};
use super::job::Job;
use super::lease::{Lease, Work};
use crate::id::{JobId, WorkerId};
use crate::time::Time;
use alloc::vec::Vec;

/// A worker may say any number; attempts rise from it.
const ATTEMPT_MAX: u32 = 1 << 24;

impl Scheduler {
    /// Lets the jobs that were recovered wait until then: workers that had their tasks may come back with them. To be
    /// called after [`Scheduler::recover`].
    pub fn await_workers(&mut self, until: Time) {
        self.awaits_workers = Some(until);
        self.set_awaiting(true);
    }

    /// Nobody is waited for any more: all that were known are back, or the time is over.
    pub fn await_no_workers(&mut self) {
        if self.awaits_workers.take().is_some() {
            self.set_awaiting(false);
            self.dispatch();
        }
    }

    /// Whether recovered jobs wait for workers.
    #[must_use]
    pub const fn awaits_workers(&self) -> bool {
        self.awaits_workers.is_some()
    }

    fn set_awaiting(&mut self, awaits: bool) {
        let jobs: Vec<JobId> = self.jobs.keys().copied().collect();
        for id in jobs {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.awaits_workers = awaits;
            }
            self.settle(id);
        }
    }

    pub(super) fn on_rejoined(&mut self, now: Time, worker: WorkerId, slots: u32, held: Vec<Held>) {
        self.on_joined(now, worker, slots);
        held.into_iter().for_each(|held| self.adopt(worker, held));
    }

    fn adopt(&mut self, worker: WorkerId, held: Held) {
        let Held { claim, job: id, attempt, tasks, open } = held;
        let Some(view) = self.fleet.get(worker) else { return };
        let (slots, place) = (view.slots, view.leases.len());
        if !self.jobs.get(&id).is_some_and(|job| self.fits(id, job, worker, slots as u32)) {
            return;
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        // A block counts as a whole, so the worker must have all that will be in it.
        if job.reduction.is_some() && job.ready.count_of(&tasks) != tasks.len() {
            return;
        }
        let Some((up_to, tasks)) = job.ready.take_these(&tasks) else { return };
        let attempt = up_to.max(attempt.min(ATTEMPT_MAX));
        let units = tasks.len();
        job.leased += units;
        job.last_attempt = job.last_attempt.max(attempt);
        // It may have results of a job that it has closed.
        let introduction = if open {
            job.workers.insert(worker);
            None
        } else {
            job.introduce(id, worker, slots as u32)
        };
        let shape = job.spec.shape.resolve(slots as u32);
        let task_ps = estimate(job, units, slots, self.config.credit);
        let work = Work::Run { outstanding: tasks.clone() };
        let lease = Lease { job: id, worker, attempt, tried: 0, work, task_ps, recalling: false, place };
        let lease = self.put_in_force(lease, units);
        self.outputs.push_back(Output::Adopted { worker, claim, job: id, shape, lease, attempt, tasks });
        self.outputs.extend(introduction);
        self.settle(id);
    }
}

fn estimate(job: &Job, units: u64, slots: u64, credit: crate::time::Span) -> u64 {
    let in_flight = u64::from(job.spec.shape.in_flight());
    let task_ps = chunk::estimate_ps(job.pace.task_ps(), units, slots * in_flight, credit);
    chunk::of_lane(task_ps, in_flight, credit)
}
