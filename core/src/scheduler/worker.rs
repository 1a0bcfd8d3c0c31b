//! Workers that come, fall silent, drain and go, and what becomes of their leases.

use super::Scheduler;
use super::fleet::Change;
use super::io::{Outcome, Output};
use super::lease::Work;
use super::reduction::Combination;
use crate::id::{JobId, LeaseId, WorkerId};
use crate::mutation::Mutation;
use crate::time::Time;
use alloc::vec::Vec;

impl Scheduler {
    pub(super) fn on_joined(&mut self, now: Time, worker: WorkerId, slots: u32) {
        self.fleet.join(worker, slots, now, &self.config);
        self.unfit_joined(worker, u64::from(slots.max(1)));
        self.next_check.get_or_insert(now + self.config.lease);
        self.balanced = false;
    }

    pub(super) fn on_left(&mut self, worker: WorkerId) {
        // A worker that is gone has not finished, and nobody is told that it has.
        self.fleet.update(worker, &self.config, |worker| worker.draining = false);
        let Some(view) = self.fleet.get(worker) else { return };
        let (leases, jobs): (Vec<LeaseId>, Vec<JobId>) = (view.leases.to_vec(), view.jobs.to_vec());
        let slots = view.slots;
        self.expired += leases.len() as u64;
        for lease in leases {
            self.put_back_lease(lease);
        }
        self.fleet.remove(worker);
        for &id in &jobs {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.workers.remove(&worker);
                job.banned.remove(&worker);
            }
            self.settle(id);
        }
        self.unfit_left(worker, slots);
    }

    pub(super) fn on_drain(&mut self, worker: WorkerId) {
        let begins = self.fleet.get(worker).is_some_and(|view| !view.draining);
        if begins && self.broken.strikes(Mutation::DrainUnheard) {
            return;
        }
        self.fleet.update(worker, &self.config, |worker| worker.draining = true);
        let Some(view) = self.fleet.get(worker) else { return };
        let leases: Vec<(LeaseId, u64)> = view
            .leases
            .iter()
            .filter_map(|&id| Some((id, self.leases.get(id)?.outstanding()?.len())))
            .collect();
        for (lease, count) in leases {
            self.recall(lease, count);
        }
        self.check_drained(worker);
    }

    pub(super) fn on_trouble(&mut self, worker: WorkerId, id: JobId) {
        if !self.take_away(worker, id) {
            return;
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.banned.insert(worker);
        }
        let hopeless = self.jobs.get(&id).is_some_and(|job| {
            self.fleet.iter().all(|(other, view)| !self.fits(id, job, other, view.slots as u32))
        });
        if hopeless {
            self.end(id, Outcome::Unrunnable);
        } else {
            self.settle(id);
        }
    }

    /// Takes a job away from a worker; `false`: that one does not know of it.
    pub(super) fn take_away(&mut self, worker: WorkerId, id: JobId) -> bool {
        let knows = self.jobs.get(&id).is_some_and(|job| job.workers.contains(&worker));
        if !knows {
            return false;
        }
        self.put_back_leases(worker, id);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.workers.remove(&worker);
        }
        self.fleet.update(worker, &self.config, |worker| {
            worker.unlearn(id);
        });
        self.outputs.push_back(Output::Close { worker, job: id, cancel: true });
        self.check_drained(worker);
        true
    }

    /// Gives up workers that were silent for a lease's length.
    pub(super) fn check_silence(&mut self, now: Time) {
        if self.next_check.is_none_or(|due| now < due) {
            return;
        }
        for worker in self.fleet.take_silent(now, self.config.lease) {
            if self.broken.strikes(Mutation::NoHeartbeatTimeout) {
                self.fleet.hear(worker, now);
                continue;
            }
            self.on_left(worker);
            self.outputs.push_back(Output::Lost { worker });
        }
        self.next_check = self.fleet.next_silent(self.config.lease);
    }

    /// Ends a lease when all of its tasks are accounted for.
    pub(super) fn finish_lease(&mut self, id: LeaseId) {
        if self.leases.get(id).is_some_and(|lease| lease.units() == 0) {
            self.remove_lease(id);
        }
    }

    /// Ends a lease; what was left of it is the caller's to account for. A combination comes back.
    pub(super) fn remove_lease(&mut self, id: LeaseId) -> Option<Combination> {
        let lease = self.leases.remove(id)?;
        self.unwatch(id, lease.attempt.max(lease.tried));
        if self.broken.strikes(Mutation::LeasePlaceLost) {
            self.leases.lose_free_place();
        }
        let units = lease.units();
        let mut moved = None;
        self.fleet.update(lease.worker, &self.config, |worker| {
            worker.load(Change::Less(units), lease.task_ps);
            worker.leases.swap_remove(lease.place);
            worker.recallable -= u32::from(lease.is_recallable());
            moved = worker.leases.get(lease.place).copied();
        });
        if let Some(other) = moved.and_then(|moved| self.leases.get_mut(moved)) {
            other.place = lease.place;
        }
        self.check_drained(lease.worker);
        match lease.work {
            Work::Run { .. } => None,
            Work::Combine { block, finish } => Some(Combination { block, finish }),
        }
    }

    /// Ends a lease; its unfinished tasks are ready for their next attempt, unless another lease has them.
    pub(super) fn put_back_lease(&mut self, id: LeaseId) {
        let Some(lease) = self.leases.get(id) else { return };
        let (job_id, attempt, next) = (lease.job, lease.attempt, lease.next_attempt());
        let elsewhere = self.held_elsewhere(id);
        let left: Vec<_> = lease.outstanding().into_iter().flat_map(|tasks| tasks.iter()).collect();
        let combination = self.remove_lease(id);
        let Some(job) = self.jobs.get_mut(&job_id) else { return };
        let rises = left.is_empty() || !self.broken.strikes(Mutation::AttemptsStandStill);
        for range in left {
            job.take_back(if rises { next } else { attempt }, range, &elsewhere);
        }
        if let (Some(combination), Some(reduction)) = (combination, &mut job.reduction) {
            reduction.leased -= 1;
            reduction.put_back(combination);
        }
    }

    fn put_back_leases(&mut self, worker: WorkerId, job: JobId) {
        for lease in self.leases_of(worker, job) {
            self.put_back_lease(lease);
        }
    }

    /// Ends a worker's leases of a job that is no more.
    pub(super) fn void_leases(&mut self, worker: WorkerId, job: JobId) {
        for lease in self.leases_of(worker, job) {
            self.remove_lease(lease);
        }
    }

    pub(super) fn leases_of(&self, worker: WorkerId, job: JobId) -> Vec<LeaseId> {
        let of_job = |id: &LeaseId| self.leases.get(*id).is_some_and(|lease| lease.job == job);
        self.fleet
            .get(worker)
            .map(|view| view.leases.iter().copied().filter(of_job).collect())
            .unwrap_or_default()
    }

    pub(super) fn check_drained(&mut self, worker: WorkerId) {
        let done = self.fleet.get(worker).is_some_and(|view| {
            let waits = view.draining && !view.drained;
            waits && (view.leases.is_empty() || self.broken.strikes(Mutation::DrainedEarly))
        });
        if done {
            self.fleet.update(worker, &self.config, |worker| worker.drained = true);
            self.outputs.push_back(Output::Drained { worker });
        }
    }
}
